"""From a `Scan` to the array that a model reads: pure steps, and named recipes of steps.

Layer 1: numpy and Pillow's resampling, no files.
"""

from bonescint.prepare.composite import PreparedScan, prepare
from bonescint.prepare.framing import BodyFrame, Extent, Framing, WholeField, body_extent
from bonescint.prepare.intensity import Intensity, MinMax, PercentileRoot
from bonescint.prepare.recipe import RECIPES, Recipe, recipe_named
from bonescint.prepare.resample import resampled

__all__ = [
    "RECIPES",
    "BodyFrame",
    "Extent",
    "Framing",
    "Intensity",
    "MinMax",
    "PercentileRoot",
    "PreparedScan",
    "Recipe",
    "WholeField",
    "body_extent",
    "prepare",
    "recipe_named",
    "resampled",
]
