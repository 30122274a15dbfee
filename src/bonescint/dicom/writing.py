"""A `Scan` in counts to one NM Image Storage object, as a camera would have written it."""

from __future__ import annotations

import hashlib
import os
import secrets
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bonescint.scan import OutputError, ParameterError, PixelUnit, Scan, UnitError, View, ViewRule

if TYPE_CHECKING:
    from pydicom import Dataset

_NM_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
_IMPLEMENTATION_UID = "2.25.262218870310839443264206170206934417137"
_DEFAULT_ACQUIRED_AT = datetime(2020, 1, 1, 12)
_DEFAULT_WINDOW_KEV = (126.45, 154.55)


class HeaderStyle(StrEnum):
    """Whose habits the header follows where the standard leaves a choice."""

    GE = "ge"
    """GE Discovery: start angles 180 and 0, private view names ANT and POST."""
    SIEMENS = "siemens"
    """Siemens: start angles 180 and 360, no private names."""


def write_nm(
    scan: Scan,
    path: Path,
    *,
    style: HeaderStyle = HeaderStyle.GE,
    compress: bool = False,
    acquired_at: datetime = _DEFAULT_ACQUIRED_AT,
    frame_duration_s: float = 1000.0,
) -> None:
    """Write a scan as a multi-frame NM object of unsigned 16-bit counts.

    The same scan gives the same bytes: UIDs derive from `scan_id`, dates from `acquired_at`. No
    identity is written, only pseudonyms: the name and number of the patient are `patient_id`, or
    `scan_id` where there is none. A simulated scan says so in several places.

    Args:
        scan: unit COUNTS, whole numbers up to 65 535, with a pixel spacing.
        path: where to write; written beside and renamed into place.
        style: whose habits the header follows.
        compress: deflate the data set, which loses nothing.
        acquired_at: date and time that the header gives for the acquisition.
        frame_duration_s: how long each view took; the standard demands a value.

    Raises:
        UnitError: the scan is not in counts.
        ParameterError: counts that are no whole numbers up to 65 535, or no pixel spacing.
        OutputError: the file cannot be written.

    Examples:
        >>> import tempfile
        >>> from bonescint.dicom import read
        >>> from pydicom.data import get_testdata_file
        >>> scan = read(get_testdata_file("JPGExtended.dcm", download=False))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_nm(scan, Path(folder) / "copy.dcm")
        ...     again = read(Path(folder) / "copy.dcm")
        >>> bool((again.anterior == scan.anterior).all())
        True
    """
    counts = _whole_counts(scan)
    dataset = _identity(scan, acquired_at)
    _image(dataset, scan, counts)
    _acquisition(dataset, scan, style)
    dataset.ActualFrameDuration = round(frame_duration_s * 1000)
    _write_beside(dataset, path, compress=compress)


def _whole_counts(scan: Scan) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint16]]]:
    if scan.unit is not PixelUnit.COUNTS:
        raise UnitError(f"write_nm writes counts; scan {scan.scan_id} is in {scan.unit.value}.")
    if scan.pixel_spacing_mm is None:
        raise ParameterError("scan", "write_nm", "of known pixel spacing", None)
    counts = []
    for _, image in scan.images():
        whole = np.rint(image)
        if np.abs(whole - image).max() > 1e-3 or whole.max() > 65535:
            raise ParameterError("scan", "write_nm", "of whole counts up to 65535", image.max())
        counts.append(whole.astype("<u2"))
    return counts


def _is_simulated(scan: Scan) -> bool:
    return ViewRule.SIMULATED in scan.acquisition.view_rules.values()


def _uid(scan: Scan, what: str) -> str:
    """A UID under 2.25, as random as the scan's name."""
    digest = hashlib.blake2b(f"{what}/{scan.scan_id}".encode(), digest_size=16).digest()
    return f"2.25.{int.from_bytes(digest, 'big')}"


def _identity(scan: Scan, acquired_at: datetime) -> Dataset:
    """Patient, study, series and equipment: pseudonyms only."""
    from pydicom import Dataset

    simulated = _is_simulated(scan)
    pseudonym = scan.patient_id or scan.scan_id
    date, time = acquired_at.strftime("%Y%m%d"), acquired_at.strftime("%H%M%S")
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]
    dataset.SOPClassUID = _NM_STORAGE
    dataset.SOPInstanceUID = _uid(scan, "instance")
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = date
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = time
    dataset.AccessionNumber = ""
    dataset.Modality = "NM"
    dataset.Manufacturer = scan.acquisition.manufacturer or ("bonescint" if simulated else "")
    if scan.acquisition.camera:
        dataset.ManufacturerModelName = scan.acquisition.camera[:64]
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Whole body bone scan"
    dataset.SeriesDescription = "WHOLE BODY"
    if simulated:
        dataset.SeriesDescription = "SIMULATED WHOLE BODY"
        dataset.ImageComments = (
            "SIMULATED, research use only: no patient was imaged. Not for diagnosis."
        )
    dataset.PatientName = f"{'SIMULATED' if simulated else 'PSEUDONYM'}^{pseudonym}"
    dataset.PatientID = pseudonym
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "bonescint: pseudonyms only"
    dataset.BurnedInAnnotation = "NO"
    dataset.StudyInstanceUID = _uid(scan, "study")
    dataset.SeriesInstanceUID = _uid(scan, "series")
    dataset.FrameOfReferenceUID = _uid(scan, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.StudyID = scan.scan_id[-16:]
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    return dataset


def _image(
    dataset: Dataset,
    scan: Scan,
    counts: list[np.ndarray[tuple[int, ...], np.dtype[np.uint16]]],
) -> None:
    """Image Pixel, NM Image and Multi-frame attributes."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.NumberOfFrames = len(counts)
    dataset.FrameIncrementPointer = [0x00540010, 0x00540020]
    dataset.Rows, dataset.Columns = scan.shape
    dataset.PixelSpacing = [f"{spacing:.6g}" for spacing in scan.pixel_spacing_mm or ()]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.CountsAccumulated = int(sum(int(view.sum(dtype=np.int64)) for view in counts))
    dataset.LossyImageCompression = "00"
    dataset.add_new(0x7FE00010, "OW", b"".join(view.tobytes() for view in counts))


def _acquisition(dataset: Dataset, scan: Scan, style: HeaderStyle) -> None:
    """NM Isotope, Detector and whole-body attributes, one detector a view.

    What the scan does not know stays empty, unless it is simulated.
    """
    from pydicom import Dataset

    simulated, views = _is_simulated(scan), scan.views
    spacing = scan.pixel_spacing_mm or (0.0, 0.0)
    dataset.EnergyWindowInformationSequence = [_energy_window(scan)]
    dataset.EnergyWindowVector = [1] * len(views)
    dataset.NumberOfEnergyWindows = 1
    dataset.DetectorVector = list(range(1, len(views) + 1))
    dataset.NumberOfDetectors = len(views)
    dataset.DetectorInformationSequence = [_detector(view, scan, style) for view in views]
    pharmaceutical = Dataset()
    pharmaceutical.RadionuclideCodeSequence = [_code("72454007", "SCT", "Technetium Tc^99m^")]
    pharmaceutical.Radiopharmaceutical = "Tc99m diphosphonate" if simulated else ""
    dataset.RadiopharmaceuticalInformationSequence = [pharmaceutical]
    dataset.PatientOrientationCodeSequence = []
    dataset.PatientGantryRelationshipCodeSequence = []
    if simulated:
        recumbent = _code("102538003", "SCT", "recumbent")
        recumbent.PatientOrientationModifierCodeSequence = [_code("40199007", "SCT", "supine")]
        dataset.PatientOrientationCodeSequence = [recumbent]
        dataset.PatientGantryRelationshipCodeSequence = [_code("102540008", "SCT", "headfirst")]
    dataset.BodyPartExamined = "WHOLEBODY"
    dataset.ScanVelocity = None
    dataset.ScanLength = round(scan.shape[0] * spacing[0])
    dataset.WholeBodyTechnique = "1PS"
    if style is HeaderStyle.GE:
        names = [_GE_NAMES[view] for view in views]
        block = dataset.private_block(0x0011, "GEMS_GENIE_1", create=True)
        block.add_new(0x12, "LO", names)
        block.add_new(0x30, "LO", names)


def _energy_window(scan: Scan) -> Dataset:
    from pydicom import Dataset

    window_kev = scan.acquisition.energy_window_kev
    if window_kev is None and _is_simulated(scan):
        window_kev = _DEFAULT_WINDOW_KEV
    window = Dataset()
    window.EnergyWindowName = "Tc99m"
    if window_kev is not None:
        limits = Dataset()
        limits.EnergyWindowLowerLimit = f"{window_kev[0]:.6g}"
        limits.EnergyWindowUpperLimit = f"{window_kev[1]:.6g}"
        window.EnergyWindowRangeSequence = [limits]
    return window


_GE_NAMES = {View.ANTERIOR: "ANT", View.POSTERIOR: "POST"}
_VIEW_CODES = {View.ANTERIOR: "399321004", View.POSTERIOR: "399001007"}


def _detector(view: View, scan: Scan, style: HeaderStyle) -> Dataset:
    from pydicom import Dataset

    posterior_angle = "360" if style is HeaderStyle.SIEMENS else "0"
    detector = Dataset()
    detector.CollimatorType = ""
    if _is_simulated(scan):
        detector.CollimatorGridName = "LEHR"
        detector.CollimatorType = "PARA"
    detector.FocalDistance = None
    detector.StartAngle = "180" if view is View.ANTERIOR else posterior_angle
    detector.ImageOrientationPatient = None
    detector.ImagePositionPatient = None
    detector.ViewCodeSequence = [_code(_VIEW_CODES[view], "SCT", view.value)]
    return detector


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    from pydicom import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _write_beside(dataset: Dataset, path: Path, *, compress: bool) -> None:
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian if compress else ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "BONESCINT"
    dataset.file_meta = meta
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        try:
            dcmwrite(beside, dataset, enforce_file_format=True)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}).") from None
