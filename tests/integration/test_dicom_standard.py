"""What is written, before dciodvfy: no error in any style, with one view or two, compressed or not.

dciodvfy is part of the Debian package dicom3tools; `tools/install-test-packages` installs it.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from bonescint.dicom import HeaderStyle, PatientFacts, read, write_nm
from bonescint.scan import Acquisition, PixelUnit, Scan, View, ViewRule

DCIODVFY = shutil.which("dciodvfy")

needs_dciodvfy = pytest.mark.skipif(
    DCIODVFY is None, reason="dciodvfy (Debian package dicom3tools) is not installed"
)


def complaints(file: Path) -> list[str]:
    """Errors that dciodvfy finds in an NM Image object; it must know the file as one."""
    report = subprocess.run(
        [str(DCIODVFY), "-new", str(file)], capture_output=True, text=True, check=False
    )
    lines = report.stderr.splitlines()
    assert "NMImage" in lines
    return [line for line in lines if line.startswith(("Error", "Abort"))]


def noise(views: tuple[View, ...], *, simulated: bool) -> Scan:
    """Counts of no body: dciodvfy looks at headers only."""
    rng = np.random.default_rng(1)
    rule = ViewRule.SIMULATED if simulated else ViewRule.START_ANGLE
    images = {view.value: rng.poisson(3.0, (128, 32)) if view in views else None for view in View}
    return Scan(
        **images,
        pixel_spacing_mm=(2.40112, 2.40112),
        unit=PixelUnit.COUNTS,
        scan_id="bs-0123456789abcdef",
        patient_id="anatomy-0007",
        acquisition=Acquisition(
            modality="NM",
            manufacturer="SIEMENS",
            camera="simulated symbia" if simulated else None,
            energy_window_kev=(126.5, 154.5) if simulated else None,
            view_rules=dict.fromkeys(views, rule),
        ),
    )


@needs_dciodvfy
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("views", [tuple(View), (View.ANTERIOR,), (View.POSTERIOR,)])
@pytest.mark.parametrize("style", HeaderStyle)
def test_a_simulated_scan_has_no_error(tmp_path: Path, style, views, compress) -> None:
    write_nm(
        noise(views, simulated=True),
        tmp_path / "a.dcm",
        style=style,
        compress=compress,
        scan_velocity_mm_per_s=2.0,
        patient=PatientFacts(sex="F", age=63, height_m=1.64, weight_kg=70.5),
    )
    assert complaints(tmp_path / "a.dcm") == []


@needs_dciodvfy
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("views", [tuple(View), (View.ANTERIOR,), (View.POSTERIOR,)])
@pytest.mark.parametrize("style", HeaderStyle)
def test_a_scan_of_which_little_is_known_has_no_error(tmp_path, style, views, compress) -> None:
    write_nm(noise(views, simulated=False), tmp_path / "a.dcm", style=style, compress=compress)
    assert complaints(tmp_path / "a.dcm") == []


@needs_dciodvfy
@pytest.mark.parametrize(
    "keyword", ["ScanVelocity", "ActualFrameDuration", "CountsAccumulated", "FrameIncrementPointer"]
)
def test_dciodvfy_would_see_what_is_missing(tmp_path: Path, keyword: str) -> None:
    write_nm(noise(tuple(View), simulated=True), tmp_path / "a.dcm")
    dataset = dcmread(tmp_path / "a.dcm")
    del dataset[keyword]
    dataset.save_as(tmp_path / "b.dcm")
    assert any(keyword in line for line in complaints(tmp_path / "b.dcm"))


@needs_dciodvfy
def test_a_scan_of_the_simulator_in_every_style(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
    pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")
    from bonescint.simulate import camera_named, draw_anatomy, simulate_scan

    rng = np.random.default_rng(11)
    anatomy = draw_anatomy(rng)
    simulated = simulate_scan(
        anatomy, camera_named("discovery"), rng, positive=True, scan_id="sim-11"
    ).scan
    for style in HeaderStyle:
        for missing in (None, *View):
            scan = replace(simulated, **({missing.value: None} if missing else {}))
            file = tmp_path / f"{style.value}-{missing}.dcm"
            write_nm(scan, file, style=style, compress=True)
            assert complaints(file) == []
            again = read(file)
            assert again.views == scan.views
            for view, image in scan.images():
                np.testing.assert_array_equal(again.view(view), image)
