"""Find the bones of the atlas in a scan: where a body lies in each view, and its shape.

The search is a cascade of linear regressions (supervised descent: Xiong and De la Torre, CVPR
2013;532): at each step the image is looked at around the landmarks where they are believed to be,
and what is seen there corrects place and shape. Both views share one shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from bonescint.prepare.framing import body_extent
from bonescint.quantify.bone_atlas import BoneAtlas, Floats, Stage, bone_atlas
from bonescint.quantify.order_statistics import median
from bonescint.scan import Scan, View, mirrored

WORKING_MM = 4.8
"""Pixels of the images that are searched, about."""
NOMINAL_HEIGHT_MM = 1690.0
MOST_BRIGHT = 3.0
_SEVERAL = np.array([(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)], np.float32)
_LARGEST_SHAPE = 3.5
_FEWEST = 60
"""Landmarks inside the image without which nothing is said."""
POOR_LIKENESS = 0.5
"""Below it the bones were not found well."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchedView:
    """A view as it is searched: from the front, on pixels of a few millimetres, dark to bright.

    Attributes:
        counts: float32 (rows, columns), as seen from the front.
        pixel_mm: between rows and between columns.
    """

    counts: Floats
    pixel_mm: tuple[float, float]
    _levels: dict[float, Floats] = field(default_factory=dict)

    def smoothed(self, sigma_mm: float) -> Floats:
        """Roots of smoothed values, relative to what is typical of the body, at most 3."""
        if sigma_mm in self._levels:
            return self._levels[sigma_mm]
        sigma = [sigma_mm / pixel for pixel in self.pixel_mm]
        smooth = ndimage.gaussian_filter(self.counts, sigma, truncate=3.0)
        root = np.sqrt(np.maximum(smooth, 0))
        bright = root[root > root.mean()]
        typical = median(bright) if bright.size else 1.0
        level = np.minimum(root / max(typical, 1e-6), MOST_BRIGHT).astype(np.float32)
        self._levels[sigma_mm] = level
        return level


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyPose:
    """Where a body lies in each view, and its shape.

    Attributes:
        origin_mm: for each view (2,), column and row of the origin in mm from the upper left
            corner, as seen from the front.
        shape: float32 (modes,), in standard deviations.
    """

    origin_mm: Mapping[View, Floats]
    shape: Floats


def searched_view(image: Floats, pixel_mm: tuple[float, float], view: View) -> SearchedView:
    """Reduce a view to pixels of about 5 mm and lay it as seen from the front."""
    steps = [max(1, round(WORKING_MM / pixel)) for pixel in pixel_mm]
    rows, columns = (size // step * step for size, step in zip(image.shape, steps, strict=True))
    down, across = steps
    laid = image if view is View.ANTERIOR else mirrored(image)
    # The mirrored view's remainder is on the left, where its origin is.
    laid = laid[:rows, :columns]
    small = sum(laid[r::down, c::across] for r in range(down) for c in range(across))
    size = (pixel_mm[0] * down, pixel_mm[1] * across)
    return SearchedView(
        counts=np.asarray(small / np.float32(down * across), np.float32), pixel_mm=size
    )


def looked_at(
    smooth: Floats, pixel_mm: tuple[float, float], places_mm: Floats, spacing_mm: float
) -> Floats:
    """Values of an image at nine places around each landmark, between pixels; 0 outside it.

    Args:
        smooth: float32 (rows, columns).
        pixel_mm: between rows and between columns.
        places_mm: float32 (landmarks, 2), column and row in mm from the corner.
        spacing_mm: between the nine places.

    Returns:
        float32 (9 x landmarks + 1,), the last is 1.
    """
    at = places_mm[:, None, ::-1] + spacing_mm * _SEVERAL
    row, column = np.moveaxis(at / np.asarray(pixel_mm, np.float32) - 0.5, -1, 0)
    found = ndimage.map_coordinates(smooth, [row.ravel(), column.ravel()], order=1, mode="constant")
    return np.append(found, 1).astype(np.float32)


def landmarks_mm(atlas: BoneAtlas, pose: BodyPose, view: View) -> Floats:
    """Where the landmarks lie in a view: column and row in mm from the corner, from the front."""
    return in_view_mm(atlas.places_mm(pose.shape, atlas.landmarks), pose.origin_mm[view])


def in_view_mm(places_mm: Floats, origin_mm: Floats) -> Floats:
    """Places of the atlas (to the left, and up) as column and row in mm from the corner."""
    return np.asarray(origin_mm + places_mm * np.array([1, -1], np.float32), dtype=np.float32)


def corrected(
    pose: BodyPose, said: Mapping[View, Floats], stages: Mapping[View, Stage]
) -> BodyPose:
    """A pose after one step: each view moves its own origin, both together the shape.

    Args:
        pose: before.
        said: for each view (2 + modes,), by how much origin and modes are off.
        stages: for each view the step, for how far it is trusted in each mode.
    """
    origins = {view: pose.origin_mm[view] + change[:2] for view, change in said.items()}
    trust = {view: stages[view].trust[2:] for view in said}
    total = sum(trust.values())
    change = sum(trust[view] * said[view][2:] for view in said) / total
    shape = np.clip(pose.shape + change, -_LARGEST_SHAPE, _LARGEST_SHAPE)
    return BodyPose(origin_mm=origins, shape=np.asarray(shape, dtype=np.float32))


def searched(atlas: BoneAtlas, views: Mapping[View, SearchedView], start: BodyPose) -> BodyPose:
    """Follow the cascade from a first guess."""
    pose = start
    for number in range(len(atlas.stages[View.ANTERIOR])):
        stages = {view: atlas.stages[view][number] for view in views}
        landmarks = atlas.places_mm(pose.shape, atlas.landmarks)
        said = {}
        for view, image in views.items():
            spacing = stages[view].spacing_mm
            places = in_view_mm(landmarks, pose.origin_mm[view])
            seen = looked_at(image.smoothed(spacing / 2), image.pixel_mm, places, spacing)
            said[view] = seen @ stages[view].weights
        pose = corrected(pose, said, stages)
    return pose


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registration:
    """The atlas laid on a scan.

    Attributes:
        pose: where the body lies, and its shape.
        likeness: for each view the correlation of what the landmarks see with what they see in
            simulated scans, at most 1.
        pixel_mm: between rows and columns; assumed if the scan has no spacing.
        spacing_known: whether the scan has a spacing, so that millimetres are millimetres.
        images: the views as they were searched.
    """

    pose: BodyPose
    likeness: Mapping[View, float]
    pixel_mm: tuple[float, float]
    spacing_known: bool
    images: Mapping[View, SearchedView]

    @property
    def poor(self) -> tuple[View, ...]:
        """The views in which the bones were not found well."""
        return tuple(view for view, of in self.likeness.items() if of < POOR_LIKENESS)


def registered(scan: Scan, atlas: BoneAtlas | None = None) -> Registration:
    """Lay the atlas on a scan of one or two views.

    Without a spacing, pixels are taken as square and of the size that fits best.

    Args:
        scan: with the views that it has; heads, feet or limbs may be missing.
        atlas: the one of bonescint if `None`.
    """
    atlas = atlas or bone_atlas()
    found: list[Registration] = []
    for pixel_mm in _sizes(scan):
        views = {view: searched_view(image, pixel_mm, view) for view, image in scan.images()}
        for start in _starts(atlas, views):
            pose = searched(atlas, views, start)
            found.append(
                Registration(
                    pose=pose,
                    likeness={
                        view: likeness_of(atlas, pose, view, image) for view, image in views.items()
                    },
                    pixel_mm=pixel_mm,
                    spacing_known=scan.pixel_spacing_mm is not None,
                    images=views,
                )
            )
    return max(found, key=lambda one: sum(one.likeness.values()))


def _sizes(scan: Scan) -> list[tuple[float, float]]:
    """The sizes that pixels may have: the known one, or some."""
    if scan.pixel_spacing_mm is not None:
        return [scan.pixel_spacing_mm]
    height = np.median([body_extent(image, 0.12).height for _, image in scan.images()])
    # The visible part of a body may be less than all of it.
    return [(NOMINAL_HEIGHT_MM / float(height) * part,) * 2 for part in (1.0, 0.88, 0.76, 0.6)]


def _starts(atlas: BoneAtlas, views: Mapping[View, SearchedView]) -> list[BodyPose]:
    """The two places, along the body, where an average body fits best in all views."""
    spacing = atlas.stages[View.ANTERIOR][0].spacing_mm
    average = np.zeros(len(atlas.modes), np.float32)
    places = atlas.places_mm(average, atlas.landmarks)
    reach = next(iter(views.values()))
    height = reach.counts.shape[0] * reach.pixel_mm[0]
    heights = np.arange(-300, height + 300, 20, dtype=np.float32)
    total = np.zeros(len(heights))
    middles = {}
    for view, image in views.items():
        smooth = image.smoothed(spacing / 2)
        weight = smooth.sum(axis=0)
        centre = (np.arange(len(weight)) + 0.5) @ weight / max(float(weight.sum()), 1e-6)
        across = centre * image.pixel_mm[1] + np.array([-24, 0, 24], np.float32)
        expected = atlas.expected_start[view].reshape(-1, 9)[:, 4]
        left, up = places.T
        at_mm = heights[:, None, None] - up, across[:, None] + left
        scores = _correlations(smooth, image.pixel_mm, at_mm, expected)
        total += scores.max(axis=1)
        middles[view] = across[scores.argmax(axis=1)]
    starts = []
    for _ in range(2):
        best = int(total.argmax())
        origins = {
            view: np.array([middle[best], heights[best]], np.float32)
            for view, middle in middles.items()
        }
        starts.append(BodyPose(origin_mm=origins, shape=average))
        total[np.abs(heights - heights[best]) < 90] = -np.inf
    return starts


def likeness_of(
    atlas: BoneAtlas,
    pose: BodyPose,
    view: View,
    image: SearchedView,
    *,
    expected_of: View | None = None,
) -> float:
    """Correlation of a view with simulated scans around the landmarks.

    Args:
        atlas: the bones.
        pose: where they lie.
        view: the view.
        image: its image.
        expected_of: the view of the simulated scans, if it is not the same.
    """
    smooth = image.smoothed(atlas.stages[view][-1].spacing_mm / 2)
    expected = atlas.expected_end[expected_of or view].reshape(-1, 9)[:, 4]
    across, down = landmarks_mm(atlas, pose, view).T
    return float(_correlations(smooth, image.pixel_mm, (down, across), expected))


def _correlations(
    smooth: Floats, pixel_mm: tuple[float, float], at_mm: tuple[Floats, Floats], expected: Floats
) -> Floats:
    """Correlation of an image with expected values at places; reduced if some lie outside it.

    Args:
        smooth: the image, (rows, columns).
        pixel_mm: between rows and between columns.
        at_mm: down and across from the corner to each landmark, mm, broadcast to
            (..., landmarks).
        expected: (landmarks,).

    Returns:
        One value for each set of landmarks (...); -1 where too few lie inside.
    """
    inside, flat = np.True_, np.intp(0)
    for mm, pixel, size in zip(at_mm, pixel_mm, smooth.shape, strict=True):
        at = (mm / np.float32(pixel)).astype(np.intp)
        within = (mm >= 0) & (at < size)
        inside = inside & within
        flat = flat * size + np.where(within, at, 0)
    number = np.maximum(inside.sum(axis=-1, keepdims=True), 1)
    seen = np.where(inside, smooth.ravel()[flat], 0)
    wanted = np.where(inside, expected, 0)
    seen = np.where(inside, seen - seen.sum(axis=-1, keepdims=True) / number, 0)
    wanted = np.where(inside, wanted - wanted.sum(axis=-1, keepdims=True) / number, 0)
    norm = np.sqrt((seen**2).sum(axis=-1) * (wanted**2).sum(axis=-1))
    likeness = (seen * wanted).sum(axis=-1) / np.maximum(norm, 1e-12)
    enough = (inside.sum(axis=-1) >= _FEWEST) & (norm > 0)
    found = np.where(enough, likeness * np.sqrt(inside.mean(axis=-1)), -1.0)
    return np.asarray(found, dtype=np.float32)
