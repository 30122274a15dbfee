"""Found foci and the Bone Scan Index against the truth, as a section of an evaluation's page."""

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
        "focus_free_response": "Free response: share of metastases found against false foci per "
        "scan, as the probability from which a focus counts is lowered. Bars are intervals over "
        "patients.",
        "focus_sensitivity": f"Metastases found at {_SHOWN_RATE:g} false focus per scan, by "
        "contrast-to-noise ratio.",
        "bone_scan_index": "Bone Scan Index and its reference, with the intervals of the index; "
        "and the difference against the mean, with its own mean and the limits of agreement.",
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
            f"{len(found.left_out)} evaluated scans could not be judged: {shown}"
            + (f"; and {more} more." if more > 0 else ".")
        )
    with_disease = sum(any(one.malignant for one in scan.lesions) for scan in found.scans)
    return (
        PageSection(
            title="Foci and Bone Scan Index",
            paragraphs=(
                f"{found.foci} found foci of {len(found.scans)} scans, {with_disease} of them with "
                f"{found.metastases} metastases together. A focus finds the metastasis on which "
                f"its maximum lies, or within {found.tolerance_mm:g} mm, and those whose centre "
                "its outline encloses; a focus that finds none is false, also one on a benign "
                "lesion.",
                f"The reference of the Bone Scan Index is {found.reference}: errors of the "
                "registration and the depth that a planar scan hides do not show."
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
        caption="Metastases found, by contrast-to-noise ratio, at so many false foci per scan",
        columns=("Contrast-to-noise", "Metastases", *(f"{rate:g}" for rate in FALSE_FOCI)),
        rows=tuple(
            (band.name, str(band.lesions), *(one.estimate.text(2) for one in band.measures))
            for band in found.bands
        ),
        numeric=tuple(range(1, 2 + len(FALSE_FOCI))),
    )
