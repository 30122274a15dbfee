"""What each pixel shows: where each focus appears, how it stands out from noise, and which bone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import Focus, FocusKind, View
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.motion import Motion
from bonescint.simulate.projection import ProjectedPart, Projector
from bonescint.simulate.skeleton import group_of_region

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
    """Project each focus separately.

    Args:
        projector: projector of the scan.
        foci: metastases, mimics, organs.
        means: for each view the noise-free mean (rows, columns).
        per_photon: for each view the counts per projected photon, an array that broadcasts to
            (rows, columns): 0 outside the field and behind metal.
        motion: how the patient moved.

    Returns:
        Each focus once for each view whose field contains it.
    """
    found: list[SeenFocus] = []
    for focus in foci:
        for view, part in _parts(projector, focus, motion).items():
            measured = _measured(part, means[view], per_photon[view])
            if measured is None:
                continue
            mask, weight, own_counts, all_counts = measured
            rows, columns = np.nonzero(mask)
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


def focus_counts(
    projector: Projector,
    focus: FocalUptake,
    means: Mapping[View, NDArray[np.float32]],
    per_photon: Mapping[View, NDArray[np.float32]],
    motion: Motion | None = None,
) -> dict[View, tuple[float, float]]:
    """Counts that a focus adds within its mask, and all counts there, for each view that has it.

    Args:
        projector: projector of the scan.
        focus: a metastasis, a mimic or an organ.
        means: as `seen_foci` takes them.
        per_photon: as `seen_foci` takes it.
        motion: how the patient moved.
    """
    counts = {}
    for view, part in _parts(projector, focus, motion).items():
        measured = _measured(part, means[view], per_photon[view])
        if measured is not None:
            counts[view] = measured[2:]
    return counts


def _parts(
    projector: Projector, focus: FocalUptake, motion: Motion | None
) -> dict[View, ProjectedPart]:
    """A focus alone on both detectors."""
    positions, activity = focus.positions_mm, np.abs(focus.activity)
    if motion is not None and focus.region in motion.regions:
        length = projector.camera.field_length_mm
        positions, activity = motion.applied(positions, activity, length)
    return projector.project(positions, activity)


def _measured(
    part: ProjectedPart, mean: NDArray[np.float32], per_photon: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.float32], float, float] | None:
    """Mask of a focus, its photons inside, its counts and all counts there; `None` if unseen."""
    sensitivity = np.broadcast_to(per_photon, mean.shape)[part.window]
    own = part.image * (sensitivity > 0)
    peak = float(own.max())
    if peak <= 0:
        return None
    mask = own > _MASK_LEVEL * peak
    weight = own[mask]
    own_counts = float((weight * sensitivity[mask]).sum())
    return mask, weight, own_counts, float(mean[part.window][mask].sum())


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


_EDGE = 0.15
"""A bone's outline: this share of the 95th percentile of its own projection. Assumed."""

_STERNUM_HALF_WIDTH_MM = 30.0
"""Half the manubrium's width on the reference skeleton, which `uptake` uses, too."""

TWELVE_REGIONS: Mapping[str, str] = {
    "skull": "skull",
    "mandible": "skull",
    "cervical": "cervical spine",
    "thoracic": "thoracic spine",
    "lumbar": "lumbar spine",
    "sacrum": "sacrum",
    "sternum": "sternum",
    "rib": "ribs",
    "clavicle": "shoulder girdle",
    "scapula": "shoulder girdle",
    "humerus": "arms",
    "ulna": "arms",
    "radius": "arms",
    "hand": "arms",
    "pelvis": "pelvis",
    "femur": "femora",
    "patella": "lower legs",
    "tibia": "lower legs",
    "fibula": "lower legs",
    "foot": "lower legs",
}
"""The coarse region of each group of bones."""

TWELVE_NAMES: tuple[str, ...] = tuple(dict.fromkeys(TWELVE_REGIONS.values()))
"""The twelve coarse regions in the order of their numbers, which begin at 1."""


def region_maps(projector: Projector, anatomy: Anatomy) -> dict[View, NDArray[np.uint8]]:
    """The bone that most of a pixel's photons would come from if all bones had the same uptake.

    Each bone is projected separately, attenuated and blurred as in the scan, with one uptake
    for all. A pixel belongs to the strongest, if it lies within that bone's outline.

    Args:
        projector: projector of the scan.
        anatomy: anatomy of its patient.

    Returns:
        For each view a uint8 array (rows, columns): 0 for none, else 1 + the index of the
        bone in `anatomy.skeleton.regions`.
    """
    camera = projector.camera
    strongest = {view: np.zeros((camera.rows, camera.columns), np.float32) for view in View}
    maps = {view: np.zeros((camera.rows, camera.columns), np.uint8) for view in View}
    for index, region in enumerate(anatomy.skeleton.regions):
        members = _bone_of(anatomy, region)
        parts = projector.project(anatomy.positions_mm[members], anatomy.skeleton.volume[members])
        for view, part in parts.items():
            seen = part.image[part.image > 0]
            if not seen.size:
                continue
            outline = part.image >= _EDGE * np.percentile(seen, 95)
            wins = outline & (part.image > strongest[view][part.window])
            strongest[view][part.window][wins] = part.image[wins]
            maps[view][part.window][wins] = index + 1
    return maps


def _bone_of(anatomy: Anatomy, region: str) -> NDArray[np.intp]:
    """Samples of a bone, the sternum's without the costal cartilage that its mesh holds."""
    skeleton = anatomy.skeleton
    members = skeleton.members(region)
    if region == "sternum":
        x_mm = skeleton.positions_mm[members, 0]
        members = members[np.abs(x_mm - np.median(x_mm)) < _STERNUM_HALF_WIDTH_MM]
    return members


def twelve_regions(
    maps: Mapping[View, NDArray[np.uint8]], regions: tuple[str, ...]
) -> dict[View, NDArray[np.uint8]]:
    """Join the bones of a map to the twelve coarse regions.

    Args:
        maps: what `region_maps` gives.
        regions: `anatomy.skeleton.regions`.

    Returns:
        uint8 arrays of the same shape: 0 for none, else 1 + the index in `TWELVE_NAMES`.
    """
    numbers = [
        1 + TWELVE_NAMES.index(TWELVE_REGIONS[group_of_region(region)]) for region in regions
    ]
    joined = np.array([0, *numbers], dtype=np.uint8)
    return {view: joined[bones] for view, bones in maps.items()}
