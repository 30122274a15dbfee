"""How a learner does: areas over time, bones, mistakes, time, calibration, beside the model.

Every figure has its interval. Cases are taken as independent: each simulated case is of another
patient.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import expit

from bonescint.evaluate import (
    ReliabilityBin,
    ScoredCases,
    brier_error,
    compare_areas,
    reliability_curve,
    roc_auc_score,
)
from bonescint.intervals import Estimate, normal_quantile, share
from bonescint.mrmc import CovarianceMethod, MarkedReads, RatedMark, Wafroc, covariance
from bonescint.mrmc.cells import PairsCell
from bonescint.roc import RocCurve
from bonescint.scan import UptakeSite
from bonescint.schema import plain
from bonescint.teach.outcomes import Outcome
from bonescint.teach.records import AnsweredCase
from bonescint.teach.staircase import FoundFrom
from bonescint.teach.tutor import LearnerState

BLOCK = 25
"""Cases of one point in time; the last point has up to twice as many."""
WEEK_S = 7 * 86_400.0
_LEARNER = "learner"
_LEAST = 5
"""Cases of either class that an area or a comparison needs at least, to be worth showing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """How a learner did in some cases.

    Attributes:
        first: number of the first case, from 1.
        last: number of the last one.
        from_s: when the first was answered, seconds since 1970, UTC.
        to_s: when the last was.
        right: share of right calls (yes or no).
        auc: area under the ROC curve of the confidence.
        wafroc: weighted area under the AFROC curve of the marks.
        found: share of the visible metastases that were marked.
        false_marks: mean number of false marks per case.
        seconds: first quartile, median and third quartile of the time per case.
    """

    first: int
    last: int
    from_s: float
    to_s: float
    right: Estimate
    auc: Estimate
    wafroc: Estimate
    found: Estimate
    false_marks: float
    seconds: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoneProgress:
    """Metastases in one bone.

    Attributes:
        bone: the coarse region; empty where none is known.
        found: share of the visible ones that were marked.
        lesions: number of visible metastases.
        found_from: what the staircase says; `None` without one.
    """

    bone: str
    found: Estimate
    lesions: int
    found_from: FoundFrom | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MistakeProgress:
    """One kind of benign spot.

    Attributes:
        site: what it is.
        cases: number of cases in which it could be seen.
        mistaken: share of them in which it was marked as a metastasis.
        latest: the same in the latest half of them.
        named: share of the names given to it that were right.
    """

    site: UptakeSite
    cases: int
    mistaken: Estimate
    latest: Estimate
    named: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideModel:
    """The learner beside the model, on the cases that both have read.

    Attributes:
        cases: number of cases.
        learner: area under the ROC curve of the learner's confidence.
        model: of the model's probability.
        difference: learner minus model, paired.
    """

    cases: int
    learner: Estimate
    model: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class SinceFirstWeek:
    """The cases after the first week, minus those of it.

    Attributes:
        before: number of cases in the first week.
        after: number of later ones.
        right: difference of the shares of right calls.
        auc: difference of the areas under the ROC curve.
        found: difference of the shares of metastases found.
        seconds: difference of the median times.
    """

    before: int
    after: int
    right: Estimate
    auc: Estimate
    found: Estimate
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerProgress:
    """Everything that answered cases say of a learner.

    Attributes:
        overall: all cases together; `None` before the first.
        over_time: the cases in blocks, in their order.
        roc: false positive rate and sensitivity of the confidence, over all cases.
        bones: by bone, those with most missed metastases first.
        mistakes: by kind, the most mistaken first.
        false_marks_on_nothing: number of false marks where nothing is.
        reliability: share of disease by stated confidence.
        brier: mean squared error of the confidence as a probability.
        model: comparison with the model; `None` if both have read too few cases.
        first_week: comparison of the first week with the time after it; `None` if either has too
            few cases.
        found_from: what the staircase says of all bones together; `None` without metastases.
    """

    overall: Period | None
    over_time: tuple[Period, ...]
    roc: tuple[tuple[float, float], ...]
    bones: tuple[BoneProgress, ...]
    mistakes: tuple[MistakeProgress, ...]
    false_marks_on_nothing: int
    reliability: tuple[ReliabilityBin, ...]
    brier: Estimate
    model: BesideModel | None
    first_week: SinceFirstWeek | None
    found_from: FoundFrom | None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; what is undefined is `None`."""
        return dict(_json(self))

    def sentences(self) -> tuple[str, ...]:
        """The main results, for people."""
        said = [] if self.found_from is None else [self.found_from.text()]
        said += [
            one.found_from.text()
            for one in self.bones
            if one.found_from is not None and one.found_from.lesions >= 2 * _LEAST
        ]
        if self.model is not None:
            said.append(
                f"On the {self.model.cases} cases that the model has read, too, your area under "
                f"the ROC curve is {self.model.learner.text(2)}, the model's "
                f"{self.model.model.text(2)}; the difference is {self.model.difference.text(2)}."
            )
        if self.first_week is not None:
            said.append(
                f"Since your first week ({self.first_week.before} cases) the share of right "
                f"answers has changed by {self.first_week.right.text(2)}, that of metastases found "
                f"by {self.first_week.found.text(2)}, the median time of a case by "
                f"{self.first_week.seconds:+.0f} s."
            )
        return tuple(said)


def learner_progress(
    answered: Sequence[AnsweredCase], state: LearnerState | None = None
) -> LearnerProgress:
    """Work out a learner's progress.

    Args:
        answered: the answered cases, in the order of the answers.
        state: what the tutor knows after them; worked out if `None`.

    Raises:
        MissingExtraError: `state` is `None`, and the library of the extra `teach` is missing.
    """
    state = LearnerState.of(answered) if state is None else state
    outcomes = [one.outcome for one in answered]
    ends = list(range(0, len(answered), BLOCK))
    if len(ends) > 1 and len(answered) - ends[-1] < BLOCK:
        ends.pop()  # what is left of a block goes to the one before
    blocks = pairwise([*ends, len(answered)])
    everything = state.staircases.get("")
    probabilities = _scored(outcomes, lambda one: one.confidence / 100)
    return LearnerProgress(
        overall=_period(answered, 0, len(answered)) if answered else None,
        over_time=tuple(_period(answered, start, stop) for start, stop in blocks),
        roc=_roc_points(probabilities),
        bones=_bones(outcomes, state),
        mistakes=_mistakes(outcomes),
        false_marks_on_nothing=sum(m.site is None for one in outcomes for m in one.false_marks),
        reliability=() if probabilities is None else reliability_curve(probabilities, bins=5),
        brier=_undefined("no case") if probabilities is None else brier_error(probabilities),
        model=_beside_model(answered),
        first_week=_since_first_week(answered),
        found_from=None if everything is None else everything.estimate(),
    )


def _undefined(note: str) -> Estimate:
    return Estimate(value=math.nan, note=note)


def _scored(outcomes: Sequence[Outcome], score: Callable[[Outcome], float]) -> ScoredCases | None:
    if not outcomes:
        return None
    return ScoredCases(
        scores=np.array([score(one) for one in outcomes]),
        positive=np.array([one.positive for one in outcomes]),
    )


def _area(cases: ScoredCases | None) -> Estimate:
    if cases is None or min(cases.positives, cases.negatives) < 1:
        return _undefined("needs cases with and without disease")
    return roc_auc_score(cases)


def _roc_points(cases: ScoredCases | None) -> tuple[tuple[float, float], ...]:
    if cases is None or min(cases.positives, cases.negatives) < 1:
        return ()
    curve = RocCurve.of(cases.scores, cases.positive)
    pairs = zip(curve.false_positive_rate.tolist(), curve.sensitivity.tolist(), strict=True)
    return tuple(pairs)


def _period(answered: Sequence[AnsweredCase], start: int, stop: int) -> Period:
    part = answered[start:stop]
    outcomes = [one.outcome for one in part]
    q1, median, q3 = np.percentile([one.seconds for one in outcomes], [25, 50, 75]).tolist()
    return Period(
        first=start + 1,
        last=stop,
        from_s=part[0].answered_s,
        to_s=part[-1].answered_s,
        right=share(sum(one.right for one in outcomes), len(outcomes)),
        auc=_area(_scored(outcomes, lambda one: one.confidence)),
        wafroc=wafroc_area(outcomes),
        found=_found(outcomes),
        false_marks=sum(len(one.false_marks) for one in outcomes) / len(outcomes),
        seconds=(q1, median, q3),
    )


def _found(outcomes: Sequence[Outcome], bone: str | None = None) -> Estimate:
    lesions = [
        lesion for one in outcomes for lesion in one.lesions if bone is None or lesion.bone == bone
    ]
    marked = sum(lesion.confidence is not None for lesion in lesions)
    return share(marked, len(lesions), nobody="no metastasis")


def wafroc_area(outcomes: Sequence[Outcome], *, level: float = 0.95) -> Estimate:
    """Weighted area under the AFROC curve, with DeLong's variance on the logit.

    All metastases of a case have the same weight, also those that are too faint to be seen, as in
    the reader study (`bonescint.mrmc.Wafroc`). Cases with disease at unknown places are left out.

    Args:
        outcomes: of one learner.
        level: coverage of the interval.
    """
    lesions: dict[str, dict[str, float]] = {}
    marks: list[RatedMark] = []

    def rated(case: str, lesion: str | None, rating: float) -> RatedMark:
        return RatedMark(
            reader=_LEARNER, modality=_LEARNER, case=case, lesion=lesion, rating=rating
        )

    for number, outcome in enumerate(outcomes):
        case, all_lesions = str(number), (*outcome.lesions, *outcome.unseen)
        if outcome.positive and not all_lesions:
            continue
        lesions[case] = {str(place): 0.0 for place in range(len(all_lesions))}
        marks += [
            rated(case, str(place), lesion.confidence)
            for place, lesion in enumerate(all_lesions)
            if lesion.confidence is not None
        ]
        marks += [rated(case, None, mark.confidence) for mark in outcome.false_marks]
    if not lesions:
        return _undefined("no case")
    reads = MarkedReads.of(marks, lesions, readers=[_LEARNER], modalities=[_LEARNER])
    cell = Wafroc().marked_cell(reads, 0, 0)
    if not isinstance(cell, PairsCell):
        return _undefined("needs cases with and without disease")
    if min(len(cell.v10), len(cell.v01)) < 2:
        return Estimate(value=cell.value, note="a class has one case: no interval")
    variance = float(covariance([cell], len(reads.cases), CovarianceMethod.DELONG)[0, 0])
    if not 0 < cell.value < 1 or not variance > 0:
        return Estimate(value=cell.value, note="the variance is 0: no interval")
    half = normal_quantile(level) * math.sqrt(variance) / (cell.value * (1 - cell.value))
    middle = math.log(cell.value / (1 - cell.value))
    low, high = expit([middle - half, middle + half]).tolist()
    return Estimate(
        value=cell.value, low=low, high=high, level=level, method="DeLong, on the logit"
    )


def _bones(outcomes: Sequence[Outcome], state: LearnerState) -> tuple[BoneProgress, ...]:
    lesions = [lesion for one in outcomes for lesion in one.lesions]
    count = Counter(lesion.bone for lesion in lesions)
    missed = Counter(lesion.bone for lesion in lesions if lesion.confidence is None)
    order = sorted(count, key=lambda bone: (-missed[bone], bone))
    return tuple(
        BoneProgress(
            bone=bone,
            found=_found(outcomes, bone),
            lesions=count[bone],
            found_from=state.staircases[bone].estimate(bone) if bone in state.staircases else None,
        )
        for bone in order
    )


def _mistakes(outcomes: Sequence[Outcome]) -> tuple[MistakeProgress, ...]:
    seen: dict[UptakeSite, list[tuple[bool, bool | None]]] = {}
    for outcome in outcomes:
        for finding in outcome.findings:
            seen.setdefault(finding.site, []).append((finding.mistaken, finding.named))
    order = sorted(seen, key=lambda site: (-sum(wrong for wrong, _ in seen[site]), str(site)))
    found = []
    for site in order:
        wrong = [mistaken for mistaken, _ in seen[site]]
        named = [name for _, name in seen[site] if name is not None]
        latest = wrong[len(wrong) // 2 :]
        found.append(
            MistakeProgress(
                site=site,
                cases=len(wrong),
                mistaken=share(sum(wrong), len(wrong)),
                latest=share(sum(latest), len(latest)),
                named=share(sum(named), len(named), nobody="never named"),
            )
        )
    return tuple(found)


def _enough(outcomes: Sequence[Outcome]) -> bool:
    positives = sum(one.positive for one in outcomes)
    return min(positives, len(outcomes) - positives) >= _LEAST


def _beside_model(answered: Sequence[AnsweredCase]) -> BesideModel | None:
    both = [one for one in answered if one.issued.model_probability is not None]
    outcomes = [one.outcome for one in both]
    learner = _scored(outcomes, lambda one: one.confidence / 100)
    if learner is None or not _enough(outcomes):
        return None
    model = learner.with_scores([one.issued.model_probability or 0.0 for one in both])
    return BesideModel(
        cases=len(both),
        learner=_area(learner),
        model=_area(model),
        difference=compare_areas(learner, model).difference,
    )


def _since_first_week(answered: Sequence[AnsweredCase]) -> SinceFirstWeek | None:
    if not answered:
        return None
    until = answered[0].answered_s + WEEK_S
    before = [one.outcome for one in answered if one.answered_s < until]
    after = [one.outcome for one in answered if one.answered_s >= until]
    if not (_enough(before) and _enough(after)):
        return None
    first, later = (
        (
            share(sum(one.right for one in part), len(part)),
            _area(_scored(part, lambda one: one.confidence)),
            _found(part),
            float(np.median([one.seconds for one in part])),
        )
        for part in (before, after)
    )
    return SinceFirstWeek(
        before=len(before),
        after=len(after),
        right=independent_difference(later[0], first[0]),
        auc=independent_difference(later[1], first[1]),
        found=independent_difference(later[2], first[2]),
        seconds=later[3] - first[3],
    )


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """First minus second, of different cases: the squares of the half-widths are added.

    For shares with Wilson's intervals it is Newcombe's method 10 (Stat Med 1998;17:873); for
    others Zou and Donner, Stat Med 2008;27:1693.

    Examples:
        >>> independent_difference(share(56, 70), share(48, 80)).text(4)
        '0.2000 (0.0524 to 0.3339)'
    """
    value = first.value - second.value
    method = "square-and-add of the two intervals"
    ends = (first.low, first.high, second.low, second.high)
    if not all(math.isfinite(end) for end in (value, *ends)):
        return Estimate(value=value, method=method, note=first.note or second.note)
    low = value - math.hypot(first.value - first.low, second.high - second.value)
    high = value + math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value=value, low=low, high=high, level=first.level, method=method)


def _json(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.as_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    return plain(value)
