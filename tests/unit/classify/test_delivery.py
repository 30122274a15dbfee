"""DICOM objects and bundles in the results folder: listed, kept, removed, never read as scans."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bonescint.classify import ClassifyInterrupted, classify
from bonescint.model import ModelFolder

pytest.importorskip("highdicom", reason="the extra pacs is not installed")
WriteStudies = Callable[..., list[Path]]


def _delivered(out: Path) -> set[str]:
    found = [path for folder in ("dicom", "fhir") for path in (out / folder).glob("*")]
    return {path.relative_to(out).as_posix() for path in found}


def test_objects_are_listed_and_go_with_the_run_that_wrote_them(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    """A later run without them leaves none behind: they would be of another answer."""
    studies, out = write_studies(2), tmp_path / "out"
    first = classify(studies, out, model=stand_in_model, workers=0, dicom=True, fhir=True)
    listed = {path for result in first.results for path in result.objects}
    assert listed == _delivered(out)
    assert len(listed) >= 6
    document = json.loads((out / "results.json").read_text())
    assert [tuple(row["objects"]) for row in document["results"]] == [
        result.objects for result in first.results
    ]
    assert (document["settings"]["dicom"], document["settings"]["fhir"]) == (True, True)
    foreign = out / "dicom" / "somebody-elses.dcm"
    foreign.write_bytes(b"")
    classify(studies[:1], out, model=stand_in_model, workers=0, fhir=True)
    name = first.results[0].scan_id
    assert _delivered(out) == {f"fhir/{name}.json", "dicom/somebody-elses.dcm"}


def test_objects_in_a_folder_that_is_searched_are_no_scans(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    folder = write_studies(1)[0].parent
    out = folder / "out"
    for _ in range(2):
        summary = classify(folder, out, model=stand_in_model, workers=0, dicom=True)
        assert len(summary.results) == 1
        assert summary.refused == ()


def test_what_was_interrupted_is_resumed_with_its_objects(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    """An object that is missing by then makes its scan be done again."""
    studies, out = write_studies(3), tmp_path / "out"

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(ClassifyInterrupted) as stopped:
        classify(studies, out, model=stand_in_model, workers=0, dicom=True, progress=stop)
    first, second = stopped.value.summary.results
    (out / first.objects[0]).unlink()
    kept = {path: (out / path).stat().st_mtime_ns for path in second.objects}
    summary = classify(studies, out, model=stand_in_model, workers=0, dicom=True)
    assert summary.taken_over == 1
    assert {path: (out / path).stat().st_mtime_ns for path in second.objects} == kept
    assert {path for result in summary.results for path in result.objects} == _delivered(out)
    assert len(summary.results) == 3
