"""Writing the tables: one workbook, CSV files, `.imrmc`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonescint.files import OF_THE_SYSTEM, folder_beside, require_own, write_table
from bonescint.scan import MissingExtraError, OutputError
from bonescint.study.errors import StudyError
from bonescint.study.export.collecting import NOTICE, StudyTables, collect
from bonescint.study.export.rows import TABLES, DictionaryRow, ReadRow, Row, data_dictionary
from bonescint.study.folder import StudyFolder, make_private, open_study

RADIUS_MM = 15.0
_MOST_ROWS = 1_048_000  # Excel's limit, with the header
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_PLAIN = re.compile(r"[^\s,\"']+")
_WIDEST = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultKind:
    """What a command leaves in a folder of results, which it replaces as a whole.

    Attributes:
        names: of all files that it may write.
        mark: of them one that it always writes.
        signature: text at the beginning of that one.
    """

    names: frozenset[str]
    mark: str
    signature: str

    def require_free(self, target: Path) -> None:
        """Make sure that nothing else goes when a folder is replaced.

        Raises:
            OutputError: it is a file, or a folder that holds something else.
        """
        if target.exists() and not target.is_dir():
            raise OutputError(f"{target}: is a file. Choose another place.")
        found = {one.name for one in target.iterdir()} if target.is_dir() else set()
        if other := sorted(found - self.names - OF_THE_SYSTEM):
            raise OutputError(f"{target}: holds something else ({other[0]}). Choose another place.")
        require_own(target, sorted(found), mark=self.mark, signature=self.signature)


_EXPORT = ResultKind(
    names=frozenset(
        {*(f"{name}.csv" for name in TABLES), "data-dictionary.csv", "study.xlsx",
         "analysis-reads.csv", "study.imrmc"}
    ),
    mark="data-dictionary.csv",
    signature=",".join(column.name for column in DictionaryRow.columns()),
)  # fmt: skip


def export_study(
    folder: Path | str | StudyFolder,
    out: Path | str,
    *,
    radius_mm: float = RADIUS_MM,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write everything that was read.

    Written to `out`: `study.xlsx` with one sheet per table, the same tables as CSV, `reads.csv` in
    the form that `bonescint readers analyse` takes as `analysis-reads.csv`, and `study.imrmc`.

    Args:
        folder: of the study.
        out: a folder that is not there yet or holds an earlier export.
        radius_mm: within which a mark hits a metastasis.
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
    return written_whole(target, _EXPORT, lambda beside: _write_all(tables, study, beside))


def _write_all(tables: StudyTables, study: StudyFolder, folder: Path) -> None:
    for name, rows in tables.by_name().items():
        _write_csv(folder / f"{name}.csv", TABLES[name], rows)
    _write_csv(folder / "data-dictionary.csv", DictionaryRow, data_dictionary())
    write_workbook(tables, folder / "study.xlsx", title=study.protocol.title)
    write_analysis_reads(tables.reads, folder / "analysis-reads.csv")
    write_imrmc(tables.reads, folder / "study.imrmc", title=_title(tables, study.protocol.title))


def _title(tables: StudyTables, title: str) -> str:
    return f"{title} ({tables.warning})" if tables.warning else title


def written_whole(target: Path, kind: ResultKind, write: Callable[[Path], None]) -> Path:
    """Fill a folder beside its place, then move it there; an earlier one is replaced.

    Raises:
        OutputError: it cannot be written, or holds something else.
    """
    kind.require_free(target)
    with folder_beside(target, mode=0o700, replacing=True) as beside:
        write(beside)
        make_private(beside)
    return target


def _write_csv(file: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    columns = [column.name for column in kind.columns()]
    cells = ([_plain(value) for value in row.cells()] for row in rows)
    write_table(file, columns, cells, line_end="\r\n")


def _plain(value: object) -> object:
    """Booleans as 0 and 1."""
    return int(value) if isinstance(value, bool) else value


def write_workbook(tables: StudyTables, file: Path, *, title: str) -> None:
    """Write every table as a sheet, with a first sheet that says what the workbook is.

    Raises:
        MissingExtraError: openpyxl is not installed.
    """
    try:
        from openpyxl import Workbook
    except ModuleNotFoundError as error:
        raise MissingExtraError("openpyxl", "study") from error
    book = Workbook(write_only=True)
    lines = [[_title(tables, title)], [NOTICE]]
    if tables.simulated_readers:
        lines.append(["The readers are programs. Nothing here shows how physicians read."])
    lines.append(["Every column is explained on the sheet 'data dictionary'."])
    sheets: dict[str, tuple[type[Row], Sequence[Row]]] = {
        name: (TABLES[name], rows) for name, rows in tables.by_name().items()
    }
    sheets["data dictionary"] = (DictionaryRow, data_dictionary())
    for name, (_, rows) in sheets.items():
        if len(rows) > _MOST_ROWS:
            lines.append([f"Only the first {_MOST_ROWS} rows of '{name}' fit; the CSV has all."])
    about = book.create_sheet("about")
    about.column_dimensions["A"].width = 100
    for number, line in enumerate(lines):
        about.append([_cell(about, value, bold=number == 0) for value in line])
    for name, (kind, rows) in sheets.items():
        _write_sheet(book, name, kind, rows[:_MOST_ROWS])
    book.save(file)


def _write_sheet(book: Any, name: str, kind: type[Row], rows: Sequence[Row]) -> None:
    sheet = book.create_sheet(name)
    sheet.freeze_panes = "A2"
    columns = [column.name for column in kind.columns()]
    for number, column in enumerate(columns):
        texts = [str(row.cells()[number]) for row in rows[:200]]
        width = max([len(column), *map(len, texts)]) + 2
        sheet.column_dimensions[_letters(number)].width = min(width, _WIDEST)
    sheet.append([_cell(sheet, column, bold=True) for column in columns])
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row.cells()])


def _letters(number: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(number + 1))


def _cell(sheet: Any, value: object, *, bold: bool = False) -> Any:
    """A cell; text stays text, whatever it begins with."""
    if not isinstance(value, str):
        return int(value) if isinstance(value, bool) else value
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    cell = WriteOnlyCell(sheet, value=_FORBIDDEN.sub("", value)[:32_000])
    cell.data_type = "s"
    if bold:
        cell.font = Font(bold=True)
    return cell


def final_reads(reads: Sequence[ReadRow]) -> list[ReadRow]:
    """The answers that count: last versions, without training."""
    return [row for row in reads if row.final and not row.training]


def write_analysis_reads(reads: Sequence[ReadRow], file: Path) -> None:
    """Write the answers that count, as `bonescint readers analyse` takes them."""
    columns = ("reader", "modality", "case", "truth", "rating", "called", "seconds")
    rows = (
        (
            row.reader, row.modality, row.case, row.truth, row.rating, row.decision,
            "" if row.active_s is None else f"{row.active_s:.3f}",
        )
        for row in final_reads(reads)
    )  # fmt: skip
    write_table(file, columns, rows, line_end="\r\n")


def _imrmc_case(row: ReadRow) -> str:
    """A case's name; its token where the name would not stand in a line of this format."""
    return row.case if _PLAIN.fullmatch(row.case) else row.token


def write_imrmc(reads: Sequence[ReadRow], file: Path, *, title: str) -> None:
    """Write the answers that count in iMRMC's list mode (FDA): reader, case, modality, score.

    The truth stands in rows of the reader `-1` and the modality `0`: 0 without disease, 1 with.
    A case whose scan_id holds a comma goes by its token; `reads.csv` has both.
    """
    rows = final_reads(reads)
    truth = {_imrmc_case(row): row.truth for row in rows}
    modalities = list(dict.fromkeys(row.modality for row in rows))
    readers = list(dict.fromkeys(row.reader for row in rows))
    without = sum(value == 0 for value in truth.values())
    lines = [
        title,
        NOTICE,
        f"N0: {without}",
        f"N1: {len(truth) - without}",
        f"NR: {len(readers)}",
        f"NM: {len(modalities)}",
        "BEGIN DATA:",
    ]
    lines += [f"-1,{case},0,{value}" for case, value in truth.items()]
    lines += [f"{row.reader},{_imrmc_case(row)},{row.modality},{row.rating}" for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
