"""Evaluate predictions: one split gives the operating point, another one the figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bonescint.evaluate import (
    CalibrationFit,
    ClinicalControl,
    RocCurve,
    ScoredCases,
    added_information,
    compare_areas,
    compare_by_resampling,
    compare_models,
    cross_fitted,
    fit_calibration,
    interactions,
    margins,
    operating_point,
    roc_auc_score,
    subgroups,
    with_holm,
)
from bonescint.evaluate.judgement import Calibration, OperatingPoint, judge
from bonescint.experiment.evaluation.covariates import clinical_facts, covariates_of, factors_of
from bonescint.experiment.evaluation.data import (
    LabelledPredictions,
    SplitPredictions,
    require_judgeable,
)
from bonescint.experiment.evaluation.results import (
    ControlResult,
    EvaluatedScan,
    EvaluationResult,
    EvaluationSettings,
    LeftOut,
    ModelComparison,
    SplitFlow,
)
from bonescint.scan import BonescintError, Case, InputError, Split
from bonescint.tables import Problem, refuse

_FEW = 20
"""Training cases of a class below which the control is cross-fitted on the evaluated ones."""
_PARTS = 4
"""Parts that progress counts: figures, recalibration, subgroups, control."""


def evaluate_joined(
    joined: LabelledPredictions,
    settings: EvaluationSettings,
    *,
    source: object = "predictions",
    counts: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EvaluationResult:
    """Evaluate predictions that are joined with their cases.

    Args:
        joined: predictions and cohort.
        settings: how to evaluate.
        source: name of the predictions in error messages.
        counts: total counts of the posterior view by scan, where truth files do not give them.
        progress: called with the number of parts done and of all.

    Raises:
        InputError: a split without predictions or of one class, a truth file that cannot be read.
    """
    part = joined.part(settings.judged)
    require_judgeable(part, source, "judge a model")
    _require_calls(part, source)
    point = chosen_point(joined, settings, source)
    tell = progress or (lambda *_: None)
    tell(0, _PARTS)
    judgement = judge(part.scored, point, called=part.called, resampling=settings.resampling)
    tell(1, _PARTS)
    recalibration, recalibrated = _recalibration(joined, settings, part.scored)
    tell(2, _PARTS)
    factors = factors_of(part.cases, covariates_of(part.cases, joined.manifest, counts))
    level = settings.resampling.level
    groups = [
        one
        for factor in factors
        for one in subgroups(part.scored, factor, point.threshold, level=level)
    ]
    tests = [
        test for factor in factors for test in interactions(part.scored, factor, point.threshold)
    ]
    tell(3, _PARTS)
    control, note = _control(joined, part, level)
    tell(_PARTS, _PARTS)
    return EvaluationResult(
        settings=settings,
        flow=tuple(
            SplitFlow(
                split=one.split,
                with_prediction=len(one.cases),
                positives=int(one.positive.sum()),
                without_prediction=len(one.missing),
            )
            for one in joined.parts
        ),
        unknown=len(joined.unknown),
        left_out=_left_out(joined, settings.judged),
        scans=_evaluated(part),
        judgement=judgement,
        recalibration=recalibration,
        recalibrated=recalibrated,
        subgroups=tuple(groups),
        interactions=with_holm(tests),
        control=control,
        control_note=note,
    )


def _left_out(joined: LabelledPredictions, judged: Split) -> tuple[LeftOut, ...]:
    """Scans of the used splits without a prediction, and predictions without a scan."""
    found = [
        LeftOut(
            scan_id=case.scan_id,
            split=part.split.value,
            positive=case.positive,
            why="no prediction",
        )
        for part in joined.parts
        if part.split in (judged, Split.VALIDATION)
        for case in part.missing
    ]
    found += [
        LeftOut(
            scan_id=row.scan_id,
            split="",
            positive=None,
            why=f"not in the manifest (row {row.row} of the predictions)",
        )
        for row in joined.unknown
    ]
    return tuple(found)


def _evaluated(part: SplitPredictions) -> tuple[EvaluatedScan, ...]:
    columns = (part.cases, part.patients, part.probabilities.tolist(), part.called.tolist())
    return tuple(
        EvaluatedScan(
            scan_id=case.scan_id,
            patient=patient,
            centre=case.centre,
            positive=case.positive,
            probability=probability,
            called=called,
        )
        for case, patient, probability, called in zip(*columns, strict=True)
    )


def chosen_point(
    joined: LabelledPredictions, settings: EvaluationSettings, source: object
) -> OperatingPoint:
    """The operating point that the settings ask for.

    Raises:
        InputError: the validation split cannot choose one.
    """
    if settings.threshold is not None:
        return OperatingPoint(threshold=settings.threshold, source="given, not chosen here")
    validation = joined.part(Split.VALIDATION)
    if not validation.cases:
        problem = "split validation: no scan with a prediction, to choose the operating point on"
        raise InputError(source, problem, "Predict it too, or give --operating-point")
    require_judgeable(validation, source, "choose an operating point")
    constant = _constant(validation)
    if constant and not settings.constant_allowed:
        problem = (
            f"split validation, column mbd_probability: all {len(validation.cases)} are "
            f"{validation.probabilities[0]:g}, so they cannot choose an operating point"
        )
        raise InputError(source, problem, "Look at the model, or give --operating-point")
    threshold = operating_point(validation.scored, settings.rule)
    words = f"{settings.rule.words}, on {len(validation.cases)} validation scans"
    if constant:
        choice = "none" if math.isinf(threshold) else "all"
        words += f", which all have {validation.probabilities[0]:g}: it could only call {choice}"
    return OperatingPoint(threshold=threshold, source=words)


def _require_calls(part: SplitPredictions, source: object) -> None:
    """Reject a split whose calls cannot be evaluated.

    Raises:
        InputError: all scans that were called are of one class, or none was.
    """
    called = part.positive[part.called]
    if not called.any() or called.all():
        problem = (
            f"split {part.split}, column call: of {len(part.cases)} scans {called.size} were "
            f"called, {int(called.sum())} of them positives, so their calls cannot be judged"
        )
        raise InputError(source, problem, "Adapt the model, or predict with --call-anyway")


def _constant(part: SplitPredictions) -> bool:
    """Whether all cases have the same score."""
    return bool(np.ptp(part.probabilities) == 0)


def _recalibration(
    joined: LabelledPredictions, settings: EvaluationSettings, cases: ScoredCases
) -> tuple[CalibrationFit | None, Calibration | None]:
    validation = joined.part(Split.VALIDATION)
    both = validation.positive.any() and not validation.positive.all()
    if settings.judged is Split.VALIDATION or not validation.cases or not both:
        return None, None
    if _constant(validation):  # one score has no slope that could be fitted
        return None, None
    fitted = fit_calibration(
        validation.scored.with_scores(margins(validation.probabilities)),
        level=settings.resampling.level,
    )
    after = cases.with_scores(fitted.calibration.probability(margins(cases.scores)))
    return fitted, Calibration.of(after, settings.resampling)


def _control(
    joined: LabelledPredictions, part: SplitPredictions, level: float
) -> tuple[ControlResult | None, str]:
    facts = clinical_facts(part.cases)
    if not facts.known:
        return None, "the manifest has no age, sex or primary tumour"
    train = joined.manifest.split(Split.TRAIN)
    truth = np.array([case.positive for case in train], dtype=bool)
    if part.split is not Split.TRAIN and min(truth.sum(), (~truth).sum()) >= _FEW:
        scores = ClinicalControl.fit(clinical_facts(train), truth).probabilities(facts)
        fitted_on = f"{len(train)} training cases"
    else:
        try:
            patients = [case.patient_id for case in part.cases]
            scores = cross_fitted(facts, part.positive, patients)
        except BonescintError:
            return None, "too few training cases, and too few evaluated ones to cross-fit it"
        fitted_on = "the evaluated cases themselves, in five folds by patient"
    cases = part.scored
    control = cases.with_scores(scores)
    return ControlResult(
        area=roc_auc_score(control, level=level),
        curve=RocCurve.of(control.scores, control.positive),
        comparison=compare_areas(cases, control, level=level),
        model_adds=added_information(cases, scores)[1],
        control_adds=added_information(control, cases.scores)[1],
        fitted_on=fitted_on,
    ), ""


def compare_predictions(
    first: LabelledPredictions,
    second: LabelledPredictions,
    settings: EvaluationSettings,
    *,
    name: str,
) -> ModelComparison:
    """Compare two models on the scans that both have predicted, paired by `scan_id`.

    The two may come from different cohorts: what only one of them holds is left out.

    Args:
        first: predictions of the model that is judged.
        second: predictions of the other one.
        settings: how to evaluate; both operating points are chosen by the same rule.
        name: name of the other model.

    Raises:
        InputError: no common scans of both classes, a scan whose label differs between the two
            cohorts (every one is named), or no operating point for one of the models.
    """
    thresholds = (
        chosen_point(first, settings, "predictions").threshold,
        chosen_point(second, settings, name).threshold,
    )
    one, other = _paired(first.part(settings.judged), second.part(settings.judged), name)
    return ModelComparison(
        name=name,
        scans=len(one.cases),
        closed=compare_models(
            one.scored, other.scored, thresholds, level=settings.resampling.level
        ),
        resampled=compare_by_resampling(one.scored, other.scored, thresholds, settings.resampling),
        thresholds=thresholds,
    )


def _paired(
    first: SplitPredictions, second: SplitPredictions, name: str
) -> tuple[SplitPredictions, SplitPredictions]:
    """The scans that two splits share, both in the order of the first."""
    places = {case.scan_id: place for place, case in enumerate(second.cases)}
    shared = [place for place, case in enumerate(first.cases) if case.scan_id in places]
    one = _chosen(first, shared)
    other = _chosen(second, [places[case.scan_id] for case in one.cases])
    refuse(
        name,
        [
            Problem(
                column="label",
                text=f"{ours.scan_id} is {_word(theirs)}, but {_word(ours)} in the first cohort",
            )
            for ours, theirs in zip(one.cases, other.cases, strict=True)
            if ours.positive != theirs.positive
        ],
        "Compare predictions that are evaluated against the same reference standard",
    )
    require_judgeable(one, name, "compare two models")
    return one, other


def _chosen(part: SplitPredictions, places: Sequence[int]) -> SplitPredictions:
    return SplitPredictions(
        split=part.split,
        cases=tuple(part.cases[place] for place in places),
        probabilities=part.probabilities[np.array(places, dtype=np.intp)],
        called=part.called[np.array(places, dtype=np.intp)],
        missing=(),
    )


def _word(case: Case) -> str:
    return "positive" if case.positive else "negative"
