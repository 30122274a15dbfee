"""Protocols as YAML: the ones that travel with the package, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from bonescint.cohort.protocol import Centre, Frozen, Protocol, Studies
from bonescint.cohort.strict_yaml import YamlShelf, built, checked_table, read_yaml
from bonescint.scan import (
    InputError,
    Split,
)
from bonescint.simulate import Disease, Population

_SHELF = YamlShelf(package="bonescint.cohort", folder="protocols", noun="protocol")
_Kind = TypeVar("_Kind")
_CORRECT = "Correct the protocol"


def protocol_names() -> tuple[str, ...]:
    """Names of the protocols that travel with the package.

    Examples:
        >>> "ibrahim2023" in protocol_names()
        True
    """
    return _SHELF.names()


def read_protocol(name: str | Path) -> Protocol:
    """Read a protocol by its name, or from a YAML file.

    Args:
        name: one of `protocol_names()`, or a path that ends in `.yaml` or `.yml`.

    Raises:
        ParameterError: no protocol of that name; the message lists those that exist.
        InputError: an unreadable file; an unknown key, a missing one or an impossible value, named
            with its place.
        MissingExtraError: PyYAML is not installed.

    Examples:
        >>> protocol = read_protocol("ibrahim2023")
        >>> protocol.count, list(protocol.centres)
        (2365, ['A', 'B', 'C'])
    """
    text, source = _SHELF.text_of(name)
    content = read_yaml(text, source, remedy=_CORRECT, extra="simulate")
    return protocol_from(content, source)


def protocol_from(content: object, source: str) -> Protocol:
    """A protocol from plain tables, as YAML and JSON give them.

    Args:
        content: what `protocol_content` gives, or a file's content.
        source: named in errors.

    Raises:
        InputError: an unknown key, a missing one or an impossible value, named with its place.
    """
    top = _checked(content, Protocol, "", source)
    centres = top.get("centres")
    if not isinstance(centres, Mapping):
        raise InputError(source, "centres: must be a table of centres by name", _CORRECT)
    built = {name: _centre(entry, f"centres.{name}", source) for name, entry in centres.items()}
    if "disease" in top:
        disease = _checked(top["disease"], Disease, "disease", source)
        top["disease"] = _built(Disease, disease, "disease", source)
    if top.get("frozen") is not None:
        frozen = _checked(top["frozen"], Frozen, "frozen", source)
        top["frozen"] = _built(Frozen, frozen, "frozen", source)
    return _built(Protocol, {**top, "centres": built}, "", source)


def protocol_content(protocol: Protocol) -> dict[str, Any]:
    """A protocol as plain tables, ready for YAML or JSON.

    Examples:
        >>> protocol = read_protocol("ibrahim2023")
        >>> protocol_from(protocol_content(protocol), "here") == protocol
        True
    """
    return {
        "name": protocol.name,
        "version": protocol.version,
        "description": protocol.description,
        "disease": _plain(protocol.disease),
        "frozen": None if protocol.frozen is None else _plain(protocol.frozen),
        "centres": {
            name: {
                **_plain(centre),
                "population": _plain(centre.population),
                "studies": {
                    split.value: _plain(studies) for split, studies in centre.studies.items()
                },
            }
            for name, centre in protocol.centres.items()
        },
    }


def _plain(noun: Any) -> dict[str, Any]:
    """The fields of a dataclass, tables as plain dictionaries."""
    values = {entry.name: getattr(noun, entry.name) for entry in fields(noun)}
    return {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()
    }


def _centre(content: object, place: str, source: str) -> Centre:
    values = _checked(content, Centre, place, source)
    if "population" in values:
        where = f"{place}.population"
        population = _checked(values["population"], Population, where, source)
        values["population"] = _built(Population, population, where, source)
    studies = values.get("studies")
    if not isinstance(studies, Mapping):
        raise InputError(source, f"{place}.studies: must be a table by split", _CORRECT)
    values["studies"] = {
        _split(name, f"{place}.studies", source): _built(
            Studies,
            _checked(entry, Studies, f"{place}.studies.{name}", source),
            f"{place}.studies.{name}",
            source,
        )
        for name, entry in studies.items()
    }
    return _built(Centre, values, place, source)


def _split(name: object, place: str, source: str) -> Split:
    try:
        return Split(str(name))
    except ValueError as error:
        known = ", ".join(split.value for split in Split)
        raise InputError(
            source, f"{place}: no split is called {name!r} ({known})", _CORRECT
        ) from error


def _checked(content: object, kind: type[Any], place: str, source: str) -> dict[str, Any]:
    return checked_table(content, kind, place, source, _CORRECT)


def _built(kind: type[_Kind], values: Mapping[str, Any], place: str, source: str) -> _Kind:
    return built(kind, values, place, source, _CORRECT)
