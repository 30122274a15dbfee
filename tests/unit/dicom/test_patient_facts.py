"""What a simulated patient's header says of her, and that no living one's does."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from bonescint.dicom import PatientFacts
from bonescint.scan import ParameterError

FACTS = {"sex": "F", "age": 63, "height_m": 1.638, "weight_kg": 70.26}


def test_the_header_gives_years_metres_and_kilograms() -> None:
    dataset = Dataset()
    PatientFacts(**FACTS).write_to(dataset)
    assert dataset.PatientSex == "F"
    assert dataset.PatientAge == "063Y"
    assert str(dataset.PatientSize) == "1.64"
    assert str(dataset.PatientWeight) == "70.3"


@pytest.mark.parametrize(("age", "text"), [(0, "000Y"), (7, "007Y"), (104, "104Y")])
def test_the_age_has_three_digits(age: int, text: str) -> None:
    dataset = Dataset()
    PatientFacts(**{**FACTS, "age": age}).write_to(dataset)
    assert dataset.PatientAge == text


@pytest.mark.parametrize(
    ("name", "value"),
    [("sex", "female"), ("sex", ""), ("age", -1), ("age", 151), ("age", 63.5), ("height_m", 0),
     ("height_m", 164), ("height_m", float("nan")), ("weight_kg", 0), ("weight_kg", 501)],
)  # fmt: skip
def test_impossible_facts_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ParameterError, match=f"'{name}' parameter of PatientFacts"):
        PatientFacts(**{**FACTS, name: value})
