"""The HTTP service over a real socket: uploads, results, limits, and what is not in its log."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from bonescint.classify import classify_scan, demo_sources
from bonescint.dicom import read
from bonescint.serve.access import ServiceSettings
from bonescint.serve.http import running_service

pytestmark = pytest.mark.timeout(600)
SCANS = [path for path in demo_sources() if "simulated" in path.name and path.suffix == ".dcm"]
SURNAME = "Kowalczyk"
TOKEN = "a-token-of-some-length"  # noqa: S105 - of a service that a test starts


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    settings = ServiceSettings(port=0, most_upload_bytes=12_000_000, most_scans=2)
    with running_service(settings) as found:
        yield found


@pytest.fixture(scope="module")
def named() -> bytes:
    """A simulated scan with the header of a person."""
    dataset = dcmread(SCANS[0])
    dataset.PatientName, dataset.PatientID = f"{SURNAME}^Jadwiga", "PID-338812"
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def post(address: str, *files: tuple[str, bytes], **more: Any) -> httpx.Response:
    return httpx.post(
        f"{address}/studies", files=[("files", one) for one in files], timeout=300, **more
    )


def test_a_scan_is_classified_as_by_classify(address: str, named: bytes, tmp_path: Path) -> None:
    answer = post(address, (f"{SURNAME}.dcm", named))
    assert answer.status_code == 201
    told = answer.json()
    assert SURNAME not in answer.text
    assert "338812" not in answer.text
    (study,) = told["studies"]
    path = tmp_path / "scan.dcm"
    path.write_bytes(named)
    expected = classify_scan(path)
    assert study["mbd_probability"] == expected.mbd_probability
    assert study["call"] == expected.call
    assert (study["scan_id"], study["files"]) == (expected.scan.scan_id, [1])
    assert told["notice"] == study["notice"] == "Research use only. Not a medical device."
    again = httpx.get(address + study["links"]["self"]).json()
    assert {**again, "files": [1], "expires_in_s": 0} == {**study, "expires_in_s": 0}
    assert 3500 < again["expires_in_s"] <= 3600
    picture = httpx.get(address + study["links"]["image"])
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).size == expected.explain().picture.size
    pixels = httpx.get(f"{address}{study['links']['self']}/pixels").content
    both = np.frombuffer(pixels, "<u2").reshape(2, *expected.scan.shape)
    np.testing.assert_array_equal(both[0], expected.scan.anterior)
    np.testing.assert_array_equal(both[1], expected.scan.posterior)


def test_dicom_objects_are_of_the_scans_own_study(address: str, named: bytes) -> None:
    (study,) = post(address, ("x", named)).json()["studies"]
    source = dcmread(io.BytesIO(named))
    for kind, modality in (("capture", "OT"), ("report", "SR")):
        got = httpx.get(address + study["links"][kind])
        assert got.headers["content-type"] == "application/dicom"
        assert SURNAME not in got.headers["content-disposition"]
        made = dcmread(io.BytesIO(got.content))
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert made.PatientName == source.PatientName
        assert made.Modality in (modality, "SC", "NM")
    assert ("outlines" in study["links"]) is bool(study["foci"])


def test_archives_pictures_and_strangers(address: str, named: bytes) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ward/IM1", named)
        archive.writestr(f"ward/{SURNAME}.txt", "letter")
    scan = read(SCANS[1])
    pictures = []
    for view, image in scan.images():
        stream = io.BytesIO()
        Image.fromarray(np.clip(4 * image, 0, 255).astype(np.uint8)).save(stream, format="PNG")
        pictures.append((f"{SURNAME}_{view.value}.png", stream.getvalue()))
    answer = post(address, ("all.zip", packed.getvalue()), *pictures, ("letter.pdf", b"%PDF-1.7"))
    told = answer.json()
    assert [one["files"] for one in told["studies"]] == [[1], [2, 3]] or [
        one["files"] for one in told["studies"]
    ] == [[2, 3], [1]]
    pair = next(one for one in told["studies"] if one["files"] == [2, 3])
    assert pair["views"] == ["anterior", "posterior"]
    assert "report" not in pair["links"]
    assert pair["no_objects"].startswith("No DICOM objects")
    assert sorted(one["files"] for one in told["refused"]) == [[1], [4]]
    for one in told["refused"]:
        assert "/tmp" not in one["reason"]  # noqa: S108
        assert "\n" not in one["reason"]
    assert SURNAME not in answer.text


def test_a_manifest_in_an_upload_opens_no_file_of_this_machine(
    address: str, tmp_path: Path
) -> None:
    secret = shutil.copy(SCANS[0], tmp_path / "secret.dcm")
    manifest = f"scan_id,patient_id,centre,split,label,file\na,p,c,train,0,{secret}\n".encode()
    for name in ("manifest.csv", "../manifest.csv", "MANIFEST.CSV"):
        told = post(address, (name, manifest)).json()
        assert told["studies"] == []
        assert len(told["refused"]) == 1


def test_names_lead_nowhere(address: str, named: bytes) -> None:
    for name in ("../../../../etc/cron.d/x.dcm", "a/b\\c:\0d.dcm", ".", "x" * 900):
        told = post(address, (name, named))
        assert told.status_code == 201, told.text
        assert len(told.json()["studies"]) == 1


def test_pictures_are_paired_within_their_folder(address: str) -> None:
    """Two patients whose pictures have the same names: one view of each is no scan."""
    pictures = {}
    for patient, path in (("a", SCANS[0]), ("b", SCANS[1])):
        for view, image in read(path).images():
            stream = io.BytesIO()
            Image.fromarray(np.clip(4 * image, 0, 255).astype(np.uint8)).save(stream, format="PNG")
            pictures[patient, view.value] = stream.getvalue()

    def paired(*names: tuple[str, str, str]) -> list[list[int]]:
        answer = post(address, *((name, pictures[of, view]) for name, of, view in names))
        assert answer.status_code == 201, answer.text
        return sorted(one["files"] for one in answer.json()["studies"])

    assert paired(
        ("/a/anterior.png", "a", "anterior"), ("/b/posterior.png", "b", "posterior")
    ) == [[1], [2]]  # fmt: skip
    assert paired(
        ("a/ANT/1.png", "a", "anterior"), ("b/POST/1.png", "b", "posterior"),
        ("a/POST/1.png", "a", "posterior"),
    ) == [[1, 3], [2]]  # fmt: skip


def test_names_that_are_given_twice_are_two_files(address: str, named: bytes) -> None:
    """Whatever they are, and also where one is the folder of another."""
    for names in (("3", "4", "3", "4"), ("ANT", "ANT/1", "ANT/1", "again-0003/1")):
        told = post(address, *((name, named) for name in names))
        assert told.status_code == 201, told.text
        files = [one["files"] for one in (*told.json()["studies"], *told.json()["refused"])]
        assert sorted(files) == [[1], [2], [3], [4]]


def test_a_refusal_names_the_right_file(address: str, named: bytes) -> None:
    """Also where the name of one file begins with that of another."""
    told = post(address, ("IM1", b"no scan"), ("IM12", named), ("IM13", named)).json()
    (copy,) = (one for one in told["refused"] if "copy" in one["reason"])
    assert (copy["files"], "is a copy of file 2" in copy["reason"]) == ([3], True)


def test_a_result_can_be_deleted(address: str, named: bytes) -> None:
    (study,) = post(address, ("x", named)).json()["studies"]
    at = address + study["links"]["self"]
    assert httpx.delete(at).status_code == 204
    for path in ("", "/picture.png", "/pixels", "/view", "/report.dcm"):
        gone = httpx.get(at + path)
        assert gone.status_code == 404
        assert gone.headers["content-type"] == "application/problem+json"
        told = gone.json()
        assert (told["status"], told["title"]) == (404, "Not Found")
        assert "\n" not in gone.text


def test_limits_of_size_and_number(address: str, named: bytes) -> None:
    large = post(address, ("x", bytes(13_000_000)))
    assert (large.status_code, large.json()["detail"]) == (413, "The upload is too large.")

    def chunks() -> Iterator[bytes]:  # without a length
        yield b'--b\r\ncontent-disposition: form-data; name="files"; filename="x"\r\n\r\n'
        for _ in range(14):
            yield bytes(1_000_000)
        yield b"\r\n--b--\r\n"

    streamed = httpx.post(
        f"{address}/studies", content=chunks(), timeout=60,
        headers={"content-type": "multipart/form-data; boundary=b"},
    )  # fmt: skip
    assert streamed.status_code == 413
    three = []
    for number in range(3):
        dataset = dcmread(io.BytesIO(named))
        dataset.SOPInstanceUID = f"1.2.826.0.1.{number + 1}"
        dataset.StudyInstanceUID = f"1.2.826.0.2.{number + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        stream = io.BytesIO()
        dataset.save_as(stream)
        three.append((f"{number}", stream.getvalue()))
    many = post(address, *three)
    assert many.status_code == 413
    assert many.json()["detail"] == "The upload has 3 scans; one request may have 2."
    thousands = post(address, *((f"{number}", b"x") for number in range(1001)))
    assert thousands.status_code in (400, 413)
    assert "1000" in thousands.json()["detail"]
    nothing = httpx.post(f"{address}/studies")
    assert nothing.status_code == 422
    assert nothing.headers["content-type"] == "application/problem+json"


def test_health_metrics_and_its_description(address: str, named: bytes) -> None:
    post(address, ("x", named))
    health = httpx.get(f"{address}/health").json()
    assert health["status"] == "ok"
    assert "Research use only" in health["notice"]
    told = httpx.get(f"{address}/metrics").text
    assert re.search(r'bonescint_scans_total\{outcome="(positive|negative)"\} [1-9]', told)
    assert 'route="/studies",status="201"' in told
    assert SURNAME not in told
    described = httpx.get(f"{address}/openapi.json").json()
    assert set(described["paths"]) >= {"/studies", "/studies/{name}", "/health", "/metrics"}
    answer = described["paths"]["/studies"]["post"]["responses"]["201"]
    schema = answer["content"]["application/json"]["schema"]["$ref"]
    assert schema.endswith("/UploadAnswer")
    assert "Research use only" in described["info"]["description"]


def test_other_sites_and_names_are_refused(address: str, named: bytes) -> None:
    elsewhere = post(address, ("x", named), headers={"origin": "https://evil.example"})
    assert elsewhere.status_code == 403
    rebound = httpx.get(f"{address}/health", headers={"host": "evil.example"})
    assert rebound.status_code == 421
    page = httpx.get(address)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert not re.findall(r'(?:src|href)="(?!/)', page.text)


def test_tokens_rate_and_time(named: bytes, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(TOKEN + "\n")
    settings = ServiceSettings(port=0, tokens=file, rate_per_min=1, keep_s=1.0)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    with running_service(settings) as address:
        for path in ("/metrics", "/studies/x", "/studies/x/picture.png"):
            closed = httpx.get(address + path)
            assert closed.status_code == 401
            assert closed.headers["www-authenticate"] == "Bearer"
        assert post(address, ("x", named)).status_code == 401
        assert httpx.get(f"{address}/health").status_code == 200
        answer = post(address, ("x", named), headers=bearer)
        assert answer.status_code == 201
        again = post(address, ("x", named), headers=bearer)
        assert again.status_code == 429
        assert 0 < int(again.headers["retry-after"]) <= 60
        at = address + answer.json()["studies"][0]["links"]["self"]
        time.sleep(1.1)
        assert httpx.get(at, headers=bearer).status_code == 404


def test_a_busy_server_says_so(named: bytes) -> None:
    many = []
    for number in range(8):
        dataset = dcmread(io.BytesIO(named))
        dataset.SOPInstanceUID = f"1.2.826.0.1.{number + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        stream = io.BytesIO()
        dataset.save_as(stream)
        many.append((f"{number}", stream.getvalue()))
    with (
        running_service(ServiceSettings(port=0, at_once=1)) as address,
        ThreadPoolExecutor(2) as clients,
    ):
        statuses = {
            one.result().status_code
            for one in [clients.submit(post, address, *many) for _ in range(2)]
        }
        assert statuses == {201, 503}
        assert post(address, many[0]).status_code == 201  # and is free again


def test_the_command_its_log_and_its_end(named: bytes) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "bonescint", "serve", "--port", str(port), "--workers", "1"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": "/tmp"},  # noqa: S108
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{address}/health")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        told = post(address, (f"{SURNAME}.dcm", named), (f"{SURNAME}.txt", b"letter")).json()
        name = told["studies"][0]["id"]
        httpx.get(f"{address}/studies/{name}")
        httpx.get(f"{address}/{SURNAME}")
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert f"Open {address}" in log
    assert "Research use only" in log
    assert "POST /studies 201" in log
    assert "GET /studies/{name} 200" in log
    for secret in (SURNAME, "338812", name):
        assert secret not in log
    json.dumps(told)
