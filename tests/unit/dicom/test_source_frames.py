"""Each pixel of a scan leads back to the file, the frame and the place that it was read from.

A wrong frame passes every validator, so pixels are compared: images are asymmetric noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_files import (
    detector,
    ge_discovery,
    multi_frame,
    one_view,
    paint_body,
    save,
    secondary_capture,
    siemens,
)
from pydicom import dcmread

from bonescint.dicom import StudyFiles, read, read_study
from bonescint.scan import Scan, View

LOW, HIGH = (92.0, 120.0), (129.96, 151.04)


def assert_leads_back(scan: Scan, *files: Path) -> None:
    """Every pixel of each view is the stored one at its position in the stored frame."""
    rows, columns = scan.shape
    row, column = (places.ravel() for places in np.mgrid[0:rows, 0:columns])
    for view, image in scan.images():
        frame = scan.acquisition.frames[view]
        dataset = dcmread(files[frame.file])
        stored = dataset.pixel_array.reshape(-1, *frame.shape)[frame.number - 1]
        inside = (row < frame.shape[0]) & (column + frame.left >= 0)
        inside &= column + frame.left < frame.shape[1]
        centres = np.column_stack([row, column])[inside] + 0.5
        at = np.floor(frame.positions(centres)).astype(int)
        np.testing.assert_array_equal(stored[at[:, 0], at[:, 1]], image.ravel()[inside])


def test_two_frames(anterior, posterior, tmp_path: Path) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "a.dcm")
    scan = read(path)
    assert {view: frame.number for view, frame in scan.acquisition.frames.items()} == {
        View.ANTERIOR: 1,
        View.POSTERIOR: 2,
    }
    assert_leads_back(scan, path)


def test_posterior_first(anterior, posterior, tmp_path: Path) -> None:
    path = save(siemens(anterior, posterior, posterior_first=True), tmp_path / "a.dcm")
    scan = read(path)
    assert scan.acquisition.frames[View.POSTERIOR].number == 1
    assert_leads_back(scan, path)


def test_the_photopeak_among_two_windows(anterior, posterior, tmp_path: Path) -> None:
    frames = [anterior // 2, posterior // 2, anterior, posterior]
    dataset = multi_frame(
        frames,
        detectors=[1, 2, 1, 2],
        windows=[1, 1, 2, 2],
        window_limits=[LOW, HIGH],
        items=[detector("180"), detector("0")],
    )
    path = save(dataset, tmp_path / "a.dcm")
    scan = read(path)
    assert [frame.number for frame in scan.acquisition.frames.values()] == [3, 4]
    assert_leads_back(scan, path)


def test_feet_at_the_top(anterior, posterior, tmp_path: Path) -> None:
    upside_down = [anterior[::-1, ::-1], posterior[::-1, ::-1]]
    items = [detector("180"), detector("0")]
    items[0].ImageOrientationPatient = ["-1", "0", "0", "0", "0", "1"]
    items[1].ImageOrientationPatient = ["1", "0", "0", "0", "0", "1"]
    path = save(multi_frame(upside_down, items=items), tmp_path / "a.dcm")
    scan = read(path)
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert all(frame.turned for frame in scan.acquisition.frames.values())
    assert_leads_back(scan, path)


def test_a_file_for_each_view_in_either_order(anterior, posterior, tmp_path: Path) -> None:
    front = save(one_view(anterior, 1, angle="180"), tmp_path / "1.dcm")
    back = save(one_view(posterior, 2, angle="0"), tmp_path / "2.dcm")
    for files in ((front, back), (back, front)):
        scan = read_study(StudyFiles(files, "a study"))
        assert scan.acquisition.frames[View.ANTERIOR].file == files.index(front)
        assert_leads_back(scan, *files)


def test_views_that_were_padded(anterior, posterior, tmp_path: Path) -> None:
    front = save(one_view(anterior[:1001, 1:252], 1, angle="180"), tmp_path / "1.dcm")
    back = save(one_view(posterior, 2, angle="0"), tmp_path / "2.dcm")
    scan = read_study(StudyFiles((front, back), "a study"))
    assert scan.shape == (1024, 256)
    assert scan.acquisition.frames[View.ANTERIOR].left == -2
    assert_leads_back(scan, front, back)


def test_both_views_in_one_image_of_odd_width(tmp_path: Path) -> None:
    front, back = paint_body(1, rows=512, columns=200), paint_body(2, rows=512, columns=200)
    both = np.hstack([front, np.zeros((512, 1), np.uint16), back])
    path = save(secondary_capture(both), tmp_path / "a.dcm")
    scan = read(path)
    assert [frame.left for frame in scan.acquisition.frames.values()] == [0, 201]
    assert_leads_back(scan, path)


def test_a_picture_leads_to_no_frame(anterior, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.minimum(anterior, 255).astype(np.uint8)).save(tmp_path / "p_anterior.png")
    assert read(tmp_path / "p_anterior.png").acquisition.frames == {}
