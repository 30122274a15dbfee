"""Tables of results in an S3 bucket: written whole, joined in their order."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from bonescint.classify.archive import join_results
from bonescint.classify.table import RunFacts, table_of, write_part
from bonescint.scan import InputError

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("duckdb")

RUN = RunFacts(model_id="m@1", model_sha256="", operating_point=0.5, settings="{}", software="b")


def test_parts_in_a_bucket_become_one_table(bucket: Any, tmp_path: Path) -> None:
    for number in range(12):
        refused = {"source": f"{number}.dcm", "kind": "InputError", "reason": "is empty."}
        table = table_of([refused], RUN)
        write_part(table, f"s3://archive/run/part-{number:05d}.parquet")
    stored = bucket.get_object(Bucket="archive", Key="run/part-00011.parquet")["Body"].read()
    assert pq.read_table(io.BytesIO(stored)).equals(table)
    summary = join_results(["s3://archive/run/"], tmp_path / "all.parquet")
    rows = pq.read_table(summary.out).to_pylist()
    assert [row["source"] for row in rows] == [f"{number}.dcm" for number in range(12)]
    assert {row["results"] for row in rows} == {"s3://archive/run"}
    write_part(table.slice(0, 1), "s3://archive/run/results.parquet")
    summary = join_results(["s3://archive/run/"], tmp_path / "all.parquet")
    assert summary.refused == 1, "the whole table, not also its parts"
    with pytest.raises(InputError, match=r"s3://archive/nothing: does not exist"):
        join_results(["s3://archive/nothing"], tmp_path / "none.parquet")
