"""Options that several commands share, and short forms for options of one command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def path(given: str) -> Path:
    """A path from the command line; `''`, which is often an unset variable, is refused."""
    if not str(given):
        raise typer.BadParameter("an empty path. Give a name; '.' is the current folder.")
    return Path(given)


def option(
    text: str,
    *names: str,
    low: float | None = None,
    high: float | None = None,
    default: str | bool = True,
) -> Any:
    """An option with its help.

    Args:
        text: its help.
        names: if not that of the parameter.
        low: smallest number allowed.
        high: largest number allowed.
        default: what help gives as the default, if not the value itself.
    """
    return typer.Option(*names, help=text, min=low, max=high, show_default=default)


def file(text: str, *names: str, default: str | bool = True) -> Any:
    """An option that takes the path of a file or a folder; see `option`."""
    return typer.Option(*names, parser=path, help=text, show_default=default)


def out(text: str, default: str | bool = True) -> Any:
    """The option `--out`, also `-o`, for where a command writes."""
    return file(text, "--out", "-o", default=default)


def argument(text: str, metavar: str | None = None) -> Any:
    """An argument that is the path of a file or a folder."""
    return typer.Argument(parser=path, help=text, metavar=metavar, show_default=False)


Sources = Annotated[list[Path], argument("Files, folders and ZIP archives.", "SOURCES")]
Model = Annotated[Path, argument("Model folder, or 'shipped'.")]
AsJson = Annotated[bool, option("Print JSON, and nothing else, on standard output.", "--json")]
Seed = Annotated[int, option("Seed of everything that is random.", low=0)]
Workers = Annotated[
    int | None,
    option(
        "Worker processes; 0 works in one process.",
        low=0,
        high=256,
        default="as many as cores, at most 8",
    ),
]
Processes = Annotated[
    int | None, option("Worker processes.", low=1, high=256, default="as many as cores, at most 8")
]
SimulationWorkers = Annotated[
    int | None, option("Worker processes.", low=1, high=256, default="as many as cores")
]
Device = Annotated[Literal["cpu", "gpu", "auto"], option("Where the model runs.")]
Weights = Annotated[
    Path | None,
    file(
        "ImageNet weights (Keras .h5, torchvision .pth, .safetensors) for VGG16.",
        default="fetched once",
    ),
]
Track = Annotated[
    Literal["none", "tensorboard", "mlflow"],
    option("Also log the training there, in a local folder."),
]
OperatingRule = Annotated[
    Literal["balanced", "youden", "specificity", "sensitivity"],
    option("How the operating point is chosen.", "--rule"),
]
IgnoreUnknown = Annotated[
    bool, option("Leave out predictions of scans that the manifest lacks.", "--ignore-unknown")
]


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Follow(StrEnum):
    """What follows a training."""

    NONE = "none"
    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
