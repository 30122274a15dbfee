"""The camera against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bonescint.scan import View
from bonescint.simulate.body import Body
from bonescint.simulate.camera import Camera
from bonescint.simulate.constants import BACKGROUND_SHARE, CELL_MM, MU_PER_MM
from bonescint.simulate.projection import Projector, detected

FWHM = 2.354820045
CAMERA = Camera(name="test", maker="none", rows=256, columns=256, gap_mm=50.0, table_gap_mm=50.0)


DEPTH_MM = 26 * CELL_MM


def water_tank(depth_mm: float = DEPTH_MM) -> Body:
    """A box of water, whole cells deep, in the middle of an empty grid; back at y = -depth/2."""
    nx, nz = 80, 80
    ny = int(320 / CELL_MM)
    origin = np.array([-nx / 2 * CELL_MM, -ny / 2 * CELL_MM, 0], dtype=np.float32)
    y = origin[1] + (np.arange(ny) + 0.5) * CELL_MM
    tissue = np.zeros((nx, ny, nz), dtype=bool)
    tissue[:, np.abs(y) < depth_mm / 2, :] = True
    path = np.cumsum(tissue, axis=1) * CELL_MM
    half = tissue * (CELL_MM / 2)
    return Body(
        origin_mm=origin,
        tissue=tissue,
        uptake=tissue.astype(np.float32),
        survival_front=np.exp(-MU_PER_MM * (path[:, -1:, :] - path + half)).astype(np.float32),
        survival_back=np.exp(-MU_PER_MM * (path - half)).astype(np.float32),
    )


def projector(camera: Camera = CAMERA, depth_mm: float = DEPTH_MM) -> Projector:
    half = camera.columns * camera.pixel_mm / 2
    return Projector(water_tank(depth_mm), camera, top_mm=2 * half, left_mm=-half)


def point_at(y_mm: float) -> np.ndarray:
    return np.array([[0.5, y_mm, 300.0]], dtype=np.float32)


@pytest.mark.parametrize("y_mm", [-90.0, -30.0, 30.0, 90.0])
def test_a_point_source_is_blurred_by_its_distance(y_mm: float) -> None:
    parts = projector().project(point_at(y_mm), np.ones(1, np.float32))
    for view, sign in ((View.ANTERIOR, 1), (View.POSTERIOR, -1)):
        image = parts[view].image.astype(float)
        rows = np.arange(image.shape[0])
        profile = image.sum(axis=1) / image.sum()
        sigma = np.sqrt((profile * rows**2).sum() - (profile * rows).sum() ** 2)
        distance = DEPTH_MM / 2 - sign * y_mm + CAMERA.gap_mm
        collimator = CAMERA.collimator_fwhm_mm + CAMERA.collimator_slope * distance
        expected = np.hypot(CAMERA.intrinsic_fwhm_mm, collimator) / FWHM / CAMERA.pixel_mm
        # Slabs are about 20 mm deep.
        assert sigma == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("y_mm", [-84.0, -12.0, 60.0])
def test_attenuation_follows_beer_and_lambert(y_mm: float) -> None:
    parts = projector().project(point_at(y_mm), np.ones(1, np.float32))
    for view, sign in ((View.ANTERIOR, 1), (View.POSTERIOR, -1)):
        expected = np.exp(-MU_PER_MM * (DEPTH_MM / 2 - sign * y_mm))
        # Half a cell of water is the grid's resolution.
        assert parts[view].image.sum() == pytest.approx(expected, rel=MU_PER_MM * CELL_MM)


def test_the_geometric_mean_of_conjugate_views_does_not_know_the_depth() -> None:
    means = []
    for y_mm in (-92.0, -36.0, 4.0, 44.0, 92.0):
        parts = projector().project(point_at(y_mm), np.ones(1, np.float32))
        sums = [float(parts[view].image.sum()) for view in View]
        means.append(np.sqrt(sums[0] * sums[1]))
    assert means == pytest.approx([np.exp(-MU_PER_MM * DEPTH_MM / 2)] * 5, rel=0.01)


def test_a_slab_source_weakens_as_the_integral_says() -> None:
    images = projector().project_tissue()
    depth = float(water_tank().tissue[0, :, 0].sum() * CELL_MM)
    seen = float(images[View.ANTERIOR][128, 128])
    thin = projector(depth_mm=2 * CELL_MM)
    thin_depth = float(thin.body.tissue[0, :, 0].sum() * CELL_MM)
    reference = float(thin.project_tissue()[View.ANTERIOR][128, 128])
    expected = (1 - np.exp(-MU_PER_MM * depth)) / (1 - np.exp(-MU_PER_MM * thin_depth))
    assert seen / reference == pytest.approx(expected, rel=0.02)


def test_slabs_blur_as_if_each_were_blurred_on_its_own() -> None:
    """Blurring from far to near in steps is the sum of the slabs' own blurs."""
    rng = np.random.default_rng(0)
    camera, pixel = projector(), CAMERA.pixel_mm
    half = CAMERA.columns * pixel / 2
    expected = np.zeros((256, 256))
    positions, activity = [], []
    for y_mm in (-84.0, -42.0, 0.0, 42.0, 84.0):  # each layer in a slab of its own
        layer = np.stack(
            [rng.uniform(-60, 60, 80), np.full(80, y_mm), rng.uniform(240, 360, 80)], axis=1
        ).astype(np.float32)
        weight = rng.random(80).astype(np.float32)
        image = np.zeros((256, 256))
        rows = np.floor((2 * half - layer[:, 2]) / pixel).astype(int)
        columns = np.floor((layer[:, 0] + half) / pixel).astype(int)
        depth = DEPTH_MM / 2 - y_mm
        np.add.at(image, (rows, columns), weight * np.exp(-MU_PER_MM * depth))
        fwhm = np.hypot(
            CAMERA.intrinsic_fwhm_mm,
            CAMERA.collimator_fwhm_mm + CAMERA.collimator_slope * (depth + CAMERA.gap_mm),
        )
        expected += ndimage.gaussian_filter(image, fwhm / FWHM / pixel, truncate=6.0)
        positions.append(layer)
        activity.append(weight)
    together = np.concatenate(positions), np.concatenate(activity)
    part = camera.project(*together)[View.ANTERIOR]
    whole = np.zeros((256, 256))
    whole[part.window] = part.image
    # Cells of 8 mm hold the attenuation: it is off by up to half a cell's, one way for all.
    whole *= expected.sum() / whole.sum()
    assert np.abs(whole - expected).max() < 0.03 * expected.max()
    # The order in which the samples come does not matter.
    order = rng.permutation(len(together[1]))
    shuffled = camera.project(together[0][order], together[1][order])[View.ANTERIOR]
    assert shuffled.image == pytest.approx(part.image, abs=1e-5)


def test_a_cloud_is_blurred_by_the_mean_of_its_variances() -> None:
    """Samples that share a slab keep the second moment that each would have alone."""
    rng = np.random.default_rng(1)
    depths = rng.uniform(-100, 100, 3000)
    positions = np.stack([np.full(3000, 0.5), depths, np.full(3000, 300.0)], axis=1).astype(
        np.float32
    )
    part = projector().project(positions, np.ones(3000, np.float32))[View.ANTERIOR]
    rows = np.arange(part.image.shape[0])
    profile = part.image.astype(float).sum(axis=1)
    profile /= profile.sum()
    variance = (profile * rows**2).sum() - (profile * rows).sum() ** 2
    weight = np.exp(-MU_PER_MM * (DEPTH_MM / 2 - depths))
    distance = DEPTH_MM / 2 - depths + CAMERA.gap_mm
    fwhm = np.hypot(
        CAMERA.intrinsic_fwhm_mm, CAMERA.collimator_fwhm_mm + CAMERA.collimator_slope * distance
    )
    expected = np.average((fwhm / FWHM / CAMERA.pixel_mm) ** 2, weights=weight)
    assert variance == pytest.approx(expected, rel=0.02)


def test_views_are_seen_from_their_own_sides() -> None:
    left_of_patient = np.array([[100.0, 0.0, 300.0]], dtype=np.float32)
    parts = projector().project(left_of_patient, np.ones(1, np.float32))
    columns = {}
    for view, part in parts.items():
        image = np.zeros((256, 256))
        image[part.window] = part.image
        columns[view] = ndimage.center_of_mass(image)[1]
    assert columns[View.ANTERIOR] > 128  # the patient's left is on the image's right
    assert columns[View.POSTERIOR] < 128
    assert columns[View.ANTERIOR] + columns[View.POSTERIOR] == pytest.approx(255, abs=0.2)


def test_scatter_adds_its_share() -> None:
    image = np.zeros((256, 256), np.float32)
    image[100:156, 100:156] = 10
    scattered = projector().with_scatter(image, View.ANTERIOR)
    expected = 1 + CAMERA.scatter_fraction + BACKGROUND_SHARE
    assert scattered.sum() / image.sum() == pytest.approx(expected, rel=0.01)


def test_counts_are_poisson() -> None:
    mean = np.full((400, 400), 7.5, np.float32)
    counts = detected(mean, np.random.default_rng(3))
    error = np.sqrt(7.5 / mean.size)
    assert abs(counts.mean() - 7.5) < 4 * error
    assert counts.var() == pytest.approx(7.5, rel=0.02)
    assert (counts == counts.round()).all()


def test_what_lies_outside_the_field_is_not_seen() -> None:
    far = np.array([[9000.0, 0.0, 300.0]], dtype=np.float32)
    assert projector().project(far, np.ones(1, np.float32)) == {}
