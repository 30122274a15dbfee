"""Evaluate foci and Bone Scan Indices of `bonescint quantify` against the truth of a cohort."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bonescint.cohort import Manifest
from bonescint.dicom import read
from bonescint.evaluate import Measure, Resampling
from bonescint.evaluate.agreement import MeasuredPair, agreement_measures
from bonescint.evaluate.lesions import (
    FALSE_FOCI,
    TOLERANCE_MM,
    FoundFocus,
    FoundOutline,
    JudgedScan,
    focus_measures,
    judge_foci,
    sensitivity_bands,
)
from bonescint.evaluate.map_metrics import FreeResponseCurve
from bonescint.evaluate.scored import patient_numbers
from bonescint.experiment.evaluation.data import FIELD_MM, SplitPredictions
from bonescint.experiment.evaluation.lesion_result import LesionEvaluation
from bonescint.experiment.evaluation.true_lesions import CaseLesions, case_lesions
from bonescint.files import json_in
from bonescint.quantify import METASTASIS_FROM, MassTable, body_regions
from bonescint.quantify.outlined_index import outlined_index
from bonescint.scan import BonescintError, Case, InputError, View
from bonescint.tables import Problem, refuse

_SCHEMA = 1
_GIVE = "Give results.json of bonescint quantify"
_MARK_RESAMPLES = 500
_FEWEST_PAIRS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantifiedEntry:
    """One scan of the results of `bonescint quantify`.

    Attributes:
        views: that the scan has.
        shape: (rows, columns) of its views.
        pixel_spacing_mm: between rows and between columns, or `None`.
        foci: found foci.
        index: Bone Scan Index in per cent with its interval (NaN without one), or `None`.
        masses: the bones' shares of mass that it uses.
    """

    views: tuple[View, ...]
    shape: tuple[int, int]
    pixel_spacing_mm: tuple[float, float] | None
    foci: tuple[FoundFocus, ...]
    index: tuple[float, float, float] | None
    masses: MassTable

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """The pixel spacing, assumed where the file does not say it."""
        return self.pixel_spacing_mm or (FIELD_MM / self.shape[0],) * 2


def read_quantified(path: Path) -> Mapping[str, QuantifiedEntry]:
    """Read the scans of `results.json` of `bonescint quantify` by their identifier.

    Raises:
        InputError: unreadable, of another command or release, or invalid entries, all of them
            named.
    """
    try:
        content = json_in(path.read_text(encoding="utf-8"))
        entries, made_by = content["scans"], content["made_by"]
        masses = MassTable(content["bone_masses"])
    except FileNotFoundError as error:
        raise InputError(path, "no such file", _GIVE) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(path, "not results of bonescint quantify", _GIVE) from error
    if made_by != "bonescint quantify":
        raise InputError(path, "not results of bonescint quantify", _GIVE)
    found, problems = {}, []
    for number, entry in enumerate(entries):
        try:
            found[str(entry["scan_id"])] = _entry(entry, masses)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            problems.append(Problem.of_entry(f"scans[{number}]", error))
    refuse(path, problems, "Run bonescint quantify again with this release")
    return found


def _entry(entry: Mapping[str, Any], masses: MassTable) -> QuantifiedEntry:
    if entry["schema_version"] != _SCHEMA:
        raise ValueError
    rows, columns = (int(size) for size in entry["shape"])
    spacing, index = entry["pixel_spacing_mm"], entry["bone_scan_index"]
    return QuantifiedEntry(
        views=tuple(View(name) for name in entry["regions"]),
        shape=(rows, columns),
        pixel_spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
        foci=tuple(
            FoundFocus(
                number=int(focus["number"]),
                rating=float(focus["probability"]),
                views={View(one["view"]): _outline(one) for one in focus["views"]},
            )
            for focus in entry["foci"]
        ),
        index=None
        if index is None
        else (float(index["percent"]), _or_nan(index["low"]), _or_nan(index["high"])),
        masses=masses,
    )


def _outline(shown: Mapping[str, Any]) -> FoundOutline:
    outline = shown["outline"]
    mask = np.array([[letter == "#" for letter in row] for row in outline["rows"]], dtype=bool)
    return FoundOutline(
        row=int(shown["row"]),
        column=int(shown["column"]),
        mask=mask,
        top=int(outline["top"]),
        left=int(outline["left"]),
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def evaluate_lesions(
    predictions: SplitPredictions,
    manifest: Manifest,
    quantified: Mapping[str, QuantifiedEntry],
    *,
    source: Path,
    resampling: Resampling,
    tolerance_mm: float = TOLERANCE_MM,
    progress: Callable[[int, int], None] | None = None,
) -> LesionEvaluation:
    """Evaluate the found foci and the index of the evaluated scans.

    Args:
        predictions: predictions of the evaluated split.
        manifest: the cohort, with the paths of truth and scans.
        quantified: results by scan.
        source: the file of results, for messages.
        resampling: for the intervals; patients are drawn.
        tolerance_mm: largest distance at which the maximum of a focus still counts as on a lesion.
        progress: called with the number of scans done and of all.

    Raises:
        InputError: no evaluated scan is in the results; none with metastases has masks; a mask of
            another shape than its scan, or a truth file that cannot be read.
    """
    work = _Work(manifest, tolerance_mm)
    numbered = zip(predictions.cases, predictions.patients, strict=True)
    for done, (case, patient) in enumerate(numbered):
        if progress is not None:
            progress(done, len(predictions.cases))
        entry = quantified.get(case.scan_id)
        if entry is None:
            work.left_out.append(f"{case.scan_id}: not among the quantified scans")
        else:
            work.add(case, patient, entry)
    if len(work.left_out) == len(predictions.cases) and not work.unsegmented:
        problem = f"has none of the {len(predictions.cases)} scans of the {predictions.split} split"
        raise InputError(source, problem, "Quantify the scans of the manifest")
    if not any(one.malignant for scan in work.scans for one in scan.lesions):
        problem = (
            f"no quantified scan of the {predictions.split} split has masks of metastases (columns "
            "truth, mask_anterior, mask_posterior)"
        )
        raise InputError(manifest.folder / "manifest", problem, "Add them, or omit --lesions")
    return work.summary(resampling)


class _Work:
    """Collects the results of each scan."""

    def __init__(self, manifest: Manifest, tolerance_mm: float) -> None:
        self.manifest = manifest
        self.tolerance_mm = tolerance_mm
        self.scans: list[JudgedScan] = []
        self.pairs: list[MeasuredPair] = []
        self.left_out: list[str] = []
        self.unsegmented = 0
        self.by_physicians = 0
        self.assumed_spacing = 0
        self.without_reference = 0

    def add(self, case: Case, patient: int, entry: QuantifiedEntry) -> None:
        """Evaluate one scan."""
        lesions = case_lesions(
            self.manifest, case, views=entry.views, shape=entry.shape, pixel_mm=entry.pixel_mm
        )
        if not lesions.segmented:
            self.unsegmented += 1
            self.left_out.append(f"{case.scan_id}: its lesions were not segmented")
            return
        self.by_physicians += case.positive and not case.truth
        self.assumed_spacing += entry.pixel_spacing_mm is None
        self.scans.append(
            judge_foci(
                case.scan_id,
                patient,
                entry.foci,
                lesions.truth,
                tolerance_mm=self.tolerance_mm,
            )
        )
        if entry.index is None:
            return
        reference = self._reference(case, entry, lesions)
        if reference is None:
            self.without_reference += 1
            return
        percent, low, high = entry.index
        self.pairs.append(
            MeasuredPair(
                scan_id=case.scan_id,
                patient=patient,
                reference=reference,
                measured=percent,
                low=low,
                high=high,
            )
        )

    def _reference(self, case: Case, entry: QuantifiedEntry, lesions: CaseLesions) -> float | None:
        """Index of the true outlines; `None` without the scan's file."""
        if not lesions.metastases.numbers:
            return 0.0
        if not case.file:
            return None
        try:
            scan = read(self.manifest.path(case))
        except BonescintError:
            return None
        if scan.shape != entry.shape:
            return None
        return outlined_index(
            body_regions(scan),
            lesions.metastases.areas,
            {number: focus.region for number, focus in lesions.metastases.foci},
            table=entry.masses,
        )

    def summary(self, resampling: Resampling) -> LesionEvaluation:
        """The figures over all scans."""
        marks = replace(resampling, resamples=min(resampling.resamples, _MARK_RESAMPLES))
        agreement: tuple[Measure, ...] = ()
        if len(self.pairs) >= _FEWEST_PAIRS:
            patients = patient_numbers([pair.patient for pair in self.pairs])
            agreement = agreement_measures(self.pairs, resampling, patients=patients)
        return LesionEvaluation(
            tolerance_mm=self.tolerance_mm,
            scans=tuple(self.scans),
            curve=FreeResponseCurve.of([scan.marks() for scan in self.scans]),
            bands=sensitivity_bands(self.scans, marks, at=FALSE_FOCI),
            measures=focus_measures(self.scans, resampling, called_from=METASTASIS_FROM),
            pairs=tuple(self.pairs),
            agreement=agreement,
            reference=(
                "the index calculated from the lesions as they are outlined in the cohort, each "
                "with probability 1, with the bones placed by this program's registration"
            ),
            left_out=tuple(self.left_out),
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        """Remarks that are needed to interpret the figures."""
        notes = []
        if self.assumed_spacing:
            notes.append(
                f"{self.assumed_spacing} scans do not give a pixel size: a field of "
                f"{FIELD_MM / 1000:g} m was assumed for the tolerance."
            )
        if self.by_physicians:
            notes.append(
                f"{self.by_physicians} scans have a physician's masks. These do not say which "
                "outlines in the two views belong to the same lesion, so lesions are counted in "
                "each view separately; benign lesions and contrast-to-noise ratios are unknown."
            )
        if self.without_reference:
            notes.append(
                f"The files of {self.without_reference} scans with metastases are missing: their "
                "Bone Scan Index has no reference."
            )
        return tuple(notes)
