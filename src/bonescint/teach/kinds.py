"""What learners are told about each kind of finding, in feedback and before a course."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from bonescint.scan import ParameterError, UptakeSite
from bonescint.scan.checked import check_text
from bonescint.schema import construct, read_yaml
from bonescint.teach.appearances import Appearance
from bonescint.teach.courses import Course, Example, kind_named

_FILE = "kinds.yaml"
_REMEDY = "Correct it"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindText:
    """The text of one kind of finding.

    Attributes:
        name: in the field's terms.
        what: what it is.
        tell: one sentence on how to tell it from a metastasis.
        text: a longer paragraph.
        where: where it usually lies.
        sources: where the facts come from.
        example: a simulated picture of it.

    Raises:
        ParameterError: a text of several lines, or no source.
    """

    name: str
    what: str
    tell: str
    text: str
    where: str
    sources: tuple[str, ...]
    example: Example

    def __post_init__(self) -> None:
        for name in ("name", "what", "tell", "text", "where"):
            check_text(self, name)
        if not self.sources:
            raise ParameterError("sources", "KindText", "at least one source", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    """The file: sources by a short name, and the texts, which name them."""

    sources: Mapping[str, str]
    kinds: Mapping[str, KindText]


@cache
def read_kinds() -> Mapping[UptakeSite | Appearance, KindText]:
    """The texts of all kinds of finding, with their sources written out.

    Raises:
        MissingExtraError: PyYAML is not installed.

    Examples:
        >>> read_kinds()[UptakeSite.RIB_FRACTURE].name
        'Rib fracture'
    """
    file = resources.files("bonescint.teach.content") / _FILE
    content: Any = read_yaml(file.read_text("utf-8"), _FILE, _REMEDY, extra="teach")
    for words, kind in content["kinds"].items():
        kind["example"]["shows"] = words
    texts = construct(_Texts, content, _FILE, _REMEDY)
    return MappingProxyType(
        {
            kind_named(words): replace(
                kind, sources=tuple(texts.sources[source] for source in kind.sources)
            )
            for words, kind in texts.kinds.items()
        }
    )


def how_to_tell(kind: UptakeSite | Appearance) -> str:
    """One sentence on how to tell a kind from a metastasis; empty for what has no text.

    Examples:
        >>> how_to_tell(UptakeSite.PACEMAKER)
        'A round cold area below the clavicle, in the anterior view only, is a pacemaker.'
        >>> how_to_tell(UptakeSite.OTHER)
        ''
    """
    text = read_kinds().get(kind)
    return text.tell if text else ""


def kinds_of(course: Course) -> tuple[KindText, ...]:
    """The texts of what the cases of a course show: metastases first, then what it asks for most.

    Examples:
        >>> from bonescint.teach.courses import read_course
        >>> [text.name for text in kinds_of(read_course("superscan"))][:2]
        ['Superscan', 'Multiple metastases']
    """
    shares: list[tuple[UptakeSite | Appearance, float]] = [*course.lesions.items()]
    shares += sorted(course.mimics.items(), key=lambda one: -one[1])
    return tuple(read_kinds()[kind] for kind, share in shares if share > 0)
