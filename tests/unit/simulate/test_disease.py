"""The disease of a population: possible values only, the same in every process."""

from __future__ import annotations

import pickle

import pytest

from bonescint.scan import ParameterError
from bonescint.simulate.population import PRIMARIES, Disease


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("radius_median_mm", 0.5),
        ("radius_sd", -0.1),
        ("contrast_median", 0.0),
        ("contrast_sd", float("nan")),
        ("patient_contrast_sd", 3.0),
        ("solitary_share", 1.01),
        ("mean_number", 1.0),
        ("cold_share", -0.2),
        ("mixed_share", "much"),
        ("visible_contrast_to_noise", -1.0),
        ("superscan_share", {"toe": 0.1}),
        ("superscan_share", {"breast": 1.5}),
        ("superscan_share", 0.1),
    ],
)
def test_an_impossible_value_is_named(name: str, value: object) -> None:
    with pytest.raises(ParameterError, match=name):
        Disease(**{name: value})  # type: ignore[arg-type]


def test_cold_and_mixed_lesions_are_at_most_all() -> None:
    assert Disease(cold_share=0.5, mixed_share=0.5).mixed_share == 0.5
    with pytest.raises(ParameterError, match="mixed_share"):
        Disease(cold_share=0.6, mixed_share=0.5)


def test_every_primary_has_a_superscan_share_and_others_none() -> None:
    disease = Disease()
    assert all(0 < disease.superscan_share_of(primary) < 0.2 for primary in PRIMARIES)
    assert Disease(superscan_share={}).superscan_share_of("prostate") == 0


def test_it_crosses_to_a_worker_process_unchanged() -> None:
    disease = Disease(contrast_median=2.5, superscan_share={"lung": 0.25})
    assert pickle.loads(pickle.dumps(disease)) == disease  # noqa: S301


def test_its_shares_cannot_be_changed_from_outside() -> None:
    shares = {"breast": 0.1}
    disease = Disease(superscan_share=shares)
    shares["breast"] = 0.9
    assert disease.superscan_share_of("breast") == 0.1
    with pytest.raises(TypeError):
        disease.superscan_share["breast"] = 0.5  # type: ignore[index]
