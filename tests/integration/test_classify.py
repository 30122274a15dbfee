"""Files to results with real worker processes."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from bonescint.classify import batch, classify
from bonescint.dicom import read, write_nm
from bonescint.model import ModelFolder
from bonescint.scan import Acquisition, PixelUnit, Scan

STAND_IN = Path(__file__).parents[1] / "unit" / "classify" / "stand_in.py"
LOSSLESS = get_testdata_file("JPEG-LL.dcm", download=False)  # comes with pydicom-data
REAL = Path(str(LOSSLESS or get_testdata_file("JPGExtended.dcm", download=False)))
REAL_TOTAL = 3_596_452 if LOSSLESS else 3_767_007
DEADLY_STEPS = """
import os, signal, time
from bonescint.classify import steps

def read_and_prepare(study, preprocessing, packed):
    if "killer" in study.source:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "sleeper" in study.source:
        time.sleep(600)
    return steps.read_and_prepare(study, preprocessing, packed)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder: ModelFolder = runpy.run_path(str(STAND_IN))["write_stand_in_model"](
        tmp_path_factory.mktemp("models") / "stand-in"
    )
    return folder


def _study(path: Path, seed: int) -> Path:
    image = read(REAL).anterior
    assert image is not None
    noisy = np.random.default_rng(seed).binomial(image.astype(int), 0.8)
    scan = Scan(
        anterior=noisy,
        posterior=noisy[:, ::-1],
        pixel_spacing_mm=(2.26, 2.26),
        unit=PixelUnit.COUNTS,
        scan_id=f"made-{seed}",
        acquisition=Acquisition(modality="NM"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nm(scan, path)
    return path


def test_the_real_scan_goes_through_the_whole_chain(tmp_path: Path, model: ModelFolder) -> None:
    summary = classify(REAL, tmp_path / "out", model=model, workers=1)
    (result,) = summary.results
    assert result.views == ("anterior",)
    assert any("anterior view only" in warning for warning in result.warnings)
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["results"][0]["total"]["anterior"] == REAL_TOTAL
    with Image.open(tmp_path / "out" / result.picture) as picture:
        assert picture.mode == "RGB"


def test_processes_and_none_give_the_same_results(tmp_path: Path, model: ModelFolder) -> None:
    for number in range(4):
        _study(tmp_path / "in" / f"{number}.dcm", number)
    alone = classify(tmp_path / "in", tmp_path / "alone", model=model, workers=0)
    apart = classify(tmp_path / "in", tmp_path / "apart", model=model, workers=2)
    assert alone.results == apart.results
    assert (tmp_path / "alone" / "results.csv").read_bytes() == (
        tmp_path / "apart" / "results.csv"
    ).read_bytes()
    for result in alone.results:
        pictures = [(tmp_path / out / result.picture).read_bytes() for out in ("alone", "apart")]
        assert pictures[0] == pictures[1]


def test_scans_under_one_uid_are_told_apart_whatever_the_workers(
    tmp_path: Path, model: ModelFolder
) -> None:
    first = pydicom.dcmread(_study(tmp_path / "in" / "0.dcm", 0))
    for number in range(1, 4):
        path = _study(tmp_path / "in" / f"{number}.dcm", number)
        dataset = pydicom.dcmread(path)
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(dataset, name, first[name].value)
        dataset.save_as(path)
    alone = classify(tmp_path / "in", tmp_path / "alone", model=model, workers=0)
    apart = classify(tmp_path / "in", tmp_path / "apart", model=model, workers=2)
    assert alone.refused == ()
    assert alone.results == apart.results
    assert len({result.scan_id for result in alone.results}) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_file_that_kills_its_worker_costs_itself_only(
    tmp_path: Path, model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly_steps.py").write_text(DEADLY_STEPS)
    monkeypatch.syspath_prepend(tmp_path)
    import deadly_steps  # type: ignore[import-not-found]

    monkeypatch.setattr(batch, "read_and_prepare", deadly_steps.read_and_prepare)
    names = ["a", "killer", "b", "sleeper", "c", "killer2", "d"]
    files = [_study(tmp_path / "in" / f"{name}.dcm", seed) for seed, name in enumerate(names)]
    summary = classify(files, tmp_path / "out", model=model, workers=2, timeout_s=20)
    assert [Path(result.source).stem for result in summary.results] == ["a", "b", "c", "d"]
    reasons = {Path(refusal.source).stem: refusal.reason for refusal in summary.refused}
    assert set(reasons) == {"killer", "sleeper", "killer2"}
    assert "died" in reasons["killer"]
    assert "longer than 20 s" in reasons["sleeper"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file names")
def test_hostile_names_stay_text(tmp_path: Path, model: ModelFolder) -> None:
    names = [b"=1+1.dcm", b"<img src=x onerror=alert(1)>.dcm", b"\xff\xfe.dcm", b"new\nline.dcm"]
    folder = tmp_path / "in"
    folder.mkdir()
    for seed, name in enumerate(names):
        path = _study(folder / "plain.dcm", seed)
        path.rename(folder / os.fsdecode(name))
    summary = classify(folder, tmp_path / "out", model=model, workers=1)
    assert len(summary.results) == len(names), summary.refused
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    pictures = {path.name for path in (tmp_path / "out" / "pictures").iterdir()}
    kinds = ("png", "grey.webp", "evidence.webp")
    assert pictures == {f"{one.scan_id}.{kind}" for one in summary.results for kind in kinds}
