"""What an earlier run left in a results folder: its files, and the scans that it had finished.

The growing files of a run (`results.jsonl.partial`, `index.jsonl.partial`) stay when it is
interrupted or killed. The next run sets them aside and takes from them each scan whose model,
settings, software and files are the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from bonescint.classify.delivery import DICOM_FOLDER, FHIR_FOLDER
from bonescint.classify.results import ClassifiedScan, KnownTruth
from bonescint.classify.stored import head_of
from bonescint.classify.table import TABLE_NAME
from bonescint.dicom.results import ResultKind, object_name
from bonescint.files import json_in, not_ours
from bonescint.scan import NormalRank, OutputError

RECORDS, PAGE_ROWS = "results.jsonl", "index.jsonl"
STOPPED = tuple(f"{name}.stopped" for name in (RECORDS, PAGE_ROWS))
_RUN = "run"


def run_identity(facts: Mapping[str, Any]) -> str:
    """A hash of what must be the same for a scan to be kept: model, settings, software."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def first_line(identity: str) -> str:
    """The line before the records of a run."""
    return json.dumps({_RUN: identity}) + "\n"


def is_record(line: str) -> bool:
    """Whether a line of the growing file is the record of a scan."""
    return not line.startswith(f'{{"{_RUN}":')


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedScan:
    """A scan that an interrupted run had finished.

    Attributes:
        record: its entry of `results.json`.
        page_row: its row of the page.
        read_as: its `scan_id` before it was made unique or replaced by the caller's.
        read_from: `steps.reading_sha256` of its study.
    """

    record: dict[str, Any]
    page_row: dict[str, Any]
    read_as: str
    read_from: str

    @property
    def file_sha256(self) -> tuple[str, ...]:
        """Hashes of the files that it was read from."""
        return tuple(self.record["acquisition"]["file_sha256"])

    @property
    def result(self) -> ClassifiedScan:
        """Its row of `results.csv`."""
        fields = {name: self.record[name] for name in ClassifiedScan.__dataclass_fields__}
        lists = {name: tuple(fields[name]) for name in ("views", "warnings", "objects")}
        truth = fields["truth"] and KnownTruth(**fields["truth"])
        rank = NormalRank.from_json(fields["rank_among_normals"])
        return ClassifiedScan(**{**fields, **lists, "truth": truth, "rank_among_normals": rank})

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of its pictures."""
        layers = self.page_row["layers"] or {}
        names = (layers.get("grey"), layers.get("evidence"), Path(self.page_row["picture"]).name)
        return tuple(name for name in names if name)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of its pictures and objects, relative to the results folder."""
        objects = self.page_row["objects"]
        return (*(f"pictures/{name}" for name in self.pictures), *map(str, objects))


class InterruptedRun:
    """Looks up the scans that interrupted runs had finished in a results folder.

    Args:
        folder: the results folder; its growing files are set aside.
        identity: identity of the new run, see `run_identity`.

    Raises:
        OSError: the growing files cannot be set aside.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder
        self._files: tuple[BinaryIO, ...] = ()
        self._places: dict[str, tuple[int, int]] = {}
        for name, aside in zip((RECORDS, PAGE_ROWS), STOPPED, strict=True):
            _set_aside(folder / f"{name}.partial", folder / aside)
        if all((folder / aside).is_file() for aside in STOPPED):
            records, page_rows = (folder / aside for aside in STOPPED)
            self._files = records.open("rb"), page_rows.open("rb")
            self._find(identity)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files:
            file.close()

    def scan(self, source: str, *, pictures: bool) -> InterruptedScan | None:
        """The finished scan of a source, or `None` if there is none or its pictures are missing.

        Args:
            source: the source.
            pictures: whether pictures are wanted.
        """
        places = self._places.get(source)
        if places is None:
            return None
        record, row = (_line_at(file, at) for file, at in zip(self._files, places, strict=True))
        scan = InterruptedScan(
            record=record,
            page_row=row["row"],
            read_as=row["read_as"],
            read_from=row["read_from"],
        )
        drawn = all((self._folder / name).is_file() for name in scan.files)
        return scan if drawn and (scan.page_row["picture"] or not pictures) else None

    def forget(self) -> None:
        """Remove the files that were set aside, because the new run has finished."""
        for file in self._files:
            file.close()
        for name in STOPPED:
            (self._folder / name).unlink(missing_ok=True)

    def _find(self, identity: str) -> None:
        """Find the scans of runs with the same identity; the latest for each source.

        What came before a run of another identity does not count: that run may have drawn any scan
        anew.
        """
        records, page_rows = self._files
        rows = {
            row["row"]["scan_id"]: place
            for place, row in _lines(page_rows)
            if isinstance(row.get("row"), dict) and "read_as" in row and "read_from" in row
        }
        run = None
        for place, record in _lines(records):
            run = record.get(_RUN, run)
            if run != identity:
                self._places.clear()
            elif record.get("scan_id") in rows and "acquisition" in record:
                self._places[str(record["source"])] = (place, rows[record["scan_id"]])


def _set_aside(growing: Path, aside: Path) -> None:
    """Rename a growing file, or append it to the one that was set aside before."""
    if not growing.is_file():
        return
    if not aside.is_file():
        growing.replace(aside)
        return
    with growing.open("rb") as lines, aside.open("ab") as longer:
        longer.write(b"\n")  # the existing file may end in the middle of a line
        shutil.copyfileobj(lines, longer)
    growing.unlink()


def _lines(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each complete line with its offset; the last line of a killed run may be incomplete."""
    file.seek(0)
    place = 0
    for line in file:
        try:
            content = json_in(line)
        except ValueError:
            content = None
        if isinstance(content, dict):
            yield place, content
        place += len(line)


def _line_at(file: BinaryIO, place: int) -> dict[str, Any]:
    file.seek(place)
    content: dict[str, Any] = json_in(file.readline())
    return content


GROWING = ("results.csv.partial", f"{RECORDS}.partial", f"{PAGE_ROWS}.partial")
_WHOLE = ("results.csv", "results.json", "index.html", TABLE_NAME)
_OWN_FILES = (*_WHOLE, *GROWING, *STOPPED)
_HARMLESS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


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
    """File names of the two pictures that the page shows one over the other: counts and evidence.

    Examples:
        >>> layer_names("bs-46ec70df0e49a6d6")[1]
        'bs-46ec70df0e49a6d6.evidence.webp'
    """
    stem = picture_name(scan_id).removesuffix(".png")
    return f"{stem}.grey.webp", f"{stem}.evidence.webp"


def object_names(scan_id: str) -> tuple[str, ...]:
    """Paths of all that may be written of a scan for other systems, in the results folder.

    Examples:
        >>> object_names("bs-46ec70df0e49a6d6")[0]
        'dicom/bs-46ec70df0e49a6d6.picture.dcm'
    """
    stem = picture_name(scan_id).removesuffix(".png")
    objects = (f"{DICOM_FOLDER}/{object_name(stem, kind)}" for kind in ResultKind)
    return (*objects, f"{FHIR_FOLDER}/{stem}.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRun:
    """The files that an earlier run wrote to a folder.

    Attributes:
        folder: the results folder.
        has_results: whether it finished and left a `results.json`.
        pictures: file names of its pictures in the folder `pictures`.
        objects: paths, relative to the folder, of what it may have written for other systems.
    """

    folder: Path
    has_results: bool = False
    pictures: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Examine a results folder, which need not exist, without changing it.

        Raises:
            OutputError: a place of the results is taken by a file that no earlier run wrote, or by
                something that is not a file.
            OSError: it cannot be read.
        """
        check_kinds(folder)
        listed = _listed_in_results(folder / "results.json")
        if listed is None:
            for name in _WHOLE:
                if (folder / name).exists():
                    raise not_ours(folder / name)
        growing = _listed_in_growing(folder / GROWING[1])
        growing |= _listed_in_growing(folder / STOPPED[0])
        pictures = (listed or frozenset()) | growing
        stems = [name.removesuffix(".png") for name in pictures if name.endswith(".png")]
        return cls(
            folder=folder,
            has_results=listed is not None,
            pictures=pictures,
            objects=frozenset(name for stem in stems for name in object_names(stem)),
        )

    def paths(self) -> frozenset[Path]:
        """The resolved paths of all files that may be results."""
        pictures = (self.folder / "pictures" / name for name in self.pictures)
        own = (self.folder / name for name in (*_OWN_FILES, *self.objects))
        return frozenset(path.resolve() for path in (*own, *pictures))


def check_kinds(folder: Path) -> None:
    """Check that no results file would replace a folder, and no folder a file.

    Raises:
        OutputError: one would.
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
    """Names of the pictures of a `results.json`, or `None` if bonescint did not write it.

    It is read line by line, because it may hold the maps of thousands of scans.
    """
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8") as lines:
            if head_of(lines) is None:
                return None
            return frozenset(_pictures_in(lines))
    except (OSError, UnicodeDecodeError):
        return None


def _listed_in_growing(path: Path) -> frozenset[str]:
    """Names of the pictures that a killed run had recorded."""
    if not path.is_file():
        return frozenset()
    try:
        with path.open(encoding="utf-8") as lines:
            return frozenset(_pictures_in(lines))
    except (OSError, UnicodeDecodeError):
        return frozenset()


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
        # Only the name that a run would choose, since listed files may be removed.
        if entry.get("picture") == f"pictures/{name}":
            yield from (name, *layer_names(str(entry.get("scan_id"))))
