"""What passes as a whole-body scan and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_files import multi_frame, one_view, paint_body, save
from numpy.typing import NDArray

from bonescint.dicom import read
from bonescint.dicom.whole_body import check_geometry, check_outline, holds_two_bodies
from bonescint.scan import InputError, NotABoneScanError

BODY = paint_body(5).astype(np.float32)
RNG = np.random.default_rng(1)


def hot(row: int, column: int, value: float) -> NDArray[np.float32]:
    image = BODY.copy()
    image[row : row + 20, column : column + 15] = value
    return image


BODIES: dict[str, Callable[[], NDArray[np.float32]]] = {
    "as acquired": lambda: BODY,
    "cropped to the body": lambda: BODY[40:980, 25:231],
    "feet cut off": lambda: BODY[:750],
    "head cut off": lambda: BODY[170:],
    "wide pixels": lambda: BODY[::2],
    "small matrix": lambda: BODY.reshape(256, 4, 64, 4).sum(axis=(1, 3)),
    "8 bit, stretched": lambda: np.clip(BODY * 8, 0, 255),
    "windowed hard": lambda: np.clip(BODY - 8, 0, 40),
    "few counts": lambda: RNG.poisson(BODY * 0.05).astype(np.float32),
    "full bladder": lambda: hot(510, 120, 6000),
    "injection site at the edge": lambda: hot(470, 2, 20000),
    "bright background": lambda: BODY + RNG.poisson(3, BODY.shape).astype(np.float32),
    "lying off centre": lambda: np.roll(BODY, 25, axis=1),
    "empty rows below the feet": lambda: np.vstack([BODY[::2], np.zeros_like(BODY[:400])]),
    "one kidney and no symmetry of foci": lambda: hot(380, 150, 400),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_pass(name: str) -> None:
    check_outline(BODIES[name]().astype(np.float32), "scan.dcm")


@pytest.mark.parametrize("name", BODIES)
def test_one_body_is_not_taken_for_two(name: str) -> None:
    assert not holds_two_bodies(BODIES[name]().astype(np.float32))


def test_two_bodies_side_by_side_are_seen() -> None:
    assert holds_two_bodies(np.hstack([BODY, BODY]))
    assert holds_two_bodies(np.hstack([BODY[:, 25:231], BODY[:, 25:231]]))


def landscape() -> NDArray[np.float32]:
    sky = np.linspace(220, 120, 300)[:, None] * np.ones((1, 256))
    ground = 60 + 30 * RNG.random((340, 256))
    return np.vstack([sky, ground]).astype(np.float32)


def disc_at_the_side() -> NDArray[np.float32]:
    row, column = np.mgrid[0:640, 0:256]
    return (200.0 * ((row - 320) ** 2 + (column - 200) ** 2 < 45**2)).astype(np.float32)


OTHERS: dict[str, Callable[[], NDArray[np.float32]]] = {
    "uniform noise": lambda: RNG.uniform(0, 255, (1024, 256)),
    "flood of counts": lambda: RNG.poisson(4, (1024, 256)),
    "almost nothing": lambda: RNG.poisson(0.05, (1024, 256)),
    "landscape": landscape,
    "a disc": disc_at_the_side,
    "bright frame": lambda: 255 - np.clip(BODY * 8, 0, 255),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_pictures_are_refused(name: str) -> None:
    with pytest.raises(NotABoneScanError, match=r"picture\.png: does not show a whole body"):
        check_outline(OTHERS[name]().astype(np.float32), "picture.png")


@pytest.mark.parametrize(("value", "problem"), [(0, "every pixel is 0"), (7, "is the same")])
def test_an_image_of_one_value_is_refused(value: float, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check_outline(np.full((1024, 256), value, np.float32), "scan.dcm")


@pytest.mark.parametrize("shape", [(1024, 256), (2048, 512), (512, 128), (900, 500), (900, 200)])
def test_matrices_of_whole_bodies_pass(shape: tuple[int, int]) -> None:
    assert check_geometry(*shape, None, "scan.dcm") == ()


@pytest.mark.parametrize("shape", [(256, 256), (128, 32), (512, 512), (1024, 100), (600, 400)])
def test_other_matrices_do_not(shape: tuple[int, int]) -> None:
    with pytest.raises(NotABoneScanError, match=f"{shape[0]} x {shape[1]} pixels"):
        check_geometry(*shape, None, "scan.dcm")


@pytest.mark.parametrize("spacing", [0.4, 3.4])
def test_an_impossible_height_is_refused(spacing: float) -> None:
    with pytest.raises(NotABoneScanError, match="m tall"):
        check_geometry(1024, 256, (spacing, spacing), "scan.dcm")


def test_an_odd_height_is_a_warning() -> None:
    (warning,) = check_geometry(1024, 256, (2.8, 2.8), "scan.dcm")
    assert "2.87 m" in warning


@pytest.mark.parametrize(
    ("keyword", "value", "problem"),
    [
        ("Modality", "CT", "modality is CT"),
        ("Modality", "KOWALSKA", "modality is not NM"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"], "DYNAMIC"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"], "RECON TOMO"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "GATED", "EMISSION"], "GATED"),
    ],
)
def test_headers_of_other_studies_are_refused(
    anterior, tmp_path: Path, keyword: str, value: object, problem: str
) -> None:
    dataset = one_view(anterior, 1, angle="180")
    setattr(dataset, keyword, value)
    with pytest.raises(NotABoneScanError, match=problem) as caught:
        read(save(dataset, tmp_path / "a.dcm"))
    assert "KOWALSKA" not in str(caught.value)


def test_a_thyroid_static_is_refused(tmp_path: Path) -> None:
    row, column = np.mgrid[0:256, 0:256]
    lobes = sum(((row - 128) / 40) ** 2 + ((column - c) / 18) ** 2 < 1 for c in (105, 150))
    dataset = multi_frame([RNG.poisson(lobes * 30).astype(np.uint16)], detectors=[1])
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    with pytest.raises(NotABoneScanError, match="256 x 256"):
        read(save(dataset, tmp_path / "a.dcm"))


def test_a_mislabelled_static_of_a_whole_body_passes_with_a_warning(anterior, tmp_path) -> None:
    dataset = one_view(anterior, 1, angle="180")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert any("STATIC" in warning for warning in scan.warnings)


def test_a_superscan_with_faint_limbs_is_a_body() -> None:
    """Diffuse disease of the trunk takes up nearly everything: thighs and shins all but vanish."""
    rows = np.arange(BODY.shape[0])
    trunk, thighs, knees, shins, ankles = 1.0, 0.02, 0.25, 0.015, 0.2
    places = [430, 470, 550, 570, 600, 620, 800, 820, 860]
    levels = [trunk, thighs, thighs, knees, knees, shins, shins, ankles, ankles]
    faded = BODY * np.interp(rows, places, levels)[:, None]
    check_outline(RNG.poisson(4 * faded).astype(np.float32), "scan.dcm")
