"""The real whole-body scan that the package pydicom-data ships (NEMA WG04 "NM1")."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bonescint.dicom import info, read
from bonescint.scan import PixelUnit, View, ViewRule


@pytest.fixture(scope="module")
def path() -> Path:
    package = pytest.importorskip("data_store", reason="the package pydicom-data is missing")
    return Path(next(iter(package.__path__))) / "data" / "JPEG-LL.dcm"


def test_its_counts_are_exact(path: Path) -> None:
    scan = read(path)
    # CountsAccumulated (0018,0070) and LargestImagePixelValue (0028,0107) of the header.
    assert scan.total(View.ANTERIOR) == 3_596_452
    assert scan.anterior is not None
    assert scan.anterior.max() == 278
    assert scan.shape == (1024, 256)
    assert scan.unit is PixelUnit.COUNTS
    assert scan.pixel_spacing_mm == (2.26, 2.26)
    assert scan.views == (View.ANTERIOR,)
    assert dict(scan.acquisition.view_rules) == {View.ANTERIOR: ViewRule.GE_PRIVATE}
    assert scan.acquisition.camera == "MILLENNIUM MG"
    assert scan.missing_views == (View.POSTERIOR,)
    assert scan.warnings == ()
    assert scan.patient_id is None


def test_nothing_of_its_patient_is_told(path: Path) -> None:
    report = info(path)
    told = f"{report} {read(path, id_key=b'k')!r} {read(path, id_key=b'k').acquisition}"
    for word in ("8NM1", "CompressedSamples", "BERRA", "1.3.6.1.4.1.5962", "John"):
        assert word not in told


def test_the_decompressed_lossy_copy_has_its_negative_pixels_removed(path: Path) -> None:
    scan = read(path.with_name("JPEG2000_UNC.dcm"))
    assert "negative pixels were set to 0" in scan.warnings
    assert scan.anterior is not None
    assert scan.anterior.min() == 0
    assert scan.total(View.ANTERIOR) == pytest.approx(3_596_452, rel=0.02)


def test_importing_the_room_loads_neither_pydicom_nor_a_decoder() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, bonescint.dicom; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "bonescint.dicom.reading" in loaded
    assert not {"pydicom", "gdcm", "PIL", "scipy", "openjpeg", "jpeg_ls"} & set(loaded)
