"""YAML as people write it: a key that stands twice is an error, not a silent loss."""

from __future__ import annotations

from typing import Any

from bonescint.scan import InputError, MissingExtraError


def read_yaml(text: str, source: str, *, remedy: str, extra: str) -> object:
    r"""What a YAML text holds.

    Args:
        text: the file's content.
        source: named in errors.
        remedy: what to do about an unreadable text, without a full stop.
        extra: of this package that PyYAML comes with.

    Raises:
        InputError: not readable as YAML, or a key stands twice.
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
                        None, None, f"the key {key!r} stands twice", node.start_mark
                    )
            return super().construct_mapping(node, deep=deep)

    return StrictLoader
