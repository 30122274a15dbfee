"""Cohorts of a user's own scans."""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from tests.support.archive import SURNAME, another, bases, put, put_pair

from bonescint.cohort import (
    CreatedCohort,
    SplitRule,
    create_cohort,
    parse_shares,
    read_manifest,
    read_mask,
    truth_of,
)
from bonescint.cohort.splitting import PatientToSplit, deal
from bonescint.dicom import read
from bonescint.scan import InputError, MissingExtraError, OutputError, ParameterError, Split, View
from bonescint.tables import TableWarning

FIRST = 730155000
"""Number of the first patient: so long that no pixel, UID or pseudonym spells it by chance."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight studies of six patients, and files that are no scan."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(8):
        patient = f"00{FIRST + number % 6}"
        place = folder / f"{SURNAME}_{patient}" / f"study{number}.dcm"
        put(another(number), place, patient=patient, accession=f"ACC{number}")
    (folder / "notes.txt").write_text("nothing")
    return folder


def table(path: Path, rows: list[str], header: str = "accession,label,centre") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    rows = [f"ACC{number},{number % 2},{'AB'[number % 2]}" for number in range(8)]
    return table(tmp_path / "labels.csv", rows)


HALVES = SplitRule(shares={Split.TRAIN: 0.5, Split.TEST: 0.5})


def made(archive: Path, labels: Path, out: Path, **options: object) -> CreatedCohort:
    return create_cohort(archive, out, labels=labels, rule=HALVES, **options)  # type: ignore[arg-type]


def test_a_cohort_is_made_and_read_back(archive: Path, labels: Path, tmp_path: Path) -> None:
    created = made(archive, labels, tmp_path / "c")
    manifest = read_manifest(tmp_path / "c")
    assert manifest.cases == created.manifest.cases
    assert created.complete
    assert len(manifest.cases) == 8
    assert len({case.patient_id for case in manifest.cases}) == 6
    assert Counter(case.positive for case in manifest.cases) == {True: 4, False: 4}
    assert {case.sex for case in manifest.cases} == {"F"}
    assert {case.age for case in manifest.cases} == {68.0}
    for case in manifest.cases:
        scan = read(manifest.path(case))
        assert scan.scan_id == case.scan_id, "predictions must find their label"
    original = read(next(archive.rglob("study3.dcm")))
    copies = [read(manifest.path(case)) for case in manifest.cases]
    assert any(np.array_equal(copy.anterior, original.anterior) for copy in copies)  # type: ignore[arg-type]


def words_of(path: Path) -> str:
    """All that a file says but its pixels."""
    if path.suffix != ".dcm":
        return path.read_text(encoding="utf-8")
    return str(pydicom.dcmread(path, stop_before_pixels=True))


def test_no_identifier_reaches_the_cohort_or_its_names(
    archive: Path, labels: Path, tmp_path: Path
) -> None:
    created = made(archive, labels, tmp_path / "c")
    said = " ".join([*created.notes, *created.left_out_counts])
    files = list((tmp_path / "c").rglob("*"))
    names = " ".join(str(path.relative_to(tmp_path)) for path in files).encode()
    contents = [path.read_bytes() for path in files if path.is_file()]
    secrets = (SURNAME, str(FIRST + 1), str(FIRST + 4), "19510203", "20190607", str(archive))
    for secret in secrets:
        for content in (*contents, names, said.encode()):
            assert secret.encode() not in content, secret
    # too short to be looked for among pixels
    for text in [words_of(path) for path in files if path.is_file()]:
        assert "ACC" not in text
    private = tmp_path / "c.private"
    assert (private / "key").stat().st_mode & 0o077 == 0
    assert private.stat().st_mode & 0o077 == 0
    assert SURNAME in (private / "sources.csv").read_text()


def test_pseudonyms_depend_on_the_key(archive: Path, labels: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a long secret of somebody's")
    pairs = [made(archive, labels, tmp_path / name, key=key) for name in ("a", "b")]
    other = made(archive, labels, tmp_path / "c")
    patients = [{case.patient_id for case in one.manifest.cases} for one in (*pairs, other)]
    assert patients[0] == patients[1]
    assert not patients[0] & patients[2]
    key.write_text("short")
    with pytest.raises(InputError, match="holds no key"):
        made(archive, labels, tmp_path / "d", key=key)


def test_it_goes_on_where_it_was_stopped(
    archive: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    from bonescint.cohort import ingest

    real = ingest.read_study

    def counting(study: object) -> object:
        reads.append(str(study))
        return real(study)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest, "read_study", counting)

    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise StopError

    with pytest.raises(StopError):
        made(archive, labels, tmp_path / "c", progress=stop)
    assert not (tmp_path / "c" / "manifest.csv").exists()
    again = made(archive, labels, tmp_path / "c")
    assert len(reads) == 8, "three of them were not read again"
    assert len(again.manifest.cases) == 8
    victim = again.manifest.path(again.manifest.cases[0])
    before = victim.read_bytes()
    victim.unlink()
    made(archive, labels, tmp_path / "c")
    assert len(reads) == 9, "what was lost is made again"
    assert victim.read_bytes() == before


def test_processes_change_nothing(archive: Path, labels: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a long secret of somebody's")
    alone = made(archive, labels, tmp_path / "a", key=key)
    several = made(archive, labels, tmp_path / "b", key=key, workers=2)
    assert alone.manifest.cases == several.manifest.cases


def test_what_is_left_out_is_told(archive: Path, tmp_path: Path) -> None:
    labels = table(tmp_path / "labels.csv", ["ACC0,0,A", "ACC1,1,A", "ACC99,1,A"])
    created = made(archive, labels, tmp_path / "c")
    assert created.left_out_counts == {
        "no label": 6,
        "row without a scan": 1,
        "not a bone scan": 1,
    }
    assert not created.complete
    with (tmp_path / "c.private" / "left-out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {"kind": "row without a scan", "source": "row 4",
            "reason": "no scan of the folder has this name"} in rows  # fmt: skip
    about = json.loads((tmp_path / "c" / "cohort.json").read_text())
    assert about["left_out"]["no label"] == 6
    assert about["finished"] is True


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("accession,label", ["ACC0,0", "ACC1,maybe", "ACC2,", "ACC3,2"],
         ["row 3, column label: must be 0 or 1", "row 4, column label: is empty", "row 5"]),
        ("accession,label,sex,age", ["ACC0,0,X,12", "ACC1,1,F,old"],
         ["row 2, column sex", "row 3, column age"]),
        ("label,centre", ["0,A"], ["no column names the scans"]),
        ("accession,centre", ["ACC0,A"],
         ["columns missing: label (there are: accession, centre). Give a table with label and"]),
        ("accession,Accession Number,label", ["a,b,0"],
         ["row 1: several columns could be the accession: accession (column 1), Accession Number"]),
        ("accession,label", [",0"], ["row 2, column accession: nothing names the scan"]),
        ("accession,label,split", ["ACC0,0,tarin"], ["row 2, column split: must be one of"]),
        ("accession,label", ["ACC0,0", "ACC0,1"],
         ["row 3: names the same scan as row 2 and differs in label"]),
        ("patient,accession,label,split", ["p,ACC0,0,train", "p,ACC1,1,test"],
         ["row 3, column split: puts a patient into test who is in train by row 2"]),
        ("accession,label,mask_anterior", ["ACC0,1,none.png"], ["row 2, column mask_anterior"]),
        ("accession,label", ["ACC77,0"], ["no row identifies a scan"]),
        ("accession,label", [], ["holds no row"]),
    ],
)  # fmt: skip
def test_wrong_labels_are_named_by_row_and_column(
    archive: Path, tmp_path: Path, header: str, rows: list[str], words: list[str]
) -> None:
    labels = table(tmp_path / "labels.csv", rows, header)
    with pytest.raises(InputError) as raised:
        made(archive, labels, tmp_path / "c")
    message = str(raised.value).replace("labels.csv, ", "labels.csv: ")
    for word in words:
        assert word in message
    assert "ACC" not in message.replace("Accession", ""), "no value of the table is repeated"
    assert not (tmp_path / "c" / "manifest.csv").exists()


def test_wrong_labels_leave_nothing_behind(archive: Path, tmp_path: Path) -> None:
    labels = table(tmp_path / "labels.csv", ["ACC0,7"], "accession,label")
    with pytest.raises(InputError):
        made(archive, labels, tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


@pytest.mark.parametrize(
    "header_and_rows",
    [
        ("Patient ID;Label", [f"{FIRST + n};{n % 2}" for n in range(6)]),
        ("file\tlabel", [f"study{n}.dcm\t{n % 2}" for n in range(8)]),
        ("File Name,LABEL", [f"STUDY{n},{'positive' if n % 2 else 'negative'}" for n in range(8)]),
        ("filename,label", [f"{SURNAME}_00{FIRST + n % 6}/study{n}.dcm,{n % 2}.0"
                            for n in range(8)]),
    ],
)  # fmt: skip
def test_rows_name_scans_in_several_ways(
    archive: Path, tmp_path: Path, header_and_rows: tuple[str, list[str]]
) -> None:
    header, rows = header_and_rows
    labels = table(tmp_path / "labels.csv", rows, header)
    created = made(archive, labels, tmp_path / "c")
    assert len(created.manifest.cases) == 8
    assert len({case.patient_id for case in created.manifest.cases}) == 6


def test_a_study_uid_names_its_scan_and_windows_text_is_read(archive: Path, tmp_path: Path) -> None:
    from pydicom import dcmread

    uids = [dcmread(path).StudyInstanceUID for path in sorted(archive.rglob("*.dcm"))[::7]]
    labels = tmp_path / "labels.csv"
    labels.write_bytes(
        f"StudyInstanceUID,label,primary\n{uids[0]},0,Prostata-Ca\n{uids[1]},1,Nière\n".encode(
            "cp1252"
        )
    )
    created = made(archive, labels, tmp_path / "c")
    assert sorted(case.primary for case in created.manifest.cases) == ["Nière", "Prostata-Ca"]


def test_a_name_that_several_scans_have_is_not_guessed(tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / "archive" / str(number // 2)
        put(another(number), folder / f"scan{number % 2}.dcm", patient=f"p{number}")
    labels = table(
        tmp_path / "l.csv", ["scan0.dcm,1", "1/scan0.dcm,0", "scan1.dcm,1"], "file,label"
    )
    created = made(tmp_path / "archive", labels, tmp_path / "c")
    assert created.left_out_counts == {"row names several scans": 1, "no label": 1}


def test_pairs_of_pictures_and_a_label_a_patient(tmp_path: Path) -> None:
    for number in range(4):
        put_pair(another(number), tmp_path / "in", f"P{number:03d}")
    labels = table(tmp_path / "l.csv", [f"P{n:03d},{n % 2}" for n in range(4)], "patient,label")
    created = made(tmp_path / "in", labels, tmp_path / "c", layout="zenodo-13900966")
    assert len(created.manifest.cases) == 4
    assert any("not compared with the data set" in note for note in created.notes)
    manifest = read_manifest(tmp_path / "c")
    for case in manifest.cases:
        scan = read(manifest.path(case))
        assert scan.scan_id == case.scan_id
        assert scan.views == (View.ANTERIOR, View.POSTERIOR)
    originals = {another(n).total(View.ANTERIOR) for n in range(4)}
    assert {read(manifest.path(c)).total(View.ANTERIOR) for c in manifest.cases} == originals


def test_bs80k_takes_its_labels_from_text_files(tmp_path: Path) -> None:
    for number in range(4):
        for view, image in another(number).images():
            folder = tmp_path / "in" / ("ANT" if view is View.ANTERIOR else "POST")
            folder.mkdir(parents=True, exist_ok=True)
            grey = np.clip(image / image.max() * 2000, 0, 255).astype(np.uint8)
            Image.fromarray(grey).save(folder / f"{number:05d}.jpg", quality=95)
    lines = ["00000.jpg 0", "00001.jpg 1", "00002.jpg 0", "00003.jpg 0"]
    (tmp_path / "in" / "ANT.txt").write_text("\n".join(lines))
    (tmp_path / "in" / "POST.txt").write_text("\n".join(["00002.jpg 1", *lines[:2]]))
    (tmp_path / "in" / "chest.txt").write_text("00003.jpg 1\n")
    created = create_cohort(tmp_path / "in", tmp_path / "c", layout="bs-80k", rule=HALVES)
    assert Counter(case.positive for case in created.manifest.cases) == {True: 2, False: 2}
    assert any("counted as a separate patient" in note for note in created.notes)
    with pytest.raises(ParameterError, match="labels"):
        create_cohort(tmp_path / "in", tmp_path / "d", rule=HALVES)


def test_files_can_be_named_where_they_lie(archive: Path, labels: Path, tmp_path: Path) -> None:
    created = made(archive, labels, tmp_path / "c", copy=False)
    manifest = read_manifest(tmp_path / "c")
    for case in manifest.cases:
        assert manifest.path(case).resolve().is_relative_to(archive.resolve())
        assert read(manifest.path(case)).scan_id == case.scan_id
    assert created.complete
    assert not any((tmp_path / "c" / "scans").iterdir())


def test_the_same_pixels_come_in_once(tmp_path: Path) -> None:
    scan = another(1)
    put_pair(scan, tmp_path / "in" / "a", "x")
    put_pair(scan, tmp_path / "in" / "b", "y")
    put_pair(another(2), tmp_path / "in", "z")
    agreeing = table(tmp_path / "l.csv", ["p,x,1", "p,y,1", "q,z,0"], "patient,file,label")
    created = made(tmp_path / "in", agreeing, tmp_path / "c")
    assert created.left_out_counts == {"same pixels": 1}
    assert len(created.manifest.cases) == 2
    other = table(tmp_path / "m.csv", ["p,x,1", "r,y,0", "q,z,0"], "patient,file,label")
    doubted = made(tmp_path / "in", other, tmp_path / "d")
    assert doubted.left_out_counts == {"identical pixels, contradictory rows": 2}


@pytest.mark.parametrize("copy", [True, False])
def test_text_burned_into_pixels_comes_in_only_at_the_user_s_word(
    tmp_path: Path, copy: bool
) -> None:
    for number in (0, 1):
        path = tmp_path / "in" / f"{number}.dcm"
        put(another(number), path, patient=f"P{number}", accession=f"ACC{number}")
        dataset = pydicom.dcmread(path)
        dataset.BurnedInAnnotation = "YES" if number else "NO"
        dataset.save_as(path)
    labels = table(tmp_path / "labels.csv", ["ACC0,0", "ACC1,1"], "accession,label")
    created = made(tmp_path / "in", labels, tmp_path / "c", copy=copy)
    assert created.left_out_counts == {"text burned into the pixels": 1}
    assert [case.positive for case in created.manifest.cases] == [False]
    assert not created.complete
    assert "--allow-burned-in" in created.left_out[0].reason
    allowed = made(tmp_path / "in", labels, tmp_path / "c", copy=copy, allow_burned_in=True)
    assert allowed.complete
    assert sorted(case.positive for case in allowed.manifest.cases) == [False, True]


def test_if_no_scan_can_be_taken_the_message_names_none(tmp_path: Path) -> None:
    path = put(another(3), tmp_path / "in" / SURNAME / "1.dcm", patient="4711", accession="ACC0")
    dataset = pydicom.dcmread(path)
    dataset.BurnedInAnnotation = "YES"
    dataset.save_as(path)
    labels = table(tmp_path / "labels.csv", ["ACC0,0"], "accession,label")
    with pytest.raises(InputError) as raised:
        made(tmp_path / "in", labels, tmp_path / "c")
    left_out = tmp_path / "c.private" / "left-out.csv"
    assert str(raised.value) == (
        f"{tmp_path / 'in'}: no scan could be taken (text burned into the pixels). {left_out} "
        "says why, file by file."
    )
    assert SURNAME in left_out.read_text()


def test_masks_come_along(tmp_path: Path) -> None:
    for number in range(4):
        put(another(number), tmp_path / "in" / f"s{number}.dcm", patient=str(number))
    mask = np.zeros(bases()[0].shape, dtype=np.uint8)
    mask[300:310, 100:108] = 255
    Image.fromarray(mask).save(tmp_path / "drawn.png")
    rows = ["s0,1,drawn.png", "s1,0,", "s2,1,", "s3,0,"]
    labels = table(tmp_path / "l.csv", rows, "file,label,mask_anterior")
    made(tmp_path / "in", labels, tmp_path / "c")
    manifest = read_manifest(tmp_path / "c")
    masked = [case for case in manifest.cases if case.mask_anterior]
    assert len(masked) == 1
    truth = truth_of(manifest, masked[0], pixel_spacing_mm=(2.0, 2.0))
    assert truth is not None
    assert np.array_equal(truth.masks[View.ANTERIOR], mask > 0)
    assert [(focus.row, focus.column) for focus in truth.foci] == [(304.5, 103.5)]
    assert truth.foci[0].radius_mm == pytest.approx(np.sqrt(80 * 4 / np.pi))


def drawn(path: Path, top: int) -> Path:
    """A physician's mask of ten rows that begins at `top`."""
    mask = np.zeros(bases()[0].shape, dtype=np.uint8)
    mask[top : top + 10, 100:108] = 255
    Image.fromarray(mask).save(path)
    return path


def held(folder: Path) -> tuple[str, str, int]:
    """Of the masked scan: its patient in the manifest and in its copy, the mask's first row."""
    manifest = read_manifest(folder)
    (case,) = (one for one in manifest.cases if one.mask_anterior)
    header = pydicom.dcmread(manifest.path(case), stop_before_pixels=True)
    mask = read_mask(folder / case.mask_anterior)
    return case.patient_id, str(header.PatientID), int(np.nonzero(mask)[0].min())


def test_a_run_gets_no_copy_and_no_mask_of_another_run(tmp_path: Path) -> None:
    for number in range(2):
        put(another(number), tmp_path / "in" / f"s{number}.dcm", patient=str(number + 5))
    head = "file,label,patient,mask_anterior"
    for name, top in {"m1.png": 300, "m2.png": 500}.items():
        drawn(tmp_path / name, top)
    first = table(tmp_path / "1.csv", ["s0,1,P5,m1.png", "s1,0,P6,"], head)
    second = table(tmp_path / "2.csv", ["s0,1,Q5,m2.png", "s1,0,P6,"], head)
    for labels, top in ((first, 300), (second, 500), (first, 300)):
        made(tmp_path / "in", labels, tmp_path / "c")
        told, in_header, found = held(tmp_path / "c")
        assert (in_header, found) == (told, top)


def test_of_two_rows_with_the_same_pixels_each_has_its_own_mask(tmp_path: Path) -> None:
    put_pair(another(1), tmp_path / "in" / "a", "x")
    put_pair(another(1), tmp_path / "in" / "b", "y")
    put_pair(another(2), tmp_path / "in", "z")
    for name, top in {"m1.png": 300, "m2.png": 500}.items():
        drawn(tmp_path / name, top)
    rows = ["p,x,1,m1.png", "p,y,1,m2.png", "q,z,0,"]
    labels = table(tmp_path / "l.csv", rows, "patient,file,label,mask_anterior")
    (case,) = (
        one
        for one in made(tmp_path / "in", labels, tmp_path / "c").manifest.cases
        if one.mask_anterior
    )
    assert np.nonzero(read_mask(tmp_path / "c" / case.mask_anterior))[0].min() == 300
    assert len(list((tmp_path / "c" / "masks").iterdir())) == 1, "the other row is in no cohort"


def test_a_scan_that_was_withdrawn_is_gone(archive: Path, labels: Path, tmp_path: Path) -> None:
    made(archive, labels, tmp_path / "c")
    fewer = table(tmp_path / "fewer.csv", labels.read_text().splitlines()[1:-1])
    manifest = made(archive, fewer, tmp_path / "c").manifest
    there = {f"scans/{path.name}" for path in (tmp_path / "c" / "scans").iterdir()}
    assert there == {case.file for case in manifest.cases}
    assert len(there) == 7


def test_scans_of_another_archive_of_the_same_name_are_read(tmp_path: Path) -> None:
    labels = table(tmp_path / "l.csv", ["s0,1", "s1,0"], "file,label")
    (tmp_path / "in").mkdir()
    for seed in (10, 20):
        scans = [another(seed + number) for number in range(2)]
        with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as packed:
            for number, scan in enumerate(scans):
                path = put(scan, tmp_path / f"s{number}.dcm", patient=str(number + 5))
                packed.write(path, path.name)
        manifest = made(tmp_path / "in", labels, tmp_path / "c").manifest
        got = {read(manifest.path(case)).total(View.ANTERIOR) for case in manifest.cases}
        assert got == {scan.total(View.ANTERIOR) for scan in scans}


def test_another_release_reads_the_scans_again(
    archive: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bonescint.cohort import ingest

    made(archive, labels, tmp_path / "c")
    records = tmp_path / "c.private" / "studies"
    before = len(list(records.iterdir()))
    monkeypatch.setattr(ingest, "__version__", "99")
    made(archive, labels, tmp_path / "c")
    assert len(list(records.iterdir())) == 2 * before


def test_of_the_same_pixels_the_scan_with_a_patient_is_kept(tmp_path: Path) -> None:
    put_pair(another(40), tmp_path / "in" / "a", "x")
    for number, (name, patient) in enumerate((("y", "900"), ("z", "900"), ("q", "901"))):
        put(another(40 + number), tmp_path / "in" / "b" / f"{name}.dcm", patient=patient)
    labels = table(tmp_path / "l.csv", ["x,1", "y,1", "z,1", "q,0"], "file,label")
    created = made(tmp_path / "in", labels, tmp_path / "c")
    assert created.left_out_counts == {"same pixels": 1}
    assert len({case.patient_id for case in created.manifest.cases}) == 2
    assert {case.sex for case in created.manifest.cases} == {"F"}


def test_a_missing_extra_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        put(another(number), tmp_path / "in" / f"s{number}.dcm", patient=str(number))
    (tmp_path / "m.nii").write_bytes(b"any")
    labels = table(tmp_path / "l.csv", ["s0,1,m.nii", "s1,0,"], "file,label,mask_anterior")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match="masks"):
        made(tmp_path / "in", labels, tmp_path / "c")


def test_a_folder_of_somebody_else_is_not_touched(
    archive: Path, labels: Path, tmp_path: Path
) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="contains something else"):
        made(archive, labels, tmp_path / "c")
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["thesis.txt"]
    (tmp_path / "c" / "thesis.txt").rename(tmp_path / "c" / "cohort.json")
    with pytest.raises(OutputError, match="contains something else"):
        made(archive, labels, tmp_path / "c")
    assert (tmp_path / "c" / "cohort.json").read_text() == "mine"
    with pytest.raises(InputError, match="no such folder"):
        made(tmp_path / "none", labels, tmp_path / "d")


def test_an_archive_with_one_number_for_all_is_refused(tmp_path: Path) -> None:
    for number in range(3):
        put(another(number), tmp_path / "in" / f"s{number}.dcm", patient="STUDY-7")
    labels = table(tmp_path / "l.csv", [f"s{n},{n % 2}" for n in range(3)], "file,label")
    with pytest.raises(InputError, match="Give a column patient"):
        made(tmp_path / "in", labels, tmp_path / "c")


def test_a_placeholder_for_a_number_is_none(tmp_path: Path) -> None:
    for number in range(4):
        patient = "UNKNOWN" if number < 2 else f"P{number}"
        put(another(number), tmp_path / "in" / f"s{number}.dcm", patient=patient)
    labels = table(tmp_path / "l.csv", [f"s{n},{n % 2}" for n in range(4)], "file,label")
    created = made(tmp_path / "in", labels, tmp_path / "c")
    assert len({case.patient_id for case in created.manifest.cases}) == 4
    assert any(note.startswith("2 scans name no patient") for note in created.notes)


def test_a_told_split_is_kept(archive: Path, tmp_path: Path) -> None:
    rows = [f"ACC{n},{n % 2},{'train' if n % 6 < 3 else 'validation'}" for n in range(8)]
    labels = table(tmp_path / "l.csv", rows, "accession,label,split")
    created = made(archive, labels, tmp_path / "c")
    assert Counter(case.split for case in created.manifest.cases) == {
        Split.TRAIN: 5,
        Split.VALIDATION: 3,
    }


def test_test_centres_are_for_testing_only(archive: Path, labels: Path, tmp_path: Path) -> None:
    rule = SplitRule(shares=parse_shares("train=0.5,validation=0.5"), test_centres=("B",))
    created = create_cohort(archive, tmp_path / "c", labels=labels, rule=rule)
    splits = {(case.centre, case.split) for case in created.manifest.cases}
    assert {split for centre, split in splits if centre == "B"} == {Split.TEST}
    assert Split.TEST not in {split for centre, split in splits if centre == "A"}
    wrong = SplitRule(shares=HALVES.shares, test_centres=("Namur",))
    with pytest.raises(ParameterError, match="test_centre"):
        create_cohort(archive, tmp_path / "d", labels=labels, rule=wrong)


@pytest.mark.parametrize("seed", range(4))
def test_shares_hold_within_each_label(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = [
        PatientToSplit(
            patient_id=f"p{n}",
            positive=bool(rng.random() < 0.3),
            centres=frozenset({str(rng.choice(["A", "B", "C"]))}),
        )
        for n in range(301)
    ]
    shares = {Split.TRAIN: 0.6, Split.VALIDATION: 0.25, Split.TEST: 0.15}
    dealt = deal(people, SplitRule(shares=shares, seed=seed))
    assert dealt == deal(reversed(people), SplitRule(shares=shares, seed=seed))
    assert dealt != deal(people, SplitRule(shares=shares, seed=seed + 1))
    for positive in (True, False):
        of_label = [person for person in people if person.positive is positive]
        for split, share in shares.items():
            count = sum(dealt[person.patient_id] is split for person in of_label)
            assert abs(count - share * len(of_label)) < 1
    for centre in "ABC":
        there = [person for person in people if centre in person.centres]
        tested = sum(dealt[person.patient_id] is Split.TEST for person in there)
        assert abs(tested - 0.15 * len(there)) <= 3


@pytest.mark.parametrize("text", ["train=0.5", "train=0.7,test=0.7", "tarin=1", "train=x,test=1"])
def test_wrong_shares_are_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        SplitRule(shares=parse_shares(text))


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("accession,label,centre", '"=""{accession}""",{label},{centre}'),
        ("accession,label,centre", "'{accession},{label},{centre}"),
        ("accession;label;centre", "\u00a0{accession};{label},0;{centre} "),
        ("accession;label;centre", "{accession};{word};{centre}"),
        ("Accession Number|LABEL|Hospital", "{accession}|{label}.0|{centre}"),
    ],
)
def test_labels_as_spreadsheets_write_them(
    archive: Path, tmp_path: Path, header: str, cells: str
) -> None:
    rows = [
        cells.format(
            accession=f"ACC{n}", label=n % 2, word=("nein", "Ja")[n % 2], centre="AB"[n % 2]
        )
        for n in range(8)
    ]
    created = made(
        archive, table(tmp_path / "labels.csv", rows, header), tmp_path / "c", copy=False
    )
    assert created.complete
    assert [case.positive for case in created.manifest.cases].count(True) == 4
    assert {(case.centre, case.positive) for case in created.manifest.cases} == {
        ("A", False), ("B", True)
    }  # fmt: skip


def test_a_patient_and_a_centre_in_two_spellings_are_one(archive: Path, tmp_path: Path) -> None:
    rows = [f"{'pP'[n % 2]}{n // 2},ACC{n},{n % 2},{'zZ'[n % 2]}urich" for n in range(8)]
    labels = table(tmp_path / "labels.csv", rows, "patient,accession,label,centre")
    created = made(archive, labels, tmp_path / "c", copy=False)
    assert len({case.patient_id for case in created.manifest.cases}) == 4
    assert {case.centre for case in created.manifest.cases} == {"zurich"}
    said = [note for note in created.notes if note.startswith("Table of labels")]
    assert said == [
        "Table of labels: centre zurich is also written Zurich: taken for the same.",
        "Table of labels: patients of row 3, 5, 7, 9 differ from others in capitals, spaces or "
        "leading zeros only: taken for the same.",
    ]


def test_a_manifest_in_two_spellings(tmp_path: Path) -> None:
    head = "scan_id;patient_id;centre;split;label;file;age\n"
    path = tmp_path / "manifest.csv"
    path.write_text(head + "s1;P1;A;train;1;a.dcm;61,5\nS1;p1;a;train;0,0;b.dcm;\n")
    with pytest.warns(TableWarning) as warned:
        manifest = read_manifest(path)
    assert [(case.patient_id, case.centre, case.age) for case in manifest.cases] == [
        ("P1", "A", 61.5), ("P1", "A", None)
    ]  # fmt: skip
    assert [str(one.message).removeprefix(f"{path}: ") for one in warned] == [
        "patient P1 is also written p1: taken for the same.",
        "centre A is also written a: taken for the same.",
        "scan s1 is also written S1: kept apart.",
    ]
    path.write_text(path.read_text().replace("S1;p1;a;train", "s2;p1;A;test"))
    with pytest.warns(TableWarning), pytest.raises(InputError, match="patient P1 is in train and"):
        read_manifest(path)
