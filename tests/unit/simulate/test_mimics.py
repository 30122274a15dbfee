"""What is no metastasis: in its bone, of its shape, as often as stated."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

from bonescint.scan import FocusKind
from bonescint.simulate import Anatomy, draw_anatomy
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.mimics import draw_mimics
from bonescint.simulate.organs import draw_organs

SCANS = 300


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    drawn = draw_anatomy(np.random.default_rng(12))
    return replace(drawn, patient=replace(drawn.patient, age=70.0, sex="F"))


@pytest.fixture(scope="module")
def scans(anatomy: Anatomy) -> list[list[FocalUptake]]:
    normal = anatomy.skeleton.volume * np.float32(0.9)
    return [draw_mimics(anatomy, normal, np.random.default_rng(seed)) for seed in range(SCANS)]


@pytest.fixture(scope="module")
def organs(anatomy: Anatomy) -> list[list[FocalUptake]]:
    return [draw_organs(anatomy, np.random.default_rng(seed)) for seed in range(SCANS)]


def middle(focus: FocalUptake) -> np.ndarray:
    weight = np.abs(focus.activity)
    return np.asarray((focus.positions_mm * weight[:, None]).sum(axis=0) / weight.sum())


def of_cause(scans: list[list[FocalUptake]], cause: str) -> list[list[FocalUptake]]:
    found = [[focus for focus in scan if focus.cause == cause] for scan in scans]
    return [foci for foci in found if foci]


def test_none_is_a_metastasis_and_all_kinds_occur(scans: list[list[FocalUptake]]) -> None:
    assert all(focus.kind is FocusKind.MIMIC for scan in scans for focus in scan)
    causes = Counter(focus.cause for scan in scans for focus in scan)
    assert {
        "rib fracture", "limb fracture", "compression fracture", "sacral insufficiency fracture",
        "Paget's disease", "hip prosthesis", "knee prosthesis", "around prosthesis", "dental",
        "facet or osteophyte", "sinus", "trochanter",
    } <= set(causes)  # fmt: skip


def test_a_sacral_fracture_with_both_wings_is_an_h(
    anatomy: Anatomy, scans: list[list[FocalUptake]]
) -> None:
    whole = [foci for foci in of_cause(scans, "sacral insufficiency fracture") if len(foci) == 3]
    assert whole
    axis = float(anatomy.landmarks.centre("sacrum")[0])
    for left, right, bar in whole:
        assert middle(left)[0] < axis - 8
        assert middle(right)[0] > axis + 8
        assert abs(middle(bar)[0] - axis) < 6
        across = np.ptp(bar.positions_mm[bar.activity > 0.5 * bar.activity.max(), 0])
        assert across > 1.3 * np.ptp(
            left.positions_mm[left.activity > 0.5 * left.activity.max(), 0]
        )


def test_a_compressed_vertebra_shows_a_flat_band(scans: list[list[FocalUptake]]) -> None:
    for (band,) in of_cause(scans, "compression fracture"):
        weight = band.activity / band.activity.sum()
        spread = np.sqrt((weight[:, None] * (band.positions_mm - middle(band)) ** 2).sum(axis=0))
        assert spread[0] > 1.5 * spread[2]


def test_rib_fractures_in_a_row_are_on_neighbouring_ribs(scans: list[list[FocalUptake]]) -> None:
    # A single one elsewhere may come on top: four are at least three in a row.
    rows = [foci for foci in of_cause(scans, "rib fracture") if len(foci) >= 4]
    assert rows
    for foci in rows:
        numbers = [int(focus.region[3:5]) for focus in foci]
        assert sum(b - a == 1 for a, b in pairwise(numbers)) >= 2


def test_prostheses_are_cold_and_their_rims_hot(scans: list[list[FocalUptake]]) -> None:
    for cause in ("hip prosthesis", "knee prosthesis", "shoulder prosthesis"):
        assert all(f.activity.sum() < 0 for foci in of_cause(scans, cause) for f in foci)
    assert all(
        focus.activity.sum() > 0 for foci in of_cause(scans, "around prosthesis") for focus in foci
    )


def test_pagets_disease_fills_most_of_its_bone(
    anatomy: Anatomy, scans: list[list[FocalUptake]]
) -> None:
    for (focus,) in of_cause(scans, "Paget's disease"):
        assert len(focus.positions_mm) > 0.35 * len(anatomy.skeleton.members(focus.region))


def test_a_catheter_runs_from_the_bladder_to_its_bag(
    anatomy: Anatomy, organs: list[list[FocalUptake]]
) -> None:
    with_bag = [scan for scan in organs if any(focus.cause == "urine bag" for focus in scan)]
    # 5 % of 300: within four standard deviations.
    assert 1 <= len(with_bag) <= 31
    for scan in with_bag:
        bladder = next(focus for focus in scan if focus.cause == "bladder")
        bag = next(focus for focus in scan if focus.cause == "urine bag")
        tube = np.concatenate([f.positions_mm for f in scan if f.cause == "catheter"])
        for organ in (bladder, bag):
            gap = np.linalg.norm(tube - middle(organ), axis=1).min()
            assert gap < 60


def test_kidneys_may_be_missing_or_obstructed(organs: list[list[FocalUptake]]) -> None:
    kidneys = np.array([sum(focus.cause == "kidney" for focus in scan) for scan in organs])
    assert set(kidneys) == {1, 2}
    assert (kidneys == 1).mean() == pytest.approx(0.04, abs=0.045)
    obstructed = len(of_cause(organs, "hydronephrosis")) / SCANS
    assert obstructed == pytest.approx(0.07, abs=0.06)


def test_injection_sites_lie_on_the_arms(anatomy: Anatomy, organs: list[list[FocalUptake]]) -> None:
    shown = of_cause(organs, "injection site")
    assert len(shown) / SCANS == pytest.approx(0.24, abs=0.10)
    bones = [f"{bone} {side}" for bone in ("humerus", "radius", "ulna", "hand") for side in "LR"]
    arms = np.concatenate([anatomy.positions_mm[anatomy.skeleton.members(b)] for b in bones])
    for foci in shown:
        distance = np.sqrt(((arms - middle(foci[0])) ** 2).sum(axis=1)).min()
        assert distance < 45  # a vein under the skin of the arm
