from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from bonescint.classify import ClassifyInterrupted, batch, classify
from bonescint.model import ModelFolder
from bonescint.scan import ModelFolderError, OutputError, ParameterError, Prediction, View

WriteStudies = Callable[..., list[Path]]


def test_files_become_results(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(3)
    seen: list[tuple[int, int]] = []
    summary = classify(
        [studies[2], tmp_path / "studies", "missing.dcm"],
        tmp_path / "out",
        model=stand_in_model,
        workers=0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [result.source for result in summary.results] == [
        "study2.dcm", "study0.dcm", "study1.dcm"
    ]  # fmt: skip
    assert [refusal.source for refusal in summary.refused] == ["missing.dcm"]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for result in summary.results:
        assert result.views == ("anterior", "posterior")
        with Image.open(tmp_path / "out" / result.picture) as picture:
            assert picture.width > 800
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scan_id"] for row in rows] == [result.scan_id for result in summary.results]


def test_results_json_holds_what_was_promised(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    (study,) = write_studies(1)
    classify(study, tmp_path / "out", model=stand_in_model.path, workers=0)
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["schema_version"] == 1
    assert document["model"] == stand_in_model.card.to_json()
    assert "simulated scans only" in document["notice"]
    (entry,) = document["results"]
    assert entry["acquisition"]["view_rules"] == {
        "anterior": entry["acquisition"]["view_rules"]["anterior"],
        "posterior": entry["acquisition"]["view_rules"]["posterior"],
    }
    assert len(entry["acquisition"]["file_sha256"][0]) == 64
    prediction = Prediction.from_json(entry["prediction"])
    warm = prediction.activation_map(View.POSTERIOR)
    assert warm is not None
    assert warm.values.shape == (32, 16)


def test_maps_lie_on_their_own_side(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    """The stand-in's map is brightness, so each view's map looks like that view."""
    from bonescint.dicom import read
    from bonescint.explain import map_on_grid

    (study,) = write_studies(1)
    classify(study, tmp_path / "out", model=stand_in_model, workers=0)
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    prediction = Prediction.from_json(document["results"][0]["prediction"])
    scan = read(study)
    for view, image in scan.images():
        activation = prediction.activation_map(view)
        assert activation is not None
        shown = map_on_grid(activation, scan.shape, rows=1024, columns=256)
        blocks = np.sqrt(image).reshape(32, 32, 16, 16).mean(axis=(1, 3)).ravel()
        seen = shown.reshape(32, 32, 16, 16).mean(axis=(1, 3))
        agreement = np.corrcoef(blocks, seen.ravel())[0, 1]
        mirrored = np.corrcoef(blocks, seen[:, ::-1].ravel())[0, 1]
        assert agreement > 0.9
        assert agreement > mirrored


def test_a_table_in_parquet_has_what_the_others_have(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_studies(2)
    (tmp_path / "studies" / "notes.dcm").write_text("no scan")
    sources, out = tmp_path / "studies", tmp_path / "out"
    summary = classify(sources, out, model=stand_in_model, workers=0, maps=True, site="Ghent")
    rows = parquet.read_table(out / "results.parquet").to_pylist()
    document = json.loads((out / "results.json").read_text())
    with (out / "results.csv").open(newline="") as file:
        for row, said in zip(rows, csv.DictReader(file), strict=False):
            for name in ("scan_id", "source", "views", "call", "picture"):
                assert row[name] == said[name]
            assert f"{row['mbd_probability']:.6f}" == said["mbd_probability"]
    for row, result, entry in zip(rows, summary.results, document["results"], strict=False):
        assert row["mbd_probability"] == result.mbd_probability
        assert (row["site"], row["year"]) == ("Ghent", 2020)
        truth = Prediction.from_json(entry["prediction"]).activation_map(View.ANTERIOR)
        assert truth is not None
        stored = np.reshape(row["map_anterior"], truth.values.shape)
        np.testing.assert_array_equal(stored, truth.values.astype(np.float16))
    assert rows[2]["refusal"] == summary.refused[0].kind
    assert rows[2]["reason"] == summary.refused[0].reason
    assert {row["model_sha256"] for row in rows} == {stand_in_model.sha256}
    classify(sources, out, model=stand_in_model, workers=0)
    assert not (out / "results.parquet").exists(), "an earlier run's table would contradict"


def test_folders_are_sites_only_where_they_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="sites_by_folder"):
        classify("a.dcm", tmp_path, hash_sources=True, sites_by_folder=True)


def test_the_same_study_twice_is_said(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    (study,) = write_studies(1)
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(study.read_bytes())
    summary = classify([study, copy], tmp_path / "out", model=stand_in_model, workers=0)
    assert len(summary.results) == 1
    assert [refusal.source for refusal in summary.refused] == [copy.name]


def _with_one_uid(studies: list[Path]) -> None:
    """Give other content the same UIDs, as some anonymisers do."""
    first = pydicom.dcmread(studies[0])
    for path in studies[1:]:
        dataset = pydicom.dcmread(path)
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(dataset, name, first[name].value)
        dataset.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
        dataset.save_as(path)


def test_other_content_under_the_same_uids_is_a_scan_of_its_own(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(3)
    _with_one_uid(studies)
    summary = classify(studies, tmp_path / "out", model=stand_in_model, workers=0)
    assert summary.refused == ()
    first, *others = summary.results
    assert not any("same identifiers" in warning for warning in first.warnings)
    assert len({result.scan_id for result in summary.results}) == 3
    for result in others:
        assert result.scan_id.startswith(f"{first.scan_id}-")
        (warning,) = (text for text in result.warnings if "same identifiers" in text)
        assert str(tmp_path) not in warning, "a warning stands on the picture"
        assert (tmp_path / "out" / result.picture).is_file()
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    for entry, result in zip(document["results"], summary.results, strict=True):
        assert entry["prediction"]["scan_id"] == entry["scan_id"] == result.scan_id
    assert len({result.mbd_probability for result in summary.results}) == 3


def test_a_users_own_pictures_are_inputs(
    tmp_path: Path,
    stand_in_model: ModelFolder,
    write_studies: WriteStudies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--out .` beside a folder `pictures` with the user's own scans in it."""
    studies = write_studies(2, folder="pictures")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        summary = classify(["."], ".", model=stand_in_model, workers=0)
        assert [Path(result.source).name for result in summary.results] == [
            path.name for path in studies
        ]
        assert summary.refused == ()
    named = classify([summary.results[0].picture, studies[1]], ".", model=stand_in_model, workers=0)
    assert len(named.results) == len(named.refused) == 1
    assert all(path.is_file() for path in studies)
    assert not (tmp_path / summary.results[0].picture).exists(), "no result of the last run"


def test_a_users_own_table_is_not_overwritten(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(1)
    (tmp_path / "results.csv").write_text("mine")
    with pytest.raises(OutputError, match="not from an earlier run"):
        classify(studies, tmp_path, model=stand_in_model, workers=0)
    assert (tmp_path / "results.csv").read_text() == "mine"


def test_a_slip_in_a_path_costs_no_earlier_results(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    classify(write_studies(1), tmp_path / "out", model=stand_in_model, workers=0)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    summary = classify(["typo.dcm"], tmp_path / "out", model=stand_in_model, workers=0)
    assert (len(summary.refused), summary.written) == (1, False)
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert after == before


def test_results_are_not_classified_again(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    write_studies(2)
    for _ in range(2):
        summary = classify([tmp_path], tmp_path / "out", model=stand_in_model, workers=0)
        assert (len(summary.results), summary.refused) == (2, ())


def test_a_bad_folder_is_said_before_the_work(
    tmp_path: Path, stand_in_model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr("bonescint.dicom.discover", never)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        classify(["scan.dcm"], tmp_path / "out", model=stand_in_model)


def test_a_missing_model_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such model folder"):
        classify(["scan.dcm"], tmp_path / "out", model=tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()


def test_nothing_readable_still_gives_a_report(tmp_path: Path, stand_in_model: ModelFolder) -> None:
    (tmp_path / "dog.txt").write_text("woof")
    summary = classify([tmp_path / "dog.txt"], tmp_path / "out", model=stand_in_model)
    assert summary.results == ()
    assert len(summary.refused) == 1
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["results"] == []
    assert [entry["source"] for entry in document["refused"]] == ["dog.txt"]
    assert not (tmp_path / "out" / "index.html").exists(), "nothing to look at"
    assert not (tmp_path / "out" / "pictures").exists()


def test_a_folder_without_a_scan_costs_no_earlier_results(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    classify(write_studies(1), tmp_path / "out", model=stand_in_model, workers=0)
    before = (tmp_path / "out" / "results.json").read_bytes()
    half = tmp_path / "half.dcm"
    half.write_bytes((tmp_path / "studies" / "study0.dcm").read_bytes()[:-100_000])
    summary = classify([half], tmp_path / "out", model=stand_in_model, workers=0)
    assert (len(summary.refused), summary.written) == (1, False)
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_ctrl_c_keeps_what_was_done(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(ClassifyInterrupted) as caught:
        classify(write_studies(5), tmp_path / "out", model=stand_in_model, workers=0, progress=stop)
    summary = caught.value.summary
    assert summary.interrupted
    assert len(summary.results) == 2
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["interrupted"] is True
    assert len(document["results"]) == 2
    assert (
        "<strong>Interrupted.</strong> Only the scans that were finished are listed."
        in (tmp_path / "out" / "index.html").read_text()
    )


def test_an_answer_stands_without_its_picture(
    tmp_path: Path,
    stand_in_model: ModelFolder,
    write_studies: WriteStudies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> bytes:
        raise ValueError("Name^Of^Patient")

    monkeypatch.setattr(batch, "draw", broken)
    summary = classify(write_studies(1), tmp_path / "out", model=stand_in_model, workers=0)
    (result,) = summary.results
    assert result.picture == ""
    assert any(text.startswith("no picture: Unexpected ValueError") for text in result.warnings)
    assert "Patient" not in (tmp_path / "out" / "results.json").read_text()


def test_a_full_disk_stops_the_batch_with_a_clear_line(
    tmp_path: Path,
    stand_in_model: ModelFolder,
    write_studies: WriteStudies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> bytes:
        raise OutputError("out: the picture cannot be written (No space left on device).")

    monkeypatch.setattr(batch, "draw", full)
    with pytest.raises(OutputError, match="No space left"):
        classify(write_studies(1), tmp_path / "out", model=stand_in_model, workers=0)


def test_an_unknown_device_is_refused(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    with pytest.raises(ParameterError, match="device"):
        classify(
            write_studies(1), tmp_path / "out", model=stand_in_model, workers=0, device="abacus"
        )
    assert not (tmp_path / "out" / "results.csv").exists()


def test_the_window_is_bounded(
    tmp_path: Path,
    stand_in_model: ModelFolder,
    write_studies: WriteStudies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No more scans are in flight than the window allows, however long the list."""
    from bonescint.classify.steps import draw, read_and_prepare

    in_flight, most = 0, 0

    def reading(*arguments: object) -> object:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        return read_and_prepare(*arguments)  # type: ignore[arg-type]

    def finished(done: int, total: int) -> None:
        nonlocal in_flight
        in_flight -= 1

    monkeypatch.setattr(batch, "read_and_prepare", reading)
    monkeypatch.setattr(batch, "draw", draw)
    classify(
        write_studies(12), tmp_path / "out", model=stand_in_model, workers=0, progress=finished
    )
    assert most <= 6
    assert in_flight == 0
