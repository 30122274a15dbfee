"""Blocks of finished scans: whole or not there, and of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="needs the extra cluster")

from bonescint.classify.cluster.finished import FOLDER, FinishedScan, FinishedScans
from bonescint.scan import InputError


def _scan(number: int) -> FinishedScan:
    return FinishedScan(
        read_as=f"bs-{number}",
        file_sha256=(f"{number:064d}",),
        views=("anterior",),
        warnings=("one view",),
        facts={"shape": [4, 2], "unit": "counts"},
        prediction={"mbd_probability": number / 7, "warnings": []},
    )


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_what_was_written_is_there_for_the_same_run_alone(
    where: str, tmp_path: Path, bucket: Any
) -> None:
    out = tmp_path if where == "folder" else Path("s3://archive/run")
    finished = FinishedScans(out, "one run")
    for number in range(600):
        finished.add(f"{number}.dcm", _scan(number))
    assert finished["599.dcm"] == _scan(599)
    del finished  # killed: what was not yet in a block is lost
    again = FinishedScans(out, "one run")
    assert len(again) == 512
    assert again["3.dcm"] == _scan(3)
    assert again["511.dcm"] == _scan(511)
    assert "599.dcm" not in again
    again.add("3.dcm", _scan(4))  # its file has changed
    again.write()
    assert FinishedScans(out, "one run")["3.dcm"] == _scan(4)
    other = FinishedScans(out, "another run")
    assert len(other) == 0
    other.forget_others()
    assert len(FinishedScans(out, "one run")) == 0


def test_a_damaged_block_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "a.block").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"a\.block: cannot be read \(it is damaged\)"):
        FinishedScans(tmp_path, "one run")
