"""Reporting checklists: what of CLAIM 2020 and STARD 2015 a run fills, and what is open.

Items are paraphrased. A run knows some of them, the user's `experiment-metadata.yaml` gives others,
and the rest a person writes. A score such as "27 of 42" is counted from that, never typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bonescint.scan import InputError
from bonescint.schema import PackagedYaml, construct, read_yaml_file

_PACKAGED = PackagedYaml(package="bonescint.experiment", folder="checklists", noun="checklist")
_CORRECT = "Correct the experiment's metadata"


class Filler(StrEnum):
    """Who can fill an item."""

    RUN = "run"
    METADATA = "metadata"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a checklist.

    Attributes:
        item: its number, such as `"10a"`.
        topic: what it is about; runs and metadata give their texts by topic.
        text: the item in a few words.
        by: who is expected to fill it.
    """

    item: str
    topic: str
    text: str
    by: Filler


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledItem:
    """An item, and what fills it.

    Attributes:
        item: item of the checklist.
        by: who filled it, or `None` if it is open.
        content: what was given, or empty.
    """

    item: Item
    by: Filler | None
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedScore:
    """How many items a published study reported.

    Attributes:
        study: which.
        filled: items that it reported.
        of: all items.
    """

    study: str
    filled: int
    of: int

    def __str__(self) -> str:
        return f"{self.study}: {self.filled} of {self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    """A reporting guideline.

    Attributes:
        name: short.
        title: with its source.
        items: in order.
        published: what a published study reached.
    """

    name: str
    title: str
    items: tuple[Item, ...]
    published: PublishedScore

    def filled(self, run: Mapping[str, str], metadata: Mapping[str, str]) -> tuple[FilledItem, ...]:
        """Fill what can be filled.

        Args:
            run: texts by topic that a run knows.
            metadata: texts by topic that people wrote; they take precedence.

        Examples:
            >>> checklist = read_checklist("claim2020")
            >>> filled = checklist.filled({"model": "VGG16"}, {"funding": "none"})
            >>> [entry.item.item for entry in filled if entry.by is not None]
            ['22', '42']
        """
        found = []
        for item in self.items:
            by: Filler | None = None
            content = ""
            if metadata.get(item.topic, "").strip():
                content = metadata[item.topic].strip()
                by = Filler.PERSON if item.by is Filler.PERSON else Filler.METADATA
            elif run.get(item.topic, "").strip():
                content, by = run[item.topic].strip(), Filler.RUN
            found.append(FilledItem(item=item, by=by, content=content))
        return tuple(found)

    def numbers(self) -> tuple[str, ...]:
        """The numbered items; rows such as 10a and 10b are one item."""
        return tuple(dict.fromkeys(item.item.rstrip("ab") for item in self.items))


def score(filled: tuple[FilledItem, ...]) -> tuple[int, int]:
    """Items that are filled, and all; an item of two rows is filled when both are.

    Examples:
        >>> checklist = read_checklist("stard2015")
        >>> score(checklist.filled({"model": "VGG16"}, {}))
        (0, 30)
        >>> score(checklist.filled({"model": "VGG16"}, {"reference_standard": "biopsy"}))
        (1, 30)
    """
    whole: dict[str, bool] = {}
    for entry in filled:
        number = entry.item.item.rstrip("ab")
        whole[number] = whole.get(number, True) and entry.by is not None
    return sum(whole.values()), len(whole)


def checklist_names() -> tuple[str, ...]:
    """Names of the checklists that come with the package.

    Examples:
        >>> checklist_names()
        ('claim2020', 'stard2015')
    """
    return _PACKAGED.names()


def read_checklist(name: str) -> Checklist:
    """One of the checklists that come with the package.

    Raises:
        ParameterError: no checklist of that name.
    """
    content, source = _PACKAGED.read(name)
    return construct(Checklist, content, source, "Reinstall bonescint")


def topics() -> tuple[str, ...]:
    """Every topic that some checklist asks for.

    Examples:
        >>> "reference_standard" in topics()
        True
    """
    return tuple(
        dict.fromkeys(
            item.topic for name in checklist_names() for item in read_checklist(name).items
        )
    )


def metadata_template() -> str:
    """A file for what people write about a study: every topic, with the items it fills.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "experiment-metadata.yaml"
        ...     _ = file.write_text(metadata_template(), encoding="utf-8")
        ...     read_metadata(file)
        {}
    """
    asked: dict[str, list[str]] = {}
    for name in checklist_names():
        checklist = read_checklist(name)
        for item in checklist.items:
            asked.setdefault(item.topic, []).append(f"{checklist.name} {item.item}: {item.text}")
    lines = ["# What only people know about a study, by topic; the run fills in what it knows.", ""]
    for topic, texts in asked.items():
        lines += [f"# {text}" for text in texts]
        lines += [f"{topic}:", ""]
    return "\n".join(lines)


def read_metadata(
    given: Path | str | Mapping[str, Any] | None, *, source: str = "metadata"
) -> dict[str, str]:
    """Read the experiment's metadata, which users write: a text for each topic.

    Args:
        given: a YAML file, `topic: text`, or its content; `None` if there is none.
        source: name for errors if no file is given.

    Raises:
        InputError: unreadable, an unknown topic, or an entry that is no text; all are named.

    Examples:
        >>> read_metadata({"registration": "none", "funding": None})
        {'registration': 'none'}
    """
    content: object = given
    if isinstance(given, str | Path):
        content, source = read_yaml_file(Path(given), _CORRECT), str(given)
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise InputError(source, "must be a table of topics and texts", _CORRECT)
    known = topics()
    problems = [f"unknown topic {str(topic)!r}" for topic in content if str(topic) not in known]
    problems += [
        f"{topic}: must be a text"
        for topic, entry in content.items()
        if str(topic) in known and entry is not None and not isinstance(entry, str)
    ]
    if problems:
        remedy = f"{_CORRECT}; topics are {', '.join(known)}"
        raise InputError(source, "; ".join(problems), remedy)
    return {str(topic): entry for topic, entry in content.items() if entry is not None}
