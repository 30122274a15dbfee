"""The picture of a quantified scan says all that its result says is doubtful."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.support.known_scan import answer, known_scan

from bonescint.classify.quantified_picture import quantified_picture
from bonescint.explain.lettering import WARNING
from bonescint.explain.overlay import png_of
from bonescint.quantify import quantify_scan


def test_every_remark_is_written() -> None:
    pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
    scan = known_scan().scan
    found = quantify_scan(scan, replace(answer(scan, probability=0.01), positive=None))
    heights, written = [], []
    for number in range(4):
        remarks = tuple(f"Remark {n}." for n in range(number))
        picture = quantified_picture(replace(found, remarks=remarks))
        drawn = (np.asarray(picture) == WARNING).all(axis=2).any(axis=1)
        heights.append(picture.height)
        written.append(int((np.diff(drawn.astype(int)) == 1).sum()))
    assert len(set(np.diff(heights))) == 1  # a line each
    assert written[0] == 0
    assert written[1] < written[2] < written[3]


def test_a_png_file_holds_the_picture() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (7, 13, 3)).astype(np.uint8)
    with Image.open(io.BytesIO(png_of(Image.fromarray(pixels)))) as read:
        read.verify()  # checksums
    with Image.open(io.BytesIO(png_of(Image.fromarray(pixels)))) as read:
        assert (read.format, read.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(read), pixels)
