"""The camera against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bonescint.scan import View
from bonescint.simulate.body import Body
from bonescint.simulate.camera import Camera
from bonescint.simulate.constants import BACKGROUND_SHARE, CELL_MM, MU_PER_MM
from bonescint.simulate.projection import Projector, anterior_face_mm, detected, gaussian

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
        assert sigma == pytest.approx(expected, rel=0.02)


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


STEP_MM = 160.0


def stepped_tank() -> Body:
    """Deep below a height, and 64 mm deep above it; the backs are level, as on a table."""
    deep = water_tank()
    y = deep.origin_mm[1] + (np.arange(deep.tissue.shape[1]) + 0.5) * CELL_MM
    z = deep.origin_mm[2] + (np.arange(deep.tissue.shape[2]) + 0.5) * CELL_MM
    away = (y[:, None] > -DEPTH_MM / 2 + 64) & (z[None, :] > STEP_MM)
    return replace(deep, tissue=deep.tissue & ~away[None])


def test_a_head_that_follows_the_body_clears_what_is_under_it() -> None:
    camera = replace(CAMERA, contouring=True, field_length_mm=200.0, gap_mm=30.0)
    face = anterior_face_mm(stepped_tank(), camera)
    z = (np.arange(80) + 0.5) * CELL_MM
    front = np.where(z > STEP_MM, -DEPTH_MM / 2 + 64, DEPTH_MM / 2)
    for height, mine in zip(z, face, strict=True):
        # Every position of the head from which it sees this height, one by one.
        middles = [m for m in z if abs(m - height) <= 100]
        heads = [front[np.abs(z - m) <= 100].max() for m in middles]
        assert mine == pytest.approx(30.0 + np.mean(heads), abs=9.0)  # a field is whole cells
    assert face[0] == DEPTH_MM / 2 + 30
    assert face[-1] == -DEPTH_MM / 2 + 64 + 30
    assert (np.diff(face) <= 0).all()


@pytest.mark.parametrize("contouring", [False, True])
def test_contouring_brings_the_head_near(contouring: bool) -> None:
    camera = replace(CAMERA, contouring=contouring, field_length_mm=200.0, gap_mm=30.0)
    half = camera.columns * camera.pixel_mm / 2
    above_thin = np.array([[0.5, -90.0, 560.0]], dtype=np.float32)
    view = Projector(stepped_tank(), camera, top_mm=640.0, left_mm=-half)
    image = view.project(above_thin, np.ones(1, np.float32))[View.ANTERIOR].image.astype(float)
    columns = np.arange(image.shape[1])
    profile = image.sum(axis=0) / image.sum()
    sigma = np.sqrt((profile * columns**2).sum() - (profile * columns).sum() ** 2)
    skin = -DEPTH_MM / 2 + 64 if contouring else DEPTH_MM / 2
    fwhm = np.hypot(
        camera.intrinsic_fwhm_mm,
        camera.collimator_fwhm_mm + camera.collimator_slope * (skin + 30.0 + 90.0),
    )
    assert sigma == pytest.approx(fwhm / FWHM / camera.pixel_mm, rel=0.02)


def test_the_posterior_head_stays_below_the_table() -> None:
    follows = replace(CAMERA, contouring=True, table_gap_mm=40.0)
    half = follows.columns * follows.pixel_mm / 2
    view = Projector(stepped_tank(), follows, top_mm=640.0, left_mm=-half)
    sums = []
    for z_mm in (100.0, 560.0):
        point = np.array([[0.5, -60.0, z_mm]], dtype=np.float32)
        image = view.project(point, np.ones(1, np.float32))[View.POSTERIOR].image
        sums.append(float(image.max() / image.sum()))
    assert sums[0] == pytest.approx(sums[1], rel=1e-3)  # as sharp here as there


@pytest.mark.parametrize("sigma", [0.3, 0.6, 0.9, 2.5])
def test_blur_keeps_counts_and_has_its_variance(sigma: float) -> None:
    image = np.zeros((41, 41), np.float32)
    image[20, 20] = 1
    blurred = gaussian(image, sigma).astype(float)
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    assert np.array_equal(blurred, blurred[::-1, ::-1])
    offset = np.arange(41) - 20.0
    for axis in (0, 1):
        variance = (blurred.sum(axis=axis) * offset**2).sum()
        assert variance == pytest.approx(sigma**2, rel=0.04)


def test_an_empty_slab_does_no_harm() -> None:
    """Two layers far apart: the slabs between them are empty."""
    layers = np.array([[0.5, -95.0, 300.0], [0.5, 95.0, 300.0]], dtype=np.float32)
    view = projector()
    both = view.project(layers, np.ones(2, np.float32))[View.ANTERIOR]
    whole, apart = np.zeros((256, 256)), np.zeros((256, 256))
    whole[both.window] = both.image
    for layer in layers:
        part = view.project(layer[None], np.ones(1, np.float32))[View.ANTERIOR]
        apart[part.window] += part.image
    assert np.abs(whole - apart).max() < 0.02 * apart.max()


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
