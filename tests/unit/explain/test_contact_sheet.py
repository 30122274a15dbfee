"""Contact sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonescint.explain import ContactPrint, contact_sheet, write_contact_sheet
from bonescint.scan import Acquisition, OutputError, ParameterError, PixelUnit, Scan


def a_print(*, hot: bool) -> ContactPrint:
    image = np.full((128, 32), 3.0)
    if hot:
        image[40:50, 10:20] = 60
    scan = Scan(
        anterior=image,
        posterior=None,
        pixel_spacing_mm=(2.0, 2.0),
        unit=PixelUnit.COUNTS,
        scan_id="s",
        acquisition=Acquisition(modality="NM"),
    )
    return ContactPrint(scan=scan, caption="a caption")


def test_every_scan_has_its_place() -> None:
    one = contact_sheet([a_print(hot=True)])
    eight = contact_sheet([a_print(hot=True)] * 8)
    assert eight.width > 5 * (one.width - 60)
    assert eight.height > 1.8 * one.height - 60
    sheet = np.asarray(eight.convert("L"))
    width, height = eight.width // 6, (eight.height - 44) // 2
    dark = [
        (sheet[44 + row * height : 44 + (row + 1) * height, c * width : (c + 1) * width] < 10).any()
        for row in range(2)
        for c in range(6)
    ]
    assert dark == [True] * 8 + [False] * 4


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_contact_sheet([a_print(hot=False)], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.png"]
    with pytest.raises(ParameterError, match=r"\.png"):
        write_contact_sheet([a_print(hot=False)], tmp_path / "sheet.gif")
    with pytest.raises(ParameterError, match="at least one scan"):
        write_contact_sheet([], tmp_path / "none.png")
    with pytest.raises(OutputError, match="cannot be written"):
        write_contact_sheet([a_print(hot=False)], tmp_path / "none" / "sheet.png")
