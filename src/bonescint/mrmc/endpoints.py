"""Endpoints of reads: what figure of merit a reader's ratings give."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.cells import Cell, CurveCell, Indices, MeanCell, Numbers, PairsCell
from bonescint.mrmc.choices import chosen
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
        """Its name for people, with its settings."""

    def cell(self, ratings: NDArray[np.float64], truth: NDArray[np.bool_]) -> Cell | Undefined:
        """The figure of one reader in one modality.

        Args:
            ratings: (cases,), not a number where the case was not read.
            truth: bool (cases,).
        """


def _split(ratings: Numbers, truth: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Numbers of the cases that were read, with and without disease."""
    read = ~np.isnan(ratings)
    return np.flatnonzero(read & truth), np.flatnonzero(read & ~truth)


def _lacking(positives: Indices, negatives: Indices) -> Undefined | None:
    if not len(positives):
        return Undefined(reason="no case with disease was read")
    if not len(negatives):
        return Undefined(reason="no case without disease was read")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Auc:
    """Empirical area under the ROC curve: Mann and Whitney's statistic, ties by half.

    Of binary decisions it is the mean of sensitivity and specificity. Bamber, J Math Psychol
    1975;12:387.

    Examples:
        >>> ratings, truth = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])
        >>> Auc().cell(ratings, truth).value
        0.875
    """

    @property
    def title(self) -> str:
        """Its name for people."""
        return "AUC"

    def cell(self, ratings: Numbers, truth: NDArray[np.bool_]) -> PairsCell | Undefined:
        """As `Endpoint` says."""
        positives, negatives = _split(ratings, truth)
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

    So it is the mean sensitivity over a range of specificity (or the mean specificity over a
    range of sensitivity), from 0 to 1. McClish, Med Decis Making 1989;9:190; Jiang, Metz and
    Nishikawa, Radiology 1996;201:745.

    Attributes:
        low: lower end of the range.
        high: upper end.
        of: whose range it is.

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
        """Its name for people."""
        return f"partial AUC ({self.of.value} {self.low:g} to {self.high:g})"

    def cell(self, ratings: Numbers, truth: NDArray[np.bool_]) -> CurveCell | Undefined:
        """As `Endpoint` says."""
        positives, negatives = _split(ratings, truth)
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
class Sensitivity:
    """Share of the cases with disease that are rated at or above a rating.

    Attributes:
        at: the lowest rating that counts as a call of disease; 1 for binary decisions.
    """

    at: float = 1.0

    @property
    def title(self) -> str:
        """Its name for people."""
        return f"sensitivity at rating >= {self.at:g}"

    def cell(self, ratings: Numbers, truth: NDArray[np.bool_]) -> MeanCell | Undefined:
        """As `Endpoint` says."""
        positives, _ = _split(ratings, truth)
        if not len(positives):
            return Undefined(reason="no case with disease was read")
        called = (ratings[positives] >= self.at).astype(np.float64)
        return MeanCell(cases=positives, values=called, of_positives=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Specificity:
    """Share of the cases without disease that are rated below a rating.

    Attributes:
        at: the lowest rating that counts as a call of disease; 1 for binary decisions.
    """

    at: float = 1.0

    @property
    def title(self) -> str:
        """Its name for people."""
        return f"specificity at rating >= {self.at:g}"

    def cell(self, ratings: Numbers, truth: NDArray[np.bool_]) -> MeanCell | Undefined:
        """As `Endpoint` says."""
        _, negatives = _split(ratings, truth)
        if not len(negatives):
            return Undefined(reason="no case without disease was read")
        passed = (ratings[negatives] < self.at).astype(np.float64)
        return MeanCell(cases=negatives, values=passed, of_positives=False)
