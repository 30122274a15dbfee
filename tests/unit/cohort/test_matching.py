"""Rows to studies, one rule at a time: what names a scan, what does not, and what is said."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from bonescint.cohort.labels import LabelRow, Labels
from bonescint.cohort.matching import Exclusion, Matching, match
from bonescint.dicom import StudyFiles
from bonescint.scan import InputError

KEY = b"a secret key of a cohort"


def pseudonym(patient: str) -> str:
    """RFC 7693's keyed BLAKE2b over the length-prefixed number, by the standard library."""
    digest = blake2b(digest_size=8, key=KEY, person=b"patient")
    digest.update(len(patient).to_bytes(8, "little") + patient.encode())
    return f"pt-{digest.hexdigest()}"


def picture(path: Path) -> StudyFiles:
    """A file that says nothing of its patient; its pixels are never looked at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG")
    return StudyFiles((path,), str(path))


def header(path: Path, *, patient: str = "", study: str = "", accession: str = "") -> StudyFiles:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.20"
    dataset.SOPInstanceUID = f"1.2.3.{abs(hash(path)) % 10**9}"
    dataset.PatientID, dataset.StudyInstanceUID = patient, study
    dataset.AccessionNumber, dataset.PatientSex = accession, "F"
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(path, dataset, enforce_file_format=True)
    return StudyFiles((path,), str(path))


def matched(rows: list[LabelRow], studies: list[StudyFiles], folder: Path) -> Matching:
    labels = Labels(source="labels.csv", rows=tuple(rows), has_split=False, folder=folder)
    return match(labels, studies, folder, id_key=KEY)


def row(number: int, *, positive: bool = True, **named: str) -> LabelRow:
    return LabelRow(row=number, positive=positive, **named)  # type: ignore[arg-type]


def pairs(found: Matching) -> list[tuple[str, int]]:
    return [(one.study.source, one.row.row) for one in found.labelled]


def test_every_filled_cell_must_agree(tmp_path: Path) -> None:
    one = header(tmp_path / "1.dcm", patient="7", study="1.2.7", accession="A1")
    other = header(tmp_path / "2.dcm", patient="7", study="1.2.8", accession="A1")
    both = matched([row(2, accession="A1")], [one, other], tmp_path)
    assert pairs(both) == [(one.source, 2), (other.source, 2)]
    exact = matched([row(2, accession="A1", study="1.2.8")], [one, other], tmp_path)
    assert pairs(exact) == [(other.source, 2)]
    named = matched([row(2, accession="A1", file="1")], [one, other], tmp_path)
    assert pairs(named) == [(one.source, 2)]
    assert named.left_out == (
        Exclusion(kind="no label", source=other.source, reason="no row identifies this scan"),
    )
    against = matched([row(3, accession="A1", study="1.2.9")], [one, other], tmp_path)
    assert against.labelled == ()
    assert against.left_out[0] == Exclusion(
        kind="row without a scan", source="row 3", reason="no scan of the folder has this name"
    )


def test_a_patient_names_all_scans_unless_a_scan_is_named(tmp_path: Path) -> None:
    scans = [header(tmp_path / f"{n}.dcm", patient="7", study=f"1.2.{n}") for n in range(3)]
    assert pairs(matched([row(2, patient="007")], scans, tmp_path)) == [
        (scan.source, 2) for scan in scans
    ]
    one = matched([row(2, patient="7", study="1.2.1")], scans, tmp_path)
    assert pairs(one) == [(scans[1].source, 2)]


def test_a_file_that_several_scans_are_called_is_left_out(tmp_path: Path) -> None:
    scans = [picture(tmp_path / place / "scan.png") for place in ("a", "b")]
    found = matched([row(2, file="scan.png"), row(3, file="b\\scan.png")], scans, tmp_path)
    assert found.left_out[0] == Exclusion(
        kind="row names several scans",
        source="row 2",
        reason="names 2 scans; give the path below the folder",
    )
    assert pairs(found) == [(scans[1].source, 3)]
    assert [one.kind for one in found.left_out] == ["row names several scans", "no label"]


def test_folders_and_file_names_name_patients_of_pictures_only(tmp_path: Path) -> None:
    """A header that tells the patient is believed; the folder that was searched names nobody."""
    beside = picture(tmp_path / "Doe Jane" / "x.png")
    top = picture(tmp_path / "P_7_anterior.png")
    numbered = header(tmp_path / "Roe" / "y.dcm", patient="12", study="1.2.3")
    uid_only = header(tmp_path / "Poe" / "y.dcm", study="1.2.4")
    scans = [beside, top, numbered, uid_only]

    def of(patient: str) -> list[str]:
        return [source for source, _ in pairs(matched([row(2, patient=patient)], scans, tmp_path))]

    assert of("doe jane") == [beside.source]
    for spelling in ("p 7", "P_7", "p-7"):
        assert of(spelling) == [top.source]
    assert of("12") == [numbered.source]
    for nobody in ("Roe", "Poe", tmp_path.name, "13"):
        assert of(nobody) == []


@pytest.mark.parametrize(
    ("folder", "patient"),
    [("Mu\u0308ller", "M\u00fcller"), ("MÜLLER  Eva", "müller eva"), ("Strauß", "STRAUSS")],
)
def test_names_of_people_are_the_same_in_any_form_of_their_letters(
    tmp_path: Path, folder: str, patient: str
) -> None:
    scan = picture(tmp_path / folder / "x.png")
    assert pairs(matched([row(2, patient=patient)], [scan], tmp_path)) == [(scan.source, 2)]


def test_rows_for_one_scan_may_repeat_and_must_not_differ(tmp_path: Path) -> None:
    scan = header(tmp_path / "1.dcm", patient="7", study="1.2.7", accession="A1")
    same = matched([row(2, accession="A1"), row(5, study="1.2.7")], [scan], tmp_path)
    assert pairs(same) == [(scan.source, 2)]
    rows = [
        LabelRow(row=2, positive=True, accession="A1", centre="A", age=60.0, sex="F"),
        LabelRow(row=4, positive=False, study="1.2.7", centre="A", age=61.0, sex="F"),
        LabelRow(row=6, positive=True, accession="A1", centre="A", age=60.0, sex="F"),
        LabelRow(row=7, positive=True, accession="A1", centre="A", age=60.0, sex="M"),
    ]
    with pytest.raises(InputError) as raised:
        matched(rows, [scan], tmp_path)
    assert str(raised.value) == (
        "labels.csv: 2 problems: row 4: names the same scan as row 2 and differs in label, age; "
        "row 7: names the same scan as row 2 and differs in sex. Correct the table."
    )


def test_what_two_scans_show_of_two_rows_is_said_once(tmp_path: Path) -> None:
    scans = [header(tmp_path / f"{n}.dcm", patient="7", study=f"1.2.{n}") for n in range(2)]
    rows = [row(2, patient="7"), row(3, patient="7", positive=False)]
    said = "labels.csv, row 3: names the same scan as row 2 and differs in label. Correct the table"
    with pytest.raises(InputError, match=said):
        matched(rows, scans, tmp_path)


def test_the_patient_is_the_tables_then_the_headers_then_the_scan_itself(tmp_path: Path) -> None:
    scan = header(tmp_path / "1.dcm", patient="0012", study="1.2.7")
    silent = [header(tmp_path / f"{n}.dcm", study=f"1.2.{n}") for n in (8, 9)]
    found = matched(
        [row(2, study="1.2.7", patient="X5"), row(3, study="1.2.8"), row(4, study="1.2.9")],
        [scan, *silent],
        tmp_path,
    )
    table, first, second = found.labelled
    assert (table.patient_id, table.patient_assumed) == (pseudonym("X5"), False)
    assert (first.patient_assumed, second.patient_assumed) == (True, True)
    assert len({table.patient_id, first.patient_id, second.patient_id}) == 3
    (told,) = matched([row(2, study="1.2.7")], [scan], tmp_path).labelled
    assert (told.patient_id, told.patient_assumed) == (pseudonym("12"), False)
    assert told.keys.sex == "F"


def test_patients_with_one_number_in_their_headers_are_doubted(
    tmp_path: Path,
) -> None:
    scans = [header(tmp_path / f"{n}.dcm", patient="7", study=f"1.2.{n}") for n in range(4)]
    alone = header(tmp_path / "alone.dcm", patient="8", study="1.2.99")

    def doubted(*patients: str) -> int:
        rows = [row(n + 2, study=f"1.2.{n}", patient=name) for n, name in enumerate(patients)]
        rows.append(row(20, study="1.2.99", patient="Z"))
        return matched(rows, [*scans, alone], tmp_path).doubted

    assert doubted("A", "A", "A", "A") == 0
    assert doubted("A", "B", "A", "A") == 1
    assert doubted("A", "B", "C", "A") == 2
    assert doubted("A", "", "", "") == 0, "whom the table tells once is the same everywhere"
    assert doubted("A", "B", "", "") == 2, "whom the header tells may be either"


def test_a_row_without_a_patient_has_the_one_whom_another_row_tells(tmp_path: Path) -> None:
    scans = [header(tmp_path / f"{n}.dcm", patient="7", study=f"1.2.{n}") for n in range(2)]
    rows = [row(2, study="1.2.0"), row(3, study="1.2.1", patient="P01")]
    found = matched(rows, scans, tmp_path)
    assert {one.patient_id for one in found.labelled} == {pseudonym("P01")}
    doubtful = header(tmp_path / "3.dcm", patient="7", study="1.2.3")
    rows.append(row(4, study="1.2.3", patient="P02"))
    found = matched(rows, [*scans, doubtful], tmp_path)
    assert found.labelled[0].patient_id == pseudonym("7"), "which of the two would be a guess"


def test_leading_zeros_of_pictures_are_ignored_unless_that_is_a_guess(tmp_path: Path) -> None:
    scans = [picture(tmp_path / name / "x.png") for name in ("001", "002", "03", "3")]
    top = picture(tmp_path / "0007")
    rows = [*(row(n, patient=str(n)) for n in (1, 2, 3)), row(7, file="./7")]
    found = matched(rows, [*scans, top], tmp_path)
    assert pairs(found) == [(scans[0].source, 1), (scans[1].source, 2), (top.source, 7)]
    assert found.left_out[0] == Exclusion(
        kind="row names several scans",
        source="row 3",
        reason="names pictures whose numbers differ in leading zeros; give a column file",
    )
    beside = picture(tmp_path / "07")
    (ambiguous, *_) = matched([rows[-1]], [top, beside], tmp_path).left_out
    assert ambiguous.reason == "names 2 scans; give the path below the folder"


def test_a_scan_that_cannot_be_read_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    scan, gone = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    gone.files[0].unlink()
    found = matched([row(2, file="a"), row(3, file="b")], [gone, scan], tmp_path)
    assert pairs(found) == [(scan.source, 2)]
    unread, unnamed = found.left_out
    assert (unread.kind, unread.source) == ("not readable", gone.source)
    assert "does not exist" in unread.reason
    assert (unnamed.kind, unnamed.source) == ("row without a scan", "row 3")
