"""Read tables in text files, in the encodings and with the separators of all countries."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bonescint.scan import InputError, os_reason

SEPARATORS = (",", ";", "\t", "|")
_CHUNK = 1 << 20
_LONGEST_LINE = 4 << 20
_LOOKED_AT = 20
_END = "\x03"  # a row that no table has: swallowed if a quotation mark is open at the end
_SAID = re.compile(r"\s*\"?sep=([,;|\t])\"?\s*", re.IGNORECASE)
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = (
    "not UTF-8, so it was read as Windows-1252 (Western European): look at names with accents, or "
    "save it as UTF-8"
)
_NULS = "NUL characters at the ends of lines were ignored"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table as written.

    Attributes:
        number: as a spreadsheet counts rows, from 1.
        cells: as they stand.
    """

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A text file that is read one line at a time.

    Attributes:
        path: path of the file.
        encoding: as Python calls it.
        notes: how it was read, where its owner should know.
    """

    path: Path
    encoding: str
    notes: list[str]

    def lines(self) -> Iterator[str]:
        """Its lines, with their ends."""
        try:
            with self.path.open(encoding=self.encoding, newline="") as stream:
                while line := stream.readline(_LONGEST_LINE):
                    if len(line) == _LONGEST_LINE:
                        raise InputError(self.path, "has a line that is far too long", _GIVE)
                    yield self._without_nuls(line) if "\0" in line else line
        except (OSError, UnicodeError) as error:
            raise _unreadable(self.path, error) from error

    def _without_nuls(self, line: str) -> str:
        rest = line.rstrip("\0\x1a\r\n")
        if "\0" in rest:
            raise InputError(self.path, "not a readable table (it is not text)", _GIVE)
        if _NULS not in self.notes:
            self.notes.append(_NULS)
        return rest + "\n"

    def rows(self, score: Callable[[list[str]], int]) -> tuple[str, Iterator[Line]]:
        """Its rows, and what separates their cells.

        Args:
            score: how many columns that are looked for a row names; decides on the separator.
        """
        head = list(islice(self.lines(), _LOOKED_AT))
        said = _SAID.fullmatch(head[0].rstrip("\r\n")) if head else None
        if said:
            return said[1], self._parsed(said[1], skipped=1)
        separator = max(SEPARATORS, key=lambda one: _fit(head, one, score))
        return separator, self._parsed(separator, skipped=0)

    def _parsed(self, separator: str, *, skipped: int) -> Iterator[Line]:
        def ended() -> Iterator[str]:
            yield from islice(self.lines(), skipped, None)
            yield _END

        number = skipped
        row: list[str] = []
        try:
            for number, row in enumerate(csv.reader(ended(), delimiter=separator), skipped + 1):
                if row == [_END]:
                    return
                if not "".join(row).isspace() and any(row):
                    yield Line(number, tuple(row))
        except csv.Error as error:
            problem = f"row {number + 1}: not a readable table ({error})"
            raise InputError(self.path, problem, _GIVE) from error
        problem = f"row {number}: a quotation mark is not closed"
        raise InputError(self.path, problem, "Close it, or remove it")


_GIVE = "Give a table as CSV or .xlsx"


def open_text(path: Path) -> TextFile:
    """Find out in which encoding a text file is written.

    Raises:
        InputError: no such file, or no text of an encoding that can be told.
    """
    notes: list[str] = []
    try:
        with path.open("rb") as stream:
            encoding = _encoding(stream)
    except FileNotFoundError as error:
        raise InputError(path, "no such file", "Give the path of a table") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if not encoding:
        raise InputError(
            path, "not a readable table (not text in UTF-8, UTF-16 or Windows-1252)", _SAVE
        )
    if encoding == "cp1252":
        notes.append(_WESTERN)
    return TextFile(path=path, encoding=encoding, notes=notes)


_SAVE = "Save it as CSV in UTF-8, or as .xlsx"


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = os_reason(error) if isinstance(error, OSError) else "not text in its encoding"
    return InputError(path, f"not a readable table ({reason})", _GIVE)


def _encoding(stream: io.BufferedReader) -> str:
    start = stream.read(_CHUNK)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if b"\0" in start.rstrip(b"\0"):
        return _without_mark(start[:4096])
    utf8, western = codecs.getincrementaldecoder("utf-8")(), True
    chunk, whole = start, True
    while chunk or whole:
        whole = bool(chunk)
        if utf8 is not None:
            try:
                utf8.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                utf8 = None  # type: ignore[assignment]
        western = western and _is_western(chunk)
        if utf8 is None and not western:
            return ""
        chunk = stream.read(_CHUNK)
    return "utf-8" if utf8 is not None else "cp1252"


def _without_mark(start: bytes) -> str:
    """UTF-16 without a mark: of separators and digits every other byte is 0."""
    even, odd = start[0::2].count(0), start[1::2].count(0)
    most = len(start) // 2 or 1
    if odd / most > 0.2 > 0.02 > even / most:
        return "utf-16-le"
    return "utf-16-be" if even / most > 0.2 > 0.02 > odd / most else ""


def separator_of(lines: Iterable[str]) -> str:
    """The separator of the first line that has one; a comma if no line has.

    Examples:
        >>> separator_of(["reader;rating", "A;2,5"]), separator_of(["a,b"])
        (';', ',')
    """
    for line in lines:
        counted = {one: line.count(one) for one in (";", "\t", "|", ",")}
        if any(counted.values()):
            return max(counted, key=lambda one: counted[one])
    return ","


# In Western text a letter with an accent stands among plain ones, and no sign stands in a word.
# Cyrillic, Greek and others make whole words of these bytes; DOS and old Macs use other ones.
_STRANGE = re.compile(
    rb"[\xc0-\xff]{4}|[\x81\x83\x86-\x90\x98-\x9f]|[A-Za-z\xc0-\xff][\xa1-\xa9\xab-\xb6\xb8\xb9"
    rb"\xbb-\xbf][A-Za-z\xc0-\xff]"
)


def _is_western(chunk: bytes) -> bool:
    return chunk.isascii() or _STRANGE.search(chunk) is None


def _fit(head: list[str], separator: str, score: Callable[[list[str]], int]) -> tuple[int, int]:
    """How well a separator fits the first lines: columns that are looked for, then its number.

    Of those that fit alike the comma is taken; a country with decimal commas has semicolons, so
    commas count less than the others do.
    """
    named = first = 0
    for line in head:
        try:
            cells = next(csv.reader([line], delimiter=separator), [])
        except csv.Error:
            continue
        named = max(named, score(cells))
        first = first or line.count(separator)
    return named, first if separator != "," else first // 2
