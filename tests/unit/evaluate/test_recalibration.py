"""Platt's map: against statsmodels, brute force, Saerens' rule, and simulated scans."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from scipy.stats import chi2
from sklearn.metrics import log_loss

from bonescint.evaluate import (
    Balanced,
    GivenSensitivity,
    ScoredCases,
    calibration_line,
    fit_calibration,
    margins,
)
from bonescint.evaluate.operating_points import uncertain_band
from bonescint.evaluate.recalibration import NO_CHANGE, REVERSED, SEPARATED, calibrate_locally
from bonescint.scan import UNCALIBRATED, ParameterError, PlattCalibration


def _scans(
    count: int, slope: float, intercept: float, *, seed: int = 1, middle: float = 0.0
) -> ScoredCases:
    """Margins of a network whose true map is given."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(middle, 2.5, count)
    positive = rng.random(count) < expit(intercept + slope * margin)
    return ScoredCases(scores=margin, positive=positive)


def _penalised(cases: ScoredCases, intercept: float, slope: float, weight: float = 1.0) -> float:
    """Minus twice the penalised log likelihood, written down once more."""
    chance = np.clip(expit(intercept + slope * cases.scores), 1e-300, 1 - 1e-16)
    likelihood = np.where(cases.positive, np.log(chance), np.log1p(-chance)).sum()
    gamma = math.log(slope) - slope
    log_f = intercept - 2 * math.log1p(math.exp(intercept))
    return -2 * (weight * float(likelihood) + gamma + log_f)


def _brute(cases: ScoredCases, weight: float = 1.0) -> tuple[float, float, float]:
    """Intercept, slope and value of the best line by a simplex that knows no derivative."""
    best = minimize(
        lambda at: _penalised(cases, at[0], math.exp(at[1]), weight),
        (0.0, 0.0),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000},
    )
    return float(best.x[0]), math.exp(best.x[1]), float(best.fun)


@pytest.mark.parametrize(("count", "slope", "intercept"),
                         [(20, 0.6, -2.0), (60, 1.7, 1.0), (500, 0.4, 0.0)])  # fmt: skip
def test_the_penalised_fit_is_that_of_brute_force(
    count: int, slope: float, intercept: float
) -> None:
    cases = _scans(count, slope, intercept, seed=3)
    found = fit_calibration(cases)
    a, b, least = _brute(cases)
    gained = _penalised(cases, 0.0, 1.0) - least
    kept = max(0.0, 1 - 2 / gained)
    assert found.kept == pytest.approx(kept, abs=1e-6)
    assert found.intercept.value == pytest.approx(kept * a, abs=1e-5)
    assert found.slope.value == pytest.approx(1 + kept * (b - 1), abs=1e-5)
    assert found.slope.note == ("" if kept else NO_CHANGE)


@pytest.mark.parametrize(("count", "slope", "intercept"), [(25, 0.7, -1.5), (300, 1.3, 2.0)])
def test_the_interval_ends_where_the_profile_has_fallen(
    count: int, slope: float, intercept: float
) -> None:
    cases = _scans(count, slope, intercept, seed=5)
    found = fit_calibration(cases, level=0.9)
    least = _brute(cases)[2]
    for end in (found.slope.low, found.slope.high):
        profile = minimize(lambda at, end=end: _penalised(cases, at[0], end), (0.0,), tol=1e-12)
        assert profile.fun - least == pytest.approx(chi2.ppf(0.9, 1), abs=1e-4)
    for end in (found.intercept.low, found.intercept.high):
        profile = minimize(
            lambda at, end=end: _penalised(cases, end, math.exp(at[0])), (0.0,), tol=1e-12
        )
        assert profile.fun - least == pytest.approx(chi2.ppf(0.9, 1), abs=1e-4)


def test_many_scans_have_the_likelihood_of_statsmodels() -> None:
    import statsmodels.api as sm

    cases = _scans(20_000, 0.5, -1.5)
    theirs = sm.Logit(cases.positive.astype(float), sm.add_constant(cases.scores)).fit(disp=False)
    ours = fit_calibration(cases)
    assert ours.unpenalised[::-1] == pytest.approx(theirs.params, abs=1e-6)
    assert (ours.intercept.value, ours.slope.value) == pytest.approx(theirs.params, abs=2e-3)
    wald = theirs.conf_int()
    assert (ours.intercept.low, ours.intercept.high) == pytest.approx(wald[0], abs=4e-3)
    assert (ours.slope.low, ours.slope.high) == pytest.approx(wald[1], abs=2e-3)


def test_calibrated_probabilities_are_calibrated_and_keep_their_order() -> None:
    cases = _scans(6000, 0.5, -2.0, middle=2.0)
    found = fit_calibration(cases)
    after = cases.with_scores(found.calibration.probability(cases.scores))
    line = calibration_line(after)
    assert line.slope.value == pytest.approx(1.0, abs=5e-3)
    assert line.in_the_large.value == pytest.approx(0.0, abs=5e-3)
    assert np.array_equal(np.argsort(after.scores), np.argsort(cases.scores))


@pytest.mark.parametrize(
    ("scores", "truth", "note"),
    [
        ([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1], SEPARATED),
        ([2.0, 1.0, -1.0, -2.0], [0, 0, 1, 1], REVERSED),
        ([-700.0, 700.0] * 20, [0, 1] * 20, SEPARATED),
        ([27.6, -27.6] * 20, [0, 1] * 20, REVERSED),
        ([-1e-6, 1e-6] * 20, [0, 1] * 20, SEPARATED),
    ],
)
def test_scans_without_a_finite_slope_have_finite_figures_and_a_note(
    scores: list[float], truth: list[int], note: str
) -> None:
    found = fit_calibration(ScoredCases(scores=np.array(scores), positive=np.array(truth)))
    assert found.slope.note.startswith(note)
    assert math.isnan(found.unpenalised[0])
    for one in (found.slope, found.intercept):
        assert -math.inf < one.low <= one.value <= one.high < math.inf
    assert found.slope.low > 0


def test_scans_that_say_nothing_change_nothing() -> None:
    """Two scans, or a model that is right already."""
    two = fit_calibration(ScoredCases(scores=np.array([0.2, -0.1]), positive=np.array([1, 0])))
    right = fit_calibration(_scans(200, 1.0, 0.0, seed=4))
    for found in (two, right):
        assert found.calibration == UNCALIBRATED
        assert NO_CHANGE in found.slope.note
        assert found.slope.low < 1 < found.slope.high
        assert found.intercept.low < 0 < found.intercept.high


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-40, 40), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
def test_any_scans_of_both_classes_have_a_rising_map_within_its_interval(
    rows: list[tuple[float, bool]],
) -> None:
    cases = ScoredCases(
        scores=np.array([score for score, _ in rows]), positive=np.array([one for _, one in rows])
    )
    found = fit_calibration(cases)
    for one in (found.slope, found.intercept):
        assert one.low - 1e-6 <= one.value <= one.high + 1e-6
    assert 0 < found.slope.low <= found.slope.high < math.inf
    a, b = found.intercept.value, found.slope.value
    assert _penalised(cases, a, b) <= _penalised(cases, 0.0, 1.0) + 1e-9


def test_one_class_is_refused() -> None:
    with pytest.raises(ParameterError, match="both classes"):
        fit_calibration(ScoredCases(scores=np.array([0.1, 2.0]), positive=np.array([1, 1])))


def test_a_patients_copies_tell_nothing_new() -> None:
    alone = _scans(80, 0.6, -1.0, seed=8)
    copies = ScoredCases(
        scores=np.tile(alone.scores, 3),
        positive=np.tile(alone.positive, 3),
        patients=np.tile(np.arange(80), 3),
    )
    first, again = fit_calibration(alone), fit_calibration(copies)
    assert (again.count, again.patients, again.prevalence) == (240, 80, first.prevalence)
    assert "by patient" in again.slope.method
    for one, two in ((first.slope, again.slope), (first.intercept, again.intercept)):
        assert (two.value, two.low, two.high) == pytest.approx((one.value, one.low, one.high))


def _as_frequent(cases: ScoredCases, prevalence: float, count: int, seed: int) -> ScoredCases:
    """The same population, drawn with another share of disease."""
    rng = np.random.default_rng(seed)
    ill, well = np.flatnonzero(cases.positive), np.flatnonzero(~cases.positive)
    taken = round(prevalence * count)
    drawn = np.concatenate([rng.choice(ill, taken), rng.choice(well, count - taken)])
    return ScoredCases(scores=cases.scores[drawn], positive=cases.positive[drawn])


def test_a_prior_shift_is_saerens_rule() -> None:
    """Equation 4 of Saerens et al.: posteriors weighted by new over old prior, normalised."""
    chance = np.linspace(0.01, 0.99, 25)
    old, new = 0.37, 0.08
    ill, well = new / old * chance, (1 - new) / (1 - old) * (1 - chance)
    moved = UNCALIBRATED.moved_to(new, fitted_at=old).probability(logit(chance))
    np.testing.assert_allclose(moved, ill / (ill + well), rtol=1e-12)


def _by_expectation(chance: NDArray[np.float64], old: float) -> float:
    """The new prior by Saerens' expectation maximisation, from probabilities without labels."""
    new = old
    for _ in range(2000):
        ill, well = new / old * chance, (1 - new) / (1 - old) * (1 - chance)
        new = float((ill / (ill + well)).mean())
    return new


def test_the_moved_map_is_right_in_the_population_it_was_moved_to() -> None:
    everybody = _scans(200_000, 0.6, -1.0, seed=11)
    at_half = _as_frequent(everybody, 0.5, 20_000, 1)
    elsewhere = _as_frequent(everybody, 0.1, 50_000, 2)
    found = fit_calibration(at_half)
    moved = found.calibration.moved_to(0.1, fitted_at=found.prevalence)
    line = calibration_line(elsewhere.with_scores(moved.probability(elsewhere.scores)))
    assert line.slope.low < 1 < line.slope.high
    assert line.in_the_large.value == pytest.approx(0, abs=0.05)
    stayed = found.calibration.probability(elsewhere.scores)
    assert log_loss(elsewhere.positive, moved.probability(elsewhere.scores)) < log_loss(
        elsewhere.positive, stayed
    )
    # Saerens' algorithm finds the prevalence that we were told.
    assert _by_expectation(stayed, found.prevalence) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, math.nan])
def test_a_prevalence_that_cannot_be_is_refused(wrong: float) -> None:
    with pytest.raises(ParameterError, match="prevalence"):
        UNCALIBRATED.moved_to(wrong, fitted_at=0.5)


@pytest.mark.parametrize("rule", [Balanced(), GivenSensitivity(0.9)])
def test_the_same_scans_are_called_whatever_the_prevalence(
    rule: Balanced | GivenSensitivity,
) -> None:
    cases = _scans(300, 0.6, -1.5, seed=2)
    found = {share: calibrate_locally(cases, rule, prevalence=share) for share in (None, 0.02, 0.9)}
    calls = {}
    for share, one in found.items():
        said = one.calibration.probability(cases.scores)
        assert one.uncertain_band is not None
        low, high = one.uncertain_band
        assert low <= one.operating_point <= high
        calls[share] = (said >= one.operating_point, (said >= low) & (said <= high))
        assert (one.before, one.after) == (found[None].before, found[None].after)
    for share in (0.02, 0.9):
        assert np.array_equal(calls[share][0], calls[None][0])
        assert np.abs(calls[share][1].astype(int) - calls[None][1]).sum() <= 1  # the edge itself
    assert found[0.02].operating_point < found[None].operating_point < found[0.9].operating_point


def test_27_scans_whose_temperature_ran_to_its_bound_are_mended() -> None:
    """Five of 27 with disease, nearly all called: the centre is wrong, not the spread.

    Here the best temperature (slope at intercept 0) is above 20, and a worse Brier score than a
    guess by prevalence. With an intercept the probabilities become better than both.
    """
    rng = np.random.default_rng(6)
    well = rng.normal(1.5, 0.9, 22)
    cases = ScoredCases(
        scores=np.concatenate([well, rng.normal(3.6, 1.0, 5)]), positive=np.arange(27) >= 22
    )
    signed = np.where(cases.positive, cases.scores, -cases.scores)
    slopes = np.geomspace(1e-3, 10, 500)
    losses = [np.logaddexp(0, -slope * signed).sum() for slope in slopes]
    assert 1 / slopes[int(np.argmin(losses))] > 20, "one number cannot do it"
    found = fit_calibration(cases)
    calibrated = found.calibration.probability(cases.scores)
    prior = np.full(27, 5 / 27)
    at_bound = expit(cases.scores / 20)
    loss = log_loss(cases.positive, calibrated)
    assert loss < log_loss(cases.positive, prior)
    assert loss < log_loss(cases.positive, expit(cases.scores))
    assert ((calibrated - cases.positive) ** 2).mean() < ((at_bound - cases.positive) ** 2).mean()
    assert found.slope.note in {"", SEPARATED}
    assert found.intercept.high < 0


def test_margins_and_maps_go_both_ways() -> None:
    line = PlattCalibration(slope=0.4, intercept=-1.3)
    for margin in (-30.0, -1.0, 0.0, 2.5):
        assert line.margin(line.probability(margin)) == pytest.approx(margin, abs=1e-6)
    assert (line.margin(0.0), line.margin(1.0)) == (-math.inf, math.inf)
    np.testing.assert_allclose(
        line.probability(np.array([-1e4, -3.0, 0.5, 1e4])),
        expit(np.array([-4001.3, -2.5, -1.1, 3998.7])),
    )
    then = line.then(PlattCalibration(slope=2.0, intercept=0.7))
    inner = margins(line.probability(np.array([0.3])))
    assert then.probability(0.3) == pytest.approx(float(expit(0.7 + 2.0 * inner[0])))
    solved = brentq(lambda at: line.probability(at) - 0.2, -50, 50)
    assert line.margin(0.2) == pytest.approx(solved)
    for wrong in ({"slope": 0.0}, {"slope": math.inf}, {"intercept": math.nan}):
        with pytest.raises(ParameterError):
            PlattCalibration(**wrong)


@pytest.mark.parametrize(("slope", "point"), [(1.0, 0.0), (0.4, -1.0), (2.5, 3.0)])
def test_the_uncertain_band_holds_its_share(slope: float, point: float) -> None:
    rng = np.random.default_rng(4)
    labels = rng.random(500) < 0.4
    cases = ScoredCases(scores=rng.normal(np.where(labels, 1.5, -1.5), 2), positive=labels)
    line = PlattCalibration(slope=slope, intercept=0.5)
    band, rule = uncertain_band(cases, point, line)
    assert band is not None
    said, at = line.probability(cases.scores), line.probability(point)
    inside = (said >= band[0] - 1e-12) & (said <= band[1] + 1e-12)
    assert inside.sum() == 50
    assert band[0] <= at <= band[1]
    right = (said >= at) == labels
    assert f"of these {100 * right[inside].mean():.1f} % were called correctly" in rule
    assert f"of the others {100 * right[~inside].mean():.1f} %" in rule
    # No scan outside is nearer to the operating point than one inside.
    away = np.abs(logit(said) - logit(at))
    assert away[inside].max() <= away[~inside].min()


def test_there_is_no_band_around_a_point_above_every_score() -> None:
    band, why = uncertain_band(_scans(50, 1.0, 0.0), math.inf, UNCALIBRATED)
    assert band is None
    assert "above every score" in why
