"""Objects to real peers: dcmtk and Orthanc, by C-STORE and STOW-RS; what a peer chokes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless
from tests.support import dicom_files, pacs_peers
from tests.support.pacs_peers import PASSWORD, USER, needs_dcmtk

from bonescint.scan import BonescintError, InputError, OutputError
from bonescint.serve.associations import StoringPeer
from bonescint.serve.dicomweb import Login, WebServer
from bonescint.serve.node import Answering
from bonescint.serve.peers import DicomObject, ObjectRefusedError, Peer, PeerError, TlsFiles
from bonescint.serve.queue import StudyQueue, StudyState
from bonescint.serve.sending import SENT, send


@pytest.fixture
def folder(scans: Path, tmp_path: Path) -> Path:
    """A folder to send: three scans, a table, a hidden file and an empty folder."""
    place = tmp_path / "results"
    shutil.copytree(scans, place / "deep" / "down")
    (place / "results.csv").write_text("scan_id\n")
    (place / ".hidden.dcm").write_bytes((scans / "0.dcm").read_bytes())
    (place / "empty").mkdir()
    return place


def peer(port: int, **more: object) -> StoringPeer:
    return StoringPeer(Peer("127.0.0.1", port, "PACS"), **more)  # type: ignore[arg-type]


def no_wait(_: float) -> None:
    return


@dataclass
class PeerThatFailsAt:
    """Stores every object but those whose file name begins so."""

    start: str
    error: Exception
    stored: list[str] = field(default_factory=list)

    @contextmanager
    def connected(self, _: Sequence[DicomObject]) -> Iterator[PeerThatFailsAt]:
        yield self

    def store(self, one: DicomObject) -> None:
        if one.path.name.startswith(self.start):
            raise self.error
        self.stored.append(one.path.name)


CHOKES = PeerError("PACS: HTTP 500.", again=True)


def answering(folder: Path, scans: Path, answers: Sequence[Sequence[str]]) -> StudyQueue:
    """A queue with a study for each list of objects, by the names of their files."""
    queue = StudyQueue(folder)
    for number, names in enumerate(answers):
        queue.add(f"1.2.{number}", f"1.2.{number}.1", b"x")
        (study,) = queue.take_quiet(0)
        study.answer.mkdir()
        for name in names:
            shutil.copy(scans / "0.dcm", study.answer / name)
        queue.classified(study, {})
    return queue


def stepped(answering: Answering, *, times: int) -> None:
    """As many steps, without the waits."""
    for _ in range(times):
        answering.step()
        for turn in (answering._peer, *answering._turns.values()):
            turn.due_s = 0


def test_an_object_that_the_peer_chokes_on_keeps_no_other(folder: Path) -> None:
    destination = PeerThatFailsAt("0", CHOKES)
    summary = send(folder, destination, wait=no_wait)
    assert sorted(destination.stored) == ["1.dcm", "2.dcm"]
    assert (summary.accepted, summary.unsent, summary.failure) == (2, 1, "PACS: HTTP 500.")


def test_an_answer_that_the_peer_chokes_on_keeps_no_other(tmp_path: Path, scans: Path) -> None:
    with answering(tmp_path, scans, [["a.dcm"], ["b.dcm"], ["c.dcm"]]) as queue:
        first, *_ = queue.all_in(StudyState.ANSWERING)
        (bad,) = [path.name for path in first.unsent()]
        destination = PeerThatFailsAt(bad, CHOKES)
        node = Answering(queue, destination)
        stepped(node, times=4)
        assert len(destination.stored) == 2
        assert queue.all_in(StudyState.ANSWERING) == [first]
        node.step()
        assert node._peer.left_s <= 0  # what comes next does not wait for it
        destination.start = "none"
        stepped(node, times=2)
        assert queue.waiting == 0


def test_an_object_that_is_refused_keeps_no_other_of_its_answer(
    tmp_path: Path, scans: Path
) -> None:
    with answering(tmp_path, scans, [["outlines.dcm", "picture.dcm"]]) as queue:
        refused = ObjectRefusedError("status 0122: no such class", again=False)
        destination = PeerThatFailsAt("outlines", refused)
        stepped(Answering(queue, destination), times=2)
        assert destination.stored == ["picture.dcm"]
        (study,) = queue.all_in(StudyState.ANSWERING)
        assert [path.name for path in study.unsent()] == ["outlines.dcm"]


@needs_dcmtk
def test_storescp_gets_every_object_once(folder: Path, tmp_path: Path) -> None:
    got = tmp_path / "got"
    with pacs_peers.storescp(got) as port:
        seen: list[tuple[int, int]] = []
        first = send(folder, peer(port), progress=lambda *at: seen.append(at))
        assert (first.accepted, first.accepted_before, first.refused) == (3, 0, ())
        assert seen[-1] == (3, 3)
        assert pacs_peers.uids_in(got) == [f"{pacs_peers.study_uid(n)}.1.1" for n in range(3)]
        for path in got.iterdir():
            path.unlink()
        again = send(folder, peer(port))
        assert (again.accepted, again.accepted_before) == (0, 3)
        assert not list(got.iterdir())
        pacs_peers.nm_study(folder / "new.dcm", 9)
        assert send(folder, peer(port)).accepted == 1
    marks = (folder / SENT).read_text()
    assert not any(word in marks for word in (*dicom_files.IDENTIFIERS, "3680043"))


@needs_dcmtk
def test_pixels_and_header_arrive_as_they_were(folder: Path, tmp_path: Path) -> None:
    with pacs_peers.storescp(tmp_path / "got") as port:
        send(folder, peer(port))
    for path in (tmp_path / "got").iterdir():
        got = pydicom.dcmread(path)
        number = int(got.StudyInstanceUID.rpartition(".")[2]) - 1
        sent = pydicom.dcmread(folder / "deep" / "down" / f"{number}.dcm")
        assert got == sent


@needs_dcmtk
@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless])
def test_a_compressed_object_goes_to_who_takes_it(
    syntax: str, folder: Path, tmp_path: Path
) -> None:
    pacs_peers.nm_study(folder / "small.dcm", 7, transfer_syntax=syntax)
    with pacs_peers.storescp(tmp_path / "plain") as port:
        summary = send(folder, peer(port), wait=no_wait)
    assert summary.accepted == 3
    assert [error.source for error in summary.refused] == [str(folder / "small.dcm")]
    assert "does not accept this kind of object" in str(summary.refused[0])
    with pacs_peers.storescp(tmp_path / "all", "--accept-all") as port:
        assert send(folder, peer(port)).accepted == 4


@needs_dcmtk
def test_a_rejected_association_and_a_silent_port_end_with_a_reason(folder: Path) -> None:
    waits: list[float] = []
    summary = send(folder, peer(pacs_peers.free_port()), retries=3, wait=waits.append)
    assert (summary.accepted, summary.unsent) == (0, 3)
    assert "cannot be reached" in summary.failure
    assert waits == [2.0, 4.0, 8.0]


def test_orthanc_finds_the_study_and_says_who_may_not_send(
    folder: Path, empty_pacs: pacs_peers.Orthanc
) -> None:
    stranger = peer(empty_pacs.dicom_port, calling="STRANGER")
    waits: list[float] = []
    refused = send(folder, stranger, retries=1, wait=waits.append)
    assert refused.accepted == 0
    assert refused.unsent + len(refused.refused) == 3
    assert send(folder, peer(empty_pacs.dicom_port)).accepted == 3
    (found,) = empty_pacs.instances(pacs_peers.study_uid(1))
    assert found["SOPInstanceUID"] == f"{pacs_peers.study_uid(1)}.1.1"
    wrong = StoringPeer(Peer("127.0.0.1", empty_pacs.dicom_port, "OTHER"))
    assert "rejected the association (called ae title not recognised)" in send(
        folder, wrong, retries=9, wait=waits.append
    ).failure  # fmt: skip
    assert len(waits) <= 1  # a permanent rejection is not tried again


def test_stow_reaches_the_same_study(folder: Path, empty_pacs: pacs_peers.Orthanc) -> None:
    server = WebServer(f"{empty_pacs.dicomweb}/studies", Login(USER, PASSWORD))
    assert send(folder, server).accepted == 3
    (found,) = empty_pacs.instances(pacs_peers.study_uid(2))
    assert found["PatientID"] == f"{dicom_files.PATIENT_ID}2"
    assert send(folder, server).accepted_before == 3


def test_a_wrong_login_and_a_wrong_address_end_with_a_reason(
    folder: Path, empty_pacs: pacs_peers.Orthanc
) -> None:
    wrong = send(folder, WebServer(empty_pacs.dicomweb, Login(USER, "wrong")), wait=no_wait)
    assert (wrong.accepted, wrong.unsent) == (0, 3)
    assert "login refused (HTTP 401)" in wrong.failure
    lost = WebServer(f"http://127.0.0.1:{empty_pacs.http_port}/nowhere", Login(USER, PASSWORD))
    assert "HTTP 404" in send(folder, lost, wait=no_wait).failure
    silent = WebServer(f"http://127.0.0.1:{pacs_peers.free_port()}/dicom-web")
    assert "cannot be reached" in send(folder, silent, retries=0).failure


@needs_dcmtk
def test_tls_with_both_certificates(
    folder: Path, tmp_path: Path, certificates: pacs_peers.Certificates
) -> None:
    certificate, key = certificates.server
    options = ("--enable-tls", str(key), str(certificate), "--add-cert-file",
               str(certificates.authority), "--require-peer-cert")  # fmt: skip
    with pacs_peers.storescp(tmp_path / "got", *options) as port:
        own = TlsFiles(*certificates.client, authority=certificates.authority)
        assert send(folder, peer(port, tls=own)).accepted == 3
        unknown = TlsFiles(*certificates.client)
        stranger = TlsFiles(*certificates.stranger, authority=certificates.authority)
        for files in (unknown, stranger):
            new = tmp_path / f"other{files.authority is None}"
            shutil.copytree(folder, new, ignore=lambda *_: [SENT])
            summary = send(new, peer(port, tls=files), retries=0)
            assert (summary.accepted, summary.unsent) == (0, 3)


@needs_dcmtk
def test_a_peer_that_dies_in_the_middle_is_resumed(folder: Path, tmp_path: Path) -> None:
    with pacs_peers.storescp(tmp_path / "got", "--abort-after") as port:
        cut = send(folder, peer(port), retries=1, wait=no_wait)
    assert (cut.accepted, cut.unsent) == (0, 3)
    assert "ended the association" in cut.failure
    with ExitStack() as later:

        def starts_again(_: float) -> None:
            later.enter_context(pacs_peers.storescp(tmp_path / "rest", port=port))

        rest = send(folder, peer(port), wait=starts_again)
    assert (rest.accepted, rest.unsent) == (3, 0)


def test_what_is_damaged_is_named_and_the_rest_goes(
    folder: Path, empty_pacs: pacs_peers.Orthanc
) -> None:
    whole = (folder / "deep" / "down" / "0.dcm").read_bytes()
    (folder / "half.dcm").write_bytes(whole[:400])
    (folder / "no-name.dcm").write_bytes(bytes(128) + b"DICM")
    summary = send(folder, peer(empty_pacs.dicom_port))
    assert summary.accepted == 3
    assert sorted(Path(error.source).name for error in summary.refused) == [
        "half.dcm",
        "no-name.dcm",
    ]


def test_places_that_cannot_be_used(tmp_path: Path, scans: Path) -> None:
    nobody = peer(1)
    with pytest.raises(InputError, match="no such file"):
        send(tmp_path / "missing", nobody)
    with pytest.raises(InputError, match="holds no DICOM object"):
        send(tmp_path, nobody)
    with pytest.raises(BonescintError):
        StoringPeer(Peer("127.0.0.1", 1, "PACS"), calling="A\\B")
    (tmp_path / SENT).mkdir()
    (tmp_path / "scan.dcm").write_bytes((scans / "0.dcm").read_bytes())
    with pytest.raises(OutputError):
        send(tmp_path, nobody)
    assert PeerError("x", again=True).again
