"""A model calibrated on a user's own scans with known labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bonescint.cohort import read_manifest
from bonescint.evaluate import OperatingRule, ScoredCases
from bonescint.evaluate.recalibration import LocalCalibration
from bonescint.evaluate.scored import patient_numbers
from bonescint.experiment.adaptation.adapt import PAGE as ADAPTATION_PAGE
from bonescint.experiment.evaluation.data import join, read_predictions
from bonescint.model import ModelFolder, is_packaged, write_model_folder
from bonescint.model.recalibration import recalibrated
from bonescint.scan import InputError, ParameterError
from bonescint.tables import Problem, refuse, truth_of


def calibrate_model(
    model: Path | str,
    predictions: Path | str,
    *,
    rule: OperatingRule,
    prevalence: float | None = None,
    cohort: Path | None = None,
    ignore_unknown: bool = False,
    out: Path | str | None = None,
) -> tuple[ModelFolder, LocalCalibration]:
    """Give a model the calibration and the operating point of a user's own scans.

    The graph does not change; the card records what was done. The former uncertain band is removed;
    with 100 scans or more, a new one is computed.

    Args:
        model: folder of the model that made the predictions, or `"shipped"`.
        predictions: table with `scan_id, mbd_probability`, and `label` (0 or 1) unless a cohort is
            given; `patient_id` where patients have several scans.
        rule: the rule that chooses the operating point.
        prevalence: share of scans with disease where the model will be used, if it differs from
            that of these scans. It changes the probabilities, not which scans are called positive.
        cohort: manifest with the labels; all its scans that have a prediction are used.
        ignore_unknown: leave out predictions of scans that are not in the cohort.
        out: the model folder to write; the model's own if `None`.

    Returns:
        The folder that was written, and the calibration. If the card has no uncertain band, its
        rule says why.

    Raises:
        InputError: tables that are wrong, every row named; one class only; predictions with which
            the model was calibrated already.
        ParameterError: all scores are equal, or a prevalence that is not between 0 and 1.
        OutputError: the folder cannot be written.
    """
    folder = ModelFolder.load(model)
    if out is None and is_packaged(folder):
        needed = "given for a model that comes with bonescint, which is never changed"
        raise ParameterError("out", "model calibrate", needed, out)
    source = Path(predictions)
    cases = _labelled(source) if cohort is None else _joined(source, cohort, ignore_unknown)
    positives = int(cases.positive.sum())
    if positives in (0, cases.count):
        problem = f"{positives} of {cases.count} scans are positive"
        raise InputError(source, problem, "Both classes are needed")
    changed, found = recalibrated(folder.card, cases, rule, prevalence=prevalence)
    before, fit = folder.card.calibrated_on, found.fit
    if before is not None and (before.count, before.fitted) == (fit.count, fit.calibration):
        problem = "the model was calibrated with these predictions already"
        raise InputError(source, problem, "Classify the scans again with the calibrated model")
    page = folder.path / ADAPTATION_PAGE
    written = write_model_folder(
        folder.path if out is None else out,
        card=changed,
        onnx=folder.onnx_path.read_bytes(),
        ood=folder.ood,
        weights=folder.read_weights(),
        more={ADAPTATION_PAGE: page.read_bytes()} if page.is_file() else None,
    )
    return written, found


def _joined(predictions: Path, cohort: Path, ignore_unknown: bool) -> ScoredCases:
    joined = join(
        read_predictions(predictions),
        read_manifest(cohort),
        source=predictions,
        ignore_unknown=ignore_unknown,
    )
    parts = [part for part in joined.parts if part.cases]
    if not parts:
        raise InputError(predictions, "has no scan of the cohort", "Give the cohort's predictions")
    return ScoredCases(
        scores=np.concatenate([part.probabilities for part in parts]),
        positive=np.concatenate([part.positive for part in parts]),
        patients=patient_numbers([case.patient_id for part in parts for case in part.cases]),
    )


def _labelled(predictions: Path) -> ScoredCases:
    """Predictions whose table holds the labels."""
    rows = read_predictions(predictions)
    if rows[0].label is None:
        problem = "column label is missing"
        raise InputError(predictions, problem, "Add it (0 or 1), or give --cohort MANIFEST")
    labels = [truth_of(row.label or "") for row in rows]
    wrong = [
        Problem(row=row.row, column="label", text=f"must be 0 or 1, got '{row.label}'")
        for row, label in zip(rows, labels, strict=True)
        if label is None
    ]
    wrong += [
        Problem(row=row.row, column="patient_id", text="is empty")
        for row in rows
        if row.patient_id == ""
    ]
    refuse(predictions, wrong, "Correct the table")
    return ScoredCases(
        scores=np.array([row.mbd_probability for row in rows]),
        positive=np.array(labels, dtype=bool),
        patients=patient_numbers([row.patient_id or row.scan_id for row in rows]),
    )
