"""Decide which two one-view files are one scan: the evidence needed, and what rules it out.

Two files are never brought together unless what their headers say of the patient, the study, the
image type, the camera, the unit and the size of a pixel is the same, word by word: a fact that
only one of them holds is a difference. Beyond that something must tell that they belong together:

1. one series, at one time, or at times up to a minute apart, later up to an hour (one head scans
   the views one after the other; early and late images are further apart than that);
2. one name in one folder but for the view (`p1_ANT001.dcm`, `p1_POST001.dcm`);
3. one patient, and times that are as close, when each view has a series of its own;
4. one patient, one series or study, and no times at all: with a warning.

A patient is known by a number that is no mere placeholder, or by name and date of birth. Where
neither is there, the study's number alone is no evidence, for some anonymisers give all files one:
times must then agree within a minute, and the series or the frame of reference as well. Within the
group so formed there must be exactly one anterior and one posterior file (or, in one series at one
time, two files whose view nothing tells).

A file that stays alone although its study holds one of the other view gets a warning that says why.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date as calendar_date
from pathlib import Path

from bonescint.dicom.checks import CheckedHeader
from bonescint.dicom.header import Header
from bonescint.dicom.words import pair_key
from bonescint.scan import View

MOST_ROWS_APART = 0.03
"""Part of the rows and columns by which the views of one scan may differ."""

_CAMERA = ("Manufacturer", "ManufacturerModelName", "StationName", "DeviceSerialNumber")
_EPOCH = calendar_date(1970, 1, 1)
_FIRST_YEAR = 1950  # before gamma cameras; dates such as 1900-01-01 stand for none
_SAME_TIME_S, _NEAR_S, _APART_S = 0.0, 60.0, 3600.0
_PLACEHOLDERS_WORDS = (
    ", 0, ANON, ANONYM, ANONYME, ANONYMIZED, ANONYMISED, ANONYMOUS, DEIDENTIFIED, ID, NA, "
    "NAME, NOID, NONE, NULL, PATIENT, PATIENTID, REMOVED, TEST, UNKNOWN, X, XX, XXX, XXXX"
)
_PLACEHOLDERS = frozenset(_PLACEHOLDERS_WORDS.split(", "))


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What a header says that must be the same in both files of a scan, hashed or harmless.

    Attributes:
        patient: hashes of number, name, date of birth and sex; of what is empty, empty.
        study: Study Instance UID.
        image_type: original or derived, and of what kind.
        camera: hash of maker, model, station and serial number.
        spacing: distance of rows and columns in mm.
        pixels: what a stored pixel means: rescale slope and intercept.
    """

    patient: tuple[str, ...] = ()
    study: str = ""
    image_type: str = ""
    camera: str = ""
    spacing: tuple[float, float] | None = None
    pixels: tuple[str, ...] = ()

    def differences(self, other: StudyFacts) -> tuple[str, ...]:
        """Names of the facts in which two files differ."""
        return tuple(
            _NAMES[field.name]
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        )


_NAMES = {
    "patient": "patient",
    "study": "study",
    "image_type": "image type",
    "camera": "camera",
    "spacing": "pixel spacing",
    "pixels": "what a pixel means",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OneView:
    """A file of one view, with what pairing needs to know of it.

    Attributes:
        path: path of the file.
        view: anterior or posterior, or `None` if nothing tells.
        facts: that must be the same in both files; `None` for a picture.
        shape: rows and columns.
        series: Series Instance UID.
        frame_of_reference: its UID.
        time_s: when it was acquired, in seconds; `None` if the header does not say.
        patient_known: whether the header says who it is.
    """

    path: Path
    view: View | None
    facts: StudyFacts | None = None
    shape: tuple[int, int] = (0, 0)
    series: str = ""
    frame_of_reference: str = ""
    time_s: float | None = None
    patient_known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The result of pairing.

    Attributes:
        partner: for each paired file's place that of its partner.
        warnings: for a place, the warning about the scan.
    """

    partner: dict[int, int]
    warnings: dict[int, str]


def facts_of(header: Header, checked: CheckedHeader) -> StudyFacts:
    """The facts of a file's header."""
    person = [_plain(header.text("PatientID")), _plain(header.text("PatientName"))]
    person += [header.text("PatientBirthDate"), header.text("PatientSex").upper()]
    camera = [header.text(keyword).upper() for keyword in _CAMERA]
    image_type = header.texts("ImageType")
    return StudyFacts(
        patient=tuple(_hashed(text) for text in person),
        study=header.text("StudyInstanceUID"),
        image_type="\\".join(image_type[:2]).upper(),
        camera=_hashed("\n".join(camera)) if any(camera) else "",
        spacing=checked.pixel_spacing_mm,
        pixels=(header.text("RescaleSlope"), header.text("RescaleIntercept")),
    )


def patient_number(header: Header) -> str:
    """The Patient ID; empty if it is a placeholder, which many patients may share.

    Examples:
        >>> from pydicom import Dataset
        >>> dataset = Dataset()
        >>> dataset.PatientID = "UNKNOWN"
        >>> patient_number(Header(dataset))
        ''
        >>> dataset.PatientID = "00123"
        >>> patient_number(Header(dataset))
        '00123'
    """
    number = header.text("PatientID")
    return "" if _plain(number) in _PLACEHOLDERS else number


def patient_is_known(header: Header) -> bool:
    """Whether a header says who the patient is, by more than a placeholder.

    Examples:
        >>> from pydicom import Dataset
        >>> dataset = Dataset()
        >>> dataset.PatientID = "Anonymous"
        >>> patient_is_known(Header(dataset))
        False
        >>> dataset.PatientID = "ANON-0017"
        >>> patient_is_known(Header(dataset))
        True
    """
    named = _plain(header.text("PatientName")) not in _PLACEHOLDERS
    return bool(patient_number(header) or (named and header.text("PatientBirthDate")))


def time_of(header: Header) -> float | None:
    """Acquisition time in seconds since an arbitrary origin; `None` if missing or exactly midnight.

    Examples:
        >>> from pydicom import Dataset
        >>> dataset = Dataset()
        >>> dataset.AcquisitionDate, dataset.AcquisitionTime = "19700102", "000001.5"
        >>> time_of(Header(dataset))
        86401.5
    """
    time = header.text("AcquisitionTime") or header.text("AcquisitionDateTime")[8:]
    match = re.match(r"(\d\d):?(\d\d):?(\d\d)?(\.\d+)?", time)
    if not match:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    of_day = 3600 * hour + 60 * minute + second + float(match[4] or 0)
    if of_day == 0 or hour > 23 or minute > 59 or second > 60:
        return None
    day = day_of(header)
    return 86400.0 * (0 if day is None else (day - _EPOCH).days) + of_day


def year_of(header: Header) -> int | None:
    """Year of the acquisition; `None` if no date is given, or none of this technique.

    Examples:
        >>> from pydicom import Dataset
        >>> dataset = Dataset()
        >>> year_of(Header(dataset)) is None
        True
        >>> dataset.StudyDate = "20190304"
        >>> year_of(Header(dataset))
        2019
    """
    day = day_of(header)
    return None if day is None or day.year < _FIRST_YEAR else day.year


def day_of(header: Header) -> calendar_date | None:
    """Day of the acquisition, or of the study; `None` if no possible date is given."""
    whole = header.text("AcquisitionDateTime")
    date = header.text("AcquisitionDate") or whole[:8] or header.text("StudyDate")
    digits = re.sub(r"[.-]", "", date)
    try:
        return calendar_date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def _plain(text: str) -> str:
    """Letters and digits alone, in capitals: `DOE^ANNA ` and `Doe, Anna` are one name."""
    return "".join(char for char in text.upper() if char.isalnum())


def _hashed(text: str) -> str:
    """A hash that is enough to compare by; a name itself is not kept."""
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest() if text else ""


def pair(files: Sequence[OneView]) -> Pairs:
    """Find the pairs among files of one view.

    Args:
        files: in any order; the same files give the same pairs.
    """
    partner: dict[int, int] = {}
    warnings: dict[int, str] = {}
    for rule in _RULES:
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for place, file in enumerate(files):
            group = None if place in partner else rule.group_of(file)
            if group is not None:
                groups[group].append(place)
        for places in groups.values():
            for near in _near(files, places, rule.apart_s):
                pair = _pair_in(files, near, rule)
                if pair:
                    partner[pair[0]], partner[pair[1]] = pair[1], pair[0]
                    if rule.warning:
                        warnings[pair[0]] = warnings[pair[1]] = rule.warning
    return Pairs(partner=partner, warnings=warnings | _told(files, partner))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """One kind of evidence.

    Attributes:
        group_of: what the two files of a scan have in common; `None` leaves a file out.
        apart_s: largest difference of their times in seconds; `None` ignores times.
        views_needed: whether both views must be told.
        warning: what is said of pairs that it finds.
    """

    group_of: Callable[[OneView], Hashable | None]
    apart_s: float | None
    views_needed: bool = True
    warning: str = ""


def _by_series(file: OneView) -> Hashable | None:
    return (file.facts, file.series) if _has_study(file) and file.series else None


def _by_series_of_known(file: OneView) -> Hashable | None:
    return _by_series(file) if file.patient_known else None


def _by_name(file: OneView) -> Hashable | None:
    return file.facts, *pair_key(file.path)


def _by_place(file: OneView) -> Hashable | None:
    """The study of a known patient; of an unknown one the place on the table as well."""
    if not _has_study(file) or not (file.patient_known or file.frame_of_reference):
        return None
    return file.facts, "" if file.patient_known else file.frame_of_reference


def _by_study_of_known(file: OneView) -> Hashable | None:
    return file.facts if file.patient_known and _has_study(file) else None


def _untimed(group_of: Callable[[OneView], Hashable | None]) -> Callable[[OneView], Hashable]:
    return lambda file: group_of(file) if file.time_s is None else None


def _has_study(file: OneView) -> bool:
    return file.facts is not None and bool(file.facts.study)


_NO_TIMES = "no times show that its two views were taken together: only the {} does"
_RULES = (
    _Rule(group_of=_by_series, apart_s=_SAME_TIME_S, views_needed=False),
    _Rule(group_of=_by_series, apart_s=_NEAR_S),
    _Rule(group_of=_by_name, apart_s=None),
    _Rule(group_of=_by_series_of_known, apart_s=_APART_S),
    _Rule(group_of=_by_place, apart_s=_SAME_TIME_S),
    _Rule(group_of=_by_place, apart_s=_NEAR_S),
    _Rule(group_of=_by_study_of_known, apart_s=_APART_S),
    _Rule(group_of=_untimed(_by_series_of_known), apart_s=None, warning=_NO_TIMES.format("series")),
    _Rule(group_of=_untimed(_by_study_of_known), apart_s=None, warning=_NO_TIMES.format("study")),
)


def _near(
    files: Sequence[OneView], places: Sequence[int], apart_s: float | None
) -> Iterator[Sequence[int]]:
    """Parts of a group within which each time is close to the one before it."""
    if apart_s is None:
        yield places
        return
    timed = sorted((time, place) for place in places if (time := files[place].time_s) is not None)
    part: list[int] = []
    before = 0.0
    for time, place in timed:
        if part and time - before > apart_s:
            yield part
            part = []
        part.append(place)
        before = time
    yield part


def _pair_in(
    files: Sequence[OneView], places: Sequence[int], rule: _Rule
) -> tuple[int, int] | None:
    by_view: dict[View | None, list[int]] = defaultdict(list)
    for place in places:
        by_view[files[place].view].append(place)
    found = None
    if len(by_view[View.ANTERIOR]) == len(by_view[View.POSTERIOR]) == 1 and not by_view[None]:
        found = by_view[View.ANTERIOR][0], by_view[View.POSTERIOR][0]
    elif len(places) == 2 and not rule.views_needed:
        found = places[0], places[1]
    return found if found and _may_be_one(files[found[0]], files[found[1]]) else None


def _may_be_one(one: OneView, other: OneView) -> bool:
    """Whether neither size nor time rules it out, nor, for an unknown patient, another place."""
    apart_s = _apart_s(one, other)
    if apart_s is not None and apart_s > _APART_S:
        return False
    places = {one.frame_of_reference, other.frame_of_reference} - {""}
    if one.facts is not None and not one.patient_known and len(places) > 1:
        return False
    return one.facts is None or sizes_agree(one.shape, other.shape)


def _apart_s(one: OneView, other: OneView) -> float | None:
    if one.time_s is None or other.time_s is None:
        return None
    return abs(one.time_s - other.time_s)


def sizes_agree(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two views differ in size by so little that they may be cropped from one size.

    Examples:
        >>> sizes_agree((1024, 256), (1020, 256)), sizes_agree((1024, 256), (512, 256))
        (True, False)
    """
    return all(abs(a - b) <= MOST_ROWS_APART * max(a, b) for a, b in zip(one, other, strict=True))


def _told(files: Sequence[OneView], partner: dict[int, int]) -> dict[int, str]:
    """Warnings about files left alone although their study holds a file of the other view."""
    alone: dict[str, list[int]] = defaultdict(list)
    for place, file in enumerate(files):
        if place not in partner and file.facts is not None and file.facts.study:
            alone[file.facts.study].append(place)
    told = {}
    for places in alone.values():
        of_view: dict[View | None, list[int]] = defaultdict(list)
        for place in places:
            of_view[files[place].view].append(place)
        for place in places:
            may_be = [view for view in of_view if view is None or view is not files[place].view]
            others = [other for view in may_be for other in of_view[view][:2] if other != place]
            if others:
                reason = _why_apart(files[place], files[others[0]])
                told[place] = (
                    f"a file of its study that may be its other view was not used: {reason}"
                )
    return told


def _why_apart(one: OneView, other: OneView) -> str:
    reasons = list(one.facts.differences(other.facts)) if one.facts and other.facts else []
    apart_s = _apart_s(one, other)
    if apart_s is not None and apart_s > _APART_S:
        reasons.append(f"time, by {apart_s / 60:.0f} min")
    if not sizes_agree(one.shape, other.shape):
        reasons.append("size")
    if reasons:
        return f"they differ in {', '.join(reasons)}"
    return "nothing says that the two belong together, or several files fit"
