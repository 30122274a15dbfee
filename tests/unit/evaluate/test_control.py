import math

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from bonescint.evaluate.control import (
    ClinicalControl,
    ClinicalFacts,
    added_information,
    cross_fitted,
)
from bonescint.evaluate.roc import roc_auc_score
from bonescint.evaluate.scored import ScoredCases
from bonescint.scan import ParameterError


def _patients(seed: int, count: int = 400) -> tuple[ClinicalFacts, NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    age = rng.normal(65, 10, count)
    sex = rng.choice(["F", "M"], count)
    primary = rng.choice(["", "breast", "prostate"], count)
    line = 0.05 * (age - 65) + 1.5 * (primary == "prostate") - 0.5
    truth = rng.random(count) < expit(line)
    return ClinicalFacts(age=age, sex=tuple(sex), primary=tuple(primary)), truth


def test_control_is_sklearns_penalised_regression() -> None:
    facts, truth = _patients(1)
    control = ClinicalControl.fit(facts, truth)
    terms = control.terms(facts)[:, 1:]
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(terms, truth)
    expected = theirs.predict_proba(terms)[:, 1]
    np.testing.assert_allclose(control.probabilities(facts), expected, atol=1e-5)
    scored = ScoredCases(scores=control.probabilities(facts), positive=truth)
    assert roc_auc_score(scored).low > 0.55


def test_what_was_not_met_while_fitting() -> None:
    facts, truth = _patients(2)
    control = ClinicalControl.fit(facts, truth)
    new = ClinicalFacts(age=np.array([np.nan, 65.0]), sex=("", ""), primary=("myeloma", ""))
    found = control.probabilities(new)
    assert np.isfinite(found).all()
    known = ClinicalFacts(age=np.array([control.mean_age]), sex=("",), primary=("",))
    assert found[0] == pytest.approx(control.probabilities(known)[0])  # no unknown age was met


def test_nothing_known_gives_the_prevalence() -> None:
    facts = ClinicalFacts(age=np.full(10, np.nan), sex=("",) * 10, primary=("",) * 10)
    assert not facts.known
    truth = np.arange(10) < 3
    found = ClinicalControl.fit(facts, truth).probabilities(facts)
    np.testing.assert_allclose(found, 0.3, atol=1e-6)


def test_cross_fitting_never_sees_the_patient() -> None:
    rng = np.random.default_rng(3)
    # Sex is noise: a control that had seen its cases would do better than chance.
    truth = rng.random(200) < 0.5
    patients = [f"p{number // 2}" for number in range(200)]
    words = tuple(f"tumour {number // 2}" for number in range(200))  # gives the patient away
    facts = ClinicalFacts(age=np.full(200, 60.0), sex=("F",) * 200, primary=words)
    found = cross_fitted(facts, truth, patients)
    scored = ScoredCases(scores=found, positive=truth)
    assert roc_auc_score(scored).value < 0.6
    seen = ClinicalControl.fit(facts, truth).probabilities(facts)
    assert roc_auc_score(scored.with_scores(seen)).value > 0.8
    np.testing.assert_array_equal(found, cross_fitted(facts, truth, patients))
    with pytest.raises(ParameterError, match="at least 5 patients"):
        cross_fitted(facts.of(np.arange(200) < 4), truth[:4], patients[:4])


def test_added_information_is_a_likelihood_ratio_test() -> None:
    facts, truth = _patients(4)
    known = ClinicalControl.fit(facts, truth).probabilities(facts)
    rng = np.random.default_rng(5)
    score = expit(rng.normal(truth.astype(float)))
    statistic, p_value = added_information(ScoredCases(scores=score, positive=truth), known)
    labels = truth.astype(float)
    less = sm.Logit(labels, sm.add_constant(logit(known))).fit(disp=0)
    more = sm.Logit(labels, sm.add_constant(np.c_[logit(known), logit(score)])).fit(disp=0)
    assert statistic == pytest.approx(2 * (more.llf - less.llf), rel=1e-5)
    assert p_value < 1e-6
    noise = ScoredCases(scores=expit(rng.normal(size=400)), positive=truth)
    assert added_information(noise, known)[1] > 0.001
    perfect = ScoredCases(scores=np.where(truth, 0.9, 0.1), positive=truth)
    assert math.isnan(added_information(perfect, known)[0])


def test_bad_facts_are_refused() -> None:
    with pytest.raises(ParameterError, match="as long as"):
        ClinicalFacts(age=np.array([1.0]), sex=("F", "M"), primary=("", ""))
    facts, truth = _patients(6)
    with pytest.raises(ParameterError, match="both classes"):
        ClinicalControl.fit(facts, np.zeros_like(truth))
