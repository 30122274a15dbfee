"""How well near-duplicates are told from scans of other patients.

    python benchmarks/near_duplicates.py fit COHORT [COHORT ...]      # make near_basis.npz
    python benchmarks/near_duplicates.py measure COHORT [--copies N]  # false alarms and finds

`fit` finds what all patients have in common on the scans of simulated cohorts. `measure` takes
another cohort: the scores of all pairs of different patients, and of scans with altered copies of
themselves, each copied scan in a cohort that holds it once more.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import bonescint.cohort.near_duplicates as near
from bonescint.cohort import Manifest, read_manifest
from bonescint.dicom import read
from bonescint.scan import View

COMPONENTS = 64
Array = NDArray[np.float32]


def resized(image: Array, factor: float) -> Array:
    """Another matrix."""
    rows, columns = image.shape
    size = (round(columns * factor), round(rows * factor))
    resample = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize(size, resample), dtype=np.float32)


def eight_bit(image: Array, percentile: float = 99.5) -> Array:
    """Windowed to a percentile of what is not 0, in 256 steps."""
    top = max(float(np.percentile(image[image > 0], percentile)), 1.0)
    return np.floor(np.clip(image / top, 0, 1) * 255).astype(np.float32)


def jpeg(image: Array) -> Array:
    """Through a JPEG file of quality 75."""
    buffer = io.BytesIO()
    Image.fromarray(eight_bit(image).astype(np.uint8)).save(buffer, format="JPEG", quality=75)
    return np.asarray(Image.open(buffer), dtype=np.float32)


def shifted(image: Array, rows: float, columns: float) -> Array:
    """Moved, linearly interpolated."""
    moved = ndimage.shift(image, (rows, columns), order=1)
    return np.asarray(np.maximum(moved, 0), dtype=np.float32)


def turned(image: Array) -> Array:
    """Turned by 2 degrees."""
    return np.asarray(
        np.maximum(ndimage.rotate(image, 2, reshape=False, order=1), 0), dtype=np.float32
    )


def thinned(image: Array) -> Array:
    """Half of the counts."""
    drawn = np.random.default_rng(3).binomial(image.astype(np.int64), 0.5)
    return drawn.astype(np.float32)


COPIES: dict[str, Callable[[Array], Array]] = {
    "unchanged": lambda image: image,
    "8 bits, window at 99.5 %": eight_bit,
    "8 bits, window at the maximum": lambda image: eight_bit(image, 100),
    "half the matrix": lambda image: resized(image, 0.5),
    "0.75 of the matrix": lambda image: resized(image, 0.75),
    "1.3 of the matrix": lambda image: resized(image, 1.3),
    "moved by 7 and 4 pixels": lambda image: shifted(image, 7, 4),
    "moved by 3.4 and 2.6 pixels": lambda image: shifted(image, 3.4, 2.6),
    "JPEG, quality 75": jpeg,
    "half the matrix, moved, 8 bits": lambda image: eight_bit(shifted(resized(image, 0.5), 4, 2)),
    "half of the counts": thinned,
    "square root, 8 bits": lambda image: eight_bit(np.sqrt(image)),
    "margins cut off (30 rows, 12 columns)": lambda image: image[30:-30, 12:-12],
    "turned by 2 degrees": turned,
}


def details(path: Path) -> dict[View, Array]:
    """Detail of each view of a scan."""
    return {view: near.detail(image) for view, image in read(path).images()}


def copies(path: Path) -> dict[str, dict[View, Array]]:
    """Signatures of a scan's altered copies."""
    scan = read(path)
    return {
        name: {
            view: near.own_part(near.detail(np.ascontiguousarray(change(image))), view)
            for view, image in scan.images()
        }
        for name, change in COPIES.items()
    }


def fit(folders: list[Path], workers: int) -> None:
    """Write the basis."""
    files = [file for folder in folders for file in _files(read_manifest(folder))]
    with ProcessPoolExecutor(workers) as pool:
        found = list(pool.map(details, files, chunksize=8))
    arrays: dict[str, NDArray[np.generic]] = {}
    for view in View:
        rows = np.stack([one[view] for one in found if view in one])
        mean = rows.mean(axis=0)
        _, _, basis = np.linalg.svd(rows - mean, full_matrices=False)
        scaled = basis[:COMPONENTS] / np.abs(basis[:COMPONENTS]).max(axis=1, keepdims=True)
        arrays[f"mean_{view.value}"] = mean.astype(np.float16)
        arrays[f"basis_{view.value}"] = np.rint(127 * scaled).astype(np.int8)
    target = Path(near.__file__).with_name("near_basis.npz")
    np.savez_compressed(target, **arrays)  # type: ignore[arg-type]
    print(f"{len(files)} scans, {target.stat().st_size / 1024:.0f} KiB")


def _files(manifest: Manifest) -> list[Path]:
    return [manifest.path(case) for case in manifest.cases]


def measure(folder: Path, count: int, workers: int) -> None:
    """Print false alarms among different patients, and finds among copies."""
    files = _files(read_manifest(folder))
    with ProcessPoolExecutor(workers) as pool:
        found = list(pool.map(details, files, chunksize=8))
        altered = list(pool.map(copies, files[:count], chunksize=2))
    signatures = [{v: near.own_part(d, v) for v, d in one.items()} for one in found]
    pairs, bound = near.near_pairs(signatures)
    stacked = {view: near._stacked(signatures, view) for view in View}
    scores = np.concatenate([s for _, s in near._score_blocks(stacked)])
    others = scores[np.triu_indices(len(files), 1)]
    print(f"{len(files)} scans of different patients, {others.size} pairs; bound {bound:.2f}")
    print(
        f"false alarms: {len(pairs)}; highest score {others.max():.3f}, "
        f"99.99th percentile {np.quantile(others, 0.9999):.3f}, sd {others.std():.3f}"
    )
    print(f"{'copy':<40} {'found':>8} {'5th percentile':>15} {'median':>7}")
    for name in COPIES:
        own = [
            float(np.mean([signatures[n][v] @ one[name][v] for v in one[name]]))
            for n, one in enumerate(altered)
        ]
        share = float(np.mean(np.array(own) >= bound))
        print(f"{name:<40} {share:>8.3f} {np.percentile(own, 5):>15.3f} {np.median(own):>7.3f}")


def main() -> None:
    """Fit or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("fit", "measure"))
    parser.add_argument("cohorts", type=Path, nargs="+")
    parser.add_argument("--copies", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.what == "fit":
        fit(options.cohorts, options.workers)
    else:
        measure(options.cohorts[0], options.copies, options.workers)


if __name__ == "__main__":
    main()
