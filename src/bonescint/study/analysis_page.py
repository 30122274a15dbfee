"""The report of a study: one page that needs nothing but itself."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import PackageLoader
from PIL import Image, ImageDraw, ImageFont

from bonescint.evaluate import Estimate
from bonescint.files import write_whole, written_beside
from bonescint.mrmc import Generalisation, ReaderAnalysis
from bonescint.report import page_environment
from bonescint.scan import MissingExtraError
from bonescint.study.export.rows import TimingRow
from bonescint.study.model_reads import ModelReads

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


_GROSS, _ACTIVE, _MODEL = "#E69F00", "#0072B2", "#000000"
_INK = "#333333"
_DPI = 200
_TITLE_PX = 30


def draw_times(
    times: Mapping[str, tuple[list[float], list[float]]], model: ModelReads | None, path: Path
) -> Path | None:
    """Box plots of the time per scan on a logarithmic axis: gross, active, and the model's own.

    Boxes are quartiles with the median, whiskers reach to 1.5 interquartile ranges.

    Args:
        times: gross and active seconds of each reader.
        model: with its times on this machine.
        path: PNG file.

    Returns:
        The file; `None` if there is no time to show.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if not times:
        return None
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, NullFormatter
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "evaluate") from error
    rows = [(name, gross, active) for name, (gross, active) in times.items()]
    figure = Figure(figsize=(7.2, 1.5 + 0.42 * (len(rows) + (model is not None))),
                    layout="constrained")  # fmt: skip
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    labels = []
    if model is not None:
        _box(axis, list(model.seconds.values()), 1.0, _MODEL, 0.5)
        labels.append("model")
    for name, gross, active in rows:
        place = len(labels) + 1.0
        _box(axis, gross, place - 0.19, _GROSS, 0.3)
        _box(axis, active, place + 0.19, _ACTIVE, 0.3)
        labels.append(name.replace("$", r"\$"))
    axis.set_yticks(range(1, len(labels) + 1), labels)
    axis.set_ylim(len(labels) + 0.6, 0.4)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("Time per scan (s), logarithmic", fontsize=9)
    axis.grid(axis="x", color="#e4e4e4", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=_INK, labelsize=9)
    from matplotlib.patches import Patch

    said = [("gross", _GROSS), ("active (no pause, hidden tab, idle time)", _ACTIVE)]
    if model is not None:
        said.append(("model, measured on this machine", _MODEL))
    handles = [
        Patch(facecolor=f"{colour}55", edgecolor=colour, label=name) for name, colour in said
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    with written_beside(path) as beside:
        figure.savefig(beside, dpi=_DPI, format="png")
    return path


def _box(axis: object, seconds: list[float], place: float, colour: str, width: float) -> None:
    known = np.array([value for value in seconds if value > 0])
    if not known.size:
        return
    axis.boxplot(  # type: ignore[attr-defined]
        known,
        positions=[place],
        orientation="horizontal",
        widths=width,
        patch_artist=True,
        boxprops={"facecolor": f"{colour}55", "edgecolor": colour},
        medianprops={"color": _INK, "linewidth": 1.3},
        whiskerprops={"color": colour},
        capprops={"color": colour},
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": colour},
        manage_ticks=False,
    )


def with_title(path: Path, title: str) -> None:
    """Put a title over a PNG picture, in as many lines as it needs."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    font = ImageFont.load_default(size=_TITLE_PX)
    lines = _wrapped(title, font, picture.width - 2 * _TITLE_PX)
    step = round(1.35 * _TITLE_PX)
    top = step * len(lines) + _TITLE_PX
    titled = Image.new("RGB", (picture.width, picture.height + top), "white")
    titled.paste(picture, (0, top))
    draw = ImageDraw.Draw(titled)
    for number, line in enumerate(lines):
        draw.text((_TITLE_PX, 0.6 * _TITLE_PX + step * number), line, fill=_INK, font=font)
    with written_beside(path) as beside:
        titled.save(beside, format="PNG")


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
