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


@pytest.mark.parametrize(
    ("limits", "told"),
    [((PEAK, PEAK), PEAK), ((PEAK, (130.0, 151.0)), PEAK), (((126.5, 140.6), PEAK), PEAK)],
)
@pytest.mark.parametrize("vectors", ["both", "windows", "none"])
def test_a_window_of_its_own_for_every_detector_keeps_both_views(
    anterior, posterior, tmp_path: Path, limits, told, vectors: str
) -> None:
    dataset = multi_frame([anterior, posterior], windows=[1, 2], window_limits=limits, items=ITEMS)
    if vectors != "both":
        del dataset.DetectorVector
    if vectors == "none":
        del dataset.EnergyWindowVector
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert scan.acquisition.energy_window_kev == told
    differ = "its detectors' energy windows differ: the range of both is told" in scan.warnings
    assert differ is (limits[0] != limits[1])


def test_detectors_unsaid_in_windows_alike_are_counted_by_frames(
    anterior, posterior, tmp_path: Path
) -> None:
    dataset = multi_frame([anterior, posterior], windows=[1, 2], window_limits=[PEAK, PEAK])
    del dataset.DetectorVector, dataset.NumberOfDetectors
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)


def test_each_detector_takes_its_own_best_window(anterior, posterior, tmp_path: Path) -> None:
    faint = [image // 3 for image in (anterior, posterior)]
    dataset = multi_frame(
        [anterior, faint[0], faint[1], posterior],
        detectors=[1, 1, 2, 2],
        windows=[1, 2, 3, 4],
        window_limits=[PEAK, SCATTER, SCATTER, PEAK],
        items=ITEMS,
    )
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert scan.warnings == ()


def test_a_detector_without_a_photopeak_is_named(anterior, posterior, tmp_path: Path) -> None:
    dataset = multi_frame(
        [anterior, posterior], windows=[1, 2], window_limits=[PEAK, SCATTER], items=ITEMS
    )
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert scan.posterior is None
    assert (
        "no energy window of detector 2 is said to hold 140.5 keV: its images were left out"
        in scan.warnings
    )
