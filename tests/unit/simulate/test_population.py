"""Who comes to a centre."""

from __future__ import annotations

import numpy as np
import pytest

from bonescint.scan import ParameterError
from bonescint.simulate.patient import draw_patient
from bonescint.simulate.population import Population


def drawn(population: Population, count: int = 1500) -> list[object]:
    rng = np.random.default_rng(3)
    return [draw_patient(rng, population) for _ in range(count)]


def test_patients_come_as_the_population_says() -> None:
    population = Population(
        female_share=0.3,
        age_mean=60,
        age_sd=5,
        cancer_share=0.5,
        body_mass_index_mean=24,
        primaries_male={"prostate": 0.9, "lung": 0.1},
    )
    patients = drawn(population)
    women = np.array([patient.sex == "F" for patient in patients])
    # Three standard errors of a share, or of a mean.
    assert women.mean() == pytest.approx(0.3, abs=3 * np.sqrt(0.21 / 1500))
    assert np.mean([patient.age for patient in patients]) == pytest.approx(60, abs=0.4)
    index = np.mean([patient.body_mass_index for patient in patients])
    assert index == pytest.approx(24, abs=3 * 3.6 / np.sqrt(1500))
    cancer = np.array([patient.primary != "" for patient in patients])
    assert cancer.mean() == pytest.approx(0.5, abs=3 * np.sqrt(0.25 / 1500))
    men = [patient.primary for patient in patients if patient.sex == "M" and patient.primary]
    assert set(men) == {"prostate", "lung"}
    assert np.mean([name == "prostate" for name in men]) == pytest.approx(0.9, abs=0.045)


def test_a_wanted_tumour_sets_the_sex_where_it_must() -> None:
    rng = np.random.default_rng(1)
    assert {draw_patient(rng, primary="prostate").sex for _ in range(20)} == {"M"}
    assert {draw_patient(rng, primary="breast").sex for _ in range(20)} == {"F"}
    assert {draw_patient(rng, primary="lung").sex for _ in range(40)} == {"F", "M"}
    assert draw_patient(rng, primary="").primary == ""
    with pytest.raises(ParameterError, match="one of breast, lung, other, prostate"):
        draw_patient(rng, primary="liver")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"female_share": 1.2}, "female_share"),
        ({"cancer_share": -0.1}, "cancer_share"),
        ({"age_mean": 5}, "age_mean"),
        ({"age_sd": 0}, "age_sd"),
        ({"body_mass_index_mean": 90}, "body_mass_index_mean"),
        ({"primaries_male": {"prostate": 0.9}}, "sum to 1"),
        ({"primaries_female": {"liver": 1.0}}, "primaries_female"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Population(**change)  # type: ignore[arg-type]
