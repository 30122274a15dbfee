"""Activation maps of a batch, as `bonescint classify` leaves them in `results.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonescint.cohort import Problem, refuse
from bonescint.scan import BonescintError, InputError, Prediction, View

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
        picture: path of its picture, or `None`.
    """

    prediction: Prediction
    shape: tuple[int, int]
    pixel_spacing_mm: tuple[float, float] | None
    posterior_counts: float | None
    picture: Path | None


def read_maps(path: Path | str) -> Mapping[str, MappedScan]:
    """Read the scans of a results file by their identifier.

    Args:
        path: of `results.json`.

    Raises:
        InputError: unreadable, of another schema, or entries that are wrong, all of them named.
    """
    source = Path(path)
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
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
            scan = _scan(entry, source.parent)
        except (BonescintError, KeyError, ValueError, TypeError) as error:
            text = f"results[{number}]: no readable scan ({type(error).__name__})"
            problems.append(Problem(text=text))
        else:
            found[scan.prediction.scan_id] = scan
    refuse(source, problems, _REMEDY)
    return found


def _scan(entry: Mapping[str, Any], folder: Path) -> MappedScan:
    spacing = entry.get("pixel_spacing_mm")
    rows, columns = (int(size) for size in entry["shape"])
    total = entry.get("total") or {}
    counts = total.get(View.POSTERIOR.value) if entry.get("unit") == "counts" else None
    picture = folder / entry["picture"] if entry.get("picture") else None
    return MappedScan(
        prediction=Prediction.from_json(entry["prediction"]),
        shape=(rows, columns),
        pixel_spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
        posterior_counts=None if counts is None else float(counts),
        picture=picture if picture is not None and picture.is_file() else None,
    )
