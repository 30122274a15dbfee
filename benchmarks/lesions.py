"""What the metastases of a simulated cohort are like: numbers, sizes, contrasts, visibility.

    python benchmarks/lesions.py --cohort cohorts/unseen/test.csv

An AUC on simulated scans means little without it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bonescint.cohort import read_manifest, read_truth
from bonescint.scan import FocusKind, Truth

_LEVELS = (5, 25, 50, 75, 95)


def metastases(truth: Truth) -> dict[tuple[str, float, float], float]:
    """Each metastasis (region, radius, contrast) with its better contrast-to-noise ratio."""
    found: dict[tuple[str, float, float], float] = {}
    for focus in truth.foci:
        if focus.kind is FocusKind.METASTASIS:
            key = (focus.region, focus.radius_mm or 0.0, focus.contrast or 0.0)
            found[key] = max(found.get(key, 0.0), focus.contrast_to_noise or 0.0)
    return found


def main() -> None:
    """Read the truths and print percentiles."""
    parser = argparse.ArgumentParser(description="Metastases of a simulated cohort.")
    parser.add_argument("--cohort", type=Path, required=True)
    cohort = read_manifest(parser.parse_args().cohort)
    positive = [case for case in cohort.cases if case.positive]
    scans = [metastases(read_truth(cohort.folder / case.truth)) for case in positive]
    every = [(key, ratio) for scan in scans for key, ratio in scan.items()]
    rows = {
        "metastases a positive scan": [len(scan) for scan in scans],
        "contrast over the bone around": [key[2] for key, _ in every],
        "radius, mm": [key[1] for key, _ in every],
        "contrast-to-noise ratio, better view": [ratio for _, ratio in every],
        "the same of a scan's most visible": [max(scan.values()) for scan in scans],
    }
    print(f"{len(cohort.cases)} scans, {len(positive)} positive, {len(every)} metastases")
    print(f"{'percentile':<38}" + "".join(f"{level:>8}" for level in _LEVELS))
    for name, values in rows.items():
        print(f"{name:<38}" + "".join(f"{v:8.1f}" for v in np.percentile(values, _LEVELS)))


if __name__ == "__main__":
    main()
