"""Energy windows, detectors and frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import detector, multi_frame, save

from bonescint.dicom import read
from bonescint.scan import InputError, NotABoneScanError

PEAK, SCATTER = (126.0, 154.0), (92.0, 125.0)
ITEMS = (detector("180"), detector("0"))


def four_frames(anterior, posterior, limits, windows=(1, 1, 2, 2)):
    faint = [image // 3 for image in (anterior, posterior)]
    return multi_frame(
        [*faint, anterior, posterior],
        detectors=[1, 2, 1, 2],
        windows=list(windows),
        window_limits=limits,
        items=ITEMS,
    )


def test_the_photopeak_is_taken_wherever_it_stands(anterior, posterior, tmp_path: Path) -> None:
    dataset = four_frames(anterior, posterior, [SCATTER, PEAK])
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert scan.acquisition.energy_window_kev == PEAK
    assert scan.warnings == ()


def test_without_vectors_windows_are_outer_and_detectors_inner(
    anterior, posterior, tmp_path: Path
) -> None:
    dataset = four_frames(anterior, posterior, [SCATTER, PEAK])
    del dataset.EnergyWindowVector, dataset.DetectorVector
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert any("detector vector" in warning for warning in scan.warnings)


def test_of_two_windows_that_hold_the_peak_the_centred_one_is_taken_and_said(
    anterior, posterior, tmp_path: Path
) -> None:
    dataset = four_frames(anterior, posterior, [(90.0, 160.0), PEAK])
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert any("2 energy windows hold 140.5 keV" in warning for warning in scan.warnings)


def test_several_windows_without_the_peak_are_refused(anterior, posterior, tmp_path) -> None:
    dataset = four_frames(anterior, posterior, [SCATTER, (160.0, 190.0)])
    with pytest.raises(InputError, match=r"2 energy windows and none is said to hold 140\.5"):
        read(save(dataset, tmp_path / "a.dcm"))


def test_a_single_other_window_is_a_warning(anterior, posterior, tmp_path: Path) -> None:
    dataset = multi_frame([anterior, posterior], window_limits=[(70.0, 90.0)], items=ITEMS)
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert any("does not hold" in warning for warning in scan.warnings)


def test_a_vector_of_the_wrong_length_is_refused(anterior, posterior, tmp_path: Path) -> None:
    dataset = multi_frame([anterior, posterior], detectors=[1, 2, 1], items=ITEMS)
    with pytest.raises(InputError, match="DetectorVector lists 3"):
        read(save(dataset, tmp_path / "a.dcm"))


def test_more_than_two_images_in_the_peak_are_no_whole_body_scan(anterior, tmp_path) -> None:
    dataset = multi_frame([anterior] * 3, detectors=[1, 2, 3])
    with pytest.raises(NotABoneScanError, match="3 images"):
        read(save(dataset, tmp_path / "a.dcm"))
