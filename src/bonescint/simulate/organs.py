"""Tracer outside bone: kidneys, bladder, misplaced urine, injection site, glands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind, UptakeSite
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.anatomy_model import anatomy_model
from bonescint.simulate.focal import FocalUptake, soft_focus, soft_tube
from bonescint.simulate.uptake import organ_level

_Point = NDArray[np.float32]
_AMYLOID_SHARE = {"F": (0.003, 0.012), "M": (0.006, 0.04)}
"""Patients with Perugini 2 or 3 below 75 years and from there on. Assumed, after 0.4 % of all bone
scans (Longhi et al., JACC Cardiovasc Imaging 2014;7:531) and 2.8 % of those of 75 years and more
(Mohamed-Salem et al., Int J Cardiol 2018;270:192); more, so that a network meets some."""
_MISPLACED = frozenset(
    {
        UptakeSite.CATHETER,
        UptakeSite.HEART,
        UptakeSite.HYDRONEPHROSIS,
        UptakeSite.INJECTION_SITE,
        UptakeSite.LYMPH_NODE,
        UptakeSite.URINE_BAG,
        UptakeSite.URINE_CONTAMINATION,
    }
)
_Place = NDArray[np.floating[Any]]


def _kind(cause: UptakeSite) -> FocusKind:
    """Organ for tracer that everybody has; mimic elsewhere, because it can look like disease."""
    return FocusKind.MIMIC if cause in _MISPLACED else FocusKind.ORGAN


def _point(x: float, y: float, z: float) -> _Point:
    return np.array([x, y, z], dtype=np.float32)


class _Draw:
    """Draws the hot organs of one patient."""

    def __init__(
        self, anatomy: Anatomy, rng: np.random.Generator, only: Collection[UptakeSite] | None
    ) -> None:
        self.anatomy = anatomy
        self.marks = anatomy.landmarks
        self.rng = rng
        self.only = only
        self.excretion = self.about(1.0, 0.35)
        self.found: list[FocalUptake] = []

    def about(self, median: float, sd: float) -> float:
        """Draw a level from a log-normal distribution with a median."""
        return float(np.exp(self.rng.normal(np.log(median), sd)))

    def happens(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def wanted(self, cause: UptakeSite) -> bool:
        return self.only is None or cause in self.only

    def add(
        self, cause: UptakeSite, region: str, centre: _Point, radii: _Point, level: float
    ) -> None:
        """Place an ellipsoid of a concentration (1 is a standard bone)."""
        if not self.wanted(cause):
            return
        self.found.append(
            soft_focus(
                cause=cause,
                region=region,
                centre_mm=centre,
                radii_mm=radii,
                concentration=level,
                kind=_kind(cause),
            )
        )

    def tube(
        self,
        cause: UptakeSite,
        region: str,
        points: Sequence[_Place],
        radius_mm: float,
        level: float,
    ) -> None:
        """Place a line of activity through points."""
        if not self.wanted(cause):
            return
        self.found.append(
            soft_tube(
                cause=cause,
                region=region,
                points_mm=np.stack(points).astype(np.float32),
                radius_mm=radius_mm,
                concentration=level,
                kind=_kind(cause),
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
            self.add(
                UptakeSite.KIDNEY,
                region,
                centre,
                _point(26, 21, 50) * size,
                level * self.about(1.0, 0.2),
            )
            self.drained(side, sign, centre, level)

    def drained(self, side: str, sign: int, kidney: _Point, level: float) -> None:
        """Renal pelvis and ureter: usually empty, at times obstructed."""
        rng = self.rng
        bladder = self.bladder_base() + _point(sign * 22, -12, 25)
        hilum = kidney + _point(-sign * 11, 4, rng.normal(0, 6))
        if self.happens(0.035):  # hydronephrosis: a wide pelvis, a stretched kidney, a full ureter
            swelling = np.float32(rng.uniform(1.4, 2.2))
            hot = level * self.about(4.0, 0.5)
            self.add(
                UptakeSite.HYDRONEPHROSIS,
                f"kidney {side}",
                hilum,
                _point(15, 14, 19) * swelling,
                hot,
            )
            for height in (-26, 0, 26):  # calyces
                self.add(
                    UptakeSite.HYDRONEPHROSIS,
                    f"kidney {side}",
                    kidney + _point(sign * 7, 0, height),
                    _point(8, 8, 8) * swelling,
                    0.8 * hot,
                )
            if self.happens(0.6):
                low = hilum + (bladder - hilum) * np.float32(rng.uniform(0.3, 1.0))
                self.tube(UptakeSite.URETER, f"ureter {side}", [hilum, low], 4.5, 0.7 * hot)
            return
        if self.happens(0.33):
            self.add(
                UptakeSite.RENAL_PELVIS,
                f"kidney {side}",
                hilum,
                _point(14, 13, 17) * np.float32(0.75),
                level * self.about(3.0, 0.5),
            )
        if self.happens(0.08):  # urine on its way: a short stretch
            middle = hilum + (bladder - hilum) * np.float32(rng.uniform(0.2, 0.9))
            half = _point(0, 0, rng.uniform(10, 25))
            self.tube(
                UptakeSite.URETER,
                f"ureter {side}",
                [middle + half, middle - half],
                3.0,
                self.about(2.0, 0.6),
            )

    def bladder_base(self) -> _Point:
        low, high = self.marks.box("pelvis")
        proportions = anatomy_model(self.anatomy.patient.anatomy).proportions
        rise = 0.0 if proportions is None else proportions.bladder_rise_mm
        return _point((low[0] + high[0]) / 2, high[1] - 45, low[2] + 42 + rise)

    def urine(self) -> None:
        rng = self.rng
        catheter = self.happens(0.05)
        volume_ml = self.about(12 if catheter else 70, 0.8)
        radius = float(np.cbrt(volume_ml * 1000 * 3 / (4 * np.pi)))
        base = self.bladder_base() + _point(rng.normal(0, 6), 0, 0)
        radii = _point(1.18 * radius, 0.95 * radius, 0.88 * radius)
        level = self.about(1.9, 0.8) * self.excretion
        self.add(UptakeSite.BLADDER, "bladder", base + _point(0, 0, 0.7 * radius), radii, level)
        if self.happens(0.30):  # urethra, urine on skin and linen
            for _ in range(int(rng.integers(1, 4))):
                place = base + _point(rng.normal(0, 30), rng.uniform(10, 45), -rng.uniform(25, 130))
                self.add(
                    UptakeSite.URINE_CONTAMINATION,
                    "groin",
                    place,
                    _point(*rng.uniform(4, 16, size=3)),
                    self.about(0.9, 0.9),
                )
        if self.happens(0.04):  # splashed further: a sleeve, a hand, a sock
            region = str(rng.choice(["hand L", "hand R", "radius R", "tibia L", "tibia R"]))
            place = self.marks.centre(region) + _point(*rng.normal(0, 25, size=3))
            self.add(
                UptakeSite.URINE_CONTAMINATION,
                region,
                place,
                _point(*rng.uniform(4, 14, size=3)),
                self.about(0.6, 0.8),
            )
        if catheter:
            self.catheter(base, level)

    def catheter(self, base: _Point, level: float) -> None:
        """A tube from the bladder over the thigh to a bag between or beside the legs."""
        rng = self.rng
        sign = float(rng.choice([-1, 1]))
        side = "L" if sign > 0 else "R"
        hip, knee = self.marks.top(f"femur {side}"), self.marks.bottom(f"femur {side}")
        beside = self.happens(0.4)  # hung on the table beside the thigh, else on the leg
        across = rng.uniform(105, 150) if beside else rng.uniform(-20, 40)
        bag = knee + _point(sign * across, -20 if beside else 55, rng.uniform(20, 190))
        groin = _point(base[0], base[1] + 35, base[2] - 75)
        bend = 0.6 * hip + 0.4 * knee + _point(sign * rng.uniform(-50, 20), 75, 0)
        self.tube(UptakeSite.CATHETER, "groin", [base, groin], 2.5, level * self.about(0.6, 0.3))
        share = np.linspace(0, 1, 9, dtype=np.float32)[:, None]  # a tube bends, it has no corners
        curve = (1 - share) ** 2 * groin + 2 * share * (1 - share) * bend + share**2 * bag
        self.tube(UptakeSite.CATHETER, "thigh", list(curve), 2.5, level * self.about(0.25, 0.6))
        self.add(
            UptakeSite.URINE_BAG,
            "thigh",
            bag,
            _point(45, 16, 75) * np.float32(rng.uniform(0.6, 1.1)),
            level * self.about(0.2, 0.6),
        )

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
        level = self.about(7.0, 1.1)
        self.add(UptakeSite.INJECTION_SITE, f"{where} {side}", place, radii, level)
        shoulder = self.marks.top(f"humerus {side}")
        if self.happens(0.10):  # left behind in the vein above it
            end = place + (shoulder - place) * np.float32(self.rng.uniform(0.2, 0.7))
            self.tube(
                UptakeSite.INJECTION_SITE,
                f"vein {side}",
                [place, end + _point(0, 15, 0)],
                2.0,
                0.15 * level,
            )
        if self.happens(0.08):  # what leaked goes to a lymph node
            inward = -20.0 if side == "L" else 20.0
            axilla = shoulder + _point(inward, 5, -60) + _point(*self.rng.normal(0, 8, size=3))
            self.add(
                UptakeSite.LYMPH_NODE,
                f"axilla {side}",
                axilla,
                _point(6, 6, 8),
                self.about(1.2, 0.7),
            )

    def neck(self) -> None:
        if self.happens(0.35):  # thyroid and larynx's cartilage
            level = self.about(0.14, 0.6)
            for sign in (-1, 1):
                centre = self.marks.centre("C6") + _point(sign * 17, 45, 8)
                self.add(UptakeSite.THYROID, "neck", centre, _point(10, 10, 20), level)

    def trunk(self) -> None:
        rng = self.rng
        if self.happens(0.25):  # free pertechnetate, bowel
            level = self.about(0.03, 0.6)
            for _ in range(int(rng.integers(2, 8))):
                belly = self.marks.centre("L3") + _point(
                    rng.normal(12, 45), rng.uniform(50, 100), rng.normal(10, 55)
                )
                radii = _point(*rng.uniform(12, 40, size=3))
                self.add(UptakeSite.BOWEL, "abdomen", belly, radii, level * self.about(1.0, 0.4))
        if self.happens(0.30):
            centre = self.marks.centre("T11") + _point(-65, 60, -5)
            self.add(
                UptakeSite.LIVER, "abdomen", centre, _point(80, 65, 60), self.about(0.018, 0.6)
            )
        if self.happens(0.40):
            centre = self.marks.centre("T8") + _point(25, 95, 0)
            self.add(
                UptakeSite.BLOOD_POOL, "chest", centre, _point(50, 40, 55), self.about(0.015, 0.5)
            )
        if self.anatomy.patient.sex == "F" and self.happens(0.35):
            low, high = self.marks.box("rib")
            middle, half = (low + high) / 2, (high - low) / 2
            for sign in (-1, 1):
                centre = _point(middle[0] + sign * 0.5 * half[0], high[1] + 12, middle[2])
                self.add(
                    UptakeSite.BREAST, "breast", centre, _point(50, 28, 45), self.about(0.02, 0.6)
                )

    def heart(self) -> None:
        """Amyloid in the heart's muscle: uptake like the ribs' (Perugini 2) or above it (3)."""
        patient, rng = self.anatomy.patient, self.rng
        if not self.happens(_AMYLOID_SHARE[patient.sex][patient.age >= 75]):
            return
        level = self.about(0.14, 0.25) if self.happens(0.6) else self.about(0.32, 0.3)
        centre = self.marks.centre("T9") + _point(rng.normal(38, 8), rng.normal(82, 8), 8)
        size = np.float32(rng.normal(1.0, 0.1))
        outer, cavity = _point(50, 42, 44) * size, _point(26, 20, 22) * size
        self.add(UptakeSite.HEART, "chest", centre, outer, level)
        if not self.wanted(UptakeSite.HEART):
            return
        wall = self.found[-1]
        inside = (((wall.positions_mm - centre - _point(-4, 0, 2)) / cavity) ** 2).sum(axis=1) < 1
        blood = np.where(inside, np.float32(0.25), np.float32(1))
        self.found[-1] = replace(wall, activity=wall.activity * blood)


def draw_organs(
    anatomy: Anatomy, rng: np.random.Generator, *, only: Collection[UptakeSite] | None = None
) -> list[FocalUptake]:
    """Draw all uptake outside bone for one patient.

    Args:
        anatomy: the patient.
        rng: source of randomness.
        only: kinds to return; the others are drawn, and left out. All if `None`.
    """
    draw = _Draw(anatomy, rng, only)
    draw.kidneys()
    draw.urine()
    draw.injection()
    draw.neck()
    draw.trunk()
    if not anatomy_model(anatomy.patient.anatomy).uptake_levels:
        return draw.found
    draw.heart()
    return [
        replace(organ, activity=organ.activity * np.float32(organ_level(organ.cause)))
        for organ in draw.found
    ]
