"""Canary values through de-identification: how many objects, how many values, what came out.

    python benchmarks/deidentify.py --count 2000

Makes random objects in which every kind of attribute of PS3.15 Table E.1-1 has a value that occurs
nowhere else, also in private attributes, in nested sequences, in curves and overlays, and around
the data set, and searches each in the bytes of what `bonescint deidentify` would write, in seven
encodings. Exit status 1 if any was found.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from dicom_files import ge_discovery, one_view, secondary_capture, siemens
from identifying_objects import SYNTAXES, identifying_object, listed_values_left

from bonescint.dicom import ConfidentialityProfile, deidentified
from bonescint.parallel import map_in_processes

_PIXELS = np.arange(64 * 16, dtype=np.uint16).reshape(64, 16)
_KEY = b"a secret key of sufficient length"


def tried(seed: int) -> dict[str, int]:
    """One object: how many canaries went in, and how many came out."""
    warnings.simplefilter("ignore")
    bases = (
        lambda: ge_discovery(_PIXELS, _PIXELS),
        lambda: siemens(_PIXELS, _PIXELS),
        lambda: one_view(_PIXELS, 1),
        lambda: secondary_capture(_PIXELS),
    )
    base = bases[seed % len(bases)]()
    base.BurnedInAnnotation = "NO"
    made = identifying_object(seed, base)
    moved = seed % 3 == 1
    profile = ConfidentialityProfile(retain_longitudinal=moved)
    done = deidentified(made.file(), Path("scan.dcm"), key=_KEY, profile=profile)
    out = made.found_in(done.content, dates=not moved)
    left = [] if moved else listed_values_left(done.content)
    return {
        "canaries": len(made.canaries) + (0 if moved else len(made.dates)),
        "came out": len(out),
        "listed attributes left": len(left),
        "emptied kept attributes": len(done.emptied),
        made.syntax: 1,
    }


def main() -> int:
    """Run and print a summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    total: dict[str, int] = dict.fromkeys(("canaries", "came out", *SYNTAXES), 0)
    done = map_in_processes(
        partial(tried), range(arguments.count), workers=arguments.workers, kept=False
    )
    for seed, one in enumerate(done):
        if one["came out"] or one["listed attributes left"]:
            print(f"object {seed}: {one}", file=sys.stderr)
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    total["objects"] = arguments.count
    total["seconds"] = round(time.monotonic() - began)
    print(json.dumps(total, indent=1))
    return int(bool(total["came out"] or total["listed attributes left"]))


if __name__ == "__main__":
    sys.exit(main())
