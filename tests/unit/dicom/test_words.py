"""View names in free text."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonescint.dicom.words import names_a_mask, pair_key, view_in_path, view_in_text
from bonescint.scan import View


@pytest.mark.parametrize(
    "text",
    ["ANT", "Anterior", "WB_ANT001", "WBANT001", "WholeBodyAnt", "face", "FACE ANT", "Antérieure",
     "ventral", "AP", "post therapy ANT", "vorne", "anteriore"],
)  # fmt: skip
def test_names_the_anterior_view(text: str) -> None:
    assert view_in_text(text) is View.ANTERIOR


@pytest.mark.parametrize(
    "text",
    ["POST", "posterior", "WB_POST001", "FACE POST", "DOS", "dorsal", "PA", "POST VIEW", "Post WB",
     "Rücken", "postérieur", "WHOLE BODY POST"],
)  # fmt: skip
def test_names_the_posterior_view(text: str) -> None:
    assert view_in_text(text) is View.POSTERIOR


@pytest.mark.parametrize(
    "text",
    ["", "WHOLE BODY", "PLANTAR", "DISTANT", "POST OP", "POST-OP", "post therapy", "POST 3H",
     "POST INJECTION", "POSTOPERATIVE", "ANT/POST", "WHOLE BODY ANT POST", "AP/PA", "PA000123",
     "APPENDIX", "Giant cell tumour", "SEPT 2021", "dos_santos_1", "PA 0001", "POST BONE SCAN",
     "BONE WB 3HR POST", "DELAYED POST"],
)  # fmt: skip
def test_names_no_single_view(text: str) -> None:
    assert view_in_text(text) is None


def test_the_folder_counts_only_when_it_is_called_as_a_view() -> None:
    assert view_in_path(Path("BS80K/POST/000017.jpg")) is View.POSTERIOR
    assert view_in_path(Path("post therapy/000017.jpg")) is None
    assert view_in_path(Path("ANT/p1_posterior.png")) is View.POSTERIOR


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/p1_anterior.png", "a/p1_posterior.png"),
        ("a/ANT001.dcm", "a/POST001.dcm"),
        ("a/x-ANT-7.png", "a/x-POST-7.png"),
        ("a/WB_AP.png", "a/WB_PA.png"),
        ("ANT/9.jpg", "POST/9.jpg"),
    ],
)
def test_the_two_files_of_a_study_share_a_key(one: str, other: str) -> None:
    assert pair_key(Path(one)) == pair_key(Path(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/p1_anterior.png", "a/p2_posterior.png"), ("a/p1_ANT.png", "b/p1_POST.png"),
     ("a/ANT001.dcm", "a/POST002.dcm")],
)  # fmt: skip
def test_files_of_two_studies_do_not(one: str, other: str) -> None:
    assert pair_key(Path(one)) != pair_key(Path(other))


def test_masks_are_known_by_name() -> None:
    assert names_a_mask(Path("p1_mask_anterior.png"))
    assert not names_a_mask(Path("p1_masked_ball.png"))
