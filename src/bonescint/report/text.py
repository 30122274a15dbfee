"""Text made safe to show on any output, and the one environment in which pages are made.

Text from outside, such as file names, is shown escaped; everything that is put into a page is, too.
"""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

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


def operating_point_text(operating_point: float) -> str:
    """An operating point beside probabilities of three decimals: as exact, without a last 0.

    Examples:
        >>> operating_point_text(0.4), operating_point_text(0.5013)
        ('0.40', '0.501')
    """
    text = f"{operating_point:.3f}"
    return text.removesuffix("0")


def probability_texts(probability: float, operating_point: float) -> tuple[str, str]:
    """A probability and the operating point, with as many decimals as tell them apart.

    Two decimals, or three (more only where those are equal too) near the operating point.

    Examples:
        >>> probability_texts(0.87, 0.5)
        ('0.87', '0.50')
        >>> probability_texts(0.4987, 0.5013)
        ('0.499', '0.501')
    """
    pair = (f"{probability:.2f}", f"{operating_point:.2f}")
    if pair[0] != pair[1]:
        return pair
    for decimals in range(3, 7):
        pair = (f"{probability:.{decimals}f}", f"{operating_point:.{decimals}f}")
        if pair[0] != pair[1]:
            return pair
    return f"{probability:.3f}", f"{operating_point:.3f}"


def p_text(value: float) -> str:
    """A p value for people; empty if it is undefined.

    Examples:
        >>> p_text(0.0004), p_text(0.25), p_text(math.nan)
        ('< 0.001', '0.250', '')
    """
    if math.isnan(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


NO_CALL = "no call: unlike the scans this model knows; adapt it to your camera"
"""What stands in the place of a call where there is none."""


def call_in_words(*, positive: bool | None, uncertain: bool, unlike: bool) -> str:
    """A call with what limits it, or that there is none.

    Examples:
        >>> call_in_words(positive=None, uncertain=False, unlike=True)
        'no call: unlike the scans this model knows; adapt it to your camera'
        >>> call_in_words(positive=True, uncertain=True, unlike=False)
        'positive, uncertain'
    """
    if positive is None:
        return NO_CALL
    said = ["positive" if positive else "negative"]
    said += ["uncertain"] if uncertain else []
    said += ["unlike the training scans"] if unlike else []
    return ", ".join(said)


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, as Python's file names carry it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def page_environment(loader: BaseLoader) -> Environment:
    """An environment that escapes HTML in every template, whatever the template is called.

    Jinja's own helpers, and those of web frameworks, decide by the ending of a template's name,
    and leave `page.html.jinja` unescaped. A value that is not given is an error.

    Args:
        loader: loader of the templates.

    Examples:
        >>> from jinja2 import DictLoader
        >>> pages = page_environment(DictLoader({"a.html.jinja": "<p>{{ name }}</p>"}))
        >>> pages.get_template("a.html.jinja").render(name="<b>")
        '<p>&lt;b&gt;</p>'
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["displayable"] = displayable
    return environment
