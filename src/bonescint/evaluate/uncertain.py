"""The band of uncertain calls around an operating point."""

from __future__ import annotations

import math

import numpy as np

from bonescint.evaluate.scored import ScoredCases
from bonescint.scan import PlattCalibration

UNCERTAIN_SHARE = 0.1
"""Share of the scans that the band holds."""


def uncertain_band(
    cases: ScoredCases,
    threshold: float,
    calibration: PlattCalibration,
    *,
    scans: str = "the validation scans",
    share: float = UNCERTAIN_SHARE,
) -> tuple[tuple[float, float] | None, str]:
    """The probabilities round an operating point in which a share of the scans lies.

    A reject option (Chow, IEEE Trans Inf Theory 1970;16:41): the scans whose logit is nearest to
    the operating point's are the ones most often called wrongly.

    Args:
        cases: scored by *margins*, and not trained on.
        threshold: margin from which a scan is called positive.
        calibration: from margins to probabilities.
        scans: what the cases are, after "of".
        share: of the scans that the band is to hold, above 0, at most 1.

    Returns:
        Lower and upper probability, and the rule with what was measured, in words; or no band and
        the reason.

    Examples:
        >>> margins = np.linspace(-5, 5, 101)
        >>> cases = ScoredCases(scores=margins, positive=margins > 0)
        >>> band, rule = uncertain_band(cases, 0.0, PlattCalibration())
        >>> [round(bound, 2) for bound in band]
        [0.38, 0.62]
    """
    if math.isinf(threshold):
        return None, "no uncertain band around a point above every score"
    away = np.abs(cases.scores - threshold)
    reach = float(np.sort(away)[max(0, round(share * away.size) - 1)])
    inside = away <= reach
    right = (cases.scores >= threshold) == cases.positive
    said = f"the {100 * share:.3g} % of {scans} nearest to the operating point"
    for part, name in ((inside, "of these"), (~inside, "of the others")):
        if part.any():
            said += f"; {name} {100 * float(right[part].mean()):.1f} % were called correctly"
    low, high = threshold - reach, threshold + reach
    return (calibration.probability(low), calibration.probability(high)), said
