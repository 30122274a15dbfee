"""Checks of values that users set: each invalid one raises a clear error."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from bonescint.scan.errors import ParameterError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}")


def check_number(noun: object, name: str, low: float, high: float) -> None:
    """Refuse an attribute that is not a finite number from `low` to `high`."""
    require_number(type(noun).__name__, name, getattr(noun, name), low, high)


def require_number(owner: str, name: str, value: object, low: float, high: float) -> None:
    """Refuse a value that is not a finite number from `low` to `high`."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        wanted = "a number (1.0e+9, not 1e9)"  # YAML 1.1 reads 1e9 as a word
        raise ParameterError(name, owner, wanted, value)
    if not math.isfinite(value) or not low <= value <= high:
        raise ParameterError(name, owner, f"from {low:g} to {high:g}", value)


def check_whole(noun: object, name: str, low: int, high: int) -> None:
    """Refuse an attribute that is not a whole number from `low` to `high`."""
    value = getattr(noun, name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        requirement = f"a whole number from {low} to {high}"
        raise ParameterError(name, type(noun).__name__, requirement, value)


def check_member(noun: object, name: str, kind: type[Enum]) -> None:
    """Refuse an attribute that is not a member of an enumeration, such as its value as text."""
    require_member(type(noun).__name__, name, getattr(noun, name), kind)


def require_member(owner: str, name: str, value: object, kind: type[Enum]) -> None:
    """Refuse a value that is not a member of an enumeration, such as its value as text."""
    if not isinstance(value, kind):
        members = ", ".join(str(member) for member in kind)
        raise ParameterError(name, owner, f"a {kind.__name__} ({members})", value)


def check_text(noun: object, name: str) -> None:
    """Refuse an attribute that is not a single line of text."""
    value = getattr(noun, name)
    if not isinstance(value, str) or not value.isprintable():
        raise ParameterError(name, type(noun).__name__, "a line of text", value)


def check_name(owner: str, name: str, value: object) -> None:
    """Refuse a value that is not a plain name (see the message for its characters)."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        requirement = "up to 40 letters, digits, spaces, '_', '.' or '-'"
        raise ParameterError(name, owner, requirement, value)


def check_table(noun: object, name: str) -> Mapping[Any, Any]:
    """Refuse an attribute that is not a mapping; return the mapping."""
    value = getattr(noun, name)
    if not isinstance(value, Mapping):
        raise ParameterError(name, type(noun).__name__, "a table of names and values", value)
    return value


def check_shares(noun: object, name: str) -> None:
    """Refuse shares that are not numbers from 0 to 1 or do not sum to 1."""
    shares = list(check_table(noun, name).values())
    fine = all(_is_number(share) and 0 <= share <= 1 for share in shares)
    if not fine or not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
        given = dict(getattr(noun, name))
        raise ParameterError(name, type(noun).__name__, "shares that sum to 1", given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
