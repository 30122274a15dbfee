"""Results as one typed table in Apache Arrow and Parquet: a row per scan, and a row per refusal.

The columns are the same for every run and every engine, so that tables of many runs can be joined.
Each row has model, settings and software of its run; Parquet stores a repeated value only once.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bonescint.buckets import is_in_bucket, put_in_bucket
from bonescint.classify.naming import content_sha256
from bonescint.extras import load
from bonescint.files import make_folder, write_whole, written_beside
from bonescint.report import displayable
from bonescint.scan import Call, NormalRank, View

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
"""Version of the columns; a table of a higher one is refused, one of a lower one is read."""

TABLE_NAME = "results.parquet"
"""In a results folder: a file, or a folder of part files."""

_EXTRA = "cluster"
_PREFIX = "bonescint."
_VERSION_KEY = f"{_PREFIX}schema_version"
_ROWS_A_GROUP = 20_000
_NUMBERED = re.compile(r"source \d+: ")  # of `SourceNames`, where two files share a name
_SETTINGS = ("preprocessing", "call_anyway", "operating_point", "ood_threshold")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What the rows of one run have in common.

    Attributes:
        model_id: name, version and start of the hash of the model; empty if unknown.
        model_sha256: hash of the model; empty if the run did not record it.
        operating_point: the threshold on the probability, or `None` if unknown.
        settings: what a result depends on apart from model and scan, as JSON.
        software: versions, and the device of the network.
        site: where the scans come from, as the user names it, or empty.
        sites_by_folder: take the first folder of each source as its site.
    """

    model_id: str
    model_sha256: str
    operating_point: float | None
    settings: str
    software: str
    site: str = ""
    sites_by_folder: bool = False

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The facts of a run from the head of its `results.json`.

        Examples:
            >>> software = {"bonescint": "0.1.0", "numpy": "2"}
            >>> RunFacts.of({"model_id": "m@1", "operating_point": 0.5, "software": software,
            ...              "settings": {"device": "cpu"}}).software
            'bonescint 0.1.0, numpy 2, device cpu'
        """
        settings, software = document["settings"], document["software"]
        known = {**document, **settings}
        versions = [f"{name} {version}" for name, version in software.items()]
        return cls(
            model_id=document["model_id"],
            model_sha256=document.get("model_sha256", ""),
            operating_point=document["operating_point"],
            settings=json.dumps({name: known.get(name) for name in sorted(_SETTINGS)}),
            software=", ".join([*versions, f"device {settings.get('device', 'cpu')}"]),
            site=settings.get("site", ""),
            sites_by_folder=settings.get("sites_by_folder", False),
        )

    @classmethod
    def unknown(cls) -> Self:
        """Facts of an unknown run, for a `results.csv` without its `results.json`."""
        return cls(model_id="", model_sha256="", operating_point=None, settings="", software="")

    def site_of(self, source: str) -> str | None:
        """The site of a source, or `None` if none was given.

        Examples:
            >>> facts = RunFacts(model_id="m", model_sha256="", operating_point=0.5, settings="{}",
            ...                  software="", sites_by_folder=True)
            >>> facts.site_of("ghent/2019/a.dcm"), facts.site_of("a.dcm")
            ('ghent', None)
        """
        if self.site or not self.sites_by_folder:
            return self.site or None
        folder, slash, _ = _NUMBERED.sub("", source, count=1).partition("/")
        return folder if slash else None


def results_schema(
    run: RunFacts | None = None, *, map_shape: tuple[int, int] | None = None
) -> pa.Schema:
    """The columns of results; the metadata have the schema's version and the facts of the run.

    The column `results` is empty until tables are joined; then it is the results folder of each
    row, relative to the joined table.

    Args:
        run: what the rows have in common; a joined table has rows of several runs.
        map_shape: rows and columns of the activation maps, if the table has them: float16, with
            the place of each map on its view as (top, left, bottom, right) in pixels; NaN where a
            scan has no such view, and for a refusal.

    Raises:
        MissingExtraError: pyarrow is not installed.

    Examples:
        >>> schema = results_schema()
        >>> schema.metadata[b"bonescint.schema_version"], schema.names[:2]
        (b'1', ['scan_id', 'source'])
        >>> str(results_schema(map_shape=(64, 32)).field("map_anterior").type)
        'extension<arrow.fixed_shape_tensor[value_type=halffloat, shape=[64,32]]>'
    """
    pa = load("pyarrow", extra=_EXTRA)
    text, flag, number = pa.string(), pa.bool_(), pa.float64()
    words = pa.list_(pa.field("element", text))  # as Parquet names it
    columns = [
        ("scan_id", text),
        ("source", text),
        ("site", text),
        ("year", pa.int16()),
        ("manufacturer", text),
        ("camera", text),
        ("views", text),
        ("mbd_probability", number),
        ("call", text),
        ("positive", flag),
        ("uncertain", flag),
        ("ood_score", number),
        ("unlike", flag),
        ("rank_higher_than", pa.int32()),
        ("rank_of", pa.int32()),
        ("conformal_p_value", number),
        ("warnings", words),
        ("picture", text),
        ("refusal", text),
        ("reason", text),
        ("content_sha256", text),
        ("model_id", text),
        ("model_sha256", text),
        ("operating_point", number),
        ("settings", text),
        ("software", text),
        ("results", text),
    ]
    if map_shape is not None:
        tensor = pa.fixed_shape_tensor(pa.float16(), list(map_shape))
        for view in View:
            columns.append((f"map_{view.value}", tensor))
            columns.append((f"map_{view.value}_extent", pa.list_(pa.float32(), 4)))
    facts: dict[str, str] = {_VERSION_KEY: str(SCHEMA_VERSION)}
    if run is not None:
        hashed = hashlib.sha256(run.settings.encode()).hexdigest()
        facts |= {
            f"{_PREFIX}model_id": run.model_id,
            f"{_PREFIX}model_sha256": run.model_sha256,
            f"{_PREFIX}settings_sha256": hashed,
            f"{_PREFIX}software": run.software,
        }
    return pa.schema(columns, metadata=facts)


def schema_version(metadata: Mapping[bytes, bytes] | None) -> int | None:
    """Version of a table's columns, or `None` if it is not a table of results."""
    found = (metadata or {}).get(_VERSION_KEY.encode())
    return int(found) if found and found.isdigit() else None


def table_of(
    records: Iterable[Mapping[str, Any]],
    run: RunFacts,
    *,
    map_shape: tuple[int, int] | None = None,
) -> pa.Table:
    """The table of some scans and refusals, in their order.

    Args:
        records: entries of `results.json`: `ClassifiedScan.to_json()` with the facts about the scan
            (`steps.facts_of`) and, if maps are wanted, its `prediction`; or `Refusal.to_json()`.
        run: what they have in common.
        map_shape: rows and columns of the maps of the disease, to have them in the table.

    Raises:
        MissingExtraError: pyarrow is not installed.

    Examples:
        >>> run = RunFacts(model_id="m@1", model_sha256="", operating_point=0.5, settings="{}",
        ...                software="bonescint 0.1.0", site="ghent")
        >>> refused = {"source": "a.dcm", "kind": "InputError", "reason": "is empty."}
        >>> table_of([refused], run).select(["source", "site", "reason"]).to_pylist()
        [{'source': 'a.dcm', 'site': 'ghent', 'reason': 'is empty.'}]
    """
    pa = load("pyarrow", extra=_EXTRA)
    schema = results_schema(run, map_shape=map_shape)
    rows = [_row(record, run) for record in records]
    arrays = []
    for column in schema:
        if column.name.startswith("map_"):
            continue
        arrays.append(pa.array([row.get(column.name) for row in rows], column.type))
    if map_shape is not None:
        for view in View:
            arrays += _maps([row.get(view.value) for row in rows], map_shape)
    return pa.Table.from_arrays(arrays, schema=schema)


def map_shape_of(record: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and columns of the maps in an entry of `results.json`, or `None` if it has none."""
    maps = record.get("prediction", {}).get("activation_maps")
    return (len(maps[0]["values"]), len(maps[0]["values"][0])) if maps else None


def write_part(table: pa.Table, destination: Path | str) -> None:
    """Write a table to a Parquet file, atomically.

    Args:
        table: of `table_of`.
        destination: a path, whose folder is made, or an address in a bucket (`s3://...`).

    Raises:
        OutputError: it cannot be written.
        MissingExtraError: pyarrow, or the library for buckets, is not installed.
    """
    parquet = load("pyarrow.parquet", extra=_EXTRA)
    place, buffer = Path(destination), io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd", row_group_size=_ROWS_A_GROUP)
    if is_in_bucket(place):
        put_in_bucket(place, buffer.getvalue())
        return
    make_folder(place.parent)
    write_whole(place, buffer.getvalue())


def write_records(
    records: Iterable[Mapping[str, Any]], run: RunFacts, destination: Path, *, maps: bool = False
) -> None:
    """Write scans and refusals to one file, in batches of bounded memory.

    Args:
        records: as in `table_of`.
        run: what they have in common.
        destination: path of the Parquet file; its folder must exist.
        maps: also write the maps of the disease, as float16.

    Raises:
        OutputError: it cannot be written.
        MissingExtraError: pyarrow is not installed.
    """
    parquet = load("pyarrow.parquet", extra=_EXTRA)
    rows, size = iter(records), _ROWS_A_GROUP // 20 if maps else _ROWS_A_GROUP
    first = list(islice(rows, size))
    shape = next(filter(None, map(map_shape_of, first)), None) if maps else None
    schema = results_schema(run, map_shape=shape)
    with (
        written_beside(destination) as beside,
        parquet.ParquetWriter(beside, schema, compression="zstd") as writer,
    ):
        writer.write_table(table_of(first, run, map_shape=shape))
        while group := list(islice(rows, size)):
            writer.write_table(table_of(group, run, map_shape=shape))


def _row(record: Mapping[str, Any], run: RunFacts) -> dict[str, Any]:
    """The cells of a record that have a value, by column; and each view's map."""
    site = run.site_of(record["source"])
    common = {
        "source": _shown(record["source"]),
        "site": None if site is None else _shown(site),
        "model_id": run.model_id or None,
        "model_sha256": run.model_sha256 or None,
        "operating_point": run.operating_point,
        "settings": run.settings or None,
        "software": run.software or None,
    }
    if "kind" in record:
        return {**common, "refusal": record["kind"], "reason": _shown(record["reason"])}
    acquired = record.get("acquisition", {})
    files = acquired.get("file_sha256")
    rank = NormalRank.from_json(record.get("rank_among_normals"))
    maps = record.get("prediction", {}).get("activation_maps", ())
    return {
        **common,
        **{name: acquired.get(name) for name in ("year", "manufacturer", "camera")},
        "scan_id": _shown(record["scan_id"]),
        "views": "+".join(record["views"]),
        "mbd_probability": record["mbd_probability"],
        "call": Call.of(record["positive"]).value,
        "positive": record["positive"],
        "uncertain": record.get("uncertain", False),  # not in results of release 0.1.0
        "ood_score": record.get("ood_score", record.get("unlike_score")),  # release 0.1
        "unlike": record.get("unlike", False),
        "rank_higher_than": rank and rank.higher_than,
        "rank_of": rank and rank.of,
        "conformal_p_value": rank and rank.p_value,
        "warnings": [_shown(text) for text in record["warnings"]],
        "picture": record["picture"] or None,
        "content_sha256": content_sha256(files) if files else None,
        **{entry["view"]: entry for entry in maps if entry["target"] == "mbd"},
    }


def _shown(text: str) -> str:
    """Text as in `results.csv`: a file's name may hold bytes that are not valid text."""
    return text if text.isprintable() else displayable(text)


def _maps(entries: Sequence[Mapping[str, Any] | None], shape: tuple[int, int]) -> list[pa.Array]:
    """The maps of one view as a column of tensors, and their places on the view.

    Where there is none all is NaN: Parquet readers refuse empty entries among lists of a fixed
    length.
    """
    pa = load("pyarrow", extra=_EXTRA)
    values = np.full((len(entries), *shape), np.nan, dtype=np.float16)
    extents = np.full((len(entries), 4), np.nan, dtype=np.float32)
    for place, entry in enumerate(entries):
        if entry is not None:
            # First to six digits, as in results.json, so that each engine rounds in the same way.
            values[place] = [[float(f"{value:.6g}") for value in row] for row in entry["values"]]
            extents[place] = entry["extent"]
    places = pa.FixedSizeListArray.from_arrays(pa.array(extents.ravel()), 4)
    return [pa.FixedShapeTensorArray.from_numpy_ndarray(values), places]
