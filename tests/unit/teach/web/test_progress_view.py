"""Numbers, charts and tables of progress: what is shown is what was worked out."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bonescint.scan import UptakeSite
from bonescint.teach.cases import CaseSpec
from bonescint.teach.outcomes import FalseMark, FindingOutcome, LesionOutcome, Outcome
from bonescint.teach.progress import LearnerProgress, learner_progress
from bonescint.teach.records import AnsweredCase, IssuedCase
from bonescint.teach.tally import Tally
from bonescint.teach.web import progress_view
from bonescint.teach.web.board import _confusions
from bonescint.teach.web.charts import Chart, ChartLine


def answered(count: int) -> list[AnsweredCase]:
    rng = np.random.default_rng(3)
    cases = []
    for number in range(count):
        positive = number % 2 == 0
        confidence = float(np.clip(50 + 30 * rng.normal(1 if positive else -1), 0, 100).round())
        outcome = Outcome(
            positive=positive,
            called=confidence >= 50,
            confidence=confidence,
            seconds=20.0 + number % 7,
            lesions=(LesionOutcome(bone="ribs", contrast_to_noise=12.0, confidence=confidence),)
            if positive
            else (),
            findings=(
                FindingOutcome(site=UptakeSite.RIB_FRACTURE, mistaken=number % 10 == 0, named=None),
            ),
            false_marks=(FalseMark(site=UptakeSite.RIB_FRACTURE, confidence=confidence),)
            if number % 10 == 0
            else (),
        )
        issued = IssuedCase(
            case_id=f"c{number}", course="joints", number=number, spec=CaseSpec(seed=1)
        )
        cases.append(AnsweredCase(issued=issued, answered_s=1e9 + 60 * number, outcome=outcome))
    return cases


@pytest.fixture(scope="module")
def progress() -> LearnerProgress:
    return learner_progress(answered(60))


def test_the_numbers_are_those_of_all_cases(progress: LearnerProgress) -> None:
    shown = {one["name"]: one for one in progress_view.numbers(progress)}
    tally = Tally.of(answered(60))
    assert shown["Cases"]["value"] == "60"
    assert float(shown["Correct answers, yes or no"]["value"]) == pytest.approx(
        tally.right / 60, abs=0.005
    )
    assert shown["Metastases found"]["value"] == "1.00"
    assert shown["False marks per case"]["value"] == f"{tally.false_marks / 60:.2f}"
    assert re.fullmatch(r"0\.\d\d to 1\.00|0\.\d\d to 0\.\d\d",
                        shown["Area under the ROC curve"]["more"])  # fmt: skip


def test_charts_have_the_points_of_their_tables(progress: LearnerProgress) -> None:
    charts = {chart.caption.split(",")[0]: chart for chart in progress_view.charts(progress)}
    areas = charts["Areas under the ROC and the wAFROC curve"]
    assert [len(areas.points(line)) for line in areas.lines] == [len(progress.over_time)] * 2
    roc = charts["ROC curve of your confidence"]
    assert len(roc.points(roc.lines[0])) == len(progress.roc)
    (table,) = [one for one in progress_view.tables(progress) if one.caption == "Over time"]
    assert table.rows[0][0] == "1 to 25"
    assert table.rows[-1][0].endswith("to 60")


def test_mistakes_are_listed_with_what_they_were(progress: LearnerProgress) -> None:
    table = progress_view.mistakes(progress)
    assert table.rows[0][:2] == ("rib fracture", "60")
    assert table.rows[0][2].startswith("0.10")


def test_the_latest_half_of_a_group_is_the_latest_in_time() -> None:
    """Two students, one after the other in the list, who read side by side."""
    everything = answered(60)
    by_student = everything[::2] + everything[1::2]
    assert _confusions(by_student) == _confusions(everything)


def test_nothing_answered_shows_nothing() -> None:
    nothing = learner_progress([])
    assert progress_view.numbers(nothing) == []
    assert progress_view.charts(nothing) == []


def test_a_value_beyond_the_axis_stays_on_the_chart() -> None:
    line = ChartLine(name="a", points=[(0, -5.0), (1, 9.0)], interval=[(-9.0, 0.5), (0.5, 99.0)])
    chart = Chart("c", "x", "y", [line], (0, 1), (0, 1))
    for x, y in chart.points(line):
        assert chart.left <= x <= chart.right
        assert chart.top <= y <= chart.bottom
    corners = [tuple(map(float, pair.split(","))) for pair in chart.band(line).split()]
    assert len(corners) == 4
    assert all(chart.top <= y <= chart.bottom for _, y in corners)


@pytest.mark.parametrize("most", [0.7, 1.0, 3.0, 42.0, 134.0, 2500.0])
def test_axes_have_a_few_round_ticks_within_their_ends(most: float) -> None:
    chart = Chart("c", "x", "y", [], (0, most), (0, 1))
    ticks = chart.x_ticks()
    assert 3 <= len(ticks) <= 7
    assert all(chart.left <= tick.at <= chart.right for tick in ticks)
    assert ticks[0].text == "0"
