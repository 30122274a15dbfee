"""Objects from Orthanc's DICOMweb plugin."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEGLSLossless
from tests.support import dicom_files, pacs_peers
from tests.support.pacs_peers import PASSWORD, USER

from bonescint.scan import InputError, ParameterError
from bonescint.serve.dicomweb import Login, WebServer
from bonescint.serve.fetching import fetch
from bonescint.serve.peers import PeerError


@pytest.fixture(scope="module")
def server(pacs: pacs_peers.Orthanc, tmp_path_factory: pytest.TempPathFactory) -> WebServer:
    """Orthanc with seven NM studies, one of them compressed, and a secondary capture."""
    pacs.forget()
    folder = tmp_path_factory.mktemp("stored")
    for number in range(6):
        pacs.put(pacs_peers.nm_study(folder / f"{number}.dcm", number, date=f"2026110{number + 1}"))
    pacs.put(pacs_peers.nm_study(folder / "6.dcm", 6, transfer_syntax=JPEGLSLossless))
    other = dicom_files.secondary_capture(dicom_files.paint_body(rows=256, columns=64))
    pacs_peers.identified(other, 20)
    other.Modality = "OT"
    pacs.put(dicom_files.save(other, folder / "other.dcm"))
    return WebServer(pacs.dicomweb, Login(USER, PASSWORD))


def test_pages_of_results_are_all_fetched_once(server: WebServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    got = fetch(server, tmp_path / "inbox", page=2, progress=lambda *at: seen.append(at))
    assert (got.studies, got.fetched, got.fetched_before, got.failed) == (7, 7, 0, ())
    assert seen[-1] == (7, 7)
    assert pacs_peers.uids_in(tmp_path / "inbox") == sorted(
        f"{pacs_peers.study_uid(number)}.1.1" for number in range(7)
    )
    again = fetch(server, tmp_path / "inbox", page=3)
    assert (again.fetched, again.fetched_before) == (0, 7)


def test_names_reveal_nothing_and_the_syntax_is_kept(server: WebServer, tmp_path: Path) -> None:
    fetch(server, tmp_path / "inbox")
    names = " ".join(str(path.relative_to(tmp_path)) for path in (tmp_path / "inbox").rglob("*"))
    assert not any(word in names for word in (*dicom_files.IDENTIFIERS, "3680043"))
    syntaxes = {
        str(pydicom.dcmread(path).file_meta.TransferSyntaxUID)
        for path in (tmp_path / "inbox").rglob("*.dcm")
    }
    assert JPEGLSLossless in syntaxes


def test_dates_and_modality_choose(server: WebServer, tmp_path: Path) -> None:
    some = fetch(server, tmp_path / "some", since=date(2026, 11, 5))
    assert some.studies == 2
    two = fetch(server, tmp_path / "two", since=date(2026, 11, 2), until=date(2026, 11, 2))
    assert two.studies == 2  # that day's, and the compressed one of the same day
    assert fetch(server, tmp_path / "other", modality="OT").fetched == 1
    assert fetch(server, tmp_path / "none", modality="PT").studies == 0


def test_the_next_run_fetches_what_is_missing(server: WebServer, tmp_path: Path) -> None:
    fetch(server, tmp_path / "inbox")
    files = sorted((tmp_path / "inbox").rglob("*.dcm"))
    content = files[0].read_bytes()
    files[0].unlink()
    assert fetch(server, tmp_path / "inbox").fetched == 1
    assert files[0].read_bytes() == content


def test_what_cannot_be_used_is_said(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PeerError, match="login refused"):
        fetch(WebServer(server.url), tmp_path / "x", tries=2)
    with pytest.raises(PeerError, match="cannot be reached"):
        fetch(WebServer(f"http://127.0.0.1:{pacs_peers.free_port()}/"), tmp_path / "x", tries=1)
    with pytest.raises(ParameterError):
        fetch(server, tmp_path, modality="nm*")
    with pytest.raises(ParameterError):
        fetch(server, tmp_path, since=date(2026, 2, 1), until=date(2026, 1, 1))
    for url in ("ftp://host/", "http://u:p@host/", "http://", "host/dicom-web"):
        with pytest.raises(ParameterError):
            WebServer(url)
    with pytest.raises(ParameterError, match="https"):
        WebServer("http://pacs.example.org", Login("", "token"))
    monkeypatch.delenv("BONESCINT_PASSWORD", raising=False)
    with pytest.raises(ParameterError, match="BONESCINT_PASSWORD"):
        Login.found(user="anna")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        Login.found(secret_file=tmp_path / "empty")
    words = "very-secret"
    monkeypatch.setenv("BONESCINT_TOKEN", words)
    found = Login.found()
    assert found is not None
    assert found.secret == words
    assert words not in repr(WebServer("https://pacs.example.org", found))
