from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bonescint.classify.archive import join_results
from bonescint.classify.folder import ResultsFolder
from bonescint.classify.results import ClassifiedScan, Refusal
from bonescint.classify.table import (
    TABLE_NAME,
    RunFacts,
    results_schema,
    table_of,
    write_part,
)
from bonescint.report import PageHeading
from bonescint.scan import InputError, NormalRank

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
duckdb = pytest.importorskip("duckdb")
pandas = pytest.importorskip("pandas")

Row = Callable[..., dict[str, Any]]
DOCUMENT: dict[str, Any] = {
    "schema_version": 1,
    "model_id": "m@1+abcd",
    "operating_point": 0.5,
    "software": {"bonescint": "0.1.0"},
    "settings": {"device": "cpu", "call_anyway": False, "site": "Ghent"},
}
RUN = RunFacts.of(DOCUMENT)
HEADING = PageHeading(
    title="t", notice="n", created="c", model_summary="m", model=(), operating_point=0.5
)
REFUSED = {"source": "b.dcm", "kind": "InputError", "reason": "is empty."}


def _result(number: int, probability: float = 0.25, **more: Any) -> ClassifiedScan:
    return ClassifiedScan(
        scan_id=f"bs-{number}",
        source=f"{number}.dcm",
        views=("anterior", "posterior"),
        mbd_probability=probability,
        positive=probability >= 0.5,
        warnings=("a", "=b"),
        picture=f"pictures/bs-{number}.png",
        ood_score=1.25,
        rank_among_normals=NormalRank(higher_than=5, of=60),
        **more,
    )


def _record(number: int, probability: float = 0.25, *, files: str = "") -> dict[str, Any]:
    acquired = {"year": 2019, "camera": "Symbia", "file_sha256": [files or f"file {number}"]}
    return {**_result(number, probability).to_json(), "acquisition": acquired}


def _write(folder: Path, *records: dict[str, Any], run: RunFacts = RUN) -> Path:
    write_part(table_of(records, run), folder / TABLE_NAME)
    return folder


def _rows(path: Path, *columns: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = (
        duckdb.read_parquet(str(path)).project(", ".join(columns)).fetchall()
    )
    return rows


def test_two_shards_are_one_table(tmp_path: Path) -> None:
    shards = [
        _write(tmp_path / "results" / "1", _record(1), _record(2, 0.75), REFUSED),
        _write(tmp_path / "results" / "2", _record(3), REFUSED | {"source": "c.dcm"}),
    ]
    summary = join_results(shards, tmp_path / "all.parquet")
    assert (summary.scans, summary.refused, summary.copies, summary.renamed) == (3, 2, 0, 0)
    joined = pq.read_table(tmp_path / "all.parquet")
    assert joined.schema.equals(results_schema(), check_metadata=False)
    one_by_one = pa.concat_tables([pq.read_table(shard / TABLE_NAME) for shard in shards])
    assert joined.drop(["results"]).equals(one_by_one.drop(["results"]))
    frame = pandas.read_parquet(tmp_path / "all.parquet")
    assert list(frame["results"]) == 3 * ["results/1"] + 2 * ["results/2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "results"]
    again = join_results([tmp_path / "all.parquet"], tmp_path / "elsewhere" / "again.parquet")
    assert again.scans == 3
    (folder, *_), *_ = _rows(again.out, "results")
    assert folder == "../results/1"


def test_the_same_scan_twice_is_kept_once(tmp_path: Path) -> None:
    first = _write(tmp_path / "a", _record(1), _record(2), REFUSED)
    second = _write(tmp_path / "b", _record(2), REFUSED, _record(3))
    summary = join_results([first, second], tmp_path / "all.parquet")
    assert (summary.scans, summary.refused, summary.copies) == (3, 1, 2)
    found = _rows(summary.out, "source", "results")
    assert found == [("1.dcm", "a"), ("2.dcm", "a"), ("b.dcm", "a"), ("3.dcm", "b")]
    with pytest.raises(InputError, match="given twice"):
        join_results([first, tmp_path / "b" / ".." / "a"], tmp_path / "all.parquet")


def test_two_answers_for_one_scan_are_refused_in_one_line(tmp_path: Path) -> None:
    first, second = _write(tmp_path / "a", _record(1)), _write(tmp_path / "b", _record(1, 0.75))
    with pytest.raises(
        InputError, match=r"b: has a different result for scan bs-1 than .*a"
    ) as caught:
        join_results([first, second], tmp_path / "all.parquet")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "all.parquet").exists()


def test_scans_under_the_same_identifiers_are_told_apart(tmp_path: Path) -> None:
    """One run names the second `bs-1-<hash>`; two shards each name theirs `bs-1`."""
    folders = [
        _write(tmp_path / "a", _record(1, files="one")),
        _write(tmp_path / "b", _record(1, 0.75, files="other")),
        # In a third shard the first scan came second.
        _write(tmp_path / "c", _record(1, files="one") | {"scan_id": "bs-1-0123456789ab"}),
    ]
    summary = join_results(folders, tmp_path / "all.parquet")
    assert (summary.scans, summary.copies, summary.renamed) == (2, 1, 1)
    (first, _), (second, probability) = _rows(summary.out, "scan_id", "mbd_probability")
    assert first == "bs-1"
    assert second.startswith("bs-1-")
    assert len(second) == len("bs-1-") + 12
    assert probability == 0.75


def test_models_are_never_mixed_in_silence(tmp_path: Path) -> None:
    other = replace(RUN, model_id="n@2+ef01")
    anyway = RunFacts.of({**DOCUMENT, "settings": {"call_anyway": True}})
    first = _write(tmp_path / "a", _record(1))
    second = _write(tmp_path / "b", _record(1, 0.75), run=other)
    third = _write(tmp_path / "c", _record(1), run=anyway)
    with pytest.raises(InputError, match=r"b: has results of n@2\+ef01, and .*a of m@1\+abcd"):
        join_results([first, second], tmp_path / "all.parquet")
    with pytest.raises(
        InputError, match=r'c: has results with other settings .*"call_anyway": true'
    ):
        join_results([first, third], tmp_path / "all.parquet")
    summary = join_results([first, second, third], tmp_path / "all.parquet", several_models=True)
    assert summary.models == ("m@1+abcd", "n@2+ef01")
    assert (summary.scans, summary.copies, summary.renamed) == (3, 0, 0)
    assert {row for (row,) in _rows(summary.out, "model_id")} == {"m@1+abcd", "n@2+ef01"}


def _classified(folder: Path, *results: ClassifiedScan, document: dict[str, Any]) -> Path:
    """A results folder as `classify` writes it, without Parquet."""
    with ResultsFolder(folder) as opened:
        for result in results:
            facts = {"acquisition": {"year": 2019, "file_sha256": [result.scan_id]}}
            opened.add(result, {**result.to_json(), **facts}, None)
        refused = (Refusal(source="b.dcm", kind="InputError", reason="is empty."),)
        opened.finish(document, HEADING, refused)
    return folder


def test_folders_of_earlier_releases_join_with_new_ones(tmp_path: Path) -> None:
    stored = _classified(tmp_path / "json", _result(1), _result(2), document=DOCUMENT)
    alone = tmp_path / "csv"
    _classified(alone, _result(3, 0.123456789), document=DOCUMENT)
    (alone / "results.json").unlink()
    older = tmp_path / "older"
    columns = [name for name in results_schema().names if name not in ("year", "unlike", "results")]
    table = table_of([_record(4)], RUN).select(columns)
    write_part(table.replace_schema_metadata({"bonescint.schema_version": "0"}), older / TABLE_NAME)
    summary = join_results([stored, older], tmp_path / "all.parquet")
    assert (summary.scans, summary.refused) == (3, 1)
    assert [year for (year,) in _rows(summary.out, "year")] == [2019, 2019, None, None]
    with pytest.raises(InputError, match="has results of an unknown model"):
        join_results([stored, alone], tmp_path / "all.parquet")
    summary = join_results([alone], tmp_path / "csv.parquet")
    assert summary.models == ("an unknown model",)
    columns = ["source", "warnings", "mbd_probability", "rank_of", "ood_score", "model_id"]
    assert _rows(summary.out, *columns) == [("3.dcm", ["a", "=b"], 0.123457, 60, 1.25, None)]


def test_a_csv_without_hashes_meets_the_same_scans(tmp_path: Path) -> None:
    """Then the identifier has to do: the same answer is the same scan, another is refused."""
    stored = _classified(tmp_path / "json", _result(1), document=DOCUMENT)
    shutil.copytree(stored, tmp_path / "unhashed")
    path = tmp_path / "unhashed" / "results.json"
    path.write_text(path.read_text().replace('"file_sha256":["bs-1"]', '"file_sha256":[]'))
    summary = join_results([stored, tmp_path / "unhashed"], tmp_path / "all.parquet")
    assert (summary.scans, summary.refused, summary.copies) == (1, 1, 2)
    path.write_text(path.read_text().replace('"mbd_probability":0.25', '"mbd_probability":0.26'))
    with pytest.raises(InputError, match="a different result for scan bs-1"):
        join_results([stored, tmp_path / "unhashed"], tmp_path / "all.parquet")


def test_what_is_no_result_is_named(tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no results"):
        join_results([tmp_path / "empty"], out)
    (tmp_path / "empty" / "results.jsonl.partial").write_text("{}")
    with pytest.raises(InputError, match="its run has not finished"):
        join_results([tmp_path / "empty"], out)
    for missing in (tmp_path / "missing", ""):
        with pytest.raises(InputError, match="is neither a results folder"):
            join_results([missing], out)
    (tmp_path / "damaged.parquet").write_text("PAR1")
    with pytest.raises(InputError, match="damaged"):
        join_results([tmp_path / "damaged.parquet"], out)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(InputError, match="is not a table of bonescint's results"):
        join_results([tmp_path / "foreign.parquet"], out)
    newer = table_of([_record(1)], RUN).replace_schema_metadata({"bonescint.schema_version": "9"})
    write_part(newer, tmp_path / "newer" / TABLE_NAME)
    with pytest.raises(InputError, match=r"has columns of version 9.*Install a newer release"):
        join_results([tmp_path / "newer"], out)
    assert not out.exists()


@pytest.mark.parametrize("name", ["results.json", "results.csv", "results.jsonl.partial"])
def test_no_results_folder_is_left_out_in_silence(tmp_path: Path, name: str) -> None:
    _write(tmp_path / "runs" / "shard-1-of-2", _record(1))
    other = tmp_path / "runs" / "shard-2-of-2"
    other.mkdir()
    assert join_results([tmp_path / "runs"], tmp_path / "all.parquet").scans == 1
    (other / name).write_text("{}")
    with pytest.raises(InputError, match=r"is not finished or has no .*Give each results folder"):
        join_results([tmp_path / "runs"], tmp_path / "all.parquet")


def test_a_table_that_is_joined_is_not_replaced(tmp_path: Path) -> None:
    folder = _write(tmp_path / "a", _record(1), _record(2))
    out = tmp_path / "all.parquet"
    join_results([folder], out)
    before = out.read_bytes()
    with pytest.raises(InputError, match="is one of the tables to join"):
        join_results([out], tmp_path / "a" / ".." / "all.parquet", where="source = '1.dcm'")
    assert out.read_bytes() == before


def test_an_interrupted_run_is_said(tmp_path: Path) -> None:
    folder = _classified(tmp_path / "a", _result(1), document=DOCUMENT)
    (folder / "results.jsonl.partial").write_text("{}")
    summary = join_results([folder], tmp_path / "all.parquet")
    assert summary.interrupted == (str(folder),)
    assert "was interrupted" in next(summary.messages())


def test_a_condition_chooses_rows(tmp_path: Path) -> None:
    records = [_record(number, number / 10) for number in range(10)]
    records[9]["unlike"] = True
    folder = _write(tmp_path / "l'an", *records, REFUSED)
    where = "mbd_probability > 0.5 and not unlike -- what is to be read"
    summary = join_results([folder], tmp_path / "all.parquet", where=where)
    frame = pandas.read_parquet(summary.out)
    assert list(frame["scan_id"]) == ["bs-6", "bs-7", "bs-8"]
    assert pq.read_schema(summary.out).metadata[b"bonescint.where"].decode() == where
    nothing = join_results([folder], tmp_path / "none.parquet", where="year = 1950")
    assert (nothing.scans, nothing.refused) == (0, 0)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("probability > 0.5", 'Referenced column "probability" not found'),
        ("mbd_probability >", "syntax error"),
        ("1 = 1; drop table line", "cannot be used"),
        ("1 = 1) union select 1 --", "syntax error"),
        ("count(*) > 1", "aggregates"),
        (
            "mbd_probability -- of what?",
            r"neither true nor false for a row, but a value \(double\)",
        ),
        ("cast(source as int) > 1", "fails on a value of a row"),
        ("strptime(source, '%Y') > '2015-01-01'", "fails on a value of a row"),
        ("regexp_matches('a', source || '(')", "fails on a value of a row"),
        ("(select count(*) from read_csv('{secret}')) > 0", "may not read files"),
        ("exists (from '{secret}')", "may not read files"),
    ],
)
def test_a_condition_that_is_none_is_one_clear_line(tmp_path: Path, where: str, said: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("name\nDOE\n")
    folder = _write(tmp_path / "a", _record(1))
    with pytest.raises(InputError, match=said) as caught:
        join_results([folder], tmp_path / "x.parquet", where=where.format(secret=secret))
    assert str(caught.value).startswith("--where: ")
    assert "Give an SQL expression over these columns: scan_id, source" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "1.dcm" not in str(caught.value), "a value of the table"
    assert not (tmp_path / "x.parquet").exists()


def test_part_files_are_read_in_their_order(tmp_path: Path) -> None:
    for number in range(12):
        part = tmp_path / "run" / "parts" / f"part-{number:05d}.parquet"
        write_part(table_of([_record(number)], RUN), part)
    summary = join_results([tmp_path / "run"], tmp_path / "all.parquet")
    assert _rows(summary.out, "scan_id", "results") == [
        (f"bs-{number}", "run") for number in range(12)
    ]


def test_large_tables_keep_their_order(tmp_path: Path) -> None:
    """More rows than DuckDB hands to one thread, and than one group of the file written."""
    refused = [REFUSED | {"source": f"{number}.dcm"} for number in range(130_000)]
    for shard in range(2):
        write_part(
            table_of(refused[shard * 60_000 : shard * 60_000 + 70_000], RUN),
            tmp_path / f"{shard}" / TABLE_NAME,
        )
    summary = join_results([tmp_path / "0", tmp_path / "1"], tmp_path / "all.parquet")
    assert (summary.refused, summary.copies) == (130_000, 10_000)
    names = pq.read_table(summary.out, columns=["source"])["source"].to_pylist()
    assert names == [record["source"] for record in refused]


def test_the_summary_is_json(tmp_path: Path) -> None:
    summary = join_results([_write(tmp_path / "a", _record(1))], tmp_path / "all.parquet")
    assert json.loads(json.dumps(summary.to_json()))["scans"] == 1
