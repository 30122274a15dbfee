"""A study served over TLS, really: a certificate, a client that checks it, a browser."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from bonescint.scan import InputError
from bonescint.study import StudyFolder
from bonescint.study.serving import running_study
from bonescint.study.simulated import PASSWORD, invitation_links
from bonescint.study.web.dependencies import ServeSettings

FORM = re.compile(r'name="form_token" value="([^"]+)"')
CSRF = re.compile(r'<meta name="csrf" content="([^"]+)"')


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for this machine, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")  # fmt: skip
    return certificate, key


@pytest.fixture
def secure(study: StudyFolder, pair: tuple[Path, Path]) -> Iterator[str]:
    settings = ServeSettings(port=0, certificate=pair[0], key=pair[1])
    with running_study(study, settings) as address:
        yield address


def test_a_reader_signs_in_and_reads_over_tls(
    study: StudyFolder, secure: str, pair: tuple[Path, Path]
) -> None:
    assert secure.startswith("https://")
    link = invitation_links(study)["r1"]
    trusted = ssl.create_default_context(cafile=pair[0])
    with httpx.Client(base_url=secure, verify=trusted, headers={"origin": secure}) as http:
        token = FORM.search(http.get(link).text)
        assert token is not None
        content = {"password": PASSWORD, "again": PASSWORD, "form_token": token[1]}
        entered = http.post(link, data=content)
        assert entered.status_code == 303
        (cookie,) = [
            one for one in entered.headers.get_list("set-cookie") if one.startswith("__Host-study=")
        ]
        for word in ("Secure", "HttpOnly", "Path=/", "samesite=strict"):
            assert word.lower() in cookie.lower()
        assert entered.headers["strict-transport-security"]
        page = http.get("/", follow_redirects=True)
        csrf = CSRF.search(page.text)
        assert csrf is not None
        headers = {"x-csrf-token": csrf[1]}
        assert http.get("/api/state").json()["phase"] == "environment"
        tab = {"tab": "a-tab", "take": True}
        assert http.post("/api/tab", json=tab, headers=headers).status_code == 200
        plain = {**headers, "origin": secure.replace("https", "http")}
        assert http.post("/api/tab", json=tab, headers=plain).status_code == 403


def test_nobody_connects_without_tls_or_trust(secure: str) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{secure}/health")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{secure.replace('https', 'http')}/health")


@pytest.mark.browser
def test_a_browser_reads_over_tls(
    hands: SimpleNamespace, chromium: Any, study: StudyFolder, secure: str
) -> None:
    context = chromium.new_context(
        viewport={"width": 1600, "height": 900}, ignore_https_errors=True
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    hands.accept(page, secure, invitation_links(study)["r1"])
    hands.enter_environment(page)
    (cookie,) = [one for one in context.cookies() if one["name"] == "__Host-study"]
    assert cookie["secure"]
    assert cookie["httpOnly"]
    hands.answer_with_keys(page, positive=False, confidence=5)
    page.wait_for_selector("#feedback:not([hidden])")
    context.close()


def test_files_that_are_no_pair_are_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = pair
    locked, other, text = (tmp_path / name for name in ("locked.pem", "other.pem", "text.pem"))
    openssl("ec", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(locked))
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out",
            str(other))  # fmt: skip
    text.write_text("no certificate")
    for first, second in ((text, key), (certificate, text), (certificate, other), (key, key)):
        with pytest.raises(InputError, match="no certificate that fits the key"):
            ServeSettings(certificate=first, key=second)
    with pytest.raises(InputError, match="without a passphrase"):
        ServeSettings(certificate=certificate, key=locked)
