"""Of a cohort's folder its scans are taken, and nothing else that lies there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from dicom_files import ge_discovery, one_view, save
from PIL import Image

from bonescint.cohort import Manifest, read_manifest, write_manifest
from bonescint.cohort import manifest as manifest_module
from bonescint.dicom import discover
from bonescint.dicom.listing import MANIFEST, MANIFEST_COLUMNS
from bonescint.scan import Case, Split


def case(name: str, file: str) -> Case:
    return Case(
        scan_id=name, patient_id=f"p-{name}", centre="A", split=Split.TRAIN, positive=False,
        file=file,
    )  # fmt: skip


@pytest.fixture
def cohort(anterior, posterior, tmp_path: Path) -> Path:
    """A cohort of two scans, one of them two files, with what else lies in such a folder."""
    folder = tmp_path / "cohort"
    for part in ("scans/two", "masks", "occult", "truth"):
        (folder / part).mkdir(parents=True)
    save(ge_discovery(anterior, posterior), folder / "scans" / "a.dcm")
    save(one_view(anterior, 1, angle="180"), folder / "scans" / "two" / "1.dcm")
    save(one_view(posterior, 2, angle="0"), folder / "scans" / "two" / "2.dcm")
    hidden = ge_discovery(posterior, anterior)
    hidden.SOPInstanceUID = "1.2.3"
    save(hidden, folder / "occult" / "b.dcm")
    picture = np.hstack([anterior, posterior]).clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(folder / "truth" / "both.png")
    Image.fromarray(anterior.clip(0, 1).astype(np.uint8)).save(folder / "masks" / "a_anterior.png")
    (folder / "settings.json").write_text("{}")
    write_manifest([case("2", "scans/two"), case("1", "scans/a.dcm")], folder / MANIFEST)
    return folder


TAKEN = [["1.dcm", "2.dcm"], ["a.dcm"]]


def names(source: Path) -> list[list[str]]:
    found = discover([source])
    assert found.refused == ()
    return [[path.name for path in study.files] for study in found.studies]


def test_only_the_listed_scans_are_taken_in_the_manifests_order(cohort: Path) -> None:
    assert names(cohort) == TAKEN


def test_a_cohort_is_known_below_the_folder_that_is_searched(cohort: Path, anterior) -> None:
    save(one_view(anterior, 9, series="9", angle="180"), cohort.parent / "other.dcm")
    assert names(cohort.parent) == [["other.dcm"], *TAKEN]


def test_a_cohort_in_an_archive_is_known_too(cohort: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "packed"), "zip", cohort.parent, "cohort")
    assert sorted(names(tmp_path / "packed.zip")) == TAKEN


def test_a_manifest_saved_by_a_spreadsheet_is_known(cohort: Path) -> None:
    text = (cohort / MANIFEST).read_text()
    (cohort / MANIFEST).write_text(text.replace(",", ";"), encoding="utf-8-sig")
    assert names(cohort) == TAKEN


def test_a_listed_scan_that_is_missing_is_refused(cohort: Path) -> None:
    (cohort / "scans" / "a.dcm").unlink()
    found = discover([cohort])
    assert len(found.studies) == 1
    assert [error.problem for error in found.refused] == ["does not exist"]


@pytest.mark.parametrize("table", ["scan_id,file\n1,scans/a.dcm\n", "", "\0", "a,b\n1,2\n"])
def test_another_table_of_that_name_hides_nothing(cohort: Path, table: str) -> None:
    (cohort / MANIFEST).write_text(table)
    found = discover([cohort])
    assert {path.name for study in found.studies for path in study.files} == {
        "a.dcm", "1.dcm", "2.dcm", "b.dcm", "both.png", "a_anterior.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (
            lambda text: text + "3,p,A,train,0,scans/b.dcm" + ",x" * 20 + "\n",
            "cells and the header",
        ),
        (lambda text: text.replace("scans/two", "#REF!"), "spreadsheet's error"),
        (lambda text: text.replace("file", "file,file", 1), "several columns"),
        (lambda text: text + '3,"p,A,train,0,scans/b.dcm\n', "not closed"),
        (lambda text: text.replace("scans/two", "scans/t\0wo"), "not a readable table"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_spoilt_manifest_is_one_line_and_nothing_else_of_its_folder_is_taken(
    cohort: Path, tmp_path: Path, spoil, problem: str, packed: bool, anterior, posterior
) -> None:
    (tmp_path / "all").mkdir()
    moved = cohort.rename(tmp_path / "all" / "cohort")
    other = ge_discovery(posterior, anterior)
    other.SOPInstanceUID = "1.2.7"
    save(other, tmp_path / "all" / "z.dcm")
    manifest = moved / MANIFEST
    manifest.write_text(spoil(manifest.read_text()))
    source = tmp_path / "all"
    if packed:
        source = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", source))
    found = discover([source])
    assert [path.name for study in found.studies for path in study.files] == ["z.dcm"]
    (refused,) = found.refused
    assert refused.source.startswith(str(source / "cohort" / MANIFEST))
    assert re.search(problem, refused.problem)


def test_what_is_known_of_a_manifest_agrees_with_who_writes_and_reads_it(cohort: Path) -> None:
    header = (cohort / MANIFEST).read_text().splitlines()[0].split(",")
    assert set(MANIFEST_COLUMNS) <= set(header)
    assert set(MANIFEST_COLUMNS) == set(manifest_module._REQUIRED)
    manifest: Manifest = read_manifest(cohort)
    assert {manifest.path(one) for one in manifest.cases} == {
        cohort / "scans" / "a.dcm",
        cohort / "scans" / "two",
    }
