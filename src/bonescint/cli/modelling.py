"""`bonescint model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.cli.console import clear_failures, messages_console, progress_shown
from bonescint.report import displayable

if TYPE_CHECKING:
    from bonescint.evaluate.recalibration import LocalCalibration
    from bonescint.model import ModelFolder


def run_adapt(
    model: Path,
    out: Path,
    *,
    normals: Path | None,
    specificity: float,
    unlabelled: Path | None,
    prevalence: float | None,
    labelled: Path | None,
    epochs: int,
    simulated: Path | None,
    workers: int | None,
) -> None:
    """Adapt and say what was found."""
    with clear_failures():
        from bonescint.experiment.adaptation.adapt import PAGE, adapt_model

        with progress_shown() as shown:
            folder, found = adapt_model(
                model, out, normals=normals, specificity=specificity, unlabelled=unlabelled,
                prevalence=prevalence, labelled=labelled, epochs=epochs, simulated=simulated,
                workers=workers,
                progress=shown.progress, tell=lambda text: shown.tell(_sentence(text)),
            )  # fmt: skip
        before, after = found.before.card, folder.card
        said = [
            f"{folder.model_id} is in {out}: operating point {after.operating_point:.4f}, before "
            f"{before.operating_point:.4f}. {_sentence(after.operating_point_rule)}"
        ]
        said += [f"Warning: {_sentence(doubt)}" for doubt in found.usable.doubts]
        if found.labelled is not None:
            said.append(
                f"On {found.labelled.scans} other scans with known labels: sensitivity "
                f"{found.labelled.sensitivity[0].text()} before, "
                f"{found.labelled.sensitivity[1].text()} after; specificity "
                f"{found.labelled.specificity[0].text()} before, "
                f"{found.labelled.specificity[1].text()} after."
            )
        said += [f"Look at {out / PAGE}", "Research use only. Not a medical device."]
        for text in said:
            messages_console().print(displayable(text), soft_wrap=True)


def _sentence(text: str) -> str:
    """A statement with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def run_calibrate(
    model: Path,
    predictions: Path,
    *,
    cohort: Path | None,
    out: Path | None,
    rule: str,
    at_least: float,
    prevalence: float | None,
    ignore_unknown: bool,
) -> None:
    """Calibrate and say what was found."""
    with clear_failures():
        from bonescint.cli.evaluating import rule_named
        from bonescint.experiment.adaptation.calibrate import calibrate_model

        folder, found = calibrate_model(
            model,
            predictions,
            rule=rule_named(rule, at_least),
            prevalence=prevalence,
            cohort=cohort,
            out=out,
            ignore_unknown=ignore_unknown,
        )
        messages_console().print(displayable(_said(folder, found)), soft_wrap=True)


def _said(folder: ModelFolder, found: LocalCalibration) -> str:
    """What was found, and which calls are uncertain from now on, or why none is."""
    card = folder.card
    record = card.calibrated_on
    band = f"There is {card.uncertain_rule}."
    if card.uncertain_band is not None:
        low, high = card.uncertain_band
        band = f"Uncertain from {low:.4f} to {high:.4f}: {card.uncertain_rule}."
    return (
        f"{folder.model_id}: {'' if record is None else record.in_words}. Operating point "
        f"{card.operating_point:.4f} ({found.rule}). Brier score {found.before.text()} before, "
        f"{found.after.text()} after, on the same scans at their own prevalence. {band}"
    )
