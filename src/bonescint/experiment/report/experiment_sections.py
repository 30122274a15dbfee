"""What a study found, as sections of its report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from bonescint.evaluate import Estimate, Resampling, resampled
from bonescint.experiment.evaluation.results import ModelResults, written_rows
from bonescint.experiment.paths import RunPaths
from bonescint.experiment.report.figure_writer import FigureWriter
from bonescint.experiment.report.figures import curves_figure
from bonescint.experiment.spec import ExperimentSpec
from bonescint.report.document_page import PageFigure, PageSection, PageTable

_MEASURES = (
    ("roc_auc_score", "Area under the ROC curve"),
    ("sensitivity_score", "Sensitivity"),
    ("specificity_score", "Specificity"),
    ("positive_predictive_value_score", "Positive predictive value"),
    ("negative_predictive_value_score", "Negative predictive value"),
    ("f1_score", "F1"),
)


def performance_section(
    study: ExperimentSpec, models: Mapping[str, ModelResults], kept: FigureWriter
) -> PageSection:
    """ROC curves, confusion matrices, and figures at the operating point and at 0.5."""
    curves, points, labels = {}, {}, {}
    for name, results in models.items():
        rows = results.rows("roc_curve")
        curves[name] = [(1 - row["specificity"], row["sensitivity"]) for row in rows]
        area = results.estimate("performance", "roc_auc_score")
        labels[name] = f"{name} {area.text()}"
        points[name] = (
            1 - results.estimate("performance", "specificity_score").value,
            results.estimate("performance", "sensitivity_score").value,
        )
    caption = "ROC curves of the test split; dots are the operating points."
    figures = [kept.figure("roc", curves_figure(curves, labels, points), caption)]
    figures += pictures_of(models, "confusion", "confusion matrix at the operating point")
    figures += pictures_of(models, "precision_recall", "precision and recall")
    return PageSection(
        title="Performance on the test split",
        paragraphs=(f"Operating point: {study.rule.words}, on the validation split only.",),
        figures=tuple(figures),
        tables=(
            _measures(models, "performance", "At the operating point"),
            _measures(models, "performance_at_half", "At 0.5"),
        ),
    )


def pictures_of(
    models: Mapping[str, ModelResults], picture: str, words: str, *, wide: bool = False
) -> Iterator[PageFigure]:
    """The same figure of every model that has it."""
    for name, results in models.items():
        content = results.picture(picture)
        if content is not None:
            caption = f"{name}: {words}."
            yield PageFigure(caption=caption, content=content, alternative=caption, wide=wide)


def _measures(models: Mapping[str, ModelResults], table: str, caption: str) -> PageTable:
    rows = []
    for measure, words in _MEASURES:
        estimates = [results.estimate(table, measure) for results in models.values()]
        if any(estimate.defined for estimate in estimates):
            rows.append((words, *(estimate.text() for estimate in estimates)))
    return PageTable(
        caption=caption,
        columns=("", *models),
        rows=tuple(rows),
        numeric=tuple(range(1, len(models) + 1)),
    )


def comparisons_section(study: ExperimentSpec, models: Mapping[str, ModelResults]) -> PageSection:
    """Every model minus the reference, paired."""
    tables = []
    reference = study.compared_with
    for name, results in models.items():
        rows = [
            (
                row["in_words"],
                f"{row['first']:.3f}",
                f"{row['second']:.3f}",
                Estimate(value=row["difference"], low=row["low"], high=row["high"]).text(),
                _p(row["p_value"]),
                row["test"],
            )
            for row in results.rows("comparison")
            if row["difference"] is not None and row["low"] is not None
        ]
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
        tables.append(_remaining_errors(study, models))
    return PageSection(title="Models compared", paragraphs=(text,), tables=tuple(tables))


def _remaining_errors(study: ExperimentSpec, models: Mapping[str, ModelResults]) -> PageTable:
    """By how much 1 - AUC is smaller or larger than the reference's."""
    resampling = Resampling(resamples=study.resamples)
    errors = {}
    for name, results in models.items():
        found = resampled(results.scored(), 0.5, resampling)
        column = found.names.index("roc_auc_score")
        errors[name] = (1 - float(found.values[column]), 1 - found.drawn[:, column])
    value, drawn = errors[study.compared_with]
    rows = []
    for name, (own, own_drawn) in errors.items():
        ratio = ""
        if name != study.compared_with and value > 0:
            # The same seed draws the same scans for every model: the ratio is paired.
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = resampling.estimate(own / value, own_drawn / drawn).text()
        rows.append((name, f"{own:.3f}", ratio))
    return PageTable(
        caption="Remaining 1 - AUC",
        columns=("", "1 - AUC", f"Relative to {study.compared_with}"),
        rows=tuple(rows),
        numeric=(1, 2),
        note=f"Paired; {resampling.method}. 0.5 means that half of it remains.",
    )


def _p(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def calibration_section(models: Mapping[str, ModelResults]) -> PageSection:
    """Slope, intercept, Brier score and reliability curves."""
    measures = (
        ("calibration_slope", "Slope"),
        ("calibration_intercept", "Intercept"),
        ("brier_error", "Brier score"),
    )
    rows = []
    for measure, words in measures:
        estimates = [results.estimate("calibration", measure) for results in models.values()]
        if any(estimate.defined for estimate in estimates):
            rows.append((words, *(estimate.text() for estimate in estimates)))
    figures = [
        *pictures_of(models, "calibration", "reliability curve"),
        *pictures_of(models, "decision_curve", "decision curve"),
    ]
    table = PageTable(
        caption="Probabilities as the model folder gives them (calibrated on validation)",
        columns=("", *models),
        rows=tuple(rows),
        numeric=tuple(range(1, len(models) + 1)),
    )
    return PageSection(
        title="Calibration and decision curves", figures=tuple(figures), tables=(table,)
    )


def robustness_section(models: Mapping[str, ModelResults], paths: RunPaths) -> PageSection:
    """The area under the ROC curve on worse scans."""
    by_model = {name: written_rows(paths.robustness(name)) for name in models}
    conditions = list(dict.fromkeys(row["condition"] for rows in by_model.values() for row in rows))
    rows = []
    for condition in conditions:
        cells = []
        for found in by_model.values():
            row = next((row for row in found if row["condition"] == condition), None)
            cells.append("" if row is None else _area_of(row))
        rows.append((condition, *cells))
    scans = next((rows[0]["scans"] for rows in by_model.values() if rows), "0")
    table = PageTable(
        caption=f"Area under the ROC curve on {scans} test scans with equal classes",
        columns=("Scans", *models),
        rows=tuple(rows),
        numeric=tuple(range(1, len(models) + 1)),
        note="DeLong's intervals.",
    )
    return PageSection(title="Degraded scans", tables=(table,))


def _area_of(row: Mapping[str, str]) -> str:
    return Estimate(
        value=float(row["roc_auc"]), low=float(row["low"]), high=float(row["high"])
    ).text()


def subgroups_section(models: Mapping[str, ModelResults]) -> PageSection:
    """Subgroups, tests for interaction, and what age, sex and primary tumour alone can tell."""
    controls, interactions = [], []
    for name, results in models.items():
        for row in results.rows("control"):
            difference = Estimate(value=row["difference"], low=row["low"], high=row["high"])
            controls.append(
                (name, f"{row['first']:.3f}", f"{row['second']:.3f}", difference.text(),
                 _p(row["p_value"]))
            )  # fmt: skip
        interactions += [
            (name, row["factor"], _INTERACTING.get(row["measure"], row["measure"]),
             _p(row["p_value"]), _p(row["p_holm"]))
            for row in results.rows("interactions")
            if row["p_holm"] is not None and row["p_holm"] < _WORTH_SAYING
        ]  # fmt: skip
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
        figures=tuple(pictures_of(models, "subgroups", "subgroups", wide=True)),
        tables=tuple(tables),
    )


_WORTH_SAYING = 0.05
_INTERACTING = {
    "roc_auc_score": "Area under the ROC curve",
    "sensitivity_score": "Sensitivity",
    "specificity_score": "Specificity",
}
