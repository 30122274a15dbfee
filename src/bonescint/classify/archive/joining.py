"""Joins the results of many runs into one table, without duplicates and in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.buckets import require_local
from bonescint.classify.archive.connection import connected, see_rows
from bonescint.classify.archive.parts import Part, counted, parts_of
from bonescint.classify.rows import CONTENT_LETTERS
from bonescint.classify.table import results_schema
from bonescint.extras import load, require
from bonescint.files import make_folder, written_beside
from bonescint.scan import RESEARCH_USE, InputError, OutputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXTRA = "cluster"
_GROUP = 50_000

# `run`: model and settings. `identity`: rows that were read from the same files are of one scan;
# results from a CSV file have no hash of the files, so their identifier is used.
_KEYED = """
CREATE VIEW keyed AS SELECT part, place, run, scan_id, content_sha256 AS content,
  CASE WHEN scan_id IS NULL THEN concat_ws(chr(31), coalesce(site, ''), source, refusal, reason)
    ELSE coalesce(content_sha256, scan_id) END AS identity,
  row(round(mbd_probability, 6), call, uncertain, unlike, round(ood_score, 3)) AS answer
  FROM line;
"""
_COPIES = """
CREATE TEMP TABLE repeated AS SELECT key FROM (
    SELECT unnest([hash(1, run, identity), hash(2, run, scan_id)]) AS key FROM keyed
  ) GROUP BY key HAVING count(*) > 1;
CREATE TEMP TABLE copy AS SELECT *,
    row_number() OVER (PARTITION BY run, identity ORDER BY part, place) AS nth
  FROM keyed WHERE hash(1, run, identity) IN (FROM repeated)
    OR scan_id IS NOT NULL AND hash(2, run, scan_id) IN (FROM repeated);
CREATE TEMP VIEW first AS SELECT * FROM copy WHERE nth = 1 AND scan_id IS NOT NULL;
CREATE TEMP VIEW unhashed AS SELECT a.part, a.place, a.scan_id, b.part AS other,
    a.answer IS NOT DISTINCT FROM b.answer AS same
  FROM first AS a JOIN first AS b USING (run, scan_id)
  WHERE a.content IS NULL AND b.content IS NOT NULL;
CREATE TEMP TABLE left_out AS SELECT part, place FROM copy WHERE nth > 1
  UNION SELECT part, place FROM unhashed WHERE same;
CREATE TEMP TABLE renamed AS SELECT part, place, scan_id || '-' || content[:{letters}] AS new_id
  FROM (SELECT *, row_number() OVER (PARTITION BY run, scan_id ORDER BY part, place) AS number
    FROM first WHERE content IS NOT NULL) WHERE number > 1;
"""
_CONTRADICTION = """
SELECT a.scan_id, a.part, b.part FROM copy AS a JOIN copy AS b USING (run, identity)
  WHERE a.nth = 1 AND b.nth > 1 AND a.answer IS DISTINCT FROM b.answer
UNION ALL SELECT scan_id, part, other FROM unhashed
  GROUP BY ALL HAVING NOT bool_or(same)
ORDER BY ALL LIMIT 1
"""
_JOINED = """
CREATE VIEW joined AS SELECT {columns} FROM line LEFT JOIN renamed USING (part, place)
  WHERE NOT EXISTS (FROM left_out WHERE left_out.part = line.part AND left_out.place = line.place)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinSummary:
    """What a joined table holds.

    Attributes:
        out: its path.
        folders: number of results folders and tables that were joined.
        scans: rows that are scans.
        refused: rows that are refused inputs.
        copies: rows that were left out because another folder has the same.
        renamed: scans that share their identifiers with another scan; a hash was added.
        models: name, version and start of the hash of each model.
        interrupted: results folders whose run was interrupted, so that scans are missing.
        where: the condition on the rows, or empty.
    """

    out: Path
    folders: int
    scans: int
    refused: int
    copies: int
    renamed: int
    models: tuple[str, ...]
    interrupted: tuple[str, ...] = ()
    where: str = ""

    def messages(self) -> Iterator[str]:
        """Lines for the user."""
        for folder in self.interrupted:
            yield f"{folder}: its run was interrupted. Rerun its command, then join again."
        if self.copies:
            yield f"Left out {counted(self.copies, 'row')} that an earlier folder also has."
        if self.renamed:
            yield (
                f"{counted(self.renamed, 'scan')} with the identifiers of another scan: a hash was "
                "added to scan_id. Check how the files were anonymised."
            )
        chosen = f" where {self.where}" if self.where else ""
        yield (
            f"{counted(self.scans, 'scan')} and {counted(self.refused, 'refused input')} of "
            f"{counted(self.folders, 'results folder')}{chosen}, "
            f"by {', '.join(self.models) or 'no model'}: {self.out}"
        )
        yield RESEARCH_USE

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {**asdict(self), "out": str(self.out)}


def join_results(
    folders: Sequence[Path | str],
    out: Path | str,
    *,
    where: str = "",
    several_models: bool = False,
) -> JoinSummary:
    """Join the results of many runs into one Parquet file, in the order given.

    A scan that two folders have, read from the same files and with the same result, is kept once.
    Different scans with the same identifiers are distinguished by a hash, as `classify` does within
    one run. Activation maps stay in the tables of their folders.

    Args:
        folders: results folders of any release (with `results.parquet`, part files,
            `results.json`, or `results.csv` alone), Parquet files, addresses in a bucket.
        out: the Parquet file; an earlier one is replaced.
        where: condition that rows must meet, an SQL expression over the columns.
        several_models: keep results of different models or settings, which the columns `model_id`
            and `settings` distinguish; otherwise they are refused.

    Returns:
        What the table holds.

    Raises:
        InputError: a folder cannot be used, results contradict each other, models differ, or the
            condition cannot be evaluated.
        OutputError: the table cannot be written.
        MissingExtraError: the extra `cluster` is not installed.
    """
    require("duckdb", "pyarrow", extra=_EXTRA)
    target = Path(out)
    require_local(target)
    make_folder(target.parent)
    with (
        tempfile.TemporaryDirectory(prefix=".join-", dir=target.parent) as working,
        written_beside(target) as beside,
    ):
        parts = parts_of(folders, Path(working))
        if target.resolve() in {part.file.resolve() for part in parts}:
            raise InputError(out, "is one of the tables to join", "Give another file as --out")
        duckdb = load("duckdb", extra=_EXTRA)
        with connected(Path(working), files=[part.file for part in parts]) as connection:
            try:
                return _joined(connection, parts, target, beside, where, several=several_models)
            except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
                raise OutputError(f"{target}: cannot be written ({_first_line(error)}).") from error


def _joined(
    connection: DuckDBPyConnection,
    parts: tuple[Part, ...],
    target: Path,
    beside: Path,
    where: str,
    *,
    several: bool,
) -> JoinSummary:
    see_rows(connection, parts, target)
    models = _models(connection, parts, several=several)
    connection.execute(_KEYED + _COPIES.format(letters=CONTENT_LETTERS))
    contradiction = connection.execute(_CONTRADICTION).fetchone()
    if contradiction is not None:
        scan, first, second = contradiction
        raise InputError(
            parts[second].folder,
            f"has a different result for scan {scan} than {parts[first].folder}, by the same model",
            "Join only the correct one",
        )
    names = results_schema().names
    columns = ["coalesce(new_id, scan_id) AS scan_id", *names[1:]]
    connection.execute(_JOINED.format(columns=", ".join(columns)))
    _choose(connection, where)
    scans, refused = _write(connection, beside, where)
    return JoinSummary(
        out=target,
        folders=len({part.folder for part in parts}),
        scans=scans,
        refused=refused,
        copies=len(connection.table("left_out")),
        renamed=len(connection.table("renamed")),
        models=models,
        interrupted=tuple(dict.fromkeys(part.folder for part in parts if part.interrupted)),
        where=where,
    )


def _write(connection: DuckDBPyConnection, beside: Path, where: str) -> tuple[int, int]:
    """Write the rows that were chosen; the number of scans and of refused inputs."""
    duckdb, pyarrow = (load(library, extra=_EXTRA) for library in ("duckdb", "pyarrow"))
    parquet = load("pyarrow.parquet", extra=_EXTRA)
    schema = results_schema()
    schema = schema.with_metadata({**schema.metadata, "bonescint.where": where})
    scans = refused = 0
    try:
        with parquet.ParquetWriter(beside, schema, compression="zstd") as writer:
            for batch in connection.table("chosen").to_arrow_reader(_GROUP):
                table = pyarrow.Table.from_batches([batch]).cast(schema)
                writer.write_table(table)
                scans += len(table) - table["scan_id"].null_count
                refused += len(table) - table["refusal"].null_count
    except duckdb.PermissionException as error:
        raise _no_condition("may not read files") from error
    except (duckdb.IOException, duckdb.OutOfMemoryException):
        raise
    except duckdb.Error as error:
        if not where.strip():
            raise
        # DuckDB's message could quote a value.
        raise _no_condition("fails on a value of a row") from error
    return scans, refused


def _models(
    connection: DuckDBPyConnection, parts: tuple[Part, ...], *, several: bool
) -> tuple[str, ...]:
    """The models; several models or settings only with `--several-models`."""
    found = connection.execute(
        "SELECT model_id, settings, min(part) FROM line GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    if len(found) > 1 and not several:
        (first, settings, one), (second, others, other) = sorted(found, key=lambda row: row[2])[:2]
        problem = (
            f"has results of {second or 'an unknown model'}, and {parts[one].folder} of "
            f"{first or 'an unknown model'}"
            if first != second
            else f"has results with other settings ({others}) than {parts[one].folder} ({settings})"
        )
        remedy = "Join them separately, or use --several-models to keep both"
        raise InputError(parts[other].folder, problem, remedy)
    return tuple(dict.fromkeys(model or "an unknown model" for model, _, _ in found))


def _choose(connection: DuckDBPyConnection, where: str) -> None:
    """Make a view of the rows that meet a condition."""
    duckdb = load("duckdb", extra=_EXTRA)
    rows = connection.table("joined")
    try:
        chosen = rows.filter(where) if where.strip() else rows
        chosen.create_view("chosen")
        kind = str(rows.project(f"({where}\n)").types[0]) if where.strip() else "BOOLEAN"
    except duckdb.PermissionException as error:
        raise _no_condition("may not read files") from error
    except duckdb.Error as error:
        raise _no_condition(f"cannot be used ({_first_line(error)})") from error
    if kind != "BOOLEAN":
        raise _no_condition(f"is neither true nor false for a row, but a value ({kind.lower()})")


def _no_condition(problem: str) -> InputError:
    columns = ", ".join(results_schema().names)
    return InputError("--where", problem, f"Give an SQL expression over these columns: {columns}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
