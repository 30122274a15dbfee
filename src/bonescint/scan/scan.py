"""A whole-body bone scan: one or two planar views and how they were acquired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonescint.scan.checked import check_member
from bonescint.scan.errors import ParameterError
from bonescint.scan.source_frame import SourceFrame
from bonescint.scan.views import View, ViewRule


class PixelUnit(StrEnum):
    """What a pixel's value means."""

    COUNTS = "counts"
    """Detected gamma photons: Poisson distributed, zero outside the field."""
    INTENSITY = "intensity"
    """A picture's grey value: monotone in counts at best, perhaps clipped or windowed."""
    NORMALISED = "normalised"
    """Scaled to [0, 1] by a preprocessing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """How a scan was acquired and read; nothing in it identifies a patient.

    Attributes:
        modality: DICOM modality, `"NM"`, or `"picture"`.
        manufacturer: maker of the camera, or `None`.
        camera: model name of the camera, or `None`.
        year: in which it was acquired, by its header; of a date no more is kept.
        image_type: DICOM Image Type, joined by backslashes.
        transfer_syntax: name of the DICOM transfer syntax, or the picture's format.
        energy_window_kev: lower and upper limit of the window that was used, or `None`.
        view_rules: for each view that is present, the rule that told it.
        file_sha256: hashes of the files that the scan was read from, in the order read.
        burned_in_text: whether a header says that text, perhaps a name, is part of the pixels.
        frames: for each view that comes from a DICOM file, where its pixels lie in there.
    """

    modality: str
    manufacturer: str | None = None
    camera: str | None = None
    year: int | None = None
    image_type: str | None = None
    transfer_syntax: str | None = None
    energy_window_kev: tuple[float, float] | None = None
    view_rules: Mapping[View, ViewRule] = field(default_factory=dict)
    file_sha256: tuple[str, ...] = ()
    burned_in_text: bool = False
    frames: Mapping[View, SourceFrame] = field(default_factory=dict)


def _frozen_view(view: View, image: ArrayLike) -> NDArray[np.float32]:
    array = np.array(image, dtype=np.float32, order="C", copy=True)
    if array.ndim != 2 or 0 in array.shape:
        raise ParameterError(view.value, "Scan", "an image of shape (rows, columns)", array.shape)
    if not np.isfinite(array).all():
        raise ParameterError(view.value, "Scan", "finite everywhere", "NaN or infinity")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """A planar whole-body bone scan, valid once built; its arrays are read-only.

    Each view is stored as acquired, as seen from its own side, head at row 0. The posterior
    view is not mirrored. A view that is missing is `None`, never an image of zeros.

    Attributes:
        anterior: float32 array (rows, columns), or `None`.
        posterior: float32 array of the same shape, or `None`.
        pixel_spacing_mm: distance between rows and between columns, or `None` if unknown
            (pictures); then there is no scale bar and no millimetre.
        unit: what a pixel's value means.
        scan_id: keyed hash of the study's identifiers or of the pixels.
        patient_id: pseudonym, or `None`.
        acquisition: how the scan was acquired and read.
        history: names of the steps that the pixels went through since acquisition.
        warnings: what was tolerated or assumed while reading.

    Raises:
        ParameterError: no view at all, views of different shape, not finite, negative
            counts, or a spacing that is not above 0.

    Examples:
        >>> scan = Scan(anterior=np.ones((4, 2)), posterior=None, pixel_spacing_mm=(2.4, 2.4),
        ...             unit=PixelUnit.COUNTS, scan_id="bs-1",
        ...             acquisition=Acquisition(modality="NM"))
        >>> [view.value for view in scan.views]
        ['anterior']
        >>> scan.shape
        (4, 2)
    """

    anterior: NDArray[np.float32] | None
    posterior: NDArray[np.float32] | None
    pixel_spacing_mm: tuple[float, float] | None
    unit: PixelUnit
    scan_id: str
    acquisition: Acquisition
    patient_id: str | None = None
    history: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.scan_id:
            raise ParameterError("scan_id", "Scan", "a non-empty string", self.scan_id)
        check_member(self, "unit", PixelUnit)
        shapes = set()
        for view in View:
            image = self.view(view)
            if image is None:
                continue
            frozen = _frozen_view(view, image)
            if self.unit is PixelUnit.COUNTS and frozen.min() < 0:
                raise ParameterError(view.value, "Scan", "counts of at least 0", frozen.min())
            object.__setattr__(self, view.value, frozen)
            shapes.add(frozen.shape)
        if not shapes:
            raise ParameterError("anterior", "Scan", "given when posterior is missing", None)
        if len(shapes) > 1:
            raise ParameterError("posterior", "Scan", "of the anterior view's shape", shapes)
        if self.pixel_spacing_mm is not None:
            spacing = tuple(float(value) for value in self.pixel_spacing_mm)
            if len(spacing) != 2 or not all(0 < value < np.inf for value in spacing):
                raise ParameterError(
                    "pixel_spacing_mm", "Scan", "two distances above 0 mm", self.pixel_spacing_mm
                )
            object.__setattr__(self, "pixel_spacing_mm", spacing)

    def view(self, view: View) -> NDArray[np.float32] | None:
        """The image of one view, or `None` if that view is missing."""
        return self.anterior if View(view) is View.ANTERIOR else self.posterior

    @property
    def views(self) -> tuple[View, ...]:
        """The views that are present, anterior first."""
        return tuple(view for view in View if self.view(view) is not None)

    @property
    def missing_views(self) -> tuple[View, ...]:
        """The views that are missing."""
        return tuple(view for view in View if self.view(view) is None)

    def images(self) -> Iterator[tuple[View, NDArray[np.float32]]]:
        """Each present view with its image, anterior first."""
        for view in View:
            image = self.view(view)
            if image is not None:
                yield view, image

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of every view."""
        _, image = next(self.images())
        rows, columns = image.shape
        return rows, columns

    def total(self, view: View) -> float:
        """Sum of a view's pixels (total counts, if the unit is COUNTS)."""
        image = self.view(view)
        return 0.0 if image is None else float(image.sum(dtype=np.float64))

    def with_views(
        self,
        *,
        anterior: ArrayLike | None,
        posterior: ArrayLike | None,
        step: str,
        unit: PixelUnit | None = None,
        pixel_spacing_mm: tuple[float, float] | None = None,
    ) -> Scan:
        """A new scan with other images, `step` added to its history.

        The spacing is kept unless another one is given.
        """
        changes: dict[str, Any] = {
            "anterior": anterior,
            "posterior": posterior,
            "history": (*self.history, step),
        }
        if unit is not None:
            changes["unit"] = unit
        if pixel_spacing_mm is not None:
            changes["pixel_spacing_mm"] = pixel_spacing_mm
        return replace(self, **changes)
