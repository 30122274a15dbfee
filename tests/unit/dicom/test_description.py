"""What `bonescint info` shows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from dicom_files import IDENTIFIERS, ge_discovery, save

from bonescint.dicom import info
from bonescint.scan import PixelUnit, View, ViewRule


def test_a_study_is_described_and_nobody_is_named(anterior, posterior, tmp_path: Path) -> None:
    save(ge_discovery(anterior, posterior), tmp_path / "a.dcm")
    (tmp_path / "b.txt").write_text("nothing")
    report = info(tmp_path)
    (described,) = report.scans
    assert described.files == ("a.dcm",)
    assert described.source == str(tmp_path / "a.dcm")
    assert (described.rows, described.columns) == (1024, 256)
    assert described.unit is PixelUnit.COUNTS
    assert [view.view for view in described.views] == list(View)
    assert described.views[1].rule is ViewRule.GE_PRIVATE
    assert described.views[1].total == posterior.sum()
    assert described.views[1].maximum == posterior.max()
    assert described.energy_window_kev == (129.96, 151.04)
    assert described.scan_id.startswith("bs-")
    assert not [word for word in (*IDENTIFIERS, "1.2.826") if word in str(asdict(described))]
    assert len(report.refused) == 1


def test_files_that_fail_while_reading_are_refused_not_raised(
    anterior, posterior, tmp_path
) -> None:
    save(ge_discovery(anterior * 0, posterior * 0), tmp_path / "a.dcm")
    report = info([tmp_path])
    assert report.scans == ()
    assert "every pixel is 0" in str(report.refused[0])
