"""The JSON form of typed results: dataclasses both ways, infinities included."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from types import NoneType
from typing import Any, cast, get_args, get_origin, get_type_hints

import numpy as np

from bonescint.evaluate import (
    Balanced,
    GivenSensitivity,
    GivenSpecificity,
    OperatingRule,
    RocCurve,
    Youden,
)
from bonescint.evaluate.judgement import Judgement
from bonescint.scan import ParameterError

_NAMED_RULES: Mapping[str, OperatingRule] = {"balanced": Balanced(), "youden": Youden()}
_RULES_AT: Mapping[str, Callable[[float], OperatingRule]] = {
    "specificity": GivenSpecificity,
    "sensitivity": GivenSensitivity,
}
_DERIVED = frozenset({"cases", "confusion", "curve"})
"""Fields of a judgement that are computed from the evaluated scans when a result is read."""


@dataclass(frozen=True, slots=True)
class RuleInWords:
    """A user-defined rule in a result that was read: only its description is known.

    Attributes:
        words: that describe it.
    """

    words: str

    def choose(self, curve: RocCurve) -> int:  # noqa: ARG002
        """Refuse to choose.

        Raises:
            ParameterError: always.
        """
        raise ParameterError("rule", "RuleInWords", "a rule of this release", self.words)


def rule_from(content: object) -> OperatingRule:
    """An operating rule as files and settings write it: `"balanced"`, `{"specificity": 0.9}`.

    Raises:
        ValueError: no such rule.
        ParameterError: a specificity or sensitivity out of range.

    Examples:
        >>> rule_from({"sensitivity": 0.9}).words
        'where sensitivity is at least 0.9'
    """
    if isinstance(content, str) and content in _NAMED_RULES:
        return _NAMED_RULES[content]
    if isinstance(content, Mapping) and len(content) == 1:
        ((kind, value),) = content.items()
        if kind in _RULES_AT:
            return _RULES_AT[kind](value)
    known = f"{', '.join(_NAMED_RULES)}, or a table {{specificity: 0.9}} or {{sensitivity: 0.9}}"
    raise ValueError(f"must be {known}, not {content!r}")


def rule_content(rule: OperatingRule) -> str | dict[str, float]:
    """The inverse of `rule_from`; for a user-defined rule, its description.

    Examples:
        >>> rule_content(Youden()), rule_content(GivenSpecificity(0.9))
        ('youden', {'specificity': 0.9})
    """
    for name, known in _NAMED_RULES.items():
        if rule == known:
            return name
    if isinstance(rule, GivenSpecificity):
        return {"specificity": rule.specificity}
    if isinstance(rule, GivenSensitivity):
        return {"sensitivity": rule.sensitivity}
    return rule.words


def rule_in_words(words: str) -> OperatingRule:
    """The operating rule of this name or description; release 0.1 saved descriptions.

    Raises:
        ValueError: no rule of this release.

    Examples:
        >>> rule_in_words("where specificity is at least 0.9")
        GivenSpecificity(specificity=0.9)
    """
    rules = dict(_NAMED_RULES) | {rule.words: rule for rule in _NAMED_RULES.values()}
    last = words.rpartition(" ")[2]
    if last.replace(".", "", 1).isdigit() and 0.01 <= float(last) <= 1:
        rules |= {rule.words: rule for rule in (kind(float(last)) for kind in _RULES_AT.values())}
    if words not in rules:
        raise ValueError(f"the rule of the operating point '{words}' is not known to this release")
    return rules[words]


def _any_rule(content: object) -> OperatingRule:
    """A rule of a result: of this release, or in words."""
    try:
        return rule_from(content)
    except ValueError:
        return RuleInWords(str(content))


def to_json(value: object) -> Any:
    """A result, or a part of one, for JSON; infinite and undefined numbers become words.

    Examples:
        >>> from bonescint.evaluate import Estimate
        >>> to_json(Estimate(value=1.0, high=math.inf))["high"]
        'inf'
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if hasattr(type(value), "choose"):
        return rule_content(cast("OperatingRule", value))
    if is_dataclass(value) and not isinstance(value, type):
        kept = [one.name for one in fields(value)]
        if isinstance(value, Judgement):
            kept = [name for name in kept if name not in _DERIVED]
        return {name: to_json(getattr(value, name)) for name in kept}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    return value


def from_json(kind: Any, content: Any, **derived: object) -> Any:
    """What `to_json` wrote, as an object of its type again.

    Args:
        kind: kind of the object.
        content: from JSON.
        derived: values of fields that are not in JSON.

    Raises:
        KeyError, TypeError, ValueError, BonescintError: not such an object.

    Examples:
        >>> from bonescint.evaluate import Estimate
        >>> from_json(Estimate, to_json(Estimate(value=-math.inf))).value
        -inf
    """
    arguments = get_args(kind)
    if kind is OperatingRule:
        return _any_rule(content)
    if isinstance(kind, type) and is_dataclass(kind):
        rest = {name: one for name, one in _field_types(kind).items() if name not in derived}
        return kind(
            **derived, **{name: from_json(one, content[name]) for name, one in rest.items()}
        )
    if NoneType in arguments:
        (other,) = (one for one in arguments if one is not NoneType)
        return None if content is None else from_json(other, content)
    if get_origin(kind) is np.ndarray:
        (scalar,) = get_args(arguments[1])
        return np.array([float(one) for one in content]).astype(scalar)
    if get_origin(kind) is tuple:
        members = [arguments[0]] * len(content) if arguments[-1] is ... else arguments
        return tuple(from_json(one, part) for one, part in zip(members, content, strict=True))
    return kind(content)


@lru_cache(maxsize=256)
def _field_types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
