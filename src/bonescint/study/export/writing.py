"""Writing the tables: one workbook, CSV files, `.imrmc`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bonescint.files import OF_THE_SYSTEM, folder_beside, require_own, write_table
from bonescint.scan import RESEARCH_USE, OutputError
from bonescint.study.errors import StudyError
from bonescint.study.export.collecting import StudyTables, collect
from bonescint.study.export.measures import RADIUS_MM
from bonescint.study.export.rows import (
    TABLES,
    DictionaryRow,
    ExportRow,
    ReadRow,
    data_dictionary,
)
from bonescint.study.folder import Progress, StudyFolder, make_private, open_study
from bonescint.tables import ResultTable, write_workbook

_PLAIN = re.compile(r"[^\s,\"']+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFiles:
    """The files of a command's results, which a later run replaces all together.

    Attributes:
        names: names of all files that the command may write.
        mark: the file that it always writes.
        signature: text at the beginning of that file.
    """

    names: frozenset[str]
    mark: str
    signature: str

    def require_free(self, target: Path) -> None:
        """Refuse to replace a folder that holds anything but such results.

        Raises:
            OutputError: `target` is a file, or a folder that holds other files.
        """
        if target.exists() and not target.is_dir():
            raise OutputError(f"{target}: is a file. Choose another place.")
        found = {one.name for one in target.iterdir()} if target.is_dir() else set()
        if other := sorted(found - self.names - OF_THE_SYSTEM):
            raise OutputError(f"{target}: holds something else ({other[0]}). Choose another place.")
        require_own(target, sorted(found), mark=self.mark, signature=self.signature)

    def write(self, target: Path, write: Callable[[Path], None]) -> Path:
        """Write the results to a new private folder that then replaces an earlier one.

        Raises:
            OutputError: it cannot be written, or holds something else.
        """
        self.require_free(target)
        with folder_beside(target, mode=0o700, replacing=True) as beside:
            write(beside)
            make_private(beside)
        return target


_MARK = "data-dictionary.csv"
_TABLES = frozenset(f"{name}.csv" for name in TABLES)
_EXPORT = ResultFiles(
    names=_TABLES | {_MARK, "study.xlsx", "analysis-reads.csv", "study.imrmc"},
    mark=_MARK,
    signature=",".join(column.name for column in DictionaryRow.columns()),
)


def export_study(
    folder: Path | str | StudyFolder,
    out: Path | str,
    *,
    radius_mm: float = RADIUS_MM,
    progress: Progress | None = None,
) -> Path:
    """Export all answers.

    Written to `out`: `study.xlsx` with one sheet per table, the same tables as CSV,
    `analysis-reads.csv` for `bonescint readers analyse`, and `study.imrmc`.

    Args:
        folder: the study folder.
        out: a folder that does not exist yet or holds an earlier export.
        radius_mm: distance within which a mark hits a metastasis.
        progress: called with the number of readers that are done and of all.

    Returns:
        The folder.

    Raises:
        StudyError: the study cannot be read, or nobody answered anything yet.
        OutputError: the folder cannot be written.
    """
    study = open_study(folder)
    target = Path(out)
    _EXPORT.require_free(target)
    with study.open_store() as store:
        tables = collect(study, store, radius_mm=radius_mm, progress=progress)
    if not tables.reads:
        raise StudyError(f"{study.path}: nobody has answered a case yet.")
    title = tables.title(study.protocol.title)
    return _EXPORT.write(target, lambda beside: _write_all(tables, title, beside))


def _write_all(tables: StudyTables, title: str, folder: Path) -> None:
    kinds: dict[str, type[ExportRow]] = {**TABLES, "data dictionary": DictionaryRow}
    rows = {**tables.by_name(), "data dictionary": data_dictionary()}
    sheets = [
        ResultTable(
            name=name,
            columns=tuple(column.name for column in kind.columns()),
            rows=tuple(tuple(row.cells()) for row in rows[name]),
        )
        for name, kind in kinds.items()
    ]
    for sheet in sheets:
        file = folder / f"{sheet.name.replace(' ', '-')}.csv"
        write_table(file, sheet.columns, sheet.rows, line_end="\r\n")
    about = [title, RESEARCH_USE]
    if tables.simulated_readers:
        about.append("The readers are programs. Nothing here shows how physicians read.")
    about.append("Every column is explained on the sheet 'data dictionary'.")
    write_workbook(sheets, folder / "study.xlsx", about=about, about_name="about", extra="study")
    write_analysis_reads(tables.reads, folder / "analysis-reads.csv")
    write_imrmc(tables.reads, folder / "study.imrmc", title=title)


def final_reads(reads: Sequence[ReadRow]) -> list[ReadRow]:
    """The answers that count: last versions, without training."""
    return [row for row in reads if row.final and not row.training]


def write_analysis_reads(reads: Sequence[ReadRow], file: Path) -> None:
    """Write the answers that count, as `bonescint readers analyse` takes them."""
    columns = ("reader", "modality", "case", "truth", "rating", "called", "seconds")
    rows = []
    for row in final_reads(reads):
        seconds = "" if row.active_s is None else f"{row.active_s:.3f}"
        called = row.decision
        rows.append((row.reader, row.modality, row.case, row.truth, row.rating, called, seconds))
    write_table(file, columns, rows, line_end="\r\n")


def _imrmc_case(row: ReadRow) -> str:
    """A case's name, or its token if the name contains characters that iMRMC cannot read."""
    return row.case if _PLAIN.fullmatch(row.case) else row.token


def write_imrmc(reads: Sequence[ReadRow], file: Path, *, title: str) -> None:
    """Write the answers that count in iMRMC's list mode (FDA): reader, case, modality, score.

    The truth is in rows of the reader `-1` and the modality `0`: 0 without disease, 1 with.
    A case whose scan_id holds a comma is called by its token; `reads.csv` has both.
    """
    rows = final_reads(reads)
    truth = {_imrmc_case(row): row.truth for row in rows}
    modalities = dict.fromkeys(row.modality for row in rows)
    readers = dict.fromkeys(row.reader for row in rows)
    without = sum(value == 0 for value in truth.values())
    lines = [
        title,
        RESEARCH_USE,
        f"N0: {without}",
        f"N1: {len(truth) - without}",
        f"NR: {len(readers)}",
        f"NM: {len(modalities)}",
        "BEGIN DATA:",
    ]
    lines += [f"-1,{case},0,{value}" for case, value in truth.items()]
    lines += [f"{row.reader},{_imrmc_case(row)},{row.modality},{row.rating}" for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
