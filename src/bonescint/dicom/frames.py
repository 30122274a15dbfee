"""Which frames of an NM object are the photopeak's images, and which detector took each."""

from __future__ import annotations

from dataclasses import dataclass

from bonescint.dicom.header import Header
from bonescint.scan import InputError

TC99M_KEV = 140.5
"""Energy of technetium-99m's photon."""

_MAX_FRAMES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One image of a file.

    Attributes:
        index: place in Pixel Data, from 0.
        detector: detector number, from 1.
        item: place in the Detector Information Sequence, from 1.
    """

    index: int
    detector: int
    item: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotopeakFrames:
    """The frames to use, with the energy window that they were taken in.

    Attributes:
        frames: one or more frames, in the file's order.
        window_kev: lower and upper limit, or `None` if the header does not say.
        frame_count: all frames of the file, other windows included.
        warnings: what was tolerated.
    """

    frames: tuple[Frame, ...]
    window_kev: tuple[float, float] | None
    frame_count: int
    warnings: tuple[str, ...] = ()


def photopeak_frames(header: Header, source: str) -> PhotopeakFrames:
    """Find the frames of technetium's photopeak.

    Frames are laid out energy window outer, detector inner (PS3.3 C.8.4.8), as the vectors say.
    Each detector's images come from its own best window: some makers give every detector a
    window of its own. A detector without an image of the photopeak is named.

    Raises:
        InputError: vectors that contradict the number of frames, or several energy windows of
            which none holds 140.5 keV.
    """
    count = header.whole_number("NumberOfFrames") or 1
    if not 1 <= count <= _MAX_FRAMES:
        raise InputError(source, f"says it has {count} frames", "Export the study again")
    warnings: list[str] = []
    windows = _vector(header, "EnergyWindowVector", count, source)
    detectors = _vector(header, "DetectorVector", count, source)
    if detectors is None:
        detectors = _detectors_by_number(header, count, windows)
        if count > 1:
            warnings.append("no detector vector: the frames' detectors were taken in their order")
    detectors, items = _numbered_from_1(detectors, header, source, warnings)
    if windows is None:
        windows = _windows_by_number(header, count, source)
    limits = _window_limits(header)
    window_of = _photopeak_windows(windows, detectors, limits, source, warnings)
    frames = tuple(
        Frame(index=index, detector=detector, item=item)
        for index, (energy, detector, item) in enumerate(
            zip(windows, detectors, items, strict=True)
        )
        if energy == window_of.get(detector)
    )
    used = {_hull(limits.get(window, ())) for window in window_of.values()}
    if len(used) > 1:
        warnings.append("its detectors' energy windows differ: the range that covers both is given")
    return PhotopeakFrames(
        frames=frames,
        window_kev=_hull(tuple(window for window in used if window is not None)),
        frame_count=count,
        warnings=tuple(warnings),
    )


def _vector(header: Header, keyword: str, count: int, source: str) -> tuple[int, ...] | None:
    vector = header.whole_numbers(keyword)
    if not vector:
        return None
    if len(vector) != count:
        raise InputError(
            source,
            f"has {count} frames, but its {keyword} lists {len(vector)}",
            "Export the study again",
        )
    return vector


def _numbered_from_1(
    detectors: tuple[int, ...], header: Header, source: str, warnings: list[str]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Detector numbers and places in the sequence; numbers not from 1 on go by rank.

    Some files count detectors from 0 or name them 3 and 4. A single image keeps its number,
    which tells the files of a pair apart, but a sequence of one item can only mean it.
    """
    distinct = sorted(set(detectors))
    count = len(header.items("DetectorInformationSequence"))
    if len(distinct) == 1:
        number = detectors[0]
        fits = count != 1 and number >= 1
        if number < 1:
            warnings.append("its detector number is 0 or negative: taken as the first")
            detectors = (1,) * len(detectors)
        return detectors, detectors if fits else (1,) * len(detectors)
    if distinct[0] >= 1 and distinct[-1] <= max(count, len(distinct)):
        return detectors, detectors
    if count not in (0, len(distinct)):
        raise InputError(
            source,
            f"its DetectorVector names {len(distinct)} detectors that its {count} items of "
            "detector information do not have",
            "Export the study again",
        )
    warnings.append(
        "its detectors are not numbered from 1: they were taken in the order of their numbers"
    )
    ranked = tuple(distinct.index(detector) + 1 for detector in detectors)
    return ranked, ranked


def _detectors_by_number(
    header: Header, count: int, windows: tuple[int, ...] | None
) -> tuple[int, ...]:
    stated = header.whole_number("NumberOfDetectors") or len(
        header.items("DetectorInformationSequence")
    )
    limits = _window_limits(header)
    numbers = set(windows) if windows else set(limits)
    # Windows of the same limits are one window, of which each detector has its own.
    window_count = len({limits.get(number) or number for number in numbers}) or 1
    detectors = stated if stated and count % stated == 0 else max(1, count // window_count)
    return tuple(index % detectors + 1 for index in range(count))


def _windows_by_number(header: Header, count: int, source: str) -> tuple[int, ...]:
    stated = header.whole_number("NumberOfEnergyWindows") or len(_window_limits(header)) or 1
    if count % stated:
        raise InputError(
            source,
            f"has {count} frames, which {stated} energy windows cannot share",
            "Export the study again",
        )
    return tuple(index // (count // stated) + 1 for index in range(count))


def _window_limits(header: Header) -> dict[int, tuple[tuple[float, float], ...]]:
    """(lower, upper) ranges in keV of each energy window, by number."""
    limits: dict[int, tuple[tuple[float, float], ...]] = {}
    for number, item in enumerate(header.items("EnergyWindowInformationSequence"), start=1):
        ranges = []
        for entry in item.items("EnergyWindowRangeSequence"):
            lower = entry.number("EnergyWindowLowerLimit")
            upper = entry.number("EnergyWindowUpperLimit")
            if lower is not None and upper is not None and 0 <= lower < upper:
                ranges.append((lower, upper))
        limits[number] = tuple(ranges)
    return limits


def _hull(ranges: tuple[tuple[float, float], ...]) -> tuple[float, float] | None:
    return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None


def _photopeak_windows(
    windows: tuple[int, ...],
    detectors: tuple[int, ...],
    limits: dict[int, tuple[tuple[float, float], ...]],
    source: str,
    warnings: list[str],
) -> dict[int, int]:
    """The energy window to use of each detector that has one."""
    numbers = sorted(set(windows))
    holding = {
        window
        for window in numbers
        if any(low <= TC99M_KEV <= high for low, high in limits.get(window, ()))
    }
    if len(numbers) == 1:
        if limits.get(numbers[0]) and not holding:
            warnings.append(f"the energy window does not contain technetium's {TC99M_KEV} keV")
        return dict.fromkeys(detectors, numbers[0])
    if not holding:
        raise InputError(
            source,
            f"has {len(numbers)} energy windows, none of which is said to contain {TC99M_KEV} keV",
            "Export only the images of the photopeak",
        )

    def distance(window: int) -> tuple[float, float, int]:
        low, high = _hull(limits[window]) or (0.0, 0.0)
        return abs((low + high) / 2 - TC99M_KEV), high - low, window

    chosen: dict[int, int] = {}
    several = 0
    for detector in sorted(set(detectors)):
        own = {window for window, its in zip(windows, detectors, strict=True) if its == detector}
        peaks = own & holding
        if not peaks:
            warnings.append(
                f"no energy window of detector {detector} is said to contain {TC99M_KEV} keV: its "
                "images were left out"
            )
            continue
        several = max(several, len(peaks))
        chosen[detector] = min(peaks, key=distance)
    if several > 1:
        warnings.append(
            f"{several} energy windows contain {TC99M_KEV} keV: the one centred closest to it was "
            "taken, the others left out"
        )
    return chosen
