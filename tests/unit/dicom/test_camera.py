"""What a header says of the camera reaches results; what could name somebody does not."""

from __future__ import annotations

import pytest

from bonescint.dicom.checks import camera_of, image_type_of, maker_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GE MEDICAL SYSTEMS", "GE MEDICAL SYSTEMS"),
        ("SIEMENS NM", "SIEMENS NM"),
        ("Philips Medical Systems, Inc.", "Philips Medical Systems, Inc."),
        ("Doe^Jane", "other"),
        ("GE\nDoe^Jane", "other"),
        ("GEORGE", "other"),
        ("", None),
    ],
)
def test_only_known_makers_are_named(text: str, expected: str | None) -> None:
    assert maker_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INFINIA", "INFINIA"),
        ("Encore2 (LEHR)", "Encore2 (LEHR)"),
        ("Doe^Jane", None),
        ("x" * 41, None),
        ("", None),
    ],
)
def test_a_model_has_the_form_of_one(text: str, expected: str | None) -> None:
    assert camera_of(text) == expected


def test_unknown_image_types_are_not_passed_on() -> None:
    assert image_type_of(("ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION")) == (
        "ORIGINAL\\PRIMARY\\WHOLE BODY\\EMISSION"
    )
    assert image_type_of(("ORIGINAL", "Doe^Jane")) == "ORIGINAL\\OTHER"
    assert image_type_of(()) is None
