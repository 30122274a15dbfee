"""How long `bonescint --help` takes: the median of 20 runs, after one that is not counted.

python benchmarks/help_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time


def main() -> None:
    """Run and print."""
    times = []
    for _ in range(21):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "bonescint", "--help"], check=True, capture_output=True
        )
        times.append(time.perf_counter() - began)
    counted = times[1:]
    print(
        f"bonescint --help: median {statistics.median(counted):.3f} s, "
        f"slowest {max(counted):.3f} s (bar 0.5 s)"
    )


if __name__ == "__main__":
    main()
