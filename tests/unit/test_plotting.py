"""The one style of figures: titles and footers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")

from PIL import Image

from bonescint.plotting import new_axes, plain_text, save


def rows_with_ink(file: Path) -> np.ndarray:
    """Rows of a picture's upper third in which something is drawn."""
    with Image.open(file) as picture:
        grey = np.array(picture.convert("L"))
    return np.flatnonzero((grey[: len(grey) // 3] < 128).any(axis=1))


def drawn(path: Path, title: str) -> np.ndarray:
    figure, axis = new_axes(3, 3)
    axis.axis("off")
    save(figure, path, footer="Research use only.", title=title)
    return rows_with_ink(path)


def test_a_title_is_above_the_panels_in_as_many_lines_as_it_needs(tmp_path: Path) -> None:
    none, short, long = (
        drawn(tmp_path / f"{number}.png", "a word " * number) for number in (0, 1, 20)
    )
    assert none.size == 0
    assert 0 < short.size < long.size
    assert short[0] < 60


def test_a_title_is_no_mathematics(tmp_path: Path) -> None:
    assert plain_text("$x$\n") == r"\$x\$"
    assert drawn(tmp_path / "a.png", "costs $5, $").size > 0
