"""What the standard's confidentiality profiles do to each attribute (DICOM PS3.15, Annex E).

Table E.1-1 is data (`confidentiality.csv`): for each attribute the action of the Basic Profile, and
whether the Retain Device Identity Option keeps it. The Retain Longitudinal Temporal Information
with Modified Dates Option follows from the value representation: dates are moved, times stay.

Where the table leaves a choice, such as X/Z (remove, or leave empty where the object must have the
attribute), an attribute is left empty if that is one of the choices, else removed; both are
conformant in nuclear medicine images and secondary captures. Attributes that the table does not
list are kept, but for names of persons, dates, times and UIDs of instances, which are treated like
listed ones wherever they stand, and for attributes that the standard does not know.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from bonescint import __version__

if TYPE_CHECKING:
    from pydicom import Dataset


class ConfidentialityAction(StrEnum):
    """What is done to an attribute, by the letters of Table E.1-1."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    MAP_UID = "U"
    KEEP = "K"
    MOVE_DATE = "C"
    """The table's "clean", which is for dates: moved by the patient's number of days."""


_CHOSEN = {
    "X/Z": ConfidentialityAction.EMPTY,
    "X/D": ConfidentialityAction.REMOVE,
    "Z/D": ConfidentialityAction.EMPTY,
    "X/Z/D": ConfidentialityAction.EMPTY,
    "X/Z/U*": ConfidentialityAction.KEEP,  # the sequence stays, the UIDs in it are mapped
}
_BIRTH = frozenset({0x00100030, 0x00100032})
_TIME_ZONE = 0x00080201
_DATES = frozenset({"DA", "DT"})
_TIMES = frozenset({"TM"})
_CLASS_UIDS = frozenset(
    {0x00080016, 0x0008001B, 0x0008010C, 0x00080117, 0x00080118, 0x00081150, 0x0008115A}
)
"""Attributes whose UIDs name a class, a coding scheme or a list, never an instance."""

_CODES = {
    "basic": ("113100", "Basic Application Confidentiality Profile"),
    "safe private": ("113111", "Retain Safe Private Option"),
    "longitudinal": (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
    "device": ("113109", "Retain Device Identity Option"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidentialityProfile:
    """The Basic Application Level Confidentiality Profile with its options.

    Attributes:
        retain_device: keep what identifies the camera (Retain Device Identity Option).
        retain_longitudinal: move dates by the same number of days in everything of a patient, so
            that intervals stay (Retain Longitudinal Temporal Information with Modified Dates
            Option); otherwise dates and times are removed.

    Examples:
        >>> profile = ConfidentialityProfile(retain_device=True)
        >>> profile.action(0x00100010, "PN").name, profile.action(0x00181000, "LO").name
        ('EMPTY', 'KEEP')
    """

    retain_device: bool = False
    retain_longitudinal: bool = False

    def action(self, tag: int, vr: str) -> ConfidentialityAction:
        """What is done to an attribute of a public group that the standard knows.

        Args:
            tag: group and element in one number.
            vr: its value representation.
        """
        listed = confidentiality_table().get(tag)
        if listed is None:
            return self._unlisted(tag, vr)
        if self.retain_device and listed.retain_device:
            return ConfidentialityAction.KEEP
        if self.retain_longitudinal and tag not in _BIRTH:
            if vr in _DATES:
                return ConfidentialityAction.MOVE_DATE
            if vr in _TIMES or tag == _TIME_ZONE:
                return ConfidentialityAction.KEEP
        return _CHOSEN.get(listed.basic) or ConfidentialityAction(listed.basic)

    def _unlisted(self, tag: int, vr: str) -> ConfidentialityAction:
        if vr == "UI":
            kept = tag in _CLASS_UIDS
            return ConfidentialityAction.KEEP if kept else ConfidentialityAction.MAP_UID
        if vr == "UN":
            return ConfidentialityAction.REMOVE
        if vr in _DATES and self.retain_longitudinal:
            return ConfidentialityAction.MOVE_DATE
        if vr == "PN" or vr in _DATES or (vr in _TIMES and not self.retain_longitudinal):
            return ConfidentialityAction.EMPTY
        return ConfidentialityAction.KEEP

    def record(self, dataset: Dataset, *, safe_private: bool = False) -> None:
        """Say in an object how it was de-identified (PS3.15 E.1.1; CID 7050).

        Args:
            dataset: the object.
            safe_private: whether private attributes that are known to be safe were kept.
        """
        from pydicom import Dataset

        used = ["basic"]
        used += ["safe private"] if safe_private else []
        used += ["longitudinal"] if self.retain_longitudinal else []
        used += ["device"] if self.retain_device else []
        items = []
        for name in used:
            item = Dataset()
            item.CodeValue, item.CodeMeaning = _CODES[name]
            item.CodingSchemeDesignator = "DCM"
            items.append(item)
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = [
            "DICOM PS3.15 Annex E Table E.1-1 (2026c)",
            f"bonescint {__version__}",
        ]
        dataset.DeidentificationMethodCodeSequence = items
        moved = "MODIFIED" if self.retain_longitudinal else "REMOVED"
        dataset.LongitudinalTemporalInformationModified = moved


@dataclass(frozen=True, slots=True)
class ConfidentialityRow:
    """One attribute of Table E.1-1.

    Attributes:
        keyword: its name; empty for one that is newer than the dictionary in use.
        basic: action of the Basic Profile, perhaps with a choice (`"X/Z"`).
        retain_device: whether the Retain Device Identity Option keeps it.
    """

    keyword: str
    basic: str
    retain_device: bool


@cache
def confidentiality_table() -> Mapping[int, ConfidentialityRow]:
    """Table E.1-1 by tag; curves and overlays, which it lists as whole groups, are not in it.

    Examples:
        >>> confidentiality_table()[0x00100010]
        ConfidentialityRow(keyword='PatientName', basic='Z', retain_device=False)
    """
    file = resources.files("bonescint.dicom") / "confidentiality.csv"
    with file.open(encoding="utf-8") as stream:
        return {
            int(row["tag"].replace(",", ""), 16): ConfidentialityRow(
                row["keyword"], row["basic"], row["retain_device"] == "K"
            )
            for row in csv.DictReader(stream)
        }


def is_graphic_group(group: int) -> bool:
    """Whether a group holds curves or overlays, in which text may be drawn."""
    return 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF
