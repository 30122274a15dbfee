"""Cases on disk: those that are simulated ahead, and the first ones, which come with the package.

They hold the truth, so the folder is for its owner only and no server gives them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from bonescint.cohort.truth import write_arrays
from bonescint.files import DAMAGED_NPZ, json_in
from bonescint.scan import Acquisition, Focus, InputError, PixelUnit, Scan, Truth, View
from bonescint.schema import construct, plain
from bonescint.teach.cases import CaseSpec, SpotArea, TeachingCase

_SCHEMA = 1
_REMEDY = "Delete it: it is made again"


def write_case(case: TeachingCase, path: Path) -> None:
    """Write a case, whole or not at all.

    Args:
        case: the case.
        path: ends in `.npz`.

    Raises:
        OutputError: it cannot be written.
    """
    scan = case.scan
    content = {
        "schema_version": _SCHEMA,
        "case_id": case.case_id,
        "spec": plain(case.spec),
        "positive": case.truth.positive,
        "source": case.truth.source,
        "simulated": case.truth.simulated,
        "foci": [plain(focus) for focus in case.truth.foci],
        "areas": [None if area is None else asdict(area) for area in case.areas],
        "bones": list(case.bones),
        "unit": scan.unit.value,
        "pixel_spacing_mm": scan.pixel_spacing_mm,
        "acquisition": plain(scan.acquisition),
        "history": list(scan.history),
    }
    arrays: dict[str, Any] = {}
    for view, image in scan.images():
        whole = image.max() < 2**16 and bool((image == np.rint(image)).all())
        arrays[view.value] = image.astype(np.uint16) if whole else image
    for view, mask in case.truth.masks.items():
        arrays[f"mask_{view.value}"] = mask
    write_arrays(path, content, arrays)


def read_case(path: Path, case_id: str) -> TeachingCase:
    """Read a case.

    Args:
        path: the file.
        case_id: name that it gets.

    Raises:
        InputError: missing, damaged, or of another release.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            content = json_in(str(archive["json"]))
            arrays = {name: archive[name] for name in archive.files if name != "json"}
        if content["schema_version"] != _SCHEMA:
            raise InputError(path, "of another release", _REMEDY)
        foci = tuple(construct(Focus, one, str(path), _REMEDY) for one in content["foci"])
        spacing = content["pixel_spacing_mm"]
        return TeachingCase(
            case_id=case_id,
            scan=Scan(
                anterior=arrays.get("anterior"),
                posterior=arrays.get("posterior"),
                pixel_spacing_mm=None if spacing is None else tuple(spacing),
                unit=PixelUnit(content["unit"]),
                scan_id=case_id,
                acquisition=construct(Acquisition, content["acquisition"], str(path), _REMEDY),
                history=tuple(content["history"]),
            ),
            truth=Truth(
                positive=content["positive"],
                foci=foci,
                masks={
                    view: arrays[f"mask_{view.value}"]
                    for view in View
                    if f"mask_{view.value}" in arrays
                },
                source=content["source"],
                simulated=content["simulated"],
            ),
            spec=construct(CaseSpec, content["spec"], str(path), _REMEDY),
            areas=tuple(None if one is None else SpotArea(**one) for one in content["areas"]),
            bones=tuple(content["bones"]),
        )
    except DAMAGED_NPZ as error:
        raise InputError(path, f"not a case ({type(error).__name__})", _REMEDY) from error


@lru_cache(64)
def _first_files(course: str) -> Mapping[CaseSpec, Path]:
    """The cases of a course that come with the package, by what they show."""
    folder = Path(str(resources.files("bonescint.teach.content") / "first"))
    found = {}
    for path in sorted(folder.glob("*.npz")):
        if path.stem.rpartition("-")[0] == course:
            with np.load(path, allow_pickle=False) as archive:
                content = json_in(str(archive["json"]))
            found[construct(CaseSpec, content["spec"], str(path), _REMEDY)] = path
    return found


def first_specs(course: str) -> tuple[CaseSpec, ...]:
    """What the first case of a course can be without a wait, because it comes with the package."""
    return tuple(_first_files(course))


def first_case(spec: CaseSpec, case_id: str) -> TeachingCase | None:
    """A case that comes with the package; `None` if it does not."""
    path = _first_files(spec.course).get(spec)
    return None if path is None else read_case(path, case_id)
