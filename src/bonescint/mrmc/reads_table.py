"""Tables of reads and of predictions; rows that cannot be used are named and left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bonescint.mrmc.data import Nest, Read, Reads, nested_name
from bonescint.mrmc.results import Note, NoteKind, Notes, remark, some
from bonescint.scan import InputError
from bonescint.tables import (
    MISSING,
    Columns,
    Numbers,
    Row,
    date_like,
    one_spelling,
    read_table,
    read_tables,
    said_spellings,
    truth_of,
)

_SHOWN = 10
_FEW = 10  # rows that may be left out of a small table
_SHARE = 0.2  # of all rows: where more cannot be used, the table is not what it is taken for


class RawRead(NamedTuple):
    """One row of a file, not yet checked.

    Attributes:
        where: such as "row 12".
        reader: the reader.
        modality: the modality or session.
        case: the case.
        truth: as written; empty where the file says it elsewhere.
        rating: as written.
        seconds: as written; empty if unknown.
    """

    where: str
    reader: str
    modality: str
    case: str
    truth: str
    rating: str
    seconds: str = ""


def listed_problems(problems: Sequence[str], shown: int = _SHOWN) -> str:
    """The first problems of a file, and how many more there are.

    Examples:
        >>> listed_problems(["row 2 is empty", "row 3 is empty"], shown=1)
        'row 2 is empty; and 1 more'
    """
    said = "; ".join(problems[:shown])
    return f"{said}; and {len(problems) - shown} more" if len(problems) > shown else said


_NUMBERS = Numbers()
"""Of columns that were found to say one thing, or of a format with a decimal point."""


def reads_of(
    rows: Sequence[RawRead],
    source: object,
    *,
    truth: Mapping[str, str] | None = None,
    notes: Iterable[Note] = (),
    nest: Nest | None = None,
) -> Reads:
    """Turn rows into reads; every row that cannot be used is named and left out.

    Names that differ only as spreadsheets change them (see `name_key`) are the same.

    Args:
        rows: in the file's order.
        source: the file, for messages.
        truth: truth of cases, as written, where the file lists it apart from the reads.
        notes: what was left out before.
        nest: what has case names of its own; the truth of a name may then differ between
            readers (or modalities).

    Raises:
        InputError: nothing is left, or more than a fifth of the rows cannot be used, or ratings
            are dates, or it cannot be told whether two names are the same.
    """
    found = Notes(notes)
    rows, listed = _spelt_alike(rows, dict(truth or {}), source, found)
    _require_no_dates(rows, source)
    if nest is not None:
        rows, listed = _nested(rows, listed, nest)
    known = _truths(rows, listed, found)
    reading = _Reading(known=known, odd=_no_decision(rows))
    kept: dict[tuple[str, str, str], Read] = {}
    where: dict[tuple[str, str, str], str] = {}
    differing: dict[tuple[str, str, str], list[str]] = {}
    unused = 0
    for row in rows:
        read = _read(row, reading, found)
        if read is None:
            unused += row.rating.lower() not in MISSING
            continue
        key = (read.reader, read.modality, read.case)
        if key not in kept:
            kept[key], where[key] = read, row.where
        elif kept[key].rating == read.rating:
            found.left_out(f"{row.where}: the same read as {where[key]}; one is kept")
        else:
            differing.setdefault(key, [where[key]]).append(row.where)
    for (reader, modality, case), rows_of in differing.items():
        del kept[reader, modality, case]
        found.left_out(
            f"reader {reader}, modality {modality}, case {case}: listed with different ratings "
            f"in {', '.join(rows_of)}; none is used"
        )
    if not kept or (unused > _FEW and unused > _SHARE * len(rows)):
        problems = [note.text for note in found if note.kind is NoteKind.LEFT_OUT]
        why = listed_problems(problems) or "it has no rows"
        how_many = f"{unused} of {len(rows)} reads cannot" if kept else "no read can"
        raise InputError(source, f"{how_many} be used ({why})", "Correct the table")
    found += _codes({read.rating for read in kept.values()})
    return Reads.of(kept.values(), known, notes=tuple(found))


def _spelt_alike(
    rows: Sequence[RawRead], truth: dict[str, str], source: object, notes: Notes
) -> tuple[list[RawRead], dict[str, str]]:
    """Give each reader, modality and case one spelling, and note what that changed."""
    kinds = ("reader", "modality", "case")
    names = {kind: [getattr(row, kind) for row in rows] for kind in kinds}
    names["case"] += list(truth)
    used = {kind: one_spelling(filter(None, names[kind])) for kind in kinds}
    if not any(used.values()):
        return list(rows), truth
    written: dict[tuple[str, ...], RawRead] = {}
    alike = []
    for row in rows:
        now = tuple(used[kind].get(getattr(row, kind), getattr(row, kind)) for kind in kinds)
        first = written.setdefault(now, row)
        for kind in kinds:
            one, other = getattr(first, kind), getattr(row, kind)
            if one != other:
                problem = (
                    f"{first.where} and {row.where} name the {kind} '{one}' and '{other}' in one "
                    f"read each: are they the same or two?"
                )
                raise InputError(source, problem, "Write each name in one way")
        alike.append(row._replace(**dict(zip(kinds, now, strict=True))))
    notes += [remark(said_spellings(kind, of_kind)) for kind, of_kind in used.items() if of_kind]
    told: dict[str, str] = {}
    for case, text in truth.items():
        name = used["case"].get(case, case)
        if told.setdefault(name, text) != text:
            told[name] = f"{told[name]} and {text}"
    return alike, told


def _require_no_dates(rows: Sequence[RawRead], source: object) -> None:
    dated = next((row for row in rows if date_like(row.rating)), None)
    if dated is not None:
        problem = f"{dated.where}: rating '{dated.rating}' is a date: a spreadsheet changed it"
        raise InputError(source, problem, "Format the ratings as numbers or text and retype them")


def _codes(ratings: set[float]) -> list[Note]:
    """Note ratings such as 99 or -999 that are far from the others: often codes of missing ones."""
    codes = {rating for rating in ratings if re.fullmatch("9{2,}", f"{abs(rating):.15g}")}
    others = [abs(rating) for rating in ratings - codes]
    far = sorted(code for code in codes if others and abs(code) > 5 * max(others))
    text = "was used, far from the others: if it marks a missing rating, leave the cell empty"
    return [remark(f"rating {code:.15g} {text}") for code in far]


def _nested(
    rows: Sequence[RawRead], truth: Mapping[str, str], nest: Nest
) -> tuple[list[RawRead], dict[str, str]]:
    """Rows whose cases have their reader's or modality's name; truth listed apart follows them."""
    found: list[RawRead] = []
    listed: dict[str, str] = {}
    for row in rows:
        owner = row.reader if nest is Nest.READERS else row.modality
        case = nested_name(owner, row.case) if owner and row.case else row.case
        if row.case in truth:
            listed[case] = truth[row.case]
        found.append(row._replace(case=case))
    return found, listed


def _no_decision(rows: Sequence[RawRead]) -> RawRead | None:
    """The first row whose rating is no decision; words are decisions where there is none."""
    return next((row for row in rows if row.rating and truth_of(row.rating) is None), None)


def _truths(rows: Sequence[RawRead], listed: Mapping[str, str], notes: Notes) -> dict[str, bool]:
    """Truth of every case that has one; cases whose truth differs between rows have none."""
    said: dict[str, dict[bool, str]] = {}
    for case, text in listed.items():
        value = truth_of(text)
        if value is None:
            notes.left_out(f"case {case}: truth must be 0 or 1, got '{text}'")
        else:
            said.setdefault(case, {})[value] = "the truth rows"
    for row in rows:
        value = truth_of(row.truth)
        if value is not None and row.case:
            said.setdefault(row.case, {}).setdefault(value, row.where)
    known = {}
    for case, values in said.items():
        if len(values) == 1:
            known[case] = next(iter(values))
        else:
            notes.left_out(
                f"case {case}: truth is 0 in {values[False]} and 1 in {values[True]}; the case "
                "is left out"
            )
    contradicted = [case for case, values in said.items() if len(values) > 1]
    unknown = sorted({row.case for row in rows if row.case} - set(known) - set(contradicted))
    if unknown:
        cases = "case" if len(unknown) == 1 else f"{len(unknown)} cases:"
        notes.left_out(f"{cases} {some(unknown)} without a truth of 0 or 1")
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """How ratings are read: truth of the cases, the first rating that is no decision, numbers."""

    known: Mapping[str, bool]
    odd: RawRead | None


def _read(row: RawRead, reading: _Reading, notes: Notes) -> Read | None:
    missing = [name for name in ("reader", "modality", "case") if not getattr(row, name)]
    if missing:
        notes.left_out(f"{row.where}: no {' and no '.join(missing)}")
        return None
    if row.truth and truth_of(row.truth) is None:
        notes.left_out(f"{row.where}: truth must be 0 or 1, got '{row.truth}'")
        return None
    if row.case not in reading.known:
        return None  # said of the case
    rating, decision, odd = _NUMBERS(row.rating), truth_of(row.rating), reading.odd
    if rating is None and decision is not None and odd is None:
        rating = float(decision)
    if rating is None:
        got = f"got '{row.rating}'" if row.rating else "it is empty"
        if decision is not None and odd is not None:
            got += f" (words are decisions only where all ratings are: {odd.where} has"
            got += f" '{odd.rating}')"
        notes.left_out(f"{row.where}: rating must be a number, {got}")
        return None
    seconds = _NUMBERS(row.seconds) if row.seconds else None
    if row.seconds and (seconds is None or seconds < 0):
        notes.left_out(f"{row.where}: seconds must be at least 0, got '{row.seconds}'; read kept")
        seconds = None
    return Read(
        reader=row.reader, modality=row.modality, case=row.case, rating=rating, seconds=seconds
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


def table_reads(source: Path, nest: Nest | None) -> Reads:
    """Reads from a table whose header names the columns, or several such sheets."""
    tables = read_tables(source, COLUMNS)
    notes = Notes(map(remark, dict.fromkeys(note for one in tables for note in one.notes)))
    if any("modality" not in one and "session" not in one for one in tables):
        notes.remark("no column of modalities: all reads are of one modality")
    if len(tables) > 1:
        notes.remark(f"sheets {', '.join(one.sheet for one in tables)} were read as one")
    rows = []
    for table in tables:
        for column in ("rating", "seconds"):
            table.numbers(column)  # refused where it may say two things
        rows += [
            RawRead(
                row.where,
                row.name("reader"),
                _modality(row),
                row.name("case"),
                *(row.text(column) for column in ("truth", "rating", "seconds")),
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
