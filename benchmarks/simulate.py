"""What a simulated scan costs: CPU seconds an anatomy and a scan, and peak memory.

    python benchmarks/simulate.py [--number 40] [--seed 1]

Seconds of the process' own CPU time, on one thread if OPENBLAS_NUM_THREADS is 1; on a busy
machine they are up to half as long again. The bar (issue 3): a scan of a known anatomy, both
views, with its truth, in 0.12 s; exit code 1 if the median misses it.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from bonescint.simulate import draw_anatomy, draw_camera, simulate_scan
from bonescint.simulate.reference_skeleton import reference_skeleton

SCAN_BAR_S = 0.12


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="What a simulated scan costs.")
    parser.add_argument("--number", type=int, default=40, help="anatomies and scans")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start = time.process_time()
    reference_skeleton()
    print(f"reference skeleton, once a process: {time.process_time() - start:.2f} s")
    anatomies, scans = [], []
    for number in range(-2, options.number):  # the first two warm up
        rng = np.random.default_rng([options.seed, number + 2])
        begin = time.process_time()
        anatomy = draw_anatomy(rng)
        camera = draw_camera(rng)
        built = time.process_time()
        simulate_scan(anatomy, camera, rng, positive=number % 2 == 0, scan_id="benchmark")
        if number >= 0:
            anatomies.append(built - begin)
            scans.append(time.process_time() - built)
    for name, seconds in (("anatomy", anatomies), ("scan with truth", scans)):
        median, late = np.percentile(seconds, [50, 95])
        print(f"{name}: median {median:.3f} s, 95th percentile {late:.3f} s CPU")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: {peak:.0f} MB")
    return int(float(np.median(scans)) > SCAN_BAR_S)


if __name__ == "__main__":
    raise SystemExit(main())
