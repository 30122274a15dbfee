"""An archive as hospitals export it: views in one file or two, copies, and files that are none."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

_FILES = runpy.run_path(str(Path(__file__).with_name("dicom_files.py")))
_ROOT = "1.2.826.0.1.3680043.8.498"


def write_archive(folder: Path, studies: int, *, seed: int = 0) -> Path:
    """Write so many studies; each third has its views in two folders. Nobody's names are in paths.

    Beside them lie a copy of a file, two scans under one UID, a text, a damaged and a hidden file.
    """
    for number in range(studies):
        _write_study(folder / f"year-{number % 3}", seed + number, in_two=number % 3 == 1)
    _write_study(folder / "one-uid" / "a", seed + studies, uid=f"{seed}.9.9")
    _write_study(folder / "one-uid" / "b", seed + studies + 1, uid=f"{seed}.9.9")
    shutil.copy(folder / "year-0" / f"{seed}.dcm", folder / "year-2" / "copy.dcm")
    (folder / "notes.txt").write_text("Nothing to see. " * 20)
    whole = (folder / "year-0" / f"{seed}.dcm").read_bytes()
    (folder / "year-0" / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    (folder / ".hidden").write_bytes(whole)
    return folder


def _write_study(folder: Path, number: int, *, in_two: bool = False, uid: str = "") -> None:
    views = [
        _FILES["paint_body"](2 * number + side, rows=512, columns=128, posterior=bool(side))
        for side in (0, 1)
    ]
    study = f"{_ROOT}.{uid or number}"
    if in_two:
        datasets = {
            folder / f"first/{number}.dcm": _FILES["one_view"](views[0], 1, angle="180"),
            folder / f"second/{number}.dcm": _FILES["one_view"](views[1], 2, angle="0"),
        }
    else:
        datasets = {folder / f"{number}.dcm": _FILES["ge_discovery"](*views)}
    for place, (path, dataset) in enumerate(datasets.items()):
        dataset.PatientID = f"patient {number}"
        dataset.StudyInstanceUID = study
        dataset.SeriesInstanceUID = f"{study}.1"
        dataset.SOPInstanceUID = f"{study}.1.{place}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _FILES["save"](dataset, path)
