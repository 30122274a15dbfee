"""The table of all scorings of external centres: what was looked at, by which model, and when."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from bonescint.scan import OutputError, os_reason


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
        settings: the recipe.
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
    """Add a row; the table begins with the first one.

    Args:
        table: CSV file.
        use: the scoring.

    Raises:
        OutputError: it cannot be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder) / "external-uses.csv"
        ...     use = ExternalUse(study="s", model="m", centres="C", settings="bonescint", seed="1",
        ...                       model_sha256="0" * 12, manifest_sha256="1" * 12, roc_auc="0.90")
        ...     note_external_use(table, use)
        ...     note_external_use(table, use)
        ...     len(table.read_text().splitlines())
        3
    """
    columns: Sequence[str] = [column.name for column in fields(ExternalUse)]
    new = not table.is_file()
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(columns)
            writer.writerow(astuple(use))
    except OSError as error:
        raise OutputError(f"{table}: cannot be written ({os_reason(error)}).") from error
