"""Agreement of a measured quantity with its reference: Bland and Altman, Lancet 1986;1:307."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.bootstrap import Resampling
from bonescint.evaluate.metrics import Measure
from bonescint.intervals import normal_quantile
from bonescint.scan import ParameterError

_FEWEST = 3
_COVERAGE = "interval_coverage"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPair:
    """A quantity of one scan, and its reference.

    Attributes:
        scan_id: identifier of the scan.
        patient: number of its patient.
        reference: the reference.
        measured: what was measured.
        low, high: the interval that came with it; NaN without one.
    """

    scan_id: str
    patient: int
    reference: float
    measured: float
    low: float
    high: float

    @property
    def covered(self) -> bool:
        """Whether the interval holds the reference."""
        return self.low <= self.reference <= self.high


_MEASURES = (
    ("correlation_score", "Correlation with the reference (Pearson)"),
    ("bias", "Mean difference from the reference"),
    ("difference_sd_error", "Standard deviation of the difference"),
    ("lower_limit", "Lower limit of agreement"),
    ("upper_limit", "Upper limit of agreement"),
    (_COVERAGE, "Intervals that hold the reference"),
)


def agreement_measures(
    pairs: Sequence[MeasuredPair], resampling: Resampling, *, patients: NDArray[np.intp] | None
) -> tuple[Measure, ...]:
    """Correlation, bias, standard deviation, limits of agreement, and coverage of the intervals.

    The limits of agreement are the mean difference plus and minus as many standard deviations as
    the level of the intervals needs (1.96 at 95 %). Differences are measured minus reference.

    Args:
        pairs: one for each scan.
        resampling: for the intervals; scans are drawn, or patients with all their scans.
        patients: number of each scan's patient, or `None` where each has one scan.

    Raises:
        ParameterError: fewer than three pairs.

    Examples:
        >>> pairs = [MeasuredPair(scan_id=str(of), patient=int(of), reference=of,
        ...     measured=of + off, low=of - 1, high=of + 1)
        ...     for of, off in ((1.0, 0.1), (2.0, 0.3), (4.0, 0.2))]
        >>> found = agreement_measures(pairs, Resampling(resamples=50), patients=None)
        >>> [round(one.estimate.value, 3) for one in found[1:5]]
        [0.2, 0.1, 0.004, 0.396]
    """
    if len(pairs) < _FEWEST:
        raise ParameterError("pairs", "agreement_measures", f"at least {_FEWEST}", len(pairs))
    reference = np.array([one.reference for one in pairs])
    measured = np.array([one.measured for one in pairs])
    inside = np.array([np.nan if np.isnan(one.low) else float(one.covered) for one in pairs])
    width = normal_quantile(resampling.level)

    def figures(chosen: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        true, said, covered = reference[chosen], measured[chosen], inside[chosen]
        off = said - true
        bias, spread = off.mean(), off.std(ddof=1)
        varies = np.ptp(true) > 0 and np.ptp(said) > 0
        known = covered[~np.isnan(covered)]
        return np.array(
            [
                np.corrcoef(true, said)[0, 1] if varies else np.nan,
                *(bias, spread, bias - width * spread, bias + width * spread),
                known.mean() if known.size else np.nan,
            ]
        )

    drawn = np.array([figures(at) for at in resampling.scan_draws(len(pairs), patients)])
    who = "scans" if patients is None else "patients"
    method = f"percentile bootstrap of {who}, {resampling.resamples} resamples"
    counted = f"{int(np.nansum(inside))}/{int((~np.isnan(inside)).sum())}"
    found = []
    for column, ((name, words), value) in enumerate(
        zip(_MEASURES, figures(slice(None)), strict=True)
    ):
        interval = resampling.estimate(float(value), drawn[:, column])
        note = interval.note
        if np.isnan(value):
            note = "no intervals" if name == _COVERAGE else "all values are equal"
        found.append(
            Measure(
                name=name,
                words=words,
                estimate=replace(interval, method=method, note=note),
                counted=counted if name == _COVERAGE else "",
            )
        )
    return tuple(found)
