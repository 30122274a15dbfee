"""A model judged on cases: all figures that need nothing but scores and truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.bootstrap import Resampling, resampled
from bonescint.evaluate.calibration import (
    BrierParts,
    CalibrationLine,
    DecisionCurve,
    ReliabilityBin,
    brier_parts,
    calibration_line,
    decision_curve,
    reliability_curve,
)
from bonescint.evaluate.metrics import (
    Confusion,
    Measure,
    sensitivity_score,
    specificity_score,
    threshold_measures,
)
from bonescint.evaluate.roc import CurveBand, roc_auc_score, roc_band
from bonescint.evaluate.scored import ScoredCases
from bonescint.intervals import Estimate
from bonescint.roc import RocCurve

_BAND_RESAMPLES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The threshold of a call and where it comes from.

    Attributes:
        threshold: probability from which a case is called positive.
        source: in words, such as `"where sensitivity equals specificity, on 164 validation
            scans"`.
    """

    threshold: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How well probabilities agree with observed shares of disease.

    Attributes:
        brier: the Brier score and its parts.
        line: calibration slope and intercept.
        bins: observed share against predicted probability.
    """

    brier: BrierParts
    line: CalibrationLine
    bins: tuple[ReliabilityBin, ...]

    @classmethod
    def of(cls, cases: ScoredCases, resampling: Resampling) -> Calibration:
        """Compute it for cases of both classes, scored by probabilities.

        Resampling is unstratified, so that the prevalence varies.
        """
        return cls(
            brier=brier_parts(cases, resampling=replace(resampling, stratified=False)),
            line=calibration_line(cases, level=resampling.level),
            bins=reliability_curve(cases, level=resampling.level),
        )

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All figures of the calibration, for a table."""
        brier, line = self.brier, self.line
        rows = (
            ("brier_error", "Brier score", brier.brier),
            ("brier_reliability_error", "  reliability (0 is best)", brier.reliability),
            ("brier_resolution_score", "  resolution (large is good)", brier.resolution),
            ("brier_uncertainty", "  uncertainty (of the cases)", brier.uncertainty),
            ("brier_within_bins", "   remainder within bins", brier.within_bins),
            ("calibration_slope", "Calibration slope (1 is best)", line.slope),
            ("calibration_intercept", "Calibration intercept (0 is best)", line.intercept),
            ("calibration_in_the_large", "Calibration in the large (0 is best)", line.in_the_large),
        )
        return tuple(Measure(name=n, words=words, estimate=found) for n, words, found in rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NotCalled:
    """Cases with a probability but no call, such as out-of-distribution scans.

    Attributes:
        positives: number of them with disease.
        negatives: number of them without.
        measures: their share, and sensitivity and specificity over all cases if a case without
            a call counts as wrong (Schuetz et al., BMJ 2012;345:e6717).
    """

    positives: int
    negatives: int
    measures: tuple[Measure, ...]

    @classmethod
    def of(
        cls, cases: ScoredCases, called: NDArray[np.bool_], threshold: float, *, level: float
    ) -> NotCalled:
        """Count the cases without a call.

        Args:
            cases: all cases.
            called: bool (cases,).
            threshold: a case that is called is positive from this score on.
            level: coverage of the intervals.
        """
        without = ScoredCases(
            scores=(~called).astype(np.float64),
            positive=np.ones(cases.count, dtype=bool),
            patients=cases.patients,
        )
        counted_positive = np.where(called, cases.scores >= threshold, ~cases.positive)
        strict = Confusion.of(cases.with_scores(counted_positive), 0.5)
        figures = {
            "not_called_share": (
                "Share of scans not called",
                sensitivity_score(Confusion.of(without, 0.5), level=level),
                f"{int((~called).sum())}/{cases.count}",
            ),
            "sensitivity_of_all_score": (
                "Sensitivity, no call counted as wrong",
                sensitivity_score(strict, level=level),
                f"{strict.true_positives}/{cases.positives}",
            ),
            "specificity_of_all_score": (
                "Specificity, no call counted as wrong",
                specificity_score(strict, level=level),
                f"{strict.true_negatives}/{cases.negatives}",
            ),
        }
        return cls(
            positives=int((cases.positive & ~called).sum()),
            negatives=int((~cases.positive & ~called).sum()),
            measures=tuple(
                Measure(name=name, words=words, estimate=estimate, counted=counted)
                for name, (words, estimate, counted) in figures.items()
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """Everything that a model's scores of cases with known truth say about it.

    Attributes:
        cases: the cases.
        point: the operating point.
        confusion: calls at that point against truth, for called cases.
        not_called: the other cases; `None` if all were called.
        area: area under the ROC curve, DeLong's interval.
        at_point: figures at the operating point, for called cases; closed-form intervals.
        at_half: the same at a threshold of 0.5.
        resampled: areas and figures at the operating point, with bootstrap intervals.
        curve: the ROC curve.
        band: pointwise interval of the curve.
        calibration: calibration of the probabilities.
        decision: net benefit.
        resampling: how cases were resampled.
    """

    cases: ScoredCases
    point: OperatingPoint
    confusion: Confusion
    not_called: NotCalled | None
    area: Estimate
    at_point: tuple[Measure, ...]
    at_half: tuple[Measure, ...]
    resampled: tuple[Measure, ...]
    curve: RocCurve
    band: CurveBand
    calibration: Calibration
    decision: DecisionCurve
    resampling: Resampling


def judge(
    cases: ScoredCases,
    point: OperatingPoint,
    *,
    called: NDArray[np.bool_] | None = None,
    resampling: Resampling | None = None,
) -> Judgement:
    """Judge a model on cases that were used neither to train it nor to choose its operating point.

    Args:
        cases: cases of both classes, scored by probabilities; where they name patients with
            several scans, every interval is clustered by patient.
        point: operating point, chosen on other cases.
        called: bool (cases,), false for cases without a call; all are called if `None`. Figures at
            a threshold are those of called cases; areas, calibration and net benefit those of all.
        resampling: 2000 stratified resamples if not given.

    Raises:
        ParameterError: one class only, also among the called, or scores that are no
            probabilities.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(1)
        >>> chance = rng.beta(1, 1, 200)
        >>> cases = ScoredCases(scores=chance, positive=rng.random(200) < chance)
        >>> half = OperatingPoint(threshold=0.5, source="given")
        >>> judge(cases, half, resampling=Resampling(resamples=50)).confusion.count
        200
    """
    cases.require_both_classes("judge")
    cases.require_probabilities("judge")
    resampling = resampling or Resampling()
    level = resampling.level
    some = cases if called is None or called.all() else cases.of(called)
    some.require_both_classes("judge")
    confusion = Confusion.of(some, point.threshold)
    figures = resampled(cases, point.threshold, resampling).measures
    not_called = None
    if called is not None and some is not cases:
        not_called = NotCalled.of(cases, called, point.threshold, level=level)
        # Areas come first; they are of all cases.
        figures = (*figures[:2], *resampled(some, point.threshold, resampling).measures[2:])
    few = replace(resampling, resamples=min(resampling.resamples, _BAND_RESAMPLES))
    return Judgement(
        cases=cases,
        point=point,
        confusion=confusion,
        not_called=not_called,
        area=roc_auc_score(cases, level=level),
        at_point=threshold_measures(confusion, level=level),
        at_half=threshold_measures(Confusion.of(some, 0.5), level=level),
        resampled=figures,
        curve=RocCurve.of(cases.scores, cases.positive),
        band=roc_band(cases, resampling=few),
        calibration=Calibration.of(cases, resampling),
        decision=decision_curve(cases, level=level),
        resampling=resampling,
    )
