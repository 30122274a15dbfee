from __future__ import annotations

import json
import math
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from bonescint.intervals import exact_share
from bonescint.model import Classifier, ModelFolder
from bonescint.mrmc import read_reads
from bonescint.scan import Focus, InputError, OutputError, Prediction, Scan, Truth, View
from bonescint.study import (
    StudyError,
    StudyFolder,
    add_readers,
    analyse_study,
    backup_study,
    export_study,
    open_study,
    restore_study,
    study_status,
)
from bonescint.study.analysis_page import sections_of
from bonescint.study.export.measures import CaseScorer, Moment, case_time
from bonescint.study.export.rows import TABLES, data_dictionary
from bonescint.study.serving import running_study
from bonescint.study.simulated import CaseTruth, SimulatedReader, answer_of, read_all, reader_panel
from bonescint.study.store.database import Store


@pytest.fixture(scope="module")
def read_through(
    world: SimpleNamespace, cohort: Path, tmp_path_factory: pytest.TempPathFactory
) -> StudyFolder:
    """A study that three simulated readers have read."""
    from bonescint.study import Reader

    panel = reader_panel(3, seed=4)
    people = [Reader(reader=who.reader, name=who.reader) for who in panel]
    study: StudyFolder = world.make_study(
        tmp_path_factory.mktemp("read") / "study", cohort, readers=people, sample=10, training=2,
        simulated_readers=True, title="=SUM(1;2) of a study",
    )  # fmt: skip
    assert read_all(study, panel, seed=4) == 36
    return study


def test_the_export_holds_every_answer_and_its_truth(
    world: SimpleNamespace, read_through: StudyFolder, tmp_path: Path
) -> None:
    out = export_study(read_through, tmp_path / "export")
    reads = world.rows_of(out / "reads.csv")
    assert len(reads) == 36
    truths = {one["scan_id"]: one["positive"] for one in read_through.truth().values()}
    assert all(int(row["truth"]) == truths[row["case"]] for row in reads)
    assert sum(int(row["training"]) for row in reads) == 6
    assert all(float(row["active_s"]) <= float(row["gross_s"]) for row in reads)
    counts = {(row["reader"], row["case"]): int(row["marks"]) for row in reads}
    marks = world.rows_of(out / "marks.csv")
    for reader, case in counts:
        own = [m for m in marks if (m["reader"], m["case"]) == (reader, case)]
        assert len(own) == counts[reader, case]
    assert {row["simulated"] for row in reads} == {"1"}
    assert "Dr." not in (out / "readers.csv").read_text()


def test_the_workbook_is_the_tables_and_no_cell_is_a_formula(
    world: SimpleNamespace, read_through: StudyFolder, tmp_path: Path
) -> None:
    out = export_study(read_through, tmp_path / "export")
    book = load_workbook(out / "study.xlsx")
    assert book.sheetnames == ["about", *TABLES, "data dictionary"]
    about = [str(cell.value) for cell in book["about"]["A"]]
    assert "simulated readers" in about[0]
    assert "Not a medical device" in about[1]
    for name, kind in TABLES.items():
        header = [cell.value for cell in book[name][1]]
        assert header == [column.name for column in kind.columns()]
        assert book[name].max_row == len(world.rows_of(out / f"{name}.csv")) + 1
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            assert all(cell.data_type != "f" for cell in row)


def test_every_column_is_explained() -> None:
    explained = {(row.table, row.column) for row in data_dictionary()}  # type: ignore[attr-defined]
    wanted = {(name, column.name) for name, kind in TABLES.items() for column in kind.columns()}
    assert explained == wanted
    assert all(row.meaning.strip() for row in data_dictionary())  # type: ignore[attr-defined]


def test_imrmc_and_csv_are_read_by_the_statistics(
    world: SimpleNamespace, read_through: StudyFolder, tmp_path: Path
) -> None:
    out = export_study(read_through, tmp_path / "export")
    listed, imrmc = (read_reads(out / name) for name in ("analysis-reads.csv", "study.imrmc"))
    assert listed.readers == imrmc.readers == ("sim-1", "sim-2", "sim-3")
    assert listed.cases == imrmc.cases
    np.testing.assert_array_equal(listed.truth, imrmc.truth)
    np.testing.assert_array_equal(listed.ratings, imrmc.ratings)
    assert listed.ratings.shape == (1, 3, 10)


def test_an_export_takes_the_place_of_an_earlier_one_only(
    study: StudyFolder, read_through: StudyFolder, tmp_path: Path
) -> None:
    for _ in range(2):
        export_study(read_through, tmp_path / "export")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something else"):
        export_study(read_through, tmp_path / "mine")
    (tmp_path / "export/thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds something else \(thesis.txt\)"):
        export_study(read_through, tmp_path / "export")
    assert (tmp_path / "export/thesis.txt").read_text() == "mine"
    for name in ("thesis.txt", "data-dictionary.csv"):
        (tmp_path / "export" / name).unlink()
    with pytest.raises(OutputError, match="is not from an earlier run"):
        export_study(read_through, tmp_path / "export")
    with pytest.raises(StudyError, match="nobody has answered"):
        export_study(study, tmp_path / "none")


def test_status_tells_no_result(read_through: StudyFolder) -> None:
    rows = [row for row in study_status(read_through) if row.role == "reader"]
    assert [(row.answered, row.total, row.phase.value) for row in rows] == [
        (10, 10, "finished")
    ] * 3
    assert set(type(rows[0]).__slots__) == {  # type: ignore[attr-defined]
        "reader", "name", "role", "simulated", "active", "has_password", "session", "phase",
        "answered", "total", "last_s",
    }  # fmt: skip


# --- time -----------------------------------------------------------------------------------

_STATES = st.lists(
    st.tuples(
        st.floats(0.01, 50),
        st.sampled_from(["pause", "resume", "hidden", "visible", "idle", "back"]),
    ),
    max_size=15,
)


@given(_STATES, st.floats(0.1, 100))
def test_active_time_is_what_a_clock_with_a_stop_button_shows(
    steps: list[tuple[float, str]], last: float
) -> None:
    moments = [Moment(kind="shown", tab="a", t_ms=0, client_s=0, stage="unaided")]
    away = {"pause": False, "hidden": False, "idle": False}
    names = {"resume": "pause", "visible": "hidden", "back": "idle"}
    now, active = 0.0, 0.0
    for wait, kind in steps:
        active += 0.0 if any(away.values()) else wait
        now += wait
        away[names.get(kind, kind)] = kind in away
        moments.append(Moment(kind=kind, tab="a", t_ms=1000 * now, client_s=now))
    active += 0.0 if any(away.values()) else last
    now += last
    moments.append(Moment(kind="submit", tab="a", t_ms=1000 * now, client_s=now, stage="unaided"))
    found = case_time(list(reversed(moments)), "unaided")
    assert found is not None
    assert found.active_s == pytest.approx(active, abs=0.002)
    assert found.gross_s == pytest.approx(now, abs=0.002)


def test_time_over_two_tabs_and_two_stages() -> None:
    def at(kind: str, tab: str, t_s: float, client_s: float, stage: str = "") -> Moment:
        return Moment(kind=kind, tab=tab, t_ms=1000 * t_s, client_s=client_s, stage=stage)

    moments = [
        at("shown", "a", 10, 1000, "unaided"), at("zoom", "a", 14, 1004),
        at("shown", "b", 2, 1100, "unaided"), at("submit", "b", 8, 1106, "unaided"),
        at("shown", "b", 9, 1107, "aided"), at("submit", "b", 12, 1110, "aided"),
    ]  # fmt: skip
    unaided, aided = (case_time(moments, stage) for stage in ("unaided", "aided"))
    assert unaided is not None
    assert aided is not None
    assert (unaided.gross_s, unaided.active_s) == (106.0, 10.0)
    assert (aided.gross_s, aided.active_s) == (3.0, 3.0)
    assert case_time(moments[:2], "unaided") is None
    # A client's clock that jumps back between the tabs makes no time negative.
    jumped = [*moments[:2], at("shown", "b", 2, 500, "unaided"),
              at("submit", "b", 8, 506, "unaided")]  # fmt: skip
    found = case_time(jumped, "unaided")
    assert found is not None
    assert found.gross_s >= found.active_s == 10.0


@pytest.fixture
def first_case(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> Iterator[SimpleNamespace]:
    """A reader, the first case, and what its answer is exported as."""
    with world.enter(study, address, "r1") as client:
        client.enter_environment("test")
        client.take_tab()
        case = client.state()["case"]["token"]
        events: list[dict[str, Any]] = []

        def note(kind: str, wait_s: float, of: str | None = case, **body: Any) -> None:
            client.pass_time(wait_s)
            events.append(client.event(kind, of, stage="unaided", **body))

        def submit() -> None:
            answer = {
                "positive": False,
                "confidence": 3,
                "no_focus": True,
                "marks": [],
                "comment": "",
            }
            client.submit(case, "unaided", answer, events)
            events.clear()

        def exported(out: Path) -> dict[str, str]:
            client.tell("/api/events", {"events": events})
            row: dict[str, str]
            (row,) = world.rows_of(export_study(study, out) / "reads.csv")
            return row

        yield SimpleNamespace(client=client, note=note, submit=submit, exported=exported)


def test_a_later_look_at_an_answered_case_adds_no_time(
    first_case: SimpleNamespace, tmp_path: Path
) -> None:
    first_case.note("shown", 0)
    first_case.note("submit", 20)
    first_case.submit()
    first_case.client.tab = "loaded-again"
    first_case.note("shown", 90_000)
    first_case.note("zoom", 60)
    row = first_case.exported(tmp_path / "out")
    assert float(row["active_s"]) == pytest.approx(20, abs=1)
    assert float(row["gross_s"]) == pytest.approx(20, abs=1)


def test_a_clock_that_is_set_back_while_reading_loses_no_time(
    first_case: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_case.note("shown", 0)
    now = time.time()
    monkeypatch.setattr("bonescint.study.reader_client.time.time", lambda: now - 3600)
    first_case.note("submit", 20)
    monkeypatch.undo()
    first_case.submit()
    assert float(first_case.exported(tmp_path / "out")["active_s"]) == pytest.approx(20, abs=1)


@pytest.mark.parametrize(("away", "back"), [("pause", "resume"), ("hidden", "visible")])
def test_who_is_away_when_a_case_is_shown_is_not_reading(
    first_case: SimpleNamespace, tmp_path: Path, away: str, back: str
) -> None:
    first_case.note(away, 0, of=None)
    first_case.note("shown", 1)
    first_case.note(back, 600)
    first_case.note("submit", 20)
    first_case.submit()
    row = first_case.exported(tmp_path / "out")
    assert float(row["active_s"]) == pytest.approx(20, abs=1)
    assert float(row["gross_s"]) == pytest.approx(620, abs=1)


# --- marks ----------------------------------------------------------------------------------


def test_a_marks_distance_is_that_of_the_nearest_pixel_of_the_mask() -> None:
    rng = np.random.default_rng(1)
    mask = np.zeros((40, 30), dtype=bool)
    mask[10:13, 5:9] = mask[30, 20] = True
    spacing = (2.0, 3.0)
    foci = (Focus(view=View.ANTERIOR, row=11, column=7),
            Focus(view=View.ANTERIOR, row=30, column=20))  # fmt: skip
    truth = Truth(positive=True, foci=foci, masks={View.ANTERIOR: mask})
    scorer = CaseScorer(truth, spacing, columns=30, radius_mm=6.0)
    places = np.argwhere(mask)
    for _ in range(200):
        row, column = rng.uniform(0, 39), rng.uniform(0, 29)
        at = np.array([round(row), round(column)])
        wanted = np.hypot(*((places - at) * spacing).T).min()
        score = scorer.score(View.ANTERIOR, row, column)
        assert score.distance_mm == pytest.approx(wanted, abs=0.006)
        assert score.hit == (wanted <= 6.0)
        nearest = 1 if math.dist((row * 2, column * 3), (22, 21)) < math.dist(
            (row * 2, column * 3), (60, 60)) else 2  # fmt: skip
        assert score.lesion == (nearest if score.hit else None)
    assert scorer.score(View.POSTERIOR, 11, 7).hit is False


def test_marks_hit_where_the_focus_is(
    world: SimpleNamespace, read_through: StudyFolder, tmp_path: Path
) -> None:
    out = export_study(read_through, tmp_path / "export", radius_mm=20)
    for row in world.rows_of(out / "marks.csv"):
        hit = row["hit"] == "1"
        assert hit == (row["distance_mm"] != "" and float(row["distance_mm"]) <= 20)


def test_an_assumed_spacing_is_said(world: SimpleNamespace, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
    cohort = world.write_cohort(tmp_path / "cohort", 8)
    for file in (cohort.parent / "scans").iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.PixelSpacing
        dataset.save_as(file)
    study = world.make_study(tmp_path / "study", cohort, simulated_readers=True)
    read_all(study, [SimulatedReader(reader=f"r{number}") for number in (1, 2)])
    out = export_study(study, tmp_path / "export")
    settings = {row["setting"]: row["value"] for row in world.rows_of(out / "settings.csv")}
    assert settings["cases whose spacing is unknown, taken to be 2.4 mm"] == "6"
    found = analyse_study(study, tmp_path / "analysis", model="none", draws=50)
    assert any("the pixel spacing of 6 cases is unknown: 2.4 mm" in note for note in found.notes)


# --- simulated readers ----------------------------------------------------------------------


def test_simulated_readers_have_the_skill_threshold_and_speed_that_they_state() -> None:
    who = SimulatedReader(reader="x", skill=1.5, threshold=60, seconds=10)
    picture = {"rows": 256, "columns": 64, "views": ["anterior", "posterior"]}
    focus = ("anterior", 100.0, 30.0)
    answers = {
        truth: [
            answer_of(who, CaseTruth(positive=truth, foci=(focus,) if truth else ()),
                      f"{n:015x}" + "0" * 49, picture, session=1, seed=9)
            for n in range(10_000 * truth, 10_000 * truth + 3000)
        ]
        for truth in (False, True)
    }  # fmt: skip
    rating = {t: np.array([a["confidence"] for a, _ in found]) for t, found in answers.items()}
    wins = (rating[True][:, None] > rating[False]) + 0.5 * (rating[True][:, None] == rating[False])
    assert wins.mean() == pytest.approx(who.area, abs=0.015)
    for found in answers.values():
        assert all(a["positive"] == (a["confidence"] >= 60) for a, _ in found)
        assert all(a["no_focus"] == (not a["marks"]) for a, _ in found)
        no = [seconds for a, seconds in found if not a["positive"]]
        assert np.median(no) == pytest.approx(10, rel=0.06)
    again, _ = answer_of(who, CaseTruth(positive=True, foci=(focus,)),
                         f"{10_000:015x}" + "0" * 49, picture, session=1, seed=9)  # fmt: skip
    assert again == answers[True][0][0]


# --- backup ---------------------------------------------------------------------------------


def same_answers(world: SimpleNamespace, tmp_path: Path, *studies: StudyFolder) -> None:
    contents = []
    for number, one in enumerate(studies):
        out = export_study(one, tmp_path / f"compare-{number}")
        contents.append(
            [(out / f"{name}.csv").read_bytes() for name in ("reads", "marks", "events")]
        )
    assert all(content == contents[0] for content in contents)


def test_a_backup_brings_everything_back(
    world: SimpleNamespace, read_through: StudyFolder, tmp_path: Path
) -> None:
    with running_study(read_through):  # also while it is served
        file = backup_study(read_through, tmp_path / "backup.zip")
    assert file.stat().st_mode & 0o077 == 0
    again = restore_study(file, tmp_path / "again")
    same_answers(world, tmp_path, read_through, again)
    with running_study(again) as address, world.enter(again, address, "admin") as client:
        assert client._http.get("/progress").status_code == 200
    with pytest.raises(OutputError, match="exists already"):
        restore_study(file, tmp_path / "again")


def test_a_damaged_backup_is_refused_and_nothing_is_made(
    read_through: StudyFolder, tmp_path: Path
) -> None:
    file = backup_study(read_through, tmp_path / "backup.zip")
    content = bytearray(file.read_bytes())
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        for name in whole.namelist():
            inside = whole.read(name)
            other.writestr(name, inside[:-1] if name == "private/truth.json" else inside)
    (tmp_path / "text.zip").write_text("no archive")
    for name in ("cut.zip", "other.zip", "text.zip", "gone.zip"):
        with pytest.raises(InputError):
            restore_study(tmp_path / name, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again-*"))


def test_a_backup_goes_to_postgresql_and_back(
    world: SimpleNamespace, read_through: StudyFolder, tmp_path: Path, postgresql_database: str
) -> None:
    file = backup_study(read_through, tmp_path / "backup.zip")
    moved = restore_study(file, tmp_path / "moved", database=postgresql_database)
    assert not (moved.path / "study.sqlite").exists()
    back = restore_study(backup_study(moved, tmp_path / "second.zip"), tmp_path / "back")
    same_answers(world, tmp_path, read_through, moved, back)
    (tmp_path / "more.csv").write_text("reader,name\nnew,Somebody New\n")
    (link,) = add_readers(moved.path, tmp_path / "more.csv")  # new rows get new numbers
    with running_study(moved) as address, world.enter(moved, address, "new") as client:
        assert client.state()["phase"] == "environment"
    assert link.reader == "new"


def test_readers_read_from_postgresql(
    world: SimpleNamespace, cohort: Path, tmp_path: Path, postgresql_database: str
) -> None:
    study = world.make_study(tmp_path / "study", cohort, readers=3, database=postgresql_database)
    panel = [SimulatedReader(reader=f"r{n}") for n in (1, 2, 3)]
    assert read_all(study, panel) == 24
    with Store(postgresql_database) as store:
        assert store.is_current()
    assert len(world.rows_of(export_study(study, tmp_path / "out") / "reads.csv")) == 24


# --- analysis -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def analysed(
    read_through: StudyFolder, model: ModelFolder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
    out = tmp_path_factory.mktemp("analysis") / "out"
    analyse_study(read_through, out, model=model, draws=100)
    return out


def test_the_analysis_is_that_of_the_answers(
    world: SimpleNamespace, read_through: StudyFolder, analysed: Path, tmp_path: Path
) -> None:
    out = export_study(read_through, tmp_path / "export")
    rows = [row for row in world.rows_of(out / "reads.csv") if row["training"] == "0"]
    found = json.loads((analysed / "analysis.json").read_text())
    for figure in found["figures_of_merit"]:
        own = [row for row in rows if row["reader"] == figure["reader"]]
        yes = [int(row["rating"]) for row in own if row["truth"] == "1"]
        no = [int(row["rating"]) for row in own if row["truth"] == "0"]
        wins = [(a > b) + 0.5 * (a == b) for a in yes for b in no]
        assert figure["value"] == pytest.approx(sum(wins) / len(wins))
    for right in found["decisions"]["right"]:
        if right["who"] == "model":
            continue
        own = [row for row in rows if row["reader"] == right["who"]]
        hits = sum(row["decision"] == "1" and row["truth"] == "1" for row in own)
        false = sum(row["decision"] == "1" and row["truth"] == "0" for row in own)
        assert right["sensitivity"]["value"] == pytest.approx(hits / 5)
        assert right["f1"]["value"] == pytest.approx(2 * hits / (hits + false + 5))
    assert set(found["model_seconds"]["seconds"]) == {row["case"] for row in rows}
    assert all(0 < value < 60 for value in found["model_seconds"]["seconds"].values())


@pytest.mark.parametrize("count", [2, 10])
def test_scans_that_the_model_does_not_call_count_as_no_call(
    world: SimpleNamespace,
    read_through: StudyFolder,
    model: ModelFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
    truths = [(token, t) for token, t in read_through.truth().items() if not t["training"]]
    unlike = [token for token, _ in sorted(truths, key=lambda one: not one[1]["positive"])][:count]
    predict = Classifier.predict

    def refusing(self: Classifier, scan: Scan) -> Prediction:
        found = predict(self, scan)
        return replace(found, positive=None) if scan.scan_id in unlike else found

    monkeypatch.setattr(Classifier, "predict", refusing)
    found = analyse_study(read_through, tmp_path / "out", model=model, draws=50)
    own = [right for right in found.ratings.decisions.accuracies if right.who == "model"]
    assert len(own) == (count == 2), "none where it calls no scan"
    for right in own:
        assert found.model is not None
        called = [t["scan_id"] for token, t in truths if t["positive"] and token not in unlike]
        hits = sum(found.model.probabilities[one] >= found.model.operating_point for one in called)
        assert right.sensitivity == exact_share(hits, 3, level=0.95, nobody="no case with disease")
    page = (tmp_path / "out/index.html").read_text()
    assert f"the model does not call {count} of 10 scans" in page


def test_everything_made_of_simulated_readers_says_so(analysed: Path) -> None:
    from PIL import Image

    page = (analysed / "index.html").read_text()
    assert page.count("simulated readers, not physicians") == 1  # at the top, not in every heading
    assert page.index("simulated readers, not physicians") < page.index("<h2")
    for name in ("analysis.json", "marks.json"):
        content = json.loads((analysed / name).read_text())
        assert content["simulated_readers"] is True
        assert "simulated readers" in content["title"]
    assert "simulated readers" in (analysed / "sentences.txt").read_text().splitlines()[0]
    book = load_workbook(analysed / "analysis.xlsx")
    for sheet in book.worksheets:
        assert "simulated readers" in str(sheet["A1"].value), sheet.title
    for name in ("roc.png", "figure-7.png", "times.png", "froc.png"):
        with Image.open(analysed / name) as picture:
            title = np.array(picture.convert("L"))[:60]
            assert (title < 128).any(), name


def test_the_page_needs_nothing_but_itself(analysed: Path) -> None:
    page = (analysed / "index.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "Ibrahim et al." in page


def test_an_analysis_without_a_model_and_one_too_early(
    world: SimpleNamespace, study: StudyFolder, read_through: StudyFolder, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
    found = analyse_study(read_through, tmp_path / "alone", model="none", draws=50)
    assert found.model is None
    assert found.ratings.model is None
    assert {pair.kind for pair in found.ratings.decisions.pairs} == {"between readers"}
    sections = sections_of(found.ratings, found.marked, found.model, found.tables.timing)
    rows = [row for section in sections for table in section.tables for row in table.rows]
    assert rows
    assert not any("model" in cell for row in rows for cell in row)
    with pytest.raises(StudyError, match="nobody has answered"):
        analyse_study(study, tmp_path / "early", model="none")
    assert not (tmp_path / "early").exists()
    assert open_study(study.path)
