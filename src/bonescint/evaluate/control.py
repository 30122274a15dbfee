"""A control model that knows age, sex and primary tumour, and never sees the scan.

Ibrahim et al. 2023 raise the concern that a network might rely on such facts. If this control
comes close to the network, these facts alone predict the label in that cohort.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import chi2

from bonescint.evaluate.logistic import fit_logistic, margins
from bonescint.evaluate.scored import ScoredCases, score_effect
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClinicalFacts:
    """What is known of patients without their scans.

    Attributes:
        age: float64 (cases,), years; NaN where unknown.
        sex: a word for each case, empty where unknown.
        primary: primary tumour of each case, empty for none or unknown.

    Raises:
        ParameterError: different numbers of cases.
    """

    age: NDArray[np.float64]
    sex: tuple[str, ...]
    primary: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "age", np.asarray(self.age, dtype=np.float64))
        if not self.age.shape == (len(self.sex),) == (len(self.primary),):
            got = (self.age.shape, len(self.sex), len(self.primary))
            raise ParameterError("age", "ClinicalFacts", "as long as sex and primary", got)

    @property
    def count(self) -> int:
        """Number of cases."""
        return len(self.sex)

    @property
    def known(self) -> bool:
        """Whether anything at all is known."""
        return bool(np.isfinite(self.age).any() or any(self.sex) or any(self.primary))

    def of(self, chosen: NDArray[np.bool_]) -> ClinicalFacts:
        """Those of some cases: bool (cases,)."""
        places = np.flatnonzero(chosen).tolist()
        return ClinicalFacts(
            age=self.age[chosen],
            sex=tuple(self.sex[place] for place in places),
            primary=tuple(self.primary[place] for place in places),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClinicalControl:
    """A logistic regression on age (and its square), sex and primary tumour.

    A weak ridge penalty (half the squared standardised coefficients) keeps coefficients of rare
    words finite. A word that did not occur in the fitted cases counts as none. An unknown age is
    replaced by the mean and marked by a term of its own.

    Attributes:
        mean_age: mean age of the fitted cases, in years.
        sd_age: standard deviation of their ages, in years.
        sexes: sexes that have a term.
        primaries: primary tumours that have a term.
        coefficients: float64 (terms,).
    """

    mean_age: float
    sd_age: float
    sexes: tuple[str, ...]
    primaries: tuple[str, ...]
    coefficients: NDArray[np.float64]

    @classmethod
    def fit(cls, facts: ClinicalFacts, positive: NDArray[np.bool_]) -> ClinicalControl:
        """Fit the control, to cases on which it will not be evaluated.

        Args:
            facts: facts of the cases.
            positive: bool (cases,).

        Raises:
            ParameterError: one class only, or facts of other cases.

        Examples:
            >>> facts = ClinicalFacts(age=np.array([50.0, 60, 70, 80]), sex=("F", "M", "F", "M"),
            ...                       primary=("", "", "breast", "prostate"))
            >>> control = ClinicalControl.fit(facts, np.array([False, False, True, True]))
            >>> control.probabilities(facts)[0] < 0.5 < control.probabilities(facts)[3]
            np.True_
        """
        truth = np.asarray(positive, dtype=bool)
        if truth.shape != (facts.count,) or truth.all() or not truth.any():
            requirement = f"of both classes, for {facts.count} cases"
            raise ParameterError("positive", "ClinicalControl.fit", requirement, truth.shape)
        known = facts.age[np.isfinite(facts.age)]
        empty = cls(
            mean_age=float(known.mean()) if known.size else 0.0,
            sd_age=max(float(known.std()), 1.0) if known.size else 1.0,
            sexes=tuple(sorted(set(facts.sex) - {""})),
            primaries=tuple(sorted(set(facts.primary) - {""})),
            coefficients=np.zeros(0),
        )
        terms = empty.terms(facts)
        penalty = np.ones(terms.shape[1])
        penalty[0] = 0.0  # the intercept is free
        fit = fit_logistic(terms, truth, penalty=penalty)
        return cls(
            mean_age=empty.mean_age,
            sd_age=empty.sd_age,
            sexes=empty.sexes,
            primaries=empty.primaries,
            coefficients=fit.coefficients,
        )

    def terms(self, facts: ClinicalFacts) -> NDArray[np.float64]:
        """The design matrix (cases, terms): 1, age, age squared, age unknown, sexes, primaries."""
        unknown = ~np.isfinite(facts.age)
        age = (np.where(unknown, self.mean_age, facts.age) - self.mean_age) / self.sd_age
        columns = [np.ones(facts.count), age, age**2, unknown.astype(np.float64)]
        for words, levels in ((facts.sex, self.sexes), (facts.primary, self.primaries)):
            given = np.array(words, dtype=object)
            columns += [(given == level).astype(np.float64) for level in levels]
        return np.column_stack(columns)

    def probabilities(self, facts: ClinicalFacts) -> NDArray[np.float64]:
        """Probability of disease of each case, float64 (cases,)."""
        return np.asarray(expit(self.terms(facts) @ self.coefficients), dtype=np.float64)


def cross_fitted(
    facts: ClinicalFacts,
    positive: NDArray[np.bool_],
    patients: Sequence[str],
    *,
    folds: int = 5,
    seed: int = 1,
) -> NDArray[np.float64]:
    """Cross-validated probabilities: each case is predicted by a control fitted to other patients.

    For cohorts that have no training cases of their own.

    Args:
        facts: facts of the cases.
        positive: bool (cases,).
        patients: identifier of each case's patient; one's scans stay in one fold.
        folds: number of folds.
        seed: seed of the assignment to folds.

    Returns:
        float64 (cases,).

    Raises:
        ParameterError: too few patients of a class for so many folds.
    """
    truth = np.asarray(positive, dtype=bool)
    names, number = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    ill = np.bincount(number, weights=truth, minlength=names.size) > 0
    if min(int(ill.sum()), int((~ill).sum())) < folds:
        requirement = f"at least {folds} patients with disease and {folds} without"
        raise ParameterError(
            "patients", "cross_fitted", requirement, f"{ill.sum()}, {(~ill).sum()}"
        )
    rng = np.random.default_rng(seed)
    fold = np.empty(names.size, dtype=np.intp)
    for members in (np.flatnonzero(ill), np.flatnonzero(~ill)):
        fold[rng.permutation(members)] = np.arange(members.size) % folds
    found = np.empty(truth.size)
    for part in range(folds):
        held = fold[number] == part
        control = ClinicalControl.fit(facts.of(~held), truth[~held])
        found[held] = control.probabilities(facts.of(held))
    return found


def added_information(cases: ScoredCases, known: NDArray[np.float64]) -> tuple[float, float]:
    """Likelihood ratio test whether a score adds information to another one.

    Where patients have several cases, the statistic is divided by `score_effect` (Chandler and
    Bate, Biometrika 2007;94:167).

    Args:
        cases: scored by the probabilities to test.
        known: the other model's probabilities, (cases,).

    Returns:
        Chi-square with one degree of freedom, and the p value; NaN where the two together
        separate the classes.

    Raises:
        ParameterError: one class only.
    """
    cases.require_both_classes("added_information")
    cases.require_probabilities("added_information")
    ones = np.ones(cases.count)
    base = fit_logistic(np.column_stack([ones, margins(known)]), cases.positive)
    terms = np.column_stack([ones, margins(known), margins(cases.scores)])
    more = fit_logistic(terms, cases.positive)
    if not more.converged or not base.converged:
        return math.nan, math.nan
    statistic = max(0.0, 2 * (more.log_likelihood - base.log_likelihood))
    residuals = cases.positive - expit(terms @ more.coefficients)
    statistic /= score_effect(terms @ more.covariance[2] * residuals, cases.patients)
    return statistic, float(chi2.sf(statistic, 1))
