"""How maps agree with lesions, as sections and figures of the page of an evaluation."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from bonescint.cohort import Manifest, truth_of
from bonescint.evaluate.figures import free_response_figure, hit_rate_figure, places_figure
from bonescint.evaluate.map_metrics import HitGroup
from bonescint.experiment.evaluation.data import MappedScan, scan_at_hand
from bonescint.experiment.evaluation.results import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    NOTICE,
    TRUE_POSITIVE,
    EvaluationResult,
)
from bonescint.experiment.evaluation.saliency_result import (
    MOST_SEGMENTED,
    LocalisedScan,
    SaliencyEvaluation,
)
from bonescint.experiment.report.figures import PANELS, WIDTH, drawable, drawn_calls
from bonescint.experiment.report.model_report import measures_page_table
from bonescint.explain import Explanation, explain
from bonescint.plotting import RenderedFigure
from bonescint.report.document_page import PageFigure, PageSection, PageTable
from bonescint.scan import Case

_MOST_FAILURES = 6


def saliency_figures(found: SaliencyEvaluation) -> dict[str, RenderedFigure]:
    """Every figure, by the name of its file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    drawn = {}
    if found.curve is not None:
        drawn["free_response"] = free_response_figure(found.curve, found.curve_measures)
    if found.by_contrast or found.by_size:
        groups = (
            ("Contrast to the bone around it", found.by_contrast),
            ("Radius, mm", found.by_size),
        )
        drawn["lesions_hit"] = hit_rate_figure(groups)
    if found.false_positives:
        drawn["false_evidence"] = places_figure(found.false_positives)
    return drawn


def segmented_pictures(
    result: EvaluationResult, manifest: Manifest, maps: Mapping[str, MappedScan]
) -> dict[str, Explanation]:
    """Scans with a physician's masks under their maps, by their identifiers.

    Raises:
        InputError: a mask that cannot be read.
    """
    if result.saliency is None:
        return {}
    cases = {case.scan_id: case for case in manifest.cases}
    probability = {scan.scan_id: scan.probability for scan in result.scans}
    drawn = {}
    for scan_id in result.saliency.segmented:
        case, score = cases[scan_id], probability[scan_id]
        mapped = maps[scan_id].with_answer(score, positive=score >= result.threshold)
        stored = scan_at_hand(manifest, case, mapped)
        truth = truth_of(manifest, case, pixel_spacing_mm=mapped.pixel_spacing_mm)
        if stored is not None and truth is not None:
            drawn[scan_id] = explain(
                stored,
                mapped.prediction,
                operating_point=drawable(result.threshold),
                notice=NOTICE,
                lesions=truth.masks,
            )
    return drawn


def as_figure(shown: Explanation) -> RenderedFigure:
    """A picture of pixels as the PNG and SVG files that every figure has."""
    png = shown.png()
    size = f'width="{shown.picture.width}" height="{shown.picture.height}"'
    content = base64.b64encode(png).decode("ascii")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
        f'<image {size} href="data:image/png;base64,{content}"/></svg>\n'
    )
    return RenderedFigure(png=png, svg=svg.encode("ascii"))


def saliency_sections(
    result: EvaluationResult,
    pictures: Mapping[str, RenderedFigure],
    segmented: Mapping[str, Explanation],
) -> tuple[PageSection, ...]:
    """The sections of the page; none without maps.

    Args:
        result: result of the evaluation.
        pictures: as `saliency_figures` gives them.
        segmented: as `segmented_pictures` gives them.
    """
    found = result.saliency
    if found is None:
        return ()
    return (
        _localisation(found, pictures),
        *_segmented(result, found, segmented),
        *_false_evidence(found, pictures),
    )


def _localisation(found: SaliencyEvaluation, pictures: Mapping[str, RenderedFigure]) -> PageSection:
    captions = {
        "free_response": "Free response: peaks of the maps of all evaluated scans, rated by the "
        "scan's probability in proportion to their height. Bars are intervals over scans.",
        "lesions_hit": "Lesions of true positives that are hit: the map reaches half of the "
        "scan's highest value on them.",
    }
    figures = tuple(
        PageFigure(caption=caption, content=pictures[name].svg, wide=name == "lesions_hit")
        for name, caption in captions.items()
        if name in pictures
    )
    tables = []
    if found.measures:
        title = f"Maps of {len(found.called)} true positives"
        tables.append(measures_page_table(title, found.measures))
    if found.missed and found.measures_of_all:
        title = f"Maps of all {len(found.scans)} positives, missed ones included"
        tables.append(measures_page_table(title, found.measures_of_all))
    if found.curve_measures:
        tables.append(measures_page_table("Free response", found.curve_measures))
    tables += [
        _hit_page_table(name, groups)
        for name, groups in (("contrast", found.by_contrast), ("radius, mm", found.by_size))
        if groups
    ]
    notes = list(found.notes)
    if found.left_out:
        shown = "; ".join(found.left_out[:20])
        more = len(found.left_out) - 20
        notes.append(
            f"{len(found.left_out)} evaluated scans could not be measured: {shown}"
            + (f"; and {more} more." if more > 0 else ".")
        )
    return PageSection(
        title="Explanation, measured",
        paragraphs=(
            "Activation maps for disease against the lesion masks. The tolerance, where given, is "
            f"{found.tolerance_mm:g} mm from the edge of a lesion. The value expected by chance is "
            "given below each metric."
            if found.measures_of_all
            else "No evaluated scan has both a lesion mask and a map.",
        ),
        warnings=tuple(notes),
        figures=figures,
        tables=tuple(tables),
    )


def _segmented(
    result: EvaluationResult, found: SaliencyEvaluation, pictures: Mapping[str, Explanation]
) -> tuple[PageSection, ...]:
    """Physicians' masks beside the maps."""
    if not found.by_physicians:
        return ()
    scans = {scan.scan_id: scan for scan in found.scans}
    probability = {scan.scan_id: scan.probability for scan in result.scans}
    return (
        PageSection(
            title="Physicians' masks compared with the evidence",
            paragraphs=(
                f"{len(pictures)} of {found.by_physicians} scans with a physician's masks: the "
                f"first {MOST_SEGMENTED} of the evaluated scans whose files are available, in the "
                f"order of the manifest. {PANELS} The masks are outlined in blue. Larger versions "
                f"with scales are in figures/segmented_*.png.",
            ),
            figures=tuple(
                _segmented_figure(scans[scan_id], probability[scan_id], picture)
                for scan_id, picture in pictures.items()
            ),
        ),
    )


def _segmented_figure(scan: LocalisedScan, probability: float, picture: Explanation) -> PageFigure:
    caption = (
        f"{scan.scan_id}: probability {probability:.3f}, "
        f"{TRUE_POSITIVE if scan.positive_call else FALSE_NEGATIVE}; lesions hit "
        f"{scan.hit} of {len(scan.reached)}, share of the evidence inside lesions "
        f"{scan.energy_inside:.2f}, best intersection over union {scan.best_iou:.2f}."
    )
    return PageFigure(
        caption=caption,
        content=picture.thumbnail_webp(width=WIDTH, quality=80),
        alternative=f"{caption} {PANELS}",
        media_type="image/webp",
        wide=True,
    )


def _hit_page_table(name: str, groups: tuple[HitGroup, ...]) -> PageTable:
    return PageTable(
        caption=f"Lesions hit, by {name}",
        columns=(name.capitalize(), "Lesions", "Share hit (interval over scans)"),
        rows=tuple((group.name, str(group.lesions), group.rate.text()) for group in groups),
        numeric=(1, 2),
    )


def _false_evidence(
    found: SaliencyEvaluation, pictures: Mapping[str, RenderedFigure]
) -> tuple[PageSection, ...]:
    if not found.false_positives:
        return ()
    rows = []
    for row in found.false_positives:
        counts, area = f"{row.scans}/{row.of}", f"{row.area:.3f}"
        rows.append((row.name, counts, row.highest.text(), row.evidence.text(), area))
    shares = ("Share of scans (interval)", "Share of the evidence (interval)")
    table = PageTable(
        caption="Places, most frequent first",
        columns=("Place", "Highest evidence there", *shares, "Share of the image"),
        rows=tuple(rows),
        numeric=(1, 2, 3, 4),
    )
    caption, content = "Where the evidence of false positives lies.", pictures["false_evidence"].svg
    return (
        PageSection(
            title="Where false evidence lies",
            paragraphs=(_evidence_words(found),),
            figures=(PageFigure(caption=caption, content=content, wide=True),),
            tables=(table,),
        ),
    )


def _evidence_words(found: SaliencyEvaluation) -> str:
    """What the table of false evidence is based on."""
    count, known = found.false_positives[0].of, found.places_known
    if not known:
        return (
            f"Maps of {count} false positives, by part of the body only: no truth file names the "
            f"organs and benign findings of these scans. Each pixel is assigned to a part of the "
            f"body by its height, or to the outside of the body."
        )
    words = (
        f"Maps of {count} false positives. Each pixel is assigned to the organ or benign finding "
        f"whose edge is nearest, if it is within {found.tolerance_mm:g} mm; otherwise to a part "
        f"of the body, or to the outside of the body."
    )
    if known < count:
        words += (
            f" Of {count - known} of them no truth file names organs and benign findings: their "
            f"evidence is given by part of the body only."
        )
    return words


def failures_section(
    result: EvaluationResult, manifest: Manifest, maps: Mapping[str, MappedScan]
) -> tuple[PageSection, ...]:
    """Pictures of the most confident wrong calls.

    They are drawn at the evaluation's operating point: the pictures of `bonescint classify` show
    the call and the colours of the model's own one.

    Args:
        result: result of the evaluation.
        manifest: that says where scans lie.
        maps: by scan.

    Raises:
        InputError: a scan that cannot be read.
    """
    cases = {case.scan_id: case for case in manifest.cases}
    drawn: list[PageFigure] = []
    counts = []
    for outcome, highest_first in ((FALSE_POSITIVE, True), (FALSE_NEGATIVE, False)):
        calls = [
            (cases[scan.scan_id], scan.probability)
            for scan in result.scans
            if result.outcome(scan) == outcome and scan.scan_id in maps and cases[scan.scan_id].file
        ]
        calls.sort(key=lambda call: call[1], reverse=highest_first)
        counts.append(len(calls))
        pictures = drawn_calls(manifest, calls, maps, result.threshold)
        drawn += _failures(outcome.capitalize(), islice(pictures, _MOST_FAILURES))
    if not drawn:
        return ()
    text = (
        f"The most confident wrong calls, at most {_MOST_FAILURES} of each kind (of "
        f"{counts[0]} false positives and {counts[1]} false negatives that have a map and name a "
        f"file). The evidence reaches the top of its scale at this evaluation's operating point. "
        f"{PANELS}"
    )
    return (PageSection(title="Failures", paragraphs=(text,), figures=tuple(drawn)),)


def _failures(word: str, calls: Iterable[tuple[Case, float, bytes]]) -> Iterator[PageFigure]:
    for case, probability, content in calls:
        caption = f"{word}: {case.scan_id}, probability {probability:.3f}"
        yield PageFigure(caption=caption, content=content, media_type="image/webp")
