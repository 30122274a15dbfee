"""What a study found, as sections of its report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from bonescint.evaluate import Estimate
from bonescint.experiment.plan import Study
from bonescint.experiment.published import read_published
from bonescint.experiment.run_paths import RunPaths
from bonescint.experiment.run_results import ModelResults, paired_share
from bonescint.experiment.study_figures import curves_figure
from bonescint.report.document_page import PageFigure, PageSection, PageTable

_MEASURES = (
    ("roc_auc_score", "Area under the ROC curve"),
    ("sensitivity_score", "Sensitivity"),
    ("specificity_score", "Specificity"),
    ("positive_predictive_value_score", "Positive predictive value"),
    ("negative_predictive_value_score", "Negative predictive value"),
    ("f1_score", "F1"),
)
_EXAMPLES = 2
_COMPLEMENTS = {
    "false_positive_rate": "specificity_score",
    "false_negative_rate": "sensitivity_score",
}


def performance_section(study: Study, models: Mapping[str, ModelResults]) -> PageSection:
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
    figure = curves_figure(curves, labels, points)
    figures = [
        PageFigure(
            caption="ROC curves of the test split; dots are the operating points.",
            content=figure.svg,
            alternative="ROC curves of all models",
        )
    ]
    for name, results in models.items():
        content = results.picture("confusion")
        if content is not None:
            caption = f"{name}: confusion matrix at the operating point."
            figures.append(PageFigure(caption=caption, content=content, alternative=caption))
    return PageSection(
        title="Performance on the test split",
        paragraphs=(f"Operating point: {study.rule.words}, on the validation split only.",),
        figures=tuple(figures),
        tables=(
            _measures(models, "performance", "At the operating point"),
            _measures(models, "performance_at_half", "At 0.5"),
        ),
    )


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


def published_sections(study: Study, models: Mapping[str, ModelResults]) -> Iterator[PageSection]:
    """A paper's figures beside those of this run, if the study names a paper."""
    if not study.published:
        return
    paper = read_published(study.published)
    tables = []
    for table, caption in (("performance", "At the operating point"),
                           ("performance_at_half", "At 0.5")):  # fmt: skip
        rows = [
            (figure.words, figure.text, *(_beside(results, table, figure.measure)
                                          for results in models.values()))
            for figure in paper.figures
        ]  # fmt: skip
        tables.append(
            PageTable(
                caption=caption,
                columns=("", f"{paper.name}, as published", *models),
                rows=tuple(rows),
                numeric=tuple(range(1, len(models) + 2)),
            )
        )
    yield PageSection(
        title="Beside the published figures",
        paragraphs=(f"{paper.source}. Ours are of other scans; no test between the two is made.",),
        tables=tuple(tables),
    )


def _beside(results: ModelResults, table: str, measure: str) -> str:
    if measure in _COMPLEMENTS:
        found = results.estimate(table, _COMPLEMENTS[measure])
        found = Estimate(value=1 - found.value, low=1 - found.high, high=1 - found.low)
    else:
        found = results.estimate("performance" if measure == "roc_auc_score" else table, measure)
    if measure == "roc_auc_score":
        return found.text()
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def comparisons_section(study: Study, models: Mapping[str, ModelResults]) -> PageSection:
    """Every model less the reference, paired."""
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
                    caption=f"{name} less {reference}",
                    columns=("", name, reference, "Difference", "p", "Test"),
                    rows=tuple(rows),
                    numeric=(1, 2, 3, 4),
                )
            )
    text = "Paired, on the same scans." if tables else "There is one model only."
    return PageSection(title="Models compared", paragraphs=(text,), tables=tuple(tables))


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
    figures = []
    for name, results in models.items():
        content = results.picture("calibration")
        if content is not None:
            caption = f"{name}: reliability curve."
            figures.append(PageFigure(caption=caption, content=content, alternative=caption))
    table = PageTable(
        caption="Probabilities as the model folder gives them (temperature from validation)",
        columns=("", *models),
        rows=tuple(rows),
        numeric=tuple(range(1, len(models) + 1)),
    )
    return PageSection(title="Calibration", figures=tuple(figures), tables=(table,))


def explanation_section(
    study: Study, models: Mapping[str, ModelResults], paths: RunPaths
) -> PageSection:
    """Maps against lesion masks, false evidence, examples."""
    tables = []
    words: dict[str, str] = {}
    for results in models.values():
        for row in results.rows("localisation"):
            words.setdefault(row["measure"], row["in_words"])
    rows = [
        (text, *(results.estimate("localisation", measure).text() for results in models.values()))
        for measure, text in words.items()
    ]
    if rows:
        tables.append(
            PageTable(
                caption="Maps of true positives against lesion masks",
                columns=("", *models),
                rows=tuple(rows),
                numeric=tuple(range(1, len(models) + 1)),
            )
        )
        tables.append(_pointing(study, models))
    for name, results in models.items():
        places = results.rows("false_evidence")
        if places:
            tables.append(
                PageTable(
                    caption=f"{name}: where the highest evidence of false positives lies",
                    columns=("Place", "Scans", "Share of false positives"),
                    rows=tuple(
                        (row["place"], f"{row['scans_with_highest']} of {row['scans']}",
                         Estimate(value=row["share"], low=row["low"], high=row["high"]).text())
                        for row in places
                    ),
                    numeric=(1, 2),
                )
            )  # fmt: skip
    sanity = {name: results.table_file("map_sanity") for name, results in models.items()}
    if any(sanity.values()):
        tables.append(_sanity(sanity))
    return PageSection(
        title="Explanation, measured",
        paragraphs=(
            "A map shows what moved the answer. How far that lies on disease is measured against "
            "lesion masks, where there are some.",
        ),
        figures=tuple(_examples(models, paths)),
        tables=tuple(tables),
    )


def _sanity(by_model: Mapping[str, list[dict[str, str]]]) -> PageTable:
    """Agreement of maps with those of random layers."""
    levels = list(dict.fromkeys(row["random_layers"] for rows in by_model.values() for row in rows))
    found = {
        (name, row["random_layers"]): Estimate(
            value=float(row["agreement"]), low=float(row["low"]), high=float(row["high"])
        ).text()
        for name, rows in by_model.items()
        for row in rows
    }
    scans = next(rows[0]["scans"] for rows in by_model.values() if rows)
    return PageTable(
        caption=f"Sanity check: rank correlation with the map of random layers, {scans} scans",
        columns=("Random", *by_model),
        rows=tuple(
            (level, *(found.get((name, level), "") for name in by_model)) for level in levels
        ),
        numeric=tuple(range(1, len(by_model) + 1)),
        note="Adebayo et al., NeurIPS 2018. A map that stays near 1 explains the picture, "
        "not what the network has learnt.",
    )


def _pointing(study: Study, models: Mapping[str, ModelResults]) -> PageTable:
    reference = models[study.compared_with]
    rows = []
    for name, results in models.items():
        if name == study.compared_with:
            continue
        count, change = paired_share(
            results.pointing(), reference.pointing(), resamples=study.resamples
        )
        rows.append((f"{name} less {study.compared_with}", str(count), change.text()))
    return PageTable(
        caption="Pointing game, paired over positive scans that both models' tables have",
        columns=("", "Scans", "Difference"),
        rows=tuple(rows),
        numeric=(1, 2),
    )


def _examples(models: Mapping[str, ModelResults], paths: RunPaths) -> Iterator[PageFigure]:
    """As the paper's Figures 5 and 6: true positives under their map, the surest ones."""
    for name, results in models.items():
        cases = [row for row in results.rows("cases") if row["label"] == 1]
        cases.sort(key=lambda row: -row["mbd_probability"])
        shown = 0
        for row in cases[len(cases) // 4 :]:  # the very surest are superscans
            picture = paths.results(name) / "pictures" / f"{row['scan_id']}.png"
            if picture.is_file():
                yield PageFigure(
                    caption=f"{name}: a true positive, probability {row['mbd_probability']:.2f}.",
                    content=picture.read_bytes(),
                    alternative="AP and PA beside the same under the evidence",
                    media_type="image/png",
                    wide=True,
                )
                shown += 1
            if shown == _EXAMPLES:
                break


def robustness_section(models: Mapping[str, ModelResults]) -> PageSection:
    """The area under the ROC curve on worse scans."""
    by_model = {name: results.table_file("robustness") for name, results in models.items()}
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
        caption=f"Area under the ROC curve on {scans} test scans, both classes alike",
        columns=("Scans", *models),
        rows=tuple(rows),
        numeric=tuple(range(1, len(models) + 1)),
        note="DeLong's intervals.",
    )
    return PageSection(title="Worse scans", tables=(table,))


def _area_of(row: Mapping[str, str]) -> str:
    return Estimate(
        value=float(row["roc_auc"]), low=float(row["low"]), high=float(row["high"])
    ).text()
