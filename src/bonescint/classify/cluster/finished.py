"""Scans that were classified, stored in blocks from which a rerun resumes.

A block is a Parquet file below `finished/` in the results folder or bucket, written atomically,
with the identity of its run (model, settings, software) in its metadata. Blocks of another identity
are ignored.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bonescint.buckets import (
    is_in_bucket,
    names_in_bucket,
    opened_in_bucket,
    put_in_bucket,
    remove_from_bucket,
)
from bonescint.extras import load
from bonescint.files import make_folder, write_whole
from bonescint.scan import InputError, os_reason

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "finished"
_ENDING = ".block"
_RUN = b"bonescint.run"
_MOST_ROWS = 256
_MOST_S = 60.0
_KEPT_BLOCKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedScan:
    """A scan and the model's output for it, before its row in the table is made.

    Attributes:
        read_as: the identifier that the reader gave it.
        file_sha256: hashes of its files.
        views: names of the views that are present.
        warnings: what was tolerated or assumed while reading.
        facts: JSON-ready facts about the scan (`steps.facts_of`).
        prediction: `Prediction.to_json()`, with only the model's own warnings.
        read_from: `steps.reading_sha256` of its study.
    """

    read_as: str
    file_sha256: tuple[str, ...]
    views: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: dict[str, Any]
    prediction: dict[str, Any]
    read_from: str = ""

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Rebuild it from the dictionary of its fields."""
        lists = {name: tuple(content[name]) for name in ("file_sha256", "views", "warnings")}
        return cls(**{**content, **lists})


class FinishedScans:
    """The classified scans of a run, by the names of their sources; few of them in memory.

    Args:
        out: the results folder, or an address.
        identity: of the run (`run_identity`).

    Raises:
        InputError: an earlier block cannot be read.
        OutputError: the place cannot be read.
    """

    def __init__(self, out: Path, identity: str) -> None:
        self._folder = out / FOLDER
        self._identity = identity.encode()
        self._blocks: list[str] = []
        self._places: dict[str, tuple[int, int]] = {}
        self._waiting: dict[str, FinishedScan] = {}
        self._written_at = time.monotonic()
        self._block = lru_cache(maxsize=_KEPT_BLOCKS)(self._read)
        self._others = []
        names = self._names()
        self._next = 1 + max((int(name[:6]) for name in names if name[:6].isdigit()), default=0)
        for name in names:
            table = self._read(name, columns=["source"])
            if (table.schema.metadata or {}).get(_RUN) == self._identity:
                self._note(name, table["source"].to_pylist())
            else:
                self._others.append(name)

    def __contains__(self, source: object) -> bool:
        return source in self._places or source in self._waiting

    def __len__(self) -> int:
        return len(self._places.keys() | self._waiting.keys())

    def __getitem__(self, source: str) -> FinishedScan:
        """The scan of a source; quickest in the order in which scans were added."""
        if source in self._waiting:
            return self._waiting[source]
        block, row = self._places[source]
        scan = self._block(self._blocks[block])["scan"][row].as_py()
        return FinishedScan.from_json(json.loads(scan))

    def add(self, source: str, scan: FinishedScan) -> None:
        """Add a scan, replacing an earlier one of its source; `write` stores it at the latest.

        Raises:
            OutputError: a block cannot be written.
        """
        self._waiting[source] = scan
        late = time.monotonic() - self._written_at > _MOST_S
        if len(self._waiting) >= _MOST_ROWS or late:
            self.write()

    def write(self) -> None:
        """Write the waiting scans as a block.

        Raises:
            OutputError: it cannot be written.
        """
        if self._waiting:
            pa = load("pyarrow", extra="cluster")
            sources = list(self._waiting)
            scans = [json.dumps(asdict(scan)) for scan in self._waiting.values()]
            table = pa.table({"source": sources, "scan": scans})
            table = table.replace_schema_metadata({_RUN: self._identity})
            digest = hashlib.sha256(self._identity)
            for text in (*sources, *scans):
                digest.update(text.encode("utf-8", "surrogatepass"))
            # Numbered, so that of two scans with one source the later is used.
            name = f"{self._next:06d}-{digest.hexdigest()[:24]}{_ENDING}"
            self._next += 1
            self._put(name, table)
            self._note(name, sources)
            self._waiting = {}
        self._written_at = time.monotonic()

    def forget_others(self) -> None:
        """Remove the blocks of runs with another model or other settings."""
        for name in self._others:
            if is_in_bucket(self._folder):
                remove_from_bucket(self._folder / name)
            else:
                (self._folder / name).unlink(missing_ok=True)
        self._others = []

    def _note(self, name: str, sources: Sequence[str]) -> None:
        block = len(self._blocks)
        self._blocks.append(name)
        self._places.update({source: (block, row) for row, source in enumerate(sources)})

    def _names(self) -> list[str]:
        if is_in_bucket(self._folder):
            names = names_in_bucket(self._folder)
        else:
            names = sorted(file.name for file in self._folder.glob(f"*{_ENDING}"))
        return [name for name in names if name.endswith(_ENDING)]

    def _put(self, name: str, table: pa.Table) -> None:
        buffer = io.BytesIO()
        load("pyarrow.parquet", extra="cluster").write_table(table, buffer, compression="zstd")
        if is_in_bucket(self._folder):
            put_in_bucket(self._folder / name, buffer.getvalue())
        else:
            make_folder(self._folder)
            write_whole(self._folder / name, buffer.getvalue())

    def _read(self, name: str, columns: Sequence[str] = ("source", "scan")) -> pa.Table:
        pa = load("pyarrow", extra="cluster")
        parquet = load("pyarrow.parquet", extra="cluster")
        path = self._folder / name
        try:
            if is_in_bucket(path):
                with opened_in_bucket(path) as stream:
                    content = stream.read()
            else:
                content = path.read_bytes()
            return parquet.read_table(io.BytesIO(content), columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            reason = os_reason(error) if isinstance(error, OSError) else "it is damaged"
            raise InputError(path, f"cannot be read ({reason})", "Delete it and rerun") from error
