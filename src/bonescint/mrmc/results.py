"""What results are made of: notes, tests, intervals, and their form in JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum, StrEnum
from typing import Any, TypeVar

import numpy as np
from scipy import special

from bonescint.intervals import Estimate
from bonescint.scan import ParameterError

_SHOWN = 5


class Result:
    """A dataclass that has a JSON form: its attributes by name."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON, at full precision; a number that is undefined or infinite is `null`."""
        return {one.name: jsonable(getattr(self, one.name)) for one in fields(self)}  # type: ignore[arg-type]


def jsonable(value: Any) -> Any:
    """Convert a value to types that JSON has; an undefined or infinite number becomes `None`.

    Examples:
        >>> jsonable({"p": math.nan, "df": np.float64(2.0), "of": ("a",)})
        {'p': None, 'df': 2.0, 'of': ['a']}
    """
    if isinstance(value, Result | Estimate):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class NoteKind(StrEnum):
    """What became of what a note names."""

    LEFT_OUT = "left out"
    REMARK = "remark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Result):
    """One thing in a study that is wrong or unusual.

    Attributes:
        kind: whether something was left out, or is only remarked on.
        text: what, where, and what became of it; a sentence without a line break.
    """

    kind: NoteKind
    text: str

    def __post_init__(self) -> None:
        # Names come from users' tables: no line break of theirs shall split a line of ours.
        object.__setattr__(self, "text", " ".join(self.text.split()))


class Notes(list[Note]):
    """Notes in the order in which they were taken."""

    def left_out(self, text: str) -> None:
        """Note something that was left out of the analysis."""
        self.append(Note(kind=NoteKind.LEFT_OUT, text=text))

    def remark(self, text: str) -> None:
        """Note something that was kept and that the reader of a result has to know."""
        self.append(Note(kind=NoteKind.REMARK, text=text))


def left_out(text: str) -> Note:
    """Note something that was left out of the analysis."""
    return Note(kind=NoteKind.LEFT_OUT, text=text)


def remark(text: str) -> Note:
    """Note something that was kept and that the reader of a result has to know."""
    return Note(kind=NoteKind.REMARK, text=text)


def no_variance(who: str, *, others: bool) -> Note:
    """Note that one case of a class shows no variance over cases.

    Args:
        who: whose figure it is.
        others: whether there are figures with a variance.
    """
    rest = (
        "the averaged covariances are those of the others"
        if others
        else "cases must be treated as fixed"
    )
    return remark(f"{who}: no variance over cases can be estimated (one case of a class); {rest}")


def some(names: Sequence[object], shown: int = _SHOWN) -> str:
    """List the first few of many names.

    Examples:
        >>> some(["a", "b", "c"], shown=2)
        'a, b and 1 more'
    """
    said = ", ".join(str(name) for name in names[:shown])
    more = len(names) - shown
    return f"{said} and {more} more" if more > 0 else said


Choice = TypeVar("Choice", bound=StrEnum)


def chosen(kind: type[Choice], value: str, name: str, owner: str) -> Choice:
    """Return the member of an enum that a value, such as `"jackknife"`, names.

    Args:
        kind: the enum.
        value: a member or its value.
        name: name of the parameter, for the message.
        owner: owner of the parameter, for the message.

    Raises:
        ParameterError: no member has that value.
    """
    try:
        return kind(str(value))
    except ValueError as error:
        wanted = f"one of {', '.join(kind)}"
        raise ParameterError(name, owner, wanted, value) from error


AREA = (0.0, 1.0)
"""What a figure of merit lies within."""
DIFFERENCE = (-1.0, 1.0)
"""What a difference of two lies within."""
ROUNDING = 1e-12
"""A variance that is below 0 by no more than this is 0, but for rounding."""
BELOW_ZERO = "its variance is estimated below 0"
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
class OmnibusTest(Result):
    """The test that all modalities are equal.

    Attributes:
        statistic: `"F"` or `"X2"`.
        value: value of the statistic; infinite where nothing varies but the modalities.
        df: degrees of freedom of the numerator, or of X2.
        denominator_df: denominator degrees of freedom of F; infinite for X2.
        p: p value of no difference.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference(Result):
    """An estimate with a standard error, an interval and a test that it is 0.

    Attributes:
        value: the estimate.
        se: its standard error.
        df: degrees of freedom of Student's t; infinite for the normal distribution.
        bounds: what the estimate lies within, `AREA` or `DIFFERENCE`; the interval, which is
            `value` and quantiles of t times `se` on either side, ends there.
        level: coverage of the interval.
        note: why there is no standard error, where its variance is estimated below 0; else empty.
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
    note: str = ""
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
        """The interval of a half width, truncated to the bounds."""
        if math.isnan(half):
            return math.nan, math.nan
        least, most = self.bounds
        return max(self.value - half, least), min(self.value + half, most)

    @property
    def estimate(self) -> Estimate:
        """The figure and its interval without the test."""
        return Estimate(value=self.value, low=self.low, high=self.high, level=self.level)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the bounds and an empty note; infinite df are `null`."""
        found = Result.as_dict(self)
        del found["bounds"]
        return found if self.note else {name: found[name] for name in found if name != "note"}

    def reversed(self) -> Inference:
        """The same difference the other way round: second minus first."""
        least, most = self.bounds
        return replace(self, value=-self.value, bounds=(-most, -least))

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
    """Probability that Student's t is above a value; NaN where either is not."""
    if math.isinf(df):
        return float(special.ndtr(-t))
    return float(special.stdtr(df, -t))


def require_margin(margin: float) -> float:
    """Return a margin, or refuse what is none."""
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
class NonInferiority(Result):
    """Whether a loss of a margin is ruled out.

    Attributes:
        margin: the largest loss that would not matter.
        p: one-sided, of a loss of at least the margin.
        shown: whether the interval's lower end is above `-margin`.
    """

    margin: float
    p: float
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence(Result):
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


class Generalisation(StrEnum):
    """To whom a result applies: which of readers and cases are random."""

    RRRC = "random readers, random cases"
    FRRC = "fixed readers, random cases"
    RRFC = "random readers, fixed cases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Result):
    """Two modalities compared: the first minus the second.

    Attributes:
        first: its name.
        second: its name.
        difference: difference of the mean figures of merit.
        reader: whose it is; empty for that of all readers.
    """

    first: str
    second: str
    difference: Inference
    reader: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        of_reader = {"reader": self.reader} if self.reader else {}
        names = {"first": self.first, "second": self.second}
        return {**of_reader, **names, **self.difference.as_dict()}


def hillis_df(denominator: float, square: float, df: float) -> float:
    """`den^2 / (MS^2 / df)`: Hillis, Stat Med 2007;26:596; infinite where readers do not vary."""
    if math.isnan(denominator) or math.isnan(square) or df <= 0:
        return math.nan
    if square == 0:
        return math.inf if denominator > 0 else float(df)
    return denominator**2 / (square**2 / df)


def inference_of_variance(
    value: float, variance: float, df: float, bounds: tuple[float, float], level: float
) -> Inference:
    """Infer from an estimate and its variance, which rounding may leave a little below 0."""
    if variance < -ROUNDING:
        return Inference(
            value=value, se=math.nan, df=df, bounds=bounds, level=level, note=BELOW_ZERO
        )
    se = math.sqrt(max(variance, 0.0)) if not math.isnan(variance) else math.nan
    return Inference(value=value, se=se, df=df, bounds=bounds, level=level)


def remark_below_zero(found: Iterable[Inference], notes: Notes) -> None:
    """Remark on how many have no interval because their variance is estimated below 0."""
    count = sum(one.note == BELOW_ZERO for one in found)
    if count:
        notes.remark(
            "an estimated variance can be negative where readers read different cases, or if it "
            f"is unbiased: the interval is undefined for {count} of the estimates"
        )
