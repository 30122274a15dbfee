"""Check all that a DICOM header says of a bone scan, before any pixel is decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bonescint.dicom import views
from bonescint.dicom.calibration import pixel_spacing_mm
from bonescint.dicom.frames import PhotopeakFrames, photopeak_frames
from bonescint.dicom.header import Header
from bonescint.dicom.orientation import orientations_of, position_warnings
from bonescint.dicom.pixels import PixelLayout, pixel_layout
from bonescint.dicom.whole_body import MIN_ASPECT, check_geometry, check_header
from bonescint.scan import NotABoneScanError, ViewRule

_MAKERS = re.compile(
    r"\b(?:GE|GEMS|G\.E\.|SIEMENS|PHILIPS|ADAC|PICKER|MARCONI|ELSCINT|TOSHIBA|CANON|HITACHI|"
    r"SHIMADZU|MEDISO|SPECTRUM|DIGIRAD|SMV|SOPHA|TRIONIX|IS2|SEGAMI|HERMES|MIE|MEDX|DDD|"
    r"BONESCINT|BONESCINT SIMULATOR|MIRADA|UNITED IMAGING)\b"
)
_MAKER_FORM = re.compile(r"[A-Za-z0-9 &+.,/()_-]{1,64}")
_MODEL = re.compile(r"[A-Za-z0-9 +./_()-]{1,40}")
_IMAGE_TYPES_WORDS = (
    "ORIGINAL, DERIVED, PRIMARY, SECONDARY, WHOLE BODY, WHOLEBODY, STATIC, EMISSION, "
    "TRANSMISSION, OTHER, SCREEN SAVE, RESULT, "
)
_IMAGE_TYPES = frozenset(_IMAGE_TYPES_WORDS.split(", "))


def maker_of(text: str) -> str | None:
    """A known manufacturer's name as written, else `"other"`; `None` if empty."""
    if not text:
        return None
    known = _MAKERS.search(text.upper()) and _MAKER_FORM.fullmatch(text)
    return text if known else "other"


def camera_of(text: str) -> str | None:
    """A model's name if it has the form of one, else `None`."""
    return text if _MODEL.fullmatch(text) else None


def image_type_of(values: tuple[str, ...]) -> str | None:
    """Image Type with words that DICOM does not know as `OTHER`."""
    known = (value if value.upper() in _IMAGE_TYPES else "OTHER" for value in values)
    return "\\".join(known) or None


_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""Single-frame; the UIDs of multi-frame captures begin with it."""


def burned_in_text(header: Header) -> bool | None:
    """Whether text is part of the pixels; `None` for a screen capture that does not say so.

    Examples:
        >>> from pydicom import Dataset
        >>> dataset = Dataset()
        >>> burned_in_text(Header(dataset))
        False
        >>> dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        >>> burned_in_text(Header(dataset)) is None
        True
    """
    said = header.text("BurnedInAnnotation").upper()
    if said in ("YES", "NO"):
        return said == "YES"
    kind = header.text("SOPClassUID") or header.media_class
    captured = kind.startswith(_SECONDARY_CAPTURE) or "SCREEN SAVE" in header.texts("ImageType")
    return None if captured else False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedHeader:
    """A header that passed the checks and may be that of a bone scan.

    Attributes:
        layout: how pixels are stored.
        photopeak: the frames to use.
        pixel_spacing_mm: distance between rows and between columns, or `None`.
        decisions: view and rule of each frame of `photopeak`, `None` if no rule decides.
        upside_down: for each frame of `photopeak`, whether to rotate it by 180 degrees.
        is_side_by_side: whether the only frame is a screen capture too wide for one view, so
            that it holds both (AP|PA).
        may_be_side_by_side: whether the file has a single frame whose pixels must decide if it
            is AP|PA, whatever names in header and path say.
        warnings: what was tolerated.
    """

    layout: PixelLayout
    photopeak: PhotopeakFrames
    pixel_spacing_mm: tuple[float, float] | None
    decisions: tuple[views.ViewDecision | None, ...]
    upside_down: tuple[bool, ...]
    is_side_by_side: bool
    may_be_side_by_side: bool
    warnings: tuple[str, ...]


def check_dicom_header(header: Header, path: Path) -> CheckedHeader:
    """Refuse a file whose header is not that of a bone scan; decide the views of others.

    Raises:
        InputError: missing or contradictory attributes; `NotABoneScanError` and
            `ViewConflictError` are kinds of it.
    """
    source = str(path)
    warnings = list(check_header(header, source))
    layout = pixel_layout(header, source)
    photopeak = photopeak_frames(header, source)
    warnings += photopeak.warnings
    if len(photopeak.frames) > 2:
        raise NotABoneScanError(
            source,
            f"it has {len(photopeak.frames)} images in one energy window, "
            "a whole-body scan has one or two",
            "Give the planar whole-body scan, anterior and posterior",
        )
    spacing = pixel_spacing_mm(header)
    orientations = orientations_of(header, photopeak)
    side_by_side = _is_side_by_side(header, layout, photopeak)
    if side_by_side:
        decisions: tuple[views.ViewDecision | None, ...] = (None,)
    else:
        warnings += check_geometry(layout.rows, layout.columns, spacing, source)
        decisions = tuple(
            views.decide(
                views.FrameEvidence(header=header, frame=frame, photopeak=photopeak, path=path),
                source,
            )
            for frame in photopeak.frames
        )
        warnings += [decision.warning for decision in decisions if decision and decision.warning]
        by_angle = any(
            decision is None or decision.rule is ViewRule.START_ANGLE for decision in decisions
        )
        told = [decision.view if decision else None for decision in decisions]
        warnings += position_warnings(header, orientations, told, by_angle=by_angle)
        if spacing is None:
            warnings.append("no pixel spacing: sizes in millimetres are unknown")
    return CheckedHeader(
        layout=layout,
        photopeak=photopeak,
        pixel_spacing_mm=spacing,
        decisions=decisions,
        upside_down=tuple(orientation.is_upside_down for orientation in orientations),
        is_side_by_side=side_by_side,
        may_be_side_by_side=not side_by_side and photopeak.frame_count == 1,
        warnings=tuple(warnings),
    )


def _is_side_by_side(header: Header, layout: PixelLayout, photopeak: PhotopeakFrames) -> bool:
    """A secondary capture whose one frame is too wide for one view, not for two."""
    return (
        _is_screen(header, photopeak)
        and layout.rows < MIN_ASPECT * layout.columns
        and layout.rows >= MIN_ASPECT * (layout.columns // 2)
    )


def _is_screen(header: Header, photopeak: PhotopeakFrames) -> bool:
    """A secondary capture of one frame."""
    return header.text("SOPClassUID").startswith(_SECONDARY_CAPTURE) and len(photopeak.frames) == 1
