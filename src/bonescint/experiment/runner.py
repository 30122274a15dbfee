"""A whole experiment in one call: cohort, training, predictions, evaluation, comparison, report."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bonescint.cohort import (
    Manifest,
    Protocol,
    can_resume,
    check_cohort,
    read_manifest,
    read_protocol,
    simulate_cohort,
)
from bonescint.experiment.ledger import CohortPart, Ledger, Output, Resources, Step
from bonescint.experiment.paths import RunPaths, fingerprint, require_external_uses, write_rows
from bonescint.experiment.report.checklist import read_metadata
from bonescint.experiment.report.experiment_report import write_experiment_report
from bonescint.experiment.report.published_comparison import read_published
from bonescint.experiment.spec import ExperimentSpec, experiment_content
from bonescint.experiment.steps import ModelSteps
from bonescint.files import make_folder, one_writer, require_own, write_whole
from bonescint.model import ModelFolder
from bonescint.parallel import usual_workers
from bonescint.scan import RESEARCH_USE, InputError, OutputError, ParameterError, Split
from bonescint.scan.software import installed_versions

EXTERNAL_USES = "external-uses.csv"
"""Table of every evaluation on an external centre."""

_REPORT = ("report.html", "report.pdf", "figures", "tables")
_OF_MODELS = ("models", "predictions", "evaluation", "robustness", "map-sanity", EXTERNAL_USES)
_OWN = ("study.json", "splits.csv", "cohort-check", "scans", *_OF_MODELS, *_REPORT)
"""Names in the run folder; a simulated cohort protects its own folder."""
_NAMED = 20
_TRAINING = ("torch", "lightning", "nncf")
_LIBRARIES = ("numpy", "scipy", "pydicom", "onnx", "openvino", *_TRAINING, "matplotlib")
_CASE_FILES = ("file", "truth", "mask_anterior", "mask_posterior")

_MISSING = "Check the experiment"
Tell = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Simulate(Step):
    """Simulate the cohort.

    Attributes:
        protocol: what to simulate.
        seed: seed of everything that is drawn.
        cohort: its folder.
    """

    protocol: Protocol
    seed: int
    cohort: Output

    def work(self, means: Resources) -> None:
        """Simulate the missing scans; a cohort of other settings is deleted first."""
        folder, frozen = self.cohort.path, self.protocol.frozen
        if not can_resume(folder, self.protocol, self.seed):
            shutil.rmtree(folder)
        made = simulate_cohort(
            folder,
            self.protocol,
            seed=self.seed,
            workers=means.workers,
            progress=partial(means.progress, "simulating the cohort"),
        )
        changed = made.changed_centres(self.protocol)
        if frozen is not None and self.seed == frozen.seed and changed:
            raise OutputError(
                f"{folder}: centres {', '.join(changed)} differ from those with which the "
                f"protocol was frozen. Use the release of bonescint that it names."
            )


@dataclass(frozen=True, kw_only=True)
class Check(Step):
    """Table 1, leakage, duplicates; errors stop the experiment before any training.

    Attributes:
        manifest: manifest of the cohort.
        part: all its cases, with their files.
        report: what was found.
    """

    manifest: Path
    part: CohortPart
    report: Output

    def work(self, means: Resources) -> None:
        """Check the cohort."""
        found = check_cohort(
            self.manifest,
            workers=usual_workers(means.workers),
            progress=partial(means.progress, "checking the cohort"),
        )
        found.write(self.report.path)
        if found.errors:
            named = "; ".join(str(finding) for finding in found.errors[:_NAMED])
            if len(found.errors) > _NAMED:
                named += f"; and {len(found.errors) - _NAMED} more, in {self.report.path}"
            raise InputError(self.manifest, named, "Correct the cohort")


def run_experiment(
    spec: ExperimentSpec,
    out: Path | str,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    workers: int | None = None,
    external_uses: Path | None = None,
    tracking: str = "none",
    tell: Tell | None = None,
    progress: Progress | None = None,
) -> RunPaths:
    """Run an experiment; finished steps are not repeated.

    A step is repeated when something that its result depends on has changed: a setting that it
    reads, rows of the manifest, scans, truth files, masks, a model, the output of another step,
    the release of bonescint.

    Args:
        spec: as `read_experiment` gives it.
        out: the run folder: `study.json`, `splits.csv`, `models/`, `predictions/`,
            `evaluation/`, `figures/`, `tables/`, `report.html`, `report.pdf`.
        weights: ImageNet weights, for networks that start from them and models that name none;
            downloaded if `None`, before any other work.
        device: where models are trained; predictions are made on the processor.
        workers: processes that simulate and read.
        external_uses: table to which every evaluation on an external centre is added;
            `external-uses.csv` in the run folder if `None`.
        tracking: where trainings are logged: `"none"`, `"tensorboard"` or `"mlflow"`.
        tell: called with what is being done, and why a step is repeated.
        progress: called with (task, done, total).

    Returns:
        Where everything is.

    Raises:
        InputError: a cohort that cannot be used, every row named, or a file of the experiment or
            a table of external uses that is missing or wrong; before any training.
        OutputError: the run folder cannot be written, another process writes there, or it holds
            files of other origin.
        KeyboardInterrupt: interrupted; the same call resumes.
    """
    root = Path(out)
    spec = _at_home_anywhere(spec)
    require_sound(spec)
    uses = external_uses or root / EXTERNAL_USES
    require_external_uses(uses)
    if spec.cohort.manifest is not None:
        given = spec.cohort.manifest
        require_usable_cohort(spec, read_manifest(given), given)
    weights = imagenet_weights(spec, weights)
    means = Resources(
        workers=workers,
        device=device,
        tracking=tracking,
        cache=root / "scans",
        tell=tell or (lambda _: None),
        progress=progress or (lambda *_: None),
    )
    with one_writer(root):
        require_own(root, _OWN, mark="study.json", signature='"study"')
        return _done(spec, root, weights, uses, means)


def _done(
    spec: ExperimentSpec, root: Path, weights: Path | None, external_uses: Path, means: Resources
) -> RunPaths:
    paths = RunPaths(root=root, manifest=root / "cohort" / "manifest.csv")
    run = _Run(ledger=Ledger(paths.steps), means=means, count=_count(spec))
    if spec.cohort.manifest is not None:
        paths = replace(paths, manifest=spec.cohort.manifest)
    else:
        run.do("Cohort", simulating(spec, paths))
    cohort = read_manifest(paths.manifest)
    require_usable_cohort(spec, cohort, paths.manifest)
    _write_study(spec, paths)
    _write_splits(cohort, paths.splits)
    run.do("Check of the cohort", checking(paths, cohort))
    steps = ModelSteps(
        spec=spec,
        paths=paths,
        cohort=cohort,
        weights=weights,
        external_uses=external_uses,
    )
    for words, step in model_steps_in_order(steps):
        if step is not None:
            run.do(words, step)
    means.tell("Report ...")
    missing = write_experiment_report(spec, paths, cohort, _seconds(steps, run.ledger))
    if missing:
        means.tell(f"No report.pdf: {missing}")
    return paths


def simulating(spec: ExperimentSpec, paths: RunPaths) -> Simulate:
    """The step that makes the cohort of an experiment with a protocol."""
    return Simulate(
        name="cohort",
        protocol=read_protocol(spec.cohort.protocol),
        seed=spec.cohort.seed,
        cohort=Output(paths.manifest.parent, paths.manifest.name),
    )


def checking(paths: RunPaths, cohort: Manifest) -> Check:
    """The step that checks the cohort."""
    return Check(
        name="check",
        manifest=paths.manifest,
        part=CohortPart(folder=cohort.folder, cases=cohort.cases, columns=_CASE_FILES),
        report=Output(paths.check, "table1.csv"),
    )


def model_steps_in_order(steps: ModelSteps) -> Iterator[tuple[str, Step | None]]:
    """Each step of the models with a description; it is made after those before it are done."""
    for name in steps.spec.models:
        yield f"Training {name}", steps.training(name)
        yield f"Reading with {name}", steps.predicting(name)
    for name in steps.spec.models:
        yield f"Evaluating {name}", steps.evaluating(name)
        yield f"External centres read by {name}", steps.noting(name)
        yield f"Degraded scans read by {name}", steps.robustness(name)
        yield f"Maps of {name} against randomised weights", steps.checking_maps(name)


@dataclass(kw_only=True)
class _Run:
    """Does steps and reports which.

    Attributes:
        ledger: knows what was done already.
        means: how work is done.
        count: number of all steps.
        number: number of the latest step.
    """

    ledger: Ledger
    means: Resources
    count: int
    number: int = 0

    def do(self, words: str, step: Step) -> None:
        """Do a step unless it is done."""
        self.number += 1
        words = f"[{self.number} of {self.count}] {words}"
        if self.ledger.is_done(step):
            self.means.tell(f"{words}: done before")
            return
        changed = self.ledger.changed(step)
        again = f" again, because of a change in: {', '.join(changed)}" if changed else ""
        self.means.tell(f"{words}{again} ...")
        self.ledger.do(step, replace(self.means, goes_on=self.ledger.was_begun(step)))


def _count(spec: ExperimentSpec) -> int:
    """Steps of an experiment: those of its cohort and, by model, those that it needs."""
    of_models = [4 + (plan.folder is None) + bool(spec.external) for plan in spec.models.values()]
    return 1 + (spec.cohort.manifest is None) + sum(of_models)


def _seconds(steps: ModelSteps, ledger: Ledger) -> dict[str, float]:
    """How long training and reading took, by step."""
    found = {}
    for name in steps.spec.models:
        for step in (steps.training(name), steps.predicting(name)):
            seconds = None if step is None else ledger.seconds(step)
            if step is not None and seconds is not None:
                found[step.name] = seconds
    return found


def _write_splits(cohort: Manifest, path: Path) -> None:
    rows = [[c.scan_id, c.centre, c.split.value, str(int(c.positive))] for c in cohort.cases]
    write_rows(path, ["scan_id", "centre", "split", "label"], rows)


def _write_study(spec: ExperimentSpec, paths: RunPaths) -> None:
    root = paths.root
    content = {
        "study": experiment_content(spec),
        "software": installed_versions(_LIBRARIES) | {"python": platform.python_version()},
        "manifest_sha256": fingerprint(paths.manifest),
        "notice": RESEARCH_USE,
    }
    make_folder(root)
    write_whole(root / "study.json", json.dumps(content, indent=1, default=str) + "\n")


def _at_home_anywhere(spec: ExperimentSpec) -> ExperimentSpec:
    """With the absolute path of its manifest, because run folders are compared from elsewhere."""
    if spec.cohort.manifest is None:
        return spec
    return replace(spec, cohort=replace(spec.cohort, manifest=spec.cohort.manifest.resolve()))


def require_sound(spec: ExperimentSpec) -> None:
    """Read everything that an experiment names, except its scans.

    Raises:
        InputError: a file that is not there or is wrong: of settings, weights, metadata, a
            manifest.
        ParameterError: no settings, protocol or published figures of that name.
        ModelFolderError: a given model that is incomplete or altered.
        MissingExtraError: a library of the extra `train` is missing.
    """
    if spec.cohort.manifest is not None:
        if not spec.cohort.manifest.is_file():
            raise InputError(spec.cohort.manifest, "no such file", f"{_MISSING}'s cohort")
    else:
        read_protocol(spec.cohort.protocol)
    for plan in spec.models.values():
        if plan.weights is not None and not plan.weights.exists():
            raise InputError(plan.weights, "no such file or folder", _MISSING)
        if plan.folder is not None:
            ModelFolder.load(plan.folder)
        else:
            from bonescint.train import read_configuration
            from bonescint.train.distributed import ProcessRank
            from bonescint.train.training import require_fit
            from bonescint.train.weights import NOTHING_LEARNT, load_weights

            if ProcessRank.from_environment().world_size > 1:
                problem = "one process; torchrun -m bonescint train first, and name the folder"
                raise ParameterError(
                    "models", f"experiment {spec.name}", problem, "several processes"
                )
            settings = read_configuration(plan.settings)
            if plan.weights is not None:
                require_fit(settings, load_weights(plan.weights))
            elif not settings.network.begins_with_imagenet:
                require_fit(settings, NOTHING_LEARNT)
    read_metadata(spec.metadata)
    if spec.reader_study is not None and not spec.reader_study.is_file():
        remedy = "Run bonescint study analyse, or leave reader_study out"
        raise InputError(spec.reader_study, "no such page of a reader study", remedy)
    if spec.published:
        read_published(spec.published)


def imagenet_weights(spec: ExperimentSpec, given: Path | None) -> Path | None:
    """ImageNet weights, if a model of the experiment starts from them and names no others.

    They are fetched before hours of simulation, not after.

    Args:
        spec: that was found sound.
        given: file that the user names, or `None`.

    Returns:
        Their file, or `None` if no model needs them.

    Raises:
        InputError: they cannot be had, or are another network's.
    """
    needed = {
        name: plan
        for name, plan in spec.models.items()
        if plan.folder is None and plan.weights is None
    }
    if not needed:
        return None
    from bonescint.train import read_configuration
    from bonescint.train.imagenet import fetch_keras_weights
    from bonescint.train.training import require_fit
    from bonescint.train.weights import load_weights

    settings = {name: read_configuration(plan.settings) for name, plan in needed.items()}
    beginning = {name: one for name, one in settings.items() if one.network.begins_with_imagenet}
    if not beginning:
        return None
    if given is None:
        try:
            given = fetch_keras_weights()
        except InputError as error:
            models = f"model{'s' * (len(beginning) > 1)} {', '.join(beginning)}"
            remedy = (
                f"Give the weights with --weights FILE, or write 'settings: compact' for {models}: "
                "that network does not need them"
            )
            problem = f"the ImageNet weights, from which {models} would start, {error.problem}"
            raise InputError(error.source, problem, remedy) from error
    weights = load_weights(given)
    for one in beginning.values():
        require_fit(one, weights)
    return given


def require_usable_cohort(spec: ExperimentSpec, cohort: Manifest, path: Path) -> None:
    """Check that the cohort has what the experiment needs.

    Args:
        spec: what is to be done.
        cohort: cohort of the experiment.
        path: its manifest, for messages.

    Raises:
        InputError: a split without scans of both classes.
        ParameterError: an external centre of which there is no scan.
    """
    for split in Split:
        cases = cohort.split(split)
        positive = sum(case.positive for case in cases)
        if not cases or positive in (0, len(cases)):
            problem = (
                f"split {split.value}, column label: {positive} of {len(cases)} scans are positive"
            )
            raise InputError(path, problem, "An experiment needs both classes in every split")
    centres = {case.centre for case in cohort.cases}
    strangers = [centre for centre in spec.external if centre not in centres]
    if strangers:
        known = f"centres of the cohort ({', '.join(sorted(centres))})"
        raise ParameterError("external", f"experiment {spec.name}", known, ", ".join(strangers))
