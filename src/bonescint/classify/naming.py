"""Names of files in the results: the name of a file or a folder can identify a patient.

Folders are often named after patients. Results give each path relative to what the user named. If
hashed, they contain no part of it, and a separate table, readable only by its owner, lists which
file is which.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from bonescint.dicom import Discovery
from bonescint.dicom.identity import keyed_hash
from bonescint.files import cannot_write, make_folder, write_table, write_whole
from bonescint.scan import InputError

_KEY_BYTES = 32
_LEAST_KEY = 16


class SourceNames:
    """Names of files and studies in the results.

    Args:
        names: by the path, or the paths of a study, as a search found them.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        # To find paths in a message quickly, however many paths there are.
        self._length = min(map(len, names), default=0)
        self._heads = {path[: self._length] for path in names}
        self._longest = max(map(len, names), default=0)

    @classmethod
    def relative(cls, found: Discovery, given: Sequence[Path | str]) -> Self:
        """Paths relative to what was given; a file that was given itself has its own name.

        A name that two files would share is preceded by the number of the source. Those that a
        manifest names outside of all sources, and thus by their last part alone, are numbered.

        Args:
            found: by a search.
            given: what was searched, in order.
        """
        numbers = {str(Path(source)): place for place, source in reversed([*enumerate(given, 1)])}
        told = {text: _below(paths, numbers) for text, paths in _paths_of(found).items()}
        often = Counter(name for _, name in told.values())
        names: dict[str, str] = {}
        taken: set[str] = set()
        repeats: Counter[str] = Counter()
        for text, (place, name) in told.items():
            unique = shared = name if often[name] == 1 else f"source {place}: {name}"
            while unique in taken:
                repeats[shared] += 1
                unique = f"{shared} ({repeats[shared] + 1})"
            taken.add(unique)
            names[text] = unique
        return cls(names)

    @classmethod
    def hashed(cls, found: Discovery, *, key: bytes) -> Self:
        """Keyed hashes of the whole paths: a file has the same name in every run.

        A hash without a secret key would hide nothing, because names of patients can be guessed.
        """

        def name(paths: tuple[Path, ...]) -> str:
            parts = [os.fsencode(path.absolute()) for path in paths]
            return f"file-{keyed_hash(parts, key=key, purpose='source')}"

        return cls({text: name(paths) for text, paths in _paths_of(found).items()})

    def of(self, source: object) -> str:
        """The name of a file or a study."""
        return self.names.get(str(source)) or self.clean(str(source))

    def clean(self, text: str) -> str:
        """A message in which paths are replaced by names.

        Examples:
            >>> names = SourceNames({"in/DOE JOHN/1": "DOE JOHN/1", "in/DOE JOHN/12": "file-3f"})
            >>> names.clean("is a copy of in/DOE JOHN/12 (same content)")
            'is a copy of file-3f (same content)'
        """
        cleaned: list[str] = []
        place = 0
        while place < len(text):
            path = self._path_at(text, place)
            cleaned.append(self.names[path] if path else text[place])
            place += len(path) or 1
        return "".join(cleaned)

    def _path_at(self, text: str, place: int) -> str:
        """The longest path, delimited like a word, at a position of a text."""
        if text[place : place + self._length] not in self._heads or not self._length:
            return ""
        if place and text[place - 1].isalnum():
            return ""
        for end in range(min(len(text), place + self._longest), place, -1):
            is_whole = end == len(text) or not text[end].isalnum()
            if is_whole and text[place:end] in self.names:
                return text[place:end]
        return ""


def content_sha256(file_sha256: Iterable[str]) -> str:
    """A hash of what a scan was read from, whatever the order and the names of its files."""
    return hashlib.sha256("".join(sorted(file_sha256)).encode()).hexdigest()


def _paths_of(found: Discovery) -> dict[str, tuple[Path, ...]]:
    """The files behind each text that names a source while it is read."""
    paths: dict[str, tuple[Path, ...]] = {}
    for study in found.studies:
        paths[study.source] = study.files
        paths.update({str(file): (file,) for file in study.files})
    for error in found.refused:
        paths.setdefault(error.source, (Path(error.source),))
    return paths


def _below(paths: tuple[Path, ...], numbers: Mapping[str, int]) -> tuple[int, str]:
    """The number of the source that contains a study, and the study's name relative to it."""
    first, *others = paths
    place, name = _one_below(first, numbers)
    for other in others:
        _, beside = _one_below(other, numbers)
        name += f" + {other.name if other.parent == first.parent else beside}"
    return place, name


def _one_below(path: Path, numbers: Mapping[str, int]) -> tuple[int, str]:
    holders = [
        (number, parent)
        for parent in (path, *path.parents)
        if (number := numbers.get(str(parent))) is not None
    ]
    if not holders:
        return 0, path.name
    number, holder = min(holders)
    relative = path.relative_to(holder)
    return number, str(relative) if relative.parts else path.name or str(path)


def private_folder(out: Path) -> Path:
    """The folder of the key and the table of sources: beside the results, never inside."""
    out = out.absolute()
    return out.with_name(f"{out.name}.private")


def hashed_names(found: Discovery, out: Path) -> SourceNames:
    """Keyed hashes of the paths; writes `sources.csv`, which lists which is which.

    The key, generated once, and the table are readable only by their owner, in `<out>.private`.

    Raises:
        OutputError: they cannot be written.
        InputError: the key was changed.
    """
    private = private_folder(out)
    make_folder(private, mode=0o700)
    file = private / "key"
    try:
        private.chmod(0o700)
        if not file.exists():
            _make_key(file)
        key = file.read_bytes().strip()
    except OSError as error:
        raise cannot_write(private, error) from error
    if len(key) < _LEAST_KEY:
        raise InputError(file, "no longer holds a key", "Delete it; files will then get new names")
    names = SourceNames.hashed(found, key=key)
    rows = [
        (name, os.fsencode(path).decode("utf-8", "backslashreplace"))
        for path, name in names.names.items()
    ]
    write_table(private / "sources.csv", ("source", "path"), rows, private=True)
    return names


def _make_key(file: Path) -> None:
    """Write a new key, unless another process (another shard) has just done so."""
    beside = file.with_name(f".{secrets.token_hex(8)}.key")
    write_whole(beside, secrets.token_hex(_KEY_BYTES) + "\n", private=True)
    try:
        with suppress(FileExistsError):
            os.link(beside, file)
    finally:
        beside.unlink()
