"""Benign uptake on request: it is there, and nothing else about the patient changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

from bonescint.scan import FocusKind, ParameterError, UptakeSite
from bonescint.simulate import (
    Anatomy,
    Population,
    RequestedUptake,
    SimulatedScan,
    build_anatomy,
    camera_named,
    can_have,
    draw_patient,
    simulate_scan,
)
from bonescint.simulate.requested import with_requested

BENIGN = [
    site
    for site in UptakeSite
    if site not in (UptakeSite.METASTASIS, UptakeSite.DIFFUSE_METASTASES, UptakeSite.OTHER)
]


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    rng = np.random.default_rng(3)
    population = Population(female_share=1.0, anatomy=2)
    return build_anatomy(draw_patient(rng, population, primary="breast"), rng)


def scanned(
    anatomy: Anatomy, requested: RequestedUptake | None, *, seed: int = 4, lesions: int = 0
) -> SimulatedScan:
    return simulate_scan(
        anatomy,
        camera_named("symbia"),
        np.random.default_rng(seed),
        positive=lesions > 0,
        lesions=lesions,
        scan_id="asked",
        requested=requested,
    )


def causes(scan: SimulatedScan) -> set[str]:
    drawn = [*scan.parameters["mimics"], *scan.parameters["organs"], *scan.parameters["worn"]]
    return {one["cause"] for one in drawn}


def test_an_empty_request_changes_no_count(anatomy: Anatomy) -> None:
    plain, asked = scanned(anatomy, None), scanned(anatomy, RequestedUptake())
    np.testing.assert_array_equal(plain.scan.anterior, asked.scan.anterior)
    np.testing.assert_array_equal(plain.scan.posterior, asked.scan.posterior)


@pytest.mark.parametrize("site", BENIGN)
def test_every_site_of_the_list_can_be_requested(anatomy: Anatomy, site: UptakeSite) -> None:
    """From nothing drawn at all, so that chance cannot have brought it."""
    normal = anatomy.skeleton.volume * np.float32(0.9)
    mimics, organs, worn = with_requested(
        RequestedUptake(sites=(site,)),
        anatomy,
        normal,
        np.random.default_rng(5),
        mimics=[],
        organs=[],
        worn=[],
    )
    assert site in {one.cause for one in [*mimics, *organs, *worn]}


def test_several_requests_at_once_leave_patient_and_metastases_as_they_are(
    anatomy: Anatomy,
) -> None:
    sites = (UptakeSite.HIP_PROSTHESIS, UptakeSite.URINE_BAG, UptakeSite.PACEMAKER)
    plain = scanned(anatomy, None, lesions=3)
    asked = scanned(anatomy, RequestedUptake(sites=sites), lesions=3)
    assert {*sites, UptakeSite.CATHETER} <= causes(asked)
    assert causes(plain) <= causes(asked)
    for name in ("patient", "metastases", "bone_uptake", "counts", "top_mm"):
        assert plain.parameters[name] == asked.parameters[name]


def test_other_mimics_can_be_left_out_and_organs_stay(anatomy: Anatomy) -> None:
    plain = scanned(anatomy, None)
    asked = scanned(anatomy, RequestedUptake(sites=(UptakeSite.RIB_FRACTURE,), others=0.0))
    mimics = {focus.cause for focus in asked.truth.foci if focus.kind is FocusKind.MIMIC}
    organs = {focus.cause for focus in plain.truth.foci if focus.kind is FocusKind.ORGAN}
    assert mimics == {"rib fracture"}
    assert organs <= {focus.cause for focus in asked.truth.foci}
    assert len({f.cause for f in plain.truth.foci if f.kind is FocusKind.MIMIC}) > 1


def test_the_same_generator_state_gives_the_same_counts(anatomy: Anatomy) -> None:
    requested = RequestedUptake(sites=(UptakeSite.PAGET,))
    one, again = (scanned(anatomy, requested) for _ in range(2))
    np.testing.assert_array_equal(one.scan.posterior, again.scan.posterior)


def test_what_a_patient_cannot_have_is_refused(anatomy: Anatomy) -> None:
    man = replace(anatomy.patient, sex="M")
    impossible = {site for site in BENIGN if not can_have(man, site)}
    assert impossible == {
        UptakeSite.BREAST, UptakeSite.BREAST_PROSTHESIS, UptakeSite.BRA_WIRE, UptakeSite.BRA_CLASP
    }  # fmt: skip
    asked = RequestedUptake(sites=(UptakeSite.BRA_WIRE,))
    with pytest.raises(ParameterError, match="bra wire"):
        scanned(replace(anatomy, patient=man), asked)
    with pytest.raises(ParameterError, match="'sites' parameter"):
        RequestedUptake(sites=(UptakeSite.METASTASIS,))
    with pytest.raises(ParameterError, match="'others' parameter"):
        RequestedUptake(others=1.5)
