"""The rows of many Parquet files as one view in DuckDB, which cannot open any other file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.classify.archive.parts import Part, relative_folder
from bonescint.classify.table import results_schema
from bonescint.extras import load

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXTRA = "cluster"
_MEMORY = "800MB"  # of DuckDB; what needs more goes through files

_LINES = """
CREATE VIEW line AS SELECT part.number AS part, file_row_number AS place,
    hash(model_id, settings) AS run, {columns}
  FROM read_parquet({files}, union_by_name = true, filename = true, file_row_number = true)
    AS stored JOIN part ON stored.filename = part.file;
"""


def connected(working: Path, *, files: Sequence[Path]) -> DuckDBPyConnection:
    """A connection that can open only the given files, whatever a query says.

    Args:
        working: folder for what does not fit into memory.
        files: that it may read.
    """
    duckdb = load("duckdb", extra=_EXTRA)
    connection: DuckDBPyConnection = duckdb.connect()
    settings = {
        "memory_limit": _MEMORY,
        "threads": "1",  # with more, rows of a stream lose their order
        "temp_directory": str(working / "spilled"),
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "enable_progress_bar": "false",
    }
    for name, value in settings.items():
        connection.execute(f"SET {name} = {quoted(value)}")
    connection.execute(f"SET allowed_paths = {_list_of(map(str, files))}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def quoted(text: str) -> str:
    """Text as a literal of SQL.

    Examples:
        >>> quoted("l'hôpital")
        "'l''hôpital'"
    """
    return "'" + text.replace("'", "''") + "'"


def _list_of(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def see_rows(connection: DuckDBPyConnection, parts: tuple[Part, ...], target: Path) -> None:
    """Make the view `line`: all rows in order, with the columns of this release.

    Args:
        connection: that may open the files.
        parts: the files.
        target: the results folder of each row is relative to the folder of this file.
    """
    connection.execute("CREATE TABLE part (number INTEGER, file VARCHAR, results VARCHAR)")
    connection.executemany(
        "INSERT INTO part VALUES (?, ?, ?)",
        [
            (number, str(part.file), relative_folder(part.folder, target))
            for number, part in enumerate(parts)
        ],
    )
    known = {name for part in parts for name in part.columns}
    columns = [
        f"stored.{column}" if column in known else f"NULL AS {column}"
        for column in results_schema().names[:-1]
    ]
    # Of a table that was joined before, folders are relative to that table.
    columns.append(
        "CASE WHEN stored.results IS NULL THEN part.results WHEN part.results = '.' "
        "THEN stored.results ELSE part.results || '/' || stored.results END AS results"
        if "results" in known
        else "part.results AS results"
    )
    files = _list_of(str(part.file) for part in parts)
    connection.execute(_LINES.format(columns=", ".join(columns), files=files))
