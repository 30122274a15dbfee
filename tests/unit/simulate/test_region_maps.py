"""Region maps against where the bones themselves lie."""

from __future__ import annotations

import numpy as np
import pytest

from bonescint.scan import View
from bonescint.simulate import Anatomy, camera_named, draw_anatomy
from bonescint.simulate.projection import Projector
from bonescint.simulate.seen_foci import TWELVE_NAMES, region_maps, twelve_regions

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

CAMERA = camera_named("discovery")
HALF_MM = CAMERA.columns * CAMERA.pixel_mm / 2


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return draw_anatomy(np.random.default_rng(4))


@pytest.fixture(scope="module")
def projector(anatomy: Anatomy) -> Projector:
    top = anatomy.body.height_range_mm[1] + 80
    return Projector(anatomy.body, CAMERA, top_mm=top, left_mm=-HALF_MM)


def pixel_of(projector: Projector, point_mm: np.ndarray, view: View) -> tuple[int, int]:
    row = int((projector.top_mm - point_mm[2]) / CAMERA.pixel_mm)
    column = int((point_mm[0] + HALF_MM) / CAMERA.pixel_mm)
    return row, column if view is View.ANTERIOR else CAMERA.columns - 1 - column


@pytest.mark.parametrize("region", ["skull", "L3", "femur L", "femur R", "humerus L", "sacrum"])
def test_the_middle_of_a_bone_shows_that_bone(
    anatomy: Anatomy, projector: Projector, region: str
) -> None:
    maps = region_maps(projector, anatomy)
    expected = 1 + anatomy.skeleton.regions.index(region)
    # A bowed bone does not hold its own centroid: the deepest sample of those around it.
    members = anatomy.skeleton.members(region)
    away = np.linalg.norm(anatomy.positions_mm[members] - anatomy.landmarks.centre(region), axis=1)
    near = members[np.argsort(away)[:200]]
    middle = anatomy.positions_mm[near[np.argmax(anatomy.skeleton.depth_mm[near])]]
    for view in View:
        place = pixel_of(projector, middle, view)
        assert maps[view][place] == expected


def test_the_chest_shows_the_nearer_bones(anatomy: Anatomy, projector: Projector) -> None:
    names = ("none", *anatomy.skeleton.regions)
    maps = region_maps(projector, anatomy)
    place = pixel_of(projector, anatomy.landmarks.centre("T6"), View.POSTERIOR)
    assert names[maps[View.POSTERIOR][place]].startswith("T")
    area = {view: int((maps[view] == names.index("sternum")).sum()) for view in View}
    assert area[View.ANTERIOR] > 3 * area[View.POSTERIOR]


def test_twelve_regions_join_the_bones(anatomy: Anatomy, projector: Projector) -> None:
    maps = region_maps(projector, anatomy)
    joined = twelve_regions(maps, anatomy.skeleton.regions)
    assert len(TWELVE_NAMES) == 12
    for view in View:
        assert set(np.unique(joined[view])) == set(range(13))
        assert ((joined[view] == 0) == (maps[view] == 0)).all()
    lumbar = [1 + anatomy.skeleton.regions.index(f"L{level}") for level in range(1, 6)]
    one = joined[View.POSTERIOR] == 1 + TWELVE_NAMES.index("lumbar spine")
    assert (one == np.isin(maps[View.POSTERIOR], lumbar)).all()
