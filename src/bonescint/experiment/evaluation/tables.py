"""The tables of an evaluation, at full precision."""

from __future__ import annotations

import numpy as np

from bonescint.evaluate.comparing import Comparison
from bonescint.evaluate.metrics import Measure
from bonescint.evaluate.tables import (
    Cell,
    Table,
    comparisons_table,
    confusion_table,
    interactions_table,
    measures_table,
    subgroups_table,
)
from bonescint.experiment.evaluation.evaluate import Evaluation
from bonescint.scan import Call


def evaluation_tables(found: Evaluation) -> tuple[Table, ...]:
    """All of them, in the order of the report."""
    judgement = found.judgement
    area = Measure(name="roc_auc_score", words="Area under the ROC curve", estimate=judgement.area)
    tables = [
        flow_table(found),
        left_out_table(found),
        measures_table("performance", "Performance", (area, *judgement.at_point)),
        measures_table("performance_at_half", "Performance at 0.5", judgement.at_half),
        measures_table("performance_resampled", "Performance, resampled", judgement.resampled),
        confusion_table(judgement.confusion),
        *_not_called_tables(found),
        measures_table("calibration", "Calibration", judgement.calibration.measures),
        _bins_table("reliability", found, after=False),
    ]
    if found.recalibrated is not None and found.recalibration is not None:
        line = found.recalibration
        measures = (
            Measure(name="recalibration_slope", words="Slope", estimate=line.slope),
            Measure(name="recalibration_intercept", words="Intercept", estimate=line.intercept),
            *found.recalibrated.measures,
        )
        tables.append(measures_table("calibration_after", "Calibration after a fit", measures))
        tables.append(_bins_table("reliability_after", found, after=True))
    tables += [
        _curve_table(found),
        _decision_table(found),
        subgroups_table(found.subgroups),
        interactions_table(found.interactions),
    ]
    if found.control is not None:
        tables.append(
            comparisons_table(
                "control", "Model minus the control of age, sex and primary tumour",
                (found.control.comparison,),
            )
        )  # fmt: skip
    if found.against is not None:
        both: tuple[Comparison, ...] = (*found.against.closed, *found.against.resampled)
        tables.append(comparisons_table("comparison", f"Less {found.against.name}", both))
    tables.append(_cases_table(found))
    return tuple(tables)


def _not_called_tables(found: Evaluation) -> tuple[Table, ...]:
    """Scans without a call, if there are any."""
    without = found.judgement.not_called
    if without is None:
        return ()
    return (measures_table("not_called", "Scans without a call", without.measures),)


def flow_table(found: Evaluation) -> Table:
    """What became of every scan of the manifest, by split."""
    rows: list[tuple[Cell, ...]] = []
    for part in found.joined.parts:
        positives = int(part.positive.sum())
        use = "not used"
        if part.split is found.settings.judged:
            use = "judged"
        elif part.split.value == "validation":
            uses = ["operating point"] if found.settings.threshold is None else []
            uses += ["calibration"] if found.recalibrated is not None else []
            use = " and ".join(uses) or use
        total = len(part.cases) + len(part.missing)
        rows.append((part.split.value, total, len(part.missing), len(part.cases), positives,
                     len(part.cases) - positives, use))  # fmt: skip
    if found.joined.unknown:
        rows.append(("not in the manifest", None, None, len(found.joined.unknown), None, None,
                     "left out"))  # fmt: skip
    return Table(
        name="flow",
        title="Flow of scans",
        columns=("split", "in_manifest", "without_prediction", "with_prediction", "positives",
                 "negatives", "used_for"),
        rows=tuple(rows),
    )  # fmt: skip


def left_out_table(found: Evaluation) -> Table:
    """Every scan of the used splits that has no prediction, every prediction without a scan."""
    rows: list[tuple[Cell, ...]] = [
        (case.scan_id, part.split.value, int(case.positive), "no prediction")
        for part in found.joined.parts
        if part.split in (found.settings.judged, "validation")
        for case in part.missing
    ]
    rows += [
        (row.scan_id, "", None, f"not in the manifest (row {row.row} of the predictions)")
        for row in found.joined.unknown
    ]
    return Table(name="left_out", title="Left out", columns=("scan_id", "split", "label", "why"),
                 rows=tuple(rows))  # fmt: skip


def _bins_table(name: str, found: Evaluation, *, after: bool) -> Table:
    calibration = found.recalibrated if after else found.judgement.calibration
    bins = () if calibration is None else calibration.bins
    return Table(
        name=name,
        title="Reliability curve",
        columns=("lowest", "highest", "predicted", "observed", "low", "high", "scans"),
        rows=tuple(
            (one.lowest, one.highest, one.predicted, one.observed.value, one.observed.low,
             one.observed.high, one.count)
            for one in bins
        ),
    )  # fmt: skip


def _curve_table(found: Evaluation) -> Table:
    curve = found.judgement.curve
    rows = zip(
        curve.thresholds.tolist(),
        curve.sensitivity.tolist(),
        curve.specificity.tolist(),
        curve.precision.tolist(),
        curve.true_positives.tolist(),
        curve.false_positives.tolist(),
        strict=True,
    )
    return Table(
        name="roc_curve",
        title="ROC and precision-recall curve",
        columns=("threshold", "sensitivity", "specificity", "precision", "true_positives",
                 "false_positives"),
        rows=tuple(rows),
    )  # fmt: skip


def _decision_table(found: Evaluation) -> Table:
    curve = found.judgement.decision
    rows = zip(curve.thresholds.tolist(), curve.model.tolist(), curve.low.tolist(),
               curve.high.tolist(), curve.everybody.tolist(), strict=True)  # fmt: skip
    return Table(
        name="decision_curve",
        title="Decision curve",
        columns=("threshold", "net_benefit", "low", "high", "net_benefit_of_calling_all"),
        rows=tuple(rows),
    )


def _cases_table(found: Evaluation) -> Table:
    threshold = found.judgement.point.threshold
    part = found.part
    names = {(True, True): "true positive", (True, False): "false negative",
             (False, True): "false positive", (False, False): "true negative"}  # fmt: skip
    patients = np.unique([case.patient_id for case in part.cases], return_inverse=True)[1]
    rows = []
    for case, patient, probability, called in zip(
        part.cases, patients.tolist(), part.probabilities.tolist(), part.called, strict=True
    ):
        above = probability >= threshold
        outcome = names[case.positive, above] if called else Call.NO_CALL.value
        rows.append((case.scan_id, patient, case.centre, int(case.positive), probability,
                     int(above) if called else None, outcome))  # fmt: skip
    return Table(
        name="cases",
        title="Judged scans",
        columns=(
            "scan_id",
            "patient",
            "centre",
            "label",
            "mbd_probability",
            "called_positive",
            "outcome",
        ),
        rows=tuple(rows),
    )
