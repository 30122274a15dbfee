"""The section of an evaluation's page on found foci and the Bone Scan Index."""

from __future__ import annotations

from collections.abc import Mapping

from bonescint.evaluate.figures import agreement_figure, free_response_figure, hit_rate_figure
from bonescint.evaluate.lesions import FALSE_FOCI, hit_groups
from bonescint.experiment.evaluation.lesion_result import LesionEvaluation
from bonescint.experiment.evaluation.results import EvaluationResult
from bonescint.experiment.report.model_report import measures_page_table
from bonescint.plotting import RenderedFigure
from bonescint.report.document_page import PageFigure, PageSection, PageTable

_SHOWN_RATE = 1.0
_MOST_LEFT_OUT = 20


def lesion_figures(found: LesionEvaluation) -> dict[str, RenderedFigure]:
    """Every figure, by the name of its file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    drawn = {"focus_free_response": free_response_figure(found.curve, found.bands[0].measures)}
    groups = hit_groups(found.bands, FALSE_FOCI.index(_SHOWN_RATE))
    if groups:
        drawn["focus_sensitivity"] = hit_rate_figure((("Contrast-to-noise ratio", groups),))
    if found.agreement:
        drawn["bone_scan_index"] = agreement_figure(
            found.pairs, found.agreement, quantity="per cent"
        )
    return drawn


def lesion_section(
    result: EvaluationResult, pictures: Mapping[str, RenderedFigure]
) -> tuple[PageSection, ...]:
    """The section of the page; none without quantified scans.

    Args:
        result: result of the evaluation.
        pictures: as `lesion_figures` gives them.
    """
    found = result.lesions
    if found is None:
        return ()
    captions = {
        "focus_free_response": "Free-response ROC curve (FROC): sensitivity for metastases against "
        "false foci per scan, as the threshold on the probability is lowered. Bars are intervals "
        "from resampling patients.",
        "focus_sensitivity": f"Sensitivity for metastases at {_SHOWN_RATE:g} false focus per scan, "
        "by contrast-to-noise ratio.",
        "bone_scan_index": "Bone Scan Index against its reference, with the intervals of the index "
        "(left); Bland-Altman plot with the mean difference and the limits of agreement (right).",
    }
    figures = tuple(
        PageFigure(caption=caption, content=pictures[name].svg, wide=name == "bone_scan_index")
        for name, caption in captions.items()
        if name in pictures
    )
    tables = [_sensitivity(found), measures_page_table("Foci", found.measures)]
    if found.agreement:
        caption = f"Bone Scan Index of {len(found.pairs)} scans, per cent of the skeleton's mass"
        tables.append(measures_page_table(caption, found.agreement))
    notes = list(found.notes)
    if found.left_out:
        shown = "; ".join(found.left_out[:_MOST_LEFT_OUT])
        more = len(found.left_out) - _MOST_LEFT_OUT
        notes.append(
            f"{len(found.left_out)} scans could not be evaluated: {shown}"
            + (f"; and {more} more." if more > 0 else ".")
        )
    with_disease = sum(any(one.malignant for one in scan.lesions) for scan in found.scans)
    return (
        PageSection(
            title="Foci and Bone Scan Index",
            paragraphs=(
                f"{found.foci} foci were found in {len(found.scans)} scans; {with_disease} of the "
                f"scans have {found.metastases} metastases in all. A focus finds the metastasis on "
                "which its maximum lies, or else the nearest within "
                f"{found.tolerance_mm:g} mm, and every metastasis whose centre its outline "
                "encloses. A focus that finds none is false, also if it lies on a benign lesion.",
                f"The reference of the Bone Scan Index is {found.reference}. Errors of the "
                "registration and of the depth, which cannot be seen on a planar scan, are "
                "therefore not measured."
                if found.agreement
                else "Fewer than three scans have a Bone Scan Index and a reference.",
            ),
            warnings=tuple(notes),
            figures=figures,
            tables=tuple(tables),
        ),
    )


def _sensitivity(found: LesionEvaluation) -> PageTable:
    return PageTable(
        caption="Sensitivity for metastases by contrast-to-noise ratio, at 0.5 to 4 false foci per "
        "scan",
        columns=("Contrast-to-noise", "Metastases", *(f"{rate:g}" for rate in FALSE_FOCI)),
        rows=tuple(
            (band.name, str(band.lesions), *(one.estimate.text(2) for one in band.measures))
            for band in found.bands
        ),
        numeric=tuple(range(1, 2 + len(FALSE_FOCI))),
    )
