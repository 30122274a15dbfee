"""Figures by subgroup, and whether they differ: tests for interaction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, chi2_contingency, fisher_exact

from bonescint.evaluate.metrics import Confusion, sensitivity_score, specificity_score
from bonescint.evaluate.roc import StructuralComponents, roc_auc_score
from bonescint.evaluate.scored import ScoredCases, case_patients, score_effect, summed
from bonescint.intervals import Estimate
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factor:
    """A factor that divides cases into subgroups, such as the centre.

    Attributes:
        name: its name in reports, such as `"Sex"`.
        levels: names of the groups, in the order of the table.
        members: int (cases,), index of each case's level; -1 where it is unknown.
        positives_only: whether only cases with disease have a level (number of lesions, say);
            each group is then judged against all cases without disease.

    Raises:
        ParameterError: a member that is no level.
    """

    name: str
    levels: tuple[str, ...]
    members: NDArray[np.intp]
    positives_only: bool = False

    def __post_init__(self) -> None:
        members = np.asarray(self.members, dtype=np.intp)
        if members.ndim != 1 or (members < -1).any() or (members >= len(self.levels)).any():
            requirement = f"from -1 to {len(self.levels) - 1}"
            raise ParameterError("members", f"Factor {self.name}", requirement, "others")
        object.__setattr__(self, "members", members)

    @classmethod
    def of_names(cls, name: str, values: Sequence[str], *, unknown: str = "") -> Factor:
        """A factor from a text for each case, with levels in alphabetical order.

        Args:
            name: name of the factor.
            values: a word for each case.
            unknown: the word that means unknown.

        Examples:
            >>> Factor.of_names("Sex", ["F", "M", ""]).members.tolist()
            [0, 1, -1]
        """
        levels = tuple(sorted(set(values) - {unknown}))
        index = {level: number for number, level in enumerate(levels)}
        members = np.array([index.get(value, -1) for value in values], dtype=np.intp)
        return cls(name=name, levels=levels, members=members)

    @classmethod
    def of_numbers(
        cls,
        name: str,
        values: NDArray[np.float64],
        edges: Sequence[float],
        *,
        positives_only: bool = False,
        digits: int = 0,
    ) -> Factor:
        """A factor from a number for each case, cut at edges; empty levels are left out.

        Args:
            name: name of the factor.
            values: (cases,), NaN where unknown.
            edges: ascending; a value on an edge belongs to the level above.
            positives_only: as the attribute.
            digits: decimals of the edges in the levels' names.

        Examples:
            >>> ages = np.array([40.0, 65.0, 80.0, np.nan])
            >>> Factor.of_numbers("Age", ages, [50, 65]).levels
            ('under 50', '65 and over')
        """
        cuts = list(edges)
        if not cuts:
            raise ParameterError("edges", "Factor.of_numbers", "at least one", edges)
        texts = [f"{cut:.{digits}f}" for cut in cuts]
        names = [f"under {texts[0]}"]
        names += [f"{low} to under {high}" for low, high in pairwise(texts)]
        names.append(f"{texts[-1]} and over")
        numbers = np.asarray(values, dtype=np.float64)
        index = np.where(np.isnan(numbers), -1, np.digitize(numbers, cuts)).astype(np.intp)
        there = sorted(set(index.tolist()) - {-1})
        place = {old: new for new, old in enumerate(there)} | {-1: -1}
        return cls(
            name=name,
            levels=tuple(names[old] for old in there),
            members=np.array([place[one] for one in index.tolist()], dtype=np.intp),
            positives_only=positives_only,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """One level of a factor.

    Attributes:
        factor: name of the factor.
        level: name of the level.
        positives: cases with disease in it.
        negatives: cases without disease that they are judged against.
        area: area under the ROC curve.
        sensitivity: at the operating point.
        specificity: at the operating point.
    """

    factor: str
    level: str
    positives: int
    negatives: int
    area: Estimate
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """Whether a figure differs between the levels of a factor by more than chance.

    Attributes:
        factor: name of the factor.
        figure: name of the figure, as in code.
        statistic: statistic of the test; NaN if it has none.
        degrees: degrees of freedom.
        p_value: NaN where undefined; `note` says why.
        p_holm: the same, corrected for all tests of the table (Holm, Scand J Stat 1979;6:65).
        test: name of the test.
        note: a remark on the result; empty if none.
    """

    factor: str
    figure: str
    statistic: float
    degrees: int
    p_value: float
    p_holm: float = math.nan
    test: str = ""
    note: str = ""


def subgroups(
    cases: ScoredCases, factor: Factor, threshold: float, *, level: float = 0.95
) -> tuple[Subgroup, ...]:
    """Figures for each level of a factor.

    Args:
        cases: all cases.
        factor: the factor that divides them.
        threshold: a case is called positive if its score is at least this.
        level: coverage of the intervals.

    Raises:
        ParameterError: the factor has another number of cases.
    """
    _check(cases, factor)
    found = []
    for number, name in enumerate(factor.levels):
        if not (factor.members == number).any():
            continue
        part = cases.of(_members(cases, factor, number))
        table = Confusion.of(part, threshold)
        found.append(
            Subgroup(
                factor=factor.name,
                level=name,
                positives=part.positives,
                negatives=part.negatives,
                area=_area(part, level),
                sensitivity=sensitivity_score(table, level=level),
                specificity=specificity_score(table, level=level),
            )
        )
    return tuple(found)


def interactions(cases: ScoredCases, factor: Factor, threshold: float) -> tuple[Interaction, ...]:
    """Test whether area, sensitivity and specificity differ between the levels.

    Areas: Wald's test of equal areas with DeLong's covariance, which allows for negatives shared
    between groups. Shares: Pearson's chi-square; Fisher's exact test for two levels if an expected
    count is below 5. Where patients have several cases, the covariance of areas is clustered by
    patient, and tables are divided by the design effect (Rao and Scott, Biometrics 1992;48:577),
    without Fisher's test.

    Args:
        cases: all cases.
        factor: the factor that divides them.
        threshold: a case is called positive if its score is at least this.

    Raises:
        ParameterError: the factor has another number of cases.
    """
    _check(cases, factor)
    found = [_area_interaction(cases, factor)]
    called = cases.scores >= threshold
    found.append(_share_interaction(cases, factor, "sensitivity_score", called, cases.positive))
    if not factor.positives_only:
        found.append(
            _share_interaction(cases, factor, "specificity_score", ~called, ~cases.positive)
        )
    return tuple(found)


def with_holm(tests: Sequence[Interaction]) -> tuple[Interaction, ...]:
    """The same tests with Holm's corrected p values.

    Examples:
        >>> tests = [Interaction(factor="Sex", figure="f", statistic=1.0, degrees=1, p_value=p)
        ...          for p in (0.01, 0.04, 0.03)]
        >>> [round(test.p_holm, 2) for test in with_holm(tests)]
        [0.03, 0.06, 0.06]
    """
    known = [number for number, test in enumerate(tests) if not math.isnan(test.p_value)]
    corrected, highest = [math.nan] * len(tests), 0.0
    for rank, number in enumerate(sorted(known, key=lambda one: tests[one].p_value)):
        highest = max(highest, min(1.0, (len(known) - rank) * tests[number].p_value))
        corrected[number] = highest
    return tuple(replace(test, p_holm=p) for test, p in zip(tests, corrected, strict=True))


def _check(cases: ScoredCases, factor: Factor) -> None:
    if factor.members.shape != (cases.count,):
        requirement = f"of {cases.count} cases"
        raise ParameterError("factor", "subgroups", requirement, factor.members.shape)


def _members(cases: ScoredCases, factor: Factor, number: int) -> NDArray[np.bool_]:
    chosen = np.asarray(factor.members == number)
    if factor.positives_only:
        chosen = (chosen & cases.positive) | ~cases.positive
    return chosen


def _area(part: ScoredCases, level: float) -> Estimate:
    if not part.positives or not part.negatives:
        kind = "with" if not part.positives else "without"
        note = f"no case {kind} disease"
        return Estimate(value=math.nan, level=level, method="DeLong, on the logit", note=note)
    return roc_auc_score(part, level=level)


def _area_interaction(cases: ScoredCases, factor: Factor) -> Interaction:
    test = "Wald, DeLong's covariance" + ("" if cases.patients is None else " by patient")
    areas, weights = [], []
    for number in range(len(factor.levels)):
        chosen = _members(cases, factor, number)
        truth = cases.positive[chosen]
        patients = case_patients(cases)[chosen]
        if min(np.unique(patients[truth]).size, np.unique(patients[~truth]).size) < 2:
            continue
        components = StructuralComponents.of(cases.scores[chosen], truth)
        areas.append(float(components.areas[0]))
        weights.append(_influence(cases, chosen, components))
    degrees = len(areas) - 1
    statistic, p_value = math.nan, math.nan
    note = "fewer than two levels with 2 cases of each class"
    if degrees >= 1:
        influence = np.array(weights)
        statistic = wald_equal(np.array(areas), influence @ influence.T)
        note = "an area has no variance"
    if math.isfinite(statistic):
        p_value = float(chi2.sf(statistic, degrees))
        whole = len(areas) == len(factor.levels)
        note = "" if whole else "levels with fewer than 2 of a class left out"
    return Interaction(
        factor=factor.name,
        figure="roc_auc_score",
        statistic=statistic,
        degrees=max(degrees, 0),
        p_value=p_value,
        test=test,
        note=note,
    )


def _influence(
    cases: ScoredCases, chosen: NDArray[np.bool_], components: StructuralComponents
) -> NDArray[np.float64]:
    """Each patient's contribution to an area's error, (patients,); products sum to the covariance.

    The covariance is DeLong's where each patient has one case; else Obuchowski's, apart from a
    small-sample factor for patients with cases of both classes. Groups without a common patient
    have a covariance of 0.
    """
    found, patients = np.zeros(cases.count), case_patients(cases)
    for members, row in (
        (chosen & cases.positive, components.v10[0]),
        (chosen & ~cases.positive, components.v01[0]),
    ):
        count = np.unique(patients[members]).size
        found[members] = (row - row.mean()) / row.size * math.sqrt(count / (count - 1))
    return summed(found, patients)


def wald_equal(values: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """Wald's statistic of the hypothesis that all values are equal.

    With independent values it is Cochran's Q.

    Args:
        values: (K,).
        covariance: (K, K).

    Returns:
        Chi-square with K - 1 degrees of freedom; NaN where a contrast does not vary.

    Examples:
        >>> round(wald_equal(np.array([1.0, 2.0]), np.diag([0.5, 0.5])), 6)
        1.0
    """
    contrasts = np.eye(values.size)[1:] - np.eye(values.size)[:1]
    spread = contrasts @ covariance @ contrasts.T
    if not np.isfinite(spread).all() or np.linalg.cond(spread) > 1e12:
        return math.nan
    apart = contrasts @ values
    return float(apart @ np.linalg.solve(spread, apart))


def _share_interaction(
    cases: ScoredCases,
    factor: Factor,
    figure: str,
    right: NDArray[np.bool_],
    among: NDArray[np.bool_],
) -> Interaction:
    test = "chi-square" + ("" if cases.patients is None else " by patient (Rao and Scott 1992)")
    table = np.array(
        [
            [int((chosen & right).sum()), int((chosen & ~right).sum())]
            for chosen in ((factor.members == n) & among for n in range(len(factor.levels)))
            if chosen.any()
        ]
    ).reshape(-1, 2)
    degrees = max(len(table) - 1, 0)

    def found(statistic: float, p_value: float, note: str = "", by: str = test) -> Interaction:
        return Interaction(
            factor=factor.name,
            figure=figure,
            statistic=statistic,
            degrees=degrees,
            p_value=p_value,
            test=by,
            note=note,
        )

    if degrees == 0:
        return found(math.nan, math.nan, "fewer than two levels with cases")
    if not table.sum(axis=0).all():
        return found(0.0, 1.0, "the same in all levels")
    independent = table / _effect(cases, factor, right, among)
    expected = np.outer(independent.sum(axis=1), independent.sum(axis=0)) / independent.sum()
    if len(table) == 2 and expected.min() < 5 and cases.patients is None:
        return found(math.nan, float(fisher_exact(table).pvalue), by="Fisher, exact")
    result = chi2_contingency(independent, correction=False)
    few = "" if expected.min() >= 5 else "a count below 5 is expected: p is rough"
    return found(float(result.statistic), float(result.pvalue), few)


def _effect(
    cases: ScoredCases, factor: Factor, right: NDArray[np.bool_], among: NDArray[np.bool_]
) -> float:
    """The design effect of a table where patients have several cases."""
    if cases.patients is None:
        return 1.0
    known = among & (factor.members >= 0)
    residuals = right[known].astype(np.float64)
    for number in range(len(factor.levels)):
        level = factor.members[known] == number
        if level.any():
            residuals[level] -= residuals[level].mean()
    return score_effect(residuals, cases.patients[known])
