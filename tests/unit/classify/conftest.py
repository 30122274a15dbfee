from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from bonescint.dicom import read, write_nm
from bonescint.model import ModelFolder
from bonescint.scan import Acquisition, PixelUnit, Scan

WriteStudies = Callable[..., list[Path]]


@pytest.fixture(scope="session")
def stand_in_model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    write = runpy.run_path(str(Path(__file__).with_name("stand_in.py")))["write_stand_in_model"]
    folder: ModelFolder = write(tmp_path_factory.mktemp("models") / "stand-in")
    return folder


@pytest.fixture(scope="session")
def real_scan() -> Scan:
    return read(str(get_testdata_file("JPGExtended.dcm", download=False)))


@pytest.fixture
def write_studies(tmp_path: Path, real_scan: Scan) -> WriteStudies:
    """Two-view studies made of the real anterior view with other noise each."""

    def write(count: int, *, folder: str = "studies") -> list[Path]:
        paths = []
        (tmp_path / folder).mkdir()
        for number in range(count):
            rng = np.random.default_rng(number)
            image = rng.binomial(real_scan.anterior.astype(int), 0.8).astype(np.float32)
            scan = Scan(
                anterior=image,
                posterior=image[:, ::-1],
                pixel_spacing_mm=(2.26, 2.26),
                unit=PixelUnit.COUNTS,
                scan_id=f"made-{number}",
                acquisition=Acquisition(modality="NM"),
            )
            path = tmp_path / folder / f"study{number}.dcm"
            write_nm(scan, path)
            paths.append(path)
        return paths

    return write
