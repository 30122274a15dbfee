"""Figures as a paper published them, to stand beside a run's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bonescint.scan import ParameterError, Split
from bonescint.schema import PackagedYaml

_PACKAGED = PackagedYaml(package="bonescint.experiment", folder="published", noun="published")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """One figure.

    Attributes:
        measure: its name in our tables.
        words: for people.
        text: as printed.
        of: number of scans that a share is of; `None` if it is no share.
    """

    measure: str
    words: str
    text: str
    of: int | None = None

    @property
    def misfit(self) -> str:
        """Why no whole number of scans gives the printed share; empty if one does.

        Examples:
            >>> printed = {"measure": "m", "words": "Specificity", "of": 587}
            >>> PublishedFigure(text="80.45 %", **printed).misfit
            '80.45 % is no whole number of 587 scans (472 are 80.41 %, 473 are 80.58 %)'
            >>> PublishedFigure(text="80.41 %", **printed).misfit
            ''
        """
        if self.of is None:
            return ""
        printed = self.text.removesuffix("%").strip()
        places = len(printed.partition(".")[2])
        below = int(float(printed) / 100 * self.of)
        shares = {count: f"{100 * count / self.of:.{places}f}" for count in (below, below + 1)}
        if printed in shares.values():
            return ""
        near = ", ".join(f"{count} are {share} %" for count, share in shares.items())
        return f"{self.text} is no whole number of {self.of} scans ({near})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSubset:
    """Figures of a part of the test scans, with as many positives as negatives.

    Attributes:
        scans: of the part.
        resamples: of the bootstrap.
        figures: in the paper's order.
    """

    scans: int
    resamples: int
    figures: tuple[PublishedFigure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The figures of one paper.

    Attributes:
        name: of the study.
        source: where they stand, and of what scans they are.
        figures: of all test scans, in the paper's order.
        subset: of a part of them.
        splits: number of scans and of positive ones.
    """

    name: str
    source: str
    figures: tuple[PublishedFigure, ...]
    subset: PublishedSubset
    splits: Mapping[Split, tuple[int, int]]


def published_names() -> tuple[str, ...]:
    """Names of the papers that come with the package.

    Examples:
        >>> published_names()
        ('ibrahim2023',)
    """
    return _PACKAGED.names()


def read_published(name: str) -> Published:
    """The figures of a paper.

    Raises:
        ParameterError: no paper of that name.

    Examples:
        >>> paper = read_published("ibrahim2023")
        >>> [figure.text for figure in paper.figures][:2], paper.subset.scans
        (['0.897', '82.2 %'], 134)
    """
    content, _ = _PACKAGED.read(name)
    if not isinstance(content, dict):
        raise ParameterError("published", "read_published", "a table", name)
    subset = content["subset"]
    return Published(
        name=content["name"],
        source=content["source"],
        figures=_figures(content["figures"]),
        subset=PublishedSubset(
            scans=subset["scans"],
            resamples=subset["resamples"],
            figures=_figures(subset["figures"]),
        ),
        splits={
            Split(split): (entry["scans"], entry["positive"])
            for split, entry in content["splits"].items()
        },
    )


def _figures(entries: list[dict[str, Any]]) -> tuple[PublishedFigure, ...]:
    return tuple(PublishedFigure(**entry) for entry in entries)
