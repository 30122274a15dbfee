"""What the header of a simulated scan says of its synthetic patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bonescint.scan import ParameterError

if TYPE_CHECKING:
    from pydicom import Dataset


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
