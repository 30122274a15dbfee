"""The model beside the truth: refused at the start, and no scan takes it from the others."""

from __future__ import annotations

import logging
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.teaching import small_case

from bonescint.model import Classifier
from bonescint.scan import BonescintError, InputError, ModelFolderError, Prediction, Scan
from bonescint.teach.web.model_answers import ModelAnswers

SCAN = small_case([]).scan


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[ModelAnswers]:
    stand_in = Path(__file__).parents[2] / "classify" / "stand_in.py"
    runpy.run_path(str(stand_in))["write_stand_in_model"](tmp_path / "stand-in")
    model = ModelAnswers(str(tmp_path / "stand-in"))
    yield model
    model.close()


def test_a_model_that_does_not_exist_is_refused_at_once() -> None:
    with pytest.raises(ModelFolderError, match="no such model folder"):
        ModelAnswers("typo")


def test_without_a_model_there_is_no_output() -> None:
    model = ModelAnswers("none")
    assert model.read(SCAN).result() is None
    model.close()


def test_a_scan_that_the_model_refuses_is_logged_and_the_next_one_is_read(
    answers: ModelAnswers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Classifier, scan: Scan) -> Prediction:
        raise InputError(scan.scan_id, "is too small", "Leave it out")

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "bonescint.teach"):
        patched.setattr(Classifier, "predict", refuse)
        assert answers.read(SCAN).result() is None
    assert [record.getMessage() for record in caplog.records] == [
        "The model does not read a case: c: is too small. Leave it out."
    ]
    output = answers.read(SCAN).result()
    assert output is not None
    assert 0 <= output["mbd_probability"] <= 1


def test_a_model_that_cannot_be_loaded_is_logged_once(
    answers: ModelAnswers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BonescintError("The graph cannot be compiled.")

    monkeypatch.setattr(Classifier, "__init__", fail)
    with caplog.at_level(logging.WARNING, "bonescint.teach"):
        assert [answers.read(SCAN).result() for _ in range(2)] == [None, None]
    assert [record.getMessage() for record in caplog.records] == [
        "Cases are shown without a model: The graph cannot be compiled."
    ]
