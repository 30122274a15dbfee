"""Make the cases that come with the package, so that a learner's first one needs no wait."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import bonescint
from bonescint.teach.case_files import write_case
from bonescint.teach.cases import simulate_case
from bonescint.teach.courses import read_courses
from bonescint.teach.tutor import LearnerState, Tutor

EACH = 2
"""Cases with disease, and without."""


def main() -> None:
    """Write the files, replacing those that are there."""
    folder = Path(bonescint.__file__).parent / "teach" / "content" / "first"
    folder.mkdir(exist_ok=True)
    tutor = Tutor(course=read_courses()[0], seed="the first cases")
    drawn = (tutor.spec(number, LearnerState(), now_s=0.0) for number in count())
    left = {True: EACH, False: EACH}
    number = 0
    while sum(left.values()):
        spec = next(drawn)
        if left[spec.positive]:
            left[spec.positive] -= 1
            number += 1
            path = folder / f"first-{number}.npz"
            write_case(simulate_case(spec, path.stem), path)
            print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
