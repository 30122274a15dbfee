"""A body that weighs what it should and has a human outline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

from bonescint.scan import UptakeSite
from bonescint.simulate import Anatomy, build_anatomy, draw_patient
from bonescint.simulate.constants import CELL_MM
from bonescint.simulate.focal import soft_tube, tube_samples
from bonescint.simulate.uptake import normal_uptake


def a_body(sex: str, body_mass_index: float, age: float = 60.0) -> Anatomy:
    rng = np.random.default_rng(3)
    patient = draw_patient(rng)
    while patient.sex != sex:
        patient = draw_patient(rng)
    return build_anatomy(replace(patient, body_mass_index=body_mass_index, age=age), rng)


@pytest.mark.parametrize("sex", ["F", "M"])
@pytest.mark.parametrize("body_mass_index", [19.0, 27.0, 36.0])
def test_it_weighs_what_its_index_says(sex: str, body_mass_index: float) -> None:
    anatomy = a_body(sex, body_mass_index)
    litres = float(anatomy.body.tissue.sum()) * CELL_MM**3 / 1e6
    weight = body_mass_index * (anatomy.patient.height_mm / 1000) ** 2
    # A litre of body weighs about a kilogram (0.97 to 1.05).
    assert litres == pytest.approx(weight, rel=0.13)


def widths_of(anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Height of each level, and the trunk's width there along the midline, in mm."""
    outline = anatomy.body.tissue.any(axis=1)
    middle = outline.shape[0] // 2
    widths = []
    for level in range(outline.shape[1]):
        row = outline[:, level]
        if not row[middle]:
            widths.append(0.0)
            continue
        right = middle + int(np.argmin(row[middle:])) if not row[middle:].all() else len(row)
        left = middle - int(np.argmin(row[middle::-1])) + 1
        widths.append((right - left) * CELL_MM)
    heights = anatomy.body.origin_mm[2] + (np.arange(len(widths)) + 0.5) * CELL_MM
    return heights, np.array(widths)


def test_the_shoulders_slope_to_the_neck() -> None:
    anatomy = a_body("M", 26.0)
    heights, widths = widths_of(anatomy)
    shoulder = float(anatomy.landmarks.top("humerus L")[2])
    chin = float(anatomy.landmarks.centre("C3")[2])
    slope = widths[(heights > shoulder + 10) & (heights < chin)]
    assert (np.diff(slope) <= 0).all()
    assert len(set(slope.tolist())) > 5  # many steps: no box
    assert slope[-1] < 0.5 * slope[0]


def test_a_womans_waist_is_narrower_than_her_hips() -> None:
    anatomy = a_body("F", 22.0)
    tissue, marks = anatomy.body.tissue, anatomy.landmarks
    hip = float(marks.top("femur L")[2])
    waist = float((marks.box("pelvis")[1][2] + marks.box("rib")[0][2]) / 2)

    def volume(height: float) -> float:  # cells of the trunk at a height, without the arms
        level = int((height - anatomy.body.origin_mm[2]) / CELL_MM)
        near = np.abs(anatomy.body.origin_mm[0] + np.arange(tissue.shape[0]) * CELL_MM) < 190
        return float(tissue[near, :, level].sum())

    assert volume(waist) < 0.8 * volume(hip)


def test_the_thighs_part_below_the_trunk() -> None:
    anatomy = a_body("M", 22.0)
    heights, widths = widths_of(anatomy)
    pelvis = float(anatomy.landmarks.box("pelvis")[0][2])
    assert (widths[heights < pelvis - 220] == 0).all()
    assert widths[(heights > pelvis) & (heights < pelvis + 30)].min() > 200


def test_the_knees_bones_meet() -> None:
    anatomy = a_body("F", 25.0)
    for side in "LR":
        femur = anatomy.positions_mm[anatomy.skeleton.span(f"femur {side}"), 2]
        tibia = anatomy.positions_mm[anatomy.skeleton.span(f"tibia {side}"), 2]
        assert np.percentile(femur, 0.5) - np.percentile(tibia, 99.5) < 6


def test_old_bone_takes_up_less() -> None:
    young, old = (
        normal_uptake(anatomy.skeleton, anatomy.patient, np.random.default_rng(1))
        for anatomy in (a_body("F", 25.0, 40.0), a_body("F", 25.0, 80.0))
    )
    skeleton = a_body("F", 25.0).skeleton
    span = skeleton.span("femur L")
    shaft = (skeleton.along[span] > 0.4) & (skeleton.along[span] < 0.6)  # no joint: no wear
    ratio = old[span][shaft] / np.maximum(young[span][shaft], 1e-9)
    assert np.median(ratio) == pytest.approx(np.exp(-0.005 * 40), rel=1e-3)


def test_a_tube_holds_its_volume() -> None:
    corners = np.array([[0.0, 0, 0], [100.0, 0, 0], [100.0, 0, 200.0]], dtype=np.float32)
    points = tube_samples(corners, 2.0)
    assert np.abs(np.diff(points, axis=0)).max() <= 2.0 + 1e-4
    tube = soft_tube(
        cause=UptakeSite.INJECTION_SITE,
        region="arm",
        points_mm=corners,
        radius_mm=3.0,
        concentration=2.0,
    )
    cells = np.pi * 3.0**2 * 300.0 / 2.4**3  # activity counts in cells of bone samples
    assert tube.activity.sum() == pytest.approx(2.0 * cells, rel=0.02)
