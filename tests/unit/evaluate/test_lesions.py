"""Found foci against true lesions: a slow twin that knows only masks and outlines."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score

from bonescint.evaluate import Resampling
from bonescint.evaluate.agreement import MeasuredPair, agreement_measures
from bonescint.evaluate.figures import agreement_figure
from bonescint.evaluate.lesions import (
    FoundFocus,
    FoundOutline,
    JudgedFocus,
    JudgedScan,
    TrueLesion,
    TrueLesions,
    focus_measures,
    judge_foci,
    sensitivity_bands,
)
from bonescint.evaluate.metrics import measure_named
from bonescint.scan import ParameterError, View

SHAPE, PIXEL_MM = (40, 30), (4.0, 5.0)
FEW = Resampling(resamples=40)


def random_scan(rng: np.random.Generator) -> tuple[TrueLesions, list[FoundFocus]]:
    """Squares as lesions and as outlines, in both views."""
    areas = {view: np.zeros(SHAPE, np.intp) for view in View}
    lesions, centres = [], []
    for number in range(1, int(rng.integers(1, 7))):
        noise = float(rng.uniform(0, 30))
        malignant = bool(rng.integers(2))
        lesions.append(TrueLesion(number=number, malignant=malignant, contrast_to_noise=noise))
        for view in View:
            row, column = rng.integers(2, 36), rng.integers(2, 26)
            areas[view][row : row + 3, column : column + 3] = number
            centres.append((number, view, float(row + 1), float(column + 1)))
    found = []
    for number in range(1, int(rng.integers(1, 9))):
        views = {}
        for view in View:
            if rng.random() < 0.7:
                top, left, size = (int(rng.integers(*of)) for of in ((0, 34), (0, 24), (2, 7)))
                mine = [(row, column) for _, of, row, column in centres if of is view]
                if mine and rng.random() < 0.6:  # near a lesion
                    row, column = mine[rng.integers(len(mine))]
                    top, left = min(int(row) - 2, 33), min(int(column) - 2, 23)
                    top, left = max(top, 0), max(left, 0)
                at = int(rng.integers(size)), int(rng.integers(size))
                mask = rng.random((size, size)) < 0.8
                mask[at] = True
                views[view] = FoundOutline(
                    row=top + at[0], column=left + at[1], mask=mask, top=top, left=left
                )
        found.append(FoundFocus(number=number, rating=round(float(rng.random()), 2), views=views))
    truth = TrueLesions(
        lesions=tuple(lesions), areas=areas, centres=tuple(centres), pixel_mm=PIXEL_MM
    )
    return truth, found


def hits_of(truth: TrueLesions, focus: FoundFocus) -> tuple[set[int], set[int], list[float]]:
    """The lesions that a focus finds, those at its maxima, and the Dice coefficients."""
    hit, maxima, wholes = set(), set(), {}
    malignant = {one.number for one in truth.lesions if one.malignant}
    for view, one in focus.views.items():
        area = truth.areas[view]
        far = {
            (row, column): math.hypot(4 * (row - one.row), 5 * (column - one.column))
            for row in range(SHAPE[0])
            for column in range(SHAPE[1])
            if area[row, column]
        }
        whole = np.zeros(SHAPE, bool)
        for row, column in np.argwhere(one.mask):
            whole[one.top + row, one.left + column] = True
        wholes[view] = whole
        hit |= {
            n for n, of, row, column in truth.centres if of is view and whole[int(row), int(column)]
        }
        if far and min(far.values()) <= 12:
            maxima.add(int(area[min(far, key=lambda at: (far[at], at))]))
    hit |= maxima
    dice = [
        f1_score(np.isin(truth.areas[view], list(hit & malignant)).ravel(), whole.ravel())
        for view, whole in wholes.items()
    ]
    return hit, maxima, [of for of in dice if of > 0]


@pytest.fixture(scope="module")
def judged() -> list[JudgedScan]:
    rng = np.random.default_rng(5)
    scans = []
    for number in range(40):
        truth, found = random_scan(rng)
        scan = judge_foci(f"s{number}", number // 2, found, truth)
        malignant = {one.number for one in truth.lesions if one.malignant}
        for focus, one in zip(found, scan.foci, strict=True):
            hit, maxima, dice = hits_of(truth, focus)
            assert set(one.metastases) == hit & malignant
            assert one.on_metastasis == bool(maxima & malignant)
            assert set(one.benign) == maxima - malignant
            assert one.dice == pytest.approx(dice)
        scans.append(scan)
    return scans


def test_sensitivity_is_that_of_a_search_over_all_thresholds(judged: list[JudgedScan]) -> None:
    false = [f.rating for scan in judged for f in scan.foci if not f.metastases]
    for band, low, high in zip(
        sensitivity_bands(judged, FEW), (0, 0, 5, 10, 20), (99, 5, 10, 20, 99), strict=True
    ):
        lesions = [
            max((f.rating for f in scan.foci if one.number in f.metastases), default=-1.0)
            for scan in judged
            for one in scan.lesions
            if one.malignant and low <= one.contrast_to_noise < high
        ]
        assert band.lesions == len(lesions)
        for rate, measure in zip((0.5, 1, 2, 4), band.measures, strict=True):
            shares = [
                np.mean(np.array(lesions) >= threshold)
                for threshold in [*np.linspace(0, 1, 101).round(2), 2.0]
                if sum(of >= threshold for of in false) <= rate * len(judged)
            ]
            assert measure.estimate.value == pytest.approx(max(shares))
            assert measure.estimate.low <= measure.estimate.value <= measure.estimate.high
            assert measure.counted == f"{round(max(shares) * len(lesions))}/{len(lesions)}"


def test_areas_means_and_shares_are_those_of_other_libraries(judged: list[JudgedScan]) -> None:
    area, dice, right = focus_measures(judged, FEW, called_from=0.5)
    every = [focus for scan in judged for focus in scan.foci]
    known = [(f.rating, f.on_metastasis) for f in every if f.on_metastasis or f.benign]
    ratings, ill = zip(*known, strict=True)
    assert area.estimate.value == pytest.approx(roc_auc_score(ill, ratings))
    assert "by patient" in area.estimate.method
    assert dice.estimate.value == pytest.approx(
        np.mean([of for f in every if f.rating >= 0.5 for of in f.dice])
    )
    called = [bool(f.metastases) for f in every if f.rating >= 0.5]
    assert right.estimate.value == pytest.approx(np.mean(called))
    assert right.counted == f"{sum(called)}/{len(called)}"


def test_where_none_is_found_the_interval_is_wilsons() -> None:
    lesion = TrueLesion(number=1, malignant=True, contrast_to_noise=3.0)
    scan = JudgedScan(scan_id="s", patient=0, lesions=(lesion,), foci=())
    whole, faint = sensitivity_bands([scan], FEW)
    assert whole.measures[0].counted == "0/1"
    assert faint.name == "under 5"
    assert whole.measures[0].estimate.high == pytest.approx(0.7935, abs=1e-3)  # z2 / (1 + z2)


def test_without_benign_lesions_there_is_no_area() -> None:
    lesion = TrueLesion(number=1, malignant=True)
    focus = JudgedFocus(
        number=1, rating=0.7, metastases=(1,), on_metastasis=True, benign=(), dice=(0.5,)
    )
    scan = JudgedScan(scan_id="s", patient=0, lesions=(lesion,), foci=(focus,))
    area, dice, _ = focus_measures([scan], FEW, called_from=0.5)
    assert area.estimate.text() == "undefined: no focus is on a benign lesion"
    assert dice.estimate.value == 0.5
    assert [band.name for band in sensitivity_bands([scan], FEW)] == ["all"]


def pairs_of(reference: np.ndarray, measured: np.ndarray, width: float) -> list[MeasuredPair]:
    return [
        MeasuredPair(scan_id=str(n), patient=n, reference=a, measured=b, low=b - width,
                     high=b + width)
        for n, (a, b) in enumerate(zip(reference.tolist(), measured.tolist(), strict=True))
    ]  # fmt: skip


def test_agreement_is_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    reference = rng.exponential(2, 80)
    measured = reference + rng.normal(0.3, 0.5, 80)
    found = agreement_measures(
        pairs_of(reference, measured, 0.6), Resampling(resamples=800), patients=None
    )
    values = {one.name: one.estimate for one in found}
    pearson = stats.pearsonr(reference, measured)
    assert values["correlation_score"].value == pytest.approx(pearson.statistic)
    off = measured - reference
    assert values["bias"].value == pytest.approx(off.mean())
    interval = stats.ttest_1samp(off, 0).confidence_interval()
    assert values["bias"].low == pytest.approx(interval.low, abs=0.03)
    assert values["bias"].high == pytest.approx(interval.high, abs=0.03)
    spread = stats.tstd(off)
    assert values["difference_sd_error"].value == pytest.approx(spread)
    limits = stats.norm(off.mean(), spread).interval(0.95)
    assert values["lower_limit"].value == pytest.approx(limits[0])
    assert values["upper_limit"].value == pytest.approx(limits[1])
    assert values["interval_coverage"].value == pytest.approx(np.mean(np.abs(off) <= 0.6))


def test_agreement_without_spread_or_intervals() -> None:
    pairs = pairs_of(np.zeros(4), np.array([0.1, 0.2, 0.1, 0.0]), math.nan)
    found = agreement_measures(pairs, FEW, patients=None)
    assert measure_named(found, "correlation_score").estimate.note == "all values are equal"
    assert measure_named(found, "interval_coverage").estimate.note == "no intervals"
    assert agreement_figure(pairs, found, quantity="per cent").svg
    with pytest.raises(ParameterError, match="at least 3"):
        agreement_measures(pairs[:2], FEW, patients=None)
