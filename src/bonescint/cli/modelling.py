"""`bonescint model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.cli.console import clear_failures, messages_console, progress_shown
from bonescint.report import displayable

if TYPE_CHECKING:
    from bonescint.model import ModelCard


def run_adapt(
    model: Path,
    out: Path,
    *,
    normals: Path | None,
    specificity: float,
    unlabelled: Path | None,
    prevalence: float | None,
    labelled: Path | None,
    workers: int | None,
) -> None:
    """Adapt and say what was found."""
    with clear_failures():
        from bonescint.experiment.adapting import PAGE, adapt_model

        with progress_shown() as shown:
            folder, found = adapt_model(
                model, out, normals=normals, specificity=specificity, unlabelled=unlabelled,
                prevalence=prevalence, labelled=labelled, workers=workers,
                progress=shown.progress, tell=lambda text: shown.tell(_sentence(text)),
            )  # fmt: skip
        before, after = found.before.card, folder.card
        said = [
            f"{folder.model_id} is in {out}: operating point {after.operating_point:.4f}, before "
            f"{before.operating_point:.4f}. {_sentence(after.operating_point_rule)}"
        ]
        said += [f"Warning: {_sentence(doubt)}" for doubt in found.sound.doubts]
        if found.judged is not None:
            said.append(
                f"On {found.judged.scans} other scans with known labels: sensitivity "
                f"{found.judged.sensitivity[0].text()} before, "
                f"{found.judged.sensitivity[1].text()} after; specificity "
                f"{found.judged.specificity[0].text()} before, "
                f"{found.judged.specificity[1].text()} after."
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
    ignore_unknown: bool,
) -> None:
    """Calibrate and say what was found."""
    with clear_failures():
        from bonescint.cli.evaluating import rule_named
        from bonescint.experiment.local_model import calibrate_model

        folder, found = calibrate_model(
            model, predictions, rule=rule_named(rule, at_least), cohort=cohort, out=out,
            ignore_unknown=ignore_unknown,
        )  # fmt: skip
        console = messages_console()
        console.print(
            displayable(
                f"{folder.model_id}: operating point {folder.card.operating_point:.4f} "
                f"({found.rule}), temperature {found.temperature.text()}, of {found.count} scans, "
                f"{found.positives} positive. Brier score {found.before.text()} before, "
                f"{found.after.text()} after, on the same scans. {_band(folder.card)}"
            ),
            soft_wrap=True,
        )


def _band(card: ModelCard) -> str:
    """Which calls are uncertain from now on, or why none is."""
    if card.uncertain_band is None:
        return f"There is {card.uncertain_rule}."
    low, high = card.uncertain_band
    return f"Uncertain from {low:.4f} to {high:.4f}: {card.uncertain_rule}."
