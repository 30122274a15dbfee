"""Figures as a paper published them, to stand beside a run's own."""

from __future__ import annotations

from dataclasses import dataclass

from bonescint.cohort.strict_yaml import YamlShelf, read_yaml
from bonescint.scan import ParameterError

_SHELF = YamlShelf(package="bonescint.experiment", folder="published", noun="published")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """One figure.

    Attributes:
        measure: its name in our tables.
        words: for people.
        text: as printed.
        value: as a number.
    """

    measure: str
    words: str
    text: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The figures of one paper.

    Attributes:
        name: of the study.
        source: where they stand, and of what scans they are.
        figures: in the paper's order.
    """

    name: str
    source: str
    figures: tuple[PublishedFigure, ...]


def published_names() -> tuple[str, ...]:
    """Names of the papers that travel with the package.

    Examples:
        >>> published_names()
        ('ibrahim2023',)
    """
    return _SHELF.names()


def read_published(name: str) -> Published:
    """The figures of a paper.

    Raises:
        ParameterError: no paper of that name.

    Examples:
        >>> [figure.text for figure in read_published("ibrahim2023").figures][:2]
        ['0.897', '82.2 %']
    """
    text, source = _SHELF.text_of(name)
    content = read_yaml(text, source, remedy="Reinstall", extra="simulate")
    if not isinstance(content, dict):
        raise ParameterError("published", "read_published", "a table", name)
    return Published(
        name=content["name"],
        source=content["source"],
        figures=tuple(PublishedFigure(**entry) for entry in content["figures"]),
    )
