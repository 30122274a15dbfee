"""A model calibrated at a place of its own."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from typer.testing import CliRunner

from bonescint.cli.app import app
from bonescint.evaluate import Balanced, GivenSpecificity
from bonescint.experiment.local_model import calibrate_model
from bonescint.model import ModelFolder, shipped_model
from bonescint.scan import InputError, ParameterError


def a_table(path: Path, rows: Sequence[tuple[str, float, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("scan_id", "mbd_probability", "label"), *rows])
    return path


def bold_rows(count: int, boldness: float) -> list[tuple[str, float, str]]:
    """Probabilities whose logit is some times too great."""
    rng = np.random.default_rng(4)
    chance = rng.beta(1, 1, count)
    said = np.clip(expit(boldness * logit(chance)), 1e-9, 1 - 1e-9)
    return [
        (f"s{n}", float(p), str(int(rng.random() < c)))
        for n, (p, c) in enumerate(zip(said, chance, strict=True))
    ]


def test_a_bold_model_is_made_modest_and_its_graph_stays(tmp_path: Path) -> None:
    shipped = shipped_model()
    table = a_table(tmp_path / "p.csv", bold_rows(3000, 2.0))
    folder, found = calibrate_model(shipped.path, table, rule=Balanced(), out=tmp_path / "mine")
    assert found.temperature.value == pytest.approx(2.0, rel=0.15)
    assert folder.sha256 == ModelFolder.load(tmp_path / "mine").sha256
    assert folder.onnx_path.read_bytes() == shipped.onnx_path.read_bytes()
    card = folder.card
    assert card.temperature == pytest.approx(shipped.card.temperature * found.temperature.value)
    assert card.operating_point == pytest.approx(0.5, abs=0.06)
    assert "3000 scans of the user's own" in card.operating_point_rule


def test_figures_of_the_former_operating_point_leave_the_card(tmp_path: Path) -> None:
    shipped = shipped_model()
    table = a_table(tmp_path / "p.csv", bold_rows(400, 2.0))
    folder, _ = calibrate_model(shipped.path, table, rule=Balanced(), out=tmp_path / "mine")
    before = {metric.name for metric in shipped.card.metrics}
    after = {metric.name for metric in folder.card.metrics}
    gone = {"sensitivity_score", "specificity_score", "cross_entropy_error"}
    assert gone <= before
    assert after == before - gone
    said = (tmp_path / "mine" / "docs" / "README.md").read_text(encoding="utf-8")
    assert "Area under the ROC curve" in said
    assert "Sensitivity at the operating point" not in said


def test_a_band_of_these_scans_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    rows = bold_rows(400, 1.0)
    folder, found = calibrate_model(
        shipped_model().path, a_table(tmp_path / "p.csv", rows), rule=Balanced(), out=tmp_path / "m"
    )
    card = folder.card
    assert card.uncertain_band is not None
    low, high = card.uncertain_band
    assert low <= card.operating_point <= high
    said = np.array([probability for _, probability, _ in rows])
    after = expit(logit(said) / found.temperature.value)  # what the model says from now on
    assert np.mean((after >= low) & (after <= high)) == pytest.approx(0.1, abs=0.003)
    assert "10 % of the user's own scans" in card.uncertain_rule


@pytest.mark.parametrize(("scores", "auc"), [((0.9, 0.2), "0.000"), ((0.2, 0.9), "1.000")])
def test_a_temperature_at_its_bound_is_refused_with_the_reason(
    tmp_path: Path, scores: tuple[float, float], auc: str
) -> None:
    """27 scans that probabilities tell nothing of, or all: no number makes them right."""
    rows = [(f"s{n}", scores[n % 2] + n / 1e3, str(n % 2)) for n in range(27)]
    model = shutil.copytree(shipped_model().path, tmp_path / "model")
    before = {file: file.read_bytes() for file in model.rglob("*") if file.is_file()}
    table = a_table(tmp_path / "p.csv", rows)
    with pytest.raises(ParameterError, match="temperature") as refused:
        calibrate_model(model, table, rule=Balanced())
    said = str(refused.value)
    assert "between 0.05 and 20" in said
    assert f"these 27 scans best lies beyond (area under the ROC curve {auc})" in said
    assert {file: file.read_bytes() for file in before} == before, "nothing was changed"


@pytest.mark.parametrize(
    ("count", "at_least", "says"),
    [(60, 0.5, "needs 100 scans"), (400, 1.0, "above every score")],
)
def test_without_a_band_the_reason_is_said(
    tmp_path: Path, count: int, at_least: float, says: str
) -> None:
    rows = bold_rows(count, 1.0)
    rows[0] = (rows[0][0], 0.9999, "0")  # the highest score of all
    table = a_table(tmp_path / "p.csv", rows)
    folder, _ = calibrate_model(
        shipped_model().path, table, rule=GivenSpecificity(at_least), out=tmp_path / "m"
    )
    assert folder.card.uncertain_band is None
    assert says in folder.card.uncertain_rule


def test_without_the_training_extra_there_is_no_band(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = a_table(tmp_path / "p.csv", bold_rows(400, 1.0))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find(name)
    )
    for name in [name for name in sys.modules if name.startswith("bonescint.train")]:
        monkeypatch.delitem(sys.modules, name)
    folder, _ = calibrate_model(shipped_model().path, table, rule=Balanced(), out=tmp_path / "m")
    assert folder.card.uncertain_band is None
    assert "needs bonescint[train]" in folder.card.uncertain_rule


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("a", 0.2, "1"), ("b", 0.3, "maybe"), ("c", 0.3, "")], "row 3, column label.*row 4"),
        ([("a", 0.2, "1"), ("b", 0.3, "1")], "2 of 2 scans are positive"),
    ],
)
def test_tables_that_cannot_serve_are_named(
    tmp_path: Path, rows: list[tuple[str, float, str]], says: str
) -> None:
    table = a_table(tmp_path / "p.csv", rows)
    with pytest.raises(InputError, match=says):
        calibrate_model(shipped_model().path, table, rule=Balanced(), out=tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_the_command(tmp_path: Path) -> None:
    table = a_table(tmp_path / "p.csv", bold_rows(400, 1.0))
    arguments = ["model", "calibrate", str(shipped_model().path), str(table)]
    ran = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "mine")])
    assert ran.exit_code == 0, ran.output
    assert "temperature" in ran.stderr
    assert "Uncertain from" in ran.stderr
    (tmp_path / "q.csv").write_text("scan_id,mbd_probability\na,0.5\n")
    ran = CliRunner().invoke(app, ["model", "calibrate", str(tmp_path / "mine"),
                                   str(tmp_path / "q.csv")])  # fmt: skip
    assert ran.exit_code == 2
    assert "column label is missing" in ran.stderr


def run(*words: object) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["model", "calibrate", *map(str, words)])
    return ran.exit_code, ran.stderr


def test_the_shipped_model_is_named_by_a_word_and_never_written_over(tmp_path: Path) -> None:
    table = a_table(tmp_path / "p.csv", bold_rows(400, 2.0))
    before = shipped_model().card
    status, said = run("shipped", table)
    assert status == 2
    assert "'out' parameter of model calibrate must be given for the model that comes with" in said
    status, said = run(shipped_model().path, table)
    assert status == 2, "nor by its path"
    assert shipped_model().card == before
    assert run("shipped", table, "--out", tmp_path / "mine")[0] == 0
    assert ModelFolder.load(tmp_path / "mine").sha256 == shipped_model().sha256


def test_predictions_of_unknown_scans_are_refused_or_left_out_on_demand(tmp_path: Path) -> None:
    rows = bold_rows(400, 2.0)
    table = a_table(tmp_path / "p.csv", rows)
    (tmp_path / "a.dcm").touch()
    known = "".join(f"{scan},p{scan},A,test,{label},a.dcm\n" for scan, _, label in rows[:300])
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("scan_id,patient_id,centre,split,label,file\n" + known)
    words = ("shipped", table, "--cohort", manifest, "--out", tmp_path / "mine")
    status, said = run(*words)
    assert status == 2
    assert "leave such rows out (--ignore-unknown)" in said
    status, said = run(*words, "--ignore-unknown")
    assert (status, "of 300 scans" in said) == (0, True)
