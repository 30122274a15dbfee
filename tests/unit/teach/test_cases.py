"""Cases are what was asked for, and can be made again."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonescint.cohort import write_manifest
from bonescint.dicom import write_nm
from bonescint.scan import (
    Case,
    FocusKind,
    InputError,
    ParameterError,
    Split,
    UptakeSite,
    View,
)
from bonescint.schema import construct, plain
from bonescint.teach.appearances import Appearance
from bonescint.teach.cases import (
    VISIBLE_CONTRAST_TO_NOISE,
    CaseSpec,
    CohortCases,
    SpotArea,
    TeachingCase,
    simulate_case,
)

ASKED = CaseSpec(
    seed=5,
    course="rib-fractures",
    appearance=Appearance.DISSEMINATED,
    metastases=3,
    contrast_to_noise=9.0,
    bone="ribs",
    findings=(UptakeSite.RIB_FRACTURE, UptakeSite.URINE_CONTAMINATION),
)


@pytest.fixture(scope="module")
def asked() -> TeachingCase:
    return simulate_case(ASKED, "asked")


def test_a_specification_survives_json_and_another_process() -> None:
    assert construct(CaseSpec, json.loads(json.dumps(plain(ASKED))), "here", "there") == ASKED
    assert pickle.loads(pickle.dumps(ASKED)) == ASKED  # noqa: S301 - made here


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"seed": 1, "contrast_to_noise": 10.0},
        {"seed": 1, "bone": "ribs"},
        {"seed": 1, "appearance": Appearance.SOLITARY, "metastases": 0},
        {"seed": 1, "findings": (UptakeSite.METASTASIS,)},
        {"seed": 1, "others": 1.5},
    ],
)
def test_an_impossible_specification_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        CaseSpec(**wrong)  # type: ignore[arg-type]


def test_a_case_is_what_was_asked_for(asked: TeachingCase) -> None:
    lesions: dict[tuple[str, float | None], float] = {}
    for focus in asked.truth.foci:
        if focus.kind is FocusKind.METASTASIS:
            key = (focus.region, focus.contrast)
            lesions[key] = max(lesions.get(key, 0.0), focus.contrast_to_noise or 0.0)
    assert len(lesions) == 3
    faintest = min(lesions, key=lambda key: lesions[key])
    assert faintest[0].startswith("rib")
    assert lesions[faintest] == pytest.approx(9.0, rel=0.03)
    seen = {f.cause for f in asked.truth.foci if (f.contrast_to_noise or 0) >= 5}
    assert set(ASKED.findings) <= seen


def test_the_same_specification_gives_the_same_bytes_and_another_seed_does_not(
    asked: TeachingCase,
) -> None:
    again = simulate_case(ASKED, "asked")
    assert again.truth.foci == asked.truth.foci
    assert again.areas == asked.areas
    for view in View:
        assert np.array_equal(again.scan.view(view), asked.scan.view(view))
    other = simulate_case(CaseSpec(seed=6), "other")
    assert not np.array_equal(other.scan.anterior, asked.scan.anterior)
    assert not other.truth.positive


def test_areas_lie_on_their_foci(asked: TeachingCase) -> None:
    for focus, area in zip(asked.truth.foci, asked.areas, strict=True):
        assert area is not None
        rows, columns = np.nonzero(area.mask())
        near = np.hypot(rows + area.top - focus.row, columns + area.left - focus.column).min()
        assert near < 12  # a ring's centre lies outside its area


def test_metastases_cover_the_masks_of_the_truth(asked: TeachingCase) -> None:
    drawn = {view: np.zeros(asked.scan.shape, bool) for view in View}
    for focus, area in zip(asked.truth.foci, asked.areas, strict=True):
        if focus.kind is FocusKind.METASTASIS and area is not None:
            window = np.s_[area.top : area.top + area.rows, area.left : area.left + area.columns]
            drawn[focus.view][window] |= area.mask()
    for view in View:
        assert np.array_equal(drawn[view], asked.truth.masks[view])


def test_the_scan_that_is_shown_names_neither_disease_nor_seed(asked: TeachingCase) -> None:
    said = repr((asked.scan.scan_id, asked.scan.patient_id, asked.scan.acquisition))
    said += repr(asked.scan.history)
    assert asked.scan.scan_id == "asked"
    assert asked.scan.patient_id is None
    assert not any(word in said.lower() for word in ("metast", "fracture", "rib", "positive"))


def test_a_finding_that_only_women_have_gives_a_woman() -> None:
    spec = CaseSpec(seed=3, findings=(UptakeSite.BREAST_PROSTHESIS,))
    case = simulate_case(spec, "w")
    assert any(f.cause == UptakeSite.BREAST_PROSTHESIS for f in case.truth.foci)


def test_cases_of_a_cohort_have_the_pieces_of_the_masks(
    asked: TeachingCase, tmp_path: Path
) -> None:
    mask = np.zeros(asked.scan.shape, np.uint8)
    mask[100:104, 50:53], mask[200, 60] = 255, 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    cases = []
    for name, positive, mask_file in (("a", True, "m.png"), ("b", True, ""), ("c", False, "")):
        write_nm(asked.scan, tmp_path / f"{name}.dcm")
        cases.append(
            Case(
                scan_id=name,
                patient_id=name,
                centre="A",
                split=Split.TEST,
                positive=positive,
                file=f"{name}.dcm",
                mask_anterior=mask_file,
            )
        )
    write_manifest(cases, tmp_path / "manifest.csv")
    cohort = CohortCases(tmp_path / "manifest.csv")
    assert cohort.scan_ids == ("a", "c")
    assert cohort.left_out == 1
    case = cohort.read(CaseSpec(seed=0, scan_id="a"), "x")
    assert case.scan.scan_id == "x"
    assert [(f.row, f.column) for f in case.truth.foci] == [(101.5, 51.0), (200.0, 60.0)]
    assert case.areas[0] == SpotArea.of(np.ones((4, 3), bool), top=100, left=50)
    assert not cohort.read(CaseSpec(seed=0, scan_id="c"), "y").truth.positive
    with pytest.raises(InputError):
        cohort.read(CaseSpec(seed=0, scan_id="b"), "z")


def test_the_faintest_metastasis_does_not_hide_behind_the_bladder() -> None:
    """With this seed the first patient's lies there; another patient is drawn."""
    spec = CaseSpec(
        seed=8,
        appearance=Appearance.SOLITARY,
        contrast_to_noise=30.0,
        bone="pelvis",
        findings=(UptakeSite.HIP_PROSTHESIS,),
        others=0.4,
    )
    case = simulate_case(spec, "b")
    lesion = max(
        (f for f in case.truth.foci if f.kind is FocusKind.METASTASIS),
        key=lambda f: f.contrast_to_noise or 0.0,
    )
    bladder = next(
        f for f in case.truth.foci if f.cause == UptakeSite.BLADDER and f.view is lesion.view
    )
    assert np.hypot(lesion.row - bladder.row, lesion.column - bladder.column) > 15


def test_a_metastasis_as_it_is_drawn_can_be_seen() -> None:
    """With this seed the first patient's can not; another patient is drawn."""
    case = simulate_case(CaseSpec(seed=49, appearance=Appearance.SOLITARY), "c")
    ratios = [f.contrast_to_noise for f in case.truth.foci if f.kind is FocusKind.METASTASIS]
    assert max(ratio or 0.0 for ratio in ratios) >= VISIBLE_CONTRAST_TO_NOISE
