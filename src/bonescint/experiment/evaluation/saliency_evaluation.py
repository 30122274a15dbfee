"""Activation maps compared with lesion masks, and where false evidence lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest, truth_of
from bonescint.evaluate import Measure, Resampling
from bonescint.evaluate.false_evidence import (
    ScanEvidence,
    evidence_table,
    place_map,
)
from bonescint.evaluate.localisation import (
    ScanLocalisation,
    ViewEvidence,
    find_peaks,
    localise,
)
from bonescint.evaluate.map_metrics import (
    HIT_LEVEL,
    FreeResponseCurve,
    HitGroup,
    ScanMarks,
    free_response_measures,
    hit_rates,
    localisation_measures,
)
from bonescint.evaluate.scored import patient_numbers
from bonescint.experiment.evaluation.covariates import PLACE_NAMES, PLACE_NAMES_ALONE, known_places
from bonescint.experiment.evaluation.data import (
    FIELD_MM,
    MappedScan,
    SplitPredictions,
    scan_at_hand,
)
from bonescint.experiment.evaluation.saliency_result import (
    MOST_SEGMENTED,
    LesionRecord,
    LocalisedScan,
    SaliencyEvaluation,
)
from bonescint.experiment.evaluation.true_lesions import checked_masks, numbered_lesions
from bonescint.prepare.framing import body_outline
from bonescint.scan import Case, Focus, FocusKind, Truth, View

TOLERANCE_MM = 25.0
"""Half a cell of a 32 x 32 map over a composite of two views, the finest that a map resolves."""


_MARK_RESAMPLES = 500
_SAME = 0.005
"""Probabilities that differ by no more than this count as equal: tables may be rounded."""


def evaluate_saliency(
    predictions: SplitPredictions,
    manifest: Manifest,
    maps: Mapping[str, MappedScan],
    *,
    threshold: float,
    resampling: Resampling,
    tolerance_mm: float = TOLERANCE_MM,
    progress: Callable[[int, int], None] | None = None,
) -> SaliencyEvaluation | None:
    """Measure the maps of the evaluated scans.

    Args:
        predictions: predictions of the evaluated split.
        manifest: the cohort, with the paths of truth and scans.
        maps: maps by scan.
        threshold: probability from which a scan is called positive.
        resampling: for the intervals.
        tolerance_mm: distance from a lesion that still counts as on it, for the figures that have
            a tolerance.
        progress: called with the number of scans done and of all.

    Returns:
        `None` if nothing can be measured: no evaluated scan has a map and lesion masks, and no
        false positive has a map and a scan or truth file.

    Raises:
        InputError: a mask of another shape than its scan, or a truth file that cannot be read.
    """
    work = _Work(manifest, tolerance_mm)
    columns = (predictions.cases, predictions.patients, predictions.probabilities.tolist())
    for done, (case, patient, probability) in enumerate(zip(*columns, strict=True)):
        if progress is not None:
            progress(done, len(predictions.cases))
        scan = maps.get(case.scan_id)
        if scan is None or not scan.prediction.activation_maps:
            work.left_out.append(f"{case.scan_id}: no map")
            continue
        work.assumed_spacing |= scan.pixel_spacing_mm is None
        if abs(scan.prediction.mbd_probability - probability) > _SAME:
            work.differing += 1
        answered = scan.with_answer(probability, positive=probability >= threshold)
        if case.positive:
            work.add_positive(case, patient, answered)
        else:
            work.add_negative(case, patient, answered)
    if not work.called and not work.missed and not work.evidence:
        return None
    return work.summary(resampling)


class _Work:
    """Collects the measurements of each scan.

    Args:
        manifest: the cohort, with the paths of truth and scans.
        tolerance_mm: tolerance of peaks and of the pointing game.
    """

    def __init__(self, manifest: Manifest, tolerance_mm: float) -> None:
        self.manifest = manifest
        self.tolerance_mm = tolerance_mm
        self.called: dict[str, ScanLocalisation] = {}
        self.missed: dict[str, ScanLocalisation] = {}
        self.lesions: list[LesionRecord] = []
        self.marks: list[ScanMarks] = []
        self.evidence: list[ScanEvidence] = []
        self.places_known = 0
        self.segmented: list[str] = []
        self.by_physicians = 0
        self.left_out: list[str] = []
        self.without_outline = 0
        self.assumed_spacing = False
        self.differing = 0
        self.patient_of: dict[str, int] = {}
        self.marked: list[int] = []
        self.false_positives: list[int] = []

    def add_positive(self, case: Case, patient: int, scan: MappedScan) -> None:
        """Measure a scan with disease."""
        truth = truth_of(self.manifest, case, pixel_spacing_mm=scan.pixel_mm)
        if truth is None or not truth.masks:
            self.left_out.append(f"{case.scan_id}: its lesions were not segmented")
            return
        views, foci = self._views(case, scan, truth)
        if not any(view.lesions.any() for view in views):
            self.left_out.append(f"{case.scan_id}: its masks are empty")
            return
        measured = localise(views, tolerance_mm=self.tolerance_mm)
        called = scan.prediction.positive
        self.patient_of[case.scan_id] = patient
        (self.called if called else self.missed)[case.scan_id] = measured
        highest = max(float(view.values.max()) for view in views)
        self.marked.append(patient)
        self.marks.append(_marks(measured, scan.prediction.mbd_probability, highest))
        if not case.truth:
            self.by_physicians += 1
            few = len(self.segmented) < MOST_SEGMENTED
            if few and scan_at_hand(self.manifest, case, scan) is not None:
                self.segmented.append(case.scan_id)
        if called:
            for hit in measured.lesions:
                focus = foci.get(hit.number)
                self.lesions.append(
                    LesionRecord(
                        scan_id=case.scan_id,
                        patient=patient,
                        contrast=_or_nan(None if focus is None else focus.contrast),
                        radius_mm=_or_nan(None if focus is None else focus.radius_mm),
                        reached=hit.reached,
                    )
                )

    def add_negative(self, case: Case, patient: int, scan: MappedScan) -> None:
        """Note the marks of a scan without disease, and where they lie if it is called positive."""
        nothing, pixel_mm = np.zeros(scan.shape, dtype=np.intp), scan.pixel_mm
        views = [
            ViewEvidence(values=values, lesions=nothing, pixel_mm=pixel_mm)
            for values in scan.grids().values()
        ]
        peaks = find_peaks(views, [view.lesions for view in views], separation_mm=30.0)
        highest = max(float(view.values.max()) for view in views)
        answer = scan.prediction
        ratings = [answer.mbd_probability * peak.height / highest for peak in peaks]
        self.marked.append(patient)
        self.marks.append(ScanMarks(lesions=np.zeros(0), others=np.array(ratings)))
        if answer.positive:
            self._add_evidence(case, patient, scan)

    def _add_evidence(self, case: Case, patient: int, scan: MappedScan) -> None:
        """Note where a false positive's evidence lies, as far as that is known."""
        pixel_mm = scan.pixel_mm
        places = known_places(self.manifest, case)
        outlines = self._outlines(case, scan, pixel_mm)
        if places is None and not outlines:
            self.left_out.append(f"{case.scan_id}: neither its file nor a truth file is available")
            return
        self.places_known += places is not None
        self.without_outline += not outlines
        grids = scan.grids()
        found = []
        for view in grids:
            here, reach = (places or {}).get(view, ()), self.tolerance_mm
            body = outlines.get(view)
            found.append(
                place_map(scan.shape, here, PLACE_NAMES, pixel_mm, reach_mm=reach, body=body)
            )
        self.false_positives.append(patient)
        self.evidence.append(ScanEvidence.of(list(grids.values()), found, len(PLACE_NAMES)))

    def _outlines(
        self, case: Case, scan: MappedScan, pixel_mm: tuple[float, float]
    ) -> dict[View, NDArray[np.bool_]]:
        """The body's outline in each view; empty if the scan's file is not available."""
        stored = scan_at_hand(self.manifest, case, scan)
        if stored is None:
            return {}
        return {view: body_outline(image, pixel_mm) for view, image in stored.images()}

    def _views(
        self, case: Case, scan: MappedScan, truth: Truth
    ) -> tuple[list[ViewEvidence], dict[int, Focus]]:
        """Each view's map and numbered lesions; the lesions by number."""
        grids = scan.grids()
        found = numbered_lesions(
            [focus for focus in truth.foci if focus.kind is FocusKind.METASTASIS],
            checked_masks(truth.masks, grids, scan.shape, self.manifest, case),
            pieces=not case.truth,
            pixel_mm=scan.pixel_mm,
        )
        views = [
            ViewEvidence(values=values, lesions=found.areas[view], pixel_mm=scan.pixel_mm)
            for view, values in grids.items()
        ]
        return views, dict(reversed(found.foci))  # the first focus of each lesion

    def summary(self, resampling: Resampling) -> SaliencyEvaluation:
        """The figures over all scans."""
        marks = replace(resampling, resamples=min(resampling.resamples, _MARK_RESAMPLES))
        everyone = self.called | self.missed
        with_lesions = bool(everyone)
        return SaliencyEvaluation(
            tolerance_mm=self.tolerance_mm,
            scans=tuple(
                LocalisedScan.of(scan_id, one, positive_call=group is self.called)
                for group in (self.called, self.missed)
                for scan_id, one in group.items()
            ),
            measures=self._measures(self.called, resampling),
            measures_of_all=self._measures(everyone, resampling),
            by_contrast=_by(self.lesions, "contrast", resampling),
            by_size=_by(self.lesions, "radius_mm", resampling),
            lesions=tuple(self.lesions),
            curve=FreeResponseCurve.of(self.marks) if with_lesions else None,
            curve_measures=free_response_measures(
                self.marks, marks, patients=patient_numbers(self.marked)
            )
            if with_lesions
            else (),
            false_positives=evidence_table(
                self.evidence,
                PLACE_NAMES if self.places_known else PLACE_NAMES_ALONE,
                resampling,
                patients=patient_numbers(self.false_positives),
            ),
            places_known=self.places_known,
            segmented=tuple(self.segmented),
            by_physicians=self.by_physicians,
            left_out=tuple(self.left_out),
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        """Remarks that are needed to interpret the figures."""
        notes = []
        if self.without_outline:
            notes.append(
                f"{self.without_outline} false positives have no scan file: which of their "
                f"evidence lies outside the body cannot be determined."
            )
        if self.differing:
            notes.append(
                f"{self.differing} scans have a different probability in the file of maps than in "
                f"the evaluated predictions: are the maps of the same model?"
            )
        if self.assumed_spacing:
            notes.append(
                f"Some scans do not give a pixel size: a field of {FIELD_MM / 1000:g} m was "
                "assumed for distances and sizes."
            )
        if self.by_physicians:
            notes.append(
                f"{self.by_physicians} scans have a physician's masks. Nothing says which pieces "
                f"of the two views are the same lesion, so lesions are counted in each view: a "
                f"lesion that both views show counts twice."
            )
        return tuple(notes)

    def _measures(
        self, scans: Mapping[str, ScanLocalisation], resampling: Resampling
    ) -> tuple[Measure, ...]:
        if not scans:
            return ()
        patients = patient_numbers([self.patient_of[scan_id] for scan_id in scans])
        return localisation_measures(list(scans.values()), resampling, patients=patients)


def _marks(measured: ScanLocalisation, probability: float, highest: float) -> ScanMarks:
    """Peaks rated by the scan's probability, in proportion to their height."""
    best: dict[int, float] = {}
    others = []
    for peak in measured.peaks:
        rating = probability * peak.height / highest
        if peak.lesion:
            best[peak.lesion] = max(best.get(peak.lesion, -math.inf), rating)
        else:
            others.append(rating)
    lesions = [best.get(hit.number, -math.inf) for hit in measured.lesions]
    return ScanMarks(lesions=np.array(lesions), others=np.array(others))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _by(
    lesions: Sequence[LesionRecord], attribute: str, resampling: Resampling
) -> tuple[HitGroup, ...]:
    """Hit rates in thirds of an attribute of these lesions."""
    values = np.array([getattr(lesion, attribute) for lesion in lesions], dtype=np.float64)
    known = values[np.isfinite(values)]
    if known.size < 3:
        return ()
    edges = sorted({round(float(e), 1) for e in np.percentile(known, [100 / 3, 200 / 3])})
    names = [f"under {edges[0]:g}"]
    names += [f"{low:g} to under {high:g}" for low, high in pairwise(edges)]
    names.append(f"{edges[-1]:g} and over")
    group = np.where(np.isnan(values), -1, np.digitize(values, edges))
    _, scan = np.unique([lesion.scan_id for lesion in lesions], return_inverse=True)
    hit = np.array([lesion.reached >= HIT_LEVEL for lesion in lesions])
    patient_of = {lesion.scan_id: lesion.patient for lesion in lesions}
    patients = None
    if len(set(patient_of.values())) < len(patient_of):
        patients = patient_numbers([lesion.patient for lesion in lesions])
    return hit_rates(hit, scan, group, names, resampling, patients=patients)
