"""Rows of a table of reads, turned into reads: what is wrong is named, the rest goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bonescint.evaluate.readers.notes import Note, left_out, some
from bonescint.evaluate.readers.reads import Read, Reads
from bonescint.scan import InputError

_POSITIVE = frozenset(("1", "1.0", "true", "yes", "positive", "pos", "disease", "abnormal"))
_NEGATIVE = frozenset(("0", "0.0", "false", "no", "negative", "neg", "no disease", "normal"))


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
        >>> truth_of("1"), truth_of("Negative"), truth_of("2")
        (True, False, None)
    """
    word = text.strip().lower()
    if word in _POSITIVE:
        return True
    return False if word in _NEGATIVE else None


def number_of(text: str) -> float | None:
    """The finite number that a text says, or `None`; a decision in words is 0 or 1."""
    try:
        value = float(text)
    except ValueError:
        decision = truth_of(text)
        return None if decision is None else float(decision)
    return value if math.isfinite(value) else None


def reads_of(
    rows: Sequence[Row],
    source: object,
    *,
    truth: Mapping[str, str] | None = None,
    notes: Iterable[Note] = (),
) -> Reads:
    """Reads from rows; every row that cannot be used is named and left out.

    Args:
        rows: in the file's order.
        source: the file, for messages.
        truth: of cases, as written, where the file lists it apart from the reads.
        notes: what was left out before.

    Raises:
        InputError: nothing is left.
    """
    found = list(notes)
    known = _truths(rows, truth or {}, found)
    kept: dict[tuple[str, str, str], Read] = {}
    where: dict[tuple[str, str, str], str] = {}
    differing: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        read = _read(row, known, found)
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
        why = found[0].text if found else "it has no rows"
        raise InputError(source, f"no read can be used ({why})", "Correct the table")
    return Reads.of(kept.values(), known, notes=tuple(found))


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


def _read(row: Row, known: Mapping[str, bool], notes: list[Note]) -> Read | None:
    missing = [name for name in ("reader", "modality", "case") if not getattr(row, name)]
    if missing:
        notes.append(left_out(f"{row.where}: no {' and no '.join(missing)}"))
        return None
    if row.truth and truth_of(row.truth) is None:
        notes.append(left_out(f"{row.where}: truth must be 0 or 1, got '{row.truth}'"))
        return None
    if row.case not in known:
        return None  # said of the case
    rating = number_of(row.rating)
    if rating is None:
        got = f"got '{row.rating}'" if row.rating else "it is empty"
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
