"""Foci of uptake: candidates of both views, matched, and classified by a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from bonescint.quantify.bone_atlas import BoneAtlas, Floats
from bonescint.quantify.candidates import (
    FocusInView,
    ViewUptake,
    candidates_of_view,
    risen_candidate,
    view_uptake,
)
from bonescint.quantify.focus_network import (
    USUAL,
    FocusInputs,
    clearest,
    focus_inputs,
    focus_network,
    shift_between_views,
)
from bonescint.quantify.laid_atlas import laid_atlas
from bonescint.quantify.regions import BodyRegions
from bonescint.scan import Focus, Prediction, Scan, View
from bonescint.scan.lesions import lesions_by_place

LEAST_PROBABILITY = 0.02
"""Candidates that are most probably usual uptake are left out below this probability of a
metastasis."""
_ROWS_WEIGH = 1.5
"""Weight of distances along the rows' axis: both detectors show a focus at the same height."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchedFocus:
    """A focus as one view shows it, or as both do.

    Attributes:
        number: from 1, the most probable first; foci that only a prior scan shows to be new follow.
        in_views: the focus in each view that shows it.
        volume_ratio: if it is a metastasis, its volume divided by that of the bone in its outlines.
    """

    number: int
    in_views: tuple[FocusInView, ...]
    volume_ratio: float = 1.0

    @property
    def probability(self) -> float:
        """Probability of being a metastasis."""
        return max(focus.probability for focus in self.in_views)

    @property
    def finding_probabilities(self) -> Mapping[str, float]:
        """Probability of each finding, metastasis included, the most probable first."""
        return self.in_views[0].finding_probabilities

    @property
    def clearest(self) -> FocusInView:
        """The focus that stands out most."""
        return clearest(self.in_views)

    @property
    def bone(self) -> str:
        """The bone of the clearest focus."""
        return self.clearest.bone

    @property
    def region(self) -> str:
        """The region of that bone."""
        return self.clearest.region


class NamedCandidates(NamedTuple):
    """The candidates of one scan, the most probable metastasis first.

    Attributes:
        foci: those that are foci.
        usual: those that most probably are usual uptake.
    """

    foci: tuple[MatchedFocus, ...]
    usual: tuple[MatchedFocus, ...]


class RisenInView(NamedTuple):
    """Where uptake has risen in one view since a prior scan.

    Attributes:
        places: rows and columns of the maxima.
        had: (rows, columns), what the prior scan predicts for each pixel.
        added: (rows, columns), what the present scan has beyond it.
    """

    places: Sequence[tuple[int, int]]
    had: Floats
    added: Floats


class Candidates(NamedTuple):
    """Candidates of one scan, each in the views that show it, and the network's input for them."""

    groups: tuple[tuple[FocusInView, ...], ...]
    inputs: FocusInputs


def matched_candidates(
    scan: Scan, prediction: Prediction, body: BodyRegions, atlas: BoneAtlas | None = None
) -> Candidates:
    """Find candidates in both views, and match those that both views show.

    Args:
        scan: with counts, or pixels that increase with them.
        prediction: of the same scan, with the maps of a network that classifies cells.
        body: bones of the same scan.
        atlas: the one of bonescint if `None`.
    """
    uptakes = _uptakes(scan, prediction, body)
    found = [
        focus
        for view, image in scan.images()
        for focus in candidates_of_view(scan, view, image, uptakes[view], body)
    ]
    return _joined(found, scan, prediction, body, uptakes, atlas)


@lru_cache(maxsize=2)  # a comparison needs again what quantify_scan had
def _uptakes(scan: Scan, prediction: Prediction, body: BodyRegions) -> Mapping[View, ViewUptake]:
    return {
        view: view_uptake(scan, view, image, prediction.activation_map(view), body)
        for view, image in scan.images()
    }


def _joined(
    found: Sequence[FocusInView],
    scan: Scan,
    prediction: Prediction,
    body: BodyRegions,
    uptakes: Mapping[View, ViewUptake],
    atlas: BoneAtlas | None,
) -> Candidates:
    """Match the candidates that both views show."""
    shift = shift_between_views(body)
    places = [
        Focus(
            view=focus.view,
            row=focus.row,
            column=focus.column + (shift if focus.view is View.POSTERIOR else 0.0),
        )
        for focus in found
    ]
    down, across = body.registration.pixel_mm
    numbers = lesions_by_place(places, (_ROWS_WEIGH * down, across), columns=scan.shape[1])
    joined: dict[int, list[FocusInView]] = {}
    for number, focus in zip(numbers, found, strict=True):
        joined.setdefault(number, []).append(focus)
    groups = tuple(tuple(group) for group in joined.values())
    laid = laid_atlas(body, scan.shape, atlas)
    inputs = focus_inputs(scan, prediction, body, uptakes, groups, laid)
    return Candidates(groups, inputs)


def risen_candidates(
    scan: Scan,
    prediction: Prediction,
    body: BodyRegions,
    risen: Mapping[View, RisenInView],
    atlas: BoneAtlas | None = None,
) -> tuple[MatchedFocus, ...]:
    """Candidates where uptake has risen since a prior scan, matched between views and classified.

    Args:
        scan: the present scan.
        prediction: of the same scan.
        body: bones of the same scan.
        risen: where uptake has risen in each view.
        atlas: the one of bonescint if `None`.
    """
    uptakes = _uptakes(scan, prediction, body)
    found = [
        risen_candidate(scan, view, uptakes[view], body, place, of.had, of.added)
        for view, of in risen.items()
        for place in of.places
        if uptakes[view].bones[place] and of.added[place] > 0  # else it has no outline
    ]
    if not found:
        return ()
    foci, usual = _named(_joined(found, scan, prediction, body, uptakes, atlas))
    return (*foci, *usual)


def matched_foci(
    scan: Scan, prediction: Prediction, body: BodyRegions, atlas: BoneAtlas | None = None
) -> tuple[MatchedFocus, ...]:
    """Find foci in both views, match those that both views show, and classify each.

    Args:
        scan: with counts, or pixels that increase with them.
        prediction: of the same scan, with the maps of a network that classifies cells.
        body: bones of the same scan.
        atlas: the one of bonescint if `None`.

    Returns:
        Foci, the most probable metastasis first.
    """
    return named_candidates(scan, prediction, body, atlas).foci


def named_candidates(
    scan: Scan, prediction: Prediction, body: BodyRegions, atlas: BoneAtlas | None = None
) -> NamedCandidates:
    """As `matched_foci`, with the candidates that are no foci.

    Args:
        scan: with counts, or pixels that increase with them.
        prediction: of the same scan, with the maps of a network that classifies cells.
        body: bones of the same scan.
        atlas: the one of bonescint if `None`.
    """
    return _named(matched_candidates(scan, prediction, body, atlas))


def _named(candidates: Candidates) -> NamedCandidates:
    """Classify candidates."""
    groups, inputs = candidates
    answers = focus_network().run(inputs)
    usual = answers.findings.index(USUAL)
    probable = answers.probabilities
    is_usual = (probable[:, 0] < LEAST_PROBABILITY) & (probable.argmax(axis=1) == usual)
    order = sorted(
        range(len(groups)),
        key=lambda n: (is_usual[n], -probable[n, 0], -clearest(groups[n]).contrast),
    )
    found = []
    for number, n in enumerate(order, start=1):
        said = probable[n]
        named = {answers.findings[m]: float(said[m]) for m in (-said).argsort(kind="stable")}
        shown = tuple(
            replace(one, probability=float(said[0]), finding_probabilities=named)
            for one in groups[n]
        )
        ratio = float(answers.volume_ratios[n])
        found.append(MatchedFocus(number=number, in_views=shown, volume_ratio=ratio))
    foci = len(groups) - int(is_usual.sum())
    return NamedCandidates(tuple(found[:foci]), tuple(found[foci:]))
