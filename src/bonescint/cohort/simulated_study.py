"""One simulated study, written as DICOM in its camera maker's style, with its truth."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bonescint.cohort.truth import write_truth
from bonescint.dicom import HeaderStyle, PatientFacts, write_nm
from bonescint.scan import FocusKind, ParameterError
from bonescint.simulate import (
    Anatomy,
    Camera,
    Population,
    SimulatedScan,
    camera_named,
    draw_anatomy,
    draw_camera,
    simulate_scan,
)

_STYLES: Mapping[str, HeaderStyle] = {
    "GE": HeaderStyle.GE,
    "SIEMENS": HeaderStyle.SIEMENS,
    "PHILIPS": HeaderStyle.PHILIPS,
}
MOST_LESIONS = 500
COUNTS = (2e4, 5e7)
"""Counts that a posterior view may have: fewer show no body, more overflow the pixels."""

_MM_PER_S = 10 / 60  # of a speed in cm/min


def header_style_of(camera: Camera) -> HeaderStyle:
    """The habits of the camera's maker.

    Examples:
        >>> header_style_of(camera_named("symbia"))
        <HeaderStyle.SIEMENS: 'siemens'>
    """
    return _STYLES[camera.maker.upper().split()[0]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedStudy:
    """A synthetic patient, the camera, and the scan.

    Attributes:
        anatomy: the patient.
        camera: as it was set up.
        simulated: scan and truth.
    """

    anatomy: Anatomy
    camera: Camera
    simulated: SimulatedScan

    @property
    def caption(self) -> str:
        """Patient, camera, disease and what else is hot, in a line or two."""
        patient, truth = self.anatomy.patient, self.simulated.truth
        metastases = {
            (focus.region, focus.radius_mm)
            for focus in truth.foci
            if focus.kind is FocusKind.METASTASIS
        }
        causes = Counter(focus.cause for focus in truth.foci if focus.kind is FocusKind.MIMIC)
        said = [
            f"{patient.sex} {patient.age:.0f}, BMI {patient.body_mass_index:.0f}, "
            f"{self.camera.name}",
            f"{patient.primary or 'no'} cancer",
            f"{len(metastases)} metastases" if metastases else "no metastasis",
            *[cause for cause, _ in causes.most_common(3)],
        ]
        return "; ".join(said)

    @property
    def counts_sha256(self) -> str:
        """Hash of both views' counts, as unsigned 16-bit numbers, anterior first."""
        digest = hashlib.sha256()
        for _, image in self.simulated.scan.images():
            digest.update(np.rint(image).astype("<u2").tobytes())
        return digest.hexdigest()

    def write_scan(self, path: Path) -> str:
        """Write the scan as an NM object, compressed without loss.

        Returns:
            The `scan_id` that it is read with.

        Raises:
            OutputError: the file cannot be written.
        """
        patient = self.anatomy.patient
        height_m = patient.height_mm / 1000
        return write_nm(
            self.simulated.scan,
            path,
            style=header_style_of(self.camera),
            compress=True,
            scan_velocity_mm_per_s=self.camera.scan_speed_cm_per_min * _MM_PER_S,
            patient=PatientFacts(
                sex=patient.sex,
                age=int(patient.age),
                height_m=height_m,
                weight_kg=patient.body_mass_index * height_m**2,
            ),
        )

    def write_truth(self, path: Path) -> None:
        """Write masks and foci of metastases and mimics, and every drawn parameter.

        Raises:
            ParameterError: a path that ends neither in `.npz` nor in `.json`.
            OutputError: the file cannot be written.
        """
        simulated = self.simulated
        write_truth(
            simulated.truth,
            path,
            mimic_masks=simulated.mimic_masks,
            organ_masks=simulated.organ_masks,
            parameters=simulated.parameters,
        )


def simulate_study(
    *,
    seed: int,
    primary: str | None = None,
    lesions: int | None = None,
    counts: float | None = None,
    camera: str | None = None,
) -> SimulatedStudy:
    """Simulate one study; what is not given is drawn at random.

    Args:
        seed: seed of everything that is drawn.
        primary: primary tumour; empty for none.
        lesions: number of metastases; 0 for none.
        counts: expected counts in the posterior view.
        camera: name of a camera.

    Raises:
        ParameterError: an impossible value; the message names it.
        MissingExtraError: the libraries of the extra `simulate` are not installed.

    Examples:
        >>> study = simulate_study(seed=1, primary="prostate", lesions=2, camera="symbia")
        >>> study.anatomy.patient.sex, study.simulated.truth.positive
        ('M', True)
    """
    if seed < 0:
        raise ParameterError("seed", "simulate_study", "at least 0", seed)
    if lesions is not None and not 0 <= lesions <= MOST_LESIONS:
        raise ParameterError("lesions", "simulate_study", f"from 0 to {MOST_LESIONS}", lesions)
    if lesions and primary == "":
        raise ParameterError("lesions", "simulate_study", "0 for a patient without cancer", lesions)
    if counts is not None and not COUNTS[0] <= counts <= COUNTS[1]:
        raise ParameterError(
            "counts", "simulate_study", f"from {COUNTS[0]:g} to {COUNTS[1]:g}", counts
        )
    chosen = None if camera is None else camera_named(camera)
    rng = np.random.default_rng([seed, 0x5CA9])
    anatomy = draw_anatomy(rng, Population(anatomy=2), primary=primary)
    if chosen is None:
        chosen = draw_camera(rng)
    ill = bool(anatomy.patient.primary) and rng.random() < 0.5
    simulated = simulate_scan(
        anatomy,
        chosen,
        rng,
        positive=ill if lesions is None else lesions > 0,
        scan_id=f"sim-{seed:016x}",
        lesions=lesions,
        counts=counts,
    )
    return SimulatedStudy(anatomy=anatomy, camera=chosen, simulated=simulated)
