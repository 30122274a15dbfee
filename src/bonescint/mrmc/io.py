"""Files of reads: CSV and XLSX tables, iMRMC's list mode, OR-DBM's columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bonescint.mrmc.common import Note, chosen, remark
from bonescint.mrmc.data import MarkedReads, Nest, Reads
from bonescint.mrmc.rjafroc import rjafroc_reads
from bonescint.mrmc.rows import RawRead, listed_problems, reads_of
from bonescint.scan import InputError
from bonescint.tables import (
    Columns,
    Numbers,
    Row,
    TextFile,
    is_workbook,
    open_text,
    plain_name,
    read_sheets,
    read_table,
    read_tables,
    separator_of,
    text_of,
)

COLUMNS = Columns(
    names={  # what other programs call the columns
        "reader": ("reader", "reader id", "observer"),
        "modality": ("modality", "treatment", "test", "modality id"),
        "session": ("session",),
        "case": ("case", "scan id", "case id", "scan"),
        "truth": ("truth", "label", "reference", "disease"),
        "rating": ("rating", "decision", "score"),
        "seconds": ("seconds", "time s", "reading time s"),
    },
    required=("reader", "case", "truth", "rating"),
    remedy="The table needs reader, modality, case, truth, rating (seconds if you have them)",
)
_ONLY_MODALITY = "1"
_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".imrmc", ".lrc")


def read_reads(path: Path | str, *, nest: Nest | None = None) -> Reads | MarkedReads:
    """Read a study from a file.

    Args:
        path: `.csv` (`.tsv`, `.txt`) or `.xlsx` with the columns `reader, modality, case, truth,
            rating[, seconds]` (`session`, `treatment` and `decision` are understood; without a
            modality there is one); `.imrmc` in list mode; `.lrc` of OR-DBM; `.xlsx` with
            RJafroc's sheets, which gives marked foci. Of a workbook every sheet that holds such
            a table is read.
        nest: within what cases are numbered anew, so that the same name is another patient, with
            a truth of its own; not for marked foci.

    Returns:
        The reads. Rows that cannot be used are left out and named in `notes`.

    Raises:
        InputError: unreadable, columns missing or ambiguous, no row or too few rows that can be
            used, or names of which it cannot be told whether they are the same.
        ParameterError: marked foci with `nest`.
    """
    if nest is not None:
        nest = chosen(Nest, nest, "nest", "read_reads")
    source = Path(path)
    suffix = source.suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(source, "not a table of reads", f"Give {', '.join(_SUFFIXES)}")
    if not source.is_file():
        raise InputError(source, "no such file", "Give the path of a table of reads")
    if suffix in (".imrmc", ".lrc"):
        text = open_text(source)
        read = _imrmc if suffix == ".imrmc" else _lrc
        return read(text, nest)
    if is_workbook(source):
        sheets = {sheet.name.strip().lower(): sheet for sheet in read_sheets(source)}
        if "truth" in sheets:
            return rjafroc_reads(source, sheets, nest)
    return _table_reads(source, nest)


def _table_reads(source: Path, nest: Nest | None) -> Reads:
    """Reads from a table whose header names the columns, or several such sheets."""
    tables = read_tables(source, COLUMNS)
    notes = [remark(note) for note in dict.fromkeys(note for one in tables for note in one.notes)]
    if any("modality" not in one and "session" not in one for one in tables):
        notes.append(remark("no column of modalities: all reads are of one modality"))
    if len(tables) > 1:
        notes.append(remark(f"sheets {', '.join(one.sheet for one in tables)} were read as one"))
    rows = []
    for table in tables:
        for column in ("rating", "seconds"):
            table.numbers(column)  # refused where it may say two things
        rows += [
            RawRead(
                where=row.where,
                reader=row.name("reader"),
                modality=_modality(row),
                case=row.name("case"),
                truth=row.text("truth"),
                rating=row.text("rating"),
                seconds=row.text("seconds"),
            )
            for row in table.rows
        ]
    named = tables[0].source if len(tables) == 1 else source
    return reads_of(rows, named, notes=notes, nest=nest)


def _modality(row: Row) -> str:
    modality, session = row.name("modality"), row.name("session")
    if "modality" not in row.table:
        return session if "session" in row.table else _ONLY_MODALITY
    if modality and session:
        return f"{modality}, session {session}"
    return modality


def _imrmc(text: TextFile, nest: Nest | None) -> Reads:
    """List mode of iMRMC: `reader, case, modality, rating` after BEGIN DATA.

    A reader called -1 or truth says the truth of a case, whatever stands for the modality (0 or
    truth). What stands before is for people; its counts are checked against the rows.
    """
    source = text.path
    lines = [line.rstrip("\r\n") for line in text.lines()]
    begin = next((n for n, line in enumerate(lines) if "BEGIN DATA" in line.upper()), None)
    if begin is None:
        raise InputError(source, "no line BEGIN DATA", "Give iMRMC's list mode")
    truth: dict[str, str] = {}
    rows: list[RawRead] = []
    separator = separator_of(lines[begin + 1 :])
    for number, line in enumerate(lines[begin + 1 :], begin + 2):
        cells = [text_of(cell) for cell in line.split(separator)]
        if not any(cells):
            continue
        names = [plain_name(cell) for cell in cells[:3]]
        where = f"line {number}"
        if len(cells) < 4:
            rows.append(RawRead(where=where, reader="", modality="", case="", truth="", rating=""))
        elif names[0].lower() in ("-1", "truth") or names[2].lower() == "truth":
            if truth.setdefault(names[1], cells[3]) != cells[3]:
                truth[names[1]] = f"{truth[names[1]]} and {cells[3]}"
        else:
            reader, case, modality = names
            rows.append(
                RawRead(where=where, reader=reader, modality=modality, case=case, truth="",
                    rating=cells[3])
            )  # fmt: skip
    notes = [*map(remark, text.notes), *_checked_counts(lines[:begin], truth, rows)]
    return reads_of(rows, source, truth=truth, notes=notes, nest=nest)


def _checked_counts(
    header: Sequence[str], truth: Mapping[str, str], rows: Sequence[RawRead]
) -> list[Note]:
    counted = {
        "N0": sum(text in ("0", "0.0") for text in truth.values()),
        "N1": sum(text in ("1", "1.0") for text in truth.values()),
        "NR": len({row.reader for row in rows if row.reader}),
        "NM": len({row.modality for row in rows if row.modality}),
    }
    notes = []
    for line in header:
        said = re.match(r"\s*(N0|N1|NR|NM)\s*[:=]\s*(\S+)", line, re.IGNORECASE)
        if said and said[2] != str(counted[said[1].upper()]):
            name = said[1].upper()
            notes.append(remark(f"the header says {name} is {said[2]}, the rows {counted[name]}"))
    return notes


def _lrc(text: TextFile, nest: Nest | None) -> Reads:
    """OR-DBM's columns: a block a reader, cases without disease, `*`, cases with, `*`; `#` ends.

    Line 1 is a title; line 2 names the first reader; line 3 the modalities in quotes; line 4 says
    of each whether large (L) or small (S) ratings speak for disease. Case names may follow the
    ratings; without them cases go by their place in the block.
    """
    source = text.path
    lines = [line.rstrip() for line in text.lines()]
    if len(lines) < 5:
        raise InputError(source, "too short for an .lrc file", "Give OR-DBM's format")
    names = re.findall(r'"([^"]*)"', lines[2]) or lines[2].split()
    ways = [word.upper()[:1] for word in lines[3].split()]
    if not names or len(ways) != len(names) or set(ways) - {"L", "S"}:
        raise InputError(
            source,
            "lines 3 and 4 do not name modalities and say L or S of each",
            "Give OR-DBM's format",
        )
    rows: list[RawRead] = []
    reader, positive, place = lines[1].strip().strip('"'), False, 0
    expects_reader = False
    for number, line in enumerate(lines[4:], 5):
        word = line.strip()
        if word == "#":
            break
        if not word:
            continue
        if expects_reader:
            reader, expects_reader = word.strip('"'), False
        elif word == "*":
            expects_reader, positive, place = positive, not positive, 0
        else:
            place += 1
            rows += _lrc_rows(word, names, ways, reader, positive, place, f"line {number}")
    else:
        raise InputError(source, "no '#' at the end", "The file may be cut off: give a whole one")
    return reads_of(rows, source, notes=map(remark, text.notes), nest=nest)


def _lrc_rows(
    line: str,
    names: Sequence[str],
    ways: Sequence[str],
    reader: str,
    positive: bool,
    place: int,
    where: str,
) -> list[RawRead]:
    parts = line.split(None, len(names))
    ratings = parts[: len(names)]
    label = parts[len(names)].strip() if len(parts) > len(names) else ""
    kind = "Abnormal" if positive else "Normal"
    case = label or f"{kind} Case {place}"
    found = []
    for modality, way, rating in zip(names, ways, [*ratings, *[""] * len(names)], strict=False):
        value = Numbers()(rating)
        turned = f"{-value}" if way == "S" and value is not None else rating
        found.append(
            RawRead(
                where=where,
                reader=reader,
                modality=modality.strip(),
                case=case,
                truth="1" if positive else "0",
                rating=turned,
            )
        )
    return found


_PREDICTED = Columns(
    names={
        "case": ("scan id", "case"),
        "value": ("mbd probability", "probability"),
        "score": ("rating", "score"),
    },
    required=("case",),
    remedy="Give scan_id and mbd_probability, one row per case",
)


def read_predictions(path: Path | str) -> dict[str, float]:
    """A model's probability for each case.

    Args:
        path: CSV or .xlsx with `scan_id` (or `case`) and `mbd_probability` (or `probability`,
            `rating`, `score`), such as `results.csv` of `bonescint classify`; separators, decimal
            commas and capitals as in a table of reads.

    Raises:
        InputError: unreadable, columns missing or ambiguous, a value that is no number, a case
            listed twice; all of them named.
    """
    table = read_table(path, _PREDICTED)
    table.warn()
    column = next((name for name in ("value", "score") if name in table), None)
    if column is None:
        problem = "columns missing: scan_id and mbd_probability"
        raise table.error(problem, _PREDICTED.remedy)
    value_of = table.numbers(column)
    found: dict[str, float] = {}
    problems = []
    for row in table.rows:
        name, text = row.name("case"), row.text(column)
        number = value_of(text)
        if not name or number is None:
            problems.append(f"{row.where} has no case or no number ('{name}', '{text}')")
        elif name in found:
            problems.append(f"{row.where} lists case {name} again")
        else:
            found[name] = number
    if problems or not found:
        raise table.error(listed_problems(problems) or "no row", "Correct the table")
    return found
