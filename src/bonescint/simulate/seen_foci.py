"""Where each focus appears in each view, and how it stands out from noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import Focus, FocusKind, View
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.motion import Motion
from bonescint.simulate.projection import Projector

_MASK_LEVEL = 0.40
"""A focus' mask is where its own counts exceed this share of their peak. Assumed."""


class FocusMask(NamedTuple):
    """Where one focus is in one view: a bool array and where in the view it lies."""

    mask: NDArray[np.bool_]
    top: int
    left: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the view that it covers."""
        rows, columns = self.mask.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


class SeenFocus(NamedTuple):
    """One focus in one view."""

    focus: Focus
    mask: FocusMask


def seen_foci(
    projector: Projector,
    foci: Sequence[FocalUptake],
    means: Mapping[View, NDArray[np.float32]],
    per_photon: Mapping[View, NDArray[np.float32]],
    motion: Motion | None = None,
) -> list[SeenFocus]:
    """Project every focus on its own.

    Args:
        projector: of the scan.
        foci: metastases, mimics, organs.
        means: for each view the noise-free mean (rows, columns).
        per_photon: for each view the counts of a projected photon, an array that
            broadcasts to (rows, columns): 0 outside the field and behind metal.
        motion: how the patient moved.

    Returns:
        Each focus once for each view in which the camera's field has it.
    """
    found: list[SeenFocus] = []
    length = projector.camera.field_length_mm
    for focus in foci:
        positions, activity = focus.positions_mm, np.abs(focus.activity)
        if motion is not None and focus.region in motion.regions:
            positions, activity = motion.applied(positions, activity, length)
        for view, part in projector.project(positions, activity).items():
            sensitivity = np.broadcast_to(per_photon[view], means[view].shape)[part.window]
            own = part.image * (sensitivity > 0)
            peak = float(own.max())
            if peak <= 0:
                continue
            mask = own > _MASK_LEVEL * peak
            rows, columns = np.nonzero(mask)
            weight = own[mask]
            own_counts = float((weight * sensitivity[mask]).sum())
            all_counts = float(means[view][part.window][mask].sum())
            total = float(weight.sum())
            found.append(
                SeenFocus(
                    Focus(
                        view=view,
                        row=float((rows * weight).sum()) / total + part.top,
                        column=float((columns * weight).sum()) / total + part.left,
                        radius_mm=focus.radius_mm,
                        kind=focus.kind,
                        cause=focus.cause,
                        region=focus.region,
                        contrast=focus.contrast,
                        contrast_to_noise=own_counts / float(np.sqrt(max(all_counts, 1.0))),
                    ),
                    FocusMask(*_cropped(mask, rows, columns, part.top, part.left)),
                )
            )
    return found


def _cropped(
    mask: NDArray[np.bool_],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    top: int,
    left: int,
) -> tuple[NDArray[np.bool_], int, int]:
    first_row, first_column = int(rows[0]), int(columns.min())
    own = mask[first_row : int(rows[-1]) + 1, first_column : int(columns.max()) + 1].copy()
    return own, top + first_row, left + first_column


def joined_masks(
    seen: Sequence[SeenFocus], means: Mapping[View, NDArray[np.float32]], *, kind: FocusKind
) -> dict[View, NDArray[np.bool_]]:
    """For each view the union of the masks of all foci of one kind."""
    joined = {view: np.zeros(mean.shape, dtype=bool) for view, mean in means.items()}
    for focus, mask in seen:
        if focus.kind is kind:
            joined[focus.view][mask.window] |= mask.mask
    return joined


def occult(seen: Sequence[SeenFocus], visible_contrast_to_noise: float) -> bool:
    """Whether every metastasis is below the visibility bound in both views."""
    ratios = [
        focus.contrast_to_noise or 0.0 for focus, _ in seen if focus.kind is FocusKind.METASTASIS
    ]
    return max(ratios, default=0.0) < visible_contrast_to_noise
