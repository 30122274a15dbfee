"""What an earlier run left in a results folder: what is ours there, and what is the user's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bonescint.classify.stopped import PAGE_ROWS, RECORDS, STOPPED
from bonescint.files import json_in, not_ours
from bonescint.scan import OutputError

GROWING = ("results.csv.partial", f"{RECORDS}.partial", f"{PAGE_ROWS}.partial")
_WHOLE = ("results.csv", "results.json", "index.html")
_OWN_FILES = (*_WHOLE, *GROWING, *STOPPED)
_HARMLESS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
# How `results.json` is laid out: the head, then a line a scan.
RESULTS_LINE = ' "results": ['
_LONGEST_HEAD = 4_000_000


def picture_name(scan_id: str) -> str:
    """File name of a scan's picture: its identifier, or a hash if that is no harmless name.

    Examples:
        >>> picture_name("bs-46ec70df0e49a6d6")
        'bs-46ec70df0e49a6d6.png'
    """
    if _HARMLESS_NAME.fullmatch(scan_id):
        return f"{scan_id}.png"
    return f"scan-{hashlib.sha256(scan_id.encode('utf-8', 'replace')).hexdigest()[:16]}.png"


def layer_names(scan_id: str) -> tuple[str, str]:
    """File names of the two pictures that the page lays over each other: counts and evidence.

    Examples:
        >>> layer_names("bs-46ec70df0e49a6d6")[1]
        'bs-46ec70df0e49a6d6.evidence.webp'
    """
    stem = picture_name(scan_id).removesuffix(".png")
    return f"{stem}.grey.webp", f"{stem}.evidence.webp"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRun:
    """What an earlier run wrote to a folder.

    Attributes:
        folder: the results folder.
        has_results: whether it finished and left a `results.json`.
        pictures: names, in the folder `pictures`, of the pictures that it lists as its own.
    """

    folder: Path
    has_results: bool = False
    pictures: frozenset[str] = frozenset()

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Look at a results folder, which need not exist, and change nothing in it.

        Raises:
            OutputError: it holds a file where results go that no earlier run wrote, or
                something that is no file.
            OSError: it cannot be looked at.
        """
        check_kinds(folder)
        listed = _listed_in_results(folder / "results.json")
        if listed is None:
            for name in _WHOLE:
                if (folder / name).exists():
                    raise not_ours(folder / name)
        growing = _listed_in_growing(folder / GROWING[1])
        growing |= _listed_in_growing(folder / STOPPED[0])
        return cls(
            folder=folder,
            has_results=listed is not None,
            pictures=(listed or frozenset()) | growing,
        )

    def paths(self) -> frozenset[Path]:
        """The files of ours that may lie in the folder, resolved."""
        pictures = (self.folder / "pictures" / name for name in self.pictures)
        own = (self.folder / name for name in _OWN_FILES)
        return frozenset(path.resolve() for path in (*own, *pictures))


def check_kinds(folder: Path) -> None:
    """Make sure that no folder stands in a file's place, nor the other way round.

    Raises:
        OutputError: one does.
    """
    for name in _OWN_FILES:
        path = folder / name
        if path.exists() and not path.is_file():
            kind = "is a folder" if path.is_dir() else "is not an ordinary file"
            raise OutputError(
                f"{path}: the results cannot be written there (it {kind}). "
                "Choose another output folder, or move it away."
            )
    for path in (folder, folder / "pictures"):
        if path.exists() and not path.is_dir():
            raise OutputError(
                f"{path}: the results cannot be written there (it is not a folder). "
                "Choose another output folder."
            )


def _listed_in_results(path: Path) -> frozenset[str] | None:
    """Names of the pictures of a `results.json`, or `None` if it is not one of ours.

    It is read a line at a time: it may hold the maps of thousands of scans.
    """
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8") as lines:
            if not _is_our_head(lines):
                return None
            return frozenset(_pictures_in(lines))
    except (OSError, UnicodeDecodeError):
        return None


def _listed_in_growing(path: Path) -> frozenset[str]:
    """Names of the pictures that a run that was killed had noted."""
    if not path.is_file():
        return frozenset()
    try:
        with path.open(encoding="utf-8") as lines:
            return frozenset(_pictures_in(lines))
    except (OSError, UnicodeDecodeError):
        return frozenset()


def _is_our_head(lines: Iterator[str]) -> bool:
    """Read up to the results, and say whether bonescint wrote this."""
    head: list[str] = []
    length = 0
    for line in lines:
        if line.startswith(RESULTS_LINE):
            break
        head.append(line)
        length += len(line)
        if length > _LONGEST_HEAD:
            return False
    else:
        return False
    try:
        document = json_in("".join(head).rstrip().removesuffix(",") + "}")
    except ValueError:
        return False
    software = document.get("software") if isinstance(document, dict) else None
    return isinstance(software, dict) and "bonescint" in software and "schema_version" in document


def _pictures_in(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("{"):
            continue
        try:
            entry: Any = json_in(line.rstrip().removesuffix(","))
        except ValueError:  # the last line of a run that was killed
            continue
        if not isinstance(entry, dict):
            continue
        name = picture_name(str(entry.get("scan_id")))
        # Nothing but the name that a run would choose: what is listed may be removed.
        if entry.get("picture") == f"pictures/{name}":
            yield from (name, *layer_names(str(entry.get("scan_id"))))
