"""Energy windows, detectors and frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import detector, multi_frame, save
from pydicom import Dataset

from bonescint.dicom import read
from bonescint.dicom.frames import Frame, PhotopeakFrames, photopeak_frames
from bonescint.dicom.header import parse
from bonescint.scan import InputError, NotABoneScanError

PEAK, SCATTER = (126.0, 154.0), (92.0, 125.0)
ITEMS = (detector("180"), detector("0"))


TINY = np.ones((4, 2), np.uint16)


def found_in(
    tmp_path: Path,
    *,
    count: int,
    detectors: tuple[int, ...] | None = None,
    windows: tuple[int, ...] | None = None,
    limits: tuple[tuple[float, float], ...] = (PEAK,),
    items: int = 0,
    **values: int | None,
) -> PhotopeakFrames:
    """What is found in a header with these vectors, sequences and numbers."""
    dataset: Dataset = multi_frame(
        [TINY] * count,
        detectors=detectors or (1,) * count,
        windows=windows,
        window_limits=limits,
        items=[detector() for _ in range(items)],
    )
    if detectors is None:
        del dataset.DetectorVector, dataset.NumberOfDetectors
    if windows is None:
        del dataset.EnergyWindowVector, dataset.NumberOfEnergyWindows
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    path = save(dataset, tmp_path / "a.dcm")
    return photopeak_frames(parse(path.read_bytes(), path, pixels=False), "a.dcm")


def taken(found: PhotopeakFrames) -> list[tuple[int, int, int]]:
    return [(frame.index, frame.detector, frame.item) for frame in found.frames]


RANKED = "its detectors are not numbered from 1: they were taken in the order of their numbers"
IN_ORDER = "no detector vector: the frames' detectors were taken in their order"


@pytest.mark.parametrize(
    ("numbers", "items", "expected", "said"),
    [
        ((2,), 2, [(0, 2, 2)], ()),  # one file of a pair that lists both detectors
        ((2,), 1, [(0, 2, 1)], ()),
        ((2,), 0, [(0, 2, 2)], ()),
        ((1,), 2, [(0, 1, 1)], ()),
        ((0,), 2, [(0, 1, 1)], ("its detector number is 0 or negative: taken as the first",)),
        ((1, 2), 2, [(0, 1, 1), (1, 2, 2)], ()),
        ((2, 1), 2, [(0, 2, 2), (1, 1, 1)], ()),
        ((1, 3), 3, [(0, 1, 1), (1, 3, 3)], ()),
        ((1, 3), 2, [(0, 1, 1), (1, 2, 2)], (RANKED,)),
        ((1, 3), 0, [(0, 1, 1), (1, 2, 2)], (RANKED,)),
        ((4, 3), 2, [(0, 2, 2), (1, 1, 1)], (RANKED,)),
        ((0, 1), 2, [(0, 1, 1), (1, 2, 2)], (RANKED,)),
    ],
)
def test_detectors_keep_their_numbers_or_go_by_rank(
    tmp_path: Path,
    numbers: tuple[int, ...],
    items: int,
    expected: list[tuple[int, int, int]],
    said: tuple[str, ...],
) -> None:
    found = found_in(tmp_path, count=len(numbers), detectors=numbers, items=items)
    assert taken(found) == expected
    assert found.warnings == said
    assert (found.frame_count, found.window_kev) == (len(numbers), PEAK)


def test_detectors_that_no_item_describes_are_refused(tmp_path: Path) -> None:
    says = "names 2 detectors that its 3 items of detector information do not have. Export the"
    with pytest.raises(InputError, match=says):
        found_in(tmp_path, count=2, detectors=(1, 4), items=3)


@pytest.mark.parametrize(
    ("count", "stated", "items", "expected"),
    [
        (2, 2, 0, [1, 2]),
        (2, 1, 0, [1, 1]),  # a header that says one detector is believed
        (2, None, 0, [1, 2]),
        (2, None, 1, [1, 1]),
        (2, None, 2, [1, 2]),
        (3, 2, 0, [1, 2, 3]),  # two detectors cannot share three frames: the number is wrong
        (4, 2, 0, [1, 2, 1, 2]),
        (1, None, 0, [1]),
        (1, 2, 0, [1]),
    ],
)
def test_detectors_that_no_vector_tells_are_counted(
    tmp_path: Path, count: int, stated: int | None, items: int, expected: list[int]
) -> None:
    found = found_in(tmp_path, count=count, items=items, NumberOfDetectors=stated)
    assert [frame.detector for frame in found.frames] == expected
    assert found.warnings == ((IN_ORDER,) if count > 1 else ())


@pytest.mark.parametrize("told", [True, False])
def test_windows_that_nothing_but_their_limits_tell_share_the_frames(
    tmp_path: Path, told: bool
) -> None:
    """Four frames in two windows: detectors are inner, so the second half is the second window."""
    windows = (1, 1, 2, 2) if told else None
    found = found_in(tmp_path, count=4, windows=windows, limits=(SCATTER, PEAK))
    assert taken(found) == [(2, 1, 1), (3, 2, 2)]
    assert found.window_kev == PEAK


def test_one_detector_in_two_windows(tmp_path: Path) -> None:
    assert taken(found_in(tmp_path, count=2, windows=(1, 2), limits=(SCATTER, PEAK))) == [(1, 1, 1)]


def test_a_file_that_does_not_count_its_frames_has_one(tmp_path: Path) -> None:
    found = found_in(tmp_path, count=1, NumberOfFrames=None)
    assert (taken(found), found.frame_count, found.warnings) == ([(0, 1, 1)], 1, ())


def test_frames_that_the_windows_cannot_share_are_refused(tmp_path: Path) -> None:
    says = "a.dcm: has 3 frames, which 2 energy windows cannot share. Export the study again"
    with pytest.raises(InputError, match=says):
        found_in(tmp_path, count=3, limits=(SCATTER, PEAK))
    with pytest.raises(InputError, match=says):
        found_in(tmp_path, count=3, NumberOfEnergyWindows=2)


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (((130.5, 150.5), (126.5, 154.5)), 1),  # centred alike: the narrower one
        (((126.5, 154.5), (130.5, 150.5)), 2),
        ((PEAK, PEAK), 1),  # the same: the first
        (((140.5, 160.0), (100.0, 140.4)), 1),  # limits are in the window
        (((100.0, 140.5), (140.6, 160.0)), 1),
        (((130.0, 145.0), (139.0, 150.0)), 1),  # 3.0 keV beside the photopeak, 4.0 keV
        (((139.0, 150.0), (131.0, 148.0)), 2),  # 4.0 keV, 1.0 keV
    ],
)
def test_of_several_windows_the_one_centred_closest_then_the_narrowest_is_taken(
    tmp_path: Path, limits: tuple[tuple[float, float], ...], kept: int
) -> None:
    found = found_in(tmp_path, count=2, detectors=(1, 1), windows=(1, 2), limits=limits)
    assert taken(found) == [(kept - 1, 1, 1)]
    assert found.window_kev == limits[kept - 1]
    both = all(low <= 140.5 <= high for low, high in limits)
    assert found.warnings == (
        ("2 energy windows contain 140.5 keV: the one centred closest to it was taken, the others "
         "left out",) if both else ()
    )  # fmt: skip


def test_a_single_window_is_taken_whatever_is_said_of_it(tmp_path: Path) -> None:
    for limits, said in (
        ((), ()),
        (((70.0, 90.0),), ("the energy window does not contain technetium's 140.5 keV",)),
        ((PEAK,), ()),
    ):
        found = found_in(tmp_path, count=2, detectors=(1, 2), limits=limits)
        assert [frame.index for frame in found.frames] == [0, 1]
        assert found.warnings == said
        assert found.window_kev == (limits[0] if limits else None)


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ([("126", "154")], (126.0, 154.0)),
        ([("126", "140"), ("138", "154")], (126.0, 154.0)),  # ranges of one window: their hull
        ([("126", None), ("130", "150")], (130.0, 150.0)),
        ([(None, "154"), ("130", "150")], (130.0, 150.0)),
        ([("154", "126")], None),
        ([("140.5", "140.5")], None),
        ([("-1", "154")], None),
        ([("0", "154")], (0.0, 154.0)),
        ([], None),
    ],
)
def test_ranges_of_a_window_that_are_none_are_passed_over(
    tmp_path: Path,
    ranges: list[tuple[str | None, str | None]],
    told: tuple[float, float] | None,
) -> None:
    entries = []
    for lower, upper in ranges:
        entry = Dataset()
        if lower is not None:
            entry.EnergyWindowLowerLimit = lower
        if upper is not None:
            entry.EnergyWindowUpperLimit = upper
        entries.append(entry)
    dataset = multi_frame([TINY, TINY])
    dataset.EnergyWindowInformationSequence[0].EnergyWindowRangeSequence = entries
    path = save(dataset, tmp_path / "a.dcm")
    found = photopeak_frames(parse(path.read_bytes(), path, pixels=False), "a.dcm")
    assert found.window_kev == told
    assert found.warnings == ()
    assert found.frames == (Frame(index=0, detector=1, item=1), Frame(index=1, detector=2, item=2))


@pytest.mark.parametrize(("said", "read_as"), [(4096, True), (4097, False), (-1, False)])
def test_a_number_of_frames_beyond_reason_is_refused(
    tmp_path: Path, said: int, read_as: bool
) -> None:
    if read_as:
        found = found_in(tmp_path, count=1, NumberOfFrames=said)
        assert found.frame_count == 4096
    else:
        with pytest.raises(InputError, match=f"says it has {said} frames. Export the study again"):
            found_in(tmp_path, count=1, NumberOfFrames=said)


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
    assert any("2 energy windows contain 140.5 keV" in warning for warning in scan.warnings)


def test_several_windows_without_the_peak_are_refused(anterior, posterior, tmp_path) -> None:
    dataset = four_frames(anterior, posterior, [SCATTER, (160.0, 190.0)])
    with pytest.raises(
        InputError, match=r"2 energy windows, none of which is said to contain 140\.5"
    ):
        read(save(dataset, tmp_path / "a.dcm"))


def test_a_single_other_window_is_a_warning(anterior, posterior, tmp_path: Path) -> None:
    dataset = multi_frame([anterior, posterior], window_limits=[(70.0, 90.0)], items=ITEMS)
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert any("does not contain" in warning for warning in scan.warnings)


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
    differ = (
        "its detectors' energy windows differ: the range that covers both is given" in scan.warnings
    )
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
        "no energy window of detector 2 is said to contain 140.5 keV: its images were left out"
        in scan.warnings
    )
