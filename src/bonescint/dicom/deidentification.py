"""Take the identity out of one DICOM object, whatever kind of object it is.

The walker goes through every element of every nested sequence and does what the profile says
(`confidentiality.py`). Private attributes go, but for names of views in which nothing else stands;
so do curves, overlays, attributes that the standard does not know, and everything around the data
set: the preamble, the File Meta Information, which is written anew, and what trails the pixels.
UIDs are mapped by a keyed hash, so references between objects still hold. A text that stays is
emptied where it repeats a value that was taken out.

Text in pixels cannot be taken out. An object whose header says that there is some, or a screen
capture whose header does not deny it, is refused unless told otherwise; reports are always refused,
because their content is text.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.dicom.checks import burned_in_text, check_dicom_header
from bonescint.dicom.confidentiality import (
    ConfidentialityAction,
    ConfidentialityProfile,
    is_graphic_group,
)
from bonescint.dicom.files import MAX_FILE_BYTES
from bonescint.dicom.header import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Header,
    parse,
    quiet,
)
from bonescint.dicom.identifying_values import (
    IdentifyingValues,
    identifying_values,
    place_of_identity,
    still_there,
)
from bonescint.dicom.identity import Identifier, blake2b_key, hashed_identifier, keyed_hash
from bonescint.dicom.pairing import patient_is_known, patient_number
from bonescint.dicom.writing import file_meta
from bonescint.scan import InputError, View

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

_REPORTS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.")
_PIXEL_DATA = 0x7FE00010
_OVERLAY_BIT_POSITION = 0x0102
_VIEW_NAMES = {("GEMS_GENIE_1", 0x0011): frozenset({0x12, 0x30})}
"""Private attributes that are kept if every value is a view's name, by creator and group."""
_A_VIEW_NAME = re.compile(
    r"(?:WHOLE ?BODY_[EF]|(?:(?:WB|WHOLE ?BODY)[ _])?(?:ANT|POST|ANTERIOR|POSTERIOR))(?:[ _]E|_F)?"
)
_SHIFT_DAYS = (30, 3650)
_LEAVE_OUT = "Leave this file out"
_TEXTS = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT", "DS", "IS"})
_DUMMIES: dict[str, Any] = {
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "PN": "REMOVED",
    "UR": "urn:removed",
    "AS": "000Y",
    **dict.fromkeys(("DS", "IS"), "0"),
    **dict.fromkeys(("US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"), 0),
    **dict.fromkeys(("OB", "OW", "OL", "OF", "OD", "OV", "UN"), bytes(8)),
}
_TEXT_DUMMY = "REMOVED"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeidentifiedObject:
    """An object without identity, ready to be written.

    Attributes:
        content: the whole file.
        patient: pseudonym of the patient.
        study: hash of the study, for names of folders.
        instance: keyed hash of the file as it came, for names of files.
        view: the view of an object that shows one only.
        emptied: attributes that repeated an identifying value, by their names.
    """

    content: bytes
    patient: str
    study: str
    instance: str
    view: View | None
    emptied: tuple[str, ...]


def deidentified(
    content: bytes,
    path: Path,
    *,
    key: bytes,
    profile: ConfidentialityProfile,
    allow_burned_in: bool = False,
) -> DeidentifiedObject:
    """Take the identity out of a DICOM object, and check that it is gone.

    Args:
        content: the file.
        path: where it lies, for errors and to tell its view.
        key: secret key of pseudonyms, UIDs and dates.
        profile: what is kept.
        allow_burned_in: take objects whose pixels hold, or may hold, text.

    Raises:
        InputError: it cannot be read whole, its pixels hold text, it is a report, or an
            identifying value is still found in what would be written.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> path = Path(get_testdata_file("JPGExtended.dcm", download=False))
        >>> done = deidentified(path.read_bytes(), path, key=b"secret",
        ...     profile=ConfidentialityProfile(), allow_burned_in=True)
        >>> done.patient[:3], done.view.value
        ('pt-', 'anterior')
    """
    header = parse(content, path, pixels=True)
    with quiet():
        _check_content(header, path, allow_burned_in=allow_burned_in)
        values = identifying_values(header.dataset, profile)
        names = _Pseudonyms(header, key)
        walker = _Walker(profile, names, values)
        try:
            clean = walker.cleaned(header.dataset, str(path))
        except RecursionError:
            raise InputError(path, "its header nests sequences hundreds deep", _LEAVE_OUT) from None
        clean.PatientID, clean.PatientName = names.patient, f"PSEUDONYM^{names.patient}"
        profile.record(clean, safe_private=walker.kept_private)
        _add_pixels(clean, header, path)
        written = _written(clean, header, path)
    place = place_of_identity(written, values)
    if place is not None:
        raise InputError(path, *still_there(place))
    return DeidentifiedObject(
        content=written,
        patient=names.patient,
        study=names.named("study folder", header.text("StudyInstanceUID")),
        instance=names.named("instance file", hashlib.sha256(content).hexdigest()),
        view=_view_of(header, path),
        emptied=tuple(walker.emptied),
    )


class _Pseudonyms:
    """Everything that a secret key makes of a header's identifiers."""

    def __init__(self, header: Header, key: bytes) -> None:
        self._key = key
        self.patient = f"pt-{self._patient(header)}"
        least, most = _SHIFT_DAYS
        number = int(self.named("date shift", self.patient), 16)
        self.shift = timedelta(days=least + number % (most - least))

    def _patient(self, header: Header) -> str:
        """As `cohort create` names a patient, where the header has a number."""
        number = patient_number(header)
        if number:
            return hashed_identifier(Identifier.PATIENT, number, id_key=self._key)
        if patient_is_known(header):
            return self.named(
                "name and birth", header.text("PatientName"), header.text("PatientBirthDate")
            )
        alone = header.text("StudyInstanceUID") or header.text("SOPInstanceUID")
        return self.named("lone study", alone)

    def named(self, purpose: str, *parts: str) -> str:
        """A hash of parts of the header."""
        return keyed_hash([part.encode() for part in parts], key=self._key, purpose=purpose)

    def uid(self, uid: str) -> str:
        """The UID that stands for another; those of the standard stand for themselves."""
        if not uid or uid.startswith("1.2.840.10008."):
            return uid
        key = blake2b_key(self._key)
        digest = hashlib.blake2b(uid.encode(), digest_size=16, key=key, person=b"uid").digest()
        return f"2.25.{int.from_bytes(digest, 'big')}"

    def moved(self, text: str) -> str | None:
        """A date, or a date and time, moved back; `None` if it is none."""
        found = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)(\d*(?:\.\d+)?(?:[+-]\d{4})?)", text)
        if not found:
            return None
        try:
            day = date(*map(int, found.groups()[:3])) - self.shift
        except (ValueError, OverflowError):
            return None
        return f"{day:%Y%m%d}{found[4]}" if day.year >= 1000 else None


class _Walker:
    """Copies a data set element by element, as a profile says."""

    def __init__(
        self, profile: ConfidentialityProfile, names: _Pseudonyms, values: IdentifyingValues
    ) -> None:
        self._profile = profile
        self._names = names
        self._values = values
        self.emptied: list[str] = []
        self.kept_private = False

    def cleaned(self, dataset: Dataset, source: str) -> Dataset:
        """A data set without identity.

        Raises:
            InputError: a value that would stay is too long to be read.
        """
        from pydicom import Dataset
        from pydicom.datadict import dictionary_has_tag

        clean = Dataset()
        for tag in sorted(dataset.keys()):
            group, element = tag >> 16, tag & 0xFFFF
            if group <= 0x0002 or element == 0 or group >= 0x7FE0 or is_graphic_group(group):
                continue
            if group % 2:
                self._keep_view_names(dataset, tag, clean)
            elif dictionary_has_tag(tag):
                self._copy(dataset, tag, clean, source)
        return clean

    def _copy(self, dataset: Dataset, tag: int, clean: Dataset, source: str) -> None:
        from pydicom.datadict import dictionary_VR

        action = self._profile.action(tag, str(dictionary_VR(tag)))
        if action is ConfidentialityAction.REMOVE:
            return
        try:
            element = dataset[tag]
            vr = str(element.VR)
        except Exception:  # noqa: BLE001 - a damaged value may raise anything in pydicom
            if _is_unread(dataset, tag):
                raise InputError(
                    source, "an attribute outside its pixels is too long", _LEAVE_OUT
                ) from None
            return
        if action in (ConfidentialityAction.KEEP, ConfidentialityAction.MAP_UID):
            action = self._profile.action(tag, vr)  # a file may give another VR
        made = self._made(element, action, source)
        if made is not None:
            self._add(clean, tag, vr, made)

    def _made(self, element: DataElement, action: ConfidentialityAction, source: str) -> Any:
        """The value that takes the place of another; `None` removes the element."""
        vr, value = str(element.VR), element.value
        if action is ConfidentialityAction.REMOVE:
            return None
        if action is ConfidentialityAction.EMPTY:
            return [] if vr == "SQ" else ""
        if action is ConfidentialityAction.DUMMY:
            return self._dummy(vr, value)
        if vr == "SQ":
            return [self.cleaned(item, source) for item in value or ()]
        if action is ConfidentialityAction.MAP_UID and vr == "UI":
            return [self._names.uid(str(uid)) for uid in _several(value)]
        if action is ConfidentialityAction.MOVE_DATE:
            moved = [self._names.moved(str(one).strip()) for one in _several(value)]
            return "" if None in moved else moved
        if vr in _TEXTS and any(
            self._values.are_in(text, vr) for text in ["\\".join(map(str, _several(value)))]
        ):
            self.emptied.append(element.keyword)
            return ""
        return "" if value is None else value

    def _dummy(self, vr: str, value: Any) -> Any:
        if vr == "UI":
            return [self._names.uid(str(uid)) for uid in _several(value)]
        if vr != "SQ":
            return _DUMMIES.get(vr, _TEXT_DUMMY)
        from pydicom import Dataset

        item = Dataset()
        for child in value[0] if value else ():
            tag, kind = int(child.tag), str(child.VR)
            action = self._profile.action(tag, kind)
            if child.tag.is_private or kind == "SQ" or action is ConfidentialityAction.REMOVE:
                continue
            empty = action is ConfidentialityAction.EMPTY
            self._add(item, tag, kind, "" if empty else self._dummy(kind, child.value))
        return [item]

    @staticmethod
    def _add(clean: Dataset, tag: int, vr: str, value: Any) -> None:
        from pydicom import DataElement

        clean.add(DataElement(tag, vr, value))

    def _keep_view_names(self, dataset: Dataset, tag: int, clean: Dataset) -> None:
        """Keep a private attribute in which nothing but names of views stands."""
        group, block, element = tag >> 16, tag >> 8 & 0xFF, tag & 0xFF
        if block < 0x10:
            return
        try:
            creator = str(dataset[group << 16 | block].value)
            names = [str(one).strip(" \0") for one in _several(_text(dataset[tag].value))]
        except Exception:  # noqa: BLE001 - no creator, or damaged
            return
        known = _VIEW_NAMES.get((creator, group), frozenset())
        if element in known and all(_A_VIEW_NAME.fullmatch(name.upper()) for name in names):
            clean.private_block(group, creator, create=True).add_new(element, "LO", names)
            self.kept_private = True


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str | bytes) or not hasattr(value, "__iter__") else [*value]


def _text(value: Any) -> Any:
    """A value of unknown representation as text."""
    return value.decode("ascii").rstrip(" \0").split("\\") if isinstance(value, bytes) else value


def _is_unread(dataset: Dataset, tag: int) -> bool:
    """Whether a value was too long to be read."""
    from pydicom.dataelem import RawDataElement

    element = dataset.get_item(tag, keep_deferred=True)
    return isinstance(element, RawDataElement) and element.value is None and element.length > 0


def _check_content(header: Header, path: Path, *, allow_burned_in: bool) -> None:
    """Refuse what cannot be cleaned.

    Raises:
        InputError: a report, an index of files, or an object whose pixels hold text.
    """
    kind = header.text("SOPClassUID") or header.media_class
    if kind.startswith(_REPORTS):
        raise InputError(path, "is a report: its content is text", _LEAVE_OUT)
    if not kind or header.has("DirectoryRecordSequence"):
        raise InputError(path, "is no DICOM object, perhaps an index of files", _LEAVE_OUT)
    if header.has("Rows") and not header.has_pixel_data:
        raise InputError(path, "it has no pixels that can be kept", _LEAVE_OUT)
    if allow_burned_in:
        return
    burned_in = burned_in_text(header)
    if burned_in:
        raise InputError(
            path,
            "its header says that text (perhaps a name) is part of the pixels (Burned In "
            "Annotation)",
            "Look at it; --allow-burned-in takes such objects as they are",
        )
    if burned_in is None:
        raise InputError(
            path,
            "is a screen capture, and its header does not say that no text is part of the pixels",
            "Look at it; --allow-burned-in takes such objects as they are",
        )


def _view_of(header: Header, path: Path) -> View | None:
    """The view of an object that shows one; its new name will tell it, as the old one may have."""
    try:
        checked = check_dicom_header(header, path)
    except InputError:
        return None
    decision = checked.decisions[0]
    alone = len(checked.decisions) == 1 and not checked.is_side_by_side
    return decision.view if alone and decision is not None else None


def _add_pixels(clean: Dataset, header: Header, path: Path) -> None:
    from pydicom import DataElement

    if header.pixel_data is None:
        return
    compressed = header.transfer_syntax not in (
        IMPLICIT_LITTLE,
        EXPLICIT_LITTLE,
        EXPLICIT_BIG,
        DEFLATED,
    )
    bytewise = header.whole_number("BitsAllocated") != 16
    if header.transfer_syntax == EXPLICIT_BIG and bytewise:
        raise InputError(path, "has big-endian pixels that are not of 16 bits", _LEAVE_OUT)
    _check_overlays(header.dataset, path)
    content = _fragments(header.pixel_data, path) if compressed else _native(header, path)
    vr = "OB" if compressed or (bytewise and header.transfer_syntax != IMPLICIT_LITTLE) else "OW"
    clean.add(DataElement(_PIXEL_DATA, vr, content))
    clean["PixelData"].is_undefined_length = compressed


def _check_overlays(dataset: Dataset, path: Path) -> None:
    """Refuse overlays, which may be text, in bits of the pixels (retired, PS3.5 8.1.2).

    Raises:
        InputError: there is one.
    """
    for tag in dataset.keys():  # noqa: SIM118 - iteration would read every value
        if is_graphic_group(tag >> 16) and tag & 0xFFFF == _OVERLAY_BIT_POSITION:
            try:
                embedded = dataset[tag].value not in (0, None)
            except Exception:  # noqa: BLE001 - a damaged value
                embedded = True
            if embedded:
                raise InputError(path, "an overlay is part of its pixels", _LEAVE_OUT)


def _native(header: Header, path: Path) -> bytes:
    """Uncompressed pixels without what trails the last one.

    Raises:
        InputError: nothing says how many there are.
    """
    pixels = header.pixel_data or b""
    size = [header.whole_number(keyword) for keyword in ("Rows", "Columns", "BitsAllocated")]
    size += [
        header.whole_number(keyword) if header.has(keyword) else 1
        for keyword in ("SamplesPerPixel", "NumberOfFrames")
    ]
    known = [number for number in size if number is not None and number > 0]
    if len(known) < len(size):
        raise InputError(path, "its header does not say how many pixels it has", _LEAVE_OUT)
    due = (math.prod(known) + 7) // 8
    if header.text("PhotometricInterpretation") == "YBR_FULL_422":
        due = due // 3 * 2
    kept = pixels[:due]
    return kept + bytes(len(kept) % 2)


def _fragments(pixels: bytes, path: Path) -> bytes:
    """The items of compressed pixel data, without what trails them (PS3.5 A.4).

    Raises:
        InputError: they are not whole.
    """
    at = 0
    while pixels[at : at + 4] == b"\xfe\xff\x00\xe0":
        at += 8 + int.from_bytes(pixels[at + 4 : at + 8], "little")
    if pixels[at : at + 4] != b"\xfe\xff\xdd\xe0" and at != len(pixels):
        raise InputError(path, "its compressed pixels are damaged", "Export or copy it again")
    return pixels[:at]


def _written(clean: Dataset, header: Header, path: Path) -> bytes:
    """The object as a file.

    Raises:
        InputError: it cannot be written, because it is damaged.
    """
    from pydicom import config, dcmwrite

    syntax = EXPLICIT_LITTLE if header.transfer_syntax == DEFLATED else header.transfer_syntax
    clean.file_meta = file_meta(clean, syntax)
    stream = BytesIO()
    try:
        with config.disable_value_validation():
            dcmwrite(stream, clean, enforce_file_format=True)
    except Exception as error:  # noqa: BLE001 - whatever a damaged value raises
        problem = f"cannot be written without its identity ({type(error).__name__})"
        raise InputError(path, problem, _LEAVE_OUT) from None
    if stream.tell() > MAX_FILE_BYTES:
        raise InputError(path, "is larger than any bone scan", _LEAVE_OUT)
    return stream.getvalue()
