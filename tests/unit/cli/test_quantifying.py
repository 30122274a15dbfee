from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from bonescint.cli.app import app
from bonescint.dicom import read
from bonescint.model import EvidenceMap, shipped_model, write_model_folder

REAL = str(get_testdata_file("JPGExtended.dcm", download=False))
"""A real scan of a camera that the shipped model does not know: no call, no index."""
EXAMPLES = Path(str(resources.files("bonescint.classify") / "examples"))
EXAMPLE = EXAMPLES / "simulated-one-metastasis.dcm"


def run(*words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["quantify", *words])
    return ran.exit_code, ran.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quantified") / "out"
    status, printed = run(REAL, "missing.dcm", "--out", str(out))
    assert status == 1
    assert "no call" in printed
    return out


def test_a_scan_that_is_not_called_has_no_index(results: Path) -> None:
    content = json.loads((results / "results.json").read_text(encoding="utf-8"))
    (scan,) = content["scans"]
    assert scan["call"] == "no call"
    assert scan["bone_scan_index"] is None
    assert any("too unlike" in remark for remark in scan["remarks"])
    assert content["notice"].startswith("Research use only")
    assert content["refused"][0]["source"] == "missing.dcm"
    with (results / "scans.csv").open(encoding="utf-8") as stream:
        assert next(csv.DictReader(stream))["bone_scan_index_percent"] == ""


def test_picture_table_and_page_are_there(results: Path) -> None:
    (scan,) = json.loads((results / "results.json").read_text(encoding="utf-8"))["scans"]
    with Image.open(results / scan["picture"]) as picture:
        assert picture.width > 700
    with (results / "foci.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(scan["foci"])
    assert {row["views"] for row in rows} == {"AP"}
    page = (results / "index.html").read_text(encoding="utf-8")
    assert scan["scan_id"] in page
    assert "Research use only" in page


def test_a_finished_scan_is_not_repeated(results: Path) -> None:
    records = sorted((results / "scans").iterdir())
    before = [record.stat().st_mtime_ns for record in records]
    assert run(REAL, "--out", str(results))[0] == 0
    assert [record.stat().st_mtime_ns for record in records] == before


def test_what_a_result_depends_on_besides_its_files_is_known(tmp_path: Path) -> None:
    """The view of a picture is in its name alone."""
    counts, out = read(REAL).anterior, tmp_path / "out"
    assert counts is not None
    picture = tmp_path / "p_anterior.png"
    Image.fromarray(np.minimum(counts, 255).astype(np.uint8)).save(picture)

    def result(*more: str) -> tuple[str, list[str]]:
        status, printed = run(str(picture), *more, "--json", "--out", str(out))
        assert status == 0
        (scan,) = json.loads(printed)["scans"]
        return scan["picture"], list(scan["regions"])

    first, views = result()
    assert views == ["anterior"]
    picture = picture.rename(tmp_path / "p_posterior.png")
    second, views = result()
    assert views == ["posterior"]
    assert len({first, second, result("--device", "auto")[0]}) == 3


def test_reports_are_written_and_go_with_the_run_that_wrote_them(tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="the extra pacs is not installed")
    picture, out = tmp_path / "p_anterior.png", tmp_path / "out"
    counts = read(REAL).anterior
    assert counts is not None
    Image.fromarray(np.minimum(counts, 255).astype(np.uint8)).save(picture)
    ran = CliRunner().invoke(
        app, ["quantify", REAL, str(picture), "--dicom", "--json", "--out", str(out)]
    )
    assert ran.exit_code == 1
    assert "No DICOM reports: p_anterior.png: is no DICOM file" in ran.stderr.replace("\n", " ")
    real, drawn = json.loads(ran.stdout)["scans"]
    assert drawn["objects"] == []
    # Without a call there is no report of foci.
    assert {Path(path).name.split(".")[1] for path in real["objects"]} == {"quantities"}
    assert {path.name for path in (out / "dicom").iterdir()} == {
        Path(path).name for path in real["objects"]
    }
    (out / "dicom" / "somebody-elses.dcm").write_bytes(b"")
    status, printed = run(REAL, "--json", "--out", str(out))
    assert status == 0
    assert "objects" not in json.loads(printed)["scans"][0]
    assert [path.name for path in (out / "dicom").iterdir()] == ["somebody-elses.dcm"]


def test_any_number_of_workers_writes_the_same(tmp_path: Path) -> None:
    examples = resources.files("bonescint.classify") / "examples"
    for name in ("simulated-one-metastasis.dcm", "simulated-no-metastasis.dcm"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes((examples / name).read_bytes())
    (tmp_path / "in" / "cut-off.dcm").write_bytes(Path(REAL).read_bytes()[:3000])
    written = []
    for workers in ("0", "2"):
        out = tmp_path / workers
        ran = run(REAL, str(tmp_path / "in"), REAL, "--out", str(out), "--workers", workers)
        assert ran[0] == 1
        files = sorted(file for file in out.rglob("*") if file.is_file())
        contents = {str(file.relative_to(out)): file.read_bytes() for file in files}
        contents["index.html"] = re.sub(rb"Made .* UTC", b"", contents["index.html"])
        written.append(contents)
    assert written[0] == written[1]
    content = json.loads(written[0]["results.json"])
    sources = [scan["source"] for scan in content["scans"]]
    assert sources[-2:] == ["simulated-no-metastasis.dcm", "simulated-one-metastasis.dcm"]
    assert [entry["source"] for entry in content["refused"]] == ["cut-off.dcm"]


def test_a_run_that_was_stopped_resumes(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(results, out)
    (record,) = (out / "scans").glob("*.json")
    record.unlink()  # the run ended before this scan was finished
    assert run(REAL, "--out", str(out), "--workers", "1")[0] == 0
    made = json.loads(record.read_text(encoding="utf-8"))
    assert "source" not in made  # the same content may come from another file in a later run
    (kept,) = json.loads((results / "results.json").read_text(encoding="utf-8"))["scans"]
    assert {**made, "source": kept["source"]} == kept


def test_a_device_that_is_not_there_is_no_fault_of_the_scan(tmp_path: Path) -> None:
    from openvino import Core

    if "GPU" in Core().available_devices:
        pytest.skip("OpenVINO sees a GPU")
    ran = CliRunner().invoke(
        app, ["quantify", REAL, "--device", "gpu", "--out", str(tmp_path / "out")]
    )
    assert ran.exit_code == 2
    assert "'device'" in ran.stderr


def numbers_named_mm(value: object, name: str = "") -> list[str]:
    """Names with millimetres in a result that have a value."""
    if isinstance(value, dict):
        return [found for key, of in value.items() for found in numbers_named_mm(of, key)]
    if isinstance(value, list):
        return [found for of in value for found in numbers_named_mm(of, name)]
    return [name] if "mm" in name and value is not None else []


def test_a_picture_has_shares_of_bone_and_no_millimetre(tmp_path: Path) -> None:
    """Its pixels have no known size: what is found has none either."""
    picture, out = tmp_path / "p_anterior.png", tmp_path / "out"
    counts = read(REAL).anterior
    assert counts is not None
    Image.fromarray(np.minimum(counts, 255).astype(np.uint8)).save(picture)
    status, printed = run(str(picture), "--call-anyway", "--json", "--out", str(out))
    assert status == 0
    (scan,) = json.loads(printed)["scans"]
    assert any("areas are shares" in remark for remark in scan["remarks"])
    assert numbers_named_mm(scan) == []
    shares = [of["share_of_bone"] for of in scan["regions"]["anterior"].values()]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    with (out / "foci.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        assert row["area_mm2_anterior"] == row["area_mm2_posterior"] == ""
        assert 0 < float(row["share_of_bone_anterior"]) < 1
    page = re.sub(r"<(style|script).*?</\1>", "", (out / "index.html").read_text(), flags=re.S)
    words = re.sub(r"<[^>]*>", " ", page)
    assert "area, % of all bone" in words
    assert not re.search(r"\b(mm|cm)\b|mm2|mm²|cm²|\d (milli|centi)metre", words)


def test_called_anyway_it_has_an_index_that_names_its_masses(tmp_path: Path) -> None:
    words = ("--call-anyway", "--masses", "simulator", "--json", "--out", str(tmp_path / "out"))
    status, printed = run(REAL, *words)
    assert status == 0
    (scan,) = json.loads(printed)["scans"]
    assert scan["bone_scan_index"]["bone_masses"] == "simulator"
    assert scan["bone_scan_index"]["percent"] >= 0


def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "foci.csv").write_text("mine", encoding="utf-8")
    assert run(REAL, "--out", str(tmp_path))[0] == 2
    assert (tmp_path / "foci.csv").read_text(encoding="utf-8") == "mine"


def test_a_typing_error_deletes_no_earlier_results(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(results, out)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    ran = CliRunner().invoke(app, ["quantify", "missing.dcm", "--out", str(out)])
    assert ran.exit_code == 2
    assert "left as they are" in " ".join(ran.stderr.split())
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


def test_nothing_to_quantify(tmp_path: Path) -> None:
    assert run("missing.dcm", "--out", str(tmp_path / "out"))[0] == 2


def test_a_scan_has_not_changed_against_itself(tmp_path: Path) -> None:
    out = tmp_path / "change"
    status, printed = run(
        REAL, "--prior", REAL, "--weeks", "0", "--weeks", "9", "--call-anyway", "--out", str(out)
    )
    assert status == 0
    assert "PCWG3: No progression." in printed
    assert "have the same identifiers" in printed
    content = json.loads((out / "change.json").read_text(encoding="utf-8"))
    assert {one["change"] for one in content["changes"]} <= {"unchanged"}
    assert content["new_foci"] == [[0, 0], [0, 0]]
    assert content["progression"]["state"] == "no progression"
    with Image.open(out / "change.png") as picture:
        assert picture.width > 700
    assert "2+2 rule" in (out / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        (REAL, REAL, "--prior", REAL),
        (REAL, "--weeks", "1"),
        (REAL, "--prior", REAL, "--weeks", "1"),
        (REAL, "--prior", REAL, "--weeks", "9", "--weeks", "0"),
        (REAL, "--prior", REAL, "--dicom"),
        (REAL, "--prior", REAL, "--workers", "2"),
    ],
    ids=["two scans", "no prior", "too few weeks", "weeks fall", "reports", "workers"],
)
def test_a_change_needs_one_scan_its_priors_and_their_weeks(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    assert run(*words, "--out", str(tmp_path / "out"))[0] == 2


def test_scans_that_are_not_of_one_patient_are_told(tmp_path: Path) -> None:
    before = dcmread(REAL)
    before.PatientID, before.PatientName = "quixote-77", "QUIXOTE^ALONSO"
    before.StudyInstanceUID, before.SOPInstanceUID = "1.2.3.77", "1.2.3.77.1"
    before.file_meta.MediaStorageSOPInstanceUID = before.SOPInstanceUID
    before.save_as(tmp_path / "before.dcm")
    out = tmp_path / "change"
    weeks = ("--weeks", "0", "--weeks", "9")
    status, printed = run(REAL, "--prior", str(tmp_path / "before.dcm"), *weeks, "--out", str(out))
    assert status == 0
    content = json.loads((out / "change.json").read_text(encoding="utf-8"))
    remark, doubtful = content["remarks"]
    assert "different Patient IDs" in remark
    assert "scan 1, 2" in doubtful  # which the model does not call
    assert content["progression"] is None
    page = (out / "index.html").read_text(encoding="utf-8")
    for told in (printed, page):
        assert "different Patient IDs" in told
        assert not re.search("quixote", told, re.IGNORECASE)


def one_view(view: int, path: Path, day: str) -> Path:
    """One frame of a simulated scan, as a scan of another day."""
    dataset = dcmread(EXAMPLE)
    frame = dataset.pixel_array[view]
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{day}.{view}"
    dataset.StudyInstanceUID = "1.2.3.77"
    dataset.AcquisitionDate = dataset.StudyDate = day
    dataset.NumberOfFrames = dataset.NumberOfDetectors = 1
    dataset.DetectorVector, dataset.EnergyWindowVector = [1], [1]
    dataset.DetectorInformationSequence = [dataset.DetectorInformationSequence[view]]
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.PixelData = np.ascontiguousarray(frame, "<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_scans_that_differ_in_more_than_the_patient_are_told(tmp_path: Path) -> None:
    """Views, their order by day in one year, and two views of one study as two scans."""
    front = one_view(0, tmp_path / "front.dcm", "20110302")
    back = one_view(1, tmp_path / "back.dcm", "20110209")
    out = tmp_path / "change"
    words = (str(back), "--prior", str(front), "--call-anyway", "--out", str(out))
    status, printed = run(*words)
    assert status == 0
    told = json.loads((out / "change.json").read_text(encoding="utf-8"))["remarks"]
    assert [remark.split(":")[0] for remark in told] == [
        "Two of the scans are of one study",
        "The scans do not have the same views",
        "By their headers the scans are not in order",
    ]
    assert " ".join(told[1].split()) in " ".join(printed.split())
    assert "anterior view only" in " ".join(printed.split())  # of a scan


def test_a_map_that_is_no_probability_is_refused(tmp_path: Path) -> None:
    folder = shipped_model()
    card = replace(folder.card, evidence_map=EvidenceMap(kind="Grad-CAM", cell=8))
    write_model_folder(tmp_path / "model", card=card, onnx=folder.onnx_path.read_bytes())
    for more in ((), ("--prior", REAL)):
        words = ["quantify", REAL, *more, "--model", str(tmp_path / "model")]
        ran = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
        assert ran.exit_code == 2
        assert "probability of each cell" in " ".join(ran.stderr.split())


def test_scans_with_the_same_identifiers_are_told_apart(tmp_path: Path) -> None:
    """Some anonymisers give a whole archive one UID; the same content twice is a duplicate."""
    other = dcmread(EXAMPLE)
    counts = other.pixel_array.copy()
    counts[:, 0, 0] += 1
    other.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    other.PixelData = counts.astype("<u2").tobytes()
    other["PixelData"].VR = "OW"
    other.save_as(tmp_path / "other.dcm", enforce_file_format=True)
    for name in ("a", "b"):
        picture = Image.fromarray(np.minimum(counts[0], 255).astype(np.uint8))
        (tmp_path / name).mkdir()
        picture.save(tmp_path / name / "p_anterior.png")
    words = [str(EXAMPLE), str(tmp_path), "--json", "--out", str(tmp_path / "out")]
    status, printed = run(*words)
    assert status == 1
    content = json.loads(printed)
    names = {one["source"]: one["scan_id"] for one in content["scans"]}
    first, second = names[EXAMPLE.name], names["other.dcm"]
    assert second.startswith(f"{first}-") or first.startswith(f"{second}-")
    ran = CliRunner().invoke(app, ["classify", *words[:-1], str(tmp_path / "classified")])
    assert names == {one["source"]: one["scan_id"] for one in json.loads(ran.stdout)["results"]}
    assert sum("same identifiers" in " ".join(one["remarks"]) for one in content["scans"]) == 1
    assert any("is a duplicate" in one["reason"] for one in content["refused"])


def test_what_the_model_says_of_a_scan_stands_in_its_remarks(results: Path) -> None:
    (scan,) = json.loads((results / "results.json").read_text(encoding="utf-8"))["scans"]
    assert any("unlike" in remark for remark in scan["remarks"])


@pytest.mark.parametrize("prior", [(), ("--prior", REAL)], ids=["scan", "change"])
def test_results_are_not_written_to_a_bucket(
    prior: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, ["quantify", REAL, *prior, "--out", "s3://results/run-7"])
    assert ran.exit_code == 2
    assert "s3://results/run-7" in ran.stderr
    assert not list(tmp_path.iterdir())


def test_a_prior_is_one_scan(tmp_path: Path) -> None:
    assert run(REAL, "--prior", str(tmp_path), "--out", str(tmp_path / "out"))[0] == 2
