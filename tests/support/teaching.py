"""Small teaching cases whose truth is written down here, and answers to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bonescint.scan import Acquisition, Focus, FocusKind, PixelUnit, Scan, Truth, UptakeSite, View
from bonescint.teach.answers import CaseAnswer, SpotMark
from bonescint.teach.appearances import Appearance
from bonescint.teach.cases import CaseSpec, SpotArea, TeachingCase

SHAPE = (200, 80)
PIXEL_MM = 3.0


def square(row: int, column: int, half: int = 2) -> SpotArea:
    """A square of 2 x half + 1 pixels around a place."""
    side = 2 * half + 1
    return SpotArea.of(np.ones((side, side), bool), top=row - half, left=column - half)


def spot(
    site: UptakeSite,
    row: int,
    column: int,
    *,
    view: View = View.ANTERIOR,
    region: str = "rib07 L",
    contrast_to_noise: float = 20.0,
    contrast: float = 3.0,
) -> Focus:
    """A focus of a truth."""
    disease = site in (UptakeSite.METASTASIS, UptakeSite.DIFFUSE_METASTASES)
    return Focus(
        view=view,
        row=row,
        column=column,
        radius_mm=8.0,
        kind=FocusKind.METASTASIS if disease else FocusKind.MIMIC,
        cause=site,
        region=region,
        contrast=contrast,
        contrast_to_noise=contrast_to_noise,
    )


def small_case(foci: Sequence[Focus], case_id: str = "c", bone: str = "ribs") -> TeachingCase:
    """A flat scan with a square of five pixels for every focus."""
    areas = tuple(square(round(focus.row), round(focus.column)) for focus in foci)
    masks = {view: np.zeros(SHAPE, bool) for view in View}
    for focus, area in zip(foci, areas, strict=True):
        if focus.kind is FocusKind.METASTASIS:
            window = slice(area.top, area.top + 5), slice(area.left, area.left + 5)
            masks[focus.view][window] = True
    positive = any(focus.kind is FocusKind.METASTASIS for focus in foci)
    flat = np.full(SHAPE, 5.0)
    return TeachingCase(
        case_id=case_id,
        scan=Scan(
            anterior=flat,
            posterior=flat,
            pixel_spacing_mm=(PIXEL_MM, PIXEL_MM),
            unit=PixelUnit.COUNTS,
            scan_id=case_id,
            acquisition=Acquisition(modality="NM"),
        ),
        truth=Truth(positive=positive, foci=tuple(foci), masks=masks, simulated=True),
        spec=CaseSpec(seed=1, appearance=Appearance.SOLITARY if positive else None),
        areas=areas,
        bones=(bone,) * len(foci),
    )


def mark(
    row: float,
    column: float,
    name: UptakeSite | None = None,
    *,
    view: View = View.ANTERIOR,
    confidence: float = 80,
) -> SpotMark:
    """A mark."""
    return SpotMark(view=view, row=row, column=column, confidence=confidence, name=name)


def answered(*marks: SpotMark, positive: bool = True, confidence: float = 90) -> CaseAnswer:
    """An answer that took ten seconds."""
    return CaseAnswer(positive=positive, confidence=confidence, marks=marks, seconds=10)
