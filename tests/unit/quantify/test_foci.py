"""Foci that were put into a scan are found, outlined, named by their bone and matched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.known_scan import KnownScan, answer, with_images

from bonescint.quantify import METASTASIS_FROM, body_regions, matched_foci
from bonescint.quantify.candidates import cell_values
from bonescint.quantify.focus_network import FOCUS_FINDINGS
from bonescint.scan import ActivationMap, Scan, View

RADIUS = 5
Place = tuple[int, int]


def with_disc(scan: Scan, places: dict[View, Place], added: float) -> Scan:
    """Counts added to every pixel of a disc, with noise."""
    rng = np.random.default_rng(5)
    views: dict[View, NDArray[np.float32]] = {}
    rows, columns = np.ogrid[: scan.shape[0], : scan.shape[1]]
    for view, image in scan.images():
        changed = image.copy()
        if view in places:
            row, column = places[view]
            disc = np.hypot(rows - row, columns - column) <= RADIUS
            changed[disc] += rng.poisson(added, int(disc.sum()))
        views[view] = changed
    return with_images(scan, views)


def middle_of(known: KnownScan, bone: int, view: View) -> Place:
    rows, columns = np.nonzero(known.bones[view] == bone)
    return int(np.median(rows)), int(np.median(columns))


@pytest.fixture(scope="module")
def lumbar(known: KnownScan) -> dict[View, Place]:
    return {view: middle_of(known, 4, view) for view in View}  # L3


def test_a_hot_vertebra_is_one_focus_of_both_views(
    known: KnownScan, lumbar: dict[View, Place]
) -> None:
    scan = with_disc(known.scan, lumbar, added=120)
    found = matched_foci(scan, answer(scan), body_regions(scan))
    near = [
        one
        for one in found
        if any(
            np.hypot(f.row - lumbar[f.view][0], f.column - lumbar[f.view][1]) < RADIUS
            for f in one.in_views
        )
    ]
    assert len(near) == 1
    focus = near[0]
    assert {shown.view for shown in focus.in_views} == set(View)
    assert focus.bone in ("L2", "L3", "L4")
    assert focus.region == "lumbar spine"
    assert focus.clearest.contrast > 2
    for shown in focus.in_views:
        there = np.zeros(scan.shape, bool)
        rows, columns = np.ogrid[: scan.shape[0], : scan.shape[1]]
        row, column = lumbar[shown.view]
        there[np.hypot(rows - row, columns - column) <= RADIUS] = True
        mine = np.zeros(scan.shape, bool)
        mine[shown.window] = shown.mask
        assert 2 * (mine & there).sum() / (mine.sum() + there.sum()) > 0.7
        assert scan.pixel_spacing_mm is not None
        assert shown.area_mm2 == pytest.approx(mine.sum() * scan.pixel_spacing_mm[0] ** 2)


def test_without_evidence_nothing_is_called_a_metastasis(known: KnownScan) -> None:
    found = matched_foci(known.scan, answer(known.scan, 0.001), body_regions(known.scan))
    assert all(focus.probability < METASTASIS_FROM for focus in found)


def test_what_a_focus_may_be_adds_up_to_one(known: KnownScan, lumbar: dict[View, Place]) -> None:
    scan = with_disc(known.scan, lumbar, added=120)
    for focus in matched_foci(scan, answer(scan), body_regions(scan)):
        said = focus.finding_probabilities
        assert set(said) == set(FOCUS_FINDINGS)
        assert sum(said.values()) == pytest.approx(1, abs=1e-5)
        assert said["metastasis"] == focus.probability
        assert list(said.values()) == sorted(said.values(), reverse=True)


def test_more_evidence_makes_a_focus_more_probable(
    known: KnownScan, lumbar: dict[View, Place]
) -> None:
    scan = with_disc(known.scan, lumbar, added=120)
    body = body_regions(scan)
    low, high = (
        max(one.probability for one in matched_foci(scan, answer(scan, probability), body))
        for probability in (0.2, 0.9)
    )
    assert low < high


def test_without_a_spacing_there_is_no_area(known: KnownScan, lumbar: dict[View, Place]) -> None:
    scan = replace(with_disc(known.scan, lumbar, added=120), pixel_spacing_mm=None)
    for focus in matched_foci(scan, answer(scan), body_regions(scan)):
        assert all(shown.area_mm2 is None for shown in focus.in_views)
        assert all(0 < shown.share_of_bone < 0.2 for shown in focus.in_views)


def test_cells_are_read_where_their_centres_are() -> None:
    cells = ActivationMap(
        view=View.ANTERIOR, target="mbd", values=np.array([[0.0, 1.0]]), extent=(0, 0, 4, 8)
    )
    values = cell_values(cells, (4, 10))
    assert values[0].tolist() == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 0, 0])
