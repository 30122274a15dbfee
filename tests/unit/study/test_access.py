"""Signing in, and what nobody may see: every route, tried as each role."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from bonescint.model import ModelFolder
from bonescint.scan import InputError, ParameterError
from bonescint.study import (
    RefusedError,
    StudyError,
    StudyFolder,
    invite_readers,
    set_account_active,
)
from bonescint.study.reader_client import ReaderClient
from bonescint.study.serving import running_study
from bonescint.study.simulated import (
    PASSWORD,
    SimulatedReader,
    invitation_links,
    read_study,
    truth_by_picture,
)
from bonescint.study.store import accounts
from bonescint.study.web.app import study_app
from bonescint.study.web.dependencies import ServeSettings

FORM = re.compile(r'name="form_token" value="([^"]+)"')


def form_of(http: httpx.Client, path: str) -> str:
    found = FORM.search(http.get(path, follow_redirects=True).text)
    assert found
    return found[1]


def try_sign_in(http: httpx.Client, name: str, password: str) -> httpx.Response:
    content = {"name": name, "password": password, "form_token": form_of(http, "/sign-in")}
    return http.post("/sign-in", data=content)


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, headers={"origin": address}) as client:
        yield client


def test_an_invitation_holds_once_and_not_for_ever(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with world.enter(study, address, "r1") as client:
        assert client.state()["phase"] == "environment"
    with ReaderClient(address) as again, pytest.raises(RefusedError, match="410"):
        again.accept_invitation(invitation_links(study)["r1"], "another password")
    (old,) = [link for link in invitation_links(study).items() if link[0] == "r2"]
    (new,) = invite_readers(study.path, ["r2"])
    with ReaderClient(address) as late:
        assert late._http.get(old[1]).status_code == 410
        assert late._http.get(new.path).status_code == 200
        assert late._http.get("/invitation/guessed").status_code == 410
    (soon,) = invite_readers(study.path, ["r2"], days=0.5 / 86_400)
    time.sleep(0.6)
    with ReaderClient(address) as late:
        assert late._http.get(soon.path).status_code == 410


def test_passwords_are_argon2_and_tokens_are_hashes(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with world.enter(study, address, "r1") as client:
        cookie = client._http.cookies["study"]
    content = b"".join(file.read_bytes() for file in study.path.glob("study.sqlite*"))
    assert b"$argon2id$v=19$m=19456,t=2,p=1$" in content
    assert PASSWORD.encode() not in content
    assert cookie.encode() not in content
    assert invitation_links(study)["r2"].rsplit("/", 1)[1].encode() not in content


def test_a_short_or_mistyped_password_is_refused(study: StudyFolder, http: httpx.Client) -> None:
    link = invitation_links(study)["r1"]
    for password, again in (("short", "short"), ("long enough 1", "long enough 2")):
        content = {"password": password, "again": again, "form_token": form_of(http, link)}
        answer = http.post(link, data=content)
        assert answer.status_code == 422
        assert password not in answer.text


def test_sign_in_is_limited_for_a_name_and_not_for_others(
    world: SimpleNamespace, study: StudyFolder, address: str, http: httpx.Client
) -> None:
    for reader in ("r1", "r2"):
        world.enter(study, address, reader).close()
    for _ in range(5):
        assert try_sign_in(http, "r1", "wrong password").status_code == 403
    limited = try_sign_in(http, "r1", PASSWORD)
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) > 600
    assert try_sign_in(http, "Dr. Number 1", PASSWORD).status_code in (303, 429)
    http.cookies.clear()
    assert try_sign_in(http, "r2", PASSWORD).status_code == 303


def attempts(study: StudyFolder, tries: list[tuple[str, str, float]]) -> list[float]:
    """How long each of some attempts has to wait: name, address, time."""
    with study.open_store() as store, store.writing() as db:
        return [accounts.count_attempt(db, name, at, now=now).wait_s for name, at, now in tries]


def test_an_address_is_limited_too(study: StudyFolder) -> None:
    tries = [(f"name {number}", "10.0.0.1", 100.0) for number in range(60)]
    assert set(attempts(study, tries)) == {0.0}
    others = [("new", "10.0.0.1", 101.0), ("new", "10.0.0.2", 101.0), ("new", "10.0.0.1", 1000.0)]
    assert attempts(study, others) == [899.0, 0.0, 0.0]


def test_both_names_of_a_reader_are_one_account(study: StudyFolder) -> None:
    names = ["r1", "Dr. Number 1", " R1", "dr. NUMBER 1", "r1", "Dr. Number 1", "r1", "r2"]
    waits = attempts(study, [(name, "10.0.0.1", 0.0) for name in names])
    assert waits == [0, 0, 0, 0, 0, 900.0, 900.0, 0]


@pytest.mark.parametrize("name", ["r1", "somebody else"])
def test_an_account_is_limited_whatever_the_address(study: StudyFolder, name: str) -> None:
    """20 guesses in 15 minutes, from as many places as there are; an account or not."""
    tries = [(name, f"10.0.{number}.1", float(number)) for number in range(40)]
    waits = attempts(study, tries)
    assert waits[:20] == [0.0] * 20
    assert waits[20:] == [900.0 - number for number in range(20, 40)]
    assert attempts(study, [("r2", "10.0.1.1", 40.0), (name, "10.1.1.1", 900.5)]) == [0.0, 0.0]


def test_a_host_with_many_ipv6_addresses_is_one_host(study: StudyFolder) -> None:
    tries = [("r1", f"2001:db8::{number:x}", 0.0) for number in range(1, 8)]
    assert attempts(study, tries) == [0.0] * 5 + [900.0] * 2
    mapped = [("r2", address, 0.0) for address in ("::ffff:10.0.0.1", "10.0.0.1") * 3]
    assert attempts(study, mapped) == [0.0] * 5 + [900.0]


def test_guesses_at_once_are_counted_before_they_are_tried(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    world.enter(study, address, "r1").close()
    with httpx.Client(base_url=address, headers={"origin": address}) as first:
        content = {"name": "r1", "password": "wrong password", "form_token": form_of(first, "/")}
        cookies = dict(first.cookies)

    def guess(_: int) -> int:
        with httpx.Client(base_url=address, headers={"origin": address}, cookies=cookies) as http:
            return http.post("/sign-in", data=content, timeout=60).status_code

    with ThreadPoolExecutor(20) as pool:
        answers = sorted(pool.map(guess, range(20)))
    assert answers == [403] * 5 + [429] * 15


def test_signing_in_takes_back_its_own_attempt_and_no_other(
    world: SimpleNamespace, study: StudyFolder, address: str, http: httpx.Client
) -> None:
    world.enter(study, address, "r1").close()
    for _ in range(2):
        assert [try_sign_in(http, "r1", "wrong password").status_code for _ in range(2)] == [
            403
        ] * 2
        for _ in range(4):
            assert try_sign_in(http, "r1", PASSWORD).status_code == 303
            http.cookies.clear()
    assert try_sign_in(http, "r1", "wrong password").status_code == 403
    assert try_sign_in(http, "r1", PASSWORD).status_code == 429


def test_unknown_names_are_not_told_from_wrong_passwords(
    world: SimpleNamespace, study: StudyFolder, address: str, http: httpx.Client
) -> None:
    world.enter(study, address, "r1").close()
    answers = [try_sign_in(http, name, "wrong password") for name in ("r1", "nobody", "r2")]
    assert {answer.status_code for answer in answers} == {403}
    pages = {FORM.sub("", answer.text) for answer in answers}
    assert len(pages) == 1


def test_a_request_from_elsewhere_is_refused(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with world.enter(study, address, "r1") as client:
        http, csrf = client._http, client._csrf
        content = {"tab": "abc", "take": True}
        fine = {"x-csrf-token": csrf}
        assert http.post("/api/tab", json=content, headers=fine).status_code == 200
        for headers in (
            {}, {"x-csrf-token": "guessed"}, {**fine, "origin": "https://evil.example"},
            {**fine, "origin": "null"}, {**fine, "origin": ""},
        ):  # fmt: skip
            assert http.post("/api/tab", json=content, headers=headers).status_code == 403
        assert http.get("/api/state", headers={"host": "evil.example"}).status_code == 421
        assert http.post("/sign-out", data={"csrf": "guessed"}).status_code == 403
        assert client.state()
        assert http.post("/sign-out", data={"csrf": csrf}).status_code == 303
        assert http.get("/api/state").status_code == 401


def test_a_large_body_is_refused(world: SimpleNamespace, study: StudyFolder, address: str) -> None:
    with world.enter(study, address, "r1") as client:
        headers = {"x-csrf-token": client._csrf, "content-type": "application/json"}
        big = b'{"events": [' + b" " * 3_000_000 + b"]}"
        assert client._http.post("/api/events", content=big, headers=headers).status_code == 413

        def pieces() -> Iterator[bytes]:
            for _ in range(300):
                yield b" " * 10_000

        assert (
            client._http.post("/api/events", content=pieces(), headers=headers).status_code == 413
        )
        assert client.state()


def test_every_answer_carries_the_headers(http: httpx.Client) -> None:
    for path in ("/sign-in", "/nope", "/api/state", "/static/reading.js", "/health",
                 "/viewer/static/viewer.js"):  # fmt: skip
        headers = http.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers
    assert http.get("/sign-in").headers["cache-control"] == "no-store"


def test_cookies_are_for_this_site_and_no_script(study: StudyFolder, http: httpx.Client) -> None:
    link = invitation_links(study)["r1"]
    content = {"password": PASSWORD, "again": PASSWORD, "form_token": form_of(http, link)}
    cookies = http.post(link, data=content).headers.get_list("set-cookie")
    (given,) = [one for one in cookies if one.startswith("study=")]
    assert "HttpOnly" in given
    assert "samesite=strict" in given.lower()


def test_pages_ask_no_other_server(http: httpx.Client) -> None:
    source = Path(__file__).parents[3] / "src/bonescint"
    folders = (source / "study/web", source / "viewer")
    files = [file for folder in folders for file in folder.rglob("*")]
    for file in (file for file in files if file.suffix in {".jinja", ".js", ".css"}):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text.replace("://www.w3.org", "")), (
            file
        )
        assert "style=" not in text
        assert not re.search(r"\son[a-z]+=", text), file


def test_a_deactivated_account_cannot_sign_in(
    world: SimpleNamespace, study: StudyFolder, address: str, http: httpx.Client
) -> None:
    with world.enter(study, address, "r1") as client:
        set_account_active(study.path, "r1", active=False)
        with pytest.raises(RefusedError, match="Sign in first"):
            client.state()
        assert try_sign_in(http, "r1", PASSWORD).status_code == 403
        set_account_active(study.path, "r1", active=True)
        assert try_sign_in(http, "r1", PASSWORD).status_code == 303
    with pytest.raises(StudyError, match="last administrator"):
        set_account_active(study.path, "admin", active=False)
    with pytest.raises(StudyError, match="no account 'ghost'"):
        set_account_active(study.path, "ghost", active=False)


def test_only_loopback_without_tls(tmp_path: Path) -> None:
    assert ServeSettings().is_loopback
    assert ServeSettings(host="::1").is_loopback
    with pytest.raises(ParameterError, match="loopback, unless --certificate"):
        ServeSettings(host="0.0.0.0")  # noqa: S104 - refused
    with pytest.raises(InputError, match="no such file"):
        ServeSettings(host="10.0.0.1", certificate=tmp_path / "c", key=tmp_path / "k")
    with pytest.raises(ParameterError, match="together"):
        ServeSettings(certificate=tmp_path / "c")
    proxied = ServeSettings(host="10.0.0.1", behind_proxy=True, names=("study.example",))
    assert proxied.secure
    assert proxied.allows("study.example:443")
    assert not proxied.allows("other.example")


def test_behind_a_proxy_cookies_are_secure(study: StudyFolder) -> None:
    settings = ServeSettings(port=0, behind_proxy=True, names=("study.example",))
    with running_study(study, settings) as address:
        port = address.rsplit(":", 1)[1]
        headers = {"host": "study.example", "origin": "https://study.example"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
            answer = http.get("/sign-in")
            assert answer.headers["strict-transport-security"]
            assert "secure" in answer.headers["set-cookie"].lower()
            wrong = http.get("/sign-in", headers={"host": "127.0.0.1"})
            assert wrong.status_code == 421


# --- blinding -------------------------------------------------------------------------------

FORBIDDEN = ("SECRET", "truth", "scan_id", "lesion", "metastas")
"""Words of truth and identity; `metastas` stands in the question, which is taken out first."""


@pytest.fixture
def blinded(
    world: SimpleNamespace, cohort: Path, tmp_path: Path, model: ModelFolder
) -> Iterator[SimpleNamespace]:
    """A study with a model: r1 in the middle of the aided session, r2 before the first case."""
    study = world.make_study(
        tmp_path / "study", cohort, readers=3, sample=4, second_session="aided",
        washout_days=0.0, model=model,
    )  # fmt: skip
    with study.open_store() as store:
        truths = truth_by_picture(study, store)
    with running_study(study) as address:
        r1 = world.enter(study, address, "r1")
        read_study(r1, SimulatedReader(reader="r1"), truths)
        r1.enter_environment("test")
        r1.take_tab()
        r2 = world.enter(study, address, "r2")
        r2.enter_environment("test")
        r2.take_tab()
        admin = ReaderClient(address)
        admin.accept_invitation(invitation_links(study)["admin"], PASSWORD)
        nobody = ReaderClient(address)
        with study.open_store() as store:
            app = study_app(study, store, ServeSettings(port=0))
        yield SimpleNamespace(
            study=study, address=address, app=app, nobody=nobody, r1=r1, r2=r2, admin=admin
        )
        for client in (nobody, r1, r2, admin):
            client.close()


def all_routes(app: object) -> list[tuple[str, str]]:
    """Every method and path that the application knows, whatever it is nested in."""
    found: list[tuple[str, str]] = []

    def walk(routes: list[object], prefix: str) -> None:
        for route in routes:
            inner = getattr(route, "routes", None) or getattr(
                getattr(route, "original_router", None), "routes", None
            )
            path = prefix + getattr(route, "path", "")
            methods = getattr(route, "methods", None)
            if methods:
                found.extend((method, path) for method in sorted(methods))
            elif inner:
                walk(list(inner), path)
            else:
                found.append(("GET", path + "/reading.js"))

    walk(list(app.routes), "")  # type: ignore[attr-defined]
    return found


def test_the_list_of_routes_is_whole(blinded: SimpleNamespace) -> None:
    """A route that is added must be looked at here, and below."""
    assert {path for _, path in all_routes(blinded.app)} == {
        "/", "/health", "/sign-in", "/sign-out", "/invitation/{token}", "/start", "/read",
        "/waiting", "/finished", "/progress", "/progress/invite", "/static/reading.js",
        "/viewer/static/reading.js",
        "/api/state", "/api/answers/{token}", "/api/images/{token}", "/api/model/{token}",
        "/api/feedback/{token}", "/api/environment", "/api/tab", "/api/draft", "/api/events",
        "/api/submit", "/api/finish",
    }  # fmt: skip


def tokens_of(study: StudyFolder, reader: str) -> list[str]:
    from sqlalchemy import select

    from bonescint.study.store.tables import Account, Assignment, ReadingSession

    with study.open_store() as store, store.reading() as db:
        return list(
            db.scalars(
                select(Assignment.token)
                .join(ReadingSession, ReadingSession.id == Assignment.session_id)
                .join(Account, Account.id == ReadingSession.account_id)
                .where(Account.reader == reader)
            )
        )


@pytest.mark.parametrize("role", ["nobody", "r2", "admin"])
def test_no_route_tells_anybody_what_is_not_theirs(blinded: SimpleNamespace, role: str) -> None:
    client: ReaderClient = getattr(blinded, role)
    study: StudyFolder = blinded.study
    truths = study.truth()
    own = tokens_of(study, "r2")
    ahead = [token for token in own if token not in _open(blinded.r2)]
    # The first and the last of each kind: answered and not, and of either session.
    kinds = [tokens_of(study, "r1"), tokens_of(study, "r3"), list(truths), ahead]
    probes = [
        *(token for kind in kinds for token in (kind[0], kind[-1])),
        "../private/truth.json",
        "..%2Fprivate%2Ftruth.json",
        "%00",
        "x",
    ]
    headers = {"x-csrf-token": client._csrf}
    for method, path in all_routes(blinded.app):
        if path == "/sign-out":
            continue
        for token in probes if "{token}" in path else ["-"]:
            answer = client._http.request(
                method, path.replace("{token}", token), headers=headers,
                json={} if method == "POST" else None,
            )  # fmt: skip
            assert answer.status_code != 500, (role, method, path)
            if "{token}" in path:
                assert answer.status_code in (401, 403, 404, 405, 410, 422), (role, path, token)
            if "/static/" not in path:
                _require_blind(answer, truths)
    if role != "r2":
        for path in ("/api/state", "/api/images/x", "/api/submit", "/api/tab"):
            method = "POST" if path in ("/api/submit", "/api/tab") else "GET"
            content = {"tab": "x"} if method == "POST" else None
            answer = client._http.request(method, path, headers=headers, json=content)
            assert answer.status_code in (401, 403), (role, path)


def _open(client: ReaderClient) -> set[str]:
    state = client.state()
    return {state["case"]["token"], state["next"]["token"]}


def _require_blind(answer: httpx.Response, truths: dict[str, dict[str, object]]) -> None:
    text = answer.text.replace("Metastatic bone disease?", "")
    text = text.replace("Click on the scan where you see a metastasis.", "")
    for word in FORBIDDEN:
        assert word.lower() not in text.lower(), (str(answer.url), word)
    for token in truths:
        assert token not in text, "a case's identifier in the study folder"


def test_what_a_reader_gets_is_blind_too(blinded: SimpleNamespace) -> None:
    r2: ReaderClient = blinded.r2
    truths = blinded.study.truth()
    pages = [r2._http.get(path, follow_redirects=True) for path in ("/", "/read", "/start")]
    for answer in [*pages, r2._http.get("/api/state")]:
        assert answer.status_code == 200
        _require_blind(answer, truths)
    case = r2.state()["case"]
    assert set(case) == {"token", "position", "training", "picture", "stage"}
    assert set(case["picture"]) == {
        "rows", "columns", "row_mm", "column_mm", "unit", "scale", "views", "windows", "body",
    }  # fmt: skip
    raw = r2._http.get(f"/api/images/{case['token']}")
    assert len(raw.content) == 2 * 2 * 256 * 64  # pixels, and nothing besides
    assert "last-modified" not in raw.headers
    assert "etag" not in raw.headers


def test_training_tells_its_truth_after_the_answer_only(blinded: SimpleNamespace) -> None:
    r2: ReaderClient = blinded.r2
    case = r2.state()["case"]["token"]
    with pytest.raises(RefusedError) as caught:
        r2.ask(f"/api/feedback/{case}")
    assert caught.value.status == 404
    answer = {"positive": False, "confidence": 1, "no_focus": True, "marks": []}
    r2.submit(case, "unaided", answer)
    assert r2.ask(f"/api/feedback/{case}")["positive"] in (True, False)


def test_the_models_output_comes_after_the_unaided_answer_only(blinded: SimpleNamespace) -> None:
    r1: ReaderClient = blinded.r1
    state = r1.state()
    assert state["session"] == 2
    for token in tokens_of(blinded.study, "r1"):
        assert r1._http.get(f"/api/model/{token}").status_code == 404
    answer = {"positive": False, "confidence": 1, "no_focus": True, "marks": []}
    case = state["case"]["token"]
    r1.submit(case, "unaided", answer)
    shown = [
        token
        for token in tokens_of(blinded.study, "r1")
        if r1._http.get(f"/api/model/{token}").status_code == 200
    ]
    assert shown == [case]


def test_the_administrator_sees_progress_and_no_answers(blinded: SimpleNamespace) -> None:
    page = blinded.admin._http.get("/progress")
    assert page.status_code == 200
    assert "Dr. Number 1" in page.text
    for word in ("confidence", "rating", "AUC", "positive", "yes"):
        assert word not in page.text
    content = {"reader": "r3", "csrf": blinded.admin._csrf}
    answer = blinded.admin._http.post("/progress/invite", data=content)
    assert f"{blinded.address}/invitation/" in answer.text
    wrong = {"reader": "admin", "csrf": blinded.admin._csrf}
    assert blinded.admin._http.post("/progress/invite", data=wrong).status_code == 404
    forged = {"reader": "r3", "csrf": "guessed"}
    assert blinded.admin._http.post("/progress/invite", data=forged).status_code == 403
    assert blinded.r2._http.post("/progress/invite", data=content).status_code == 403


def test_malformed_requests_are_never_a_servers_error(blinded: SimpleNamespace) -> None:
    r2: ReaderClient = blinded.r2
    headers = {"x-csrf-token": r2._csrf, "content-type": "application/json"}
    bodies = [b"", b"{", b"[]", b"null", b'{"tab": {"$gt": 1}}', b'{"tab": "' + b"a" * 500 + b'"}',
              b'{"events": [1]}', b'{"a": 1e999}', b'\xff\xfe', json.dumps({"tab": "\0"}).encode(),
              b"[" * 5000]  # fmt: skip
    for path in ("/api/tab", "/api/events", "/api/draft", "/api/submit", "/api/environment"):
        for body in bodies:
            answer = r2._http.post(path, content=body, headers=headers)
            assert answer.status_code in (400, 422), (path, body[:20], answer.status_code)
    for path in ("/sign-in", "/invitation/x", "/sign-out", "/progress/invite"):
        answer = r2._http.post(path, content=b"\xff%%", headers=headers)
        assert 400 <= answer.status_code < 500, path
    assert r2.state()


def test_a_server_carries_nothing_that_analyses() -> None:
    """Memory is a bar of the study: what only exports and analyses stays out of the server."""
    import subprocess
    import sys

    script = "import bonescint.study.serving, sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert not loaded & {"scipy", "matplotlib", "openpyxl", "pydicom", "openvino", "PIL", "torch"}
