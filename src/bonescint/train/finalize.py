"""After training: export, calibrate, measure, and write the model folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest, cohort_fingerprint, read_truth
from bonescint.evaluate import (
    Balanced,
    Confusion,
    Estimate,
    ScoredCases,
    fit_calibration,
    roc_auc_score,
    sensitivity_score,
    specificity_score,
)
from bonescint.evaluate import operating_point as chosen_threshold
from bonescint.evaluate.operating_points import uncertain_band
from bonescint.evaluate.scored import patient_numbers
from bonescint.model import (
    Engine,
    EvidenceMap,
    Metric,
    ModelCard,
    ModelFolder,
    OodDetector,
    OodFeatures,
    TrainingRecord,
    features_of,
    fit_ood_detector,
    margin_of,
    write_model_folder,
)
from bonescint.model.recalibration import calibration_record
from bonescint.prepare import PreparedScan, prepare
from bonescint.scan import InputError, ParameterError, PlattCalibration, Split
from bonescint.scan.software import installed_versions
from bonescint.train.augment import Crop, DropView, Pose, augmented
from bonescint.train.cached import CachedScans, counted
from bonescint.train.configuration import TrainingConfiguration
from bonescint.train.dataset import plain_loader
from bonescint.train.export import to_onnx, to_safetensors
from bonescint.train.network import ScanNetwork
from bonescint.train.sample import ScanSource, TrainingSample
from bonescint.train.weights import InitialWeights

OPERATING_POINT_RULE = (
    "where sensitivity equals specificity on the validation scans, half way between the two "
    "probabilities that enclose it"
)


def scored_by_margins(
    logits: Iterable[NDArray[np.float32]],
    labels: Iterable[bool],
    patients: Sequence[str] | None = None,
) -> ScoredCases:
    """Score scans whose label is known by the margins of a network.

    Args:
        logits: (2,) of each scan.
        labels: label of each scan.
        patients: the patient of each scan; none if each scan has its own. Intervals are by patient.

    Raises:
        ParameterError: one class only.
    """
    cases = ScoredCases(
        scores=np.array([margin_of(one) for one in logits]),
        positive=np.array(list(labels), dtype=bool),
        patients=None if patients is None else patient_numbers(patients),
    )
    cases.require_both_classes("scored_by_margins")
    return cases


def figures(
    cases: ScoredCases, *, calibration: PlattCalibration, operating_point: float, measured_on: str
) -> tuple[Metric, ...]:
    """Area under the ROC curve, sensitivity, specificity and cross entropy.

    Args:
        cases: scored by margins.
        calibration: from margins to probabilities.
        operating_point: probability from which a scan is positive.
        measured_on: the scans, in words.

    Returns:
        The figures, with 95 % intervals where one is known; the first one is the AUC.
    """
    probabilities = calibration.probability(cases.scores)
    chosen = np.clip(np.where(cases.positive, probabilities, 1 - probabilities), 1e-12, 1)
    table = Confusion.of(cases.with_scores(probabilities), operating_point)
    estimates = {
        "roc_auc_score": roc_auc_score(cases),
        "sensitivity_score": sensitivity_score(table),
        "specificity_score": specificity_score(table),
        "cross_entropy_error": Estimate(value=float(-np.log(chosen).mean())),
    }
    return tuple(_metric(name, found, measured_on) for name, found in estimates.items())


def _metric(name: str, estimate: Estimate, measured_on: str) -> Metric:
    known = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    return Metric(
        name=name,
        value=estimate.value,
        low=estimate.low if known else None,
        high=estimate.high if known else None,
        measured_on=measured_on,
        method=estimate.method,
    )


MEASURED = (Split.VALIDATION, Split.TEST)
_OOD_SCANS = 1000
_OOD_SEED = 3
_FALSE_ALARM_RATE = 0.05
"""For scans changed as in training, the most extreme of which occur in no archive; of unchanged
scans far fewer are found unlike."""
_POSES = (Pose, Crop, DropView)
SIMULATED = "simulated scans only"
_LIMITATIONS = {
    SIMULATED: (
        "Trained on simulated scans only; not validated on patients.",
        "The results above are valid for simulated scans; results on real scans will differ.",
    ),
}
_ALWAYS = (
    "Research use only: not a medical device; do not base any diagnosis on it.",
    "An activation map shows what influenced the prediction, not where disease is.",
)
_IMAGENET = "VGG16 ImageNet weights: Simonyan and Zisserman 2014, Visual Geometry Group, CC BY 4.0"
_METHOD = "Method: Ibrahim et al., Cancer Imaging 2023;23:12"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FinishedTraining:
    """A training that has ended, apart from its network.

    Attributes:
        cohort: the manifest.
        sources: the scans by split.
        settings: the training configuration.
        weights: the initial weights.
        name: name of the model.
        version: version of the model.
        epochs: number of completed epochs; patience may have ended the training early.
        measured: the splits whose results the card gives.
    """

    cohort: Manifest
    sources: Mapping[Split, CachedScans]
    settings: TrainingConfiguration
    weights: InitialWeights
    name: str
    version: str
    epochs: int
    measured: tuple[Split, ...] = MEASURED


def scored_by(engine: Engine, finished: FinishedTraining, split: Split) -> ScoredCases:
    """Run an exported graph over a split's samples, which are prepared in other processes."""
    source, settings = finished.sources[split], finished.settings
    loader = plain_loader(
        source, settings.preprocessing, batch_size=1, workers=settings.loader_workers
    )
    answers = engine.run_many(batch.composites[0].numpy() for batch in loader)
    patients = [case.patient_id for case in finished.cohort.split(split)]
    return scored_by_margins([answer.logits for answer in answers], source.positives, patients)


def finalize(network: ScanNetwork, finished: FinishedTraining, target: Path) -> ModelFolder:
    """Export a network, calibrate and measure it, and write the model folder.

    Args:
        network: trained.
        finished: the finished training.
        target: the model folder to write.

    Returns:
        The folder.

    Raises:
        OutputError: the folder cannot be written.
    """
    settings = finished.settings
    onnx = to_onnx(network, rows=settings.preprocessing.rows).SerializeToString()
    origin = _origin(finished.cohort)
    with Engine(onnx) as engine:
        cases = scored_by(engine, finished, Split.VALIDATION)
        fit = fit_calibration(cases)
        calibration = fit.calibration
        threshold = chosen_threshold(cases, Balanced())
        band, band_rule = uncertain_band(cases, threshold, calibration)
        metrics: tuple[Metric, ...] = ()
        for split in finished.measured:
            labels = set(finished.sources[split].labels) if split in finished.sources else set()
            if len(labels) < 2:
                continue
            if split is Split.TEST:
                cases = scored_by(engine, finished, split)
            metrics += figures(
                cases,
                calibration=calibration,
                operating_point=calibration.probability(threshold),
                measured_on=_in_words(finished.cohort, split, origin),
            )
    card = ModelCard(
        name=finished.name,
        version=finished.version,
        architecture=network.architecture,
        evidence_map=EvidenceMap(kind=network.evidence, cell=network.reduction),
        preprocessing=settings.preprocessing,
        operating_point=calibration.probability(threshold),
        operating_point_rule=OPERATING_POINT_RULE,
        uncertain_band=band,
        uncertain_rule=band_rule,
        calibration=calibration,
        calibrated_on=calibration_record(fit, scans="validation scans"),
        training=TrainingRecord(
            origin=origin,
            cohort_sha256=cohort_fingerprint(finished.cohort),
            scans=counted(finished.cohort),
            weights=finished.weights.described,
            settings=json.loads(json.dumps(settings.to_json())),
            epochs=finished.epochs,
        ),
        metrics=metrics,
        limitations=(*_LIMITATIONS.get(origin, ()), *_ALWAYS),
        attribution=(_IMAGENET, _METHOD) if settings.network.begins_with_imagenet else (_METHOD,),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software=software_versions(),
    )
    detector = cohort_ood_detector(finished.sources, settings)
    return write_model_folder(
        target, card=card, onnx=onnx, ood=detector, weights=to_safetensors(network)
    )


def cohort_ood_detector(
    sources: Mapping[Split, ScanSource], settings: TrainingConfiguration
) -> OodDetector | None:
    """Fit the detector of inputs unlike the training scans; `None` for a small cohort.

    Scans are measured as the network saw them, after the training's random changes of uptake,
    counts and grey values: what it has learnt to read is not unlike. They are not rotated or
    cropped, so that a body that is not upright and complete is detected. At most 1000 scans of a
    split are used, evenly spread over it.
    """

    def features(split: Split) -> list[OodFeatures]:
        source = sources[split]
        step = max(1, -(-len(source) // _OOD_SCANS))
        return [
            features_of(_as_met(source.sample(index), settings, (_OOD_SEED, index)))
            for index in range(0, len(source), step)
        ]

    try:
        return fit_ood_detector(
            features(Split.TRAIN),
            features(Split.VALIDATION),
            preprocessing=settings.preprocessing.identifier,
            false_alarm_rate=_FALSE_ALARM_RATE,
        )
    except ParameterError:  # too few scans to know what is usual
        return None


def _as_met(
    sample: TrainingSample, settings: TrainingConfiguration, seed: tuple[int, int]
) -> PreparedScan:
    """A prepared scan after the training's random changes except pose; views stay in place."""
    rng = np.random.default_rng((settings.seed, *seed))
    changes = [one for one in settings.scan_augmentations if not isinstance(one, _POSES)]
    prepared = prepare(augmented(sample, changes, rng).scan, settings.preprocessing)
    change = replace(settings.composite_change, swap=0.0)
    nothing = np.zeros((1, 1, 2), dtype=bool)
    return replace(prepared, composite=change(prepared.composite, nothing, rng)[0])


def software_versions() -> dict[str, str]:
    """Versions of what made a model, by name."""
    return installed_versions(("torch", "lightning", "onnx", "openvino", "nncf", "numpy"))


def _origin(cohort: Manifest) -> str:
    """Whether every training scan's truth says that it comes from the simulator."""
    for case in cohort.split(Split.TRAIN):
        if not case.truth:
            return "scans of the user's cohort"
        try:
            if not read_truth(cohort.folder / case.truth).simulated:
                return "scans of the user's cohort"
        except InputError:
            return "scans of the user's cohort"
    return SIMULATED


def _in_words(cohort: Manifest, split: Split, origin: str) -> str:
    cases = cohort.split(split)
    positive = sum(case.positive for case in cases)
    patients = len({case.patient_id for case in cases})
    kind = "simulated scans" if origin == SIMULATED else "scans"
    return f"{split.value} split: {len(cases)} {kind} ({positive} positive) of {patients} patients"
