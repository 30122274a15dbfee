"""The nouns are valid once built, and refuse what they must."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bonescint.scan import (
    Acquisition,
    ActivationMap,
    Case,
    Focus,
    FocusKind,
    InputError,
    MissingExtraError,
    ParameterError,
    PixelUnit,
    Prediction,
    Scan,
    Split,
    Truth,
    View,
    mirrored,
)


def a_scan(**changes: object) -> Scan:
    settings: dict[str, object] = {
        "anterior": np.arange(8.0).reshape(4, 2),
        "posterior": np.ones((4, 2)),
        "pixel_spacing_mm": (2.4, 2.4),
        "unit": PixelUnit.COUNTS,
        "scan_id": "bs-1",
        "acquisition": Acquisition(modality="NM"),
    }
    return Scan(**(settings | changes))  # type: ignore[arg-type]


def test_a_scan_keeps_its_own_read_only_copy() -> None:
    counts = np.ones((4, 2))
    scan = a_scan(anterior=counts)
    counts[:] = 9
    assert scan.anterior is not None
    assert scan.total(View.ANTERIOR) == 8
    with pytest.raises(ValueError, match="read-only"):
        scan.anterior[0, 0] = 5


def test_one_view_is_legal_and_says_so() -> None:
    scan = a_scan(posterior=None)
    assert scan.views == (View.ANTERIOR,)
    assert scan.missing_views == (View.POSTERIOR,)
    assert scan.view(View.POSTERIOR) is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"anterior": None, "posterior": None}, "anterior"),
        ({"posterior": np.ones((4, 3))}, "posterior"),
        ({"anterior": np.full((4, 2), np.nan)}, "finite"),
        ({"anterior": -np.ones((4, 2))}, "at least 0"),
        ({"anterior": np.ones(4), "posterior": None}, r"\(rows, columns\)"),
        ({"pixel_spacing_mm": (0.0, 2.4)}, "pixel_spacing_mm"),
        ({"pixel_spacing_mm": (float("inf"), 2.4)}, "pixel_spacing_mm"),
        ({"scan_id": ""}, "scan_id"),
        ({"unit": "counts"}, "unit"),
    ],
)
def test_what_is_no_scan_is_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        a_scan(**changes)


def test_a_view_may_be_named_by_its_text() -> None:
    scan = a_scan()
    assert scan.view("anterior") is scan.anterior  # type: ignore[arg-type]
    assert scan.view("posterior") is scan.posterior  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="left"):
        scan.view("left")  # type: ignore[arg-type]


def test_negative_values_are_fine_where_they_are_no_counts() -> None:
    assert a_scan(anterior=-np.ones((4, 2)), unit=PixelUnit.INTENSITY).total(View.ANTERIOR) == -8


def test_a_step_leaves_the_scan_and_adds_to_the_history() -> None:
    scan = a_scan()
    other = scan.with_views(
        anterior=scan.anterior, posterior=None, step="drop", unit=PixelUnit.NORMALISED
    )
    assert other.history == ("drop",)
    assert scan.history == ()
    assert other.unit is PixelUnit.NORMALISED
    assert scan.posterior is not None


@given(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(0, 9, width=32)
    )
)
def test_mirroring_twice_is_nothing(image: np.ndarray) -> None:
    assert np.array_equal(mirrored(mirrored(image)), image)
    assert np.array_equal(mirrored(image)[:, 0], image[:, -1])


@pytest.mark.parametrize(
    "error",
    [
        InputError("a.dcm", "no pixels", "Send it again"),
        ParameterError("count", "f", "above 0", -1),
        MissingExtraError("torch", "train"),
    ],
)
def test_errors_cross_process_borders(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_truth_with_a_metastasis_is_positive() -> None:
    focus = Focus(view=View.ANTERIOR, row=1, column=1)
    with pytest.raises(ParameterError, match="positive"):
        Truth(positive=False, foci=(focus,))
    mimic = Focus(view=View.ANTERIOR, row=1, column=1, kind=FocusKind.MIMIC)
    assert not Truth(positive=False, foci=(mimic,)).positive


@pytest.mark.parametrize("confidence", [-0.1, 1.1])
def test_a_focus_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(ParameterError, match="confidence"):
        Focus(view=View.ANTERIOR, row=0, column=0, confidence=confidence)


@pytest.mark.parametrize("changes", [{"view": "anterior"}, {"kind": "metastasis"}])
def test_a_focus_has_a_view_and_a_kind(changes: dict[str, Any]) -> None:
    """Compared by identity, a metastasis by its text would be none."""
    with pytest.raises(ParameterError, match=next(iter(changes))):
        Focus(**{"view": View.ANTERIOR, "row": 0, "column": 0, **changes})


def test_a_case_needs_a_split() -> None:
    with pytest.raises(ParameterError, match="split"):
        Case(scan_id="a", patient_id="p", centre="A", split="test", positive=True)  # type: ignore[arg-type]


def test_a_case_needs_a_patient() -> None:
    with pytest.raises(ParameterError, match="patient_id"):
        Case(scan_id="a", patient_id="", centre="A", split=Split.TRAIN, positive=True)


def test_prediction_survives_json() -> None:
    activation = ActivationMap(
        view=View.POSTERIOR, target="mbd", values=np.eye(3), extent=(-1, 0, 5, 4)
    )
    answer = Prediction(
        scan_id="bs-1", mbd_probability=0.7, positive=True, model_id="m",
        activation_maps=(activation,), warnings=("one view",),
    )  # fmt: skip
    again = Prediction.from_json(answer.to_json())
    found = again.activation_map(View.POSTERIOR)
    assert found is not None
    assert np.array_equal(found.values, np.eye(3))
    assert found.extent == (-1, 0, 5, 4)
    assert again.activation_map(View.ANTERIOR) is None
    assert again.warnings == ("one view",)


def test_a_newer_prediction_is_refused() -> None:
    content = Prediction(scan_id="a", mbd_probability=0, positive=False, model_id="m").to_json()
    with pytest.raises(ParameterError, match="schema_version"):
        Prediction.from_json(content | {"schema_version": 99})


@pytest.mark.parametrize("probability", [-0.01, 1.01, float("nan")])
def test_a_probability_lies_between_0_and_1(probability: float) -> None:
    with pytest.raises(ParameterError, match="mbd_probability"):
        Prediction(scan_id="a", mbd_probability=probability, positive=False, model_id="m")


def test_a_map_is_never_negative() -> None:
    with pytest.raises(ParameterError, match="values"):
        ActivationMap(view=View.ANTERIOR, target="mbd", values=-np.eye(2), extent=(0, 0, 1, 1))
