from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bonescint.classify.earlier import EarlierRun, picture_name
from bonescint.classify.folder import CSV_COLUMNS, ResultsFolder
from bonescint.classify.results import CallCounts, ClassifiedScan, KnownTruth, Refusal
from bonescint.classify.stored import csv_records
from bonescint.report import PageHeading, PageLayers, displayable
from bonescint.scan import OutputError

DOCUMENT = {"schema_version": 1, "software": {"bonescint": "0"}}
HEADING = PageHeading(
    title="t", notice="n", created="c", model_summary="m", model=(), operating_point=0.5
)


def _result(number: int, *, source: str = "scan.dcm") -> ClassifiedScan:
    return ClassifiedScan(
        scan_id=f"bs-{number}",
        source=source,
        views=("anterior", "posterior"),
        mbd_probability=number / 10,
        positive=number >= 5,
        warnings=("a", "b, c"),
        picture=f"pictures/bs-{number}.png",
    )


def _run(path: Path, *numbers: int) -> None:
    with ResultsFolder(path) as folder:
        for number in numbers:
            names = [path.name for path in folder.layer_paths(f"bs-{number}")]
            for path in (folder.picture_path(f"bs-{number}"), *folder.layer_paths(f"bs-{number}")):
                path.write_text("a picture")
            layers = PageLayers(grey=names[0], evidence=names[1], width=8, height=9)
            folder.add(_result(number), _result(number).to_json(), layers)
        folder.finish(DOCUMENT, HEADING, ())


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_rows_become_whole_files(tmp_path: Path) -> None:
    refused = (Refusal(source="x", kind="InputError", reason="is empty."),)
    with ResultsFolder(tmp_path / "a" / "b") as folder:
        for number in range(3):
            folder.add(_result(number), _result(number).to_json(), None)
        folder.finish({"schema_version": 1}, HEADING, refused)
    out = tmp_path / "a" / "b"
    assert _names(out) == {"results.csv", "results.json", "index.html", "pictures"}
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["mbd_probability"] for row in rows] == ["0.000000", "0.100000", "0.200000"]
    assert rows[0]["warnings"] == "a; b, c"
    document = json.loads((out / "results.json").read_text())
    assert [entry["scan_id"] for entry in document["results"]] == ["bs-0", "bs-1", "bs-2"]
    assert document["refused"][0]["reason"] == "is empty."
    assert document["schema_version"] == 1


def test_an_empty_batch_is_valid_json(tmp_path: Path) -> None:
    with ResultsFolder(tmp_path) as folder:
        folder.finish({"schema_version": 1}, HEADING, ())
    document = json.loads((tmp_path / "results.json").read_text())
    assert (document["results"], document["refused"]) == ([], [])


def test_rows_can_be_read_before_the_end(tmp_path: Path) -> None:
    with ResultsFolder(tmp_path) as folder:
        folder.add(_result(1), {}, None)
        assert "bs-1" in (tmp_path / "results.csv.partial").read_text()
    assert "bs-1" in (tmp_path / "results.csv.partial").read_text(), "kept after a failure"


def test_a_run_that_did_nothing_leaves_no_rows(tmp_path: Path) -> None:
    _run(tmp_path, 1)
    old = (tmp_path / "results.csv").read_text()
    with ResultsFolder(tmp_path):
        pass
    assert (tmp_path / "results.csv").read_text() == old
    assert _names(tmp_path) == {"results.csv", "results.json", "index.html", "pictures"}


@pytest.mark.parametrize("name", ["results.csv", "results.json", "index.html"])
@pytest.mark.parametrize("beside", ["", "{}", "[1]", '{"software": {"bonescint": "0"}}', "\xff"])
def test_files_of_other_origin_are_never_overwritten(
    tmp_path: Path, name: str, beside: str
) -> None:
    (tmp_path / "results.json").write_text(beside, encoding="latin-1")
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=r"not from an earlier run.*Choose another"):
        ResultsFolder(tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    assert _names(tmp_path) == {"results.json", name}


@pytest.mark.parametrize(
    "name", ["results.csv", "results.json", "index.html", "results.csv.partial"]
)
def test_a_folder_in_a_files_place_is_said_first(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match=f"{name}.*is a folder"):
        ResultsFolder(tmp_path)
    assert _names(tmp_path) == {name}


def test_a_file_in_the_pictures_place_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("a list of pictures")
    with pytest.raises(OutputError, match=r"pictures.*is not a folder"):
        ResultsFolder(tmp_path)


def test_pictures_of_the_earlier_run_go_and_no_others(tmp_path: Path) -> None:
    _run(tmp_path, 1, 2, 3)
    (tmp_path / "pictures" / "mine.png").write_text("mine")
    _run(tmp_path, 2, 4)
    kept = {f"bs-{n}.{kind}" for n in (2, 4) for kind in ("png", "grey.webp", "evidence.webp")}
    assert _names(tmp_path / "pictures") == {*kept, "mine.png"}


def test_pictures_stay_until_the_new_run_is_finished(tmp_path: Path) -> None:
    _run(tmp_path, 1, 2)
    with ResultsFolder(tmp_path) as folder:
        folder.add(_result(2), _result(2).to_json(), None)
    assert {"bs-1.png", "bs-1.grey.webp", "bs-2.png"} <= _names(tmp_path / "pictures")


def test_pictures_of_a_killed_run_are_known(tmp_path: Path) -> None:
    with ResultsFolder(tmp_path) as folder:
        folder.add(_result(1), _result(1).to_json(), None)
    with (tmp_path / "results.jsonl.partial").open("a") as growing:
        growing.write('{"scan_id":"bs-2","pict')
    earlier = EarlierRun.of(tmp_path)
    assert (earlier.has_results, earlier.pictures) == (
        False,
        {"bs-1.png", "bs-1.grey.webp", "bs-1.evidence.webp"},
    )


@pytest.mark.parametrize("picture", ["pictures/../mine.png", "/etc/passwd", "mine.png", "", None])
def test_a_list_cannot_name_other_files(tmp_path: Path, picture: str | None) -> None:
    _run(tmp_path, 1)
    stored = (tmp_path / "results.json").read_text()
    (tmp_path / "results.json").write_text(
        stored.replace('"pictures/bs-1.png"', json.dumps(picture))
    )
    assert EarlierRun.of(tmp_path) == EarlierRun(folder=tmp_path, has_results=True)


def test_a_folder_that_does_not_exist_has_no_earlier_run(tmp_path: Path) -> None:
    assert EarlierRun.of(tmp_path / "new") == EarlierRun(folder=tmp_path / "new")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("file", "the results cannot be written there (it is not a folder). Choose another output"),
        ("file/below", "cannot be written (Not a directory). Choose another place."),
        ("/proc/nothing/here", "cannot be written (No such file or directory). Choose another"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "file").write_text("I am a file")
    with pytest.raises(OutputError, match=re.escape(f"{tmp_path / place}: {said}")):
        ResultsFolder(tmp_path / place)


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    source = f"{start}cmd|' /C calc'!A0"
    with ResultsFolder(tmp_path) as folder:
        folder.add(_result(1, source=source), {}, None)
    table = tmp_path / "results.csv.partial"
    with table.open(newline="") as file:
        cell = next(iter(csv.DictReader(file)))["source"]
    assert not cell.startswith(tuple("=+-@\t\r"))
    assert [one["source"] for one in csv_records(table)] == [displayable(source)]


@pytest.mark.parametrize("scan_id", ["@x", "=1+1", "-12"])
def test_names_are_in_the_table_as_they_were_given(tmp_path: Path, scan_id: str) -> None:
    with ResultsFolder(tmp_path) as folder:
        folder.add(replace(_result(1), scan_id=scan_id), {}, None)
    assert [one["scan_id"] for one in csv_records(tmp_path / "results.csv.partial")] == [scan_id]


def test_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    source = b"\xff\n.dcm".decode("utf-8", "surrogateescape")
    result = _result(1, source=source)
    with ResultsFolder(tmp_path) as folder:
        folder.add(result, result.to_json(), None)
        folder.finish({"a": 1}, HEADING, ())
    assert "\\xff\\x0a.dcm" in (tmp_path / "results.csv").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "results.json").read_text())["results"][0]["source"] == source


@pytest.mark.parametrize("scan_id", ["../../etc/passwd", "a/b", ".hidden", "x" * 300, "", "ü"])
def test_a_picture_stays_in_its_folder(scan_id: str) -> None:
    name = picture_name(scan_id)
    assert "/" not in name
    assert name.startswith("scan-")


def test_uncertain_calls_are_counted_apart() -> None:
    results = [
        replace(_result(number), uncertain=number in (4, 5), ood_score=1.5) for number in range(10)
    ]
    calls = CallCounts.of(results, has_band=True)
    assert (calls.positive, calls.negative, calls.uncertain) == (4, 4, 2)
    assert calls.in_words() == "4 positive, 4 negative, 2 uncertain"
    assert CallCounts.of(results[:4], has_band=False).in_words() == "0 positive, 4 negative"


def test_tables_and_page_tell_uncertain_calls_and_unlike_scans(tmp_path: Path) -> None:
    sure = replace(_result(1), ood_score=2.25)
    unsure = replace(_result(2), uncertain=True)
    with ResultsFolder(tmp_path) as folder:
        for result in (sure, unsure):
            folder.add(result, result.to_json(), None)
        folder.finish(DOCUMENT, replace(HEADING, calls="1 negative, 1 uncertain"), ())
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["uncertain"] for row in rows] == ["false", "true"]
    assert [row["ood_score"] for row in rows] == ["2.250", ""]
    page = (tmp_path / "index.html").read_text()
    assert "1 negative, 1 uncertain" in page
    assert page.count('data-call="uncertain"') == 1
    assert page.count('<span class="tag uncertain">uncertain</span>') == 1
    assert page.count("Negative, uncertain") == 1


def test_scans_without_a_call_are_counted_apart_and_say_why(tmp_path: Path) -> None:
    """Two without a call, one that was called on demand; in table, JSON and page alike."""
    results = [replace(_result(number), unlike=number in (2, 7, 8)) for number in range(10)]
    results = [replace(one, positive=None) if n in (2, 7) else one for n, one in enumerate(results)]
    calls = CallCounts.of(results, has_band=False)
    assert (calls.positive, calls.negative, calls.no_call, calls.unlike) == (4, 4, 2, 1)
    assert calls.in_words() == (
        "4 positive, 4 negative, 2 not called (unlike the scans this model knows); 1 called though "
        "unlike those scans"
    )
    with ResultsFolder(tmp_path) as folder:
        for result in results:
            folder.add(result, result.to_json(), None)
        folder.finish(DOCUMENT, HEADING, ())
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["unlike"] for row in rows].count("true") == 3
    assert [n for n, row in enumerate(rows) if row["call"] == "no call"] == [2, 7]
    assert [n for n, row in enumerate(rows) if row["positive"] == ""] == [2, 7]
    assert {row["call"] for row in rows if row["positive"] == "true"} == {"positive"}
    entries = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [one["positive"] for one in entries].count(None) == 2
    assert [one["call"] for one in entries] == [row["call"] for row in rows]
    page = (tmp_path / "index.html").read_text()
    assert page.count("No call: unlike the scans this model knows; adapt it to your camera") == 2
    assert page.count('data-call="no-call"') == 2
    assert page.count('data-unlike="1"') == calls.unlike


@pytest.mark.parametrize(
    ("truth", "call", "said"),
    [
        (True, True, "in L3. The model is right."),
        (True, False, "in L3. The model missed it."),
        (False, True, "in L3. The model is wrong."),
        (False, False, "in L3. The model is right."),
        (None, True, "in L3."),
        (True, None, "in L3."),
    ],
)
def test_what_is_known_stands_beside_the_answer(
    tmp_path: Path, truth: bool | None, call: bool | None, said: str
) -> None:
    known = KnownTruth(words="in L3", positive=truth)
    assert known.beside(positive=call) == said
    result = replace(_result(1), positive=call, truth=known)
    with ResultsFolder(tmp_path) as folder:
        folder.add(result, result.to_json(), None)
        folder.finish(DOCUMENT, HEADING, ())
    assert f"<strong>Truth:</strong> {said}</p>" in (tmp_path / "index.html").read_text()
