"""Counts of an archive's results by year, scanner and site, from one table of any size."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.buckets import is_in_bucket, require_local
from bonescint.classify.archive.connection import connected, see_rows
from bonescint.classify.archive.parts import Part, parts_of
from bonescint.extras import require
from bonescint.files import one_writer, require_own, write_table
from bonescint.intervals import Estimate, share
from bonescint.report import call_in_words
from bonescint.scan import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PAGE = "index.html"
BINS = 50
"""Number of bins of the histogram of probabilities."""

UNKNOWN = "not known"
LEAST_SHARED = 5
"""A reason that fewer refusals share is not shown: a rare reason may name a file."""

_EXTRA = "cluster"
_TITLE = "Archive of bone scans: summary"
_PICTURE = re.compile(r"pictures/[^/\\]+\.png")
_SAMPLE, _LOOKED_AT = 3, 40
_COUNTED = """
  count(scan_id), count(*) FILTER (positive), count(*) FILTER (NOT positive),
  count(*) FILTER (scan_id IS NOT NULL AND positive IS NULL),
  count(*) FILTER (uncertain AND positive IS NOT NULL),
  count(*) FILTER (unlike), count(refusal)
"""
# Year and camera of a refused input are unknown.
_GROUPS = {
    "year": ("CAST(year AS VARCHAR)", "WHERE refusal IS NULL"),
    "scanner": (
        "nullif(concat_ws(' ', manufacturer, camera), '')",
        "WHERE refusal IS NULL",
    ),
    "site": ("coalesce(site, nullif(results, '.'))", ""),
    "model": ("model_id", ""),
}
# Reasons that differ only in a source or in numbers are counted together.
_REASON = r"""
  regexp_replace(regexp_replace(reason, 'is a duplicate of .* \(same content, scan .*\)',
    'is a duplicate of another study'), '\d[\d,.]*\d|\d', 'N', 'g')
"""
_SAMPLES = (
    "positive AND NOT uncertain AND NOT unlike",
    "NOT positive AND NOT uncertain AND NOT unlike",
    "uncertain AND positive IS NOT NULL",
    "positive IS NULL OR unlike",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCounts:
    """Number of scans and refused inputs of one year, scanner, site or model.

    Attributes:
        name: of the group.
        scans: that were classified.
        positive: called positive, uncertain ones included.
        negative: called negative, uncertain ones included.
        no_call: not called, because they are too unlike the training scans.
        uncertain: of those called, in the model's uncertain band.
        unlike: of all scans, unlike the training scans.
        refused: inputs without a result.
    """

    name: str
    scans: int
    positive: int
    negative: int
    no_call: int
    uncertain: int
    unlike: int
    refused: int

    @property
    def share_positive(self) -> Estimate:
        """Share of the called scans that are called positive.

        Examples:
            >>> GroupCounts(name="2019", scans=60, positive=42, negative=8, no_call=10, uncertain=0,
            ...             unlike=10, refused=0).share_positive.text()
            '0.840 (0.715 to 0.917)'
        """
        return share(self.positive, self.positive + self.negative, nobody="no call")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledPicture:
    """A picture of the sample.

    Attributes:
        path: its file.
        caption: scan, probability, call, year and camera.
    """

    path: Path
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSummary:
    """Counts of an archive's results.

    Attributes:
        total: of all rows.
        groups: counts by `"year"`, `"scanner"`, `"site"` and `"model"`, in the order of names.
        refusals: kind and reason of the refused inputs with their number, most frequent first;
            numbers in a reason are replaced by N.
        histogram: number of scans by probability, in `BINS` bins from 0 to 1.
        operating_points: of the models.
        pictures: a sample; the same for the same scans.
        many_models: whether the table has results of several models or settings.
        repeated: scans that are in the table more than once.
    """

    total: GroupCounts
    groups: dict[str, tuple[GroupCounts, ...]]
    refusals: tuple[tuple[str, str, int], ...]
    histogram: tuple[int, ...]
    operating_points: tuple[float, ...]
    pictures: tuple[SampledPicture, ...]
    many_models: bool
    repeated: int


def summarise_results(table: Path | str, out: Path | str) -> ArchiveSummary:
    """Summarise an archive's results on one page, with a CSV file of each table.

    Args:
        table: the Parquet file of `join_results`, or one results folder.
        out: folder for `index.html` and the tables; those of an earlier summary are replaced.

    Returns:
        What the page shows.

    Raises:
        InputError: the table cannot be used, or has no rows.
        OutputError: `out` cannot be written to, or holds files of another origin.
        MissingExtraError: the extra `cluster` is not installed.
    """
    from bonescint.classify.archive.summary_page import summary_document
    from bonescint.report.document_page import write_document

    require("duckdb", "matplotlib", "pyarrow", extra=_EXTRA)
    folder = Path(out)
    require_local(folder)
    names = (PAGE, *(f"by-{group}.csv" for group in _GROUPS), "refused.csv", "histogram.csv")
    require_own(folder, names, mark=PAGE, signature=f"<title>{_TITLE}</title>")
    with one_writer(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".rows-") as working:
        parts = parts_of([table], Path(working))
        with connected(Path(working), files=[part.file for part in parts]) as connection:
            found = _summary(connection, parts, Path(table))
        if not found.total.scans and not found.total.refused:
            raise InputError(table, "has no rows", "Join results first")
        document = summary_document(found, title=_TITLE)
        _write_tables(found, folder)
        write_document(folder / PAGE, document)
    return found


def _summary(
    connection: DuckDBPyConnection, parts: tuple[Part, ...], given: Path
) -> ArchiveSummary:
    base = given.parent if given.is_file() else given
    see_rows(connection, parts, base / "table")

    def ask(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query).fetchall()

    def counts(key: str, condition: str) -> tuple[GroupCounts, ...]:
        query = f"SELECT coalesce({key}, '{UNKNOWN}') AS name, {_COUNTED} FROM line {condition}"  # noqa: S608 - texts of this module
        rows = ask(f"{query} GROUP BY name ORDER BY name = '{UNKNOWN}', name")
        columns = [field.name for field in fields(GroupCounts)]
        return tuple(GroupCounts(**dict(zip(columns, row, strict=True))) for row in rows)

    (total,) = counts("'all'", "") or (_NOTHING,)
    histogram = [0] * BINS
    binned = f"least(CAST(floor(mbd_probability * {BINS}) AS INTEGER), {BINS - 1})"
    for place, number in ask(
        f"SELECT {binned}, count(*) FROM line WHERE mbd_probability IS NOT NULL GROUP BY ALL"  # noqa: S608
    ):
        histogram[place] = number
    refusals = ask(
        f"SELECT refusal, {_REASON} AS why, count(*) AS n FROM line WHERE refusal IS NOT NULL "  # noqa: S608
        "GROUP BY ALL ORDER BY n DESC, refusal, why"
    )
    runs = ask("SELECT DISTINCT model_id, settings FROM line")
    points = ask(
        "SELECT DISTINCT operating_point FROM line WHERE operating_point IS NOT NULL ORDER BY ALL"
    )
    (repeated,) = ask(
        "SELECT count(*) FROM (SELECT run, scan_id FROM line WHERE scan_id IS NOT NULL "
        "GROUP BY ALL HAVING count(*) > 1)"
    )
    return ArchiveSummary(
        total=total,
        groups={name: counts(key, condition) for name, (key, condition) in _GROUPS.items()},
        refusals=_told(refusals),
        histogram=tuple(histogram),
        operating_points=tuple(point for (point,) in points),
        pictures=_pictures(connection, base),
        many_models=len(runs) > 1,
        repeated=repeated[0],
    )


_NOTHING = GroupCounts(
    name="all", scans=0, positive=0, negative=0, no_call=0, uncertain=0, unlike=0, refused=0
)


def _told(refusals: Sequence[tuple[Any, ...]]) -> tuple[tuple[str, str, int], ...]:
    """Reasons that several refusals share; the rare ones of each kind are counted together."""
    told = [(kind, reason, number) for kind, reason, number in refusals if number >= LEAST_SHARED]
    rare: dict[str, int] = {}
    for kind, _, number in refusals:
        if number < LEAST_SHARED:
            rare[kind] = rare.get(kind, 0) + number
    words = f"reasons that fewer than {LEAST_SHARED} inputs share"
    told += [(kind, words, number) for kind, number in rare.items()]
    return tuple(sorted(told, key=lambda one: (-one[2], one[0], one[1])))


def _pictures(connection: DuckDBPyConnection, base: Path) -> tuple[SampledPicture, ...]:
    """Some pictures of each kind of call: those whose identifiers have the lowest hashes."""
    found: list[SampledPicture] = []
    seen: set[str] = set()
    for condition in _SAMPLES:
        rows = connection.execute(
            "SELECT scan_id, results, picture, mbd_probability, positive, uncertain, unlike, "  # noqa: S608
            f"year, camera FROM line WHERE picture IS NOT NULL AND ({condition}) "
            f"ORDER BY md5(scan_id), part, place LIMIT {_LOOKED_AT}"
        ).fetchall()
        of_group = 0
        for scan_id, results, picture, probability, positive, uncertain, unlike, *facts in rows:
            place = Path(results)
            if scan_id in seen or is_in_bucket(place) or not _PICTURE.fullmatch(picture):
                continue
            if of_group == _SAMPLE or not (base / place / picture).is_file():
                continue
            seen.add(scan_id)
            of_group += 1
            call = call_in_words(positive=positive, uncertain=uncertain, unlike=unlike)
            told = ", ".join(str(fact) for fact in facts if fact is not None)
            caption = f"{scan_id}: probability {probability:.2f}, {call}"
            caption = f"{caption} ({told})" if told else caption
            found.append(SampledPicture(path=base / place / picture, caption=caption))
    return tuple(found)


def _write_tables(found: ArchiveSummary, folder: Path) -> None:
    columns = [field.name for field in fields(GroupCounts)][1:]
    for name, groups in found.groups.items():
        rows = []
        for one in groups:
            positive = one.share_positive
            ends = (positive.value, positive.low, positive.high)
            shown = [f"{end:.6f}" if positive.defined else "" for end in ends]
            rows.append((one.name, *(getattr(one, column) for column in columns), *shown))
        heads = (name, *columns, "share_positive", "low", "high")
        write_table(folder / f"by-{name}.csv", heads, rows)
    write_table(folder / "refused.csv", ("refusal", "reason", "inputs"), found.refusals)
    bins = [
        (f"{place / BINS:.2f}", f"{(place + 1) / BINS:.2f}", number)
        for place, number in enumerate(found.histogram)
    ]
    write_table(folder / "histogram.csv", ("from", "to", "scans"), bins)
