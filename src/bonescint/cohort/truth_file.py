"""Truth files: masks and foci of one scan, as NPZ with JSON inside."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from bonescint.scan import Focus, FocusKind, InputError, Truth, View

TRUTH_SCHEMA_VERSION = 1


def write_truth(truth: Truth, path: Path) -> None:
    """Write a truth, beside and then renamed into place; equal truths give equal bytes.

    Args:
        truth: what is true of a scan.
        path: the `.npz` file; its folder must exist.
    """
    content = {
        "schema_version": TRUTH_SCHEMA_VERSION,
        "positive": truth.positive,
        "source": truth.source,
        "foci": [asdict(focus) for focus in truth.foci],
    }
    arrays: dict[str, Any] = {f"mask_{view.value}": mask for view, mask in truth.masks.items()}
    arrays["json"] = np.array(json.dumps(content))
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    beside.replace(path)


def read_truth(path: Path | str) -> Truth:
    """Read a truth file.

    Raises:
        InputError: missing, damaged, or of a schema that this release does not know.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            content = json.loads(str(archive["json"]))
            masks = {
                view: archive[f"mask_{view.value}"]
                for view in View
                if f"mask_{view.value}" in archive
            }
        if content["schema_version"] != TRUTH_SCHEMA_VERSION:
            raise InputError(
                path,
                f"truth schema {content['schema_version']} is not {TRUTH_SCHEMA_VERSION}",
                "Use the release of bonescint that wrote it",
            )
        foci = tuple(
            Focus(**{**entry, "view": View(entry["view"]), "kind": FocusKind(entry["kind"])})
            for entry in content["foci"]
        )
        return Truth(positive=content["positive"], foci=foci, masks=masks, source=content["source"])
    except (OSError, KeyError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise InputError(
            path, f"not a readable truth file ({type(error).__name__})", "Make it again"
        ) from error
