"""What a run that was stopped had done already, so that the same command goes on.

The growing files of a run (`results.jsonl.partial`, `index.jsonl.partial`) stay when it is stopped
or killed. The next run sets them aside and takes from them each scan whose model, settings,
software and files are the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from bonescint.classify.results import ClassifiedScan, KnownTruth
from bonescint.files import json_in
from bonescint.scan import NormalRank

RECORDS, PAGE_ROWS = "results.jsonl", "index.jsonl"
STOPPED = tuple(f"{name}.stopped" for name in (RECORDS, PAGE_ROWS))
_RUN = "run"


def run_identity(facts: Mapping[str, Any]) -> str:
    """A hash of what must be the same for a scan to be taken over: model, settings, software."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def first_line(identity: str) -> str:
    """The line above the records of a run."""
    return json.dumps({_RUN: identity}) + "\n"


def is_record(line: str) -> bool:
    """Whether a line of the growing file is a scan's."""
    return not line.startswith(f'{{"{_RUN}":')


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedScan:
    """A scan that an earlier run had done.

    Attributes:
        record: its entry of `results.json`.
        page_row: what the page shows of it.
        read_as: its `scan_id` before it was told apart from others or named by the caller.
    """

    record: dict[str, Any]
    page_row: dict[str, Any]
    read_as: str

    @property
    def file_sha256(self) -> tuple[str, ...]:
        """Hashes of the files that it was read from."""
        return tuple(self.record["acquisition"]["file_sha256"])

    @property
    def result(self) -> ClassifiedScan:
        """Its row of `results.csv`."""
        fields = {name: self.record[name] for name in ClassifiedScan.__dataclass_fields__}
        lists = {name: tuple(fields[name]) for name in ("views", "warnings")}
        truth = fields["truth"] and KnownTruth(**fields["truth"])
        rank = NormalRank.from_json(fields["rank_among_normals"])
        return ClassifiedScan(**{**fields, **lists, "truth": truth, "rank_among_normals": rank})

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of its pictures."""
        layers = self.page_row["layers"] or {}
        names = (layers.get("grey"), layers.get("evidence"), Path(self.page_row["picture"]).name)
        return tuple(name for name in names if name)


class StoppedRun:
    """The scans that stopped runs left in a results folder; a place in a file for each.

    Args:
        folder: the results folder; the growing files that are there are set aside.
        identity: of the run that begins, see `run_identity`.

    Raises:
        OSError: they cannot be set aside.
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

    def scan(self, source: str) -> StoppedScan | None:
        """What is left of a source, if its pictures are there."""
        places = self._places.get(source)
        if places is None:
            return None
        record, row = (_line_at(file, at) for file, at in zip(self._files, places, strict=True))
        scan = StoppedScan(record=record, page_row=row["row"], read_as=row["read_as"])
        drawn = all((self._folder / "pictures" / name).is_file() for name in scan.pictures)
        return scan if drawn and scan.page_row["picture"] else None

    def forget(self) -> None:
        """Remove the files that were set aside: the new run is finished."""
        for file in self._files:
            file.close()
        for name in STOPPED:
            (self._folder / name).unlink(missing_ok=True)

    def _find(self, identity: str) -> None:
        """Note where the scans of runs of the same identity lie, the latest of each source."""
        records, page_rows = self._files
        rows = {
            row["row"]["scan_id"]: place
            for place, row in _lines(page_rows)
            if isinstance(row.get("row"), dict) and "read_as" in row
        }
        run = None
        for place, record in _lines(records):
            run = record.get(_RUN, run)
            if run == identity and record.get("scan_id") in rows and "acquisition" in record:
                self._places[str(record["source"])] = (place, rows[record["scan_id"]])


def _set_aside(growing: Path, aside: Path) -> None:
    """Add a growing file to those of runs that were stopped before."""
    if not growing.is_file():
        return
    if not aside.is_file():
        growing.replace(aside)
        return
    with growing.open("rb") as lines, aside.open("ab") as longer:
        longer.write(b"\n")  # what was there may end within a line
        shutil.copyfileobj(lines, longer)
    growing.unlink()


def _lines(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each whole line with its place; the last line of a run that was killed may be torn."""
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
