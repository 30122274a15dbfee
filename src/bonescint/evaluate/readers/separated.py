"""Tables of separated values, as the spreadsheets of all countries write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bonescint.scan import InputError

_SEPARATORS = (",", ";", "\t")
_END = "\x03"  # a row that no table has: swallowed if a quotation mark is open at the end


def separator_of(text: str) -> str:
    r"""What separates the cells of the first line that has any; a comma, if none does.

    A country with decimal commas separates by semicolons, so commas count least.

    Examples:
        >>> separator_of("reader;rating\nA;2,5"), separator_of("a,b")
        (';', ',')
    """
    for line in text.splitlines():
        counted = {one: line.count(one) for one in _SEPARATORS}
        if any(counted.values()):
            return max((";", "\t", ","), key=lambda one: counted[one])
    return ","


def with_points(cells: Iterable[str], separator: str) -> list[str]:
    """Cells without spaces around them, and with decimal points for decimal commas.

    Examples:
        >>> with_points([" A ", "-2,5"], ";")
        ['A', '-2.5']
    """
    stripped = [cell.strip() for cell in cells]
    if separator == ",":
        return stripped
    return [re.sub(r"^([+-]?\d+),(\d+)$", r"\1.\2", cell) for cell in stripped]


def csv_rows(text: str, source: Path) -> list[tuple[str, Sequence[str]]]:
    """Rows of a table with where they stand, such as "row 2"; empty ones are left out.

    Args:
        text: separated by commas, semicolons or tabs; `sep=;` in the first line says which.
        source: the file, for messages.

    Raises:
        InputError: no table, or a quotation mark that is not closed.
    """
    lines = text.splitlines()
    said = re.fullmatch(r"\s*\"?sep=([,;|\t])\"?\s*", lines[0], re.IGNORECASE) if lines else None
    separator = said[1] if said else separator_of(text)
    body = ["", *lines[1:]] if said else lines
    try:
        listed = list(csv.reader([*body, _END], delimiter=separator))
    except csv.Error as error:
        raise InputError(source, f"not a readable table ({error})", "Give a CSV table") from error
    if listed[-1] != [_END]:
        problem = f"row {len(listed)}: a quotation mark is not closed"
        raise InputError(source, problem, "Close it, or take it out")
    return [
        (f"row {number}", with_points(row, separator))
        for number, row in enumerate(listed[:-1], 1)
        if any(map(str.strip, row))
    ]
