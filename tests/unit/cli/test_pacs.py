"""`bonescint send`, `fetch` and `listen`: exit status and the line that says what is wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("pynetdicom", reason="needs the extra 'pacs'")
pytest.importorskip("highdicom", reason="needs the extra 'pacs'")

from tests.support import pacs_peers

from bonescint.cli.app import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scan and a certificate that is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    pacs_peers.nm_study(tmp_path / "scans" / "scan.dcm")
    (tmp_path / "none.pem").write_text("no certificate")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("send scans", "given, or else the URL of a web server"),
        ("send scans host:1 --stow https://host/", "given, or else the URL of a web server"),
        ("send scans host", "must be host:port"),
        ("send scans host:1 --called A\\B", "AE title"),
        ("send scans host:1 --authority none.pem", "given with certificates"),
        ("send scans host:1 --tls --authority none.pem", "cannot be used for TLS"),
        ("send scans host:1 --tls --certificate none.pem", "together with a certificate"),
        ("send scans host:1 --user me", "given with the URL of a web server only"),
        ("send nowhere host:1", "no such file or folder"),
        ("send scans --stow http://host/ --user me", "BONESCINT_PASSWORD"),
        ("fetch https://host/ --out inbox --since yesterday", "a date such as 2026-11-01"),
        ("fetch host --out inbox", "an address like https://host/dicom-web"),
        ("listen", "given, or else the URL of a web server"),
        ("listen --answer-to PACS", "must be TITLE@host:port"),
        ("listen --answer-to PACS@host:1 --host 0.0.0.0", "not loopback"),
        ("listen --answer-to PACS@host:1 --answer-tls --authority none.pem", "cannot be used"),
        ("listen --answer-to PACS@host:1 --authority none.pem", "given with certificates"),
        ("listen --answer-to PACS@host:1 --secret-file none.pem", "given with the URL of a web"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line(folder: Path, words: str, said: str) -> None:
    ran = CliRunner().invoke(app, words.split())
    assert ran.exit_code == 2
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_nothing_sent_and_nothing_fetched(folder: Path) -> None:
    peer = f"127.0.0.1:{pacs_peers.free_port()}"
    ran = CliRunner().invoke(app, ["send", "scans", peer, "--retries", "0"])
    assert ran.exit_code == 2
    assert "1 not sent" in ran.stderr
    assert "0 accepted" in ran.stdout


def test_what_stops_a_node_from_starting_is_said_and_sigterm_ends_it_well(folder: Path) -> None:
    with pacs_peers.node(folder / "node") as node:
        base = [sys.executable, "-m", "bonescint", "listen", "--answer-to", "PACS@127.0.0.1:1"]
        for more, said in (
            (["--port", str(node.port), "--queue", "other"], "cannot listen there"),
            (["--port", "0", "--queue", str(node.queue)], "is writing there"),
            (["--model", "nowhere"], "no such model folder"),
            (["--port", "0", "--allow", "CAMERA"], "must be TITLE@host"),
        ):
            ran = subprocess.run(
                [*base, *more], capture_output=True, text=True, check=False, cwd=folder, timeout=120
            )
            assert ran.returncode == 2
            assert said in ran.stderr
        with socket.create_connection(("127.0.0.1", node.port)):  # which keeps nobody from ending
            os.kill(node.process.pid, signal.SIGTERM)
            assert node.process.wait(60) == 0
        assert "Research use only" in node.log.read_text()
        assert not (node.queue / ".bonescint.lock").exists()
