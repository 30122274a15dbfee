"""Every network that bonescint trains is drawn, each with its own sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")

from bonescint.cohort import Manifest
from bonescint.experiment.report import figures as input_figures_module
from bonescint.experiment.report.figures import architecture_figures, input_figures
from bonescint.model import ModelCard, TrainingRecord
from bonescint.scan import Acquisition, Case, PixelUnit, Scan, Split
from bonescint.train import TrainingConfiguration
from bonescint.train.networks import NetworkKind


@dataclass(frozen=True)
class _Folder:
    card: ModelCard


def _folder(kind: NetworkKind) -> _Folder:
    settings = TrainingConfiguration(network=kind)
    training = TrainingRecord(
        origin="nothing", cohort_sha256="", scans={}, weights="random", settings=settings.to_json()
    )
    return _Folder(
        ModelCard(
            name=kind, version="1", architecture="", preprocessing=settings.preprocessing,
            operating_point=0.5, training=training,
        )
    )  # fmt: skip


def test_every_network_is_drawn() -> None:
    cards = {kind.value: _folder(kind) for kind in NetworkKind}
    captions = [caption for caption, _ in architecture_figures(cards)]  # type: ignore[arg-type]
    assert [caption.split(".")[0] for caption in captions] == [
        f"Network of {kind.value}" for kind in NetworkKind
    ]


def test_prepared_scans_are_named_with_their_own_size(tmp_path: Path) -> None:
    """Models of one preprocessing that read it at different sizes have a figure each."""
    image = np.random.default_rng(1).poisson(5.0, (128, 48))
    cases = []
    for positive in (True, False):
        file = tmp_path / f"{positive}.npz"
        file.write_bytes(b"")
        cases.append(Case(scan_id=f"s{positive}", patient_id=f"p{positive}", centre="A",
                          split=Split.VALIDATION, positive=positive, file=file.name))  # fmt: skip
    scan = Scan(anterior=image, posterior=image, pixel_spacing_mm=None, unit=PixelUnit.COUNTS,
                scan_id="s", acquisition=Acquisition(modality="NM"))  # fmt: skip
    whole = _folder(NetworkKind.VGG16)
    small = _Folder(
        replace(whole.card, preprocessing=replace(whole.card.preprocessing, rows=256, columns=128))
    )
    cards = {"ours": whole, "small": small, "again": whole}
    cohort = Manifest(cases=tuple(cases), folder=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_figures_module, "read", lambda _: scan)  # files are read elsewhere
        captions = [caption for caption, _ in input_figures(cards, cohort)]  # type: ignore[arg-type]
    assert captions == [
        "Prepared scans, 512 x 512 pixels, AP left and PA right, preprocessing "
        "body-root@1 (ours, again).",
        "Prepared scans, 256 x 256 pixels, AP left and PA right, preprocessing "
        "body-root@1 (small).",
    ]
