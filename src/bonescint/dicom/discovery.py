"""Paths to studies: folders searched, headers checked, one-view files paired.

Only the start of each file is read. What is kept of it is a few short strings, so the list
may be long. Two one-view DICOM files become one study in this order of evidence:

1. same study, series and acquisition time, and they are the only two such files, or the only
   anterior and posterior one (also when both claim the same view: reading then says so);
2. same folder and the same name but for the view (`p1_ANT001.dcm`, `p1_POST001.dcm`), in one
   study, one anterior and one posterior;
3. same study and the only anterior and posterior file of it: some exports give each view a
   series of its own.

A file that finds no partner is a study with one view. Files with the content of one that was
found before are refused as copies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bonescint.dicom.checks import check_dicom_header
from bonescint.dicom.files import file_size, read_bytes, sha256
from bonescint.dicom.header import Header, parse, quiet
from bonescint.dicom.pictures import looks_like_picture, picture_size
from bonescint.dicom.whole_body import MAX_ASPECT, MIN_ASPECT, MIN_ROWS, check_geometry
from bonescint.dicom.words import names_a_mask, pair_key, view_in_path
from bonescint.scan import InputError, NotABoneScanError, View

_HEADER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """The file, or the two one-view files, of one study.

    Attributes:
        files: one or two paths, anterior first where that is known.
        source: the path that is shown to the user.
    """

    files: tuple[Path, ...]
    source: str


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
class _Candidate:
    """A file that may be a bone scan, with what pairing needs to know of it."""

    path: Path
    view: View | None
    view_count: int
    kind: str
    size_bytes: int
    study: str = ""
    series: str = ""
    time: str = ""
    patient: str = ""
    instance: str = ""


def discover(sources: Sequence[Path | str]) -> Discovery:
    """Find the bone scans among files and folders.

    Folders are searched with everything below them, in sorted order; hidden files are passed
    over, and a folder that is reached twice (through symbolic links) is searched once.

    Args:
        sources: files and folders, in the order in which results are wanted.

    Returns:
        Studies to read and files refused; nothing is raised for a file.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> found = discover([get_testdata_file("JPGExtended.dcm", download=False), "missing.dcm"])
        >>> len(found.studies), str(found.refused[0])
        (1, 'missing.dcm: does not exist (any more). Check the path.')
    """
    candidates: list[_Candidate] = []
    refused: list[InputError] = []
    instances: dict[str, list[_Candidate]] = defaultdict(list)
    for entry in _walk(sources):
        if isinstance(entry, InputError):
            refused.append(entry)
            continue
        try:
            candidate = _examine(entry)
            _refuse_copy(candidate, instances)
        except InputError as error:
            refused.append(error)
        else:
            candidates.append(candidate)
    return Discovery(studies=tuple(_studies(candidates)), refused=tuple(refused))


def _walk(sources: Sequence[Path | str]) -> Iterator[Path | InputError]:
    visited: set[tuple[int, int]] = set()
    seen: set[str] = set()
    for source in sources:
        path = Path(source)
        entries = _files_below(path, visited) if _is_folder(path) else iter([path])
        for entry in entries:
            if str(entry) not in seen:
                seen.add(str(entry))
                yield entry


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _files_below(folder: Path, visited: set[tuple[int, int]]) -> Iterator[Path | InputError]:
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            entries = sorted(e for e in current.iterdir() if not e.name.startswith("."))
        except OSError as error:
            reason = error.strerror or "unknown reason"
            yield InputError(
                current, f"the folder cannot be searched ({reason})", "Check its rights"
            )
            continue
        folders = []
        for entry in entries:
            if _is_folder(entry):
                folders.append(entry)
            else:
                yield entry
        pending.extend(reversed(folders))


def _examine(path: Path) -> _Candidate:
    """Check one file by its start.

    Raises:
        InputError: it cannot be read or is no bone scan.
    """
    size_bytes = file_size(path)
    content = read_bytes(path, limit=_HEADER_BYTES)
    with quiet():
        if looks_like_picture(content):
            return _examine_picture(content, path, size_bytes)
        header = parse(content, path, pixels=False)
        if not header.has_pixel_data and size_bytes > len(content):
            header = parse(read_bytes(path), path, pixels=False)
        return _examine_dicom(header, path, size_bytes)


def _examine_picture(content: bytes, path: Path, size_bytes: int) -> _Candidate:
    if names_a_mask(path):
        raise NotABoneScanError(path, "is named as a mask or a label", "Leave it out")
    rows, columns = picture_size(content, path)
    view = view_in_path(path)
    one_view = view is not None  # a picture may yet turn out to hold both
    if view is None and rows > MAX_ASPECT / 2 * columns:
        check_geometry(rows, columns, None, str(path))
        raise unnamed_picture(path)
    if rows >= MIN_ASPECT * columns:
        check_geometry(rows, columns if one_view else columns // 2, None, str(path))
    elif columns > 2.4 * rows or rows < MIN_ROWS:  # wide ones may have empty sides
        check_geometry(rows, columns // 2, None, str(path))
    return _Candidate(
        path=path,
        view=view,
        view_count=1 if one_view else 2,
        kind="picture",
        size_bytes=size_bytes,
    )


def unnamed_picture(path: Path) -> InputError:
    """The error for a picture of one body whose view nothing tells."""
    return InputError(
        path,
        "nothing tells which view this picture shows",
        "Name it *_anterior or *_posterior, or give AP and PA side by side",
    )


def _examine_dicom(header: Header, path: Path, size_bytes: int) -> _Candidate:
    if header.items("DirectoryRecordSequence"):
        raise NotABoneScanError(path, "is a DICOMDIR, an index of files", "Search its folder")
    checked = check_dicom_header(header, path)
    if not header.has_pixel_data:
        raise InputError(path, "it has no pixel data", "Export or copy the file again")
    view_count = 2 if checked.is_side_by_side else len(checked.decisions)
    decision = checked.decisions[0]
    return _Candidate(
        path=path,
        view=decision.view if decision and view_count == 1 else None,
        view_count=view_count,
        kind="dicom",
        size_bytes=size_bytes,
        study=header.text("StudyInstanceUID"),
        series=header.text("SeriesInstanceUID"),
        time=f"{header.text('AcquisitionDate')} {header.text('AcquisitionTime')[:6]}",
        patient=header.text("PatientID"),
        instance=header.text("SOPInstanceUID"),
    )


def _refuse_copy(candidate: _Candidate, instances: dict[str, list[_Candidate]]) -> None:
    """Raise for a file whose content was seen before.

    Content is compared, and only where UIDs agree: some anonymisers give all files one UID.
    """
    if not candidate.instance:
        return
    earlier = instances[candidate.instance]
    for other in earlier:
        if other.size_bytes == candidate.size_bytes and (
            sha256(read_bytes(other.path)) == sha256(read_bytes(candidate.path))
        ):
            raise InputError(candidate.path, f"is a copy of {other.path}", "Leave one of them out")
    earlier.append(candidate)


def _studies(candidates: Sequence[_Candidate]) -> Iterator[StudyFiles]:
    """Studies in the order of their first files."""
    partner = _partners(candidates)
    done: set[int] = set()
    for place, candidate in enumerate(candidates):
        if place in done:
            continue
        members = [candidate]
        if place in partner:
            done.add(partner[place])
            members.append(candidates[partner[place]])
            members.sort(key=lambda member: member.view is View.POSTERIOR)
        yield StudyFiles(files=tuple(member.path for member in members), source=_source_of(members))


def _source_of(members: Sequence[_Candidate]) -> str:
    first, *others = (member.path for member in members)
    names = [other.name if other.parent == first.parent else str(other) for other in others]
    return " + ".join([str(first), *names])


def _partners(candidates: Sequence[_Candidate]) -> dict[int, int]:
    """For each paired file's place the place of its partner."""
    partner: dict[int, int] = {}

    def pair_up(group_of: Callable[[_Candidate], Hashable | None], *, views_needed: bool) -> None:
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for place, candidate in enumerate(candidates):
            group = group_of(candidate) if candidate.view_count == 1 else None
            if group is not None and place not in partner:
                groups[group].append(place)
        for places in groups.values():
            pair = _pair_in(candidates, places, views_needed=views_needed)
            if pair:
                partner[pair[0]], partner[pair[1]] = pair[1], pair[0]

    pair_up(_by_time, views_needed=False)
    pair_up(_by_name, views_needed=True)
    pair_up(_by_study, views_needed=True)
    return partner


def _pair_in(
    candidates: Sequence[_Candidate], places: Sequence[int], *, views_needed: bool
) -> tuple[int, int] | None:
    by_view: dict[View | None, list[int]] = defaultdict(list)
    for place in places:
        by_view[candidates[place].view].append(place)
    if len(by_view[View.ANTERIOR]) == len(by_view[View.POSTERIOR]) == 1 and not by_view[None]:
        return by_view[View.ANTERIOR][0], by_view[View.POSTERIOR][0]
    if len(places) == 2 and not views_needed:
        return places[0], places[1]
    return None


def _by_time(candidate: _Candidate) -> Hashable | None:
    if candidate.kind != "dicom" or not candidate.study or not candidate.time.strip():
        return None
    return candidate.study, candidate.patient, candidate.series, candidate.time


def _by_name(candidate: _Candidate) -> Hashable | None:
    return candidate.kind, candidate.study, candidate.patient, *pair_key(candidate.path)


def _by_study(candidate: _Candidate) -> Hashable | None:
    if candidate.kind != "dicom" or not candidate.study:
        return None
    return candidate.study, candidate.patient
