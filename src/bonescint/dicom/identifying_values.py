"""The values of a header that may tell who a patient is, and the check that a file has none.

Identifying are the values of every attribute of PS3.15 Table E.1-1 that is not kept, and of every
name of a person, wherever in the object they stand. They are searched in all text of the written
file, whatever the attribute, and in its bytes. What would be found everywhere is not searched:

- times of day, ages, codes and numbers (VR TM, AS, CS, DS, IS and binary ones);
- texts shorter than 3 characters, or than 2 if they have letters beyond ASCII;
- whole numbers of fewer than 4 digits;
- values made only of words that any bone scan may have (`WHOLE BODY`), see `COMMON_WORDS`.

Texts of 3 to 5 characters and numbers of 4 or 5 digits count only as whole words; a name of several
parts is searched as a whole and by its parts. Upper and lower case are alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.dicom.confidentiality import (
    ConfidentialityAction,
    ConfidentialityProfile,
    confidentiality_table,
)
from bonescint.dicom.discovery import StudyFiles
from bonescint.dicom.files import opened
from bonescint.dicom.header import looks_like_dicom, parse, quiet
from bonescint.dicom.words import is_word_of_scans
from bonescint.scan import InputError, Scan

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

_WORDS_OF_THE_TRADE = """anonymous anonymized anonymised none null unknown unspecified other removed
    patient test yes no not bone scan scans study series image images body whole wholebody total
    skeleton skeletal scintigraphy szintigraphie skelett nuclear medicine nm planar static dynamic
    emission transmission original derived primary secondary result spot view views frame frames
    detector head feet foot supine prone first hfs ffs hfp ffp anterior posterior ant post tc99m tc
    tcm mdp hdp hmdp dpd technetium diphosphonate medronate oxidronate lehr leap collimator parallel
    para adult standard default protocol acquisition processed raw data and the with for isotope
    radionuclide bolus injection dose window siemens philips mediso healthcare medical systems
    toshiba canon hitachi picker adac marconi elscint hermes bonescint simulated simulator pseudonym
    symbia discovery infinia millennium brightview forte skylight anyscan camera"""
COMMON_WORDS = frozenset(_WORDS_OF_THE_TRADE.split())
"""A value that has no other words than these, in lower case, is not searched."""

_TEXTS = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "DA", "DT"})
_SEARCHED = _TEXTS | {"CS", "AS", "UN", "OB"}
_NUMBERS = frozenset({"DS", "IS"})
_DATES = frozenset({"DA", "DT"})
_PARTS_OF_NAMES = re.compile(r"[\^=\s,]+")
_LONG = 6
_MAGIC_BYTES = 132
_LEAST_BYTES = 6
_WORD = r"(?<![^\W_]){}(?![^\W_])"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyingValues:
    """What must not be found in a de-identified file.

    Attributes:
        texts: searched anywhere, in lower case.
        words: searched as whole words, in lower case.
        uids: of instances.
        dates: eight digits each.
        raw: byte strings, searched in the file as it is.
    """

    texts: frozenset[str]
    words: frozenset[str]
    uids: frozenset[str]
    dates: frozenset[str]
    raw: frozenset[bytes]

    def are_in(self, text: str, vr: str = "LO") -> bool:
        """Whether a value holds one of them.

        Args:
            text: the value.
            vr: its value representation; dates are not compared with dates, which may be moved.

        Examples:
            >>> from pydicom import Dataset
            >>> dataset = Dataset()
            >>> dataset.PatientName = "Lee^Anna-Maria"
            >>> values = identifying_values(dataset, ConfidentialityProfile())
            >>> values.are_in("seen by lee"), values.are_in("asleep")
            (True, False)
        """
        if vr == "UI":
            return any(uid in text for uid in self.uids)
        plain = _folded(text)
        if vr in _NUMBERS:
            return len(plain) >= _LONG and plain in self.texts
        return (
            any(part in plain for part in self.texts)
            or any(
                word in plain and re.search(_WORD.format(re.escape(word)), plain)
                for word in self.words
            )
            or any(uid in plain for uid in self.uids)
            or (vr not in _DATES and any(date in plain for date in self.dates))
        )

    def place_in_bytes(self, content: bytes) -> str | None:
        """Where a file holds one of them as it stands there; `None` if it does not."""
        return "its bytes" if any(value in content for value in self.raw) else None


def identifying_values(dataset: Dataset, profile: ConfidentialityProfile) -> IdentifyingValues:
    """Collect the values that de-identification has to take out of an object.

    Args:
        dataset: the object as it came; damaged values are passed over, as they are dropped, too.
        profile: attributes that it keeps do not count.
    """
    texts: set[str] = set()
    words: set[str] = set()
    uids: set[str] = set()
    dates: set[str] = set()
    raw: set[bytes] = set()
    for element in _elements(dataset):
        listed = int(element.tag) in confidentiality_table()
        if not (listed or element.VR == "PN"):
            continue
        action = profile.action(int(element.tag), element.VR)
        if action is ConfidentialityAction.KEEP:
            continue
        for value in _values(element):
            if element.VR == "UI":
                if not value.startswith("1.2.840.10008.") and len(value) > 8:
                    uids.add(value)
                    raw.add(value.encode("ascii", "replace"))
            elif element.VR in _DATES:
                digits = re.sub(r"\D", "", value[:10])[:8]
                if len(digits) == 8 and digits.strip("0"):
                    dates.add(digits)
            elif element.VR in _TEXTS:
                for text in _searched(value, element.VR):
                    (texts if _is_long(text) else words).add(_folded(text))
                    raw |= _encoded(text)
    return IdentifyingValues(
        texts=frozenset(texts),
        words=frozenset(words),
        uids=frozenset(uids),
        dates=frozenset(dates),
        raw=frozenset(raw),
    )


def place_of_identity(content: bytes, values: IdentifyingValues) -> str | None:
    """Where a DICOM file holds an identifying value: an attribute's name, or "its bytes".

    Args:
        content: the whole file.
        values: of the object that it was made from.

    Returns:
        The place, which tells nothing of the value; `None` if nothing was found.
    """
    from pydicom import dcmread

    with quiet():
        written = dcmread(BytesIO(content), force=True)
        for part in (written.file_meta, written):
            for element in _elements(part):
                searched = element.VR in _SEARCHED | _NUMBERS or element.VR == "UI"
                if int(element.tag) == 0x7FE00010 or not searched:
                    continue
                if any(values.are_in(value, element.VR) for value in _values(element)):
                    return element.keyword or "a private attribute"
    return values.place_in_bytes(content)


def identity_of(study: StudyFiles) -> tuple[IdentifyingValues, ...]:
    """The values that nothing made of a study may hold; none for pictures.

    Raises:
        InputError: a file cannot be read.
    """
    found = []
    for path in study.files:
        with opened(path) as stream, quiet():
            if looks_like_dicom(stream.read(_MAGIC_BYTES)):
                header = parse(stream, path, pixels=False)
                found.append(identifying_values(header.dataset, ConfidentialityProfile()))
    return tuple(found)


def without_identity(scan: Scan, values: Sequence[IdentifyingValues]) -> Scan:
    """A scan without the names of maker and camera, if they repeat an identifying value."""
    camera = scan.acquisition
    told = [camera.manufacturer or "", camera.camera or ""]
    if not any(one.are_in(text) for one in values for text in told):
        return scan
    return replace(scan, acquisition=replace(camera, manufacturer=None, camera=None))


def require_no_identity(path: Path, values: Sequence[IdentifyingValues], source: str) -> None:
    """Read what was made of a study, and remove it if it holds an identifying value.

    Args:
        path: file, or folder of files.
        values: of the study.
        source: the study, for the error.

    Raises:
        InputError: it does.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        content = file.read_bytes()
        for one in values:
            dicom = looks_like_dicom(content[:_MAGIC_BYTES])
            place = place_of_identity(content, one) if dicom else one.place_in_bytes(content)
            if place is not None:
                for made in files:
                    made.unlink()
                raise InputError(source, *still_there(place))


def still_there(place: str) -> tuple[str, str]:
    """Problem and remedy of a file in which an identifying value is found."""
    return (
        f"{place} would still hold a value that identifies the patient",
        "Look at the file; nothing of it was written",
    )


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    """All elements of an object that can be read, those of nested sequences too."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            items = list(element.value or ()) if element.VR == "SQ" else ()
        except Exception:  # noqa: BLE001, S112 - a damaged value may raise anything in pydicom
            continue
        yield element
        for item in items:
            yield from _elements(item)


def _values(element: DataElement) -> Iterator[str]:
    """Each value of an element as text."""
    value: Any = element.value
    if value is None or element.VR == "SQ":
        return
    if isinstance(value, bytes):
        yield value.decode("latin-1")
        return
    several = not isinstance(value, str) and hasattr(value, "__iter__")
    if element.VR == "PN" and not isinstance(value, list) and not hasattr(value, "append"):
        several = False
    for one in value if several else [value]:
        text = str(one).strip(" \0")
        if text:
            yield text


def _searched(value: str, vr: str) -> Iterator[str]:
    """The texts to search for one value: the whole, and the parts of a name."""
    candidates = [value, *_PARTS_OF_NAMES.split(value)] if vr == "PN" else [value]
    if vr == "PN" and "^" in value:
        candidates.append(value.replace("^", " "))
    for text in candidates:
        text = text.strip()
        if _is_telling(text):
            yield text


def _is_telling(text: str) -> bool:
    """Whether a text is worth searching, by the rules above."""
    if text.isascii() and text.isdigit():
        return len(text) >= 4 and bool(text.strip("0"))
    if len(text) < (3 if text.isascii() else 2):
        return False
    words = re.findall(r"[^\W\d_]+\d*[^\W\d_]*|\d+", text)
    return any(
        len(word) > 1
        and not (word.isdigit() and len(word) < 4)
        and word.casefold() not in COMMON_WORDS
        and not is_word_of_scans(word)
        for word in words
    )


def _is_long(text: str) -> bool:
    return len(text) >= _LONG or not text.isascii()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _encoded(text: str) -> set[bytes]:
    """A text in the encodings that headers use, where it is long enough not to occur by chance."""
    coded = set()
    for encoding in ("utf-8", "latin-1", "cp1251", "shift_jis", "euc_kr", "gb18030", "utf-16-le"):
        try:
            data = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        if len(data) >= _LEAST_BYTES:
            coded.add(data)
    return coded
