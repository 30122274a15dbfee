"""Structured Reports of quantified scans, read back by pydicom alone, and by dciodvfy."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid
from scipy import ndimage
from tests.support.known_scan import answer
from tests.support.result_files import ALGORITHM

from bonescint.classify.bone_codes import REGION_CODES, code_of_bone
from bonescint.classify.quantified_report import QuantifiedReport, quantified_reports
from bonescint.dicom import StudyFiles, read_study
from bonescint.quantify import MassTable, QuantifiedScan, bone_atlas, quantify_scan
from bonescint.scan import InputError, Prediction, Scan

pytest.importorskip("highdicom", reason="the extra pacs is not installed")
_EXAMPLE = "simulated-several-metastases.dcm"
_KINDS = {"rib fracture": 0.6, "teeth, jaws, sinuses or forehead": 0.25, "other": 0.001}


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A study, what was found on it, and its reports as files."""

    files: tuple[Path, ...]
    found: QuantifiedScan
    paths: Mapping[QuantifiedReport, Path]

    def groups(self, kind: QuantifiedReport) -> list[Dataset]:
        """The measurement groups of a report."""
        (measurements,) = _named(dcmread(self.paths[kind]), "126010")
        return list(measurements.ContentSequence)


def _named(item: Dataset, code: str) -> list[Dataset]:
    """The items below one that have a concept name."""
    return [
        one
        for one in item.get("ContentSequence", ())
        if one.ConceptNameCodeSequence[0].get("CodeValue") == code
    ]


def _numbers(group: Dataset) -> dict[str, tuple[float, str]]:
    """Values and units of a group by the names of what is measured."""
    return {
        one.ConceptNameCodeSequence[0].CodeMeaning: (
            float(one.MeasuredValueSequence[0].NumericValue),
            one.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for one in group.ContentSequence
        if one.ValueType == "NUM"
    }


def _text(dataset: Dataset) -> str:
    return "\n".join(str(element.value) for element in dataset.iterall() if element.VR != "SQ")


def _example() -> Path:
    return Path(str(resources.files("bonescint.classify") / "examples" / _EXAMPLE))


def _turned_view(place: int, folder: Path) -> Path:
    """One of the two frames as a file of its own, feet up and without a pixel spacing."""
    dataset = dcmread(_example())
    frame = dataset.pixel_array[place][::-1, ::-1]
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["turned", str(place)])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.NumberOfFrames = dataset.NumberOfDetectors = 1
    dataset.DetectorVector, dataset.EnergyWindowVector = [1], [1]
    detector = dataset.DetectorInformationSequence[place]
    along = "1" if place else "-1"
    detector.ImageOrientationPatient = [along, "0", "0", "0", "0", "1"]
    dataset.DetectorInformationSequence = [detector]
    for block in [element.tag for element in dataset if element.tag.is_private]:
        del dataset[block]
    del dataset.PixelSpacing
    dataset.CountsAccumulated = int(frame.sum())
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.PixelData = np.ascontiguousarray(frame, "<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    path = folder / f"{place}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _answer(scan: Scan, *, called: bool) -> Prediction:
    """Evidence in the trunk alone."""
    everywhere = answer(scan, probability=0.6)
    maps = []
    for one in everywhere.activation_maps:
        values = np.zeros_like(one.values)
        values[12:28, 8:16] = 0.6
        maps.append(replace(one, values=values))
    positive = everywhere.positive if called else None
    return replace(everywhere, positive=positive, activation_maps=tuple(maps))


def _reported(files: tuple[Path, ...], out: Path, *, called: bool, named: bool) -> Reported:
    study = StudyFiles(files, "study")
    scan = read_study(study)
    found = quantify_scan(scan, _answer(scan, called=called))
    if named:
        first = found.foci[0]
        shown = tuple(replace(one, finding_probabilities=_KINDS) for one in first.in_views)
        found = replace(found, foci=(replace(first, in_views=shown), *found.foci[1:]))
    out.mkdir()
    paths = {}
    for kind, content in quantified_reports(
        study, found, masses=MassTable.SPIERS, algorithm=ALGORITHM
    ).items():
        paths[kind] = out / f"{kind.value}.dcm"
        paths[kind].write_bytes(content)
    return Reported(files=files, found=found, paths=paths)


@pytest.fixture(scope="module")
def two_frames(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    return _reported(
        (_example(),), tmp_path_factory.mktemp("two-frames") / "out", called=True, named=True
    )


@pytest.fixture(scope="module")
def turned_files(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """The posterior view first, each in a file of its own, without a pixel spacing."""
    folder = tmp_path_factory.mktemp("turned-files")
    return _reported(
        (_turned_view(1, folder), _turned_view(0, folder)),
        folder / "out",
        called=True,
        named=False,
    )


def test_foci_that_are_not_to_be_relied_on_are_not_reported(tmp_path: Path) -> None:
    found = _reported((_example(),), tmp_path / "out", called=False, named=False)
    assert found.found.shown_foci
    assert list(found.paths) == [QuantifiedReport.QUANTITIES]
    whole = found.groups(QuantifiedReport.QUANTITIES)[0]
    assert _numbers(whole)["Number of foci in the report of foci"][0] == 0
    assert "no index" in _text(dcmread(found.paths[QuantifiedReport.QUANTITIES]))


@pytest.fixture(params=["two_frames", "turned_files"])
def reported(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def _filled(polygon: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels inside a polygon of columns and rows along the edges of pixels."""
    picture = Image.new("1", (shape[1] * 2, shape[0] * 2))
    ImageDraw.Draw(picture).polygon([(2 * x, 2 * y) for x, y in polygon], fill=1)
    return np.array(picture)[1::2, 1::2]  # the middles of pixels lie on no edge


def test_every_outline_lies_on_the_frame_of_its_focus(reported: Reported) -> None:
    """The stored counts inside the polygon are those inside the focus' outline on the view."""
    sources = {one.SOPInstanceUID: one for one in map(dcmread, reported.files)}
    shown = [view for focus in reported.found.shown_foci for view in focus.in_views]
    groups = reported.groups(QuantifiedReport.FOCI)
    assert len(groups) == len(shown) > 2
    for group, focus in zip(groups, shown, strict=True):
        (region,) = [one for one in group.ContentSequence if one.ValueType == "SCOORD"]
        assert region.GraphicType == "POLYLINE"
        (image,) = region.ContentSequence
        (reference,) = image.ReferencedSOPSequence
        source = sources[reference.ReferencedSOPInstanceUID]
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
        stored = source.pixel_array
        assert ("ReferencedFrameNumber" in reference) == (stored.ndim == 3)
        if stored.ndim == 3:
            stored = stored[int(reference.ReferencedFrameNumber) - 1]
        polygon = np.array(region.GraphicData, dtype=float).reshape(-1, 2)
        np.testing.assert_array_equal(polygon[0], polygon[-1])
        on_frame = stored[_filled(polygon, stored.shape)]
        view = reported.found.scan.view(focus.view)
        assert view is not None
        on_view = view[focus.window][ndimage.binary_fill_holes(focus.mask)]
        np.testing.assert_array_equal(np.sort(on_frame), np.sort(on_view))


def test_a_focus_has_its_numbers(two_frames: Reported) -> None:
    group = two_frames.groups(QuantifiedReport.FOCI)[0]
    focus = two_frames.found.shown_foci[0]
    shown = focus.in_views[0]
    spacing = dcmread(two_frames.files[0]).PixelSpacing
    numbers = _numbers(group)
    size_mm2 = shown.mask.sum() * float(spacing[0]) * float(spacing[1])
    assert numbers["Area"] == (pytest.approx(size_mm2, abs=1e-2), "mm2")
    assert numbers["Probability of cancer"] == (round(100 * focus.probability, 4), "%")
    assert numbers["Contrast-to-noise ratio"][0] == pytest.approx(shown.contrast_to_noise, abs=0.01)
    assert numbers["Uptake relative to the usual uptake of the bone"][0] == pytest.approx(
        shown.contrast, abs=1e-3
    )
    assert numbers["Probability of rib fracture"] == (60.0, "%")
    assert numbers["Probability of teeth, jaws, sinuses or forehead"] == (25.0, "%")
    assert "Probability of other" not in numbers
    (site,) = _named(group, "363698007")
    (code, side) = code_of_bone(focus.bone)
    assert site.ConceptCodeSequence[0].CodeValue == code[0]
    sides = [one.ConceptCodeSequence[0].CodeMeaning for one in site.get("ContentSequence", ())]
    assert sides == {"L": ["Left"], "R": ["Right"], "": []}[side]


def test_the_index_has_its_interval_and_the_name_of_its_masses(two_frames: Reported) -> None:
    whole = two_frames.groups(QuantifiedReport.QUANTITIES)[0]
    numbers, index = _numbers(whole), two_frames.found.index
    assert index is not None
    for name, value in (
        ("Bone Scan Index", index.percent),
        ("Bone Scan Index, lower end of the 95 % interval", index.low),
        ("Bone Scan Index, upper end of the 95 % interval", index.high),
    ):
        assert numbers[name] == (pytest.approx(value, abs=1e-4), "%")
    (masses,) = _named(whole, "bone-masses")
    assert masses.ConceptCodeSequence[0].CodeValue == "spiers"


def test_every_region_has_its_area_on_its_frame(two_frames: Reported) -> None:
    groups = two_frames.groups(QuantifiedReport.QUANTITIES)[1:]
    said = {}
    for group in groups:
        (image,) = [one for one in group.ContentSequence if one.ValueType == "IMAGE"]
        (name,) = _named(group, "112039")
        said[name.TextValue] = (
            int(image.ReferencedSOPSequence[0].ReferencedFrameNumber),
            _numbers(group)["Area"],
        )
    expected = {
        f"{name.capitalize()}, {view.value} view": (frame, (of["area_mm2"], "mm2"))
        for frame, view in enumerate(two_frames.found.scan.views, start=1)
        for name, of in two_frames.found.region_areas(view).items()
        if of["area_mm2"]
    }
    assert len(expected) > 20
    assert said == expected


def test_reports_say_who_made_them_and_that_they_are_for_research(reported: Reported) -> None:
    for path in reported.paths.values():
        dataset = dcmread(path)
        text = _text(dataset)
        assert "Research use only. Not a medical device." in text
        assert f"SHA-256 of the model: {ALGORITHM.sha256}" in text
        assert "Bone masses: spiers" in text
        assert dataset.VerificationFlag == "UNVERIFIED"
        assert dataset.StudyInstanceUID == dcmread(reported.files[0]).StudyInstanceUID


def test_without_a_spacing_no_area_and_no_millimetre(turned_files: Reported) -> None:
    assert not turned_files.found.body.registration.spacing_known
    for kind, path in turned_files.paths.items():
        for group in turned_files.groups(kind):
            assert {unit for _, unit in _numbers(group).values()} <= {"%", "1"}
        assert not re.search(r"\bmm", _text(dcmread(path)))


def test_a_second_run_writes_the_same_bytes(two_frames: Reported, tmp_path: Path) -> None:
    study = StudyFiles(two_frames.files, "study")
    again = quantified_reports(
        study, two_frames.found, masses=MassTable.SPIERS, algorithm=ALGORITHM
    )
    assert again == {kind: path.read_bytes() for kind, path in two_frames.paths.items()}


def test_other_masses_are_other_objects(two_frames: Reported) -> None:
    other = quantified_reports(
        StudyFiles(two_frames.files, "study"),
        two_frames.found,
        masses=MassTable.SIMULATOR,
        algorithm=ALGORITHM,
    )
    first = dcmread(two_frames.paths[QuantifiedReport.FOCI])
    assert first.SOPInstanceUID.encode() not in other[QuantifiedReport.FOCI]


def test_a_picture_gives_no_reports(two_frames: Reported, tmp_path: Path) -> None:
    path = tmp_path / "p_anterior.png"
    counts = dcmread(two_frames.files[0]).pixel_array[0]
    Image.fromarray(np.minimum(4 * counts, 255).astype(np.uint8)).save(path)
    study = StudyFiles((path,), str(path))
    scan = read_study(study)
    found = replace(two_frames.found, scan=scan, prediction=answer(scan))
    with pytest.raises(InputError, match="is no DICOM file"):
        quantified_reports(study, found, masses=MassTable.SPIERS, algorithm=ALGORITHM)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
def test_the_standard_s_modules_are_kept(reported: Reported) -> None:
    for path in reported.paths.values():
        done = subprocess.run(
            ["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False
        )
        lines = (done.stdout + done.stderr).splitlines()
        assert "ComprehensiveSR" in lines
        assert [
            line
            for line in lines
            if line.startswith(("Error", "Abort", "Warning")) and "99BONESCINT" not in line
        ] == []


def test_codes_are_those_of_the_standard() -> None:
    """But for numbered ribs and the shoulder girdle, which no context group of pydicom has."""
    known: dict[str, set[str]] = {}
    for keyword in codes.SCT.dir():
        code = getattr(codes.SCT, keyword)
        known.setdefault(code.value, set()).add(code.meaning)
    bones = [code_of_bone(bone)[0] for bone in bone_atlas().bones if not bone.startswith("rib")]
    for value, meaning in (*bones, *REGION_CODES.values()):
        if meaning != "Shoulder girdle structure":
            assert meaning in known[value]


def test_every_bone_has_a_code_of_its_own_and_its_side() -> None:
    coded = [code_of_bone(bone) for bone in bone_atlas().bones]
    assert len(set(coded)) == len(coded)
    assert {side for _, side in coded} == {"", "L", "R"}
