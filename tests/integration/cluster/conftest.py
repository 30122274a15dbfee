from __future__ import annotations

import logging
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bonescint.model import ModelFolder

TESTS = Path(__file__).parents[2]
SECRET = "a-secret-that-no-message-may-hold"  # noqa: S105 - nobody's


@pytest.fixture(scope="session")
def write_archive() -> Callable[..., Path]:
    written: Callable[..., Path] = runpy.run_path(str(TESTS / "support" / "mixed_archive.py"))[
        "write_archive"
    ]
    return written


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder: ModelFolder = runpy.run_path(str(TESTS / "unit" / "classify" / "stand_in.py"))[
        "write_stand_in_model"
    ](tmp_path_factory.mktemp("models") / "stand-in")
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A server that speaks S3 on the loopback interface."""
    server = pytest.importorskip("moto.server", reason="needs moto")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The environment in which the server is reached, and a client that made a bucket `archive`."""
    boto3 = pytest.importorskip("boto3", reason="needs boto3")
    s3fs = pytest.importorskip("s3fs", reason="needs the extra cluster")
    _set_credentials(monkeypatch, s3_server)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="archive")
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="archive"):
        for found in page.get("Contents", ()):
            client.delete_object(Bucket="archive", Key=found["Key"])
    client.delete_bucket(Bucket="archive")


@pytest.fixture
def upload(bucket: Any) -> Callable[[Path, str], None]:
    """Copies a folder into the bucket."""

    def copied(folder: Path, prefix: str) -> None:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            key = f"{prefix}/{file.relative_to(folder).as_posix()}"
            bucket.put_object(Bucket="archive", Key=key, Body=file.read_bytes())

    return copied


@pytest.fixture(scope="session")
def ray_cluster(s3_server: str) -> Iterator[Any]:
    """A cluster of two nodes, whose environment has the server's address and its credentials."""
    pytest.importorskip("ray", reason="needs the extra cluster")
    support = runpy.run_path(str(TESTS / "support" / "ray_cluster.py"))
    with pytest.MonkeyPatch.context() as patch:
        _set_credentials(patch, s3_server)
        with support["running_cluster"](2) as cluster:
            yield cluster


def _set_credentials(patch: pytest.MonkeyPatch, server: str) -> None:
    patch.setenv("AWS_ENDPOINT_URL", server)
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
