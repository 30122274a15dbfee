"""A model calibrated at a place of its own."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from typer.testing import CliRunner

from bonescint.cli.app import app
from bonescint.evaluate import Balanced, GivenSpecificity
from bonescint.experiment.adaptation.calibrate import calibrate_model
from bonescint.model import Classifier, ModelFolder, shipped_model, write_model_folder
from bonescint.model.records import LocalScans
from bonescint.scan import Acquisition, InputError, ParameterError, PixelUnit, Scan


def a_table(path: Path, rows: Sequence[tuple[str, float, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("scan_id", "mbd_probability", "label"), *rows])
    return path


def bold_rows(count: int, boldness: float, too_high: float = 0.0) -> list[tuple[str, float, str]]:
    """Probabilities whose logit is some times too great, and so much too high."""
    rng = np.random.default_rng(4)
    chance = rng.beta(1, 1, count)
    said = np.clip(expit(boldness * logit(chance) + too_high), 1e-9, 1 - 1e-9)
    return [
        (f"s{n}", float(p), str(int(rng.random() < c)))
        for n, (p, c) in enumerate(zip(said, chance, strict=True))
    ]


def test_a_model_of_another_camera_is_calibrated_and_its_graph_stays(tmp_path: Path) -> None:
    shipped = shipped_model()
    table = a_table(tmp_path / "p.csv", bold_rows(3000, 2.0, 1.5))
    folder, found = calibrate_model(shipped.path, table, rule=Balanced(), out=tmp_path / "mine")
    # The logit was 2 z + 1.5 where it should have been z.
    assert found.fit.slope.value == pytest.approx(0.5, rel=0.15)
    assert found.fit.intercept.value == pytest.approx(-0.75, abs=0.15)
    assert folder.sha256 == ModelFolder.load(tmp_path / "mine").sha256
    assert folder.onnx_path.read_bytes() == shipped.onnx_path.read_bytes()
    card = folder.card
    assert card.calibration == shipped.card.calibration.then(found.calibration)
    assert card.operating_point == pytest.approx(0.5, abs=0.06)
    assert "3000 scans of the user's own" in card.operating_point_rule
    record = card.calibrated_on
    assert record is not None
    assert (record.count, record.positives) == (3000, found.fit.positives)
    assert record.before == shipped.card.calibration
    assert record.slope_interval == (found.fit.slope.low, found.fit.slope.high)
    assert ModelFolder.load(tmp_path / "mine").card == card


def test_the_calibrated_model_says_what_the_card_promises(tmp_path: Path) -> None:
    """Through the classifier: one place applies slope and intercept."""
    shipped = shipped_model()
    table = a_table(tmp_path / "p.csv", bold_rows(400, 2.0, 1.5))
    folder, found = calibrate_model(
        shipped.path, table, rule=Balanced(), prevalence=0.1, out=tmp_path / "mine"
    )
    rng = np.random.default_rng(3)
    scan = Scan(
        anterior=rng.poisson(4, (256, 64)),
        posterior=rng.poisson(9, (256, 64)),
        pixel_spacing_mm=(9.0, 9.0),
        unit=PixelUnit.COUNTS,
        scan_id="noise",
        acquisition=Acquisition(modality="NM"),
    )
    with (
        Classifier(shipped, call_anyway=True) as one,
        Classifier(folder, call_anyway=True) as other,
    ):
        before, after = one.predict(scan), other.predict(scan)
    line = found.fit.calibration.moved_to(0.1, fitted_at=found.fit.prevalence)
    expected = expit(line.intercept + line.slope * logit(before.mbd_probability))
    assert after.mbd_probability == pytest.approx(expected, rel=1e-6)
    assert after.positive == (expected >= folder.card.operating_point)


def test_a_prevalence_moves_probabilities_and_no_call(tmp_path: Path) -> None:
    rows = bold_rows(400, 2.0, 1.5)
    table = a_table(tmp_path / "p.csv", rows)
    here, there = (
        calibrate_model(shipped_model().path, table, rule=Balanced(), prevalence=share,
                        out=tmp_path / str(share))[0].card
        for share in (None, 0.05)
    )  # fmt: skip
    said = logit(np.array([probability for _, probability, _ in rows]))
    before = shipped_model().card.calibration
    margin = (said - before.intercept) / before.slope
    calls = [card.calibration.probability(margin) >= card.operating_point for card in (here, there)]
    assert np.array_equal(*calls)
    assert there.operating_point < here.operating_point
    assert there.calibrated_on is not None
    assert there.calibrated_on.prevalence == 0.05
    assert "moved to a prevalence of 5 %" in there.calibrated_on.in_words
    share = there.calibrated_on.fitted_at
    moved = here.calibration.moved_to(0.05, fitted_at=share)
    assert there.calibration.intercept == pytest.approx(moved.intercept)
    # Calibrating again begins from here.
    with pytest.raises(ParameterError, match="prevalence"):
        calibrate_model(shipped_model().path, table, rule=Balanced(), prevalence=1.0,
                        out=tmp_path / "no")  # fmt: skip
    assert not (tmp_path / "no").exists()


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


def test_a_guaranteed_operating_point_does_not_vanish_without_a_word(tmp_path: Path) -> None:
    shipped = shipped_model()
    local = LocalScans(
        scores=(-1.0, 0.5), normal=True, scans=2, model_id="m@1+0", specificity=0.9, notes=("A.",)
    )
    adapted = write_model_folder(
        tmp_path / "adapted",
        card=replace(shipped.card, local=local),
        onnx=shipped.onnx_path.read_bytes(),
        ood=shipped.ood,
    )
    table = a_table(tmp_path / "p.csv", bold_rows(200, 1.0))
    ran = CliRunner().invoke(app, ["model", "calibrate", str(adapted.path), str(table)])
    assert ran.exit_code == 0, ran.output
    said = " ".join(ran.stderr.split())
    assert "operating point for a specificity of 0.9" in said
    assert "no longer guaranteed" in said
    after = ModelFolder.load(adapted.path).card.local
    assert after is not None
    assert after.specificity is None
    assert after.notes[0] == "A."
    assert after.rank(0.0) == local.rank(0.0)
    other = a_table(tmp_path / "q.csv", bold_rows(150, 1.0))
    again, _ = calibrate_model(adapted.path, other, rule=Balanced())
    assert again.card.local == after


def test_the_same_predictions_do_not_calibrate_twice(tmp_path: Path) -> None:
    """The second fit would be applied on top of the first one."""
    table = a_table(tmp_path / "p.csv", bold_rows(300, 2.0))
    folder, _ = calibrate_model(shipped_model().path, table, rule=Balanced(), out=tmp_path / "m")
    before = folder.card
    with pytest.raises(InputError, match="calibrated with these predictions already"):
        calibrate_model(folder.path, table, rule=Balanced())
    assert ModelFolder.load(folder.path).card == before


def test_a_band_of_these_scans_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    rows = bold_rows(400, 1.0)
    folder, found = calibrate_model(
        shipped_model().path, a_table(tmp_path / "p.csv", rows), rule=Balanced(), out=tmp_path / "m"
    )
    card = folder.card
    assert card.uncertain_band is not None
    low, high = card.uncertain_band
    assert low <= card.operating_point <= high
    said = np.array([probability for _, probability, _ in rows])
    line = found.calibration
    after = expit(line.intercept + line.slope * logit(said))  # what the model says from now on
    assert np.mean((after >= low) & (after <= high)) == pytest.approx(0.1, abs=0.003)
    assert "10 % of the user's own scans" in card.uncertain_rule


@pytest.mark.parametrize(
    ("scores", "says"),
    [((0.9, 0.2), "no slope above 0: the probabilities do not rank them"),
     ((0.2, 0.9), "no finite slope, since the classes do not overlap")],
)  # fmt: skip
def test_scans_without_a_finite_slope_give_a_finite_one_and_say_so(
    tmp_path: Path, scores: tuple[float, float], says: str
) -> None:
    """27 scans that probabilities tell nothing of, or all."""
    rows = [(f"s{n}", scores[n % 2] + n / 1e3, str(n % 2)) for n in range(27)]
    table = a_table(tmp_path / "p.csv", rows)
    folder, found = calibrate_model(
        shipped_model().path, table, rule=Balanced(), out=tmp_path / "m"
    )
    assert 0.02 < found.fit.slope.value < 10
    assert folder.card.calibrated_on is not None
    assert says in folder.card.calibrated_on.in_words


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


def test_neither_band_nor_calibration_needs_torch(tmp_path: Path) -> None:
    a_table(tmp_path / "p.csv", bold_rows(400, 1.0))
    program = """
import sys
from importlib.abc import MetaPathFinder
class NoTorch(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTorch())
from bonescint.evaluate import Balanced
from bonescint.experiment.adaptation.calibrate import calibrate_model
from bonescint.model import shipped_model
folder, _ = calibrate_model(shipped_model().path, "p.csv", rule=Balanced(), out="m")
assert folder.card.uncertain_band is not None
assert not [name for name in sys.modules if name.startswith("bonescint.train")]
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True,
                         text=True, check=False)  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_scans_of_one_patient_count_as_alike_as_they_are(tmp_path: Path) -> None:
    rows = bold_rows(120, 2.0, 1.0)
    once = a_table(tmp_path / "once.csv", rows)
    thrice = tmp_path / "thrice.csv"
    with thrice.open("w", newline="", encoding="utf-8") as stream:
        written = csv.writer(stream)
        written.writerow(("scan_id", "patient_id", "mbd_probability", "label"))
        written.writerows(
            (f"{scan}-{copy}", f"p{scan}", chance, label)
            for scan, chance, label in rows
            for copy in range(3)
        )
    found = {
        table: calibrate_model("shipped", table, rule=Balanced(), out=tmp_path / "m")[1].fit
        for table in (once, thrice)
    }
    assert (found[thrice].count, found[thrice].patients) == (360, 120)
    assert found[thrice].slope.low == pytest.approx(found[once].slope.low, rel=1e-5)
    assert found[thrice].intercept.high == pytest.approx(found[once].intercept.high, rel=1e-4)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("a", 0.2, "1"), ("b", 0.3, "maybe"), ("c", 0.3, "")], "row 3, column label.*row 4"),
        ([("a", 0.2, "1"), ("b", 0.3, "1")], "2 of 2 scans are positive"),
        ([("a", 0.2, "1"), ("b", 0.3, "0"), ("a", 0.4, "1")], "a is in row 2 too"),
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
    assert "fitted to 400 scans of the user's own" in ran.stderr
    assert "slope" in ran.stderr
    assert "Uncertain from" in ran.stderr
    (tmp_path / "q.csv").write_text("scan_id,mbd_probability\na,0.5\n")
    ran = CliRunner().invoke(app, ["model", "calibrate", str(tmp_path / "mine"),
                                   str(tmp_path / "q.csv")])  # fmt: skip
    assert ran.exit_code == 2
    assert "column label is missing" in ran.stderr


def run(*words: object) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["model", "calibrate", *map(str, words)])
    return ran.exit_code, ran.stderr


def test_a_share_to_reach_without_its_rule_is_refused(tmp_path: Path) -> None:
    words = ("model", "calibrate", "shipped", str(tmp_path / "p.csv"), "--at-least", "0.9")
    ran = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "mine")])
    assert ran.exit_code == 2
    assert "--at-least goes with --rule specificity or --rule sensitivity" in ran.output


def test_the_shipped_model_is_named_by_a_word_and_never_written_over(tmp_path: Path) -> None:
    table = a_table(tmp_path / "p.csv", bold_rows(400, 2.0))
    before = shipped_model().card
    status, said = run("shipped", table)
    assert status == 2
    assert "'out' parameter of model calibrate must be given for a model that comes with" in said
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
    assert (status, "fitted to 300 scans" in said) == (0, True)
