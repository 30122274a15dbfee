"""Files and folders that exist whole or not at all, and have one writer at a time."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import secrets
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bonescint.locks import held
from bonescint.scan import OutputError, os_reason

LOCK = ".bonescint.lock"
"""File in a folder that is written to; it goes when the writer is done."""

# Letters of a folder's name in that of the place beside it, which must not be too long.
_SHOWN = 40
# With these a spreadsheet takes a cell for a formula; full-width ones do in some languages.
_FORMULA = re.compile(r"['\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?%?|[+-](inf|nan)", re.IGNORECASE)
# What people write as '000101, so that a spreadsheet keeps its zeros.
_KEPT_AS_TEXT = re.compile(r"'['\s]*[\w./:,%+-]*\d[\w./:,%+-]*")
OF_THE_SYSTEM = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that a system's file manager leaves in any folder that is looked at."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Of a disk, a quota, or a limit on the size of files."""
DAMAGED_NPZ = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy raises for an npz file that is damaged, of another kind, or lacks an array."""
_HEAD = 65536


@contextmanager
def written_beside(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Give a path beside a file; what is written there is then renamed into the file's place.

    Anybody who reads meanwhile, or after a kill, finds the earlier file or the whole new one. If
    the block fails, nothing of it is left. The path is hidden, ends in `.part` and has a name that
    no other process uses.

    Args:
        path: path of the file; its folder must exist.
        private: only its owner may read it, from its first byte on.

    Raises:
        OutputError: the system refuses to write.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder) / "table.csv"
        ...     with written_beside(table) as beside:
        ...         _ = beside.write_text("a,b")
        ...         table.exists()
        ...     table.read_text()
        False
        'a,b'
    """
    # Without the file's own name, which may be as long as a name can be.
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            if private:
                beside.touch(mode=0o600)
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_whole(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file to a temporary path, then rename it into place; text as UTF-8.

    Args:
        path: path of the file; its folder must exist.
        content: all of it.
        private: only its owner may read it.

    Raises:
        OutputError: the system refuses to write.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(Path(folder) / "notice.txt", "Research use only.")
        ...     (Path(folder) / "notice.txt").read_text()
        'Research use only.'
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with written_beside(path, private=private) as beside:
        beside.write_bytes(data)


def write_table(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    line_end: str = "\n",
    private: bool = False,
) -> None:
    """Write a CSV file to a temporary path, then rename it into place; no cell is a formula.

    Args:
        path: path of the file; its folder must exist.
        columns: their names, the first line.
        rows: the others, one cell per column; see `inert`.
        line_end: what ends a line.
        private: only its owner may read it, from its first byte on.

    Raises:
        OutputError: the system refuses to write.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_table(Path(folder) / "table.csv", ("scan_id", "label"), [("bs-1", 1)])
        ...     (Path(folder) / "table.csv").read_text().splitlines()
        ['scan_id,label', 'bs-1,1']
    """
    with (
        written_beside(path, private=private) as beside,
        beside.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream, lineterminator=line_end)
        writer.writerow(map(inert, columns))
        writer.writerows(map(inert, row) for row in rows)


def inert(cell: object) -> object:
    """A cell that no spreadsheet executes: text like a formula gets an apostrophe before it.

    Numbers stay, also those that are text already; carriage returns become line feeds.
    `bonescint.tables` takes the apostrophe off again. Source: OWASP, CSV Injection (https://owasp.org/www-community/attacks/CSV_Injection).

    Examples:
        >>> [inert(cell) for cell in ("=1+1", "-0.5", -0.5, "@SUM(1)", "Meier")]
        ["'=1+1", '-0.5', -0.5, "'@SUM(1)", 'Meier']
    """
    if not isinstance(cell, str):
        return cell
    # `csv` quotes a line feed, but not every carriage return: it would begin a row of its own.
    text = re.sub(r"\r\n?", "\n", cell)
    return f"'{text}" if _is_marked(text) or _runs(text) else text


def from_inert(text: str) -> str:
    """Undo `inert`, or the apostrophe that a person typed before a text.

    Examples:
        >>> from_inert("'=1+1"), from_inert("'000101"), from_inert("'s-Gravenhage")
        ('=1+1', '000101', "'s-Gravenhage")
    """
    return text[1:] if _is_marked(text) else text


def _runs(text: str) -> bool:
    return bool(_FORMULA.match(text)) and not _NUMBER.fullmatch(text)


def _is_marked(text: str) -> bool:
    """Whether an apostrophe before a text says that it is text, and is no part of it."""
    bare = text.strip()
    return bare.startswith("'") and bool(_FORMULA.match(bare) or _KEPT_AS_TEXT.fullmatch(bare))


@contextmanager
def folder_beside(path: Path, *, mode: int = 0o755, replacing: bool = False) -> Iterator[Path]:
    """Give a folder to fill beside a place; at the end it is renamed into that place.

    If the block fails, nothing of it is left. A second process that wants to fill the same place is
    refused.

    Args:
        path: path of the folder to write; the folders above it are made.
        mode: who may read it in the end; while it is filled only its owner may.
        replacing: an earlier folder there goes, once the new one is whole; otherwise only an
            empty one does.

    Raises:
        OutputError: the system refuses to write, or the place is taken.

    Examples:
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with folder_beside(Path(place) / "new") as beside:
        ...         write_whole(beside / "notice.txt", "Research use only.")
        ...         (Path(place) / "new").exists()
        ...     sorted(file.name for file in (Path(place) / "new").iterdir())
        False
        ['notice.txt']
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with held(path.with_name(f".{path.name[:_SHOWN]}.lock"), path):
            beside = Path(tempfile.mkdtemp(prefix=f".{path.name[:_SHOWN]}-", dir=path.parent))
            try:
                yield beside
                beside.chmod(mode)
                if path.exists() and replacing:
                    _exchange(path, beside)
                else:
                    if path.exists():
                        path.rmdir()
                    beside.replace(path)
            except OutputError as error:  # of a file in it: named as it would have been
                raise OutputError(str(error).replace(str(beside), str(path))) from error
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _exchange(path: Path, beside: Path) -> None:
    """Put a folder in the place of another, which comes back if that fails."""
    old = Path(tempfile.mkdtemp(prefix=f".{path.name[:_SHOWN]}-old-", dir=path.parent))
    try:
        path.replace(old / "was")
        beside.replace(path)
    finally:
        if not path.exists():
            (old / "was").replace(path)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold a folder that this process writes into; a second writer is refused at once.

    A lock file in the folder says which process writes, on which host. The system itself
    releases the lock of a process that ends, however it ends (`flock`): the next writer then
    takes over and a line of the log says so. A lock that a process on another host left is
    reported and refused, because not every network file system knows whether that process runs.

    Args:
        folder: made if it is not there, and removed again if the block leaves it empty.

    Raises:
        OutputError: another process writes there, or the folder cannot be written to.

    Examples:
        >>> with tempfile.TemporaryDirectory() as place, one_writer(Path(place)):
        ...     with one_writer(Path(place)):
        ...         pass
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.OutputError: ... is writing there. Wait until it has finished, or \
choose another folder.
    """
    new = not folder.exists()
    make_folder(folder)
    try:
        with ExitStack() as lock:
            try:
                lock.enter_context(held(folder / LOCK, folder))
            except OSError as error:
                raise cannot_write(folder, error) from error
            yield
    finally:
        if new:
            with suppress(OSError):  # something was written
                folder.rmdir()


def make_folder(path: Path, *, mode: int = 0o777) -> None:
    """Make a folder and those above it, unless it is there.

    Args:
        path: path of the folder.
        mode: who may enter it, minus what the process' mask forbids.

    Raises:
        OutputError: the system refuses to make it.
    """
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def require_free(path: Path, *, remedy: str = "Choose another place") -> None:
    """Make sure that a folder can be made: nothing is there, or an empty folder.

    Raises:
        OutputError: something is.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path}: exists already. {remedy}.")


def require_own(folder: Path, names: Iterable[str], *, mark: str, signature: str) -> None:
    """Make sure that nothing is overwritten that an earlier run did not write.

    Args:
        folder: folder of results; it need not exist.
        names: names of the files and folders in it that will be written. Empty folders are free.
        mark: the first of them that a run writes.
        signature: text that stands at the beginning of one that a run wrote.

    Raises:
        OutputError: one of them is there, and `mark` is missing or somebody else's.
    """
    try:
        with (folder / mark).open("rb") as stream:
            if signature.encode() in stream.read(_HEAD):
                return
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        pass
    except OSError as error:
        raise cannot_write(folder, error) from error
    for name in names:
        path = folder / name
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise not_ours(path)


def not_ours(path: Path) -> OutputError:
    """The error for a file in the place of results."""
    return OutputError(
        f"{path}: this {'folder' if path.is_dir() else 'file'} is not from an earlier run of "
        "bonescint and would be overwritten. Choose another output folder, or move it away."
    )


def require_new(*paths: Path | None) -> None:
    """Make sure that no file is overwritten, before the work that makes it begins.

    Raises:
        OutputError: a file is there.
    """
    for path in paths:
        if path is not None and os.path.lexists(path):
            raise OutputError(f"{path}: exists already. Choose another place.")


def json_in(text: str | bytes) -> Any:
    """Parse JSON from a file that somebody else may have written.

    Raises:
        ValueError: it is no JSON, or nested too deeply.

    Examples:
        >>> json_in('{"count": 2}')
        {'count': 2}
        >>> json_in("[" * 100_000)
        Traceback (most recent call last):
        ...
        ValueError: nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error that says where nothing can be written, why, and what to do.

    Examples:
        >>> print(cannot_write(Path("out"), OSError(errno.ENOSPC, "No space left on device")))
        out: cannot be written (No space left on device). Free some space or choose another place.
    """
    full = error.errno in FULL
    remedy = "Free some space or choose another place" if full else "Choose another place"
    return OutputError(f"{path}: cannot be written ({os_reason(error)}). {remedy}.")
