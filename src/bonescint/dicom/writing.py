"""Write a `Scan` in counts as one NM Image Storage object, as a camera would have done.

Where the standard leaves a choice, the header follows a manufacturer's habits. GE's and Siemens'
are those of real objects; Philips' follow from the standard alone (PS3.3 C.8.4, CID 26), because no
sample of theirs was seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bonescint.dicom.confidentiality import ConfidentialityProfile
from bonescint.dicom.identity import PUBLIC_SCAN_KEY, scan_id_from_uids
from bonescint.files import written_beside
from bonescint.scan import ParameterError, PixelUnit, Scan, UnitError, View, ViewRule
from bonescint.scan.checked import require_member

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset


class HeaderStyle(StrEnum):
    """The manufacturer whose habits a header follows; each marks the views in its own way."""

    GE = "ge"
    """GE: private view names and start angles 180 and 0, no view codes, no patient position.

    Two views as a Discovery 670 names them (ANT, POST), one view as a Millennium MG does
    (WHOLE BODY_E anterior, WHOLE BODY_F posterior).
    """
    SIEMENS = "siemens"
    """Siemens: start angles 180 and 360 alone tell the views apart.

    Seen on static objects. Some of them hold free text as view codes; it is left out here.
    """
    PHILIPS = "philips"
    """Philips: standard view codes beside start angles 180 and 0, two detectors.

    From the standard alone: no file of theirs was seen.
    """


_GE_NAMES = {View.ANTERIOR: "ANT", View.POSTERIOR: "POST"}
_GE_SINGLE_NAMES = {View.ANTERIOR: "WHOLE BODY_E", View.POSTERIOR: "WHOLE BODY_F"}
_VIEW_CODES = {
    View.ANTERIOR: ("399321004", "Anterior projection"),
    View.POSTERIOR: ("399001007", "Posterior projection"),
}
_POSTERIOR_ANGLES = {HeaderStyle.GE: "0", HeaderStyle.SIEMENS: "360", HeaderStyle.PHILIPS: "0"}
_ANTERIOR_ORIENTATION = ["1", "0", "0", "0", "0", "-1"]
"""Columns run to the patient's left, rows to the feet."""


def code_item(value: str, meaning: str) -> Dataset:
    """An item of a code sequence, of SNOMED CT.

    Args:
        value: Code Value.
        meaning: Code Meaning.

    Examples:
        >>> code_item("399321004", "Anterior projection").CodingSchemeDesignator
        'SCT'
    """
    from pydicom import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def apply_style(
    dataset: Dataset, views: Sequence[View], style: HeaderStyle, *, simulated: bool
) -> None:
    """Complete a header after a maker's habits: views, position, body part.

    What the makers write although it is wrong (GE's body part CHEST, Siemens' orientation of the
    anterior head on both) is imitated for simulated scans only; so is the patient's position,
    which is not known otherwise.

    Args:
        dataset: with its Detector Information Sequence, one item a view.
        views: the view of each item.
        style: whose habits.
        simulated: whether the patient is a simulated one.
    """
    detectors = list(zip(dataset.DetectorInformationSequence, views, strict=True))
    for detector, view in detectors:
        detector.StartAngle = "180" if view is View.ANTERIOR else _POSTERIOR_ANGLES[style]
    dataset.BodyPartExamined = "WHOLEBODY"
    dataset.PatientOrientationCodeSequence = []
    dataset.PatientGantryRelationshipCodeSequence = []
    if simulated and style is not HeaderStyle.GE:
        _add_position(dataset)
    if style is HeaderStyle.GE:
        _add_ge_names(dataset, views)
        if simulated and len(views) == 2:
            dataset.BodyPartExamined = "CHEST"
    elif style is HeaderStyle.SIEMENS and simulated:
        for detector, _ in detectors:
            detector.ImageOrientationPatient = _ANTERIOR_ORIENTATION
    elif style is HeaderStyle.PHILIPS:
        dataset.AnatomicRegionSequence = [code_item("38266002", "Entire body")]
        for detector, view in detectors:
            detector.ViewCodeSequence = [code_item(*_VIEW_CODES[view])]


def _add_position(dataset: Dataset) -> None:
    """Supine, head first."""
    recumbent = code_item("102538003", "recumbent")
    recumbent.PatientOrientationModifierCodeSequence = [code_item("40199007", "supine")]
    dataset.PatientOrientationCodeSequence = [recumbent]
    dataset.PatientGantryRelationshipCodeSequence = [code_item("102540008", "headfirst")]


def _add_ge_names(dataset: Dataset, views: Sequence[View]) -> None:
    """Dataset Name and Picture Object Name of GEMS_GENIE_1; with one view the Image ID too."""
    if len(views) == 1:
        names = [_GE_SINGLE_NAMES[view] for view in views]
        dataset.ImageID = names[0]
    else:
        names = [_GE_NAMES[view] for view in views]
    block = dataset.private_block(0x0011, "GEMS_GENIE_1", create=True)
    block.add_new(0x12, "LO", names)
    block.add_new(0x30, "LO", names)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFacts:
    """Sex, age and build of a simulated patient; never of a living one.

    Attributes:
        sex: `"F"` or `"M"`.
        age: in whole years, 0 to 150.
        height_m: standing height in metres, up to 3.
        weight_kg: body mass in kilograms, up to 500.

    Raises:
        ParameterError: a value outside these ranges.

    Examples:
        >>> PatientFacts(sex="F", age=63, height_m=1.64, weight_kg=70.5).age
        63
    """

    sex: str
    age: int
    height_m: float
    weight_kg: float

    def __post_init__(self) -> None:
        if self.sex not in ("F", "M"):
            raise ParameterError("sex", "PatientFacts", "'F' or 'M'", self.sex)
        if self.age != int(self.age) or not 0 <= self.age <= 150:
            raise ParameterError("age", "PatientFacts", "whole years from 0 to 150", self.age)
        if not 0 < self.height_m <= 3:
            raise ParameterError("height_m", "PatientFacts", "above 0 m, up to 3", self.height_m)
        if not 0 < self.weight_kg <= 500:
            raise ParameterError(
                "weight_kg", "PatientFacts", "above 0 kg, up to 500", self.weight_kg
            )

    def write_to(self, dataset: Dataset) -> None:
        """Set Patient's Sex, Age, Size and Weight: whole years, centimetres, 100 g."""
        dataset.PatientSex = self.sex
        dataset.PatientAge = f"{int(self.age):03d}Y"
        dataset.PatientSize = f"{self.height_m:.2f}"
        dataset.PatientWeight = f"{self.weight_kg:.1f}"


_Counts = np.ndarray[tuple[int, ...], np.dtype[np.uint16]]

_NM_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
IMPLEMENTATION_UID = "2.25.262218870310839443264206170206934417137"
"""Names this software in the File Meta Information of what it writes."""
_DEFAULT_ACQUIRED_AT = datetime(2020, 1, 1, 12)
_DEFAULT_WINDOW_KEV = (126.45, 154.55)
_DEFAULT_DURATION_S = 1000.0
_VELOCITIES_MM_PER_S = (0.01, 1000.0)
_DURATIONS_S = (0.001, 1e6)


def write_nm(
    scan: Scan,
    path: Path,
    *,
    style: HeaderStyle = HeaderStyle.GE,
    compress: bool = False,
    acquired_at: datetime = _DEFAULT_ACQUIRED_AT,
    scan_velocity_mm_per_s: float | None = None,
    frame_duration_s: float | None = None,
    patient: PatientFacts | None = None,
) -> str:
    """Write a scan as a multi-frame NM object of unsigned 16-bit counts.

    The same scan gives the same bytes: UIDs derive from `scan_id`, dates from `acquired_at`. No
    identity is written, only pseudonyms: the name and number of the patient are `patient_id`, or
    `scan_id` where there is none. A simulated scan says so in several places.

    Args:
        scan: unit COUNTS, whole numbers up to 65 535, with a pixel spacing.
        path: where to write; written beside and renamed into place.
        style: whose habits the header follows.
        compress: JPEG-LS, which loses nothing: a seventh of the size for 10 ms more.
        acquired_at: date and time that the header gives for the acquisition.
        scan_velocity_mm_per_s: how fast the heads moved along the patient; empty if `None`.
        frame_duration_s: how long each view took. If `None`, as long as the velocity needs for
            the image's length; without a velocity 1000 s, because the standard demands a value.
        patient: sex, age and build of a simulated patient; refused for any other scan.

    Returns:
        The `scan_id` that the file has when it is read without a key.

    Raises:
        UnitError: the scan is not in counts.
        ParameterError: counts that are no whole numbers up to 65 535, no pixel spacing, a
            velocity or duration that no camera has, or facts of a patient who is not simulated.
        OutputError: the file cannot be written.

    Examples:
        >>> import tempfile
        >>> from bonescint.dicom import read
        >>> from pydicom.data import get_testdata_file
        >>> scan = read(get_testdata_file("JPGExtended.dcm", download=False))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     scan_id = write_nm(scan, Path(folder) / "copy.dcm", compress=True)
        ...     again = read(Path(folder) / "copy.dcm")
        >>> bool((again.anterior == scan.anterior).all()), again.scan_id == scan_id
        (True, True)
    """
    require_member("write_nm", "style", style, HeaderStyle)
    counts = _whole_counts(scan)
    if patient is not None and not _is_simulated(scan):
        raise ParameterError("patient", "write_nm", "None for a scan that is not simulated", "one")
    for name, value, (least, most) in (
        ("scan_velocity_mm_per_s", scan_velocity_mm_per_s, _VELOCITIES_MM_PER_S),
        ("frame_duration_s", frame_duration_s, _DURATIONS_S),
    ):
        if value is not None and not least <= value <= most:
            raise ParameterError(name, "write_nm", f"from {least:g} to {most:g}", value)
    dataset = _identity(scan, acquired_at)
    if patient is not None:
        patient.write_to(dataset)
    _image(dataset, scan, counts)
    _acquisition(dataset, scan)
    _whole_body_attributes(dataset, scan, scan_velocity_mm_per_s, frame_duration_s)
    apply_style(dataset, scan.views, style, simulated=_is_simulated(scan))
    if not _is_simulated(scan):
        ConfidentialityProfile().record(dataset)
    _write_beside(dataset, path, compress=compress)
    return scan_id_from_uids(
        dataset.StudyInstanceUID, [dataset.SOPInstanceUID], key=PUBLIC_SCAN_KEY
    )


def _whole_counts(scan: Scan) -> list[_Counts]:
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
    if scan.acquisition.burned_in_text:
        dataset.BurnedInAnnotation = "YES"
    elif simulated:  # otherwise nobody knows: a scan may come from a screen
        dataset.BurnedInAnnotation = "NO"
    dataset.StudyInstanceUID = _uid(scan, "study")
    dataset.SeriesInstanceUID = _uid(scan, "series")
    dataset.FrameOfReferenceUID = _uid(scan, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.StudyID = scan.scan_id[-16:]
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    return dataset


def _image(dataset: Dataset, scan: Scan, counts: list[_Counts]) -> None:
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


def _acquisition(dataset: Dataset, scan: Scan) -> None:
    """NM Isotope and Detector attributes, one detector a view.

    What the scan does not know stays empty, unless it is simulated.
    """
    from pydicom import Dataset

    views = scan.views
    dataset.EnergyWindowInformationSequence = [_energy_window(scan)]
    dataset.EnergyWindowVector = [1] * len(views)
    dataset.NumberOfEnergyWindows = 1
    dataset.DetectorVector = list(range(1, len(views) + 1))
    dataset.NumberOfDetectors = len(views)
    dataset.DetectorInformationSequence = [_detector(scan) for _ in views]
    pharmaceutical = Dataset()
    pharmaceutical.RadionuclideCodeSequence = [code_item("72454007", "Technetium Tc^99m^")]
    pharmaceutical.Radiopharmaceutical = "Tc99m diphosphonate" if _is_simulated(scan) else ""
    dataset.RadiopharmaceuticalInformationSequence = [pharmaceutical]


def _whole_body_attributes(
    dataset: Dataset, scan: Scan, velocity_mm_per_s: float | None, duration_s: float | None
) -> None:
    """The whole-body attributes of the NM Image module."""
    row_mm, _ = scan.pixel_spacing_mm or (0.0, 0.0)
    length_mm = scan.shape[0] * row_mm
    if duration_s is None:
        duration_s = length_mm / velocity_mm_per_s if velocity_mm_per_s else _DEFAULT_DURATION_S
    dataset.ScanVelocity = None if velocity_mm_per_s is None else f"{velocity_mm_per_s:.6g}"
    dataset.ScanLength = round(length_mm)
    dataset.WholeBodyTechnique = "1PS"
    dataset.ActualFrameDuration = max(1, round(duration_s * 1000))


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


def _detector(scan: Scan) -> Dataset:
    from pydicom import Dataset

    detector = Dataset()
    detector.CollimatorType = ""
    if _is_simulated(scan):
        detector.CollimatorGridName = "LEHR"
        detector.CollimatorType = "PARA"
    detector.FocalDistance = None
    detector.ImageOrientationPatient = None
    detector.ImagePositionPatient = None
    return detector


def file_meta(dataset: Dataset, transfer_syntax: str) -> FileMetaDataset:
    """File Meta Information that says what the object is and that bonescint wrote it.

    Args:
        dataset: with its SOP Class UID and SOP Instance UID.
        transfer_syntax: UID of the encoding.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "BONESCINT"
    return meta


def _write_beside(dataset: Dataset, path: Path, *, compress: bool) -> None:
    from pydicom import dcmwrite
    from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

    dataset.file_meta = file_meta(dataset, ExplicitVRLittleEndian)
    if compress:
        dataset.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    path = Path(path)
    with written_beside(path) as beside:
        dcmwrite(beside, dataset, enforce_file_format=True)
