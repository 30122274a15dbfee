"""Compare a quantised model with its float32 parent: AUC, maps, size, seconds a scan.

    python benchmarks/quantise.py --fp32 DIR --int8 DIR --cohort manifest.csv --split test

The bars (issue 2): AUC within 0.002, median correlation of the maps at least 0.98, at most
16 MB. Exit code 1 if one is missed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest, read_manifest
from bonescint.dicom import read
from bonescint.model import Engine, ModelFolder, RunSettings
from bonescint.prepare import Preprocessing, prepare
from bonescint.scan import Case, Split
from bonescint.train.quantise import compared

AUC_BAR, CORRELATION_BAR, SIZE_BAR_MB = 0.002, 0.98, 16.0
_TIMED = 20


def composites(
    cohort: Manifest, cases: list[Case], preprocessing: Preprocessing
) -> Iterator[NDArray[np.float32]]:
    """Prepared scans, one after the other."""
    for case in cases:
        yield prepare(read(cohort.path(case)), preprocessing).composite


def seconds_a_scan(folder: ModelFolder, composite: NDArray[np.float32]) -> float:
    """Median time of one scan, and nothing but the graph."""
    settings = RunSettings(bfloat16=folder.card.precision == "int8")
    times = []
    with Engine(folder.onnx_path, settings) as engine:
        for _ in range(_TIMED):
            start = time.perf_counter()
            engine.run(composite)
            times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description="Compare a quantised model with its parent.")
    parser.add_argument("--fp32", type=Path, required=True)
    parser.add_argument("--int8", type=Path, required=True)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--split", default="test", choices=[split.value for split in Split])
    parser.add_argument("--limit", type=int, default=None, help="at most so many scans")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    parent, quantised = ModelFolder.load(options.fp32), ModelFolder.load(options.int8)
    cohort = read_manifest(options.cohort)
    cases = list(cohort.split(Split(options.split)))[: options.limit]
    agreement = compared(
        parent,
        quantised,
        composites(cohort, cases, parent.card.preprocessing),
        labels=[case.positive for case in cases],
        threads=options.threads,
    )
    one, two = agreement.auc
    correlations = agreement.map_correlations[np.isfinite(agreement.map_correlations)]
    fifth = float(np.percentile(correlations, 5)) if correlations.size else float("nan")
    differences = np.abs(agreement.parent_probabilities - agreement.probabilities)
    size = quantised.onnx_path.stat().st_size / 1e6
    sample = next(composites(cohort, cases, parent.card.preprocessing))
    print(f"{len(cases)} scans ({int(agreement.labels.sum())} positive), split {options.split}")
    print(f"AUC: float32 {one:.4f}, quantised {two:.4f}, difference {two - one:+.4f}")
    print(
        f"maps of the disease, correlation: median {agreement.median_map_correlation:.4f}, "
        f"5th percentile {fifth:.4f}, {len(cases) - correlations.size} constant"
    )
    print(f"probability: largest difference {differences.max():.4f}, mean {differences.mean():.4f}")
    print(
        f"seconds a scan: float32 {seconds_a_scan(parent, sample):.3f}, "
        f"quantised {seconds_a_scan(quantised, sample):.3f}"
    )
    print(f"size: float32 {parent.onnx_path.stat().st_size / 1e6:.1f} MB, quantised {size:.1f} MB")
    kept = (
        abs(two - one) <= AUC_BAR
        and agreement.median_map_correlation >= CORRELATION_BAR
        and size <= SIZE_BAR_MB
    )
    print("bars kept" if kept else "a bar was missed")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
