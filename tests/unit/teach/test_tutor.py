"""What was missed comes back, as hard as the learner can just do, within the course."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from fsrs import Card, Rating, Scheduler

from bonescint.scan import UptakeSite
from bonescint.teach.appearances import Appearance
from bonescint.teach.courses import Course, read_course, read_courses
from bonescint.teach.outcomes import FindingOutcome, LesionOutcome, Outcome
from bonescint.teach.tutor import METASTASES_IN, LearnerState, Tutor

DAY_S = 86_400.0


def _outcome(
    findings: Iterable[tuple[UptakeSite, bool, bool | None]] = (),
    lesions: Iterable[tuple[str, float, bool]] = (),
) -> Outcome:
    of_lesions = tuple(
        LesionOutcome(bone=bone, contrast_to_noise=ratio, confidence=80.0 if found else None)
        for bone, ratio, found in lesions
    )
    return Outcome(
        positive=bool(of_lesions),
        called=True,
        confidence=70,
        seconds=20,
        lesions=of_lesions,
        findings=tuple(
            FindingOutcome(site=site, mistaken=mistaken, named=named)
            for site, mistaken, named in findings
        ),
    )


def _joints() -> Course:
    return read_course("joints")


def test_cards_are_reviewed_as_the_library_says() -> None:
    """Against the library, driven here by hand with the same ratings and times."""
    scheduler, card = Scheduler(enable_fuzzing=False), Card(card_id=1)
    state = LearnerState()
    start = datetime(2030, 1, 1, tzinfo=UTC)
    steps = [
        (timedelta(0), Rating.Again, (True, None)),
        (timedelta(minutes=2), Rating.Good, (False, None)),
        (timedelta(minutes=20), Rating.Easy, (False, True)),
        (timedelta(days=9), Rating.Again, (False, False)),
        (timedelta(days=9, minutes=11), Rating.Good, (False, None)),
    ]
    for after, rating, (mistaken, named) in steps:
        at = start + after
        card, _ = scheduler.review_card(card, rating, at)
        outcome = _outcome([(UptakeSite.HIP, mistaken, named)])
        state = state.after(outcome, at_s=at.timestamp())
        mine = state.cards["hip"]
        assert (mine.due, mine.stability, mine.state) == (card.due, card.stability, card.state)
    due_s = card.due.timestamp()
    assert state.due(due_s - 1) == ()
    assert state.due(due_s) == ("hip",)


def test_a_missed_bone_is_a_card_and_a_staircase() -> None:
    outcome = _outcome(lesions=[("ribs", 10.0, False), ("pelvis", 30.0, True)])
    state = LearnerState().after(outcome, at_s=0.0)
    assert set(state.staircases) == {"", "ribs", "pelvis"}
    assert state.staircases[""].lesions == 2
    soon = state.due(61.0)
    assert METASTASES_IN + "ribs" in soon
    assert METASTASES_IN + "pelvis" not in soon
    assert [one.bone for one in state.estimates()] == ["", "pelvis", "ribs"]
    many = _outcome(lesions=[("ribs", 10.0, True)] * 7)
    assert LearnerState().after(many, at_s=0.0).staircases == {}


def test_a_kind_that_is_due_is_in_the_next_case_and_a_known_one_rarely() -> None:
    tutor = Tutor(course=_joints(), seed="s")
    missed, known = UptakeSite.FIRST_TOE, UptakeSite.FACET
    state = LearnerState()
    for minute in (0, 2, 20):
        found = [(known, False, True), (missed, minute == 20, None)]
        state = state.after(_outcome(found), at_s=60.0 * minute)
    specs = [tutor.spec(number, state, now_s=60.0 * 35) for number in range(200)]
    assert all(missed in spec.findings for spec in specs)
    share = sum(known in spec.findings for spec in specs) / len(specs)
    assert share < 0.2  # of 0.60 that the course has
    fresh = [tutor.spec(number, LearnerState(), now_s=0.0) for number in range(400)]
    share = sum(known in spec.findings for spec in fresh) / len(fresh)
    assert share == pytest.approx(0.60, abs=0.1)


def test_what_is_missed_in_a_bone_is_asked_for_again() -> None:
    tutor = Tutor(course=replace(_joints(), prevalence=1.0), seed="s")
    state = LearnerState().after(_outcome(lesions=[("skull", 12.0, False)]), at_s=0.0)
    bones = [tutor.spec(number, state, now_s=120.0).bone for number in range(300)]
    before = [tutor.spec(number, LearnerState(), now_s=120.0).bone for number in range(300)]
    assert bones.count("skull") > 3 * before.count("skull")
    assert len(set(bones)) > 6  # the others are not forgotten


def test_an_appearance_in_which_disease_was_missed_is_asked_for_again() -> None:
    course = replace(read_course("superscan"), prevalence=1.0)
    tutor = Tutor(course=course, seed="s")
    missed = replace(_outcome(lesions=[("ribs", 60.0, False)] * 7), called=False)
    state = LearnerState().after(missed, at_s=0.0, appearance=Appearance.SUPERSCAN)
    found = LearnerState().after(
        replace(missed, called=True), at_s=0.0, appearance=Appearance.SUPERSCAN
    )
    assert "superscan" in state.due(61.0)
    assert "superscan" not in found.due(61.0)

    def share(known: LearnerState) -> float:
        drawn = [tutor.spec(number, known, now_s=61.0).appearance for number in range(400)]
        return drawn.count(Appearance.SUPERSCAN) / 400

    usual = course.lesions[Appearance.SUPERSCAN]
    assert share(found) == pytest.approx(usual, abs=0.08)
    assert share(state) == pytest.approx(0.5 + 0.5 * usual, abs=0.08)


def test_contrast_follows_the_learner_within_the_course() -> None:
    course = replace(_joints(), prevalence=1.0)
    assert course.contrast_to_noise is not None
    tutor = Tutor(course=course, seed="s")
    assert (
        tutor.spec(0, LearnerState(), now_s=0.0).contrast_to_noise == course.contrast_to_noise.high
    )

    def asked(found: bool) -> float:
        state = LearnerState()
        for number in range(12):
            lesions = [("ribs", 20.0 if found else 25.0, found)]
            state = state.after(_outcome(lesions=lesions), at_s=float(number))
        spec = next(
            spec
            for number in range(100)
            if (spec := tutor.spec(number, state, now_s=100.0)).bone == "ribs"
        )
        assert spec.contrast_to_noise is not None
        return spec.contrast_to_noise

    assert course.contrast_to_noise.low <= asked(True) < asked(False)
    assert asked(False) <= course.contrast_to_noise.high


@pytest.mark.parametrize("course", read_courses(), ids=lambda course: course.name)
def test_a_course_limits_what_is_drawn(course: Course) -> None:
    tutor = Tutor(course=course, seed="s")
    specs = [tutor.spec(number, LearnerState(), now_s=0.0) for number in range(300)]
    assert {site for spec in specs for site in spec.findings} <= set(course.mimics)
    positive = [spec for spec in specs if spec.positive]
    assert {spec.appearance for spec in positive} <= set(course.lesions)
    assert len(positive) / 300 == pytest.approx(course.prevalence, abs=0.1)
    for spec in positive:
        fixed = (Appearance.SUPERSCAN, Appearance.COLD, Appearance.MIXED)
        settable = course.contrast_to_noise is not None and spec.appearance not in fixed
        assert (spec.contrast_to_noise is not None) == settable
    assert len({spec.seed for spec in specs}) == 300  # never the same picture


def test_the_same_seed_gives_the_same_cases_and_another_others() -> None:
    tutor = Tutor(course=_joints(), seed="a")
    state = LearnerState().after(_outcome([(UptakeSite.HIP, True, None)]), at_s=0.0)
    again = LearnerState().after(_outcome([(UptakeSite.HIP, True, None)]), at_s=0.0)
    assert tutor.spec(3, state, now_s=90.0) == tutor.spec(3, again, now_s=90.0)
    other = Tutor(course=_joints(), seed="b")
    assert other.spec(3, state, now_s=90.0) != tutor.spec(3, state, now_s=90.0)
    assert tutor.fixed_specs(5) == tutor.fixed_specs(5)


def test_the_cases_of_a_test_cover_the_courses_range() -> None:
    course = read_course("solitary-lesions")
    specs = Tutor(course=course, seed="t").fixed_specs(200)
    ratios = [spec.contrast_to_noise for spec in specs if spec.contrast_to_noise is not None]
    assert course.contrast_to_noise is not None
    low, high = course.contrast_to_noise.low, course.contrast_to_noise.high
    assert low <= min(ratios) < 1.2 * low
    assert high / 1.2 < max(ratios) <= high
    assert np.median(ratios) == pytest.approx(np.sqrt(low * high), rel=0.2)


def test_mistakes_thin_out_the_other_mimics() -> None:
    tutor = Tutor(course=_joints(), seed="s")
    right = wrong = LearnerState()
    for number in range(10):
        right = right.after(_outcome([(UptakeSite.HIP, False, None)]), at_s=float(number))
        wrong = wrong.after(_outcome([(UptakeSite.HIP, True, None)]), at_s=float(number))
    few, many = (tutor.spec(9, state, now_s=10.0).others for state in (wrong, right))
    assert (few, many) == (0.3, 1.0)


def test_a_simulated_learner_sees_what_it_misses_three_times_as_often() -> None:
    """The benchmark of 200 learners, on one of them."""
    bench = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "teach_learners.py"))
    skill = bench["skill_of"](np.random.default_rng(5), bones_differ=False)
    state, asked, seen = bench["taught"](skill, 150, 5)
    assert bench["ratio_of"](asked, skill) >= 3
    assert bench["ratio_of"](seen, skill) > 1.5
    estimate = state.estimates()[0]
    assert estimate.bone == ""
    assert estimate.low <= skill.thresholds["ribs"] <= estimate.high
