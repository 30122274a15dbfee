"""The index of lesions that somebody outlined."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.known_scan import KnownScan

from bonescint.quantify import MassTable, body_regions, bone_atlas, bone_masses
from bonescint.quantify.outlined_index import outlined_index
from bonescint.scan import View


def everywhere(known: KnownScan, number: int, *views: View) -> dict[View, np.ndarray]:
    return {
        view: np.full(known.scan.shape, number if view in views else 0, np.intp) for view in View
    }


@pytest.mark.parametrize("table", list(MassTable))
def test_a_bone_that_is_covered_counts_with_its_mass(known: KnownScan, table: MassTable) -> None:
    body, atlas = body_regions(known.scan), bone_atlas()
    mass = bone_masses(table)[atlas.bones.index("femur L")]
    found = outlined_index(body, everywhere(known, 7, *View), {7: "femur L"}, table=table)
    assert found == pytest.approx(100 * mass, rel=0.02)


def test_a_lesion_must_lie_in_its_area_in_each_view_that_shows_it(known: KnownScan) -> None:
    body, tibia = body_regions(known.scan), bone_atlas().bones.index("tibia R")
    half = everywhere(known, 1, *View)
    half[View.POSTERIOR][: known.scan.shape[0] // 2] = 0  # the tibiae lie in the lower half
    upper, lower = (outlined_index(body, half, {1: bone}) for bone in ("skull", "tibia R"))
    assert upper == 0
    assert lower == pytest.approx(100 * bone_masses(MassTable.SPIERS)[tibia], rel=0.05)
    front = everywhere(known, 1, View.ANTERIOR)
    assert outlined_index(body, front, {1: "skull"}) > 10


def test_a_lesion_without_a_bone_counts_where_the_scan_shows_bone(known: KnownScan) -> None:
    body = body_regions(known.scan)
    whole = outlined_index(body, everywhere(known, 1, *View), {})
    assert 70 < whole < 100  # nearly all samples are seen in one view or the other
    assert outlined_index(body, everywhere(known, 0), {}) == 0
