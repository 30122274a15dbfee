"""How unlike the training cohort an input is, with a stated false-alarm rate.

A network gives an answer for any input. This score is computed from the prepared composite alone,
without the network, for each view:

- the view reduced to 32 x 16 cells: its distance inside the space of the cohort's first
  principal components (Hotelling's T squared), and its distance from that space (Q, the residual;
  Jackson and Mudholkar, Technometrics 1979;21:341);
- the noise in three octaves, the share of filled and of saturated pixels, the mean level.

These figures, as logarithms, are compared with those of scans that were not used to find the
components: the score is their Mahalanobis distance, for the worse view. The threshold is the
split-conformal quantile of those scans' scores (Vovk et al. 2005; Lei et al., JASA 2018;113:1094):
a new scan like them exceeds it with a probability of at most the stated rate.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bonescint.prepare import PreparedScan
from bonescint.scan import ModelFolderError, ParameterError, View

FALSE_ALARM_RATE = 0.01
"""Default share of scans like the training cohort that are found unlike it."""

_FORMAT = 1
_ROWS, _COLUMNS = 32, 16
_COMPONENTS = 24
LEAST_SCANS = 20
_FLOOR = 1e-6
_SATURATED = 0.999
_FILLED = 0.02
_SHRINKAGE = 0.05
FIGURES = (
    "distance within the usual appearances",
    "distance from the usual appearances",
    "noise at 1/128 of the height",
    "noise at 1/64 of the height",
    "noise at 1/32 of the height",
    "filled part of the frame",
    "saturated part of the frame",
    "mean level",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewFeatures:
    """The features of one view.

    Attributes:
        cells: float32 (512,), means of 32 x 16 cells.
        figures: float32 (6,), logarithms of the noise in three octaves, of the filled and the
            saturated share of pixels, and of the mean level.
    """

    cells: NDArray[np.float32]
    figures: NDArray[np.float32]


OodFeatures = Mapping[View, ViewFeatures]


def features_of(prepared: PreparedScan) -> dict[View, ViewFeatures]:
    """The features of a prepared scan, for each view that is present.

    Args:
        prepared: composite (1, rows, columns) in [0, 1].
    """
    return {view: _view_features(half) for view, half in _halves(prepared).items()}


def _halves(prepared: PreparedScan) -> dict[View, NDArray[np.float32]]:
    return prepared.halves(prepared.composite[0])


def _means(image: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Means of equal cells; remaining rows and columns at the end are ignored."""
    high, wide = image.shape[0] // rows, image.shape[1] // columns
    if high == 0 or wide == 0:  # a small composite: each pixel covers several cells
        grown = image.repeat(-(-rows // image.shape[0]), axis=0)
        return _means(grown.repeat(-(-columns // image.shape[1]), axis=1), rows, columns)
    cells = image[: rows * high, : columns * wide].reshape(rows, high, columns, wide)
    return np.asarray(cells.mean(axis=(1, 3)), dtype=np.float32)


def _view_features(half: NDArray[np.float32]) -> ViewFeatures:
    fine = _means(half, 4 * _ROWS, 4 * _COLUMNS)
    noise = []
    level = fine
    for _ in range(3):
        rows, columns = level.shape
        coarser = _means(level, rows // 2, columns // 2)
        detail = level - coarser.repeat(2, axis=0).repeat(2, axis=1)
        noise.append(math.log(float(np.mean(detail**2)) + _FLOOR))
        level = coarser
    filled = math.log(float(np.mean(fine > _FILLED)) + 1e-3)
    saturated = math.log(float(np.mean(half >= _SATURATED)) + 1e-4)
    mean = math.log(float(np.mean(half)) + 1e-3)
    return ViewFeatures(
        cells=_means(half, _ROWS, _COLUMNS).ravel(),
        figures=np.array([*noise, filled, saturated, mean], dtype=np.float32),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewDistribution:
    """The distribution of the features of one view in a cohort.

    Attributes:
        mean: float32 (512,), mean of the cells.
        basis: float32 (components, 512), orthonormal principal components.
        spread: float32 (components,), standard deviation along each component.
        centre: float64 (8,), median of the figures.
        whitening: float64 (8, 8), matrix that whitens the figures' differences from the centre.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    spread: NDArray[np.float32]
    centre: NDArray[np.float64]
    whitening: NDArray[np.float64]

    def figures(self, features: ViewFeatures) -> NDArray[np.float64]:
        """All 8 figures of a view, as `FIGURES` names them."""
        return _figures(features, self.mean, self.basis, self.spread)

    def distance(self, features: ViewFeatures) -> float:
        """Mahalanobis distance of a view's figures."""
        return float(np.linalg.norm(self.whitening @ (self.figures(features) - self.centre)))

    def strangest(self, features: ViewFeatures) -> str:
        """The single figure that differs most from the cohort's."""
        spread = 1 / np.maximum(np.abs(np.diag(self.whitening)), 1e-12)
        away = np.abs(self.figures(features) - self.centre) / spread
        return FIGURES[int(np.argmax(away))]


def _figures(
    features: ViewFeatures,
    mean: NDArray[np.float32],
    basis: NDArray[np.float32],
    spread: NDArray[np.float32],
) -> NDArray[np.float64]:
    rest = features.cells - mean
    along = basis @ rest
    within = math.log(float(np.mean((along / spread) ** 2)) + _FLOOR)
    beyond = math.log(float(np.mean((rest - along @ basis) ** 2)) + 1e-9)
    return np.array([within, beyond, *features.figures], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OodDetector:
    """Scores how unlike the training scans an input is; fitted for each model.

    Attributes:
        views: the distribution of each view.
        threshold: score above which an input is unlike the cohort.
        false_alarm_rate: largest expected share of scans like the validation scans that exceed
            the threshold.
        scans: number of scans from which the threshold was derived.
        preprocessing: identifier of the scans' preprocessing.
    """

    views: Mapping[View, ViewDistribution]
    threshold: float
    false_alarm_rate: float
    scans: int
    preprocessing: str

    def score(self, features: OodFeatures) -> float:
        """The out-of-distribution score of an input: the distance of its worse view, at least 0.

        It is infinite for a view that no scan of the cohort had.
        """
        distances = [
            self.views[view].distance(found) if view in self.views else math.inf
            for view, found in features.items()
        ]
        return max(distances)

    def warning(self, features: OodFeatures) -> str | None:
        """A warning about an input that is unlike the cohort, else `None`."""
        score = self.score(features)
        if not score > self.threshold:
            return None
        known = [view for view in features if view in self.views]
        if not known:
            return "unlike the training scans: none of them had this view"
        worst = max(known, key=lambda view: self.views[view].distance(features[view]))
        return (
            f"unlike the training scans: score {score:.1f}, above the "
            f"{_ordinal(100 * (1 - self.false_alarm_rate))} percentile of the reference scans "
            f"({self.threshold:.1f}); it differs most in the {worst.value} view: "
            f"{self.views[worst].strangest(features[worst])}"
        )

    def to_bytes(self) -> bytes:
        """An NPZ file's content."""
        arrays: dict[str, NDArray[np.generic]] = {
            "format": np.array(_FORMAT),
            "threshold": np.array(self.threshold),
            "false_alarm_rate": np.array(self.false_alarm_rate),
            "scans": np.array(self.scans),
            "recipe": np.array(self.preprocessing),
        }
        for view, one in self.views.items():
            for name in ("mean", "basis", "spread", "centre", "whitening"):
                arrays[f"{view.value}_{name}"] = getattr(one, name)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, *, source: str = "ood.npz") -> OodDetector:
        """Read what `to_bytes` gave.

        Raises:
            ModelFolderError: damaged, or of another format.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                if int(archive["format"]) != _FORMAT:
                    raise ModelFolderError(
                        f"{source}: written by another release of bonescint. Update bonescint."
                    )
                views = {
                    view: ViewDistribution(
                        **{
                            name: archive[f"{view.value}_{name}"]
                            for name in ("mean", "basis", "spread", "centre", "whitening")
                        }
                    )
                    for view in View
                    if f"{view.value}_mean" in archive
                }
                return cls(
                    views=views,
                    threshold=float(archive["threshold"]),
                    false_alarm_rate=float(archive["false_alarm_rate"]),
                    scans=int(archive["scans"]),
                    preprocessing=str(archive["recipe"]),
                )
        except (KeyError, ValueError, OSError, EOFError, BadZipFile) as error:
            raise ModelFolderError(
                f"{source}: cannot be read ({type(error).__name__}). Train or download the model "
                "again."
            ) from error


def _ordinal(number: float) -> str:
    """An ordinal number.

    Examples:
        >>> _ordinal(99.0), _ordinal(92.0), _ordinal(96.43)
        ('99th', '92nd', '96.4th')
    """
    text = f"{number:.3g}"
    return text + {"1": "st", "2": "nd", "3": "rd"}.get(text[-1] if "." not in text else "", "th")


def fit_ood_detector(
    training: Iterable[OodFeatures],
    validation: Iterable[OodFeatures],
    *,
    preprocessing: str,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> OodDetector:
    """Fit a detector to a cohort.

    The components are fitted to two thirds of the training scans, the spread of the figures to the
    last third, and the threshold to the validation scans, so that the stated rate holds for scans
    that were not used. With n validation scans the rate cannot be lower than 1 / (n + 1).

    Args:
        training: features of scans that the network learnt from.
        validation: features of other scans of the same kind.
        preprocessing: identifier of the preprocessing that prepared them.
        false_alarm_rate: wanted share of scans like these that are found unlike.

    Returns:
        The fitted detector.

    Raises:
        ParameterError: fewer than 60 training or 20 validation scans, or a rate outside (0, 1).
    """
    if not 0 < false_alarm_rate < 1:
        raise ParameterError("false_alarm_rate", "fit_ood_detector", "in (0, 1)", false_alarm_rate)
    learnt, held_out = list(training), list(validation)
    for name, scans, least in (
        ("training", learnt, 3 * LEAST_SCANS),
        ("validation", held_out, LEAST_SCANS),
    ):
        if len(scans) < least:
            raise ParameterError(name, "fit_ood_detector", f"at least {least} scans", len(scans))
    views: dict[View, ViewDistribution] = {}
    for view in View:
        there = [one[view] for one in learnt if view in one]
        others = there[::3]
        cells = np.array([one.cells for place, one in enumerate(there) if place % 3])
        if len(others) >= LEAST_SCANS:
            views[view] = _fitted_view(cells, others)
    if not views:
        raise ParameterError("training", "fit_ood_detector", "scans with a view", "none")
    whole = OodDetector(
        views=views,
        threshold=math.inf,
        false_alarm_rate=false_alarm_rate,
        scans=len(held_out),
        preprocessing=preprocessing,
    )
    threshold, rate = _limit([whole.score(one) for one in held_out], false_alarm_rate)
    return replace(whole, threshold=threshold, false_alarm_rate=rate)


def adapted_to(detector: OodDetector, normals: Sequence[OodFeatures]) -> OodDetector:
    """A model's detector for the scans of a hospital, from normal scans of that hospital.

    The centre becomes the median of each figure over half of the scans. The spread remains that of
    the training cohort, which includes disease, unlike the normal scans. The threshold is the
    split-conformal quantile of the other half, or the former threshold if that is higher. With
    fewer than 20 scans, half of which are too few for a centre, only the threshold changes.

    Args:
        detector: the model's detector.
        normals: features of local scans, one of each patient, after the model's preprocessing.

    Returns:
        The detector, with the number of scans from which the threshold was derived and the false
        alarm rate that this number can guarantee.

    Raises:
        ParameterError: no scan.
    """
    if not normals:
        raise ParameterError("normals", "adapted_to", "at least one scan", "none")
    few = len(normals) < LEAST_SCANS
    around, held_out = ([], list(normals)) if few else (normals[::2], list(normals[1::2]))
    views = dict(detector.views)
    for view, one in detector.views.items():
        there = [features[view] for features in around if view in features]
        if there:
            centre = np.median([one.figures(features) for features in there], axis=0)
            views[view] = replace(one, centre=centre)
    moved = replace(detector, views=views)
    threshold, rate = _limit([moved.score(one) for one in held_out], detector.false_alarm_rate)
    return replace(
        moved,
        threshold=max(threshold, detector.threshold),
        false_alarm_rate=rate,
        scans=len(held_out),
    )


def _limit(scores: Sequence[float], rate: float) -> tuple[float, float]:
    """The split-conformal limit of scores, and the false alarm rate that it guarantees."""
    ordered = np.sort(scores)
    rank = math.ceil((1 - rate) * (len(ordered) + 1))
    return float(ordered[min(rank, len(ordered)) - 1]), max(rate, 1 / (len(ordered) + 1))


def _fitted_view(cells: NDArray[np.float32], others: Sequence[ViewFeatures]) -> ViewDistribution:
    mean = cells.mean(axis=0)
    count = min(_COMPONENTS, len(cells) // 2)
    _, lengths, basis = np.linalg.svd(cells - mean, full_matrices=False)
    spread = np.maximum(lengths[:count] / math.sqrt(len(cells) - 1), _FLOOR)
    basis = np.ascontiguousarray(basis[:count])
    figures = np.array([_figures(one, mean, basis, spread) for one in others])
    centre = np.median(figures, axis=0)
    covariance = np.cov(figures - centre, rowvar=False)
    # Shrink towards the diagonal: with few scans some directions have no spread at all.
    shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.diag(np.diag(covariance))
    shrunk += 1e-4 * np.eye(len(centre))
    values, vectors = np.linalg.eigh(shrunk)
    whitening = (vectors / np.sqrt(values)).T
    return ViewDistribution(
        mean=mean.astype(np.float32),
        basis=basis.astype(np.float32),
        spread=spread.astype(np.float32),
        centre=centre,
        whitening=whitening,
    )
