"""Shards of an archive, which separate jobs classify: each study is in exactly one shard."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bonescint.classify.naming import SourceNames
from bonescint.dicom import Discovery, StudyFiles
from bonescint.dicom.files import read_bytes, sha256
from bonescint.scan import InputError, ParameterError

_FOLDER = re.compile(r"shard-\d+-of-\d+")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of the inputs.

    Attributes:
        number: from 1.
        of: number of shards.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            requirement = "K/N with K from 1 to N, such as 3/40"
            raise ParameterError("shard", "classify", requirement, str(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard that a text such as `3/40` names.

        Raises:
            ParameterError: the text is not such a pair.

        Examples:
            >>> Shard.parse("3/40")
            Shard(number=3, of=40)
        """
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
        if match is None:
            requirement = "K/N with K from 1 to N, such as 3/40"
            raise ParameterError("shard", "classify", requirement, text)
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def folder_name(self) -> str:
        """Name of its folder in the results folder.

        Examples:
            >>> Shard(3, 40).folder_name
            'shard-03-of-40'
        """
        return f"shard-{self.number:0{len(str(self.of))}d}-of-{self.of}"

    def has(self, key: str) -> bool:
        """Whether what is known by a key belongs to it; a hash of the key decides."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1

    def part_of(self, found: Discovery, names: SourceNames) -> Discovery:
        """The studies and the refused inputs that belong to it.

        Studies are known by their UIDs, so that several under the same UIDs are distinguished as if
        there were no shards; those without UIDs (pictures) by their content, which is read for
        that; refused inputs by their name in the results. The place of the archive and the order
        of its files have no influence.

        Args:
            found: all that a search found.
            names: in the results, of all that was found.
        """
        return Discovery(
            studies=tuple(study for study in found.studies if self.has(_key(study, names))),
            refused=tuple(error for error in found.refused if self.has(names.of(error.source))),
        )


def _key(study: StudyFiles, names: SourceNames) -> str:
    if study.identifiers:
        return study.identifiers
    try:
        return " ".join(sorted(sha256(read_bytes(file)) for file in study.files))
    except InputError:
        return names.of(study.source)


def without_shards(found: Discovery, out: Path) -> Discovery:
    """What a search found, without what shards wrote to their results folder."""
    place = out.resolve()

    def is_own(path: Path) -> bool:
        try:
            parts = path.resolve().relative_to(place).parts
        except (OSError, RuntimeError, ValueError):
            return False
        return bool(parts) and _FOLDER.fullmatch(parts[0]) is not None

    return Discovery(
        studies=tuple(study for study in found.studies if not is_own(study.files[0])),
        refused=tuple(error for error in found.refused if not is_own(Path(error.source))),
    )
