"""Choices among names: an enum's member, or its plain name."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from bonescint.scan import ParameterError

Choice = TypeVar("Choice", bound=StrEnum)


def chosen(kind: type[Choice], value: str, name: str, owner: str) -> Choice:
    """The member that a value names; who writes `"jackknife"` means the jackknife.

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
