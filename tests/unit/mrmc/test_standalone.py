from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bonescint.evaluate import StructuralComponents
from bonescint.mrmc import (
    CovarianceMethod,
    Generalisation,
    NoteKind,
    Reads,
    RoeMetz,
    Sensitivity,
    obuchowski_rockette,
    simulate_reads,
    standalone_vs_readers,
)
from bonescint.scan import ParameterError

BOTH, CASES, READERS = Generalisation


@pytest.fixture(scope="module")
def study() -> Reads:
    return simulate_reads(
        RoeMetz(), readers=4, positives=20, negatives=25, seed=1, levels=6
    ).of_modality("1")


@pytest.fixture(scope="module")
def model(study: Reads) -> dict[str, float]:
    rng = np.random.default_rng(7)
    return {
        case: float(rng.normal() + 1.5 * truth)
        for case, truth in zip(study.cases, study.truth, strict=True)
    }


def test_formulas_written_out(study: Reads, model: dict[str, float]) -> None:
    scores = np.array([model[case] for case in study.cases])
    joint = StructuralComponents.of(np.vstack([study.ratings[0], scores]), study.truth)
    d = joint.areas[:4] - joint.areas[4]
    of_d = [
        [
            joint.covariance[j, k]
            - joint.covariance[j, 4]
            - joint.covariance[4, k]
            + joint.covariance[4, 4]
            for k in range(4)
        ]
        for j in range(4)
    ]
    var = np.mean([of_d[j][j] for j in range(4)])
    cov2 = np.mean([of_d[j][k] for j in range(4) for k in range(4) if j != k])
    square = d.var(ddof=1)
    found = standalone_vs_readers(study, model)
    assert (found.var, found.cov2, found.mean_square_reader) == pytest.approx((var, cov2, square))
    assert found.model.value == pytest.approx(joint.areas[4])
    assert found.readers_mean == pytest.approx(joint.areas[:4].mean())
    den = square + 4 * max(cov2, 0)
    both = found.to(BOTH)
    assert both.se == pytest.approx(math.sqrt(den / 4))
    assert both.df == pytest.approx(den**2 / (square**2 / 3))
    assert both.p == pytest.approx(2 * stats.t.sf(abs(d.mean() / both.se), both.df))
    assert found.to(CASES).se == pytest.approx(math.sqrt((var + 3 * max(cov2, 0)) / 4))
    paired = stats.ttest_1samp(d, 0.0)
    assert found.to(READERS).p == pytest.approx(paired.pvalue)
    for j, one in enumerate(found.readers):
        assert one.difference.value == pytest.approx(d[j])
        assert one.difference.se == pytest.approx(math.sqrt(of_d[j][j]))


def test_a_model_that_is_the_readers_own_double(study: Reads) -> None:
    """The model in place of a second modality read alike by all: the same test as OR's."""
    scores = np.random.default_rng(3).normal(size=len(study.cases)) + 1.5 * study.truth
    doubled = Reads(
        modalities=("readers", "zmodel"),
        readers=study.readers,
        cases=study.cases,
        truth=study.truth,
        ratings=np.stack([study.ratings[0], np.tile(scores, (4, 1))]),
        seconds=np.full((2, 4, 45), np.nan),
    )
    two = obuchowski_rockette(doubled)
    one = standalone_vs_readers(study, dict(zip(study.cases, scores.tolist(), strict=True)))
    for to in Generalisation:
        expected = two.to(to).differences[0].difference
        found = one.to(to)
        assert found.value == pytest.approx(expected.value)
        if not two.errors.clamped:
            assert found.se == pytest.approx(expected.se)
            assert found.df == pytest.approx(expected.df)


def test_other_covariances(study: Reads, model: dict[str, float]) -> None:
    delong = standalone_vs_readers(study, model).to(BOTH)
    for method in (CovarianceMethod.JACKKNIFE, CovarianceMethod.UNBIASED):
        other = standalone_vs_readers(study, model, method=method).to(BOTH)
        assert other.value == delong.value
        assert other.se == pytest.approx(delong.se, rel=0.05)
        assert other.se != delong.se


def test_sensitivity_at_thresholds_of_their_own(study: Reads, model: dict[str, float]) -> None:
    found = standalone_vs_readers(
        study, model, Sensitivity(at=4), model_endpoint=Sensitivity(at=0.7)
    )
    truth = study.truth
    scores = np.array([model[case] for case in study.cases])
    assert found.model.value == pytest.approx((scores[truth] >= 0.7).mean())
    assert found.readers_mean == pytest.approx((study.ratings[0][:, truth] >= 4).mean())


def test_missing_predictions_and_reads_are_named(study: Reads, model: dict[str, float]) -> None:
    ratings = study.ratings.copy()
    ratings[0, 1, :5] = np.nan
    some = {case: score for case, score in model.items() if case not in ("1", "2")}
    found = standalone_vs_readers(replace(study, ratings=ratings), {**some, "99": 1.0})
    texts = [note.text for note in found.notes]
    assert any("2 cases without a prediction of the model: 1, 2" in text for text in texts)
    assert any(
        "1 predictions are of cases that no reader read in modality 1" in text for text in texts
    )
    assert any("compared with the model on the cases that this reader read" in t for t in texts)
    assert found.cases == 43
    kept = np.arange(45) >= 5
    scores = np.array([model[case] for case in study.cases])
    expected = StructuralComponents.of(
        np.vstack([ratings[0, 1], scores])[:, kept], study.truth[kept]
    )
    assert found.readers[1].value.value == pytest.approx(expected.areas[0])
    assert found.readers[1].model == pytest.approx(expected.areas[1])
    assert found.readers[1].difference.se == pytest.approx(
        math.sqrt(np.array([1, -1]) @ expected.covariance @ np.array([1, -1])), rel=1e-9
    )


def test_a_reader_without_positives_is_left_out(study: Reads, model: dict[str, float]) -> None:
    ratings = study.ratings.copy()
    ratings[0, 2, study.truth] = np.nan
    found = standalone_vs_readers(replace(study, ratings=ratings), model)
    assert [one.reader for one in found.readers] == ["1", "2", "4"]
    left = [note.text for note in found.notes if note.kind is NoteKind.LEFT_OUT]
    assert left == ["reader 3 has no AUC: no case with disease was read"]


def test_one_reader(study: Reads, model: dict[str, float]) -> None:
    alone = replace(
        study,
        readers=("1",),
        ratings=study.ratings[:, :1].copy(),
        seconds=study.seconds[:, :1].copy(),
    )
    found = standalone_vs_readers(alone, model)
    assert math.isnan(found.to(BOTH).p)
    assert found.to(CASES).p == found.readers[0].difference.p


def test_what_cannot_be_compared_is_refused(study: Reads, model: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match="of the cases that were read"):
        standalone_vs_readers(study, {"other": 0.5})
    with pytest.raises(ParameterError, match="one modality"):
        standalone_vs_readers(
            simulate_reads(RoeMetz(), readers=2, positives=3, negatives=3, seed=1), model
        )
    with pytest.raises(ParameterError, match="finite"):
        standalone_vs_readers(study, {**model, "3": math.nan})


@pytest.mark.parametrize("method", list(CovarianceMethod))
def test_a_reader_of_one_positive_case_leaves_the_others_covariances(
    study: Reads, model: dict[str, float], method: CovarianceMethod
) -> None:
    ratings = study.ratings.copy()
    ratings[0, 1, np.flatnonzero(study.truth)[1:]] = np.nan
    thin = standalone_vs_readers(replace(study, ratings=ratings), model, method=method, draws=100)
    others = replace(
        study,
        readers=("1", "3", "4"),
        ratings=ratings[:, [0, 2, 3]],
        seconds=study.seconds[:, [0, 2, 3]],
    )
    expected = standalone_vs_readers(others, model, method=method, draws=100)
    assert (thin.var, thin.cov2) == pytest.approx((expected.var, expected.cov2))
    assert math.isnan(thin.readers[1].difference.se)
    assert thin.readers[2].difference.se == pytest.approx(expected.readers[1].difference.se)
    assert all(math.isfinite(thin.to(to).se) for to in Generalisation)
    d = np.array([one.difference.value for one in thin.readers])
    den = d.var(ddof=1) + 4 * max(thin.cov2, 0)
    assert thin.to(BOTH).se == pytest.approx(math.sqrt(den / 4))
    said = [note.text for note in thin.notes]
    assert (
        "reader 2: no variance over cases can be estimated (one case of a class); the averaged "
        "covariances are those of the others"
    ) in said


@pytest.mark.parametrize("method", list(CovarianceMethod))
def test_one_positive_case_of_all(
    study: Reads, model: dict[str, float], method: CovarianceMethod
) -> None:
    kept = ~study.truth
    kept[np.flatnonzero(study.truth)[0]] = True
    found = standalone_vs_readers(study.of_cases(kept), model, method=method, draws=100)
    assert math.isnan(found.var)
    assert math.isnan(found.to(BOTH).p)
    assert math.isfinite(found.to(READERS).p)
    said = [note.text for note in found.notes]
    assert not any("the others" in text for text in said)
    assert sum("no variance over cases" in text for text in said) == 4
