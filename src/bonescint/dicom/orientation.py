"""How an image is oriented: is the head at row 0, and is the view seen from its own side?

The header may say so by direction cosines (Image Orientation (Patient), of the detector or of the
file) or by letters (Patient Orientation). An image whose rows run to the head is turned by 180
degrees, as a scan of a patient who lay the other way round has to be; it is never mirrored.
Which side the image is seen from follows from both directions, turned or not: rows to the feet
and columns to the patient's left is the anterior view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bonescint.dicom.codes import FEET_FIRST, PRONE, code_of, is_one_of
from bonescint.dicom.frames import PhotopeakFrames
from bonescint.dicom.header import Header
from bonescint.scan import View

_AXES = ("LR", "PA", "HF")
"""Letters of the positive and the negative direction of x, y and z (PS3.3 C.7.6.2.1.1)."""
_OPPOSITE = {"L": "R", "R": "L"}
_CLEAR = 0.9
"""Least part of a direction along its axis, as a cosine: 26 degrees."""
_COLUMNS_RUN_TO = {View.ANTERIOR: "L", View.POSTERIOR: "R"}
_NOT_SET = ("L", "P")
"""Directions of an axial slice, which cameras write for planar images, too: nothing is meant."""
_ANTERIOR_FOR_BOTH = ("SIEMENS", "BONESCINT")
"""Makers who write the anterior head's orientation for both; our simulator imitates Siemens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrientation:
    """How one image is oriented, as far as the header says.

    Attributes:
        is_upside_down: whether the feet are at row 0.
        seen_from: the side that it is seen from, if its directions tell it.
        is_told: whether the header says where the head is.
        is_strange: whether the directions are of no anterior or posterior view.
    """

    is_upside_down: bool = False
    seen_from: View | None = None
    is_told: bool = False
    is_strange: bool = False


def orientations_of(header: Header, photopeak: PhotopeakFrames) -> tuple[ImageOrientation, ...]:
    """How each of a file's images is oriented.

    Args:
        header: of the file.
        photopeak: the images.
    """
    items = header.items("DetectorInformationSequence")
    several = len(photopeak.frames) > 1
    orientations = []
    for frame in photopeak.frames:
        item = items[frame.item - 1] if 1 <= frame.item <= len(items) else None
        own = _cosines(item) if item else None
        directions = own or _cosines(header) or _letters(header)
        orientations.append(_orientation(directions, shared=several and own is None))
    return tuple(orientations)


def views_by_orientation(header: Header, photopeak: PhotopeakFrames) -> tuple[View | None, ...]:
    """The view of each image, where its orientation cannot be a maker's habit.

    Some makers write the anterior head's orientation for every image. So one that is the same for
    two images tells nothing, nor does the anterior one of a single image.
    """
    sides = [orientation.seen_from for orientation in orientations_of(header, photopeak)]
    telling = set(sides) == set(View) or sides == [View.POSTERIOR]
    return tuple(sides) if telling else (None,) * len(sides)


def position_warnings(
    header: Header,
    orientations: Sequence[ImageOrientation],
    views: Sequence[View | None],
    *,
    by_angle: bool,
) -> tuple[str, ...]:
    """Warnings about how the patient lay and how the images are oriented.

    Args:
        header: of the file.
        orientations: of its images.
        views: of its images, as the rules told them.
        by_angle: whether a view follows from a detector's angle or number.
    """
    position = header.text("PatientPosition").upper()
    gantry = map(code_of, header.items("PatientGantryRelationshipCodeSequence"))
    postures = [
        code_of(modifier)
        for item in header.items("PatientOrientationCodeSequence")
        for modifier in item.items("PatientOrientationModifierCodeSequence")
    ]
    warnings = []
    if any(orientation.is_upside_down for orientation in orientations):
        warnings.append("its orientation says that the feet are at the top: turned by 180 degrees")
    if any(orientation.is_strange for orientation in orientations):
        warnings.append(
            "its orientation is not that of an anterior or posterior view: it was not used"
        )
    feet_first = position.startswith("FF") or any(is_one_of(code, FEET_FIRST) for code in gantry)
    if feet_first and not all(orientation.is_told for orientation in orientations):
        warnings.append(
            "the patient lay feet first and nothing gives the orientation of the image: the head "
            "was taken to be at the top, left and right to be as seen"
        )
    if by_angle and (
        position in ("HFP", "FFP") or any(is_one_of(code, PRONE) for code in postures)
    ):
        warnings.append("the patient lay prone: the views may be exchanged")
    is_habit = any(maker in header.text("Manufacturer").upper() for maker in _ANTERIOR_FOR_BOTH)
    for orientation, view in zip(orientations, views, strict=True):
        if orientation.seen_from and view and orientation.seen_from is not view and not is_habit:
            warnings.append(
                f"its orientation says that the {view.value} view is seen from the other side: "
                "left and right were kept as stored"
            )
    return tuple(warnings)


def _orientation(directions: tuple[str, str] | None, *, shared: bool) -> ImageOrientation:
    if directions is None or directions == _NOT_SET:
        return ImageOrientation()
    columns, rows = directions
    if rows not in "HF" or columns not in "LR":
        return ImageOrientation(is_strange=True)
    upside_down = rows == "H"
    columns = _OPPOSITE[columns] if upside_down else columns
    side = next(view for view, letter in _COLUMNS_RUN_TO.items() if letter == columns)
    return ImageOrientation(
        is_upside_down=upside_down, seen_from=None if shared else side, is_told=True
    )


def _cosines(header: Header) -> tuple[str, str] | None:
    """Letters of the directions in which columns and rows count up, `?` for a slanting one."""
    numbers = header.numbers("ImageOrientationPatient")
    if len(numbers) != 6:
        return None
    first, second = numbers[:3], numbers[3:]
    return _letter(first), _letter(second)


def _letter(direction: Sequence[float]) -> str:
    for letters, part in zip(_AXES, direction, strict=True):
        if abs(part) >= _CLEAR:
            return letters[0] if part > 0 else letters[1]
    return "?"


def _letters(header: Header) -> tuple[str, str] | None:
    texts = header.texts("PatientOrientation")
    if len(texts) != 2 or not all(texts):
        return None
    return texts[0][0].upper(), texts[1][0].upper()
