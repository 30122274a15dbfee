"""A physician's masks as PNG and NIfTI, and the truth of a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonescint.cohort import Manifest, read_mask, truth_of, write_mask, write_truth
from bonescint.scan import Case, Focus, InputError, MissingExtraError, Split, Truth, View

SHAPE = (60, 20)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[10:14, 3:5] = mask[40, 15] = True
    mask[41, 16] = True  # touches the one before at a corner
    return mask


def case(**changes: object) -> Case:
    given = {"scan_id": "s", "patient_id": "p", "centre": "A", "split": Split.TEST,
             "positive": True} | changes  # fmt: skip
    return Case(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_png_masks_of_every_mode(tmp_path: Path, mask: np.ndarray, mode: str) -> None:
    path = tmp_path / "m.png"
    if mode == "I;16":
        Image.fromarray(mask.astype(np.uint16) * 40000).save(path)
    elif mode == "RGBA":
        bands = np.zeros((*SHAPE, 4), np.uint8)
        bands[mask] = (255, 0, 0, 255)
        Image.fromarray(bands).save(path)
    elif mode == "P":
        drawn = Image.fromarray(mask.astype(np.uint8), mode="P")
        drawn.putpalette([0, 0, 0, 200, 10, 10])
        drawn.save(path)
    else:
        Image.fromarray(mask.astype(np.uint8) * 255).convert(mode).save(path)
    assert np.array_equal(read_mask(path, shape=SHAPE), mask)


@pytest.mark.parametrize("layout", ["columns first", "one slice", "rows first"])
def test_nifti_masks_in_the_ways_tools_write_them(
    tmp_path: Path, mask: np.ndarray, layout: str
) -> None:
    nibabel = pytest.importorskip("nibabel", reason="needs the extra 'masks'")
    stored = mask.astype(np.uint8)
    stored = {"columns first": stored.T, "one slice": stored.T[..., None], "rows first": stored}[
        layout
    ]
    nibabel.save(nibabel.Nifti1Image(stored, np.diag([-1, -1, 1, 1])), tmp_path / "m.nii.gz")
    assert np.array_equal(read_mask(tmp_path / "m.nii.gz", shape=SHAPE), mask)


def test_what_is_no_mask_is_refused(tmp_path: Path, mask: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, SHAPE).astype(np.uint8)).save(tmp_path / "scan.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "broken.nii").write_bytes(b"broken")
    (tmp_path / "mask.jpg").write_bytes(b"")
    write_mask(mask, tmp_path / "good.png")
    for name, words in (
        ("scan.png", "a picture, not a mask"),
        ("broken.png", "not a readable PNG"),
        ("mask.jpg", "a PNG or a NIfTI"),
        ("none.png", "no such mask"),
    ):
        with pytest.raises(InputError, match=words):
            read_mask(tmp_path / name)
    with pytest.raises(InputError, match="its shape is"):
        read_mask(tmp_path / "good.png", shape=(20, 60))
    pytest.importorskip("nibabel", reason="needs the extra 'masks'")
    with pytest.raises(InputError, match="not a readable NIfTI"):
        read_mask(tmp_path / "broken.nii")


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.nii").write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r"bonescint\[masks\]"):
        read_mask(tmp_path / "m.nii")


def test_the_truth_of_a_case(tmp_path: Path, mask: np.ndarray) -> None:
    manifest = Manifest(cases=(), folder=tmp_path)
    write_mask(mask, tmp_path / "a.png")
    write_mask(np.zeros(SHAPE, dtype=bool), tmp_path / "empty.png")
    simulated = Truth(positive=True, foci=(Focus(view=View.ANTERIOR, row=1, column=2),))
    write_truth(simulated, tmp_path / "t.npz")

    assert truth_of(manifest, case()) is None
    stored = truth_of(manifest, case(truth="t.npz"))
    assert stored is not None
    assert stored.foci == simulated.foci
    drawn = truth_of(manifest, case(mask_anterior="a.png", mask_posterior="empty.png"))
    assert drawn is not None
    assert drawn.source == "physician's mask"
    assert set(drawn.masks) == set(View)
    assert [(focus.row, focus.column) for focus in drawn.foci] == [(11.5, 3.5), (40.5, 15.5)]
    assert drawn.foci[0].radius_mm is None
    negative = truth_of(manifest, case(mask_anterior="empty.png", positive=False))
    assert negative is not None
    assert not negative.positive
    with pytest.raises(InputError, match="labelled negative"):
        truth_of(manifest, case(mask_anterior="a.png", positive=False))
    with pytest.raises(InputError, match="a truth file and masks"):
        truth_of(manifest, case(mask_anterior="a.png", truth="t.npz"))
