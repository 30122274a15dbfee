"""The inputs of an evaluation: predictions, joined with their cohort, and activation maps.

Cases without a prediction are listed separately and reported.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest
from bonescint.dicom import read
from bonescint.evaluate import ScoredCases
from bonescint.evaluate.scored import patient_numbers
from bonescint.explain import map_on_grid
from bonescint.files import json_in
from bonescint.scan import BonescintError, Call, Case, InputError, Prediction, Scan, Split, View
from bonescint.tables import (
    Columns,
    Problem,
    TableWarning,
    matched_names,
    read_table,
    refuse,
    said_spellings,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """One row of a table of predictions.

    Attributes:
        scan_id: identifier of the scan.
        mbd_probability: 0 to 1.
        row: row of the table; the header is row 1.
        label: text of that column, or `None` if the table has no such column.
        patient_id: the same.
        called: false where the column `call` says that the scan was not called.
    """

    scan_id: str
    mbd_probability: float
    row: int
    label: str | None = None
    patient_id: str | None = None
    called: bool = True


FIELD_MM = 1950.0
"""Length of a whole-body field, for pictures that do not say how large a pixel is. Assumed."""
_MAPS_SCHEMA = 1
_GIVE_RESULTS = "Give results.json of bonescint classify"
_COLUMNS = Columns(
    names={name: (name,) for name in ("scan_id", "mbd_probability", "label", "patient_id", "call")},
    required=("scan_id", "mbd_probability"),
    remedy="Give scan_id and mbd_probability, one row per scan",
)


def read_predictions(path: Path | str) -> tuple[PredictionRow, ...]:
    """Read predictions from any source: a table (CSV or .xlsx) of `scan_id, mbd_probability`.

    `results.csv` of `bonescint classify` is such a table. The columns `label`, `patient_id` and
    `call` are read if present; others are ignored.

    Args:
        path: path of the table.

    Raises:
        InputError: unreadable, columns missing, no row; or invalid rows, all of them named: an
            empty or repeated identifier, a value that is no probability.
    """
    table = read_table(path, _COLUMNS)
    table.warn()
    if not len(table):
        raise InputError(table.source, "has no predictions", "Give one row per scan")
    probability_of = table.numbers("mbd_probability")
    found, problems, first_row = [], [], dict[str, int]()
    for row in table.rows:
        scan_id = row.name("scan_id")
        if not scan_id:
            problems.append(Problem(row=row.number, column="scan_id", text="is empty"))
        elif first_row.setdefault(scan_id, row.number) != row.number:
            repeated = f"{scan_id} is in row {first_row[scan_id]} too"
            problems.append(Problem(row=row.number, column="scan_id", text=repeated))
        text = row.text("mbd_probability")
        probability = probability_of(text)
        if probability is None or not 0 <= probability <= 1:
            wrong = f"must be a number from 0 to 1, got '{text}'"
            problems.append(Problem(row=row.number, column="mbd_probability", text=wrong))
            continue
        found.append(
            PredictionRow(
                scan_id=scan_id,
                mbd_probability=probability,
                row=row.number,
                label=row.text("label") if "label" in table else None,
                called="call" not in table or row.text("call").casefold() != Call.NO_CALL,
                patient_id=row.name("patient_id") if "patient_id" in table else None,
            )
        )
    refuse(table.source, problems, "Correct the table")
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitPredictions:
    """The cases of one split that have a prediction, and those that have none.

    Attributes:
        split: the split.
        cases: cases with a prediction, in the manifest's order.
        probabilities: float64 (cases,).
        missing: cases without a prediction.
        called: bool (cases,), false for a scan that has a probability and no call.
    """

    split: Split
    cases: tuple[Case, ...]
    probabilities: NDArray[np.float64]
    missing: tuple[Case, ...]
    called: NDArray[np.bool_]

    @property
    def positive(self) -> NDArray[np.bool_]:
        """The reference standard, bool (cases,)."""
        return np.array([case.positive for case in self.cases], dtype=bool)

    @property
    def patients(self) -> tuple[int, ...]:
        """Number of each case's patient, which results have in place of an identifier."""
        names = [case.patient_id for case in self.cases]
        return tuple(np.unique(names, return_inverse=True)[1].tolist())

    @property
    def scored(self) -> ScoredCases:
        """Scores, truth and patients.

        Raises:
            ParameterError: no case.
        """
        patients = patient_numbers(self.patients)
        return ScoredCases(scores=self.probabilities, positive=self.positive, patients=patients)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPredictions:
    """Predictions and the cohort.

    Attributes:
        manifest: the cohort.
        parts: the splits, in the order train, validation, test.
        unknown: predictions of scans that are not in the manifest, which the caller chose to
            leave out.
    """

    manifest: Manifest
    parts: tuple[SplitPredictions, ...]
    unknown: tuple[PredictionRow, ...] = ()

    def part(self, split: Split) -> SplitPredictions:
        """The predictions of one split."""
        return next(part for part in self.parts if part.split is split)


def join(
    predictions: Sequence[PredictionRow],
    manifest: Manifest,
    *,
    source: object,
    ignore_unknown: bool = False,
) -> LabelledPredictions:
    """Join every case with its prediction.

    Args:
        predictions: as `read_predictions` gives them.
        manifest: the cohort.
        source: name of the predictions in errors.
        ignore_unknown: leave out predictions of scans that are not in the manifest, instead of
            refusing them.

    Returns:
        The splits, each with its cases that lack a prediction. Identifiers that differ only in
        the way spreadsheets change them are matched, with a warning.

    Raises:
        InputError: predictions of scans that are not in the manifest, all of them named.

    Examples:
        >>> case = Case(scan_id="bs-1", patient_id="p", centre="A", split=Split.TEST, positive=True)
        >>> manifest = Manifest(cases=(case,), folder=Path("."))
        >>> row = PredictionRow(scan_id="bs-1", mbd_probability=0.7, row=2)
        >>> join([row], manifest, source="p.csv").part(Split.TEST).probabilities.tolist()
        [0.7]
    """
    known = {case.scan_id for case in manifest.cases}
    written = matched_names((row.scan_id for row in predictions), known)
    if written:
        said = said_spellings("scan", written)
        warnings.warn(f"{source}: {said}.", TableWarning, stacklevel=2)
        predictions = [
            replace(row, scan_id=written.get(row.scan_id, row.scan_id)) for row in predictions
        ]
    unknown = tuple(row for row in predictions if row.scan_id not in known)
    if unknown and not ignore_unknown:
        refuse(
            source,
            [_unknown(row) for row in unknown],
            "Give the cohort that was predicted, or leave such rows out (--ignore-unknown)",
        )
    probability = {row.scan_id: row.mbd_probability for row in predictions}
    not_called = {row.scan_id for row in predictions if not row.called}
    parts = []
    for split in Split:
        cases = manifest.split(split)
        there = tuple(case for case in cases if case.scan_id in probability)
        parts.append(
            SplitPredictions(
                split=split,
                cases=there,
                probabilities=np.array([probability[case.scan_id] for case in there]),
                missing=tuple(case for case in cases if case.scan_id not in probability),
                called=np.array([case.scan_id not in not_called for case in there], dtype=bool),
            )
        )
    return LabelledPredictions(manifest=manifest, parts=tuple(parts), unknown=unknown)


def _unknown(row: PredictionRow) -> Problem:
    text = f"the manifest has no scan {row.scan_id}"
    return Problem(row=row.row, column="scan_id", text=text)


def require_judgeable(part: SplitPredictions, source: object, purpose: str) -> None:
    """Reject a split on which a model cannot be judged, calibrated or given an operating point.

    Raises:
        InputError: it has no case with a prediction, or cases of one class only.
    """
    counts = int(part.positive.sum()), int((~part.positive).sum())
    if not part.cases:
        absent = f" ({len(part.missing)} scans have none)" if part.missing else ""
        problem = f"split {part.split}: no scan with a prediction{absent}, to {purpose}"
        raise InputError(source, problem, "Predict them, or give another split")
    if 0 in counts:
        kind = "positives" if counts[0] == 0 else "negatives"
        problem = (
            f"split {part.split}, column label: no {kind} among {len(part.cases)} scans with a "
            f"prediction, so they cannot {purpose}"
        )
        raise InputError(source, problem, "Both classes are needed")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MappedScan:
    """One scan of a results file.

    Attributes:
        prediction: the prediction with its activation maps.
        shape: (rows, columns) of its views.
        pixel_spacing_mm: between rows and between columns, or `None`.
        posterior_counts: sum of the posterior view where pixels are counts, or `None`.
    """

    prediction: Prediction
    shape: tuple[int, int]
    pixel_spacing_mm: tuple[float, float] | None
    posterior_counts: float | None

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """The pixel spacing, assumed where the file does not say it."""
        return self.pixel_spacing_mm or (FIELD_MM / self.shape[0],) * 2

    def with_answer(self, probability: float, *, positive: bool) -> MappedScan:
        """The same maps with the probability and the call of an evaluation.

        A results file has the call at the model's own operating point, which may differ from that
        of the evaluation.
        """
        answer = replace(self.prediction, mbd_probability=probability, positive=positive)
        return replace(self, prediction=answer)

    def grids(self) -> dict[View, NDArray[np.float32]]:
        """The MBD map of each view on the view's own pixels, (rows, columns), at least 0."""
        rows, columns = self.shape
        return {
            view: np.maximum(map_on_grid(activation, self.shape, rows=rows, columns=columns), 0)
            for view in View
            if (activation := self.prediction.activation_map(view)) is not None
        }


def read_maps(path: Path | str) -> Mapping[str, MappedScan]:
    """Read the scans of a results file by their identifier.

    Args:
        path: path of `results.json`.

    Raises:
        InputError: unreadable, another schema version, or invalid entries, all of them named.
    """
    source = Path(path)
    try:
        content = json_in(source.read_text(encoding="utf-8"))
        entries = content["results"]
        version = content["schema_version"]
    except FileNotFoundError as error:
        raise InputError(source, "no such file", _GIVE_RESULTS) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        problem = f"no readable results file ({type(error).__name__})"
        raise InputError(source, problem, _GIVE_RESULTS) from error
    if version != _MAPS_SCHEMA:
        problem = f"results schema {version} is not {_MAPS_SCHEMA}"
        raise InputError(source, problem, "Use the release of bonescint that wrote it")
    found: dict[str, MappedScan] = {}
    problems = []
    for number, entry in enumerate(entries):
        try:
            scan = _scan(entry)
        except (BonescintError, KeyError, ValueError, TypeError) as error:
            problems.append(Problem.of_entry(f"results[{number}]", error))
        else:
            found[scan.prediction.scan_id] = scan
    refuse(source, problems, _GIVE_RESULTS)
    return found


def scan_at_hand(manifest: Manifest, case: Case, mapped: MappedScan) -> Scan | None:
    """The scan that the maps belong to.

    Args:
        manifest: the cohort, with the paths of the scans.
        case: one of its cases.
        mapped: the same scan in the results file.

    Returns:
        `None` if the case names no file, or one that cannot be read or has another shape.
    """
    if not case.file:
        return None
    try:
        scan = read(manifest.path(case))
    except BonescintError:
        return None
    return replace(scan, scan_id=case.scan_id) if scan.shape == mapped.shape else None


def _scan(entry: Mapping[str, Any]) -> MappedScan:
    spacing = entry.get("pixel_spacing_mm")
    rows, columns = (int(size) for size in entry["shape"])
    total = entry.get("total") or {}
    counts = total.get(View.POSTERIOR.value) if entry.get("unit") == "counts" else None
    return MappedScan(
        prediction=Prediction.from_json(entry["prediction"]),
        shape=(rows, columns),
        pixel_spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
        posterior_counts=None if counts is None else float(counts),
    )
