"""Manufacturers' habits that a header follows where the standard leaves a choice.

GE's and Siemens' are those of real objects. Philips' follows from the standard alone (PS3.3
C.8.4, CID 26): no sample of theirs was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from bonescint.scan import View

if TYPE_CHECKING:
    from pydicom import Dataset


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
