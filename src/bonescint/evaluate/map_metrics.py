"""Localisation figures over many scans, with intervals, and the free-response curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from bonescint.evaluate.bootstrap import Resampling
from bonescint.evaluate.localisation import LEVELS, ScanLocalisation
from bonescint.evaluate.metrics import Measure
from bonescint.intervals import Estimate
from bonescint.scan import ParameterError

HIT_LEVEL = 0.5
"""A lesion is hit where the map reaches this share of the scan's highest value on it."""


def ratio_over_scans(
    numerators: ArrayLike,
    denominators: ArrayLike,
    resampling: Resampling,
    *,
    patients: NDArray[np.intp] | None,
) -> Estimate:
    """A ratio of sums over scans, with a bootstrap interval over scans.

    With denominators of 1 it is a mean over scans; with counts of lesions it is a rate over
    lesions, whose interval allows for the dependence of lesions within a scan.

    Args:
        numerators: (scans,).
        denominators: (scans,), at least 0.
        resampling: number of resamples and level; scans are drawn, never stratified.
        patients: number of each scan's patient, (scans,); patients are drawn then, with all
            their scans. `None` where each has one scan.

    Examples:
        >>> hundred = Resampling(resamples=100)
        >>> ratio_over_scans([1, 0, 1, 1], [1, 1, 1, 1], hundred, patients=None).value
        0.75
    """
    above = np.asarray(numerators, dtype=np.float64)
    below = np.asarray(denominators, dtype=np.float64)
    if above.shape != below.shape or above.ndim != 1:
        got = (above.shape, below.shape)
        raise ParameterError("denominators", "ratio_over_scans", "one for each numerator", got)
    method = _method(resampling, patients)
    if below.sum() <= 0:
        return Estimate(value=np.nan, level=resampling.level, method=method, note="no case")
    drawn = np.empty(resampling.resamples)
    for number, chosen in enumerate(resampling.scan_draws(above.size, patients)):
        base = below[chosen].sum()
        drawn[number] = above[chosen].sum() / base if base > 0 else np.nan
    found = resampling.estimate(float(above.sum() / below.sum()), drawn)
    return replace(found, method=method)


def _method(resampling: Resampling, patients: NDArray[np.intp] | None) -> str:
    drawn = "scans" if patients is None else "patients"
    return f"percentile bootstrap of {drawn}, {resampling.resamples} resamples"


def localisation_measures(
    scans: Sequence[ScanLocalisation],
    resampling: Resampling,
    *,
    patients: NDArray[np.intp] | None,
) -> tuple[Measure, ...]:
    """Mean localisation figures over scans, beside those that chance would give.

    Args:
        scans: scans with lesions.
        resampling: for the intervals.
        patients: as in `ratio_over_scans`.

    Raises:
        ParameterError: no scan.
    """
    if not scans:
        raise ParameterError("scans", "localisation_measures", "at least one", 0)
    ones = np.ones(len(scans))
    lesions = np.array([len(scan.lesions) for scan in scans], dtype=float)
    hits = np.array([sum(lesion.reached >= HIT_LEVEL for lesion in scan.lesions) for scan in scans])
    levels = np.array([scan.iou_at for scan in scans])
    common = int(levels.mean(axis=0).argmax())

    def measure(
        name: str,
        words: str,
        above: ArrayLike,
        below: NDArray[np.float64] = ones,
        *,
        counted: bool = False,
    ) -> Measure:
        said = f"{np.sum(above):g}/{np.sum(below):g}" if counted else ""
        estimate = ratio_over_scans(above, below, resampling, patients=patients)
        return Measure(name=name, words=words, estimate=estimate, counted=said)

    def of(attribute: str) -> list[float]:
        return [getattr(scan, attribute) for scan in scans]

    near = "Pointing game within the tolerance"
    best = "Intersection over union, best threshold of each scan"
    level = f"{LEVELS[common]:g} of the highest value (best over all scans)"
    return (
        measure("pointing_game_score", "Pointing game", of("pointing"), counted=True),
        measure("pointing_game_by_chance", "  by chance", of("lesion_share")),
        measure("pointing_game_near_score", near, of("pointing_near"), counted=True),
        measure("pointing_game_near_by_chance", "  by chance", of("near_share")),
        measure("energy_inside_score", "Share of the evidence inside lesions", of("energy_inside")),
        measure("energy_inside_by_chance", "  by chance", of("lesion_share")),
        measure("lesion_hit_score", "Lesions hit", hits, lesions, counted=True),
        measure("lesion_hit_by_chance", "  by chance", of("high_share")),
        measure("best_iou_score", best, of("best_iou")),
        measure("common_iou_score", f"Intersection over union at {level}", levels[:, common]),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanMarks:
    """A scan's peaks as rated marks; ratings are comparable between scans.

    Attributes:
        lesions: rating of the highest mark on each lesion, (lesions,); minus infinity without a
            mark.
        others: ratings of the marks that lie on no lesion.
    """

    lesions: NDArray[np.float64]
    others: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FreeResponseCurve:
    """Lesions found against false marks per scan (Bunch et al. 1978; Chakraborty 1989).

    Attributes:
        false_marks: mean number of marks on no lesion per scan, (points,), ascending.
        found: share of all lesions with a mark, (points,).
        scans: number of scans, including those without disease.
        lesions: number of lesions in them.
    """

    false_marks: NDArray[np.float64]
    found: NDArray[np.float64]
    scans: int
    lesions: int

    @classmethod
    def of(cls, marks: Sequence[ScanMarks]) -> FreeResponseCurve:
        """The curve of some scans.

        Raises:
            ParameterError: no lesion in any scan.

        Examples:
            >>> ill = ScanMarks(lesions=np.array([0.9, 0.2]), others=np.array([0.5]))
            >>> well = ScanMarks(lesions=np.zeros(0), others=np.array([0.4]))
            >>> curve = FreeResponseCurve.of([ill, well])
            >>> curve.false_marks.tolist(), curve.found.tolist()
            ([0.0, 0.0, 0.5, 1.0, 1.0], [0.0, 0.5, 0.5, 0.5, 1.0])
        """
        lesions = np.concatenate([one.lesions for one in marks]) if marks else np.zeros(0)
        if lesions.size == 0:
            raise ParameterError("marks", "FreeResponseCurve.of", "of scans with lesions", "none")
        others = np.sort(np.concatenate([one.others for one in marks]))
        rated = np.sort(lesions[np.isfinite(lesions)])
        thresholds = np.unique(np.concatenate([rated, others]))[::-1]
        found = rated.size - np.searchsorted(rated, thresholds)
        false = others.size - np.searchsorted(others, thresholds)
        return cls(
            false_marks=np.concatenate([[0.0], false / len(marks)]),
            found=np.concatenate([[0.0], found / lesions.size]),
            scans=len(marks),
            lesions=int(lesions.size),
        )

    def found_at(self, false_marks: float) -> float:
        """Share of lesions found at no more than the given false marks per scan."""
        return float(self.found[self.false_marks <= false_marks + 1e-12].max())


def free_response_measures(
    marks: Sequence[ScanMarks],
    resampling: Resampling,
    *,
    patients: NDArray[np.intp] | None,
    at: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
) -> tuple[Measure, ...]:
    """Share of lesions found at given numbers of false marks per scan, resampling scans.

    Args:
        marks: marks of each scan.
        resampling: number of resamples and level.
        patients: as in `ratio_over_scans`.
        at: numbers of false marks per scan.

    Raises:
        ParameterError: no lesion in any scan.
    """
    whole = FreeResponseCurve.of(marks)
    drawn = np.full((resampling.resamples, len(at)), np.nan)
    for number, places in enumerate(resampling.scan_draws(len(marks), patients)):
        chosen = [marks[place] for place in places]
        if any(one.lesions.size for one in chosen):
            curve = FreeResponseCurve.of(chosen)
            drawn[number] = [curve.found_at(limit) for limit in at]
    method = _method(resampling, patients)
    return tuple(
        Measure(
            name=f"lesions_found_at_{limit:g}_score",
            words=f"Lesions found at {limit:g} false marks per scan",
            estimate=replace(
                resampling.estimate(whole.found_at(limit), drawn[:, column]), method=method
            ),
        )
        for column, limit in enumerate(at)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HitGroup:
    """Lesions of a kind and how many of them a map hits.

    Attributes:
        name: name of the group.
        lesions: number of lesions in it.
        rate: share of them that is hit, interval over scans.
    """

    name: str
    lesions: int
    rate: Estimate


def hit_rates(
    hit: NDArray[np.bool_],
    scan: NDArray[np.intp],
    group: NDArray[np.intp],
    names: Sequence[str],
    resampling: Resampling,
    *,
    patients: NDArray[np.intp] | None,
) -> tuple[HitGroup, ...]:
    """Hit rate of each group of lesions; scans or patients are resampled, not lesions.

    Args:
        hit: bool (lesions,).
        scan: number of each lesion's scan, (lesions,).
        group: number of each lesion's group, (lesions,); -1 for none.
        names: names of the groups.
        resampling: for the intervals.
        patients: number of each *lesion's* patient, (lesions,), or `None` where each patient
            has one scan.
    """
    names_of, number = np.unique(scan if patients is None else patients, return_inverse=True)
    size = names_of.size
    of_each = None if patients is None else np.arange(size)
    found = []
    for place, name in enumerate(names):
        members = group == place
        above = np.bincount(number, weights=members & hit, minlength=size)
        below = np.bincount(number, weights=members, minlength=size)
        found.append(
            HitGroup(
                name=name,
                lesions=int(members.sum()),
                rate=ratio_over_scans(above, below, resampling, patients=of_each),
            )
        )
    return tuple(found)


def map_agreement(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Rank correlation of two maps of one scan: the sanity check of Adebayo et al.

    NeurIPS 2018: a map that hardly changes when the network's weights are randomised depends on
    the image, not on what the network learnt.

    Args:
        first: a map of any shape.
        second: a map of the same shape.

    Returns:
        Spearman's coefficient; NaN where a map is constant.

    Raises:
        ParameterError: maps of different shape.

    Examples:
        >>> map_agreement(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
        1.0
    """
    if first.shape != second.shape:
        got = (first.shape, second.shape)
        raise ParameterError("second", "map_agreement", "of the first map's shape", got)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return round(float(spearmanr(first.ravel(), second.ravel()).statistic), 12)
