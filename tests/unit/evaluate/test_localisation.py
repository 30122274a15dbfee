import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bonescint.evaluate.bootstrap import Resampling
from bonescint.evaluate.localisation import (
    LEVELS,
    ViewEvidence,
    localise,
    nearest_lesion,
)
from bonescint.evaluate.map_metrics import (
    HIT_LEVEL,
    FreeResponseCurve,
    ScanMarks,
    free_response_measures,
    hit_rates,
    localisation_measures,
    map_agreement,
    ratio_over_scans,
)
from bonescint.evaluate.metrics import measure_named
from bonescint.scan import ParameterError


def _view(values: NDArray[np.float64], lesions: NDArray[np.int_], mm: float = 5.0) -> ViewEvidence:
    return ViewEvidence(values=values.astype(np.float32), lesions=lesions, pixel_mm=(mm, mm))


@given(seed=st.integers(0, 3000), levels=st.sampled_from([3, 50]))
def test_one_scan_by_brute_force(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    values = [rng.integers(0, levels, (7, 6)).astype(float) for _ in range(2)]
    values[0][0, 0] = levels
    lesions = [rng.integers(0, 4, (7, 6)) * (rng.random((7, 6)) < 0.3) for _ in range(2)]
    lesions[1][2, 2] = 1
    found = localise([_view(v, n) for v, n in zip(values, lesions, strict=True)], tolerance_mm=6)
    flat, inside = np.ravel(values), np.ravel(lesions) > 0
    assert found.pointing == pytest.approx(inside[flat == flat.max()].mean())
    assert found.energy_inside == pytest.approx(flat[inside].sum() / flat.sum())
    assert found.lesion_share == pytest.approx(inside.mean())

    def iou(threshold: float) -> float:
        marked = flat >= threshold
        return float((marked & inside).sum() / (marked | inside).sum())

    assert found.best_iou == pytest.approx(max(iou(t) for t in np.unique(flat[flat > 0])))
    for level, one in zip(LEVELS, found.iou_at, strict=True):
        assert one == pytest.approx(iou(np.float32(level * flat.max()))), level
    # A lesion reaches as far as its own pixels and those nearer to it than to another.
    near = [nearest_lesion(_view(v, n), 6) for v, n in zip(values, lesions, strict=True)]
    for hit in found.lesions:
        tops = [
            v[(n == hit.number) | ((n == 0) & (a == hit.number))].max()
            for v, n, a in zip(values, lesions, near, strict=True)
            if (n == hit.number).any()
        ]
        assert hit.reached == pytest.approx(max(tops) / flat.max())
    numbers = set(np.ravel(lesions).tolist()) - {0}
    assert {hit.number for hit in found.lesions} == numbers


def test_tolerance_is_in_mm_whatever_the_pixel() -> None:
    lesions = np.zeros((9, 9), dtype=int)
    lesions[4, 4] = 3
    view = ViewEvidence(values=np.ones((9, 9)), lesions=lesions, pixel_mm=(2.0, 10.0))
    near = nearest_lesion(view, 6.0)
    rows, columns = np.nonzero(near)
    assert set(rows.tolist()) == {1, 2, 3, 4, 5, 6, 7}
    assert set(columns.tolist()) == {4}
    assert (near[near > 0] == 3).all()
    assert (nearest_lesion(view, 0.0) == lesions).all()


def test_peaks_are_apart_and_know_their_lesion() -> None:
    y, x = np.mgrid[:40, :40]
    hot = np.exp(-((y - 10) ** 2 + (x - 10) ** 2) / 20)
    values = hot + 0.5 * np.exp(-((y - 30) ** 2 + (x - 30) ** 2) / 20)
    values[20:22, 5:9] = 0.2  # a plateau is one peak
    lesions = np.zeros((40, 40), dtype=int)
    lesions[9:12, 9:12] = 1
    found = localise([_view(values, lesions)], tolerance_mm=0, separation_mm=40).peaks
    assert [(round(p.row), round(p.column), p.lesion) for p in found] == [
        (10, 10, 1), (30, 30, 0), (20, 6, 0),
    ]  # fmt: skip
    assert found[0].height > found[1].height > found[2].height


def test_an_empty_map_finds_nothing() -> None:
    lesions = np.zeros((4, 4), dtype=int)
    lesions[1, 1] = 1
    found = localise([_view(np.zeros((4, 4)), lesions)])
    assert (found.pointing, found.energy_inside, found.best_iou) == (0, 0, 0)
    assert found.lesions[0].reached == 0
    assert found.peaks == ()


def test_what_cannot_be_measured_is_refused() -> None:
    empty = np.zeros((4, 4), dtype=int)
    with pytest.raises(ParameterError, match="lesion"):
        localise([_view(np.ones((4, 4)), empty)])
    with pytest.raises(ParameterError, match="map's shape"):
        _view(np.ones((4, 4)), np.zeros((4, 5), dtype=int))
    with pytest.raises(ParameterError, match="map's shape"):
        _view(np.ones(4), np.zeros(4, dtype=int))
    with pytest.raises(ParameterError, match="at least 0"):
        _view(np.full((4, 4), -0.001), empty)
    with pytest.raises(ParameterError, match="finite"):
        _view(np.full((4, 4), np.nan), empty)
    with pytest.raises(ParameterError, match="pixel_mm"):
        _view(np.ones((4, 4)), empty, mm=0.0)


@pytest.mark.parametrize(("apart_mm", "count"), [(15, 1), (16, 2)])
def test_peaks_up_to_15_mm_apart_are_one_unless_told_otherwise(apart_mm: int, count: int) -> None:
    values, lesions = np.zeros((5, 60)), np.zeros((5, 60), dtype=int)
    values[2, 20], values[2, 20 + apart_mm], lesions[2, 20] = 2.0, 1.0, 1
    assert len(localise([_view(values, lesions, mm=1.0)]).peaks) == count


def test_rates_over_lesions_are_resampled_by_scan() -> None:
    # Ten scans of a hundred lesions, all hit or none: the interval is that of ten, not a thousand.
    hits = np.array([100, 0] * 5)
    found = ratio_over_scans(hits, np.full(10, 100), Resampling(resamples=2000), patients=None)
    assert found.value == 0.5
    assert found.high - found.low == pytest.approx(0.6, abs=0.11)
    assert not ratio_over_scans([0, 0], [0, 0], Resampling(resamples=10), patients=None).defined
    scan = np.repeat(np.arange(10), 100)
    groups = hit_rates(
        np.repeat(hits > 0, 100),
        scan,
        scan % 2,
        ["even", "odd", "none"],
        Resampling(resamples=50),
        patients=None,
    )
    assert [(g.lesions, g.rate.value) for g in groups[:2]] == [(500, 1.0), (500, 0.0)]
    assert not groups[2].rate.defined


def test_measures_over_scans_and_their_chance() -> None:
    """Aimless maps score what chance is said to score."""
    rng = np.random.default_rng(2)
    scans = []
    for _ in range(400):
        lesions = np.zeros((12, 12), dtype=int)
        lesions[2:5, 3:8] = 1
        scans.append(localise([_view(rng.random((12, 12)), lesions)], tolerance_mm=5))
    found = localisation_measures(scans, Resampling(resamples=200), patients=None)
    for name in ("pointing_game", "pointing_game_near", "energy_inside"):
        score = measure_named(found, f"{name}_score").estimate
        chance = measure_named(found, f"{name}_by_chance").estimate.value
        assert score.low - 0.01 <= chance <= score.high + 0.01
    with pytest.raises(ParameterError, match="scans"):
        localisation_measures([], Resampling(), patients=None)


def test_free_response_is_counted_by_hand() -> None:
    rng = np.random.default_rng(3)
    marks = [
        ScanMarks(
            lesions=np.where(rng.random(n) < 0.3, -np.inf, rng.integers(0, 9, n) / 9),
            others=rng.integers(0, 9, rng.integers(0, 5)) / 9,
        )
        for n in rng.integers(0, 4, 30)
    ]
    curve = FreeResponseCurve.of(marks)
    lesions = np.concatenate([one.lesions for one in marks])
    others = np.concatenate([one.others for one in marks])
    thresholds = sorted({*lesions[np.isfinite(lesions)], *others}, reverse=True)
    for point, threshold in enumerate(thresholds, start=1):
        assert curve.found[point] == pytest.approx((lesions >= threshold).mean())
        assert curve.false_marks[point] == pytest.approx((others >= threshold).sum() / 30)
    assert curve.found_at(0) == curve.found[curve.false_marks == 0].max()
    measures = free_response_measures(
        marks, Resampling(resamples=100), patients=None, at=(0.5, 1.0)
    )
    assert [one.estimate.value for one in measures] == [curve.found_at(0.5), curve.found_at(1.0)]
    assert measures[0].estimate.low <= measures[0].estimate.value <= measures[0].estimate.high
    with pytest.raises(ParameterError, match="lesions"):
        FreeResponseCurve.of([ScanMarks(lesions=np.zeros(0), others=np.ones(3))])


def test_agreement_of_maps() -> None:
    rng = np.random.default_rng(4)
    first = rng.random((8, 8))
    assert map_agreement(first, np.exp(first)) == 1
    assert abs(map_agreement(first, rng.random((8, 8)))) < 0.4
    assert math.isnan(map_agreement(first, np.ones((8, 8))))
    with pytest.raises(ParameterError, match="shape"):
        map_agreement(first, first[:4])


def test_a_scan_counted_by_hand() -> None:
    """Two views of different size: each figure from the definition, with numbers on paper."""
    first = np.array([[4.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    second = np.array([[0.0, 2.0]])
    lesions = [np.array([[1, 0, 0], [0, 0, 2]]), np.array([[0, 2]])]
    found = localise([_view(v, n) for v, n in zip((first, second), lesions, strict=True)],
                     tolerance_mm=0)  # fmt: skip
    assert (found.pointing, found.pointing_near) == (1, 1)
    assert found.energy_inside == pytest.approx(7 / 10)
    assert found.lesion_share == found.near_share == pytest.approx(3 / 8)
    assert found.high_share == pytest.approx(3 / 8), "4, 2 and 2 reach half of 4"
    # At 4: 1 of 3. At 2: 2 of 4 marked or lesions. At 1: 3 of 5.
    assert found.best_iou == pytest.approx(3 / 5)
    at = dict(zip(LEVELS, found.iou_at, strict=True))
    assert (at[0.05], at[0.25], at[0.3], at[0.5], at[0.55], at[0.95]) == pytest.approx(
        (3 / 5, 3 / 5, 2 / 4, 2 / 4, 1 / 3, 1 / 3)
    )
    assert [(hit.number, hit.reached) for hit in found.lesions] == [(1, 1.0), (2, 0.5)]
    near = localise([_view(v, n) for v, n in zip((first, second), lesions, strict=True)],
                    tolerance_mm=5)  # fmt: skip
    assert near.near_share == 1, "every pixel touches a lesion's"
    assert near.lesion_share == pytest.approx(3 / 8)


def test_documented_defaults_of_localisation() -> None:
    """Tolerance 25 mm, peaks 30 mm apart, levels of 0.05 to 0.95; a lesion is hit at half."""
    assert tuple(n / 100 for n in range(5, 100, 5)) == LEVELS
    assert HIT_LEVEL == 0.5
    values = np.zeros((30, 1))
    values[0], values[20] = 2, 1
    lesions = np.zeros((30, 1), dtype=int)
    lesions[5] = 1
    view = _view(values, lesions)
    assert localise([view]).pointing_near == 1, "5 pixels of 5 mm are 25 mm"
    assert localise([view], tolerance_mm=24.9).pointing_near == 0
    assert localise([view]).pointing == 0
    # Two maxima 15 mm apart: the lower is none if it lies within half the separation.
    values = np.zeros((30, 1))
    values[10], values[13], values[14] = 2, 1, 1.5
    view = _view(values, lesions)
    assert [peak.row for peak in localise([view]).peaks] == [10, 14]
    assert [peak.row for peak in localise([view], separation_mm=40).peaks] == [10]


@pytest.mark.parametrize("highest", [1.0, 4.0, 0.25])
def test_a_peak_is_a_twentieth_of_the_highest_at_least(highest: float) -> None:
    values = np.zeros((41, 1))
    values[0], values[20], values[40] = highest, 0.0501 * highest, 0.0499 * highest
    lesions = np.zeros((41, 1), dtype=int)
    lesions[20] = 7
    peaks = localise([_view(values, lesions)], tolerance_mm=0).peaks
    assert [(peak.row, peak.view, peak.lesion) for peak in peaks] == [(0, 0, 0), (20, 0, 7)]
    assert [peak.height for peak in peaks] == pytest.approx([highest, 0.0501 * highest])


def test_pixels_that_are_not_square() -> None:
    """Separation and lesions in mm along each axis."""
    values = np.zeros((12, 9))
    values[4, 1], values[4, 4], values[11, 8] = 1.0, 0.8, 0.6
    lesions = np.zeros((12, 9), dtype=int)
    lesions[0, 0] = 1
    wide = ViewEvidence(values=values.astype(np.float32), lesions=lesions, pixel_mm=(5.0, 10.0))
    tall = ViewEvidence(values=values.astype(np.float32), lesions=lesions, pixel_mm=(5.0, 4.0))
    assert len(localise([wide], separation_mm=40).peaks) == 3, "30 mm between columns 1 and 4"
    assert len(localise([tall], separation_mm=40).peaks) == 2, "12 mm between columns 1 and 4"


def test_limits_of_sizes_are_refused_and_what_is_below_is_not() -> None:
    lesions = np.zeros((4, 4), dtype=int)
    lesions[1, 1] = 1
    view = _view(np.ones((4, 4)), lesions)
    for tolerance in (0, 1000):
        nearest_lesion(view, tolerance)
    for tolerance in (-0.1, 1000.1):
        with pytest.raises(ParameterError, match="tolerance_mm"):
            nearest_lesion(view, tolerance)
    for separation in (0.01, 1000):
        localise([view], separation_mm=separation)
    for separation in (0.0, 1000.1):
        with pytest.raises(ParameterError, match="separation_mm"):
            localise([view], separation_mm=separation)
    for mm in (0.01, 100.0):
        _view(np.ones((4, 4)), lesions, mm=mm)
    for mm in (0.0099, 100.1):
        with pytest.raises(ParameterError, match="pixel_mm"):
            _view(np.ones((4, 4)), lesions, mm=mm)
    with pytest.raises(ParameterError, match="lesions"):
        _view(np.ones((4, 4)), lesions - 2)
    with pytest.raises(ParameterError, match="views"):
        localise([])


def test_an_empty_map_of_two_views() -> None:
    lesions = np.zeros((4, 4), dtype=int)
    lesions[1, 1], lesions[2, 3] = 1, 2
    views = [_view(np.zeros((4, 4)), lesions), _view(np.zeros((4, 4)), lesions * 0)]
    found = localise(views, tolerance_mm=0)
    assert (found.pointing_near, found.high_share) == (0, 0)
    assert found.iou_at.tolist() == [0.0] * 19
    assert [hit.reached for hit in found.lesions] == [0, 0]
    assert found.lesion_share == pytest.approx(2 / 32)


def test_measures_are_called_and_counted_as_they_are() -> None:
    lesions = np.zeros((4, 4), dtype=int)
    lesions[1, 1], lesions[3, 3] = 1, 2
    hit, half = np.zeros((4, 4)), np.zeros((4, 4))
    hit[1, 1], half[0, 3], half[3, 3] = 1, 1, 0.5
    scans = [localise([_view(one, lesions)], tolerance_mm=0) for one in (hit, half)]
    found = localisation_measures(scans, Resampling(resamples=50), patients=None)
    assert [(one.name, one.counted, round(one.estimate.value, 4)) for one in found] == [
        ("pointing_game_score", "1/2", 0.5),
        ("pointing_game_by_chance", "", 0.125),
        ("pointing_game_near_score", "1/2", 0.5),
        ("pointing_game_near_by_chance", "", 0.125),
        ("energy_inside_score", "", round((1 + 1 / 3) / 2, 4)),
        ("energy_inside_by_chance", "", 0.125),
        ("lesion_hit_score", "2/4", 0.5),
        ("lesion_hit_by_chance", "", round((1 / 16 + 2 / 16) / 2, 4)),
        ("best_iou_score", "", round((1 / 2 + 1 / 3) / 2, 4)),
        ("common_iou_score", "", round((1 / 2 + 1 / 3) / 2, 4)),
    ]
    assert {one.estimate.method for one in found} == {"percentile bootstrap of scans, 50 resamples"}
    by_patient = localisation_measures(
        scans * 2, Resampling(resamples=50), patients=np.array([0, 1, 0, 1])
    )
    assert by_patient[0].estimate.method == "percentile bootstrap of patients, 50 resamples"
