"""Metastatic bone disease: how much, where, how large, how hot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind, ParameterError
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.constants import (
    LESION_CONTRAST_MEDIAN,
    LESION_CONTRAST_SD,
    LESION_RADIUS_MEDIAN_MM,
    LESION_RADIUS_SD,
    SITE_WEIGHTS,
    SUPERSCAN_SHARE,
)
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.regions import group_of_region

_COLD_SHARE = 0.03
_MARROW_END = 0.62  # metastases of long bones sit where red marrow is: mostly at the trunk's end


def draw_lesion_number(rng: np.random.Generator, primary: str) -> int:
    """How many metastases a positive scan shows: often one to three, at times a hundred.

    Args:
        rng: source of randomness.
        primary: primary tumour.
    """
    if rng.random() < SUPERSCAN_SHARE.get(primary, SUPERSCAN_SHARE["other"]):
        return int(rng.integers(60, 130))
    if rng.random() < 0.22:
        return 1
    return 1 + int(np.clip(rng.geometric(0.16), 1, 45))


def site_probabilities(regions: tuple[str, ...], primary: str) -> NDArray[np.float64]:
    """Probability that a metastasis lies in each region.

    Args:
        regions: names of the bones.
        primary: one of the primaries of the site tables.

    Raises:
        ParameterError: an unknown primary tumour.

    Examples:
        >>> site_probabilities(("L3", "femur L", "femur R"), "prostate").round(2).tolist()
        [0.45, 0.27, 0.27]
    """
    if primary not in SITE_WEIGHTS:
        raise ParameterError(
            "primary", "site_probabilities", f"one of {', '.join(SITE_WEIGHTS)}", primary
        )
    weights = SITE_WEIGHTS[primary]
    groups = [group_of_region(region) for region in regions]
    chances = np.array([weights.get(group, 0) / groups.count(group) for group in groups])
    return np.asarray(chances / chances.sum(), dtype=np.float64)


def _lesion(
    anatomy: Anatomy,
    normal: NDArray[np.float32],
    region: str,
    rng: np.random.Generator,
    hotness: float,
) -> FocalUptake:
    skeleton = anatomy.skeleton
    members = skeleton.members(region)
    group = group_of_region(region)
    if group in ("femur", "humerus", "tibia") and rng.random() < 0.85:
        members = members[skeleton.along[members] > _MARROW_END]
    elif group in ("thoracic", "lumbar") and rng.random() < 0.8:
        members = members[skeleton.front[members] > 0.35]  # body and pedicles
    elif group == "sternum":
        offset = np.abs(anatomy.positions_mm[members, 0] - anatomy.landmarks.centre("sternum")[0])
        members = members[offset < 24]
    elif group == "skull":
        members = members[(skeleton.depth_mm[members] < 10) & (skeleton.along[members] > 0.25)]
    centre = anatomy.positions_mm[rng.choice(members)]
    radius = float(np.exp(rng.normal(np.log(LESION_RADIUS_MEDIAN_MM), LESION_RADIUS_SD)))
    if group == "rib":  # a rib is thin: disease spreads along it
        radius *= 1.2
    excess = float(np.exp(rng.normal(np.log(LESION_CONTRAST_MEDIAN), LESION_CONTRAST_SD)))
    contrast = 1 + min(excess * hotness, 30.0)
    if rng.random() < _COLD_SHARE:
        contrast = float(rng.uniform(0.0, 0.3))
    stretch = rng.uniform(0.75, 1.35, size=3)
    return anatomy.bone_focus(
        region=region,
        centre_mm=centre,
        radius_mm=float(np.clip(radius, 5.0, 45.0)),
        contrast=contrast,
        normal=normal,
        kind=FocusKind.METASTASIS,
        cause="metastasis",
        elongation=(float(stretch[0]), float(stretch[1]), float(stretch[2])),
    )


def draw_metastases(
    anatomy: Anatomy,
    normal: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    number: int,
    primary: str,
) -> list[FocalUptake]:
    """Draw the metastases of one patient.

    Args:
        anatomy: the patient.
        normal: normal uptake of the bone samples (n,).
        rng: source of randomness.
        number: how many foci.
        primary: primary tumour, which sets the sites.

    Raises:
        ParameterError: a negative number or an unknown primary.
    """
    if number < 0:
        raise ParameterError("number", "draw_metastases", "at least 0", number)
    if number == 0:
        return []
    chances = site_probabilities(anatomy.skeleton.regions, primary)
    # Disease clusters: some patients have it in the spine, some in the ribs.
    chances = chances * rng.gamma(1.2, 1.0, size=len(chances))
    chances /= chances.sum()
    hotness = float(np.exp(rng.normal(0, 0.25)))
    sites = rng.choice(len(chances), size=number, p=chances)
    lesions = [
        _lesion(anatomy, normal, anatomy.skeleton.regions[site], rng, hotness) for site in sites
    ]
    return [lesion for lesion in lesions if len(lesion.positions_mm)]
