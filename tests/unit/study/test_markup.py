"""Markup in every stored and every reflected value comes out of no page as markup."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from sqlalchemy import JSON, String, Text, select, update

import bonescint
from bonescint.model import shipped_model
from bonescint.model.readme import readme_of
from bonescint.report.document_page import PageSection, PageTable, write_document
from bonescint.study import StudyFolder, open_study
from bonescint.study.analysis_page import analysis_document
from bonescint.study.protocol import StudyProtocol
from bonescint.study.serving import running_study
from bonescint.study.store import accounts
from bonescint.study.store.database import Store
from bonescint.study.store.tables import Account, Base, ReadingSession, StudyCase, StudyRow
from bonescint.study.web.app import study_app
from bonescint.study.web.dependencies import ServeSettings

SOURCE = Path(bonescint.__file__).parent
MARKUP = "<script src=//evil></script><b title=\"a\" class='b'>&amp;"
ESCAPED = "&lt;script src=//evil&gt;"

# What each column that holds text gets: markup, or nothing, because no page could work with it.
STORED = {
    "account": {"reader", "name"},
    "study": {"model_id"},
    "environment": {"body"},
    "draft": {"body"},
    "answer": {"comment"},
    "event": {"body"},
    "change": {"what", "body"},
    "reading_session": {"software"},
}
FIXED = {
    "study": {"study_id", "protocol", "protocol_sha256", "images_sha256", "model_sha256"},
    "account": {"name_key", "role", "password_hash"},
    "invitation": {"token_sha256"},
    "sign_in": {"token_sha256", "csrf"},
    "attempt": {"who_sha256"},
    "study_case": {"token", "image_sha256", "picture"},
    "reading_session": {
        "tab", "protocol_sha256", "software_sha256", "model_sha256", "images_sha256",
    },
    "assignment": {"token"},
    "draft": {"stage"},
    "answer": {"key", "stage", "body_sha256", "software_sha256", "tab"},
    "mark": {"view"},
    "event": {"key", "kind", "tab"},
}  # fmt: skip


def test_every_column_of_text_is_looked_at() -> None:
    """A column that is added must be named above, and then stands in the pages below."""
    for table in Base.metadata.sorted_tables:
        texts = {c.name for c in table.columns if isinstance(c.type, String | Text | JSON)}
        named = STORED.get(table.name, set()) | FIXED.get(table.name, set())
        assert texts == named, table.name


@pytest.fixture
def marked(world: SimpleNamespace, cohort: Path, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A study whose every text is markup; r1 to r5 stand at each phase of reading."""
    study = world.make_study(
        tmp_path / "study", cohort, readers=5, second_session="repeat", revisions=True
    )
    study = _with_markup(study)
    settings = ServeSettings(port=0, behind_proxy=True)
    with study.open_store() as store, running_study(study, settings) as address:
        app = study_app(study, store, settings)
        people = _people(store, app, address.replace("https", "http"))
        yield SimpleNamespace(study=study, store=store, app=app, people=people)
        for http in people.values():
            http.close()


def _with_markup(study: StudyFolder) -> StudyFolder:
    """Put markup into every text of the protocol."""
    texts = {f.name: MARKUP for f in fields(StudyProtocol) if f.type == "str"}
    assert set(texts) == {"title", "question", "closing_text"}
    content = json.loads((study.path / "study.json").read_text())
    content["protocol"] |= texts
    protocol = StudyProtocol.from_json(content["protocol"])
    content["protocol_sha256"] = protocol.sha256
    (study.path / "study.json").write_text(json.dumps(content))
    with Store(f"sqlite:///{study.path / 'study.sqlite'}") as store, store.writing() as db:
        db.execute(update(StudyRow).values(protocol_sha256=protocol.sha256, model_id=MARKUP))
    return open_study(study.path)


def _people(store: Store, app: Any, address: str) -> dict[str, httpx.Client]:
    found = {}
    with store.writing() as db:
        now = app.state.context.clock.now()
        for number, account in enumerate(db.scalars(select(Account).order_by(Account.id))):
            who = account.reader
            account.name, account.simulated = f"{MARKUP}{number}", number > 2
            account.reader = f"{MARKUP}{number}"
            account.password_hash = "x"  # noqa: S105 - no hash, for nobody to sign in
            cookie = accounts.sign_in(db, account, now=now)
            found[who] = client(address, cookie=f"__Host-study={cookie}; study_form={MARKUP}")
            sessions = list(
                db.scalars(select(ReadingSession).where(ReadingSession.account_id == account.id))
            )
            for session in sessions:
                session.software = {"markup": MARKUP}
            if who == "r3":
                sessions[0].finished_s = now
            if who == "r4":
                sessions[0].finished_s = sessions[1].finished_s = now
    found["nobody"] = client(address, cookie=f"study_form={MARKUP}")
    return found


def client(address: str, *, cookie: str) -> httpx.Client:
    headers = {"host": "x", "cookie": cookie, "origin": "https://x", "user-agent": MARKUP}
    return httpx.Client(base_url=address, headers=headers)


def csrf_of(http: httpx.Client) -> str:
    page = http.get(http.get("/").headers["location"])
    found = re.search('name="csrf" content="([^"]+)"', page.text)
    return found[1] if found else "none"


def routes_of(app: Any) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def walk(routes: Any) -> None:
        for route in routes:
            inner = getattr(getattr(route, "original_router", None), "routes", None)
            if inner:
                walk(inner)
            found.extend((method, route.path) for method in getattr(route, "methods", None) or ())

    walk(app.routes)
    return sorted(found)


def fill(http: httpx.Client) -> None:
    """Enter everything a reader can enter, markup where the interface takes text."""
    headers = {"x-csrf-token": csrf_of(http)}
    sent = {
        "monitor": MARKUP, "calibrated": "never", "light": "dim", "steps_seen": 16,
        "screen_width": 1920, "screen_height": 1080, "window_width": 1920, "window_height": 1000,
        "pixel_ratio": 1, "colour_depth": 24, "browser": MARKUP,
    }  # fmt: skip
    assert http.post("/api/environment", json=sent, headers=headers).status_code == 200
    assert (
        http.post("/api/tab", json={"tab": "t", "take": True}, headers=headers).status_code == 200
    )
    case = http.get("/api/state").json()["case"]["token"]
    event = {"key": "e" * 8, "kind": "zoom", "tab": "t", "case": case, "t_ms": 0, "client_s": 0,
             "body": {MARKUP: MARKUP}}  # fmt: skip
    draft = {"case": case, "stage": "unaided", "tab": "t", "draft": {"comment": MARKUP},
             "events": [event]}  # fmt: skip
    assert http.post("/api/draft", json=draft, headers=headers).status_code == 200


def test_no_page_gives_markup_back(marked: SimpleNamespace) -> None:
    fill(marked.people["r2"])
    link = _open_invitation(marked)
    seen: dict[str, str] = {}
    for who, http in marked.people.items():
        csrf = csrf_of(http)
        for method, path in routes_of(marked.app):
            if path == "/sign-out":
                continue
            for place in (path.replace("{token}", link), path.replace("{token}", MARKUP)):
                forms = [dict.fromkeys(FORM, MARKUP), {**dict.fromkeys(FORM, MARKUP), "csrf": csrf}]
                for form in forms if method == "POST" else [None]:
                    answer = http.request(
                        method, place, params={"q": MARKUP}, data=form,
                        headers={"x-csrf-token": csrf},
                    )  # fmt: skip
                    require_no_markup(answer, f"{who} {method} {path}")
                    seen[title_of(answer)] = answer.text
        for place in (f"/{MARKUP}", f"/invitation/{MARKUP}", "/sign-in?next=" + MARKUP):
            require_no_markup(http.get(place), place)
    assert set(seen) >= set(titles()), "a page that nobody was shown"
    for name in titles():
        assert ESCAPED in seen[name], name


FORM = ("name", "password", "again", "form_token", "csrf", "reader")


def _open_invitation(marked: SimpleNamespace) -> str:
    with marked.store.writing() as db:
        account = db.get(Account, 6)
        return accounts.invite(db, account, now=marked.app.state.context.clock.now())


def test_the_host_that_a_link_begins_with_is_escaped(marked: SimpleNamespace) -> None:
    http = marked.people["admin"]
    host = "x<b>y"
    content = {"reader": f"{MARKUP}1", "csrf": csrf_of(http)}
    http.headers["origin"] = f"https://{host}"
    answer = http.post("/progress/invite", data=content, headers={"host": host})
    assert answer.status_code == 200
    assert "https://x&lt;b&gt;y/invitation/" in answer.text
    require_no_markup(answer, "host")


def require_no_markup(answer: Any, where: str) -> None:
    assert answer.status_code != 500, where
    kind = answer.headers.get("content-type", "")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<" not in answer.headers.get("location", ""), where
    if kind.startswith("text/html"):
        assert "<script src=//evil>" not in answer.text, where
        assert "<b title=" not in answer.text, where
        assert "<b>y" not in answer.text, where
        scripts = re.findall(r"<script[^>]*>", answer.text)
        assert all(re.search(r'src="/static/[a-z]+\.js"', one) for one in scripts), where
    else:
        assert not kind or kind.split(";")[0] in {
            "application/json", "application/octet-stream", "text/javascript",
        }, (where, kind)  # fmt: skip


def title_of(answer: Any) -> str:
    found = re.search(r"<title>(.*?) · ", answer.text) if answer.text[:2] == "<!" else None
    return found[1] if found else ""


def titles() -> list[str]:
    """How every page is called, from the templates themselves."""
    pages = [p for p in (SOURCE / "study/web/templates").iterdir() if p.name != "base.html.jinja"]
    named = (re.search(r"block name %}(.*?){%", page.read_text()) for page in pages)
    return [found[1] for found in named if found]


# --- pages that are written to files --------------------------------------------------------------


def test_the_report_of_a_study_escapes_everything(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    names = ["title", "warning", "sentences", "notes", "figures", "caption", "column", "cell"]
    names.append("below")
    told = {name: f"{name}{MARKUP}" for name in names}
    table = PageTable(
        caption=told["caption"],
        columns=(told["column"],),
        rows=((told["cell"],),),
        note=told["below"],
    )
    document = analysis_document(
        title=told["title"],
        warning=told["warning"],
        sentences=[told["sentences"]],
        sections=[PageSection(title="Tables", tables=(table,))],
        figures=[(told["figures"], tmp_path / "a.png")],
        notes=[told["notes"]],
    )
    write_document(tmp_path / "index.html", document)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    for name in told:
        assert f"{name}{ESCAPED}" in text, name


def test_the_card_of_a_model_holds_no_tag() -> None:
    card = shipped_model().card
    texts = {f.name: MARKUP for f in fields(card) if f.type == "str" and f.name != "precision"}
    assert {"name", "architecture", "intended_use", "licence"} <= set(texts)
    card = replace(card, **texts, limitations=(MARKUP,), attribution=(MARKUP,))  # type: ignore[arg-type]
    text = readme_of(card)
    assert "<" not in text
    assert text.count("&lt;script") >= 6


def test_there_is_one_way_to_make_a_page() -> None:
    """Every environment of templates is the one that escapes, and no template turns that off."""
    made = []
    for file in SOURCE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if re.search("jinja|templating", text, re.I) else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if called in ("Environment", "SandboxedEnvironment", "Template", "from_string"):
                    made.append(file.relative_to(SOURCE).as_posix())
                if called == "Jinja2Templates":
                    assert [keyword.arg for keyword in node.keywords] == ["env"], file
    assert made == ["report/text.py"]
    templates = list(SOURCE.rglob("*.jinja"))
    assert len(templates) >= 11
    for file in templates:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", text), file
        # An attribute without quotes ends at a blank, which is not escaped.
        assert not re.search(r"=\{\{", text), file


def test_cases_hold_no_text_that_a_page_shows(marked: SimpleNamespace) -> None:
    with marked.store.reading() as db:
        for case in db.scalars(select(StudyCase)):
            assert not re.search(r"[<>&]", json.dumps(dict(case.picture)))
