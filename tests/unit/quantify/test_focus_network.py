"""The network that names foci: what it sees, and that its file says where it comes from."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import onnxruntime
import pytest
from tests.support.known_scan import KnownScan, answer, with_images

from bonescint.quantify import body_regions, bone_atlas
from bonescint.quantify.candidates import expected_uptake, usual_uptake
from bonescint.quantify.foci import Candidates, matched_candidates
from bonescint.quantify.focus_network import FOCUS_FINDINGS, USUAL, FocusInputs, focus_network
from bonescint.quantify.laid_atlas import laid_atlas
from bonescint.scan import SiteGroup, View


@pytest.fixture(scope="module")
def candidates(known: KnownScan) -> Candidates:
    return matched_candidates(known.scan, answer(known.scan, 0.1), body_regions(known.scan))


def test_the_file_is_small_and_says_what_it_is() -> None:
    content = files("bonescint.quantify").joinpath("focus_network.onnx").read_bytes()
    assert len(content) < 150_000
    said = focus_network().properties
    assert said["notice"].startswith("Research use only")
    assert said["trained_on"] == "simulated scans only"
    assert tuple(said["findings"]) == FOCUS_FINDINGS
    assert FOCUS_FINDINGS[0] == SiteGroup.METASTASIS.value
    assert len(said["scans_sha256"]) == 64


def test_another_library_gives_the_same_answers(candidates: Candidates) -> None:
    content = files("bonescint.quantify").joinpath("focus_network.onnx").read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    wanted, log_ratios = session.run(None, candidates.inputs._asdict())
    found = focus_network().run(candidates.inputs)
    assert found.probabilities == pytest.approx(wanted, abs=1e-4)
    assert np.log(found.volume_ratios) == pytest.approx(log_ratios.ravel(), abs=1e-3)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(len(wanted)), abs=1e-5)


def test_most_candidates_of_a_normal_scan_are_usual_uptake(candidates: Candidates) -> None:
    found = focus_network().run(candidates.inputs)
    named = found.probabilities.argmax(axis=1)
    assert (named == found.findings.index(USUAL)).mean() > 0.5


def test_no_candidates_no_answers() -> None:
    empty = FocusInputs(*(np.zeros((0, 1), np.float32) for _ in range(3)))
    assert focus_network().run(empty).probabilities.shape == (0, len(FOCUS_FINDINGS))


def test_the_first_patch_is_centred_on_the_maximum(candidates: Candidates) -> None:
    """In the middle of the patch uptake is the contrast that was measured of the focus."""
    checked = 0
    for group, fine in zip(candidates.groups, candidates.inputs.fine, strict=True):
        for focus in group:
            if focus.contrast > 2 and len(group) == 1:
                channel = 0 if focus.view is View.ANTERIOR else 5
                middle = np.exp(fine[channel, 11:13, 11:13].max())
                assert middle == pytest.approx(focus.contrast, rel=0.25)
                checked += 1
    assert checked > 0


def test_without_a_view_its_patches_are_empty(known: KnownScan) -> None:
    front = known.scan.view(View.ANTERIOR)
    assert front is not None
    scan = with_images(known.scan, {View.ANTERIOR: front})
    inputs = matched_candidates(scan, answer(scan), body_regions(scan)).inputs
    assert np.abs(inputs.fine[:, 0:5]).sum() > 0
    assert np.abs(inputs.fine[:, 5:10]).sum() == 0
    assert np.abs(inputs.coarse[:, 3:6]).sum() == 0


def test_a_place_on_the_average_body_is_found_again(
    known: KnownScan, candidates: Candidates
) -> None:
    laid = laid_atlas(body_regions(known.scan), known.scan.shape)
    for group in candidates.groups[:20]:
        focus = group[0]
        place = laid.place_mm([focus], focus.bone)
        row, column = laid.pixel_of(place, focus.bone, focus.view)
        # Another sample may be nearest on the way back; it then lies elsewhere by its own share.
        assert abs(row - focus.row - 0.5) < 6
        assert abs(column - focus.column - 0.5) < 6


def test_hot_bones_do_not_raise_what_is_expected_of_them(known: KnownScan) -> None:
    names, view = bone_atlas().bones, View.POSTERIOR
    image = known.scan.view(view)
    assert image is not None
    bones = body_regions(known.scan).bones[view]
    usual = usual_uptake(image, bones, names)
    hot = usual.copy()
    spine = [n for n, name in enumerate(names, start=1) if name[0] in "TL" and name[1:].isdigit()]
    hot[spine] *= 8
    before, after = (expected_uptake(of, view, names) for of in (usual, hot))
    assert after[0] == 0
    assert after[1:] == pytest.approx(before[1:], rel=0.25)
    assert (after[spine] < hot[spine] / 3).all()
