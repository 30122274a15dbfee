"""Results of real and simulated studies before others' eyes: dicom3tools, dcmtk, PixelMed, FHIR.

dciodvfy and dcentvfy (Debian package dicom3tools) know the standard's modules, dsrdump (dcmtk) the
structure of reports, PixelMed's DicomSRValidator (pixelmed-apps, where it is installed) their
templates. A wrong reference passes all of them: tests/unit/dicom/results compares pixels.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from bonescint.classify import ClassifiedScan, ClassifySummary, classify

TOOLS = ("dciodvfy", "dcentvfy", "dsrdump")
needs_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS),
    reason="dciodvfy (dicom3tools) or dsrdump (dcmtk) is not installed",
)
EXPECTED_WARNINGS = (
    "99BONESCINT",  # a coding scheme of our own, for what no standard scheme has a code
    "Different information entities for attribute - Element=<AccessionNumber>",  # dcentvfy's own
)


def _example(name: str) -> Dataset:
    folder = resources.files("bonescint.classify") / "examples"
    return dcmread(Path(str(folder / f"simulated-{name}.dcm")))


def _as_another(dataset: Dataset, what: str) -> Dataset:
    """The same images as another patient's study."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, generate_uid(entropy_srcs=[what, keyword]))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientID = f"number-of-{what}"
    return dataset


def _named(character_set: str | list[str], name: str, what: str) -> Dataset:
    dataset = _as_another(_example("several-metastases"), what)
    dataset.SpecificCharacterSet = character_set
    dataset.PatientName = name
    return dataset


def _single_view(place: int, what: str) -> Dataset:
    """One of the two frames as an object of its own, in the series of the other."""
    dataset = _as_another(_example("several-metastases"), what)
    frame = dataset.pixel_array[place]
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[what, str(place)])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.InstanceNumber = place + 1
    dataset.NumberOfFrames = dataset.NumberOfDetectors = 1
    dataset.DetectorVector, dataset.EnergyWindowVector = [1], [1]
    dataset.DetectorInformationSequence = [dataset.DetectorInformationSequence[place]]
    for block in [element.tag for element in dataset if element.tag.is_private]:
        del dataset[block]
    return _with_pixels(dataset, frame)


def _with_pixels(dataset: Dataset, frame: np.ndarray) -> Dataset:
    dataset.Rows, dataset.Columns = frame.shape
    dataset.CountsAccumulated = int(frame.sum())
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.PixelData = np.ascontiguousarray(frame, "<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


_KEPT = (
    "StudyInstanceUID SeriesInstanceUID SOPInstanceUID PatientName PatientID PatientBirthDate "
    "PatientSex PatientIdentityRemoved DeidentificationMethod StudyDate StudyTime StudyID "
    "StudyDescription AccessionNumber ReferringPhysicianName"
)


def _screen(what: str) -> Dataset:
    """Both views in one secondary capture."""
    from pydicom.dataset import FileMetaDataset

    source = _as_another(_example("several-metastases"), what)
    dataset = Dataset()
    for keyword in _KEPT.split():
        setattr(dataset, keyword, source[keyword].value)
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Modality, dataset.ConversionType = "NM", "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY", "WHOLE BODY", "EMISSION"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    return _with_pixels(dataset, np.hstack(list(source.pixel_array)))


def _palette(what: str) -> Dataset:
    dataset = _screen(what)
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    return dataset


def _unlike(what: str) -> Dataset:
    """A scan such as no model knows: in squares of 8 x 8 pixels."""
    dataset = _as_another(_example("no-metastasis"), what)
    squares = dataset.pixel_array[:, ::8, ::8]
    frames = squares.repeat(8, axis=1).repeat(8, axis=2)
    dataset.CountsAccumulated = int(frames.sum())
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.PixelData = frames.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


STUDIES = {
    "two-frames.dcm": lambda: _example("several-metastases"),
    "negative.dcm": lambda: _example("no-metastasis"),
    "front.dcm": lambda: _single_view(0, "separate"),
    "back.dcm": lambda: _single_view(1, "separate"),
    "screen.dcm": lambda: _screen("screen"),
    "palette.dcm": lambda: _palette("palette"),
    "unlike.dcm": lambda: _unlike("unlike"),
    "japanese.dcm": lambda: _named(
        ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "japanese"
    ),
    "cyrillic.dcm": lambda: _named("ISO_IR 144", "Достоевская^Мария", "cyrillic"),
}


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """A run over all studies."""

    inbox: Path
    out: Path
    summary: ClassifySummary

    def result(self, name: str) -> ClassifiedScan:
        return next(one for one in self.summary.results if name in one.source)

    def objects(self, name: str) -> dict[str, Path]:
        """The DICOM files of a study by kind."""
        paths = [self.out / path for path in self.result(name).objects if path.endswith(".dcm")]
        return {path.name.split(".")[-2]: path for path in paths}

    def sources(self, name: str) -> list[Path]:
        return [self.inbox / part for part in self.result(name).source.split(" + ")]


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    pytest.importorskip("highdicom", reason="the extra pacs is not installed")
    folder = tmp_path_factory.mktemp("results-standard")
    inbox, out = folder / "inbox", folder / "out"
    inbox.mkdir()
    for name, make in STUDIES.items():
        make().save_as(inbox / name, enforce_file_format=True)
    picture = np.minimum(4 * _example("no-metastasis").pixel_array[0], 255).astype(np.uint8)
    Image.fromarray(picture).save(inbox / "p_anterior.png")
    summary = classify(inbox, out, workers=0, dicom=True, fhir=True)
    return Delivered(inbox=inbox, out=out, summary=summary)


def _said(*command: object) -> list[str]:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).splitlines()


def _complaints(lines: list[str]) -> list[str]:
    """Errors, and warnings that are not among those that the documents give the reason for."""
    return [
        line
        for line in lines
        if line.startswith(("Error", "Abort", "Warning"))
        and not any(expected in line for expected in EXPECTED_WARNINGS)
    ]


FULL = ("two-frames", "front", "screen", "japanese", "cyrillic")


def test_every_study_has_its_objects(delivered: Delivered) -> None:
    for name in FULL:
        assert set(delivered.objects(name)) == {"picture", "report", "outlines"}, name
    for name in ("negative", "unlike"):
        assert set(delivered.objects(name)) == {"picture", "report"}, name
    assert delivered.result("unlike").positive is None
    assert delivered.result("negative").positive is False
    assert [Path(one.source).name for one in delivered.summary.refused] == ["palette.dcm"]
    written = {path for one in delivered.summary.results for path in one.objects}
    found = [*delivered.out.glob("dicom/*"), *delivered.out.glob("fhir/*")]
    assert written == {path.relative_to(delivered.out).as_posix() for path in found}


def test_a_picture_is_classified_and_named_as_not_delivered(delivered: Delivered) -> None:
    result = delivered.result("p_anterior.png")
    assert result.objects == ()
    assert "p_anterior.png: is no DICOM file" in result.not_delivered
    told = [line for line in delivered.summary.messages() if "not written for other" in line]
    assert len(told) == 1
    assert str(delivered.inbox) not in told[0]


@needs_tools
@pytest.mark.parametrize("name", [*FULL, "negative", "unlike"])
def test_the_standard_s_modules_are_kept(delivered: Delivered, name: str) -> None:
    for kind, path in delivered.objects(name).items():
        lines = _said("dciodvfy", "-new", path)
        assert {"picture": "SCImage"}.get(kind, "ComprehensiveSR") in lines
        assert _complaints(lines) == []


@needs_tools
@pytest.mark.parametrize("name", [*FULL, "negative", "unlike"])
def test_objects_agree_on_patient_and_study(delivered: Delivered, name: str) -> None:
    lines = _said("dcentvfy", *delivered.sources(name), *delivered.objects(name).values())
    assert _complaints(lines) == []


@needs_tools
@pytest.mark.parametrize("name", ["two-frames", "front", "unlike", "cyrillic"])
def test_dcmtk_reads_the_reports(delivered: Delivered, name: str) -> None:
    result, objects = delivered.result(name), delivered.objects(name)
    lines = "\n".join(_said("dsrdump", "+U8", "+Pl", objects["report"]))
    assert f'"Probability of cancer")="{round(100 * result.mbd_probability, 4)}"' in lines
    assert ("Undetermined" if result.positive is None else "Present") in lines
    if name == "cyrillic":
        assert "Достоевская^Мария" in lines
    if "outlines" in objects:
        outlined = "\n".join(_said("dsrdump", "+U8", "+Pl", objects["outlines"]))
        assert outlined.count("(POLYLINE,") == outlined.count('"Tracking Identifier"') > 0


@pytest.mark.skipif(
    shutil.which("DicomSRValidator") is None,
    reason="DicomSRValidator (Debian package pixelmed-apps) is not installed",
)
@pytest.mark.slow
def test_the_templates_are_kept(delivered: Delivered) -> None:
    limits = " ".join(f"-Djdk.xml.xpath{kind}Limit=0" for kind in ("TotalOp", "ExprOp", "ExprGrp"))
    for kind in ("report", "outlines"):
        done = subprocess.run(
            ["DicomSRValidator", str(delivered.objects("front")[kind])],
            env={**os.environ, "JDK_JAVA_OPTIONS": limits},
            capture_output=True,
            text=True,
            check=False,
        )
        said = (done.stdout + done.stderr).splitlines()
        assert "Found Root Template TID_1500 (MeasurementReport)" in said
        assert "IOD validation complete" in said
        assert [line for line in said if line.startswith("Error")] == []


def _bundles(delivered: Delivered) -> list[tuple[ClassifiedScan, dict[str, Any]]]:
    return [
        (result, json.loads((delivered.out / path).read_text()))
        for result in delivered.summary.results
        for path in result.objects
        if path.endswith(".json")
    ]


def test_bundles_are_fhir_r5(delivered: Delivered) -> None:
    """By the types that fhir.resources made of the specification of R5."""
    bundle = pytest.importorskip("fhir.resources.bundle", reason="fhir.resources is not installed")
    for _, content in _bundles(delivered):
        kept = bundle.Bundle.model_validate_json(json.dumps(content))
        assert json.loads(kept.model_dump_json()) == content


def test_bundles_say_what_the_table_says_and_no_name(delivered: Delivered) -> None:
    bundles = _bundles(delivered)
    assert len(bundles) == len(delivered.summary.results) - 1  # all but the picture
    for result, content in bundles:
        resources_of = [entry["resource"] for entry in content["entry"]]
        by_url = {entry["fullUrl"]: entry["resource"] for entry in content["entry"]}
        report = resources_of[0]
        assert report["resourceType"] == "DiagnosticReport"
        assert "Research use only" in report["conclusion"]
        observed = [by_url[reference["reference"]] for reference in report["result"]]
        assert observed[0]["valueQuantity"]["value"] == pytest.approx(
            100 * result.mbd_probability, abs=1e-4
        )
        call = observed[1]["valueCodeableConcept"]["text"]
        assert call == {True: "Present", False: "Absent", None: "Undetermined"}[result.positive]
        study = by_url[report["study"][0]["reference"]]
        source = dcmread(delivered.sources(result.source)[0])
        assert study["identifier"][0]["value"] == f"urn:oid:{source.StudyInstanceUID}"
        text = json.dumps(content, ensure_ascii=False)
        assert not any(part in text for part in str(source.PatientName).split("^") if part)
        assert source.PatientID not in text


def test_outlines_of_a_bundle_are_those_of_the_report(delivered: Delivered) -> None:
    for name in ("two-frames", "front"):
        report = dcmread(delivered.objects(name)["outlines"])
        polygons = [
            list(element.value) for element in report.iterall() if element.keyword == "GraphicData"
        ]
        result = delivered.result(name)
        content = next(content for one, content in _bundles(delivered) if one is result)
        selected = [
            entry["resource"]["instance"][0]["imageRegion2D"][0]["coordinate"]
            for entry in content["entry"]
            if entry["resource"]["resourceType"] == "ImagingSelection"
        ]
        assert len(selected) == len(polygons) > 0
        for one, other in zip(selected, polygons, strict=True):
            np.testing.assert_allclose(one, other)


def test_a_second_run_writes_the_same(delivered: Delivered, tmp_path: Path) -> None:
    source = delivered.sources("two-frames")[0]
    again = classify(source, tmp_path / "out", workers=0, dicom=True, fhir=True)
    for path in again.results[0].objects:
        assert (tmp_path / "out" / path).read_bytes() == (delivered.out / path).read_bytes()
