"""Files of reads: tables, iMRMC's list mode, OR-DBM's columns, RJafroc's workbooks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.data import MarkedReads, Nest, RatedMark, Reads
from bonescint.mrmc.reads_table import RawRead, reads_of, table_reads
from bonescint.mrmc.results import Notes, chosen, remark, some
from bonescint.scan import InputError, ParameterError
from bonescint.tables import (
    Columns,
    Numbers,
    Sheet,
    Table,
    TextFile,
    is_workbook,
    one_spelling,
    open_text,
    plain_name,
    read_sheets,
    said_spellings,
    separator_of,
    sheet_table,
    text_of,
)

_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".imrmc", ".lrc")


def read_reads(path: Path | str, *, nest: Nest | None = None) -> Reads | MarkedReads:
    """Read a study from a file.

    Args:
        path: `.csv` (`.tsv`, `.txt`) or `.xlsx` with the columns `reader, modality, case, truth,
            rating[, seconds]` (`session`, `treatment` and `decision` are understood; without a
            modality there is one); `.imrmc` in list mode; `.lrc` of OR-DBM; `.xlsx` with
            RJafroc's sheets, which gives marked foci. Of a workbook every sheet that holds such
            a table is read.
        nest: what has case names of its own (each reader, say), so that one name is several
            patients, each with a truth; not for marked foci.

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
            found = _rjafroc(source, sheets)
            if nest is None:
                return found
            if isinstance(found, MarkedReads):
                raise ParameterError("nest", "read_reads", "none for marked foci", nest.value)
            return found.nested_in(nest)
    return table_reads(source, nest)


def _imrmc(text: TextFile, nest: Nest | None) -> Reads:
    """List mode of iMRMC: `reader, case, modality, rating` after BEGIN DATA.

    A reader called -1 or truth gives the truth of a case, whatever its modality is (0 or truth).
    The lines before BEGIN DATA are for people; their counts are checked against the rows.
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
            rows.append(RawRead(where, "", "", "", "", ""))
        elif names[0].lower() in ("-1", "truth") or names[2].lower() == "truth":
            if truth.setdefault(names[1], cells[3]) != cells[3]:
                truth[names[1]] = f"{truth[names[1]]} and {cells[3]}"
        else:
            reader, case, modality = names
            rows.append(RawRead(where, reader, modality, case, "", cells[3]))
    notes = Notes(map(remark, text.notes))
    _check_counts(lines[:begin], truth, rows, notes)
    return reads_of(rows, source, truth=truth, notes=notes, nest=nest)


def _check_counts(
    header: Sequence[str], truth: Mapping[str, str], rows: Sequence[RawRead], notes: Notes
) -> None:
    """Note where the header of an iMRMC file counts otherwise than its rows."""
    counted = {
        "N0": sum(text in ("0", "0.0") for text in truth.values()),
        "N1": sum(text in ("1", "1.0") for text in truth.values()),
        "NR": len({row.reader for row in rows if row.reader}),
        "NM": len({row.modality for row in rows if row.modality}),
    }
    for line in header:
        said = re.match(r"\s*(N0|N1|NR|NM)\s*[:=]\s*(\S+)", line, re.IGNORECASE)
        if said and said[2] != str(counted[said[1].upper()]):
            name = said[1].upper()
            notes.remark(f"the header says {name} is {said[2]}, the rows {counted[name]}")


def _lrc(text: TextFile, nest: Nest | None) -> Reads:
    """OR-DBM's columns: a block per reader, cases without disease, `*`, cases with, `*`; `#` ends.

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
        problem = "lines 3 and 4 do not name modalities and say L or S of each"
        raise InputError(source, problem, "Give OR-DBM's format")
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
            RawRead(where, reader, modality.strip(), case, "1" if positive else "0", turned)
        )
    return found


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


def _rjafroc(source: Path, sheets: Mapping[str, Sheet]) -> Reads | MarkedReads:
    """A study from RJafroc's sheets (Chakraborty 2017, appendix), by their names in lower case.

    TRUTH, LL (or TP) and NL (or FP) give marked foci; if each case with disease has one lesion
    and no false mark, and each case without has one rating, they are ROC ratings. In a split plot
    TRUTH lists a case once for each group of readers.
    """
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
    notes = Notes(names.notes)
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
    # Every reader that TRUTH lists took part: one without a mark found every case clean.
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


def _lesions(truth: Table, names: _Spellings, notes: Notes) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    healthy: dict[str, str] = {}
    groups: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    weight_of = truth.numbers("weight")
    for row in truth.rows:
        case, lesion = names.of("case", row.name("case")), row.name("lesion")
        weight = weight_of(row.text("weight") or "0")
        group = (row.name("modality"), row.name("reader"))
        if not case or not lesion:
            notes.left_out(f"{row.where}: no CaseID or no LesionID")
        elif group in groups[case, lesion]:
            notes.left_out(f"{row.where}: lesion {lesion} of case {case} is listed twice")
        elif lesion == "0":
            found.setdefault(case, {})
            healthy[case] = row.where
        elif weight is None or weight < 0:
            text = f"{row.where}: Weight must be at least 0, got '{row.text('weight')}'"
            notes.left_out(text)
        elif found.setdefault(case, {}).setdefault(lesion, weight) != weight:
            where = f"{row.where}: lesion {lesion} of case {case}"
            text = f"{where} has a different weight in an earlier row"
            notes.left_out(text)
        groups[case, lesion].append(group)
    for case, where in healthy.items():
        if found[case]:
            notes.left_out(
                f"case {case}: without disease in {where} and with lesions in other rows"
            )
            del found[case]
    sums = {case: sum(weights.values()) for case, weights in found.items()}
    # Weights that are all 0 are equal ones.
    odd = [case for case, total in sums.items() if total and abs(total - 1) > _CLOSE_TO_1]
    if odd:
        text = f"weights of case {some(odd)} do not sum to 1: they were scaled so that they do"
        notes.remark(text)
    return found


def _marks(
    table: Table,
    lesions: Mapping[str, Mapping[str, float]],
    names: _Spellings,
    notes: Notes,
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
            notes.left_out(f"{row.where}: no ReaderID, ModalityID or CaseID")
        elif case not in lesions:
            notes.left_out(f"{row.where}: case {case} is not in TRUTH")
        elif of_lesions and lesion not in lesions[case]:
            notes.left_out(f"{row.where}: lesion {lesion} of case {case} is not in TRUTH")
        elif rating is None:
            text = f"{row.where}: rating must be a number, got '{row.text('rating')}'"
            notes.left_out(text)
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
                notes.left_out(f"{row.where}: the same as row {first}; one is kept")
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
    notes = Notes(marked.notes)
    if paradigm != "ROC":
        _note_unmarked(marked, marks, notes)
        return replace(marked, notes=tuple(notes))
    reads = marked.highest()
    rated = np.zeros(reads.ratings.shape, bool)
    for modality, reader, case in at:
        where = reads.modalities.index(modality), reads.readers.index(reader)
        rated[(*where, reads.cases.index(case))] = True
    _note_unrated(reads, marked.read & ~rated, notes)
    ratings = np.where(rated, reads.ratings, np.nan)
    return replace(reads, ratings=ratings, notes=tuple(notes))


def _note_unmarked(marked: MarkedReads, marks: Sequence[RatedMark], notes: Notes) -> None:
    """Note the readers and modalities that TRUTH lists and that have no mark."""
    for kind, names, known in (
        ("reader", marked.readers, {one.reader for one in marks}),
        ("modality", marked.modalities, {one.modality for one in marks}),
    ):
        for name in names:
            if name not in known:
                notes.remark(
                    f"{kind} {name} has no mark that can be used: every case counts as found clean"
                )


def _note_unrated(reads: Reads, missing: NDArray[np.bool_], notes: Notes) -> None:
    """Note which ratings are missing, where every case should have one."""
    for row, modality in enumerate(reads.modalities):
        for column, reader in enumerate(reads.readers):
            cases = [reads.cases[index] for index in np.flatnonzero(missing[row, column])]
            if cases:
                notes.left_out(
                    f"reader {reader} in modality {modality}: {len(cases)} reads without a "
                    f"rating, of case {some(cases)}"
                )
