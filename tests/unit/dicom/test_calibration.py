"""What a pixel's side is, as far as the header says."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from bonescint.dicom.calibration import pixel_spacing_mm
from bonescint.dicom.header import Header


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"PixelSpacing": [2.4, 2.2]}, (2.4, 2.2)),
        ({"ImagerPixelSpacing": [2.4, 2.2]}, (2.4, 2.2)),
        ({"NominalScannedPixelSpacing": [2.4, 2.2]}, (2.4, 2.2)),
        ({"PixelSpacing": [2.4, 2.2], "ImagerPixelSpacing": [1, 1]}, (2.4, 2.2)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [2.4, 2.2]}, (2.4, 2.2)),
        ({"PixelSpacing": [0.05, 50]}, (0.05, 50.0)),
        ({"PixelSpacing": [0.049, 2]}, None),
        ({"PixelSpacing": [2, 50.1]}, None),
        ({"PixelSpacing": [2.4]}, None),
        ({}, None),
    ],
)
def test_spacing_between_a_twentieth_of_a_millimetre_and_50(stated, expected) -> None:
    dataset = Dataset()
    for keyword, value in stated.items():
        setattr(dataset, keyword, value)
    assert pixel_spacing_mm(Header(dataset)) == expected
