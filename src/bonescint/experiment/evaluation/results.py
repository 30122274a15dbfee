"""The one typed result of an evaluation, which every page, table and comparison reads.

`write_result` and `read_result` are its JSON form, `evaluation.json`: the member `result` holds the
typed result, the member `tables` the same figures as the report's tables, for other programs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bonescint import __version__
from bonescint.evaluate import (
    Balanced,
    CalibrationFit,
    Comparison,
    Confusion,
    Estimate,
    Interaction,
    Measure,
    OperatingRule,
    Resampling,
    RocCurve,
    ScoredCases,
    Subgroup,
)
from bonescint.evaluate.judgement import Calibration, Judgement
from bonescint.evaluate.scored import patient_numbers
from bonescint.experiment.evaluation.json_form import from_json, rule_content, to_json
from bonescint.experiment.evaluation.lesion_result import LesionEvaluation
from bonescint.experiment.evaluation.saliency_result import SaliencyEvaluation
from bonescint.files import json_in, write_whole
from bonescint.scan import RESEARCH_USE, BonescintError, Call, InputError, ParameterError, Split
from bonescint.scan.checked import check_member

SCHEMA_VERSION = 3
NOTICE = f"{RESEARCH_USE[:-1]}: do not base any diagnosis on these results."
TRUE_POSITIVE, FALSE_NEGATIVE = "true positive", "false negative"
FALSE_POSITIVE, TRUE_NEGATIVE = "false positive", "true negative"
_OUTCOMES = {
    (True, True): TRUE_POSITIVE,
    (True, False): FALSE_NEGATIVE,
    (False, True): FALSE_POSITIVE,
    (False, False): TRUE_NEGATIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """How predictions are evaluated.

    Attributes:
        rule: the rule that chooses the operating point on the validation split.
        threshold: an operating point to use instead, such as the model's own.
        judged: the split that is evaluated.
        resampling: for everything that is resampled; its level is that of all intervals.
        constant_allowed: accept a model that gives all validation scans the same score; all or
            none of them are then called positive. An experiment accepts it, because a model that
            collapsed is a result; else it is an error.

    Raises:
        ParameterError: a threshold outside [0, 1], or an operating point chosen on the cases
            that are evaluated.
    """

    rule: OperatingRule = field(default_factory=Balanced)
    threshold: float | None = None
    judged: Split = Split.TEST
    resampling: Resampling = field(default_factory=Resampling)
    constant_allowed: bool = False

    def __post_init__(self) -> None:
        check_member(self, "judged", Split)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ParameterError("threshold", "EvaluationSettings", "from 0 to 1", self.threshold)
        if self.threshold is None and self.judged is Split.VALIDATION:
            requirement = "another split, or give 'threshold': the point is chosen on validation"
            raise ParameterError("judged", "EvaluationSettings", requirement, self.judged.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file that went into an evaluation.

    Attributes:
        role: what it is, such as `"predictions"`.
        name: name of the file, without its folder.
        sha256: hash of its content.
    """

    role: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFlow:
    """What became of the scans of one split.

    Attributes:
        split: the split.
        with_prediction: scans of the manifest that have a prediction.
        positives: number of these with disease.
        without_prediction: scans of the manifest that have none.
    """

    split: Split
    with_prediction: int
    positives: int
    without_prediction: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A scan without a prediction, or a prediction without a scan.

    Attributes:
        scan_id: identifier of the scan.
        split: its split; empty where the manifest does not list it.
        positive: the reference standard; `None` if unknown.
        why: the reason in words.
    """

    scan_id: str
    split: str
    positive: bool | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedScan:
    """A scan that was evaluated.

    Attributes:
        scan_id: identifier of the scan.
        patient: number of its patient in this evaluation.
        centre: where it was made.
        positive: the reference standard.
        probability: the model's probability.
        called: false for a scan that has a probability and no call.
    """

    scan_id: str
    patient: int
    centre: str
    positive: bool
    probability: float
    called: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ControlResult:
    """How well a control that knows only age, sex and primary tumour predicts the label.

    Attributes:
        area: area under the control's ROC curve.
        curve: its ROC curve.
        comparison: model minus control, paired.
        model_adds: p value of the test that the model's score adds information to the control.
        control_adds: p value of the test that the control adds information to the model's score.
        fitted_on: the cases that it was fitted to, in words.
    """

    area: Estimate
    curve: RocCurve
    comparison: Comparison
    model_adds: float
    control_adds: float
    fitted_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """Paired differences from another model, on the scans that both have predicted.

    Attributes:
        name: name of the other model's table.
        scans: number of scans that both have predicted.
        closed: differences with closed-form intervals, first minus second.
        resampled: differences with bootstrap intervals.
        thresholds: the operating point of each.
    """

    name: str
    scans: int
    closed: tuple[Comparison, ...]
    resampled: tuple[Comparison, ...]
    thresholds: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationResult:
    """Everything that an evaluation found.

    Attributes:
        settings: how the predictions were evaluated.
        flow: what became of every scan of the manifest, by split.
        unknown: number of predictions left out because the manifest does not list the scan.
        left_out: each of these, and each scan of the used splits without a prediction.
        scans: evaluated scans, in the order of the manifest.
        judgement: areas, figures at the operating point, calibration, decision curve.
        recalibration: slope and intercept fitted on the validation split, or `None` without one.
        recalibrated: calibration after it, or `None`.
        subgroups: figures by subgroup.
        interactions: tests whether they differ.
        control: what age, sex and primary tumour alone predict, or `None`; `control_note` says why.
        control_note: why there is no control, or empty.
        comparison: with another model, or `None`.
        saliency: how activation maps agree with lesion masks, or `None` without maps.
        lesions: how found foci and the Bone Scan Index agree with the truth, or `None`.
        inputs: input files.
        created: UTC time in ISO 8601; empty for a result that was never written.
        software: version of bonescint.
    """

    settings: EvaluationSettings
    flow: tuple[SplitFlow, ...]
    unknown: int
    left_out: tuple[LeftOut, ...]
    scans: tuple[EvaluatedScan, ...]
    judgement: Judgement
    recalibration: CalibrationFit | None
    recalibrated: Calibration | None
    subgroups: tuple[Subgroup, ...]
    interactions: tuple[Interaction, ...]
    control: ControlResult | None
    control_note: str = ""
    comparison: ModelComparison | None = None
    saliency: SaliencyEvaluation | None = None
    lesions: LesionEvaluation | None = None
    inputs: tuple[InputFile, ...] = ()
    created: str = ""
    software: str = __version__

    @property
    def threshold(self) -> float:
        """Probability from which a scan is called positive; infinite where none is."""
        return self.judgement.point.threshold

    @property
    def positives(self) -> int:
        """Evaluated scans with disease."""
        return sum(scan.positive for scan in self.scans)

    @property
    def missing(self) -> int:
        """Scans of the evaluated split without a prediction."""
        return next(one.without_prediction for one in self.flow if one.split is self.judged)

    @property
    def judged(self) -> Split:
        """The split that was evaluated."""
        return self.settings.judged

    @property
    def one_probability(self) -> bool:
        """Whether all evaluated scans have the same probability."""
        return len({scan.probability for scan in self.scans}) == 1

    @property
    def performance(self) -> tuple[Measure, ...]:
        """The area under the ROC curve, and the figures at the operating point."""
        area = self.judgement.area
        name, words = "roc_auc_score", "Area under the ROC curve"
        return (Measure(name=name, words=words, estimate=area), *self.judgement.at_point)

    def outcome(self, scan: EvaluatedScan) -> str:
        """Such as `"true positive"`, or `"no call"`."""
        if not scan.called:
            return Call.NO_CALL.value
        return _OUTCOMES[scan.positive, scan.probability >= self.threshold]


def estimate_of(measures: Iterable[Measure], name: str) -> Estimate:
    """The estimate of a measure by its name; undefined if it was not measured.

    Examples:
        >>> estimate_of((), "roc_auc_score").text()
        'undefined: not measured'
    """
    found = (one.estimate for one in measures if one.name == name)
    return next(found, Estimate(value=math.nan, note="not measured"))


def scored_cases(scans: Sequence[EvaluatedScan]) -> ScoredCases:
    """Scores, truth and patients of evaluated scans."""
    return ScoredCases(
        scores=np.array([scan.probability for scan in scans]),
        positive=np.array([scan.positive for scan in scans], dtype=bool),
        patients=patient_numbers([scan.patient for scan in scans]),
    )


def write_result(result: EvaluationResult, path: Path, tables: Mapping[str, object]) -> None:
    """Write `evaluation.json`.

    Args:
        result: the result.
        path: path of the file.
        tables: the report's tables, JSON-ready.

    Raises:
        OutputError: it cannot be written.
    """
    settings, point = result.settings, result.judgement.point
    document = {
        "schema_version": SCHEMA_VERSION,
        "notice": NOTICE,
        "created": result.created,
        "software": {"bonescint": result.software},
        "inputs_sha256": {one.role: one.sha256 for one in result.inputs},
        "settings": {
            "judged": settings.judged.value,
            "rule": None if settings.threshold is not None else rule_content(settings.rule),
            "operating_point": point.threshold if math.isfinite(point.threshold) else None,
            "operating_point_source": point.source,
            **asdict(settings.resampling),
        },
        "result": to_json(result),
        "tables": tables,
    }
    write_whole(path, json.dumps(document, indent=1, allow_nan=False))


def read_result(path: Path) -> EvaluationResult:
    """Read `evaluation.json`.

    A run folder whose evaluations have an earlier version is evaluated again from its predictions
    by the same command (`steps.Evaluate`).

    Raises:
        InputError: there is none, it cannot be read, or it has another version.
    """
    try:
        document = json_in(path.read_text(encoding="utf-8"))
        version = document["schema_version"]
        if version == SCHEMA_VERSION:
            return result_from(document["result"])
    except (OSError, KeyError, ValueError, TypeError, AttributeError, BonescintError) as error:
        problem = f"no readable evaluation ({type(error).__name__})"
        raise InputError(path, problem, "Run the experiment again") from error
    problem = f"is version {version} of an evaluation; this release reads version {SCHEMA_VERSION}"
    raise InputError(path, problem, "Evaluate the predictions again")


def result_from(content: Mapping[str, Any]) -> EvaluationResult:
    """A result from its JSON form.

    Raises:
        KeyError, TypeError, ValueError, BonescintError: not a result.
    """
    scans = from_json(tuple[EvaluatedScan, ...], content["scans"])
    cases = scored_cases(scans)
    called = np.array([scan.called for scan in scans], dtype=bool)
    threshold = float(content["judgement"]["point"]["threshold"])
    judgement = from_json(
        Judgement,
        content["judgement"],
        cases=cases,
        confusion=Confusion.of(cases if called.all() else cases.of(called), threshold),
        curve=RocCurve.of(cases.scores, cases.positive),
    )
    found: EvaluationResult = from_json(EvaluationResult, content, scans=scans, judgement=judgement)
    return found
