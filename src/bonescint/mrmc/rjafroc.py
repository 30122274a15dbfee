"""RJafroc's workbooks: sheets of truth and of marked foci."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.common import Note, left_out, remark, some
from bonescint.mrmc.data import MarkedReads, Nest, RatedMark, Reads
from bonescint.scan import InputError, ParameterError
from bonescint.tables import Columns, Sheet, Table, one_spelling, said_spellings, sheet_table

_NO_RATING = -2000.0  # RJafroc's code of a rating that is not there
_SHEETS = "Give RJafroc's sheets TRUTH, LL (or TP) and NL (or FP)"
_LESION_SHEETS = ("tp", "ll")
_OTHER_SHEETS = ("fp", "nl")
_PARADIGMS = frozenset(("ROC", "FROC"))
_DESIGNS = frozenset(("FCTRL", "CROSSED", "SPLIT-PLOT-A", "SPLIT-PLOT-C"))
_CLOSE_TO_1 = 0.01  # within which RJafroc, too, takes weights to sum to 1
_NAMES: Mapping[str, Sequence[str]] = {
    "case": ("case id",),
    "lesion": ("lesion id",),
    "weight": ("weight",),
    "reader": ("reader id",),
    "modality": ("modality id", "treatment id"),
    "paradigm": ("paradigm",),
    "rating": ("rating", "fp rating", "nl rating", "tp rating", "ll rating"),
}


def rjafroc_reads(
    source: Path, sheets: Mapping[str, Sheet], nest: Nest | None
) -> Reads | MarkedReads:
    """A study from RJafroc's sheets (Chakraborty 2017, appendix).

    TRUTH, LL (or TP) and NL (or FP) give marked foci; if each case with disease has one lesion
    and no false mark, and each case without has one rating, they are ROC ratings. In a split plot
    TRUTH lists a case once for each group of readers.

    Args:
        source: the file.
        sheets: by their names in lower case.
        nest: within what cases are numbered anew; not for marked foci.

    Raises:
        InputError: not such sheets; a paradigm other than ROC and FROC, such as LROC; one cell
            with two ratings.
        ParameterError: marked foci with `nest`.
    """
    found = _rjafroc(source, sheets)
    if nest is None:
        return found
    if isinstance(found, MarkedReads):
        raise ParameterError("nest", "read_reads", "none for marked foci", nest.value)
    return found.nested_in(nest)


def _rjafroc(source: Path, sheets: Mapping[str, Sheet]) -> Reads | MarkedReads:
    lesion_sheet = next((name for name in _LESION_SHEETS if name in sheets), None)
    other_sheet = next((name for name in _OTHER_SHEETS if name in sheets), None)
    if lesion_sheet is None or other_sheet is None:
        raise InputError(source, "no sheets LL (or TP) and NL (or FP)", "Add them to TRUTH")

    def table(sheet: str, *required: str) -> Table:
        columns = Columns(names=_NAMES, required=required, remedy=_SHEETS)
        return sheet_table(source, sheets[sheet], columns)

    truth = table("truth", "case", "lesion", "weight")
    paradigm = _paradigm(truth)
    hits = table(lesion_sheet, "reader", "modality", "case", "lesion", "rating")
    others = table(other_sheet, "reader", "modality", "case", "rating")
    names = _Spellings(truth, hits, others)
    notes: list[Note] = list(names.notes)
    lesions = _lesions(truth, names, notes)
    if not lesions:
        raise InputError(source, "sheet TRUTH lists no case", "Add CaseID, LesionID, Weight")
    marks = [
        *_marks(hits, lesions, names, notes, of_lesions=True),
        *_marks(others, lesions, names, notes, of_lesions=False, once=paradigm == "ROC"),
    ]
    readers, modalities = (names.listed(truth, kind) for kind in ("reader", "modality"))
    if not marks and not (readers and modalities):
        raise InputError(source, "no mark can be used", "Correct the sheets")
    # Whoever TRUTH lists looked: a reader without a mark found every case clean.
    marked = MarkedReads.of(
        marks,
        lesions,
        readers=readers,
        modalities=modalities,
        read=_looked(truth, names, marks, lesions),
        notes=tuple(notes),
    )
    return _as_ratings(marked, paradigm, marks)


def _paradigm(truth: Table) -> str:
    """ROC or FROC, or empty where TRUTH does not say; the column holds the design, too."""
    said = {row.text("paradigm").upper() for row in truth.rows} - {""} - _DESIGNS
    if said - _PARADIGMS or len(said) > 1:
        problem = f"paradigm must be ROC or FROC, got {', '.join(sorted(said))}"
        raise truth.error(problem, "Give the study as one of them", column="paradigm")
    return next(iter(said), "")


class _Spellings:
    """The one spelling of each name, however a sheet writes it."""

    def __init__(self, *tables: Table) -> None:
        every: dict[str, list[str]] = defaultdict(list)
        for table in tables:
            for row in table.rows:
                every["case"].append(row.name("case"))
                for kind in ("reader", "modality"):
                    every[kind] += (
                        _names(row.name(kind)) if table is tables[0] else [row.name(kind)]
                    )
        self._used = {kind: one_spelling(filter(None, names)) for kind, names in every.items()}
        self.notes = [
            remark(said_spellings(kind, used)) for kind, used in self._used.items() if used
        ]

    def of(self, kind: str, name: str) -> str:
        """The spelling that is used."""
        return self._used[kind].get(name, name)

    def listed(self, truth: Table, kind: str) -> list[str]:
        """Names that a column of TRUTH lists, each once."""
        every = (self.of(kind, one) for row in truth.rows for one in _names(row.name(kind)))
        return list(dict.fromkeys(every))


def _lesions(truth: Table, names: _Spellings, notes: list[Note]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    healthy: dict[str, str] = {}
    groups: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    weight_of = truth.numbers("weight")
    for row in truth.rows:
        case, lesion = names.of("case", row.name("case")), row.name("lesion")
        weight = weight_of(row.text("weight") or "0")
        group = (row.name("modality"), row.name("reader"))
        if not case or not lesion:
            notes.append(left_out(f"{row.where}: no CaseID or no LesionID"))
        elif group in groups[case, lesion]:
            notes.append(left_out(f"{row.where}: lesion {lesion} of case {case} is listed twice"))
        elif lesion == "0":
            found.setdefault(case, {})
            healthy[case] = row.where
        elif weight is None or weight < 0:
            text = f"{row.where}: Weight must be at least 0, got '{row.text('weight')}'"
            notes.append(left_out(text))
        elif found.setdefault(case, {}).setdefault(lesion, weight) != weight:
            where = f"{row.where}: lesion {lesion} of case {case}"
            text = f"{where} has a different weight in an earlier row"
            notes.append(left_out(text))
        groups[case, lesion].append(group)
    for case, where in healthy.items():
        if found[case]:
            notes.append(
                left_out(f"case {case}: without disease in {where} and with lesions in other rows")
            )
            del found[case]
    odd = [case for case, weights in found.items() if not _sums_to_1(weights.values())]
    if odd:
        text = f"weights of case {some(odd)} do not sum to 1: they were scaled so that they do"
        notes.append(remark(text))
    return found


def _sums_to_1(weights: Iterable[float]) -> bool:
    """Whether weights may stand as they are; all of them 0 means equal ones."""
    total = sum(weights)
    return total == 0 or abs(total - 1) <= _CLOSE_TO_1


def _marks(
    table: Table,
    lesions: Mapping[str, Mapping[str, float]],
    names: _Spellings,
    notes: list[Note],
    *,
    of_lesions: bool,
    once: bool = True,
) -> list[RatedMark]:
    """Marks of a sheet; where each place has one rating only, two that differ are refused."""
    found: dict[tuple[object, ...], tuple[int, RatedMark]] = {}
    rating_of = table.numbers("rating")
    for row in table.rows:
        reader, modality, case = (
            names.of(kind, row.name(kind)) for kind in ("reader", "modality", "case")
        )
        lesion = row.name("lesion") if of_lesions else None
        rating = rating_of(row.text("rating"))
        if not (reader and modality and case):
            notes.append(left_out(f"{row.where}: no ReaderID, ModalityID or CaseID"))
        elif case not in lesions:
            notes.append(left_out(f"{row.where}: case {case} is not in TRUTH"))
        elif of_lesions and lesion not in lesions[case]:
            notes.append(left_out(f"{row.where}: lesion {lesion} of case {case} is not in TRUTH"))
        elif rating is None:
            text = f"{row.where}: rating must be a number, got '{row.text('rating')}'"
            notes.append(left_out(text))
        elif rating != _NO_RATING:
            mark = RatedMark(
                reader=reader, modality=modality, case=case, lesion=lesion, rating=rating
            )
            place = (reader, modality, case, lesion) if once else (row.number,)
            first, before = found.setdefault(place, (row.number, mark))
            if before.rating != rating:
                what = f"lesion {lesion} of case {case}" if of_lesions else f"case {case}"
                problem = (
                    f"reader {reader} in modality {modality} has two ratings of {what}, "
                    f"{before.rating:g} in row {first} and {rating:g}"
                )
                raise table.error(problem, "Keep one of them", row=row.number)
            if first != row.number:
                notes.append(left_out(f"{row.where}: the same as row {first}; one is kept"))
    return [mark for _, mark in found.values()]


def _names(text: str) -> list[str]:
    """Names in a list such as `0, 1, 2` or `(0, 1)`."""
    return [name for name in re.split(r"[\s,;()]+", text) if name]


def _looked(
    truth: Table,
    names: _Spellings,
    marks: Sequence[RatedMark],
    lesions: Mapping[str, Mapping[str, float]],
) -> Iterable[tuple[str, str, str]] | None:
    """Who read what, where TRUTH says it; `None` means that everybody read everything."""
    said = [
        (names.of("modality", modality), names.of("reader", reader), case)
        for row in truth.rows
        for modality, reader in product(_names(row.name("modality")), _names(row.name("reader")))
        if (case := names.of("case", row.name("case"))) in lesions
    ]
    nests = {(row.name("modality"), row.name("reader")) for row in truth.rows}
    if not said or len(nests) == 1:
        return None
    return [*said, *((mark.modality, mark.reader, mark.case) for mark in marks)]


def _as_ratings(
    marked: MarkedReads, paradigm: str, marks: Sequence[RatedMark]
) -> Reads | MarkedReads:
    """ROC ratings, if the sheets are such; marked foci otherwise."""
    at = {(mark.modality, mark.reader, mark.case) for mark in marks}
    positive = dict(zip(marked.cases, marked.truth, strict=True))
    one_each = (
        int(marked.lesions.max()) == 1
        and len(at) == len(marks) == int(marked.read.sum())
        and not any(positive[mark.case] for mark in marks if mark.lesion is None)
    )
    if one_each and paradigm != "FROC":
        return marked.highest()
    if paradigm != "ROC":
        return marked.with_notes(*_without_marks(marked, marks))
    reads = marked.highest()
    rated = np.zeros(reads.ratings.shape, bool)
    for modality, reader, case in at:
        where = reads.modalities.index(modality), reads.readers.index(reader)
        rated[(*where, reads.cases.index(case))] = True
    reads = replace(reads, ratings=np.where(rated, reads.ratings, np.nan))
    return reads.with_notes(*_without_ratings(reads, marked.read & ~rated))


def _without_marks(marked: MarkedReads, marks: Sequence[RatedMark]) -> list[Note]:
    """Note the readers and modalities that TRUTH lists and that have no mark."""
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
    """Note which ratings are missing, where every case should have one."""
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
