"""Pictures of examples: those of the package are there, and the finding is where the ring is."""

from __future__ import annotations

import io
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

from PIL import Image

from bonescint.scan import FocusKind, UptakeSite, View
from bonescint.teach.courses import Example, read_courses
from bonescint.teach.examples import (
    WIDTH,
    draw_example,
    example_picture,
    picture_name,
    rings,
    simulate_example,
)
from bonescint.teach.kinds import read_kinds

PICTURES = resources.files("bonescint.teach.content") / "pictures"
EXAMPLES = {
    picture_name(example): example
    for example in (
        *(text.example for text in read_kinds().values()),
        *(example for course in read_courses() for example in course.examples),
    )
}


def grey(picture: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("L"), dtype=float)


def test_the_package_has_the_pictures_of_all_examples_and_no_others() -> None:
    assert {one.name for one in PICTURES.iterdir()} == set(EXAMPLES)
    assert sum(len(one.read_bytes()) for one in PICTURES.iterdir()) < 1_500_000


@pytest.mark.parametrize("course", read_courses(), ids=lambda course: course.name)
def test_every_course_shows_examples_side_by_side(course: object) -> None:
    assert len(course.examples) >= 2  # type: ignore[attr-defined]


def test_a_picture_is_the_same_when_it_is_drawn_again() -> None:
    """Up to what the compression of another version of libwebp may change."""
    example = read_kinds()[UptakeSite.COMPRESSION_FRACTURE].example
    drawn, stored = draw_example(example), (PICTURES / picture_name(example)).read_bytes()
    assert grey(drawn).shape == (WIDTH, WIDTH)
    assert np.abs(grey(drawn) - grey(stored)).mean() < 3


@pytest.mark.parametrize(
    "kind", [UptakeSite.RIB_FRACTURE, UptakeSite.CATHETER, UptakeSite.PACEMAKER]
)
def test_rings_enclose_the_finding_of_the_truth(kind: UptakeSite) -> None:
    example = read_kinds()[kind].example
    simulated = simulate_example(example)
    found = rings(example, simulated)
    assert found
    ours = [
        focus
        for focus in simulated.truth.foci
        if focus.cause == kind and focus.view is example.view
    ]
    for focus in ours:
        assert any(
            ring.top <= focus.row <= ring.bottom and ring.left <= focus.column <= ring.right
            for ring in found
        )
    assert not simulated.truth.positive


def test_only_the_named_region_is_ringed() -> None:
    example = Example(shows="flare", seed=5, view=View.POSTERIOR, caption="Ribs.", region="rib")
    found = rings(example, simulate_example(example))
    assert found
    assert all(ring.region.startswith("rib") for ring in found)


def test_a_flare_is_the_same_metastases_with_more_uptake() -> None:
    example = read_kinds()[next(kind for kind in read_kinds() if kind == "flare")].example
    before, after = simulate_example(example, before=True), simulate_example(example)
    places = [
        [
            (one["region"], one["centre_mm"], one["radius_mm"])
            for one in scan.parameters["metastases"]
        ]
        for scan in (before, after)
    ]
    assert places[0] == places[1]
    contrasts = [
        [one["contrast"] for one in scan.parameters["metastases"]] for scan in (before, after)
    ]
    assert all(late > early for early, late in zip(*contrasts, strict=True))
    kinds = [
        {focus.cause for focus in scan.truth.foci if focus.kind is not FocusKind.METASTASIS}
        for scan in (before, after)
    ]
    assert kinds[0] == kinds[1]


def test_an_own_picture_is_drawn_once_and_kept(tmp_path: Path) -> None:
    own = Example(shows="bladder", seed=77, view=View.ANTERIOR, caption="A bladder.")
    drawn = example_picture(own, tmp_path / "pictures")
    kept = tmp_path / "pictures" / picture_name(own)
    assert kept.read_bytes() == drawn
    kept.write_bytes(b"kept")
    assert example_picture(own, tmp_path / "pictures") == b"kept"
    packaged = read_kinds()[UptakeSite.BLADDER].example
    assert (
        example_picture(packaged, tmp_path / "none")
        == (PICTURES / picture_name(packaged)).read_bytes()
    )
    assert not (tmp_path / "none").exists()
