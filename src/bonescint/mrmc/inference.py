"""Variance components, and the tests and intervals that follow from them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bonescint.intervals import Estimate
from bonescint.mrmc.common import jsonable
from bonescint.scan import ParameterError

AREA = (0.0, 1.0)
"""What a figure of merit lies within."""
DIFFERENCE = (-1.0, 1.0)
"""What a difference of two lies within."""
MOST_DF = 10_000
"""Degrees of freedom above which Student's t is the normal distribution to four digits."""


def df_text(df: float) -> str:
    """Degrees of freedom for people: whole numbers as such, others with a decimal.

    Examples:
        >>> df_text(4.0), df_text(15.26), df_text(23_000.7), df_text(math.inf)
        ('4', '15.3', 'infinite', 'infinite')
    """
    if math.isnan(df):
        return "undefined"
    if df > MOST_DF:
        return "infinite"
    return f"{df:.0f}" if df == round(df) else f"{df:.1f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OmnibusTest:
    """The test that all modalities are equal.

    Attributes:
        statistic: `"F"` or `"X2"`.
        value: of the statistic; infinite where nothing varies but the modalities.
        df: of the numerator, or of X2.
        denominator_df: of F; infinite where it does not matter, as with X2.
        p: of no difference.
        note: why it is undefined; empty if it is not.
    """

    statistic: str
    value: float
    df: float
    denominator_df: float = math.inf
    p: float = field(init=False)
    note: str = ""

    def __post_init__(self) -> None:
        p = math.nan
        if not math.isnan(self.value):
            if self.statistic == "X2" or math.isinf(self.denominator_df):
                scale = 1 if self.statistic == "X2" else self.df
                p = float(special.chdtrc(self.df, self.value * scale))
            elif not math.isnan(self.denominator_df):
                p = float(special.fdtrc(self.df, self.denominator_df, self.value))
        object.__setattr__(self, "p", p)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; an infinite number is `null`."""
        return dict(jsonable(asdict(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """An estimate with a standard error, an interval and a test that it is 0.

    Attributes:
        value: the estimate.
        se: its standard error.
        df: degrees of freedom of Student's t; infinite for the normal distribution.
        bounds: what the estimate lies within, `AREA` or `DIFFERENCE`; the interval, which is
            `value` and quantiles of t times `se` on either side, ends there.
        level: coverage of the interval.
        low: lower end.
        high: upper end.
        t: `value / se`.
        p: two-sided, of no difference.
    """

    value: float
    se: float
    df: float
    bounds: tuple[float, float]
    level: float = 0.95
    low: float = field(init=False)
    high: float = field(init=False)
    t: float = field(init=False)
    p: float = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ParameterError("level", "Inference", "between 0 and 1", self.level)
        half = t = p = math.nan
        if not (math.isnan(self.se) or math.isnan(self.df) or math.isnan(self.value)):
            half = t_quantile((1 + self.level) / 2, self.df) * self.se
            t = _ratio(self.value, self.se)
            p = 2 * t_upper(abs(t), self.df)
        low, high = self._within(half)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "t", t)
        object.__setattr__(self, "p", p)

    def _within(self, half: float) -> tuple[float, float]:
        """The interval of a half width, cut where nothing can be."""
        if math.isnan(half):
            return math.nan, math.nan
        least, most = self.bounds
        return max(self.value - half, least), min(self.value + half, most)

    @property
    def estimate(self) -> Estimate:
        """For those who want the figure and its interval only."""
        return Estimate(value=self.value, low=self.low, high=self.high, level=self.level)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; an infinite number (df of the normal distribution) is `null`."""
        found = asdict(self)
        del found["bounds"]
        return dict(jsonable(found))

    def reversed(self) -> Inference:
        """The same difference the other way round: second minus first."""
        least, most = self.bounds
        return Inference(
            value=-self.value, se=self.se, df=self.df, bounds=(-most, -least), level=self.level
        )

    def non_inferiority(self, margin: float) -> NonInferiority:
        """Whether the estimate is above `-margin`, higher being better.

        One-sided at `(1 - level) / 2`: the lower end of the two-sided interval lies above
        `-margin`. Chen, Petrick and Sahiner, Acad Radiol 2012;19:1158.

        Args:
            margin: the largest loss that would not matter, above 0.
        """
        above = _upper_p(self, self.value + require_margin(margin))
        return NonInferiority(margin=margin, p=above, shown=bool(above < (1 - self.level) / 2))

    def equivalence(self, margin: float) -> Equivalence:
        """Whether the estimate lies within `-margin` and `margin`: two one-sided tests.

        Each at `1 - level`, so the `2 level - 1` interval (90 % for 95 %) decides. Schuirmann, J
        Pharmacokinet Biopharm 1987;15:657.

        Args:
            margin: the largest difference that would not matter, above 0.
        """
        lower = _upper_p(self, self.value + require_margin(margin))
        upper = _upper_p(self, margin - self.value)
        p = max(lower, upper) if not math.isnan(lower) else math.nan
        low = high = math.nan
        if not math.isnan(p):
            low, high = self._within(t_quantile(self.level, self.df) * self.se)
        return Equivalence(
            margin=margin,
            p=p,
            shown=bool(p < 1 - self.level),
            low=low,
            high=high,
            level=2 * self.level - 1,
        )


def t_quantile(share: float, df: float) -> float:
    """Quantile of Student's t; of the normal distribution if df is infinite."""
    if math.isinf(df):
        return float(special.ndtri(share))
    return float(special.stdtrit(df, share))


def t_upper(t: float, df: float) -> float:
    """Chance that Student's t is above; not a number where either is not."""
    if math.isinf(df):
        return float(special.ndtr(-t))
    return float(special.stdtr(df, -t))


def require_margin(margin: float) -> float:
    """A margin, or an error."""
    if not (math.isfinite(margin) and margin > 0):
        raise ParameterError("margin", "Inference", "a number above 0", margin)
    return margin


def _ratio(value: float, se: float) -> float:
    if se > 0 or math.isnan(se):
        return value / se
    return math.nan if value == 0 or math.isnan(value) else math.copysign(math.inf, value)


def _upper_p(of: Inference, distance: float) -> float:
    return t_upper(_ratio(distance, of.se), of.df)


@dataclass(frozen=True, slots=True, kw_only=True)
class NonInferiority:
    """Whether a loss of a margin is ruled out.

    Attributes:
        margin: the largest loss that would not matter.
        p: one-sided, of a loss of at least the margin.
        shown: whether the interval's lower end is above `-margin`.
    """

    margin: float
    p: float
    shown: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(jsonable(asdict(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Whether differences of a margin are ruled out on both sides.

    Attributes:
        margin: the largest difference that would not matter.
        p: the larger of the two one-sided ones.
        shown: whether both tests reject.
        low: lower end of the interval that decides.
        high: its upper end.
        level: its coverage.
    """

    margin: float
    p: float
    shown: bool
    low: float
    high: float
    level: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(jsonable(asdict(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCovariances:
    """Averages of the covariances of the figures of merit, readers being fixed.

    Obuchowski and Rockette, Commun Stat Simul Comput 1995;24:285. What a design does not have is
    0 (Cov1 and Cov3 with one modality, Cov2 and Cov3 with one reader).

    Attributes:
        var: of the same reader in the same modality.
        cov1: of the same reader in different modalities.
        cov2: of different readers in the same modality.
        cov3: of different readers in different modalities.
    """

    var: float
    cov1: float = 0.0
    cov2: float = 0.0
    cov3: float = 0.0

    @classmethod
    def of(cls, covariance: NDArray[np.float64], defined: NDArray[np.bool_]) -> ErrorCovariances:
        """Averages of a covariance, over the cells that have a figure.

        Args:
            covariance: (modalities, readers, modalities, readers).
            defined: bool (modalities, readers), which cells have a figure. Covariances of those
                that are not a number all the same (one case of a class) are left out.
        """
        modalities, readers = covariance.shape[:2]
        same_modality = np.eye(modalities, dtype=bool)[:, None, :, None]
        same_reader = np.eye(readers, dtype=bool)[None, :, None, :]
        there = defined[:, :, None, None] & defined[None, None]

        def mean(kind: NDArray[np.bool_]) -> float:
            entries = covariance[kind & there]
            known = entries[~np.isnan(entries)]
            if known.size:
                return float(known.mean())
            return math.nan if entries.size else 0.0

        return cls(
            var=mean(same_modality & same_reader) if there.any() else math.nan,
            cov1=mean(~same_modality & same_reader),
            cov2=mean(same_modality & ~same_reader),
            cov3=mean(~same_modality & ~same_reader),
        )

    @property
    def between_readers(self) -> float:
        """`max(Cov2 - Cov3, 0)`, as it enters the tests."""
        return max(self.cov2 - self.cov3, 0.0)

    @property
    def clamped(self) -> bool:
        """Whether Cov2 is below Cov3, so that their difference counts as 0."""
        return self.cov2 < self.cov3

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the correlations that the literature speaks of."""
        ratios = {
            f"r{number}": cov / self.var if self.var else math.nan
            for number, cov in ((1, self.cov1), (2, self.cov2), (3, self.cov3))
        }
        return {**jsonable(asdict(self)), **jsonable(ratios), "clamped": self.clamped}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSquares:
    """Mean squares of the figures of merit, modalities by readers.

    Attributes:
        modality: MS(T); not a number with one modality.
        reader: MS(R); not a number with one reader, or where readers are nested.
        modality_reader: MS(TR), or MS(R(T)) where readers are nested in modalities.
        df_modality: t - 1.
        df_modality_reader: (t - 1)(r - 1), or the sum of (r_i - 1) where nested.
        readers: r, or the harmonic mean of the r_i where nested.
    """

    modality: float
    reader: float
    modality_reader: float
    df_modality: int
    df_modality_reader: int
    readers: float

    @classmethod
    def crossed(cls, values: NDArray[np.float64]) -> MeanSquares:
        """Of figures of readers who all read in all modalities, (modalities, readers)."""
        modalities, readers = values.shape
        grand = values.mean()
        of_modality, of_reader = values.mean(axis=1), values.mean(axis=0)
        rest = values - of_modality[:, None] - of_reader[None] + grand
        return cls(
            modality=_over(readers * ((of_modality - grand) ** 2).sum(), modalities - 1),
            reader=_over(modalities * ((of_reader - grand) ** 2).sum(), readers - 1),
            modality_reader=_over((rest**2).sum(), (modalities - 1) * (readers - 1)),
            df_modality=modalities - 1,
            df_modality_reader=(modalities - 1) * (readers - 1),
            readers=float(readers),
        )

    @classmethod
    def nested(cls, values: NDArray[np.float64]) -> MeanSquares:
        """Of readers who read in one modality each; not a number elsewhere."""
        counts = (~np.isnan(values)).sum(axis=1)
        of_modality = np.nanmean(values, axis=1)
        readers = len(counts) / (1 / counts).sum()
        within = np.nansum((values - of_modality[:, None]) ** 2)
        between = ((of_modality - of_modality.mean()) ** 2).sum()
        return cls(
            modality=_over(readers * between, len(counts) - 1),
            reader=math.nan,
            modality_reader=_over(within, int((counts - 1).sum())),
            df_modality=len(counts) - 1,
            df_modality_reader=int((counts - 1).sum()),
            readers=float(readers),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(jsonable(asdict(self)))


def _over(total: float, df: int) -> float:
    return float(total) / df if df else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderComponents:
    """Variance components of readers in the Obuchowski-Rockette model; they may be negative.

    Moment estimates (Hillis, Stat Med 2014;33:330): `reader = (MS(R) - MS(TR)) / t - Cov1 + Cov3`,
    `modality_reader = MS(TR) - Var + Cov1 + max(Cov2 - Cov3, 0)`. With one modality, or readers of
    its own in each, there is one component: `MS - Var + max(Cov2, 0)`.

    Attributes:
        reader: of readers over all modalities; not a number where readers are nested.
        modality_reader: of readers in one modality, beyond that; not a number with one modality.
    """

    reader: float
    modality_reader: float

    @classmethod
    def of(cls, squares: MeanSquares, errors: ErrorCovariances) -> ReaderComponents:
        """From mean squares and covariances of the errors."""
        modalities = squares.df_modality + 1
        alone = max(errors.cov2, 0.0) - errors.var
        if modalities == 1:
            return cls(reader=squares.reader + alone, modality_reader=math.nan)
        if math.isnan(squares.reader):
            return cls(reader=math.nan, modality_reader=squares.modality_reader + alone)
        return cls(
            reader=(squares.reader - squares.modality_reader) / modalities
            - errors.cov1
            + errors.cov3,
            modality_reader=squares.modality_reader
            - errors.var
            + errors.cov1
            + errors.between_readers,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(jsonable(asdict(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DbmComponents:
    """Variance components of Dorfman, Berbaum and Metz' model of pseudovalues.

    They follow from the jackknife covariances of a factorial study of N cases: Hillis et al.,
    Stat Med 2005;24:1579; Hillis, Berbaum and Metz, Acad Radiol 2008;15:647. They may be negative.

    Attributes:
        reader: R.
        case: C, N Cov3.
        modality_reader: TR.
        modality_case: TC, N (Cov2 - Cov3).
        reader_case: RC, N (Cov1 - Cov3).
        error: N (Var - Cov1 - Cov2 + Cov3).
    """

    reader: float
    case: float
    modality_reader: float
    modality_case: float
    reader_case: float
    error: float

    @classmethod
    def of(cls, squares: MeanSquares, errors: ErrorCovariances, *, cases: int) -> DbmComponents:
        """From the mean squares of the figures and their jackknife covariances."""
        modalities = squares.df_modality + 1
        return cls(
            reader=(squares.reader - squares.modality_reader) / modalities
            - errors.cov1
            + errors.cov3,
            case=cases * errors.cov3,
            modality_reader=squares.modality_reader
            - errors.var
            + errors.cov1
            + errors.cov2
            - errors.cov3,
            modality_case=cases * (errors.cov2 - errors.cov3),
            reader_case=cases * (errors.cov1 - errors.cov3),
            error=cases * (errors.var - errors.cov1 - errors.cov2 + errors.cov3),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(jsonable(asdict(self)))
