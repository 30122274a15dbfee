"""What a network may take for disease in a simulated scan: organs and mimics, by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bonescint.cohort import Manifest
from bonescint.evaluate.false_evidence import ELSEWHERE, OUTSIDE, ZONES, Place
from bonescint.experiment.evaluation.covariates import truth_content
from bonescint.scan import Case, FocusKind, SiteGroup, UptakeSite, View

_LARGEST_MM = 60.0
"""No place reaches further: Paget's disease has a radius that takes the whole bone."""

PLACE_NAMES: tuple[str, ...] = (
    *(group.value for group in SiteGroup if group is not SiteGroup.METASTASIS),
    *(name for name, _ in ZONES),
    ELSEWHERE,
    OUTSIDE,
)
PLACE_NAMES_ALONE: tuple[str, ...] = tuple(
    name.removeprefix("elsewhere in ") for name in PLACE_NAMES
)
"""The same for scans of which no organ or mimic is known: nothing is elsewhere then."""


def places_of(content: Mapping[str, Any]) -> dict[View, list[Place]]:
    """Mimics and organs of a simulated scan, in pixels of each view.

    A cause that is no site of this release counts as "other".

    Args:
        content: of a truth file.

    Raises:
        KeyError: a truth file without what the simulator writes.
    """
    found: dict[View, list[Place]] = {view: [] for view in View}
    for focus in content["foci"]:
        if focus["kind"] == FocusKind.METASTASIS.value:
            continue
        found[View(focus["view"])].append(
            Place(
                name=UptakeSite.named(focus["cause"]).group.value,
                row=focus["row"],
                column=focus["column"],
                radius_mm=min(focus["radius_mm"] or 0.0, _LARGEST_MM),
            )
        )
    return found


def known_places(manifest: Manifest, case: Case) -> dict[View, list[Place]] | None:
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
