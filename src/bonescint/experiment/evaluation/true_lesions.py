"""The lesions of a case's reference standard, numbered, with the area of each in each view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest, truth_of
from bonescint.cohort.truth import read_masks
from bonescint.evaluate.lesions import TrueLesion, TrueLesions
from bonescint.scan import Case, Focus, FocusKind, InputError, Truth, View
from bonescint.scan.lesions import lesions_by_description, numbered_areas


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NumberedLesions:
    """Lesions of one kind.

    Attributes:
        areas: for each view int (rows, columns), number of the lesion that a pixel shows, or 0.
        foci: each focus of the reference standard with the number of its lesion.
    """

    areas: Mapping[View, NDArray[np.intp]]
    foci: tuple[tuple[int, Focus], ...]

    @property
    def numbers(self) -> list[int]:
        """Numbers of the lesions, ascending."""
        shown = {int(of) for area in self.areas.values() for of in np.unique(area)} - {0}
        return sorted(shown | {number for number, _ in self.foci})


def numbered_lesions(
    foci: Sequence[Focus],
    masks: Mapping[View, NDArray[np.bool_]],
    *,
    pieces: bool,
    pixel_mm: tuple[float, float],
    first: int = 1,
) -> NumberedLesions:
    """Number the lesions of foci and masks.

    Args:
        foci: of the lesions, in both views.
        masks: for each view bool (rows, columns), true on any of them.
        pieces: whether each piece of a mask is a lesion, as in physicians' masks; if not, each
            pixel belongs to the nearest focus of its view.
        pixel_mm: between rows and between columns.
        first: the lowest number.
    """
    described = lesions_by_description(foci)
    listed = [(number + first - 1, focus) for number, focus in zip(described, foci, strict=True)]
    highest = max((number for number, _ in listed), default=first - 1)
    areas = {}
    for view, mask in masks.items():
        mine = [(number, focus) for number, focus in listed if focus.view is view]
        centres = [] if pieces else mine
        area = numbered_areas(
            mask,
            np.array([(f.row, f.column) for _, f in centres], dtype=float).reshape(-1, 2),
            np.array([n for n, _ in centres], dtype=np.intp),
            pixel_mm,
        )
        if not centres:  # the foci of pieces stand in the pieces' order; others have none
            area = np.where(area > 0, area + (mine[0][0] - 1 if mine else highest), 0)
            highest = max(highest, int(area.max()))
        areas[view] = area
    return NumberedLesions(areas=areas, foci=tuple(listed))


def checked_masks(
    masks: Mapping[View, NDArray[np.bool_]],
    views: Iterable[View],
    shape: tuple[int, int],
    manifest: Manifest,
    case: Case,
) -> dict[View, NDArray[np.bool_]]:
    """The mask of each view of a scan, empty where it has none.

    Raises:
        InputError: a mask of another shape than the scan.
    """
    found = {}
    for view in views:
        mask = masks.get(view, np.zeros(shape, dtype=bool))
        if mask.shape != shape:
            problem = f"the mask of {case.scan_id} is {mask.shape}, its {view} view {shape}"
            file = manifest.folder / (case.truth or getattr(case, f"mask_{view.value}"))
            raise InputError(file, problem, "Give masks of the same shape as the scan")
        found[view] = mask
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseLesions:
    """The lesions of a case, metastases and benign ones.

    Attributes:
        truth: all of them, numbered.
        metastases: areas and foci of the metastases alone.
        benign: areas and foci of the benign lesions.
        segmented: whether the metastases are outlined, or there are none.
    """

    truth: TrueLesions
    metastases: NumberedLesions
    benign: NumberedLesions
    segmented: bool


def case_lesions(
    manifest: Manifest,
    case: Case,
    *,
    views: Sequence[View],
    shape: tuple[int, int],
    pixel_mm: tuple[float, float],
) -> CaseLesions:
    """The lesions of a case.

    Args:
        manifest: the cohort.
        case: one of its cases.
        views: of the scan.
        shape: (rows, columns) of its views.
        pixel_mm: between rows and between columns.

    Raises:
        InputError: a truth file or mask that cannot be read or has another shape.
    """
    truth = truth_of(manifest, case, pixel_spacing_mm=pixel_mm)
    if truth is None:
        truth = Truth(positive=case.positive)

    def numbered(
        kind: FocusKind, masks: Mapping[View, NDArray[np.bool_]], first: int
    ) -> NumberedLesions:
        return numbered_lesions(
            [focus for focus in truth.foci if focus.kind is kind],
            checked_masks(masks, views, shape, manifest, case),
            pieces=not case.truth,
            pixel_mm=pixel_mm,
            first=first,
        )

    ill = numbered(FocusKind.METASTASIS, truth.masks, 1)
    mimics: Mapping[View, NDArray[np.bool_]] = {}
    if case.truth:
        mimics = {
            view: masks[FocusKind.MIMIC]
            for view, masks in read_masks(manifest.folder / case.truth).items()
            if FocusKind.MIMIC in masks
        }
    benign = numbered(FocusKind.MIMIC, mimics, max(ill.numbers, default=0) + 1)
    areas = {view: np.where(area > 0, area, benign.areas[view]) for view, area in ill.areas.items()}
    noise: dict[int, float] = {}
    for number, focus in (*ill.foci, *benign.foci):
        if focus.contrast_to_noise is not None:
            noise[number] = max(noise.get(number, 0.0), focus.contrast_to_noise)
    return CaseLesions(
        truth=TrueLesions(
            lesions=tuple(
                TrueLesion(
                    number=number,
                    malignant=of is ill,
                    contrast_to_noise=noise.get(number, float("nan")),
                )
                for of in (ill, benign)
                for number in of.numbers
            ),
            areas=areas,
            centres=tuple(
                (number, focus.view, focus.row, focus.column)
                for number, focus in (*ill.foci, *benign.foci)
            ),
            pixel_mm=pixel_mm,
        ),
        metastases=ill,
        benign=benign,
        segmented=not case.positive or any(mask.any() for mask in truth.masks.values()),
    )
