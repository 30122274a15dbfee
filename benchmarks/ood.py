"""What becomes of input that is no usual bone scan: refused by the reader, or called unlike.

    python benchmarks/ood.py COHORT                        # the shipped model
    python benchmarks/ood.py COHORT --model MODEL --count 100

COHORT must hold simulated scans that the score was not fitted on. Every scan is altered, written
as a file, and read as `bonescint classify` reads it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file
from scipy import ndimage

from bonescint.cohort import Manifest, read_manifest
from bonescint.dicom import read, write_nm
from bonescint.model import (
    ModelFolder,
    features_of,
    shipped_model,
)
from bonescint.prepare import prepare
from bonescint.scan import BonescintError, Scan, View

Array = NDArray[np.float32]
Change = Callable[[Array], Array]
ROWS, COLUMNS = 1024, 256


def turned(degrees: float) -> Change:
    """Turned about its middle, in its own matrix."""
    return lambda image: ndimage.rotate(image, degrees, reshape=False, order=1)


def thinned(share: float) -> Change:
    """Only a share of the counts."""
    rng = np.random.default_rng(5)
    return lambda image: rng.binomial(image.astype(np.int64), share).astype(np.float32)


def part(top: float, bottom: float) -> Change:
    """Rows between two shares of the height."""
    return lambda image: image[int(top * len(image)) : int(bottom * len(image))]


def padded(change: Change) -> Change:
    """Put into a whole-body matrix, at its middle."""

    def place(image: Array) -> Array:
        small = change(image)[:ROWS, :COLUMNS]
        whole = np.zeros((ROWS, COLUMNS), dtype=np.float32)
        top, left = (ROWS - small.shape[0]) // 2, (COLUMNS - small.shape[1]) // 2
        whole[top : top + small.shape[0], left : left + small.shape[1]] = small
        return whole

    return place


def noise(image: Array) -> Array:
    """As many counts, anywhere."""
    return np.random.default_rng(7).poisson(image.mean(), image.shape).astype(np.float32)


def square(image: Array) -> Array:
    """A static view of the chest: as many rows as columns."""
    return image[180 : 180 + image.shape[1]]


def ct_slice() -> Array:
    """The CT slice that pydicom ships, above air."""
    import pydicom

    pixels = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False)).pixel_array
    return np.maximum(pixels.astype(np.float32) - pixels.min(), 0)


def ct_in_whole_body_matrix(_: Array) -> Array:
    """A CT slice stretched to a whole-body matrix."""
    picture = Image.fromarray(ct_slice()).resize((COLUMNS, ROWS), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.float32)


INPUTS: dict[str, Change] = {
    "as acquired": lambda image: image,
    "a fifth of the counts": thinned(0.2),
    "moved by 30 rows": lambda image: ndimage.shift(image, (30, 0), order=0),
    "static view of the chest, 256 x 256": square,
    "the same in a whole-body matrix": padded(square),
    "CT slice in a whole-body matrix": ct_in_whole_body_matrix,
    "turned by 5 degrees": turned(5),
    "turned by 10 degrees": turned(10),
    "turned by 20 degrees": turned(20),
    "turned by 90 degrees": lambda image: np.rot90(image),
    "the same in a whole-body matrix, cut": padded(lambda image: np.rot90(image[300:556])),
    "upside down": lambda image: image[::-1],
    "turned by 180 degrees": lambda image: image[::-1, ::-1],
    "mirrored left to right": lambda image: image[:, ::-1],
    "blank": np.zeros_like,
    "noise only": noise,
    "grey values inverted": lambda image: image.max() - image,
    "3 % of the counts": thinned(0.03),
    "1 % of the counts": thinned(0.01),
    "0.1 % of the counts": thinned(0.001),
    "without lower legs": part(0, 0.78),
    "upper half": part(0, 0.5),
    "lower half": part(0.5, 1),
    "left half": lambda image: image[:, : image.shape[1] // 2],
    "blurred (6 pixels)": lambda image: ndimage.gaussian_filter(image, 6),
}


def altered(scan: Scan, change: Change) -> Scan:
    """A scan with both views changed."""
    images = {
        view.value: np.rint(np.maximum(np.ascontiguousarray(change(image)), 0))
        for view, image in scan.images()
    }
    return replace(scan, anterior=images.get("anterior"), posterior=images.get("posterior"))


def picture_pair(scan: Scan, folder: Path) -> Path:
    """Both views as 8-bit PNG files."""
    place = folder / scan.scan_id
    place.mkdir(exist_ok=True)
    for view, image in scan.images():
        top = float(np.percentile(image[image > 0], 99.5))
        grey = np.clip(image / top, 0, 1) * 255
        Image.fromarray(grey.astype(np.uint8)).save(place / f"{view.value}.png")
    return place


def one_jpeg(scan: Scan, folder: Path) -> Path:
    """AP | PA in one JPEG file of half the matrix."""
    halves = []
    for _, image in scan.images():
        top = float(np.percentile(image[image > 0], 99.5))
        grey = Image.fromarray((np.clip(image / top, 0, 1) * 255).astype(np.uint8))
        halves.append(np.asarray(grey.resize((image.shape[1] // 2, image.shape[0] // 2))))
    path = folder / f"{scan.scan_id}.jpg"
    Image.fromarray(np.hstack(halves)).save(path, quality=85)
    return path


def written(change: Change) -> Callable[[Scan, Path], Path]:
    """As an NM file."""

    def write(scan: Scan, folder: Path) -> Path:
        path = folder / f"{scan.scan_id}.dcm"
        write_nm(altered(scan, change), path)
        return path

    return write


def swapped(scan: Scan, folder: Path) -> Path:
    """Anterior called posterior, and the other way round."""
    path = folder / f"{scan.scan_id}.dcm"
    write_nm(replace(scan, anterior=scan.posterior, posterior=scan.anterior), path)
    return path


def one_view(view: View) -> Callable[[Scan, Path], Path]:
    """The other view missing."""

    def write(scan: Scan, folder: Path) -> Path:
        path = folder / f"{scan.scan_id}.dcm"
        write_nm(replace(scan, **{view.opposite.value: None}), path)
        return path

    return write


KINDS: dict[str, Callable[[Scan, Path], Path]] = {
    **{name: written(change) for name, change in INPUTS.items()},
    "views swapped": swapped,
    "anterior view only": one_view(View.ANTERIOR),
    "posterior view only": one_view(View.POSTERIOR),
    "8-bit PNG pair": picture_pair,
    "AP | PA in one JPEG, half the matrix": one_jpeg,
}


def try_all(folder: ModelFolder, cohort: Path, count: int) -> None:
    """Print the table."""
    detector = folder.ood
    if detector is None:
        raise SystemExit(f"{folder.path} has no models/ood.npz: fit it first.")
    manifest = read_manifest(cohort)
    scans = [read(manifest.path(case)) for case in manifest.cases[:count]]
    scans = [scan for scan in scans if len(scan.views) == 2 and scan.shape == (ROWS, COLUMNS)]
    print(
        f"{folder.model_id}: threshold {detector.threshold:.2f} for a false-alarm rate of "
        f"{detector.false_alarm_rate:.3g}, set on {detector.scans} scans"
    )
    print(f"{len(scans)} scans\n{'input':<40} {'refused':>8} {'unlike':>8} {'neither':>8} score")
    for name, write in KINDS.items():
        refused, scores = 0, []
        with tempfile.TemporaryDirectory() as place:
            for scan in scans:
                try:
                    again = read(write(scan, Path(place)))
                    scores.append(
                        detector.score(features_of(prepare(again, folder.card.preprocessing)))
                    )
                except BonescintError:
                    refused += 1
        unlike = sum(score > detector.threshold for score in scores)
        rest = len(scans) - refused - unlike
        middle = f"{np.median(scores):.1f}" if scores else "-"
        shares = [f"{100 * number / len(scans):>6.0f} %" for number in (refused, unlike, rest)]
        print(f"{name:<40} {' '.join(shares)} {middle:>5}", flush=True)
    every(manifest, folder)
    shipped_files(folder)


def every(manifest: Manifest, folder: ModelFolder) -> None:
    """False alarms on all scans of the cohort, and what the score costs."""
    detector = folder.ood
    scores, spent = [], 0.0
    for case in manifest.cases:
        prepared = prepare(read(manifest.path(case)), folder.card.preprocessing)
        began = time.process_time()
        found = features_of(prepared)
        scores.append(detector.score(found) if detector else 0.0)
        spent += time.process_time() - began
    alarms = sum(score > detector.threshold for score in scores) if detector else 0
    print(
        f"\nfalse alarms on all {len(scores)} scans as acquired: {alarms} "
        f"({100 * alarms / len(scores):.2f} %); {1000 * spent / len(scores):.1f} ms a scan"
    )


def shipped_files(folder: ModelFolder) -> None:
    """Real files that packages ship."""
    from bonescint.classify import demo_sources

    for name in ("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "JPGExtended.dcm"):
        print(f"{name}: {_judged(Path(str(get_testdata_file(name, download=False))), folder)}")
    for path in demo_sources():
        print(f"{path.name}: {_judged(path, folder)}")


def _judged(path: Path, folder: ModelFolder) -> str:
    try:
        scan = read(path)
    except BonescintError as error:
        return f"refused: {getattr(error, 'problem', error)}"
    detector = folder.ood
    features = features_of(prepare(scan, folder.card.preprocessing))
    score = detector.score(features) if detector else float("nan")
    return f"score {score:.1f}; {(detector and detector.warning(features)) or 'no warning'}"


def main() -> None:
    """Try, or fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    folder = shipped_model() if options.model is None else ModelFolder.load(options.model)
    try_all(folder, options.cohort, options.count)


if __name__ == "__main__":
    main()
