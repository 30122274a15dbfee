"""How many readers and cases a study needs.

Hillis, Obuchowski and Berbaum, Acad Radiol 2011;18:129; Hillis and Schartz, J Med Imaging
2018;5:045503; Obuchowski, Acad Radiol 1995;2:522.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from scipy import stats

from bonescint.mrmc.covariance import ErrorCovariances
from bonescint.mrmc.obuchowski_rockette import OrAnalysis
from bonescint.mrmc.results import Generalisation, Note, Result, chosen, remark
from bonescint.mrmc.standalone import StandaloneVsReaders
from bonescint.scan import ParameterError
from bonescint.scan.checked import check_number, require_number

MOST_CASES = 1_000_000
MOST_READERS = 1000


class ComparisonKind(StrEnum):
    """What a planned study compares."""

    MODALITIES = "two modalities"
    MODEL = "readers with a model"


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents(Result):
    """The variance components of a study of known size, from which others are sized.

    Attributes:
        comparison: two modalities that all readers read, or readers with a model.
        reader: variance of the readers' true differences, without that from cases: of TR for two
            modalities, of `D_j = reader_j - model` against a model. An estimate may be negative;
            it then counts as 0.
        var: variance over cases of a figure of merit; against a model, of D_j.
        cov1: covariance over cases, same reader, other modality; 0 against a model.
        cov2: covariance over cases, other reader, same modality; against a model, of D_j.
        cov3: covariance over cases, other reader, other modality; 0 against a model.
        cases: number of cases to which these belong; they are inversely proportional to it at the
            same share of cases with disease.

    Raises:
        ParameterError: a component out of range, or no variance within readers (`cov1` not below
            `var`; against a model `cov2` above it).
    """

    comparison: ComparisonKind
    reader: float
    var: float
    cov1: float = 0.0
    cov2: float = 0.0
    cov3: float = 0.0
    cases: int

    def __post_init__(self) -> None:
        kind = chosen(ComparisonKind, self.comparison, "comparison", "VarianceComponents")
        object.__setattr__(self, "comparison", kind)
        check_number(self, "reader", -1, 1)
        check_number(self, "var", 1e-12, 1)
        for name in ("cov1", "cov2", "cov3"):
            check_number(self, name, -1, 1)
        check_number(self, "cases", 2, MOST_CASES)
        for name in ("cov1", "cov3"):
            value = getattr(self, name)
            if kind is ComparisonKind.MODEL and value:
                # There is one modality: these would quietly shrink the variance.
                raise ParameterError(
                    name, "VarianceComponents", "0 against a model, or left out", value
                )
        if self.cov1 >= self.var:
            raise ParameterError(
                "cov1", "VarianceComponents", f"below var ({self.var:g})", self.cov1
            )

    @property
    def between(self) -> float:
        """Covariance between readers, which more readers do not reduce: Cov2 - Cov3, at least 0."""
        return max(self.cov2 - self.cov3, 0.0)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The components whose estimates are below 0 and count as 0.

        See Hillis, Obuchowski and Berbaum, Acad Radiol 2011;18:129.
        """
        negative = (
            ("the variance of readers by modalities (TR)", self.reader),
            ("Cov2 - Cov3", self.cov2 - self.cov3),
            (
                "the variance of error (Var - Cov1 - Cov2 + Cov3)",
                self.var - self.cov1 - self.between,
            ),
        )
        if self.comparison is ComparisonKind.MODEL:
            negative = (
                ("the variance of readers (R)", self.reader),
                ("Cov2", self.cov2),
                ("the variance of error (Var - Cov2)", self.var - self.between),
            )
        return tuple(
            remark(
                f"{name} is estimated as {value:.3g}, below 0, and counts as 0: a small pilot "
                f"estimates it poorly, and the true value may require more readers or cases"
            )
            for name, value in negative
            if value < 0
        )

    @classmethod
    def of(cls, analysis: OrAnalysis | StandaloneVsReaders) -> VarianceComponents:
        """Take the components from the analysis of a pilot; `notes` lists those below 0.

        Raises:
            ParameterError: a pilot of one reader or one modality.
        """
        if isinstance(analysis, StandaloneVsReaders):
            reader = analysis.mean_square_reader - analysis.var + max(analysis.cov2, 0.0)
            sizes = analysis.cases
            comparison = ComparisonKind.MODEL
            errors = ErrorCovariances(var=analysis.var, cov2=analysis.cov2)
        else:
            reader = analysis.components.modality_reader
            sizes = analysis.figures_of_merit.cases
            comparison = ComparisonKind.MODALITIES
            errors = analysis.errors
        if math.isnan(reader):
            wanted = "of at least two readers and what they are compared in"
            raise ParameterError("pilot", "VarianceComponents.of", wanted, "too little")
        return cls(
            comparison=comparison,
            reader=reader,
            **asdict(errors),
            cases=sizes,
        )

    @classmethod
    def conjectured(
        cls,
        *,
        auc: float,
        cases: int,
        positive_share: float = 0.5,
        comparison: ComparisonKind = ComparisonKind.MODALITIES,
        r1: float = 0.5,
        r2: float = 0.35,
        r3: float = 0.30,
        reader_sd: float = 0.02,
    ) -> VarianceComponents:
        """Assume them from an AUC and correlations, where there is no pilot study.

        The variance over cases is Hanley and McNeil's, Radiology 1982;143:29. Against a model,
        `Var(D) = 2 Var (1 - r2)` and `Cov(D_j, D_k) = Var (1 - r2)`, as if the model were one more
        reader with the same AUC.

        Args:
            auc: expected area.
            cases: number of cases.
            positive_share: share of cases with disease.
            comparison: what is compared.
            r1: assumed correlation of one reader's areas in two modalities.
            r2: assumed correlation of two readers' areas in one modality.
            r3: assumed correlation of two readers' areas in two modalities, at most r2.
            reader_sd: assumed standard deviation of the readers' true differences.
        """
        owner = "VarianceComponents.conjectured"
        comparison = chosen(ComparisonKind, comparison, "comparison", owner)
        require_number(owner, "auc", auc, 0.5, 0.9999)
        require_number(owner, "positive_share", positive_share, 0.001, 0.999)
        require_number(owner, "reader_sd", reader_sd, 0, 0.5)
        for name, r in (("r1", r1), ("r2", r2), ("r3", r3)):
            require_number(owner, name, r, 0, 0.999)
        if comparison is ComparisonKind.MODALITIES and r3 > r2:
            raise ParameterError("r3", owner, f"at most r2 ({r2:g})", r3)
        positives = cases * positive_share
        var = hanley_mcneil_variance(auc, positives, cases - positives)
        if comparison is ComparisonKind.MODEL:
            apart = var * (1 - r2)
            return cls(
                comparison=comparison, reader=reader_sd**2, var=2 * apart, cov2=apart, cases=cases
            )
        # D_j has the variance 2 TR, and reader_sd is that of the differences.
        return cls(
            comparison=comparison,
            reader=reader_sd**2 / 2,
            var=var,
            cov1=r1 * var,
            cov2=r2 * var,
            cov3=r3 * var,
            cases=cases,
        )


def hanley_mcneil_variance(auc: float, positives: float, negatives: float) -> float:
    """Variance of the empirical AUC of exponential ratings.

    Hanley and McNeil, Radiology 1982;143:29: `Q1 = A/(2-A)`, `Q2 = 2A^2/(1+A)`.

    Examples:
        >>> round(hanley_mcneil_variance(0.85, 50, 50), 6)
        0.001525
    """
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    rest = (positives - 1) * (first - auc**2) + (negatives - 1) * (second - auc**2)
    return (auc * (1 - auc) + rest) / (positives * negatives)


@dataclass(frozen=True, slots=True, kw_only=True)
class Power(Result):
    """The probability that a study of a given size confirms its hypothesis.

    Attributes:
        readers: number of readers.
        cases: number of cases.
        power: that probability.
        noncentrality: noncentrality parameter of F.
        denominator_df: denominator degrees of freedom of F; infinite for fixed readers.
    """

    readers: int
    cases: int
    power: float
    noncentrality: float
    denominator_df: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """What a study is to show.

    Attributes:
        difference: the true difference of the mean figures of merit. For non-inferiority and
            equivalence, first minus second, usually 0.
        to: the generalisation: which of readers and cases are random.
        alpha: two-sided level of the test; non-inferiority is tested one-sided at half of it,
            equivalence by two one-sided tests at alpha itself.
        margin: margin of non-inferiority or equivalence; `None` tests for a difference.
        both_sides: whether the margin is for equivalence rather than non-inferiority.
    """

    difference: float
    to: Generalisation = Generalisation.RRRC
    alpha: float = 0.05
    margin: float | None = None
    both_sides: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "to", chosen(Generalisation, self.to, "to", "Hypothesis"))
        check_number(self, "difference", -1, 1)
        check_number(self, "alpha", 1e-6, 0.5)
        if self.margin is None:
            if self.difference == 0:
                raise ParameterError("difference", "Hypothesis", "other than 0", self.difference)
            return
        check_number(self, "margin", 1e-6, 1)
        outside = abs(self.difference) if self.both_sides else -self.difference
        if outside >= self.margin:
            raise ParameterError("difference", "Hypothesis", "within the margin", self.difference)


def power(pilot: VarianceComponents, aim: Hypothesis, *, readers: int, cases: int) -> Power:
    """Compute the probability that a study of a given size confirms its hypothesis.

    With N* and N the cases of the pilot and the study, `e = N*/N (Var - Cov1)`,
    `b = N*/N max(Cov2 - Cov3, 0)`, and with TR and `e - b` at least 0: the noncentrality is
    `r d^2 / 2` over `TR + e + (r-1) b`, and F has
    `(TR + e + (r-1) b)^2 / ((TR + e - b)^2 / (r-1))` degrees of freedom (random readers and
    cases); `e + (r-1) b` and infinitely many (fixed readers); `TR + e - b` and r - 1 (fixed
    cases). Against a model it is `r d^2` over `R + Var + (r-1) Cov2`, scaled in the same way.

    Args:
        pilot: variance components.
        aim: the hypothesis.
        readers: at least 1; at least 2 where readers are random.
        cases: at least 2.

    Examples:
        >>> pilot = VarianceComponents.conjectured(auc=0.85, cases=100)
        >>> found = power(pilot, Hypothesis(difference=0.05), readers=6, cases=200)
        >>> 0 < found.power < 1
        True
    """
    fewest = 1 if aim.to is Generalisation.FRRC else 2
    require_number("power", "readers", readers, fewest, MOST_READERS)
    require_number("power", "cases", cases, 2, MOST_CASES)
    scale = pilot.cases / cases
    within = scale * (pilot.var - pilot.cov1)
    between = scale * pilot.between
    # Expected MS(TR), or MS(R) of D_j; of two parts, of which neither can be negative.
    square = max(pilot.reader, 0.0) + max(within - between, 0.0)
    square = max(square, 1e-12)
    total = {
        Generalisation.RRRC: square + readers * between,
        Generalisation.FRRC: within + (readers - 1) * between,
        Generalisation.RRFC: square,
    }[aim.to]
    df = math.inf
    if aim.to is Generalisation.RRRC:
        df = total**2 / (square**2 / (readers - 1))
    elif aim.to is Generalisation.RRFC:
        df = float(readers - 1)
    per = 2.0 if pilot.comparison is ComparisonKind.MODALITIES else 1.0
    variance = per * total / readers
    return Power(
        readers=readers,
        cases=cases,
        power=_chance(aim, math.sqrt(variance), df),
        noncentrality=aim.difference**2 / variance,
        denominator_df=df,
    )


def _chance(aim: Hypothesis, se: float, df: float) -> float:
    if aim.margin is None:
        shift = (aim.difference / se) ** 2
        if math.isinf(df):
            return float(stats.ncx2.sf(stats.chi2.isf(aim.alpha, 1), 1, shift))
        return float(stats.ncf.sf(stats.f.isf(aim.alpha, 1, df), 1, df, shift))
    lower = _one_sided(
        (aim.margin + aim.difference) / se, aim.alpha / (1 if aim.both_sides else 2), df
    )
    if not aim.both_sides:
        return lower
    upper = _one_sided((aim.margin - aim.difference) / se, aim.alpha, df)
    return max(0.0, lower + upper - 1)  # a lower bound, close where the power is of use


def _one_sided(shift: float, alpha: float, df: float) -> float:
    if math.isinf(df):
        return float(stats.norm.sf(stats.norm.isf(alpha) - shift))
    return float(stats.nct.sf(stats.t.isf(alpha, df), df, shift))


def cases_needed(
    pilot: VarianceComponents, aim: Hypothesis, *, readers: int, wanted: float = 0.8
) -> Power | None:
    """Find the smallest number of cases that gives a power, or `None` if none does.

    Where readers vary, cases alone may not be enough.

    Args:
        pilot: variance components.
        aim: the hypothesis.
        readers: their number.
        wanted: the wanted power.
    """
    require_number("cases_needed", "wanted", wanted, 0.01, 0.9999)
    return _smallest(lambda n: power(pilot, aim, readers=readers, cases=n), 2, MOST_CASES, wanted)


def readers_needed(
    pilot: VarianceComponents, aim: Hypothesis, *, cases: int, wanted: float = 0.8
) -> Power | None:
    """Find the smallest number of readers that gives a power, or `None` if none does.

    Args:
        pilot: variance components.
        aim: the hypothesis.
        cases: their number.
        wanted: the wanted power.
    """
    require_number("readers_needed", "wanted", wanted, 0.01, 0.9999)
    fewest = 1 if aim.to is Generalisation.FRRC else 2
    return _smallest(
        lambda n: power(pilot, aim, readers=n, cases=cases), fewest, MOST_READERS, wanted
    )


def _smallest(of: Callable[[int], Power], low: int, high: int, wanted: float) -> Power | None:
    """The smallest number from `low` to `high` whose power is enough, by bisection."""
    if of(high).power < wanted:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if of(middle).power >= wanted else (middle + 1, high)
    return of(low)
