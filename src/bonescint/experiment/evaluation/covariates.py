"""What is known of the cases beside their scans, from manifest, truth files and masks.

It gives the factors of subgroups, the variables of the control without images, and the organs and
benign findings that false evidence may lie on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest, truth_of
from bonescint.cohort.truth import opened_truth
from bonescint.evaluate import ClinicalFacts, Factor
from bonescint.evaluate.false_evidence import ELSEWHERE, OUTSIDE, ZONES, UptakeArea
from bonescint.files import json_in
from bonescint.scan import Case, FocusKind, InputError, SiteGroup, UptakeSite, View

_LARGEST_MM = 60.0
"""The largest radius of a place: that of Paget's disease spans the whole bone."""

PLACE_NAMES: tuple[str, ...] = (
    *(group.value for group in SiteGroup if group is not SiteGroup.METASTASIS),
    *(name for name, _ in ZONES),
    ELSEWHERE,
    OUTSIDE,
)
PLACE_NAMES_ALONE: tuple[str, ...] = tuple(
    name.removeprefix("elsewhere in ") for name in PLACE_NAMES
)
"""The same for scans whose organs and mimics are not known, where "elsewhere" has no meaning."""
_AGES = (50.0, 65.0, 75.0)
_LESIONS = (2.0, 5.0, 20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseCovariates:
    """What truth files, masks and results files say about a case.

    Attributes:
        lesions: number of metastases, each counted once for both views; for a physician's masks,
            the pieces in the view that has more; `None` if unknown.
        contrast: highest contrast of a metastasis, or `None`.
        counts: total counts of the posterior view, or `None`.
    """

    lesions: int | None = None
    contrast: float | None = None
    counts: float | None = None


def covariates_of(
    cases: Iterable[Case], manifest: Manifest, counts: Mapping[str, float] | None = None
) -> tuple[CaseCovariates, ...]:
    """Read what the truth files or masks of cases say.

    Args:
        cases: cases of the manifest.
        manifest: that says where truth files and masks lie.
        counts: counts of the posterior view by scan, for cases whose truth does not say.

    Raises:
        InputError: truth files or masks that cannot be read, the first one named.
        MissingExtraError: a NIfTI mask, and nibabel is not installed.
    """
    known = counts or {}
    return tuple(_of_case(case, manifest, known.get(case.scan_id)) for case in cases)


def _of_case(case: Case, manifest: Manifest, counts: float | None) -> CaseCovariates:
    if not case.truth:
        return CaseCovariates(lesions=_pieces(manifest, case), counts=counts)
    folder = manifest.folder
    content = truth_content(folder / case.truth)
    try:
        metastases = {
            (focus["region"], focus["radius_mm"], focus["contrast"])
            for focus in content["foci"]
            if focus["kind"] == "metastasis"
        }
        simulated = content.get("parameters", {}).get("counts")
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"not a readable truth file ({type(error).__name__})"
        raise InputError(folder / case.truth, problem, "Make it again") from error
    contrasts = [contrast for _, _, contrast in metastases if contrast is not None]
    return CaseCovariates(
        lesions=len(metastases),
        contrast=max(contrasts) if contrasts else None,
        counts=counts if simulated is None else float(simulated),
    )


def _pieces(manifest: Manifest, case: Case) -> int | None:
    """The fewest lesions that a physician's masks can show: pieces of two views are not paired."""
    truth = truth_of(manifest, case) if case.positive else None
    if truth is None:
        return None
    return max(Counter(focus.view for focus in truth.foci).values(), default=0)


def truth_content(path: Path) -> dict[str, Any]:
    """The JSON of a truth file, without its masks: a hundred times faster.

    Raises:
        InputError: missing or damaged.
    """
    with opened_truth(path) as archive:
        content = json_in(str(archive["json"]))
    if not isinstance(content, dict):
        raise InputError(path, "not a readable truth file (no table)", "Make it again")
    return content


def clinical_facts(cases: Sequence[Case]) -> ClinicalFacts:
    """Age, sex and primary tumour, as the manifest gives them."""
    return ClinicalFacts(
        age=np.array([math.nan if case.age is None else case.age for case in cases]),
        sex=tuple(case.sex for case in cases),
        primary=tuple(case.primary for case in cases),
    )


def factors_of(cases: Sequence[Case], facts: Sequence[CaseCovariates]) -> tuple[Factor, ...]:
    """Factors that divide cases into subgroups; those with fewer than two levels are left out.

    Ages are cut at 50, 65 and 75 years, lesions at 2, 5 and 20, contrast and counts at the
    thirds of these cases.
    """
    positive = np.array([case.positive for case in cases])
    ages = np.array([math.nan if case.age is None else case.age for case in cases])
    lesions = np.where(positive, _numbers([one.lesions for one in facts]), np.nan)
    contrast = np.where(positive, _numbers([one.contrast for one in facts]), np.nan)
    counts = _numbers([one.counts for one in facts]) / 1e3
    found = [
        Factor.of_names("Centre", [case.centre for case in cases]),
        Factor.of_names("Sex", [case.sex for case in cases]),
        Factor.of_numbers("Age, years", ages, _AGES),
        Factor.of_names("Primary tumour", [case.primary or "none" for case in cases]),
        Factor.of_numbers("Lesions", lesions, _LESIONS, positives_only=True),
    ]
    for name, values, digits, of_positives in (
        ("Highest contrast of a lesion", contrast, 1, True),
        ("Counts of the posterior view, thousands", counts, 0, False),
    ):
        edges = _thirds(values, digits)
        if edges:
            found.append(
                Factor.of_numbers(name, values, edges, positives_only=of_positives, digits=digits)
            )
    return tuple(factor for factor in found if len(factor.levels) > 1)


def _numbers(values: Iterable[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _thirds(values: NDArray[np.float64], digits: int) -> list[float]:
    known = values[np.isfinite(values)]
    if known.size < 3:
        return []
    return sorted({round(float(edge), digits) for edge in np.percentile(known, [100 / 3, 200 / 3])})


def places_of(content: Mapping[str, Any]) -> dict[View, list[UptakeArea]]:
    """Mimics and organs of a simulated scan, in pixels of each view.

    A cause that is no site of this release counts as "other".

    Args:
        content: content of a truth file.

    Raises:
        KeyError: a truth file without what the simulator writes.
    """
    found: dict[View, list[UptakeArea]] = {view: [] for view in View}
    for focus in content["foci"]:
        if focus["kind"] == FocusKind.METASTASIS.value:
            continue
        found[View(focus["view"])].append(
            UptakeArea(
                name=UptakeSite.named(focus["cause"]).group.value,
                row=focus["row"],
                column=focus["column"],
                radius_mm=min(focus["radius_mm"] or 0.0, _LARGEST_MM),
            )
        )
    return found


def known_places(manifest: Manifest, case: Case) -> dict[View, list[UptakeArea]] | None:
    """Organs and mimics of each view, or `None` if no truth file names them.

    Args:
        manifest: that says where truth files lie.
        case: one of its cases.

    Raises:
        InputError: a truth file that cannot be read.
    """
    if not case.truth:
        return None
    content = truth_content(manifest.folder / case.truth)
    try:
        return places_of(content)
    except (KeyError, TypeError, ValueError):  # not the simulator's: it lists lesions at most
        return None
