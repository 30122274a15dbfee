"""How far a quantised model is from its parent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bonescint.model import Engine, Metric, ModelFolder, RunSettings, margin_of

_METHOD = "quantised model against its float32 parent, same scans, OpenVINO"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Agreement:
    """Two models on the same scans.

    Attributes:
        parent_probabilities: float64 (N,).
        probabilities: float64 (N,), of the other one.
        map_correlations: float64 (N,), Pearson's, of the map of the disease; NaN where one
            of the two maps is constant.
        labels: bool (N,).
    """

    parent_probabilities: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    map_correlations: NDArray[np.float64]
    labels: NDArray[np.bool_]

    @property
    def auc(self) -> tuple[float, float]:
        """Area under the ROC curve of the parent and of the other one; NaN for one class."""
        if self.labels.all() or not self.labels.any():
            return float("nan"), float("nan")
        return (
            float(roc_auc_score(self.labels, self.parent_probabilities)),
            float(roc_auc_score(self.labels, self.probabilities)),
        )

    @property
    def median_map_correlation(self) -> float:
        """Median over the scans whose two maps vary; NaN if there is none."""
        valid = self.map_correlations[np.isfinite(self.map_correlations)]
        return float(np.median(valid)) if valid.size else float("nan")

    def metrics(self, measured_on: str) -> tuple[Metric, ...]:
        """Figures for a model card; those that cannot be told are left out."""
        parent, other = self.auc
        values = {
            "roc_auc_score": other,
            "parent_roc_auc_score": parent,
            "parent_map_correlation_score": self.median_map_correlation,
            "parent_probability_error": float(
                np.abs(self.parent_probabilities - self.probabilities).max()
            ),
        }
        return tuple(
            Metric(name=name, value=value, measured_on=measured_on, method=_METHOD)
            for name, value in values.items()
            if np.isfinite(value)
        )


def compared(
    parent: ModelFolder,
    other: ModelFolder,
    composites: Iterable[NDArray[np.float32]],
    *,
    labels: Sequence[bool],
    threads: int | None = None,
) -> Agreement:
    """Run two models over the same composites, both with the calibration of the one judged.

    A calibration of its own is no difference between the graphs.

    Args:
        parent: the one to be compared with.
        other: the one to judge.
        composites: float32 arrays (1, rows, columns), as both models take them.
        labels: the reference standard of each.
        threads: of the processor, or `None` for all.

    Returns:
        What both said.
    """
    said: list[tuple[float, float]] = []
    correlations = []
    calibration = other.card.calibration
    with (
        Engine(parent.onnx_path, _settings(parent, threads)) as first,
        Engine(other.onnx_path, _settings(other, threads)) as second,
    ):
        for composite in composites:
            one, two = first.run(composite), second.run(composite)
            said.append(
                (
                    calibration.probability(margin_of(one.logits)),
                    calibration.probability(margin_of(two.logits)),
                )
            )
            correlations.append(correlation(one.maps[1], two.maps[1]))
    probabilities = np.array(said, dtype=np.float64).reshape(-1, 2)
    return Agreement(
        parent_probabilities=probabilities[:, 0],
        probabilities=probabilities[:, 1],
        map_correlations=np.array(correlations, dtype=np.float64),
        labels=np.array(labels, dtype=bool),
    )


def _settings(folder: ModelFolder, threads: int | None) -> RunSettings:
    return RunSettings(threads=threads, bfloat16=folder.card.precision == "int8")


def correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """Pearson's correlation of two maps; NaN where one is constant.

    Examples:
        >>> ramp = np.arange(4, dtype=np.float32).reshape(2, 2)
        >>> round(correlation(ramp, 2 * ramp + 1), 6)
        1.0
    """
    first = one.astype(np.float64).ravel() - float(one.mean(dtype=np.float64))
    second = two.astype(np.float64).ravel() - float(two.mean(dtype=np.float64))
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / scale if scale > 0 else float("nan")
