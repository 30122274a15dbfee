from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from bonescint.scan import ParameterError
from bonescint.train.calibrate import (
    Judged,
    balanced_operating_point,
    best_temperature,
    figures,
    uncertain_band,
)

margin = st.integers(-5, 5).map(float)


@pytest.mark.parametrize("truth", [0.5, 1.0, 4.0])
def test_the_temperature_is_found_again(truth: float) -> None:
    rng = np.random.default_rng(1)
    margins = rng.normal(0, 2, 20_000)
    labels = rng.random(margins.size) < expit(margins)
    found = best_temperature(Judged(margins=truth * margins, labels=labels))
    assert found == pytest.approx(truth, rel=0.05)


def test_a_temperature_at_its_bound_is_none() -> None:
    labels = np.array([True, False])
    assert best_temperature(Judged(margins=np.array([1.0, -1.0]), labels=labels)) is None
    assert best_temperature(Judged(margins=np.array([-1.0, 1.0]), labels=labels)) is None


def test_figures_are_by_patient() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(100) < 0.4
    one = {"margins": rng.normal(labels * 1.5, 1), "labels": labels}
    four = {name: np.tile(values, 4) for name, values in one.items()}
    patients = [f"p{n % 100}" for n in range(400)]
    alone, copies = (
        figures(judged, temperature=1.0, operating_point=0.5, measured_on="x")
        for judged in (Judged(**one), Judged(**four, patients=patients))
    )
    for first, second in zip(alone[:3], copies[:3], strict=True):
        assert (second.low, second.high) == pytest.approx((first.low, first.high), rel=1e-9)


@given(
    st.lists(st.tuples(margin, st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({label for _, label in rows}) == 2
    ),
    st.floats(0.1, 10),
)
def test_no_other_point_is_better_balanced(
    rows: list[tuple[float, bool]], temperature: float
) -> None:
    judged = Judged(
        margins=np.array([value for value, _ in rows]),
        labels=np.array([label for _, label in rows]),
    )
    point = balanced_operating_point(judged, temperature)
    assert 0 <= point <= 1
    probabilities = judged.probabilities(temperature)

    def gap(threshold: float) -> float:
        called = probabilities >= threshold
        return abs(float(called[judged.labels].mean()) - float((~called)[~judged.labels].mean()))

    # Every threshold that calls another set of scans, by brute force.
    best = min(gap(threshold) for threshold in [*probabilities, 1.1])
    assert gap(point) == pytest.approx(best) or point == 1.0


def test_figures_are_sklearns() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(300) < 0.4
    judged = Judged(margins=rng.normal(labels * 1.5, 1), labels=labels)
    found = {
        metric.name: metric
        for metric in figures(judged, temperature=1.5, operating_point=0.5, measured_on="here")
    }
    auc = found["roc_auc_score"]
    assert auc.value == pytest.approx(roc_auc_score(labels, judged.margins))
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low < auc.value < auc.high
    probabilities = judged.probabilities(1.5)
    assert found["cross_entropy_error"].value == pytest.approx(log_loss(labels, probabilities))
    called = probabilities >= 0.5
    assert found["sensitivity_score"].value == pytest.approx((called & labels).sum() / labels.sum())
    again = figures(judged, temperature=1.5, operating_point=0.5, measured_on="here")
    assert again[0] == auc


def test_one_class_is_refused() -> None:
    with pytest.raises(ParameterError, match="both classes"):
        Judged.of([np.zeros(2, dtype=np.float32)], [True])


@pytest.mark.parametrize(("temperature", "point"), [(1.0, 0.5), (2.5, 0.3), (0.4, 0.97)])
def test_the_uncertain_band_holds_its_share(temperature: float, point: float) -> None:
    rng = np.random.default_rng(4)
    labels = rng.random(500) < 0.4
    judged = Judged(margins=rng.normal(np.where(labels, 1.5, -1.5), 2), labels=labels)
    (low, high), rule = uncertain_band(judged, temperature=temperature, operating_point=point)
    probabilities = judged.probabilities(temperature)
    inside = (probabilities >= low - 1e-12) & (probabilities <= high + 1e-12)
    assert inside.sum() == 50
    assert low <= point <= high
    right = (probabilities >= point) == labels
    assert f"of these {100 * right[inside].mean():.1f} % were called correctly" in rule
    assert f"of the others {100 * right[~inside].mean():.1f} %" in rule
    # No scan outside is nearer to the operating point than one inside.
    away = np.abs(np.log(probabilities / (1 - probabilities)) - np.log(point / (1 - point)))
    assert away[inside].max() <= away[~inside].min()
