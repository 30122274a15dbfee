"""What a node answers to real peers, and to broken and hostile ones."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from tests.support import dicom_files, hostile_peers, pacs_peers
from tests.support.pacs_peers import needs_dcmtk

from bonescint.scan import ParameterError
from bonescint.serve.associations import associated, context
from bonescint.serve.node import NodeSettings
from bonescint.serve.peers import Peer, TlsFiles, hashed_uid
from bonescint.serve.receiving import STORED_CLASSES, SYNTAXES, Sender

pytestmark = needs_dcmtk
QUIET = ("--quiet-seconds", "86400")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacs_peers.Node]:
    """A node that classifies nothing yet."""
    with pacs_peers.node(tmp_path_factory.mktemp("node"), *QUIET) as running:
        yield running


def received(node: pacs_peers.Node, number: int) -> list[Path]:
    """What it has of a numbered study."""
    return sorted(
        (node.queue / "studies" / hashed_uid(pacs_peers.study_uid(number))).rglob("*.dcm")
    )


def stored_by_hand(node: pacs_peers.Node, path: Path, title: str) -> str:
    """What storescu says, in lower case, with every status that it gets."""
    words = ("storescu", "-d", "-aet", title, "-aec", "BONESCINT", "127.0.0.1", str(node.port))
    said = pacs_peers.dcmtk(*words, path)
    return (said.stdout + said.stderr).lower()


@pytest.mark.parametrize(
    "syntax",
    [
        "",
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEG2000Lossless,
        RLELossless,
    ],
)
def test_every_syntax_arrives_as_it_was_sent(
    node: pacs_peers.Node, tmp_path: Path, syntax: str
) -> None:
    number = 100 + SYNTAXES.index(syntax) if syntax else 100
    options = {"transfer_syntax": syntax} if syntax else {}
    sent = pacs_peers.nm_study(tmp_path / "scan.dcm", number, **options)
    said = node.send(sent)
    assert said.returncode == 0, said.stdout + said.stderr
    (path,) = received(node, number)
    got, gave = pydicom.dcmread(path), pydicom.dcmread(sent)
    assert got.SOPInstanceUID == gave.SOPInstanceUID
    if syntax != ExplicitVRBigEndian:  # whose pixels dcmtk turns round
        assert got == gave
    if gave.file_meta.TransferSyntaxUID.is_encapsulated:  # dcmtk converts the others
        assert got.file_meta.TransferSyntaxUID == syntax


def test_every_class_and_syntax_of_the_reader_is_accepted(node: pacs_peers.Node) -> None:
    peer = Peer("127.0.0.1", node.port, "BONESCINT")
    kinds = [(one, syntax) for syntax in SYNTAXES for one in STORED_CLASSES]
    contexts = [context(*kind) for kind in kinds]
    with associated(peer, contexts, calling="TESTS") as association:
        assert len(association.accepted_contexts) == len(kinds)


def test_a_lossy_scan_of_a_real_camera_is_accepted(node: pacs_peers.Node) -> None:
    path = Path(str(get_testdata_file("JPGExtended.dcm", download=False)))
    assert node.send(path).returncode == 0
    study = hashed_uid(pydicom.dcmread(path).StudyInstanceUID)
    assert list((node.queue / "studies" / study).rglob("*.dcm"))


def test_what_holds_no_bone_scan_finds_no_context(node: pacs_peers.Node, tmp_path: Path) -> None:
    path = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    said = pacs_peers.dcmtk("storescu", "-aec", "BONESCINT", "127.0.0.1", str(node.port), path)
    assert "No presentation context" in said.stdout + said.stderr


def test_a_duplicate_is_accepted_and_other_content_is_not(
    node: pacs_peers.Node, tmp_path: Path
) -> None:
    path = pacs_peers.nm_study(tmp_path / "scan.dcm", 200)
    for _ in range(2):
        assert node.send(path).returncode == 0
    assert len(received(node, 200)) == 1
    other = pydicom.dcmread(path)
    other.PatientID = "CHANGED"
    other.save_as(path)
    assert "0xc001: error: cannot understand" in stored_by_hand(node, path, "STORESCU")
    assert "CHANGED" not in received(node, 200)[0].read_bytes().decode("latin-1")


def test_the_log_names_nobody(node: pacs_peers.Node, tmp_path: Path) -> None:
    assert node.send(pacs_peers.nm_study(tmp_path / "scan.dcm", 201)).returncode == 0
    said = node.log.read_text()
    assert hashed_uid(pacs_peers.study_uid(201)) in said
    assert not any(word in said for word in (*dicom_files.IDENTIFIERS, "3680043"))


def test_only_who_is_allowed_may_send(tmp_path: Path) -> None:
    path = pacs_peers.nm_study(tmp_path / "scan.dcm")
    options = ("--allow", "CAMERA@127.0.0.1", "--allow", "OTHER@192.0.2.1", "--max-queue", "1")
    with pacs_peers.node(tmp_path / "node", *QUIET, *options) as node:
        for title in ("STORESCU", "OTHER"):  # another title; the right one from elsewhere
            assert "calling ae title not recognized" in stored_by_hand(node, path, title)
        said = pacs_peers.dcmtk(
            "echoscu", "-aet", "CAMERA", "-aec", "ELSE", "127.0.0.1", str(node.port)
        )
        assert "Called AE Title Not Recognized" in said.stdout + said.stderr
        assert node.send(path, title="CAMERA").returncode == 0
        assert len(node.studies_in("studies")) == 1
        # And one more study than may wait is refused, with the status that says so.
        more = pacs_peers.nm_study(tmp_path / "more.dcm", 1)
        assert "0xa700" in stored_by_hand(node, more, "CAMERA")


def test_an_open_door_is_refused() -> None:
    with pytest.raises(ParameterError, match="not loopback"):
        NodeSettings(queue=Path("queue"), host="0.0.0.0")  # noqa: S104
    NodeSettings(queue=Path("queue"), host="0.0.0.0", allowed=("A@host",))  # noqa: S104
    for text in ("A", "@host", "A@", "A@host:0", "A@host:x:1"):
        with pytest.raises(ParameterError):
            Sender.of(text)
    assert Sender.of("A@::1") == Sender("A", "::1")
    assert Sender.of("A@[::1]:104") == Sender("A", "::1", 104)


def test_tls_from_dcmtk(tmp_path: Path, certificates: pacs_peers.Certificates) -> None:
    path = pacs_peers.nm_study(tmp_path / "scan.dcm")
    certificate, key = certificates.server
    options = ("--certificate", str(certificate), "--key", str(key),
               "--authority", str(certificates.authority))  # fmt: skip
    with pacs_peers.node(tmp_path / "node", *QUIET, *options) as node:
        own = ("storescu", "+cf", certificates.authority, "-aec", "BONESCINT")
        address = ("127.0.0.1", str(node.port), path)
        assert not node.echo()  # without TLS
        stranger = (certificates.stranger[1], certificates.stranger[0])
        assert pacs_peers.dcmtk(*own, "+tls", *stranger, *address).returncode != 0
        assert pacs_peers.dcmtk(*own, "-tls", *address).returncode != 0
        silent = socket.create_connection(("127.0.0.1", node.port))  # never shakes hands
        mine = (certificates.client[1], certificates.client[0])
        assert pacs_peers.dcmtk(*own, "+tls", *mine, *address).returncode == 0
        silent.close()
        assert len(node.studies_in("studies")) == 1
        files = TlsFiles(*certificates.client, authority=certificates.authority)
        peer = Peer("127.0.0.1", node.port, "BONESCINT")
        with associated(peer, [context("1.2.840.10008.1.1", "1.2.840.10008.1.2")],
                        calling="TESTS", tls=files) as association:  # fmt: skip
            assert association.send_c_echo().Status == 0


@pytest.mark.parametrize("kind", hostile_peers.KINDS)
def test_a_hostile_connection_ends_and_the_next_is_served(node: pacs_peers.Node, kind: str) -> None:
    rng = random.Random(kind)  # noqa: S311 - the same bytes each time
    for _ in range(5):
        hostile_peers.attack(node.port, hostile_peers.hostile_bytes(kind, rng))
    assert node.echo()
    assert node.process.poll() is None


@pytest.mark.slow
def test_a_silent_connection_is_closed(node: pacs_peers.Node) -> None:
    """It is closed by the node, and others are served meanwhile."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        connection.sendall(b"\x01\x00\x00")
        assert node.echo()
        connection.settimeout(90)
        began = time.monotonic()
        assert connection.recv(1) == b""
        assert time.monotonic() - began > 1


def test_a_bomb_and_half_objects_are_refused_with_a_status(
    node: pacs_peers.Node, tmp_path: Path
) -> None:
    before = len(node.studies_in("studies"))
    bomb = hostile_peers.deflated_bomb(tmp_path / "bomb.dcm")
    peer = Peer("127.0.0.1", node.port, "BONESCINT")
    whole = pacs_peers.nm_study(tmp_path / "scan.dcm", 301)
    nameless = pydicom.dcmread(whole)
    del nameless.StudyInstanceUID
    wrong = pydicom.dcmread(whole)
    with associated(peer, [context(STORED_CLASSES[0], DeflatedExplicitVRLittleEndian),
                           context(STORED_CLASSES[0], "1.2.840.10008.1.2.1")],
                    calling="TESTS") as association:  # fmt: skip
        assert association.send_c_store(nameless).Status == 0xC000
        # A request that names another object than it brings.
        from pynetdicom import _config

        _config.STORE_SEND_CHUNKED_DATASET = True
        try:
            assert association.send_c_store(bomb).Status == 0xC000
            wrong.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
            pydicom.dcmwrite(tmp_path / "wrong.dcm", wrong)
            assert association.send_c_store(tmp_path / "wrong.dcm").Status == 0xA900
            half = tmp_path / "half.dcm"
            half.write_bytes(whole.read_bytes()[:600])
            assert association.send_c_store(half).Status in (0xC000, 0xA900)
        finally:
            _config.STORE_SEND_CHUNKED_DATASET = False
    assert len(node.studies_in("studies")) == before
    assert node.echo()


def test_commitment_is_reported_in_the_association_of_the_request(
    node: pacs_peers.Node, tmp_path: Path
) -> None:
    """For a sender whose port is not known."""
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]
        StorageCommitmentPushModel,
        StorageCommitmentPushModelInstance,
    )

    assert node.send(pacs_peers.nm_study(tmp_path / "scan.dcm", 400)).returncode == 0
    reports: list[tuple[int, pydicom.Dataset]] = []
    answered = threading.Event()

    def reported(event: evt.Event) -> tuple[int, None]:
        reports.append((event.event_type, event.event_information))
        return 0x0000, None

    def sent(_: evt.Event) -> None:
        if reports:
            answered.set()

    wanted = pydicom.Dataset()
    wanted.TransactionUID = "1.2.3.4.5"
    wanted.ReferencedSOPSequence = [pydicom.Dataset()]
    wanted.ReferencedSOPSequence[0].ReferencedSOPClassUID = STORED_CLASSES[0]
    instance = f"{pacs_peers.study_uid(400)}.1.1"
    wanted.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = instance
    entity = AE()
    entity.add_requested_context(StorageCommitmentPushModel)
    association = entity.associate(
        "127.0.0.1", node.port, ae_title="BONESCINT",
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, reported), (evt.EVT_PDU_SENT, sent)],
    )  # fmt: skip
    words = (1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    status, _ = association.send_n_action(wanted, *words)
    assert status.Status == 0x0000
    # The next request must not overtake the answer to the report: neither side takes both at once.
    assert answered.wait(60), node.log.read_text()
    ((kind, report),) = reports
    assert (kind, report.TransactionUID) == (1, "1.2.3.4.5")
    assert report.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == instance
    # What cannot be read, and what is asked otherwise, gets a status.
    del wanted.ReferencedSOPSequence
    assert association.send_n_action(wanted, *words)[0].Status == 0x0115
    assert association.send_n_action(wanted, 9, *words[1:])[0].Status == 0x0123
    association.release()
