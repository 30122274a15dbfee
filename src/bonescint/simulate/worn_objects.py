"""Worn or implanted objects that cast a cold shadow: pacemaker, buckle, wires, coins.

Such an object takes up no tracer. It absorbs part of the photons on their way to the detector on
its own side; the detector on the other side hardly sees it through the body.

Transmissions follow from thickness and the NIST attenuation of the metal at 140 keV (iron
0.15 per mm, brass 0.19 per mm); shares of patients are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.scan import Focus, FocusKind, ParameterError, UptakeSite, View, mirrored
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.projection import Projector
from bonescint.simulate.seen_foci import FocusMask, SeenFocus

_Points = NDArray[np.float32]
_FILL_PITCH_MM = 1.0
_FAR_SIDE = 0.99  # transmission to the detector on the other side; assumed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WornObject:
    """An object that takes up no tracer and absorbs photons.

    Attributes:
        cause: what it is.
        region: the part of the body it lies on.
        points_mm: float32 (n, 2), x and z of small pieces that fill its outline.
        piece_mm2: area of each piece.
        transmission: share of the photons that pass it, by the view of the detector.

    Raises:
        ParameterError: a cause that is not listed in `UptakeSite`.
    """

    cause: UptakeSite
    region: str
    points_mm: _Points
    piece_mm2: float
    transmission: Mapping[View, float]

    def __post_init__(self) -> None:
        if not isinstance(self.cause, UptakeSite):
            raise ParameterError("cause", "WornObject", "one of UptakeSite", self.cause)

    @property
    def radius_mm(self) -> float:
        """Radius of a disc of the same area."""
        return float(np.sqrt(len(self.points_mm) * self.piece_mm2 / np.pi))

    @property
    def facts(self) -> dict[str, object]:
        """What was drawn, without the outline."""
        return {
            "cause": self.cause,
            "region": self.region,
            "radius_mm": self.radius_mm,
            "centre_mm": [float(place) for place in self.points_mm.mean(axis=0)],
            "transmission": {view.value: share for view, share in self.transmission.items()},
        }


class Shadow(NamedTuple):
    """The shadow of one object in one view.

    Attributes:
        worn: the object.
        view: the view.
        passed: float32 (rows, columns) of a part of the view, share of photons that pass.
        top: first row of that part.
        left: first column of that part.
    """

    worn: WornObject
    view: View
    passed: NDArray[np.float32]
    top: int
    left: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the view that it covers."""
        rows, columns = self.passed.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)

    def seen(self, mean: NDArray[np.float32]) -> SeenFocus:
        """The object as a focus of the truth; its contrast-to-noise ratio is of the lost counts.

        Args:
            mean: noise-free mean counts of the view (rows, columns), shadow included.
        """
        inside = self.passed < (1 + self.passed.min()) / 2
        part = mean[self.window]
        kept = float(part[inside].sum())
        lost = float((part * (1 / self.passed - 1))[inside].sum())
        row, column = ndimage.center_of_mass(1 - self.passed)
        focus = Focus(
            view=self.view,
            row=float(row) + self.top,
            column=float(column) + self.left,
            radius_mm=self.worn.radius_mm,
            kind=FocusKind.MIMIC,
            cause=self.worn.cause,
            region=self.worn.region,
            contrast=self.worn.transmission[self.view],
            contrast_to_noise=lost / float(np.sqrt(max(kept, 1.0))),
        )
        return SeenFocus(focus, FocusMask(inside, self.top, self.left))


def shadow(worn: WornObject, projector: Projector, view: View) -> Shadow | None:
    """The shadow of an object on one detector, blurred like activity at the skin.

    Args:
        worn: the object.
        projector: geometry of the scan.
        view: view of the detector.

    Returns:
        The shadow, or `None` where it lies outside the field.
    """
    camera = projector.camera
    rows = (projector.top_mm - worn.points_mm[:, 1]) / camera.pixel_mm
    columns = (worn.points_mm[:, 0] - projector.left_mm) / camera.pixel_mm
    sigma = camera.sigma_mm(camera.gap_mm) / camera.pixel_mm
    reach = 2 + int(3 * sigma)
    top, left = max(0, int(rows.min()) - reach), max(0, int(columns.min()) - reach)
    bottom = min(camera.rows, int(rows.max()) + reach + 1)
    right = min(camera.columns, int(columns.max()) + reach + 1)
    if bottom <= top or right <= left:
        return None
    edges = np.arange(top, bottom + 1), np.arange(left, right + 1)
    pieces, _, _ = np.histogram2d(rows, columns, bins=edges)
    covered = np.minimum(pieces * (worn.piece_mm2 / camera.pixel_mm**2), 1)
    covered = ndimage.gaussian_filter(covered, sigma, mode="constant")
    passed = (1 - (1 - worn.transmission[view]) * covered).astype(np.float32)
    if view is View.ANTERIOR:
        return Shadow(worn, view, passed, top, left)
    return Shadow(worn, view, mirrored(passed), top, camera.columns - right)


def cast_shadows(worn: Sequence[WornObject], projector: Projector) -> list[Shadow]:
    """All shadows of some objects inside the field of either detector.

    Args:
        worn: the objects.
        projector: geometry of the scan.
    """
    shadows = [shadow(thing, projector, view) for thing in worn for view in View]
    return [cast for cast in shadows if cast is not None]


def share_passing(
    shadows: Sequence[Shadow], shape: tuple[int, int]
) -> dict[View, NDArray[np.float32]]:
    """Share of the unscattered photons that pass all objects.

    Args:
        shadows: shadows of all objects.
        shape: rows and columns of a view.

    Returns:
        For each view with a shadow an array (rows, columns).

    Examples:
        >>> share_passing([], (4, 4))
        {}
    """
    shares: dict[View, NDArray[np.float32]] = {}
    for cast in shadows:
        if cast.view not in shares:
            shares[cast.view] = np.ones(shape, dtype=np.float32)
        shares[cast.view][cast.window] *= cast.passed
    return shares


def _ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> _Points:
    """Pieces that fill an ellipse."""
    x, z = (np.arange(-radius, radius + _FILL_PITCH_MM, _FILL_PITCH_MM) for radius in radii)
    grid = np.stack(np.meshgrid(x, z, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = ((grid / np.asarray(radii)) ** 2).sum(axis=1) <= 1
    return np.asarray(grid[inside] + np.asarray(centre), dtype=np.float32)


def _frame(centre: tuple[float, float], half: tuple[float, float], bar: float) -> _Points:
    """Pieces that fill the frame of a rectangle."""
    x, z = (np.arange(-size, size + _FILL_PITCH_MM, _FILL_PITCH_MM) for size in half)
    grid = np.stack(np.meshgrid(x, z, indexing="ij"), axis=-1).reshape(-1, 2)
    edge = (np.abs(grid[:, 0]) > half[0] - bar) | (np.abs(grid[:, 1]) > half[1] - bar)
    return np.asarray(grid[edge] + np.asarray(centre), dtype=np.float32)


def _arc(
    centre: tuple[float, float], radii: tuple[float, float], angles: tuple[float, float]
) -> _Points:
    """Pieces a millimetre apart along an arc; angles in radians from the patient's left, up."""
    length = max(radii) * abs(angles[1] - angles[0])
    turn = np.linspace(*angles, max(2, int(length)))
    points = np.stack([radii[0] * np.cos(turn), radii[1] * np.sin(turn)], axis=1)
    return np.asarray(points + np.asarray(centre), dtype=np.float32)


def _before(transmission: float) -> Mapping[View, float]:
    return {View.ANTERIOR: transmission, View.POSTERIOR: _FAR_SIDE}


def _behind(transmission: float) -> Mapping[View, float]:
    return {View.ANTERIOR: _FAR_SIDE, View.POSTERIOR: transmission}


class _Draw:
    """Draws what one patient wears."""

    def __init__(self, anatomy: Anatomy, rng: np.random.Generator) -> None:
        self.anatomy = anatomy
        self.marks = anatomy.landmarks
        self.rng = rng
        self.found: list[WornObject] = []

    def add(
        self,
        cause: UptakeSite,
        region: str,
        points: _Points,
        transmission: Mapping[View, float],
        piece_mm2: float = _FILL_PITCH_MM**2,
    ) -> None:
        self.found.append(
            WornObject(
                cause=cause,
                region=region,
                points_mm=points,
                piece_mm2=piece_mm2,
                transmission=transmission,
            )
        )

    def pacemaker(self) -> None:
        # Battery, capacitors and case: 6 to 12 mm of metal, transmission assumed.
        rng, age = self.rng, self.anatomy.patient.age
        if rng.random() >= np.clip(0.04 * (age - 45) / 30, 0.002, 0.08):
            return
        side, sign = ("L", 1) if rng.random() < 0.8 else ("R", -1)
        clavicle = self.marks.centre(f"clavicle {side}")
        centre = (
            float(clavicle[0] + sign * rng.normal(12, 8)),
            float(clavicle[2] - rng.uniform(38, 62)),
        )
        size = float(rng.choice([1.0, 1.35], p=[0.7, 0.3]))
        self.add(
            UptakeSite.PACEMAKER,
            f"chest {side}",
            _ellipse(centre, (23 * size, 21 * size)),
            _before(float(rng.uniform(0.2, 0.5))),
        )

    def clothes(self) -> None:
        rng = self.rng
        low, high = self.marks.box("pelvis")
        middle = float((low[0] + high[0]) / 2)
        if rng.random() < 0.02:  # 3 to 5 mm of steel
            centre = (middle + float(rng.normal(0, 10)), float(high[2] - rng.uniform(5, 45)))
            half = (float(rng.uniform(20, 30)), float(rng.uniform(16, 24)))
            self.add(
                UptakeSite.BELT_BUCKLE,
                "abdomen",
                _frame(centre, half, 8.0),
                _before(float(rng.uniform(0.47, 0.64))),
            )
        if rng.random() < 0.02:  # coins in a pocket: 2 to 4 mm of brass
            side = float(rng.choice([-1, 1]))
            place = (middle + side * float(rng.uniform(95, 130)), float(low[2] + 60))
            for _ in range(int(rng.integers(1, 4))):
                radius = float(rng.uniform(8, 13))
                centre = (place[0] + float(rng.normal(0, 9)), place[1] + float(rng.normal(0, 9)))
                self.add(
                    UptakeSite.COIN,
                    "thigh",
                    _ellipse(centre, (radius, radius)),
                    _before(float(rng.uniform(0.47, 0.68))),
                )
        if rng.random() < (0.05 if self.anatomy.patient.sex == "F" else 0.02):
            neck = self.marks.top("sternum")
            centre = (float(neck[0]), float(neck[2] + 45))
            drop = float(rng.uniform(55, 110))
            chain = _arc(centre, (float(rng.uniform(50, 65)), drop), (-np.pi, 0.0))
            self.add(UptakeSite.NECKLACE, "chest", chain, _before(0.6), piece_mm2=2.0)
            if rng.random() < 0.6:
                radius = float(rng.uniform(6, 12))
                pendant = _ellipse((centre[0], centre[1] - drop - radius), (radius, 1.2 * radius))
                self.add(
                    UptakeSite.NECKLACE, "chest", pendant, _before(float(rng.uniform(0.6, 0.8)))
                )

    def breast(self) -> None:
        rng = self.rng
        patient = self.anatomy.patient
        if patient.sex != "F":
            return
        low, high = self.marks.box("rib")
        middle, half = (low + high) / 2, (high - low) / 2
        across, height = 0.55 * float(half[0]), float(middle[2] + 0.05 * half[2])
        if rng.random() < 0.03:  # wires of 1.5 mm steel, and a clasp at the back
            for sign in (-1, 1):
                centre = (float(middle[0]) + sign * across, height)
                self.add(
                    UptakeSite.BRA_WIRE,
                    "chest",
                    _arc(centre, (60.0, 62.0), (-np.pi + 0.3, -0.3)),
                    _before(0.75),
                    piece_mm2=3.0,
                )
            clasp = _frame((float(middle[0]), height - 40), (9.0, 16.0), 4.0)
            self.add(UptakeSite.BRA_CLASP, "chest", clasp, _behind(0.7))
        if patient.primary == "breast" and rng.random() < 0.04:  # 4 cm of silicone
            one_side = float(rng.choice([-1, 1]))
            centre = (float(middle[0]) + one_side * across, height)
            self.add(
                UptakeSite.BREAST_PROSTHESIS,
                "chest",
                _ellipse(centre, (62.0, 58.0)),
                _before(float(rng.uniform(0.55, 0.7))),
            )


def draw_worn_objects(anatomy: Anatomy, rng: np.random.Generator) -> list[WornObject]:
    """Draw what one patient wears or carries that stops photons.

    Args:
        anatomy: the patient.
        rng: source of randomness.
    """
    draw = _Draw(anatomy, rng)
    draw.pacemaker()
    draw.clothes()
    draw.breast()
    return draw.found
