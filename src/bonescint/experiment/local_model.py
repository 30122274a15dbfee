"""A model at a place of its own: temperature and operating point from scans with known labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bonescint.cohort import Problem, read_manifest, refuse
from bonescint.evaluate import OperatingRule, ScoredCases, margins
from bonescint.evaluate.by_patient import patient_numbers
from bonescint.evaluate.local import LocalCalibration, calibrate_locally
from bonescint.experiment.joining import join, read_predictions
from bonescint.model import ModelCard, ModelFolder, model_path, write_model_folder
from bonescint.model.folder import SHIPPED
from bonescint.scan import InputError, MissingExtraError, ParameterError
from bonescint.tables import truth_of

_LEAST_FOR_BAND = 100
"""Scans from which the tenth of them nearest to the operating point is ten or more."""
_OF_ONE_CALIBRATION = (
    "sensitivity_score",
    "specificity_score",
    "cross_entropy_error",
    "parent_probability_error",
)
"""Figures of a card that hold for its temperature and operating point only."""


def calibrate_model(
    model: Path | str,
    predictions: Path | str,
    *,
    rule: OperatingRule,
    cohort: Path | None = None,
    ignore_unknown: bool = False,
    out: Path | str | None = None,
) -> tuple[ModelFolder, LocalCalibration]:
    """Give a model a temperature and an operating point of a user's own scans.

    The graph stays as it is; the card says what was done. The uncertain band of other scans goes;
    from 100 scans on a new one is fitted, which needs the extra `train`.

    Args:
        model: folder of the model that made the predictions, or `"shipped"`.
        predictions: table with `scan_id, mbd_probability`, and `label` (0 or 1) unless a cohort is
            given.
        rule: that chooses the operating point.
        cohort: manifest that knows the labels; all scans of it that have a prediction are used.
        ignore_unknown: leave out predictions of scans that the cohort does not know.
        out: the model folder to write; the model's own if `None`.

    Returns:
        The folder that was written, and what was found. Where the card has no uncertain band, its
        rule says why.

    Raises:
        InputError: tables that are wrong, every row named; one class only.
        ParameterError: all scores are equal.
        OutputError: the folder cannot be written.
    """
    folder = ModelFolder.load(model)
    if out is None and folder.path == model_path(SHIPPED):
        needed = "given for the model that comes with bonescint, which is never changed"
        raise ParameterError("out", "model calibrate", needed, out)
    source = Path(predictions)
    cases = _labelled(source) if cohort is None else _joined(source, cohort, ignore_unknown)
    positives = int(cases.positive.sum())
    if positives in (0, cases.count):
        problem = f"{positives} of {cases.count} scans are positive"
        raise InputError(source, problem, "Both classes are needed")
    changed, found = recalibrated(folder.card, cases, rule)
    written = write_model_folder(
        folder.path if out is None else out,
        card=changed,
        onnx=folder.onnx_path.read_bytes(),
        likeness=folder.likeness,
    )
    return written, found


def recalibrated(
    card: ModelCard,
    cases: ScoredCases,
    rule: OperatingRule,
    *,
    scans: str = "scans of the user's own",
    the_scans: str = "the user's own scans",
) -> tuple[ModelCard, LocalCalibration]:
    """A model's card with temperature, operating point and uncertain band of other scans.

    Figures that hold for the former ones only, such as sensitivity, leave the card.

    Args:
        card: of the model.
        cases: scored by the model's probabilities; of both classes.
        rule: that chooses the operating point.
        scans: what the cases are, after their number, for the card.
        the_scans: the same, after "of".

    Raises:
        ParameterError: one class only, or all scores are equal.
    """
    found = calibrate_locally(cases, rule)
    point = found.operating_point
    band, band_rule = _band(cases, found, the_scans)
    said = (
        f"{found.rule}, on {found.count} {scans} ({found.positives} positive); "
        f"temperature {found.temperature.text()} on top of {card.temperature:.4g}"
    )
    changed = replace(
        card,
        temperature=card.temperature * found.temperature.value,
        operating_point=1.0 if math.isinf(point) else float(np.clip(point, 0, 1)),
        operating_point_rule=said,
        uncertain_band=band,
        uncertain_rule=band_rule,
        metrics=tuple(one for one in card.metrics if one.name not in _OF_ONE_CALIBRATION),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return changed, found


def _band(
    cases: ScoredCases, found: LocalCalibration, the_scans: str
) -> tuple[tuple[float, float] | None, str]:
    """The uncertain band of these scans with its rule, or why there is none."""
    if cases.count < _LEAST_FOR_BAND:
        return None, f"no uncertain band, which needs {_LEAST_FOR_BAND} scans"
    if math.isinf(found.operating_point):
        return None, "no uncertain band around a point above every score"
    try:
        from bonescint.train.calibrate import Judged, uncertain_band
    except MissingExtraError:
        return None, "no uncertain band, which needs bonescint[train]"
    band, rule = uncertain_band(
        Judged(margins=margins(cases.scores), labels=cases.positive),
        temperature=found.temperature.value,
        operating_point=found.operating_point,
    )
    return band, rule.replace("the validation scans", the_scans)


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
    """Predictions whose table has the labels itself."""
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
    refuse(predictions, wrong, "Correct the table")
    return _scored([row.mbd_probability for row in rows], [label is True for label in labels])


def _scored(scores: Sequence[float], positive: Sequence[bool]) -> ScoredCases:
    return ScoredCases(scores=np.array(scores), positive=np.array(positive, dtype=bool))
