"""Where a run of an experiment keeps its files, and its small tables."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from bonescint.files import cannot_write, from_inert, make_folder, write_table
from bonescint.scan import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaths:
    """Where a run keeps its files.

    Attributes:
        root: the run folder.
        manifest: manifest of the cohort.
    """

    root: Path
    manifest: Path

    @property
    def steps(self) -> Path:
        """Which steps were begun and which are finished."""
        return self.root / "steps"

    def model(self, name: str) -> Path:
        """The model folder of a model that is trained here."""
        return self.root / "models" / name

    def predictions(self, name: str) -> Path:
        """`scan_id, mbd_probability` of validation and test."""
        return self.root / "predictions" / f"{name}.csv"

    def results(self, name: str) -> Path:
        """What `classify` wrote: maps, and one picture per scan."""
        return self.root / "predictions" / name

    def evaluation(self, name: str) -> Path:
        """Report, figures, tables of one model."""
        return self.root / "evaluation" / name

    @property
    def check(self) -> Path:
        """What a check of the cohort found, and the paper's Table 1."""
        return self.root / "cohort-check"

    def robustness(self, name: str) -> Path:
        """Table of one model on degraded scans."""
        return self.root / "robustness" / f"{name}.csv"

    def map_sanity(self, name: str) -> Path:
        """Table that compares a model's maps with those of randomised weights."""
        return self.root / "map-sanity" / f"{name}.csv"

    @property
    def splits(self) -> Path:
        """`scan_id, centre, split, label` of the cohort."""
        return self.root / "splits.csv"

    @property
    def figures(self) -> Path:
        """Figures of the report that show several models or none, as PNG and SVG."""
        return self.root / "figures"

    @property
    def tables(self) -> Path:
        """Tables of the report as CSV."""
        return self.root / "tables"

    @property
    def report(self) -> Path:
        """The page of the whole experiment."""
        return self.root / "report.html"

    @property
    def pdf(self) -> Path:
        """The report as a PDF."""
        return self.root / "report.pdf"


def write_rows(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Write a CSV table, atomically.

    Raises:
        OutputError: it cannot be written.
    """
    make_folder(path.parent)
    write_table(path, columns, rows, line_end="\r\n")


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table that bonescint wrote, with `inert` undone.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            head, *rows = [[from_inert(cell) for cell in row] for row in csv.reader(stream)]
    except (OSError, ValueError) as error:
        problem = f"no readable table ({type(error).__name__})"
        raise InputError(path, problem, "Run the experiment again") from error
    return head, rows


def written_rows(file: Path) -> list[dict[str, str]]:
    """Rows of a table that a step wrote, by column; none if there is no table.

    Raises:
        InputError: it cannot be read.
    """
    if not file.is_file():
        return []
    columns, rows = read_rows(file)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def fingerprint(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalUse:
    """One evaluation of a model on external centres; the fields are the table's columns.

    Attributes:
        when: UTC time in ISO 8601.
        study: name of the experiment.
        model: name of the model in it.
        centres: evaluated centres, separated by spaces.
        settings: name of the training configuration.
        seed: seed of the training; empty for a given model.
        model_sha256: first twelve digits.
        manifest_sha256: first twelve digits.
        roc_auc: area under the ROC curve as text, with its interval if there is one.
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


def require_external_uses(table: Path) -> None:
    """Refuse to add uses to a file that is another table.

    Raises:
        InputError: it has other columns, or cannot be read.
    """
    columns = there = [column.name for column in fields(ExternalUse)]
    if table.exists():
        try:
            there, _ = read_rows(table)
        except InputError:
            there = []
    if there != columns:
        problem = f"is no table of external uses: its columns are not {', '.join(columns)}"
        raise InputError(table, problem, "Give another file to --external-uses")


def note_external_use(table: Path, use: ExternalUse) -> None:
    """Add a row, unless the same model was evaluated on the same cohort before.

    Evaluating the same predictions again, for a new report, is not another use.

    Args:
        table: path of the CSV file.
        use: the evaluation.

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
