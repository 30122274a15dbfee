"""Regenerate what a simulated cohort does not store: means, bone maps, a mask of each focus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bonescint.cohort.manifest import read_manifest
from bonescint.cohort.protocol import Protocol, StudySpec, study_specs
from bonescint.cohort.simulated import ATTEMPTS, protocol_of, study_of
from bonescint.cohort.simulated_study import SimulatedStudy
from bonescint.cohort.truth import write_arrays
from bonescint.dicom import read
from bonescint.scan import Case, InputError
from bonescint.simulate import TWELVE_NAMES, region_maps, twelve_regions

FULL_TRUTH_SCHEMA_VERSION = 1


def regenerate_truth(cohort: Path, scan_id: str, out: Path) -> None:
    """Simulate a study of a cohort again, and write its complete truth.

    The file is an NPZ. For each view (`anterior`, `posterior`) it holds

    - `mean_<view>`: float32 (rows, columns), expected counts without noise;
    - `bones_<view>`: uint8, the bone that a pixel shows; `regions_<view>`: the same joined to
      twelve; the names are in `json` under `bones` and `regions`, number 0 is none;
    - `focus_<n>`: bool, the mask of the n-th entry of `foci` in `json`, in its view;

    and `json`: foci, names, and every parameter that was drawn.

    Args:
        cohort: folder that `simulate_cohort` wrote.
        scan_id: as its `manifest.csv` or `occult.csv` names it.
        out: NPZ file to write.

    Raises:
        InputError: not a simulated cohort, no such scan, or a stored scan that is not equal to
            the one simulated now (another release, or a changed file).
        OutputError: the file cannot be written.
        MissingExtraError: the libraries of the extra `simulate` are not installed.
    """
    protocol, seed = protocol_of(cohort)
    case = _case(cohort, scan_id)
    spec, attempt = _spec(protocol, seed, case)
    study = study_of(spec, protocol.centres[spec.centre], protocol.disease, attempt)
    _check_equal(study, cohort / case.file)
    content, arrays = _everything(study)
    write_arrays(out, {"scan_id": scan_id, **content}, arrays)


def _case(cohort: Path, scan_id: str) -> Case:
    for table in ("manifest.csv", "occult.csv"):
        for case in read_manifest(cohort / table).cases:
            if case.scan_id == scan_id:
                return case
    raise InputError(
        cohort, f"holds no scan {scan_id}", "Take a scan_id of its manifest.csv or occult.csv"
    )


def _spec(protocol: Protocol, seed: int, case: Case) -> tuple[StudySpec, int]:
    key = Path(case.file).stem
    specs = [
        spec
        for spec in study_specs(protocol, seed)
        if (spec.centre, spec.split, spec.positive) == (case.centre, case.split, case.positive)
    ]
    for attempt in range(ATTEMPTS):
        for spec in specs:
            if spec.key(attempt) == key:
                return spec, attempt
    raise InputError(
        case.file, "is not of the cohort that settings.json describes", "Simulate it again"
    )


def _check_equal(study: SimulatedStudy, file: Path) -> None:
    stored = read(file)
    for view, image in study.simulated.scan.images():
        there = stored.view(view)
        if there is None or not np.array_equal(image, there):
            raise InputError(
                file,
                f"its {view.value} view differs from what is simulated now",
                "Use the release of bonescint that wrote it (settings.json), on a similar machine",
            )


def _everything(study: SimulatedStudy) -> tuple[dict[str, Any], Mapping[str, Any]]:
    simulated, skeleton = study.simulated, study.anatomy.skeleton
    bones = region_maps(simulated.projector, study.anatomy)
    arrays: dict[str, Any] = {}
    for view, image in simulated.means.items():
        arrays[f"mean_{view.value}"] = image
        arrays[f"bones_{view.value}"] = bones[view]
    for view, regions in twelve_regions(bones, skeleton.regions).items():
        arrays[f"regions_{view.value}"] = regions
    for number, part in enumerate(simulated.focus_masks):
        mask = np.zeros(simulated.scan.shape, dtype=bool)
        mask[part.window] = part.mask
        arrays[f"focus_{number}"] = mask
    content = {
        "schema_version": FULL_TRUTH_SCHEMA_VERSION,
        "source": "simulator; research use only, no patient was imaged",
        "positive": simulated.truth.positive,
        "occult": simulated.occult,
        "bones": ["none", *skeleton.regions],
        "regions": ["none", *TWELVE_NAMES],
        "foci": [asdict(focus) for focus in simulated.truth.foci],
        "parameters": dict(simulated.parameters),
    }
    return content, arrays
