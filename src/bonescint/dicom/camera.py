"""What a header says of the camera, as far as it can name nobody.

These attributes go into results as they are, so only known forms pass.
"""

from __future__ import annotations

import re

_MAKERS = re.compile(
    r"\b(?:GE|GEMS|G\.E\.|SIEMENS|PHILIPS|ADAC|PICKER|MARCONI|ELSCINT|TOSHIBA|CANON|HITACHI|"
    r"SHIMADZU|MEDISO|SPECTRUM|DIGIRAD|SMV|SOPHA|TRIONIX|IS2|SEGAMI|HERMES|MIE|MEDX|DDD|"
    r"BONESCINT|BONESCINT SIMULATOR|MIRADA|UNITED IMAGING)\b"
)
_MAKER_FORM = re.compile(r"[A-Za-z0-9 &+.,/()_-]{1,64}")
_MODEL = re.compile(r"[A-Za-z0-9 +./_()-]{1,40}")
_IMAGE_TYPES = frozenset(
    ["ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "WHOLE BODY", "WHOLEBODY", "STATIC", "EMISSION",
     "TRANSMISSION", "OTHER", "SCREEN SAVE", "RESULT", ""]
)  # fmt: skip


def maker_of(text: str) -> str | None:
    """A known maker's name as it stands, else `"other"`; `None` if empty."""
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
