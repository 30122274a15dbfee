"""How often a metastasis lies on the part of the body that results name as its finding site.

    python benchmarks/body_parts.py COHORT --first 60 --count 140

COHORT is a simulated cohort, whose truth names the bone of each metastasis.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

import numpy as np

from bonescint.cohort import read_manifest, truth_of
from bonescint.dicom import read
from bonescint.explain.body_parts import BodyInView
from bonescint.scan import BodyPart, FocusKind

BONES = {
    BodyPart.HEAD_AND_NECK: {"skull", "mandible", "C"},
    BodyPart.CHEST: {"T", "rib", "sternum"},
    BodyPart.ABDOMEN_AND_PELVIS: {"L", "sacrum", "pelvis"},
    BodyPart.LOWER_LIMB: {"femur", "patella", "tibia", "fibula", "foot"},
}


def count(cohort: Path, first: int, number: int) -> None:
    """Print how many metastases get which part, and which of them wrongly."""
    manifest = read_manifest(cohort / "manifest.csv")
    cases = [case for case in manifest.cases if case.positive][first : first + number]
    told: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for case in cases:
        scan, truth = read(manifest.path(case)), truth_of(manifest, case)
        bodies = {
            view: BodyInView.of(image, scan.pixel_spacing_mm) for view, image in scan.images()
        }
        for focus in truth.foci if truth else ():
            if focus.kind is not FocusKind.METASTASIS:
                continue
            part = bodies[focus.view].part_of(np.array([[focus.row, focus.column]]))
            told["not told" if part is None else part.value] += 1
            bone = re.sub(r" [LR]$|\d+.*", "", focus.region)
            if part is not None and bone not in BONES[part]:
                wrong[f"{part.value}: {focus.region}"] += 1
    print(f"{len(cases)} scans: {dict(told)}; wrong: {dict(wrong)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    given = parser.parse_args()
    count(given.cohort, given.first, given.count)
