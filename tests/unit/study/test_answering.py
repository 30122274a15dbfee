from __future__ import annotations

import sqlite3
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from bonescint.model import ModelFolder
from bonescint.study import RefusedError, StudyFolder
from bonescint.study.protocol import running_software
from bonescint.study.reader_client import ReaderClient
from bonescint.study.serving import running_study
from bonescint.study.simulated import PASSWORD, SimulatedReader, read_study, truth_by_picture
from bonescint.study.store import clock
from bonescint.study.store.clock import StudyClock
from bonescint.study.store.tables import Answer, Assignment, Draft, Event, Mark, ReadingSession

NOTHING = {"positive": False, "confidence": 3, "no_focus": True, "marks": [], "comment": ""}


def begin(world: SimpleNamespace, study: StudyFolder, address: str, reader: str) -> ReaderClient:
    client: ReaderClient = world.enter(study, address, reader)
    client.enter_environment("test")
    client.take_tab()
    return client


def count(study: StudyFolder, table: type[Any]) -> int:
    with study.open_store() as store, store.reading() as db:
        return int(db.scalar(select(func.count()).select_from(table)) or 0)


def refused(problem: str, act: Any, *arguments: Any, **named: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        act(*arguments, **named)
    assert caught.value.problem == problem
    return caught.value


def test_an_answer_is_stored_with_marks_and_events(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        marks = [
            {"view": "anterior", "row": 10.25, "column": 20.5, "rating": 90},
            {"view": "posterior", "row": 0, "column": 63.4, "rating": 0},
        ]
        answer = {"positive": True, "confidence": 100, "no_focus": False, "marks": marks,
                  "comment": "Wirbel \0 L3 ✓"}  # fmt: skip
        events = [client.event("shown", case, stage="unaided"), client.event("submit", case)]
        receipt = client.submit(case, "unaided", answer, events)
        assert receipt["replayed"] is False
        assert receipt["training"] is True
        assert receipt["state"]["case"]["token"] != case
    with study.open_store() as store, store.reading() as db:
        (stored,) = db.scalars(select(Answer)).all()
        assert (stored.positive, stored.confidence, stored.no_focus) == (True, 100, False)
        assert stored.comment == "Wirbel  L3 ✓"
        found = [(m.view, m.row_px, m.column_px, m.rating) for m in db.scalars(select(Mark))]
        assert found == [("anterior", 10.25, 20.5, 90), ("posterior", 0.0, 63.4, 0)]
        assert {event.kind for event in db.scalars(select(Event))} == {"shown", "submit"}


def test_the_same_answer_twice_is_stored_once(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        events = [client.event("submit", case)]
        first = client.submit(case, "unaided", NOTHING, events, key="the-same-key")
        again = client.submit(case, "unaided", NOTHING, events, key="the-same-key")
        assert (first["replayed"], again["replayed"]) == (False, True)
        assert first["state"]["case"] == again["state"]["case"]
        other = {**NOTHING, "confidence": 4}
        refused("key-used", client.submit, case, "unaided", other, key="the-same-key")
        refused("answered", client.submit, case, "unaided", NOTHING, key="another-key")
    assert count(study, Answer) == 1
    assert count(study, Event) == 1


def test_one_answer_of_many_sent_at_once(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    told: list[str] = []
    with begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]

        def send(number: int) -> None:
            try:
                client.submit(case, "unaided", NOTHING, key=f"key-number-{number % 3}")
                told.append("stored")
            except RefusedError as error:
                told.append(error.problem)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(told) == ["answered"] * 8 + ["stored"] * 4
    assert count(study, Answer) == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"confidence": None}, "malformed"),
        ({"confidence": 50.5}, "malformed"),
        ({"confidence": 101}, "malformed"),
        ({"confidence": True}, "malformed"),
        ({"positive": "yes"}, "malformed"),
        ({"positive": None}, "malformed"),
        ({"no_focus": False}, "marks"),
        ({"marks": [{"view": "anterior", "row": 5, "column": 5, "rating": 5}]}, "marks"),
        ({"no_focus": False, "marks": [{"view": "lateral", "row": 5, "column": 5, "rating": 5}]},
         "malformed"),
        ({"no_focus": False, "marks": [{"view": "anterior", "row": 5, "column": 5}]}, "malformed"),
        ({"no_focus": False, "marks": [{"view": "anterior", "row": 256, "column": 5, "rating": 5}]},
         "marks"),
        ({"no_focus": False,
          "marks": [{"view": "anterior", "row": float("nan"), "column": 5, "rating": 5}]},
         "malformed"),
        ({"no_focus": False,
          "marks": [{"view": "anterior", "row": 1, "column": 5, "rating": 5}] * 201}, "malformed"),
        ({"comment": "x" * 4001}, "malformed"),
        ({"comment": "half a letter \ud800"}, "malformed"),
        ({"truth": True}, "malformed"),
    ],
)  # fmt: skip
def test_a_malformed_answer_stores_nothing(
    world: SimpleNamespace,
    study: StudyFolder,
    address: str,
    change: dict[str, Any],
    problem: str,
) -> None:
    import json

    with begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        content = {
            "key": "some-long-key", "case": case, "stage": "unaided", "tab": client.tab,
            "t_ms": 1, "client_s": 1, "answer": {**NOTHING, **change},
        }  # fmt: skip
        answer = client._http.post(
            "/api/submit", content=json.dumps(content),
            headers={"x-csrf-token": client._csrf, "content-type": "application/json"},
        )  # fmt: skip
        assert answer.status_code == 422
        assert answer.json()["problem"] == problem
    assert count(study, Answer) == 0


def test_cases_come_in_their_order_and_no_other(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with begin(world, study, address, "r1") as client:
        state = client.state()
        following = state["next"]["token"]
        refused("not-now", client.submit, following, "unaided", NOTHING)
        refused("not-now", client.submit, state["case"]["token"], "aided", NOTHING)
        refused("not-found", client.submit, "no-such-case", "unaided", NOTHING)
        client.pixels(following)  # to be ready when it is its turn
        client.submit(state["case"]["token"], "unaided", NOTHING)
        assert client.state()["case"]["token"] == following


def test_only_one_tab_reads(world: SimpleNamespace, study: StudyFolder, address: str) -> None:
    with begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        answer = client.tell("/api/tab", {"tab": "another-tab", "take": False})
        assert answer == {"active": False}
        client.tell("/api/tab", {"tab": "another-tab", "take": True})
        refused("other-tab", client.submit, case, "unaided", NOTHING)
        draft = {"case": case, "stage": "unaided", "tab": client.tab, "draft": {"comment": "x"}}
        refused("other-tab", client.tell, "/api/draft", draft)
        # What the reader did in the first tab is stored all the same.
        client.tell("/api/events", {"events": [client.event("comment", case)]})
        client.tab = "another-tab"
        client.submit(case, "unaided", NOTHING)
    assert count(study, Event) == 2


def test_a_draft_comes_back_and_goes_with_the_answer(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        mark = {"view": "anterior", "row": 4, "column": 5, "rating": None}
        draft = {"confidence": 40, "comment": "half", "saved_ms": 5.0, "marks": [mark]}
        content = {"case": case, "stage": "unaided", "tab": client.tab, "draft": draft}
        client.tell("/api/draft", content)
        client.tell("/api/draft", {**content, "draft": {**draft, "confidence": 60}})
        kept = client.state()["draft"]
        assert (kept["confidence"], kept["comment"], kept["positive"]) == (60, "half", None)
        client.submit(case, "unaided", NOTHING)
        client.tell("/api/draft", content)  # late, after the answer: of no use any more
        assert client.state()["draft"] is None
    assert count(study, Draft) == 0


def test_one_bad_event_is_refused(world: SimpleNamespace, study: StudyFolder, address: str) -> None:
    with begin(world, study, address, "r1") as client:
        event = client.event("zoom", client.state()["case"]["token"], zoom=2.0)
        assert client.tell("/api/events", {"events": [event, event]}) == {"stored": 2}
        for change in (
            {"kind": "theft"}, {"t_ms": None}, {"body": {"a": {"b": 1}}}, {"key": "x"},
            {"body": {str(n): n for n in range(50)}}, {"tab": "a b"},
        ):  # fmt: skip
            refused("malformed", client.tell, "/api/events", {"events": [{**event, **change}]})
    assert count(study, Event) == 1


def test_events_of_a_case_that_is_not_the_readers_are_refused(
    world: SimpleNamespace, cohort: Path, tmp_path: Path
) -> None:
    """Of another reader, of a session that has not begun, of no case there is."""
    study = world.make_study(tmp_path / "study", cohort, second_session="repeat")
    with study.open_store() as store, store.reading() as db:
        later = db.scalar(
            select(Assignment.token)
            .join(ReadingSession, ReadingSession.id == Assignment.session_id)
            .where(ReadingSession.account_id == 2, ReadingSession.number == 2)
        )
    with (
        running_study(study) as address,
        begin(world, study, address, "r1") as client,
        begin(world, study, address, "r2") as other,
    ):
        own, theirs = (one.state()["case"]["token"] for one in (client, other))
        sent = [client.event("zoom", case) for case in (theirs, own, later, "nobodys", None)]
        assert client.tell("/api/events", {"events": sent}) == {"stored": 2}
        assert client.tell("/api/events", {"events": sent[:1]}) == {"stored": 0}
        client.submit(own, "unaided", NOTHING, [sent[0], client.event("submit", own)])
    with study.open_store() as store, store.reading() as db:
        rows = db.scalars(select(Event).order_by(Event.id)).all()
        places = {one.id: one.token for one in db.scalars(select(Assignment))}
        assert [(one.kind, places.get(one.assignment_id)) for one in rows] == [
            ("zoom", own), ("zoom", None), ("submit", own),
        ]  # fmt: skip
        assert {one.session_id for one in rows} == {
            db.scalar(select(ReadingSession.id).where(ReadingSession.account_id == 2,
                                                      ReadingSession.number == 1))
        }  # fmt: skip


def test_a_full_disk_is_told_and_nothing_is_torn(
    world: SimpleNamespace, study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bonescint.study.store import database

    full = [False]
    prepare = database._prepare_sqlite

    def limited(engine: Any) -> None:
        from sqlalchemy import event

        prepare(engine)

        @event.listens_for(engine, "begin")
        def _limit(connection: Any) -> None:
            raw = connection.connection.dbapi_connection
            pages = raw.execute("PRAGMA page_count").fetchone()[0] if full[0] else 1_000_000
            raw.execute(f"PRAGMA max_page_count = {pages}")

    monkeypatch.setattr(database, "_prepare_sqlite", limited)
    with running_study(study) as address, begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        full[0] = True
        events = [
            client.event("zoom", case, **{f"a{n}": "x" * 500 for n in range(20)}) for _ in range(20)
        ]
        error = refused("disk-full", client.submit, case, "unaided", NOTHING, events, key="k" * 9)
        assert error.status == 507
        assert "draft is kept" in str(error)
        assert client.state()["case"]["token"] == case
        full[0] = False  # somebody makes room, and the page sends the same again
        assert client.submit(case, "unaided", NOTHING, events, key="k" * 9)["replayed"] is False
    assert count(study, Answer) == 1


def test_a_store_out_of_reach_is_told(
    world: SimpleNamespace, study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bonescint.study.store import database

    monkeypatch.setattr(database, "_BUSY_MS", 50)
    with running_study(study) as address, begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        other = sqlite3.connect(study.path / "study.sqlite", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        error = refused("store", client.submit, case, "unaided", NOTHING)
        assert error.status == 503
        other.execute("ROLLBACK")
        other.close()
        client.submit(case, "unaided", NOTHING)


def test_what_a_session_is_read_with_is_frozen(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with begin(world, study, address, "r1"):
        pass
    with study.open_store() as store, store.reading() as db:
        session = db.scalars(select(ReadingSession).where(ReadingSession.started_s > 0)).one()
        assert session.protocol_sha256 == study.protocol.sha256
        assert len(session.software_sha256) == len(session.images_sha256) == 64
        assert session.software is not None
        assert session.software["bonescint"]


@pytest.mark.parametrize("package", ["bonescint.study", "bonescint.viewer"])
def test_the_hash_of_the_pages_covers_the_study_and_the_viewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    folders = {name: tmp_path / name for name in ("bonescint.study", "bonescint.viewer")}
    for folder in folders.values():
        (folder / "static").mkdir(parents=True)
        (folder / "static/page.js").write_text("export {};")
    monkeypatch.setattr("bonescint.study.protocol.resources.files", folders.__getitem__)
    before = running_software.__wrapped__()
    (folders[package] / "static/page.js").write_text("export { changed };")
    assert running_software.__wrapped__().pages_sha256 != before.pages_sha256


def test_an_altered_picture_is_not_shown(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    import gzip

    with begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        client.pixels(case)
        for file in study.images.iterdir():
            content = bytearray(gzip.decompress(file.read_bytes()))
            content[5000] ^= 1
            file.write_bytes(gzip.compress(bytes(content)))
        assert refused("picture", client.pixels, case).status == 500
        for file in study.images.iterdir():
            file.unlink()
        refused("picture", client.pixels, case)


def test_a_window_that_is_too_small_is_refused(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with world.enter(study, address, "r1") as client:
        tell = client.tell
        client.tell = lambda path, content: tell(path, {**content, "window_width": 1000})
        refused("window", client.enter_environment, "laptop")
        client.tell = tell
        assert client.state()["phase"] == "environment"


def test_the_aided_session_waits_locks_and_shows(
    world: SimpleNamespace, cohort: Path, tmp_path: Path, model: ModelFolder
) -> None:
    study = world.make_study(
        tmp_path / "study", cohort, readers=1, sample=2, second_session="aided",
        washout_days=0.0, model=model, training=1,
    )  # fmt: skip
    who = SimulatedReader(reader="r1")
    with study.open_store() as store:
        truths = truth_by_picture(study, store)
    with running_study(study) as address, world.enter(study, address, "r1") as client:
        assert read_study(client, who, truths) == 3
        client.enter_environment("test")
        client.take_tab()
        state = client.state()
        assert (state["session"], state["aided"], state["case"]["stage"]) == (2, True, "unaided")
        case = state["case"]["token"]
        refused("not-found", client.ask, f"/api/model/{case}")
        refused("not-now", client.submit, case, "aided", NOTHING)
        receipt = client.submit(case, "unaided", {**NOTHING, "comment": "before"})
        entry = receipt["state"]["case"]
        assert (entry["token"], entry["stage"]) == (case, "aided")
        assert receipt["state"]["before"]["comment"] == "before"
        output = client.ask(f"/api/model/{case}")
        assert 0 <= output["mbd_probability"] <= 1
        refused("not-found", client.ask, f"/api/model/{receipt['state']['next']['token']}")
        refused("answered", client.submit, case, "unaided", {**NOTHING, "confidence": 99})
        client.submit(case, "aided", {**NOTHING, "positive": True})
        assert read_study(client, who, truths) == 4
        assert client.state()["phase"] == "finished"


def test_the_washout_is_kept(world: SimpleNamespace, cohort: Path, tmp_path: Path) -> None:
    study = world.make_study(
        tmp_path / "study", cohort, readers=1, sample=2, second_session="repeat", training=0
    )
    with study.open_store() as store:
        truths = truth_by_picture(study, store)
    with running_study(study) as address, world.enter(study, address, "r1") as client:
        assert read_study(client, SimulatedReader(reader="r1"), truths) == 2
        assert client.state()["phase"] == "waiting"
        refused("not-now", client.enter_environment, "test")
        page = client._http.get("/", follow_redirects=True)
        assert "The second session opens on" in page.text


def test_answers_can_be_changed_where_the_protocol_lets_them(
    world: SimpleNamespace, cohort: Path, tmp_path: Path
) -> None:
    study = world.make_study(
        tmp_path / "study", cohort, readers=1, sample=2, training=1, revisions=True
    )
    with running_study(study) as address, begin(world, study, address, "r1") as client:
        trained = client.state()["case"]["token"]
        client.submit(trained, "unaided", NOTHING)
        first = client.state()["case"]["token"]
        refused("not-now", client.tell, "/api/finish", {})
        for _ in range(2):
            client.submit(client.state()["case"]["token"], "unaided", NOTHING)
        state = client.state()
        assert state["phase"] == "review"
        assert first in [one["token"] for one in state["answered_cases"]]
        refused("not-found", client.ask, f"/api/answers/{trained}")
        assert client.ask(f"/api/answers/{first}")["answer"]["confidence"] == 3
        changed = client.submit(first, "unaided", {**NOTHING, "confidence": 70})
        assert changed["revision"] == 2
        client.tell("/api/finish", {})
        refused("answered", client.submit, first, "unaided", {**NOTHING, "confidence": 71})
    with study.open_store() as store, store.reading() as db:
        history = db.scalars(
            select(Answer.confidence).where(Answer.revision > 0).order_by(Answer.id)
        ).all()
        assert list(history) == [3, 3, 3, 70]


def test_a_night_in_the_middle_of_a_case_loses_nothing(
    world: SimpleNamespace, study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirteen hours later sign-in and environment have ended; the draft has not."""
    steady = [0.0]
    told = partial(StudyClock, steady=lambda: steady[0], boot=lambda: "")
    monkeypatch.setattr(clock, "StudyClock", told)
    with running_study(study) as address, begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        draft = {"case": case, "stage": "unaided", "tab": client.tab,
                 "draft": {"comment": "in the evening"}}  # fmt: skip
        client.tell("/api/draft", draft)
        steady[0] += 11 * 3600.0
        assert client.state()["case"]["token"] == case  # in use, a sign-in goes on
        steady[0] += 13 * 3600.0
        refused("signed-out", client.submit, case, "unaided", NOTHING)
        client.sign_in("r1", PASSWORD)
        assert client.state()["phase"] == "environment"
        refused("environment", client.submit, case, "unaided", NOTHING)
        client.enter_environment("test, in the morning")
        client.take_tab()
        state = client.state()
        assert (state["case"]["token"], state["draft"]["comment"]) == (case, "in the evening")
        client.submit(case, "unaided", NOTHING)
    assert count(study, Answer) == 1


def test_signing_in_again_in_the_middle_of_a_case_loses_nothing(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with begin(world, study, address, "r1") as client:
        case = client.state()["case"]["token"]
        draft = {"case": case, "stage": "unaided", "tab": client.tab,
                 "draft": {"comment": "in the middle"}}  # fmt: skip
        client.tell("/api/draft", draft)
        client._http.cookies.clear()
        refused("signed-out", client.submit, case, "unaided", NOTHING)
        client.sign_in("r1", PASSWORD)
        client.take_tab()
        state = client.state()
        assert state["case"]["token"] == case
        assert state["draft"]["comment"] == "in the middle"
        client.submit(case, "unaided", NOTHING)
