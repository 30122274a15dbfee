"""Connections that ask for nothing, too slowly, or too many at once: others are served."""

from __future__ import annotations

import logging
import socket
import ssl
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from bonescint.study import StudyFolder
from bonescint.study.serving import Limits, running_study, server_logging

HALF = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
LIMITS = Limits(connections=8)
QUICK = Limits(header_s=0.2, body_s=0.2, answer_s=30.0, idle_s=30.0)


def opened(address: str, sent: bytes = b"", *, of: str = "127.0.0.1") -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30, source_address=(of, 0))
    connection.sendall(sent)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Waits, for at most 30 seconds, until the server ends a connection."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def send_until_closed(connection: socket.socket, sent: bytes) -> None:
    """Sends until the server ends the connection; a time-out of 30 seconds is a failure."""
    with suppress(ConnectionError):
        while True:
            connection.sendall(sent)


def body_of(address: str, length: int = 1000) -> bytes:
    return (
        f"POST /sign-in HTTP/1.1\r\nHost: {address.removeprefix('http://')}\r\n"
        f"Origin: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {length}\r\n\r\nname="
    ).encode()


def test_the_limits_that_a_server_has() -> None:
    limits = Limits()
    assert (limits.header_s, limits.body_s, limits.answer_s, limits.idle_s) == (10, 60, 120, 30)
    assert 16 <= limits.connections <= 512


def test_few_files_mean_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="of POSIX")
    for soft, most in ((256, 64), (1024, 256), (1_000_000, 512), (20, 16), (-1, 512)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert Limits().connections == most


@pytest.mark.parametrize(
    "kind", ["nothing", "half a header", "drip", "half a body", "after an answer"]
)
def test_who_sends_half_a_request_is_sent_away(study: StudyFolder, kind: str) -> None:
    with running_study(study, limits=QUICK) as address:
        sent = {"half a header": HALF, "drip": HALF, "half a body": body_of(address)}.get(kind, b"")
        with closing(opened(address, sent)) as connection:
            if kind == "after an answer":
                connection.sendall(HALF.replace(b"X-Slow: ", b"\r\n"))
                assert connection.recv(10_000).startswith(b"HTTP/1.1 200")
                connection.sendall(HALF)
                connection.recv(10_000)  # the rest of the answer, or the end
            if kind == "drip":
                send_until_closed(connection, b"x")  # bytes one by one gain no time
            else:
                assert is_closed(connection)
        assert httpx.get(f"{address}/health").json() == {"status": "ok"}


def test_a_body_that_nobody_waits_for_ends_too(study: StudyFolder) -> None:
    """Refused by its header, and then sent for ever."""
    with (
        running_study(study, limits=QUICK) as address,
        closing(opened(address, body_of(address, 50_000_000))) as connection,
    ):
        assert b"413" in connection.recv(1000)
        send_until_closed(connection, b"x" * 100)


def test_an_answer_that_nobody_takes_ends_too(study: StudyFolder) -> None:
    """Many requests in a row, and not one answer is read."""
    with (
        running_study(study, limits=Limits(answer_s=0.2)) as address,
        closing(opened(address)) as connection,
    ):
        host = address.removeprefix("http://")
        ask = f"GET /static/reading.js HTTP/1.1\r\nHost: {host}\r\n\r\n"
        send_until_closed(connection, ask.encode())


def test_many_half_requests_close_each_other_and_nobody_else(study: StudyFolder) -> None:
    with ExitStack() as stack, running_study(study, limits=LIMITS) as address:
        idle = stack.enter_context(closing(opened(address, HALF, of="127.0.0.2")))
        half = [stack.enter_context(closing(opened(address, HALF))) for _ in range(30)]
        answers = [httpx.get(f"{address}/health").status_code for _ in range(3)]
        assert answers == [200, 200, 200]
        assert all(is_closed(connection) for connection in half[:20])
        idle.sendall(b"x\r\n\r\n")  # of an address that holds only one: it was left alone
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")


def test_connections_are_counted_before_tls(study: StudyFolder, tls: SimpleNamespace) -> None:
    with ExitStack() as stack, running_study(study, tls.settings, limits=LIMITS) as address:
        plain = address.replace("https", "http")
        silent = [stack.enter_context(closing(opened(plain))) for _ in range(30)]
        assert httpx.get(f"{address}/health", verify=tls.context).status_code == 200
        assert all(is_closed(connection) for connection in silent[:20])


@pytest.fixture
def tls(tmp_path: Path) -> SimpleNamespace:
    import shutil
    import subprocess

    from bonescint.study.web.dependencies import ServeSettings

    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    key, certificate = tmp_path / "k.pem", tmp_path / "c.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    settings = ServeSettings(port=0, certificate=certificate, key=key)
    return SimpleNamespace(
        settings=settings, context=ssl.create_default_context(cafile=str(certificate))
    )


def test_nonsense_does_not_fill_the_log(
    study: StudyFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_study(study) as address:
        for _ in range(200):
            with closing(opened(address, b"no request\r\n\r\n")) as connection:
                while not is_closed(connection):
                    pass
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 31
    assert lines[-1] == "WARNING: More messages follow; those of this minute are left out."


def test_every_logger_of_a_server_is_bounded() -> None:
    settings = server_logging()
    assert set(settings["loggers"]) == {"uvicorn", "asyncio", "bonescint.study", "bonescint.teach"}
    assert all(one["handlers"] == ["stderr"] for one in settings["loggers"].values())
    assert settings["handlers"]["stderr"]["filters"] == ["bounded"]
    assert logging.getLogger("uvicorn.error").name.startswith("uvicorn.")
