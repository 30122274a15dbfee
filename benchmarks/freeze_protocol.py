"""Make what a protocol describes, and print the hashes that freeze it.

    python benchmarks/freeze_protocol.py ibrahim2023 --out cohorts/ibrahim2023 --seed 1

Prints seconds, megabytes and occult patients too. The printed table goes into the protocol's
YAML file: from then on another result is said.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from bonescint.cohort import read_protocol, simulate_cohort


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="The hashes of a protocol's centres.")
    parser.add_argument("protocol")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    protocol = read_protocol(options.protocol)
    start = time.perf_counter()
    cohort = simulate_cohort(options.out, protocol, seed=options.seed)
    seconds = time.perf_counter() - start
    files = [file for file in options.out.rglob("*") if file.is_file()]
    print(
        f"# {protocol.count} studies in {seconds:.0f} s on {os.cpu_count()} cores, "
        f"{sum(file.stat().st_size for file in files) / 1e6:.0f} MB, "
        f"{len(cohort.occult.cases)} occult"
    )
    print(f"frozen:\n  seed: {cohort.frozen.seed}\n  sha256:")
    for centre, digest in cohort.frozen.sha256.items():
        print(f"    {centre}: {digest}")


if __name__ == "__main__":
    main()
