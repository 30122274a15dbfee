"""How accurate readers' decisions are, whether readers agree, and how long they took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.intervals import Estimate, exact_share
from bonescint.mrmc.agreement import (
    BinaryAgreement,
    KappaWeights,
    McNemar,
    binary_agreement,
    cohen_kappa,
    fleiss_kappa,
    mcnemar,
)
from bonescint.mrmc.covariance import DRAWS
from bonescint.mrmc.data import Reads
from bonescint.mrmc.results import Result, jsonable

_MOST_CATEGORIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticAccuracy(Result):
    """Sensitivity, specificity and F1 of one reader, or of the model.

    Attributes:
        who: a reader, or the model.
        modality: name of the modality; empty for the model.
        sensitivity: with Clopper and Pearson's interval.
        specificity: with Clopper and Pearson's interval.
        f1: harmonic mean of sensitivity and positive predictive value, with a percentile interval
            of the bootstrap stratified by class.
    """

    who: str
    modality: str
    sensitivity: Estimate
    specificity: Estimate
    f1: Estimate


def diagnostic_accuracy(
    who: str,
    modality: str,
    called: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 1,
) -> DiagnosticAccuracy:
    """Sensitivity, specificity and F1 of decisions.

    Args:
        who: name of the reader.
        modality: name of the modality.
        called: bool (cases,), whether called positive.
        truth: bool (cases,), whether disease is there.
        level: coverage of the intervals.
        draws: resamples of the bootstrap.
        seed: seed of the bootstrap.

    Examples:
        >>> truth = np.array([1, 1, 0, 0], bool)
        >>> found = diagnostic_accuracy("A", "", np.array([1, 0, 0, 0], bool), truth)
        >>> found.sensitivity.value, found.specificity.value, round(found.f1.value, 4)
        (0.5, 1.0, 0.6667)
    """
    hits, false = int((called & truth).sum()), int((called & ~truth).sum())
    positives, negatives = int(truth.sum()), int((~truth).sum())
    return DiagnosticAccuracy(
        who=who,
        modality=modality,
        sensitivity=exact_share(hits, positives, level=level, nobody="no case with disease"),
        specificity=exact_share(
            negatives - false, negatives, level=level, nobody="no case without disease"
        ),
        f1=_f1(hits, false, positives, negatives, level, draws, seed),
    )


def _f1(
    hits: int, false: int, positives: int, negatives: int, level: float, draws: int, seed: int
) -> Estimate:
    method = "bootstrap percentiles"
    if not positives:
        note = "no case with disease"
        return Estimate(value=float("nan"), level=level, method=method, note=note)
    rng = np.random.default_rng(seed)
    # Drawing cases of a class with replacement draws the number of calls from a binomial.
    drawn_hits = rng.binomial(positives, hits / positives, draws)
    drawn_false = rng.binomial(negatives, false / negatives, draws) if negatives else 0
    drawn = 2 * drawn_hits / (drawn_hits + drawn_false + positives)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    value = 2 * hits / (hits + false + positives)
    return Estimate(value=value, low=float(low), high=float(high), level=level, method=method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair(Result):
    """Agreement of two readers, or of a reader and the model, on the cases that both decided.

    Attributes:
        first: a reader, or a reader in a modality.
        second: another one, or the model.
        cases: number of cases that both read.
        kind: "between readers", "within reader" or "with the model".
        kappa: Cohen's kappa of the decisions; `None` without decisions.
        weighted_kappa: quadratically weighted kappa of the ratings; `None` if they have only two
            or too many different values, and with the model.
        agreement: agreement of the decisions; `None` without decisions.
        accuracy: McNemar's test of whose decisions are correct more often; `None` without
            decisions.
        sensitivity: the same on cases with disease; `None` without such.
        specificity: the same on cases without disease; `None` without such.
    """

    first: str
    second: str
    cases: int
    kind: str
    kappa: Estimate | None
    weighted_kappa: Estimate | None
    agreement: BinaryAgreement | None
    accuracy: McNemar | None
    sensitivity: McNemar | None
    specificity: McNemar | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """Diagnostic accuracy and agreement of all readers of a study.

    Attributes:
        at: lowest rating of a reader that calls disease; `None` if not known.
        model_at: the model's operating point; `None` without a model.
        accuracies: sensitivity, specificity and F1 of each reader and of the model.
        pairs: agreement and McNemar's tests of each pair.
        fleiss: Fleiss' kappa by modality, on cases that all its readers read.
    """

    at: float | None
    model_at: float | None
    accuracies: tuple[DiagnosticAccuracy, ...]
    pairs: tuple[Pair, ...]
    fleiss: Mapping[str, Estimate]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "reader_calls_disease_from": jsonable(self.at),
            "model_calls_disease_from": jsonable(self.model_at),
            "right": jsonable(self.accuracies),
            "pairs": jsonable(self.pairs),
            "fleiss_kappa": jsonable(self.fleiss),
        }


def decisions(
    reads: Reads,
    *,
    at: float | None = None,
    model: NDArray[np.float64] | None = None,
    model_at: float = 0.5,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 1,
) -> Decisions:
    """Diagnostic accuracy of readers and model, and their agreement.

    Args:
        reads: reads of any design.
        at: lowest rating that calls disease. If `None`, it is 1 for ratings that are all 0 or 1;
            for others there are no decisions, and only the agreement of ratings is computed.
        model: the model's probability for each case, NaN where there is none.
        model_at: its operating point.
        level: coverage of the intervals.
        draws: resamples of the bootstrap of F1.
        seed: seed of the bootstrap.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, simulate_reads
        >>> study = simulate_reads(
        ...     RoeMetz(), readers=3, positives=20, negatives=20, seed=1, levels=5
        ... )
        >>> len(decisions(study, at=3.0).accuracies)
        6
    """
    if at is None and reads.binary:
        at = 1.0
    rows: list[_Row] = []
    for modality, of_readers in zip(reads.modalities, reads.ratings, strict=True):
        rows += [
            _Row(reader, modality, ratings, at)
            for reader, ratings in zip(reads.readers, of_readers, strict=True)
            if not np.isnan(ratings).all()
        ]
    models = [] if model is None else [_Row("model", "", model, model_at)]
    accuracies = [
        diagnostic_accuracy(
            row.reader,
            row.modality,
            row.called[row.read],
            reads.truth[row.read],
            level=level,
            draws=draws,
            seed=seed,
        )
        for row in (*rows, *models)
        if row.at is not None
    ]
    pairs = [
        _pair(first, second, reads.truth, level)
        for first, second in (*combinations(rows, 2), *((row, m) for row in rows for m in models))
        if _comparable(first, second)
    ]
    return Decisions(
        at=at,
        model_at=None if model is None else model_at,
        accuracies=tuple(accuracies),
        pairs=tuple(pair for pair in pairs if pair is not None),
        fleiss=_fleiss(reads, at, level),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """The ratings of one reader in one modality, or of the model."""

    reader: str
    modality: str
    ratings: NDArray[np.float64]
    at: float | None

    @property
    def read(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.ratings)

    @property
    def called(self) -> NDArray[np.bool_]:
        return np.asarray(self.ratings >= (np.inf if self.at is None else self.at))

    @property
    def name(self) -> str:
        return f"{self.reader}, {self.modality}" if self.modality else self.reader


def _comparable(first: _Row, second: _Row) -> bool:
    """Whether two rows are comparable: same reader, same modality, or one is the model."""
    same_reader, same_modality = first.reader == second.reader, first.modality == second.modality
    return same_reader != same_modality or not second.modality


def _pair(first: _Row, second: _Row, truth: NDArray[np.bool_], level: float) -> Pair | None:
    shared = first.read & second.read
    if not shared.any():
        return None
    kind = "between readers" if second.modality else "with the model"
    kind = "within reader" if first.reader == second.reader and second.modality else kind
    weighted = None
    ratings = np.concatenate([first.ratings[shared], second.ratings[shared]])
    if second.modality and 2 < len(np.unique(ratings)) <= _MOST_CATEGORIES:
        weighted = cohen_kappa(
            first.ratings[shared],
            second.ratings[shared],
            weights=KappaWeights.QUADRATIC,
            level=level,
        )
    decided = first.at is not None and second.at is not None
    a, b, true = first.called[shared], second.called[shared], truth[shared]

    def test(of: NDArray[np.bool_]) -> McNemar | None:
        known = decided and of.any()
        return mcnemar((a == true)[of], (b == true)[of], level=level) if known else None

    return Pair(
        first=first.name,
        second=second.name,
        cases=int(shared.sum()),
        kind=kind,
        kappa=cohen_kappa(a, b, level=level) if decided else None,
        weighted_kappa=weighted,
        agreement=binary_agreement(a, b, level=level) if decided else None,
        accuracy=test(np.ones(len(a), bool)),
        sensitivity=test(true),
        specificity=test(~true),
    )


def _fleiss(reads: Reads, at: float | None, level: float) -> dict[str, Estimate]:
    found = {}
    for modality, ratings, read in zip(reads.modalities, reads.ratings, reads.read, strict=True):
        here = read.any(axis=1)
        cases = read[here].all(axis=0)
        if at is not None and here.sum() > 1 and cases.any():
            found[modality] = fleiss_kappa(ratings[here][:, cases] >= at, level=level)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingTime(Result):
    """Reading times per case of one reader in one modality.

    Attributes:
        reader: name of the reader.
        modality: name of the modality.
        cases: number of cases with a known time.
        median_s: seconds.
        lower_quartile_s: seconds.
        upper_quartile_s: seconds.
        geometric_mean_s: seconds, over times above 0.
        total_s: seconds.
    """

    reader: str
    modality: str
    cases: int
    median_s: float
    lower_quartile_s: float
    upper_quartile_s: float
    geometric_mean_s: float
    total_s: float


def reading_times(reads: Reads) -> tuple[ReadingTime, ...]:
    """Summarise the reading times of every reader in every modality with known times.

    Examples:
        >>> from bonescint.mrmc import Read
        >>> seconds = {"1": 10.0, "2": 40.0}
        >>> study = Reads.of(
        ...     [Read(reader="A", modality="AP", case=c, rating=1, seconds=s)
        ...      for c, s in seconds.items()],
        ...     {"1": True, "2": False},
        ... )
        >>> round(reading_times(study)[0].geometric_mean_s, 9)
        20.0
    """
    found = []
    for modality, of_readers in zip(reads.modalities, reads.seconds, strict=True):
        for reader, row in zip(reads.readers, of_readers, strict=True):
            known = row[~np.isnan(row)]
            if not known.size:
                continue
            lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75])
            positive = known[known > 0]
            mean = float(np.exp(np.log(positive).mean())) if positive.size else math.nan
            found.append(
                ReadingTime(
                    reader=reader,
                    modality=modality,
                    cases=int(known.size),
                    median_s=float(median),
                    lower_quartile_s=float(lower),
                    upper_quartile_s=float(upper),
                    geometric_mean_s=mean,
                    total_s=float(known.sum()),
                )
            )
    return tuple(found)
