"""Analysis of 134 cases read by 6 simulated readers: processor time from answers to the report.

python benchmarks/study_analysis.py
"""

from __future__ import annotations

import os
import runpy
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from bonescint.study import Reader, analyse_study, export_study
from bonescint.study.simulated import read_all, reader_panel

SUPPORT = Path(__file__).parents[1] / "tests" / "support" / "study_world.py"


def main() -> None:
    """Make a study, let it be read, analyse it."""
    world = SimpleNamespace(**runpy.run_path(str(SUPPORT)))
    panel = reader_panel(6, seed=1)
    people = [Reader(reader=who.reader, name=who.reader) for who in panel]
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        cohort = world.write_cohort(home / "cohort", 140)
        study = world.make_study(
            home / "study", cohort, readers=people, sample=134, simulated_readers=True
        )
        report("reading", lambda: read_all(study, panel))
        report("export", lambda: export_study(study, home / "export"))
        report("analysis, with the shipped model", lambda: analyse_study(study, home / "out"))


def report(what: str, act: object) -> None:
    """Print the time that something took."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()  # type: ignore[operator]
    print(f"{what}: {time.process_time() - cpu:.1f} s of processor time, "
          f"{time.perf_counter() - wall:.1f} s, load {os.getloadavg()[0]:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
