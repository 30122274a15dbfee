"""Read cells: names, numbers and truths, also where a spreadsheet has changed them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bonescint.files import from_inert

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_QUOTED = re.compile(r'="((?:[^"]|"")*)"')
_FLOATED = re.compile(r"([0-9]+)[.,]0+")
_SCIENTIFIC = re.compile(r"([0-9])(?:[.,]([0-9]+))?E\+([0-9]{1,3})", re.IGNORECASE)
_DATE = re.compile(
    r"\d{1,2}[./ -](\d{1,2}[./-]\d{2,4}|[^\W\d]{3,4}\.?([./ -]\d{2,4})?)"
    r"|[^\W\d]{3,4}\.?[./ -]\d{1,4}|\d{4}-\d\d-\d\d([T ].*)?"
)
_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:([.,])([0-9]*))?(E[+-]?[0-9]{1,3})?(%?)", re.IGNORECASE)
_ONE_OR_NONE = re.compile(r"([01])(?:[.,]0*)?")
MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "-", "--", ".", "?", "null", "none"))
"""What people write where nothing is known, in lower case."""
_POSITIVE_WORDS = (
    "true, yes, positive, pos, disease, abnormal, wahr, ja, positiv, vrai, oui, positif, "
    "verdadero, si, sí, positivo, vero, sì, verdadeiro, sim, waar, positief"
)
_POSITIVE = frozenset(_POSITIVE_WORDS.split(", "))
_NEGATIVE_WORDS = (
    "false, no, negative, neg, no disease, normal, falsch, nein, negativ, faux, non, négatif,"
    " falso, negativo, não, onwaar, nee, negatief"
)
_NEGATIVE = frozenset(_NEGATIVE_WORDS.split(", "))


def text_of(cell: str) -> str:
    r"""The text of a cell, without spaces around it and without marks against reformatting.

    Examples:
        >>> text_of(' ="000101" '), text_of("'000101"), text_of("\u00a0A  B")
        ('000101', '000101', 'A  B')
    """
    text = cell.strip()
    if not text or text[0] not in "='":
        return text
    quoted = _QUOTED.fullmatch(text)
    return quoted[1].replace('""', '"').strip() if quoted else from_inert(text).strip()


def plain_name(text: str) -> str:
    r"""A name in its plain form, whatever a keyboard or a spreadsheet made of it.

    One form of each letter (Unicode NFC), one space between words, no invisible signs, and whole
    numbers without the decimals that a spreadsheet gave them, unless these may be thousands.

    Examples:
        >>> plain_name("Dr\u00a0 A\u0308") == "Dr \u00c4"
        True
        >>> plain_name("101.0"), plain_name("1.01E+02"), plain_name("1,000")
        ('101', '101', '1,000')
    """
    if text.isascii() and text.isprintable() and not text[:1].isdigit() and "  " not in text:
        return text.strip()  # the usual case, at once
    name = " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split())
    floated = _FLOATED.fullmatch(name)
    if floated and not maybe_thousands(name):
        return floated[1]
    scientific = _SCIENTIFIC.fullmatch(name)
    if scientific and not lost_digits(name):
        return str(int(scientific[1] + (scientific[2] or "")) * 10 ** _zeros(scientific))
    return name


def lost_digits(text: str) -> bool:
    """Whether a spreadsheet shortened a long number, so that it no longer identifies anything.

    Examples:
        >>> lost_digits("1.20E+11"), lost_digits("1.01E+02"), lost_digits("120000000000")
        (True, False, False)
    """
    found = _SCIENTIFIC.fullmatch(text.strip())
    return bool(found) and _zeros(found) > 0 if found else False


def maybe_thousands(text: str) -> bool:
    """Whether a name may be a whole number with three decimals, or with a separator of thousands.

    Examples:
        >>> maybe_thousands("1,000"), maybe_thousands("1,00"), maybe_thousands("1.001")
        (True, False, False)
    """
    text = text.strip()
    return bool(_FLOATED.fullmatch(text)) and number_of(text) is None


def _zeros(scientific: re.Match[str]) -> int:
    """How many digits of a number in scientific notation are not shown; below 0 for decimals."""
    return int(scientific[3]) - len(scientific[2] or "")


def folded(name: str) -> str:
    """A key that is equal for names that people take for the same.

    Examples:
        >>> folded("  Dr. ANNA  Meier ") == folded("dr. anna meier")
        True
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def name_key(name: str) -> str:
    r"""A key that is equal for names that differ only in ways in which spreadsheets change them.

    These are capitals, spaces, forms of a letter, and zeros before a whole number.

    Examples:
        >>> name_key("0101") == name_key("101.0") == name_key(" 101")
        True
        >>> name_key("Case A") == name_key("case\u00a0a"), name_key("a1") == name_key("a01")
        (True, False)
    """
    key = folded(plain_name(name))
    return key.lstrip("0") or "0" if key.isascii() and key.isdigit() else key


def one_spelling(names: Iterable[str]) -> dict[str, str]:
    """Choose one spelling for each name that is written in several ways.

    It is the most common one; among equally common ones the longest, which still has its zeros.

    Args:
        names: all names as written, with repetitions.

    Returns:
        The chosen spelling for each spelling that differs from it.

    Examples:
        >>> one_spelling(["Dr A", "Dr A", "DR A", "Dr B"])
        {'DR A': 'Dr A'}
    """
    groups: dict[str, list[str]] = defaultdict(list)
    counted = Counter(names)
    for name in counted:
        groups[name_key(name)].append(name)
    used = {}
    for spellings in groups.values():
        common = max(spellings, key=lambda name: (counted[name], len(name)))
        used.update({name: common for name in spellings if name != common})
    return used


def matched_names(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Match names that are known in one other spelling only.

    Args:
        names: as they stand in one table.
        known: the names of another.

    Returns:
        For each such name the known one. Where two of either side have one key, none is told:
        which is which would be a guess.

    Examples:
        >>> matched_names(["S001", "102", "x"], ["s001", "0102", "0103"])
        {'S001': 's001', '102': '0102'}
        >>> matched_names(["1"], ["01", "001"]), matched_names(["1", "001"], ["01"])
        ({}, {})
    """
    there, given = set(known), list(dict.fromkeys(names))
    strange = [name for name in given if name not in there]
    if not strange:
        return {}
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in there:
        by_key[name_key(name)].append(name)
    keys = Counter(map(name_key, given))
    return {
        name: by_key[key][0]
        for name in strange
        if len(by_key.get(key := name_key(name), ())) == keys[key] == 1
    }


SAME = "taken for the same"


def said_spellings(kind: str, used: Mapping[str, str], *, became: str = SAME) -> str:
    """A note about names that are written in several ways.

    Args:
        kind: kind of thing that the names are of, such as a patient.
        used: see `one_spelling`.
        became: what became of them.

    Examples:
        >>> said_spellings("reader", {"DR A": "Dr A"})
        'reader Dr A is also written DR A: taken for the same'
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    for other, name in used.items():
        by_name[name].append(other)
    said = [f"{kind} {name} is also written {', '.join(by_name[name])}" for name in by_name]
    more = f" (and {len(said) - 5} more {kind}s)" if len(said) > 5 else ""
    return f"{'; '.join(said[:5])}{more}: {became}"


def truth_of(text: str) -> bool | None:
    """The truth that a word or a number says, in a language of Western Europe, or `None`.

    Examples:
        >>> truth_of("1"), truth_of("Negative"), truth_of("0,00"), truth_of("VRAI"), truth_of("2")
        (True, False, False, True, None)
    """
    word = folded(text)
    number = _ONE_OR_NONE.fullmatch(word)
    if number:
        return number[1] == "1"
    return True if word in _POSITIVE else False if word in _NEGATIVE else None


def date_like(text: str) -> bool:
    """Whether a text looks like the date that a spreadsheet made of a number.

    Examples:
        >>> [date_like(text) for text in ("03.Jan", "3-Mrz", "2024-01-03", "2.5", "def normal")]
        [True, True, True, False, False]
    """
    return _DATE.fullmatch(text.strip()) is not None


def number_of(text: str) -> float | None:
    """The finite number that a single text stands for, or `None`.

    A decimal comma and a per cent sign are accepted. A number whose comma or point may separate
    thousands is ambiguous and gives `None`. `Numbers` reads a column.

    Examples:
        >>> number_of("2.5"), number_of("2,5"), number_of("20%"), number_of("1_0"), number_of("inf")
        (2.5, 2.5, 0.2, None, None)
        >>> number_of("1,000"), number_of("0,125")
        (None, 0.125)
    """
    found = _matched(text)
    return None if found is None or _has_two_meanings(found) else _value(found)


def _matched(text: str) -> re.Match[str] | None:
    found = _NUMBER.fullmatch(text if text.isascii() else text.replace("\u2212", "-"))
    return found if found and (found[2] or found[4]) else None


def _has_two_meanings(found: re.Match[str]) -> bool:
    whole, decimals = found[2], found[4] or ""
    return len(decimals) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0" and not found[5]


def _value(found: re.Match[str]) -> float | None:
    sign, whole, _, decimals, exponent, percent = found.groups()
    value = float(f"{sign}{whole or 0}.{decimals or 0}{exponent or ''}")
    value = value / 100 if percent else value
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How the numbers of one column are written.

    Attributes:
        two_meanings: the first cell that may be a number or a thousand times as much, where
            nothing else in the column says which; empty if there is none.
        mixed_percent: a cell in per cent in a column that has other numbers too; empty if none.
    """

    two_meanings: str = ""
    mixed_percent: str = ""

    @classmethod
    def of(cls, cells: Iterable[str], *, separator: str = "") -> Numbers:
        """Find out how the numbers of a column are written.

        Args:
            cells: cells of the column.
            separator: separator of the file's cells; with a semicolon commas are decimal commas.
        """
        unclear: dict[str, str] = {}
        clear = set()
        percent, plain = "", False
        for cell in cells:
            found = _matched(cell)
            if found is None:
                continue
            if found[6]:
                percent = percent or cell
            else:
                plain = True
            if _has_two_meanings(found):
                unclear.setdefault(found[3], cell)
            elif found[3]:
                clear.add(found[3])
        usual = {";": {","}, "": {"."}}.get(separator, {"."})
        said = clear or usual
        two = next((cell for mark, cell in unclear.items() if said != {mark}), "")
        return cls(two_meanings=two, mixed_percent=percent if plain else "")

    def __call__(self, cell: str) -> float | None:
        """The finite number in a cell of the column, or `None`."""
        found = _matched(cell)
        return None if found is None else _value(found)
