"""Workbooks of reads: a plain table, or RJafroc's sheets of marked foci."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.readers.marks import Mark, MarkedReads
from bonescint.evaluate.readers.notes import Note, left_out, remark, some
from bonescint.evaluate.readers.reads import Nest, Reads
from bonescint.evaluate.readers.table_files import table_reads
from bonescint.evaluate.readers.tables import number_of
from bonescint.scan import InputError, MissingExtraError, ParameterError

_Table = list[tuple[str, dict[str, str]]]
_NO_RATING = -2000.0  # RJafroc's code of a rating that is not there
_LESION_SHEETS = ("tp", "ll")
_OTHER_SHEETS = ("fp", "nl")


def read_workbook(source: Path, nest: Nest | None = None) -> Reads | MarkedReads:
    """A study from a workbook.

    Sheets TRUTH, LL (or TP) and NL (or FP), as RJafroc has them, give marked foci; if each case
    with disease has one lesion and no false mark, and each case without has one rating, they are
    ROC ratings. Any other workbook is read as a table of reads, from its first sheet that has
    the columns.

    Args:
        source: the file.
        nest: within what cases are numbered anew; not for marked foci.

    Raises:
        InputError: no workbook, or not one of these.
        ParameterError: marked foci with `nest`.
    """
    sheets = _sheets(source)
    named = {name.strip().lower(): name for name in sheets}
    if "truth" in named:
        found = _rjafroc(source, {key: sheets[name] for key, name in named.items()})
        if nest is None:
            return found
        if isinstance(found, MarkedReads):
            raise ParameterError("nest", "read_reads", "none for marked foci", nest.value)
        return found.nested_in(nest)
    problem: InputError | None = None
    for name, rows in sheets.items():
        if not rows:
            continue
        try:
            return table_reads(rows, f"{source}, sheet {name}", nest=nest)
        except InputError as error:
            problem = problem or error
    if problem is None:
        raise InputError(source, "the workbook is empty", "Give a table of reads")
    raise problem


def _sheets(source: Path) -> dict[str, list[tuple[str, list[str]]]]:
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise MissingExtraError("openpyxl", "evaluate") from error
    try:
        workbook = openpyxl.load_workbook(source, read_only=True, data_only=True)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            source, f"not a readable workbook ({type(error).__name__})", "Give an .xlsx file"
        ) from error
    try:
        found = {}
        for sheet in workbook.worksheets:
            listed = []
            for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
                texts = [_text(cell) for cell in cells]
                if any(texts):
                    listed.append((f"sheet {sheet.title}, row {number}", texts))
            found[sheet.title] = listed
        return found
    finally:
        workbook.close()


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _table(
    rows: Sequence[tuple[str, Sequence[str]]], source: Path, sheet: str, required: Sequence[str]
) -> _Table:
    names = [_plain(name) for name in rows[0][1]] if rows else []
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(
            source,
            f"sheet {sheet.upper()} lacks the columns {', '.join(missing)}",
            "Give RJafroc's sheets TRUTH, LL (or TP) and NL (or FP)",
        )
    twice = [name for name in required if names.count(name) > 1]
    if twice:
        problem = f"sheet {sheet.upper()} has several columns {', '.join(twice)}"
        raise InputError(source, problem, "Keep or rename one of each")
    return [
        (where, dict(zip(names, [*texts, *[""] * len(names)], strict=False)))
        for where, texts in rows[1:]
    ]


def _plain(name: str) -> str:
    """A column's name without case and underscores; the rating's is `rating` in every version."""
    word = re.sub(r"[\s_]", "", name.lower())
    return "rating" if word.endswith("rating") else word


def _rjafroc(
    source: Path, sheets: Mapping[str, list[tuple[str, list[str]]]]
) -> Reads | MarkedReads:
    """Marked foci from RJafroc's sheets (Chakraborty 2017, appendix)."""
    lesion_sheet = next((name for name in _LESION_SHEETS if name in sheets), None)
    other_sheet = next((name for name in _OTHER_SHEETS if name in sheets), None)
    if lesion_sheet is None or other_sheet is None:
        raise InputError(source, "no sheets LL (or TP) and NL (or FP)", "Add them to TRUTH")
    notes: list[Note] = []
    truth = _table(sheets["truth"], source, "truth", ("caseid", "lesionid", "weight"))
    lesions = _lesions(truth, notes)
    if not lesions:
        raise InputError(source, "sheet TRUTH lists no case", "Add CaseID, LesionID, Weight")
    columns = ("readerid", "modalityid", "caseid")
    hits = _table(sheets[lesion_sheet], source, lesion_sheet, (*columns, "lesionid", "rating"))
    others = _table(sheets[other_sheet], source, other_sheet, (*columns, "rating"))
    marks = [
        *_marks(hits, lesions, notes, of_lesions=True),
        *_marks(others, lesions, notes, of_lesions=False),
    ]
    readers, modalities = _listed(truth, "readerid"), _listed(truth, "modalityid")
    if not marks and not (readers and modalities):
        raise InputError(source, "no mark can be used", "Correct the sheets")
    # Whoever TRUTH lists looked: a reader without a mark found every case clean.
    marked = MarkedReads.of(
        marks,
        lesions,
        readers=readers,
        modalities=modalities,
        read=_looked(truth, marks, lesions),
        notes=tuple(notes),
    )
    return _as_ratings(marked, truth, marks)


def _lesions(truth: _Table, notes: list[Note]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    healthy: dict[str, str] = {}
    for where, row in truth:
        case, lesion = row["caseid"], row["lesionid"]
        weight = number_of(row["weight"] or "0")
        if not case or not lesion:
            notes.append(left_out(f"{where}: no CaseID or no LesionID"))
        elif lesion == "0":
            found.setdefault(case, {})
            healthy[case] = where
        elif weight is None or weight < 0:
            notes.append(left_out(f"{where}: Weight must be at least 0, got '{row['weight']}'"))
        elif lesion in found.get(case, {}):
            notes.append(left_out(f"{where}: lesion {lesion} of case {case} is listed twice"))
        else:
            found.setdefault(case, {})[lesion] = weight
    for case, where in healthy.items():
        if found[case]:
            notes.append(
                left_out(f"case {case}: without disease in {where} and with lesions in other rows")
            )
            del found[case]
    return found


def _marks(
    rows: _Table,
    lesions: Mapping[str, Mapping[str, float]],
    notes: list[Note],
    *,
    of_lesions: bool,
) -> list[Mark]:
    found = []
    for where, row in rows:
        case, lesion = row["caseid"], row.get("lesionid", "") if of_lesions else None
        rating = number_of(row["rating"])
        if not (row["readerid"] and row["modalityid"] and case):
            notes.append(left_out(f"{where}: no ReaderID, ModalityID or CaseID"))
        elif case not in lesions:
            notes.append(left_out(f"{where}: case {case} is not in TRUTH"))
        elif of_lesions and lesion not in lesions[case]:
            notes.append(left_out(f"{where}: lesion {lesion} of case {case} is not in TRUTH"))
        elif rating is None:
            notes.append(left_out(f"{where}: rating must be a number, got '{row['rating']}'"))
        elif rating != _NO_RATING:
            found.append(
                Mark(
                    reader=row["readerid"],
                    modality=row["modalityid"],
                    case=case,
                    lesion=lesion,
                    rating=rating,
                )
            )
    return found


def _names(text: str) -> list[str]:
    """Names in a list such as `0, 1, 2` or `(0, 1)`."""
    return [name for name in re.split(r"[\s,;()]+", text) if name]


def _listed(truth: _Table, column: str) -> list[str]:
    return list(dict.fromkeys(name for _, row in truth for name in _names(row.get(column, ""))))


def _looked(
    truth: _Table, marks: Sequence[Mark], lesions: Mapping[str, Mapping[str, float]]
) -> Iterable[tuple[str, str, str]] | None:
    """Who looked at what, where TRUTH says it; `None` means everybody at everything."""
    said = [
        (modality, reader, row["caseid"])
        for _, row in truth
        for modality, reader in product(
            _names(row.get("modalityid", "")), _names(row.get("readerid", ""))
        )
        if row["caseid"] in lesions
    ]
    nests = {(row.get("modalityid", ""), row.get("readerid", "")) for _, row in truth}
    if not said or len(nests) == 1:
        return None
    return [*said, *((mark.modality, mark.reader, mark.case) for mark in marks)]


def _as_ratings(marked: MarkedReads, truth: _Table, marks: Sequence[Mark]) -> Reads | MarkedReads:
    """ROC ratings, if the sheets are such; marked foci otherwise."""
    said = {row.get("paradigm", "").upper() for _, row in truth}
    at = {(mark.modality, mark.reader, mark.case) for mark in marks}
    positive = dict(zip(marked.cases, marked.truth, strict=True))
    one_each = (
        int(marked.lesions.max()) == 1
        and len(at) == len(marks) == int(marked.read.sum())
        and not any(positive[mark.case] for mark in marks if mark.lesion is None)
    )
    if one_each and "FROC" not in said:
        return marked.highest()
    if "ROC" not in said:
        return marked.with_notes(*_without_marks(marked, marks))
    reads = marked.highest()
    rated = np.zeros(reads.ratings.shape, bool)
    for modality, reader, case in at:
        where = reads.modalities.index(modality), reads.readers.index(reader)
        rated[(*where, reads.cases.index(case))] = True
    reads = replace(reads, ratings=np.where(rated, reads.ratings, np.nan))
    return reads.with_notes(*_without_ratings(reads, marked.read & ~rated))


def _without_marks(marked: MarkedReads, marks: Sequence[Mark]) -> list[Note]:
    """Readers and modalities that TRUTH lists and that have no mark: kept, and said."""
    readers, modalities = {one.reader for one in marks}, {one.modality for one in marks}
    return [
        remark(f"{kind} {name} has no mark that can be used: every case counts as found clean")
        for kind, names, known in (
            ("reader", marked.readers, readers),
            ("modality", marked.modalities, modalities),
        )
        for name in names
        if name not in known
    ]


def _without_ratings(reads: Reads, missing: NDArray[np.bool_]) -> list[Note]:
    """A rating of every case is due: whose are missing."""
    found = []
    for row, modality in enumerate(reads.modalities):
        for column, reader in enumerate(reads.readers):
            cases = [reads.cases[index] for index in np.flatnonzero(missing[row, column])]
            if cases:
                found.append(
                    left_out(
                        f"reader {reader} in modality {modality}: {len(cases)} reads without a "
                        f"rating, of case {some(cases)}"
                    )
                )
    return found
