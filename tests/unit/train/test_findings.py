"""What stands out, by kind: the simulator's words, whose pixel is whose, and the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bonescint.cohort import Manifest, mixed_protocol, read_truth, simulate_cohort
from bonescint.scan import Focus, FocusKind, SiteGroup, Split, UptakeSite, View
from bonescint.train.cached import cached_scans
from bonescint.train.findings import FINDINGS, finding_map, finding_of

_WORN = {"coin", "necklace", "belt buckle", "bra wire", "bra clasp", "pacemaker", "lymph node"}


def a_focus(row: float, column: float, kind: FocusKind, cause: str, region: str = "") -> Focus:
    return Focus(view=View.ANTERIOR, row=row, column=column, kind=kind, cause=cause, region=region)


@pytest.mark.parametrize(
    ("region", "name"),
    [("T4", "spine"), ("sacrum", "spine"), ("C1", "spine"), ("rib07 L", "rib"),
     ("pelvis R", "pelvis"), ("clavicle L", "girdle"), ("femur L", "limb"), ("skull", "skull")],
)  # fmt: skip
def test_a_metastasis_is_named_by_its_bone(region: str, name: str) -> None:
    focus = a_focus(1, 1, FocusKind.METASTASIS, "metastasis", region)
    assert FINDINGS[finding_of(focus) - 1].startswith("metastasis")
    assert FINDINGS[finding_of(focus) - 1].endswith(name)


def test_every_site_has_one_kind() -> None:
    """A finding of the network, by the site's group in an evaluation."""
    kinds: dict[str, set[str]] = {}
    for site in UptakeSite:
        if site.group is not SiteGroup.METASTASIS:
            name = FINDINGS[finding_of(a_focus(1, 1, FocusKind.MIMIC, site)) - 1]
            kinds.setdefault(name, set()).add(site.group.value)
    assert kinds["worn object or other"] == {"worn object", "other soft tissue", "other"}
    assert kinds["prosthesis"] == {"prosthesis"}
    assert kinds["rib fracture"] == {"fracture"}
    assert kinds["knee"] == kinds["ankle or foot"] == kinds["shoulder joint"] == {"joint"}
    assert set(kinds) == {name for name in FINDINGS if not name.startswith("metastasis in")}
    stranger = a_focus(1, 1, FocusKind.MIMIC, "bone island")
    assert FINDINGS[finding_of(stranger) - 1] == "worn object or other"


def test_a_pixel_belongs_to_the_nearest_focus_of_its_kind() -> None:
    rng = np.random.default_rng(5)
    causes = ("knee, medial", "rib fracture", "dental")
    foci = [a_focus(*rng.uniform(0, 30, 2), FocusKind.MIMIC, cause) for cause in causes]
    foci.append(a_focus(10, 10, FocusKind.METASTASIS, "metastasis", "skull"))
    masks = {FocusKind.MIMIC: rng.random((30, 30)) < 0.3,
             FocusKind.METASTASIS: np.hypot(*(np.indices((30, 30)) - 10)) < 4}  # fmt: skip
    found = finding_map((30, 30), foci, masks)
    for row in range(30):
        for column in range(30):
            expected = 0
            if masks[FocusKind.METASTASIS][row, column]:
                expected = finding_of(foci[3])
            elif masks[FocusKind.MIMIC][row, column]:
                apart = [np.hypot(one.row - row, one.column - column) for one in foci[:3]]
                expected = finding_of(foci[int(np.argmin(apart))])
            assert found[row, column] == expected


def test_the_simulators_foci_all_have_a_name(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
    pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")
    cohort = simulate_cohort(tmp_path / "cohort", mixed_protocol(16), seed=3).manifest
    causes = set()
    for case in cohort.cases:
        for focus in read_truth(cohort.folder / case.truth).foci:
            if FINDINGS[finding_of(focus) - 1] == FINDINGS[-1]:
                causes.add(focus.cause)
    assert causes <= _WORN
    cases = tuple(replace(case, split=Split.TRAIN) for case in cohort.cases)
    cached = cached_scans(
        Manifest(cases=cases, folder=cohort.folder), Split.TRAIN, tmp_path / "cache"
    )
    of_metastases, named = sum(name.startswith("metastasis") for name in FINDINGS), set()
    for number, case in enumerate(cases):
        sample = cached.sample(number)
        assert sample.findings is not None
        truth = read_truth(cohort.folder / case.truth)
        for view, numbers in sample.findings.items():
            mask = truth.masks.get(view, np.zeros(sample.scan.shape, dtype=bool))
            assert np.array_equal((numbers > 0) & (numbers <= of_metastases), mask)
            named |= {FINDINGS[one - 1] for one in np.unique(numbers) if one}
    assert {"kidney or ureter", "bladder or urine", "degenerative spine"} <= named
