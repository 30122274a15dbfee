"""Make the pictures of the courses and of the kinds of finding again, from their seeds.

python tools/make_teaching_pictures.py            # those that are missing; unused ones are removed
python tools/make_teaching_pictures.py --all      # every one
python tools/make_teaching_pictures.py --check 5  # draws every fifth again and compares
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from bonescint.teach.courses import Example, read_courses
from bonescint.teach.examples import draw_example, picture_name
from bonescint.teach.kinds import read_kinds

FOLDER = Path(__file__).parents[1] / "src" / "bonescint" / "teach" / "content" / "pictures"
MOST_BYTES = 1_500_000
SAME = 3.0
"""Mean difference of grey values up to which a picture counts as the same: libraries round."""


def examples() -> dict[str, Example]:
    """Every example by the name of its picture."""
    shown = [text.example for text in read_kinds().values()]
    shown += [example for course in read_courses() for example in course.examples]
    return {picture_name(example): example for example in shown}


def difference(one: bytes, other: bytes) -> float:
    """Mean difference of grey values of two pictures; infinite if their sizes differ."""
    first, second = (
        np.asarray(Image.open(io.BytesIO(data)).convert("L"), float) for data in (one, other)
    )
    return float("inf") if first.shape != second.shape else float(np.abs(first - second).mean())


def main() -> int:
    """Draw, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="draw every picture anew")
    parser.add_argument("--check", type=int, default=0, help="compare every n-th picture")
    options = parser.parse_args()
    wanted = examples()
    if options.check:
        changed = [
            name
            for name in sorted(wanted)[:: options.check]
            if difference(draw_example(wanted[name]), (FOLDER / name).read_bytes()) > SAME
        ]
        print(f"{len(changed)} differ: {', '.join(changed)}")
        return bool(changed)
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.webp"):
        if path.name not in wanted:
            path.unlink()
    for name, example in wanted.items():
        if options.all or not (FOLDER / name).exists():
            (FOLDER / name).write_bytes(draw_example(example))
            print(name, flush=True)
    size = sum(path.stat().st_size for path in FOLDER.glob("*.webp"))
    print(f"{len(wanted)} pictures, {size / 1000:.0f} kB")
    return int(size > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
