"""Readers and administrators who do what nobody should: nothing breaks, nothing is lost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openpyxl import load_workbook

from bonescint.mrmc import read_reads
from bonescint.scan import InputError, OutputError
from bonescint.study import (
    Reader,
    RefusedError,
    StudyError,
    StudyFolder,
    analyse_study,
    export_study,
)
from bonescint.study.reader_client import ReaderClient
from bonescint.study.readers import read_readers
from bonescint.study.serving import running_study
from bonescint.study.simulated import SimulatedReader, read_all, read_study, truth_by_picture

NOTHING = {"positive": False, "confidence": 3, "no_focus": True, "marks": [], "comment": ""}


# --- tables of readers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"reader,name\na,Meier, Anna\n", "row 2: has 3 cells and the header 2"),
        (b"reader,name,name\na,Anna,Ben\n", "several columns could be the name"),
        (b"reader;name\na;Anna\n", None),
        (b"", "the table is empty"),
        (b"\n\n\n", "the table is empty"),
        ("reader,name\na,Anna\n".encode("utf-16"), None),
        (b"reader,name\na,An\x00na\n", "row 2|not a readable table"),
        ("reader,name\na,An\u200bna\n".encode(), None),
        ("reader,name\na,An\u202ena\n".encode(), "row 2: name must be a line"),
        ("reader,name\na,Anna\nb,\uff21\uff2e\uff2e\uff21\n".encode(), "two readers have the name"),
        (b'reader,name\na,"An\nna"\nb,"Anna"\n', "two readers have the name 'an na'|name"),
        ("reader,name\n\u0430,Anna\n".encode(), "row 2: reader must be"),
        (b"reader,name\n../a,Anna\n", "row 2: reader must be"),
        (b"reader,name\nModel,Anna\n", "row 2: reader must not be 'model'"),
        (b"reader,name\n=a,Anna\n", "row 2: reader must be"),
        (b"reader,name,experience_years\na,Anna,-1\n", "from 0 to 80"),
        (b"reader,name,experience_years\na,Anna,inf\n", "row 2: experience_years must be a number"),
        (b"reader,name\na," + b"x" * 200 + b"\n", "row 2: name must be a line"),
        (b'reader,name\na,"Anna\n', "row 2: a quotation mark is not closed"),
    ],
)
def test_odd_tables_of_readers_are_refused_or_read_right(
    tmp_path: Path, content: bytes, problem: str | None
) -> None:
    (tmp_path / "readers.csv").write_bytes(content)
    if problem is None:
        assert [one.name for one in read_readers(tmp_path / "readers.csv")] == ["Anna"]
        return
    if content.startswith(b'reader,name\na,"An\nna"'):
        assert [one.name for one in read_readers(tmp_path / "readers.csv")] == ["An na", "Anna"]
        return
    with pytest.raises(InputError, match=problem):
        read_readers(tmp_path / "readers.csv")


@pytest.mark.parametrize("name", ["admin", "ADMIN", "\uff21dmin", "  administrator "])
def test_nobody_takes_the_administrators_name(
    world: SimpleNamespace, cohort: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match="reserved for the administrator"):
        world.make_study(tmp_path / "study", cohort, readers=[Reader(reader="a", name=name)])
    assert not (tmp_path / "study").exists()


# --- answers that try to break what comes after -----------------------------------------------


def begin(world: SimpleNamespace, study: StudyFolder, address: str, reader: str) -> ReaderClient:
    client: ReaderClient = world.enter(study, address, reader)
    client.enter_environment("=HYPERLINK(1) \x01 monitor")
    client.take_tab()
    return client


def test_no_comment_clock_or_event_breaks_the_export(
    world: SimpleNamespace, study: StudyFolder, address: str, tmp_path: Path
) -> None:
    comments = [
        "=1+1",
        "\x01\x0b\x1f bell",
        'a "quoted"; line\r\nand another',
        "\ufffe\u202e",
        "x" * 4000,
    ]
    with begin(world, study, address, "r1") as client:
        state = client.state()
        for number, comment in enumerate(comments):
            case = state["case"]["token"]
            shown = client.event("shown", case, stage="unaided")
            wild = [
                {**shown, "key": f"wild-{number}-{n}", "t_ms": t_ms, "client_s": client_s}
                for n, (t_ms, client_s) in enumerate([(-1e13, -1e13), (1e13, 1e13), (0, -0.0)])
            ]
            details = client.event("comment", case, text="\ud83d\x02=cmd", big=1e15, none=None)
            last = client.event("submit", case, stage="unaided")
            answer = {**NOTHING, "comment": comment, "confidence": number}
            state = client.submit(case, "unaided", answer, [*wild, details, last])["state"]
    out = export_study(study, tmp_path / "export")
    rows = {int(row["rating"]): row for row in world.rows_of(out / "reads.csv")}
    assert rows[0]["comment"] == "'=1+1"
    for number in (1, 3, 4):
        assert rows[number]["comment"] == comments[number]
    assert rows[2]["comment"].replace("\r\n", "\n") == comments[2].replace("\r\n", "\n")
    book = load_workbook(out / "study.xlsx")
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)
    assert len(world.rows_of(out / "events.csv")) == 5 * len(comments)


def test_names_of_scans_with_commas_break_no_table(world: SimpleNamespace, tmp_path: Path) -> None:
    cohort = world.write_cohort(tmp_path / "cohort", 6)
    text = re.sub(r"SECRETSCAN(\d+)", r'"scan, ""no."" \1"', cohort.read_text())
    cohort.write_text(text)
    readers = [Reader(reader="NA", name="Nan"), Reader(reader="1e3", name="True")]
    study = world.make_study(
        tmp_path / "study", cohort, readers=readers, sample=4, simulated_readers=True
    )
    read_all(study, [SimulatedReader(reader=one.reader) for one in readers])
    out = export_study(study, tmp_path / "export")
    listed, imrmc = (read_reads(out / name) for name in ("analysis-reads.csv", "study.imrmc"))
    assert set(listed.readers) == set(imrmc.readers) == {"NA", "1e3"}
    assert all(name.startswith('scan, "no."') for name in listed.cases)
    tokens = {row["token"]: row["case"] for row in world.rows_of(out / "reads.csv")}
    assert {tokens[name] for name in imrmc.cases} == set(listed.cases)


def test_a_truth_that_is_gone_or_another_one_is_said(
    world: SimpleNamespace, study: StudyFolder, address: str, tmp_path: Path
) -> None:
    with begin(world, study, address, "r1") as client:
        client.submit(client.state()["case"]["token"], "unaided", NOTHING)
    files = sorted((study.private / "truth").glob("*.npz"))
    kept = files[0].read_bytes()
    others = (file.read_bytes() for file in files[1:])  # of two scans without disease: the same
    files[0].write_bytes(next(content for content in others if content != kept))
    with pytest.raises(StudyError, match="missing, or altered"):
        export_study(study, tmp_path / "export")
    files[0].unlink()
    with pytest.raises(StudyError, match="missing, or altered"):
        analyse_study(study, tmp_path / "analysis", model="none")
    assert not (tmp_path / "export").exists()
    files[0].write_bytes(kept)
    assert export_study(study, tmp_path / "export").is_dir()


# --- requests that try to get or store what is not theirs --------------------------------------


def test_nothing_is_answered_for_another_reader(
    world: SimpleNamespace, study: StudyFolder, address: str
) -> None:
    with begin(world, study, address, "r1") as one, begin(world, study, address, "r2") as two:
        theirs = two.state()["case"]["token"]
        draft = {"case": theirs, "stage": "unaided", "tab": one.tab, "draft": {"comment": "x"}}
        for act in (
            lambda: one.submit(theirs, "unaided", NOTHING),
            lambda: one.tell("/api/draft", draft),
            lambda: one.pixels(theirs),
            lambda: one.ask(f"/api/feedback/{theirs}"),
            lambda: one.ask(f"/api/answers/{theirs}"),
            lambda: one.ask(f"/api/model/{theirs}"),
        ):
            with pytest.raises(RefusedError) as caught:
                act()
            assert caught.value.status in (403, 404)
        # Another reader's token of the form does not help with one's own cookie.
        own, one._csrf = one._csrf, two._csrf
        with pytest.raises(RefusedError, match="does not come from a page"):
            one.submit(one.state()["case"]["token"], "unaided", NOTHING)
        one._csrf = own
        # A key that another reader used is no obstacle, and tells nothing.
        case = one.state()["case"]["token"]
        assert two.submit(theirs, "unaided", NOTHING, key="same-key-1")["replayed"] is False
        assert one.submit(case, "unaided", NOTHING, key="same-key-1")["replayed"] is False


def test_a_replay_of_everything_changes_nothing(
    world: SimpleNamespace, study: StudyFolder, address: str, tmp_path: Path
) -> None:
    """Every request that a reader sent is sent again, in both orders."""
    sent: list[tuple[str, dict[str, Any]]] = []
    with begin(world, study, address, "r1") as client:
        tell = client.tell

        def noting(path: str, content: dict[str, Any]) -> dict[str, Any]:
            sent.append((path, content))
            return tell(path, content)

        client.tell = noting  # type: ignore[method-assign]
        state = client.state()
        for number in range(4):
            case = state["case"]["token"]
            events = [client.event("shown", case, stage="unaided"), client.event("submit", case)]
            client.tell("/api/events", {"events": events[:1]})
            draft = {"case": case, "stage": "unaided", "tab": client.tab, "draft": {"comment": "d"}}
            client.tell("/api/draft", draft)
            state = client.submit(case, "unaided", {**NOTHING, "confidence": number}, events)[
                "state"
            ]
        before = export_study(study, tmp_path / "before")
        for path, content in [*sent, *reversed(sent)]:
            tell(path, content)
        assert client.state()["case"] == state["case"]
        assert client.state()["draft"] is None
    after = export_study(study, tmp_path / "after")
    for name in ("reads.csv", "events.csv", "marks.csv"):
        assert (before / name).read_bytes() == (after / name).read_bytes()


# --- analyses of what is incomplete ------------------------------------------------------------


@pytest.fixture
def partly(world: SimpleNamespace, cohort: Path, tmp_path: Path) -> tuple[StudyFolder, Any]:
    """A study of six cases, and a way to let its readers read so many of them."""
    people = [Reader(reader=f"sim-{n}", name=f"Simulated {n}") for n in range(1, 5)]
    study = world.make_study(
        tmp_path / "study", cohort, readers=people, training=0, simulated_readers=True
    )
    with study.open_store() as store:
        truths = truth_by_picture(study, store)

    def read(counts: list[int], **who: Any) -> None:
        with running_study(study) as address:
            for number, count in enumerate(counts, start=1):
                if count:
                    with world.enter(study, address, f"sim-{number}") as client:
                        reader = SimulatedReader(reader=f"sim-{number}", **who)
                        read_study(client, reader, truths, most=count)

    return study, read


@pytest.mark.parametrize("counts", [[6, 6, 3, 0], [6, 0, 0, 0]])
def test_an_analysis_of_missing_reads_says_what_is_missing(
    partly: tuple[StudyFolder, Any], tmp_path: Path, counts: list[int]
) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
    study, read = partly
    read(counts)
    out = tmp_path / "analysis"
    told: list[tuple[str, int, int]] = []
    found = analyse_study(
        study, out, model="none", draws=20, progress=lambda *parts: told.append(parts)
    )
    assert ("Analysing ratings", 0, 6) in told
    assert ("Analysing ratings", 6, 6) in told
    page = (out / "index.html").read_text()
    assert len(found.tables.reads) == sum(counts)
    assert "NaN" not in (out / "analysis.json").read_text()
    assert ">nan<" not in page
    for number, count in enumerate(counts, start=1):
        assert (f"sim-{number}<" in page) is (count > 0)
    if counts == [6, 6, 3, 0]:
        told = page[page.index("Exclusions and notes") :]
        assert "sim-3" in told or "3 of" in told or "missing" in told


def test_an_analysis_of_one_kind_of_case_only_is_refused(
    partly: tuple[StudyFolder, Any], tmp_path: Path
) -> None:
    study, read = partly
    read([1, 0, 0, 0])
    with pytest.raises(StudyError, match="only cases of one class"):
        analyse_study(study, tmp_path / "analysis", model="none", draws=20)
    assert not (tmp_path / "analysis").exists()


def test_an_analysis_where_nobody_is_of_two_minds(
    partly: tuple[StudyFolder, Any], tmp_path: Path
) -> None:
    """All readers say no to everything, with the same confidence and no mark."""
    pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
    study, read = partly
    read([6, 6, 0, 0], threshold=100.0, skill=0.0)
    found = analyse_study(study, tmp_path / "analysis", model="none", draws=20)
    content = json.loads((tmp_path / "analysis/analysis.json").read_text())
    assert content["simulated_readers"] is True
    assert found.ratings.figures_of_merit.readers == ("sim-1", "sim-2")


def test_the_place_of_an_analysis_is_not_taken_from_anything_else(
    partly: tuple[StudyFolder, Any], tmp_path: Path
) -> None:
    study, read = partly
    read([6, 0, 0, 0])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something else"):
        analyse_study(study, tmp_path / "mine", model="none", draws=20)
    with pytest.raises(OutputError, match="holds something else"):
        analyse_study(study, study.path, model="none", draws=20)
    assert (tmp_path / "mine/thesis.txt").read_text() == "mine"
    for name in ("a", "b"):  # of another program; of an analysis, with a file of the user's beside
        (tmp_path / name).mkdir()
    (tmp_path / "a/analysis.json").write_text("mine")
    with pytest.raises(OutputError, match="is not from an earlier run"):
        analyse_study(study, tmp_path / "a", model="none", draws=20)
    assert (tmp_path / "a/analysis.json").read_text() == "mine"
    analyse_study(study, tmp_path / "b", model="none", draws=20)
    analyse_study(study, tmp_path / "b", model="none", draws=20)
    (tmp_path / "b/thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds something else \(thesis.txt\)"):
        analyse_study(study, tmp_path / "b", model="none", draws=20)
    assert (tmp_path / "b/thesis.txt").read_text() == "mine"
