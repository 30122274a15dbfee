"""Found foci compared with true lesions: detection, and the overlap of the outlines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.bootstrap import Resampling
from bonescint.evaluate.map_metrics import (
    HitGroup,
    ScanMarks,
    free_response_measures,
    ratio_over_scans,
)
from bonescint.evaluate.metrics import Measure
from bonescint.evaluate.roc import roc_auc_score
from bonescint.evaluate.scored import ScoredCases, patient_numbers
from bonescint.intervals import Estimate, share
from bonescint.scan import View

TOLERANCE_MM = 12.0
"""A maximum so near to a lesion's edge is on it: about the resolution of the camera."""
FALSE_FOCI: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
"""False foci per scan at which the sensitivity is given."""
NOISE_EDGES: tuple[float, ...] = (5.0, 10.0, 20.0)
"""Between the bands of the contrast-to-noise ratio."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundOutline:
    """A found focus in one view.

    Attributes:
        row, column: its maximum, in pixels of the view as seen from its own side.
        mask: bool, inside of its outline.
        top, left: where the mask lies in the view.
    """

    row: int
    column: int
    mask: NDArray[np.bool_]
    top: int
    left: int

    def inside(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The outline's inside in a view of this shape, bool (rows, columns)."""
        whole = np.zeros(shape, dtype=bool)
        rows, columns = self.mask.shape
        whole[self.top : self.top + rows, self.left : self.left + columns] = self.mask
        return whole


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundFocus:
    """A focus that a program found, in the views that show it.

    Attributes:
        number: its number in the scan.
        rating: higher for a more certain metastasis, such as its probability.
        views: its outline in each view.
    """

    number: int
    rating: float
    views: Mapping[View, FoundOutline]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLesion:
    """A lesion of the reference standard.

    Attributes:
        number: from 1.
        malignant: whether it is a metastasis; if not, it is a benign lesion.
        contrast_to_noise: in the view that shows it better; NaN if unknown.
    """

    number: int
    malignant: bool
    contrast_to_noise: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrueLesions:
    """The lesions of one scan.

    Attributes:
        lesions: each of them.
        areas: for each view int (rows, columns), number of the lesion that a pixel shows, or 0.
        centres: number, view, row and column of each lesion in each view that shows it.
        pixel_mm: between rows and between columns.
    """

    lesions: tuple[TrueLesion, ...]
    areas: Mapping[View, NDArray[np.intp]]
    centres: tuple[tuple[int, View, float, float], ...]
    pixel_mm: tuple[float, float]

    def at(self, view: View, row: int, column: int, *, tolerance_mm: float) -> int:
        """The lesion at a place of a view, or the nearest within a distance; 0 for none."""
        area, (down, across) = self.areas[view], self.pixel_mm
        reach = [math.ceil(tolerance_mm / size) for size in self.pixel_mm]
        top, left = max(0, row - reach[0]), max(0, column - reach[1])
        part = area[top : row + reach[0] + 1, left : column + reach[1] + 1]
        rows, columns = np.nonzero(part)
        far = np.hypot((rows + top - row) * down, (columns + left - column) * across)
        if not far.size or far.min() > tolerance_mm:
            return 0
        nearest = int(far.argmin())
        return int(part[rows[nearest], columns[nearest]])

    def enclosed(self, focus: FoundFocus) -> set[int]:
        """The lesions whose centre lies in an outline of a focus."""
        found = set()
        for number, view, row, column in self.centres:
            if view not in focus.views:
                continue
            outline = focus.views[view]
            down, across = round(row) - outline.top, round(column) - outline.left
            rows, columns = outline.mask.shape
            if 0 <= down < rows and 0 <= across < columns and outline.mask[down, across]:
                found.add(number)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFocus:
    """A found focus with the true lesions that it finds.

    Attributes:
        number: its number in the scan.
        rating: its rating.
        metastases: numbers of the metastases that it finds.
        on_metastasis: whether one of its maxima lies on a metastasis.
        benign: numbers of the benign lesions on which its maxima lie.
        dice: for each of its outlines that meets them, Dice coefficient with the metastases that
            it finds.
    """

    number: int
    rating: float
    metastases: tuple[int, ...]
    on_metastasis: bool
    benign: tuple[int, ...]
    dice: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedScan:
    """Found foci and true lesions of one scan.

    Attributes:
        scan_id: identifier of the scan.
        patient: number of its patient.
        lesions: the true lesions.
        foci: the found foci.
    """

    scan_id: str
    patient: int
    lesions: tuple[TrueLesion, ...]
    foci: tuple[JudgedFocus, ...]

    def ratings(self) -> dict[int, float]:
        """The highest rating of a focus that finds each metastasis; minus infinity if none does."""
        best = {one.number: -math.inf for one in self.lesions if one.malignant}
        for focus in self.foci:
            for number in focus.metastases:
                best[number] = max(best[number], focus.rating)
        return best

    def marks(self, low: float = -math.inf, high: float = math.inf) -> ScanMarks:
        """Its foci as marks, with the metastases of a band of the contrast-to-noise ratio.

        Metastases whose ratio is unknown belong only to the band without bounds.
        """
        ratings = self.ratings()
        whole = (low, high) == (-math.inf, math.inf)
        kept = [
            ratings[one.number]
            for one in self.lesions
            if one.malignant and (whole or low <= one.contrast_to_noise < high)
        ]
        others = [focus.rating for focus in self.foci if not focus.metastases]
        return ScanMarks(lesions=np.array(kept, dtype=float), others=np.array(others, dtype=float))


def judge_foci(
    scan_id: str,
    patient: int,
    found: Sequence[FoundFocus],
    truth: TrueLesions,
    *,
    tolerance_mm: float = TOLERANCE_MM,
) -> JudgedScan:
    """Determine which lesions each found focus finds.

    A focus finds the lesion on which its maximum lies in a view (or the nearest within the
    tolerance), and those whose centre one of its outlines encloses.

    Args:
        scan_id: identifier of the scan.
        patient: number of its patient.
        found: foci; views that the truth lacks are ignored.
        truth: lesions of the same scan.
        tolerance_mm: largest distance at which a maximum still counts as on a lesion.

    Examples:
        >>> area = np.zeros((8, 8), dtype=np.intp)
        >>> area[2:4, 2:4] = 1
        >>> truth = TrueLesions(lesions=(TrueLesion(number=1, malignant=True),),
        ...     areas={View.ANTERIOR: area}, centres=(), pixel_mm=(5.0, 5.0))
        >>> outline = FoundOutline(row=2, column=4, mask=np.ones((2, 4), bool), top=2, left=2)
        >>> focus = FoundFocus(number=1, rating=0.9, views={View.ANTERIOR: outline})
        >>> (judged,) = judge_foci("bs-1", 0, [focus], truth).foci
        >>> judged.metastases, [round(dice, 3) for dice in judged.dice]
        ((1,), [0.667])
    """
    malignant = {one.number: one.malignant for one in truth.lesions}
    judged = []
    for focus in found:
        views = {view: one for view, one in focus.views.items() if view in truth.areas}
        on = {
            view: truth.at(view, one.row, one.column, tolerance_mm=tolerance_mm)
            for view, one in views.items()
        }
        maxima = set(on.values()) - {0}
        hit = maxima | truth.enclosed(replace(focus, views=views))
        ill = sorted(number for number in hit if malignant[number])
        dice = [_dice(one, np.isin(truth.areas[view], ill)) for view, one in views.items()]
        judged.append(
            JudgedFocus(
                number=focus.number,
                rating=focus.rating,
                metastases=tuple(ill),
                on_metastasis=any(malignant[number] for number in maxima),
                benign=tuple(sorted(number for number in maxima if not malignant[number])),
                dice=tuple(of for of in dice if of > 0),
            )
        )
    return JudgedScan(scan_id=scan_id, patient=patient, lesions=truth.lesions, foci=tuple(judged))


def _dice(outline: FoundOutline, there: NDArray[np.bool_]) -> float:
    """Dice coefficient of an outline and an area."""
    here = outline.inside((there.shape[0], there.shape[1]))
    return 2 * float((here & there).sum()) / float(here.sum() + there.sum())


def lesion_patients(scans: Sequence[JudgedScan]) -> NDArray[np.intp] | None:
    """Number of each scan's patient, or `None` where each has one scan."""
    return patient_numbers([scan.patient for scan in scans])


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityBand:
    """Sensitivity for the metastases within a range of the contrast-to-noise ratio.

    Attributes:
        name: such as `"5 to under 10"`.
        lesions: metastases in it.
        measures: sensitivity at each number of false foci per scan.
    """

    name: str
    lesions: int
    measures: tuple[Measure, ...]


def sensitivity_bands(
    scans: Sequence[JudgedScan],
    resampling: Resampling,
    *,
    at: Sequence[float] = FALSE_FOCI,
    edges: Sequence[float] = NOISE_EDGES,
) -> tuple[SensitivityBand, ...]:
    """Sensitivity at given numbers of false foci per scan: for all metastases, and by band.

    A focus that finds no metastasis is false, also if it lies on a benign lesion. The false foci
    are the same for all bands.

    Args:
        scans: judged scans, those without metastases too.
        resampling: for the intervals; patients are drawn, with all their scans.
        at: numbers of false foci per scan.
        edges: between the bands.

    Returns:
        All metastases first; bands without any are left out. If none or all are found, resamples
        do not vary, and the interval is Wilson's.

    Raises:
        ParameterError: no metastasis in any scan.
    """
    patients = lesion_patients(scans)
    bounds = [("all", -math.inf, math.inf), (f"under {edges[0]:g}", -math.inf, edges[0])]
    bounds += [(f"{low:g} to under {high:g}", low, high) for low, high in pairwise(edges)]
    bounds.append((f"{edges[-1]:g} and over", edges[-1], math.inf))
    found = []
    for name, low, high in bounds:
        marks = [scan.marks(low, high) for scan in scans]
        lesions = sum(one.lesions.size for one in marks)
        if not lesions and name != "all":
            continue
        measures = free_response_measures(marks, resampling, patients=patients, at=at)
        counted = tuple(_counted(one, lesions) for one in measures)
        found.append(SensitivityBand(name=name, lesions=lesions, measures=counted))
    return tuple(found)


def _counted(measure: Measure, lesions: int) -> Measure:
    """A share of lesions with its counts; with Wilson's interval if it is 0 or 1."""
    found = round(measure.estimate.value * lesions)
    measure = replace(measure, counted=f"{found}/{lesions}")
    if 0 < found < lesions:
        return measure
    wilson = share(found, lesions, level=measure.estimate.level)
    note = "lesions taken as independent, since resamples do not vary"
    return replace(measure, estimate=replace(wilson, note=note))


def hit_groups(bands: Sequence[SensitivityBand], measure: int) -> tuple[HitGroup, ...]:
    """The bands at one number of false foci, as groups that a figure shows."""
    return tuple(
        HitGroup(name=one.name, lesions=one.lesions, rate=one.measures[measure].estimate)
        for one in bands
        if one.name != "all"
    )


def focus_measures(
    scans: Sequence[JudgedScan], resampling: Resampling, *, called_from: float
) -> tuple[Measure, ...]:
    """Discrimination of metastases from benign lesions, overlap of outlines, predictive value.

    Args:
        scans: judged scans.
        resampling: for the intervals of means and shares; patients are drawn.
        called_from: rating from which a focus is called a metastasis.

    Returns:
        Area under the ROC curve of foci on metastases against those on benign lesions, clustered by
        patient (assigned by their maxima); mean Dice coefficient of the outlines of called foci
        with the metastases that these find; share of called foci that find a metastasis.
    """
    patients = lesion_patients(scans)
    called = [[one for one in scan.foci if one.rating >= called_from] for scan in scans]
    dice = [[of for focus in of_scan for of in focus.dice] for of_scan in called]
    right = [sum(bool(one.metastases) for one in of_scan) for of_scan in called]
    numbers = [len(of_scan) for of_scan in called]
    area, counted = _benign_or_malignant(scans, level=resampling.level)
    return (
        Measure(
            name="focus_roc_auc_score",
            words="Area under the ROC curve, foci on metastases against foci on benign lesions",
            estimate=area,
            counted=counted,
        ),
        Measure(
            name="focus_dice_score",
            words="Mean Dice coefficient of outlines with metastases, foci from a probability of "
            f"{called_from:g} on",
            estimate=ratio_over_scans(
                [sum(of_scan) for of_scan in dice],
                [len(of_scan) for of_scan in dice],
                resampling,
                patients=patients,
            ),
            counted=f"{sum(map(len, dice))} outlines",
        ),
        Measure(
            name="focus_positive_predictive_value_score",
            words=f"Share that finds a metastasis, foci from a probability of {called_from:g} on",
            estimate=ratio_over_scans(right, numbers, resampling, patients=patients),
            counted=f"{sum(right)}/{sum(numbers)}",
        ),
    )


def _benign_or_malignant(scans: Sequence[JudgedScan], *, level: float) -> tuple[Estimate, str]:
    kinds = [
        (focus.rating, focus.on_metastasis, scan.patient)
        for scan in scans
        for focus in scan.foci
        if focus.on_metastasis or focus.benign
    ]
    malignant = sum(ill for _, ill, _ in kinds)
    counted = f"{malignant} and {len(kinds) - malignant}"
    if malignant in (0, len(kinds)):
        missing = "no focus is on a benign lesion" if malignant else "no focus is on a metastasis"
        return Estimate(value=math.nan, level=level, note=missing), counted
    ratings, ill, patients = zip(*kinds, strict=True)
    cases = ScoredCases(
        scores=np.array(ratings),
        positive=np.array(ill, dtype=bool),
        patients=patient_numbers(patients),
    )
    return roc_auc_score(cases, level=level), counted
