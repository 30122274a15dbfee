"""Activation maps of a batch, as `bonescint classify` leaves them in `results.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest
from bonescint.dicom import read
from bonescint.explain import map_on_grid
from bonescint.files import json_in
from bonescint.scan import BonescintError, Case, InputError, Prediction, Scan, View
from bonescint.tables import Problem, refuse

_SCHEMA = 1
_REMEDY = "Give results.json of bonescint classify"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MappedScan:
    """One scan of a results file.

    Attributes:
        prediction: with its activation maps.
        shape: (rows, columns) of its views.
        pixel_spacing_mm: between rows and between columns, or `None`.
        posterior_counts: sum of the posterior view where pixels are counts, or `None`.
    """

    prediction: Prediction
    shape: tuple[int, int]
    pixel_spacing_mm: tuple[float, float] | None
    posterior_counts: float | None

    def with_answer(self, probability: float, *, positive: bool) -> MappedScan:
        """The same maps with the probability and the call of an evaluation.

        A results file has the call at the model's own operating point, which need not be the one
        that an evaluation judges at.
        """
        answer = replace(self.prediction, mbd_probability=probability, positive=positive)
        return replace(self, prediction=answer)

    def grids(self) -> dict[View, NDArray[np.float32]]:
        """The MBD map of each view on the view's own pixels, (rows, columns), at least 0."""
        rows, columns = self.shape
        return {
            view: np.maximum(map_on_grid(activation, self.shape, rows=rows, columns=columns), 0)
            for view in View
            if (activation := self.prediction.activation_map(view)) is not None
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentedScan:
    """A scan with a physician's masks, to be drawn beside its maps.

    Attributes:
        scan: as it is stored.
        mapped: its maps, with the probability and the call of the evaluation.
        masks: for each view that was segmented a bool array (rows, columns).
    """

    scan: Scan
    mapped: MappedScan
    masks: Mapping[View, NDArray[np.bool_]]


def read_maps(path: Path | str) -> Mapping[str, MappedScan]:
    """Read the scans of a results file by their identifier.

    Args:
        path: of `results.json`.

    Raises:
        InputError: unreadable, of another schema, or entries that are wrong, all of them named.
    """
    source = Path(path)
    try:
        content = json_in(source.read_text(encoding="utf-8"))
        entries = content["results"]
        version = content["schema_version"]
    except FileNotFoundError as error:
        raise InputError(source, "no such file", _REMEDY) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        problem = f"no readable results file ({type(error).__name__})"
        raise InputError(source, problem, _REMEDY) from error
    if version != _SCHEMA:
        problem = f"results schema {version} is not {_SCHEMA}"
        raise InputError(source, problem, "Use the release of bonescint that wrote it")
    found: dict[str, MappedScan] = {}
    problems = []
    for number, entry in enumerate(entries):
        try:
            scan = _scan(entry)
        except (BonescintError, KeyError, ValueError, TypeError) as error:
            text = f"results[{number}]: no readable scan ({type(error).__name__})"
            problems.append(Problem(text=text))
        else:
            found[scan.prediction.scan_id] = scan
    refuse(source, problems, _REMEDY)
    return found


def scan_at_hand(manifest: Manifest, case: Case, mapped: MappedScan) -> Scan | None:
    """The scan that maps lie on.

    Args:
        manifest: that says where scans lie.
        case: one of its cases.
        mapped: what the results file says of the same scan.

    Returns:
        `None` if the case names no file, or none that can be read and has the maps' pixels.
    """
    if not case.file:
        return None
    try:
        scan = read(manifest.path(case))
    except BonescintError:
        return None
    return replace(scan, scan_id=case.scan_id) if scan.shape == mapped.shape else None


def _scan(entry: Mapping[str, Any]) -> MappedScan:
    spacing = entry.get("pixel_spacing_mm")
    rows, columns = (int(size) for size in entry["shape"])
    total = entry.get("total") or {}
    counts = total.get(View.POSTERIOR.value) if entry.get("unit") == "counts" else None
    return MappedScan(
        prediction=Prediction.from_json(entry["prediction"]),
        shape=(rows, columns),
        pixel_spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
        posterior_counts=None if counts is None else float(counts),
    )
