"""Make the cases that come with the package, so that the first one of a course needs no wait.

python tools/make_first_cases.py
"""

from __future__ import annotations

from itertools import count, islice
from pathlib import Path

import bonescint
from bonescint.teach.case_files import write_case
from bonescint.teach.cases import CaseSpec, simulate_case
from bonescint.teach.courses import Course, read_courses
from bonescint.teach.tutor import LearnerState, Tutor

FIRST_COURSE = 2
"""Cases with disease, and without, of the course that everybody begins with; others have one."""


def specs_of(course: Course) -> list[CaseSpec]:
    """The first cases of a course."""
    tutor = Tutor(course=course, seed="the first cases")
    drawn = (tutor.spec(number, LearnerState(), now_s=0.0) for number in count())
    if course.order > 1:
        return [next(drawn)]
    many = list(islice(drawn, 50))
    return [
        spec
        for positive in (True, False)
        for spec in [one for one in many if one.positive is positive][:FIRST_COURSE]
    ]


def main() -> None:
    """Write the files, replacing those that are there."""
    folder = Path(bonescint.__file__).parent / "teach" / "content" / "first"
    folder.mkdir(exist_ok=True)
    for file in folder.glob("*.npz"):
        file.unlink()
    for course in read_courses():
        for number, spec in enumerate(specs_of(course), start=1):
            path = folder / f"{course.name}-{number}.npz"
            write_case(simulate_case(spec, path.stem), path)
            print(path.name, path.stat().st_size, "bytes", spec.appearance)


if __name__ == "__main__":
    main()
