"""From a `Scan` to the array that a model reads: pure steps under a name and a version.

Layer 1: numpy and Pillow's resampling, no files.
"""

from bonescint.prepare.composite import PreparedScan, prepare
from bonescint.prepare.framing import BodyFrame, Extent, Framing, WholeField, body_extent, resampled
from bonescint.prepare.intensity import Intensity, MinMax, PercentileRoot
from bonescint.prepare.preprocessing import PREPROCESSINGS, Preprocessing, preprocessing_named

__all__ = [
    "PREPROCESSINGS",
    "BodyFrame",
    "Extent",
    "Framing",
    "Intensity",
    "MinMax",
    "PercentileRoot",
    "PreparedScan",
    "Preprocessing",
    "WholeField",
    "body_extent",
    "prepare",
    "preprocessing_named",
    "resampled",
]
