"""What a learner answers, and the feedback: what every spot was, and which marks were right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bonescint.scan import Focus, FocusKind, ParameterError, SiteGroup, UptakeSite, View
from bonescint.scan.checked import check_number
from bonescint.scan.lesions import lesions_by_description, lesions_by_place
from bonescint.schema import construct, plain
from bonescint.study.export.measures import ASSUMED_SPACING_MM, RADIUS_MM, CaseScorer
from bonescint.teach.cases import VISIBLE_CONTRAST_TO_NOISE, SpotArea, TeachingCase

_MOST_MARKS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotMark:
    """A place that a learner points at.

    Attributes:
        view: the view.
        row: in pixels of the view, 0 at the head.
        column: in pixels of the view as seen from its own side.
        confidence: 0 to 100, how sure the learner is of what is said.
        name: what the learner says it is; a metastasis if `None`.

    Raises:
        ParameterError: a confidence outside 0 to 100, or a place that is not finite.
    """

    view: View
    row: float
    column: float
    confidence: float
    name: UptakeSite | None = None

    def __post_init__(self) -> None:
        check_number(self, "row", -0.5, 1e5)
        check_number(self, "column", -0.5, 1e5)
        check_number(self, "confidence", 0, 100)

    @property
    def disease(self) -> bool:
        """Whether it says that this is a metastasis; else it names something benign."""
        return self.name is None or self.name.group is SiteGroup.METASTASIS


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseAnswer:
    """The answer to one case; never changed once given.

    Attributes:
        positive: whether the learner says that there is metastatic bone disease.
        confidence: 0 to 100, that there is, as in the reader study.
        marks: places of disease, and what else was named.
        seconds: from the display of the case to the answer.

    Raises:
        ParameterError: a number outside its range.

    Examples:
        >>> answer = CaseAnswer(positive=False, confidence=20, seconds=31.5)
        >>> CaseAnswer.from_json(answer.to_json()) == answer
        True
    """

    positive: bool
    confidence: float
    marks: tuple[SpotMark, ...] = ()
    seconds: float = 0.0

    def __post_init__(self) -> None:
        check_number(self, "confidence", 0, 100)
        check_number(self, "seconds", 0, 1e6)
        if len(self.marks) > _MOST_MARKS:
            requirement = f"at most {_MOST_MARKS} marks"
            raise ParameterError("marks", "CaseAnswer", requirement, len(self.marks))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return dict(plain(self))

    @classmethod
    def from_json(cls, content: object) -> CaseAnswer:
        """From JSON.

        Raises:
            InputError: an unknown key, a missing one or an impossible value.
        """
        return construct(cls, content, "the answer", "Send it again")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotPlace:
    """Where a spot is in one view.

    Attributes:
        view: the view.
        row: row of its centre.
        column: column of its centre.
        radius_px: radius of a circle of the same area, in rows.
        area: its pixels; `None` where only its centre is known.
    """

    view: View
    row: float
    column: float
    radius_px: float
    area: SpotArea | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One metastasis, mimic or hot organ of a case, and whether the learner pointed at it.

    Attributes:
        kind: metastasis, mimic or organ.
        site: what it is.
        bone: the coarse region; empty outside bone or where nobody said.
        region: bone or organ, as the simulator names it.
        places: once for each view that shows it.
        contrast_to_noise: in the view that shows it better; `None` if unknown.
        visible: whether it can be seen in a view (`VISIBLE_CONTRAST_TO_NOISE`); true if unknown.
        marked: highest confidence of the marks that call it a metastasis; `None` without any.
        named: what the learner named it otherwise.
    """

    kind: FocusKind
    site: UptakeSite
    bone: str
    region: str
    places: tuple[SpotPlace, ...]
    contrast_to_noise: float | None = None
    visible: bool = True
    marked: float | None = None
    named: UptakeSite | None = None

    @property
    def missed(self) -> bool:
        """Whether it is a metastasis that can be seen and was not marked."""
        return self.kind is FocusKind.METASTASIS and self.visible and self.marked is None

    @property
    def mistaken(self) -> bool:
        """Whether it is none and was marked as one."""
        return self.kind is not FocusKind.METASTASIS and self.marked is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedMark:
    """A mark and what became of it.

    Attributes:
        mark: as it was placed.
        right: whether a metastasis is where one was said to be, or a benign spot has this name.
        spot: index in `Feedback.spots` of what it points at; `None` where nothing is.
        distance_mm: to that spot, 0 inside it; `None` where nothing is.
    """

    mark: SpotMark
    right: bool
    spot: int | None = None
    distance_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a learner is told after the answer.

    Attributes:
        case_id: name of the case.
        positive: whether there is metastatic bone disease.
        answer: what the learner said.
        marks: each mark of the answer, in its order.
        spots: all that is known of the scan, metastases first.
        hit_radius_mm: within which a mark belongs to a spot.
        simulated: whether the patient is synthetic.
    """

    case_id: str
    positive: bool
    answer: CaseAnswer
    marks: tuple[GradedMark, ...]
    spots: tuple[Spot, ...]
    hit_radius_mm: float
    simulated: bool

    @property
    def right(self) -> bool:
        """Whether yes or no was right; the places are judged on their own."""
        return self.answer.positive == self.positive

    @property
    def missed(self) -> tuple[int, ...]:
        """Indices of the visible metastases that were not marked."""
        return tuple(number for number, spot in enumerate(self.spots) if spot.missed)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, for a page; with what follows from the rest."""
        return {**plain(self), "right": self.right, "missed": list(self.missed)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Feedback:
        """From JSON.

        Raises:
            InputError: an unknown key, a missing one or an impossible value.
        """
        kept = {name: value for name, value in content.items() if name not in ("right", "missed")}
        return construct(cls, kept, "the feedback", "Answer the case again")


def grade(case: TeachingCase, answer: CaseAnswer, *, radius_mm: float = RADIUS_MM) -> Feedback:
    """Compare an answer with the truth.

    A mark of disease is judged as in the reader study (`CaseScorer`): it hits a metastasis whose
    mask lies within the radius. Any other mark belongs to a metastasis only if no other spot is as
    near; it, and a mark of disease that hits none, belongs to the nearest other spot whose pixels
    lie within the radius, the smaller one of two.

    Args:
        case: the case.
        answer: what the learner said.
        radius_mm: within which a mark belongs to a spot.

    Raises:
        ParameterError: a mark outside the scan.
    """
    for mark in answer.marks:
        rows, columns = case.scan.shape
        inside = mark.row <= rows - 0.5 and mark.column <= columns - 0.5
        if not inside or mark.view not in case.scan.views:
            raise ParameterError("marks", "grade", "inside the scan", (mark.row, mark.column))
    judge = _Judge(case, radius_mm)
    marks = tuple(judge.graded(mark) for mark in answer.marks)
    spots = [_with_marks(number, spot, marks) for number, spot in enumerate(judge.spots)]
    return Feedback(
        case_id=case.case_id,
        positive=case.truth.positive,
        answer=answer,
        marks=marks,
        spots=tuple(spots),
        hit_radius_mm=radius_mm,
        simulated=case.truth.simulated,
    )


class _Judge:
    """Finds what a mark points at."""

    def __init__(self, case: TeachingCase, radius_mm: float) -> None:
        spacing = case.scan.pixel_spacing_mm or (ASSUMED_SPACING_MM, ASSUMED_SPACING_MM)
        _, columns = case.scan.shape
        self._spacing, self._radius = spacing, radius_mm
        self._scorer = CaseScorer(case.truth, spacing, columns=columns, radius_mm=radius_mm)
        foci = list(enumerate(case.truth.foci))
        disease = [pair for pair in foci if pair[1].kind is FocusKind.METASTASIS]
        others = [pair for pair in foci if pair[1].kind is not FocusKind.METASTASIS]
        lesions = lesions_by_place([f for _, f in disease], spacing, columns=columns)
        self.spots = _spots(case, spacing, disease, lesions)
        self._lesion = {number: place for place, number in enumerate(sorted(set(lesions)))}
        self._first_other = len(self.spots)
        self.spots += _spots(case, spacing, others, lesions_by_description([f for _, f in others]))

    def graded(self, mark: SpotMark) -> GradedMark:
        score = self._scorer.score(mark.view, mark.row, mark.column)
        other = self._other(mark)
        nearest = other is None or (score.distance_mm is not None and score.distance_mm < other[0])
        if score.hit and (mark.disease or nearest):
            # A mask alone does not say which metastasis it is.
            spot = None if score.lesion is None else self._lesion[score.lesion]
            return GradedMark(
                mark=mark, right=mark.disease, spot=spot, distance_mm=score.distance_mm
            )
        if other is None:
            return GradedMark(mark=mark, right=False)
        distance, number = other
        right = not mark.disease and self.spots[number].site is mark.name
        return GradedMark(mark=mark, right=right, spot=number, distance_mm=distance)

    def _other(self, mark: SpotMark) -> tuple[float, int] | None:
        """Distance and number of the spot without disease that a mark belongs to."""
        found = []
        for number in range(self._first_other, len(self.spots)):
            for place in self.spots[number].places:
                if place.view is mark.view:
                    distance = self._distance_mm(place, mark)
                    if distance <= self._radius:
                        hidden = not self.spots[number].visible
                        found.append((hidden, distance, place.radius_px, number))
        if not found:
            return None
        named = [one for one in found if self.spots[one[3]].site is mark.name]
        _, distance, _, number = min(named or found)
        return round(distance, 2), number

    def _distance_mm(self, place: SpotPlace, mark: SpotMark) -> float:
        down, across = self._spacing
        if place.area is None:
            return float(
                np.hypot((place.row - mark.row) * down, (place.column - mark.column) * across)
            )
        rows, columns = np.nonzero(place.area.mask())
        distances = np.hypot(
            (rows + place.area.top - round(mark.row)) * down,
            (columns + place.area.left - round(mark.column)) * across,
        )
        return float(distances.min())


def _spots(
    case: TeachingCase,
    spacing_mm: tuple[float, float],
    foci: Iterable[tuple[int, Focus]],
    numbers: list[int],
) -> list[Spot]:
    """One spot for each number, in the order of the numbers."""
    members: dict[int, list[tuple[int, Focus]]] = {}
    for number, pair in zip(numbers, foci, strict=True):
        members.setdefault(number, []).append(pair)
    return [_spot(case, spacing_mm, members[number]) for number in sorted(members)]


def _spot(
    case: TeachingCase, spacing_mm: tuple[float, float], members: list[tuple[int, Focus]]
) -> Spot:
    number, first = members[0]
    ratios = [f.contrast_to_noise for _, f in members if f.contrast_to_noise is not None]
    best = max(ratios, default=None)
    site = UptakeSite.named(first.cause)
    if first.kind is FocusKind.METASTASIS and site.group is not SiteGroup.METASTASIS:
        site = UptakeSite.METASTASIS  # a physician's mask
    return Spot(
        kind=first.kind,
        site=site,
        bone=case.bones[number],
        region=first.region,
        places=tuple(_place(case.areas[n], f, spacing_mm) for n, f in members),
        contrast_to_noise=best,
        visible=best is None or best >= VISIBLE_CONTRAST_TO_NOISE,
    )


def _place(area: SpotArea | None, focus: Focus, spacing_mm: tuple[float, float]) -> SpotPlace:
    radius = (focus.radius_mm or RADIUS_MM) / spacing_mm[0]
    if area is not None:
        radius = float(np.sqrt(area.mask().sum() * spacing_mm[1] / spacing_mm[0] / np.pi))
    return SpotPlace(
        view=focus.view, row=focus.row, column=focus.column, radius_px=radius, area=area
    )


def _with_marks(number: int, spot: Spot, marks: Iterable[GradedMark]) -> Spot:
    mine = [one.mark for one in marks if one.spot == number]
    if not mine:
        return spot
    named = [mark.name for mark in mine if not mark.disease]
    return replace(
        spot,
        marked=max((mark.confidence for mark in mine if mark.disease), default=None),
        named=named[-1] if named else None,
    )
