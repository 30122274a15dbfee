"""The table of all scorings of external centres: what was looked at, by which model, and when."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from bonescint.files import cannot_write


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalUse:
    """One scoring of external centres; the fields are the table's columns.

    Attributes:
        when: UTC, ISO 8601.
        study: what it belongs to.
        model: its name there.
        centres: that were scored, with blanks between.
        settings: name of the training configuration.
        seed: of the training; empty for a model that was given.
        model_sha256: first twelve digits.
        manifest_sha256: first twelve digits.
        roc_auc: as text, with an interval where one was made.
    """

    when: str = field(default_factory=_now)
    study: str
    model: str
    centres: str
    settings: str
    seed: str
    model_sha256: str
    manifest_sha256: str
    roc_auc: str


def note_external_use(table: Path, use: ExternalUse) -> None:
    """Add a row, unless the same model was scored on the same cohort before.

    Judging the same answers again, because a report is made anew, is no further use.

    Args:
        table: CSV file.
        use: the scoring.

    Raises:
        OutputError: it cannot be written.

    Examples:
        >>> import tempfile
        >>> from dataclasses import replace
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder) / "external-uses.csv"
        ...     use = ExternalUse(study="s", model="m", centres="C", settings="bonescint", seed="1",
        ...                       model_sha256="0" * 12, manifest_sha256="1" * 12, roc_auc="0.90")
        ...     other = replace(use, model_sha256="2" * 12)
        ...     for one in (use, other, replace(use, when="later")):
        ...         note_external_use(table, one)
        ...     len(table.read_text().splitlines())
        3
    """
    columns: Sequence[str] = [column.name for column in fields(ExternalUse)]
    new = not table.is_file()
    try:
        if not new and _key(asdict(use)) in _keys(table):
            return
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(columns)
            writer.writerow(astuple(use))
    except OSError as error:
        raise cannot_write(table, error) from error


def _key(row: Mapping[str, str]) -> tuple[str, ...]:
    return row["centres"], row["model_sha256"], row["manifest_sha256"]


def _keys(table: Path) -> set[tuple[str, ...]]:
    with table.open(newline="", encoding="utf-8") as stream:
        return {_key(row) for row in csv.DictReader(stream)}
