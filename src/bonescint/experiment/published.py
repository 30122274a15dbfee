"""Figures as a paper published them, to stand beside a run's own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from bonescint.cohort.strict_yaml import read_yaml
from bonescint.scan import ParameterError

_FOLDER = "published"


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
    folder = resources.files("bonescint.experiment") / _FOLDER
    return tuple(
        sorted(
            entry.name.removesuffix(".yaml")
            for entry in folder.iterdir()
            if entry.name.endswith(".yaml")
        )
    )


def read_published(name: str) -> Published:
    """The figures of a paper.

    Raises:
        ParameterError: no paper of that name.

    Examples:
        >>> [figure.text for figure in read_published("ibrahim2023").figures][:2]
        ['0.897', '82.2 %']
    """
    if name not in published_names():
        known = f"one of {', '.join(published_names())}"
        raise ParameterError("published", "read_published", known, name)
    file = resources.files("bonescint.experiment") / _FOLDER / f"{name}.yaml"
    content = read_yaml(file.read_text("utf-8"), name, remedy="Reinstall", extra="simulate")
    if not isinstance(content, dict):
        raise ParameterError("published", "read_published", "a table", name)
    return Published(
        name=content["name"],
        source=content["source"],
        figures=tuple(PublishedFigure(**entry) for entry in content["figures"]),
    )
