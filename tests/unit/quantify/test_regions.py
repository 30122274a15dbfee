"""Regions against the simulator's own maps of bones, which know nothing of the atlas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.known_scan import KnownScan, known_scan, with_images

from bonescint.quantify import body_regions, dice_by_region
from bonescint.scan import Scan, UptakeSite, View, mirrored


def mean_dice(scan: Scan, known: KnownScan, view: View) -> float:
    found = body_regions(scan).regions[view]
    return float(np.nanmean(dice_by_region(found, known.regions[view])))


@pytest.mark.parametrize("view", list(View))
def test_regions_lie_where_the_simulator_put_them(known: KnownScan, view: View) -> None:
    assert mean_dice(known.scan, known, view) > 0.8


@pytest.mark.parametrize("view", list(View))
def test_one_view_suffices(known: KnownScan, view: View) -> None:
    scan = with_images(known.scan, {of: image for of, image in known.scan.images() if of is view})
    assert body_regions(scan).bones.keys() == {view}
    assert mean_dice(scan, known, view) > 0.75


def test_without_a_spacing_the_size_is_found(known: KnownScan) -> None:
    scan = replace(known.scan, pixel_spacing_mm=None)
    assert known.scan.pixel_spacing_mm is not None
    found = body_regions(scan).registration
    assert not found.spacing_known
    assert found.pixel_mm[0] == pytest.approx(known.scan.pixel_spacing_mm[0], rel=0.15)
    assert mean_dice(scan, known, View.POSTERIOR) > 0.7


@pytest.mark.parametrize(("first", "last"), [(0.16, 1.0), (0.0, 0.62)], ids=["head", "feet"])
def test_head_or_feet_may_be_cut_off(known: KnownScan, first: float, last: float) -> None:
    rows = np.flatnonzero(known.regions[View.ANTERIOR].any(axis=1))
    height = rows[-1] - rows[0]
    part = slice(int(rows[0] + first * height), int(rows[0] + last * height))
    scan = with_images(known.scan, {view: image[part] for view, image in known.scan.images()})
    for view in View:
        dice = dice_by_region(body_regions(scan).regions[view], known.regions[view][part])
        trunk = dice[[2, 3, 4, 9]]  # thoracic, lumbar, sacrum, pelvis
        assert float(np.nanmean(trunk)) > 0.75


def test_a_missing_leg_leaves_the_rest(known: KnownScan) -> None:
    views: dict[View, NDArray[np.float32]] = {}
    for view, image in known.scan.images():
        laid = np.array(image if view is View.ANTERIOR else mirrored(image))
        middle = laid.shape[1] // 2
        knees = int(np.flatnonzero(known.regions[view] == 12)[0] // laid.shape[1])
        laid[knees - 100 :, middle:] = 0
        views[view] = laid if view is View.ANTERIOR else mirrored(laid)
    found = body_regions(with_images(known.scan, views))
    for view in View:
        dice = dice_by_region(found.regions[view], known.regions[view])
        assert float(np.nanmean(dice[:10])) > 0.75
    (remark,) = found.remarks
    assert "tibia L, foot L should lie: a limb may be missing" in remark


@pytest.mark.parametrize(
    "hard",
    [{"scoliosis_mm": 40.0}, {"sites": (UptakeSite.HIP_PROSTHESIS,)}],
    ids=["scoliosis", "hip prosthesis"],
)
def test_crooked_spines_and_cold_joints_are_laid_right(known: KnownScan, hard: Any) -> None:
    changed = known_scan(**hard)
    found = body_regions(changed.scan)
    assert found.remarks == ()
    for view in View:
        dice = dice_by_region(found.regions[view], changed.regions[view])
        assert float(np.nanmean(dice)) > 0.7
        assert float(np.nanmean(dice[[2, 3, 4, 9, 10]])) > 0.78  # trunk and femora


def pair(known: KnownScan) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    front, back = known.scan.anterior, known.scan.posterior
    assert front is not None
    assert back is not None
    return front, back


def remarks_on(known: KnownScan, **images: NDArray[np.float32]) -> tuple[str, ...]:
    """Remarks on views under other labels, or changed."""
    views = {View(name): image for name, image in images.items()}
    return body_regions(with_images(known.scan, views)).remarks


def test_right_labels_are_not_doubted(known: KnownScan) -> None:
    front, back = pair(known)
    assert remarks_on(known, anterior=front, posterior=back) == ()
    assert remarks_on(known, anterior=front) == remarks_on(known, posterior=back) == ()


def test_swapped_views_are_doubted(known: KnownScan) -> None:
    front, back = pair(known)
    (remark,) = remarks_on(known, anterior=back, posterior=front)
    assert remark.startswith("The views look swapped")
    (remark,) = remarks_on(known, anterior=back)
    assert remark.startswith("The view labelled anterior looks like a posterior one")
    (remark,) = remarks_on(known, posterior=front)
    assert remark.startswith("The view labelled posterior looks like an anterior one")


@pytest.mark.parametrize("view", list(View))
def test_one_mirrored_view_is_doubted(known: KnownScan, view: View) -> None:
    images = {of.value: image for of, image in known.scan.images()}
    images[view.value] = mirrored(images[view.value])
    (remark,) = remarks_on(known, **images)
    assert "one of them looks mirrored" in remark


def test_both_mirrored_cannot_be_told(known: KnownScan) -> None:
    """A skeleton is its own mirror image: docs/quantify.md says so."""
    images = {of.value: mirrored(image) for of, image in known.scan.images()}
    assert remarks_on(known, **images) == ()


def test_noise_is_no_body(known: KnownScan) -> None:
    rng = np.random.default_rng(1)
    noise = rng.poisson(3.0, known.scan.shape).astype(np.float32)
    found = body_regions(replace(known.scan, anterior=noise, posterior=noise))
    assert set(found.registration.poor) == set(View)
    assert any("not found well" in remark for remark in found.remarks)


def test_dice_of_a_region_that_is_not_there_is_nan() -> None:
    nothing = np.zeros((2, 2), np.uint8)
    assert np.isnan(dice_by_region(nothing, nothing)).all()
