"""`bonescint train`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bonescint.cli.console import clear_failures, messages_console, progress_shown
from bonescint.prepare import preprocessing_named
from bonescint.report import displayable
from bonescint.scan import InputError, ParameterError

if TYPE_CHECKING:
    from bonescint.train import TrainingConfiguration


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainChoices:
    """What the command line says of the settings; `None` leaves a setting as it is.

    Attributes:
        named: settings to start from: a name, or a YAML file; `None` for the usual ones.
        epochs: balanced epochs, all at one resolution.
        resolution: rows of the composite while training.
        preprocessing: name of what prepares a scan.
        seed: of everything that is random.
    """

    named: str | None = None
    epochs: int | None = None
    resolution: int | None = None
    preprocessing: str | None = None
    seed: int | None = None

    def settings(self, model: Path | None = None) -> TrainingConfiguration:
        """The settings that are meant.

        Args:
            model: folder of the model that goes on, if one does.

        Raises:
            ParameterError: no such settings, or a choice that they do not allow.
            InputError: an unreadable file of settings.
        """
        from bonescint.train import Stage, configuration_for_model, read_configuration

        if model is not None and self.named in (None, "fine-tune"):
            chosen = configuration_for_model(model)
        else:
            chosen = read_configuration(self.named or "bonescint")
        stages = chosen.stages
        if self.resolution is not None:
            stages = tuple(replace(stage, rows=self.resolution) for stage in stages)
        if self.epochs is not None:
            # All epochs where the settings end; the model always reads the preprocessing's size.
            stages = (Stage(epochs=self.epochs, rows=stages[-1].rows),)
        preprocessing = (
            chosen.preprocessing
            if self.preprocessing is None
            else preprocessing_named(self.preprocessing)
        )
        seed = chosen.seed if self.seed is None else self.seed
        return replace(chosen, stages=stages, preprocessing=preprocessing, seed=seed)


def run_train(
    cohort: Path,
    out: Path,
    choices: TrainChoices,
    *,
    weights: Path | None,
    model: str | None,
    device: str,
    resume: bool,
    tracking: str,
) -> None:
    """Train and say where the model is."""
    with clear_failures():
        from bonescint.train import Tracking, train
        from bonescint.train.distributed import ProcessRank

        if not cohort.is_file():
            raise InputError(cohort, "no such file", "Check the path")
        if weights is not None and not weights.exists():
            raise InputError(weights, "no such file or folder", "Check the path")
        if weights is not None and model is not None:
            raise ParameterError("--weights", "train", "omitted with --from", str(weights))
        goes_on = None if model is None else _model_path(model)
        if weights is not None and weights.is_dir():
            goes_on = weights
        settings = choices.settings(goes_on)
        with progress_shown() as shown:
            folder = train(
                cohort,
                out,
                settings=settings,
                weights=goes_on or weights,
                resume=resume,
                progress=shown.progress,
                tell=lambda text: shown.tell(f"{out.name}: {text}"),
                device=device,
                tracking=Tracking(tracking),
            )
        if ProcessRank.from_environment().is_zero:  # of processes that train together, one speaks
            messages_console().print(
                displayable(
                    f"{folder.model_id} is in {out}. "
                    f"Try it: bonescint classify SOURCES --model {out}"
                ),
                soft_wrap=True,
            )
        raise typer.Exit(0)


def _model_path(model: str) -> Path:
    """A model folder, or that of the shipped model."""
    from bonescint.model import model_path

    path = model_path(model)
    if not path.is_dir():
        raise InputError(model, "no such model folder", "Give a model folder, or 'shipped'")
    return path
