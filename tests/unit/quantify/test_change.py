"""What changes between scans, and PCWG3's rule by tables that were worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.known_scan import KnownScan, answer, with_images

from bonescint.quantify import (
    FocusChange,
    MatchedFocus,
    ProgressionState,
    QuantifiedScan,
    bone_atlas,
    changed_foci,
    progression,
    quantify_scan,
    with_risen,
)
from bonescint.quantify.change import _area_ratio, _maxima, given_rise
from bonescint.quantify.rise_map import ViewRise
from bonescint.scan import ParameterError, View

BONES = ("L3", "femur R")


def centre(known: KnownScan, bone: str, view: View) -> tuple[float, float]:
    rows, columns = np.nonzero(known.bones[view] == bone_atlas().bones.index(bone) + 1)
    return float(np.median(rows)), float(np.median(columns))


def quantified(
    known: KnownScan,
    bones: tuple[str, ...],
    *,
    radius: int = 5,
    seed: int,
    shift: tuple[int, int] = (0, 0),
) -> QuantifiedScan:
    """The scan acquired anew with a hot disc in some bones, the patient lying elsewhere.

    Of the foci only those at the discs are kept.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[: known.scan.shape[0], : known.scan.shape[1]]
    views: dict[View, NDArray[np.float32]] = {}
    discs = []
    for view, image in known.scan.images():
        mean = image.copy()
        # To the left from the front is to the right from behind.
        move = (shift[0], shift[1] if view is View.ANTERIOR else -shift[1])
        for bone in BONES:
            row, column = centre(known, bone, view)
            discs.append((view, row + move[0], column + move[1]))
            if bone in bones:
                mean[np.hypot(rows - row, columns - column) <= radius] += 120
        views[view] = np.roll(rng.poisson(mean), move, (0, 1)).astype(np.float32)
    scan = with_images(known.scan, views)
    found = quantify_scan(scan, answer(scan, probability=0.9))
    kept = tuple(
        focus
        for focus in found.foci
        if focus.clearest.contrast > 2
        and any(
            shown.view is view and np.hypot(shown.row - row, shown.column - column) < radius + 3
            for shown in focus.in_views
            for view, row, column in discs
        )
    )
    return replace(found, foci=kept)


@pytest.fixture(scope="module")
def prior(known: KnownScan) -> QuantifiedScan:
    return quantified(known, BONES, seed=1)


def test_the_same_foci_elsewhere_in_the_field_are_unchanged(
    known: KnownScan, prior: QuantifiedScan
) -> None:
    changes = changed_foci(prior, quantified(known, BONES, seed=2, shift=(17, 6)))
    assert [one.change for one in changes] == [FocusChange.UNCHANGED] * 2


def test_new_gone_and_grown(known: KnownScan, prior: QuantifiedScan) -> None:
    now = quantified(known, BONES[:1], radius=9, seed=3)
    changes = changed_foci(prior, now)
    assert [one.change for one in changes] == [FocusChange.GONE, FocusChange.GROWN]
    assert changes[1].area_ratio is not None
    assert changes[1].area_ratio > 1.8
    back = changed_foci(now, prior)
    assert [one.change for one in back] == [FocusChange.NEW, FocusChange.SHRUNK]


def test_uptake_that_was_there_before_is_not_new(known: KnownScan, prior: QuantifiedScan) -> None:
    now = quantified(known, BONES, seed=2)
    changes = changed_foci(replace(prior, foci=()), now)
    assert [one.change for one in changes] == [FocusChange.UNCHANGED] * 2
    assert all(one.prior is None for one in changes)


def test_uptake_that_has_risen_is_no_usual_uptake(known: KnownScan, prior: QuantifiedScan) -> None:
    """What the network calls usual uptake on the present scan alone, the prior scan contradicts."""
    before = quantified(known, (), seed=4)
    there = quantified(known, BONES[:1], seed=5)
    (focus,) = there.foci
    usual = tuple(
        replace(
            one,
            probability=0.01,
            finding_probabilities={"usual uptake": 0.97, "joint": 0.02, "metastasis": 0.01},
        )
        for one in focus.in_views
    )
    doubted = replace(focus, in_views=usual)
    for then, number in ((before, 1), (prior, 0)):
        now = replace(there, foci=(), usual=(doubted,))
        found = with_risen(then, now)
        assert (len(found.foci), len(found.usual)) == (number, 1 - number)
        assert [one.number for one in found.foci] == [1][:number]
        changes = changed_foci(replace(then, foci=()), now)
        assert [one.change for one in changes] == [FocusChange.NEW] * number


def usual_uptake(focus: MatchedFocus, number: int) -> MatchedFocus:
    said = {"usual uptake": 0.97, "joint": 0.02, "metastasis": 0.01}
    views = [replace(one, probability=0.01, finding_probabilities=said) for one in focus.in_views]
    return replace(focus, number=number, in_views=tuple(views))


def test_each_prior_scan_may_show_another_rise(known: KnownScan) -> None:
    """What has risen since one is among the foci when the next is compared."""
    there = quantified(known, BONES, seed=5)
    usual = tuple(usual_uptake(focus, number) for number, focus in enumerate(there.foci, 1))
    found = replace(there, foci=(), usual=usual)
    for bone in BONES:
        found = with_risen(quantified(known, (bone,), seed=6), found)
    assert sorted(focus.bone for focus in found.foci) == sorted(BONES)
    assert [focus.number for focus in found.foci] == [1, 2]
    assert found.usual == ()


def test_what_the_present_scan_does_not_show_is_not_gone(
    known: KnownScan, prior: QuantifiedScan
) -> None:
    from_behind = tuple(
        replace(focus, in_views=tuple(v for v in focus.in_views if v.view is View.POSTERIOR))
        for focus in prior.foci
        if any(one.view is View.POSTERIOR for one in focus.in_views)
    )
    before = replace(prior, foci=from_behind)
    now = quantified(known, (), seed=4)
    front = now.scan.anterior
    assert front is not None
    alone = replace(now.scan, posterior=None)
    unseen = replace(quantify_scan(alone, answer(alone)), foci=())
    assert before.foci
    for present, change in ((now, FocusChange.GONE), (unseen, FocusChange.NOT_SHOWN)):
        found = changed_foci(before, replace(present, foci=()))
        assert {one.change for one in found} == {change}


def test_areas_are_compared_in_square_millimetres(prior: QuantifiedScan) -> None:
    """The share of the bone that a scan shows depends on its field of view."""
    focus = prior.foci[0]
    cut = [replace(one, share_of_bone=1.3 * one.share_of_bone) for one in focus.in_views]
    assert _area_ratio(focus, replace(focus, in_views=tuple(cut))) == pytest.approx(1)
    unknown = [replace(one, area_mm2=None) for one in cut]
    assert _area_ratio(focus, replace(focus, in_views=tuple(unknown))) == pytest.approx(1.3)


def test_a_view_that_has_not_risen_itself_shows_no_focus() -> None:
    rise, own = np.zeros((2, 40, 40), np.float32)
    rise[10, 10] = rise[30, 30] = 5
    own[10, 10], own[30, 30] = 4, -0.5
    plain = np.ones_like(rise)
    of = ViewRise(rise=rise, own=own, had=plain, added=plain, shared=plain, shown=plain > 0)
    assert _maxima(of).tolist() == [[10, 10]]


def test_what_is_no_candidate_is_found_by_the_difference(
    known: KnownScan, prior: QuantifiedScan
) -> None:
    before = quantified(known, (), seed=4)
    now = replace(quantified(known, BONES[:1], seed=5), foci=(), usual=())
    found = with_risen(before, now)
    (focus,) = found.foci
    assert focus.bone == "L3"
    for shown in focus.in_views:
        row, column = centre(known, "L3", shown.view)
        assert np.hypot(shown.row - row, shown.column - column) < 4
        # A disc with a radius of 5 pixels, blurred.
        assert 60 < shown.mask.sum() < 180
    (change,) = [one for one in changed_foci(replace(before, foci=()), now) if one.present]
    assert change.change is FocusChange.NEW
    assert changed_foci(replace(prior, foci=()), now) == ()


def test_rises_outside_bone_and_far_from_the_trunk_are_not_new(known: KnownScan) -> None:
    """And of two candidates at one rise, one is new."""
    before = quantified(known, (), seed=4)
    there = quantified(known, BONES[:1], seed=5)
    (focus,) = there.foci

    def new(bone: str, findings: dict[str, float], copies: int = 1) -> int:
        probability = findings["metastasis"]
        views = tuple(
            replace(one, bone=bone, probability=probability, finding_probabilities=findings)
            for one in focus.in_views
        )
        usual = tuple(replace(focus, number=1 + n, in_views=views) for n in range(copies))
        now = replace(there, foci=(), usual=usual)
        return sum(one.change is FocusChange.NEW for one in changed_foci(before, now))

    bony = {"usual uptake": 0.9, "joint": 0.09, "metastasis": 0.01}
    assert new("L3", bony) == 1
    assert new("L3", bony, copies=2) == 1
    assert new("L3", {"usual uptake": 0.9, "bladder": 0.04, "metastasis": 0.06}) == 0
    assert new("tibia R", bony) == 0
    assert new("tibia R", {"metastasis": 0.6, "joint": 0.4}) == 1


def test_findings_given_a_rise(prior: QuantifiedScan) -> None:
    said = {"usual uptake": 0.9, "joint": 0.06, "fracture": 0.02, "metastasis": 0.01}
    said["bladder"] = 0.01
    (focus, *_) = prior.foci
    views = tuple(replace(one, finding_probabilities=said) for one in focus.in_views)
    wanted = {"joint": 0.6, "fracture": 0.2, "metastasis": 0.1, "bladder": 0.1}
    assert given_rise(replace(focus, in_views=views)) == pytest.approx(wanted)


def counts(scans: int, **new: int) -> NDArray[np.intp]:
    """A table of new foci: `n01=3` are three on scan 1 that scan 0 has not."""
    table = np.zeros((scans, scans), dtype=np.intp)
    for name, number in new.items():
        table[int(name[1]), int(name[2])] = number
    return table


@pytest.mark.parametrize(
    ("weeks", "new", "state", "scan", "flare"),
    [
        ((0, 9), {"n01": 1}, ProgressionState.NONE, None, False),
        ((0, 9), {"n01": 2}, ProgressionState.TO_CONFIRM, 1, False),
        ((0, 9, 17), {"n01": 2, "n12": 2}, ProgressionState.PROGRESSION, 1, False),
        ((0, 9, 17), {"n01": 4, "n12": 1}, ProgressionState.NONE, None, True),
        ((0, 9, 12), {"n01": 2, "n12": 5}, ProgressionState.TO_CONFIRM, 1, False),
        ((0, 9, 17, 25), {"n12": 2, "n13": 3}, ProgressionState.PROGRESSION, 2, False),
        ((0, 9, 17, 25), {"n12": 2, "n13": 1}, ProgressionState.NONE, None, False),
        ((0, 9, 17, 25, 33), {"n01": 3, "n13": 2, "n14": 2}, ProgressionState.PROGRESSION, 3, True),
        ((0, 16), {"n01": 2}, ProgressionState.TO_CONFIRM, 1, False),
        ((0, 16, 24), {"n01": 2, "n02": 2}, ProgressionState.PROGRESSION, 1, False),
    ],
)
def test_two_plus_two(
    weeks: tuple[float, ...],
    new: dict[str, int],
    state: ProgressionState,
    scan: int | None,
    flare: bool,
) -> None:
    said = progression(weeks, counts(len(weeks), **new))
    assert (said.state, said.scan, said.flare) == (state, scan, flare)


@pytest.mark.parametrize(
    "weeks", [(0,), (0, 0), (3, 1), (-9, -2, 9), (0, float("nan"), 20), (0, 9, float("inf"))]
)
def test_weeks_increase(weeks: tuple[float, ...]) -> None:
    with pytest.raises(ParameterError):
        progression(weeks, counts(max(2, len(weeks))))
