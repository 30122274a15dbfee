"""What one lesion is: in a view's mask, between the two views, and in a list of foci.

Needs scipy, so it is not imported with `bonescint.scan`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

from bonescint.scan.truth import Focus
from bonescint.scan.views import View

_SAME_MM = 30.0


def mask_pieces(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number the pieces of a view's mask from 1; pixels that touch at a corner are one piece.

    Args:
        mask: bool (rows, columns), true on any lesion.

    Returns:
        int (rows, columns), 0 outside the mask.

    Examples:
        >>> mask_pieces(np.array([[1, 0, 0, 1], [0, 1, 0, 0]], bool)).tolist()
        [[1, 0, 0, 2], [0, 1, 0, 0]]
    """
    pieces, _ = ndimage.label(np.asarray(mask, dtype=bool), structure=np.ones((3, 3)))
    return np.asarray(pieces, dtype=np.intp)


def numbered_areas(
    mask: NDArray[np.bool_],
    centres: NDArray[np.float64],
    numbers: NDArray[np.intp],
    pixel_mm: tuple[float, float],
) -> NDArray[np.intp]:
    """Divide a view's mask between its lesions: each pixel goes to the nearest centre.

    Without centres each piece of the mask is a lesion of its own (`mask_pieces`).

    Args:
        mask: bool (rows, columns), true on any lesion.
        centres: row and column of each lesion in this view, (lesions, 2).
        numbers: number of each lesion, from 1, (lesions,).
        pixel_mm: between rows and between columns.

    Returns:
        int (rows, columns), 0 outside the mask. A lesion whose pixels all lie nearer to others
        keeps the pixel at its centre.

    Examples:
        >>> mask = np.array([[True, True, False, True]])
        >>> numbered_areas(mask, np.zeros((0, 2)), np.zeros(0, int), (1.0, 1.0)).tolist()
        [[1, 1, 0, 2]]
        >>> centres = np.array([[0.0, 0.0], [0.0, 3.0]])
        >>> numbered_areas(mask, centres, np.array([5, 7]), (1.0, 1.0)).tolist()
        [[5, 5, 0, 7]]
    """
    inside = np.asarray(mask, dtype=bool)
    if len(centres) == 0:
        return mask_pieces(inside)
    found = np.zeros(inside.shape, dtype=np.intp)
    rows, columns = np.nonzero(inside)
    at = np.column_stack([rows * pixel_mm[0], columns * pixel_mm[1]])
    places = np.asarray(centres, dtype=np.float64) * pixel_mm
    if at.size:
        found[rows, columns] = np.asarray(numbers)[KDTree(places).query(at)[1]]
    for (row, column), number in zip(np.rint(centres).astype(int), numbers, strict=True):
        in_view = 0 <= row < inside.shape[0] and 0 <= column < inside.shape[1]
        if in_view and not (found == number).any():
            found[row, column] = number
    return found


def lesions_by_description(foci: Sequence[Focus]) -> list[int]:
    """Number the lesions of foci whose truth describes them, from 1.

    Foci of the two views are one lesion where region, cause, radius and contrast agree, as they do
    in the truth of synthetic patients. A focus without a contrast is a lesion of its own: nothing
    says which focus of the other view it is.

    Args:
        foci: foci of both views.

    Returns:
        The number of each focus' lesion.

    Examples:
        >>> front = Focus(view=View.ANTERIOR, row=1, column=1, contrast=2.0)
        >>> back = Focus(view=View.POSTERIOR, row=1, column=9, contrast=2.0)
        >>> drawn = Focus(view=View.POSTERIOR, row=5, column=5)
        >>> lesions_by_description([front, back, drawn, drawn])
        [1, 1, 2, 3]
    """
    numbers: dict[tuple[object, ...], int] = {}
    found = []
    for place, focus in enumerate(foci):
        described = (focus.region, focus.cause, focus.radius_mm, focus.contrast)
        key = (place,) if focus.contrast is None else described
        found.append(numbers.setdefault(key, len(numbers) + 1))
    return found


def lesions_by_place(
    foci: Sequence[Focus], spacing_mm: tuple[float, float], *, columns: int
) -> list[int]:
    """Number the lesions of foci by where they are, from 1: what both views show counts once.

    The body is seen from both sides, so that a focus at a column of one view is at the
    mirrored column of the other. Foci of opposite views are taken for one lesion in pairs, so
    that the sum of their distances is least, as far as they lie within 30 mm.

    Args:
        foci: foci of both views.
        spacing_mm: between rows and between columns.
        columns: number of columns of the views.

    Returns:
        The number of each focus' lesion.

    Examples:
        >>> front = Focus(view=View.ANTERIOR, row=10, column=5)
        >>> back = Focus(view=View.POSTERIOR, row=10, column=58)
        >>> lesions_by_place([front, back, front], (7, 7), columns=64)
        [1, 1, 2]
    """
    front = [number for number, focus in enumerate(foci) if focus.view is View.ANTERIOR]
    back = [number for number, focus in enumerate(foci) if focus.view is View.POSTERIOR]
    lesion = [0] * len(foci)
    for number, place in enumerate(front, start=1):
        lesion[place] = number
    if front and back:
        down, across = spacing_mm
        rows = np.subtract.outer([foci[n].row for n in front], [foci[n].row for n in back])
        mirrored_columns = [columns - 1 - foci[n].column for n in back]
        sideways = np.subtract.outer([foci[n].column for n in front], mirrored_columns)
        distances = np.hypot(rows * down, sideways * across)
        far = np.where(distances <= _SAME_MM, distances, 1e6)  # as many near pairs as there are
        for one, other in zip(*linear_sum_assignment(far), strict=True):
            if distances[one, other] <= _SAME_MM:
                lesion[back[other]] = lesion[front[one]]
    following = len(front)
    for place in back:
        if not lesion[place]:
            following += 1
            lesion[place] = following
    return lesion
