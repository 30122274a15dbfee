import numpy as np
import pytest

from bonescint.evaluate.bootstrap import Resampling
from bonescint.evaluate.false_evidence import (
    ELSEWHERE,
    OUTSIDE,
    ZONES,
    ScanEvidence,
    UptakeArea,
    evidence_table,
    place_map,
)
from bonescint.scan import ParameterError

_NAMES = ("bladder", "joint", ELSEWHERE, OUTSIDE, *(name for name, _ in ZONES))


def test_pixels_belong_to_the_nearest_edge_within_reach() -> None:
    rng = np.random.default_rng(1)
    places = [
        UptakeArea(name=str(rng.choice(["bladder", "joint"])), row=float(rng.uniform(0, 30)),
              column=float(rng.uniform(0, 20)), radius_mm=float(rng.uniform(0, 15)))
        for _ in range(6)
    ]  # fmt: skip
    body = np.zeros((30, 20), dtype=bool)
    body[2:28, 4:16] = True
    found = place_map((30, 20), places, _NAMES, (3.0, 4.0), reach_mm=8.0, body=body)
    for row in range(30):
        for column in range(20):
            edges = [
                np.hypot((row - p.row) * 3, (column - p.column) * 4) - p.radius_mm for p in places
            ]
            if min(edges) <= 8:
                expected = places[int(np.argmin(edges))].name
            elif body[row, column]:
                share = (row - 2) / 25
                expected = next(name for name, end in ZONES if share < end or end == 1)
            else:
                expected = OUTSIDE
            assert _NAMES[found[row, column]] == expected, (row, column)


def test_without_an_outline_nothing_is_outside() -> None:
    found = place_map((4, 4), [], _NAMES, (1.0, 1.0), reach_mm=5.0)
    assert (found == _NAMES.index(ELSEWHERE)).all()
    with pytest.raises(ParameterError, match="kidney"):
        place_map(
            (4, 4), [UptakeArea(name="kidney", row=0, column=0)], _NAMES, (1.0, 1.0), reach_mm=1
        )


def test_table_counts_scans_and_evidence() -> None:
    values = [np.array([[4.0, 1.0], [1.0, 2.0]]), np.array([[0.0, 0.0], [3.0, 1.0]])]
    places = np.array([[0, 1], [2, 2]])
    scans = [ScanEvidence.of([value], [places], len(_NAMES)) for value in values]
    assert [scan.highest for scan in scans] == [0, 2]
    rows = evidence_table(scans, _NAMES, Resampling(resamples=50), patients=None)
    by_name = {row.name: row for row in rows}
    assert by_name["bladder"].scans == 1
    assert by_name["bladder"].highest.value == 0.5
    assert by_name["bladder"].evidence.value == pytest.approx((0.5 + 0) / 2)
    assert by_name[ELSEWHERE].evidence.value == pytest.approx((3 / 8 + 1) / 2)
    assert by_name[ELSEWHERE].area == 0.5
    assert OUTSIDE not in by_name
    assert sum(row.evidence.value for row in rows) == pytest.approx(1)
    empty = ScanEvidence.of([np.zeros((2, 2))], [places], len(_NAMES))
    assert empty.highest == -1
    with pytest.raises(ParameterError, match="shapes"):
        ScanEvidence.of([np.zeros((2, 3))], [places], 3)
