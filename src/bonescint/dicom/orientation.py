"""How an image is oriented: is the head at row 0, and is the view seen from its own side?

The header may say so by direction cosines (Image Orientation (Patient), of the detector or of the
file) or by letters (Patient Orientation). An image whose rows run to the head is turned by 180
degrees, as a scan of a patient who lay the other way round has to be; it is never mirrored.
Which side the image is seen from follows from both directions, turned or not: rows to the feet
and columns to the patient's left is the anterior view.

Codes of views and of the patient's position stand here as data: what a code says, by scheme and
value. Views: PS3.16 CID 26 (nuclear medicine projections) and CID 4010 (projections of
radiography, which some systems write: AP is the anterior view, PA the posterior one), CID 2
(anatomic modifiers) and two directions of CID 7185. Position: CID 20 and 21. Each concept has its
SNOMED CT code and the older one of SNOMED RT, which goes under three names: SRT, SNM3 and 99SDM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bonescint.dicom.frames import PhotopeakFrames
from bonescint.dicom.header import Header
from bonescint.scan import View

_SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "SCT": "SCT",
        "SNOMED-CT": "SCT",
        "SRT": "SRT",
        "SNM3": "SRT",
        "99SDM": "SRT",
        "SNOMED-RT": "SRT",
        "DCM": "DCM",
    }
)

VIEWS: Mapping[tuple[str, str], View] = MappingProxyType(
    {
        ("SCT", "399321004"): View.ANTERIOR,  # anterior projection
        ("SRT", "G-5215"): View.ANTERIOR,
        ("SCT", "399348003"): View.ANTERIOR,  # antero-posterior
        ("SRT", "R-10206"): View.ANTERIOR,
        ("SCT", "255549009"): View.ANTERIOR,  # anterior
        ("SRT", "R-404CC"): View.ANTERIOR,
        ("DCM", "110870"): View.ANTERIOR,  # anterior to posterior
        ("SCT", "399001007"): View.POSTERIOR,  # posterior projection
        ("SRT", "G-5216"): View.POSTERIOR,
        ("SCT", "272479007"): View.POSTERIOR,  # postero-anterior
        ("SRT", "R-10214"): View.POSTERIOR,  # as first published
        ("SRT", "R-40888"): View.POSTERIOR,  # as it became
        ("SCT", "255551008"): View.POSTERIOR,  # posterior
        ("SRT", "R-404CE"): View.POSTERIOR,
        ("DCM", "110871"): View.POSTERIOR,  # posterior to anterior
    }
)
"""What a code of a view names."""

_OTHER_VIEW_VALUES = """
    399012007 G-5220 399273000 G-5212 399118008 G-5223 399075002 G-5208 399074003 G-5207 399300004
    G-5221 399108003 G-5206 399136008 G-5209 399268006 G-5224 49370004 G-A104 399297009 G-5222
    399159002 G-5225 399089007 G-5210 399038007 R-10210 399059000 R-10216 399099002 R-10230
    399135007 R-10220 260427002 R-40783 399236003 R-10234 399368009 R-10226 399198007 R-10232
    399173006 R-10236 399356000 R-40985 399312000 R-10208 399352003 R-10228 399184004 R-10238
    399182000 R-102C1 260426006 R-40782 399132005 R-10252 399325008 R-10254 399260004 R-10224
    399225005 R-10250 399288005 R-10248
    399160007 R-10204 399004004 R-10246 399067008 R-102CD 399006002 R-10212
    """
_OTHER_VIEWS = frozenset(_OTHER_VIEW_VALUES.split())
"""Oblique and lateral projections of CID 26 and CID 4010; none is a value of another scheme."""

FEET_FIRST = frozenset({("SCT", "102541007"), ("SRT", "F-10480")})
"""Feet first into the gantry."""

PRONE = frozenset({("SCT", "1240000"), ("SRT", "F-10310")})
"""Face down."""


def code_of(item: Header) -> tuple[str, str]:
    """Scheme and value of a code item; the scheme is empty if it is missing.

    Examples:
        >>> from pydicom import Dataset
        >>> code = Dataset()
        >>> code.CodeValue, code.CodingSchemeDesignator = "R-10206", "SNM3"
        >>> code_of(Header(code)), view_of(code_of(Header(code))).value
        (('SRT', 'R-10206'), 'anterior')
    """
    value = item.text("CodeValue") or item.text("LongCodeValue") or item.text("URNCodeValue")
    scheme = item.text("CodingSchemeDesignator").upper()
    return _SCHEMES.get(scheme, scheme), value.rsplit("/", 1)[-1].rsplit(":", 1)[-1].upper()


def is_one_of(code: tuple[str, str], codes: frozenset[tuple[str, str]]) -> bool:
    """Whether a code is among others; without a scheme only its value is compared."""
    scheme, value = code
    return code in codes or (not scheme and any(value == other for _, other in codes))


def view_of(code: tuple[str, str]) -> View | None:
    """The view that a code names, or `None`; without a scheme only its value is compared."""
    scheme, value = code
    if scheme:
        return VIEWS.get(code)
    return next((view for (_, other), view in VIEWS.items() if other == value), None)


def is_another_view(code: tuple[str, str]) -> bool:
    """Whether a code names an oblique or a lateral view."""
    scheme, value = code
    return scheme in ("", "SCT", "SRT") and value in _OTHER_VIEWS


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
        seen_from: the side that it is seen from, if the directions say so.
        is_told: whether the header says where the head is.
        is_strange: whether the directions fit neither an anterior nor a posterior view.
    """

    is_upside_down: bool = False
    seen_from: View | None = None
    is_told: bool = False
    is_strange: bool = False


def orientations_of(header: Header, photopeak: PhotopeakFrames) -> tuple[ImageOrientation, ...]:
    """How each of a file's images is oriented.

    Args:
        header: header of the file.
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
    """The view of each image by its orientation, where that can be trusted; else `None`.

    Some manufacturers write the anterior head's orientation for every image. So neither the same
    orientation for two images nor the anterior one of a single image is evidence.
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
        header: header of the file.
        orientations: orientations of its images.
        views: views of its images, as the rules decided.
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
