"""How well `model calibrate` does on few scans of another camera: log loss, bias, coverage.

A network's margins are simulated with a known map to the true logit, which is a mixture of two
skewed normal distributions, one for each class of scans; so it is known which slope and intercept
are right. Each draw fits them to a few scans; 20 000 others judge the log loss.

    python benchmarks/calibration.py --draws 200
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import skewnorm

from bonescint.evaluate import ScoredCases, fit_calibration
from bonescint.scan import UNCALIBRATED, PlattCalibration

SIZES = (20, 50, 100, 1000)
JUDGED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Where scans come from.

    Attributes:
        name: in words.
        line: the map from margin to logit that is right there.
        share: of scans of the upper of the two distributions of the true logit.
        rarer: by which the true logit is lower.
    """

    name: str
    line: PlattCalibration
    share: float = 0.3
    rarer: float = 0.0

    def scans(self, count: int, rng: np.random.Generator) -> ScoredCases:
        """Scans of it, scored by margins."""
        upper = rng.random(count) < self.share
        low = -2.4 + 1.4 * skewnorm.rvs(4, size=count, random_state=rng)
        high = 2.2 + 1.8 * skewnorm.rvs(-3, size=count, random_state=rng)
        truth: NDArray[np.float64] = np.where(upper, high, low) - self.rarer
        margins = (truth - self.line.intercept) / self.line.slope
        return ScoredCases(scores=margins, positive=rng.random(count) < expit(truth))

    def scans_of_both_classes(self, count: int, rng: np.random.Generator) -> ScoredCases:
        """The same, drawn again where all scans are of one class."""
        while True:
            cases = self.scans(count, rng)
            if 0 < cases.positives < count:
                return cases


def cameras() -> tuple[Camera, ...]:
    """Each with about 37 % and with about 20 % of its scans with disease."""
    lines = {
        "nearly all called": (0.6, -2.5),
        "too low": (0.8, 1.5),
        "overconfident": (0.4, 0.0),
        "underconfident": (1.8, 0.5),
        "a little too high": (0.85, -0.6),
        "as the training cohort (control)": (1.0, 0.0),
    }
    return tuple(
        Camera(
            name=name,
            line=PlattCalibration(slope=slope, intercept=intercept),
            share=share,
            rarer=rarer,
        )
        for name, (slope, intercept) in lines.items()
        for share, rarer in ((0.3, 0.0), (0.05, 0.5))
    )


def log_loss(cases: ScoredCases, line: PlattCalibration) -> float:
    """Mean log loss of a map."""
    signed = np.where(cases.positive, 1, -1) * (line.intercept + line.slope * cases.scores)
    return float(np.logaddexp(0, -signed).mean())


def measured(where: Camera, count: int, draws: int) -> str:
    """One row of the table: log loss, bias and coverage."""
    judges = where.scans(JUDGED, np.random.default_rng(7))
    rng = np.random.default_rng(count)
    losses, estimates, covered = [], [], []
    for _ in range(draws):
        found = fit_calibration(where.scans_of_both_classes(count, rng))
        losses.append(log_loss(judges, found.calibration))
        estimates.append((found.slope.value, found.intercept.value))
        covered.append((
            found.slope.low <= where.line.slope <= found.slope.high,
            found.intercept.low <= where.line.intercept <= found.intercept.high,
        ))  # fmt: skip
    slope, intercept = np.mean(estimates, axis=0)
    of_slope, of_intercept = 100 * np.mean(covered, axis=0)
    return (
        f"| {where.name} | {100 * judges.prevalence:.0f} % | {count} "
        f"| {log_loss(judges, UNCALIBRATED):.3f} | {np.mean(losses):.3f} "
        f"| {log_loss(judges, where.line):.3f} | {max(losses):.3f} "
        f"| {where.line.slope:g}, {slope:.2f} | {where.line.intercept:g}, {intercept:.2f} "
        f"| {of_slope:.1f} % | {of_intercept:.1f} % |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    print(
        "| camera | positive | scans | log loss before | after, mean | best | after, worst "
        "| slope: true, mean | intercept: true, mean | slope covered | intercept covered |"
    )
    print("|" + "---|" * 11)
    for where in cameras():
        for count in SIZES:
            print(measured(where, count, draws), flush=True)


if __name__ == "__main__":
    main()
