"""Metastases follow the disease that they were drawn from."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

from bonescint.scan import FocusKind
from bonescint.simulate import Anatomy, draw_anatomy
from bonescint.simulate.constants import EARLY_SITE_FACTORS
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.metastases import (
    SUPERSCAN_FROM,
    draw_lesion_number,
    draw_metastases,
    site_probabilities,
)
from bonescint.simulate.population import Disease
from bonescint.simulate.skeleton import group_of_region

NO_SUPERSCAN: dict[str, float] = {}


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return draw_anatomy(np.random.default_rng(12))


def drawn(anatomy: Anatomy, disease: Disease, number: int = 45, seed: int = 0) -> list[FocalUptake]:
    normal = anatomy.skeleton.volume * np.float32(0.9)
    return draw_metastases(
        anatomy, normal, np.random.default_rng(seed), number=number, primary="breast",
        disease=disease,
    )  # fmt: skip


def test_numbers_have_the_mean_asked_for() -> None:
    rng = np.random.default_rng(1)
    disease = Disease(solitary_share=0.0, mean_number=6.0, superscan_share=NO_SUPERSCAN)
    numbers = np.array([draw_lesion_number(rng, "lung", disease) for _ in range(4000)])
    # One more than a geometric number of mean 5: its variance is 5 * 4.
    assert numbers.mean() == pytest.approx(6.0, abs=4 * np.sqrt(20 / 4000))
    assert numbers.min() == 2


def test_solitary_and_diffuse_disease_have_their_shares() -> None:
    rng = np.random.default_rng(2)
    disease = Disease(solitary_share=0.4, superscan_share={"prostate": 0.3})
    numbers = np.array([draw_lesion_number(rng, "prostate", disease) for _ in range(3000)])
    assert (numbers >= SUPERSCAN_FROM).mean() == pytest.approx(0.3, abs=0.035)
    assert (numbers == 1).mean() == pytest.approx(0.7 * 0.4, abs=0.035)


def test_size_and_contrast_without_spread_are_their_medians(anatomy: Anatomy) -> None:
    disease = Disease(
        radius_median_mm=11.0, radius_sd=0.0, contrast_median=3.0, contrast_sd=0.0,
        patient_contrast_sd=0.0, cold_share=0.0, mixed_share=0.0,
    )  # fmt: skip
    lesions = drawn(anatomy, disease)
    assert len(lesions) > 30
    assert {round(lesion.contrast, 6) for lesion in lesions} == {4.0}
    for lesion in lesions:
        if group_of_region(lesion.region) == "rib":
            assert 1.2 * 11 <= lesion.radius_mm + 1e-6 <= 3.0 * 11
        else:
            assert lesion.radius_mm == pytest.approx(11.0)


def test_the_spread_of_contrasts_is_log_normal(anatomy: Anatomy) -> None:
    disease = Disease(
        contrast_median=2.0, contrast_sd=0.5, patient_contrast_sd=0.0, cold_share=0.0,
        mixed_share=0.0,
    )  # fmt: skip
    logs = np.log(
        [lesion.contrast - 1 for seed in range(8) for lesion in drawn(anatomy, disease, seed=seed)]
    )
    assert np.median(logs) == pytest.approx(np.log(2.0), abs=0.12)
    assert logs.std() == pytest.approx(0.5, abs=0.08)


def test_cold_metastases_take_activity_away(anatomy: Anatomy) -> None:
    lesions = drawn(anatomy, Disease(cold_share=1.0, mixed_share=0.0))
    assert all(lesion.contrast < 1 and (lesion.activity <= 0).all() for lesion in lesions)


def test_mixed_metastases_are_cold_inside_and_hot_around(anatomy: Anatomy) -> None:
    disease = Disease(cold_share=0.0, mixed_share=1.0, radius_median_mm=20.0, radius_sd=0.0)
    large = [lesion for lesion in drawn(anatomy, disease) if "pelvis" in lesion.region]
    assert large
    for lesion in large:
        assert lesion.contrast > 1
        assert lesion.activity.min() < 0 < lesion.activity.max()


def test_a_superscan_is_in_most_bones_of_the_trunk(anatomy: Anatomy) -> None:
    lesions = drawn(anatomy, Disease(), number=SUPERSCAN_FROM)
    diffuse = {lesion.region for lesion in lesions if lesion.cause == "diffuse metastases"}
    trunk = [
        region
        for region in anatomy.skeleton.regions
        if group_of_region(region) in ("lumbar", "thoracic", "rib", "pelvis", "sacrum", "sternum")
    ]
    assert sum(region in diffuse for region in trunk) > 0.7 * len(trunk)
    assert not any(region.startswith(("hand", "foot", "tibia")) for region in diffuse)
    assert all(lesion.kind is FocusKind.METASTASIS for lesion in lesions)


def test_early_disease_lies_elsewhere() -> None:
    regions = ("L3", "rib05 L", "sternum")
    later = site_probabilities(regions, "prostate")
    early = site_probabilities(regions, "prostate", early=True)
    odds = (early / later)[[0, 1]] / (early / later)[2]
    factors = EARLY_SITE_FACTORS["prostate"]
    expected = [factors["lumbar"] / factors["sternum"], factors["rib"] / factors["sternum"]]
    assert odds == pytest.approx(expected)
