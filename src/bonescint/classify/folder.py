"""The results folder: rows are written one by one, and complete files at the end.

While a batch runs, `results.csv.partial` and `results.jsonl.partial` grow by a line per scan, so
that a killed process loses nothing it had finished: the next run resumes from them. At the end they
become `results.csv`, `results.json` and `index.html`, each renamed into place; nothing is held in
memory.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from bonescint.classify.earlier import (
    GROWING,
    EarlierRun,
    InterruptedRun,
    InterruptedScan,
    check_kinds,
    first_line,
    is_record,
    layer_names,
    picture_name,
)
from bonescint.classify.results import ClassifiedScan, KnownTruth, Refusal
from bonescint.classify.stored import RESULTS_LINE, stored_records
from bonescint.classify.table import TABLE_NAME, RunFacts, write_records
from bonescint.files import cannot_write, inert, json_in, one_writer, written_beside
from bonescint.report import (
    PageHeading,
    PageLayers,
    RefusedRow,
    ResultRow,
    displayable,
    write_results_page,
)
from bonescint.scan import Call, NormalRank

CSV_COLUMNS = (
    "scan_id",
    "source",
    "views",
    "mbd_probability",
    "call",
    "positive",
    "uncertain",
    "ood_score",
    "unlike",
    "rank_among_normals",
    "conformal_p_value",
    "warnings",
    "picture",
)


def csv_writer(stream: TextIO) -> Callable[[ClassifiedScan], object]:
    """Write the first line of `results.csv`; gives a function that writes the line of a scan."""
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(CSV_COLUMNS)
    return lambda result: table.writerow(map(inert, _csv_row(result)))


class ResultsFolder:
    """A folder for results; once it is open, it exists and can be written to.

    Args:
        path: path of the folder; made with its parents if it does not exist.
        identity: identity of the run (`run_identity`): finished scans of an interrupted run are
            kept if its identity is the same.

    Attributes:
        path: path of the folder.
        earlier: the earlier run in it.
        interrupted: the scans that interrupted runs had finished.

    Raises:
        OutputError: it cannot be made or written to, another process writes there, or other files
            are in the places of the results.
    """

    def __init__(self, path: Path, *, identity: str = "") -> None:
        self.path = path
        self._rows_path, self._records_path, self._page_path = (path / name for name in GROWING)
        try:
            check_kinds(path)
            with contextlib.ExitStack() as opened:
                opened.enter_context(one_writer(path))
                self.earlier = EarlierRun.of(path)
                (path / "pictures").mkdir(parents=True, exist_ok=True)
                self.interrupted = opened.enter_context(InterruptedRun(path, identity))
                open_text = partial(Path.open, mode="w", encoding="utf-8", newline="\n")
                self._rows: TextIO = opened.enter_context(open_text(self._rows_path))
                self._records: TextIO = opened.enter_context(open_text(self._records_path))
                self._page: TextIO = opened.enter_context(open_text(self._page_path))
                self._held = opened.pop_all()
        except OSError as error:
            raise cannot_write(path, error) from error
        self._files: set[str] = set()
        self._write_row = csv_writer(self._rows)
        self._added = 0
        self._records.write(first_line(identity))
        self._rows.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the growing files; without `finish` they are kept if they contain a scan."""
        with self._held:
            for stream in self._streams:
                with contextlib.suppress(OSError):  # a full disk: reported when the row was written
                    stream.close()
            if self._added == 0:
                for path in (self._rows_path, self._records_path, self._page_path):
                    path.unlink(missing_ok=True)

    @property
    def _streams(self) -> tuple[TextIO, ...]:
        return self._rows, self._records, self._page

    def picture_path(self, scan_id: str) -> Path:
        """The path of a scan's picture."""
        return self.path / "pictures" / picture_name(scan_id)

    def layer_paths(self, scan_id: str) -> tuple[Path, Path]:
        """The paths of the two pictures of a scan that the page shows one over the other."""
        grey, evidence = layer_names(scan_id)
        return self.path / "pictures" / grey, self.path / "pictures" / evidence

    def add(
        self,
        result: ClassifiedScan,
        record: Mapping[str, Any],
        layers: PageLayers | None,
        *,
        read_as: str = "",
        read_from: str = "",
    ) -> None:
        """Write one scan's rows.

        Args:
            result: the row of `results.csv`.
            record: the entry of `results.json`.
            layers: the pictures of the page, by their names, or `None` if there are none.
            read_as: its `scan_id` before it was made unique or replaced by the caller's.
            read_from: `steps.reading_sha256` of its study.

        Raises:
            OutputError: the disk is full, or the folder is gone.
        """
        page_row = {**result.to_json(), "layers": asdict(layers) if layers else None}
        scan = InterruptedScan(
            record=dict(record), page_row=page_row, read_as=read_as, read_from=read_from
        )
        self.add_again(scan, result)

    def add_again(self, scan: InterruptedScan, result: ClassifiedScan) -> None:
        """Write the rows of a scan that an interrupted run had finished.

        Args:
            scan: its record.
            result: the row of `results.csv`.

        Raises:
            OutputError: the disk is full, or the folder is gone.
        """
        page_row = {"row": scan.page_row, "read_as": scan.read_as, "read_from": scan.read_from}
        try:
            self._write_row(result)
            self._records.write(_json_line(scan.record) + "\n")
            self._page.write(_json_line(page_row) + "\n")
            for stream in self._streams:
                stream.flush()
            self._added += 1
            self._files.update(scan.files)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def finish(
        self,
        document: Mapping[str, Any],
        heading: PageHeading,
        refused: tuple[Refusal, ...],
        *,
        interrupted: bool = False,
        parquet: bool = False,
        maps: bool = False,
    ) -> None:
        """Make complete files of the rows: `results.csv`, `results.json`, `index.html`.

        Pictures and objects of an earlier run that were not written again are removed. Without a
        scan there is no page.

        Args:
            document: the content of `results.json` apart from the results and the refused inputs.
            heading: heading of the page.
            refused: the inputs that gave no result.
            interrupted: keep the files from which the next run resumes.
            parquet: also write `results.parquet`.
            maps: with the activation maps in it.

        Raises:
            OutputError: the disk is full, or the folder is gone.
        """
        try:
            for stream in self._streams:
                stream.close()
            self._write_json(document, refused)
            table = self.path / TABLE_NAME
            if parquet:
                records = stored_records(self.path / "results.json")
                write_records(records, RunFacts.of(document), table, maps=maps)
            else:
                table.unlink(missing_ok=True)
            if self._added:
                write_results_page(
                    self.path / "index.html",
                    heading,
                    _PageRows(self._page_path),
                    [RefusedRow(source=entry.source, reason=entry.reason) for entry in refused],
                )
            self._rows_path.replace(self.path / "results.csv")
            if interrupted:
                return
            self._records_path.unlink()
            self._page_path.unlink()
            self.interrupted.forget()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        earlier = {f"pictures/{name}" for name in self.earlier.pictures} | self.earlier.objects
        for name in sorted(earlier - self._files):
            with contextlib.suppress(OSError):  # the results are valid in any case
                (self.path / name).unlink()
        if not self._added:
            with contextlib.suppress(OSError):  # it holds something else
                (self.path / "pictures").rmdir()

    def _write_json(self, document: Mapping[str, Any], refused: tuple[Refusal, ...]) -> None:
        """Assemble `results.json` from the lines, one scan a line, without parsing them."""
        with (
            written_beside(self.path / "results.json") as beside,
            beside.open("w", encoding="utf-8") as whole,
        ):
            head = json.dumps(dict(document), indent=1)
            whole.write(head.rstrip().removesuffix("}").rstrip() + f",\n{RESULTS_LINE}")
            with self._records_path.open(encoding="utf-8") as lines:
                for number, line in enumerate(filter(is_record, lines)):
                    whole.write(",\n" if number else "\n")
                    whole.write(line.rstrip("\n"))
            whole.write('\n ],\n "refused": ')
            shutil.copyfileobj(
                io.StringIO(json.dumps([entry.to_json() for entry in refused], indent=1)), whole
            )
            whole.write("\n}\n")


class _PageRows:
    """The page's rows, read from their file one at a time, each time anew."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[ResultRow]:
        with self._path.open(encoding="utf-8") as lines:
            for line in lines:
                row = json_in(line)["row"]
                yield _page_row(row)


def _page_row(row: Mapping[str, Any]) -> ResultRow:
    layers, truth = row["layers"], row["truth"]
    rank = NormalRank.from_json(row["rank_among_normals"])
    names = (
        {name: f"pictures/{layers[name]}" for name in ("grey", "evidence") if layers[name]}
        if layers
        else {}
    )
    return ResultRow(
        scan_id=row["scan_id"],
        source=row["source"],
        views=tuple(row["views"]),
        mbd_probability=row["mbd_probability"],
        positive=row["positive"],
        uncertain=row["uncertain"],
        unlike=row["unlike"],
        warnings=tuple(row["warnings"]),
        layers=PageLayers(**{**layers, **names}) if layers else None,
        picture=row["picture"],
        rank=rank.in_words if rank else "",
        truth=KnownTruth(**truth).beside(positive=row["positive"]) if truth else "",
    )


def _json_line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))


def _csv_row(result: ClassifiedScan) -> tuple[str, ...]:
    rank = result.rank_among_normals
    return (
        displayable(result.scan_id),
        displayable(result.source),
        "+".join(result.views),
        f"{result.mbd_probability:.6f}",
        Call.of(result.positive).value,
        "" if result.positive is None else "true" if result.positive else "false",
        "true" if result.uncertain else "false",
        "" if result.ood_score is None else f"{result.ood_score:.3f}",
        "true" if result.unlike else "false",
        "" if rank is None else f"{rank.higher_than} of {rank.of}",  # 5/12 would become a date
        "" if rank is None else f"{rank.p_value:.6f}",
        displayable("; ".join(result.warnings)),
        result.picture,
    )
