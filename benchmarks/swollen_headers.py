"""What files that are dearer to parse than they have bytes cost `bonescint info`.

    python benchmarks/swollen_headers.py

Each is read in a process of its own: processor time beyond the imports and highest memory, of the
process and of the one that it hands long headers to.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from header_bombs import BOMBS, PICTURE_BOMBS

_READ = """
import resource, sys
from pathlib import Path
from pydicom import Dataset
from bonescint.dicom import info

def seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)

before = seconds()
report = info(sys.argv[1])
taken = seconds() - before
status = Path("/proc/self/status").read_text()
peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
peak = max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
said = report.refused[0].problem if report.refused else "read"
print(f"{taken:6.2f} s {peak / 1024:6.0f} MiB  {said}")
"""


def main() -> None:
    """Make each file, read it, and print a line."""
    with tempfile.TemporaryDirectory() as folder:
        for name, make in {**BOMBS, **PICTURE_BOMBS}.items():
            path = Path(folder) / "file"
            path.write_bytes(make())
            run = subprocess.run(
                [sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, check=True
            )
            size_mb = path.stat().st_size / 1e6
            print(f"{name:36} {size_mb:6.1f} MB {run.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
