"""DICOM objects as cameras write them, built from shared/reference/nm-dicom.md.

Nothing here uses bonescint: the reader is tested against the facts, not against our writer.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1, generate_uid

NM_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PATIENT_NAME = "KOWALSKA^ANNA"
PATIENT_ID = "7712045"
IDENTIFIERS = (PATIENT_NAME, "KOWALSKA", PATIENT_ID, "19771204", "St. Elsewhere", "DR^WHO", "ACC99")

Image = NDArray[np.uint16]


def paint_body(
    seed: int = 1,
    *,
    rows: int = 1024,
    columns: int = 256,
    posterior: bool = False,
    peak: float = 60.0,
    hot_arm: bool = True,
) -> Image:
    """Head, trunk, arms and legs of simple shapes, with Poisson noise; never symmetric."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:rows, 0:columns]
    y, x = row / rows, (column - columns / 2) / (columns / 2)
    mean = np.full((rows, columns), 0.02)

    def ellipse(cy: float, cx: float, ry: float, rx: float, value: float) -> None:
        mean[((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] += value

    soft, bone = 0.06 * peak, 0.35 * peak
    ellipse(0.10, 0, 0.065, 0.22, soft + bone)  # head
    ellipse(0.32, 0, 0.17, 0.48, soft)  # trunk
    ellipse(0.30, 0, 0.16, 0.06, bone)  # spine
    ellipse(0.47, 0, 0.05, 0.38, bone * 0.7)  # pelvis
    for side in (-1, 1):
        ellipse(0.38, side * 0.66, 0.22, 0.11, soft)  # arm
        ellipse(0.72, side * 0.22, 0.24, 0.17, soft)  # leg
        ellipse(0.70, side * 0.22, 0.22, 0.05, bone * 0.5)  # its bones
        ellipse(0.20, side * 0.42, 0.02, 0.10, bone)  # shoulder
    ellipse(0.50, 0, 0.012, 0.09, peak)  # bladder
    if hot_arm:
        ellipse(0.45, 0.66 if posterior else -0.66, 0.01, 0.06, peak)  # injection site
    return rng.poisson(mean).astype(np.uint16)


def _identity(series: str) -> Dataset:
    dataset = Dataset()
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = PATIENT_ID
    dataset.PatientBirthDate = "19771204"
    dataset.PatientSex = "F"
    dataset.InstitutionName = "St. Elsewhere"
    dataset.ReferringPhysicianName = "DR^WHO"
    dataset.AccessionNumber = "ACC99"
    dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    dataset.SeriesInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{series}"
    dataset.StudyDate = dataset.AcquisitionDate = "20240102"
    dataset.StudyTime = dataset.AcquisitionTime = "101112"
    dataset.Modality = "NM"
    return dataset


def _pixels(dataset: Dataset, frames: Sequence[NDArray[np.integer]], spacing: str = "2.4") -> None:
    first = frames[0]
    bits = first.dtype.itemsize * 8
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.NumberOfFrames = len(frames)
    dataset.Rows, dataset.Columns = first.shape
    dataset.PixelSpacing = [spacing, spacing]
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 1 if first.dtype.kind == "i" else 0
    little = [np.ascontiguousarray(frame, first.dtype.newbyteorder("<")) for frame in frames]
    dataset.add_new(0x7FE00010, "OW", b"".join(frame.tobytes() for frame in little))


def _window(lower: float, upper: float) -> Dataset:
    limits = Dataset()
    limits.EnergyWindowLowerLimit, limits.EnergyWindowUpperLimit = str(lower), str(upper)
    window = Dataset()
    window.EnergyWindowRangeSequence = [limits]
    return window


def detector(angle: str | None = None, code: Dataset | None = None) -> Dataset:
    """An item of the Detector Information Sequence."""
    item = Dataset()
    item.CollimatorType = "PARA"
    item.ImageOrientationPatient = None
    if angle is not None:
        item.StartAngle = angle
    if code is not None:
        item.ViewCodeSequence = [code]
    return item


def view_code(value: str, scheme: str, meaning: str) -> Dataset:
    """A code item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def multi_frame(
    frames: Sequence[NDArray[np.integer]],
    *,
    detectors: Sequence[int] = (1, 2),
    windows: Sequence[int] | None = None,
    window_limits: Sequence[tuple[float, float]] = ((129.96, 151.04),),
    items: Sequence[Dataset] = (),
) -> Dataset:
    """A plain NM object with vectors."""
    dataset = _identity("1")
    dataset.SOPClassUID = NM_STORAGE
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1.1.1"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]
    dataset.FrameIncrementPointer = [0x00540010, 0x00540020]
    dataset.EnergyWindowVector = list(windows or [1] * len(frames))
    dataset.DetectorVector = list(detectors)
    dataset.NumberOfEnergyWindows = len(window_limits)
    dataset.NumberOfDetectors = len(set(detectors))
    dataset.EnergyWindowInformationSequence = [_window(*limits) for limits in window_limits]
    dataset.DetectorInformationSequence = list(items)
    dataset.WholeBodyTechnique = "1PS"
    _pixels(dataset, frames)
    return dataset


def ge_discovery(anterior: Image, posterior: Image, *, private: bool = True) -> Dataset:
    """GE Discovery 670: no codes, start angles 180 and 0, private ANT and POST."""
    dataset = multi_frame([anterior, posterior], items=[detector("180"), detector("0")])
    dataset.Manufacturer = "GE MEDICAL SYSTEMS"
    dataset.ManufacturerModelName = "Discovery NM/CT 670"
    dataset.BodyPartExamined = "CHEST"
    dataset.PixelSpacing = ["2.40112", "2.40112"]
    if private:
        block = dataset.private_block(0x0011, "GEMS_GENIE_1", create=True)
        block.add_new(0x12, "LO", ["ANT", "POST"])
        block.add_new(0x30, "LO", ["ANT", "POST"])
        block.add_new(0x10, "LO", PATIENT_NAME)
    return dataset


def siemens(anterior: Image, posterior: Image, *, posterior_first: bool = False) -> Dataset:
    """Siemens: start angles 180 and 360, orientation equal for both, free text codes."""
    items = [
        detector("180", view_code("FACE ANT", "99NMG", "FACE ANT")),
        detector("360", view_code("FACE POST", "99NMG", "FACE POST")),
    ]
    frames = [anterior, posterior]
    if posterior_first:
        items.reverse()
        frames.reverse()
    for item in items:
        item.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset = multi_frame(frames, items=items)
    dataset.Manufacturer = "SIEMENS NM"
    dataset.ManufacturerModelName = "Encore2"
    return dataset


def one_view(
    image: NDArray[np.integer],
    instance: int,
    *,
    series: str = "1",
    time: str = "101112",
    image_id: str = "",
    angle: str | None = None,
    detector_number: int = 1,
) -> Dataset:
    """One view a file, as two-file exports have it."""
    dataset = multi_frame([image], detectors=[detector_number])
    dataset.SeriesInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{series}"
    dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{series}.{instance}"
    dataset.AcquisitionTime = time
    dataset.NumberOfDetectors = 1
    if angle is not None:
        items = [detector() for _ in range(detector_number - 1)]
        dataset.DetectorInformationSequence = [*items, detector(angle)]
    if image_id:
        dataset.ImageID = image_id
    return dataset


def secondary_capture(image: NDArray[np.integer]) -> Dataset:
    """A derived secondary capture that says Modality NM, as the real NM1 object does."""
    dataset = _identity("9")
    dataset.SOPClassUID = SECONDARY_CAPTURE
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1.9.1"
    dataset.ImageType = ["DERIVED", "PRIMARY", "WHOLE BODY", "EMISSION"]
    dataset.ConversionType = "WSD"
    _pixels(dataset, [image], spacing="2.26")
    return dataset


def save(dataset: Dataset, path: Path, *, transfer_syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a native object; big endian swaps the pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID") or NM_STORAGE
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or generate_uid()
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = "1.2.826.0.1.3680043.8.498.9"
    dataset.file_meta = meta
    if transfer_syntax == "1.2.840.10008.1.2.2" and dataset.BitsAllocated == 16:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def save_compressed(dataset: Dataset, path: Path, *, transfer_syntax: str, loss: int = 0) -> Path:
    """Write with a compressed transfer syntax: JPEG Lossless by hand, else by pydicom."""
    if transfer_syntax in (JPEGLosslessSV1, "1.2.840.10008.1.2.4.57"):
        return _save_jpeg_lossless(dataset, path, transfer_syntax)
    save(dataset, path)
    dataset = dcmread(path)
    options: dict[str, object] = {}
    if transfer_syntax == "1.2.840.10008.1.2.4.81":
        options["jls_error"] = loss
    if transfer_syntax == "1.2.840.10008.1.2.4.91":
        options["j2k_cr"] = [loss]
    dataset.compress(transfer_syntax, generate_instance_uid=False, **options)
    dataset.save_as(path)
    return path


def _save_jpeg_lossless(dataset: Dataset, path: Path, transfer_syntax: str) -> Path:
    frames = dataset.get("NumberOfFrames", 1)
    values = np.frombuffer(dataset.PixelData, "<u2").reshape(frames, dataset.Rows, dataset.Columns)
    predictor = 1 if transfer_syntax == JPEGLosslessSV1 else 4
    dataset.PixelData = encapsulate([jpeg_lossless(frame, predictor) for frame in values])
    dataset["PixelData"].VR = "OB"
    return save(dataset, path, transfer_syntax=transfer_syntax)


def jpeg_lossless(image: NDArray[np.unsignedinteger], predictor: int = 1) -> bytes:
    """A 16-bit JPEG Lossless codestream (ITU-T T.81, annex H), selection value 1 or 4.

    Every difference category gets a code of 5 bits, which is legal and simple.
    """
    rows, columns = image.shape
    pixel = image.astype(np.int64)
    predicted = np.empty_like(pixel)
    left, above = pixel[:, :-1], pixel[:-1]
    predicted[0, 0] = 1 << 15
    predicted[0, 1:] = pixel[0, :-1]
    predicted[1:, 0] = pixel[:-1, 0]
    predicted[1:, 1:] = left[1:] if predictor == 1 else left[1:] + above[:, 1:] - above[:, :-1]
    difference = (pixel - predicted) % 65536
    difference = np.where(difference > 32768, difference - 65536, difference)
    bits = []
    for value in difference.ravel().tolist():
        category = abs(value).bit_length()
        bits.append(format(category, "05b"))
        if 0 < category < 16:
            low = value if value > 0 else value + (1 << category) - 1
            bits.append(format(low, f"0{category}b"))
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    entropy = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame_header = struct.pack(">HBHHBBBB", 11, 16, rows, columns, 1, 1, 0x11, 0)
    table = struct.pack(">HB", 19 + 17, 0) + bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    scan_header = struct.pack(">HBBBBBB", 8, 1, 1, 0, predictor, 0, 0)
    return (
        b"\xff\xd8\xff\xc3" + frame_header + b"\xff\xc4" + table
        + b"\xff\xda" + scan_header + entropy + b"\xff\xd9"
    )  # fmt: skip
