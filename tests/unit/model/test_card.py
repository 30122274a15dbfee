from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonescint.classify.results import CallCounts, page_heading
from bonescint.model import (
    CARD_SCHEMA_VERSION,
    CalibrationRecord,
    EvidenceMap,
    Metric,
    ModelCard,
    ModelFolder,
    packaged_models,
)
from bonescint.model.readme import readme_of
from bonescint.scan import UNCALIBRATED, ModelFolderError, ParameterError, PlattCalibration


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    operating_point=st.floats(0, 1),
    slope=st.floats(1e-3, 1e3),
    intercept=st.floats(-50, 50),
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    text=st.text(min_size=1),
)
def test_a_card_survives_json(
    card: ModelCard,
    operating_point: float,
    slope: float,
    intercept: float,
    values: list[float],
    text: str,
) -> None:
    changed = replace(
        card,
        name=text,
        operating_point=operating_point,
        calibration=PlattCalibration(slope=slope, intercept=intercept),
        calibrated_on=CalibrationRecord(
            scans=text,
            count=20,
            positives=4,
            patients=19,
            fitted=PlattCalibration(slope=slope, intercept=intercept),
            slope_interval=(slope / 2, slope),
            unpenalised=(slope, intercept),
            prevalence=0.1,
        ),
        metrics=tuple(Metric(name="m_score", value=v, measured_on=text) for v in values),
        evidence_map=EvidenceMap(kind=text, cell=8),
    )
    assert ModelCard.from_json(json.loads(json.dumps(changed.to_json()))) == changed


def test_a_newer_schema_is_refused_by_name(card: ModelCard) -> None:
    content = {**card.to_json(), "schema_version": CARD_SCHEMA_VERSION + 1}
    with pytest.raises(ModelFolderError, match=r"here\.json: .* schema version 3.*Update"):
        ModelCard.from_json(content, source="here.json")


@pytest.mark.parametrize("version", [None, 0, "1"])
def test_another_schema_is_refused(card: ModelCard, version: object) -> None:
    with pytest.raises(ModelFolderError, match="schema version"):
        ModelCard.from_json({**card.to_json(), "schema_version": version})


@pytest.mark.parametrize(
    "name", ["name", "recipe", "operating_point", "training", "metrics", "calibration"]
)
def test_a_missing_field_is_named(card: ModelCard, name: str) -> None:
    content = card.to_json()
    del content[name]
    with pytest.raises(ModelFolderError, match=name):
        ModelCard.from_json(content)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("operating_point", 1.5),
        ("precision", "int4"),
    ],
)
def test_what_cannot_be_is_refused(card: ModelCard, field: str, value: object) -> None:
    with pytest.raises(ParameterError, match=field):
        replace(card, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("temperature", "slope"), [(0.5, 2.0), (1.0, 1.0), (4.0, 0.25)])
def test_the_temperature_of_a_card_of_version_1_is_a_slope(
    card: ModelCard, temperature: float, slope: float
) -> None:
    content = {**card.to_json(), "schema_version": 1, "temperature": temperature}
    del content["calibration"], content["calibrated_on"]
    read = ModelCard.from_json(content)
    assert read.calibration == PlattCalibration(slope=slope)
    assert read.calibrated_on is None
    del content["temperature"]
    assert ModelCard.from_json(content).calibration == UNCALIBRATED


@pytest.mark.parametrize("temperature", [0.0, -1.0, "warm", float("nan"), float("inf")])
def test_a_temperature_that_cannot_be_is_refused(card: ModelCard, temperature: object) -> None:
    content = {**card.to_json(), "schema_version": 1, "temperature": temperature}
    with pytest.raises(ModelFolderError, match="cannot be used"):
        ModelCard.from_json(content)


def test_a_card_says_where_its_calibration_comes_from(card: ModelCard) -> None:
    record = CalibrationRecord(
        scans="scans of the user's own",
        count=40,
        positives=8,
        patients=31,
        fitted=PlattCalibration(slope=0.6, intercept=-2.0),
        slope_interval=(0.3, 0.9),
        intercept_interval=(-3.0, -1.0),
        method="penalised",
        unpenalised=(0.55, -2.2),
        prevalence=0.1,
        note="by hand",
    )
    said = readme_of(replace(card, calibrated_on=record))
    for part in (
        "fitted to 40 scans of the user's own of 31 patients, 8 positive (20 %)",
        "slope 0.600 (0.300 to 0.900), intercept -2.000 (-3.000 to -1.000), 95 % intervals",
        "drawn towards 1 and 0 from 0.550 and -2.200",
        "moved to a prevalence of 10 %; by hand",
    ):
        assert part in said
    with pytest.raises(ParameterError, match="positives"):
        replace(record, positives=41)


def test_a_card_from_before_maps_were_named_is_of_grad_cam(card: ModelCard) -> None:
    content = card.to_json()
    del content["evidence_map"]
    assert ModelCard.from_json(content).evidence_map == EvidenceMap(kind="Grad-CAM", cell=16)


def test_the_readme_says_what_the_maps_are(card: ModelCard) -> None:
    evidence = EvidenceMap(kind="probability of each cell", cell=8)
    text = readme_of(replace(card, evidence_map=evidence))
    rows, columns = card.preprocessing.rows // 8, 2 * card.preprocessing.columns // 8
    assert f"`maps` (N, 2, {rows}, {columns}), a map for each class: probability of" in text


def test_the_readme_says_what_matters(card: ModelCard) -> None:
    metric = Metric(name="roc_auc_score", value=0.9, low=0.8, high=0.95, measured_on="20 scans")
    text = readme_of(replace(card, metrics=(metric,)))
    for expected in (
        "Research use only",
        "It knows nothing.",
        "Area under the ROC curve: 0.9 (95 % interval 0.8 to 0.95), measured on 20 scans",
        "small@1",
        "scans: 3 train positive",
    ):
        assert expected in text


@pytest.mark.parametrize(
    "fault", [r"(?<!al)[.,;:][.,;:](\s|$)", r"\s[.,;:]", r"'s's|s's\b", r"\d\. [a-z]", r"  "]
)
@pytest.mark.parametrize("name", list(packaged_models()))
def test_the_packages_models_texts_have_no_slips(fault: str, name: str) -> None:
    """Computed sentences: marks that meet, two genitives, a sentence that begins small."""
    folder = ModelFolder.load(packaged_models()[name])
    said = readme_of(folder.card, folder.ood).splitlines()
    heading = page_heading(
        folder,
        datetime(2026, 1, 1, tzinfo=UTC),
        CallCounts(positive=3, negative=4, uncertain=1),
        interrupted=False,
    )
    said += [heading.title, heading.notice, heading.model_summary, heading.calls]
    said += [value for _, value in heading.model]
    assert len(said) > 40
    assert [text for text in said if re.search(fault, text)] == []
