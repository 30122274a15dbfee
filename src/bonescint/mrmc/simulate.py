"""Simulated reader studies whose truth is known: the model of Roe and Metz."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bonescint.mrmc.covariance import ErrorCovariances
from bonescint.mrmc.data import Reads
from bonescint.scan.checked import check_number, require_number


@dataclass(frozen=True, slots=True, kw_only=True)
class RoeMetz:
    """A population of readers and cases.

    The latent rating of a case is `disease (separation + modality) + R + TR + C + TC + RC + E`,
    all independent and normal: R and TR of a reader differ between cases with and without
    disease, the others are of the case. Variances of the case sum to 1 in Roe and Metz, Acad
    Radiol 1997;4:298; the defaults are their structure HL (high correlation between data, low
    reader variance) at a middling area.

    Attributes:
        separation: mean of the cases with disease in the first modality.
        difference: what the second modality adds to it.
        reader: variance of R.
        modality_reader: variance of TR.
        case: variance of C.
        modality_case: variance of TC.
        reader_case: variance of RC.
        error: variance of E.
    """

    separation: float = 1.50
    difference: float = 0.0
    reader: float = 0.0055
    modality_reader: float = 0.0055
    case: float = 0.3
    modality_case: float = 0.3
    reader_case: float = 0.2
    error: float = 0.2

    def __post_init__(self) -> None:
        for name in ("separation", "difference"):
            check_number(self, name, -10, 10)
        for name in ("reader", "modality_reader", "case", "modality_case", "reader_case", "error"):
            check_number(self, name, 0, 100)
        require_number("RoeMetz", "variance of a rating", self._of_cases, 1e-9, 1000)

    @property
    def _of_cases(self) -> float:
        return self.case + self.modality_case + self.reader_case + self.error

    @property
    def _total(self) -> float:
        """Variance of the difference of two ratings, with and without disease."""
        return 2 * (self.reader + self.modality_reader + self._of_cases)

    def areas(self) -> tuple[float, float]:
        """Mean AUC of both modalities over all readers and cases."""
        means = self.separation, self.separation + self.difference
        first, second = (float(stats.norm.cdf(mean / math.sqrt(self._total))) for mean in means)
        return first, second

    def error_covariances(self, *, positives: int, negatives: int) -> ErrorCovariances:
        """Expected covariances over cases of the empirical AUC, readers being fixed.

        From the chance that two pairs of cases are both rated in the right order, by what they
        share: a bivariate normal probability each. Gallas and Hillis, J Med Imaging
        2014;1:031006. OrTerms over the two modalities, as the analysis does.

        Args:
            positives: cases with disease of a study.
            negatives: cases without.
        """
        kinds = {
            "var": (True, True),
            "cov1": (False, True),
            "cov2": (True, False),
            "cov3": (False, False),
        }
        found = {}
        for name, (same_modality, same_reader) in kinds.items():
            pairs = [(0, 0), (1, 1)] if same_modality else [(0, 1)]
            found[name] = float(
                np.mean(
                    [
                        self._covariance(pair, same_modality, same_reader, positives, negatives)
                        for pair in pairs
                    ]
                )
            )
        return ErrorCovariances(**found)

    def _covariance(
        self,
        pair: tuple[int, int],
        same_modality: bool,
        same_reader: bool,
        positives: int,
        negatives: int,
    ) -> float:
        """Expected covariance over cases of two figures, given their readers."""
        of_reader = 2 * (
            self.reader * same_reader + self.modality_reader * same_reader * same_modality
        )
        of_case = (
            self.case
            + self.modality_case * same_modality
            + self.reader_case * same_reader
            + self.error * (same_modality and same_reader)
        )
        means = [self.separation + self.difference * which for which in pair]

        def together(shared_cases: int) -> float:
            covariance = of_reader + shared_cases * of_case
            correlation = min(covariance / self._total, 1.0)
            limits = np.array(means) / math.sqrt(self._total)
            if correlation >= 1 - 1e-12:
                return float(stats.norm.cdf(limits.min()))
            matrix = [[1.0, correlation], [correlation, 1.0]]
            return float(stats.multivariate_normal.cdf(limits, [0, 0], matrix))

        apart = together(0)
        number = positives * negatives
        return (
            (together(2) - apart) + (positives + negatives - 2) * (together(1) - apart)
        ) / number


def simulate_reads(
    population: RoeMetz,
    *,
    readers: int,
    positives: int,
    negatives: int,
    seed: int | np.random.Generator,
    levels: int | None = None,
) -> Reads:
    """Draw a factorial study: two modalities, everybody reads everything in both.

    Args:
        population: population of readers and cases.
        readers: number of readers, at least 1.
        positives: cases with disease, at least 1.
        negatives: cases without, at least 1.
        seed: seed of everything that is drawn, or the generator.
        levels: ratings in so many steps, 1 to `levels`; continuous if `None`.

    Examples:
        >>> simulate_reads(RoeMetz(), readers=2, positives=3, negatives=4, seed=1).ratings.shape
        (2, 2, 7)
    """
    for name, count in (("readers", readers), ("positives", positives), ("negatives", negatives)):
        require_number("simulate_reads", name, count, 1, 1_000_000)
    if levels is not None:
        require_number("simulate_reads", "levels", levels, 2, 1000)
    rng = np.random.default_rng(seed)
    cases = positives + negatives
    truth = np.arange(cases) >= negatives

    def normal(variance: float, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return math.sqrt(variance) * rng.standard_normal(shape)

    of_class = truth.astype(int)
    of_reader = normal(population.reader, 1, readers, 2)
    of_reader = of_reader + normal(population.modality_reader, 2, readers, 2)
    latent = (
        of_reader[:, :, of_class]
        + normal(population.case, 1, 1, cases)
        + normal(population.modality_case, 2, 1, cases)
        + normal(population.reader_case, 1, readers, cases)
        + normal(population.error, 2, readers, cases)
    )
    shift = population.separation + population.difference * np.array([0.0, 1.0])
    latent = latent + truth * shift[:, None, None]
    if levels is not None:
        spread = math.sqrt(population._of_cases)
        low, high = -1.5 * spread, population.separation + 1.5 * spread
        steps = np.linspace(low, high, levels - 1)
        latent = (1 + np.digitize(latent, steps)).astype(np.float64)
    return Reads(
        modalities=("1", "2"),
        readers=tuple(str(number) for number in range(1, readers + 1)),
        cases=tuple(str(number) for number in range(1, cases + 1)),
        truth=truth,
        ratings=latent,
        seconds=np.full(latent.shape, np.nan),
    )
