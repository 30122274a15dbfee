"""Metastatic bone disease: how much, where, how large, how hot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind, ParameterError, UptakeSite
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.constants import EARLY_SITE_FACTORS, SITE_WEIGHTS
from bonescint.simulate.focal import FocalUptake, with_cold_core
from bonescint.simulate.population import Disease
from bonescint.simulate.seen_foci import TWELVE_REGIONS
from bonescint.simulate.skeleton import group_of_region

SUPERSCAN_FROM = 60
"""From this number of metastases on, disease is diffuse in the axial skeleton. Assumed."""

_MOST_FOCAL = 45
_EARLY_UP_TO = 5  # metastases; assumed
_ALONG_RIB_SHARE = 0.30  # disease that runs along a rib for centimetres; assumed
_DIFFUSE_BONES = (
    "pelvis",
    "sacrum",
    "lumbar",
    "thoracic",
    "sternum",
    "rib",
    "scapula",
    "humerus",
    "femur",
)
_MARROW_END = 0.62  # metastases of long bones sit where red marrow is: mostly at the trunk's end


def draw_lesion_number(
    rng: np.random.Generator, primary: str, disease: Disease | None = None
) -> int:
    """Draw the number of metastases of a positive scan: often one to three, at times a hundred.

    Args:
        rng: source of randomness.
        primary: primary tumour.
        disease: properties of the disease in this population; the default ones if `None`.
    """
    disease = disease or Disease()
    if rng.random() < disease.superscan_share_of(primary):
        return int(rng.integers(SUPERSCAN_FROM, 130))
    if rng.random() < disease.solitary_share:
        return 1
    # A geometric distribution: most patients have few, some have dozens.
    return 1 + int(np.clip(rng.geometric(1 / (disease.mean_number - 1)), 1, _MOST_FOCAL))


def site_probabilities(
    regions: tuple[str, ...], primary: str, *, early: bool = False
) -> NDArray[np.float64]:
    """Probability that a metastasis lies in each region.

    Args:
        regions: names of the bones.
        primary: one of the primaries of the site tables.
        early: whether the patient has few metastases, which have other sites than later ones.

    Raises:
        ParameterError: an unknown primary tumour.

    Examples:
        >>> site_probabilities(("L3", "femur L", "femur R"), "prostate").round(2).tolist()
        [0.46, 0.27, 0.27]
    """
    if primary not in SITE_WEIGHTS:
        raise ParameterError(
            "primary", "site_probabilities", f"one of {', '.join(SITE_WEIGHTS)}", primary
        )
    factors = EARLY_SITE_FACTORS.get(primary, {}) if early else {}
    weights = {
        group: weight * factors.get(group, 1.0) for group, weight in SITE_WEIGHTS[primary].items()
    }
    groups = [group_of_region(region) for region in regions]
    chances = np.array([weights.get(group, 0) / groups.count(group) for group in groups])
    return np.asarray(chances / chances.sum(), dtype=np.float64)


def _within(
    bone: str, regions: tuple[str, ...], chances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The chances of the regions of one bone alone."""
    inside = chances * [TWELVE_REGIONS[group_of_region(region)] == bone for region in regions]
    return np.asarray(inside / inside.sum(), dtype=np.float64)


def _lesion(
    anatomy: Anatomy,
    normal: NDArray[np.float32],
    region: str,
    rng: np.random.Generator,
    disease: Disease,
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
    radius = float(np.exp(rng.normal(np.log(disease.radius_median_mm), disease.radius_sd)))
    if group == "rib":  # a rib is thin: disease spreads along it, at times for centimetres
        radius *= float(rng.uniform(1.8, 3.0)) if rng.random() < _ALONG_RIB_SHARE else 1.2
    excess = float(np.exp(rng.normal(np.log(disease.contrast_median), disease.contrast_sd)))
    contrast = 1 + min(excess * hotness, 30.0)
    form = rng.random()
    if form < disease.cold_share:
        contrast = float(rng.uniform(0.0, 0.3))
    mixed = disease.cold_share <= form < disease.cold_share + disease.mixed_share
    if mixed:  # only a lesion of some size shows its core
        radius *= 1.6
    stretch = rng.uniform(0.75, 1.35, size=3)
    lesion = anatomy.bone_focus(
        region=region,
        centre_mm=centre,
        radius_mm=float(np.clip(radius, 5.0, 45.0)),
        contrast=contrast,
        normal=normal,
        kind=FocusKind.METASTASIS,
        cause=UptakeSite.METASTASIS,
        elongation=(float(stretch[0]), float(stretch[1]), float(stretch[2])),
    )
    return with_cold_core(lesion, centre) if mixed else lesion


def _diffuse(
    anatomy: Anatomy,
    normal: NDArray[np.float32],
    rng: np.random.Generator,
    hotness: float,
) -> list[FocalUptake]:
    """A superscan: increased uptake of whole bones of the axial skeleton."""
    lesions = []
    for region in anatomy.skeleton.regions:
        group = group_of_region(region)
        if group not in _DIFFUSE_BONES or rng.random() < 0.15:
            continue
        # Long bones only as far as there is red marrow: a ball around the trunk's end.
        long_bone = group in ("humerus", "femur")
        marks = anatomy.landmarks
        lesions.append(
            anatomy.bone_focus(
                region=region,
                centre_mm=marks.top(region) if long_bone else marks.centre(region),
                radius_mm=float(rng.uniform(110, 190)) if long_bone else 300.0,
                contrast=1 + hotness * float(rng.lognormal(np.log(1.6), 0.35)),
                normal=normal,
                kind=FocusKind.METASTASIS,
                cause=UptakeSite.DIFFUSE_METASTASES,
            )
        )
    return lesions


def draw_metastases(
    anatomy: Anatomy,
    normal: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    number: int,
    primary: str,
    disease: Disease | None = None,
    first_bone: str = "",
) -> list[FocalUptake]:
    """Draw the metastases of one patient.

    Args:
        anatomy: the patient.
        normal: normal uptake of the bone samples (n,).
        rng: source of randomness.
        number: how many foci; from `SUPERSCAN_FROM` on, most of them are whole bones.
        primary: primary tumour, which sets the sites.
        disease: properties of the disease in this population; the default ones if `None`.
        first_bone: coarse region (`TWELVE_NAMES`), in which the first single focus lies; any if
            empty.

    Raises:
        ParameterError: a negative number or an unknown primary.
    """
    if number < 0:
        raise ParameterError("number", "draw_metastases", "at least 0", number)
    if number == 0:
        return []
    early = number <= _EARLY_UP_TO
    chances = site_probabilities(anatomy.skeleton.regions, primary, early=early)
    # Disease clusters: some patients have it in the spine, some in the ribs.
    chances = chances * rng.gamma(1.2, 1.0, size=len(chances))
    chances /= chances.sum()
    disease = disease or Disease()
    hotness = float(np.exp(rng.normal(0, disease.patient_contrast_sd)))
    lesions: list[FocalUptake] = []
    if number >= SUPERSCAN_FROM:
        lesions = _diffuse(anatomy, normal, rng, hotness)
        number -= len(lesions)
    sites = rng.choice(len(chances), size=number, p=chances)
    if first_bone and number > 0:
        sites[0] = rng.choice(
            len(chances), p=_within(first_bone, anatomy.skeleton.regions, chances)
        )
    lesions += [
        _lesion(anatomy, normal, anatomy.skeleton.regions[site], rng, disease, hotness)
        for site in sites
    ]
    return [lesion for lesion in lesions if len(lesion.positions_mm)]
