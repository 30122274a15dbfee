"""Random DICOM objects that are full of identifying values, each of which can be searched for.

Nothing here uses bonescint but the table of the standard: values are made and searched by other
means than de-identification has. A *canary* is a value that occurs nowhere else.
"""

from __future__ import annotations

import csv
import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset

_TABLE = Path(__file__).parents[2] / "src/bonescint/dicom/confidentiality.csv"
SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
_NAMES = {
    "ISO_IR 100": ("MÜLLER^JÜRGEN", "Çelik^Özgür"),
    "ISO_IR 144": ("Кузнецова^Людмила",),
    "ISO_IR 192": ("山田^太郎", "김^희중", "Müller^Zoë"),
    "ISO_IR 6": ("Kowalczyk^Anna", "Ng^Bo-Quang", "O'Brian^Maeve"),
}
_ENCODINGS = ("utf-8", "latin-1", "cp1251", "iso8859_5", "shift_jis", "euc_kr", "utf-16-le")
_FREE = ("LO", "SH", "ST", "LT", "UT", "UC")
# Sequences that the table does not list, so that their items are kept and have to be cleaned.
_CARRIERS = (0x00540012, 0x00540016, 0x00540022, 0x00081032, 0x00400260, 0x00540410)
# Attributes that are kept, and in which a person may have typed anything.
_KEPT_TEXTS = (0x00181180, 0x00540018, 0x00180031, 0x00540400, 0x00080070, 0x00081090)
_GIVEN = (0x00080018, 0x0020000D, 0x0020000E, 0x00100010, 0x00100020)
_PRIVATE = ("GEMS_GENIE_1", "SIEMENS MED NM", "Philips NM -Camera", "ADAC_IMG", "HOSPITAL 1")


def listed_attributes() -> Iterator[tuple[int, str, str]]:
    """Tag, action of the Basic Profile and value representation of what the table lists."""
    with _TABLE.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            tag = int(row["tag"].replace(",", ""), 16)
            if tag >> 16 > 2:
                known = dictionary_has_tag(tag)
                yield tag, row["basic"], str(dictionary_VR(tag)) if known else "LO"


LISTED = tuple(listed_attributes())


@dataclass
class IdentifyingObject:
    """An object, and what must not be found in what is made of it.

    Attributes:
        dataset: the object.
        canaries: texts.
        dates: eight digits each, that must not be found unless dates are moved.
        syntax: its transfer syntax.
    """

    dataset: Dataset
    canaries: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    syntax: str = SYNTAXES[1]

    def file(self) -> bytes:
        """The object as a file, with values around the data set, too."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = self.dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = self.dataset.SOPInstanceUID
        meta.TransferSyntaxUID = self.syntax
        meta.ImplementationClassUID = "1.2.826.0.1.3680043.8.498.9"
        meta.SourceApplicationEntityTitle = self.canary("AE")
        meta.SendingApplicationEntityTitle = self.canary("AE")
        meta.PrivateInformationCreatorUID = self.canary("UI")
        meta.PrivateInformation = self.canary("LO").encode()
        self.dataset.file_meta = meta
        self.dataset.preamble = self.canary("LO").encode().ljust(128, b"\0")
        stream = BytesIO()
        with disable_value_validation():
            dcmwrite(stream, self.dataset, enforce_file_format=True)
        return stream.getvalue()

    def canary(self, vr: str, name: str = "") -> Any:
        """A value of a value representation that is found nowhere else."""
        value = _value(vr, name)
        if vr in ("AE", "CS", "PN", "UI", "UR", *_FREE):
            self.canaries.add(str(value))
            if vr == "PN":
                self.canaries |= {part for part in str(value).split("^") if len(part) > 2}
        elif vr in ("DA", "DT"):
            self.dates.add(value[:8])
        return value

    def found_in(self, content: bytes, *, dates: bool) -> list[str]:
        """The canaries that a file holds, searched in its bytes."""
        upper = content.upper()
        found = [
            text
            for text in self.canaries
            for encoding in _ENCODINGS
            if _encoded(text, encoding) and _encoded(text, encoding).upper() in upper
        ]
        if dates:  # a mapped UID is a hash: eight of its digits may be a date by chance
            without = re.sub(rb"2\.25\.\d+", b"", content)
            found += [date for date in self.dates if date.encode() in without]
        return sorted(found)


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return b""


_random = random.Random(0)  # noqa: S311 - test data


def _letters(count: int) -> str:
    return "".join(_random.choices(string.ascii_uppercase, k=count))


def _value(vr: str, name: str) -> Any:
    if vr == "PN":
        return name or f"{_letters(8)}^{_letters(7)}"
    if vr in ("DA", "DT"):
        day = f"19{_random.randint(10, 49)}{_random.randint(1, 12):02}{_random.randint(1, 28):02}"
        return day if vr == "DA" else f"{day}101112.{_random.randint(100000, 999999)}"
    if vr == "UI":
        return f"1.2.826.0.1.{_random.randint(10**12, 10**13)}"
    if vr == "UR":
        return f"https://{_letters(9).lower()}.example/{_letters(9)}"
    if vr in ("AE", "CS", "SH"):
        return f"ZQ{_letters(9)}"
    if vr in _FREE:
        return f"ZQ{_letters(9)} {_letters(5)}"
    return _PLAIN.get(vr, b"ZQ" + _letters(14).encode())


_PLAIN: dict[str, Any] = {
    "TM": "101112.131415",
    "AS": "067Y",
    "DS": "73.5",
    "IS": "4711",
    **dict.fromkeys(("US", "SS", "UL", "SL", "UV", "SV", "US or SS"), 7),
    **dict.fromkeys(("FL", "FD"), 7.5),
}


def _fill(
    made: IdentifyingObject, dataset: Dataset, share: float, name: str, depth: int = 0
) -> None:
    """Put a share of all listed attributes into a data set."""
    for tag, action, vr in LISTED:
        if _random.random() > share:
            continue
        if vr == "SQ":
            item = Dataset()
            _fill(made, item, 0.01, name, depth + 1)
            if "U*" not in action:  # references stay, with other UIDs
                item.add_new(0x00080104, "LO", made.canary("LO"))
            value: Any = [item]
        elif tag in _GIVEN and not depth:
            continue
        elif tag == 0x00080201:
            value = "+0145"
        else:
            value = made.canary(vr, name if _random.random() < 0.3 else "")
        dataset.add(DataElement(tag, vr.replace("US or SS", "US"), value))


def _add_private(made: IdentifyingObject, dataset: Dataset) -> None:
    for creator in _random.sample(_PRIVATE, 3):
        block = dataset.private_block(
            _random.choice((0x0009, 0x0011, 0x0055)), creator, create=True
        )
        for element in _random.sample(range(0x02, 0xF0), 4):
            vr = _random.choice(("LO", "PN", "DA", "UN", "ST", "UI"))
            block.add_new(element, vr, made.canary(vr))
            if vr == "UN":
                made.canaries.add(block[element].value.decode())
        item = Dataset()
        item.PatientName = made.canary("PN")
        block.add_new(0xF1, "SQ", [item])
    block = dataset.private_block(0x0011, "GEMS_GENIE_1", create=True)
    block.add_new(0x12, "LO", ["ANT", made.canary("LO")])
    block.add_new(0x30, "LO", ["ANT", "POST"])


def identifying_object(seed: int, base: Dataset) -> IdentifyingObject:
    """A random object that is full of identifying values.

    Args:
        seed: of everything that is random.
        base: an object without any, to which they are added.
    """
    _random.seed(seed)
    charset = _random.choice(list(_NAMES))
    name = _random.choice(_NAMES[charset])
    made = IdentifyingObject(dataset=base, syntax=_random.choice(SYNTAXES))
    made.canaries |= {part for part in name.split("^") if len(part) > 2 or not part.isascii()}
    made.canaries -= {part for part in made.canaries if len(part) < 2}
    if charset != "ISO_IR 6":
        base.SpecificCharacterSet = charset
    for tag in _KEPT_TEXTS:  # first as a person leaves them, then with the name
        base.add_new(tag, dictionary_VR(tag), _random.choice(("LEHR", f"for {name}"[:16])))
    base.PatientName, base.PatientID = name, made.canary("LO")
    base.SOPInstanceUID, base.StudyInstanceUID = made.canary("UI"), made.canary("UI")
    base.SeriesInstanceUID = made.canary("UI")
    _fill(made, base, _random.choices((0.05, 0.2, 1.0), (6, 3, 1))[0], name)
    for tag in _random.sample(_CARRIERS, 2):
        item = base[tag].value[0] if tag in base and base[tag].value else Dataset()
        _fill(made, item, 0.02, name)
        _add_private(made, item)
        inner = Dataset()
        _fill(made, inner, 0.02, name)
        item.add_new(_random.choice(_CARRIERS), "SQ", [inner])
        base.add_new(tag, "SQ", [item])
    _add_private(made, base)
    base.add_new(0x50000010, "US", 1)
    base.add_new(0x50003000, "OW", made.canary("OW"))
    base.add_new(0x60004000, "LT", made.canary("LT"))
    base.add_new(0x60023000, "OW", bytes(16))
    base.add_new(0xFFFCFFFC, "OB", made.canary("OB"))
    return made


def listed_values_left(content: bytes) -> list[str]:
    """Listed attributes that still have a value, or stand there although they must not.

    Walks through the file with pydicom; the check of the basic profile without options.
    """
    actions = {tag: action for tag, action, _ in LISTED}
    own = {"PatientID", "PatientName"}
    left = []

    def look(dataset: Dataset) -> None:
        for element in dataset:
            action = actions.get(int(element.tag), "")
            filled = element.value not in (None, "", b"") and element.value != []
            wrong = action == "X" or (action in ("Z", "X/Z", "X/Z/D", "Z/D") and filled)
            if wrong and element.keyword not in own:
                left.append(element.keyword)
            if element.VR == "SQ":
                for item in element.value:
                    look(item)

    look(dcmread(BytesIO(content)))
    return left
