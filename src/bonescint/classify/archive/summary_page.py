"""The page of an archive's summary."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bonescint import __version__
from bonescint.classify.archive.summarising import (
    BINS,
    LEAST_SHARED,
    UNKNOWN,
    ArchiveSummary,
    GroupCounts,
    SampledPicture,
)
from bonescint.intervals import Estimate
from bonescint.plotting import BLUE, GREY, INK, LIGHT, ORANGE, new_axes, rendered_as
from bonescint.report import operating_point_text
from bonescint.report.document_page import Document, PageFigure, PageSection, PageTable
from bonescint.scan import RESEARCH_USE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_ROWS = 40
_PICTURE_WIDTH = 640
_INTERVAL = "95 % interval by Wilson, scans taken as independent"
_HEADS = {
    "year": "Year of acquisition",
    "scanner": "Scanner",
    "site": "Site",
    "model": "Model",
}


def summary_document(found: ArchiveSummary, *, title: str) -> Document:
    """The page of a summary.

    Args:
        found: the counts.
        title: of the page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    total = found.total
    called = total.positive + total.negative
    inputs = total.scans + total.refused
    years = [one.name for one in _known(found.groups["year"])]
    models = ", ".join(one.name for one in found.groups["model"])
    points = " and ".join(map(operating_point_text, found.operating_points))
    return Document(
        title=title,
        notice=f"{RESEARCH_USE} Counts of a model's calls are not the prevalence of the disease.",
        created=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        facts=tuple(
            (label, text)
            for label, text in (
                ("Model", models),
                ("Operating point", points),
                ("Years", " to ".join(dict.fromkeys((years[0], years[-1]))) if years else ""),
                ("Software", f"bonescint {__version__}"),
            )
            if text
        ),
        headlines=(
            ("Scans classified", f"{total.scans:,}", f"of {inputs:,} inputs"),
            ("Called positive", _percent(total.positive, called), f"of {called:,} called scans"),
            ("Unlike the training scans", _percent(total.unlike, total.scans), _no_call(total)),
            ("Refused", f"{total.refused:,}", _percent(total.refused, inputs) + " of the inputs"),
        ),
        sections=tuple(_sections(found)),
    )


def _sections(found: ArchiveSummary) -> list[PageSection]:
    warnings = []
    if found.many_models:
        warnings.append(
            "This table has results of several models or settings: a scan may count several times, "
            "and shares mix different operating points. See the table by model."
        )
    if found.repeated:
        warnings.append(
            f"{found.repeated:,} scans are in this table more than once. Join the results folders "
            "with bonescint results join, which keeps each scan once."
        )
    figures = [_histogram(found)]
    if len(_known(found.groups["year"])) > 1:
        figures.append(_years(found.groups["year"]))
    sections = [
        PageSection(title="Probabilities", warnings=tuple(warnings), figures=tuple(figures)),
        PageSection(
            title="By year, scanner and site",
            paragraphs=(
                "If the share of positive calls changes with the year or the scanner, the cause is "
                "more often a change of camera, protocol or referral than of disease. Where many "
                "scans are unlike the training scans, adapt the model to that camera (bonescint "
                "model adapt).",
            ),
            tables=tuple(
                _group_table(name, groups)
                for name, groups in found.groups.items()
                if name != "model" or found.many_models
            ),
        ),
        _refused(found),
    ]
    if found.pictures:
        sections.append(
            PageSection(
                title="Sample of pictures",
                paragraphs=(
                    "Up to three scans of each kind of call, chosen by a hash of their "
                    "identifiers: the same scans give the same sample.",
                ),
                figures=tuple(map(_picture, found.pictures)),
            )
        )
    return sections


def _group_table(name: str, groups: tuple[GroupCounts, ...]) -> PageTable:
    with_refused = name in ("site", "model")
    shown = list(groups)
    if len(groups) > _MOST_ROWS:
        largest = sorted(groups, key=lambda one: (-one.scans, one.name))[:_MOST_ROWS]
        kept = {one.name for one in largest}
        shown = [one for one in groups if one.name in kept]
    columns = ["Scans", "Called positive", "Share of called", "Uncertain", "Unlike", "No call"]
    rows = []
    for one in shown:
        called = one.positive + one.negative
        row = [
            one.name,
            f"{one.scans:,}",
            f"{one.positive:,}",
            _in_percent(one.share_positive),
            _percent(one.uncertain, called),
            _percent(one.unlike, one.scans),
            _percent(one.no_call, one.scans),
        ]
        if with_refused:
            row += [f"{one.refused:,}", _percent(one.refused, one.scans + one.refused)]
        rows.append(tuple(row))
    if with_refused:
        columns += ["Refused", "Share of inputs"]
    notes = [
        f"Share of called: called positive among the scans with a call; {_INTERVAL}. "
        "Uncertain: of the called scans. Unlike and no call: of all scans."
    ]
    if name == "site":
        notes.append("Where no site was given, the results folder is shown instead.")
    if not with_refused:
        notes.append(f"Refused inputs are not included, since their {name} is unknown.")
    if len(shown) < len(groups):
        notes.append(f"Only the {_MOST_ROWS} largest; by-{name}.csv has all {len(groups)}.")
    return PageTable(
        caption=f"By {name}",
        columns=(_HEADS[name], *columns),
        rows=tuple(rows),
        note=" ".join(notes),
        numeric=tuple(range(1, 1 + len(columns))),
    )


def _refused(found: ArchiveSummary) -> PageSection:
    total = found.total.refused
    rows = tuple(
        (reason, kind, f"{number:,}", _percent(number, total))
        for kind, reason, number in found.refusals[:_MOST_ROWS]
    )
    more = len(found.refusals) - len(rows)
    note = (
        f"Numbers in a reason are replaced by N. Reasons that fewer than {LEAST_SHARED} inputs "
        "share are counted together, since they may name a file; the joined table lists them."
    )
    table = PageTable(
        caption="Refused inputs by reason",
        columns=("Reason", "Kind", "Inputs", "Share"),
        rows=rows,
        note=f"{note} refused.csv has {more} more." if more > 0 else note,
        numeric=(2, 3),
    )
    return PageSection(title="Refused", tables=(table,))


def _histogram(found: ArchiveSummary) -> PageFigure:
    figure, axes = new_axes(6, 3.6)
    lefts = [place / BINS for place in range(BINS)]
    axes.bar(lefts, found.histogram, width=1 / BINS, align="edge", color=BLUE, linewidth=0)
    for point in found.operating_points:
        axes.axvline(point, color=INK, linewidth=1, linestyle="--")
    axes.set_xlim(0, 1)
    axes.set_xlabel("Probability of metastatic bone disease")
    axes.set_ylabel("Scans")
    _count_axis(axes)
    points = " and ".join(map(operating_point_text, found.operating_points))
    dashed = f" Dashed: operating point {points}." if points else ""
    return PageFigure(
        caption=f"Scans by probability, in {BINS} bins.{dashed}", content=rendered_as(figure, "svg")
    )


def _years(groups: tuple[GroupCounts, ...]) -> PageFigure:
    """Scans per year, and the share that is called positive."""
    known = _known(groups)
    years = [int(one.name) for one in known]
    figure, (above, below) = new_axes(6, 3.6, rows=2, heights=(1.0, 1.0))
    above.bar(years, [one.scans for one in known], color=BLUE, width=0.8)
    above.set_ylabel("Scans")
    _count_axis(above)
    called = [one for one in known if one.share_positive.defined]
    shares = [one.share_positive for one in called]
    below.errorbar(
        [int(one.name) for one in called],
        [100 * one.value for one in shares],
        yerr=[
            [100 * (one.value - one.low) for one in shares],
            [100 * (one.high - one.value) for one in shares],
        ],
        fmt="o",
        markersize=4,
        color=ORANGE,
        ecolor=GREY,
        elinewidth=1,
    )
    below.set_ylim(bottom=0)
    below.set_ylabel("Positive, %")
    below.set_xlabel("Year of acquisition")
    below.grid(axis="y", color=LIGHT, linewidth=0.6)
    for axes in (above, below):
        axes.set_xlim(min(years) - 0.7, max(years) + 0.7)
        axes.locator_params(axis="x", integer=True)
    return PageFigure(
        caption=f"Scans per year, and the share of called scans that is positive ({_INTERVAL}).",
        content=rendered_as(figure, "svg"),
    )


def _known(groups: tuple[GroupCounts, ...]) -> list[GroupCounts]:
    return [one for one in groups if one.name != UNKNOWN]


def _count_axis(axes: Axes) -> None:
    """Format a vertical axis of numbers of scans."""
    axes.locator_params(axis="y", integer=True)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)


def _picture(sampled: SampledPicture) -> PageFigure:
    """A picture, small enough that a page holds a dozen."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(sampled.path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((_PICTURE_WIDTH, _PICTURE_WIDTH))
        small.save(buffer, format="WEBP", quality=82, method=4)
    return PageFigure(caption=sampled.caption, content=buffer.getvalue(), media_type="image/webp")


def _no_call(total: GroupCounts) -> str:
    return f"{total.unlike:,} scans; {total.no_call:,} have no call"


def _percent(part: int, whole: int) -> str:
    """A share in per cent, as shown on the page.

    Examples:
        >>> _percent(1, 8), _percent(0, 0), _percent(3, 100_000)
        ('12.5 %', '', '0.003 %')
    """
    if not whole:
        return ""
    value = 100 * part / whole
    return f"{value:.1f} %" if value >= 0.1 or not part else f"{value:.2g} %"


def _in_percent(estimate: Estimate) -> str:
    if not estimate.defined:
        return ""
    value, low, high = (100 * one for one in (estimate.value, estimate.low, estimate.high))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"
