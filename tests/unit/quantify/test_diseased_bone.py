"""The network of diseased bone: what it sees, and sums that can be done by hand."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.support.known_scan import KnownScan, answer, with_images

from bonescint.quantify import FocusInView, MatchedFocus, body_regions
from bonescint.quantify.candidates import SMOOTHING_MM
from bonescint.quantify.diseased_bone import (
    COLUMNS,
    OF_UPTAKE,
    ROWS,
    STEP_MM,
    PieceNumbers,
    diseased_bone,
    pieces_of,
)
from bonescint.quantify.laid_atlas import LaidAtlas, laid_atlas
from bonescint.quantify.regions import BodyRegions
from bonescint.scan import View


@pytest.fixture(scope="module")
def body(known: KnownScan) -> BodyRegions:
    return body_regions(known.scan)


@pytest.fixture(scope="module")
def laid(known: KnownScan, body: BodyRegions) -> LaidAtlas:
    return laid_atlas(body, known.scan.shape)


@pytest.fixture(scope="module")
def numbers(known: KnownScan, body: BodyRegions, laid: LaidAtlas) -> PieceNumbers:
    return PieceNumbers(known.scan, answer(known.scan, 0.1), body, [], laid)


def test_the_file_is_small_and_says_what_it_is() -> None:
    content = files("bonescint.quantify").joinpath("diseased_bone.json").read_bytes()
    assert len(content) < 100_000
    said = diseased_bone().properties
    assert said["notice"].startswith("Research use only")
    assert said["trained_on"] == "simulated scans only"
    assert said["scans"] >= 100
    assert len(said["scans_sha256"]) == 64


def test_another_library_gives_the_same_shares(known: KnownScan, numbers: PieceNumbers) -> None:
    content = json.loads(files("bonescint.quantify").joinpath("diseased_bone.json").read_text())
    values = torch.from_numpy(numbers.of(known.scan)).double()
    for place, layer in enumerate(content["layers"]):
        weights = torch.tensor(layer["weights"], dtype=torch.float64).T
        values = torch.nn.functional.linear(
            values, weights, torch.tensor(layer["bias"], dtype=torch.float64)
        )
        if place < len(content["layers"]) - 1:
            values = torch.relu(values)
    least = content["properties"]["settings"]["least_share"]
    wanted = torch.relu(torch.sigmoid(values[:, 0]) - least) / (1 - least)
    found = diseased_bone().shares(numbers.of(known.scan))
    assert found == pytest.approx(wanted.numpy(), abs=1e-3)


def test_pieces_are_the_samples_of_a_bone_in_a_pixel(laid: LaidAtlas) -> None:
    atlas = laid.atlas
    bone, pixel, share, of_sample = pieces_of(laid)
    assert np.bincount(bone, share) == pytest.approx(np.ones(len(atlas.bones)))
    rng = np.random.default_rng(0)
    for sample in rng.choice(len(atlas.bone), 50, replace=False).tolist():
        piece = of_sample[sample]
        left, up = laid.places_mm[sample].tolist()
        row, column = int((810 - up) // STEP_MM), int((left + 288) // STEP_MM)
        held = min(max(row, 0), ROWS - 1) * COLUMNS + min(max(column, 0), COLUMNS - 1)
        assert (bone[piece], pixel[piece]) == (atlas.bone[sample], held)
        together = np.flatnonzero(of_sample == piece).size
        assert share[piece] == pytest.approx(together / (atlas.bone == atlas.bone[sample]).sum())


def test_a_place_is_the_same_pixel_in_both_views(
    known: KnownScan, body: BodyRegions, laid: LaidAtlas
) -> None:
    """Uptake at one sample of a femur, drawn into both views where the atlas puts it."""
    sample = laid.atlas.span(laid.atlas.bones.index("femur L")).start + 40
    images = {}
    for view, image in known.scan.images():
        row, column = laid.cells[view][sample]
        images[view] = np.full_like(image, 0.01)
        images[view][row, column] = 1000.0
    scan = with_images(known.scan, images)
    made = PieceNumbers(scan, answer(scan, 0.1), body, [], laid)
    wanted = divmod(int(made.pieces.pixel[made.pieces.of_sample[sample]]), COLUMNS)
    for view, image in scan.images():
        hottest = np.unravel_index(made.grids[view].blurred(image).argmax(), (ROWS, COLUMNS))
        assert np.abs(np.array(hottest) - wanted).max() <= 1


def test_the_blur_is_gaussian(known: KnownScan, body: BodyRegions, numbers: PieceNumbers) -> None:
    pixel_mm = body.registration.pixel_mm
    for view, image in known.scan.images():
        grid = numbers.grids[view]
        sigma = [SMOOTHING_MM / size for size in pixel_mm]
        wanted = ndimage.gaussian_filter(image, sigma, truncate=6, mode="constant")
        # The middle of a grid's pixel lies between pixels of the view.
        low = ndimage.minimum_filter(wanted, 3)[grid.cells]
        high = ndimage.maximum_filter(wanted, 3)[grid.cells]
        found = grid.blurred(image)
        assert ((found >= low - 0.02) & (found <= high + 0.02))[grid.inside].mean() > 0.99
        total = image.sum() * pixel_mm[0] * pixel_mm[1]
        assert found.sum() * STEP_MM**2 == pytest.approx(total, rel=0.02)


def test_outlines_are_painted_with_their_probabilities(
    known: KnownScan, body: BodyRegions, laid: LaidAtlas
) -> None:
    sample = laid.atlas.span(laid.atlas.bones.index("L3")).start
    row, column = (int(of) for of in laid.cells[View.POSTERIOR][sample])
    shown = FocusInView(
        view=View.POSTERIOR, row=row, column=column, bone="L3", region="",
        mask=np.ones((41, 41), bool), top=row - 20, left=column - 20, contrast=3.0,
        contrast_to_noise=10.0, share_of_bone=0.1, area_mm2=None, probability=0.7,
        finding_probabilities={"metastasis": 0.7, "usual uptake": 0.1},
    )  # fmt: skip
    focus = MatchedFocus(number=1, in_views=(shown,))
    without, made = (
        PieceNumbers(known.scan, answer(known.scan), body, foci, laid) for foci in ([], [focus])
    )
    changed = made.of(known.scan) - without.of(known.scan)
    here = changed[made.pieces.of_sample[sample]]
    assert np.isclose(here, 0.7, atol=0.01).any()
    assert np.isclose(here, 0.2, atol=0.01).sum() == 1
    assert not np.isclose(here, 0.35, atol=0.05).any()  # no number for the other view
    skull = changed[made.pieces.bone == laid.atlas.bones.index("skull")]
    assert (np.abs(skull).max(axis=0) > 0).sum() <= 3  # the totals of the scan


def test_twice_the_counts_change_only_that(known: KnownScan, numbers: PieceNumbers) -> None:
    more = with_images(known.scan, {view: 2 * image for view, image in known.scan.images()})
    before, after = numbers.of(known.scan), numbers.of(more)
    assert after[:, :-1] == pytest.approx(before[:, :-1], abs=1e-3)
    assert after[:, -1] - before[:, -1] == pytest.approx(
        np.full(len(before), np.log10(2)), abs=1e-5
    )


def test_a_missing_view_is_taken_to_look_like_the_other(known: KnownScan) -> None:
    front = known.scan.view(View.ANTERIOR)
    assert front is not None
    scan = with_images(known.scan, {View.ANTERIOR: front})
    body = body_regions(scan)
    values = PieceNumbers(scan, answer(scan), body, [], laid_atlas(body, scan.shape)).of(scan)
    assert np.array_equal(values[:, :OF_UPTAKE], values[:, OF_UPTAKE : 2 * OF_UPTAKE])
    assert np.abs(values[:, 0]).sum() > 0
