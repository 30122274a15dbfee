"""The report of a study: one page that needs nothing but itself."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import PackageLoader

from bonescint.evaluate import Estimate
from bonescint.files import write_whole
from bonescint.mrmc import Generalisation, ReaderAnalysis
from bonescint.report import page_environment
from bonescint.study.export.rows import TimingRow
from bonescint.study.model_reading import ModelReads

_TEMPLATE = "analysis.html.jinja"
PAPER = (
    ("median AUC of 6 physicians (IQR)", "0.895 (0.087)", "F1 0.865"),
    ("median AUC of the model over resamples (IQR)", "0.95 (0.024)", "F1 0.866"),
    ("134 scans, physicians", "30 min on average", "15 s per scan"),
    ("134 scans, model", "2.5 min", "about 2 s per scan"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the report.

    Attributes:
        title: with what must be said of the readers.
        columns: headings.
        rows: cells as text; the first of each names the row.
        note: below the table; may be empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisPage:
    """What the report shows.

    Attributes:
        title: of the study.
        notice: research use.
        warning: what the page was made from, if not physicians and real scans; said once.
        sentences: for a paper.
        tables: in their order.
        figures: titles with the PNG files.
        notes: what was left out.
    """

    title: str
    notice: str
    warning: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    figures: tuple[tuple[str, Path], ...]
    notes: tuple[str, ...]


def write_page(page: AnalysisPage, file: Path) -> None:
    """Write the report, beside and then renamed into place."""
    template = page_environment(PackageLoader("bonescint.study")).get_template(_TEMPLATE)
    pictures = [
        (title, base64.b64encode(path.read_bytes()).decode()) for title, path in page.figures
    ]
    text = template.render(page=page, pictures=pictures, paper=PAPER)
    write_whole(file, text)


def tables_of(
    ratings: ReaderAnalysis,
    marked: ReaderAnalysis | None,
    model: ModelReads | None,
    timing: Sequence[TimingRow],
) -> tuple[Table, ...]:
    """The tables of the report, from what was found."""
    tables = [_areas(ratings), _calls(ratings), _times(timing, model)]
    tables += [*_standalone(ratings), _mcnemar(ratings)]
    if marked is not None:
        tables.append(_marks(marked))
    return tuple(table for table in tables if table.rows)


def _areas(found: ReaderAnalysis) -> Table:
    rows = []
    for one in sorted(found.resampled, key=lambda one: bool(one.modality)):
        low, lower, median, upper, high = np.quantile(
            one.draws, [0.025, 0.25, 0.5, 0.75, 0.975]
        ) if one.draws.size else (math.nan,) * 5  # fmt: skip
        interval = f"{_number(low)} to {_number(high)}"
        spread = f"{_number(upper - lower)}"
        rows.append((one.who, one.modality, _number(one.value), interval, _number(median), spread))
    values = found.figures_of_merit.values
    for row, modality in enumerate(found.figures_of_merit.modalities):
        known = values[row][~np.isnan(values[row])]
        if known.size > 1:
            lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75])
            rows.append(
                ("median of the readers", modality, _number(median), "", "", _number(upper - lower))
            )
    return Table(
        title=f"{found.figures_of_merit.endpoint} of each reader and the model",
        columns=(
            "Who",
            "Modality",
            found.figures_of_merit.endpoint,
            "95 % interval",
            "Median",
            "IQR",
        ),
        rows=tuple(rows),
        note=f"Interval, median and IQR over {found.settings.draws} bootstrap samples of the "
        "cases; in the last rows median and IQR over readers, as in the paper.",
    )


def _calls(found: ReaderAnalysis) -> Table:
    def text(estimate: Estimate) -> str:
        return estimate.text() if estimate.defined else "undefined"

    rows = [
        (one.who, one.modality, text(one.sensitivity), text(one.specificity), text(one.f1))
        for one in sorted(found.decisions.accuracies, key=lambda one: bool(one.modality))
    ]
    return Table(
        title="Yes and no",
        columns=("Who", "Modality", "Sensitivity", "Specificity", "F1"),
        rows=tuple(rows),
        note="Clopper-Pearson intervals; F1 with bootstrap percentiles. Readers answered yes or "
        "no; the model is taken at its operating point.",
    )


def _times(timing: Sequence[TimingRow], model: ModelReads | None) -> Table:
    def text(seconds: float | None) -> str:
        if seconds is None:
            return ""
        return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.3g} s"

    rows = [
        (
            row.reader, row.modality, str(row.cases), text(row.active_median_s),
            f"{text(row.active_q1_s)} to {text(row.active_q3_s)}", text(row.active_total_s),
            text(row.gross_total_s), str(row.pauses),
        )
        for row in timing
    ]  # fmt: skip
    if model is not None:
        seconds = np.array(list(model.seconds.values()))
        lower, median, upper = np.quantile(seconds, [0.25, 0.5, 0.75])
        total = text(float(seconds.sum()))
        quartiles = f"{text(float(lower))} to {text(float(upper))}"
        rows.insert(0, ("model", "", str(seconds.size), text(float(median)), quartiles, total,
                        total, ""))  # fmt: skip
    machine = f" The model ran on this machine ({model.machine})." if model else ""
    return Table(
        title="Time",
        columns=("Who", "Modality", "Cases", "Median", "Quartiles", "All, active", "All, gross",
                 "Pauses"),
        rows=tuple(rows),
        note="Active: without pause, hidden tab and idle time." + machine,
    )  # fmt: skip


def _standalone(found: ReaderAnalysis) -> list[Table]:
    tables = []
    for modality, by_method in found.standalone.items():
        one = by_method[found.settings.method]
        rows = [
            (to.value, _number(one.readers_mean), _number(one.model.value),
             one.to(to).estimate.text(), _p(one.to(to).p))
            for to in Generalisation
        ]  # fmt: skip
        rows += [
            (each.reader, _number(each.value.value), _number(each.model),
             each.difference.estimate.text(), _p(each.difference.p))
            for each in one.readers
        ]  # fmt: skip
        tables.append(
            Table(
                title=f"The model against the readers, {modality}",
                columns=(
                    "Generalisation, or reader",
                    "Readers",
                    "Model",
                    "Readers minus model (95 % interval)",
                    "p",
                ),
                rows=tuple(rows),
                note="Single-treatment Obuchowski-Rockette analysis, covariances by "
                f"{found.settings.method.value}; each reader alone with random cases.",
            )
        )
    return tables


def _mcnemar(found: ReaderAnalysis) -> Table:
    rows = [
        (pair.first, pair.second, str(test.first_only), str(test.second_only), _p(test.p_exact),
         _p(test.p_mid))
        for pair in found.decisions.pairs
        for test in [pair.accuracy]
        if test is not None and pair.kind == "with the model"
    ]  # fmt: skip
    return Table(
        title="McNemar: who is right more often",
        columns=("First", "Second", "Only the first right", "Only the second right", "p, exact",
                 "p, mid"),
        rows=tuple(rows),
        note="As the registered protocol of the study has it (NCT05110430).",
    )  # fmt: skip


def _marks(found: ReaderAnalysis) -> Table:
    figures_of_merit = found.figures_of_merit
    rows = []
    for row, modality in enumerate(figures_of_merit.modalities):
        for column, reader in enumerate(figures_of_merit.readers):
            value = float(figures_of_merit.values[row, column])
            if not math.isnan(value):
                rows.append((reader, modality, _number(value)))
    for one in found.headline.results:
        if one.to is Generalisation.RRRC:
            rows += [
                ("mean of the readers", mean.modality, mean.mean.estimate.text())
                for mean in one.means
            ]
    return Table(
        title=f"Marked foci, {figures_of_merit.endpoint}",
        columns=("Reader", "Modality", figures_of_merit.endpoint),
        rows=tuple(rows),
        note="A mark hits within the stated radius of a metastasis; one seen in both views counts "
        "once.",
    )


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _p(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
