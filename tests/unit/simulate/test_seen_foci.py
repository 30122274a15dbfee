"""Masks of single foci, of metastases and of mimics; what was drawn, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

from bonescint.scan import FocusKind, ParameterError, UptakeSite, View
from bonescint.simulate import Anatomy, SimulatedScan, camera_named, draw_anatomy, simulate_scan
from bonescint.simulate.faults import FaultKind, HeadFaults, Stripe
from bonescint.simulate.focal import soft_focus
from bonescint.simulate.seen_foci import joined_masks, seen_foci
from bonescint.simulate.simulated_scan import as_json

CAMERA = replace(camera_named("ecam"), motion_share=0.0)
FAULTLESS = dict.fromkeys(View, HeadFaults())


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return draw_anatomy(np.random.default_rng(11))


def a_scan(anatomy: Anatomy, **more: object) -> SimulatedScan:
    given: dict[str, object] = {"lesions": 6, "positive": True, "faults": FAULTLESS} | more
    return simulate_scan(anatomy, CAMERA, np.random.default_rng(7), scan_id="sim-1", **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def simulated(anatomy: Anatomy) -> SimulatedScan:
    return a_scan(anatomy)


def test_every_focus_has_its_mask(simulated: SimulatedScan) -> None:
    foci, masks = simulated.truth.foci, simulated.focus_masks
    assert len(foci) == len(masks)
    joined = {kind: {view: np.zeros((1024, 256), bool) for view in View} for kind in FocusKind}
    for focus, mask in zip(foci, masks, strict=True):
        assert mask.mask.any()
        rows, columns = mask.window
        assert rows.start <= focus.row <= rows.stop
        assert columns.start <= focus.column <= columns.stop
        joined[focus.kind][focus.view][mask.window] |= mask.mask
    for view in View:
        assert np.array_equal(joined[FocusKind.METASTASIS][view], simulated.truth.masks[view])
        assert np.array_equal(joined[FocusKind.MIMIC][view], simulated.mimic_masks[view])
        assert np.array_equal(joined[FocusKind.ORGAN][view], simulated.organ_masks[view])
        assert simulated.mimic_masks[view].any()
        assert simulated.organ_masks[view].any()


def test_a_focus_is_measured_as_it_is(anatomy: Anatomy, simulated: SimulatedScan) -> None:
    """An isolated spot on a flat mean: its place, its mask's edge, its contrast to noise."""
    projector = simulated.projector
    centre = anatomy.landmarks.centre("L3")
    spot = soft_focus(
        cause=UptakeSite.OTHER, region="L3", centre_mm=centre, radii_mm=np.full(3, 9.0, np.float32),
        concentration=3.0,
    )  # fmt: skip
    means = {view: np.full((1024, 256), 4.0, np.float32) for view in View}
    per_photon = {view: np.full((1, 256), 0.5, np.float32) for view in View}
    found = seen_foci(projector, [spot], means, per_photon)
    assert [item.focus.view for item in found] == list(View)
    for item, part in zip(
        found, projector.project(spot.positions_mm, spot.activity).values(), strict=True
    ):
        view = item.focus.view
        image = np.zeros((1024, 256))
        image[part.window] = part.image
        mask = image > 0.4 * image.max()
        assert np.array_equal(joined_masks([item], means, kind=FocusKind.MIMIC)[view], mask)
        expected = 0.5 * image[mask].sum() / np.sqrt(4.0 * mask.sum())
        assert item.focus.contrast_to_noise == pytest.approx(expected, rel=1e-4)
        row = (projector.top_mm - centre[2]) / CAMERA.pixel_mm - 0.5
        assert item.focus.row == pytest.approx(row, abs=0.7)


def test_what_the_field_does_not_have_is_not_listed(
    anatomy: Anatomy, simulated: SimulatedScan
) -> None:
    spot = soft_focus(
        cause=UptakeSite.OTHER, region="L3", centre_mm=anatomy.landmarks.centre("L3"),
        radii_mm=np.full(3, 9.0, np.float32), concentration=3.0,
    )  # fmt: skip
    means = {view: np.full((1024, 256), 4.0, np.float32) for view in View}
    blind = {
        View.ANTERIOR: np.zeros((1, 256), np.float32),
        View.POSTERIOR: np.ones((1, 256), np.float32),
    }
    found = seen_foci(simulated.projector, [spot], means, blind)
    assert [item.focus.view for item in found] == [View.POSTERIOR]


def test_a_seam_changes_its_columns_of_the_scan_and_no_others(
    anatomy: Anatomy, simulated: SimulatedScan
) -> None:
    seam = Stripe(kind=FaultKind.SEAM, centre_mm=1.2, width_mm=2.0, loss=0.25)
    faults = {View.ANTERIOR: HeadFaults(stripes=(seam,)), View.POSTERIOR: HeadFaults()}
    # Counts are drawn after the tracer: the same ones, as faults are given both times.
    torn = a_scan(anatomy, faults=faults)
    ratio = torn.means[View.ANTERIOR][:, 128] / simulated.means[View.ANTERIOR][:, 128]
    assert ratio == pytest.approx(0.75, rel=1e-4)
    others = np.delete(np.arange(256), 128)
    for view in View:
        before, after = simulated.means[view], torn.means[view]
        assert np.array_equal(before[:, others], after[:, others])
    assert np.array_equal(simulated.means[View.POSTERIOR], torn.means[View.POSTERIOR])


def test_the_scan_says_its_window_and_shows_only_its_field(simulated: SimulatedScan) -> None:
    window = simulated.scan.acquisition.energy_window_kev
    assert window == pytest.approx((140.5 * 0.9, 140.5 * 1.1))
    assert simulated.scan.acquisition.camera == "simulated ecam"
    outside = np.abs(np.arange(256) + 0.5 - 128) * CAMERA.pixel_mm > 533 / 2
    for view in View:
        image = simulated.scan.view(view)
        assert image is not None
        assert image[:, outside].sum() == 0
        assert image[:, ~outside].sum() > 0


def test_mean_counts_are_proportional_to_time(anatomy: Anatomy) -> None:
    slow, fast = (
        simulate_scan(
            anatomy, replace(CAMERA, scan_speed_cm_per_min=speed), np.random.default_rng(7),
            positive=False, scan_id="x", faults=FAULTLESS, exposure=exposure,
        )
        for speed, exposure in ((10.0, 1.0), (25.0, 2.0))
    )  # fmt: skip
    for view in View:
        assert slow.means[view] == pytest.approx(fast.means[view] * 2.5 / 2.0, rel=1e-4)
    with pytest.raises(ParameterError, match="exposure"):
        a_scan(anatomy, exposure=0.0)


def test_parameters_go_through_json(anatomy: Anatomy, simulated: SimulatedScan) -> None:
    stored = json.loads(json.dumps(simulated.parameters, allow_nan=False))
    assert stored == simulated.parameters
    assert stored["patient"]["age"] == anatomy.patient.age
    assert stored["patient"]["arms"] == [asdict(arm) for arm in anatomy.patient.arms]
    assert stored["camera"] == asdict(CAMERA)
    assert stored["counts"] == pytest.approx(float(simulated.means[View.POSTERIOR].sum()), rel=1e-4)
    listed = {
        (focus.cause, focus.region, focus.radius_mm)
        for focus in simulated.truth.foci
        if focus.kind is FocusKind.METASTASIS
    }
    drawn = {(m["cause"], m["region"], m["radius_mm"]) for m in stored["metastases"]}
    assert listed <= drawn
    assert len(stored["metastases"]) == 6
    assert stored["organs"]
    assert all(item["contrast"] >= 0 for item in stored["mimics"])
    assert set(stored["bone_uptake"]) == set(anatomy.skeleton.regions)
    with pytest.raises(TypeError, match="ndarray"):
        as_json({"image": np.zeros(3)})
