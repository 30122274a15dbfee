"""A small cohort, a study of it, and doors into a served study, for tests of the reader study."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bonescint.cohort import write_manifest, write_truth
from bonescint.dicom import write_nm
from bonescint.scan import Acquisition, Case, Focus, PixelUnit, Scan, Split, Truth, View
from bonescint.study import Reader, StudyFolder, StudyOptions, create_study
from bonescint.study.reader_client import ReaderClient
from bonescint.study.simulated import PASSWORD, invitation_links

ROWS, COLUMNS = 256, 64
SPACING = (7.2, 7.2)


def make_scan(
    number: int, *, positive: bool, secret: str = "", finer: int = 1
) -> tuple[Scan, Truth]:
    """A man-shaped blob, with a hot focus where there is disease; 4 times finer, of usual size."""
    rng = np.random.default_rng([9, number])
    row, column = np.mgrid[: ROWS * finer, : COLUMNS * finer] / finer
    body = 1.0 * (((row - 128) / 118) ** 2 + ((column - 32) / 15) ** 2 < 1)
    spine = 4.0 * (abs(column - 32) < 3) * (row > 40) * (row < 150)
    mean = 3 * body + spine
    at = (60 + number % 70, 24 + number % 16)
    focus = np.hypot(row - at[0], column - at[1]) < 3
    means = {View.ANTERIOR: mean.copy(), View.POSTERIOR: mean[:, ::-1].copy()}
    if positive:
        means[View.ANTERIOR] += 30 * focus
        means[View.POSTERIOR] += 30 * focus[:, ::-1]
    counts = {view: rng.poisson(one).astype(np.float32) for view, one in means.items()}
    scan = Scan(
        anterior=counts[View.ANTERIOR],
        posterior=counts[View.POSTERIOR],
        pixel_spacing_mm=(SPACING[0] / finer, SPACING[1] / finer),
        unit=PixelUnit.COUNTS,
        scan_id=f"scan-{secret}{number:03d}",
        patient_id=f"SECRETPATIENT{number}",
        acquisition=Acquisition(modality="NM"),
    )
    if not positive:
        return scan, Truth(positive=False)
    place, last = (at[0] * finer, at[1] * finer), COLUMNS * finer - 1
    foci = (
        Focus(view=View.ANTERIOR, row=place[0], column=place[1], radius_mm=20),
        Focus(view=View.POSTERIOR, row=place[0], column=last - place[1], radius_mm=20),
    )
    masks = {View.ANTERIOR: focus, View.POSTERIOR: focus[:, ::-1]}
    return scan, Truth(positive=True, foci=foci, masks=masks)


def write_cohort(folder: Path, count: int = 12, *, finer: int = 1) -> Path:
    """A cohort on disk, half of it with disease, all in the test split."""
    (folder / "scans").mkdir(parents=True)
    (folder / "truth").mkdir()
    cases = []
    for number in range(count):
        positive = number % 2 == 1
        scan, truth = make_scan(number, positive=positive, finer=finer)
        write_nm(scan, folder / f"scans/{number:03d}.dcm")
        write_truth(truth, folder / f"truth/{number:03d}.npz")
        cases.append(
            Case(
                scan_id=f"SECRETSCAN{number:03d}",
                patient_id=f"SECRETPATIENT{number}",
                centre="SECRETCENTRE",
                split=Split.TEST,
                positive=positive,
                file=f"scans/{number:03d}.dcm",
                truth=f"truth/{number:03d}.npz",
            )
        )
    write_manifest(cases, folder / "manifest.csv")
    return folder / "manifest.csv"


def people(count: int) -> list[Reader]:
    """Readers r1, r2, ..."""
    return [
        Reader(reader=f"r{number}", name=f"Dr. Number {number}", experience_years=float(number))
        for number in range(1, count + 1)
    ]


def make_study(
    folder: Path, cohort: Path, *, readers: int | Sequence[Reader] = 2, **options: object
) -> StudyFolder:
    """A study of the cohort, six cases and two for training unless told otherwise."""
    chosen = people(readers) if isinstance(readers, int) else list(readers)
    model = options.pop("model", None)
    settings = replace(StudyOptions(sample=6, balanced=True, seed=3), **options)  # type: ignore[arg-type]
    return create_study(folder, cohort, chosen, settings, model=model)  # type: ignore[arg-type]


def enter(study: StudyFolder, address: str, reader: str) -> ReaderClient:
    """A client that is signed in by invitation."""
    client = ReaderClient(address)
    client.accept_invitation(invitation_links(study)[reader], PASSWORD)
    return client


def enter_again(address: str, reader: str) -> ReaderClient:
    """A client that signs in with the password it chose before."""
    client = ReaderClient(address)
    client.sign_in(reader, PASSWORD)
    return client


def rows_of(file: Path) -> list[dict[str, str]]:
    """A CSV table."""
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
