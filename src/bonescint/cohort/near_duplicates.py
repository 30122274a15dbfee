"""Near-duplicates: the same counts once more, rescaled, shifted, windowed to 8 bits.

Each view is framed on the body, reduced to 96 x 48 cells and band-passed; what all patients have
in common (a fixed basis of 64 images per view, found on simulated scans of other patients) is
projected out. What is left is the patient's own: shape of bones, foci, and noise. The score of
two scans is the correlation of what is left, the mean over the views that both have.

The basis is `near_basis.npz`; `benchmarks/near_duplicates.py` makes and measures it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.prepare.framing import body_extent, resampled
from bonescint.scan import Scan, View

ROWS, COLUMNS = 96, 48
LEAST_SCORE = 0.7
"""Correlation from which two scans are near-duplicates; see `benchmarks/near_duplicates.py`."""

_FINE, _COARSE = 0.7, 3.0
_CLIPPED_AT = 2.5
_BODY_THRESHOLD = 0.12
_ENOUGH_FOR_A_MEAN = 50
_SPREADS = 8.0
_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPair:
    """Two nearly identical scans.

    Attributes:
        first: place of one in the list of scans.
        second: place of the other, after the first.
        score: correlation of what is their own, up to 1.
    """

    first: int
    second: int
    score: float


def detail(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The detail of one view, framed on the body.

    Args:
        image: (rows, columns), at least 0, in any monotone unit.

    Returns:
        float32 (4608,), mean 0, length 1; zeros where the view shows nothing.
    """
    extent = body_extent(image, _BODY_THRESHOLD)
    level = np.sqrt(np.maximum(resampled(image, extent, rows=ROWS, columns=COLUMNS), 0))
    top = float(np.percentile(level, 99))  # hot spots say little and windows cut them off
    level = np.minimum(level, top)
    band = ndimage.gaussian_filter(level, _FINE) - ndimage.gaussian_filter(level, _COARSE)
    band -= band.mean()
    spread = float(band.std())
    if spread <= 1e-6 * top:
        return np.zeros(ROWS * COLUMNS, dtype=np.float32)
    band = np.clip(band / spread, -_CLIPPED_AT, _CLIPPED_AT)
    return _unit((band - band.mean()).ravel().astype(np.float32))


def signature(scan: Scan) -> dict[View, NDArray[np.float32]]:
    """What distinguishes a scan from those of other patients, for each view that is present.

    Args:
        scan: with at least one view.

    Returns:
        float32 (4608,) of length 1 for each view, or zeros where it shows nothing.
    """
    return {view: own_part(detail(image), view) for view, image in scan.images()}


def own_part(found: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """A view's detail minus the components that all patients have in common."""
    mean, basis = _common(view)
    if not found.any():
        return found
    rest = found - mean
    return _unit(np.asarray(rest - (rest @ basis.T) @ basis, dtype=np.float32))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vector / np.float32(np.linalg.norm(vector))).astype(np.float32)


@cache
def _common(view: View) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean (4608,) and orthonormal basis (64, 4608) of what all patients have in common."""
    file = resources.files("bonescint.cohort").joinpath("near_basis.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        stored = archive[f"basis_{view.value}"].astype(np.float32)
        mean = archive[f"mean_{view.value}"].astype(np.float32)
    # Stored in 8 bits: made orthonormal again.
    basis = np.linalg.qr(stored.T)[0].T
    return mean, np.ascontiguousarray(basis, dtype=np.float32)


def near_pairs(
    signatures: Sequence[Mapping[View, NDArray[np.float32]]], *, least: float = LEAST_SCORE
) -> tuple[tuple[NearPair, ...], float]:
    """Find the near-duplicates among scans: all pairs are compared.

    A cohort whose patients are more alike than simulated ones (one camera, one protocol) raises
    the score of every pair. So the mean signature of 50 scans or more is subtracted, and the
    bound never lies below the mean of all pairs' scores plus 8 of their standard deviations
    (from the median and the median absolute deviation).

    Args:
        signatures: signatures of the scans; see `signature`.
        least: score from which a pair counts.

    Returns:
        The pairs, highest score first, and the bound that was used.
    """
    stacked = {view: _stacked(signatures, view) for view in View}
    bound = max(least, _bound(stacked))
    pairs = []
    for start, scores in _score_blocks(stacked):
        above = np.argwhere(scores >= bound)
        pairs += [
            NearPair(first=start + int(i), second=int(j), score=float(scores[i, j]))
            for i, j in above
            if start + i < j
        ]
    return tuple(sorted(pairs, key=lambda pair: -pair.score)), bound


def _stacked(
    signatures: Sequence[Mapping[View, NDArray[np.float32]]], view: View
) -> NDArray[np.float32]:
    """(scans, 4608); a row of zeros where the view is missing."""
    empty = np.zeros(ROWS * COLUMNS, dtype=np.float32)
    whole = np.stack([one.get(view, empty) for one in signatures]) if signatures else empty[None]
    there = whole.any(axis=1)
    if there.sum() >= _ENOUGH_FOR_A_MEAN:
        whole[there] -= whole[there].mean(axis=0)
        whole[there] /= np.maximum(np.linalg.norm(whole[there], axis=1, keepdims=True), 1e-9)
    return whole


def _score_blocks(
    stacked: Mapping[View, NDArray[np.float32]],
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Scores of blocks of scans with all scans: the mean over views that both have."""
    there: dict[View, NDArray[np.float32]] = {
        view: np.asarray(rows.any(axis=1), dtype=np.float32) for view, rows in stacked.items()
    }
    count = len(next(iter(stacked.values())))
    for start in range(0, count, _BLOCK):
        part = slice(start, start + _BLOCK)
        total: NDArray[np.float32] = np.zeros((len(range(count)[part]), count), dtype=np.float32)
        views: NDArray[np.float32] = np.zeros(total.shape, dtype=np.float32)
        for view, rows in stacked.items():
            total += rows[part] @ rows.T
            views += np.outer(there[view][part], there[view])
        yield start, np.asarray(total / np.maximum(views, 1), dtype=np.float32)


def _bound(stacked: Mapping[View, NDArray[np.float32]]) -> float:
    """Where a pair stands out of the cohort's own pairs; 0 for a small cohort."""
    count = len(next(iter(stacked.values())))
    if count < _ENOUGH_FOR_A_MEAN:
        return 0.0
    start, scores = next(_score_blocks(stacked))
    others = scores[~np.eye(len(scores), scores.shape[1], k=start, dtype=bool)]
    middle = float(np.median(others))
    return middle + _SPREADS * 1.4826 * float(np.median(np.abs(others - middle)))
