"""Versions of the simulated body: version 1 stays as it was, version 2 has other proportions."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from bonescint.scan import ParameterError
from bonescint.simulate import build_anatomy, camera_named, draw_anatomy, simulate_scan
from bonescint.simulate.anatomy_model import ANATOMIES, Proportions, anatomy_model
from bonescint.simulate.patient import draw_patient
from bonescint.simulate.population import Population
from bonescint.simulate.posture import reproportioned
from bonescint.simulate.reference_skeleton import posed, reference_skeleton
from bonescint.simulate.skeleton import Landmarks
from bonescint.simulate.uptake import bone_levels, inside_bone, organ_level, tissue_levels

AS_IT_IS = Proportions(
    heights_mm=((0, 0), (3000, 3000)),
    arm_length=1.0,
    shoulder_width=1.0,
    pelvis_width=1.0,
    pelvis_tilt=(0.0, 0.0),
    shoulder_drop_mm=(0.0, 0.0),
    segment_sd=0.0,
    rib_slope_mm=(0.0, 0.0),
    bend=1.0,
    head_tilt=1.0,
    bladder_rise_mm=0.0,
)
MEAN_PATIENT = replace(
    draw_patient(np.random.default_rng(1), Population()), segment_scales=(1.0, 1.0)
)


def table_of(name: str) -> np.ndarray:
    text = resources.files("bonescint.simulate").joinpath("uptake_levels.json").read_text("utf-8")
    return np.array(json.loads(text)[name])


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(ParameterError, match="one of 1, 2"):
        anatomy_model(3)
    with pytest.raises(ParameterError, match="anatomy"):
        Population(anatomy=0)
    with pytest.raises(ParameterError, match="anatomy"):
        Population(anatomy=True)


def test_version_1_draws_what_it_drew() -> None:
    """Version 2 draws after version 1's draws, so that version 1 stays byte by byte the same."""
    one, two = (
        draw_patient(np.random.default_rng(5), Population(anatomy=version)) for version in (1, 2)
    )
    assert (one.anatomy, one.pelvis_tilt, one.shoulder_drop_mm) == (1, 0.0, 0.0)
    assert (one.sex, one.age, one.height_mm, one.breathing_mm) == (
        two.sex, two.age, two.height_mm, two.breathing_mm,
    )  # fmt: skip
    assert two.shoulder_width == pytest.approx(0.96 * one.shoulder_width)
    assert two.pelvis_width == pytest.approx(1.04 * one.pelvis_width)


def test_both_sides_lie_alike_in_version_2() -> None:
    rng = np.random.default_rng(1)
    habits = ANATOMIES[2].limbs
    assert habits is not None
    patients = [draw_patient(rng, Population(anatomy=2)) for _ in range(600)]
    left, right = (
        np.array([patient.legs[side].rotation for patient in patients]) for side in (0, 1)
    )
    angle = habits.leg_rotation
    # Standard deviations of a shared and an own part: their squares add up.
    assert left.std() == pytest.approx(np.hypot(angle.sd, angle.own_sd), rel=0.09)
    assert (left - right).std() == pytest.approx(np.sqrt(2) * angle.own_sd, rel=0.09)
    assert left.mean() == pytest.approx(angle.mean, abs=3 * left.std() / np.sqrt(600))


def test_proportions_that_change_nothing_change_nothing() -> None:
    skeleton = reference_skeleton()
    positions = posed(skeleton, {})
    same = reproportioned(skeleton, positions, AS_IT_IS, MEAN_PATIENT)
    np.testing.assert_allclose(same, positions, atol=0.01)


def test_heights_arms_and_shoulders_move_as_stated() -> None:
    skeleton = reference_skeleton()
    before = posed(skeleton, {})
    crown = before[skeleton.span("skull"), 2].max()
    longer = replace(AS_IT_IS, heights_mm=((0, 0), (1000, 1100), (3000, 3100)), arm_length=0.9)
    lower = replace(MEAN_PATIENT, shoulder_drop_mm=20.0, segment_scales=(1.0, 1.0, 1.0))
    after = reproportioned(skeleton, before, longer, lower)
    tibia, chest, arm = (skeleton.span(name) for name in ("tibia L", "T8", "humerus L"))
    np.testing.assert_allclose(before[tibia, 2] - after[tibia, 2], 100, atol=0.01)
    below = crown - before[chest, 2]
    np.testing.assert_allclose(crown - after[chest, 2], 1.1 * below, atol=0.01)
    length = np.ptp(before[arm, 2])
    assert np.ptp(after[arm, 2]) == pytest.approx(0.9 * length, abs=0.01)
    shoulder = max(before[skeleton.span(f"humerus {side}"), 2].max() for side in "LR")
    assert crown - after[arm, 2].max() == pytest.approx(
        1.1 * (crown - shoulder) + 20 + 0.9 * (shoulder - before[arm, 2].max()), abs=0.01
    )


def test_segments_are_as_long_as_the_patient_has_them() -> None:
    """A thorax of 1.2 times its length, arms of 0.8 times theirs, ribs that slope down."""
    skeleton = reference_skeleton()
    before = posed(skeleton, {})
    crown = before[skeleton.span("skull"), 2].max()
    parts = replace(AS_IT_IS, heights_mm=((0, 0), (300, 300), (600, 600), (3000, 3000)))
    own = replace(MEAN_PATIENT, segment_scales=(1.0, 1.2, 1.0, 0.8), rib_slope_mm=15.0)
    after = reproportioned(skeleton, before, parts, own)
    tibia, chest, arm, rib = (
        skeleton.span(name) for name in ("tibia L", "T8", "humerus L", "rib06 L")
    )
    np.testing.assert_allclose(before[tibia, 2] - after[tibia, 2], 0.2 * 300, atol=0.01)
    below = crown - before[chest, 2]
    np.testing.assert_allclose(crown - after[chest, 2], 300 + 1.2 * (below - 300), atol=0.01)
    assert np.ptp(after[arm, 2]) == pytest.approx(0.8 * np.ptp(before[arm, 2]), abs=0.01)
    level = crown - (300 + 1.2 * (crown - before[rib, 2] - 300))
    np.testing.assert_allclose(level - after[rib, 2], 15 * skeleton.front[rib], atol=0.01)


def test_a_long_head_is_a_wide_one() -> None:
    skeleton = reference_skeleton()
    before = posed(skeleton, {})
    skull = skeleton.span("skull")
    after = reproportioned(
        skeleton, before, AS_IT_IS, replace(MEAN_PATIENT, segment_scales=(1.1, 1.0))
    )
    for axis in (0, 2):
        assert np.ptp(after[skull, axis]) == pytest.approx(1.1 * np.ptp(before[skull, axis]))


def test_the_pelvis_turns_about_the_hips_and_the_legs_stay() -> None:
    skeleton = reference_skeleton()
    before = posed(skeleton, {})
    after = reproportioned(skeleton, before, AS_IT_IS, replace(MEAN_PATIENT, pelvis_tilt=0.2))
    femur, pelvis = skeleton.span("femur L"), skeleton.span("pelvis L")
    np.testing.assert_allclose(after[femur], before[femur], atol=0.01)
    spans = [skeleton.span(f"femur {side}") for side in "LR"]
    heads = [before[span][skeleton.along[span] > 0.95].mean(axis=0) for span in spans]
    hip = np.mean(heads, axis=0)
    old, new = (cloud[pelvis][:, 1:] - hip[1:] for cloud in (before, after))
    np.testing.assert_allclose(
        np.hypot(*new.T), np.hypot(*old.T), atol=0.02, err_msg="distances from the hip axis"
    )
    turned = np.angle((new[:, 0] + 1j * new[:, 1]) / (old[:, 0] + 1j * old[:, 1]))
    np.testing.assert_allclose(turned[np.hypot(*old.T) > 20], 0.2, atol=0.002)


def test_the_table_is_read_linearly_between_its_nodes() -> None:
    skeleton = reference_skeleton()
    along = skeleton.along[skeleton.span("tibia R")]
    ramp = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(inside_bone(skeleton, "tibia R", ramp), 1 + 2 * along, atol=1e-5)
    ranks = np.arange(1.0, 4.0).reshape(1, 1, 1, 3)
    for region, wanted in (("rib01 L", 1.0), ("rib12 R", 3.0), ("T12", 3.0), ("L3", 2.0)):
        np.testing.assert_allclose(inside_bone(skeleton, region, ranks), wanted, atol=1e-5)
    table = table_of("patella")
    np.testing.assert_allclose(bone_levels(skeleton)[skeleton.span("patella L")], table.item())


def test_soft_tissue_is_read_between_landmarks() -> None:
    patient = draw_patient(np.random.default_rng(2), Population(anatomy=2))
    anatomy = build_anatomy(patient, np.random.default_rng(2))
    marks = Landmarks(anatomy.skeleton, anatomy.positions_mm)
    table = table_of("tissue")
    x = np.array([0.0, 50.0, -190.0], np.float32)
    knee = np.array([marks.bottom("femur L")[2]], np.float32)
    levels = tissue_levels(marks, x, knee)[:, 0, 0]
    wanted = (table[2, 0], (table[2, 0] + table[2, 1]) / 2, table[2, 2])
    np.testing.assert_allclose(levels, wanted, rtol=1e-3)
    assert organ_level("bladder") == table_of("bladder").item()
    assert organ_level("liver") == 1.0


def test_a_scan_of_version_2_is_made_again_from_its_seed() -> None:
    def counts() -> np.ndarray:
        rng = np.random.default_rng(11)
        anatomy = draw_anatomy(rng, Population(anatomy=2))
        scan = simulate_scan(
            anatomy, camera_named("infinia"), rng, positive=True, lesions=2, scan_id="s"
        ).scan
        assert scan.anterior is not None
        return scan.anterior

    first = counts()
    assert first.sum() > 1e5
    np.testing.assert_array_equal(first, counts())
