from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bonescint.classify.results import ClassifiedScan, Refusal
from bonescint.classify.table import (
    SCHEMA_VERSION,
    RunFacts,
    map_shape_of,
    results_schema,
    schema_version,
    table_of,
    write_part,
    write_records,
)
from bonescint.scan import ActivationMap, InputError, NormalRank, OutputError, Prediction, View

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
duckdb = pytest.importorskip("duckdb")
pandas = pytest.importorskip("pandas")

RUN = RunFacts(
    model_id="m@1+abcd",
    model_sha256="abcd" * 16,
    operating_point=0.5,
    settings='{"call_anyway": false}',
    software="bonescint 0.1.0, device cpu",
    sites_by_folder=True,
)


def _record(number: int, *, views: tuple[View, ...] = tuple(View)) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    maps = tuple(
        ActivationMap(
            view=view,
            target=target,
            values=rng.random((6, 3), dtype=np.float32),
            extent=(0, -1.5, 60, 31.5),
        )
        for view in views
        for target in ("mbd", "no_mbd")
    )
    probability = float(rng.random())
    prediction = Prediction(
        scan_id=f"bs-{number}",
        mbd_probability=probability,
        positive=probability > 0.5,
        model_id=RUN.model_id,
        activation_maps=maps,
    )
    result = ClassifiedScan(
        scan_id=f"bs-{number}",
        source=f"ghent/2019/{number}.dcm",
        views=tuple(view.value for view in views),
        mbd_probability=probability,
        positive=None if number == 2 else probability > 0.5,
        warnings=("a", "b, c") if number else (),
        picture=f"pictures/bs-{number}.png" if number else "",
        ood_score=1.5 if number else None,
        rank_among_normals=NormalRank(higher_than=57, of=60) if number else None,
    )
    acquired = {"manufacturer": "SIEMENS", "camera": "Symbia", "year": 2019}
    files = {"file_sha256": ["bb", "aa"]}
    prediction_json = prediction.to_json()
    record = {**result.to_json(), "acquisition": acquired | files, "prediction": prediction_json}
    return dict(json.loads(json.dumps(record)))


REFUSED = Refusal.of(InputError("b.dcm", "is empty", "Export it again"), source="b.dcm").to_json()


def test_three_readers_find_what_was_written(tmp_path: Path) -> None:
    records = [_record(number) for number in range(4)]
    table = table_of([*records, REFUSED], RUN)
    path = tmp_path / "new" / "part-0.parquet"
    write_part(table, path)
    assert [one.name for one in path.parent.iterdir()] == ["part-0.parquet"]
    again = pq.read_table(path)
    assert again.equals(table)
    assert again.schema.equals(results_schema(RUN), check_metadata=True)
    frame = pandas.read_parquet(path)
    assert list(frame["scan_id"])[:4] == ["bs-0", "bs-1", "bs-2", "bs-3"]
    assert list(frame["mbd_probability"])[:4] == [one["mbd_probability"] for one in records]
    found = (
        duckdb.read_parquet(str(path))
        .project(
            "source, site, year, camera, call, positive, warnings, picture, refusal, reason, "
            "rank_higher_than, conformal_p_value, model_id"
        )
        .fetchall()
    )
    assert found[0][:3] == ("ghent/2019/0.dcm", "ghent", 2019)
    assert found[0][6:8] == ([], None)
    assert found[1][6:8] == (["a", "b, c"], "pictures/bs-1.png")
    assert found[1][10:12] == (57, pytest.approx(4 / 61))
    assert found[2][3:6] == ("Symbia", "no call", None)
    reason = "is empty. Export it again."
    assert found[4][:6] == ("b.dcm", None, None, None, None, None)
    assert found[4][8:] == ("InputError", reason, None, None, RUN.model_id)


def test_names_that_are_no_text_are_escaped() -> None:
    strange = REFUSED | {"source": "a\udc80\n\u202e.dcm", "reason": "is \x1b[1m."}
    (row,) = table_of([strange], RUN).to_pylist()
    assert (row["source"], row["reason"]) == (r"a\x80\x0a\u202e.dcm", r"is \x1b[1m.")


def test_maps_are_tensors_of_half_precision(tmp_path: Path) -> None:
    records = [_record(0), _record(1, views=(View.POSTERIOR,))]
    path = tmp_path / "results.parquet"
    write_records([*records, REFUSED], RUN, path, maps=True)
    table = pq.read_table(path)
    assert map_shape_of(records[0]) == (6, 3)
    stored = table["map_posterior"].combine_chunks().to_numpy_ndarray()
    assert stored.dtype == np.float16
    for number, record in enumerate(records):
        prediction = Prediction.from_json(record["prediction"])
        truth = prediction.activation_map(View.POSTERIOR)
        assert truth is not None
        np.testing.assert_array_equal(stored[number], truth.values.astype(np.float16))
        assert table["map_posterior_extent"][number].as_py() == [0, -1.5, 60, 31.5]
    absent = table["map_anterior"].combine_chunks().to_numpy_ndarray()
    assert [bool(np.isnan(one).all()) for one in absent] == [False, True, True]
    # A reader that knows no tensors sees lists.
    lists = duckdb.read_parquet(str(path)).project("map_posterior").fetchall()
    np.testing.assert_array_equal(np.reshape(lists[0][0], (6, 3)), stored[0])


def test_a_long_list_in_pieces_is_the_same_table(tmp_path: Path) -> None:
    records = [REFUSED | {"source": f"{number}.dcm"} for number in range(45_000)]
    write_records(iter(records), RUN, tmp_path / "long.parquet")
    file = pq.ParquetFile(tmp_path / "long.parquet")
    assert file.num_row_groups == 3
    assert file.read().equals(table_of(records, RUN))


def test_no_record_is_a_table_too(tmp_path: Path) -> None:
    write_records([], RUN, tmp_path / "none.parquet", maps=True)
    table = pq.read_table(tmp_path / "none.parquet")
    assert table.num_rows == 0
    assert schema_version(table.schema.metadata) == SCHEMA_VERSION
    assert schema_version({b"pandas": b"{}"}) is None


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_part(table_of([REFUSED], RUN), tmp_path / "file" / "a.parquet")


@pytest.mark.parametrize(
    ("source", "site"),
    [
        ("ghent/a.dcm", "ghent"),
        ("source 2: ghent/a.dcm + b.dcm", "ghent"),
        ("a.dcm", None),
        ("file-3f", None),
    ],
)
def test_the_first_folder_is_a_site_if_the_user_says_so(source: str, site: str | None) -> None:
    assert RUN.site_of(source) == site
    document = {"model_id": "m", "operating_point": 0.5, "software": {}, "settings": {}}
    assert RunFacts.of(document).site_of(source) is None
    named = RunFacts.of({**document, "settings": {"site": "Leuven"}})
    assert named.site_of(source) == "Leuven"


def test_settings_that_change_an_answer_tell_runs_apart() -> None:
    document: dict[str, Any] = {
        "model_id": "m",
        "operating_point": 0.5,
        "software": {"bonescint": "1"},
        "settings": {"call_anyway": False, "workers": 1, "preprocessing": "p"},
    }
    first = RunFacts.of(document)
    more_workers = {**document, "settings": {**document["settings"], "workers": 9}}
    called = {**document, "settings": {**document["settings"], "call_anyway": True}}
    assert RunFacts.of(more_workers) == first
    assert RunFacts.of(called).settings != first.settings
    hashes = [
        results_schema(RunFacts.of(one)).metadata[b"bonescint.settings_sha256"]
        for one in (document, called)
    ]
    assert hashes[0] != hashes[1]


def test_the_module_needs_no_pyarrow_until_it_is_used() -> None:
    code = "import sys, bonescint.classify.table; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
