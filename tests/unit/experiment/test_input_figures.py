"""Every network that bonescint trains is drawn, each with its own sizes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")

from bonescint.experiment.input_figures import architecture_figures
from bonescint.model import ModelCard, TrainingRecord
from bonescint.train import TrainSettings
from bonescint.train.networks import NetworkKind


@dataclass(frozen=True)
class _Folder:
    card: ModelCard


def _folder(kind: NetworkKind) -> _Folder:
    settings = TrainSettings(network=kind)
    training = TrainingRecord(
        origin="nothing", cohort_sha256="", scans={}, weights="random", settings=settings.to_json()
    )
    return _Folder(
        ModelCard(
            name=kind, version="1", architecture="", recipe=settings.recipe,
            operating_point=0.5, training=training,
        )
    )  # fmt: skip


def test_every_network_is_drawn() -> None:
    cards = {kind.value: _folder(kind) for kind in NetworkKind}
    captions = [caption for caption, _ in architecture_figures(cards)]  # type: ignore[arg-type]
    assert [caption.split(".")[0] for caption in captions] == [
        f"Network of {kind.value}" for kind in NetworkKind
    ]
