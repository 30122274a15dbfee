"""The picture of a prediction as a Secondary Capture Image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.checks import burned_in_text
from bonescint.dicom.header import Header
from bonescint.dicom.results.source import BLANK, ResultSources
from bonescint.extras import load
from bonescint.scan import RESEARCH_USE

if TYPE_CHECKING:
    from pydicom import Dataset

    from bonescint.dicom.results.results import ResultContext

SERIES_NUMBER = 9901


def secondary_capture(context: ResultContext, picture: NDArray[np.uint8]) -> Dataset:
    """A colour Secondary Capture of the picture, which refers to the scan's files.

    Args:
        context: the prediction, its model and its sources.
        picture: uint8 (rows, columns, 3).
    """
    from pydicom.uid import ExplicitVRLittleEndian

    sc = load("highdicom.sc", extra="pacs")
    dataset: Dataset = sc.SCImage(
        pixel_array=np.ascontiguousarray(picture, dtype=np.uint8),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=context.sources.study_uid,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **context.instance("picture", SERIES_NUMBER),
        **BLANK,
    )
    dataset.PatientOrientation = None  # two views in one picture
    dataset.BodyPartExamined = "WHOLEBODY"
    dataset.ImageComments = context.algorithm.notice
    dataset.DerivationDescription = f"Picture of the evidence. {RESEARCH_USE}"
    burned_in = {burned_in_text(Header(header)) for header in context.sources.headers}
    if True in burned_in:
        dataset.BurnedInAnnotation = "YES"
    elif burned_in == {False}:  # otherwise nobody knows
        dataset.BurnedInAnnotation = "NO"
    dataset.SourceImageSequence = _references(context.sources)
    del dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture
    return dataset


def _references(sources: ResultSources) -> list[Dataset]:
    """Items that name the scan's files and frames."""
    from pydicom import Dataset

    items = []
    for file, frames in sources.frames_used():
        item = Dataset()
        item.ReferencedSOPClassUID = sources.headers[file].SOPClassUID
        item.ReferencedSOPInstanceUID = sources.headers[file].SOPInstanceUID
        if sources.is_multi_frame(file):
            item.ReferencedFrameNumber = list(frames)
        items.append(item)
    return items
