"""Files of reads: CSV and XLSX tables, iMRMC's list mode, OR-DBM's columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bonescint.evaluate.readers.choices import chosen
from bonescint.evaluate.readers.marks import MarkedReads
from bonescint.evaluate.readers.notes import Note, remark
from bonescint.evaluate.readers.reads import Nest, Reads
from bonescint.evaluate.readers.separated import csv_rows, separator_of, with_points
from bonescint.evaluate.readers.tables import Row, listed_problems, number_of, reads_of
from bonescint.scan import InputError

# What other programs call the columns.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "reader": ("reader", "readerid", "reader_id", "observer"),
    "modality": ("modality", "treatment", "test", "modalityid", "modality_id"),
    "session": ("session",),
    "case": ("case", "scan_id", "caseid", "case_id", "scan"),
    "truth": ("truth", "label", "reference", "disease"),
    "rating": ("rating", "decision", "score"),
    "seconds": ("seconds", "time_s", "reading_time_s"),
}
_ONLY_MODALITY = "1"
_SUFFIXES = (".csv", ".xlsx", ".imrmc", ".lrc")


def read_reads(path: Path | str, *, nest: Nest | None = None) -> Reads | MarkedReads:
    """Read a study from a file.

    Args:
        path: `.csv` or `.xlsx` with the columns `reader, modality, case, truth, rating[, seconds]`
            (`session`, `treatment` and `decision` are understood; without a modality there is
            one); `.imrmc` in list mode; `.lrc` of OR-DBM; `.xlsx` with RJafroc's sheets, which
            gives marked foci.
        nest: within what cases are numbered anew, so that the same name is another patient, with
            a truth of its own; not for marked foci.

    Returns:
        The reads. Rows that cannot be used are left out and named in `notes`.

    Raises:
        InputError: unreadable, columns missing or ambiguous, or no row can be used.
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
    if suffix == ".xlsx":
        from bonescint.evaluate.readers.workbook_files import read_workbook

        return read_workbook(source, nest)
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            source, f"not readable as text ({type(error).__name__})", "Save it as UTF-8"
        ) from error
    if suffix == ".csv":
        return table_reads(csv_rows(text, source), source, nest=nest)
    return _imrmc(text, source, nest) if suffix == ".imrmc" else _lrc(text, source, nest)


def table_reads(
    rows: Sequence[tuple[str, Sequence[str]]],
    source: object,
    *,
    notes: Sequence[Note] = (),
    nest: Nest | None = None,
) -> Reads:
    """Reads from a table whose first row names the columns.

    Args:
        rows: (where, texts).
        source: the file, for messages.
        notes: what was left out before.
        nest: within what cases are numbered anew.

    Raises:
        InputError: columns missing or ambiguous, or no row can be used.
    """
    if not rows:
        raise InputError(source, "the table is empty", "Give reader, modality, case, truth, rating")
    columns = [name.strip().lower() for name in rows[0][1]]
    at: dict[str, int] = {}
    ambiguous = []
    for name, called in _NAMES.items():
        here = [index for index, column in enumerate(columns) if column in called]
        if here:
            at[name] = here[0]
        if len(here) > 1:
            which = ", ".join(f"{columns[index]} (column {index + 1})" for index in here)
            ambiguous.append(f"{name}: {which}")
    if ambiguous:
        raise InputError(
            source,
            f"several columns could be the {'; the '.join(ambiguous)}",
            "Keep or rename one of each",
        )
    missing = [name for name in ("reader", "case", "truth", "rating") if name not in at]
    if missing:
        raise InputError(
            source,
            f"columns missing: {', '.join(missing)}",
            "The table needs reader, modality, case, truth, rating (seconds if you have them)",
        )
    remarks = list(notes)
    if "modality" not in at and "session" not in at:
        remarks.append(remark("no column of modalities: everything is one modality"))
    found = []
    for where, texts in rows[1:]:

        def text(name: str, texts: Sequence[str] = texts) -> str:
            index = at.get(name)
            return texts[index].strip() if index is not None and index < len(texts) else ""

        found.append(
            Row(
                where=where,
                reader=text("reader"),
                modality=_modality(at, text("modality"), text("session")),
                case=text("case"),
                truth=text("truth"),
                rating=text("rating"),
                seconds=text("seconds"),
            )
        )
    return reads_of(found, source, notes=remarks, nest=nest)


def _modality(at: Mapping[str, int], modality: str, session: str) -> str:
    if "modality" not in at:
        return session if "session" in at else _ONLY_MODALITY
    if "session" in at and modality and session:
        return f"{modality}, session {session}"
    return modality


def _imrmc(text: str, source: Path, nest: Nest | None) -> Reads:
    """List mode of iMRMC: `reader, case, modality, rating` after BEGIN DATA.

    A reader of -1 says the truth of a case. What stands before is for people; its counts are
    checked against the rows.
    """
    lines = text.splitlines()
    begin = next((n for n, line in enumerate(lines) if "BEGIN DATA" in line.upper()), None)
    if begin is None:
        raise InputError(source, "no line BEGIN DATA", "Give iMRMC's list mode")
    truth: dict[str, str] = {}
    rows: list[Row] = []
    notes: list[Note] = []
    separator = separator_of("\n".join(lines[begin + 1 :]))
    for number, line in enumerate(lines[begin + 1 :], begin + 2):
        cells = with_points(line.split(separator), separator)
        if not any(cells):
            continue
        where = f"line {number}"
        if len(cells) < 4:
            rows.append(Row(where=where, reader="", modality="", case="", truth="", rating=""))
        elif cells[0] == "-1" or cells[2].lower() == "truth":
            if truth.setdefault(cells[1], cells[3]) != cells[3]:
                truth[cells[1]] = f"{truth[cells[1]]} and {cells[3]}"
        else:
            rows.append(
                Row(
                    where=where,
                    reader=cells[0],
                    modality=cells[2],
                    case=cells[1],
                    truth="",
                    rating=cells[3],
                )
            )
    notes += _checked_counts(lines[:begin], truth, rows)
    return reads_of(rows, source, truth=truth, notes=notes, nest=nest)


def _checked_counts(
    header: Sequence[str], truth: Mapping[str, str], rows: Sequence[Row]
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


def _lrc(text: str, source: Path, nest: Nest | None) -> Reads:
    """OR-DBM's columns: a block a reader, cases without disease, `*`, cases with, `*`; `#` ends.

    Line 1 is a title; line 2 names the first reader; line 3 the modalities in quotes; line 4 says
    of each whether large (L) or small (S) ratings speak for disease. Case names may follow the
    ratings; without them cases go by their place in the block.
    """
    lines = [line.rstrip() for line in text.splitlines()]
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
    rows: list[Row] = []
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
    return reads_of(rows, source, nest=nest)


def _lrc_rows(
    line: str,
    names: Sequence[str],
    ways: Sequence[str],
    reader: str,
    positive: bool,
    place: int,
    where: str,
) -> list[Row]:
    parts = line.split(None, len(names))
    ratings = parts[: len(names)]
    label = parts[len(names)].strip() if len(parts) > len(names) else ""
    kind = "Abnormal" if positive else "Normal"
    case = label or f"{kind} Case {place}"
    found = []
    for modality, way, rating in zip(names, ways, [*ratings, *[""] * len(names)], strict=False):
        value = number_of(rating)
        turned = f"{-value}" if way == "S" and value is not None else rating
        found.append(
            Row(
                where=where,
                reader=reader,
                modality=modality.strip(),
                case=case,
                truth="1" if positive else "0",
                rating=turned,
            )
        )
    return found


def read_predictions(path: Path | str) -> dict[str, float]:
    """A model's probability for each case.

    Args:
        path: CSV with `scan_id` (or `case`) and `mbd_probability` (or `probability`, `rating`,
            `score`), such as `results.csv` of `bonescint classify`; separators, decimal commas
            and capitals as in a table of reads.

    Raises:
        InputError: unreadable, columns missing or ambiguous, a value that is no number, a case
            listed twice; all of them named.
    """
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(source, "no such file", "Give a table of predictions") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            source, f"not a readable table ({type(error).__name__})", "Give a CSV table"
        ) from error
    rows = csv_rows(text, source)
    columns = [name.strip().lower() for name in rows[0][1]] if rows else []
    case = next((name for name in ("scan_id", "case") if name in columns), None)
    wanted = ("mbd_probability", "probability", "rating", "score")
    value = next((name for name in wanted if name in columns), None)
    if case is None or value is None:
        raise InputError(
            source, "columns missing: scan_id and mbd_probability", "Add them, one row a case"
        )
    twice = [name for name in (case, value) if columns.count(name) > 1]
    if twice:
        said = " and ".join(twice)
        raise InputError(source, f"several columns {said}", "Keep or rename one of each")
    return _predicted(rows[1:], columns.index(case), columns.index(value), source)


def _predicted(
    rows: Sequence[tuple[str, Sequence[str]]], case: int, value: int, source: Path
) -> dict[str, float]:
    found: dict[str, float] = {}
    problems = []
    for where, row in rows:
        name, text = (row[at].strip() if at < len(row) else "" for at in (case, value))
        number = number_of(text)
        if not name or number is None:
            problems.append(f"{where} has no case or no number ('{name}', '{text}')")
        elif name in found:
            problems.append(f"{where} lists case {name} again")
        else:
            found[name] = number
    if problems or not found:
        raise InputError(source, listed_problems(problems) or "no row", "Correct the table")
    return found
