"""Rows of a table of reads, turned into reads: what is wrong is named, the rest goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bonescint.evaluate.readers.notes import Note, NoteKind, left_out, some
from bonescint.evaluate.readers.reads import Nest, Read, Reads, nested_name
from bonescint.scan import InputError

_POSITIVE = frozenset(("true", "yes", "positive", "pos", "disease", "abnormal"))
_NEGATIVE = frozenset(("false", "no", "negative", "neg", "no disease", "normal"))
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as it stands in a file, nothing checked.

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


def truth_of(text: str) -> bool | None:
    """The truth that a word says, or `None`.

    Examples:
        >>> truth_of("1"), truth_of("Negative"), truth_of("0.00"), truth_of("2")
        (True, False, False, None)
    """
    word = text.strip().lower()
    if word in _POSITIVE:
        return True
    if word in _NEGATIVE:
        return False
    value = number_of(word)
    return bool(value) if value in (0.0, 1.0) else None


def number_of(text: str) -> float | None:
    """The finite number that a text says, or `None`.

    Examples:
        >>> number_of("2.5"), number_of("1_0"), number_of("inf"), number_of("yes")
        (2.5, None, None, None)
    """
    try:
        # Python takes `1_0` for 10; a table means something else by it.
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def listed_problems(problems: Sequence[str], shown: int = _SHOWN) -> str:
    """The first problems of a file, and how many more there are.

    Examples:
        >>> listed_problems(["row 2 is empty", "row 3 is empty"], shown=1)
        'row 2 is empty; and 1 more'
    """
    said = "; ".join(problems[:shown])
    return f"{said}; and {len(problems) - shown} more" if len(problems) > shown else said


def reads_of(
    rows: Sequence[Row],
    source: object,
    *,
    truth: Mapping[str, str] | None = None,
    notes: Iterable[Note] = (),
    nest: Nest | None = None,
) -> Reads:
    """Reads from rows; every row that cannot be used is named and left out.

    Args:
        rows: in the file's order.
        source: the file, for messages.
        truth: of cases, as written, where the file lists it apart from the reads.
        notes: what was left out before.
        nest: within what cases are numbered anew; then the truth of a name may differ between
            readers (or modalities).

    Raises:
        InputError: nothing is left; all problems are named.
    """
    found = list(notes)
    listed = dict(truth or {})
    if nest is not None:
        rows, listed = _nested(rows, listed, nest)
    known = _truths(rows, listed, found)
    odd = _no_decision(rows)
    kept: dict[tuple[str, str, str], Read] = {}
    where: dict[tuple[str, str, str], str] = {}
    differing: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        read = _read(row, known, odd, found)
        if read is None:
            continue
        key = (read.reader, read.modality, read.case)
        if key not in kept:
            kept[key], where[key] = read, row.where
        elif kept[key].rating == read.rating:
            found.append(left_out(f"{row.where}: the same read as {where[key]}; one is kept"))
        else:
            differing.setdefault(key, [where[key]]).append(row.where)
    for (reader, modality, case), rows_of in differing.items():
        del kept[reader, modality, case]
        found.append(
            left_out(
                f"reader {reader}, modality {modality}, case {case}: listed with different ratings "
                f"in {', '.join(rows_of)}; none is used"
            )
        )
    if not kept:
        problems = [note.text for note in found if note.kind is NoteKind.LEFT_OUT]
        why = listed_problems(problems) or "it has no rows"
        raise InputError(source, f"no read can be used ({why})", "Correct the table")
    return Reads.of(kept.values(), known, notes=tuple(found))


def _nested(
    rows: Sequence[Row], truth: Mapping[str, str], nest: Nest
) -> tuple[list[Row], dict[str, str]]:
    """Rows whose cases have their reader's or modality's name; truth listed apart follows them."""
    found: list[Row] = []
    listed: dict[str, str] = {}
    for row in rows:
        owner = row.reader if nest is Nest.READERS else row.modality
        case = nested_name(owner, row.case) if owner and row.case else row.case
        if row.case in truth:
            listed[case] = truth[row.case]
        found.append(replace(row, case=case))
    return found, listed


def _no_decision(rows: Sequence[Row]) -> Row | None:
    """The first row whose rating is no decision; words are decisions where there is none."""
    return next((row for row in rows if row.rating and truth_of(row.rating) is None), None)


def _truths(rows: Sequence[Row], listed: Mapping[str, str], notes: list[Note]) -> dict[str, bool]:
    """Truth of every case that has one; cases whose truth differs between rows have none."""
    said: dict[str, dict[bool, str]] = {}
    for case, text in listed.items():
        value = truth_of(text)
        if value is None:
            notes.append(left_out(f"case {case}: truth must be 0 or 1, got '{text}'"))
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
            notes.append(
                left_out(
                    f"case {case}: truth is 0 in {values[False]} and 1 in {values[True]}; the case "
                    "is left out"
                )
            )
    contradicted = [case for case, values in said.items() if len(values) > 1]
    unknown = sorted({row.case for row in rows if row.case} - set(known) - set(contradicted))
    if unknown:
        cases = "case" if len(unknown) == 1 else f"{len(unknown)} cases:"
        notes.append(left_out(f"{cases} {some(unknown)} without a truth of 0 or 1"))
    return known


def _read(row: Row, known: Mapping[str, bool], odd: Row | None, notes: list[Note]) -> Read | None:
    missing = [name for name in ("reader", "modality", "case") if not getattr(row, name)]
    if missing:
        notes.append(left_out(f"{row.where}: no {' and no '.join(missing)}"))
        return None
    if row.truth and truth_of(row.truth) is None:
        notes.append(left_out(f"{row.where}: truth must be 0 or 1, got '{row.truth}'"))
        return None
    if row.case not in known:
        return None  # said of the case
    rating, decision = number_of(row.rating), truth_of(row.rating)
    if rating is None and decision is not None and odd is None:
        rating = float(decision)
    if rating is None:
        got = f"got '{row.rating}'" if row.rating else "it is empty"
        if decision is not None and odd is not None:
            got += f" (words are decisions only where all ratings are: {odd.where} has"
            got += f" '{odd.rating}')"
        notes.append(left_out(f"{row.where}: rating must be a number, {got}"))
        return None
    seconds = number_of(row.seconds) if row.seconds else None
    if row.seconds and (seconds is None or seconds < 0):
        notes.append(
            left_out(f"{row.where}: seconds must be at least 0, got '{row.seconds}'; read kept")
        )
        seconds = None
    return Read(
        reader=row.reader, modality=row.modality, case=row.case, rating=rating, seconds=seconds
    )
