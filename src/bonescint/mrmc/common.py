"""What every part of the package uses: results as JSON, notes, choices among names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum, StrEnum
from typing import Any, TypeVar

import numpy as np

from bonescint.intervals import Estimate
from bonescint.scan import ParameterError

_SHOWN = 5


class Result:
    """A dataclass that has a JSON form: its attributes by name."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON, at full precision; a number that is undefined or infinite is `null`."""
        return {one.name: jsonable(getattr(self, one.name)) for one in fields(self)}  # type: ignore[arg-type]


def jsonable(value: Any) -> Any:
    """Convert a value to types that JSON has; an undefined or infinite number becomes `None`.

    Examples:
        >>> jsonable({"p": math.nan, "df": np.float64(2.0), "of": ("a",)})
        {'p': None, 'df': 2.0, 'of': ['a']}
    """
    if isinstance(value, Result | Estimate):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class NoteKind(StrEnum):
    """What became of what a note names."""

    LEFT_OUT = "left out"
    REMARK = "remark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Result):
    """One thing in a study that is wrong or unusual.

    Attributes:
        kind: whether something was left out, or is only remarked on.
        text: what, where, and what became of it; a sentence without a line break.
    """

    kind: NoteKind
    text: str

    def __post_init__(self) -> None:
        # Names come from users' tables: no line break of theirs shall split a line of ours.
        object.__setattr__(self, "text", " ".join(self.text.split()))


def left_out(text: str) -> Note:
    """Note something that was left out of the analysis."""
    return Note(kind=NoteKind.LEFT_OUT, text=text)


def remark(text: str) -> Note:
    """Note something that was kept and that the reader of a result has to know."""
    return Note(kind=NoteKind.REMARK, text=text)


def no_variance(who: str, *, others: bool) -> Note:
    """Note that one case of a class shows no variance over cases.

    Args:
        who: whose figure it is.
        others: whether there are figures with a variance.
    """
    rest = (
        "the averaged covariances are those of the others"
        if others
        else "cases must be treated as fixed"
    )
    return remark(f"{who}: no variance over cases can be estimated (one case of a class); {rest}")


def some(names: Sequence[object], shown: int = _SHOWN) -> str:
    """List the first few of many names.

    Examples:
        >>> some(["a", "b", "c"], shown=2)
        'a, b and 1 more'
    """
    said = ", ".join(str(name) for name in names[:shown])
    more = len(names) - shown
    return f"{said} and {more} more" if more > 0 else said


Choice = TypeVar("Choice", bound=StrEnum)


def chosen(kind: type[Choice], value: str, name: str, owner: str) -> Choice:
    """Return the member of an enum that a value, such as `"jackknife"`, names.

    Args:
        kind: the enum.
        value: a member or its value.
        name: of the parameter, for the message.
        owner: of the parameter, for the message.

    Raises:
        ParameterError: no member has that value.
    """
    try:
        return kind(str(value))
    except ValueError as error:
        wanted = f"one of {', '.join(kind)}"
        raise ParameterError(name, owner, wanted, value) from error
