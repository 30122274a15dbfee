"""`bonescint train` and `bonescint model`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonescint.cli.console import progress_shown, say, say_notice, say_warning, show
from bonescint.cli.group import command, command_group
from bonescint.cli.options import (
    AnyWorkers,
    AtLeast,
    IgnoreUnknown,
    Model,
    OperatingRule,
    PositiveOrNone,
    Track,
    TrainingDevice,
    Weights,
    operating_rule,
    require_existing,
)

if TYPE_CHECKING:
    from bonescint.train import TrainingConfiguration

model_app = command_group(
    "Model folders: list those of bonescint, adapt one to your scans, or calibrate it."
)


def train(
    cohort: Path,
    *,
    out: Path,
    settings: str | None = None,
    model: Annotated[str | None, typer.Option("--from")] = None,
    epochs: PositiveOrNone = None,
    resolution: Annotated[int | None, typer.Option(min=64, max=4096)] = None,
    preprocessing: str | None = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    weights: Weights = None,
    device: TrainingDevice = "auto",
    restart: bool = False,
    track: Track = "none",
) -> None:
    r"""Train a model on a cohort and write a model folder with its card.

    COHORT is a manifest (scan_id, patient_id, centre, split, label, file), such as the one that
    `bonescint simulate cohort` writes. If interrupted, rerun the same command to resume.
    Needs the extra: pip install 'bonescint[train]'

    Args:
        cohort: Manifest of the cohort: the file, not its folder.
        out: Model folder to write.
        settings: Training configuration: bonescint (the default), compact, ibrahim2023 (the
            paper's), ibrahim2023-converging, fine-tune (the default with --from), or a YAML file.
        model: Model folder to continue from, or a name of `bonescint model list`; ImageNet's
            weights unless given, and none for compact.
        epochs: Epochs, all at the resolution of the last stage.
        resolution: Rows and columns of the composite while training, a multiple of 32 (compact:
            of 64).
        preprocessing: Preprocessing of the scans: ibrahim2023 or body-root.
        seed: Seed of everything that is random.
        restart: Start afresh instead of resuming.

    Examples:
      bonescint train demo-scans/manifest.csv --out my-model/ --settings compact --epochs 2 \
          --resolution 256
      bonescint train cohort.csv --out my-model/ --epochs 20 --weights vgg16.h5 --device gpu
      bonescint train cohort.csv --out paper-model/ --settings ibrahim2023
      torchrun --nproc-per-node 4 -m bonescint train cohort.csv --out my-model/   # several devices
      bonescint train our-scans.csv --out ours/ --from shipped      # continue with your own scans
    """
    from bonescint.model import model_path
    from bonescint.scan import InputError, ParameterError
    from bonescint.train import Tracking, train
    from bonescint.train.distributed import ProcessRank

    if not cohort.is_file():
        raise InputError(cohort, "no such file", "Check the path")
    require_existing(weights)
    if weights is not None and model is not None:
        raise ParameterError("--weights", "train", "omitted with --from", str(weights))
    start = weights if weights is not None and weights.is_dir() else None
    if model is not None:
        start = model_path(model)
        if not start.is_dir():
            remedy = "Give a model folder, or a name of bonescint model list"
            raise InputError(model, "no such model folder", remedy)
    configuration = training_configuration(
        settings,
        start,
        epochs=epochs,
        resolution=resolution,
        preprocessing=preprocessing,
        seed=seed,
    )
    with progress_shown() as shown:
        folder = train(
            cohort,
            out,
            settings=configuration,
            weights=start or weights,
            resume=not restart,
            progress=shown.progress,
            tell=lambda text: shown.tell(f"{out.name}: {text}"),
            device=device,
            tracking=Tracking(track),
        )
    if ProcessRank.from_environment().is_zero:  # of processes that train together, one reports
        say(f"{folder.model_id} is in {out}. Try it: bonescint classify SOURCES --model {out}")


def training_configuration(
    name: str | None = None,
    start: Path | None = None,
    *,
    epochs: int | None = None,
    resolution: int | None = None,
    preprocessing: str | None = None,
    seed: int | None = None,
) -> TrainingConfiguration:
    """Read a training configuration and apply the command line's changes to it.

    Args:
        name: name or YAML file of the configuration; `None` for the default.
        start: folder of the model whose training continues, if any.
        epochs: number of balanced epochs, all at one resolution.
        resolution: rows of the composite while training.
        preprocessing: name of the preprocessing.
        seed: seed of everything that is random.

    Raises:
        ParameterError: no such configuration, or a change that it does not allow.
        InputError: an unreadable YAML file.
    """
    from bonescint.prepare import preprocessing_named
    from bonescint.train import TrainingStage, configuration_for_model, read_configuration

    if start is not None and name in (None, "fine-tune"):
        chosen = configuration_for_model(start)
    else:
        chosen = read_configuration(name or "bonescint")
    if resolution is not None:
        stages = tuple(replace(stage, rows=resolution) for stage in chosen.stages)
        chosen = replace(chosen, stages=stages)
    if epochs is not None:
        # Where the training would end; the model always reads the size of its preprocessing.
        chosen = replace(
            chosen, stages=(TrainingStage(epochs=epochs, rows=chosen.stages[-1].rows),)
        )
    if preprocessing is not None:
        chosen = replace(chosen, preprocessing=preprocessing_named(preprocessing))
    return chosen if seed is None else replace(chosen, seed=seed)


@command(model_app, "list")
def list_models() -> None:
    """List the models that come with bonescint.

    Each can be given by its name where a model folder is expected, such as `--model NAME`; the
    first one is the default. Areas under the ROC curve are those of the models' cards.

    Examples:
      bonescint model list
      bonescint classify SOURCES --model shipped
    """
    from bonescint.model import ModelFolder, packaged_models

    for name, path in packaged_models().items():
        folder = ModelFolder.load(path)
        card = folder.card
        size = folder.onnx_path.stat().st_size / 1e6
        show(f"{name}: {folder.model_id}, {card.precision}, {size:.1f} MB")
        show(
            f"  reads {card.preprocessing.identifier}, {card.preprocessing.rows} rows; "
            f"map: {card.evidence_map.kind}"
        )
        areas = [metric for metric in card.metrics if metric.name == "roc_auc_score"]
        for metric in sorted(areas, key=lambda metric: metric.low is None)[:1]:
            show(f"  {metric.in_words}: {metric.value_text}, {metric.measured_on}")
    say_notice()


@command(model_app)
def adapt(
    model: Model,
    *,
    out: Path,
    normals: Path | None = None,
    specificity: Annotated[float | None, typer.Option(min=0.01, max=0.999)] = None,
    unlabelled: Path | None = None,
    prevalence: float | None = None,
    labelled: Path | None = None,
    epochs: Annotated[int, typer.Option(min=0, max=1000)] = 0,
    simulated: Path | None = None,
    workers: AnyWorkers = None,
) -> None:
    """Set the operating point by your own scans without disease, with a guarantee.

    MODEL is a model folder, or a name of `bonescint model list`. --normals takes scans that are
    reported to be without metastatic bone disease: a folder, a ZIP archive, a cohort's folder or a
    manifest. At most a share of 1 - specificity of future normal patients like them is called
    positive. A specificity of 0.9 needs at least 9 normal patients, 0.95 needs 19; 60 and more are
    better. No other label is needed.

    The card records what was done, every result says where a scan ranks among the normals, and
    docs/adaptation.html in the folder shows before and after. With --labelled, other scans with
    known labels, it shows sensitivity and specificity too. Where not even normals are known,
    --unlabelled with --prevalence calls that share of the scans positive: an assumption.

    The network itself changes only if --epochs is given, which needs 20 normals or more (29 for a
    specificity of 0.95): it then learns from at most half of them, beside simulated scans, and the
    operating point is found on the others.

    Needs the extra: pip install 'bonescint[evaluate]'; --epochs also needs bonescint[train], and
    without --simulated bonescint[simulate].

    If interrupted, rerun the same command to resume.

    Args:
        out: Model folder to write.
        normals: Scans without metastases.
        specificity: Wanted specificity, with --normals; 0.9 unless given.
        unlabelled: Scans of which nothing is known.
        prevalence: Share of scans with disease, with --unlabelled.
        labelled: Manifest of other scans, on which the adapted model is evaluated.
        epochs: Train the network on the normals for at most this many epochs.
        simulated: Simulated cohort to learn from too; one is made unless given.

    Examples:
      bonescint model adapt shipped --normals normals/ --out ours/
      bonescint model adapt shipped --normals normals/ --epochs 4 --out ours/
      bonescint model adapt mine/ --normals cohort/ --specificity 0.95 --out ours/
      bonescint model adapt shipped --normals normals.zip --labelled known/manifest.csv --out ours/
      bonescint model adapt shipped --unlabelled all/ --prevalence 0.25 --out ours/
      bonescint classify SOURCES --model ours/
    """
    from bonescint.experiment.adaptation.adapt import PAGE, adapt_model

    with progress_shown() as shown:
        folder, found = adapt_model(
            model,
            out,
            normals=normals,
            specificity=specificity,
            unlabelled=unlabelled,
            prevalence=prevalence,
            labelled=labelled,
            epochs=epochs,
            simulated=simulated,
            workers=workers,
            progress=shown.progress,
            tell=lambda text: shown.tell(_sentence(text)),
        )
    before, after = found.before.card, folder.card
    say(
        f"{folder.model_id} is in {out}: operating point {after.operating_point:.4f}, before "
        f"{before.operating_point:.4f}. {_sentence(after.operating_point_rule)}"
    )
    for doubt in found.usable.doubts:
        say_warning(_sentence(doubt))
    if (other := found.labelled) is not None:
        changes = ", ".join(
            f"{name} {earlier.text()} before, {later.text()} after"
            for name, (earlier, later) in (
                ("sensitivity", other.sensitivity),
                ("specificity", other.specificity),
            )
        )
        say(f"On {other.scans} other scans with known labels: {changes}.")
    say(f"Look at {out / PAGE}")
    say_notice()


@command(model_app)
def calibrate(
    model: Model,
    predictions: Path,
    *,
    cohort: Path | None = None,
    out: Path | None = None,
    rule: OperatingRule = "balanced",
    at_least: AtLeast = None,
    prevalence: float | None = None,
    ignore_unknown: IgnoreUnknown = False,
) -> None:
    """Fit slope, intercept and operating point on your own scans with known labels.

    MODEL is a model folder, or a name of `bonescint model list` (with --out). PREDICTIONS are its
    predictions for your scans (results.csv of `bonescint classify`), with a column label (0 or 1)
    unless --cohort gives the labels. The graph does not change; the card records what was done.
    With few scans, the fit stays close to the model's own calibration.
    Where disease is rarer or more frequent than among these scans, give --prevalence: the
    probabilities move, and the same scans are called. Use scans on which you will not evaluate the
    model.

    Args:
        predictions: Table of predictions.
        cohort: Manifest with the labels.
        out: Model folder to write; MODEL itself unless given.
        prevalence: Share of scans with disease where the model will be used, 0 to 1; that of these
            scans unless given.

    Examples:
      bonescint model calibrate mine/ predictions.csv
      bonescint model calibrate mine/ results/results.csv --cohort ours/manifest.csv
      bonescint model calibrate mine/ p.csv --rule specificity --at-least 0.9 --out local/
      bonescint model calibrate mine/ p.csv --prevalence 0.15
    """
    from bonescint.experiment.adaptation.calibrate import calibrate_model

    folder, found = calibrate_model(
        model,
        predictions,
        rule=operating_rule(rule, at_least),
        prevalence=prevalence,
        cohort=cohort,
        out=out,
        ignore_unknown=ignore_unknown,
    )
    card = folder.card
    record = card.calibrated_on
    band = f"There is {card.uncertain_rule}."
    if card.uncertain_band is not None:
        lowest, highest = card.uncertain_band
        band = f"Uncertain from {lowest:.4f} to {highest:.4f}: {card.uncertain_rule}."
    if card.local is not None:
        say(f"Adapted with local scans: {card.local.in_words}")
    say(
        f"{folder.model_id}: {'' if record is None else record.in_words}. Operating point "
        f"{card.operating_point:.4f} ({found.rule}). Brier score {found.before.text()} before, "
        f"{found.after.text()} after, on the same scans at their own prevalence. {band}"
    )


def _sentence(text: str) -> str:
    """A statement with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
