"""Simulated scans with a known Bone Scan Index, analysed up to the foci and stored.

    python benchmarks/known_scans.py FOLDER train --count 500

If interrupted, rerun to resume. The sets, whose patients differ:

- train: for the network (benchmarks/diseased_bone.py), with and without benign uptake.
- various: the same mixture, for the calibration of the interval and its coverage.
- spread, levels: the experiment of Anand et al. 2016, without benign uptake.
- hard: patients with benign uptake, as in earlier versions of the experiment.
"""

from __future__ import annotations

import argparse
import gzip
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from known_patients import KnownPatient, known_patient, patient_with_index

from bonescint.classify.classify import model_folder
from bonescint.model import Classifier
from bonescint.quantify import BodyRegions, MatchedFocus, body_regions
from bonescint.quantify.foci import matched_foci
from bonescint.scan import Prediction, Scan

SETS = {"train": 10, "various": 20, "spread": 30, "levels": 40, "hard": 0}
"""The sets, with what tells their seeds apart."""
COUNTS = (1.5e6, 1.0e6, 0.5e6, 0.2e6)
LEVELS = (0.5, 1.0, 3.0, 5.0, 10.0)
SPREAD = (0.1, 13.0)


class KnownScan(NamedTuple):
    """A scan up to its foci, and the truth of its patient.

    Attributes:
        name: of its file.
        patient: number within its set.
        counts: expected in the posterior view.
        repeat: 1 for a second scan with the same counts.
        benign: whether there is benign uptake.
        level: index that was asked for, or `None`.
        true: index with the masses of Spiers.
        diseased: share of each bone.
        of_samples: share around each sample of the atlas.
        scan, prediction, body, foci: as `quantify_scan` has them.
    """

    name: str
    patient: int
    counts: float
    repeat: int
    benign: bool
    level: float | None
    true: float
    diseased: np.ndarray
    of_samples: np.ndarray
    scan: Scan
    prediction: Prediction
    body: BodyRegions
    foci: tuple[MatchedFocus, ...]


def patient_of(what: str, number: int) -> tuple[KnownPatient, bool, float | None]:
    """A patient of a set, whether there is benign uptake, and the index that was asked for."""
    seed = 1_000_000 * SETS[what] + number
    rng = np.random.default_rng([seed, 79])
    if what == "hard":
        rng = np.random.default_rng([1, number])
        lesions = int(np.exp(rng.uniform(0, np.log(46))))
        return known_patient(1000 + number, lesions, float(rng.uniform(11, 24))), True, None
    if what == "levels":
        level = LEVELS[number % len(LEVELS)]
        return patient_with_index(level, seed, benign=False), False, level
    if what == "spread":
        share = (number + rng.random()) / 50
        level = SPREAD[0] * (SPREAD[1] / SPREAD[0]) ** share
        return patient_with_index(level, seed, benign=False), False, level
    benign, kind = bool(rng.random() < 0.6), rng.random()
    if kind < 0.15:
        return patient_with_index(0, seed, benign=benign, camera=""), benign, 0.0
    if kind < 0.8:
        level = float(np.exp(rng.uniform(np.log(0.04), np.log(14))))
        return patient_with_index(level, seed, benign=benign, camera=""), benign, level
    lesions = int(np.exp(rng.uniform(0, np.log(46)))) if kind < 0.95 else int(rng.integers(60, 130))
    return known_patient(seed, lesions, float(rng.uniform(11, 24))), True, None


def acquisitions(what: str, rng: np.random.Generator) -> list[tuple[float, int]]:
    """Counts and repeats of a patient's scans."""
    if what == "spread":
        return [(COUNTS[0], 0), (COUNTS[0], 1), *((counts, 0) for counts in COUNTS[1:])]
    if what == "hard":
        return [(COUNTS[0], 0), (COUNTS[-1], 0)]
    if what == "levels":
        return [(COUNTS[0], 0)]
    return [(float(np.exp(rng.uniform(np.log(2e5), np.log(2e6)))), 0)]


def write(folder: Path, what: str, first: int, count: int) -> None:
    """Simulate and analyse what is missing of a set."""
    folder.mkdir(parents=True, exist_ok=True)
    began, made = time.process_time(), 0
    with Classifier(model_folder(None), threads=1) as model:
        for number in range(first, first + count):
            rng = np.random.default_rng([1_000_000 * SETS[what] + number, 80])
            wanted = acquisitions(what, rng)
            files = [folder / f"{what}-{number:04d}-{place}.gz" for place in range(len(wanted))]
            if all(file.exists() for file in files):
                continue
            patient, benign, level = patient_of(what, number)
            for file, (counts, repeat) in zip(files, wanted, strict=True):
                scan = patient.scan_of(counts, rng)
                prediction = model.predict(scan)
                body = body_regions(scan)
                foci = matched_foci(scan, prediction, body)
                stored = KnownScan(
                    name=file.stem,
                    patient=number,
                    counts=counts,
                    repeat=repeat,
                    benign=benign,
                    level=level,
                    true=patient.index,
                    diseased=patient.diseased,
                    of_samples=patient.of_samples.astype(np.float16),
                    scan=scan,
                    prediction=prediction,
                    body=body,
                    foci=foci,
                )
                with gzip.open(file.with_suffix(".part"), "wb", compresslevel=1) as stream:
                    pickle.dump(_small(stored), stream)
                file.with_suffix(".part").rename(file)
                made += 1
            if number % 10 == 9:
                seconds = (time.process_time() - began) / max(made, 1)
                print(f"{what} {number + 1}: {seconds:.2f} s of CPU per scan", flush=True)


def _small(of: KnownScan) -> dict[str, Any]:
    """What is pickled: counts as whole numbers."""
    content = of._asdict()
    scan = content.pop("scan")
    content["images"] = {view.value: image.astype(np.uint16) for view, image in scan.images()}
    content["blank"] = scan.with_views(
        step="stored", **{view.value: np.zeros((1, 1), np.float32) for view in scan.views}
    )
    return content


def stored(folder: Path, what: str, most: int | None = None) -> Iterator[KnownScan]:
    """The first stored scans of a set, in order."""
    for file in sorted(folder.glob(f"{what}-*.gz"))[:most]:
        with gzip.open(file) as stream:
            content = pickle.load(stream)  # noqa: S301 - written by this program
        images = {name: image.astype(np.float32) for name, image in content.pop("images").items()}
        scan = content.pop("blank").with_views(step="read", **images)
        yield KnownScan(scan=scan, **content)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("what", choices=SETS)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=50)
    given = parser.parse_args()
    write(given.folder, given.what, given.first, given.count)


if __name__ == "__main__":
    main()
