"""A run that was stopped goes on where it was, and takes over only what is the same."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bonescint.classify import ClassifyInterrupted, ClassifySummary, batch, classify
from bonescint.model import ModelFolder
from bonescint.model.folder import write_model_folder
from bonescint.scan import Scan

WriteStudies = Callable[..., list[Path]]


@pytest.fixture
def read_anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the studies that are read, not taken over."""
    names: list[str] = []
    read = batch.read_and_prepare

    def noted(study: Any, *more: Any) -> Any:
        names.append(study.files[0].name)
        return read(study, *more)

    monkeypatch.setattr("bonescint.classify.batch.read_and_prepare", noted)
    monkeypatch.setattr("bonescint.classify.steps.read_and_prepare", noted)
    return names


def stopped(sources: list[Path], out: Path, model: ModelFolder, *, after: int) -> None:
    def stop(done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(ClassifyInterrupted):
        classify(sources, out, model=model, workers=0, progress=stop)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def entries_of(out: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((out / "results.json").read_text())["results"]
    for entry in entries:
        del entry["read_s"]
        entry["prediction"].pop("seconds", None)
    return entries


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


WHOLE = {"results.csv", "results.json", "index.html", "pictures"}


def test_after_ctrl_c_the_rest_is_done_and_the_result_is_that_of_one_run(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies, read_anew: list[str]
) -> None:
    studies = write_studies(4)
    classify(studies, tmp_path / "once", model=stand_in_model, workers=0)
    read_anew.clear()
    stopped(studies, tmp_path / "out", stand_in_model, after=2)
    assert len(rows_of(tmp_path / "out")) == 2, "what was done is there meanwhile"
    done = set(read_anew[:2])
    read_anew.clear()
    summary = classify(studies, tmp_path / "out", model=stand_in_model, workers=0)
    assert summary.taken_over == 2
    assert done.isdisjoint(read_anew)
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "once")
    assert entries_of(tmp_path / "out") == entries_of(tmp_path / "once")
    assert names_in(tmp_path / "out") == WHOLE
    assert names_in(tmp_path / "out" / "pictures") == names_in(tmp_path / "once" / "pictures")


def test_stopped_again_and_again_it_comes_to_its_end(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(4)
    for after in (1, 2, 1, 3):
        stopped(studies, tmp_path / "out", stand_in_model, after=after)
    summary = classify(studies, tmp_path / "out", model=stand_in_model, workers=0)
    assert (len(summary.results), summary.taken_over) == (4, 3)
    assert names_in(tmp_path / "out") == WHOLE


def test_a_changed_file_is_read_anew(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies, read_anew: list[str]
) -> None:
    studies = write_studies(3)
    stopped(studies, tmp_path / "out", stand_in_model, after=2)
    other = write_studies(4, folder="others")[3]
    studies[0].write_bytes(other.read_bytes())
    read_anew.clear()
    summary = classify(studies, tmp_path / "out", model=stand_in_model, workers=0)
    assert summary.taken_over == 1
    assert read_anew == ["study0.dcm", "study2.dcm"]
    again = classify([studies[0]], tmp_path / "alone", model=stand_in_model, workers=0)
    assert summary.results[0].mbd_probability == again.results[0].mbd_probability


def test_pictures_whose_swapped_names_were_corrected_are_read_anew(
    tmp_path: Path, stand_in_model: ModelFolder, real_scan: Scan, write_studies: WriteStudies
) -> None:
    """The view of a picture is in its name alone; the contents are the same two."""
    counts = real_scan.anterior
    assert counts is not None
    anterior, posterior = (tmp_path / f"p1_{view}.png" for view in ("anterior", "posterior"))
    pixels = np.minimum(counts, 255).astype(np.uint8)
    Image.fromarray(pixels).save(anterior)
    Image.fromarray(pixels[:, ::-1] // 2).save(posterior)
    sources = [anterior, posterior, *write_studies(1)]
    stopped(sources, tmp_path / "out", stand_in_model, after=1)
    aside = anterior.rename(tmp_path / "aside")
    posterior.rename(anterior)
    aside.rename(posterior)
    summary = classify(sources, tmp_path / "out", model=stand_in_model, workers=0)
    once = classify(sources, tmp_path / "once", model=stand_in_model, workers=0)
    assert summary.taken_over == 0
    assert [one.mbd_probability for one in summary.results] == [
        one.mbd_probability for one in once.results
    ]


def test_a_lost_picture_is_drawn_anew(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(2)
    stopped(studies, tmp_path / "out", stand_in_model, after=1)
    picture = tmp_path / "out" / rows_of(tmp_path / "out")[0]["picture"]
    picture.unlink()
    summary = classify(studies, tmp_path / "out", model=stand_in_model, workers=0)
    assert summary.taken_over == 0
    assert picture.is_file()


def recalibrated(model: ModelFolder, place: Path) -> ModelFolder:
    """The same graph with another operating point."""
    card = replace(model.card, operating_point=0.9)
    return write_model_folder(place, card=card, onnx=model.onnx_path.read_bytes(), ood=model.ood)


def test_another_calibration_takes_nothing_over(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(2)
    stopped(studies, tmp_path / "out", stand_in_model, after=1)
    other = recalibrated(stand_in_model, tmp_path / "model")
    summary = classify(studies, tmp_path / "out", model=other, workers=0)
    assert summary.taken_over == 0
    assert summary.operating_point == 0.9


def test_a_run_between_has_drawn_its_own_pictures(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    """Also of scans that it has not finished."""
    studies = write_studies(3)
    other = recalibrated(stand_in_model, tmp_path / "model")
    stopped(studies, tmp_path / "out", stand_in_model, after=2)
    stopped(studies, tmp_path / "out", other, after=1)
    summary = classify(studies, tmp_path / "out", model=stand_in_model, workers=0)
    assert summary.taken_over == 0
    once = classify(studies, tmp_path / "once", model=stand_in_model, workers=0)
    for name in (one.picture for one in once.results):
        drawn, wanted = (tmp_path / folder / name for folder in ("out", "once"))
        assert drawn.read_bytes() == wanted.read_bytes()


def test_a_run_without_pictures_is_resumed(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(3)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    def run(**more: Any) -> ClassifySummary:
        return classify(
            studies, tmp_path / "out", model=stand_in_model, workers=0, pictures=False, **more
        )

    with pytest.raises(ClassifyInterrupted):
        run(progress=stop)
    assert run().taken_over == 2


def test_another_release_takes_nothing_over(
    tmp_path: Path,
    stand_in_model: ModelFolder,
    write_studies: WriteStudies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studies = write_studies(2)
    stopped(studies, tmp_path / "out", stand_in_model, after=1)
    monkeypatch.setattr("bonescint.__version__", "0.0.1")
    assert classify(studies, tmp_path / "out", model=stand_in_model, workers=0).taken_over == 0


def test_other_names_are_not_taken_over(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(2)
    stopped(studies, tmp_path / "out", stand_in_model, after=1)
    summary = classify(
        studies, tmp_path / "out", model=stand_in_model, workers=0,
        scan_ids={studies[0]: "first"},
    )  # fmt: skip
    assert summary.taken_over == 0
    assert summary.results[0].scan_id == "first"


def test_duplicates_are_told_as_in_one_run(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(2)
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(studies[0].read_bytes())

    def told(summary: ClassifySummary) -> list[tuple[str, str]]:
        return [(refusal.source, refusal.reason) for refusal in summary.refused]

    sources = [*studies, copy]
    once = classify(sources, tmp_path / "once", model=stand_in_model, workers=0)
    stopped(sources, tmp_path / "out", stand_in_model, after=2)
    again = classify(sources, tmp_path / "out", model=stand_in_model, workers=0)
    assert told(again) == told(once)
    assert len(told(once)) == 1
    assert [one.scan_id for one in again.results] == [one.scan_id for one in once.results]


def test_a_killed_run_is_gone_on_with(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(4)
    code = (
        "import os, signal, sys\n"
        "from bonescint.classify import classify\n"
        "def stop(done, total):\n"
        "    if done == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "classify(sys.argv[3:], sys.argv[1], model=sys.argv[2], workers=0, progress=stop)\n"
    )
    words = [tmp_path / "out", stand_in_model.path, *studies]
    ran = subprocess.run([sys.executable, "-c", code, *map(str, words)], check=False)
    assert ran.returncode == -signal.SIGKILL
    growing = tmp_path / "out" / "results.jsonl.partial"
    with growing.open("ab") as stream:  # the line that was being written
        stream.write(b'{"scan_id":"half')
    summary = classify(studies, tmp_path / "out", model=stand_in_model, workers=0)
    assert (len(summary.results), summary.taken_over) == (4, 3)
    assert names_in(tmp_path / "out") == WHOLE
