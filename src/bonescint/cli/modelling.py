"""`bonescint model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.cli.console import clear_failures, messages_console
from bonescint.report import displayable

if TYPE_CHECKING:
    from bonescint.model import ModelCard


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
