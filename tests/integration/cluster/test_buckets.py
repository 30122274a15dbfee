"""Scans in an S3 bucket, read in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bonescint.buckets import (
    files_in_bucket,
    names_in_bucket,
    opened_in_bucket,
    put_in_bucket,
    remove_from_bucket,
    size_in_bucket,
)
from bonescint.classify import classify
from bonescint.cli.app import app
from bonescint.dicom import discover
from bonescint.model import ModelFolder
from bonescint.scan import InputError, OutputError

Upload = Callable[[Path, str], None]
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "a-secret-that-no-message-may-hold"


def test_an_object_is_written_listed_read_and_removed(bucket: Any) -> None:
    folder = Path("s3://archive/run")
    put_in_bucket(folder / "b.bin", b"0123456789")
    put_in_bucket(folder / "below" / "c.bin", b"1")
    assert names_in_bucket(folder) == ["b.bin"]
    assert bucket.get_object(Bucket="archive", Key="run/b.bin")["Body"].read() == b"0123456789"
    assert size_in_bucket(folder / "b.bin") == 10
    with opened_in_bucket(folder / "b.bin") as stream:
        stream.seek(4)
        assert stream.read(3) == b"456"
    remove_from_bucket(folder / "b.bin")
    assert names_in_bucket(folder) == []


def test_objects_are_in_the_order_of_a_search_in_folders(
    upload: Upload, tmp_path: Path, write_archive: Callable[..., Path]
) -> None:
    folder = write_archive(tmp_path / "nm", 5)
    upload(folder, "nm")
    local, remote = discover([folder]), discover([Path("s3://archive/nm/")])

    def below(path: Path, start: Path) -> str:
        return path.relative_to(start).as_posix()

    prefix = Path("s3://archive/nm")
    assert [[below(file, prefix) for file in study.files] for study in remote.studies] == [
        [below(file, folder) for file in study.files] for study in local.studies
    ]
    assert [below(Path(error.source), prefix) for error in remote.refused] == [
        below(Path(error.source), folder) for error in local.refused
    ]
    assert len(remote.studies) == 8
    assert any(len(study.files) == 2 for study in remote.studies)


def test_scans_of_a_bucket_give_the_rows_that_those_of_a_folder_give(
    upload: Upload, tmp_path: Path, write_archive: Callable[..., Path], model: ModelFolder
) -> None:
    folder = write_archive(tmp_path / "nm", 3)
    upload(folder, "nm")
    local = classify(folder, tmp_path / "local", model=model, workers=0)
    remote = classify("s3://archive/nm", tmp_path / "remote", model=model, workers=1)
    assert local.results == remote.results
    assert local.refused == remote.refused
    tables = [(tmp_path / name / "results.csv").read_bytes() for name in ("local", "remote")]
    assert tables[0] == tables[1]
    for file in (tmp_path / "remote").rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes()
            assert KEY.encode() not in file.read_bytes()


def test_an_archive_in_a_bucket_is_refused(bucket: Any) -> None:
    bucket.put_object(Bucket="archive", Key="nm/scans.zip", Body=b"PK\x03\x04")
    (error,) = discover(["s3://archive/nm"]).refused
    assert error.problem == "is a ZIP archive in a bucket"


def test_what_is_not_there_is_said_in_a_line(bucket: Any) -> None:
    with pytest.raises(InputError, match=r"^s3://archive/none: does not exist\."):
        files_in_bucket(Path("s3://archive/none"))
    with pytest.raises(InputError, match=r"^s3://no-such-bucket/nm: does not exist\."):
        files_in_bucket(Path("s3://no-such-bucket/nm"))
    with pytest.raises(OutputError, match=r"^s3://no-such-bucket/x: cannot be written to"):
        put_in_bucket(Path("s3://no-such-bucket/x"), b"")


def test_no_message_holds_a_credential(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    for given in ("s3://archive/nm", f"s3://{KEY}:{SECRET}@archive/nm"):
        ran = CliRunner().invoke(app, ["classify", given, "--out", str(tmp_path / "out")])
        assert ran.exit_code == 2
        assert SECRET not in ran.output + ran.stderr
        assert KEY not in ran.output + ran.stderr
    assert "the S3 address: names no bucket" in ran.stderr
