"""Figures of progress, against scikit-learn, loops over pairs, and published examples."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from bonescint.intervals import Estimate, share
from bonescint.scan import UptakeSite
from bonescint.teach.cases import CaseSpec
from bonescint.teach.outcomes import FalseMark, FindingOutcome, LesionOutcome, Outcome
from bonescint.teach.progress import (
    BLOCK,
    independent_difference,
    learner_progress,
    wafroc_area,
)
from bonescint.teach.records import AnsweredCase, IssuedCase

DAY_S = 86_400.0


def _outcome(rng: np.random.Generator, skill: float) -> Outcome:
    positive = bool(rng.random() < 0.5)
    lesions = tuple(
        LesionOutcome(
            bone=str(rng.choice(["ribs", "pelvis"])),
            contrast_to_noise=float(rng.uniform(6, 40)),
            confidence=float(rng.integers(40, 100)) if rng.random() < 0.4 + 0.5 * skill else None,
        )
        for _ in range(int(rng.integers(1, 4)) if positive else 0)
    )
    confidence = float(np.clip(round(50 + 25 * rng.normal(skill * (2 * positive - 1))), 0, 100))
    false = tuple(
        FalseMark(
            site=UptakeSite.RIB_FRACTURE if rng.random() < 0.7 else None,
            confidence=float(rng.integers(20, 80)),
        )
        for _ in range(int(rng.poisson(0.6)))
    )
    finding = FindingOutcome(
        site=UptakeSite.RIB_FRACTURE,
        mistaken=any(mark.site for mark in false),
        named=bool(rng.random() < 0.5) if rng.random() < 0.3 else None,
    )
    return Outcome(
        positive=positive,
        called=confidence >= 50,
        confidence=confidence,
        seconds=float(rng.uniform(10, 60)),
        lesions=lesions,
        findings=(finding,),
        false_marks=false,
    )


def _answered(outcomes: Sequence[Outcome], per_day: int = 10) -> list[AnsweredCase]:
    rng = np.random.default_rng(9)
    return [
        AnsweredCase(
            issued=IssuedCase(
                case_id=f"c{number}",
                course="joints",
                number=number,
                spec=CaseSpec(seed=number),
                model_probability=float(np.clip(0.5 + 0.3 * rng.normal(one.positive), 0, 1)),
            ),
            answered_s=1.7e9 + DAY_S * (number // per_day) + 60.0 * (number % per_day),
            outcome=one,
        )
        for number, one in enumerate(outcomes)
    ]


@pytest.fixture(scope="module")
def answered() -> list[AnsweredCase]:
    rng = np.random.default_rng(3)
    return _answered([_outcome(rng, 0.3 + number / 200) for number in range(140)])


def test_areas_and_brier_are_scikit_learns(answered: list[AnsweredCase]) -> None:
    found = learner_progress(answered)
    truth = [one.outcome.positive for one in answered]
    said = [one.outcome.confidence for one in answered]
    model = [one.issued.model_probability or 0.0 for one in answered]
    assert found.overall is not None
    assert found.overall.auc.value == pytest.approx(roc_auc_score(truth, said))
    assert found.overall.auc.low < found.overall.auc.value < found.overall.auc.high
    assert found.brier.value == pytest.approx(brier_score_loss(truth, np.array(said) / 100))
    assert found.model is not None
    assert found.model.model.value == pytest.approx(roc_auc_score(truth, model))
    assert found.model.difference.value == pytest.approx(
        roc_auc_score(truth, said) - roc_auc_score(truth, model)
    )
    across, up = np.array(found.roc).T
    assert np.trapezoid(up, across) == pytest.approx(found.overall.auc.value)


def test_wafroc_is_the_share_of_pairs_in_which_the_lesion_is_rated_higher(
    answered: list[AnsweredCase],
) -> None:
    outcomes = [one.outcome for one in answered[:60]]
    healthy = [
        max((mark.confidence for mark in one.false_marks), default=-math.inf)
        for one in outcomes
        if not one.positive
    ]
    each = []
    for one in outcomes:
        if not one.positive:
            continue
        shares = []
        for lesion in one.lesions:
            rating = -math.inf if lesion.confidence is None else lesion.confidence
            wins = [float(rating > other) + 0.5 * (rating == other) for other in healthy]
            shares.append(float(np.mean(wins)))
        each.append(float(np.mean(shares)))
    found = wafroc_area(outcomes)
    assert found.value == pytest.approx(np.mean(each))
    assert found.low < found.value < found.high


def test_a_faint_lesion_counts_as_missed_in_the_area_and_not_in_the_share(
    answered: list[AnsweredCase],
) -> None:
    healthy = Outcome(positive=False, called=False, confidence=5, seconds=1)
    faint = LesionOutcome(bone="ribs", contrast_to_noise=2.0, confidence=None)
    seen = LesionOutcome(bone="ribs", contrast_to_noise=20.0, confidence=90.0)
    ill = Outcome(
        positive=True, called=True, confidence=90, seconds=1, lesions=(seen,), unseen=(faint,)
    )
    found = learner_progress(_answered([healthy, ill])).overall
    assert found is not None
    assert found.wafroc.value == pytest.approx((1 + 0.5) / 2)
    assert found.found.value == 1.0


def test_blocks_cover_every_case_once(answered: list[AnsweredCase]) -> None:
    found = learner_progress(answered)
    assert [(one.first, one.last) for one in found.over_time] == [
        (1, 25),
        (26, 50),
        (51, 75),
        (76, 100),
        (101, 140),
    ]
    assert BLOCK == 25
    part = [one.outcome for one in answered[25:50]]
    second = found.over_time[1]
    assert second.right.value == np.mean([one.right for one in part])
    assert second.seconds == pytest.approx(
        tuple(np.percentile([one.seconds for one in part], [25, 50, 75]))
    )
    assert second.false_marks == np.mean([len(one.false_marks) for one in part])
    assert second.from_s == answered[25].answered_s


def test_bones_and_mistakes_are_counted_one_by_one(answered: list[AnsweredCase]) -> None:
    found = learner_progress(answered)
    for bone in found.bones:
        mine = [
            lesion.confidence is not None
            for one in answered
            for lesion in one.outcome.lesions
            if lesion.bone == bone.bone
        ]
        assert bone.found == share(sum(mine), len(mine))
        assert bone.lesions == len(mine)
        assert bone.found_from is not None
        assert bone.found_from.lesions == len(mine)
    (mistakes,) = found.mistakes
    wrong = [one.outcome.findings[0].mistaken for one in answered]
    named = [one.outcome.findings[0].named for one in answered]
    assert mistakes.mistaken == share(sum(wrong), 140)
    assert mistakes.latest == share(sum(wrong[70:]), 70)
    assert mistakes.named == share(named.count(True), 140 - named.count(None))
    nothing = sum(mark.site is None for one in answered for mark in one.outcome.false_marks)
    assert found.false_marks_on_nothing == nothing


def test_the_first_week_is_compared_with_what_came_after(answered: list[AnsweredCase]) -> None:
    found = learner_progress(answered).first_week
    assert found is not None
    assert (found.before, found.after) == (70, 70)
    right = [one.outcome.right for one in answered]
    assert found.right.value == pytest.approx(np.mean(right[70:]) - np.mean(right[:70]))
    times = [one.outcome.seconds for one in answered]
    assert found.seconds == pytest.approx(np.median(times[70:]) - np.median(times[:70]))
    assert learner_progress(answered[:70]).first_week is None


def test_the_difference_of_shares_is_newcombes() -> None:
    """Newcombe 1998, table II, method 10."""
    for one, other, low, high in (
        (share(56, 70), share(48, 80), 0.0524, 0.3339),
        (share(9, 10), share(3, 10), 0.1705, 0.8090),
        (share(10, 10), share(0, 10), 0.6075, 1.0000),
    ):
        found = independent_difference(one, other)
        assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    nothing = independent_difference(Estimate(value=math.nan, note="no case"), share(1, 2))
    assert not nothing.defined


def test_the_result_is_json_and_its_sentences_are_plain(answered: list[AnsweredCase]) -> None:
    found = learner_progress(answered)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["overall"]["auc"]["value"] == found.overall.auc.value  # type: ignore[union-attr]
    assert content["mistakes"][0]["site"] == "rib fracture"
    assert found.sentences()[0].startswith("You find 80 % of metastases from contrast-to-noise")
    assert any("your first week (70 cases)" in one for one in found.sentences())


def test_nothing_answered_is_no_error_and_one_class_no_area() -> None:
    empty = learner_progress([])
    assert empty.overall is None
    assert json.dumps(empty.to_json(), allow_nan=False)
    assert empty.sentences() == ()
    one = learner_progress(
        _answered([Outcome(positive=False, called=True, confidence=60, seconds=5)] * 3)
    )
    assert one.overall is not None
    assert not one.overall.auc.defined
    assert not one.overall.wafroc.defined
    assert json.dumps(one.to_json(), allow_nan=False)
