"""Temperature scaling: one number that takes overconfidence out of probabilities."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit
from scipy.stats import chi2

from bonescint.evaluate.by_patient import score_effect
from bonescint.evaluate.interval import Estimate
from bonescint.evaluate.scored import ScoredCases
from bonescint.scan import ParameterError

LOWEST, HIGHEST = 0.05, 20.0
"""Between these a temperature is looked for."""

AT_BOUND = f"at the end of the range that is searched, {LOWEST:g} to {HIGHEST:g}"
"""Note of a temperature that says nothing: the best one lies beyond."""

_LEAST = 1e-12


def margins(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Logits of probabilities; 0 and 1 are moved inside by 1e-12.

    Examples:
        >>> margins([0.5]).tolist()
        [0.0]
    """
    inside = np.clip(np.asarray(probabilities, dtype=np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(logit(inside), dtype=np.float64)


def fit_temperature(cases: ScoredCases, *, level: float = 0.95) -> Estimate:
    """The temperature of least cross entropy (Guo et al., ICML 2017).

    Args:
        cases: scored by *margins* (logit of disease minus the other one), not trained on.
        level: of the interval, by profile likelihood; where patients have several cases the
            likelihood ratio is divided by the effect of that (`score_effect`).

    Returns:
        From 0.05 to 20; `note` is `AT_BOUND` where an end was reached: the best temperature
        lies beyond, as with classes that do not overlap, or with probabilities that tell
        nothing of these cases. Such a temperature is no calibration.

    Raises:
        ParameterError: one class only.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> truth = rng.normal(0, 2, 4000)
        >>> cases = ScoredCases(scores=3 * truth, positive=rng.random(4000) < expit(truth))
        >>> round(fit_temperature(cases).value)
        3
    """
    cases.require_both_classes("fit_temperature")
    signed = np.where(cases.positive, cases.scores, -cases.scores)

    def cross_entropy(log_temperature: float) -> float:
        return float(np.logaddexp(0, -signed / math.exp(log_temperature)).sum())

    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(cross_entropy, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    best, least = float(found.x), float(found.fun)
    at_best = signed / math.exp(best)
    effect = score_effect(at_best * expit(-at_best), cases.patients)
    allowed = least + effect * float(chi2.ppf(level, 1)) / 2
    ends = []
    for bound in bounds:
        beyond = cross_entropy(bound) - allowed
        if beyond <= 0:
            ends.append(bound)
        else:
            near, far = min(bound, best), max(bound, best)
            ends.append(float(brentq(lambda x: cross_entropy(x) - allowed, near, far)))
    at_end = min(best - bounds[0], bounds[1] - best) < 1e-3
    return Estimate(
        value=math.exp(best),
        low=math.exp(ends[0]),
        high=math.exp(ends[1]),
        level=level,
        method="profile likelihood" + ("" if cases.patients is None else ", by patient"),
        note=AT_BOUND if at_end else "",
    )


def at_temperature(probabilities: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Probabilities whose margins are divided by a temperature; 1 changes nothing.

    Args:
        probabilities: 0 to 1.
        temperature: above 0.

    Raises:
        ParameterError: a temperature of 0 or below.

    Examples:
        >>> at_temperature([0.5, 0.9], 2.0).round(2).tolist()
        [0.5, 0.75]
    """
    if not temperature > 0 or not math.isfinite(temperature):
        raise ParameterError("temperature", "at_temperature", "above 0", temperature)
    return np.asarray(expit(margins(probabilities) / temperature), dtype=np.float64)
