"""The local scans on a model's card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bonescint.evaluate.conformal import conformal_p_values
from bonescint.model import (
    Classifier,
    LocalScans,
    ModelCard,
    ModelFolder,
    write_model_folder,
)
from bonescint.scan import NormalRank, ParameterError, Prediction, Scan

NORMALS = LocalScans(
    scores=(-1.0, 0.0, 0.0, 0.25, 3.0), normal=True, scans=6, model_id="demo@1+0", specificity=0.8,
    notes=("one scan was left out",),
)  # fmt: skip


@pytest.mark.parametrize("margin", [-5.0, -1.0, -0.5, 0.0, 0.1, 0.25, 3.0, 9.0])
def test_the_rank_is_counted_and_its_p_value_the_conformal_one(margin: float) -> None:
    rank = NORMALS.rank(margin)
    assert rank is not None
    assert (rank.higher_than, rank.of) == (sum(one < margin for one in NORMALS.scores), 5)
    assert rank.p_value == pytest.approx(float(conformal_p_values(margin, NORMALS.scores)))


def test_scans_of_which_nothing_is_known_rank_nothing() -> None:
    unknown = replace(NORMALS, normal=False, specificity=None, prevalence=0.2)
    assert unknown.rank(0.0) is None
    assert "that 20 % have the disease is an assumption" in unknown.in_words


@pytest.mark.parametrize(
    "wrong", [{"scores": ()}, {"scores": (1.0, 0.0)}, {"scores": (float("nan"),)}, {"scans": 4}]
)
def test_scores_are_there_ascending_and_one_a_patient(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        replace(NORMALS, **wrong)


def test_it_lives_on_the_card_and_in_predictions(
    tmp_path: Path, card: ModelCard, onnx_bytes: bytes, scan: Scan
) -> None:
    local = replace(card, local=NORMALS)
    assert ModelCard.from_json(local.to_json()) == local
    assert ModelCard.from_json({k: v for k, v in card.to_json().items() if k != "local"}) == card
    folder = write_model_folder(tmp_path / "m", card=local, onnx=onnx_bytes, more={"docs/x": b"x"})
    assert (tmp_path / "m" / "docs" / "x").read_bytes() == b"x"
    again = ModelFolder.load(tmp_path / "m")
    assert again.card.local == NORMALS
    readme = (tmp_path / "m" / "docs" / "README.md").read_text()
    assert "6 scans of 5 patients, reported to be without metastatic bone disease" in readme
    with Classifier(folder) as classifier:
        answer = classifier.predict(scan)
        (margin,) = classifier.margins([classifier.prepare(scan)])
    # The stand-in's logits are the mean and three times the mean, so 0 < margin < 2.
    assert answer.rank_among_normals == NORMALS.rank(margin)
    assert Prediction.from_json(answer.to_json()).rank_among_normals == NORMALS.rank(margin)


def test_a_rank_is_of_as_many_as_there_are() -> None:
    for wrong in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(ParameterError):
            NormalRank(higher_than=wrong[0], of=wrong[1])
    assert NormalRank.from_json(None) is None
