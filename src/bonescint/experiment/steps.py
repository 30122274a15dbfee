"""Steps of each model of an experiment: train, predict, evaluate, degrade; each done once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.cohort import Manifest
from bonescint.evaluate import Resampling
from bonescint.experiment.evaluation.map_sanity import map_sanity, write_map_sanity
from bonescint.experiment.evaluation.results import SCHEMA_VERSION, EvaluationSettings, read_result
from bonescint.experiment.evaluation.robustness import chosen, robustness, write_robustness
from bonescint.experiment.evaluation_run import evaluate
from bonescint.experiment.ledger import CohortPart, Output, Resources, Step
from bonescint.experiment.paths import (
    ExternalUse,
    RunPaths,
    fingerprint,
    note_external_use,
    write_rows,
)
from bonescint.experiment.spec import ExperimentSpec, ModelSpec
from bonescint.model import Classifier, ModelFolder
from bonescint.scan import Case, InputError, Split

if TYPE_CHECKING:
    from bonescint.train import TrainingConfiguration

_ROBUSTNESS_SCANS = 200
_SANITY_SCANS = 40
_TRUTH = ("truth", "mask_anterior", "mask_posterior")
_LEARNT_FROM = ("scan_id", "patient_id", "split", "positive", "file", *_TRUTH)


@dataclass(frozen=True, kw_only=True)
class Train(Step):
    """Train a model.

    Attributes:
        model: name of the model.
        settings: the training configuration.
        weights: file or model folder of the initial weights; `None` to train from scratch.
        part: training and validation cases.
        folder: the model folder.
    """

    model: str
    settings: TrainingConfiguration
    weights: Path | None
    part: CohortPart
    folder: Output

    def work(self, means: Resources) -> None:
        """Train, and write the model folder."""
        from bonescint.train import Tracking, train

        train(
            self.part.cohort,
            self.folder.path,
            settings=self.settings,
            weights=self.weights,
            resume=means.goes_on,
            device=means.device,
            cache=means.cache,
            name=self.model,
            tracking=Tracking(means.tracking),
            measure_test=False,  # `Predict` reads it, once
            progress=partial(_of, means, self.model),
            tell=lambda text: means.tell(f"{self.model}: {text}"),
        )


@dataclass(frozen=True, kw_only=True)
class Predict(Step):
    """Read the validation and the test split.

    Attributes:
        model: the model folder.
        part: scans to read.
        results: what `classify` writes.
        predictions: table of probabilities.
    """

    model: Path
    part: CohortPart
    results: Output
    predictions: Output

    def work(self, means: Resources) -> bool:
        """Classify."""
        from bonescint.classify import classify

        cohort = self.part.cohort
        ids = {path: case.scan_id for path, case in cohort.by_path.items()}
        summary = classify(
            list(ids),
            self.results.path,
            model=self.model,
            workers=means.workers,
            scan_ids=ids,
            call_anyway=True,  # an experiment evaluates all of its scans
            progress=partial(means.progress, f"reading with {self.subject}"),
        )
        if not summary.results:
            first = summary.refused[0].reason if summary.refused else "none was found"
            problem = f"none of {len(ids)} scans could be read with {self.subject}: {first}"
            raise InputError(cohort.folder, problem, "Check the cohort's files")
        rows = [[one.scan_id, repr(one.mbd_probability)] for one in summary.results]
        write_rows(self.predictions.path, ["scan_id", "mbd_probability"], rows)
        return summary.taken_over > 0


@dataclass(frozen=True, kw_only=True)
class Evaluate(Step):
    """Evaluate the test split, and compare with the experiment's reference model.

    Attributes:
        predictions: table of the model's predictions.
        maps: results with its activation maps.
        compared_with: name of the reference model, or empty for itself.
        against: predictions of the reference model, or `None`.
        manifest: the whole manifest: figures depend on labels, splits, patients and covariates, and
            the report gives its hash.
        evidence: scans, truth files and masks of the evaluated cases.
        settings: how to evaluate.
        evaluation: folder of the report; an earlier evaluation there is deleted.
        result_version: schema version of `evaluation.json`; an older file is written anew.
    """

    predictions: Path
    maps: Path
    compared_with: str
    against: Path | None
    manifest: Path
    evidence: CohortPart
    settings: EvaluationSettings
    evaluation: Output
    result_version: int = SCHEMA_VERSION

    def work(self, means: Resources) -> None:
        """Evaluate."""
        shutil.rmtree(self.evaluation.path, ignore_errors=True)
        evaluate(
            self.predictions,
            self.manifest,
            self.evaluation.path,
            settings=self.settings,
            against=self.against,
            maps=self.maps,
            workbook=True,
            progress=lambda what, done, total: means.progress(
                f"{what} of {self.subject}", done, total
            ),
        )


@dataclass(frozen=True, kw_only=True)
class NoteExternal(Step):
    """Add a row to the table of evaluations on external centres.

    Attributes:
        experiment: name of the experiment.
        model: name of the model.
        centres: external centres.
        settings: the training configuration.
        seed: seed of the training, or empty.
        evaluation: the result of the evaluation.
        folder: the model folder.
        manifest: manifest of the cohort.
        table: the table that the row is added to.
    """

    experiment: str
    model: str
    centres: tuple[str, ...]
    settings: str
    seed: str
    evaluation: Path
    folder: Path
    manifest: Path
    table: Output

    def work(self, means: Resources) -> None:  # noqa: ARG002
        """Add the row, unless none of the external centres was evaluated."""
        result = read_result(self.evaluation)
        scored = sorted({scan.centre for scan in result.scans} & set(self.centres))
        if scored:
            use = ExternalUse(
                study=self.experiment,
                model=self.model,
                centres=" ".join(scored),
                settings=self.settings,
                seed=self.seed,
                model_sha256=ModelFolder.load(self.folder).sha256[:12],
                manifest_sha256=fingerprint(self.manifest)[:12],
                roc_auc=result.judgement.area.text(),
            )
            note_external_use(self.table.path, use)


@dataclass(frozen=True, kw_only=True)
class MeasureRobustness(Step):
    """Read a sample of the test split under degraded conditions.

    Attributes:
        model: the model folder.
        part: the sample.
        threshold: the operating point; infinite where no scan is called positive.
        table: the table to write.
    """

    model: Path
    part: CohortPart
    threshold: float
    table: Output

    def work(self, means: Resources) -> None:
        """Read the sample under every condition."""
        cohort = self.part.cohort
        with Classifier(ModelFolder.load(self.model)) as classifier:
            rows = robustness(
                classifier,
                cohort,
                cohort.cases,
                threshold=self.threshold,
                progress=partial(means.progress, f"degraded scans, {self.subject}"),
            )
        write_robustness(rows, self.table.path, len(cohort.cases))


@dataclass(frozen=True, kw_only=True)
class CheckMapSanity(Step):
    """Compare maps of positive test scans with those of randomised weights.

    Attributes:
        model: the model folder.
        part: the sample.
        resampling: for the intervals; its seed draws the weights.
        table: the table to write.
    """

    model: Path
    part: CohortPart
    resampling: Resampling
    table: Output

    def work(self, means: Resources) -> None:
        """Compare."""
        cohort = self.part.cohort
        rows = map_sanity(
            ModelFolder.load(self.model),
            cohort,
            cohort.cases,
            self.resampling,
            progress=partial(means.progress, f"maps of {self.subject} against randomised weights"),
        )
        write_map_sanity(rows, self.table.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSteps:
    """The steps of a run that are done with each of its models.

    Attributes:
        spec: the experiment.
        paths: paths of the run folder.
        cohort: cohort of the experiment.
        weights: file of ImageNet weights, for models that start from them and name no others.
        external_uses: table of the evaluations on external centres.
    """

    spec: ExperimentSpec
    paths: RunPaths
    cohort: Manifest
    weights: Path | None
    external_uses: Path

    def folder(self, name: str) -> Path:
        """The model folder: the one that was given, or the one that is trained here."""
        given = self.spec.models[name].folder
        return self.paths.model(name) if given is None else given

    def training(self, name: str) -> Step | None:
        """Train a model; nothing to do if the experiment names its folder."""
        plan = self.spec.models[name]
        if plan.folder is not None:
            return None
        settings = settings_of(plan)
        imagenet = self.weights if settings.network.begins_with_imagenet else None
        learnt = [*self.cohort.split(Split.TRAIN), *self.cohort.split(Split.VALIDATION)]
        return Train(
            name=f"train/{name}",
            model=name,
            settings=settings,
            weights=plan.weights or imagenet,
            part=self._part(learnt, _LEARNT_FROM),
            folder=Output(self.paths.model(name), "models/model.onnx"),
        )

    def predicting(self, name: str) -> Step:
        """Read the validation and the test split."""
        cases = [*self.cohort.split(Split.VALIDATION), *self.cohort.split(Split.TEST)]
        return Predict(
            name=f"predict/{name}",
            model=self.folder(name),
            part=self._part(cases, ("scan_id", "file")),
            results=Output(self.paths.results(name), "results.json"),
            predictions=Output(self.paths.predictions(name)),
        )

    def evaluating(self, name: str) -> Step:
        """Evaluate the test split, and compare with the experiment's reference model."""
        reference = self.spec.compared_with
        itself = name == reference
        return Evaluate(
            name=f"evaluate/{name}",
            predictions=self.paths.predictions(name),
            maps=self.paths.results(name) / "results.json",
            compared_with="" if itself else reference,
            against=None if itself else self.paths.predictions(reference),
            manifest=self.paths.manifest,
            evidence=self._part(self.cohort.split(Split.TEST), ("file", *_TRUTH)),
            settings=evaluation_settings(self.spec),
            evaluation=Output(self.paths.evaluation(name), "report.html"),
        )

    def noting(self, name: str) -> Step | None:
        """The step that records the evaluation on external centres; `None` without such centres."""
        if not self.spec.external:
            return None
        plan = self.spec.models[name]
        return NoteExternal(
            name=f"external/{name}",
            experiment=self.spec.name,
            model=name,
            centres=self.spec.external,
            settings=plan.settings or "given model",
            seed=str(settings_of(plan).seed if plan.folder is None else ""),
            evaluation=self.paths.evaluation(name) / "evaluation.json",
            folder=self.folder(name),
            manifest=self.paths.manifest,
            table=Output(self.external_uses),
        )

    def robustness(self, name: str) -> Step:
        """Read a sample of the test split under degraded conditions, after its evaluation."""
        cases = chosen(self.cohort.split(Split.TEST), _ROBUSTNESS_SCANS, seed=1)
        return MeasureRobustness(
            name=f"robustness/{name}",
            model=self.folder(name),
            part=self._part(cases, ("patient_id", "positive", "file")),
            threshold=read_result(self.paths.evaluation(name) / "evaluation.json").threshold,
            table=Output(self.paths.robustness(name)),
        )

    def checking_maps(self, name: str) -> Step:
        """Compare maps of positive test scans with those of randomised weights."""
        positive = [case for case in self.cohort.split(Split.TEST) if case.positive]
        return CheckMapSanity(
            name=f"map-sanity/{name}",
            model=self.folder(name),
            part=self._part(chosen(positive, 2 * _SANITY_SCANS, seed=1), ("patient_id", "file")),
            resampling=evaluation_settings(self.spec).resampling,
            table=Output(self.paths.map_sanity(name)),
        )

    def _part(self, cases: list[Case] | tuple[Case, ...], columns: tuple[str, ...]) -> CohortPart:
        return CohortPart(folder=self.cohort.folder, cases=tuple(cases), columns=columns)


def _of(means: Resources, model: str, what: str, done: int, total: int) -> None:
    """Report the progress of a training with the model's name."""
    means.progress(f"{model}: {what}", done, total)


def evaluation_settings(spec: ExperimentSpec) -> EvaluationSettings:
    """How every model of an experiment is evaluated."""
    resampling = Resampling(resamples=spec.resamples)
    # A model that collapsed to a constant is a result of the experiment.
    return EvaluationSettings(rule=spec.rule, resampling=resampling, constant_allowed=True)


def settings_of(plan: ModelSpec) -> TrainingConfiguration:
    """The training configuration of a model, with the seed that the experiment gives it."""
    from bonescint.train import read_configuration

    settings = read_configuration(plan.settings)
    return settings if plan.seed is None else replace(settings, seed=plan.seed)
