"""How activation maps agree with lesions: the part of a result that comes from maps."""

from __future__ import annotations

from dataclasses import dataclass

from bonescint.evaluate import Measure
from bonescint.evaluate.false_evidence import PlaceRow
from bonescint.evaluate.localisation import ScanLocalisation
from bonescint.evaluate.map_metrics import HIT_LEVEL, FreeResponseCurve, HitGroup

MOST_SEGMENTED = 25
"""Pictures of scans with a physician's masks: as many as the paper showed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionRecord:
    """One lesion and how much evidence lies on it.

    Attributes:
        scan_id: identifier of its scan.
        patient: number of its patient.
        contrast: contrast to the bone around it, or NaN if unknown.
        radius_mm: radius, or NaN if unknown.
        reached: highest value of the map on it, as a share of the scan's highest.
    """

    scan_id: str
    patient: int
    contrast: float
    radius_mm: float
    reached: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalisedScan:
    """How the maps of one scan agree with its lesions; `evaluate.localisation` defines the figures.

    Attributes:
        scan_id: identifier of the scan.
        positive_call: whether it was called positive.
        pointing_game: whether the map's highest value lies on a lesion, 0 to 1.
        pointing_game_near: the same with the tolerance.
        energy_inside: share of the evidence on lesions.
        lesion_share: share of the image that lesions cover.
        best_iou: best intersection over union.
        reached: highest value of the map on each lesion, as a share of the scan's highest.
    """

    scan_id: str
    positive_call: bool
    pointing_game: float
    pointing_game_near: float
    energy_inside: float
    lesion_share: float
    best_iou: float
    reached: tuple[float, ...]

    @classmethod
    def of(cls, scan_id: str, found: ScanLocalisation, *, positive_call: bool) -> LocalisedScan:
        """The figures of a scan that was localised."""
        return cls(
            scan_id=scan_id,
            positive_call=positive_call,
            pointing_game=found.pointing,
            pointing_game_near=found.pointing_near,
            energy_inside=found.energy_inside,
            lesion_share=found.lesion_share,
            best_iou=found.best_iou,
            reached=tuple(lesion.reached for lesion in found.lesions),
        )

    @property
    def hit(self) -> int:
        """Lesions on which the map reaches the level of a hit."""
        return sum(one >= HIT_LEVEL for one in self.reached)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SaliencyEvaluation:
    """How the activation maps of the evaluated scans agree with their lesions.

    Attributes:
        tolerance_mm: how far from a lesion still counts where so said.
        scans: with lesions that can be seen: true positives, then false negatives.
        measures: measures over the true positives.
        measures_of_all: measures over all positives.
        by_contrast: hit rate of lesions of true positives by contrast.
        by_size: the same by radius.
        lesions: all lesions of true positives.
        curve: free response, of all judged scans with maps.
        curve_measures: lesions found at given numbers of false marks.
        false_positives: where their evidence lies, most frequent first.
        places_known: number of these scans whose truth file names organs and mimics; of the others
            only the part of the body is known.
        segmented: the first `MOST_SEGMENTED` scans with a physician's masks and a file.
        by_physicians: scans with a physician's masks that were measured.
        left_out: judged scans that could not be measured and why, for people.
        notes: remarks that are needed to interpret the figures.
    """

    tolerance_mm: float
    scans: tuple[LocalisedScan, ...]
    measures: tuple[Measure, ...]
    measures_of_all: tuple[Measure, ...]
    by_contrast: tuple[HitGroup, ...]
    by_size: tuple[HitGroup, ...]
    lesions: tuple[LesionRecord, ...]
    curve: FreeResponseCurve | None
    curve_measures: tuple[Measure, ...]
    false_positives: tuple[PlaceRow, ...]
    places_known: int
    segmented: tuple[str, ...]
    by_physicians: int
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def called(self) -> dict[str, LocalisedScan]:
        """True positives by their identifier."""
        return {scan.scan_id: scan for scan in self.scans if scan.positive_call}

    @property
    def missed(self) -> dict[str, LocalisedScan]:
        """False negatives by their identifier."""
        return {scan.scan_id: scan for scan in self.scans if not scan.positive_call}
