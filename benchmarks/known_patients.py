"""Simulated patients whose diseased share of every bone is known, for the Bone Scan Index.

A sample of bone is diseased where a metastasis's profile exceeds a half.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from typing import NamedTuple

import numpy as np
from make_bone_atlas import kept_samples
from scipy.spatial import KDTree

from bonescint.quantify import MassTable, bone_masses
from bonescint.scan import Scan, View
from bonescint.simulate import (
    Disease,
    RequestedUptake,
    camera_named,
    draw_anatomy,
    draw_camera,
    set_up_camera,
    simulate_scan,
    simulated_scan,
)
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.metastases import draw_metastases
from bonescint.simulate.population import Population
from bonescint.simulate.reference_skeleton import reference_skeleton
from bonescint.simulate.uptake import normal_uptake

RADIUS_MM = (6.5, 30.0)
"""Median radii of metastases that are tried for a given index."""
MOST_METASTASES = 129


class KnownPatient(NamedTuple):
    """A simulated patient, the expected counts of both views, and the true shares of disease.

    Attributes:
        means: of each view (rows, columns).
        pixel_mm: edge of a pixel.
        scan: one realisation.
        diseased: share of each bone's volume.
        of_samples: share of the bone around each sample of the atlas.
    """

    means: dict[View, np.ndarray]
    pixel_mm: float
    scan: Scan
    diseased: np.ndarray
    of_samples: np.ndarray

    @property
    def index(self) -> float:
        """The true Bone Scan Index with the masses of Spiers."""
        return 100 * float(bone_masses(MassTable.SPIERS) @ self.diseased)

    def scan_of(self, counts: float, rng: np.random.Generator) -> Scan:
        """A new acquisition with so many expected counts in the posterior view."""
        share = counts / float(self.means[View.POSTERIOR].sum())
        images = {
            view.value: rng.poisson(mean * share).astype(np.float32)
            for view, mean in self.means.items()
        }
        return self.scan.with_views(step="again", **images)


class _Truth:
    """Which samples of one patient's bones are diseased."""

    def __init__(self, anatomy: Anatomy, normal: np.ndarray) -> None:
        self.anatomy, self.normal = anatomy, normal
        keys = _keys(anatomy.positions_mm)
        self.order = np.argsort(keys)
        self.keys = keys[self.order]

    def diseased(self, metastases: Iterable[FocalUptake]) -> np.ndarray:
        """Bool (samples of the skeleton,)."""
        skeleton = self.anatomy.skeleton
        ill = np.zeros(len(self.normal), bool)
        for focus in metastases:
            at = self.order[np.searchsorted(self.keys, _keys(focus.positions_mm))]
            floor = 0.45 * skeleton.volume[at] if focus.contrast > 1 else 0
            local = np.maximum(self.normal[at], floor)
            profile = np.abs(focus.activity) / np.maximum(abs(focus.contrast - 1) * local, 1e-9)
            ill[at[profile > 0.5]] = True
        return ill

    def shares(self, ill: np.ndarray) -> np.ndarray:
        """Diseased share of each bone."""
        skeleton = self.anatomy.skeleton
        spans = [skeleton.span(name) for name in skeleton.regions]
        sick = [float((skeleton.volume[span] * ill[span]).sum()) for span in spans]
        return np.array(sick) / [float(skeleton.volume[span].sum()) for span in spans]


def _keys(places: np.ndarray) -> np.ndarray:
    """A whole number for each place: that of a focus's sample is that of the skeleton's."""
    bits = np.ascontiguousarray(places, np.float32).view(np.uint32).astype(np.uint64)
    x, y, z = (
        bits * np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
    ).T
    return np.asarray(x ^ (y >> np.uint64(7)) ^ (z << np.uint64(9)))


@cache
def _sample_of() -> np.ndarray:
    """For each sample of the skeleton the nearest sample of the atlas in the same bone."""
    skeleton = reference_skeleton()
    kept = kept_samples(skeleton)
    nearest = np.zeros(len(skeleton.volume), np.intp)
    for name in skeleton.regions:
        span = skeleton.span(name)
        mine = np.flatnonzero((kept >= span.start) & (kept < span.stop))
        tree = KDTree(skeleton.positions_mm[kept[mine]])
        nearest[span] = mine[tree.query(skeleton.positions_mm[span])[1]]
    return nearest


def shares_of_samples(ill: np.ndarray) -> np.ndarray:
    """Diseased share of the bone around each sample of the atlas.

    Args:
        ill: bool (samples of the skeleton,).
    """
    volume = reference_skeleton().volume
    total = np.bincount(_sample_of(), volume)
    return np.asarray(np.bincount(_sample_of(), volume * ill) / np.maximum(total, 1e-9))


def known_patient(seed: int, lesions: int, radius_mm: float) -> KnownPatient:
    """A patient with so many metastases of a median radius, and with benign uptake as drawn."""
    rng = np.random.default_rng([seed, 77])
    anatomy = draw_anatomy(rng, Population(anatomy=2), primary="prostate")
    camera = set_up_camera(camera_named("discovery"), rng)
    return _simulated(anatomy, camera, rng, seed, lesions, radius_mm, benign=True)


def patient_with_index(
    percent: float, seed: int, *, benign: bool, camera: str = "discovery"
) -> KnownPatient:
    """A patient whose true index is within 2 % of a given one.

    The number of metastases is drawn; their median radius is found by bisection, and where none
    fits, the number is changed, and at last the patient.

    Args:
        percent: the index (masses of Spiers); 0 for no metastases.
        seed: of patient, sites of the metastases, and counts.
        benign: whether joints, fractures, Paget's disease and prostheses stay as drawn; otherwise
            metastases are all that the bones have.
        camera: its name, or empty for any.
    """
    rng = np.random.default_rng([seed, 78])
    anatomy = draw_anatomy(rng, Population(anatomy=2), primary="prostate")
    made = set_up_camera(camera_named(camera), rng) if camera else draw_camera(rng)
    if percent == 0:
        return _simulated(anatomy, made, rng, seed, 0, RADIUS_MM[0], benign=benign)
    number = round(float(np.exp(rng.uniform(*np.log(_numbers(percent))))))
    masses = bone_masses(MassTable.SPIERS)
    for _ in range(30):
        again = deepcopy(rng)
        truth = _Truth(anatomy, normal_uptake(anatomy.skeleton, anatomy.patient, again))

        def index(radius_mm: float, number: int = number, truth: _Truth = truth, again=again):
            ill = truth.diseased(
                draw_metastases(
                    anatomy,
                    truth.normal,
                    deepcopy(again),
                    number=number,
                    primary="prostate",
                    disease=Disease(radius_median_mm=radius_mm),
                )
            )
            return 100 * float(masses @ truth.shares(ill))

        low, high = RADIUS_MM
        if index(high) < percent:
            number = min(number + 1 + number // 4, MOST_METASTASES)
        elif index(low) > percent:
            number = max(1, number - 1 - number // 4)
        else:
            for _ in range(12):
                middle = float(np.sqrt(low * high))
                found = index(middle)
                if abs(found / percent - 1) < 0.02:
                    return _simulated(anatomy, made, rng, seed, number, middle, benign=benign)
                low, high = (middle, high) if found < percent else (low, middle)
        rng.random()  # other sites
    return patient_with_index(percent, seed + 500_000, benign=benign, camera=camera)


def _numbers(percent: float) -> tuple[float, float]:
    """Least and largest number of metastases that is drawn for an index."""
    return 1 + 0.6 * percent + 0.15 * percent**2, 3 + 5 * percent


def _simulated(
    anatomy: Anatomy,
    camera,
    rng: np.random.Generator,
    seed: int,
    lesions: int,
    radius_mm: float,
    *,
    benign: bool,
) -> KnownPatient:
    caught = {}
    draw = simulated_scan._draw_tracer

    def catch(*given, **named):
        caught["tracer"] = draw(*given, **named)
        return caught["tracer"]

    simulated_scan._draw_tracer = catch
    try:
        simulated = simulate_scan(
            anatomy,
            camera,
            rng,
            positive=lesions > 0,
            scan_id=f"bsi-{seed}",
            lesions=lesions,
            counts=1.5e6,
            disease=Disease(radius_median_mm=radius_mm),
            requested=None if benign else RequestedUptake(others=0.0),
        )
    finally:
        simulated_scan._draw_tracer = draw
    truth = _Truth(anatomy, caught["tracer"].normal)
    ill = truth.diseased(caught["tracer"].metastases)
    return KnownPatient(
        simulated.means,
        simulated.scan.pixel_spacing_mm[0],
        simulated.scan,
        truth.shares(ill),
        shares_of_samples(ill),
    )
