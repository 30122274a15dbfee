"""The rows of the exported tables, each column with its meaning for the data dictionary."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any

_Cell = str | float | int | None


def _column(meaning: str) -> Any:
    return field(metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRow:
    """A row of an exported table."""

    @classmethod
    def columns(cls) -> tuple[Field[Any], ...]:
        """The columns, in order."""
        return fields(cls)

    def cells(self) -> list[_Cell]:
        """The values, in the order of the columns; booleans as 0 and 1."""
        values = [getattr(self, column.name) for column in self.columns()]
        return [int(value) if isinstance(value, bool) else value for value in values]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityRow(ExportRow):
    """A row about one reader in one session and modality."""

    reader: str = _column("short name of the reader")
    simulated: bool = _column("the reader is a program, not a person")
    session: int = _column("reading session, 1 or 2")
    modality: str = _column("unaided, unaided-2 (second session, before the model), aided")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRow(ModalityRow):
    """An answer."""

    case: str = _column("scan_id in the cohort's manifest")
    token: str = _column("the case's opaque identifier in the study")
    position: int = _column("place in the reader's order, 0 first, training included")
    training: bool = _column("training case: left out of every analysis")
    truth: int = _column("reference standard: 1 metastatic bone disease, 0 none")
    decision: int = _column("1 yes, 0 no")
    rating: int = _column("confidence that disease is present, 0 to 100")
    no_focus: bool = _column("the reader stated that there is no focus")
    marks: int = _column("number of marked foci")
    comment: str = _column("the reader's comment")
    revision: int = _column("1 for the first answer, more where the protocol allows changes")
    final: bool = _column("the last version of the answer: the one that counts")
    submitted: str = _column("when the server stored it, UTC")
    gross_s: float | None = _column("seconds from display of the case to submission")
    active_s: float | None = _column("the same without pause, hidden tab and idle time, seconds")
    software_sha256: str = _column("hash of the software that stored the answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRow(ModalityRow):
    """A marked focus."""

    case: str = _column("scan_id in the cohort's manifest")
    training: bool = _column("training case: left out of every analysis")
    revision: int = _column("of the answer that it belongs to")
    final: bool = _column("belongs to the version of the answer that counts")
    mark: int = _column("number of the mark in its answer")
    view: str = _column("anterior or posterior, each as seen from its own side")
    row_px: float = _column("row, 0 at the head; whole numbers are pixel centres")
    column_px: float = _column("column, 0 at the left of the view as shown")
    rating: int = _column("confidence in this focus, 0 to 100")
    distance_mm: float | None = _column("to the nearest metastasis of that view (0 inside), mm")
    lesion: int | None = _column("number of the metastasis that it hits")
    hit: int | None = _column("1 within the stated radius of a metastasis, 0 not; empty: unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow(ExportRow):
    """Something that a reader did."""

    reader: str = _column("short name of the reader")
    session: int = _column("reading session, 1 or 2")
    case: str = _column("scan_id in the cohort's manifest; empty: of no case")
    kind: str = _column("what happened")
    tab: str = _column("identifier of the browser's tab")
    t_ms: float = _column("monotonic clock of that tab, milliseconds")
    client: str = _column("the reader's own clock, UTC")
    server: str = _column("when the server stored it, UTC")
    details: str = _column("what belongs to it, JSON")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingRow(ModalityRow):
    """The time that a reader took for a session."""

    cases: int = _column("answered cases that count")
    gross_total_s: float | None = _column("sum of gross times, seconds")
    active_total_s: float | None = _column("sum of active times, seconds")
    active_median_s: float | None = _column("median active time per case, seconds")
    active_q1_s: float | None = _column("its first quartile, seconds")
    active_q3_s: float | None = _column("its third quartile, seconds")
    pauses: int = _column("pauses that the reader took")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRow(ExportRow):
    """A reader and the reading environment. The name stays in the study."""

    reader: str = _column("short name of the reader")
    simulated: bool = _column("the reader is a program, not a person")
    experience_years: float | None = _column("of reading bone scans")
    session: int = _column("reading session, 1 or 2")
    started: str = _column("UTC")
    finished: str = _column("UTC; empty: not finished")
    answered: int = _column("answered cases that count")
    of: int = _column("cases that count")
    monitor: str = _column("as entered last")
    calibrated: str = _column("as entered last")
    light: str = _column("as entered last")
    steps_seen: int | None = _column(
        "grey steps of 16 that could be distinguished, as last entered"
    )
    screen: str = _column("width x height in CSS pixels")
    pixel_ratio: float | None = _column("device pixels per CSS pixel")
    browser: str = _column("user agent string")
    protocol_sha256: str = _column("frozen when the session began")
    software_sha256: str = _column("frozen when the session began")
    model_sha256: str = _column("frozen when the session began; empty: unaided")
    images_sha256: str = _column("frozen when the session began")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow(ExportRow):
    """A setting of the study or of the export."""

    setting: str = _column("name")
    value: str = _column("value")


@dataclass(frozen=True, slots=True, kw_only=True)
class DictionaryRow(ExportRow):
    """The meaning of a column."""

    table: str = _column("name of the table")
    column: str = _column("name of the column")
    meaning: str = _column("what it contains")


TABLES: dict[str, type[ExportRow]] = {
    "reads": ReadRow,
    "marks": MarkRow,
    "events": EventRow,
    "timing": TimingRow,
    "readers": ReaderRow,
    "settings": SettingRow,
}


def data_dictionary() -> list[ExportRow]:
    """The meaning of every column of every table.

    Examples:
        >>> data_dictionary()[0]
        DictionaryRow(table='reads', column='reader', meaning='short name of the reader')
    """
    return [
        DictionaryRow(table=name, column=column.name, meaning=str(column.metadata["meaning"]))
        for name, kind in TABLES.items()
        for column in kind.columns()
    ]
