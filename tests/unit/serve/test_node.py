"""Scan in, answer out, with Orthanc and dcmtk; kills, a PACS that is away, late objects."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

pytest.importorskip("highdicom", reason="needs the extra 'pacs'")

from tests.support import dicom_files, pacs_peers
from tests.support.pacs_peers import PASSWORD, USER, needs_dcmtk

from bonescint.serve.peers import hashed_uid

pytestmark = needs_dcmtk
SOON = ("--quiet-seconds", "1")


def connected(pacs: pacs_peers.Orthanc, node: pacs_peers.Node) -> None:
    """Tell Orthanc of a node."""
    modality = {"AET": "BONESCINT", "Host": "127.0.0.1", "Port": node.port,
                "AllowStorageCommitment": True}  # fmt: skip
    pacs.ask("/modalities/node", modality, method="PUT")


@pytest.fixture(scope="module")
def node(
    pacs: pacs_peers.Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pacs_peers.Node]:
    """A node that answers to Orthanc, which is told of it."""
    pacs.forget()
    options = (*SOON, "--allow", f"PACS@127.0.0.1:{pacs.dicom_port}",
               "--allow", "STORESCU@127.0.0.1")  # fmt: skip
    to = f"PACS@127.0.0.1:{pacs.dicom_port}"
    with pacs_peers.node(tmp_path_factory.mktemp("node"), *options, to=to) as running:
        connected(pacs, running)
        yield running


def modalities(pacs: pacs_peers.Orthanc, number: int) -> list[str]:
    """The modalities of the objects that Orthanc has of a numbered study."""
    return sorted(one["Modality"] for one in pacs.instances(pacs_peers.study_uid(number)))


def test_a_scan_from_orthanc_is_answered_into_its_study(
    pacs: pacs_peers.Orthanc, node: pacs_peers.Node, tmp_path: Path
) -> None:
    pacs.put(pacs_peers.nm_study(tmp_path / "scan.dcm", 1))
    (study,) = pacs.ask("/tools/find", {"Level": "Study", "Query": {
        "StudyInstanceUID": pacs_peers.study_uid(1)}})  # fmt: skip
    pacs.ask("/modalities/node/store", {"Resources": [study], "Synchronous": True})
    (done,) = node.await_done(1)
    answers = [one for one in pacs.instances(pacs_peers.study_uid(1)) if one["Modality"] != "NM"]
    assert {one["PatientName"] for one in answers} == {dicom_files.PATIENT_NAME}
    assert sum(one["Modality"] == "SR" for one in answers) >= 1
    assert len({one["SeriesInstanceUID"] for one in answers}) >= 2
    outcome = json.loads((done / "outcome.json").read_text())
    assert outcome["scans"][0]["objects"] == len(answers)
    assert "Research use only" in outcome["notice"]
    assert not any(word in json.dumps(outcome) for word in dicom_files.IDENTIFIERS)
    # The scan and the picture come again: nothing is classified anew.
    again = [
        one["ID"] for one in pacs.instances(pacs_peers.study_uid(1)) if one["Modality"] != "SR"
    ]
    assert len(again) == 2
    pacs.ask("/modalities/node/store", {"Resources": again, "Synchronous": True})
    time.sleep(3)
    assert node.studies_in("studies") == node.studies_in("classifying") == []
    assert len(pacs.instances(pacs_peers.study_uid(1))) == 1 + len(answers)


def test_orthanc_gets_its_storage_commitment(
    pacs: pacs_peers.Orthanc, node: pacs_peers.Node, tmp_path: Path
) -> None:
    scan = pacs_peers.nm_study(tmp_path / "scan.dcm", 2)
    assert node.send(scan).returncode == 0
    here = [dicom_files.NM_STORAGE, f"{pacs_peers.study_uid(2)}.1.1"]
    missing = [dicom_files.NM_STORAGE, "1.2.3.4"]
    for wanted, status in (([here], "Success"), ([here, missing], "Failure")):
        asked = pacs.ask("/modalities/node/storage-commitment", {"DicomInstances": wanted})
        deadline = time.monotonic() + 60
        while (report := pacs.ask(asked["Path"]))["Status"] == "Pending":
            assert time.monotonic() < deadline, node.log.read_text()
            time.sleep(0.2)
        assert report["Status"] == status
        assert [one["SOPInstanceUID"] for one in report["Success"]] == [here[1]]
    assert [one["SOPInstanceUID"] for one in report["Failures"]] == ["1.2.3.4"]
    deadline = time.monotonic() + 60
    while kept := list((node.queue / "commitments").iterdir()):  # until the node has its reply
        assert time.monotonic() < deadline, kept
        time.sleep(0.1)


def test_what_is_no_bone_scan_ends_with_a_reason(node: pacs_peers.Node, tmp_path: Path) -> None:
    dataset = dicom_files.secondary_capture(dicom_files.paint_body(rows=256, columns=64))
    pacs_peers.identified(dataset, 3)
    dataset.Modality = "OT"
    assert node.send(dicom_files.save(dataset, tmp_path / "other.dcm")).returncode == 0
    place = node.queue / "done" / hashed_uid(pacs_peers.study_uid(3)) / "outcome.json"
    deadline = time.monotonic() + 120
    while "has no answer" not in node.log.read_text():
        assert time.monotonic() < deadline, node.log.read_text()
        time.sleep(0.1)
    outcome = json.loads(place.read_text())
    assert outcome["scans"] == []
    assert "a bone scan's is NM" in outcome["refused"][0]


def test_fetched_from_orthanc_classified_and_stored_back_over_the_web(
    pacs: pacs_peers.Orthanc, tmp_path: Path
) -> None:
    pacs.put(pacs_peers.nm_study(tmp_path / "scan.dcm", 5, date="20261120"))
    environment = {**os.environ, "BONESCINT_PASSWORD": PASSWORD}

    def bonescint(*words: str | Path) -> str:
        command = [sys.executable, "-m", "bonescint", *map(str, words)]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=300
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr

    inbox, results = tmp_path / "inbox", tmp_path / "results"
    login = ("--user", USER)
    said = bonescint("fetch", pacs.dicomweb, "--since", "2026-11-20", "--out", inbox, *login)
    assert "1 objects fetched, of 1 studies" in said
    said += bonescint("classify", inbox, "--out", results, "--dicom", "--workers", "0")
    said += bonescint("send", results / "dicom", "--stow", f"{pacs.dicomweb}/studies", *login)
    assert modalities(pacs, 5).count("SR") >= 1
    assert PASSWORD not in said


def test_answers_go_over_the_web(pacs: pacs_peers.Orthanc, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    login = ("--user", USER, "--secret-file", str(secret))
    with pacs_peers.node(
        tmp_path / "node", *SOON, *login, to=f"{pacs.dicomweb}/studies", by="--answer-stow"
    ) as node:
        assert node.send(pacs_peers.nm_study(tmp_path / "scan.dcm", 6)).returncode == 0
        node.await_done(1)
        assert modalities(pacs, 6).count("SR") >= 1
        assert PASSWORD not in node.log.read_text()


def test_answers_wait_for_a_pacs_that_is_away_and_survive_kills(tmp_path: Path) -> None:
    """Killed while the PACS is away; sent once both are back, once only; late objects follow."""
    got, pacs_port = tmp_path / "got", pacs_peers.free_port()
    to, folder = f"PACS@127.0.0.1:{pacs_port}", tmp_path / "node"
    with pacs_peers.node(folder, *SOON, to=to) as node:
        assert node.send(pacs_peers.nm_study(tmp_path / "0.dcm", 0)).returncode == 0
        deadline = time.monotonic() + 240
        while "Tried again in" not in node.log.read_text():
            assert time.monotonic() < deadline, node.log.read_text()
            time.sleep(0.1)
        assert len(node.studies_in("answers")) == 1
        os.kill(node.process.pid, signal.SIGKILL)
        node.process.wait()
    with pacs_peers.storescp(got, port=pacs_port), pacs_peers.node(folder, *SOON, to=to) as node:
        node.await_done(1)
        first = pacs_peers.uids_in(got)
        assert len(first) >= 2
        late = pydicom.dcmread(tmp_path / "0.dcm")
        late.SOPInstanceUID = f"{pacs_peers.study_uid(0)}.1.2"
        late.SeriesInstanceUID = f"{pacs_peers.study_uid(0)}.2"
        dicom_files.save(late, tmp_path / "late.dcm")
        assert node.send(tmp_path / "late.dcm").returncode == 0
        deadline = time.monotonic() + 240
        while len(pacs_peers.uids_in(got)) == len(first) or node.studies_in("answers"):
            assert time.monotonic() < deadline, node.log.read_text()
            time.sleep(0.2)
        (done,) = node.await_done(1)
        assert len(list((done / "objects").iterdir())) == 2
        # The scan that was answered before is not answered again: its objects are the same.
        assert set(first) < set(pacs_peers.uids_in(got))


def test_every_accepted_study_has_one_answer_whenever_it_is_killed(tmp_path: Path) -> None:
    """Kills at random moments while ten senders send; each sends until it is accepted."""
    rng = random.Random(5)  # noqa: S311
    count, senders, kills = 10, 10, 2
    paths = [pacs_peers.nm_study(tmp_path / f"{n}.dcm", n) for n in range(count)]
    port, folder, got = pacs_peers.free_port(), tmp_path / "node", tmp_path / "got"
    accepted: set[int] = set()
    with pacs_peers.storescp(got) as pacs_port:
        to = f"PACS@127.0.0.1:{pacs_port}"

        def sender(mine: list[int]) -> None:
            for number in mine:
                words = ("storescu", "-R", "-aec", "BONESCINT", "127.0.0.1", str(port))
                while pacs_peers.dcmtk(*words, paths[number]).returncode:
                    time.sleep(1)
                accepted.add(number)

        threads = [
            threading.Thread(target=sender, args=(list(range(n, count, senders)),), daemon=True)
            for n in range(senders)
        ]
        for thread in threads:
            thread.start()
        for _ in range(kills):
            with pacs_peers.node(folder, "--quiet-seconds", "0.5", to=to, port=port) as node:
                time.sleep(rng.uniform(0.2, 6))
                os.kill(node.process.pid, signal.SIGKILL)
                node.process.wait()
        with pacs_peers.node(folder, "--quiet-seconds", "0.5", to=to, port=port) as node:
            for thread in threads:
                thread.join(120)
            assert accepted == set(range(count))
            done = node.await_done(count)
            for state in ("studies", "classifying", "answers"):
                assert node.studies_in(state) == []
    assert {one.name for one in done} == {hashed_uid(pacs_peers.study_uid(n)) for n in range(count)}
    answers = {}
    for path in got.iterdir():
        one = pydicom.dcmread(path, stop_before_pixels=True)
        answers.setdefault(str(one.StudyInstanceUID), []).append(str(one.SOPInstanceUID))
    assert len(answers) == count
    for study, uids in answers.items():
        outcome = json.loads(
            (folder / "queue" / "done" / hashed_uid(study) / "outcome.json").read_text()
        )
        (scan,) = outcome["scans"]
        assert len(uids) == len(set(uids)) == scan["objects"]
