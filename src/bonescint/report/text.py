"""Text from outside, such as file names, made safe to show on any output."""

from __future__ import annotations

import unicodedata

# Bidirectional and invisible format characters can make a file name read as another one.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def displayable(text: object) -> str:
    r"""Replace what cannot be shown, or what would deceive, by its escape.

    Control characters (line breaks, terminal escapes), bidirectional marks and bytes of a file
    name that are no text become `\x1b`-like escapes; everything else stays.

    Examples:
        >>> print(displayable("scan\nleft.dcm"))
        scan\x0aleft.dcm
        >>> print(displayable("größe.dcm"))
        größe.dcm
    """
    return "".join(
        _escaped(letter) if unicodedata.category(letter) in _HIDDEN_CATEGORIES else letter
        for letter in str(text)
    )


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, as Python's file names carry it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
