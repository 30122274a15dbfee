"""A small archive of bone scans with identities in every place that archives have them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread

from bonescint.classify import demo_sources
from bonescint.dicom import read, write_nm
from bonescint.scan import Scan

SURNAME = "Mustermann"


@cache
def bases() -> tuple[Scan, ...]:
    """The simulated scans that travel with the package."""
    return tuple(read(path) for path in demo_sources() if path.name.startswith("simulated"))


def another(number: int) -> Scan:
    """A scan unlike all others: a base with counts drawn anew from a blurred, warped copy."""
    rng = np.random.default_rng(number)
    base = bases()[number % 3]

    def drawn(image: np.ndarray) -> np.ndarray:
        rows = np.linspace(0, 1, image.shape[0])
        waves = 1 + 0.6 * np.sin(2 * np.pi * (rows * rng.uniform(2, 30) + rng.random()))
        return rng.poisson(np.maximum(image * waves[:, None] * rng.uniform(0.4, 1.2), 0))

    assert base.anterior is not None
    assert base.posterior is not None
    return replace(
        base,
        anterior=drawn(base.anterior),
        posterior=drawn(base.posterior),
        scan_id=f"made-{number}",
    )


def put(
    scan: Scan,
    path: Path,
    *,
    patient: str,
    accession: str = "",
    sex: str = "F",
    birth: str = "19510203",
) -> Path:
    """Write a scan as an archive would: with the patient's name, number and date of birth."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nm(scan, path)
    dataset = dcmread(path)
    dataset.PatientID = patient
    dataset.PatientName = f"{SURNAME}^{patient}"
    dataset.PatientBirthDate = birth
    dataset.PatientSex = sex
    dataset.AccessionNumber = accession
    dataset.StudyDate = "20190607"
    del dataset.PatientIdentityRemoved
    dataset.save_as(path)
    return path


def put_pair(scan: Scan, folder: Path, name: str) -> None:
    """Write a scan as a pair of 16-bit PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for view, image in scan.images():
        Image.fromarray(image.astype(np.uint16)).save(folder / f"{name}_{view.value}.png")
