"""YAML as people write it: a key that occurs twice is an error, not a silent loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from bonescint.scan import BonescintError, InputError, MissingExtraError, ParameterError

_SUFFIXES = (".yaml", ".yml")
_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlShelf:
    """YAML files of one kind that travel with the package; users have others of their own.

    Attributes:
        package: that holds them.
        folder: in the package.
        noun: what each of them is, for errors.
    """

    package: str
    folder: str
    noun: str

    def names(self) -> tuple[str, ...]:
        """Names of the files that travel with the package.

        Examples:
            >>> YamlShelf(package="bonescint.cohort", folder="protocols", noun="protocol").names()
            ('development', 'ibrahim2023')
        """
        entries = (resources.files(self.package) / self.folder).iterdir()
        names = [entry.name for entry in entries if entry.name.endswith(_SUFFIXES[0])]
        return tuple(sorted(name.removesuffix(_SUFFIXES[0]) for name in names))

    def text_of(self, name: str | Path) -> tuple[str, str]:
        """The text of a file by its name here, or by its path.

        Args:
            name: one of `names()`, or a path that ends in `.yaml` or `.yml`; a path such as
                `studies/ibrahim2023.yaml` that is no file means the one that is kept here.

        Returns:
            The text, and what to call it in errors.

        Raises:
            ParameterError: no file of that name; the message lists those that exist.
            InputError: a file that is not there or cannot be read.
        """
        path = Path(name)
        if path.suffix in _SUFFIXES and path.parent.name == self.folder and not path.exists():
            name = path.stem if path.stem in self.names() else name
            path = Path(name)
        if path.suffix not in _SUFFIXES:
            if str(name) not in self.names():
                known = f"one of {', '.join(self.names())}, or a path that ends in .yaml"
                raise ParameterError(self.noun, f"read_{self.noun}", known, str(name))
            packaged = resources.files(self.package) / self.folder / f"{name}{_SUFFIXES[0]}"
            return packaged.read_text("utf-8"), f"{self.noun} {name}"
        return text_of_file(path, f"Correct the {self.noun}")


def text_of_file(path: Path, remedy: str) -> tuple[str, str]:
    """The text of a user's file, and what to call it in errors.

    Raises:
        InputError: it is not there or cannot be read.
    """
    try:
        return path.read_text("utf-8"), str(path)
    except FileNotFoundError as error:
        raise InputError(path, "no such file", "Check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({type(error).__name__})", remedy) from error


def read_yaml(text: str, source: str, *, remedy: str, extra: str) -> object:
    r"""What a YAML text holds.

    Args:
        text: the file's content.
        source: named in errors.
        remedy: what to do about an unreadable text, without a full stop.
        extra: of this package that PyYAML comes with.

    Raises:
        InputError: not readable as YAML, or a key occurs twice.
        MissingExtraError: PyYAML is not installed.

    Examples:
        >>> read_yaml("a: 1\nb: [2, 3]", "here", remedy="Correct it", extra="train")
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


def _strict_loader() -> type[Any]:
    """YAML's safe loader, which would keep the last of two equal keys without a word."""
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


def checked_table(
    content: object, kind: type[Any], place: str, source: str, remedy: str
) -> dict[str, Any]:
    """A table whose keys are all known to a dataclass.

    Args:
        content: of the file at a place.
        kind: the dataclass.
        place: in the file, such as `"centres.A"`; empty for its top.
        source: named in errors.
        remedy: what to do, without a full stop.

    Raises:
        InputError: no table, or an unknown key.
    """
    where = f"{place}: " if place else ""
    if not isinstance(content, Mapping):
        raise InputError(source, f"{where}must be a table of names and values", remedy)
    known = [entry.name for entry in fields(kind)]
    unknown = [str(key) for key in content if key not in known]
    if unknown:
        problem = f"{where}unknown key {unknown[0]!r}; known are {', '.join(known)}"
        raise InputError(source, problem, remedy)
    return dict(content)


def built(
    kind: type[_Kind], values: Mapping[str, Any], place: str, source: str, remedy: str
) -> _Kind:
    """A dataclass of plain values; what its constructor refuses is said with its place.

    Raises:
        InputError: an impossible value, or one that is missing.
    """
    where = f"{place}: " if place else ""
    try:
        return kind(**values)
    except (BonescintError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).replace(f"{kind.__name__}.__init__() ", "").rstrip(".")
        raise InputError(source, f"{where}{reason}", remedy) from error
