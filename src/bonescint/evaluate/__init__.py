"""Metrics with intervals, calibration, localisation, reader statistics, figures.

Takes arrays and nouns, reads no images.
"""

from bonescint.evaluate.interval import Estimate
from bonescint.evaluate.placements import Placements

__all__ = ["Estimate", "Placements"]
