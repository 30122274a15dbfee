"""The page of an evaluation: what was found, for people."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bonescint.evaluate import Comparison, Estimate, Measure, measure_named
from bonescint.evaluate.figures import (
    calibration_figure,
    confusion_figure,
    control_figure,
    decision_figure,
    precision_recall_figure,
    roc_figure,
    subgroups_figure,
)
from bonescint.evaluate.judgement import NotCalled
from bonescint.evaluate.tables import Table
from bonescint.experiment.evaluation.evaluate import ControlResult, Evaluation
from bonescint.experiment.evaluation.tables import flow_table, left_out_table
from bonescint.plotting import RenderedFigure
from bonescint.report.document_page import Document, PageFigure, PageSection, PageTable
from bonescint.report.text import operating_point_text

NOTICE = "Research use only. Not a medical device: do not base any diagnosis on these results."
_MOST_LEFT_OUT = 50
FEWEST_FOR_HEADLINES = 20
"""Scans with disease, and without, below which no figure is a headline."""


def draw_figures(found: Evaluation) -> dict[str, RenderedFigure]:
    """Every figure, by the name of its file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    judgement = found.judgement
    drawn = {
        "roc": roc_figure(judgement),
        "precision_recall": precision_recall_figure(judgement),
        "confusion": confusion_figure(judgement.confusion),
        "calibration": calibration_figure(judgement.calibration, judgement, found.recalibrated),
        "decision_curve": decision_figure(judgement),
    }
    if found.subgroups:
        drawn["subgroups"] = subgroups_figure(found.subgroups, judgement)
    if found.control is not None:
        labels = (f"model {judgement.area.text()}", f"control {found.control.area.text()}")
        drawn["control"] = control_figure(judgement.curve, found.control.curve, labels)
    return drawn


def evaluation_document(
    found: Evaluation,
    pictures: dict[str, RenderedFigure],
    *,
    created: str,
    facts: tuple[tuple[str, str], ...],
    more: Iterable[PageSection] = (),
) -> Document:
    """The page.

    Args:
        found: what was found.
        pictures: as `draw_figures` gives them.
        created: when, as text.
        facts: label and value of what went in.
        more: sections that follow the control.
    """
    sections = [
        _flow(found),
        _performance(found, pictures),
        _calibration(found, pictures),
        _decision(pictures),
        _subgroups(found, pictures),
        _control(found, pictures),
        *_against(found),
        *more,
        _methods(found),
    ]
    return Document(
        title="Evaluation of predictions of metastatic bone disease",
        notice=NOTICE,
        created=created,
        facts=facts,
        headlines=_headlines(found),
        sections=tuple(sections),
    )


def _figure(
    pictures: dict[str, RenderedFigure], name: str, caption: str, *, wide: bool = False
) -> PageFigure:
    return PageFigure(caption=caption, content=pictures[name].svg, alternative=caption, wide=wide)


def _interval(estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return estimate.note
    return f"{100 * estimate.level:g} % interval {estimate.low:.3f} to {estimate.high:.3f}"


def few_cases(scans: int, positives: int) -> tuple[tuple[str, str, str], ...]:
    """What stands at the top instead of figures, where too few scans were judged for any.

    Args:
        scans: that were judged.
        positives: of them with disease.

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


def _headlines(found: Evaluation) -> tuple[tuple[str, str, str], ...]:
    part = found.part
    few = few_cases(len(part.cases), int(part.positive.sum()))
    if few:
        return few
    judgement = found.judgement
    sensitivity, specificity = judgement.at_point[:2]
    slope = judgement.calibration.line.slope
    shown = [("Area under the ROC curve", judgement.area, "")]
    shown += [(one.words, one.estimate, one.counted) for one in (sensitivity, specificity)]
    shown += [("Calibration slope", slope, "")]
    return tuple(
        (
            words,
            f"{estimate.value:.3f}" if estimate.defined else "undefined",
            "; ".join(text for text in (counted, _interval(estimate)) if text),
        )
        for words, estimate, counted in shown
    )


def measures_page_table(caption: str, measures: Iterable[Measure], note: str = "") -> PageTable:
    """Measures as text; the column of counts only where something was counted."""
    shown = tuple(measures)
    counted = any(one.counted for one in shown)
    return PageTable(
        caption=caption,
        columns=("", *(("Counted",) if counted else ()), "Value (interval)", "Interval by"),
        rows=tuple(
            (
                one.words.replace("  ", "\u2003"),
                *((one.counted,) if counted else ()),
                one.estimate.text(),
                "; ".join(
                    t
                    for t in (
                        one.estimate.method,
                        one.estimate.note if one.estimate.defined else "",
                    )
                    if t
                ),
            )
            for one in shown
        ),
        note=note,
        numeric=(1, 2) if counted else (1,),
    )


def page_table(table: Table, *, columns: tuple[str, ...], note: str = "", most: int = 0) -> (
    PageTable
):  # fmt: skip
    """A table of cells as text; numbers to three decimals."""
    rows = table.rows[:most] if most else table.rows
    hidden = len(table.rows) - len(rows)
    said = f"and {hidden} more, in tables/{table.name}.csv" if hidden else ""
    numeric = tuple(
        number
        for number in range(1, len(columns))
        if any(isinstance(row[number], int | float) for row in rows)
    )
    return PageTable(
        caption=table.title,
        columns=columns,
        rows=tuple(tuple(_cell(cell) for cell in row) for row in rows),
        note="; ".join(text for text in (note, said) if text),
        numeric=numeric,
    )


def _cell(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def _flow(found: Evaluation) -> PageSection:
    part = found.part
    warnings = []
    if part.missing:
        total = len(part.cases) + len(part.missing)
        warnings.append(
            f"{len(part.missing)} of {total} scans of the {part.split} split have no prediction "
            f"and were not evaluated. If they differ from the others, the results below are biased."
        )
    if judged_alike(found):
        warnings.append(
            f"All {len(part.cases)} evaluated scans have the probability "
            f"{part.probabilities[0]:g}: "
            f"the model does not discriminate."
        )
    patients = len({case.patient_id for case in part.cases})
    if patients < len(part.cases):
        warnings.append(
            f"{len(part.cases)} scans of {patients} patients: all intervals treat patients, not "
            f"scans, as independent. Resampling draws patients; closed forms take the correlation "
            f"within a patient into account."
        )
    left_out = left_out_table(found)
    tables = [
        page_table(
            flow_table(found),
            columns=("Split", "In the manifest", "Without prediction", "With prediction",
                     "Positive", "Negative", "Used for"),
        )
    ]  # fmt: skip
    if left_out.rows:
        columns = ("Scan", "Split", "Label", "Why")
        tables.append(page_table(left_out, columns=columns, most=_MOST_LEFT_OUT))
    return PageSection(title="Flow of scans", warnings=tuple(warnings), tables=tuple(tables))


def judged_alike(found: Evaluation) -> bool:
    """Whether all judged scans have one probability."""
    probabilities = found.part.probabilities
    return bool(probabilities.min() == probabilities.max())


def _performance(found: Evaluation, pictures: dict[str, RenderedFigure]) -> PageSection:
    judgement = found.judgement
    threshold = _threshold(judgement.point.threshold)
    area = Measure(name="roc_auc_score", words="Area under the ROC curve",
                   estimate=judgement.area)  # fmt: skip
    precision = measure_named(judgement.resampled, "average_precision_score")
    prevalence = judgement.cases.prevalence
    without = judgement.not_called
    return PageSection(
        title="Performance",
        warnings=() if without is None else (_not_called(found, without),),
        paragraphs=(
            f"Operating point: a scan is called positive from a probability of {threshold} on "
            f"({judgement.point.source}). Predictive values, accuracy and F1 depend on the "
            f"prevalence in these scans, {prevalence:.3f}.",
        ),
        figures=(
            _figure(pictures, "roc", "ROC curve. The band is a pointwise interval by resampling."),
            _figure(pictures, "confusion", f"Confusion matrix at {threshold}; proportions of each "
            f"row."),
            _figure(pictures, "precision_recall", "Precision and recall. The dashed line is the "
            "precision of an uninformative score."),
        ),
        tables=(
            measures_page_table(f"At the operating point {threshold}",
                      (area, precision, *judgement.at_point)),
            *(() if without is None else (
                measures_page_table("Scans without a call", without.measures),
            )),
            measures_page_table("At 0.5", judgement.at_half),
            measures_page_table(f"At {threshold}, by resampling", judgement.resampled),
        ),
    )  # fmt: skip


def _not_called(found: Evaluation, without: NotCalled) -> str:
    """What figures are of, where some scans were not called."""
    count = len(found.part.cases)
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


def _calibration(found: Evaluation, pictures: dict[str, RenderedFigure]) -> PageSection:
    tables = [measures_page_table("As predicted", found.judgement.calibration.measures)]
    text = "Bins contain about equal numbers of scans; bars are Wilson's intervals."
    paragraphs = []
    if found.recalibrated is not None and found.recalibration is not None:
        line = found.recalibration
        tables.append(measures_page_table("After a fit", found.recalibrated.measures))
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


def _decision(pictures: dict[str, RenderedFigure]) -> PageSection:
    return PageSection(
        title="Decision curve",
        paragraphs=(
            "Net benefit weights false positives by the odds of the threshold probability, at "
            "which one would just act. A model is useful at thresholds where its curve lies above "
            "both calling every scan positive and calling none.",
        ),
        figures=(_figure(pictures, "decision_curve", "Decision curve with pointwise interval."),),
    )


def _subgroups(found: Evaluation, pictures: dict[str, RenderedFigure]) -> PageSection:
    if not found.subgroups:
        text = "The manifest and the truth files hold nothing by which the scans could be divided."
        return PageSection(title="Subgroups", paragraphs=(text,))
    rows = tuple(
        (test.factor, _NAMES[test.figure], test.test, _p(test.p_value), _p(test.p_holm), test.note)
        for test in found.interactions
    )
    return PageSection(
        title="Subgroups",
        paragraphs=(
            "After each name: scans with / without disease. Subgroups by lesions contain positive "
            "scans only, which are evaluated against all negative scans.",
        ),
        figures=(
            _figure(pictures, "subgroups", "Figures by subgroup with intervals; the dashed line "
            "is the value for all scans.", wide=True),
        ),
        tables=(
            PageTable(
                caption="Tests for interaction: does the metric differ between the levels?",
                columns=("Factor", "Figure", "Test", "p", "p, Holm", "Note"),
                rows=rows,
                note="Holm's correction covers all tests of this table.",
                numeric=(3, 4),
            ),
        ),
    )  # fmt: skip


_NAMES = {
    "roc_auc_score": "Area under the ROC curve",
    "sensitivity_score": "Sensitivity",
    "specificity_score": "Specificity",
}


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _control(found: Evaluation, pictures: dict[str, RenderedFigure]) -> PageSection:
    control = found.control
    if control is None:
        return PageSection(title="Control without images",
                           paragraphs=(f"None: {found.control_note}.",))  # fmt: skip
    return PageSection(
        title="Control without images",
        paragraphs=(
            "A logistic regression that sees age, sex and primary tumour only, fitted on "
            f"{control.fitted_on}. If its performance came close to that of the model, the label "
            f"could be predicted from these variables, without the images.",
        ),
        figures=(_figure(pictures, "control", "ROC curves of the model and of the control."),),
        tables=(_control_table(control),),
    )


def _control_table(control: ControlResult) -> PageTable:
    rows = (
        ("Area of the control", control.area.text(), ""),
        ("Model minus control", control.comparison.difference.text(),
         _p(control.comparison.p_value)),
        ("Does the model add to the control?", "likelihood ratio test",
         _p(control.model_adds) or "the two separate the classes"),
        ("Does the control add to the model?", "likelihood ratio test",
         _p(control.control_adds) or "the two separate the classes"),
    )  # fmt: skip
    return PageTable(caption="Control", columns=("", "Value (interval)", "p"), rows=rows,
                     numeric=(1, 2))  # fmt: skip


def _against(found: Evaluation) -> tuple[PageSection, ...]:
    against = found.against
    if against is None:
        return ()
    points = " and ".join(_threshold(one) for one in against.thresholds)
    return (
        PageSection(
            title="Comparison",
            paragraphs=(
                f"The evaluated predictions minus those of {against.name}, paired on the "
                f"{against.scans} scans that both have; operating points {points}.",
            ),
            tables=(
                comparison_table("In closed form", against.closed),
                comparison_table("By resampling", against.resampled),
            ),
        ),
    )


def comparison_table(caption: str, found: Iterable[Comparison]) -> PageTable:
    """Paired differences."""
    return PageTable(
        caption=caption,
        columns=("", "First", "Second", "Difference (interval)", "p", "Test"),
        rows=tuple(
            (one.words, _three_places(one.first), _three_places(one.second), one.difference.text(),
             _p(one.p_value), _test(one))
            for one in found
        ),
        numeric=(1, 2, 3, 4),
    )  # fmt: skip


def _test(one: Comparison) -> str:
    """Name of the test, and why there is no interval where there is none."""
    shown = one.difference.defined and one.difference.note
    return f"{one.test}; {one.difference.note}" if shown else one.test


def _three_places(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "undefined"


def _methods(found: Evaluation) -> PageSection:
    resampling = found.settings.resampling
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
