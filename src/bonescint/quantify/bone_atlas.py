"""The bones of an average body, how bodies differ from it, and how to find that in a scan.

A point distribution model (Cootes et al., Comput Vis Image Underst 1995;61:38): samples of every
bone, whose places in the plane of the detector are a mean and a sum of modes. It was made from
simulated patients (benchmarks/make_bone_atlas.py), whose samples correspond to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import View

Floats = NDArray[np.float32]

TERMS = 10
"""Terms of the quadratic polynomial by which a mode moves the samples of one bone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """One step of the search for a body's shape in a view.

    Attributes:
        spacing_mm: between the nine places of a landmark at which the image is looked at.
        weights: float32 (features + 1, 2 + modes), what they say on place and modes.
        trust: float32 (2 + modes,), inverse of the variance that is left after this step.
    """

    spacing_mm: float
    weights: Floats
    trust: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoneAtlas:
    """Bones of the average body and its modes; places are mm to the patient's left, and up.

    The origin is the mean of sacrum and lumbar spine.

    Attributes:
        bones: names of the bones, such as `"L3"` or `"rib07 L"`.
        bone: uint8 (samples,), index of each sample's bone, sorted.
        mean_mm: float32 (samples, 2), places in the average body.
        terms: float32 (samples, 10), terms of a sample's place within its bone.
        modes: float32 (modes, bones, 10, 2), how a mode of one standard deviation moves them.
        photons: for each view float32 (samples,), photons that reach the detector at equal uptake.
        blur_mm: for each view float32 (bones,), standard deviation of the blur.
        landmarks: indices of the samples at which images are looked at.
        stages: for each view the steps of the search.
        expected_start: for each view float32 (9 x landmarks,), what the landmarks of the average
            body see at the first step.
        expected_end: the same at the last step, for a body whose shape has been found.
        volume: float32 (bones,), share of the skeleton's bone volume.
    """

    bones: tuple[str, ...]
    bone: NDArray[np.uint8]
    mean_mm: Floats
    terms: Floats
    modes: Floats
    photons: Mapping[View, Floats]
    blur_mm: Mapping[View, Floats]
    landmarks: NDArray[np.intp]
    stages: Mapping[View, tuple[Stage, ...]]
    expected_start: Mapping[View, Floats]
    expected_end: Mapping[View, Floats]
    volume: Floats

    def span(self, bone: int) -> slice:
        """The samples of one bone."""
        bounds = _bounds(self)
        return slice(bounds[bone], bounds[bone + 1])

    def places_mm(self, shape: Floats, samples: NDArray[np.intp] | slice = slice(None)) -> Floats:
        """Where samples lie in a body.

        Args:
            shape: float32 (modes,), in standard deviations.
            samples: which.

        Returns:
            float32 (samples, 2), to the patient's left, and up.
        """
        moves = np.tensordot(shape, self.modes, axes=1)[self.bone[samples]]
        moved = np.einsum("nt,ntd->nd", self.terms[samples], moves)
        return np.asarray(self.mean_mm[samples] + moved, dtype=np.float32)


@cache
def _bounds(atlas: BoneAtlas) -> list[int]:
    """The first sample of each bone, and the number of samples."""
    bounds = np.searchsorted(atlas.bone, np.arange(len(atlas.bones) + 1))
    return [int(of) for of in bounds]


def terms_of(bone: NDArray[np.uint8], places_mm: Floats) -> Floats:
    """Constant, linear and quadratic terms of places within their bones.

    Args:
        bone: number of the bone of each place (n,).
        places_mm: the places (n, 3), mm.

    Returns:
        The terms (n, 10) of coordinates from -1 to 1 within each bone.
    """
    within = np.zeros_like(places_mm)
    for number in np.unique(bone):
        mine = bone == number
        centred = places_mm[mine] - places_mm[mine].mean(axis=0)
        within[mine] = centred / np.abs(centred).max()
    x, y, z = within.T
    return np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)


def packed(values: Floats, steps: int = 127) -> tuple[NDArray[np.int16], Floats]:
    """A matrix as whole numbers up to `steps`, and the scale of each column."""
    scale = np.maximum(np.abs(values).max(axis=0), 1e-12) / steps
    whole = np.rint(values / scale).astype(np.int8 if steps < 128 else np.int16)
    return whole, np.asarray(scale, dtype=np.float32)


@cache
def bone_atlas() -> BoneAtlas:
    """The atlas that comes with bonescint."""
    with files("bonescint.quantify").joinpath("bone_atlas.npz").open("rb") as stream:
        return atlas_of(dict(np.load(stream)))


def atlas_of(stored: Mapping[str, NDArray[Any]]) -> BoneAtlas:
    """The atlas from the arrays of its file."""

    def matrix(name: str) -> Floats:
        return np.asarray(stored[f"{name}_q"] * stored[f"{name}_s"], dtype=np.float32)

    def of_views(name: str) -> dict[View, Floats]:
        return {view: np.asarray(stored[f"{name}_{view.value}"], np.float32) for view in View}

    def stages(view: View) -> tuple[Stage, ...]:
        spacings = stored["spacings_mm"]
        return tuple(
            Stage(
                spacing_mm=float(spacing),
                weights=matrix(f"weights_{view.value}_{number}"),
                trust=np.asarray(stored[f"trust_{view.value}_{number}"], np.float32),
            )
            for number, spacing in enumerate(spacings)
        )

    bones = tuple(str(name) for name in stored["bones"])
    bone = np.asarray(stored["bone"], np.uint8)
    places = np.asarray(stored["mean_mm"], np.float32) / np.float32(
        10
    )  # tenths of a millimetre, (n, 3)
    modes = matrix("modes")
    return BoneAtlas(
        bones=bones,
        bone=bone,
        mean_mm=np.ascontiguousarray(places[:, [0, 2]]),
        terms=terms_of(bone, places),
        modes=modes.T.reshape(modes.shape[1], len(bones), TERMS, 2),
        photons=of_views("photons"),
        blur_mm=of_views("blur_mm"),
        landmarks=np.asarray(stored["landmarks"], np.intp),
        stages={view: stages(view) for view in View},
        expected_start=of_views("expected_start"),
        expected_end=of_views("expected_end"),
        volume=np.asarray(stored["volume"], np.float32),
    )
