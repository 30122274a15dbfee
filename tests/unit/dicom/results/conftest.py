"""Studies of painted bodies, in the ways in which cameras write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dicom_files import detector, multi_frame, one_view, save
from pydicom import Dataset


@pytest.fixture
def two_frames(anterior, posterior, tmp_path: Path) -> Callable[..., tuple[Path, ...]]:
    """Writes an NM object with two frames, its header changed by the caller."""

    def write(change: Callable[[Dataset], None] = lambda _: None) -> tuple[Path, ...]:
        dataset = multi_frame([anterior, posterior], items=[detector("180"), detector("0")])
        change(dataset)
        return (save(dataset, tmp_path / "source.dcm"),)

    return write


@pytest.fixture
def two_files(anterior, posterior, tmp_path: Path) -> tuple[Path, ...]:
    """Two NM objects with a view each, the posterior one first."""
    return (
        save(one_view(posterior, 2, angle="0"), tmp_path / "back.dcm"),
        save(one_view(anterior, 1, angle="180"), tmp_path / "front.dcm"),
    )
