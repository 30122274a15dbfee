"""The report page of one model's evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from bonescint.evaluate import Comparison, Estimate, Measure, measure_named
from bonescint.evaluate.figures import (
    calibration_figure,
    confusion_figure,
    decision_figure,
    precision_recall_figure,
    roc_curves_figure,
    roc_figure,
    subgroups_figure,
)
from bonescint.evaluate.judgement import NotCalled
from bonescint.experiment.evaluation.results import NOTICE, ControlResult, EvaluationResult
from bonescint.experiment.evaluation.tables import flow_table, left_out_table
from bonescint.plotting import RenderedFigure
from bonescint.report.document_page import Document, PageFigure, PageSection, PageTable
from bonescint.report.text import operating_point_text, p_text
from bonescint.tables import ResultTable

FEWEST_FOR_HEADLINES = 20
"""Scans with disease, and without, below which no figure is a headline."""
INTERACTING = {
    "roc_auc_score": "Area under the ROC curve",
    "sensitivity_score": "Sensitivity",
    "specificity_score": "Specificity",
}
"""Figures that are tested for interaction, for people."""
_MOST_LEFT_OUT = 50
_Pictures = Mapping[str, RenderedFigure]


def draw_figures(result: EvaluationResult) -> dict[str, RenderedFigure]:
    """Draw every figure of the page, by the name of its file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    judgement = result.judgement
    drawn = {
        "roc": roc_figure(judgement),
        "precision_recall": precision_recall_figure(judgement),
        "confusion": confusion_figure(judgement.confusion),
        "calibration": calibration_figure(judgement.calibration, judgement, result.recalibrated),
        "decision_curve": decision_figure(judgement),
    }
    if result.subgroups:
        drawn["subgroups"] = subgroups_figure(result.subgroups, judgement)
    if result.control is not None:
        curves = {
            f"model {judgement.area.text()}": judgement.curve,
            f"control {result.control.area.text()}": result.control.curve,
        }
        drawn["control"] = roc_curves_figure(curves)
    return drawn


def evaluation_document(
    result: EvaluationResult, pictures: _Pictures, *, more: Iterable[PageSection] = ()
) -> Document:
    """The report page of an evaluation.

    Args:
        result: the result of the evaluation.
        pictures: as `draw_figures` gives them.
        more: further sections, placed before the methods.
    """
    sections = [
        _flow(result),
        _performance(result, pictures),
        _calibration(result, pictures),
        _decision(pictures),
        _subgroups(result, pictures),
        _control(result, pictures),
        *_comparison(result),
        *more,
        _methods(result),
    ]
    judged = f"{len(result.scans)} scans of the {result.judged} split, {result.positives}"
    inputs = [
        (one.role.capitalize(), f"{one.name}, sha256 {one.sha256[:12]}") for one in result.inputs
    ]
    return Document(
        title="Evaluation of predictions of metastatic bone disease",
        notice=NOTICE,
        created=result.created,
        facts=(
            *inputs,
            ("Judged", f"{judged} with disease"),
            ("Operating point", result.judgement.point.source),
            ("Resampling", result.settings.resampling.method),
            ("Software", f"bonescint {result.software}"),
        ),
        headlines=_headlines(result),
        sections=tuple(sections),
    )


def few_cases(scans: int, positives: int) -> tuple[tuple[str, str, str], ...]:
    """The headline to show instead of figures if too few scans were evaluated.

    Args:
        scans: number of evaluated scans.
        positives: number of them with disease.

    Returns:
        A headline that says how many there are, or none where there are enough.

    Examples:
        >>> few_cases(2, 1)[0][:2]
        ('Scans evaluated', '2')
        >>> few_cases(40, 20)
        ()
    """
    if min(positives, scans - positives) >= FEWEST_FOR_HEADLINES:
        return ()
    below = (
        f"{positives} with disease, {scans - positives} without: too few for a headline; the "
        f"results are given below, with their intervals"
    )
    return (("Scans evaluated", str(scans), below),)


def _headlines(result: EvaluationResult) -> tuple[tuple[str, str, str], ...]:
    few = few_cases(len(result.scans), result.positives)
    if few:
        return few
    slope = result.judgement.calibration.line.slope
    shown = [(one.words, one.estimate, one.counted) for one in result.performance[:3]]
    return tuple(
        (
            words,
            f"{estimate.value:.3f}" if estimate.defined else "undefined",
            "; ".join(text for text in (counted, interval_text(estimate)) if text),
        )
        for words, estimate, counted in (*shown, ("Calibration slope", slope, ""))
    )


def interval_text(estimate: Estimate) -> str:
    """The interval in words, or why there is none."""
    if math.isnan(estimate.low):
        return estimate.note
    return f"{100 * estimate.level:g} % interval {estimate.low:.3f} to {estimate.high:.3f}"


def measures_page_table(caption: str, measures: Iterable[Measure]) -> PageTable:
    """A page's table of measures; it has a column of counts if any measure has counts."""
    shown = tuple(measures)
    counted = any(one.counted for one in shown)
    rows = []
    for one in shown:
        estimate = one.estimate
        by = (estimate.method, estimate.note if estimate.defined else "")
        rows.append(
            (
                one.words.replace("  ", "\u2003"),
                *((one.counted,) if counted else ()),
                estimate.text(),
                "; ".join(text for text in by if text),
            )
        )
    return PageTable(
        caption=caption,
        columns=("", *(("Counted",) if counted else ()), "Value (interval)", "Interval by"),
        rows=tuple(rows),
        numeric=(1, 2) if counted else (1,),
    )


def _page_table(table: ResultTable, columns: tuple[str, ...], most: int | None = None) -> PageTable:
    """A table of cells as text; numbers to three decimals."""
    rows = table.rows[:most]
    hidden = len(table.rows) - len(rows)
    numeric = tuple(
        number
        for number in range(1, len(columns))
        if any(isinstance(row[number], int | float) for row in rows)
    )
    return PageTable(
        caption=table.title,
        columns=columns,
        rows=tuple(tuple(_cell(cell) for cell in row) for row in rows),
        note=f"and {hidden} more, in tables/{table.name}.csv" if hidden else "",
        numeric=numeric,
    )


def _cell(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def _figure(pictures: _Pictures, name: str, caption: str, *, wide: bool = False) -> PageFigure:
    return PageFigure(caption=caption, content=pictures[name].svg, wide=wide)


def _flow(result: EvaluationResult) -> PageSection:
    count, warnings = len(result.scans), []
    if result.missing:
        warnings.append(
            f"{result.missing} of {count + result.missing} scans of the {result.judged} split have "
            f"no prediction and were not evaluated. If they differ from the others, the results "
            f"below are biased."
        )
    if result.one_probability:
        warnings.append(
            f"All {count} evaluated scans have the probability {result.scans[0].probability:g}: "
            f"the model does not discriminate."
        )
    patients = len({scan.patient for scan in result.scans})
    if patients < count:
        warnings.append(
            f"{count} scans of {patients} patients: all intervals treat patients, not "
            f"scans, as independent. Resampling draws patients; closed forms take the correlation "
            f"within a patient into account."
        )
    counts = ("In the manifest", "Without prediction", "With prediction", "Positive", "Negative")
    tables = [_page_table(flow_table(result), ("Split", *counts, "Used for"))]
    if result.left_out:
        columns = ("Scan", "Split", "Label", "Why")
        tables.append(_page_table(left_out_table(result), columns, _MOST_LEFT_OUT))
    return PageSection(title="Flow of scans", warnings=tuple(warnings), tables=tuple(tables))


def _performance(result: EvaluationResult, pictures: _Pictures) -> PageSection:
    judgement = result.judgement
    threshold = _threshold(judgement.point.threshold)
    area, *at_point = result.performance
    precision = measure_named(judgement.resampled, "average_precision_score")
    prevalence = judgement.cases.prevalence
    captions = {
        "roc": "ROC curve. The band is a pointwise interval by resampling.",
        "confusion": f"Confusion matrix at {threshold}; proportions of each row.",
        "precision_recall": "Precision and recall. The dashed line is the precision of an "
        "uninformative score.",
    }
    tables = [
        measures_page_table(f"At the operating point {threshold}", (area, precision, *at_point))
    ]
    without = judgement.not_called
    if without is not None:
        tables.append(measures_page_table("Scans without a call", without.measures))
    tables += [
        measures_page_table("At 0.5", judgement.at_half),
        measures_page_table(f"At {threshold}, by resampling", judgement.resampled),
    ]
    return PageSection(
        title="Performance",
        warnings=() if without is None else (_not_called(len(result.scans), without),),
        paragraphs=(
            f"Operating point: a scan is called positive from a probability of {threshold} on "
            f"({judgement.point.source}). Predictive values, accuracy and F1 depend on the "
            f"prevalence in these scans, {prevalence:.3f}.",
        ),
        figures=tuple(_figure(pictures, name, caption) for name, caption in captions.items()),
        tables=tuple(tables),
    )


def _not_called(count: int, without: NotCalled) -> str:
    """Which scans the figures are of, where some were not called."""
    missing = without.positives + without.negatives
    return (
        f"{missing} of {count} scans have a probability and no call ({without.positives} with "
        f"disease, {without.negatives} without), such as scans unlike those that the model knows. "
        f"Figures at the operating point and at 0.5 are of the {count - missing} scans that were "
        "called. Areas, curves, calibration and net benefit are of all scans; subgroups and "
        "comparisons, too, as if all had been called."
    )


def _threshold(threshold: float) -> str:
    if math.isinf(threshold):
        return "above every score"
    return operating_point_text(threshold)


def _calibration(result: EvaluationResult, pictures: _Pictures) -> PageSection:
    tables = [measures_page_table("As predicted", result.judgement.calibration.measures)]
    text = "Bins contain about equal numbers of scans; bars are Wilson's intervals."
    paragraphs = []
    if result.recalibrated is not None and result.recalibration is not None:
        line = result.recalibration
        tables.append(measures_page_table("After a fit", result.recalibrated.measures))
        paragraphs.append(
            f"Fitted on the validation split ({line.count} scans, {line.positives} positive): "
            f"slope {line.slope.text()}, intercept {line.intercept.text()}, drawn towards 1 and 0. "
            "A slope below 1 says that the predictions were overconfident, a negative intercept "
            "that they were too high. The fit does not change the order of the scans, and "
            "therefore no area under a curve."
            + (f" Note: {line.slope.note}." if line.slope.note else "")
        )
    return PageSection(
        title="Calibration",
        paragraphs=tuple(paragraphs),
        figures=(_figure(pictures, "calibration", f"Reliability curve. {text}"),),
        tables=tuple(tables),
    )


def _decision(pictures: _Pictures) -> PageSection:
    return PageSection(
        title="Decision curve",
        paragraphs=(
            "Net benefit weights false positives by the odds of the threshold probability, at "
            "which one would just act. A model is useful at thresholds where its curve lies above "
            "both calling every scan positive and calling none.",
        ),
        figures=(_figure(pictures, "decision_curve", "Decision curve with pointwise interval."),),
    )


def _subgroups(result: EvaluationResult, pictures: _Pictures) -> PageSection:
    if not result.subgroups:
        text = "The manifest and the truth files hold nothing by which the scans could be divided."
        return PageSection(title="Subgroups", paragraphs=(text,))
    rows = []
    for one in result.interactions:
        p_values = (p_text(one.p_value), p_text(one.p_holm))
        rows.append((one.factor, INTERACTING[one.figure], one.test, *p_values, one.note))
    caption = "Figures by subgroup with intervals; the dashed line is the value for all scans."
    tests = PageTable(
        caption="Tests for interaction: does the metric differ between the levels?",
        columns=("Factor", "Figure", "Test", "p", "p, Holm", "Note"),
        rows=tuple(rows),
        note="Holm's correction covers all tests of this table.",
        numeric=(3, 4),
    )
    return PageSection(
        title="Subgroups",
        paragraphs=(
            "After each name: scans with / without disease. Subgroups by lesions contain positive "
            "scans only, which are evaluated against all negative scans.",
        ),
        figures=(_figure(pictures, "subgroups", caption, wide=True),),
        tables=(tests,),
    )


def _control(result: EvaluationResult, pictures: _Pictures) -> PageSection:
    title, control = "Control without images", result.control
    if control is None:
        return PageSection(title=title, paragraphs=(f"None: {result.control_note}.",))
    return PageSection(
        title=title,
        paragraphs=(
            "A logistic regression that sees age, sex and primary tumour only, fitted on "
            f"{control.fitted_on}. If its performance came close to that of the model, the label "
            f"could be predicted from these variables, without the images.",
        ),
        figures=(_figure(pictures, "control", "ROC curves of the model and of the control."),),
        tables=(_control_table(control),),
    )


def _control_table(control: ControlResult) -> PageTable:
    minus, separated = control.comparison, "the two separate the classes"
    tests = (
        ("Does the model add to the control?", control.model_adds),
        ("Does the control add to the model?", control.control_adds),
    )
    rows = (
        ("Area of the control", control.area.text(), ""),
        ("Model minus control", minus.difference.text(), p_text(minus.p_value)),
        *((question, "likelihood ratio test", p_text(p) or separated) for question, p in tests),
    )
    columns = ("", "Value (interval)", "p")
    return PageTable(caption="Control", columns=columns, rows=rows, numeric=(1, 2))


def _comparison(result: EvaluationResult) -> tuple[PageSection, ...]:
    found = result.comparison
    if found is None:
        return ()
    points = " and ".join(_threshold(one) for one in found.thresholds)
    return (
        PageSection(
            title="Comparison",
            paragraphs=(
                f"The evaluated predictions minus those of {found.name}, paired on the "
                f"{found.scans} scans that both have; operating points {points}.",
            ),
            tables=(
                comparison_table("In closed form", found.closed),
                comparison_table("By resampling", found.resampled),
            ),
        ),
    )


def comparison_table(
    caption: str, found: Iterable[Comparison], names: tuple[str, str] = ("First", "Second")
) -> PageTable:
    """A page's table of paired differences.

    Args:
        caption: caption of the table.
        found: the differences.
        names: headings of the two models' columns.
    """
    rows = []
    for one in found:
        shares = (_three_places(one.first), _three_places(one.second))
        p_value = p_text(one.p_value)
        rows.append((one.words, *shares, one.difference.text(), p_value, _test(one)))
    return PageTable(
        caption=caption,
        columns=("", *names, "Difference (interval)", "p", "Test"),
        rows=tuple(rows),
        numeric=(1, 2, 3, 4),
    )


def _test(one: Comparison) -> str:
    """Name of the test, and why there is no interval where there is none."""
    shown = one.difference.defined and one.difference.note
    return f"{one.test}; {one.difference.note}" if shown else one.test


def _three_places(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "undefined"


def _methods(result: EvaluationResult) -> PageSection:
    resampling = result.settings.resampling
    return PageSection(
        title="Methods",
        paragraphs=(
            f"Intervals are at {100 * resampling.level:g} %. Areas under the ROC curve: DeLong, "
            "on the logit. Shares: Wilson. Likelihood ratios: log method. Calibration slope and "
            "intercept: Wald. Brier score and its parts, average precision, the ROC band: "
            f"{resampling.method}, seed {resampling.seed}. Fitted slope and intercept: "
            "penalised profile likelihood. Definitions and sources are in docs/evaluation.md of "
            "bonescint. Numbers at full precision are in tables/ and evaluation.json.",
        ),
    )
