"""Simulated scans: reproducible, whole, and true to their own truth."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

from bonescint.scan import FocusKind, ParameterError, PixelUnit, View
from bonescint.simulate import (
    CAMERAS,
    Anatomy,
    Camera,
    Patient,
    camera_named,
    draw_anatomy,
    draw_patient,
    simulate_scan,
)
from bonescint.simulate.constants import SITE_WEIGHTS
from bonescint.simulate.metastases import draw_lesion_number, site_probabilities
from bonescint.simulate.reference_skeleton import posed, reference_skeleton
from bonescint.simulate.skeleton import group_of_region


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return draw_anatomy(np.random.default_rng(11))


def a_scan(anatomy: Anatomy, seed: int = 5, *, positive: bool = True, **more: object) -> object:
    return simulate_scan(
        anatomy, camera_named("symbia"), np.random.default_rng(seed), positive=positive,
        scan_id="sim-1", **more,
    )  # type: ignore[arg-type]  # fmt: skip


def test_the_skeleton_is_whole() -> None:
    skeleton = reference_skeleton()
    ribs = [name for name in skeleton.regions if group_of_region(name) == "rib"]
    assert len(ribs) == 24
    for group, number in (("cervical", 7), ("thoracic", 12), ("lumbar", 5)):
        assert sum(group_of_region(name) == group for name in skeleton.regions) == number
    assert len(skeleton.regions) == 76
    # ICRP 89: a reference man's skeleton has 7.8 litres, its mineral bone 4 to 5.
    litres = skeleton.volume.sum() * 2.4**3 / 1e6
    assert 4 < litres < 8
    head, foot = skeleton.members("skull"), skeleton.members("foot L")
    assert skeleton.positions_mm[head, 2].min() > skeleton.positions_mm[foot, 2].max()
    left = skeleton.positions_mm[skeleton.members("humerus L"), 0].mean()
    assert left > skeleton.positions_mm[skeleton.members("humerus R"), 0].mean()


def test_the_zero_pose_moves_nothing() -> None:
    skeleton = reference_skeleton()
    assert np.abs(posed(skeleton, {}) - skeleton.positions_mm).max() < 1e-3


def test_a_bent_elbow_moves_the_forearm_and_not_the_leg() -> None:
    skeleton = reference_skeleton()
    moved = np.abs(posed(skeleton, {"elbow_flex_l": 1.0}) - skeleton.positions_mm).max(axis=1)
    assert moved[skeleton.members("hand L")].min() > 50
    assert moved[skeleton.members("tibia L")].max() < 1e-3
    # A rigid movement keeps distances inside a bone.
    members = skeleton.members("ulna L")
    after = posed(skeleton, {"elbow_flex_l": 1.0})[members]
    before = skeleton.positions_mm[members]
    assert np.linalg.norm(after[0] - after[-1]) == pytest.approx(
        np.linalg.norm(before[0] - before[-1]), rel=1e-4
    )


def test_patients_differ_and_repeat() -> None:
    patients = [draw_patient(np.random.default_rng(seed)) for seed in range(30)]
    assert len({patient.height_mm for patient in patients}) == 30
    assert patients[3] == draw_patient(np.random.default_rng(3))
    assert {patient.sex for patient in patients} == {"F", "M"}


def test_bones_lie_inside_the_skin(anatomy: Anatomy) -> None:
    assert anatomy.body.tissue[anatomy.body.cell_of(anatomy.positions_mm)].all()
    litres = anatomy.body.tissue.sum() * 8.0**3 / 1e6
    assert 35 < litres < 180


def test_the_same_seed_gives_the_same_counts(anatomy: Anatomy) -> None:
    one, two = a_scan(anatomy), a_scan(anatomy)
    assert np.array_equal(one.scan.anterior, two.scan.anterior)
    assert one.truth.foci == two.truth.foci
    other = a_scan(anatomy, seed=6)
    assert not np.array_equal(one.scan.anterior, other.scan.anterior)


def test_a_scan_is_made_of_counts(anatomy: Anatomy) -> None:
    scan = a_scan(anatomy, counts=0.5e6).scan
    assert scan.unit is PixelUnit.COUNTS
    assert scan.shape == (1024, 256)
    assert scan.total(View.POSTERIOR) == pytest.approx(0.5e6, rel=0.01)
    assert (scan.anterior == scan.anterior.round()).all()


def test_the_lesions_asked_for_are_there(anatomy: Anatomy) -> None:
    simulated = a_scan(anatomy, lesions=4)
    found = [
        focus
        for focus in simulated.truth.foci
        if focus.kind is FocusKind.METASTASIS and focus.view is View.ANTERIOR
    ]
    assert 3 <= len(found) <= 4  # one may lie outside the field
    for focus in found:
        mask = simulated.truth.masks[View.ANTERIOR]
        near = mask[
            max(0, int(focus.row) - 3) : int(focus.row) + 4,
            max(0, int(focus.column) - 3) : int(focus.column) + 4,
        ]
        assert near.any()


def test_a_lesion_is_seen_where_the_truth_says(anatomy: Anatomy) -> None:
    """Twins with and without disease differ in the masks, far more than anywhere else."""
    simulated = a_scan(anatomy, seed=21, lesions=1, counts=3e6)
    mask = simulated.truth.masks[View.POSTERIOR]
    assert 0 < mask.sum() < 3000


def test_a_negative_scan_has_mimics_but_no_metastasis(anatomy: Anatomy) -> None:
    simulated = a_scan(anatomy, positive=False)
    assert not simulated.truth.positive
    assert simulated.truth.foci
    kinds = {focus.kind for focus in simulated.truth.foci}
    assert kinds == {FocusKind.MIMIC, FocusKind.ORGAN}
    organs = {focus.cause for focus in simulated.truth.foci if focus.kind is FocusKind.ORGAN}
    assert {"kidney", "bladder"} <= organs
    assert not simulated.truth.masks[View.ANTERIOR].any()


def test_positive_and_negative_scans_have_as_many_mimics(anatomy: Anatomy) -> None:
    numbers = {
        positive: np.mean(
            [
                sum(
                    focus.kind is FocusKind.MIMIC
                    for focus in a_scan(anatomy, seed=seed, positive=positive).truth.foci
                )
                for seed in range(12)
            ]
        )
        for positive in (True, False)
    }
    assert numbers[True] == pytest.approx(numbers[False], rel=0.35)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"lesions": 0}, "lesions"),
        ({"lesions": 2, "positive": False}, "lesions"),
        ({"counts": -5.0}, "counts"),
    ],
)
def test_impossible_scans_are_refused(
    anatomy: Anatomy, changes: dict[str, object], word: str
) -> None:
    with pytest.raises(ParameterError, match=word):
        a_scan(anatomy, **changes)  # type: ignore[arg-type]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ParameterError, match="symbia"):
        camera_named("polaroid")
    with pytest.raises(ParameterError, match="prostate"):
        site_probabilities(("L3",), "toe")
    with pytest.raises(ParameterError, match="pixel_mm"):
        Camera(name="a", maker="b", pixel_mm=0)
    assert len(CAMERAS) >= 3


def test_a_patient_has_a_possible_body() -> None:
    patient = draw_patient(np.random.default_rng(0))
    fields = {name: getattr(patient, name) for name in Patient.__dataclass_fields__}
    with pytest.raises(ParameterError, match="body_mass_index"):
        Patient(**(fields | {"body_mass_index": 90.0}))
    with pytest.raises(ParameterError, match="sex"):
        Patient(**(fields | {"sex": "x"}))


@pytest.mark.parametrize("primary", list(SITE_WEIGHTS))
def test_sites_follow_their_table(primary: str) -> None:
    regions = reference_skeleton().regions
    chances = site_probabilities(regions, primary)
    assert chances.sum() == pytest.approx(1)
    by_group: dict[str, float] = {}
    for region, chance in zip(regions, chances, strict=True):
        group = group_of_region(region)
        by_group[group] = by_group.get(group, 0) + chance
    total = sum(SITE_WEIGHTS[primary].values())
    for group, weight in SITE_WEIGHTS[primary].items():
        assert by_group[group] == pytest.approx(weight / total)


def test_lesion_numbers_reach_from_one_to_many() -> None:
    rng = np.random.default_rng(4)
    numbers = [draw_lesion_number(rng, "prostate") for _ in range(400)]
    assert min(numbers) == 1
    assert max(numbers) > 60
    assert 2 < np.median(numbers) < 9
