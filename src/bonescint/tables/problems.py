"""Report all problems of a table in one error, by row and column, without any value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bonescint.scan import InputError

_MOST_NAMED = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong at one place of a table.

    Attributes:
        text: what is wrong, without a full stop and without an identifier of a patient.
        row: as a spreadsheet counts: the header is row 1; 0 where the whole table is meant.
        column: name of the column, or empty.
    """

    text: str
    row: int = 0
    column: str = ""

    @classmethod
    def of_entry(cls, name: str, error: Exception) -> Problem:
        """What is wrong with an entry of a JSON list, from the error of reading it.

        Examples:
            >>> str(Problem.of_entry("scans[2]", KeyError("views")))
            "scans[2]: has no 'views'"
        """
        wrong = f"has no {error}" if isinstance(error, KeyError) else "has a value that is invalid"
        return cls(text=f"{name}: {wrong}")

    def __str__(self) -> str:
        place = f"row {self.row}" if self.row else ""
        if self.column:
            place += f"{', ' if place else ''}column {self.column}"
        return f"{place}: {self.text}" if place else self.text


def refuse(source: object, problems: Iterable[Problem], remedy: str) -> None:
    """Raise one error that names every problem (or the first of very many), if there is any.

    Raises:
        InputError: there is a problem.

    Examples:
        >>> refuse("labels.csv", [Problem(row=3, column="label", text="is empty")], "Correct it")
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.InputError: labels.csv, row 3, column label: is empty. Correct it.
    """
    found: Sequence[Problem] = list(problems)
    if not found:
        return
    if len(found) == 1:
        only = found[0]
        parts = [str(source)]
        parts += [f"row {only.row}"] if only.row else []
        parts += [f"column {only.column}"] if only.column else []
        raise InputError(", ".join(parts), only.text, remedy)
    named = "; ".join(str(problem) for problem in found[:_MOST_NAMED])
    hidden = len(found) - _MOST_NAMED
    more = f"; and {hidden} more" if hidden > 0 else ""
    raise InputError(source, f"{len(found)} problems: {named}{more}", remedy)
