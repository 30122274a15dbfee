"""How a model reads the same simulated scans as other archives would keep them.

    python benchmarks/archives.py --cohort cohorts/unseen/test.csv --limit 200

Each way writes files and reads them back, as a user's would be: 8-bit pictures, inverted JPEG with
both views, cropped to the body without the lower legs, a fifth of the counts, one view.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

from bonescint.cohort import read_manifest
from bonescint.dicom import HeaderStyle, read, write_nm
from bonescint.model import Classifier, ModelFolder, shipped_model
from bonescint.scan import InputError, Scan

_Kept = Callable[[Scan, Path, np.random.Generator], list[Path]]


def grey(image: NDArray[np.float32], white_percentile: float) -> NDArray[np.uint8]:
    """8 bits, windowed at a percentile of what is above 0."""
    white = np.percentile(image[image > 0], white_percentile)
    return np.rint(255 * np.clip(image / white, 0, 1)).astype(np.uint8)


def as_acquired(scan: Scan, folder: Path, rng: np.random.Generator) -> list[Path]:
    """NM DICOM, counts."""
    file = folder / "scan.dcm"
    write_nm(scan, file, style=HeaderStyle.SIEMENS)
    return [file]


def as_png_pair(scan: Scan, folder: Path, rng: np.random.Generator) -> list[Path]:
    """Two 8-bit PNG, each with a window of its own."""
    files = []
    for view, image in scan.images():
        files.append(folder / f"scan_{view.value}.png")
        Image.fromarray(grey(image, rng.uniform(98.5, 99.95))).save(files[-1])
    return files


def as_inverted_jpeg(scan: Scan, folder: Path, rng: np.random.Generator) -> list[Path]:
    """One JPEG, anterior left and posterior right, dark on white, half the matrix."""
    both = np.concatenate([grey(image, 99.7) for _, image in scan.images()], axis=1)
    picture = Image.fromarray(255 - both)
    file = folder / "scan.jpg"
    picture.resize((both.shape[1] // 2, both.shape[0] // 2)).save(file, quality=85)
    return [file]


def cropped(scan: Scan, folder: Path, rng: np.random.Generator) -> list[Path]:
    """Two 8-bit PNG cut close to the body, without the lower legs."""
    files = []
    for view, image in scan.images():
        seen = image > 0.02 * np.percentile(image[image > 0], 99)
        rows, columns = np.flatnonzero(seen.sum(1) > 5), np.flatnonzero(seen.sum(0) > 5)
        bottom = rows[0] + int(0.72 * (rows[-1] - rows[0]))
        part = image[rows[0] : bottom, max(0, columns[0] - 3) : columns[-1] + 4]
        files.append(folder / f"scan_{view.value}.png")
        Image.fromarray(grey(part, 99.7)).save(files[-1])
    size = Image.open(files[0]).size
    Image.open(files[1]).resize(size).save(files[1])
    return files


def thinned(scan: Scan, folder: Path, rng: np.random.Generator) -> list[Path]:
    """NM DICOM with a fifth of the photons."""
    few = {
        view.value: rng.binomial(np.asarray(image).astype(np.int64), 0.2)
        for view, image in scan.images()
    }
    return as_acquired(replace(scan, **few), folder, rng)


def posterior_only(scan: Scan, folder: Path, rng: np.random.Generator) -> list[Path]:
    """NM DICOM, one view."""
    return as_acquired(replace(scan, anterior=None), folder, rng)


WAYS: dict[str, _Kept] = {
    "NM DICOM, counts": as_acquired,
    "8-bit PNG pair, own windows": as_png_pair,
    "inverted JPEG AP|PA, half matrix": as_inverted_jpeg,
    "8-bit PNG, cropped, lower legs cut": cropped,
    "a fifth of the counts": thinned,
    "posterior view only": posterior_only,
}


def main() -> None:
    """Write, read, classify, print."""
    parser = argparse.ArgumentParser(description="The same scans as other archives keep them.")
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=None, help="the shipped model if not given")
    parser.add_argument("--limit", type=int, default=200)
    options = parser.parse_args()
    model = ModelFolder.load(options.model) if options.model else shipped_model()
    cohort = read_manifest(options.cohort)
    cases = list(cohort.cases)[: options.limit]
    print(f"{model.model_id}, {len(cases)} scans")
    print(f"{'kept as':36}{'AUC':>7}{'sens.':>7}{'spec.':>7}{'refused':>9}")
    with Classifier(model) as classifier:
        for name, kept in WAYS.items():
            rng = np.random.default_rng(1)
            labels, probabilities, refused = [], [], 0
            for case in cases:
                with tempfile.TemporaryDirectory() as folder:
                    files = kept(read(cohort.path(case)), Path(folder), rng)
                    try:
                        scan = read(files)
                    except InputError as error:
                        refused += 1
                        print(f"  {error}")
                        continue
                labels.append(case.positive)
                probabilities.append(classifier.predict(scan).mbd_probability)
            called = np.array(probabilities) >= model.card.operating_point
            positive = np.array(labels, dtype=bool)
            print(
                f"{name:36}{roc_auc_score(labels, probabilities):7.3f}"
                f"{called[positive].mean():7.2f}{(~called)[~positive].mean():7.2f}{refused:9d}",
                flush=True,
            )


if __name__ == "__main__":
    main()
