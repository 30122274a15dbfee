"""Endpoints of marked foci: wAFROC, FROC and the share of lesions that were localised.

Chakraborty, Observer Performance Methods for Diagnostic Imaging, CRC 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from bonescint.mrmc.cells import Cell, CurveCell, Numbers, PairsCell, RatioCell
from bonescint.mrmc.endpoints import Undefined
from bonescint.mrmc.marks import MarkedReads
from bonescint.scan import ParameterError


@runtime_checkable
class MarkedEndpoint(Protocol):
    """A figure of merit of marks, higher for better reading."""

    @property
    def title(self) -> str:
        """Its name for people, with its settings."""

    def marked_cell(self, marked: MarkedReads, modality: int, reader: int) -> Cell | Undefined:
        """The figure of one reader in one modality, both by number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wafroc:
    """Weighted area under the AFROC curve.

    The chance that a lesion, drawn by its weight within its case, is rated higher than the surest
    false mark on a case without disease; a lesion or a case without a mark is rated lowest, ties
    count by half. False marks on cases with disease do not count. Chakraborty 2017, chapter 14.

    Attributes:
        equal_weights: whether the lesions of a case share its weight evenly, whatever the table
            says.
    """

    equal_weights: bool = False

    @property
    def title(self) -> str:
        """Its name for people."""
        return "wAFROC area, equal weights" if self.equal_weights else "wAFROC area"

    def marked_cell(self, marked: MarkedReads, modality: int, reader: int) -> PairsCell | Undefined:
        """As `MarkedEndpoint` says."""
        read = marked.read[modality, reader]
        positives = np.flatnonzero(read & marked.truth)
        negatives = np.flatnonzero(read & ~marked.truth)
        if not len(positives):
            return Undefined(reason="no case with disease was read")
        if not len(negatives):
            return Undefined(reason="no case without disease was read")
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
    """Mean height of the empirical FROC curve up to so many false marks per case.

    The FROC curve says the share of all lesions that are marked at a threshold over the mean
    number of false marks per case, on cases with and without disease. Its height is averaged from
    0 to `false_marks`; a reader whose curve ends before keeps its last height. Bunch et al., J
    Appl Photogr Eng 1978;4:166; Chakraborty 2017, chapter 12.

    Attributes:
        false_marks: right end of the range, false marks per case.
    """

    false_marks: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.false_marks) and self.false_marks > 0):
            raise ParameterError("false_marks", "Froc", "a number above 0", self.false_marks)

    @property
    def title(self) -> str:
        """Its name for people."""
        return f"FROC mean height up to {self.false_marks:g} false marks per case"

    def marked_cell(self, marked: MarkedReads, modality: int, reader: int) -> CurveCell | Undefined:
        """As `MarkedEndpoint` says."""
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
        """Its name for people."""
        return f"lesion localisation fraction{_at(self.at)}"

    def marked_cell(self, marked: MarkedReads, modality: int, reader: int) -> Cell | Undefined:
        """As `MarkedEndpoint` says."""
        positives = np.flatnonzero(marked.read[modality, reader] & marked.truth)
        if not len(positives):
            return Undefined(reason="no case with disease was read")
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
    read = marked.read[modality, reader]
    positives = np.flatnonzero(read & marked.truth)
    negatives = np.flatnonzero(read & ~marked.truth)
    if not len(positives):
        return Undefined(reason="no case with disease was read")
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
