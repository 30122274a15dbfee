"""What each lossless compression costs and saves on simulated scans of 2 x 1024 x 256 pixels.

    python benchmarks/compression.py --scans 6

Processor time, the decoder's own process included; each figure is the median of the scans.
Deflate, RLE and JPEG 2000 are written by pydicom, JPEG-LS and no compression by `write_nm`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from bonescint.dicom import read, write_nm
from bonescint.scan import Scan
from bonescint.simulate import draw_anatomy, draw_camera, simulate_scan

_REPEATS = 5
_STUDIES = 2365
_Writer = Callable[[Scan, Path], float]


def none(scan: Scan, file: Path) -> float:
    """No compression; like all writers here it returns its processor time in seconds."""
    return _timed(lambda: write_nm(scan, file))


def jpeg_ls(scan: Scan, file: Path) -> float:
    """JPEG-LS."""
    return _timed(lambda: write_nm(scan, file, compress=True))


def deflate(scan: Scan, file: Path) -> float:
    """The whole data set deflated at zlib's default level."""
    none(scan, file)
    dataset = dcmread(file)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    # Without building the header: a few milliseconds too little.
    return _timed(lambda: dataset.save_as(file))


def rle(scan: Scan, file: Path) -> float:
    """RLE."""
    return _compressed(scan, file, RLELossless)


def jpeg_2000(scan: Scan, file: Path) -> float:
    """JPEG 2000."""
    return _compressed(scan, file, JPEG2000Lossless)


def _compressed(scan: Scan, file: Path, transfer_syntax: str) -> float:
    spent = none(scan, file)
    dataset = dcmread(file)
    spent += _timed(lambda: dataset.compress(transfer_syntax, generate_instance_uid=False))
    dataset.save_as(file)
    return spent


def _timed(call: Callable[[], object]) -> float:
    before = time.process_time()
    call()
    return time.process_time() - before


def _processor_time() -> float:
    """Of this process and of the decoder's."""
    me = psutil.Process()
    processes = [me, *me.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _simulated(number: int) -> Scan:
    rng = np.random.default_rng([5, number])
    anatomy = draw_anatomy(rng)
    return simulate_scan(
        anatomy, draw_camera(rng), rng, positive=bool(number % 2), scan_id=f"sim-{number}"
    ).scan


def main() -> None:
    """Simulate, write, read, print."""
    parser = argparse.ArgumentParser(description="What lossless compression costs and saves.")
    parser.add_argument("--scans", type=int, default=6)
    scans = [_simulated(number) for number in range(parser.parse_args().scans)]
    print(f"{'':12}{'write ms':>9}{'read ms':>9}{'kB':>7}{'GB a cohort':>13}")
    for writer in (none, deflate, rle, jpeg_ls, jpeg_2000):
        with tempfile.TemporaryDirectory() as folder:
            files, writing = [], []
            for number, scan in enumerate(scans):
                files.append(Path(folder) / f"{number}.dcm")
                writing += [writer(scan, files[-1]) for _ in range(_REPEATS)]
            read(files[0])  # starts the decoder
            before = _processor_time()
            for file, scan in zip(files * _REPEATS, scans * _REPEATS, strict=True):
                again = read(file)
                for view, image in scan.images():
                    np.testing.assert_array_equal(again.view(view), image)
            reading = (_processor_time() - before) / (_REPEATS * len(files))
            size = float(np.mean([file.stat().st_size for file in files]))
        print(
            f"{writer.__name__:12}{1e3 * np.median(writing):9.1f}{1e3 * reading:9.1f}"
            f"{size / 1e3:7.0f}{size * _STUDIES / 1e9:13.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
