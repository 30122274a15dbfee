"""Lesions that are added to a scan are as hot as they should be, and hot ones are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.support.known_scan import KnownScan, answer

from bonescint.quantify import body_regions, detection_limits
from bonescint.quantify.detectability import DIAMETER_MM, _limit, _sphere
from bonescint.scan import ParameterError, Prediction, Scan

TRUNK = ("L2", "L3", "L4", "T8", "T9", "rib08 L", "rib08 R")


def certain(scan: Scan) -> Prediction:
    """A model that sees evidence everywhere, so that the counts alone decide."""
    return answer(scan, probability=0.99)


def blind(scan: Scan) -> Prediction:
    return answer(scan, probability=0.001)


def test_what_adds_no_counts_is_not_found(known: KnownScan) -> None:
    limits = detection_limits(known.scan, body_regions(known.scan), blind, contrasts=(1.0,))
    assert len(limits) > 50
    assert all(limit.contrast is None and limit.found == 0 for limit in limits)


def test_hot_lesions_are_found_where_counts_decide(known: KnownScan) -> None:
    body = body_regions(known.scan)
    hot = [
        limit
        for limit in detection_limits(known.scan, body, certain, contrasts=(64.0,))
        if limit.bone in TRUNK
    ]
    assert len(hot) >= len(TRUNK) - 1  # one has a spot of the scan's own wherever a lesion would be
    assert sum(limit.found for limit in hot) >= 0.8 * sum(limit.tried for limit in hot)


def test_what_the_scan_has_already_is_not_found_again(known: KnownScan) -> None:
    limits = detection_limits(known.scan, body_regions(known.scan), certain, contrasts=(1.0,))
    assert sum(limit.found for limit in limits) == 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_limits(known: KnownScan) -> None:
    body = body_regions(known.scan)
    one, again = (
        detection_limits(known.scan, body, certain, contrasts=(8.0,), seed=4) for _ in range(2)
    )
    assert one == again


def test_an_added_sphere_has_its_volume_and_width() -> None:
    spacing, blur_mm = (2.0, 2.5), 5.0
    path = _sphere((60.0, 50.0), (120, 100), spacing, blur_mm).astype(float)
    assert path.sum() * spacing[0] * spacing[1] == pytest.approx(
        np.pi / 6 * DIAMETER_MM**3, rel=1e-3
    )
    rows = (np.arange(120) + 0.5 - 60) * spacing[0]
    variance = (path.sum(axis=1) @ rows**2) / path.sum()
    assert variance == pytest.approx(blur_mm**2 + (DIAMETER_MM / 2) ** 2 / 5, rel=0.01)


@pytest.mark.parametrize(
    ("found_from", "low", "high"), [(4.0, 2.5, 9.0), (1.0, 1.0, 3.0)], ids=["middle", "always"]
)
def test_the_limit_lies_where_lesions_begin_to_be_found(
    found_from: float, low: float, high: float
) -> None:
    contrasts = [2.0, 4.0, 8.0, 16.0, 32.0] * 3
    limit = _limit([(contrast, contrast >= found_from) for contrast in contrasts], 32.0)
    assert limit is not None
    assert low <= limit <= high


def test_what_is_never_found_has_no_limit() -> None:
    assert _limit([(2.0, False), (32.0, False)], 32.0) is None


@pytest.mark.parametrize("lacking", ["counts", "spacing"])
def test_counts_and_a_spacing_are_needed(known: KnownScan, lacking: str) -> None:
    scan = known.scan
    if lacking == "spacing":
        scan = replace(scan, pixel_spacing_mm=None)
    else:
        scan = replace(scan, unit=type(scan.unit).INTENSITY)
    with pytest.raises(ParameterError):
        detection_limits(scan, body_regions(scan), certain)
