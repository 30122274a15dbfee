"""Uptake that differs more than in nature, and tracer in the heart's muscle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonescint.scan import FocusKind, ParameterError, UptakeSite
from bonescint.simulate import draw_anatomy, organs
from bonescint.simulate.constants import BONE_GROUP_UPTAKE_SD, BONE_UPTAKE_SD
from bonescint.simulate.patient import draw_patient
from bonescint.simulate.population import Population
from bonescint.simulate.reference_skeleton import reference_skeleton
from bonescint.simulate.uptake import normal_uptake


def _log_spread(spread: float) -> float:
    """Standard deviation, between patients, of the logarithm of the femora's mean uptake."""
    skeleton = reference_skeleton()
    shaft = skeleton.members("femur L")
    shaft = shaft[(skeleton.along[shaft] > 0.3) & (skeleton.along[shaft] < 0.6)]
    patient = replace(draw_patient(np.random.default_rng(1), Population()), uptake_spread=spread)
    levels = [
        np.log(normal_uptake(skeleton, patient, np.random.default_rng(seed))[shaft].mean())
        for seed in range(60)
    ]
    return float(np.std(levels))


def test_uptake_spreads_as_its_variances_add_up() -> None:
    """Groups by the spread, single bones by its root; the sides' own stay as they are."""
    for spread in (1.0, 4.0):
        group, bone = spread * BONE_GROUP_UPTAKE_SD, spread**0.5 * BONE_UPTAKE_SD
        expected = np.sqrt(group**2 + bone**2 + 0.05**2)
        assert _log_spread(spread) == pytest.approx(expected, rel=0.25)


def test_a_patient_has_a_spread_of_their_own() -> None:
    rng = np.random.default_rng(3)
    drawn = [draw_patient(rng, Population(uptake_spread=3)).uptake_spread for _ in range(200)]
    assert 1 <= min(drawn) < 1.1
    assert 2.9 < max(drawn) <= 3
    assert draw_patient(rng, Population()).uptake_spread == 1
    with pytest.raises(ParameterError, match="uptake_spread"):
        Population(uptake_spread=0.5)


def test_the_heart_takes_up_in_its_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organs, "_AMYLOID_SHARE", {"F": (1.0, 1.0), "M": (1.0, 1.0)})
    anatomy = draw_anatomy(np.random.default_rng(4), Population(anatomy=2))
    found = organs.draw_organs(anatomy, np.random.default_rng(5))
    (heart,) = [organ for organ in found if organ.cause is UptakeSite.HEART]
    assert heart.kind is FocusKind.MIMIC
    middle = heart.positions_mm.mean(axis=0)
    marks = anatomy.landmarks
    assert middle[0] > 15  # on the patient's left
    low, high = marks.box("rib")
    assert low[2] < middle[2] < high[2]
    assert marks.centre("T9")[1] < middle[1] < high[1]
    away = np.linalg.norm(heart.positions_mm - middle, axis=1)
    wall, cavity = (away > 28) & (away < 36), away < 15
    assert heart.activity[cavity].mean() < 0.5 * heart.activity[wall].mean()


def test_hearts_are_as_frequent_as_stated() -> None:
    """Version 1 has none; in version 2 about 4 % of men from 75 years on."""
    population = Population(anatomy=2, female_share=0.0, age_mean=85, age_sd=3)
    anatomy = draw_anatomy(np.random.default_rng(6), population)
    assert anatomy.patient.age >= 75
    hearts = [
        any(organ.cause is UptakeSite.HEART
            for organ in organs.draw_organs(anatomy, np.random.default_rng(seed)))
        for seed in range(800)
    ]  # fmt: skip
    assert np.mean(hearts) == pytest.approx(0.04, abs=0.02)
    first = draw_anatomy(np.random.default_rng(6), replace(population, anatomy=1))
    for seed in range(100):
        causes = {organ.cause for organ in organs.draw_organs(first, np.random.default_rng(seed))}
        assert UptakeSite.HEART not in causes
