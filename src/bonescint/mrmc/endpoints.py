"""Endpoints: which figure of merit a reader's ratings or marks give.

For marked foci: Chakraborty, Observer Performance Methods for Diagnostic Imaging, CRC 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.cells import Cell, CurveCell, Indices, MeanCell, Numbers, PairsCell, RatioCell
from bonescint.mrmc.data import MarkedReads
from bonescint.mrmc.results import chosen
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Undefined:
    """Why a reader has no figure of merit.

    Attributes:
        reason: such as "no case with disease".
    """

    reason: str


@runtime_checkable
class Endpoint(Protocol):
    """A figure of merit of ratings, higher for better reading."""

    @property
    def title(self) -> str:
        """The endpoint's name for people, with its settings."""

    def cell(self, ratings: NDArray[np.float64], truth: NDArray[np.bool_]) -> Cell | Undefined:
        """The figure of one reader in one modality.

        Args:
            ratings: (cases,), NaN where the case was not read.
            truth: bool (cases,).
        """


def _classes(read: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Numbers of the cases that were read, with and without disease."""
    return np.flatnonzero(read & truth), np.flatnonzero(read & ~truth)


def _lacking(positives: Indices | None, negatives: Indices | None = None) -> Undefined | None:
    """Say why there is no figure, if a class that it needs has no case."""
    if positives is not None and not len(positives):
        return Undefined(reason="no case with disease was read")
    if negatives is not None and not len(negatives):
        return Undefined(reason="no case without disease was read")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Auc:
    """Empirical area under the ROC curve: the Mann-Whitney statistic; ties count half.

    For binary decisions it is the mean of sensitivity and specificity. Bamber, J Math Psychol
    1975;12:387.

    Examples:
        >>> ratings, truth = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])
        >>> Auc().cell(ratings, truth).value
        0.875
    """

    @property
    def title(self) -> str:
        """The endpoint's name for people."""
        return "AUC"

    def cell(self, ratings: Numbers, truth: NDArray[np.bool_]) -> PairsCell | Undefined:
        """The figure of one reader in one modality; see `Endpoint.cell`."""
        positives, negatives = _classes(~np.isnan(ratings), truth)
        return _lacking(positives, negatives) or PairsCell(
            positive_cases=positives,
            negative_cases=negatives,
            scores=ratings[positives][:, None],
            weights=np.ones((len(positives), 1)),
            others=ratings[negatives],
        )


class PartOf(StrEnum):
    """Which axis of the ROC plot a partial area is limited on."""

    SPECIFICITY = "specificity"
    SENSITIVITY = "sensitivity"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialAuc:
    """Area under a part of the empirical ROC curve, divided by the width of the part.

    This is the mean sensitivity over a range of specificity (or the mean specificity over a range
    of sensitivity), from 0 to 1. McClish, Med Decis Making 1989;9:190; Jiang, Metz and Nishikawa,
    Radiology 1996;201:745.

    Attributes:
        low: lower end of the range.
        high: upper end.
        of: whether the range is of specificity or of sensitivity.

    Examples:
        >>> ratings, truth = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])
        >>> PartialAuc(low=0.0).cell(ratings, truth).value
        0.875
        >>> PartialAuc(low=0.5).cell(ratings, truth).value
        0.75
    """

    low: float = 0.8
    high: float = 1.0
    of: PartOf = PartOf.SPECIFICITY

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", chosen(PartOf, self.of, "of", "PartialAuc"))
        if not 0 <= self.low < self.high <= 1:
            raise ParameterError(
                "low", "PartialAuc", "from 0 to 'high', which is at most 1", (self.low, self.high)
            )

    @property
    def title(self) -> str:
        """The endpoint's name for people."""
        return f"partial AUC ({self.of.value} {self.low:g} to {self.high:g})"

    def cell(self, ratings: Numbers, truth: NDArray[np.bool_]) -> CurveCell | Undefined:
        """The figure of one reader in one modality; see `Endpoint.cell`."""
        positives, negatives = _classes(~np.isnan(ratings), truth)
        lacking = _lacking(positives, negatives)
        if lacking:
            return lacking
        count, others = len(positives), len(negatives)
        is_positive = np.repeat([1.0, 0.0], [count, others])
        of_positives = (ratings[positives], np.arange(count))
        of_negatives = (ratings[negatives], np.arange(count, count + others))
        # Seen from the other corner, (1, 1), the curve says specificity over missed disease.
        turned = self.of is PartOf.SENSITIVITY
        alarms, hits = of_negatives, of_positives
        if turned:
            alarms = (-of_positives[0], of_positives[1])
            hits = (-of_negatives[0], of_negatives[1])
        return CurveCell(
            positive_cases=positives,
            negative_cases=negatives,
            hits=hits,
            alarms=alarms,
            possible_hits=1 - is_positive if turned else is_positive,
            possible_alarms=is_positive if turned else 1 - is_positive,
            start=1 - self.high,
            stop=1 - self.low,
            to_corner=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rate:
    """Share of the cases of one class that are called rightly.

    Attributes:
        at: the lowest rating that counts as a call of disease; 1 for binary decisions.
    """

    at: float = 1.0
    _name: ClassVar[str]
    _of_positives: ClassVar[bool]

    @property
    def title(self) -> str:
        """The endpoint's name for people."""
        return f"{self._name} at rating >= {self.at:g}"

    def cell(self, ratings: Numbers, truth: NDArray[np.bool_]) -> MeanCell | Undefined:
        """The figure of one reader in one modality; see `Endpoint.cell`."""
        positives, negatives = _classes(~np.isnan(ratings), truth)
        cases = positives if self._of_positives else negatives
        lacking = _lacking(positives) if self._of_positives else _lacking(None, negatives)
        right = ((ratings[cases] >= self.at) == self._of_positives).astype(np.float64)
        return lacking or MeanCell(cases=cases, values=right, of_positives=self._of_positives)


class Sensitivity(_Rate):
    """Share of the cases with disease that are rated at or above a rating, `at`."""

    __slots__ = ()
    _name = "sensitivity"
    _of_positives = True


class Specificity(_Rate):
    """Share of the cases without disease that are rated below a rating, `at`."""

    __slots__ = ()
    _name = "specificity"
    _of_positives = False


@runtime_checkable
class MarkedEndpoint(Protocol):
    """A figure of merit of marks, higher for better reading."""

    @property
    def title(self) -> str:
        """The endpoint's name for people, with its settings."""

    def marked_cell(self, marked: MarkedReads, modality: int, reader: int) -> Cell | Undefined:
        """The figure of one reader in one modality, both by number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wafroc:
    """Weighted area under the AFROC curve.

    The probability that a lesion, drawn by its weight within its case, is rated higher than the
    highest false mark on a case without disease. A lesion or a case without a mark is rated
    lowest; ties count half; false marks on cases with disease are ignored. Chakraborty 2017,
    chapter 14.

    Attributes:
        equal_weights: give all lesions of a case the same weight, whatever the table says.
    """

    equal_weights: bool = False

    @property
    def title(self) -> str:
        """The endpoint's name for people."""
        return "wAFROC area, equal weights" if self.equal_weights else "wAFROC area"

    def marked_cell(self, marked: MarkedReads, modality: int, reader: int) -> PairsCell | Undefined:
        """The figure of one reader; see `MarkedEndpoint.marked_cell`."""
        positives, negatives = _classes(marked.read[modality, reader], marked.truth)
        lacking = _lacking(positives, negatives)
        if lacking:
            return lacking
        surest = np.full(len(marked.cases), -np.inf)
        cases, ratings = marked.false_marks[modality][reader]
        np.maximum.at(surest, cases, ratings)
        weights = marked.weights[positives]
        if self.equal_weights:
            there = np.arange(weights.shape[1]) < marked.lesions[positives][:, None]
            weights = there / marked.lesions[positives][:, None]
        return PairsCell(
            positive_cases=positives,
            negative_cases=negatives,
            scores=marked.hits[modality, reader, positives],
            weights=weights,
            others=surest[negatives],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Froc:
    """Mean height of the empirical FROC curve up to a number of false marks per case.

    The FROC curve plots the share of all lesions that are marked against the mean number of false
    marks per case, on cases with and without disease. Its height is averaged from 0 to
    `false_marks`; a curve that ends earlier continues at its last height. Bunch et al., J Appl
    Photogr Eng 1978;4:166; Chakraborty 2017, chapter 12.

    Attributes:
        false_marks: right end of the range, false marks per case.
    """

    false_marks: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.false_marks) and self.false_marks > 0):
            raise ParameterError("false_marks", "Froc", "a number above 0", self.false_marks)

    @property
    def title(self) -> str:
        """The endpoint's name for people."""
        return f"FROC mean height up to {self.false_marks:g} false marks per case"

    def marked_cell(self, marked: MarkedReads, modality: int, reader: int) -> CurveCell | Undefined:
        """The figure of one reader; see `MarkedEndpoint.marked_cell`."""
        return _curve(marked, modality, reader, stop=self.false_marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionLocalisation:
    """Share of all lesions of all cases that were marked at or above a rating.

    Attributes:
        at: lowest rating that counts; minus infinity counts every mark.
    """

    at: float = -math.inf

    @property
    def title(self) -> str:
        """The endpoint's name for people."""
        return f"lesion localisation fraction{_at(self.at)}"

    def marked_cell(self, marked: MarkedReads, modality: int, reader: int) -> Cell | Undefined:
        """The figure of one reader; see `MarkedEndpoint.marked_cell`."""
        positives, _ = _classes(marked.read[modality, reader], marked.truth)
        lacking = _lacking(positives)
        if lacking:
            return lacking
        hits = marked.hits[modality, reader, positives]
        marks = np.isfinite(hits) & (hits >= self.at)
        return RatioCell(
            positive_cases=positives,
            counts=marks.sum(axis=1).astype(np.float64),
            possible=marked.lesions[positives].astype(np.float64),
        )


def _at(rating: float) -> str:
    return "" if math.isinf(rating) else f" at rating >= {rating:g}"


def froc_points(marked: MarkedReads, modality: int, reader: int) -> tuple[Numbers, Numbers] | None:
    """The empirical FROC curve, false marks per case and share of lesions, or `None`."""
    curve = _curve(marked, modality, reader, stop=1.0)
    return None if isinstance(curve, Undefined) else curve.points()


def _curve(
    marked: MarkedReads, modality: int, reader: int, *, stop: float
) -> CurveCell | Undefined:
    positives, negatives = _classes(marked.read[modality, reader], marked.truth)
    lacking = _lacking(positives)
    if lacking:
        return lacking
    order = np.concatenate([positives, negatives])
    place = np.full(len(marked.cases), -1)
    place[order] = np.arange(len(order))
    hits = marked.hits[modality, reader, positives]
    owners = np.broadcast_to(np.arange(len(positives))[:, None], hits.shape)
    hit = np.isfinite(hits)
    cases, ratings = marked.false_marks[modality][reader]
    mine = place[cases] >= 0
    return CurveCell(
        positive_cases=positives,
        negative_cases=negatives,
        hits=(hits[hit], owners[hit]),
        alarms=(ratings[mine], place[cases[mine]]),
        possible_hits=marked.lesions[order].astype(np.float64),
        possible_alarms=np.ones(len(order)),
        start=0.0,
        stop=stop,
        to_corner=False,
    )
