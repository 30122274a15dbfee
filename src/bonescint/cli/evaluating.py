"""`bonescint evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.cli.console import clear_failures, messages_console, progress_shown
from bonescint.report import displayable

if TYPE_CHECKING:
    from bonescint.evaluate import OperatingRule
    from bonescint.experiment import Evaluation, EvaluationSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateChoices:
    """What the command line says.

    Attributes:
        rule: name of the rule of the operating point.
        at_least: specificity or sensitivity that the rule of that name wants.
        point: an operating point from elsewhere, or `None`.
        split: that is judged.
        resamples: of the bootstrap.
        stratified: whether they are drawn by class.
        level: of the intervals.
        seed: of the bootstrap.
    """

    rule: str
    at_least: float
    point: float | None
    split: str
    resamples: int
    stratified: bool
    level: float
    seed: int

    def settings(self) -> EvaluationSettings:
        """The same as the evaluation wants it."""
        from bonescint.evaluate import Resampling
        from bonescint.experiment import EvaluationSettings
        from bonescint.scan import Split

        return EvaluationSettings(
            rule=rule_named(self.rule, self.at_least),
            threshold=self.point,
            judged=Split(self.split),
            resampling=Resampling(
                resamples=self.resamples,
                stratified=self.stratified,
                level=self.level,
                seed=self.seed,
            ),
        )


def rule_named(name: str, at_least: float) -> OperatingRule:
    """The rule of an operating point by its name on the command line."""
    from bonescint.evaluate import Balanced, GivenSensitivity, GivenSpecificity, Youden

    rules: dict[str, OperatingRule] = {
        "balanced": Balanced(),
        "youden": Youden(),
        "specificity": GivenSpecificity(at_least),
        "sensitivity": GivenSensitivity(at_least),
    }
    return rules[name]


def run_evaluate(
    predictions: Path,
    cohort: Path,
    out: Path,
    choices: EvaluateChoices,
    *,
    against: Path | None,
    maps: Path | None,
    ignore_unknown: bool,
    workbook: bool,
) -> None:
    """Evaluate, and say the first figures and where the report is."""
    with clear_failures():
        from bonescint.experiment import evaluate

        with progress_shown() as shown:
            found = evaluate(
                predictions,
                cohort,
                out,
                settings=choices.settings(),
                against=against,
                maps=maps,
                ignore_unknown=ignore_unknown,
                workbook=workbook,
                progress=shown.progress,
            )
        for line in _lines(found):
            messages_console().print(line, soft_wrap=True)
        where = displayable(out / "report.html")
        messages_console().print(f"Look at {where}. Research use only.", soft_wrap=True)


def _lines(found: Evaluation) -> list[str]:
    part, judgement = found.part, found.judgement
    positives = int(part.positive.sum())
    lines = [f"{len(part.cases)} scans of the {part.split} split, {positives} with disease"]
    if part.missing:
        lines.append(f"{len(part.missing)} scans of it have no prediction: tables/left_out.csv")
    if found.joined.unknown:
        lines.append(f"{len(found.joined.unknown)} predictions of unknown scans were left out")
    if part.probabilities.min() == part.probabilities.max():
        lines.append(f"All of them have the probability {part.probabilities[0]:g}")
    lines.append(f"Area under the ROC curve {judgement.area.text()}")
    threshold = judgement.point.threshold
    lines.append(f"At {threshold:.3g} ({judgement.point.source}):")
    lines += [f"  {one.words} {one.estimate.text()}" for one in judgement.at_point[:2]]
    return lines
