"""Quantise a model, and measure how far it is from its parent."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bonescint.cohort import read_manifest
from bonescint.dicom import read
from bonescint.extras import load, require
from bonescint.model import (
    Engine,
    Metric,
    ModelFolder,
    RunSettings,
    margin_of,
    require_writable,
    write_model_folder,
)
from bonescint.model.engine import without_telemetry
from bonescint.prepare import Preprocessing, prepare
from bonescint.scan import Case, ParameterError, Split
from bonescint.train.export import INPUT_NAME
from bonescint.train.finalize import software_versions
from bonescint.train.weights import block_names, network_of

if TYPE_CHECKING:
    import onnx

_METHOD = "quantised model against its float32 parent, same scans, OpenVINO"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Agreement:
    """The answers of two models for the same scans.

    Attributes:
        parent_probabilities: float64 (N,), the first model's.
        probabilities: float64 (N,), the second model's.
        map_correlations: float64 (N,), Pearson's correlation of the two maps of disease; NaN where
            one of them is constant.
        labels: bool (N,), the reference standard.
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
        """Median correlation over scans without a constant map; NaN if there is none."""
        valid = self.map_correlations[np.isfinite(self.map_correlations)]
        return float(np.median(valid)) if valid.size else float("nan")

    def metrics(self, measured_on: str) -> tuple[Metric, ...]:
        """Metrics for a model card; those that are undefined are left out."""
        parent, other = self.auc
        errors = np.abs(self.parent_probabilities - self.probabilities)
        values = {
            "roc_auc_score": other,
            "parent_roc_auc_score": parent,
            "parent_map_correlation_score": self.median_map_correlation,
            "parent_probability_error": float(errors.max()) if errors.size else float("nan"),
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
    """Run two models over the same composites, both with the calibration of the second.

    The calibration is not part of the comparison.

    Args:
        parent: the model to compare with.
        other: the model to evaluate.
        composites: float32 arrays (1, rows, columns), as both models take them.
        labels: the reference standard of each.
        threads: number of processor threads, or `None` for all.

    Returns:
        The answers of both.
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


_QUANTISABLE = ("Conv", "Relu", "MaxPool")
_LARGE = 4096  # numbers in a weight from which half the bytes are worth a node


def quantise(
    folder: ModelFolder | Path,
    manifest: Path | str,
    out: Path | str,
    *,
    count: int = 200,
    compare: int = 200,
    seed: int = 1,
) -> ModelFolder:
    """Quantise a model folder, with scans of a cohort to find the ranges of the activations.

    Args:
        folder: a model in float32.
        manifest: a cohort; scans of its training split set the ranges.
        out: the model folder to write.
        count: training scans that set the ranges, half of them positive where possible.
        compare: validation scans on which the two are compared, noted on the card; 0 for
            none.
        seed: seed of the choice of scans.

    Returns:
        The quantised model folder.

    Raises:
        ParameterError: the model is quantised already, or a number is not usable.
        InputError: a scan that cannot be read.
        OutputError: the folder cannot be written.
        MissingExtraError: NNCF or onnx is missing.
    """
    require("nncf", "onnx", extra="train")
    parent = folder if isinstance(folder, ModelFolder) else ModelFolder.load(folder)
    if parent.card.precision != "fp32":
        raise ParameterError("folder", "quantise", "a model in fp32", parent.card.precision)
    if count < 1:
        raise ParameterError("count", "quantise", "at least 1", count)
    require_writable(Path(out))
    cohort = read_manifest(manifest)
    preprocessing = parent.card.preprocessing
    chosen = chosen_cases(cohort.split(Split.TRAIN), count=count, seed=seed)
    composites = [_composite(cohort.path(case), preprocessing) for case in chosen]
    model = load("onnx", extra="train").load(parent.onnx_path)
    data = quantised_onnx(model, composites).SerializeToString()
    card = replace(
        parent.card,
        precision="int8",
        metrics=tuple(
            replace(one, measured_on=f"{one.measured_on} (before quantisation)")
            for one in parent.card.metrics
        ),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software=software_versions(),
    )
    write = partial(
        write_model_folder, out, onnx=data, ood=parent.ood, weights=parent.read_weights()
    )
    written = write(card=card)
    if not compare:
        return written
    cases = chosen_cases(cohort.split(Split.VALIDATION), count=compare, seed=seed)
    agreement = compared(
        parent,
        written,
        (_composite(cohort.path(case), preprocessing) for case in cases),
        labels=[case.positive for case in cases],
    )
    found = agreement.metrics(f"{len(cases)} validation scans")
    return write(card=replace(card, metrics=(*found, *card.metrics)))


def _composite(file: Path, preprocessing: Preprocessing) -> NDArray[np.float32]:
    return prepare(read(file), preprocessing).composite


def chosen_cases(cases: Sequence[Case], *, count: int, seed: int) -> list[Case]:
    """Up to `count` cases at random, half of them positive where there are enough.

    Examples:
        >>> chosen_cases([], count=3, seed=1)
        []
    """
    rng = np.random.default_rng(seed)
    shuffled = [cases[number] for number in rng.permutation(len(cases))]
    positive = [case for case in shuffled if case.positive]
    negative = [case for case in shuffled if not case.positive]
    of_positive = min(len(positive), max(count // 2, count - len(negative)))
    return positive[:of_positive] + negative[: count - of_positive]


def quantised_onnx(
    model: onnx.ModelProto, composites: Sequence[NDArray[np.float32]]
) -> onnx.ModelProto:
    """Quantise the convolutions of an exported graph, but for the first one.

    Args:
        model: what `to_onnx` gave.
        composites: float32 arrays (1, rows, columns) in [0, 1] that set the ranges.

    Returns:
        The same graph with quantised weights stored as int8, other large ones as float16.

    Raises:
        ParameterError: no composite, or a network that this release does not know.
        MissingExtraError: NNCF is missing.
    """
    if not composites:
        raise ParameterError("composites", "quantised_onnx", "at least one", "none")
    in_blocks = len(block_names(network_of(model)))
    with _quiet_nncf() as nncf:
        convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
        # The first one, and those of a head, which judges from what is left of the signal.
        in_float = {*convolutions[:1], *convolutions[in_blocks:]}
        kept = {
            node.name
            for node in model.graph.node
            if node.op_type not in _QUANTISABLE or node.name in in_float
        }
        dataset = nncf.Dataset(list(composites), lambda one: {INPUT_NAME: one[None]})
        quantised: onnx.ModelProto = nncf.quantize(
            model,
            dataset,
            subset_size=len(composites),
            # Not every node that is to stay in float is one that NNCF looks at.
            ignored_scope=nncf.IgnoredScope(names=sorted(kept), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                # Seven bits of weights: processors without VNNI add pairs of products in 16 bits,
                # and full eight would overflow there and give other answers.
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )
    _store_in_half(quantised)
    load("onnx", extra="train").checker.check_model(quantised, full_check=True)
    return quantised


def _store_in_half(model: onnx.ModelProto) -> None:
    """Keep large float32 weights as float16, each widened by a Cast that runtimes fold."""
    onnx = load("onnx", extra="train")
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _LARGE:
            continue
        name = weight.name
        half = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
        weight.CopyFrom(half)
        cast = onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)


@contextmanager
def _quiet_nncf() -> Iterator[Any]:
    """NNCF without telemetry, log lines and progress bars."""
    with without_telemetry(), warnings.catch_warnings():
        # NNCF imports onnx helpers that announce their own replacement.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(nncf|onnx)\b")
        nncf = load("nncf", extra="train")
        logger = logging.getLogger("nncf")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            # Its progress bars cannot be switched off.
            with redirect_stdout(io.StringIO()):
                yield nncf
        finally:
            logger.setLevel(level)
