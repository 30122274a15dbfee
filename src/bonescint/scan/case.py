"""A case of a cohort: a scan, its reference standard, its patient, its centre, its split."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bonescint.scan.checked import check_member
from bonescint.scan.errors import ParameterError


class Split(StrEnum):
    """The part of a cohort that a case belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of a cohort's manifest.

    Attributes:
        scan_id: identifier of the scan.
        patient_id: pseudonym.
        centre: where it was acquired.
        split: train, validation or test.
        positive: the reference standard: metastatic bone disease or not.
        file: path of the scan relative to the manifest; empty where only predictions are
            judged.
        sex: `"F"`, `"M"`, or empty.
        age: in years, or `None`.
        primary: primary tumour, or empty.
        truth: path of the truth file relative to the manifest, or empty.
        mask_anterior: path of a physician's mask of the anterior view, or empty.
        mask_posterior: the same of the posterior view.
        simulated: whether a simulator made the scan, so that no patient was imaged.

    Raises:
        ParameterError: an empty identifier or a negative age.
    """

    scan_id: str
    patient_id: str
    centre: str
    split: Split
    positive: bool
    file: str = ""
    sex: str = ""
    age: float | None = None
    primary: str = ""
    truth: str = ""
    mask_anterior: str = ""
    mask_posterior: str = ""
    simulated: bool = False

    def __post_init__(self) -> None:
        for name in ("scan_id", "patient_id", "centre"):
            if not getattr(self, name):
                raise ParameterError(name, "Case", "a non-empty string", getattr(self, name))
        check_member(self, "split", Split)
        if self.age is not None and not 0 <= self.age < 130:
            raise ParameterError("age", "Case", "from 0 to 130 years", self.age)
