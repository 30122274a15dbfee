"""`bonescint evaluate` and `bonescint experiment`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bonescint.cli.console import progress_shown, say, say_notice
from bonescint.cli.group import command, command_group
from bonescint.cli.options import (
    AtLeast,
    IgnoreUnknown,
    OperatingRule,
    Seed,
    Track,
    TrainingDevice,
    Weights,
    Workers,
    operating_rule,
    require_existing,
)

if TYPE_CHECKING:
    from bonescint.experiment import EvaluationResult

experiment_app = command_group(
    """Experiments: train, test on the external centre, compare, explain, report.

    Needs the extras: pip install 'bonescint[evaluate,simulate,train]'"""
)


def evaluate(
    predictions: Path,
    *,
    cohort: Path,
    out: Path = Path("report"),
    rule: OperatingRule = "balanced",
    at_least: AtLeast = None,
    operating_point: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    split: Literal["train", "validation", "test"] = "test",
    against: Path | None = None,
    maps: Path | None = None,
    lesions: Path | None = None,
    resamples: Annotated[int, typer.Option(min=2, max=1_000_000)] = 2000,
    unstratified: bool = False,
    level: Annotated[float, typer.Option(min=0.5, max=0.9999)] = 0.95,
    seed: Seed = 1,
    ignore_unknown: IgnoreUnknown = False,
    xlsx: bool = False,
) -> None:
    """Evaluate predictions against a cohort's reference standard, and write a report.

    PREDICTIONS is a table (CSV or Excel) from any source with scan_id and mbd_probability, such as
    results.csv of `bonescint classify`. The operating point and the calibration come from the
    validation split; every metric is computed on the test split. Needs the extra: pip install
    'bonescint[evaluate]'

    Args:
        predictions: Table of predictions.
        cohort: Manifest of the cohort.
        out: Report folder.
        operating_point: Use this operating point instead of one chosen by the rule.
        split: Split that is evaluated.
        against: Predictions of another model, to compare with.
        maps: results.json of classify with activation maps, to compare with lesion masks.
        lesions: results.json of quantify, to evaluate its foci and Bone Scan Indices against
            truth files or lesion masks: sensitivity at 0.5 to 4 false foci per scan (FROC),
            overlap of outlines, metastases against benign foci, agreement of the index.
        resamples: Bootstrap resamples.
        unstratified: Resample all scans together, not by class.
        level: Coverage of the intervals.
        seed: Seed of the bootstrap.
        xlsx: Write tables.xlsx too.

    Written to the report folder:
      report.html       figures, tables with intervals, scans left out; one self-contained file
      figures/          PNG and SVG
      tables/           CSV at full precision; tables.xlsx with --xlsx
      evaluation.json   all results in machine-readable form

    Examples:
      bonescint evaluate predictions.csv --cohort manifest.csv --out report/
      bonescint evaluate ours.csv --cohort manifest.csv --against theirs.csv --out report/
      bonescint evaluate results/results.csv --cohort manifest.csv --maps results/results.json
      bonescint evaluate q/scans.csv --cohort manifest.csv --lesions q/results.json   # of quantify
      bonescint evaluate ours.csv --cohort manifest.csv --rule specificity --at-least 0.9
      bonescint evaluate ours.csv --cohort manifest.csv --resamples 100 --unstratified
    """
    from bonescint.evaluate import Resampling
    from bonescint.experiment import EvaluationSettings, evaluate
    from bonescint.scan import Split

    resampling = Resampling(
        resamples=resamples, stratified=not unstratified, level=level, seed=seed
    )
    settings = EvaluationSettings(
        rule=operating_rule(rule, at_least),
        threshold=operating_point,
        judged=Split(split),
        resampling=resampling,
    )
    with progress_shown() as shown:
        found = evaluate(
            predictions,
            cohort,
            out,
            settings=settings,
            against=against,
            maps=maps,
            lesions=lesions,
            ignore_unknown=ignore_unknown,
            workbook=xlsx,
            progress=shown.progress,
        )
    for line in _first_figures(found):
        say(line)
    say_notice(f"Look at {out / 'report.html'}")


def _first_figures(result: EvaluationResult) -> Iterator[str]:
    scans, judgement = result.scans, result.judgement
    yield f"{len(scans)} scans of the {result.judged} split, {result.positives} with disease"
    if result.missing:
        yield f"{result.missing} scans of it have no prediction: tables/left_out.csv"
    if result.unknown:
        yield f"{result.unknown} predictions of unknown scans were left out"
    if result.one_probability:
        yield f"All of them have the probability {scans[0].probability:g}"
    yield f"Area under the ROC curve {judgement.area.text()}"
    yield f"At {result.threshold:.3g} ({judgement.point.source}):"
    for one in judgement.at_point[:2]:
        yield f"  {one.words} {one.estimate.text()}"
    if result.lesions is not None:
        whole = result.lesions.bands[0]
        yield f"Foci on {result.lesions.metastases} metastases:"
        for one in whole.measures:
            yield f"  {one.words} {one.estimate.text()}"


@command(experiment_app)
def run(
    experiment: str,
    *,
    out: Path | None = None,
    weights: Weights = None,
    device: TrainingDevice = "auto",
    workers: Workers = None,
    external_uses: Path | None = None,
    track: Track = "none",
) -> None:
    """Run an experiment, or resume it: rerun the same command after an interruption.

    EXPERIMENT is the name of an experiment that comes with the package (ibrahim2023) or a YAML
    file:

      name: mine
      cohort: {manifest: my-cohort/manifest.csv}     # or {protocol: ibrahim2023, seed: 1}
      models:
        paper: {settings: ibrahim2023}
        ours: {settings: my-settings.yaml, seed: 2}
        given: {folder: a-model-folder}              # shipped: the model of the package
      reference: paper                               # the others are compared with it
      rule: {specificity: 0.90}                      # or balanced, youden, {sensitivity: 0.9}
      resamples: 2000
      published: ibrahim2023                         # show the figures of Ibrahim et al. too
      external: [C]                                  # evaluations on these centres are recorded
      metadata: experiment-metadata.yaml             # topic: text, for CLAIM and STARD

    Args:
        experiment: Name or YAML file.
        out: Run folder; runs/NAME unless given.
        external_uses: Table in which every evaluation on an external centre is recorded; in the
            run folder unless given.

    Written to the run folder:
      report.html, report.pdf   the experiment on one page
      models/                   one model folder per model; logs and checkpoints in NAME.run
      predictions/              scan_id, mbd_probability; maps, and one picture per scan
      evaluation/               a report, figures (PNG, SVG) and tables (CSV) for each model
      figures/, tables/         of report.html: figures not about a single model, all tables
      external-uses.csv         every evaluation on an external centre
      and study.json, splits.csv, steps/, cohort/, cohort-check/, scans/: docs/experiments.md

    Examples:
      bonescint experiment run ibrahim2023 --weights vgg16.h5
      bonescint experiment run mine.yaml --out runs/mine
    """
    from bonescint.experiment import read_experiment, run_experiment

    require_existing(weights)
    plan = read_experiment(experiment)
    with progress_shown() as shown:
        paths = run_experiment(
            plan,
            Path("runs") / plan.name if out is None else out,
            weights=weights,
            device=device,
            workers=workers,
            external_uses=external_uses,
            tracking=track,
            tell=shown.tell,
            progress=shown.progress,
        )
    say(f"The report is {paths.report}.")


@command(experiment_app)
def metadata(out: Path = Path("experiment-metadata.yaml")) -> None:
    """Write a file with every topic of CLAIM 2020 and STARD 2015, for you to fill in.

    Name it in the experiment's file (metadata: experiment-metadata.yaml). The run fills in what it
    knows; what you write takes precedence.

    Args:
        out: File to write.

    Example:
      bonescint experiment metadata experiment-metadata.yaml
    """
    from bonescint.experiment import metadata_template
    from bonescint.files import require_new, write_whole

    require_new(out)
    write_whole(out, metadata_template())
    say(f"Fill in {out}.")


@command(experiment_app)
def compare(first: Path, second: Path, *, out: Path = Path("comparison")) -> None:
    """Compare the models of two runs on the scans that both have read, with paired tests.

    Written: comparison.html, comparison.csv. If the runs have different rules for the operating
    point, the first run's rule is used.

    Args:
        first: Run folder.
        second: Run folder.
        out: Folder for the comparison.

    Example:
      bonescint experiment compare runs/a runs/b --out comparison/
    """
    from bonescint.experiment import compare_runs

    say(f"The comparison is {compare_runs(first, second, out)}.")
