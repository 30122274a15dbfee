"""Training configurations as YAML: those that come with the package, and the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from bonescint.cohort.strict_yaml import YamlShelf, built, read_yaml
from bonescint.prepare import preprocessing_named
from bonescint.scan import InputError, ParameterError
from bonescint.train.augment import AUGMENTATIONS, Augmentation, CompositeChange
from bonescint.train.network import InputScale, NetworkShape
from bonescint.train.networks import NetworkKind
from bonescint.train.settings import Precision, Schedule, Stage, TrainingConfiguration

_SHELF = YamlShelf(package="bonescint.train", folder="configurations", noun="settings")
_CORRECT = "Correct the settings"
_Kind = TypeVar("_Kind")
_ABOUT = "about"
"""A key of the file that is for people only."""
_FORMER_PREPROCESSING = "recipe"
"""What release 0.1 called the key `preprocessing`."""


def configuration_names() -> tuple[str, ...]:
    """Names of the settings that travel with the package.

    Examples:
        >>> "ibrahim2023" in configuration_names()
        True
    """
    return _SHELF.names()


def read_configuration(name: str | Path) -> TrainingConfiguration:
    """Read training settings by their name, or from a YAML file.

    Args:
        name: one of `configuration_names()`, or a path that ends in `.yaml` or `.yml`.

    Raises:
        ParameterError: no settings of that name; the message lists those that exist.
        InputError: an unreadable file, an unknown key or an impossible value, named.
        MissingExtraError: PyYAML is not installed.

    Examples:
        >>> paper = read_configuration("ibrahim2023")
        >>> paper.epochs, paper.steps_per_epoch, paper.batch_size
        (6, 200, 4)
    """
    text, source = _SHELF.text_of(name)
    return configuration_from(read_yaml(text, source, remedy=_CORRECT, extra="train"), source)


def configuration_from(content: object, source: str) -> TrainingConfiguration:
    """Settings from plain tables, as YAML gives them; what is not named keeps its default.

    Args:
        content: a table by the names of `TrainingConfiguration`.
        source: named in errors.

    Raises:
        InputError: an unknown key or an impossible value, named with its place.

    Examples:
        >>> configuration_from({"stages": [{"epochs": 3}], "seed": 7}, "here").epochs
        3
        >>> configuration_from({"epoch": 3}, "here")
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.InputError: here: unknown key 'epoch'; known are network, \
preprocessing, stages, ...
    """
    table = _table(content, "", source)
    table.pop(_ABOUT, None)
    if _FORMER_PREPROCESSING in table:
        table.setdefault("preprocessing", table.pop(_FORMER_PREPROCESSING))
    _check_keys(table, [entry.name for entry in fields(TrainingConfiguration)], "", source)
    values = {
        name: _READERS.get(name, _as_it_is)(value, name, source) for name, value in table.items()
    }
    return _built(TrainingConfiguration, values, "", source)


def _as_it_is(value: object, place: str, source: str) -> object:  # noqa: ARG001
    return value


def _preprocessing(value: object, place: str, source: str) -> object:
    try:
        return preprocessing_named(str(value))
    except ParameterError as error:
        raise InputError(source, f"{place}: {_reason(error)}", _CORRECT) from error


def _one_of(kind: type[StrEnum]) -> Callable[[object, str, str], object]:
    def read(value: object, place: str, source: str) -> object:
        if value is None:
            return None
        known = [str(member.value) for member in kind]
        if value not in known:
            problem = f"{place}: must be one of {', '.join(known)}, not {value!r}"
            raise InputError(source, problem, _CORRECT)
        return kind(str(value))

    return read


def _stages(value: object, place: str, source: str) -> tuple[Stage, ...]:
    entries = _list(value, place, source)
    return tuple(
        _dataclass(Stage, entry, f"{place}[{number}]", source)
        for number, entry in enumerate(entries)
    )


def _augmentations(value: object, place: str, source: str) -> tuple[Augmentation, ...]:
    found = []
    for number, entry in enumerate(_list(value, place, source)):
        where = f"{place}[{number}]"
        table = _table(entry, where, source)
        kind = table.pop("kind", None)
        if kind not in AUGMENTATIONS:
            problem = f"{where}: kind must be one of {', '.join(AUGMENTATIONS)}, not {kind!r}"
            raise InputError(source, problem, _CORRECT)
        found.append(_dataclass(AUGMENTATIONS[str(kind)], table, where, source))
    return tuple(found)


def _change(value: object, place: str, source: str) -> CompositeChange:
    return _dataclass(CompositeChange, value, place, source)


def _shape(value: object, place: str, source: str) -> NetworkShape:
    return _dataclass(NetworkShape, value, place, source)


_READERS: Mapping[str, Callable[[object, str, str], object]] = {
    "network": _one_of(NetworkKind),
    "preprocessing": _preprocessing,
    "stages": _stages,
    "input_scale": _one_of(InputScale),
    "schedule": _one_of(Schedule),
    "precision": _one_of(Precision),
    "scan_augmentations": _augmentations,
    "composite_change": _change,
    "shape": _shape,
}


def _list(value: object, place: str, source: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise InputError(source, f"{place}: must be a list", _CORRECT)
    return value


def _table(value: object, place: str, source: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        where = f"{place}: " if place else ""
        raise InputError(source, f"{where}must be a table of names and values", _CORRECT)
    return {str(key): entry for key, entry in value.items()}


def _check_keys(table: Mapping[str, object], known: Sequence[str], place: str, source: str) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        where = f"{place}: " if place else ""
        raise InputError(
            source, f"{where}unknown key {unknown[0]!r}; known are {', '.join(known)}", _CORRECT
        )


def _dataclass(kind: type[_Kind], value: object, place: str, source: str) -> _Kind:
    table = _table(value, place, source)
    _check_keys(table, [entry.name for entry in fields(kind)], place, source)  # type: ignore[arg-type]
    plain = {
        name: tuple(entry) if isinstance(entry, list) else entry for name, entry in table.items()
    }
    return _built(kind, plain, place, source)


def _built(kind: type[_Kind], values: Mapping[str, Any], place: str, source: str) -> _Kind:
    return built(kind, values, place, source, _CORRECT)


def _reason(error: Exception) -> str:
    return str(error).rstrip(".")
