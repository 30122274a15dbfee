"""What the options of several commands share."""

from __future__ import annotations

from pathlib import Path

import typer

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def path(given: str) -> Path:
    """A path from the command line; `''`, which is often an unset variable, is none."""
    if not str(given):
        raise typer.BadParameter("an empty path. Give a name; '.' is the current folder.")
    return Path(given)
