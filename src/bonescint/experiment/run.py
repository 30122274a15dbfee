"""A whole study in one call: cohort, training, predictions, evaluation, comparison, report."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bonescint
from bonescint.cohort import (
    Manifest,
    check_cohort,
    read_manifest,
    read_protocol,
    simulate_cohort,
)
from bonescint.evaluate import Resampling
from bonescint.experiment.evaluating import EvaluationSettings
from bonescint.experiment.evaluation_run import evaluate
from bonescint.experiment.plan import ModelPlan, Study
from bonescint.experiment.robustness import chosen, robustness
from bonescint.experiment.robustness_page import write_robustness
from bonescint.experiment.run_paths import RunPaths
from bonescint.experiment.steps import Ledger, Step
from bonescint.experiment.study_report import write_study_report
from bonescint.model import Classifier, ModelFolder
from bonescint.scan import InputError, OutputError, Split, os_reason

_ROBUSTNESS_SCANS = 200
EXTERNAL_USES = "external-uses.csv"
"""A row for every scoring of an external centre."""

Tell = Callable[[str], None]


def run_experiment(
    study: Study,
    out: Path | str,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    workers: int | None = None,
    external_uses: Path | None = None,
    tell: Tell | None = None,
) -> RunPaths:
    """Run a study; what is done already is not done again.

    Args:
        study: as `read_study` gives it.
        out: the run folder: `study.json`, `models/`, `predictions/`, `evaluation/`,
            `report.html`, `report.pdf`.
        weights: ImageNet's weights for models that name none; fetched if `None`.
        device: where models are trained and run.
        workers: processes that simulate and read.
        external_uses: table to which every scoring of an external centre is added;
            `external-uses.csv` in the run folder if `None`.
        tell: told what is being done.

    Returns:
        Where everything is.

    Raises:
        InputError: a cohort that cannot be studied, every row named, before any training.
        OutputError: the run folder cannot be written.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    root = Path(out)
    say: Tell = tell or (lambda _: None)
    ledger = Ledger(root / "steps")
    _write_study(study, root)
    say("Cohort")
    paths = RunPaths(root=root, manifest=_cohort(study, root, ledger, workers))
    cohort = read_manifest(paths.manifest)
    _require_studyable(cohort, paths.manifest)
    ledger.do(_check_step(paths, cohort, workers))
    context = _Context(
        study=study,
        paths=paths,
        cohort=cohort,
        ledger=ledger,
        weights=weights,
        device=device,
        workers=workers,
        external_uses=external_uses or root / EXTERNAL_USES,
    )
    for name in study.models:
        say(f"Training {name}")
        ledger.do(context.training(name))
        say(f"Reading with {name}")
        ledger.do(context.predicting(name))
    for name in study.models:
        say(f"Judging {name}")
        ledger.do(context.judging(name))
        say(f"Worse scans, {name}")
        ledger.do(context.worsening(name))
    say("Report")
    write_study_report(study, paths, cohort, ledger_seconds(context))
    return paths


def ledger_seconds(context: _Context) -> dict[str, float]:
    """How long training and reading took, by step."""
    found = {}
    for name in context.study.models:
        for step in (context.training(name), context.predicting(name)):
            seconds = context.ledger.seconds(step)
            if seconds is not None:
                found[step.name] = seconds
    return found


def _write_study(study: Study, root: Path) -> None:
    content = {
        "study": study_content(study),
        "software": {"bonescint": bonescint.__version__},
        "notice": "Research use only. Not a medical device.",
    }
    try:
        root.mkdir(parents=True, exist_ok=True)
        beside = root / "study.json.part"
        beside.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
        beside.replace(root / "study.json")
    except OSError as error:
        raise OutputError(f"{root}: cannot be written ({os_reason(error)}).") from error


def study_content(study: Study) -> dict[str, Any]:
    """A study as plain tables, ready for JSON."""
    content = asdict(replace(study, rule=None))  # type: ignore[arg-type]
    content["rule"] = study.rule.words
    return content


def _cohort(study: Study, root: Path, ledger: Ledger, workers: int | None) -> Path:
    plan = study.cohort
    if plan.manifest is not None:
        if not plan.manifest.is_file():
            raise InputError(plan.manifest, "no such file", "Check the study's cohort")
        return plan.manifest
    protocol = read_protocol(plan.protocol)
    manifest = root / "cohort" / "manifest.csv"

    def simulate() -> None:
        cohort = simulate_cohort(manifest.parent, protocol, seed=plan.seed, workers=workers)
        changed = cohort.changed_centres(protocol)
        if protocol.frozen is not None and plan.seed == protocol.frozen.seed and changed:
            raise OutputError(
                f"{manifest.parent}: centres {', '.join(changed)} are not those that the protocol "
                "was frozen with. Use the release of bonescint that it names."
            )

    ledger.do(
        Step(
            name="cohort",
            inputs={"protocol": protocol.name, "version": protocol.version, "seed": plan.seed},
            outputs=[manifest],
            work=simulate,
        )
    )
    return manifest


def _require_studyable(cohort: Manifest, path: Path) -> None:
    """Every split that the study needs has scans of both classes."""
    for split in Split:
        cases = cohort.split(split)
        positive = sum(case.positive for case in cases)
        if not cases or positive in (0, len(cases)):
            problem = (
                f"split {split.value}, column label: {positive} of {len(cases)} scans are positive"
            )
            raise InputError(path, problem, "A study needs both classes in every split")


def _check_step(paths: RunPaths, cohort: Manifest, workers: int | None) -> Step:
    """Table 1, leakage, duplicates; errors stop the study before any training."""

    def check() -> None:
        report = check_cohort(paths.manifest, workers=workers or 1)
        report.write(paths.check)
        if report.errors:
            named = "; ".join(str(finding) for finding in report.errors[:20])
            raise InputError(paths.manifest, named, "Correct the cohort")

    return Step(
        name="check",
        inputs={"manifest": fingerprint(paths.manifest), "cases": len(cohort.cases)},
        outputs=[paths.check / "table1.csv"],
        work=check,
    )


def fingerprint(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What the steps of one run share."""

    study: Study
    paths: RunPaths
    cohort: Manifest
    ledger: Ledger
    weights: Path | None
    device: str
    workers: int | None
    external_uses: Path

    def folder(self, name: str) -> Path:
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
            from bonescint.train import train

            train(
                self.paths.manifest,
                self.paths.model(name),
                settings=_settings_of(plan),
                weights=plan.weights or self.weights,
                device=self.device,
                cache=self.paths.root / "scans",
                name=name,
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
                device=self.device if self.device != "auto" else "cpu",
                workers=self.workers,
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
        return EvaluationSettings(rule=self.study.rule, resampling=resampling)

    def note_external(self, name: str, centres: list[str], area: str) -> None:
        """Add a row to the table of scorings of external centres."""
        plan = self.study.models[name]
        row = [
            datetime.now(UTC).isoformat(timespec="seconds"),
            self.study.name,
            name,
            " ".join(centres),
            plan.settings or "given model",
            str(_settings_of(plan).seed if plan.folder is None else ""),
            ModelFolder.load(self.folder(name)).sha256[:12],
            fingerprint(self.paths.manifest)[:12],
            area,
        ]
        new = not self.external_uses.is_file()
        try:
            self.external_uses.parent.mkdir(parents=True, exist_ok=True)
            with self.external_uses.open("a", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                if new:
                    writer.writerow(_EXTERNAL_COLUMNS)
                writer.writerow(row)
        except OSError as error:
            problem = f"{self.external_uses}: cannot be written ({os_reason(error)})."
            raise OutputError(problem) from error

    def worsening(self, name: str) -> Step:
        """Read a sample of the test split under worse conditions."""
        paths = self.paths

        def work() -> None:
            content = json.loads(
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


_EXTERNAL_COLUMNS = (
    "when", "study", "model", "centres", "settings", "seed", "model_sha256", "manifest_sha256",
    "roc_auc",
)  # fmt: skip


def _settings_of(plan: ModelPlan) -> Any:
    from bonescint.train import read_settings

    settings = read_settings(plan.settings)
    return settings if plan.seed is None else replace(settings, seed=plan.seed)


def write_rows(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Write a CSV table beside its place and rename it into it.

    Raises:
        OutputError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(rows)
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({os_reason(error)}).") from error
