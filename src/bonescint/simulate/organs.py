"""Tracer outside bone: kidneys, bladder, urine where it should not be, injection, glands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.focal import FocalUptake, soft_focus

_Point = NDArray[np.float32]


def _point(x: float, y: float, z: float) -> _Point:
    return np.array([x, y, z], dtype=np.float32)


class _Draw:
    """Draws the hot organs of one patient."""

    def __init__(self, anatomy: Anatomy, rng: np.random.Generator) -> None:
        self.anatomy = anatomy
        self.marks = anatomy.landmarks
        self.rng = rng
        self.excretion = self.about(1.0, 0.35)
        self.found: list[FocalUptake] = []

    def about(self, median: float, sd: float) -> float:
        """Draw a level around a median, log-normally."""
        return float(np.exp(self.rng.normal(np.log(median), sd)))

    def happens(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def add(self, cause: str, region: str, centre: _Point, radii: _Point, level: float) -> None:
        """Place an ellipsoid of a concentration (1 is a standard bone)."""
        self.found.append(
            soft_focus(
                cause=cause, region=region, centre_mm=centre, radii_mm=radii, concentration=level
            )
        )

    def kidneys(self) -> None:
        rng = self.rng
        level = self.about(0.22, 0.55) * self.excretion
        missing = str(rng.choice(["L", "R"])) if self.happens(0.04) else ""
        for side, sign, drop in (("L", 1, -2.0), ("R", -1, 10.0)):
            if side == missing:
                continue
            region = f"kidney {side}"
            centre = self.marks.centre("L2") + _point(
                sign * (60 + rng.normal(0, 7)),
                -22 + rng.normal(0, 6),
                12 - drop + rng.normal(0, 12),
            )
            size = np.float32(rng.normal(1.0, 0.09))
            self.add("kidney", region, centre, _point(26, 21, 50) * size,
                     level * self.about(1.0, 0.2))  # fmt: skip
            if self.happens(0.35):  # pelvis and calyces, at times a hydronephrosis
                swelling = np.float32(1.7 if self.happens(0.12) else 0.75)
                self.add("renal pelvis", region, centre + _point(-sign * 11, 0, rng.normal(0, 6)),
                         _point(14, 13, 17) * swelling, level * self.about(3.0, 0.5))  # fmt: skip
            if self.happens(0.08):
                self.add("ureter", f"ureter {side}",
                         centre + _point(-sign * 24, 8, -rng.uniform(60, 150)),
                         _point(4, 4, rng.uniform(10, 25)), self.about(1.6, 0.6))  # fmt: skip

    def urine(self) -> None:
        rng = self.rng
        low, high = self.marks.box("pelvis")
        volume_ml = self.about(70, 0.8)
        radius = float(np.cbrt(volume_ml * 1000 * 3 / (4 * np.pi)))
        base = _point((low[0] + high[0]) / 2 + rng.normal(0, 6), high[1] - 45, low[2] + 42)
        radii = _point(1.18 * radius, 0.95 * radius, 0.88 * radius)
        level = self.about(1.9, 0.8) * self.excretion
        self.add("bladder", "bladder", base + _point(0, 0, 0.7 * radius), radii, level)
        if self.happens(0.30):  # urethra, urine on skin and linen
            for _ in range(int(rng.integers(1, 4))):
                place = base + _point(rng.normal(0, 30), rng.uniform(10, 45), -rng.uniform(25, 130))
                self.add("urine contamination", "groin", place, _point(*rng.uniform(4, 16, size=3)),
                         self.about(0.9, 0.9))  # fmt: skip
        if self.happens(0.04):
            side = float(rng.choice([-1, 1]))
            knee = self.marks.bottom("femur L" if side > 0 else "femur R")
            self.add("urine bag", "thigh", knee + _point(side * 75, 30, rng.uniform(0, 160)),
                     _point(35, 18, 70), self.about(0.9, 0.7))  # fmt: skip

    def injection(self) -> None:
        # Seen in 17.5 % of 450 scans (PMC8484323); faint ones are more frequent.
        if not self.happens(0.24):
            return
        side = str(self.rng.choice(["L", "R"], p=[0.4, 0.6]))
        where = str(
            self.rng.choice(["elbow", "hand", "forearm", "wrist"], p=[0.42, 0.32, 0.13, 0.13])
        )
        place = {
            "elbow": self.marks.bottom(f"humerus {side}"),
            "hand": self.marks.centre(f"hand {side}"),
            "forearm": self.marks.centre(f"radius {side}"),
            "wrist": self.marks.bottom(f"radius {side}"),
        }[where] + _point(*self.rng.normal(0, 10, size=3))
        radii = _point(7, 7, 12) * np.float32(self.rng.uniform(0.6, 2.2))
        self.add("injection site", f"{where} {side}", place, radii, self.about(7.0, 1.1))

    def neck(self) -> None:
        if self.happens(0.35):  # thyroid and larynx's cartilage
            level = self.about(0.14, 0.6)
            for sign in (-1, 1):
                centre = self.marks.centre("C6") + _point(sign * 17, 45, 8)
                self.add("thyroid", "neck", centre, _point(10, 10, 20), level)

    def trunk(self) -> None:
        rng = self.rng
        if self.happens(0.25):  # free pertechnetate, bowel
            level = self.about(0.03, 0.6)
            for _ in range(int(rng.integers(2, 8))):
                belly = self.marks.centre("L3") + _point(
                    rng.normal(12, 45), rng.uniform(50, 100), rng.normal(10, 55)
                )
                radii = _point(*rng.uniform(12, 40, size=3))
                self.add("bowel or stomach", "abdomen", belly, radii, level * self.about(1.0, 0.4))
        if self.happens(0.30):
            centre = self.marks.centre("T11") + _point(-65, 60, -5)
            self.add("liver", "abdomen", centre, _point(80, 65, 60), self.about(0.018, 0.6))
        if self.happens(0.40):
            centre = self.marks.centre("T8") + _point(25, 95, 0)
            self.add("blood pool", "chest", centre, _point(50, 40, 55), self.about(0.015, 0.5))
        if self.anatomy.patient.sex == "F" and self.happens(0.35):
            low, high = self.marks.box("rib")
            middle, half = (low + high) / 2, (high - low) / 2
            for sign in (-1, 1):
                centre = _point(middle[0] + sign * 0.5 * half[0], high[1] + 12, middle[2])
                self.add("breast", "breast", centre, _point(50, 28, 45), self.about(0.02, 0.6))


def draw_organs(anatomy: Anatomy, rng: np.random.Generator) -> list[FocalUptake]:
    """Draw everything hot that is not bone, for one patient.

    Args:
        anatomy: the patient.
        rng: source of randomness.
    """
    draw = _Draw(anatomy, rng)
    draw.kidneys()
    draw.urine()
    draw.injection()
    draw.neck()
    draw.trunk()
    return draw.found
