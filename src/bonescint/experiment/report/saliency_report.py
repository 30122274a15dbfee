"""What maps are worth, as a section of the page, figures and tables."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from itertools import islice

from bonescint.evaluate.figures import free_response_figure, hit_rate_figure, places_figure
from bonescint.evaluate.map_metrics import HIT_LEVEL, HitGroup
from bonescint.evaluate.tables import Cell, Table, measures_table
from bonescint.experiment.evaluation.evaluate import Evaluation
from bonescint.experiment.evaluation.maps import MappedScan, SegmentedScan
from bonescint.experiment.evaluation.saliency_evaluation import MOST_SEGMENTED, SaliencyEvaluation
from bonescint.experiment.report.call_pictures import PANELS, WIDTH, drawable, drawn_calls
from bonescint.experiment.report.model_report import NOTICE, measures_page_table
from bonescint.explain import Explanation as ScanPicture
from bonescint.explain import explain
from bonescint.plotting import RenderedFigure
from bonescint.report.document_page import PageFigure, PageSection, PageTable

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
        drawn["lesions_hit"] = hit_rate_figure(
            (("Contrast to the bone around it", found.by_contrast),
             ("Radius, mm", found.by_size))
        )  # fmt: skip
    if found.false_positives:
        drawn["false_evidence"] = places_figure(found.false_positives)
    for number, one in enumerate(found.segmented, 1):  # an identifier need not be a harmless name
        drawn[f"segmented_{number:02d}"] = _as_figure(_segmented_picture(one, found.threshold))
    return drawn


def _segmented_picture(one: SegmentedScan, threshold: float) -> ScanPicture:
    return explain(
        one.scan,
        one.mapped.prediction,
        operating_point=drawable(threshold),
        notice=NOTICE,
        lesions=one.masks,
    )


def _as_figure(shown: ScanPicture) -> RenderedFigure:
    """A picture of pixels as the two files that every figure has."""
    png = shown.png()
    size = f'width="{shown.picture.width}" height="{shown.picture.height}"'
    content = base64.b64encode(png).decode("ascii")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
        f'<image {size} href="data:image/png;base64,{content}"/></svg>\n'
    )
    return RenderedFigure(png=png, svg=svg.encode("ascii"))


def saliency_tables(found: SaliencyEvaluation) -> tuple[Table, ...]:
    """The tables, at full precision."""
    scans: list[tuple[Cell, ...]] = [
        (scan_id, outcome, one.pointing, one.pointing_near, one.energy_inside, one.lesion_share,
         one.best_iou, len(one.lesions), sum(le.reached >= HIT_LEVEL for le in one.lesions))
        for outcome, group in (("true positive", found.called), ("false negative", found.missed))
        for scan_id, one in group.items()
    ]  # fmt: skip
    tables = [
        measures_table("localisation", "Maps of true positives", found.measures),
        measures_table("localisation_all", "Maps of all positives", found.measures_of_all),
        measures_table("free_response", "Free response", found.curve_measures),
        _hit_table(found),
        Table(
            name="localisation_scans",
            title="Maps, scan by scan",
            columns=("scan_id", "outcome", "pointing_game", "pointing_game_near", "energy_inside",
                     "lesion_share", "best_iou", "lesions", "lesions_hit"),
            rows=tuple(scans),
        ),
        Table(
            name="lesions",
            title="Lesions of true positives",
            columns=("scan_id", "contrast", "radius_mm", "reached"),
            rows=tuple((le.scan_id, _known(le.contrast), _known(le.radius_mm), le.reached)
                       for le in found.lesions),
        ),
        Table(
            name="false_evidence",
            title="Where the evidence of false positives lies",
            columns=("place", "scans_with_highest", "scans", "share", "low", "high",
                     "evidence", "evidence_low", "evidence_high", "area"),
            rows=tuple(
                (row.name, row.scans, row.of, row.highest.value, row.highest.low,
                 row.highest.high, row.evidence.value, _known(row.evidence.low),
                 _known(row.evidence.high), row.area)
                for row in found.false_positives
            ),
        ),
    ]  # fmt: skip
    return tuple(table for table in tables if table.rows)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _hit_table(found: SaliencyEvaluation) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, group.name, group.lesions, _known(group.rate.value), _known(group.rate.low),
         _known(group.rate.high))
        for name, groups in (("contrast", found.by_contrast), ("radius_mm", found.by_size))
        for group in groups
    ]  # fmt: skip
    return Table(name="lesions_hit", title="Lesions hit, by contrast and size",
                 columns=("by", "group", "lesions", "share_hit", "low", "high"),
                 rows=tuple(rows))  # fmt: skip


def saliency_sections(
    found: SaliencyEvaluation, pictures: Mapping[str, RenderedFigure]
) -> tuple[PageSection, ...]:
    """The sections of the page."""
    return (
        _localisation(found, pictures),
        *_segmented(found),
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
        PageFigure(
            caption=caption,
            content=pictures[name].svg,
            alternative=caption,
            wide=name == "lesions_hit",
        )
        for name, caption in captions.items()
        if name in pictures
    )
    tables = []
    if found.measures:
        title = f"Maps of {len(found.called)} true positives"
        tables.append(measures_page_table(title, found.measures))
    if found.missed and found.measures_of_all:
        count = len(found.called) + len(found.missed)
        title = f"Maps of all {count} positives, missed ones included"
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


def _segmented(found: SaliencyEvaluation) -> tuple[PageSection, ...]:
    """Physicians' masks beside the maps."""
    if not found.by_physicians:
        return ()
    shown = len(found.segmented)
    return (
        PageSection(
            title="Physicians' masks compared with the evidence",
            paragraphs=(
                f"{shown} of {found.by_physicians} scans with a physician's masks: the first "
                f"{MOST_SEGMENTED} of the evaluated scans whose files are available, in the order "
                f"of the manifest. {PANELS} The masks are outlined in blue. Larger versions with "
                f"scales are in figures/segmented_*.png.",
            ),
            figures=tuple(_segmented_figure(found, one) for one in found.segmented),
        ),
    )


def _segmented_figure(found: SaliencyEvaluation, one: SegmentedScan) -> PageFigure:
    answer = one.mapped.prediction
    measured = (found.called if answer.positive else found.missed)[answer.scan_id]
    hits = sum(lesion.reached >= HIT_LEVEL for lesion in measured.lesions)
    caption = (
        f"{answer.scan_id}: probability {answer.mbd_probability:.3f}, "
        f"{'true positive' if answer.positive else 'false negative'}; lesions hit "
        f"{hits} of {len(measured.lesions)}, share of the evidence inside lesions "
        f"{measured.energy_inside:.2f}, best intersection over union {measured.best_iou:.2f}."
    )
    content = _segmented_picture(one, found.threshold).thumbnail_webp(width=WIDTH, quality=80)
    return PageFigure(
        caption=caption,
        content=content,
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
    caption = "Where the evidence of false positives lies."
    return (
        PageSection(
            title="Where false evidence lies",
            paragraphs=(_evidence_words(found),),
            figures=(
                PageFigure(caption=caption, content=pictures["false_evidence"].svg,
                           alternative=caption, wide=True),
            ),
            tables=(
                PageTable(
                    caption="Places, most frequent first",
                    columns=("Place", "Highest evidence there", "Share of scans (interval)",
                             "Share of the evidence (interval)", "Share of the image"),
                    rows=tuple(
                        (row.name, f"{row.scans}/{row.of}", row.highest.text(),
                         row.evidence.text(), f"{row.area:.3f}")
                        for row in found.false_positives
                    ),
                    numeric=(1, 2, 3, 4),
                ),
            ),
        ),
    )  # fmt: skip


def _evidence_words(found: SaliencyEvaluation) -> str:
    """What the table of false evidence rests on."""
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
    found: Evaluation, pictures: Mapping[str, MappedScan]
) -> tuple[PageSection, ...]:
    """A gallery of the worst failures: pictures of the most certain wrong calls.

    They are drawn anew, at the evaluation's operating point: the pictures of `bonescint classify`
    show the call and the colours of the model's own one.

    Args:
        found: the evaluation.
        pictures: scans that can be drawn.
    """
    figures = []
    threshold = found.judgement.point.threshold
    part = found.part
    rows = [
        (case, probability)
        for case, probability in zip(part.cases, part.probabilities.tolist(), strict=True)
        if case.scan_id in pictures
    ]
    false_positives = [row for row in rows if not row[0].positive and row[1] >= threshold]
    false_negatives = [row for row in rows if row[0].positive and row[1] < threshold]
    false_positives.sort(key=lambda row: -row[1])
    false_negatives.sort(key=lambda row: row[1])
    for word, group in (("False positive", false_positives), ("False negative", false_negatives)):
        drawn = drawn_calls(found.joined.manifest, group, pictures, threshold)
        for case, probability, content in islice(drawn, _MOST_FAILURES):
            caption = f"{word}: {case.scan_id}, probability {probability:.3f}"
            figures.append(PageFigure(caption=caption, content=content, alternative=caption,
                                      media_type="image/webp"))  # fmt: skip
    if not figures:
        return ()
    return (
        PageSection(
            title="Failures",
            paragraphs=(
                f"The most confident wrong calls, at most {_MOST_FAILURES} of each kind (of "
                f"{len(false_positives)} false positives and {len(false_negatives)} false "
                "negatives that have a map and name a file). The evidence reaches the top of its "
                f"scale at this evaluation's operating point. {PANELS}",
            ),
            figures=tuple(figures),
        ),
    )
