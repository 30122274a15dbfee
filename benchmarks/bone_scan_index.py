"""Measures the Bone Scan Index against the truth of simulated patients.

python benchmarks/known_scans.py FOLDER various --count 500             # also the other sets, 50
python benchmarks/bone_scan_index.py say FOLDER various
python benchmarks/bone_scan_index.py calibrate FOLDER
python benchmarks/bone_scan_index.py say FOLDER levels spread hard
python benchmarks/bone_scan_index.py experiment FOLDER                  # tables of these
python benchmarks/bone_scan_index.py normal COHORT --count 40           # scans without metastases
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path

import numpy as np
from known_scans import stored

from bonescint.classify.classify import model_folder
from bonescint.cohort import read_manifest
from bonescint.dicom import read
from bonescint.model import Classifier
from bonescint.quantify import bone_scan_index
from bonescint.quantify.bone_scan_index import OFFSET, calibration_factor, method_sd
from bonescint.quantify.foci import matched_foci
from bonescint.quantify.regions import body_regions


def say(folder: Path, what: str, resamples: int) -> list[dict]:
    """The index of every stored scan of a set, beside the truth; also written to the folder."""
    rows = []
    for known in stored(folder, what):
        began = time.process_time()
        said = bone_scan_index(
            known.scan, known.prediction, known.body, known.foci, resamples=resamples
        )
        rows.append(
            {
                "patient": known.patient,
                "counts": known.counts,
                "total": max(known.scan.total(view) for view in known.scan.views),
                "repeat": known.repeat,
                "benign": known.benign,
                "level": known.level,
                "true": known.true,
                "estimate": uncalibrated(said.percent),
                "percent": said.percent,
                "low": said.low,
                "high": said.high,
                "own_sd": said.own_sd,
                "seconds": time.process_time() - began,
            }
        )
    (folder / f"said-{what}.json").write_text(json.dumps(rows))
    return rows


def normal_index(cohort: Path, count: int, centre: str) -> None:
    """Indices of a centre's scans without metastases."""
    cases = [
        case
        for case in read_manifest(cohort / "manifest.csv").cases
        if not case.positive and case.centre == centre
    ]
    said = []
    with Classifier(model_folder(None), threads=1) as model:
        for case in cases[:count]:
            scan = read(cohort / case.file)
            prediction = model.predict(scan)
            body = body_regions(scan)
            found = matched_foci(scan, prediction, body)
            said.append(bone_scan_index(scan, prediction, body, found, resamples=0).percent)
    middle, high = np.percentile(said, [50, 90])
    zero = float(np.mean(np.array(said) < 0.005))
    print(
        f"{len(said)} normal scans: median {middle:.3f}, 90th percentile {high:.3f}, "
        f"most {max(said):.3f}, under 0.005: {zero:.2f}"
    )


CALIBRATION = Path("src/bonescint/quantify/bsi_calibration.json")
COUNT_KNOTS = (2e5, 6e5, 2e6)
INDEX_KNOTS = (0.0, 0.1, 0.3, 1.0, 3.0, 8.0, 20.0)
FOLDS = 5


def uncalibrated(percent: float) -> float:
    """The estimate whose product with its factor is an index."""
    tried = np.linspace(0, 1.5 * percent + 1, 4001)
    return float(np.interp(percent, [of * calibration_factor(of) for of in tried], tried))


def fitted(rows: list[dict]) -> dict[str, list[list[float]]]:
    """Factor by index, and standard deviation of the error of the logarithm by counts and index.

    The latter is scaled so that 1.96 of them hold 95 % of the errors, whose distribution has long
    tails.
    """
    true, estimate, total = (np.array([row[name] for row in rows]) for name in _MEASURED)
    off = np.log(true + OFFSET) - np.log(estimate + OFFSET)
    logs = [0.0]  # of nothing there is nothing
    for knot in INDEX_KNOTS[1:]:
        near = np.exp(-0.5 * (np.log((estimate + OFFSET) / (knot + OFFSET)) / 0.5) ** 2)
        order = np.argsort(off)
        middle = np.searchsorted(np.cumsum(near[order]), 0.5 * near.sum())
        logs.append(float(off[order][middle]))
    values = {"index": [list(INDEX_KNOTS)], "factor": [np.exp(logs).round(3).tolist()]}
    said = np.array([of * calibration_factor(of, values) for of in estimate])
    off = np.log(said + OFFSET) - np.log(true + OFFSET)
    lines = []
    for level in COUNT_KNOTS:
        alike = np.exp(-0.5 * (np.log(total / level) / 0.7) ** 2)
        line = []
        for knot in INDEX_KNOTS:
            near = alike * np.exp(-0.5 * (np.log((said + OFFSET) / (knot + OFFSET)) / 0.6) ** 2)
            # As if half a scan with an error of 0.35 were added, in case that there are few.
            line.append(float(np.sqrt((near @ off**2 + 0.5 * 0.35**2) / (near.sum() + 0.5))))
        lines.append(line)
    values |= {"counts": [list(COUNT_KNOTS)], "sd": lines}
    sd = [method_sd(n, x, values) for n, x in zip(total, said, strict=True)]
    scale = float(np.quantile(np.abs(off) / sd, 0.95)) / 1.96
    values["sd"] = [[round(scale * of, 3) for of in line] for line in lines]
    return values


_MEASURED = ("true", "estimate", "total")


def calibrate(folder: Path) -> None:
    """Write the errors of the set "various", and say how they cover scans of other folds."""
    rows = json.loads((folder / "said-various.json").read_text())
    inside, ratios, pairs = [], [], []
    for fold in range(FOLDS):
        values = fitted([row for row in rows if row["patient"] % FOLDS != fold])
        for row in rows:
            if row["patient"] % FOLDS == fold:
                said = row["estimate"] * calibration_factor(row["estimate"], values)
                wide = 1.96 * method_sd(row["total"], said, values)
                inside.append(abs(np.log((said + OFFSET) / (row["true"] + OFFSET))) <= wide)
                pairs.append((row["true"], said))
                if said > 0.3:
                    low = (said + OFFSET) * np.exp(-wide) - OFFSET
                    ratios.append(((said + OFFSET) * np.exp(wide) - OFFSET) / max(low, 1e-3))
    low, high = wilson(sum(inside), len(inside))
    true, said = np.array(pairs).T
    print(
        f"coverage in {FOLDS} folds: {sum(inside)} of {len(inside)} patients "
        f"({low:.3f} to {high:.3f}); high over low, index above 0.3: {np.median(ratios):.2f}; "
        f"r {np.corrcoef(true, said)[0, 1]:.3f}, bias {np.mean(said - true):+.3f}, "
        f"no metastases: under 0.005 {np.mean(said[true == 0] < 0.005):.2f}"
    )
    content = {
        "source": f"benchmarks/bone_scan_index.py calibrate, {len(rows)} patients",
        "values": fitted(rows),
    }
    text = json.dumps(content, indent=1)
    # A row of numbers is a line.
    text = re.sub(r"\[\s+([^\[\]]+?)\s+\]", lambda of: f"[{' '.join(of[1].split())}]", text)
    CALIBRATION.write_text(text + "\n")
    print(CALIBRATION.read_text())


def wilson(found: int, of: int) -> tuple[float, float]:
    """95 % interval of a share."""
    middle = (found + 1.92) / (of + 3.84)
    wide = 1.96 / (of + 3.84) * np.sqrt(found * (of - found) / of + 0.96)
    return float(middle - wide), float(middle + wide)


def resampled_over(groups: list[np.ndarray], of) -> tuple[float, float, float]:
    """A statistic of the rows of groups, with its bootstrap interval (within the groups)."""
    rng = np.random.default_rng(0)
    again = [of([one[rng.choice(len(one), len(one))] for one in groups]) for _ in range(1000)]
    return of(groups), *(float(x) for x in np.percentile(again, [2.5, 97.5]))


def of_counts(rows: list[dict]) -> None:
    """Agreement with the truth at each number of counts."""
    most = max(row["counts"] for row in rows)
    first = [row for row in rows if not row["repeat"]]
    best = {row["patient"]: row["percent"] for row in first if row["counts"] == most}
    for counts in sorted({row["counts"] for row in rows}, reverse=True):
        mine = [row for row in first if row["counts"] == counts]
        true, said, low, high = (
            np.array([row[name] for row in mine]) for name in ("true", "percent", "low", "high")
        )
        off, both = said - true, np.stack([true, said], axis=1)
        r = resampled_over([both], lambda of: float(np.corrcoef(of[0].T)[0, 1]))
        error = resampled_over([np.abs(off)], lambda of: float(of[0].mean()))
        apart = [abs(row["percent"] - best[row["patient"]]) for row in mine]
        seen = low > 0.05
        print(
            f"{counts / 1e6:.2g} M counts, {len(mine)} patients, mean index {true.mean():.2f}: "
            f"r {r[0]:.3f} ({r[1]:.3f} to {r[2]:.3f}), bias {off.mean():+.2f}, "
            f"absolute error {error[0]:.2f} ({error[1]:.2f} to {error[2]:.2f}), "
            f"sd of error {off.std(ddof=1):.2f} ({100 * off.std(ddof=1) / true.mean():.0f} % of "
            f"the mean), median relative error {100 * np.median(np.abs(off) / true):.0f} %, "
            f"coverage {((true >= low) & (true <= high)).sum()}, "
            f"high over low {np.median(high[seen] / low[seen]):.1f}, "
            f"from the same patient at most counts {np.mean(apart):.2f}"
        )
    twice = [row for row in rows if row["repeat"]]
    if twice:
        apart = np.array([best[row["patient"]] - row["percent"] for row in twice])
        print(f"repeated scans differ by {apart.mean():+.3f} +- {apart.std(ddof=1):.3f}")


def of_levels(rows: list[dict]) -> None:
    """Coefficient of variation among the patients of each true index."""

    def variation(of: list[np.ndarray]) -> float:
        return float(np.mean([100 * one.std(ddof=1) / one.mean() for one in of]))

    groups = []
    for level in sorted({row["level"] for row in rows}):
        said = np.array([row["percent"] for row in rows if row["level"] == level])
        groups.append(said)
        found = resampled_over([said], variation)
        print(
            f"true index {level:g}: {len(said)} patients, mean {said.mean():.2f}, "
            f"CV {found[0]:.0f} % ({found[1]:.0f} to {found[2]:.0f})"
        )
    found = resampled_over(groups, variation)
    print(f"mean of the CVs: {found[0]:.1f} % ({found[1]:.1f} to {found[2]:.1f})")


WORK = ("say", "experiment", "calibrate", "normal")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=WORK)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("sets", nargs="*", default=["levels", "spread", "hard"])
    parser.add_argument("--resamples", type=int, default=0)
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--centre", default="C")
    given = parser.parse_args()
    if given.what == "say":
        for name in given.sets:
            say(given.folder, name, given.resamples)
    elif given.what == "normal":
        normal_index(given.folder, given.count or 40, given.centre)
    elif given.what == "calibrate":
        calibrate(given.folder)
    else:
        for name in given.sets:
            rows = json.loads((given.folder / f"said-{name}.json").read_text())
            print(f"{name}: {np.mean([row['seconds'] for row in rows]):.3f} s of CPU per scan")
            (of_levels if name == "levels" else of_counts)(rows)


if __name__ == "__main__":
    main()
