"""The ways in which metastases look on a scan, each with the disease that is simulated for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from bonescint.simulate import Disease
from bonescint.simulate.metastases import SUPERSCAN_FROM, draw_lesion_number

_MOST_DIFFUSE = 130
_COLD_RADIUS_MM = 20.0
"""Median radius of metastases that are cold or have a cold core. Assumed: smaller ones are filled
by the bone in front of them and behind."""
_FLARE = 2.0
"""Factor of the uptake of metastases in a flare. Assumed."""


class Appearance(StrEnum):
    """How the metastases of a scan look; texts and courses name them by these words.

    Examples:
        >>> Appearance("superscan")
        <Appearance.SUPERSCAN: 'superscan'>
    """

    SOLITARY = "solitary"
    DISSEMINATED = "disseminated"
    SUPERSCAN = "superscan"
    COLD = "cold"
    MIXED = "mixed"
    FLARE = "flare"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnDisease:
    """What to ask the simulator for, so that metastases look as wanted.

    Attributes:
        lesions: number of metastases.
        disease: their size and uptake.
    """

    lesions: int
    disease: Disease


def draw_disease(
    appearance: Appearance, rng: np.random.Generator, disease: Disease | None = None
) -> DrawnDisease:
    """Draw metastases of one appearance.

    Args:
        appearance: how they shall look.
        rng: source of randomness.
        disease: size and uptake of hot metastases; the default ones if `None`.

    Examples:
        >>> draw_disease(Appearance.SOLITARY, np.random.default_rng(1)).lesions
        1
    """
    hot = replace(disease or Disease(), cold_share=0.0, mixed_share=0.0)
    if appearance is Appearance.SOLITARY:
        return DrawnDisease(lesions=1, disease=hot)
    if appearance is Appearance.DISSEMINATED:
        several = replace(hot, solitary_share=0.0, superscan_share={})
        return DrawnDisease(lesions=draw_lesion_number(rng, "other", several), disease=hot)
    if appearance is Appearance.SUPERSCAN:
        number = int(rng.integers(SUPERSCAN_FROM, _MOST_DIFFUSE))
        return DrawnDisease(lesions=number, disease=hot)
    if appearance is Appearance.FLARE:
        hotter = replace(hot, contrast_median=_FLARE * hot.contrast_median)
        return DrawnDisease(lesions=int(rng.integers(4, 16)), disease=hotter)
    large = replace(hot, radius_median_mm=max(_COLD_RADIUS_MM, hot.radius_median_mm))
    cold = appearance is Appearance.COLD
    shaped = replace(large, cold_share=float(cold), mixed_share=float(not cold))
    return DrawnDisease(lesions=int(rng.integers(1, 4)), disease=shaped)
