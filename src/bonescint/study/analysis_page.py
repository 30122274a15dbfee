"""The report of a study: its tables, the figure of times, and the page that shows everything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bonescint.evaluate import Estimate
from bonescint.mrmc import Generalisation, ReaderAnalysis
from bonescint.plotting import BLUE, INK, LIGHT, new_axes, plain_text, save
from bonescint.report.document_page import Document, PageFigure, PageSection, PageTable
from bonescint.scan import RESEARCH_USE
from bonescint.study.export.rows import TimingRow
from bonescint.study.model_reads import ModelReads

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GROSS, _ACTIVE, _MODEL = "#E69F00", BLUE, "#000000"
_WIDE = ("figure-7.png", "times.png")
PAPER = (
    ("median AUC of 6 physicians (IQR)", "0.895 (0.087)", "F1 0.865"),
    ("median AUC of the model over resamples (IQR)", "0.95 (0.024)", "F1 0.866"),
    ("134 scans, physicians", "30 min on average", "15 s per scan"),
    ("134 scans, model", "2.5 min", "about 2 s per scan"),
)


def analysis_document(
    *,
    title: str,
    warning: str,
    sentences: Sequence[str],
    sections: Sequence[PageSection],
    figures: Sequence[tuple[str, Path]],
    notes: Sequence[str],
) -> Document:
    """The report as one page.

    Args:
        title: title of the study.
        warning: which readers or scans are simulated; said once, before everything else.
        sentences: for a paper.
        sections: the tables, see `sections_of`.
        figures: captions with the PNG files.
        notes: what was left out.
    """
    pictures = [
        PageFigure(
            caption=caption,
            content=file.read_bytes(),
            media_type="image/png",
            wide=file.name in _WIDE,
        )
        for caption, file in figures
    ]
    says = f"{warning}. It says nothing about how physicians read."
    paper = PageTable(
        caption="The paper's physicians and model, as cited",
        columns=("Ibrahim et al. 2023", "Value", "Besides"),
        rows=PAPER,
        note="Ibrahim et al., Cancer Imaging 2023;23:12. Different readers, scans and machine: "
        "these values are not compared with anything above.",
    )
    parts = [
        PageSection(title="Summary", paragraphs=tuple(sentences), figures=tuple(pictures)),
        *sections,
        PageSection(title="The paper", tables=(paper,)),
    ]
    if notes:
        parts.append(PageSection(title="Exclusions and notes", paragraphs=tuple(notes)))
    return Document(
        title=title,
        notice=RESEARCH_USE,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        facts=(("Made from", says),) if warning else (),
        sections=tuple(parts),
    )


def sections_of(
    ratings: ReaderAnalysis,
    marked: ReaderAnalysis | None,
    model: ModelReads | None,
    timing: Sequence[TimingRow],
) -> tuple[PageSection, ...]:
    """The sections of the report with tables that have rows."""
    tables = {
        "Readers and model": [_areas(ratings), _accuracies(ratings)],
        "Time": [_times(timing, model)],
        "The model against the readers": [*_standalone(ratings), _mcnemar(ratings)],
        "Marked foci": [_marks(marked)] if marked is not None else [],
    }
    sections = []
    for title, of_section in tables.items():
        shown = tuple(table for table in of_section if table.rows)
        if shown:
            sections.append(PageSection(title=title, tables=shown))
    return tuple(sections)


def _areas(found: ReaderAnalysis) -> PageTable:
    endpoint = found.figures_of_merit.endpoint
    rows = []
    for one in sorted(found.resampled, key=lambda one: bool(one.modality)):
        low, lower, median, upper, high = (
            np.quantile(one.draws, [0.025, 0.25, 0.5, 0.75, 0.975])
            if one.draws.size
            else (math.nan,) * 5
        )
        interval = f"{_number(low)} to {_number(high)}"
        spread = _number(upper - lower)
        rows.append((one.who, one.modality, _number(one.value), interval, _number(median), spread))
    by_modality = zip(found.figures_of_merit.modalities, found.figures_of_merit.values, strict=True)
    for modality, values in by_modality:
        known = values[~np.isnan(values)]
        if known.size > 1:
            lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75])
            spread = _number(upper - lower)
            rows.append(("median of the readers", modality, _number(median), "", "", spread))
    return PageTable(
        caption=f"{endpoint} of each reader and the model",
        columns=("Who", "Modality", endpoint, "95 % interval", "Median", "IQR"),
        rows=tuple(rows),
        note=f"Interval, median and IQR over {found.settings.draws} bootstrap samples of the "
        "cases; in the last rows median and IQR over readers, as in the paper.",
    )


def _accuracies(found: ReaderAnalysis) -> PageTable:
    def text(estimate: Estimate) -> str:
        return estimate.text() if estimate.defined else "undefined"

    return PageTable(
        caption="Yes and no",
        columns=("Who", "Modality", "Sensitivity", "Specificity", "F1"),
        rows=tuple(
            (one.who, one.modality, text(one.sensitivity), text(one.specificity), text(one.f1))
            for one in sorted(found.decisions.accuracies, key=lambda one: bool(one.modality))
        ),
        note="Clopper-Pearson intervals; F1 with bootstrap percentiles. Readers answered yes or "
        "no; the model is taken at its operating point.",
    )


def _times(timing: Sequence[TimingRow], model: ModelReads | None) -> PageTable:
    rows = [
        (
            row.reader,
            row.modality,
            str(row.cases),
            _duration(row.active_median_s),
            f"{_duration(row.active_q1_s)} to {_duration(row.active_q3_s)}",
            _duration(row.active_total_s),
            _duration(row.gross_total_s),
            str(row.pauses),
        )
        for row in timing
    ]
    note = "Active: without pause, hidden tab and idle time."
    if model is not None:
        seconds = np.array(list(model.seconds.values()))
        lower, median, upper = map(_duration, np.quantile(seconds, [0.25, 0.5, 0.75]))
        total = _duration(seconds.sum())
        quartiles = f"{lower} to {upper}"
        rows.insert(0, ("model", "", str(seconds.size), median, quartiles, total, total, ""))
        note += f" The model ran on this machine ({model.machine})."
    columns = "Who", "Modality", "Cases", "Median", "Quartiles", "All, active", "All, gross"
    return PageTable(
        caption="Time per scan", columns=(*columns, "Pauses"), rows=tuple(rows), note=note
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.3g} s"


def _standalone(found: ReaderAnalysis) -> list[PageTable]:
    tables = []
    for modality, by_method in found.standalone.items():
        one = by_method[found.settings.method]
        results = [
            (to.value, one.readers_mean, one.model.value, one.to(to)) for to in Generalisation
        ]
        results += [
            (each.reader, each.value.value, each.model, each.difference) for each in one.readers
        ]
        tables.append(
            PageTable(
                caption=f"The model against the readers, {modality}",
                columns=(
                    "Generalisation, or reader",
                    "Readers",
                    "Model",
                    "Readers minus model (95 % interval)",
                    "p",
                ),
                rows=tuple(
                    (name, _number(readers), _number(model), gap.estimate.text(), _p(gap.p))
                    for name, readers, model, gap in results
                ),
                note="Single-treatment Obuchowski-Rockette analysis, covariances by "
                f"{found.settings.method.value}; each reader alone with random cases.",
            )
        )
    return tables


def _mcnemar(found: ReaderAnalysis) -> PageTable:
    columns = "First", "Second", "Only the first right", "Only the second right"
    return PageTable(
        caption="McNemar: who is right more often",
        columns=(*columns, "p, exact", "p, mid"),
        rows=tuple(
            (
                pair.first,
                pair.second,
                str(pair.accuracy.first_only),
                str(pair.accuracy.second_only),
                _p(pair.accuracy.p_exact),
                _p(pair.accuracy.p_mid),
            )
            for pair in found.decisions.pairs
            if pair.accuracy is not None and pair.kind == "with the model"
        ),
        note="As the registered protocol of the study has it (NCT05110430).",
    )


def _marks(found: ReaderAnalysis) -> PageTable:
    merit = found.figures_of_merit
    rows = [
        (reader, modality, _number(value))
        for modality, values in zip(merit.modalities, merit.values.tolist(), strict=True)
        for reader, value in zip(merit.readers, values, strict=True)
        if not math.isnan(value)
    ]
    rows += [
        ("mean of the readers", mean.modality, mean.mean.estimate.text())
        for one in found.headline.results
        if one.to is Generalisation.RRRC
        for mean in one.means
    ]
    return PageTable(
        caption=f"Marked foci, {merit.endpoint}",
        columns=("Reader", "Modality", merit.endpoint),
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


def draw_times(
    times: Mapping[str, tuple[list[float], list[float]]],
    model: ModelReads | None,
    path: Path,
    *,
    title: str,
) -> None:
    """Draw box plots of the time per scan on a logarithmic axis: gross, active, and the model's.

    Boxes are quartiles with the median, whiskers reach to 1.5 interquartile ranges.

    Args:
        times: gross and active seconds of each reader; nothing is drawn if there are none.
        model: with its times on this machine.
        path: PNG file.
        title: above the figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if not times:
        return
    labels = [*(["model"] if model else []), *map(plain_text, times)]
    figure, axis = new_axes(7.2, 1.5 + 0.42 * len(labels))
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, NullFormatter

    kinds = [("gross", _GROSS), ("active (no pause, hidden tab, idle time)", _ACTIVE)]
    if model is not None:
        _box(axis, list(model.seconds.values()), 1.0, _MODEL, 0.5)
        kinds.append(("model, measured on this machine", _MODEL))
    for place, (gross, active) in enumerate(times.values(), start=len(labels) - len(times) + 1):
        _box(axis, gross, place - 0.19, _GROSS, 0.3)
        _box(axis, active, place + 0.19, _ACTIVE, 0.3)
    axis.set_yticks(range(1, len(labels) + 1), labels)
    axis.set_ylim(len(labels) + 0.6, 0.4)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("Time per scan (s), logarithmic", fontsize=9)
    axis.grid(axis="x", color=LIGHT, linewidth=0.7)
    axis.set_axisbelow(True)
    handles = [
        Patch(facecolor=f"{colour}55", edgecolor=colour, label=name) for name, colour in kinds
    ]
    style = {"ncols": 3, "frameon": False, "fontsize": 8}
    axis.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.4, 1.0), **style)
    save(figure, path, footer=RESEARCH_USE, title=title)


def _box(axis: Axes, seconds: list[float], place: float, colour: str, width: float) -> None:
    known = [value for value in seconds if value > 0]
    if not known:
        return
    axis.boxplot(
        known,
        positions=[place],
        orientation="horizontal",
        widths=width,
        patch_artist=True,
        boxprops={"facecolor": f"{colour}55", "edgecolor": colour},
        medianprops={"color": INK, "linewidth": 1.3},
        whiskerprops={"color": colour},
        capprops={"color": colour},
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": colour},
        manage_ticks=False,
    )
