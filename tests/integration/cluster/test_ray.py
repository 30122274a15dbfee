"""The Ray engine on a real cluster of two nodes gives the table that the local engine gives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bonescint.classify import classify
from bonescint.classify.cluster import RaySettings, classify_on_ray
from bonescint.classify.cluster.finished import FOLDER
from bonescint.classify.shards import Shard
from bonescint.cli.app import app
from bonescint.model import ModelFolder
from bonescint.scan import BonescintError, OutputError

SECRET = "a-secret-that-no-message-may-hold"  # noqa: S105 - nobody's
KEY = "AKIAIOSFODNN7EXAMPLE"

# Ray warns of its own settings when it copies them.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*Ray:FutureWarning")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, write_archive: Callable[..., Path]) -> Path:
    return write_archive(tmp_path_factory.mktemp("on-ray") / "nm", 24)


@pytest.fixture(scope="module")
def local(archive: Path, model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("local") / "out"
    classify(archive, out, model=model, workers=1, pictures=False, maps=True)
    return out


@pytest.fixture
def settings(ray_cluster: Any) -> RaySettings:
    return RaySettings(address=ray_cluster.address)


def assert_same_table(made: Path, expected: Path) -> None:
    """The bytes of the CSV files and all columns of the Parquet files are the same."""
    import pyarrow.parquet as pq

    assert (made / "results.csv").read_bytes() == (expected / "results.csv").read_bytes()
    tables = [pq.read_table(folder / "results.parquet") for folder in (made, expected)]
    assert tables[0].schema.equals(tables[1].schema, check_metadata=True)
    maps = [name for name in tables[0].column_names if name.startswith("map_")]
    assert len(maps) == 4
    for name in maps:
        values = [
            np.array([np.ravel(row) for row in table[name].combine_chunks().to_pylist()])
            for table in tables
        ]
        np.testing.assert_array_equal(*values)
    assert tables[0].drop_columns(maps).equals(tables[1].drop_columns(maps))


def test_two_nodes_give_the_local_table_and_a_rerun_classifies_nothing_again(
    archive: Path, local: Path, model: ModelFolder, settings: RaySettings, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    out = tmp_path / "out"

    def run() -> Any:
        return classify_on_ray(
            archive, out, model=model, settings=settings, maps=True,
            progress=lambda *step: told.append(step),
        )  # fmt: skip

    first = run()
    assert_same_table(out, local)
    assert (first.scans, first.refused, first.taken_over) == (26, 3, 0)
    assert told[-1] == ("Classifying", 29, 29)
    blocks = {path.name: path.stat().st_mtime_ns for path in (out / FOLDER).iterdir()}
    head = json.loads((out / "run.json").read_text())
    assert head["settings"]["engine"] == "ray"
    assert "Research use only" in head["notice"]
    again = run()
    assert again.taken_over == 26
    assert {path.name: path.stat().st_mtime_ns for path in (out / FOLDER).iterdir()} == blocks
    assert_same_table(out, local)


# A client's server must start within 30 s, by a constant of Ray: too little beside other tests.
@pytest.mark.parametrize(
    "address", ["address", pytest.param("client_address", marks=pytest.mark.slow)]
)
def test_an_archive_in_a_bucket_gives_the_local_table_in_the_bucket(
    archive: Path, local: Path, model: ModelFolder, ray_cluster: Any, bucket: Any,
    upload: Callable[[Path, str], None], tmp_path: Path, address: str,
) -> None:  # fmt: skip
    from typer.testing import CliRunner

    upload(archive, "nm")
    command = ["classify", "s3://archive/nm/", "--out", "s3://archive/run-7/", "--engine", "ray"]
    command += ["--address", getattr(ray_cluster, address), "--model", str(model.path), "--maps"]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 1, ran.stderr  # some were rejected
    assert "26 scans in" in ran.stderr
    found = bucket.list_objects_v2(Bucket="archive", Prefix="run-7/")["Contents"]
    for entry in found:
        body = bucket.get_object(Bucket="archive", Key=entry["Key"])["Body"].read()
        assert SECRET.encode() not in body
        assert KEY.encode() not in body
        (tmp_path / Path(entry["Key"]).name).write_bytes(body)
    assert_same_table(tmp_path, local)
    assert SECRET not in ran.output + ran.stderr
    assert KEY not in ran.output + ran.stderr
    logs = [path for path in ray_cluster.logs.rglob("*") if path.is_file()]
    assert logs
    assert not [path.name for path in logs if SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_shard_on_a_cluster_is_that_of_the_local_engine(
    archive: Path, model: ModelFolder, settings: RaySettings, tmp_path: Path
) -> None:
    expected = classify(
        archive, tmp_path / "local", model=model, workers=0, pictures=False, shard=Shard(2, 3)
    )
    summary = classify_on_ray(
        archive, tmp_path / "out", model=model, settings=settings, shard=Shard(2, 3)
    )
    assert summary.scans == len(expected.results)
    tables = [tmp_path / name / "shard-2-of-3" / "results.csv" for name in ("local", "out")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


@pytest.mark.slow
def test_lost_workers_cost_nothing(
    archive: Path, local: Path, model: ModelFolder, settings: RaySettings, tmp_path: Path
) -> None:
    import psutil

    killed: list[int] = []
    over = threading.Event()

    def kill_workers() -> None:
        while not over.wait(1.0):
            for process in psutil.process_iter():
                try:
                    name = process.cmdline()[0]
                except (psutil.Error, IndexError):
                    continue
                if "MapWorker(MapBatches(_ClassifyActor))" in name and len(killed) < 2:
                    process.send_signal(signal.SIGKILL)
                    killed.append(process.pid)
                    over.wait(4.0)

    killer = threading.Thread(target=kill_workers)
    killer.start()
    try:
        classify_on_ray(archive, tmp_path / "out", model=model, settings=settings, maps=True)
    finally:
        over.set()
        killer.join()
    assert killed
    assert_same_table(tmp_path / "out", local)


@pytest.mark.slow
def test_a_node_with_another_model_stops_the_run(
    archive: Path, model: ModelFolder, settings: RaySettings, tmp_path: Path
) -> None:
    from dataclasses import replace

    other = replace(model, sha256="0" * 64)
    with pytest.raises(BonescintError, match=r"cannot classify scans: it has the model stand-in@1"):
        classify_on_ray(archive, tmp_path / "out", model=other, settings=settings)


def test_results_of_another_engine_are_not_overwritten(
    archive: Path, local: Path, model: ModelFolder, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="needs the extra cluster")
    copied = shutil.copytree(local, tmp_path / "out")
    with pytest.raises(OutputError, match=r"has a results\.csv that this engine did not write"):
        classify_on_ray(archive, copied, model=model)


@pytest.mark.slow
def test_no_cluster_is_said_in_a_line(archive: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra cluster")
    ran = subprocess.run(
        [sys.executable, "-m", "bonescint", "classify", str(archive), "--out", str(tmp_path / "o"),
         "--engine", "ray", "--address", "ray://127.0.0.1:9"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "RAY_CLIENT_MAX_CONNECTION_RETRIES": "1"},
    )  # fmt: skip
    assert ran.returncode == 2
    assert "Error: No Ray cluster answers at ray://127.0.0.1:9" in ran.stderr
