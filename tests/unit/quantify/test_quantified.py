"""The JSON form of a quantified scan."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.support.known_scan import KnownScan, answer

from bonescint.quantify import quantify_scan


def test_json_has_what_a_reader_needs(known: KnownScan) -> None:
    found = quantify_scan(known.scan, answer(known.scan))
    content = json.loads(json.dumps(found.to_json()))
    assert content["notice"].startswith("Research use only")
    assert content["bone_scan_index"]["bone_masses"] == "spiers"
    assert "secondary source" in content["bone_scan_index"]["bone_masses_source"]
    assert content["registration"]["anterior"]["found_well"]
    assert content["registration"]["posterior"]["advantage_over_opposite_side"] > 0.05
    assert 0.5 < content["agreement_on_left_and_right"] <= 1
    for view in ("anterior", "posterior"):
        shares = [of["share_of_bone"] for of in content["regions"][view].values()]
        assert len(shares) == 12
        assert abs(sum(shares) - 1) < 1e-3
    assert len(content["foci"]) == len(found.foci)
    for focus in content["foci"]:
        assert focus["finding_probabilities"]["metastasis"] == focus["probability"]
        assert sum(focus["finding_probabilities"].values()) == pytest.approx(1, abs=0.01)
        for view in focus["views"]:
            area = sum(row.count("#") for row in view["outline"]["rows"])
            assert area > 0


def test_without_a_spacing_no_millimetre(known: KnownScan) -> None:
    scan = replace(known.scan, pixel_spacing_mm=None)
    content = quantify_scan(scan, answer(scan)).to_json()
    assert any("spacing is unknown" in remark for remark in content["remarks"])
    for view in content["regions"].values():
        assert all(of["area_mm2"] is None for of in view.values())
