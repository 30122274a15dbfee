"""Read users' YAML and JSON into dataclasses, with errors that say what is wrong and where.

The annotations and the constructor of a dataclass define what a file may contain; pydantic checks
it. Values are not converted: a text is not a number. An unknown or repeated key is an error.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from importlib import resources
from pathlib import Path, PurePath
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from bonescint.scan import BonescintError, InputError, MissingExtraError, ParameterError

_SUFFIXES = (".yaml", ".yml")
_LONGEST_SHOWN = 60
_NUMBER = "must be a number (1.0e+9, not 1e9)"  # YAML 1.1 reads 1e9 as a word
_TABLE = "must be a table of names and values"
_SAID = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "missing": "is missing",
}
_TABLES = ("dict_type", "mapping_type", "dataclass_type", "model_type")
_Kind = TypeVar("_Kind")


def construct(
    kind: type[_Kind], content: object, source: str, remedy: str, *, place: str = ""
) -> _Kind:
    """Build a dataclass, and dataclasses nested in it, from dictionaries and lists.

    Args:
        kind: the dataclass.
        content: dictionaries and lists, as read from YAML or JSON; parts may be instances already.
        source: name of the file in errors.
        remedy: what to do about an error, without a full stop.
        place: place of the content in the file, such as `"centres.A"`; empty for its top.

    Raises:
        InputError: an unknown key, a missing one or an impossible value, named with its place.

    Examples:
        >>> from bonescint.scan import PlattCalibration
        >>> construct(PlattCalibration, {"slope": 2}, "card.json", "Correct it").slope
        2
        >>> construct(PlattCalibration, {"slop": 2}, "card.json", "Correct it")
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.InputError: card.json: unknown key 'slop'; known are slope, \
intercept. Correct it.
    """
    from pydantic_core import ValidationError

    try:
        made: _Kind
        (made,) = _validator(kind).validate_python((content,))  # type: ignore[arg-type]
    except ValidationError as error:
        found = error.errors(include_url=False)
        first = next((one for one in found if one["type"] == _UNKNOWN), found[0])
        raise InputError(source, _problem(kind, first, place), remedy) from error
    except BonescintError as error:
        where = f"{place}: " if place else ""
        raise InputError(source, f"{where}{str(error).rstrip('.')}", remedy) from error
    return made


_UNKNOWN = "unexpected_keyword_argument"


def _problem(kind: type[Any], error: Mapping[str, Any], place: str) -> str:
    """What is wrong, with its place."""
    path, sort = list(error["loc"])[1:], error["type"]
    text = _SAID.get(sort, error["msg"])
    if sort == _UNKNOWN:
        name = path.pop()
        text = f"unknown key {name!r}; known are {', '.join(_known(kind, path))}"
    elif path and path[-1] == "[key]":
        name = path[-2]
        path, known = path[:-2], error.get("ctx", {}).get("expected", "")
        text = f"unknown key {name!r}; known are {_plain_list(known)}"
        if not known:
            text = f"unknown key {name!r}: it must be a text, so put it in quotation marks"
    elif sort == "enum":
        text = f"must be one of {_plain_list(error['ctx']['expected'])}"
    elif sort in _TABLES:
        text = _TABLE
    elif sort == "value_error":
        text = str(error["ctx"]["error"]).rstrip(".")
    if sort not in (_UNKNOWN, *_TABLES, "missing", "value_error") and not text.startswith("unkn"):
        text += f", not {repr(error['input'])[:_LONGEST_SHOWN]}"
    where = place
    for part in path:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    return f"{where}: {text}" if where else text


def _plain_list(expected: str) -> str:
    return expected.replace("' or '", "', '").replace("'", "")


def _known(kind: Any, path: list[str | int]) -> list[str]:
    """Names of the fields of the dataclass that is nested at a path of another."""
    for part in path:
        if is_dataclass(kind):
            kind = get_type_hints(kind)[str(part)]
        else:
            inner = [one for one in get_args(kind) if one is not Ellipsis]
            kind = inner[-1]
        while get_origin(kind) in (Union, types.UnionType):
            kind = next(one for one in get_args(kind) if one is not type(None))
    return [entry.name for entry in fields(kind)]


@cache
def _validator(kind: type[Any]) -> Any:
    """Pydantic's validator of a dataclass, changed so that numbers and texts are not converted."""
    from pydantic import ConfigDict, TypeAdapter
    from pydantic_core import PydanticCustomError, SchemaValidator

    def number(value: object) -> object:
        """A whole number stays one, so that a file that is written again stays the same."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PydanticCustomError("number", _NUMBER)
        return value

    def exact(node: Any) -> Any:
        if isinstance(node, list):
            return [exact(one) for one in node]
        if not isinstance(node, dict):
            return node
        if node.get("type") == "float":
            return {"type": "function-plain", "function": {"type": "no-info", "function": number}}
        walked = {
            key: value if key in ("default", "metadata", "serialization") else exact(value)
            for key, value in node.items()
        }
        if node.get("type") in ("int", "str", "bool"):
            walked["strict"] = True
        if node.get("type") == "dataclass-args":
            walked["extra_behavior"] = "forbid"
        return walked

    # In a tuple, for pydantic takes no options beside a dataclass itself.
    options = ConfigDict(arbitrary_types_allowed=True)
    return SchemaValidator(exact(TypeAdapter(tuple[kind], config=options).core_schema))  # type: ignore[valid-type]


def plain(value: Any) -> Any:
    """Convert a dataclass, with nested ones, to dictionaries and lists for YAML or JSON.

    Examples:
        >>> from bonescint.scan import PlattCalibration
        >>> plain({"fit": PlattCalibration(), "ends": (0, 1)})
        {'fit': {'slope': 1.0, 'intercept': 0.0}, 'ends': [0, 1]}
    """
    if is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {plain(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, PurePath) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedYaml:
    """YAML files of one kind that come with the package; users have others of their own.

    A file may have a version in its name, such as `ibrahim2023@2.yaml`: the name alone then means
    the highest version, and `ibrahim2023@1` stays readable.

    Attributes:
        package: the package that holds them.
        folder: their folder in the package.
        noun: what a file describes, such as a protocol, for errors.
        extra: the extra of bonescint that installs PyYAML.
    """

    package: str
    folder: str
    noun: str
    extra: str = "simulate"

    @property
    def remedy(self) -> str:
        """What to do about a wrong file."""
        return f"Correct the {self.noun}"

    def names(self) -> tuple[str, ...]:
        """Names of the files that come with the package, without versions.

        Examples:
            >>> protocols = PackagedYaml(package="bonescint.cohort", folder="protocols", noun="p")
            >>> "ibrahim2023" in protocols.names()
            True
        """
        return tuple(sorted({stem.partition("@")[0] for stem in self._stems()}))

    def _stems(self) -> list[str]:
        """Names of the files without suffix; of one name the highest version last."""
        entries = (resources.files(self.package) / self.folder).iterdir()
        names = [entry.name for entry in entries if entry.name.endswith(_SUFFIXES[0])]
        stems = [name.removesuffix(_SUFFIXES[0]) for name in names]
        return sorted(stems, key=lambda stem: int(stem.partition("@")[2] or 0))

    def read(self, name: str | Path) -> tuple[object, str]:
        """Read a file by its name in the package or by its path.

        Args:
            name: one of `names()`, with or without a version (`@1`), or a path that ends in
                `.yaml` or `.yml`; a path such as `protocols/ibrahim2023.yaml` that does not exist
                means the packaged file.

        Returns:
            The content, and its name for errors.

        Raises:
            ParameterError: no file of that name; the message lists those that exist.
            InputError: a file that does not exist, cannot be read, or is no YAML.
            MissingExtraError: PyYAML is not installed.
        """
        path = Path(name)
        if path.suffix in _SUFFIXES and path.parent.name == self.folder and not path.exists():
            name = path.stem if path.stem in self.names() else name
            path = Path(name)
        if path.suffix in _SUFFIXES:
            return read_yaml_file(path, self.remedy, extra=self.extra), str(path)
        found = [stem for stem in self._stems() if str(name) in (stem, stem.partition("@")[0])]
        if not found:
            known = f"one of {', '.join(self.names())}, or a path that ends in .yaml"
            raise ParameterError(self.noun, f"read_{self.noun}", known, str(name))
        file = resources.files(self.package) / self.folder / f"{found[-1]}{_SUFFIXES[0]}"
        source = f"{self.noun} {name}"
        return read_yaml(file.read_text("utf-8"), source, self.remedy, extra=self.extra), source


def read_yaml_file(path: Path, remedy: str, *, extra: str = "simulate") -> object:
    """Read a user's YAML file.

    Raises:
        InputError: it does not exist, cannot be read, or is no YAML.
        MissingExtraError: PyYAML is not installed.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise InputError(path, "no such file", "Check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({type(error).__name__})", remedy) from error
    return read_yaml(text, str(path), remedy, extra=extra)


def read_yaml(text: str, source: str, remedy: str, *, extra: str = "simulate") -> object:
    r"""Parse a YAML text.

    Args:
        text: the file's content.
        source: name of the file in errors.
        remedy: what to do about an unreadable text, without a full stop.
        extra: the extra of bonescint that installs PyYAML.

    Raises:
        InputError: not readable as YAML, or a key occurs twice.
        MissingExtraError: PyYAML is not installed.

    Examples:
        >>> read_yaml("a: 1\nb: [2, 3]", "here", "Correct it")
        {'a': 1, 'b': [2, 3]}
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("yaml", extra) from error
    try:
        return yaml.load(text, Loader=_strict_loader())  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(source, f"not readable as YAML ({reason})", remedy) from error


@cache
def _strict_loader() -> type[Any]:
    """YAML's safe loader, changed to refuse a repeated key instead of keeping the last one."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for number, key in enumerate(keys):
                if key in keys[:number]:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} occurs twice", node.start_mark
                    )
            return super().construct_mapping(node, deep=deep)

    return StrictLoader
