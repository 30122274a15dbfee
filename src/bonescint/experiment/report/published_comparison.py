"""A paper's figures beside those of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bonescint.cohort import Manifest
from bonescint.evaluate import Estimate
from bonescint.experiment.evaluation.results import ModelResults
from bonescint.experiment.report.published import Published, PublishedFigure, read_published
from bonescint.experiment.report.reader_subset import SubsetFigures, subset_figures
from bonescint.experiment.spec import ExperimentSpec
from bonescint.report.document_page import PageSection, PageTable

_COMPLEMENTS = {
    "false_positive_rate": "specificity_score",
    "false_negative_rate": "sensitivity_score",
}


def published_sections(
    study: ExperimentSpec,
    models: Mapping[str, ModelResults],
    cohort: Manifest,
    seconds_a_scan: Mapping[str, float],
) -> Iterator[PageSection]:
    """The section, if the study names a paper.

    Args:
        study: what was done.
        models: the evaluations.
        cohort: of the study.
        seconds_a_scan: how long reading takes, by model.
    """
    if not study.published:
        return
    paper = read_published(study.published)
    head = ("", f"{paper.name}, as published")
    tables = [
        PageTable(
            caption=caption,
            columns=(*head, *models),
            rows=tuple(
                (
                    figure.words,
                    figure.text,
                    *(_beside(results, table, figure.measure) for results in models.values()),
                )
                for figure in paper.figures
            ),
            note=_misfits(paper) if table == "performance" else "",
            numeric=tuple(range(1, len(models) + 2)),
        )
        for table, caption in (
            ("performance", "At the operating point"),
            ("performance_at_half", "At 0.5"),
        )
    ]
    tables += [
        _subset(paper, head, models, seconds_a_scan),
        PageTable(
            caption="Scans, and how many of them show disease",
            columns=(*head, "this study"),
            rows=tuple(
                (
                    split.value,
                    f"{scans}, {positive} positive",
                    f"{len(cohort.split(split))}, "
                    f"{sum(case.positive for case in cohort.split(split))} positive",
                )
                for split, (scans, positive) in paper.splits.items()
            ),
            numeric=(1, 2),
        ),
    ]
    yield PageSection(
        title="Comparison with the published results",
        paragraphs=(
            f"{paper.source}. Our results are on other scans; the two are not tested "
            f"against each other.",
        ),
        tables=tuple(tables),
    )


def _misfits(paper: Published) -> str:
    """What is said of printed shares that no whole number of scans gives."""
    found = [figure.misfit for figure in paper.figures if figure.misfit]
    return f"Printed as published: {'; '.join(found)}." if found else ""


def _beside(results: ModelResults, table: str, measure: str) -> str:
    if measure == "roc_auc_score":
        return results.estimate("performance", measure).text()
    if measure in _COMPLEMENTS:
        found = results.estimate(table, _COMPLEMENTS[measure])
        found = Estimate(value=1 - found.value, low=1 - found.high, high=1 - found.low)
    else:
        found = results.estimate(table, measure)
    if not found.defined:
        return "undefined"
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _subset(
    paper: Published,
    head: tuple[str, str],
    models: Mapping[str, ModelResults],
    seconds_a_scan: Mapping[str, float],
) -> PageTable:
    """On as many scans as the paper's readers saw."""
    wanted = paper.subset
    found = {
        name: subset_figures(
            results.scored(),
            results.threshold,
            scans=wanted.scans,
            resamples=wanted.resamples,
        )
        for name, results in models.items()
    }
    drawn = next(iter(found.values())).scans
    return PageTable(
        caption=f"On {drawn} randomly drawn test scans, with equal classes",
        columns=(*head, *models),
        rows=tuple(
            (
                figure.words,
                figure.text,
                *(
                    _of_subset(figure, part, seconds_a_scan.get(name))
                    for name, part in found.items()
                ),
            )
            for figure in wanted.figures
        ),
        note=f"The paper's {wanted.scans} scans and {wanted.resamples} resamples, drawn "
        f"regardless of class. F1 at the operating point. Time: reading as in the section Time.",
        numeric=tuple(range(1, len(models) + 2)),
    )


def _of_subset(figure: PublishedFigure, part: SubsetFigures, seconds: float | None) -> str:
    if figure.measure == "median_roc_auc_score":
        return f"{part.median:.3f} ({part.interquartile_range:.3f})"
    if figure.measure == "f1_score":
        return f"{part.f1:.3f}"
    return "" if seconds is None else f"{part.scans * seconds:.0f} s"
