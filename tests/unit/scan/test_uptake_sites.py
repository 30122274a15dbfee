"""One list of what a focus can be: the simulator makes no other, every table knows each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bonescint.evaluate.false_evidence import OUTSIDE, ZONES
from bonescint.experiment.evaluation.covariates import PLACE_NAMES, places_of
from bonescint.scan import FocusKind, ParameterError, SiteGroup, UptakeSite, View
from bonescint.simulate.focal import soft_focus
from bonescint.simulate.worn_objects import WornObject
from bonescint.train.findings import FINDINGS, finding_of


def _content(cause: str, kind: str = "mimic") -> dict[str, object]:
    focus = {"view": "anterior", "kind": kind, "cause": cause, "row": 1.0, "column": 2.0,
             "radius_mm": 900.0}  # fmt: skip
    return json.loads(json.dumps({"foci": [focus]}))  # type: ignore[no-any-return]


@pytest.mark.parametrize("site", UptakeSite)
def test_every_site_is_counted_with_its_own_group(site: UptakeSite) -> None:
    from bonescint.scan import Focus

    (place,) = places_of(_content(site))[View.ANTERIOR]
    if site.group is SiteGroup.METASTASIS:  # a place is what only looks like disease
        assert places_of(_content(site, "metastasis")) == {view: [] for view in View}
        return
    assert place.name == site.group.value
    assert place.name in PLACE_NAMES
    assert (place.row, place.column, place.radius_mm) == (1.0, 2.0, 60.0)
    mimic = Focus(view=View.ANTERIOR, row=1, column=1, kind=FocusKind.MIMIC, cause=site)
    assert not FINDINGS[finding_of(mimic) - 1].startswith("metastasis")


def test_groups_say_what_a_reader_would_say() -> None:
    """By words that leave no doubt, against the groups that were written down by hand."""
    for site in UptakeSite:
        assert ("fracture" in site) == (site.group is SiteGroup.FRACTURE), site
        assert ("prosthesis" in site) == (site.group is SiteGroup.PROSTHESIS), site
        assert ("metasta" in site) == (site.group is SiteGroup.METASTASIS), site
    worn = {site for site in UptakeSite if site.group is SiteGroup.WORN}
    assert worn == {"pacemaker", "belt buckle", "coin", "necklace", "bra wire", "bra clasp"}
    urinary = {site for site in UptakeSite if site.group is SiteGroup.KIDNEY}
    assert urinary == {"kidney", "renal pelvis", "hydronephrosis", "ureter"}
    assert {site.group for site in UptakeSite} == set(SiteGroup)


@pytest.mark.parametrize("cause", ["bone island", "", "Rib fracture", "knee prosthesis, loose"])
def test_what_is_no_site_of_ours_counts_as_other(cause: str) -> None:
    (place,) = places_of(_content(cause))[View.ANTERIOR]
    assert place.name == "other"
    assert UptakeSite.named(cause) is UptakeSite.OTHER


def test_names_of_places_are_not_mixed_up() -> None:
    assert len(set(PLACE_NAMES)) == len(PLACE_NAMES)
    assert {OUTSIDE, "other", *(name for name, _ in ZONES)} <= set(PLACE_NAMES)
    assert "metastasis" not in PLACE_NAMES


def test_the_simulator_cannot_make_what_is_not_listed() -> None:
    with pytest.raises(ParameterError, match="one of UptakeSite"):
        soft_focus(cause="bone island", region="L3", centre_mm=np.zeros(3, np.float32),  # type: ignore[arg-type]
                   radii_mm=np.ones(3, np.float32), concentration=1.0)  # fmt: skip
    with pytest.raises(ParameterError, match="one of UptakeSite"):
        WornObject(cause="watch", region="wrist", points_mm=np.zeros((1, 2), np.float32),  # type: ignore[arg-type]
                   piece_mm2=1.0, transmission={View.ANTERIOR: 0.5})  # fmt: skip
