"""Find studies: search folders, archives and buckets, check headers, pair one-view files.

Only the header of each file is read, and a few short strings of it are kept, so the list may be
long. `pairing.py` decides which two one-view files become one study; a file without a partner is a
study with one view. Copies of a file that was found before are refused.

`discover` is three steps in a row: `listing.listed_files`, `examined`, which may be done by many
processes, and `grouped`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bonescint.dicom.checks import check_dicom_header
from bonescint.dicom.files import MAX_READS, file_size, opened, read_bytes, sha256
from bonescint.dicom.header import Header, LongHeaderError, parse, quiet
from bonescint.dicom.listing import listed_files
from bonescint.dicom.pairing import OneView, facts_of, pair, patient_is_known, time_of
from bonescint.dicom.pictures import looks_like_picture, picture_size
from bonescint.dicom.whole_body import MAX_ASPECT, MIN_ASPECT, MIN_ROWS, check_geometry
from bonescint.dicom.words import names_a_mask, view_in_path
from bonescint.parallel import WorkerPool
from bonescint.scan import BonescintError, InputError, NotABoneScanError, View

_MAGIC_BYTES = 512
_SHORT_READS = 6000
_LONG_HEADER_S = 60.0
_LEAVE_OUT = "Leave this file out"
_DICOMDIR = "1.2.840.10008.1.3.10"


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """The file, or the two one-view files, of one study.

    Attributes:
        files: one or two paths, anterior first where that is known.
        source: the path that is shown to the user.
        warnings: on how its files were paired, or why they were not.
        identifiers: a hash of the UIDs by which the scan is named; empty for what has none.
    """

    files: tuple[Path, ...]
    source: str
    warnings: tuple[str, ...] = ()
    identifiers: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a search found.

    Attributes:
        studies: in the order of the input, folders in sorted order.
        refused: files that are no bone scan, with the reason, in the same order.
    """

    studies: tuple[StudyFiles, ...]
    refused: tuple[InputError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file that may be a bone scan; `one_view` if it holds one view only."""

    path: Path
    size_bytes: int
    one_view: OneView | None
    study: str = ""
    instance: str = ""


def discover(sources: Sequence[Path | str]) -> Discovery:
    """Find the bone scans among files, folders, ZIP archives and objects in S3 buckets.

    Folders and archives are searched with everything below them, in sorted order; hidden files
    are skipped, and a folder that is reached twice (through symbolic links) is searched once.
    In a cohort's folder, recognised by its `manifest.csv`, only the listed scans are taken.

    Args:
        sources: files, folders, archives and addresses such as `s3://archive/nm`, in the order in
            which results are wanted.

    Returns:
        Studies to read and files refused; nothing is raised for a file.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> found = discover([get_testdata_file("JPGExtended.dcm", download=False), "missing.dcm"])
        >>> len(found.studies), str(found.refused[0])
        (1, 'missing.dcm: does not exist. Check the path.')
    """
    return grouped(examined(listed_files(sources)))


def examined(entries: Iterable[Path | InputError]) -> Iterator[Candidate | InputError]:
    """Each file with the facts of its header, or why it is not a bone scan; errors are passed on.

    Args:
        entries: from `listed_files`; any part of them, in any process.
    """
    with _Examiner() as examiner:
        for entry in entries:
            if isinstance(entry, InputError):
                yield entry
                continue
            try:
                yield examiner.examine(entry)
            except InputError as error:
                yield error


def grouped(entries: Iterable[Candidate | InputError]) -> Discovery:
    """Studies from all examined files: duplicates are refused, one-view files are paired.

    Args:
        entries: from `examined`, in the order of `listed_files`.
    """
    candidates: list[Candidate] = []
    refused: list[InputError] = []
    copies = _Copies()
    for entry in entries:
        try:
            if isinstance(entry, InputError):
                raise entry
            copies.refuse(entry)
        except InputError as error:
            refused.append(error)
        else:
            candidates.append(entry)
    return Discovery(studies=tuple(_studies(candidates)), refused=tuple(refused))


class _Examiner:
    """Checks files by their headers: short ones here, others in a process with a time limit.

    Parsing is bounded in either place. The process guards against the unforeseen: whatever a file
    does to it, the search continues. It is started when the first long header comes.
    """

    def __init__(self) -> None:
        self._resources = ExitStack()
        self._pool: WorkerPool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def examine(self, path: Path) -> Candidate:
        """Check one file by its header.

        Raises:
            InputError: it cannot be read, is no bone scan, takes too long to parse, or crashes
                the process that parses it.
        """
        try:
            return _examine(path, _SHORT_READS)
        except LongHeaderError:
            pass
        if self._pool is None:
            pool = WorkerPool(1, timeout_s=_LONG_HEADER_S, preload=__name__)
            self._pool = self._resources.enter_context(pool)
        try:
            return self._pool.submit(_examine, path, MAX_READS).result()
        except InputError:
            raise
        except BonescintError as error:
            raise InputError(path, f"its header cannot be read: {error}", _LEAVE_OUT) from None


def _examine(path: Path, reads: int) -> Candidate:
    """Check one file by its header.

    Args:
        path: path of the file.
        reads: largest number of reads while parsing.

    Raises:
        InputError: it cannot be read or is no bone scan; `LongHeaderError` if it needs more reads.
    """
    size_bytes = file_size(path)
    with opened(path) as stream, quiet():
        if looks_like_picture(stream.read(_MAGIC_BYTES)):
            stream.seek(0)
            return _examine_picture(picture_size(stream, path, reads=reads), path, size_bytes)
        return _examine_dicom(parse(stream, path, pixels=False, reads=reads), path, size_bytes)


def _examine_picture(size: tuple[int, int, int], path: Path, size_bytes: int) -> Candidate:
    if names_a_mask(path):
        raise NotABoneScanError(path, "is named as a mask or a label", "Leave it out")
    pages, rows, columns = size
    if pages == 2:
        check_geometry(rows, columns, None, str(path))
        return Candidate(path=path, size_bytes=size_bytes, one_view=None)
    view = view_in_path(path)
    one_view = view is not None  # a picture may yet turn out to hold both
    if view is None and rows > MAX_ASPECT / 2 * columns:
        check_geometry(rows, columns, None, str(path))
        raise unnamed_picture(path)
    if rows >= MIN_ASPECT * columns:
        check_geometry(rows, columns if one_view else columns // 2, None, str(path))
    elif columns > 2.4 * rows or rows < MIN_ROWS:  # wide ones may have empty sides
        check_geometry(rows, columns // 2, None, str(path))
    return Candidate(
        path=path,
        size_bytes=size_bytes,
        one_view=OneView(path=path, view=view, shape=(rows, columns)) if one_view else None,
    )


def unnamed_picture(path: Path) -> InputError:
    """The error for a picture of one body whose view is not stated anywhere."""
    return InputError(
        path,
        "nothing says which view this picture shows",
        "Name it *_anterior or *_posterior, or give AP and PA side by side",
    )


def _examine_dicom(header: Header, path: Path, size_bytes: int) -> Candidate:
    if _DICOMDIR in (header.media_class, header.text("SOPClassUID")) or (
        header.has("DirectoryRecordSequence")
    ):
        raise NotABoneScanError(path, "is a DICOMDIR, an index of files", "Search its folder")
    checked = check_dicom_header(header, path)
    if not header.has_pixel_data:
        raise InputError(path, "it has no pixel data", "Export or copy the file again")
    one_view = None
    if not checked.is_side_by_side and len(checked.decisions) == 1:
        decision = checked.decisions[0]
        one_view = OneView(
            path=path,
            view=decision.view if decision else None,
            facts=facts_of(header, checked),
            shape=(checked.layout.rows, checked.layout.columns),
            series=header.text("SeriesInstanceUID"),
            frame_of_reference=header.text("FrameOfReferenceUID"),
            time_s=time_of(header),
            patient_known=patient_is_known(header),
        )
    return Candidate(
        path=path,
        size_bytes=size_bytes,
        one_view=one_view,
        study=header.text("StudyInstanceUID"),
        instance=header.text("SOPInstanceUID"),
    )


class _Copies:
    """Finds files that are copies of earlier ones.

    Files with the same UID and size are compared by content, because some anonymisers give all
    files one UID. Each file is hashed at most once, and only if such a pair occurs.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, int], Path] = {}
        self._hashed: dict[tuple[str, int], dict[str, Path]] = {}

    def refuse(self, candidate: Candidate) -> None:
        """Refuse a file whose content was seen before.

        Raises:
            InputError: it is a copy, or can no longer be read.
        """
        if not candidate.instance:
            return
        key = candidate.instance, candidate.size_bytes
        first = self._first.setdefault(key, candidate.path)
        if first is candidate.path:
            return
        if key not in self._hashed:
            self._hashed[key] = {sha256(read_bytes(first)): first}
        digest = sha256(read_bytes(candidate.path))
        earlier = self._hashed[key].setdefault(digest, candidate.path)
        if earlier is not candidate.path:
            raise InputError(candidate.path, f"is a copy of {earlier}", "Leave one of them out")


def _studies(candidates: Sequence[Candidate]) -> Iterator[StudyFiles]:
    """Studies in the order of their first files."""
    places = [place for place, one in enumerate(candidates) if one.one_view is not None]
    pairs = pair([view for one in candidates if (view := one.one_view) is not None])
    partner = {places[one]: places[other] for one, other in pairs.partner.items()}
    warnings = {places[one]: text for one, text in pairs.warnings.items()}
    done: set[int] = set()
    for place, candidate in enumerate(candidates):
        if place in done:
            continue
        members = [candidate]
        if place in partner:
            done.add(partner[place])
            members.append(candidates[partner[place]])
            members.sort(key=_is_posterior)
        yield StudyFiles(
            files=tuple(member.path for member in members),
            source=_source_of(members),
            warnings=(warnings[place],) if place in warnings else (),
            identifiers=_identifiers(members),
        )


def _identifiers(members: Sequence[Candidate]) -> str:
    """A hash of what a `scan_id` is made of, if it is made of UIDs."""
    uids = [members[0].study, *sorted(member.instance for member in members)]
    return sha256("\n".join(uids).encode()) if all(uids) else ""


def _is_posterior(candidate: Candidate) -> bool:
    return candidate.one_view is not None and candidate.one_view.view is View.POSTERIOR


def _source_of(members: Sequence[Candidate]) -> str:
    first, *others = (member.path for member in members)
    names = [other.name if other.parent == first.parent else str(other) for other in others]
    return " + ".join([str(first), *names])
