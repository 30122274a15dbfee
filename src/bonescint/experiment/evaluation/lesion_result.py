"""Result of `--lesions`: how found foci and the Bone Scan Index agree with the truth."""

from __future__ import annotations

from dataclasses import dataclass

from bonescint.evaluate import Measure
from bonescint.evaluate.agreement import MeasuredPair
from bonescint.evaluate.lesions import JudgedScan, SensitivityBand
from bonescint.evaluate.map_metrics import FreeResponseCurve


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionEvaluation:
    """How the found foci of the evaluated scans agree with their lesions.

    Attributes:
        tolerance_mm: largest distance at which the maximum of a focus still counts as on a lesion.
        scans: every scan that was judged, with its lesions and foci.
        curve: free response of all of them.
        bands: sensitivity at given numbers of false foci per scan, all metastases first.
        measures: of `focus_measures`.
        pairs: Bone Scan Index and reference of each scan that has both.
        agreement: of these; empty with fewer than three.
        reference: what the reference of the index is, in words.
        left_out: scans of the split that could not be evaluated, with the reason, in words.
        notes: remarks that are needed to interpret the figures.
    """

    tolerance_mm: float
    scans: tuple[JudgedScan, ...]
    curve: FreeResponseCurve
    bands: tuple[SensitivityBand, ...]
    measures: tuple[Measure, ...]
    pairs: tuple[MeasuredPair, ...]
    agreement: tuple[Measure, ...]
    reference: str
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def metastases(self) -> int:
        """Metastases of the judged scans."""
        return self.curve.lesions

    @property
    def foci(self) -> int:
        """Found foci of the judged scans."""
        return sum(len(scan.foci) for scan in self.scans)
