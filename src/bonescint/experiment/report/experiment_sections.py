"""What an experiment found, as sections of its report: the results of all its models together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from bonescint.cohort import Manifest
from bonescint.evaluate import Measure, Resampling, resampled, share
from bonescint.evaluate.figures import roc_curves_figure
from bonescint.experiment.evaluation.data import MappedScan
from bonescint.experiment.evaluation.results import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_NEGATIVE,
    TRUE_POSITIVE,
    EvaluationResult,
    estimate_of,
)
from bonescint.experiment.evaluation.robustness import read_robustness
from bonescint.experiment.paths import RunPaths
from bonescint.experiment.report.figures import FigureWriter, FlowRow
from bonescint.experiment.report.model_report import INTERACTING
from bonescint.experiment.spec import ExperimentSpec
from bonescint.model import ModelFolder
from bonescint.report.document_page import PageFigure, PageSection, PageTable
from bonescint.report.text import p_text
from bonescint.scan import Prediction, Split

Results = Mapping[str, EvaluationResult]
"""The evaluation of every model of an experiment, by its name."""
_Measures = Callable[[EvaluationResult], Iterable[Measure]]
_PERFORMANCE = {
    "roc_auc_score": "Area under the ROC curve",
    "sensitivity_score": "Sensitivity",
    "specificity_score": "Specificity",
    "positive_predictive_value_score": "Positive predictive value",
    "negative_predictive_value_score": "Negative predictive value",
    "f1_score": "F1",
}
_CALIBRATION = {
    "calibration_slope": "Slope",
    "calibration_intercept": "Intercept",
    "brier_error": "Brier score",
}
_WORTH_SAYING = 0.05


def model_table(
    caption: str,
    models: Iterable[str],
    rows: Iterable[tuple[str, ...]],
    *,
    head: str = "",
    note: str = "",
) -> PageTable:
    """A table with a column for each model."""
    columns = (head, *models)
    numeric = tuple(range(1, len(columns)))
    return PageTable(caption=caption, columns=columns, rows=tuple(rows), note=note, numeric=numeric)


def _measures_table(
    results: Results, caption: str, names: Mapping[str, str], measures: _Measures
) -> PageTable:
    """Measures by name, in words, of every model; those that none has are left out."""
    rows = []
    for name, words in names.items():
        estimates = [estimate_of(measures(result), name) for result in results.values()]
        if any(estimate.defined for estimate in estimates):
            rows.append((words, *(estimate.text() for estimate in estimates)))
    return model_table(caption, results, rows)


def model_pictures(
    models: Iterable[str], paths: RunPaths, picture: str, words: str, *, wide: bool = False
) -> Iterator[PageFigure]:
    """The same figure of every model that has it."""
    for name in models:
        file = paths.evaluation(name) / "figures" / f"{picture}.svg"
        if file.is_file():
            yield PageFigure(caption=f"{name}: {words}.", content=file.read_bytes(), wide=wide)


def performance_section(
    spec: ExperimentSpec, results: Results, paths: RunPaths, kept: FigureWriter
) -> PageSection:
    """ROC curves, confusion matrices, and figures at the operating point and at 0.5."""
    curves, points = {}, []
    for name, result in results.items():
        measures = result.judgement.at_point
        curves[f"{name} {result.judgement.area.text()}"] = result.judgement.curve
        sensitivity = estimate_of(measures, "sensitivity_score").value
        points.append((1 - estimate_of(measures, "specificity_score").value, sensitivity))
    caption = "ROC curves of the test split; dots are the operating points."
    matrix = "confusion matrix at the operating point"
    return PageSection(
        title="Performance on the test split",
        paragraphs=(f"Operating point: {spec.rule.words}, on the validation split only.",),
        figures=(
            kept.figure("roc", roc_curves_figure(curves, points), caption),
            *model_pictures(results, paths, "confusion", matrix),
            *model_pictures(results, paths, "precision_recall", "precision and recall"),
        ),
        tables=(
            _measures_table(
                results, "At the operating point", _PERFORMANCE, lambda one: one.performance
            ),
            _measures_table(results, "At 0.5", _PERFORMANCE, lambda one: one.judgement.at_half),
        ),
    )


def comparisons_section(spec: ExperimentSpec, results: Results) -> PageSection:
    """Every model minus the reference, paired."""
    tables = []
    reference = spec.compared_with
    for name, result in results.items():
        found = result.comparison
        rows = []
        for one in () if found is None else (*found.closed, *found.resampled):
            if math.isfinite(one.difference.value) and math.isfinite(one.difference.low):
                values = (f"{one.first:.3f}", f"{one.second:.3f}", one.difference.text())
                rows.append((one.words, *values, p_text(one.p_value), one.test))
        if rows:
            tables.append(
                PageTable(
                    caption=f"{name} minus {reference}",
                    columns=("", name, reference, "Difference", "p", "Test"),
                    rows=tuple(rows),
                    numeric=(1, 2, 3, 4),
                )
            )
    text = "Paired, on the same scans." if tables else "There is one model only."
    if tables:
        tables.append(_remaining_errors(spec, results))
    return PageSection(title="Models compared", paragraphs=(text,), tables=tuple(tables))


def _remaining_errors(spec: ExperimentSpec, results: Results) -> PageTable:
    """By how much 1 - AUC is smaller or larger than the reference's."""
    resampling = Resampling(resamples=spec.resamples)
    errors = {}
    for name, result in results.items():
        found = resampled(result.judgement.cases, 0.5, resampling)
        column = found.names.index("roc_auc_score")
        errors[name] = (1 - float(found.values[column]), 1 - found.drawn[:, column])
    value, drawn = errors[spec.compared_with]
    rows = []
    for name, (own, own_drawn) in errors.items():
        ratio = ""
        if name != spec.compared_with and value > 0:
            # The same seed draws the same scans for every model: the ratio is paired.
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = resampling.estimate(own / value, own_drawn / drawn).text()
        rows.append((name, f"{own:.3f}", ratio))
    return PageTable(
        caption="Remaining 1 - AUC",
        columns=("", "1 - AUC", f"Relative to {spec.compared_with}"),
        rows=tuple(rows),
        numeric=(1, 2),
        note=f"Paired; {resampling.method}. 0.5 means that half of it remains.",
    )


def calibration_section(results: Results, paths: RunPaths) -> PageSection:
    """Slope, intercept, Brier score and reliability curves."""
    caption = "Probabilities as the model folder gives them (calibrated on validation)"
    table = _measures_table(
        results, caption, _CALIBRATION, lambda one: one.judgement.calibration.measures
    )
    return PageSection(
        title="Calibration and decision curves",
        figures=(
            *model_pictures(results, paths, "calibration", "reliability curve"),
            *model_pictures(results, paths, "decision_curve", "decision curve"),
        ),
        tables=(table,),
    )


def robustness_section(models: Iterable[str], paths: RunPaths) -> PageSection:
    """The area under the ROC curve on degraded scans."""
    by_model = {name: read_robustness(paths.robustness(name)) for name in models}
    areas = {(name, row.words): row.area.text() for name, rows in by_model.items() for row in rows}
    conditions = dict.fromkeys(row.words for rows in by_model.values() for row in rows)
    scans = next((rows[0].scans for rows in by_model.values() if rows), 0)
    table = model_table(
        f"Area under the ROC curve on {scans} test scans with equal classes",
        by_model,
        ((words, *(areas.get((name, words), "") for name in by_model)) for words in conditions),
        head="Scans",
        note="DeLong's intervals.",
    )
    return PageSection(title="Degraded scans", tables=(table,))


def subgroups_section(results: Results, paths: RunPaths) -> PageSection:
    """Subgroups, tests for interaction, and what age, sex and primary tumour alone can tell."""
    controls, interactions = [], []
    for name, result in results.items():
        if result.control is not None:
            minus = result.control.comparison
            areas = (f"{minus.first:.3f}", f"{minus.second:.3f}", minus.difference.text())
            controls.append((name, *areas, p_text(minus.p_value)))
        for one in result.interactions:
            if one.p_holm < _WORTH_SAYING:
                figure = INTERACTING.get(one.figure, one.figure)
                p_values = (p_text(one.p_value), p_text(one.p_holm))
                interactions.append((name, one.factor, figure, *p_values))
    tables = []
    if controls:
        tables.append(
            PageTable(
                caption="Compared with a control that sees only age, sex and primary tumour",
                columns=("Model", "AUC", "AUC of the control", "Difference", "p"),
                rows=tuple(controls),
                numeric=(1, 2, 3, 4),
                note="DeLong, paired.",
            )
        )
    text = "No test for interaction is significant after Holm's correction."
    if interactions:
        text = "Metrics that differ between subgroups after Holm's correction."
        tables.append(
            PageTable(
                caption=f"Interactions with p below {_WORTH_SAYING} after Holm's correction",
                columns=("Model", "Factor", "Figure", "p", "p, Holm"),
                rows=tuple(interactions),
                numeric=(3, 4),
            )
        )
    return PageSection(
        title="Subgroups and a control without images",
        paragraphs=(f"{text} All tests are in the report of each model.",),
        figures=tuple(model_pictures(results, paths, "subgroups", "subgroups", wide=True)),
        tables=tuple(tables),
    )


def index_test_flow(result: EvaluationResult, cohort: Manifest) -> list[FlowRow]:
    """The flow of the test split through the index test, a model, as STARD asks for.

    Args:
        result: result of the model.
        cohort: cohort of the experiment.
    """
    scans, read = len(cohort.split(Split.TEST)), len(result.scans)
    outcomes = [result.outcome(scan) for scan in result.scans]
    ill, well = outcomes.count(TRUE_POSITIVE), outcomes.count(FALSE_POSITIVE)
    missed, spared = outcomes.count(FALSE_NEGATIVE), outcomes.count(TRUE_NEGATIVE)
    called = ill + well
    return [
        FlowRow(title="Test split", boxes=(f"{scans} scans",), come_from=((),)),
        FlowRow(
            title="Index test\ndone",
            boxes=(f"{read} scans read", f"{scans - read} without a prediction"),
            come_from=((0,), (0,)),
        ),
        FlowRow(
            title="Index test\nresult",
            boxes=(f"positive\n{called} scans", f"negative\n{read - called} scans"),
            come_from=((0,), (0,)),
        ),
        FlowRow(
            title="Reference\nstandard",
            boxes=(
                f"{ill} with disease\n{well} without",
                f"{missed} with disease\n{spared} without",
            ),
            come_from=((0,), (1,)),
        ),
    ]


def uncertain_section(
    cards: Mapping[str, ModelFolder],
    answers: Mapping[str, Mapping[str, MappedScan]],
    cohort: Manifest,
) -> PageSection:
    """Calls, with uncertain ones counted separately, and scans unlike the training cohort.

    Args:
        cards: the model folders.
        answers: probabilities of each model, by scan; at full precision, which the CSV file is not.
        cohort: cohort of the experiment.
    """
    test = {case.scan_id: case.positive for case in cohort.split(Split.TEST)}
    calls: list[tuple[str, ...]] = []
    unlike = []
    for name, folder in cards.items():
        scans = [scan.prediction for key, scan in answers[name].items() if key in test]
        calls += _calls_of(name, folder, scans, test)
        if folder.ood is not None:
            limit = folder.ood.threshold
            above = sum((scan.ood_score or 0.0) > limit for scan in scans)
            stated = f"{100 * folder.ood.false_alarm_rate:.3g} %"
            counted = (f"{above} of {len(scans)}", share(above, len(scans)).text())
            unlike.append((name, f"{limit:.1f}", stated, *counted))
    tables = [
        PageTable(
            caption="Calls of the model folders, with uncertain calls counted separately",
            columns=("Model", "Call", "With disease", "Without disease", "Share of all"),
            rows=tuple(calls),
            numeric=(2, 3, 4),
            note="At the operating point of each model's own card, around which its uncertain "
            "band lies; the section on performance uses the experiment's operating point.",
        )
    ]
    if unlike:
        tables.append(
            PageTable(
                caption="Test scans that are unlike the training cohort",
                columns=("Model", "Score above", "False alarms, as stated", "Scans", "Share"),
                rows=tuple(unlike),
                numeric=(1, 2, 3, 4),
                note="Scans of another centre may well be unlike. All were called here; "
                "bonescint classify calls such scans on demand only.",
            )
        )
    return PageSection(title="Uncertain and unlike", tables=tuple(tables))


def _calls_of(
    name: str, folder: ModelFolder, scans: Sequence[Prediction], positive: Mapping[str, bool]
) -> Iterator[tuple[str, ...]]:
    """Rows of the table of one model, from the calls as they were given."""
    band = folder.card.uncertain_band
    groups: dict[str, list[str]] = {"positive": [], "negative": []}
    if band is not None:
        groups[f"uncertain ({band[0]:.3f} to {band[1]:.3f})"] = []
    *_, last = groups
    for scan in scans:
        call = last if scan.uncertain else "positive" if scan.positive else "negative"
        groups[call].append(scan.scan_id)
    for call, members in groups.items():
        ill = sum(positive[scan_id] for scan_id in members)
        part = f"{100 * len(members) / max(len(scans), 1):.1f} %"
        yield name, call, str(ill), str(len(members) - ill), part
