"""Results are kept for a time and within a size, and no longer."""

from __future__ import annotations

import re

import numpy as np

from bonescint.dicom import StudyFiles
from bonescint.dicom.results import ResultKind
from bonescint.scan import Acquisition, PixelUnit, Prediction, Scan
from bonescint.serve.kept import KeptResults
from bonescint.serve.upload_classifier import ServedScan
from bonescint.viewer import Picture


def classified(size: int) -> ServedScan:
    scan = Scan(
        anterior=np.ones((2, 2)), posterior=None, pixel_spacing_mm=None, unit=PixelUnit.COUNTS,
        scan_id="bs-1", acquisition=Acquisition(modality="NM"),
    )  # fmt: skip
    prediction = Prediction(scan_id="bs-1", mbd_probability=0.5, positive=True, model_id="m")
    return ServedScan(
        study=StudyFiles((), ""), scan="bs-1", views=("anterior",), prediction=prediction,
        regions=(), picture=bytes(size - 10), pixels=b"", facts=Picture.of(scan).facts, shown={},
        objects={ResultKind.REPORT: bytes(10)}, no_objects="",
    )  # fmt: skip


def test_a_result_goes_when_its_time_is_over() -> None:
    now = 0.0
    kept = KeptResults(keep_s=60, most_bytes=10_000, clock=lambda: now)
    first = kept.add(classified(100))
    now = 30.0
    second = kept.add(classified(100))
    found = kept.get(first)
    assert found is not None
    assert found[1] == 30.0
    now = 60.0
    assert kept.get(first) is None
    assert kept.get(second) is not None
    assert len(kept) == 1
    assert kept.delete(second)
    assert not kept.delete(second)
    assert len(kept) == 0


def test_the_oldest_goes_when_there_are_too_many() -> None:
    kept = KeptResults(keep_s=60, most_bytes=250)
    names = [kept.add(classified(100)) for _ in range(3)]
    assert [kept.get(name) is not None for name in names] == [False, True, True]
    alone = kept.add(classified(1000))
    assert [kept.get(name) is not None for name in (*names[1:], alone)] == [False, False, True]
    small = kept.add(classified(20))
    assert kept.get(alone) is None
    assert kept.get(small) is not None


def test_names_cannot_be_guessed() -> None:
    kept = KeptResults(keep_s=60, most_bytes=10_000)
    names = {kept.add(classified(20)) for _ in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch(r"[\w-]{24}", name) for name in names)
