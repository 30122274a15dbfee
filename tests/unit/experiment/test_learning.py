"""`model adapt --epochs`: who learns, who judges, and what is kept."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from bonescint.scan import Case, InputError, ParameterError, Split, Truth, View

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")

import torch

from bonescint.cli.app import app
from bonescint.cohort import write_manifest, write_truth
from bonescint.dicom import write_nm
from bonescint.experiment.adaptation.adapt import PAGE, adapt_model
from bonescint.experiment.adaptation.learning import parted, require_enough_to_learn
from bonescint.experiment.adaptation.local_scans import ScoredScan
from bonescint.experiment.adaptation.report import probability_of
from bonescint.experiment.adaptation.usable_scans import UsableScans
from bonescint.model import ModelCard, ModelFolder, TrainingRecord, write_model_folder
from bonescint.prepare import preprocessing_named
from bonescint.train import adapting as learning_module
from bonescint.train.adapting import adapting_settings
from bonescint.train.compact import CompactCells
from bonescint.train.configuration import TrainingConfiguration
from bonescint.train.export import to_onnx
from bonescint.train.network import NetworkShape
from bonescint.train.weights import InitialWeights

HANDS = runpy.run_path(str(Path(__file__).parents[2] / "support" / "archive.py"))
ROWS = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    torch.manual_seed(2)
    network = CompactCells(shape=NetworkShape(channels=(4, 4, 6, 8, 10), cells=6))
    for _, layer in network.convolutions():
        torch.nn.init.kaiming_normal_(layer.weight)
    torch.nn.init.normal_(network.cell.weight, std=0.5)
    preprocessing = replace(
        preprocessing_named("body-root"), name="small", rows=ROWS, columns=ROWS // 2
    )
    card = ModelCard(
        name="small", version="1", architecture=network.architecture, preprocessing=preprocessing,
        operating_point=0.5,
        training=TrainingRecord(
            origin="simulated scans only", cohort_sha256="", scans={}, weights="random"
        ),
    )  # fmt: skip
    onnx = to_onnx(network.eval(), rows=ROWS).SerializeToString()
    return write_model_folder(tmp_path_factory.mktemp("models") / "m", card=card, onnx=onnx)


@pytest.fixture(scope="module")
def normals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("normals")
    for number in range(20):
        HANDS["put"](HANDS["another"](number), folder / f"n{number}.dcm", patient=f"{number}")
    return folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scans to learn from and six to watch, every other one with a hot spot in the spine."""
    folder = tmp_path_factory.mktemp("simulated")
    cases = []
    for number in range(12):
        scan, ill = HANDS["another"](100 + number), number % 2 == 0
        masks = {view: np.zeros(scan.shape, dtype=bool) for view in View}
        if ill:
            row, column = 350 + 10 * number, scan.shape[1] // 2
            images = {}
            for view, image in scan.images():
                masks[view][row - 6 : row + 6, column - 5 : column + 5] = True
                images[view] = image + 60 * masks[view]
            scan = replace(scan, anterior=images[View.ANTERIOR], posterior=images[View.POSTERIOR])
        write_nm(scan, folder / f"s{number}.dcm")
        write_truth(Truth(positive=ill, masks=masks), folder / f"s{number}.npz")
        split = Split.TRAIN if number < 6 else Split.VALIDATION
        cases.append(
            Case(scan_id=f"s{number}", patient_id=f"p{number}", centre="A", split=split,
                 positive=ill, file=f"s{number}.dcm", truth=f"s{number}.npz")
        )  # fmt: skip
    write_manifest(cases, folder / "manifest.csv")
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of four scans an epoch, and nothing that takes a process."""

    def settings(
        folder: ModelFolder, weights: InitialWeights, epochs: int
    ) -> TrainingConfiguration:
        return replace(
            adapting_settings(folder, weights, epochs), steps_per_epoch=2, batch_size=4,
            loader_workers=0, scan_augmentations=(), head_learning_rate=1e-3,
        )  # fmt: skip

    monkeypatch.setattr(learning_module, "adapting_settings", settings)


@pytest.mark.usefixtures("quick")
def test_half_learns_half_judges_and_the_card_says_so(
    model: ModelFolder,
    normals: Path,
    simulated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learning_module, "LARGEST_LOSS", 1.0)  # two steps may cost anything
    words = ["model", "adapt", str(model.path), "--normals", str(normals), "--epochs", "1"]
    words += ["--simulated", str(simulated), "--workers", "0", "--out", str(tmp_path / "ours")]
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0, ran.output
    assert "The network learnt for 1 epoch from 10 scans of 10 normal patients" in ran.output
    ours = ModelFolder.load(tmp_path / "ours")
    card = ours.card
    assert ours.sha256 != model.sha256
    assert card.local is not None
    assert (len(card.local.scores), card.local.scans) == (10, 10)
    assert card.training.origin == (
        "simulated scans and 10 local scans without metastatic bone disease"
    )
    assert card.training.scans["train local negative"] == 10
    assert card.training.epochs == 1
    assert card.training.settings["transplant_share"] == 0.5
    assert "above the highest score of 10 normal patients" in card.operating_point_rule
    assert card.operating_point == pytest.approx(probability_of(card, card.local.scores[-1]))
    assert card.calibrated_on is not None
    assert "median logit of 10 local normal patients" in card.calibrated_on.note
    assert [metric.name for metric in card.metrics] == ["roc_auc_score"]
    page = (ours.path / PAGE).read_text()
    assert "with transplanted simulated metastases" in page
    assert not (tmp_path / "ours.adapting").exists()


@pytest.mark.usefixtures("quick")
def test_a_network_that_lost_is_not_kept_and_all_normals_judge(
    model: ModelFolder,
    normals: Path,
    simulated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learning_module, "LARGEST_LOSS", -2.0)  # nothing is good enough
    said: list[str] = []
    folder, found = adapt_model(
        model.path, tmp_path / "ours", normals=normals, epochs=1, simulated=simulated, workers=0,
        tell=said.append,
    )  # fmt: skip
    assert folder.sha256 == model.sha256
    assert folder.card.calibration == model.card.calibration
    assert folder.card.local is not None
    assert len(folder.card.local.scores) == 20
    assert found.learning is not None
    assert not found.learning.learnt.kept
    assert any("was not kept" in text for text in said)
    assert any("was not kept" in note for note in folder.card.local.notes)
    assert "was not kept" in (folder.path / PAGE).read_text()


def scans_of(patients: list[str]) -> UsableScans:
    blank: Any = None
    return UsableScans(
        scans=tuple(
            ScoredScan(
                source=f"{number}", study=blank, patient=patient, positive=None, margin=0.0,
                unit="counts", views=("anterior", "posterior"), files_sha256=(f"{number}",),
                features={},
            )
            for number, patient in enumerate(patients)
        )
    )  # fmt: skip


@pytest.mark.parametrize(("asked", "aside"), [(0.9, 15), (0.95, 19)])
def test_no_patient_is_on_both_sides(asked: float, aside: int) -> None:
    usable = scans_of([f"p{number % 30}" for number in range(45)])
    learning, others = parted(usable, asked)
    assert learning.patients.keys().isdisjoint(others.patients)
    assert len(others.patients) == aside
    assert len(learning.patients) == 30 - aside
    assert {s.source for s in (*learning.scans, *others.scans)} == {s.source for s in usable.scans}
    assert parted(usable, asked)[0].scans == learning.scans, "the same for the same scans"


def test_too_few_to_learn_are_refused_with_the_number_needed(
    model: ModelFolder, normals: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"needs at least 20\. Give 1 more, or leave out --epochs"):
        require_enough_to_learn(Path("n"), 19, 0.9)
    with pytest.raises(InputError, match="needs at least 29"):
        require_enough_to_learn(Path("n"), 28, 0.95)
    require_enough_to_learn(Path("n"), 20, 0.9)
    for wrong in ({"epochs": -1}, {"simulated": tmp_path}):
        with pytest.raises(ParameterError):
            adapt_model(model.path, tmp_path / "m", normals=normals, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="epochs"):
        adapt_model(model.path, tmp_path / "m", unlabelled=normals, prevalence=0.2, epochs=1)
