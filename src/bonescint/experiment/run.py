"""A whole study in one call: cohort, training, predictions, evaluation, comparison, report."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bonescint.classify.workers import usual_workers
from bonescint.cohort import (
    Manifest,
    check_cohort,
    read_manifest,
    read_protocol,
    simulate_cohort,
)
from bonescint.experiment.files import fingerprint, write_rows
from bonescint.experiment.model_steps import ModelSteps
from bonescint.experiment.plan import Study
from bonescint.experiment.preflight import require_sound, require_studyable
from bonescint.experiment.run_paths import RunPaths
from bonescint.experiment.steps import Ledger, Step
from bonescint.experiment.study_report import write_study_report
from bonescint.files import make_folder, one_writer, require_own, write_whole
from bonescint.scan import InputError, OutputError
from bonescint.scan.software import installed_versions

EXTERNAL_USES = "external-uses.csv"
"""A row for every scoring of an external centre."""

_OWN = (
    "study.json", "splits.csv", "cohort-check", "scans", "models", "predictions", "evaluation",
    "figures", "tables", "report.html", "report.pdf", EXTERNAL_USES,
)  # fmt: skip
"""What is written behind `study.json`; a simulated cohort knows its own folder."""
_NAMED = 20
_LIBRARIES = (
    "numpy", "scipy", "pydicom", "onnx", "openvino", "torch", "lightning", "nncf", "matplotlib",
)  # fmt: skip

Tell = Callable[[str], None]


def run_experiment(
    study: Study,
    out: Path | str,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    workers: int | None = None,
    external_uses: Path | None = None,
    tracking: str = "none",
    tell: Tell | None = None,
) -> RunPaths:
    """Run a study; what is done already is not done again.

    Args:
        study: as `read_study` gives it.
        out: the run folder: `study.json`, `splits.csv`, `models/`, `predictions/`,
            `evaluation/`, `figures/`, `tables/`, `report.html`, `report.pdf`.
        weights: ImageNet's, for VGG16 models that name none; fetched if `None`.
        device: where models are trained; they are read with on the processor.
        workers: processes that simulate and read.
        external_uses: table to which every scoring of an external centre is added;
            `external-uses.csv` in the run folder if `None`.
        tracking: what follows the trainings: `"none"`, `"tensorboard"` or `"mlflow"`.
        tell: told what is being done.

    Returns:
        Where everything is.

    Raises:
        InputError: a cohort that cannot be studied, every row named, or a file of the study
            that is missing or wrong; before any training.
        OutputError: the run folder cannot be written, another process writes there, or it holds
            files of other origin.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    root = Path(out)
    study = _at_home_anywhere(study)
    require_sound(study)
    with one_writer(root):
        require_own(root, _OWN, mark="study.json", signature='"study"')
        return _run(
            study, root, weights=weights, device=device, workers=workers,
            external_uses=external_uses, tracking=tracking, say=tell or (lambda _: None),
        )  # fmt: skip


def _run(
    study: Study,
    root: Path,
    *,
    weights: Path | None,
    device: str,
    workers: int | None,
    external_uses: Path | None,
    tracking: str,
    say: Tell,
) -> RunPaths:
    ledger = Ledger(root / "steps")
    say("Cohort")
    paths = RunPaths(root=root, manifest=_cohort(study, root, ledger, workers))
    cohort = read_manifest(paths.manifest)
    require_studyable(study, cohort, paths.manifest)
    _write_study(study, paths)
    _write_splits(cohort, paths.splits)
    ledger.do(_check_step(paths, cohort, workers))
    steps = ModelSteps(
        study=study,
        paths=paths,
        cohort=cohort,
        ledger=ledger,
        weights=weights,
        device=device,
        workers=workers,
        external_uses=external_uses or root / EXTERNAL_USES,
        tracking=tracking,
    )
    for name in study.models:
        say(f"Training {name}")
        ledger.do(steps.training(name))
        say(f"Reading with {name}")
        ledger.do(steps.predicting(name))
    for name in study.models:
        say(f"Judging {name}")
        ledger.do(steps.judging(name))
        say(f"Worse scans, {name}")
        ledger.do(steps.worsening(name))
        say(f"Maps of {name} against random weights")
        ledger.do(steps.checking_maps(name))
    say("Report")
    missing = write_study_report(study, paths, cohort, ledger_seconds(steps))
    if missing:
        say(f"No report.pdf: {missing}")
    return paths


def ledger_seconds(steps: ModelSteps) -> dict[str, float]:
    """How long training and reading took, by step."""
    found = {}
    for name in steps.study.models:
        for step in (steps.training(name), steps.predicting(name)):
            seconds = steps.ledger.seconds(step)
            if seconds is not None:
                found[step.name] = seconds
    return found


def _write_splits(cohort: Manifest, path: Path) -> None:
    rows = [[c.scan_id, c.centre, c.split.value, str(int(c.positive))] for c in cohort.cases]
    write_rows(path, ["scan_id", "centre", "split", "label"], rows)


def _write_study(study: Study, paths: RunPaths) -> None:
    root = paths.root
    content = {
        "study": study_content(study),
        "software": installed_versions(_LIBRARIES) | {"python": platform.python_version()},
        "manifest_sha256": fingerprint(paths.manifest),
        "notice": "Research use only. Not a medical device.",
    }
    make_folder(root)
    write_whole(root / "study.json", json.dumps(content, indent=1, default=str) + "\n")


def _at_home_anywhere(study: Study) -> Study:
    """With the whole path of its manifest: run folders are compared from elsewhere."""
    if study.cohort.manifest is None:
        return study
    return replace(study, cohort=replace(study.cohort, manifest=study.cohort.manifest.resolve()))


def study_content(study: Study) -> dict[str, Any]:
    """A study as plain tables, ready for JSON."""
    content = asdict(replace(study, rule=None))  # type: ignore[arg-type]
    content["rule"] = study.rule.words
    return content


def _cohort(study: Study, root: Path, ledger: Ledger, workers: int | None) -> Path:
    plan = study.cohort
    if plan.manifest is not None:
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


def _check_step(paths: RunPaths, cohort: Manifest, workers: int | None) -> Step:
    """Table 1, leakage, duplicates; errors stop the study before any training."""

    def check() -> None:
        report = check_cohort(paths.manifest, workers=usual_workers(workers))
        report.write(paths.check)
        if report.errors:
            named = "; ".join(str(finding) for finding in report.errors[:_NAMED])
            if len(report.errors) > _NAMED:
                named += f"; and {len(report.errors) - _NAMED} more, in {paths.check}"
            raise InputError(paths.manifest, named, "Correct the cohort")

    return Step(
        name="check",
        inputs={"manifest": fingerprint(paths.manifest), "cases": len(cohort.cases)},
        outputs=[paths.check / "table1.csv"],
        work=check,
    )
