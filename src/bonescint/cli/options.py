"""What the options of several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


IgnoreUnknown = Annotated[
    bool,
    typer.Option(
        "--ignore-unknown", help="Leave out predictions of scans that the manifest lacks."
    ),
]


class Follow(StrEnum):
    """What follows a training."""

    NONE = "none"
    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"


def path(given: str) -> Path:
    """A path from the command line; `''`, which is often an unset variable, is none."""
    if not str(given):
        raise typer.BadParameter("an empty path. Give a name; '.' is the current folder.")
    return Path(given)
