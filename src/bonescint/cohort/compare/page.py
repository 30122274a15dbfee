"""The HTML page of a comparison of cohorts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from bonescint import __version__
from bonescint.cohort.compare.averages import Spread
from bonescint.cohort.compare.characteristics import LANDMARKS, Subject
from bonescint.cohort.compare.figures import MAPS, difference_scale
from bonescint.cohort.compare.maps import PREPROCESSING
from bonescint.cohort.compare.measuring import MeasuredSide
from bonescint.cohort.compare.results import (
    CohortComparison,
    ComparedCharacteristic,
    ScoredSide,
    label_counts,
)
from bonescint.cohort.compare.separation import CELLS, FOLDS
from bonescint.evaluate import Estimate
from bonescint.prepare import preprocessing_named
from bonescint.report.document_page import Document, PageFigure, PageSection, PageTable
from bonescint.scan import RESEARCH_USE, View

_MOST_REASONS = 12
_NOT_AVAILABLE = "not available"
_MAP_TITLES = {
    "mean": "Mean",
    "sd": "Spread between scans (standard deviation)",
    "asymmetry_sd": "Left-right asymmetry (standard deviation of a scan minus its mirror image)",
}
_AGREED = {
    "mean": "Correlation of the mean maps",
    "sd": "Correlation of the maps of spread",
    "asymmetry_sd": "Correlation of the maps of asymmetry",
    "mean_difference": "Mean absolute difference over the mean of A",
}
_ALIKE, _SLIGHT, _CLEAR = 0.6, 0.75, 0.9


def comparison_document(
    found: CohortComparison, pictures: Mapping[str, bytes], *, created: str
) -> Document:
    """Lay out the page.

    Args:
        found: what was found.
        pictures: as `draw_figures` gives them.
        created: when, as text.
    """
    sections = [
        _separation(found, pictures),
        _maps(found, pictures),
        _landmarks(found, pictures),
        _uptake(found, pictures),
        _quality(found, pictures),
        *([_model(found, pictures)] if found.model_id else []),
        _sides(found),
        _methods(),
    ]
    return Document(
        title="Comparison of two cohorts",
        notice=f"{RESEARCH_USE} Do not base any diagnosis on this comparison.",
        created=created,
        facts=(
            *((side.side.letter, _in_a_line(side)) for side in found.sides),
            ("Prepared with", preprocessing_named(PREPROCESSING).identifier),
            ("Software", f"bonescint {__version__}"),
        ),
        headlines=_headlines(found),
        sections=tuple(sections),
    )


def _in_a_line(side: MeasuredSide) -> str:
    scans, patients = side.averages.maps.scans, side.averages.patients
    counted = f"{scans} scans of {patients} patients" if scans else "number of scans unknown"
    if side.has_scans:
        return f"{side.side.name}: {counted}"
    without = side.averages.unlabelled
    taken = f"; {without} without label were taken as normal" if without else ""
    return f"{side.side.name}: normal database, {counted}{taken}"


def verdict(area: Estimate) -> str:
    """What an area means, in words.

    Examples:
        >>> verdict(Estimate(value=0.98))
        'They look different: nearly every scan is told apart'
    """
    if area.value < _ALIKE or area.low < 0.5:
        return "They look alike: the classifier can hardly tell them apart"
    if area.value < _SLIGHT:
        return "They differ slightly"
    if area.value < _CLEAR:
        return "They differ clearly"
    return "They look different: nearly every scan is told apart"


def _headlines(found: CohortComparison) -> tuple[tuple[str, str, str], ...]:
    front, back = (found.agreement[view] for view in View)
    separated = found.separation
    if separated is None:
        lead = ("Told apart", _NOT_AVAILABLE, found.why_not_separated)
    else:
        area = separated.area
        below = area.note if math.isnan(area.low) else f"{area.low:.3f} to {area.high:.3f}"
        lead = ("Told apart (area; 0.5 is alike)", f"{area.value:.3f}", below)
    return (
        lead,
        (
            "Correlation of the mean maps",
            f"{_number(front.mean)} / {_number(back.mean)}",
            "anterior / posterior",
        ),
        (
            "Mean absolute difference",
            f"{_number(front.mean_difference)} / {_number(back.mean_difference)}",
            "over the mean of A, anterior / posterior",
        ),
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _png(pictures: Mapping[str, bytes], name: str, caption: str, **more: bool) -> PageFigure:
    return PageFigure(
        caption=caption,
        content=pictures[name],
        alternative=caption,
        media_type="image/png",
        wide=more.get("wide", False),
    )


def _separation(found: CohortComparison, pictures: Mapping[str, bytes]) -> PageSection:
    title = "How well a simple classifier tells A from B"
    separated = found.separation
    if separated is None:
        text = f"Not available: {found.why_not_separated}."
        return PageSection(title=title, paragraphs=(text,), warnings=found.warnings)
    return PageSection(
        title=title,
        warnings=found.warnings,
        paragraphs=(
            f"{verdict(separated.area)}. Area under the ROC curve {separated.area.text()}: the "
            f"probability that the classifier gives a scan of B a higher score than a scan of A. "
            f"0.5 is what chance gives, 1 is never wrong.",
            f"It sees each prepared scan as {CELLS} x {CELLS} cells ({separated.components} "
            f"principal components, penalised logistic regression), and is judged on patients "
            f"that it was not fitted to ({FOLDS} parts). Any difference helps it: patients, "
            f"disease, posture, camera, processing. A high area does not say which.",
        ),
        figures=(
            _png(
                pictures,
                "separation",
                "Scores of the scans of both sides, each by a classifier that was not fitted to "
                "its patient. Cohorts that look alike overlap.",
            ),
        ),
    )


def _maps(found: CohortComparison, pictures: Mapping[str, bytes]) -> PageSection:
    figures = []
    for name, called in MAPS.items():
        first, second = (side.averages.maps.arrays()[name] for side in found.sides)
        scale = difference_scale(first, second)
        for letter in "AB":
            caption = f"{_MAP_TITLES[name]}, {letter}."
            figures.append(_png(pictures, f"{called}_{letter.lower()}", caption))
        caption = f"B minus A: orange where B has more, blue where A has (full at {scale:.2f})."
        figures.append(_png(pictures, f"{called}_difference", caption))
    agreed = [("A and B", found.agreement)]
    agreed += [
        (f"halves of {side.side.letter}", side.halves)
        for side in found.sides
        if side.halves is not None
    ]
    table = PageTable(
        caption="Agreement inside the body (where either mean is above 0.05), anterior / posterior",
        columns=("", *(name for name, _ in agreed)),
        rows=tuple(
            (
                words,
                *(
                    " / ".join(_number(of[view].to_json()[name], 3) for view in View)
                    for _, of in agreed
                ),
            )
            for name, words in _AGREED.items()
        ),
        numeric=tuple(range(1, 1 + len(agreed))),
        note="Halves: every other scan of a cohort against the rest, which differ by chance alone.",
    )
    return PageSection(
        title="Maps",
        paragraphs=(
            "Every scan is framed on the body and scaled by it; its square root is shown, so the "
            "values run from 0 to 1. Anterior view left, posterior view right. A and B share "
            "a scale.",
        ),
        figures=tuple(figures),
        tables=(table,),
    )


def _spread(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return _NOT_AVAILABLE
    low, _, middle, _, high = (f"{value:.{digits}f}" for value in spread.percentiles)
    return middle if low == high else f"{middle} ({low} to {high})"


def _table(
    found: CohortComparison, subject: Subject, caption: str, *, maps: bool, note: str
) -> PageTable:
    """Medians with percentiles of both sides, and the area of each characteristic."""
    shown = [one for one in found.characteristics if one.kind.subject is subject]
    mapped = ("mean map of A", "mean map of B") if maps else ()
    rows = []
    for one in shown:
        digits = one.kind.digits
        spreads = (_spread(spread, digits) for spread in one.spreads)
        of_maps = (_number(value, digits) for value in one.of_maps if maps)
        area = "-" if one.area is None else _area(one.area)
        rows.append((one.kind.words, *spreads, *of_maps, area))
    columns = ("", "A", "B", *mapped, "area")
    return PageTable(
        caption=caption,
        columns=columns,
        rows=tuple(rows),
        numeric=tuple(range(1, len(columns))),
        note=note,
    )


def _area(area: Estimate) -> str:
    text = f"{area.value:.2f}"
    return text if math.isnan(area.low) else f"{text} ({area.low:.2f} to {area.high:.2f})"


_READ = (
    "Median (5th to 95th percentile) over scans. Area: the probability that a scan of B has more "
    "than a scan of A, with its 95 % interval by patient; 0.5 where they are alike."
)


def _missing(found: CohortComparison, subject: Subject) -> tuple[str, ...]:
    """Why a column is empty."""
    without = [
        side.side.letter
        for side in found.sides
        if not any(one.kind.name in side.averages.spreads for one in _about(found, subject))
    ]
    return tuple(
        f"{letter} is a file of maps alone: what is known of single scans is not available."
        for letter in without
    )


def _about(found: CohortComparison, subject: Subject) -> Iterable[ComparedCharacteristic]:
    return (one for one in found.characteristics if one.kind.subject is subject)


def _landmarks(found: CohortComparison, pictures: Mapping[str, bytes]) -> PageSection:
    rare = [
        f"{one.kind.words} ({letter}: found in {0 if spread is None else spread.scans} of {total})"
        for one in _about(found, Subject.LANDMARK)
        for letter, spread, side in zip("AB", one.spreads, found.sides, strict=True)
        if side.averages.spreads
        and (total := side.averages.maps.scans)
        and (0 if spread is None else spread.scans) < 0.8 * total
    ]
    said = "; ".join(f"{name}: {how}" for name, how in LANDMARKS.items())
    return PageSection(
        title="Landmarks of the body",
        paragraphs=(
            f"Heights as shares of the body's height, from the crown (0) to the lowest point of "
            f"the feet (1), estimated from profiles along the body. {said}. They serve to "
            f"compare cohorts, not to measure a patient.",
            *_missing(found, Subject.LANDMARK),
        ),
        warnings=(f"Often not found, so unreliable: {', '.join(rare)}.",) if rare else (),
        figures=(
            _png(pictures, "landmarks", "Mean anterior views with their landmarks (medians)."),
        ),
        tables=(
            _table(found, Subject.LANDMARK, "Share of the body's height", maps=True, note=_READ),
        ),
    )


def _uptake(found: CohortComparison, pictures: Mapping[str, bytes]) -> PageSection:
    return PageSection(
        title="Uptake of regions over the lumbar spine",
        paragraphs=(
            "Mean counts in a box of the common frame, both sides of the body together, over "
            "those of the lumbar spine in the same view. A box does not follow the patient: where "
            "bodies differ in proportion, it holds other parts of them. Values above twice the "
            "98th percentile of the body count as that, which lowers a full bladder.",
            *_missing(found, Subject.UPTAKE),
        ),
        figures=(
            _png(
                pictures,
                "uptake",
                "Median and 5th to 95th percentile of A (above) and B (below); a diamond is read "
                "off maps alone.",
            ),
        ),
        tables=(_table(found, Subject.UPTAKE, "Uptake ratios", maps=True, note=_READ),),
    )


def _quality(found: CohortComparison, pictures: Mapping[str, bytes]) -> PageSection:
    return PageSection(
        title="Counts, noise and resolution",
        paragraphs=(
            "As read, before anything is prepared. Variance over mean is 1 for counts as acquired; "
            "smoothing and interpolation lower it, and of pictures it means nothing by itself. The "
            "curve shows how fast structure fades with its fineness, after the power of noise "
            "is subtracted: a sharper camera falls later.",
            *_missing(found, Subject.QUALITY),
        ),
        figures=(_png(pictures, "resolution", "Mean power spectrum, over that at 4 to 8 cycles."),),
        tables=(_table(found, Subject.QUALITY, "Acquisition and pixels", maps=False, note=_READ),),
    )


def _model(found: CohortComparison, pictures: Mapping[str, bytes]) -> PageSection:
    if not any(found.scored):
        text = "Not available: neither side has single scans to score."
        return PageSection(title="Scores of the model", paragraphs=(text,))

    def cells(one: ScoredSide | None) -> tuple[str, str, str]:
        if one is None:
            return (_NOT_AVAILABLE,) * 3
        return _spread(one.spread, 2), one.positive.text(2), one.unlike.text(2)

    words = (
        "Probability, median (5th to 95th percentile)",
        "Share called positive",
        "Share unlike its training scans",
    )
    columns = [cells(one) for one in found.scored]
    missing = [
        f"{letter} is a normal database: it holds no single scan to score."
        for letter, one in zip("AB", found.scored, strict=True)
        if one is None
    ]
    return PageSection(
        title="Scores of the model",
        paragraphs=(f"Model {found.model_id}.", *missing),
        figures=(_png(pictures, "model", "Probability of metastatic bone disease."),),
        tables=(
            PageTable(
                caption="Answers of the model",
                columns=("", "A", "B"),
                rows=tuple(zip(words, *columns, strict=True)),
                numeric=(1, 2),
                note="Shares with 95 % intervals by patient (Wilson).",
            ),
        ),
    )


def _sides(found: CohortComparison) -> PageSection:
    rows, reasons, notes = [], [], []
    for side in found.sides:
        labels = ", ".join(f"{count} {word}" for word, count in label_counts(side).items())
        counted = [side.averages.maps.scans, side.averages.patients, labels]
        known = (str(one or "unknown") for one in counted)
        rows.append((side.side.letter, side.side.name, *known, str(len(side.omitted))))
        reported = Counter(one.reason for one in side.omitted).most_common(_MOST_REASONS)
        reasons += [(side.side.letter, reason, str(count)) for reason, count in reported]
        notes += [f"{side.side.letter}: {note}." for note in side.notes]
    tables = [
        PageTable(
            caption="Sides",
            columns=("", "given", "scans", "patients", "labels", "left out"),
            rows=tuple(rows),
            numeric=(2, 3, 5),
        )
    ]
    if reasons:
        tables.append(
            PageTable(
                caption="Left out",
                columns=("", "reason", "scans"),
                rows=tuple(reasons),
                numeric=(2,),
                note="tables/left_out.csv names each.",
            )
        )
    return PageSection(title="What was compared", paragraphs=tuple(notes), tables=tuple(tables))


def _methods() -> PageSection:
    return PageSection(
        title="Methods",
        paragraphs=(
            f"Scans are prepared with {preprocessing_named(PREPROCESSING).identifier} and reduced "
            f"to 256 x 256. Asymmetry is the standard deviation, over scans, of a scan minus its "
            f"mirror image about its own best midline, both smoothed by 1.5 pixels. Scans with one "
            f"view only are left out.",
            "The classifier is cross-validated by patient; the interval of its area is DeLong's, "
            "with patients as units (Obuchowski 1997), widened because the parts share most of "
            "what their classifiers were fitted to (Nadeau and Bengio 2003). With few patients an "
            "area below 0.5 is chance, too. "
            "Noise is found with Immerkaer's mask (1996), in the body without its hottest tenth.",
            "Every scan counts once, also where a patient has several. docs/cohort-compare.md says "
            "more.",
        ),
    )
