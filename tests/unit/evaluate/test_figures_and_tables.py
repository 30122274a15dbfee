import csv
import io
import math
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit

from bonescint.evaluate.bootstrap import Resampling
from bonescint.evaluate.false_evidence import ScanEvidence, evidence_table
from bonescint.evaluate.figures import (
    calibration_figure,
    confusion_figure,
    decision_figure,
    free_response_figure,
    hit_rate_figure,
    places_figure,
    precision_recall_figure,
    roc_curves_figure,
    roc_figure,
    subgroups_figure,
)
from bonescint.evaluate.judgement import Calibration, Judgement, OperatingPoint, judge
from bonescint.evaluate.logistic import margins
from bonescint.evaluate.map_metrics import (
    FreeResponseCurve,
    HitGroup,
    ScanMarks,
    free_response_measures,
)
from bonescint.evaluate.metrics import Confusion, Measure, measure_named
from bonescint.evaluate.operating_points import Balanced
from bonescint.evaluate.recalibration import calibrate_locally
from bonescint.evaluate.scored import ScoredCases
from bonescint.evaluate.subgroups import Factor, subgroups
from bonescint.evaluate.tables import confusion_table, measures_table
from bonescint.intervals import Estimate
from bonescint.plotting import RenderedFigure
from bonescint.scan import MissingExtraError, ParameterError, PlattCalibration
from bonescint.tables import ResultTable, write_csv, write_workbook

_FEW = Resampling(resamples=20)
_HALF = OperatingPoint(threshold=0.5, source="given")


def _cases(count: int = 200) -> ScoredCases:
    rng = np.random.default_rng(1)
    truth = np.arange(count) % 2 == 0
    return ScoredCases(scores=expit(rng.normal(2.0 * truth - 1)), positive=truth)


def _judged(count: int = 200) -> Judgement:
    return judge(_cases(count), _HALF, resampling=_FEW)


def _sound(picture: RenderedFigure) -> None:
    with Image.open(io.BytesIO(picture.png)) as image:
        assert image.width > 300
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn
    assert ElementTree.fromstring(picture.svg).tag.endswith("svg")  # noqa: S314 - our own
    assert b"<dc:date>" not in picture.svg


def test_every_figure_is_drawn_and_drawn_alike() -> None:
    judgement = _judged()
    halved = PlattCalibration(slope=0.5).probability(margins(judgement.cases.scores))
    scaled = Calibration.of(judgement.cases.with_scores(halved), _FEW)
    factor = Factor.of_names("Sex", ["F", "M"] * 100)
    marks = [ScanMarks(lesions=np.array([0.9, -np.inf]), others=np.array([0.3]))] * 3
    groups = (HitGroup(name="under 3", lesions=4, rate=Estimate(value=0.5, low=0.2, high=0.8)),
              HitGroup(name="3 and over", lesions=0, rate=Estimate(value=math.nan)))  # fmt: skip
    rows = evidence_table(
        [ScanEvidence.of([np.eye(2)], [np.array([[0, 1], [1, 0]])], 2)],
        ("bladder", "b"),
        _FEW,
        patients=None,
    )
    drawn = [
        roc_figure(judgement),
        precision_recall_figure(judgement),
        calibration_figure(judgement.calibration, judgement, scaled),
        decision_figure(judgement),
        confusion_figure(judgement.confusion),
        subgroups_figure(subgroups(judgement.cases, factor, 0.5), judgement),
        roc_curves_figure({"model": judgement.curve, "control": judgement.curve}, [(0.1, 0.8)] * 2),
        free_response_figure(
            FreeResponseCurve.of(marks), free_response_measures(marks, _FEW, patients=None)
        ),
        hit_rate_figure((("Contrast", groups), ("Radius, mm", ()))),
        places_figure(rows),
    ]
    for picture in drawn:
        _sound(picture)
    assert roc_figure(judgement) == drawn[0]


@pytest.mark.parametrize("levels", [2, 12])
def test_subgroups_are_drawn_as_wide_as_they_are_printed(levels: int) -> None:
    judgement = _judged()
    names = [f"level {n % levels}" for n in range(200)]
    found = subgroups(judgement.cases, Factor.of_names("Factor", names), 0.5)
    picture = subgroups_figure(found, judgement)
    width, height = Image.open(io.BytesIO(picture.png)).size
    # 200 pixels an inch; A4 without its margins is 7.2 inches wide: letters keep their size.
    assert width <= 7.2 * 200
    # A line each for the name and the levels has room for letters of 8 points.
    assert height >= (levels + 1) * 200 * 8 * 1.4 / 72


def test_ends_of_what_can_be_drawn() -> None:
    _sound(confusion_figure(Confusion.of(_cases(), math.inf)))
    none_called = judge(_cases(), OperatingPoint(threshold=math.inf, source="x"), resampling=_FEW)
    _sound(precision_recall_figure(none_called))
    many = _judged(30_000)
    assert len(roc_figure(many).svg) < 300_000  # thinned to what can be seen


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    judgement = _judged()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"matplotlib.*bonescint\[evaluate\]"):
        roc_figure(judgement)


def test_judgement_is_of_the_functions_that_it_names() -> None:
    judgement = _judged()
    calls = judgement.cases.scores >= 0.5
    sensitivity = measure_named(judgement.at_point, "sensitivity_score").estimate.value
    assert sensitivity == pytest.approx(calls[judgement.cases.positive].mean())
    assert judgement.at_half == judgement.at_point
    brier = ((judgement.cases.scores - judgement.cases.positive) ** 2).mean()
    assert judgement.calibration.brier.brier.value == pytest.approx(brier)
    with pytest.raises(KeyError):
        measure_named(judgement.at_point, "nothing")
    one_class = ScoredCases(scores=np.array([0.5, 0.6]), positive=np.array([1, 1]))
    with pytest.raises(ParameterError, match="both classes"):
        judge(one_class, _HALF)


def test_local_calibration_keeps_the_calls() -> None:
    cases = _cases(2000)
    cases = cases.with_scores(margins(cases.scores))
    found = calibrate_locally(cases, Balanced())
    calls = found.calibration.probability(cases.scores) >= found.operating_point
    sensitivity, specificity = calls[cases.positive].mean(), (~calls)[~cases.positive].mean()
    assert sensitivity == pytest.approx(specificity, abs=2e-3)
    assert found.after.value <= found.before.value + 1e-3
    assert (found.fit.count, found.fit.positives) == (2000, 1000)
    for wrong, says in (
        (ScoredCases(scores=np.full(4, 0.3), positive=np.array([0, 1, 0, 1])), "all equal"),
        (ScoredCases(scores=np.array([0.1, 0.2]), positive=np.array([1, 1])), "both classes"),
    ):
        with pytest.raises(ParameterError, match=says):
            calibrate_locally(wrong, Balanced())


def test_tables_are_written_whole(tmp_path: Path) -> None:
    from openpyxl import load_workbook

    table = measures_table(
        "performance", "Performance",
        (Measure(name="a", words="=SUM(A1)", estimate=Estimate(value=0.5, low=0.1, high=math.inf)),
         Measure(name="b", words="B", estimate=Estimate(value=math.nan, note="no case"))),
    )  # fmt: skip
    write_csv(table, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as stream:
        header, first, second = list(csv.reader(stream))
    assert header[:4] == ["measure", "in_words", "counted", "value"]
    assert first[1] == "'=SUM(A1)"
    assert first[3:6] == ["0.5", "0.1", ""]
    assert second[3] == ""
    confusion = confusion_table(Confusion.of(_cases(), 0.5))
    write_workbook((table, confusion), tmp_path / "t.xlsx", about=["Research use only."])
    book = load_workbook(tmp_path / "t.xlsx")
    assert book.sheetnames == ["Read first", "performance", "confusion"]
    assert book["Read first"]["A1"].value == "Research use only."
    assert book["confusion"]["D2"].value == 100
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(ParameterError, match="cells wide"):
        ResultTable(name="x", title="x", columns=("a",), rows=((1, 2),))
