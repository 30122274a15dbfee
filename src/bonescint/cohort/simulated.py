"""Simulated cohorts on disk: NM DICOM files, truth files, a manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from bonescint import __version__
from bonescint.cohort.manifest import Manifest, write_manifest
from bonescint.cohort.truth_file import write_truth
from bonescint.scan import BonescintError, Case, OutputError, ParameterError, Split

_SPLIT_SHARES = ((Split.TRAIN, 0.70), (Split.VALIDATION, 0.15), (Split.TEST, 0.15))
_ATTEMPTS = 50
_CHUNK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What one worker needs to make one case."""

    number: int
    positive: bool
    split: Split
    seed: int
    out: Path


def _balanced(count: int, seed: int, prevalence: float) -> list[bool]:
    """Labels evenly spread, with the wanted share of positives in every stretch."""
    rng = np.random.default_rng([seed, 1])
    offset = float(rng.random())
    steps = np.floor(np.arange(count + 1) * prevalence + offset)
    return [bool(step) for step in np.diff(steps) > 0]


def _splits(labels: list[bool]) -> list[Split]:
    """Splits interleaved within each class: all have the cohort's prevalence."""
    sizes = np.array([share for _, share in _SPLIT_SHARES])
    given = {True: np.zeros(len(sizes)), False: np.zeros(len(sizes))}
    splits = []
    for label in labels:
        so_far = given[label]
        lacking = sizes * (so_far.sum() + 1) - so_far
        chosen = int(lacking.argmax())
        so_far[chosen] += 1
        splits.append(_SPLIT_SHARES[chosen][0])
    return splits


def _make(order: _Order) -> Case:
    """Simulate one case and write its files, unless they are there already."""
    from bonescint.dicom import read, write_nm
    from bonescint.simulate import draw_anatomy, draw_camera, simulate_scan

    name = f"{order.number:06d}"
    case_file = order.out / "cases" / f"{name}.json"
    if case_file.is_file():
        stored = json.loads(case_file.read_text(encoding="utf-8"))
        return Case(**{**stored, "split": Split(stored["split"])})
    key = hashlib.blake2b(f"{order.seed}/{order.number}".encode(), digest_size=8).hexdigest()
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([order.seed, order.number, attempt])
        anatomy = draw_anatomy(rng)
        simulated = simulate_scan(
            anatomy, draw_camera(rng), rng, positive=order.positive, scan_id=f"sim-{key}"
        )
        # A patient whose every metastasis drowns in noise is neither positive nor negative.
        if not simulated.occult:
            break
    else:
        raise BonescintError(
            f"Case {name}: no visible metastasis in {_ATTEMPTS} patients. Use another seed."
        )
    file, truth = Path("scans") / f"{name}.dcm", Path("truth") / f"{name}.npz"
    write_truth(simulated.truth, order.out / truth)
    write_nm(simulated.scan, order.out / file, compress=True)
    case = Case(
        scan_id=read(order.out / file).scan_id,
        patient_id=f"anatomy-{key}",
        centre="simulated",
        split=order.split,
        positive=order.positive,
        file=file.as_posix(),
        sex=anatomy.patient.sex,
        age=float(round(anatomy.patient.age)),
        primary=simulated.primary,
        truth=truth.as_posix(),
    )
    beside = case_file.with_suffix(".part")
    beside.write_text(json.dumps(asdict(case)), encoding="utf-8")
    beside.replace(case_file)
    return case


def _made(orders: list[_Order], workers: int) -> Iterator[Case]:
    if workers == 1:
        yield from map(_make, orders)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_make, orders, chunksize=_CHUNK)


def simulate_cohort(
    out: Path,
    *,
    count: int,
    seed: int,
    prevalence: float = 0.5,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Simulate a cohort: every scan of another patient, split by patient.

    The folder then holds `scans/*.dcm` (NM Image Storage), `truth/*.npz` (masks and foci),
    `manifest.csv` and `settings.json`. The same seed gives the same bytes, whatever the
    number of workers. Interrupted and started again, it goes on where it stopped.

    Args:
        out: folder to write to.
        count: number of scans.
        seed: of everything that is drawn.
        prevalence: share of scans with metastatic bone disease.
        workers: processes; one a processor if `None`.
        progress: called with (done, count) after every scan.

    Returns:
        The manifest that was written.

    Raises:
        ParameterError: a count below 1, a prevalence outside 0 to 1, no worker.
        OutputError: the folder cannot be written, or holds a cohort of other settings.
        MissingExtraError: the libraries of the extra `simulate` are not installed.
    """
    if count < 1:
        raise ParameterError("count", "simulate_cohort", "at least 1", count)
    if seed < 0:
        raise ParameterError("seed", "simulate_cohort", "at least 0", seed)
    if not 0 <= prevalence <= 1:
        raise ParameterError("prevalence", "simulate_cohort", "from 0 to 1", prevalence)
    if workers is not None and workers < 1:
        raise ParameterError("workers", "simulate_cohort", "at least 1", workers)
    workers = min(workers or os.cpu_count() or 1, count)
    _open_folder(out, seed=seed, prevalence=prevalence)
    labels = _balanced(count, seed, prevalence)
    splits = _splits(labels)
    orders = [
        _Order(number=number, positive=label, split=split, seed=seed, out=out)
        for number, (label, split) in enumerate(zip(labels, splits, strict=True))
    ]
    cases = []
    for case in _made(orders, workers):
        cases.append(case)
        if progress is not None:
            progress(len(cases), count)
    write_manifest(cases, out / "manifest.csv")
    return Manifest(cases=tuple(cases), folder=out)


def _open_folder(out: Path, *, seed: int, prevalence: float) -> None:
    """Make the cohort's folder, or find that it is this very cohort, begun before."""
    from bonescint.simulate.skeleton import reference_skeleton

    settings = {
        "bonescint": __version__,
        "seed": seed,
        "prevalence": prevalence,
        "origin": "simulated scans, research use only",
    }
    reference_skeleton()  # a missing extra is said before anything is written
    try:
        for name in ("scans", "truth", "cases"):
            (out / name).mkdir(parents=True, exist_ok=True)
        settings_file = out / "settings.json"
        wanted = json.dumps(settings, indent=2)
        if settings_file.is_file() and settings_file.read_text(encoding="utf-8") != wanted:
            raise OutputError(
                f"{out}: holds a cohort made with other settings (see settings.json there). "
                "Choose another folder or delete it."
            )
        beside = settings_file.with_suffix(".part")
        beside.write_text(wanted, encoding="utf-8")
        beside.replace(settings_file)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}).") from error
