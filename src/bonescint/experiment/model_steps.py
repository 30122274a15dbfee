"""What is done with each model of a study: train, read, judge, worsen; each step once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bonescint.cohort import Manifest
from bonescint.evaluate import Resampling
from bonescint.experiment.evaluating import EvaluationSettings
from bonescint.experiment.evaluation_run import evaluate
from bonescint.experiment.external_uses import ExternalUse, note_external_use
from bonescint.experiment.files import fingerprint, write_rows
from bonescint.experiment.map_sanity import map_sanity, write_map_sanity
from bonescint.experiment.plan import ModelPlan, Study
from bonescint.experiment.robustness import chosen, robustness
from bonescint.experiment.robustness_page import write_robustness
from bonescint.experiment.run_paths import RunPaths
from bonescint.experiment.steps import Ledger, Step
from bonescint.files import json_in
from bonescint.model import Classifier, ModelFolder
from bonescint.scan import Split

_ROBUSTNESS_SCANS = 200
_SANITY_SCANS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSteps:
    """The steps of a run that are done with each of its models.

    Attributes:
        study: what is done.
        paths: where its parts are kept.
        cohort: of the study.
        ledger: knows what was done already.
        weights: ImageNet's, for VGG16 models that name none.
        device: where models are trained; they are read with on the processor.
        workers: processes that read.
        external_uses: table of the scorings of external centres.
        tracking: what follows the trainings, by its name.
    """

    study: Study
    paths: RunPaths
    cohort: Manifest
    ledger: Ledger
    weights: Path | None
    device: str
    workers: int | None
    external_uses: Path
    tracking: str

    def folder(self, name: str) -> Path:
        """The model folder: the one that was given, or the one that is trained here."""
        given = self.study.models[name].folder
        return self.paths.model(name) if given is None else given

    def _asked(self, name: str) -> dict[str, Any]:
        plan = self.study.models[name]
        if plan.folder is not None:
            return {"model": ModelFolder.load(plan.folder).sha256}
        return {
            "settings": _settings_of(plan).to_json(),
            "manifest": fingerprint(self.paths.manifest),
            "weights": str(plan.weights or ""),
        }

    def training(self, name: str) -> Step:
        """Train a model, unless the study brings it along."""
        plan = self.study.models[name]

        def work() -> None:
            if plan.folder is not None:
                return
            from bonescint.train import Tracking, train

            settings = _settings_of(plan)
            imagenet = self.weights if settings.network.begins_with_imagenet else None
            train(
                self.paths.manifest,
                self.paths.model(name),
                settings=settings,
                weights=plan.weights or imagenet,
                device=self.device,
                cache=self.paths.root / "scans",
                name=name,
                tracking=Tracking(self.tracking),
                measure_test=False,  # `predicting` reads it, once
            )

        return Step(
            name=f"train/{name}",
            inputs=self._asked(name),
            outputs=[self.folder(name) / "models" / "model.onnx"],
            work=work,
        )

    def predicting(self, name: str) -> Step:
        """Read the validation and the test split; note what was read of external centres."""

        def work() -> None:
            from bonescint.classify import classify

            cases = [*self.cohort.split(Split.VALIDATION), *self.cohort.split(Split.TEST)]
            summary = classify(
                [self.cohort.path(case) for case in cases],
                self.paths.results(name),
                model=self.folder(name),
                workers=self.workers,
                scan_ids={self.cohort.path(case): case.scan_id for case in cases},
            )
            rows = [[one.scan_id, repr(one.mbd_probability)] for one in summary.results]
            write_rows(self.paths.predictions(name), ["scan_id", "mbd_probability"], rows)

        return Step(
            name=f"predict/{name}",
            inputs=self._asked(name),
            outputs=[self.paths.predictions(name)],
            work=work,
        )

    def judging(self, name: str) -> Step:
        """Evaluate the test split, and compare with the study's reference model."""
        study, paths = self.study, self.paths
        against = study.compared_with if name != study.compared_with else None

        def work() -> None:
            found = evaluate(
                paths.predictions(name),
                paths.manifest,
                paths.evaluation(name),
                settings=self.judged_by,
                against=None if against is None else paths.predictions(against),
                maps=paths.results(name) / "results.json",
                workbook=True,
            )
            scored = sorted({case.centre for case in found.part.cases} & set(study.external))
            if scored:
                self.note_external(name, scored, found.judgement.area.text())

        inputs = {"predictions": fingerprint(paths.predictions(name)), "rule": study.rule.words}
        if against is not None:
            inputs["against"] = fingerprint(paths.predictions(against))
        return Step(
            name=f"evaluate/{name}",
            inputs=inputs | {"resamples": str(study.resamples)},
            outputs=[paths.evaluation(name) / "report.html"],
            work=work,
        )

    @property
    def judged_by(self) -> EvaluationSettings:
        """How every model is judged."""
        resampling = Resampling(resamples=self.study.resamples)
        # A model that collapsed to a constant is a result of the study.
        return EvaluationSettings(
            rule=self.study.rule, resampling=resampling, constant_allowed=True
        )

    def note_external(self, name: str, centres: list[str], area: str) -> None:
        """Add a row to the table of scorings of external centres."""
        plan = self.study.models[name]
        use = ExternalUse(
            study=self.study.name,
            model=name,
            centres=" ".join(centres),
            settings=plan.settings or "given model",
            seed=str(_settings_of(plan).seed if plan.folder is None else ""),
            model_sha256=ModelFolder.load(self.folder(name)).sha256[:12],
            manifest_sha256=fingerprint(self.paths.manifest)[:12],
            roc_auc=area,
        )
        note_external_use(self.external_uses, use)

    def worsening(self, name: str) -> Step:
        """Read a sample of the test split under worse conditions."""
        paths = self.paths

        def work() -> None:
            content = json_in(
                (paths.evaluation(name) / "evaluation.json").read_text(encoding="utf-8")
            )
            point = content["settings"]["operating_point"]
            folder = ModelFolder.load(self.folder(name))
            cases = chosen(self.cohort.split(Split.TEST), _ROBUSTNESS_SCANS, seed=1)
            with Classifier(folder) as classifier:
                rows = robustness(
                    classifier,
                    self.cohort,
                    cases,
                    threshold=folder.card.operating_point if point is None else point,
                )
            write_robustness(rows, paths.evaluation(name), len(cases))

        return Step(
            name=f"robustness/{name}",
            inputs=self._asked(name) | {"scans": _ROBUSTNESS_SCANS},
            outputs=[paths.robustness(name)],
            work=work,
        )

    def checking_maps(self, name: str) -> Step:
        """Compare maps of positive test scans with those of random weights."""
        paths, study = self.paths, self.study

        def work() -> None:
            positive = [case for case in self.cohort.split(Split.TEST) if case.positive]
            rows = map_sanity(
                ModelFolder.load(self.folder(name)),
                self.cohort,
                chosen(positive, 2 * _SANITY_SCANS, seed=1),
                Resampling(resamples=study.resamples),
            )
            write_map_sanity(rows, paths.map_sanity(name))

        return Step(
            name=f"map-sanity/{name}",
            inputs=self._asked(name) | {"scans": _SANITY_SCANS},
            outputs=[paths.map_sanity(name)],
            work=work,
        )


def _settings_of(plan: ModelPlan) -> Any:
    from bonescint.train import read_settings

    settings = read_settings(plan.settings)
    return settings if plan.seed is None else replace(settings, seed=plan.seed)
