"""Truth files: masks and foci of one scan, as NPZ with JSON inside, or as JSON alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bonescint.files import json_in, written_beside
from bonescint.scan import (
    Focus,
    FocusKind,
    InputError,
    ParameterError,
    Truth,
    View,
)

TRUTH_SCHEMA_VERSION = 1


def write_truth(
    truth: Truth,
    path: Path,
    *,
    mimic_masks: Mapping[View, NDArray[np.bool_]] | None = None,
    organ_masks: Mapping[View, NDArray[np.bool_]] | None = None,
    parameters: Mapping[str, object] | None = None,
) -> None:
    """Write a truth, beside and then renamed into place; equal truths give equal bytes.

    Args:
        truth: what is true of a scan.
        path: the file; its folder must exist. `.npz` holds the masks too, `.json` all but
            them.
        mimic_masks: for each view a bool array (rows, columns), true on what only looks like
            a metastasis.
        organ_masks: the same for organs.
        parameters: what was drawn, JSON-ready.

    Raises:
        ParameterError: another suffix.
        OutputError: the file cannot be written.
    """
    content: dict[str, Any] = {
        "schema_version": TRUTH_SCHEMA_VERSION,
        "positive": truth.positive,
        "source": truth.source,
        "foci": [asdict(focus) for focus in truth.foci],
    }
    if parameters is not None:
        content["parameters"] = dict(parameters)
    by_kind = {
        FocusKind.METASTASIS: truth.masks,
        FocusKind.MIMIC: mimic_masks or {},
        FocusKind.ORGAN: organ_masks or {},
    }
    arrays = {
        f"{_MASKS[kind]}_{view.value}": mask
        for kind, masks in by_kind.items()
        for view, mask in masks.items()
    }
    write_arrays(path, content, arrays)


def write_arrays(path: Path, content: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write JSON with arrays (`.npz`, JSON under the name `json`), or without (`.json`).

    Raises:
        ParameterError: another suffix.
        OutputError: the file cannot be written.
    """
    if path.suffix not in (".npz", ".json"):
        raise ParameterError("path", "write_truth", "a path that ends in .npz or .json", path.name)
    with written_beside(path) as beside:
        if path.suffix == ".json":
            beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        else:
            with beside.open("wb") as stream:
                np.savez_compressed(stream, json=np.array(json.dumps(content)), **arrays)


_MASKS = {
    FocusKind.METASTASIS: "mask",
    FocusKind.MIMIC: "mimics",
    FocusKind.ORGAN: "organs",
}


@contextmanager
def _opened(path: Path | str) -> Iterator[Any]:
    """The arrays of a truth file; whatever is wrong with them becomes one line."""
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            yield archive
    except (OSError, KeyError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise InputError(
            path, f"not a readable truth file ({type(error).__name__})", "Make it again"
        ) from error


def read_masks(path: Path | str) -> dict[View, dict[FocusKind, NDArray[np.bool_]]]:
    """Every mask of a truth file, not of metastases alone.

    Returns:
        For each view the masks by kind, bool (rows, columns); empty where the file has none.

    Raises:
        InputError: missing or damaged.
    """
    with _opened(path) as archive:
        return {
            view: {
                kind: archive[f"{name}_{view.value}"]
                for kind, name in _MASKS.items()
                if f"{name}_{view.value}" in archive
            }
            for view in View
        }


def read_truth(path: Path | str) -> Truth:
    """Read a truth file.

    Raises:
        InputError: missing, damaged, or of a schema that this release does not know.
    """
    with _opened(path) as archive:
        content = json_in(str(archive["json"]))
        masks = {
            view: archive[f"mask_{view.value}"] for view in View if f"mask_{view.value}" in archive
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
