"""How long it takes to judge 100 000 predictions with 2000 bootstrap resamples.

    python benchmarks/evaluate.py
    python benchmarks/evaluate.py --cases 998 --resamples 100

The bar: area under the ROC curve and the metrics at an operating point, resampled, in under 20 s
on 2 cores. Times are of the process (one core), and of the clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bonescint.evaluate import Resampling, ScoredCases, resampled, roc_auc_score
from bonescint.evaluate.judgement import OperatingPoint, judge

BAR_S = 20.0


def cases_of(count: int, levels: int) -> ScoredCases:
    """Cases with overlapping scores; few levels make ties."""
    rng = np.random.default_rng(1)
    truth = rng.random(count) < 0.41
    scores = 1 / (1 + np.exp(-rng.normal(1.8 * truth - 0.9)))
    if levels:
        scores = np.round(scores * levels) / levels
    return ScoredCases(scores=scores, positive=truth)


def timed(name: str, work: Callable[[], object]) -> float:
    """Do some work, say how long it took, and give the process's seconds."""
    clock, process = time.perf_counter(), time.process_time()
    work()
    seconds = time.process_time() - process
    print(f"{name:<62}{seconds:7.1f} s of the process{time.perf_counter() - clock:8.1f} s")
    return seconds


def main() -> None:
    """Judge, and print the times."""
    parser = argparse.ArgumentParser(description="How long an evaluation takes.")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--resamples", type=int, default=2000)
    options = parser.parse_args()
    print(f"{options.cases} cases, {options.resamples} resamples")
    resampling = Resampling(resamples=options.resamples)
    cases = cases_of(options.cases, 0)
    tied = cases_of(options.cases, 100)
    seconds = timed(
        "AUC, average precision, 8 metrics at a threshold, by class",
        lambda: resampled(cases, 0.5, resampling),
    )
    timed(
        "the same, all cases together (the paper's way)",
        lambda: resampled(cases, 0.5, Resampling(resamples=options.resamples, stratified=False)),
    )
    timed("the same, scores of 101 levels", lambda: resampled(tied, 0.5, resampling))
    pairs = replace(cases, patients=np.arange(options.cases) // 2)
    timed(
        "the same, two scans per patient, patients resampled",
        lambda: resampled(pairs, 0.5, resampling),
    )
    timed("DeLong's interval of the AUC", lambda: roc_auc_score(cases))
    half = OperatingPoint(threshold=0.5, source="given")
    timed("everything that `judge` finds", lambda: judge(cases, half, resampling=resampling))
    print(f"bar {BAR_S:g} s: {'held' if seconds < BAR_S else 'missed'}")


if __name__ == "__main__":
    main()
