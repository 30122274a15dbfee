"""Which uptake areas or zones of the body the evidence of a false positive lies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.bootstrap import Resampling
from bonescint.evaluate.map_metrics import ratio_over_scans
from bonescint.evaluate.scored import design_effect, summed
from bonescint.intervals import Estimate, share
from bonescint.scan import ParameterError

ELSEWHERE, OUTSIDE = "elsewhere in the body", "outside the body"
ZONES: tuple[tuple[str, float], ...] = (
    ("elsewhere in head or neck", 0.16),
    ("elsewhere in thorax or arms", 0.36),
    ("elsewhere in abdomen or pelvis", 0.55),
    ("elsewhere in the legs", 1.0),
)
"""Parts of the body and the share of its height, from the top, where each ends. Rough: an arm
beside the pelvis counts with the pelvis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UptakeArea:
    """Something hot, or cold, that a map may have taken for disease.

    Attributes:
        name: group in which it is counted, such as `"bladder"`.
        row: row of its centre, in pixels.
        column: column of its centre, in pixels.
        radius_mm: its radius.
    """

    name: str
    row: float
    column: float
    radius_mm: float = 0.0


def place_map(
    shape: tuple[int, int],
    places: Sequence[UptakeArea],
    names: Sequence[str],
    pixel_mm: tuple[float, float],
    *,
    reach_mm: float,
    body: NDArray[np.bool_] | None = None,
) -> NDArray[np.intp]:
    """The place that each pixel of a view belongs to: an uptake area, a zone, or outside the body.

    Args:
        shape: (rows, columns).
        places: uptake areas of this view.
        names: names of all places; `ELSEWHERE`, `OUTSIDE` and the `ZONES` must be among them.
        pixel_mm: distance between rows and between columns.
        reach_mm: margin around an uptake area that still counts as part of it; half the width
            of a map's cell is suitable.
        body: bool (rows, columns), or `None` if the outline is unknown; pixels beyond uptake
            areas are then all `ELSEWHERE`.

    Returns:
        int (rows, columns), index in `names`: the uptake area whose edge is nearest, if within
        `reach_mm`; else the zone of the body, or outside it.

    Examples:
        >>> names = ("bladder", ELSEWHERE, OUTSIDE, *(name for name, _ in ZONES))
        >>> body = np.array([[True, True, True, False]])
        >>> bladder = UptakeArea(name="bladder", row=0, column=0, radius_mm=1)
        >>> place_map((1, 4), [bladder], names, (1.0, 1.0), reach_mm=0.5, body=body).tolist()
        [[0, 0, 3, 2]]
    """
    index = {name: number for number, name in enumerate(names)}
    zones = {name for name, _ in ZONES}
    missing = {place.name for place in places} | {ELSEWHERE, OUTSIDE} | zones
    missing -= set(index)
    if missing:
        raise ParameterError("names", "place_map", f"with {sorted(missing)}", list(names))
    found = np.full(shape, index[ELSEWHERE], dtype=np.intp)
    if body is not None and body.any():
        there = np.flatnonzero(body.any(axis=1))
        height = (np.arange(shape[0]) - there[0]) / max(there[-1] - there[0], 1)
        ends = [end for _, end in ZONES[:-1]]
        found[:] = np.array([index[name] for name, _ in ZONES])[np.digitize(height, ends)][:, None]
        found[~body] = index[OUTSIDE]
    nearest = np.full(shape, np.inf)
    rows = np.arange(shape[0], dtype=np.float64)[:, None] * pixel_mm[0]
    columns = np.arange(shape[1], dtype=np.float64)[None, :] * pixel_mm[1]
    for place in places:
        down, across = rows - place.row * pixel_mm[0], columns - place.column * pixel_mm[1]
        edge = np.hypot(down, across) - place.radius_mm
        wins = (edge <= reach_mm) & (edge < nearest)
        nearest[wins] = edge[wins]
        found[wins] = index[place.name]
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanEvidence:
    """Where one scan's evidence lies.

    Attributes:
        highest: index of the place under the map's highest value; -1 for an empty map.
        shares: share of the map's sum on each place, (places,).
        areas: share of all pixels on each place, (places,): what a uniform map would score.
    """

    highest: int
    shares: NDArray[np.float64]
    areas: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        values: Sequence[NDArray[np.floating]],
        places: Sequence[NDArray[np.intp]],
        count: int,
    ) -> ScanEvidence:
        """Sum up the maps of a scan's views by place.

        Args:
            values: for each view, (rows, columns), at least 0.
            places: for each view, as `place_map` gives it.
            count: number of places.

        Examples:
            >>> found = ScanEvidence.of([np.array([[3.0, 1.0]])], [np.array([[1, 0]])], 2)
            >>> found.highest, found.shares.tolist()
            (1, [0.25, 0.75])
        """
        value = np.concatenate([one.ravel() for one in values]).astype(np.float64)
        place = np.concatenate([one.ravel() for one in places])
        if value.shape != place.shape:
            got = (value.shape, place.shape)
            raise ParameterError("places", "ScanEvidence.of", "of the maps' shapes", got)
        sums = np.bincount(place, weights=value, minlength=count)
        areas = np.bincount(place, minlength=count) / place.size
        total = float(sums.sum())
        if total <= 0:
            return cls(highest=-1, shares=np.zeros(count), areas=areas)
        return cls(highest=int(place[value.argmax()]), shares=sums / total, areas=areas)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRow:
    """One line of the table.

    Attributes:
        name: name of the place.
        scans: number of scans whose highest evidence lies there.
        of: number of scans in the table.
        highest: the share of these scans, Wilson's interval.
        evidence: mean share of the evidence, interval over scans.
        area: mean share of the pixels, in those scans.
    """

    name: str
    scans: int
    of: int
    highest: Estimate
    evidence: Estimate
    area: float


def evidence_table(
    scans: Sequence[ScanEvidence],
    names: Sequence[str],
    resampling: Resampling,
    *,
    patients: NDArray[np.intp] | None,
) -> tuple[PlaceRow, ...]:
    """Where the evidence of many scans lies, most frequent place first; empty places are left out.

    Args:
        scans: scans, such as the false positives.
        names: names of the places.
        resampling: for the intervals of `evidence`; its level is that of all intervals.
        patients: number of each scan's patient, (scans,), or `None` where each has one scan.
    """
    found = []
    for number, name in enumerate(names):
        shares = np.array([scan.shares[number] for scan in scans])
        areas = np.array([scan.areas[number] for scan in scans])
        if not areas.any():
            continue
        highest = np.array([scan.highest == number for scan in scans])
        here = int(highest.sum())
        effect = 1.0
        if patients is not None:
            effect = design_effect(
                summed(highest.astype(np.float64), patients),
                summed(np.ones(len(scans)), patients),
            )
        found.append(
            PlaceRow(
                name=name,
                scans=here,
                of=len(scans),
                highest=share(here, len(scans), level=resampling.level, effect=effect),
                evidence=ratio_over_scans(
                    shares, np.ones(len(scans)), resampling, patients=patients
                ),
                area=float(areas.mean()),
            )
        )
    return tuple(sorted(found, key=lambda row: (-row.scans, -row.evidence.value)))
