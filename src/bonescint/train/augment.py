"""Random changes to scans that physics, cameras and picture archives allow.

Each is a small frozen dataclass; a tuple of them is applied in order. The same generator
state gives the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonescint.scan import View
from bonescint.train.appearance import ArchivePicture, Blur, Thinning, UptakeVariation
from bonescint.train.sample import TrainingSample

_Range = tuple[float, float]
_Value = TypeVar("_Value", bound=np.generic)


@runtime_checkable
class Augmentation(Protocol):
    """Changes a sample at random; its label stays right."""

    kind: ClassVar[str]

    def __call__(self, sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
        """The changed sample (or the same one)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Turns, shifts, stretches and shears each view.

    Both views share the stretch and the shear (mirrored, as the two heads see it) and have
    their own small turn and shift.
    """

    probability: float = 0.8
    turn_degrees: float = 3.0
    stretch: float = 0.08
    shift_share: float = 0.02
    shear_share: float = 0.03
    kind: ClassVar[str] = "pose"

    def __call__(self, sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
        """Move the body in the field."""
        if rng.random() >= self.probability:
            return sample
        rows, columns = sample.scan.shape
        zoom_rows, zoom_columns = np.exp(rng.uniform(-self.stretch, self.stretch, size=2))
        turn = np.deg2rad(rng.uniform(-self.turn_degrees, self.turn_degrees))
        shear = rng.uniform(-self.shear_share, self.shear_share) * columns / rows
        images, coefficients = {}, {}
        for view, image in sample.scan.images():
            side = 1.0 if view is View.ANTERIOR else -1.0
            own = np.deg2rad(rng.normal(0, self.turn_degrees / 6))
            shift_rows, shift_columns = rng.uniform(-self.shift_share, self.shift_share, size=2)
            angle = side * turn + own
            cosine, sine = np.cos(angle), np.sin(angle)
            # Pillow maps output (x, y) to input (a x + b y + c, d x + e y + f).
            a, b = cosine * zoom_columns, -sine * zoom_rows + side * shear
            d, e = sine * zoom_columns, cosine * zoom_rows
            middle_x, middle_y = columns / 2, rows / 2
            c = middle_x * (1 + shift_columns) - a * middle_x - b * middle_y
            f = middle_y * (1 + shift_rows) - d * middle_x - e * middle_y
            coefficients[view] = (a, b, c, d, e, f)
            images[view] = _warped(image, coefficients[view], Image.Resampling.BILINEAR)

        def moved(view: View, plane: NDArray[_Value]) -> NDArray[_Value]:
            return _warped_plane(plane, coefficients[view])

        return sample.changed(images, step="posed", moved=moved)


def _warped(
    image: NDArray[np.float32],
    coefficients: tuple[float, ...],
    resampling: Image.Resampling,
) -> NDArray[np.float32]:
    picture = Image.fromarray(image)
    moved = picture.transform(picture.size, Image.Transform.AFFINE, coefficients, resampling)
    return np.asarray(moved, dtype=np.float32)


def _warped_plane(plane: NDArray[_Value], coefficients: tuple[float, ...]) -> NDArray[_Value]:
    if not plane.any():
        return plane
    picture = Image.fromarray(plane.astype(np.uint8))
    moved = picture.transform(
        picture.size, Image.Transform.AFFINE, coefficients, Image.Resampling.NEAREST
    )
    return np.asarray(moved).astype(plane.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropView:
    """One view is missing; a positive scan keeps a view in which a metastasis is marked."""

    probability: float = 0.05
    kind: ClassVar[str] = "drop_view"

    def __call__(self, sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
        """Drop a view."""
        if len(sample.scan.views) < 2 or rng.random() >= self.probability:
            return sample
        kept = View.ANTERIOR if rng.random() < 0.5 else View.POSTERIOR
        if sample.positive:
            mask = sample.mask(kept)
            if mask is None or not mask.any():
                return sample
        image = sample.scan.view(kept)
        if image is None:
            return sample
        return sample.changed({kept: image}, step="one view dropped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """Cut close to the body, or through it: head, feet or an arm outside the field.

    Given up where most of the metastases would be cut away.

    Attributes:
        probability: probability of cropping at all.
        head: largest share of the body's height cut at the top.
        feet: the same at the bottom.
        arm: largest share of the body's width cut at one side.
        margin: free border left around the body, as a share of the rows.
        lesions_kept: share of the marked pixels that must stay.
    """

    probability: float = 0.4
    head: float = 0.08
    feet: float = 0.25
    arm: float = 0.14
    margin: float = 0.04
    lesions_kept: float = 0.6
    kind: ClassVar[str] = "crop"

    def __call__(self, sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
        """Crop both views to one size."""
        if rng.random() >= self.probability:
            return sample
        rows, columns = sample.scan.shape
        boxes = {view: _body_box(image) for view, image in sample.scan.images()}
        top = min(box[0] for box in boxes.values())
        bottom = max(box[1] for box in boxes.values())
        width = max(box[3] - box[2] for box in boxes.values())
        border = rng.uniform(0, self.margin) * rows
        head, feet = self._cuts(rng, self.head), self._cuts(rng, self.feet)
        first = top - border + head * (bottom - top)
        last = bottom + border - feet * (bottom - top)
        arm = self._cuts(rng, self.arm)
        side = 1.0 if rng.random() < 0.5 else -1.0
        wanted = min(columns, round(width * (1 - arm) + border))
        first_row, last_row = max(0, round(first)), min(rows, round(last))
        images, parts = {}, {}
        for view, image in sample.scan.images():
            _, _, left, right = boxes[view]
            lean = side if view is View.ANTERIOR else -side
            offset = (left + right) / 2 + lean * arm * width / 2 - wanted / 2
            start = int(np.clip(round(offset + rng.normal(0, 0.01) * width), 0, columns - wanted))
            parts[view] = (slice(first_row, last_row), slice(start, start + wanted))
            images[view] = image[parts[view]]
        if min(images[next(iter(images))].shape) < 32:
            return sample

        def moved(view: View, plane: NDArray[_Value]) -> NDArray[_Value]:
            return plane[parts[view]]

        cut = sample.changed(images, step="cropped", moved=moved)
        if sample.positive and cut.lesion_pixels < self.lesions_kept * sample.lesion_pixels:
            return sample
        return cut

    def _cuts(self, rng: np.random.Generator, largest: float) -> float:
        """Half of the time nothing, else up to the largest share."""
        return float(rng.uniform(0, largest)) if rng.random() < 0.5 else 0.0


def _body_box(image: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Rows and columns (first, past the last) that hold all but a trace of the counts."""
    edges = []
    for axis in (1, 0):
        profile = image.sum(axis=axis)
        inside = np.flatnonzero(profile > 0.03 * profile.mean())
        edges += [int(inside[0]), int(inside[-1]) + 1] if inside.size else [0, profile.size]
    return edges[0], edges[1], edges[2], edges[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeChange:
    """What is changed after the preprocessing, on the composite itself.

    Attributes:
        swap: probability of mirroring the whole composite left to right, so that AP and PA
            change sides (as the paper does).
        mirror_patient: probability of mirroring the patient: each view on its own side.
        gain: factors of the values.
        gamma: exponents of the values.
    """

    swap: float = 0.5
    mirror_patient: float = 0.5
    gain: _Range = (0.85, 1.15)
    gamma: _Range = (0.85, 1.18)
    kind: ClassVar[str] = "composite_change"

    def __call__(
        self,
        composite: NDArray[np.float32],
        cells: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Change a composite (1, rows, columns) and cells (..., map rows, map columns)."""
        swap, mirror = rng.random() < self.swap, rng.random() < self.mirror_patient
        gain, gamma = rng.uniform(*self.gain), rng.uniform(*self.gamma)
        if mirror:
            composite = _halves_mirrored(composite)
            cells = _halves_mirrored(cells)
        if swap:
            composite = composite[..., ::-1]
            cells = cells[..., ::-1]
        if (gain, gamma) != (1.0, 1.0):
            composite = np.clip(composite * np.float32(gain), 0, 1) ** np.float32(gamma)
        return np.ascontiguousarray(composite), np.ascontiguousarray(cells)


def _halves_mirrored(array: NDArray[_Value]) -> NDArray[_Value]:
    half = array.shape[-1] // 2
    return np.concatenate([array[..., :half][..., ::-1], array[..., half:][..., ::-1]], axis=-1)


SCAN_AUGMENTATIONS: tuple[Augmentation, ...] = (
    Thinning(),
    Blur(),
    Pose(),
    Crop(),
    ArchivePicture(),
    DropView(),
)
AUGMENTATIONS: Mapping[str, type[Augmentation]] = {
    kind.kind: kind
    for kind in (Thinning, Blur, Pose, Crop, ArchivePicture, DropView, UptakeVariation)
}
"""By the name that settings call them."""
COMPOSITE_CHANGE = CompositeChange()


def augmented(
    sample: TrainingSample, augmentations: Sequence[Augmentation], rng: np.random.Generator
) -> TrainingSample:
    """Apply augmentations in order.

    Examples:
        >>> from bonescint.scan import Acquisition, PixelUnit, Scan
        >>> scan = Scan(anterior=np.full((128, 64), 9), posterior=None, scan_id="s",
        ...             pixel_spacing_mm=None, unit=PixelUnit.COUNTS,
        ...             acquisition=Acquisition(modality="NM"))
        >>> sample = TrainingSample(scan=scan, positive=False)
        >>> thinned = augmented(sample, [Thinning(probability=1)], np.random.default_rng(1))
        >>> thinned.scan.history
        ('thinned',)
    """
    for augmentation in augmentations:
        sample = augmentation(sample, rng)
    return sample


def described(augmentation: Augmentation | CompositeChange) -> dict[str, Any]:
    """A JSON-ready description for the model card."""
    if not is_dataclass(augmentation) or isinstance(augmentation, type):
        return {"kind": augmentation.kind}
    return {"kind": augmentation.kind, **asdict(augmentation)}
