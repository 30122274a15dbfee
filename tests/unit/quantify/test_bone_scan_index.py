"""The Bone Scan Index, against sums that can be done by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.support.known_scan import KnownScan, answer

from bonescint.quantify import (
    FocusInView,
    MassTable,
    MatchedFocus,
    body_regions,
    bone_atlas,
    bone_masses,
    quantify_scan,
)
from bonescint.quantify.bone_scan_index import (
    OFFSET,
    bone_scan_index,
    calibration_factor,
    method_sd,
    outlined_shares,
    resampled,
)
from bonescint.quantify.diseased_bone import PieceNumbers, diseased_bone
from bonescint.quantify.laid_atlas import laid_atlas
from bonescint.scan import PixelUnit, View

# As medicalalgorithms.com cites Spiers, in per cent; the sum is 100.1.
SPIERS = {
    "skull": 16.6, "mandible": 1.8, "pelvis": 7.5, "sternum": 0.3, "clavicle": 1.0,
    "scapula": 3.0, "humerus": 6.6, "ulna": 3.0, "radius": 2.4, "hand": 3.0, "femur": 17.8,
    "tibia": 10.2, "fibula": 2.6, "foot": 11.6, "rib": 4.4,
}  # fmt: skip


@pytest.mark.parametrize(("group", "percent"), SPIERS.items())
def test_groups_weigh_what_the_table_says(group: str, percent: float) -> None:
    masses = bone_masses(MassTable.SPIERS)
    mine = [bone.startswith(group) for bone in bone_atlas().bones]
    assert 100 * masses[mine].sum() == pytest.approx(percent / 1.001)


def test_the_spine_includes_the_sacrum_and_patellae_weigh_nothing() -> None:
    masses, bones = bone_masses(MassTable.SPIERS), bone_atlas().bones
    spine = [(bone[0] in "CTL" and bone[1:].isdigit()) or bone == "sacrum" for bone in bones]
    assert 100 * masses[spine].sum() == pytest.approx(8.3 / 1.001)
    assert masses[bones.index("patella L")] == 0


@pytest.mark.parametrize("table", list(MassTable))
def test_masses_add_up_to_the_skeleton(table: MassTable) -> None:
    assert bone_masses(table).sum() == pytest.approx(1)
    assert table.source


def whole_bone(known: KnownScan, bone: str) -> MatchedFocus:
    """A focus that covers the rows and columns of a bone, in both views."""
    body = body_regions(known.scan)
    number = body.bone_names.index(bone) + 1
    shown = []
    for view in View:
        rows, columns = np.nonzero(body.bones[view] == number)
        top, left = int(rows.min()) - 12, int(columns.min()) - 12
        size = (int(rows.max()) + 13 - top, int(columns.max()) + 13 - left)
        shown.append(
            FocusInView(
                view=view,
                row=int(rows[0]),
                column=int(columns[0]),
                bone=bone,
                region="",
                mask=np.ones(size, bool),
                top=top,
                left=left,
                contrast=3.0,
                contrast_to_noise=10.0,
                share_of_bone=0.1,
                area_mm2=None,
                probability=0.9,
            )
        )
    return MatchedFocus(number=1, in_views=tuple(shown))


def test_a_bone_that_is_wholly_covered_counts_with_the_probability(known: KnownScan) -> None:
    laid = laid_atlas(body_regions(known.scan), known.scan.shape)
    shares = outlined_shares([whole_bone(known, "femur L")], laid)
    femur = bone_atlas().bones.index("femur L")
    assert shares[femur] == pytest.approx(0.9, abs=0.02)  # the focus' probability
    assert np.delete(shares, femur).max() == 0


def test_a_focus_counts_with_the_volume_that_is_expected_of_it(known: KnownScan) -> None:
    laid = laid_atlas(body_regions(known.scan), known.scan.shape)
    focus = whole_bone(known, "femur L")
    whole, half = (
        outlined_shares([replace(focus, volume_ratio=ratio)], laid).sum() for ratio in (1.0, 0.5)
    )
    assert half == pytest.approx(whole / 2)
    assert outlined_shares([replace(focus, volume_ratio=9.0)], laid).max() == 1


def test_the_network_s_share_of_a_bone_is_that_of_its_samples(known: KnownScan) -> None:
    scan, focus = known.scan, whole_bone(known, "L3")
    body, said, atlas = body_regions(scan), answer(scan), bone_atlas()
    numbers = PieceNumbers(scan, said, body, [focus], laid_atlas(body, scan.shape))
    diseased = diseased_bone().shares(numbers.of(scan))
    found = numbers.shares_of_bones(scan)
    for bone in range(len(atlas.bones)):
        samples = np.flatnonzero(atlas.bone == bone)
        wanted = np.mean([diseased[numbers.pieces.of_sample[sample]] for sample in samples])
        assert found[bone] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("table", list(MassTable))
def test_the_index_weighs_the_mean_of_both_estimates(known: KnownScan, table: MassTable) -> None:
    scan, focus = known.scan, whole_bone(known, "L3")
    body, said = body_regions(scan), answer(scan)
    laid = laid_atlas(body, scan.shape)
    network = PieceNumbers(scan, said, body, [focus], laid).shares_of_bones(scan)
    estimate = (1.36 * outlined_shares([focus], laid) + network) / 2
    index = 100 * float(bone_masses(table) @ estimate)
    found = bone_scan_index(scan, said, body, [focus], table=table, resamples=0)
    assert found.percent == pytest.approx(index * calibration_factor(index), rel=0.02)
    assert sum(found.by_bone.values()) == pytest.approx(found.percent)
    doubtful = replace(focus, in_views=tuple(replace(v, probability=0.4) for v in focus.in_views))
    assert bone_scan_index(scan, said, body, [doubtful], table=table).percent == 0


def test_the_error_lies_between_those_of_the_table() -> None:
    values = {"counts": [[2e5, 2e6]], "index": [[0.0, 1.0]], "sd": [[0.8, 0.6], [0.4, 0.2]]}
    assert method_sd(2e5, 0.0, values) == pytest.approx(0.8)
    assert method_sd(5e6, 40.0, values) == pytest.approx(0.2)
    middle = np.sqrt(2e5 * 2e6)
    assert method_sd(middle, 1.0, values) == pytest.approx(0.4)
    half = np.sqrt(OFFSET * (1 + OFFSET)) - OFFSET
    assert method_sd(2e6, half, values) == pytest.approx(0.3)


def test_a_normal_scan_has_an_index_of_nothing(known: KnownScan) -> None:
    found = quantify_scan(known.scan, answer(known.scan, probability=0.01))
    assert found.index is not None
    assert found.index.percent == 0
    assert found.index.metastases == 0


def test_the_interval_holds_the_index_and_is_the_same_again(known: KnownScan) -> None:
    scan, focus = known.scan, whole_bone(known, "L3")
    one, again = (
        bone_scan_index(scan, answer(scan), body_regions(scan), [focus], seed=3) for _ in range(2)
    )
    assert one == again
    assert one.low is not None
    assert one.high is not None
    assert one.low <= one.percent <= one.high


def test_pictures_have_no_interval(known: KnownScan) -> None:
    scan = replace(known.scan, unit=PixelUnit.INTENSITY)
    index = quantify_scan(scan, answer(scan)).index
    assert index is not None
    assert index.low is None
    assert "no interval" in index.in_words


def test_a_scan_without_a_call_has_no_index_unless_asked_for(known: KnownScan) -> None:
    uncalled = replace(answer(known.scan), positive=None)
    without = quantify_scan(known.scan, uncalled)
    assert without.index is None
    assert any("too unlike" in remark for remark in without.remarks)
    assert quantify_scan(known.scan, uncalled, call_anyway=True).index is not None


def test_resampled_counts_are_poisson_around_the_scan(known: KnownScan) -> None:
    again = resampled(known.scan, np.random.default_rng(0))
    for view, image in known.scan.images():
        other = again.view(view)
        assert other is not None
        differences = (other - image)[image > 0]
        assert differences.var() == pytest.approx(image[image > 0].mean(), rel=0.05)
