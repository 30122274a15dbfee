"""What comes next: as hard as the learner can just do, and what was missed comes back.

Kinds of finding, and metastases by bone and by appearance, are the cards of a spaced repetition
(FSRS, by the library `fsrs`). A kind that is due is shown in a new patient, never in the same
picture. A course sets what may be drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bonescint.extras import load
from bonescint.scan import UptakeSite
from bonescint.teach.appearances import Appearance
from bonescint.teach.cases import CaseSpec
from bonescint.teach.courses import ContrastRange, Course
from bonescint.teach.outcomes import Outcome
from bonescint.teach.records import AnsweredCase
from bonescint.teach.staircase import FoundFrom, Staircase

if TYPE_CHECKING:
    from fsrs import Card

METASTASES_IN = "metastases in the "
"""Begins the name of the card of a bone."""

_FEW_LESIONS = 6
"""In a case with more metastases nobody marks each: such cases leave the staircases alone."""
_MOST_DUE = 3
"""Most kinds in one case that come because they are due."""
_MISSED = 0.5
"""Share of the cases with disease that show what was missed and is due. Assumed."""
_KNOWN_SHARE = 0.05
"""A kind that is known and not due comes so much less often than its course says. Assumed."""
_LOOKED_AT = 10
"""Number of the last cases that say how many other mimics a learner can bear."""
_GIVEN_CONTRAST = frozenset({Appearance.SOLITARY, Appearance.DISSEMINATED, Appearance.FLARE})
"""Appearances whose faintest metastasis can be set: not cold ones, and no superscan."""


@lru_cache(1)
def _bone_shares() -> Mapping[str, float]:
    """How often metastases lie in each coarse region, averaged over primary tumours."""
    from bonescint.simulate.constants import SITE_WEIGHTS
    from bonescint.simulate.seen_foci import TWELVE_REGIONS

    shares: dict[str, float] = {}
    for weights in SITE_WEIGHTS.values():
        whole = sum(weights.values())
        for group, weight in weights.items():
            bone = TWELVE_REGIONS[group]
            shares[bone] = shares.get(bone, 0.0) + weight / whole / len(SITE_WEIGHTS)
    return shares


@lru_cache(1)
def _fsrs() -> tuple[Any, Any]:
    """The library, and its scheduler without fuzzing: the same answers shall give the same cases.

    Raises:
        MissingExtraError: the library of the extra `teach` is not installed.
    """
    fsrs = load("fsrs", extra="teach")
    return fsrs, fsrs.Scheduler(enable_fuzzing=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearnerState:
    """What a tutor knows of a learner. Never changed; `after` gives another.

    Attributes:
        staircases: of each coarse region with metastases so far; under the empty name that of all.
        cards: of each kind of finding, of metastases by bone, and by appearance.
        mistakes: of each of the last cases, whether a benign spot was marked as a metastasis.
    """

    staircases: Mapping[str, Staircase] = field(default_factory=dict)
    cards: Mapping[str, Card] = field(default_factory=dict)
    mistakes: tuple[bool, ...] = ()

    @classmethod
    def of(cls, history: Iterable[AnsweredCase]) -> LearnerState:
        """From every answered case, in the order of the answers.

        Raises:
            MissingExtraError: the library of the extra `teach` is not installed.
        """
        state = cls()
        for case in history:
            state = state.after(
                case.outcome, at_s=case.answered_s, appearance=case.issued.spec.appearance
            )
        return state

    def after(
        self, outcome: Outcome, *, at_s: float, appearance: Appearance | None = None
    ) -> LearnerState:
        """What is known after one more answered case.

        Args:
            outcome: what came of it.
            at_s: when it was answered, seconds since 1970, UTC.
            appearance: how the metastases looked; `None` without any, or if unknown.

        Raises:
            MissingExtraError: the library of the extra `teach` is not installed.
        """
        staircases, cards = dict(self.staircases), dict(self.cards)
        lesions = (*outcome.lesions, *outcome.unseen)
        for lesion in lesions if len(lesions) <= _FEW_LESIONS else ():
            if lesion.contrast_to_noise is None or lesion.contrast_to_noise <= 0:
                continue
            for bone in {"", lesion.bone}:
                staircases[bone] = staircases.get(bone, Staircase()).after(
                    lesion.contrast_to_noise, found=lesion.confidence is not None
                )
        fsrs, scheduler = _fsrs()
        at = datetime.fromtimestamp(at_s, UTC)
        ratings = _ratings(outcome)
        if appearance is not None:
            ratings[str(appearance)] = _GOOD if outcome.right else _AGAIN
        for name, rating in ratings.items():
            card = cards.get(name) or fsrs.Card(card_id=len(cards) + 1, due=at)
            cards[name], _ = scheduler.review_card(card, fsrs.Rating(rating), at)
        mistaken = any(finding.mistaken for finding in outcome.findings)
        return LearnerState(
            staircases=staircases,
            cards=cards,
            mistakes=(*self.mistakes, mistaken)[-_LOOKED_AT:],
        )

    @property
    def mistaken(self) -> float:
        """Share of the last cases in which a benign spot was marked; a half before the first."""
        return sum(self.mistakes) / len(self.mistakes) if self.mistakes else 0.5

    def estimates(self) -> tuple[FoundFrom, ...]:
        """From which ratio on metastases are found: of all bones, then bone by bone."""
        return tuple(
            self.staircases[bone].estimate(bone)
            for bone in sorted(self.staircases, key=lambda bone: (bone != "", bone))
        )

    def knows(self, name: str) -> bool:
        """Whether a card has left learning: it was right as often as the repetition asks for."""
        card = self.cards.get(name)
        return card is not None and card.state == _fsrs()[0].State.Review

    def due(self, now_s: float) -> tuple[str, ...]:
        """Names of the cards that are due, the longest due first."""
        now = datetime.fromtimestamp(now_s, UTC)
        late = [(card.due, name) for name, card in self.cards.items() if card.due <= now]
        return tuple(name for _, name in sorted(late))


_AGAIN, _GOOD, _EASY = 1, 3, 4  # the ratings of FSRS


def _ratings(outcome: Outcome) -> dict[str, int]:
    """How well each kind in a case went: missed or mistaken, right, or named rightly."""
    found = {}
    for finding in outcome.findings:
        wrong = finding.mistaken or finding.named is False
        found[str(finding.site)] = _AGAIN if wrong else _EASY if finding.named else _GOOD
    if len(outcome.lesions) <= _FEW_LESIONS:
        for bone in {lesion.bone for lesion in outcome.lesions if lesion.bone}:
            missed = any(
                lesion.bone == bone and lesion.confidence is None for lesion in outcome.lesions
            )
            found[METASTASES_IN + bone] = _AGAIN if missed else _GOOD
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Tutor:
    """Chooses the cases of one course.

    Attributes:
        course: what may be drawn.
        seed: a text from which everything that is random follows, such as a secret and a name.

    Examples:
        >>> from bonescint.teach.courses import read_course
        >>> tutor = Tutor(course=read_course("solitary-lesions"), seed="s")
        >>> first = tutor.spec(0, LearnerState(), now_s=0.0)
        >>> first == tutor.spec(0, LearnerState(), now_s=0.0)
        True
    """

    course: Course
    seed: str

    def spec(self, number: int, state: LearnerState, *, now_s: float) -> CaseSpec:
        """The case at a place of the course.

        Args:
            number: its place, from 0.
            state: what is known of the learner.
            now_s: seconds since 1970, UTC, which tell what is due.
        """
        rng, course = self._generator(number), self.course
        seed = int(rng.integers(2**63 - 1))
        due = state.due(now_s)
        findings = self._findings(state, due, rng)
        others = 1.0 if not course.mimics else round(1.0 - 0.7 * state.mistaken, 2)
        if rng.random() >= course.prevalence:
            return CaseSpec(seed=seed, course=course.name, findings=findings, others=others)
        appearance = self._appearance(due, rng)
        bone, contrast = "", None
        if appearance in _GIVEN_CONTRAST and course.contrast_to_noise is not None:
            bone = self._bone(due, rng)
            contrast = _contrast(course.contrast_to_noise, state, bone)
        return CaseSpec(
            seed=seed,
            course=course.name,
            appearance=appearance,
            contrast_to_noise=contrast,
            bone=bone,
            findings=findings,
            others=others,
        )

    def fixed_specs(self, count: int) -> tuple[CaseSpec, ...]:
        """Cases that do not depend on a learner, such as those of a test.

        Contrasts are spread evenly, on a logarithmic scale, over the range of the course.
        """
        specs, within = [], self.course.contrast_to_noise
        for number in range(count):
            spec = self.spec(number, LearnerState(), now_s=0.0)
            if spec.contrast_to_noise is not None and within is not None:
                share = float(self._generator(number, "contrast").random())
                contrast = round(within.low * (within.high / within.low) ** share, 2)
                spec = replace(spec, contrast_to_noise=contrast)
            specs.append(spec)
        return tuple(specs)

    def _generator(self, *place: object) -> np.random.Generator:
        said = "/".join(map(str, (self.seed, self.course.name, *place)))
        digest = hashlib.blake2b(said.encode(), digest_size=32).digest()
        return np.random.default_rng(list(digest))

    def _findings(
        self, state: LearnerState, due: Sequence[str], rng: np.random.Generator
    ) -> tuple[UptakeSite, ...]:
        """Kinds that are due, and of the others as many as the course has, few that are known."""
        shares = self.course.mimics
        if not shares:  # a course like a study shows patients as they come
            return ()
        chosen = [site for site in shares if str(site) in due]
        chosen.sort(key=lambda site: due.index(str(site)))
        chosen = chosen[:_MOST_DUE]
        for site, share in shares.items():
            if rng.random() < share * (_KNOWN_SHARE if state.knows(str(site)) else 1.0):
                chosen.append(site)
        return tuple(dict.fromkeys(chosen))

    def _appearance(self, due: Sequence[str], rng: np.random.Generator) -> Appearance:
        """One in which disease was missed, if it is due; else as the course has them."""
        drawn = Appearance(_drawn(self.course.lesions, rng))
        missed = [one for one in self.course.lesions if str(one) in due]
        return missed[0] if missed and self.course.mimics and rng.random() < _MISSED else drawn

    def _bone(self, due: Sequence[str], rng: np.random.Generator) -> str:
        """A bone in which metastases were missed, if it is due; else as metastases are spread."""
        drawn = _drawn(_bone_shares(), rng)
        missed = [
            name.removeprefix(METASTASES_IN) for name in due if name.startswith(METASTASES_IN)
        ]
        return missed[0] if missed and rng.random() < _MISSED else drawn


def _contrast(within: ContrastRange, state: LearnerState, bone: str) -> float:
    """The ratio that says most of the learner, within the course; the first one is easy."""
    known = state.staircases.get(bone) or state.staircases.get("")
    if known is None:
        return float(within.high)
    return round(float(np.clip(known.next_contrast(), within.low, within.high)), 2)


def _drawn(shares: Mapping[Any, float], rng: np.random.Generator) -> Any:
    names = list(shares)
    weights = np.array([shares[name] for name in names])
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]
