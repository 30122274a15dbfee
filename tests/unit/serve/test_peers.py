"""Addresses, certificates and headers of what is handed on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import dicom_files, pacs_peers

from bonescint.scan import InputError, ParameterError
from bonescint.serve.peers import DicomObject, Peer, TlsFiles, hashed_uid, is_dicom_file


@pytest.mark.parametrize("text", ["", "PACS", "PACS@host", "@host:104", "P@h:0", "P@h:70000",
                                  "P@a b:104", "A\\B@h:104", "TITLE-OF-SEVENTEEN@h:1", " P@h:1",
                                  "P@http://h:104", "P\u00e4@h:104"])  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        Peer.of(text)


@pytest.mark.parametrize("text", ["PACS@pacs.example.org:104", "A B@10.0.0.1:11112", "P@[::1]:1"])
def test_an_address_is_shown_as_it_is_written(text: str) -> None:
    assert str(Peer.of(text)) == text


def test_certificates_that_cannot_be_used_are_named(
    certificates: pacs_peers.Certificates, tmp_path: Path
) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    certificate, key = certificates.server
    for files in (
        TlsFiles(authority=nonsense),
        TlsFiles(authority=tmp_path / "missing.pem"),
        TlsFiles(certificate=nonsense, key=key),
        TlsFiles(certificate=certificate, key=certificates.client[1]),
    ):
        with pytest.raises(InputError, match="cannot be used for TLS"):
            files.for_client()
    with pytest.raises(ParameterError):
        TlsFiles(certificate=certificate)
    with pytest.raises(ParameterError):
        TlsFiles().for_server()
    TlsFiles(certificate=certificate, key=key).for_server()


def test_an_object_is_known_by_its_header(tmp_path: Path) -> None:
    path = pacs_peers.nm_study(tmp_path / "scan.dcm", 4)
    one = DicomObject.of(path)
    assert (one.study, one.sop_class) == (pacs_peers.study_uid(4), dicom_files.NM_STORAGE)
    assert is_dicom_file(path)
    assert not is_dicom_file(tmp_path / "missing")
    nameless = dicom_files.secondary_capture(dicom_files.paint_body(rows=256, columns=64))
    del nameless.SOPInstanceUID
    with pytest.raises(InputError, match="does not identify"):
        DicomObject.of(dicom_files.save(nameless, tmp_path / "nameless.dcm"))


def test_a_hashed_uid_does_not_contain_it() -> None:
    uid = pacs_peers.study_uid(1)
    assert hashed_uid(uid) != hashed_uid(uid + "1")
    assert not any(part in hashed_uid(uid) for part in ("3680043", uid))
