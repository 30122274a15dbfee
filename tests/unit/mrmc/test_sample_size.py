from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from bonescint.mrmc import (
    ComparisonKind,
    Equivalence,
    Generalisation,
    Hypothesis,
    Inference,
    RoeMetz,
    VarianceComponents,
    cases_needed,
    figures_of_merit,
    hanley_mcneil_variance,
    obuchowski_rockette,
    power,
    readers_needed,
    simulate_reads,
    standalone_vs_readers,
)
from bonescint.scan import ParameterError

BOTH, CASES, READERS = Generalisation


def test_fixed_cases_are_a_paired_t_test() -> None:
    """D_j is one number a reader: the power is that of Student's t of r differences."""
    pilot = VarianceComponents(
        comparison=ComparisonKind.MODEL, reader=0.0009, var=0.001, cov2=0.0004, cases=100
    )
    spread = math.sqrt(0.0009 + (0.001 - 0.0004))
    found = power(pilot, Hypothesis(difference=0.04, to=READERS), readers=8, cases=100)
    expected = TTestPower().power(0.04 / spread, nobs=8, alpha=0.05)
    assert found.power == pytest.approx(expected, abs=1e-6)


def test_fixed_readers_are_a_normal_test() -> None:
    pilot = VarianceComponents(
        comparison=ComparisonKind.MODALITIES,
        reader=0.001, var=0.001, cov1=0.0004, cov2=0.0005, cov3=0.0003, cases=100,
    )  # fmt: skip
    se = math.sqrt(2 / 5 * (0.0006 + 4 * 0.0002) * 100 / 200)
    z = 0.04 / se
    expected = stats.norm.sf(1.959964 - z) + stats.norm.cdf(-1.959964 - z)
    found = power(pilot, Hypothesis(difference=0.04, to=CASES), readers=5, cases=200)
    assert found.power == pytest.approx(expected, abs=1e-6)


def simulated_power(
    population: RoeMetz, to: Generalisation, readers: int, cases: int, studies: int
) -> float:
    rejected = 0
    for seed in range(studies):
        study = simulate_reads(
            population, readers=readers, positives=cases // 2, negatives=cases // 2, seed=seed
        )
        rejected += obuchowski_rockette(study).to(to).differences[0].difference.p < 0.05
    return rejected / studies


def test_power_is_that_of_simulated_studies() -> None:
    """Components from the model of Roe and Metz itself, so only Hillis' formula is on trial."""
    population = RoeMetz(difference=0.45, reader=0.011, modality_reader=0.011)
    errors = population.error_covariances(positives=40, negatives=40)
    first, second = population.areas()
    pilot = VarianceComponents(
        comparison=ComparisonKind.MODALITIES,
        reader=modality_reader_variance(population),
        var=errors.var, cov1=errors.cov1, cov2=errors.cov2, cov3=errors.cov3,
        cases=80,
    )  # fmt: skip
    aim = Hypothesis(difference=second - first)
    expected = power(pilot, aim, readers=5, cases=80).power
    found = simulated_power(population, BOTH, readers=5, cases=80, studies=400)
    assert 0.3 < expected < 0.9
    assert found == pytest.approx(expected, abs=0.075)


def modality_reader_variance(population: RoeMetz) -> float:
    """Variance of TR on the scale of the AUC, from readers who read endless cases."""
    rng = np.random.default_rng(1)
    r = rng.normal(size=(200_000, 1, 2)) * math.sqrt(population.reader)
    tr = rng.normal(size=(200_000, 2, 2)) * math.sqrt(population.modality_reader)
    shift = population.separation + np.array([0.0, population.difference])
    gap = (r + tr)[:, :, 1] - (r + tr)[:, :, 0] + shift
    areas = stats.norm.cdf(gap / math.sqrt(2))
    return float((areas[:, 0] - areas[:, 1]).var() / 2)


def test_more_of_everything_is_more_power() -> None:
    pilot = VarianceComponents.conjectured(auc=0.85, cases=100)
    aim = Hypothesis(difference=0.05)
    readers = [power(pilot, aim, readers=count, cases=150).power for count in (3, 5, 8, 12)]
    cases = [power(pilot, aim, readers=6, cases=count).power for count in (50, 100, 200, 400)]
    assert readers == sorted(readers)
    assert cases == sorted(cases)


def test_the_smallest_number_is_the_smallest() -> None:
    pilot, aim = VarianceComponents.conjectured(auc=0.85, cases=100), Hypothesis(difference=0.05)
    cases = cases_needed(pilot, aim, readers=6)
    assert cases is not None
    assert cases.power >= 0.8 > power(pilot, aim, readers=6, cases=cases.cases - 1).power
    readers = readers_needed(pilot, aim, cases=200)
    assert readers is not None
    assert readers.power >= 0.8 > power(pilot, aim, readers=readers.readers - 1, cases=200).power


def test_where_readers_vary_too_much_no_number_of_cases_is_enough() -> None:
    pilot = VarianceComponents.conjectured(auc=0.85, cases=100, reader_sd=0.1)
    assert cases_needed(pilot, Hypothesis(difference=0.03), readers=4) is None
    few = VarianceComponents.conjectured(auc=0.85, cases=20)
    assert readers_needed(few, Hypothesis(difference=0.01), cases=20) is None


def test_non_inferiority_is_one_sided() -> None:
    pilot = VarianceComponents(
        comparison=ComparisonKind.MODALITIES,
        reader=0.0, var=0.001, cov1=0.0004, cov2=0.0005, cov3=0.0003, cases=100,
    )  # fmt: skip
    se = math.sqrt(2 / 5 * (0.0006 + 4 * 0.0002))
    found = power(pilot, Hypothesis(difference=0.0, to=CASES, margin=0.06), readers=5, cases=100)
    assert found.power == pytest.approx(stats.norm.sf(1.959964 - 0.06 / se), abs=1e-6)
    both = Hypothesis(difference=0.0, to=CASES, margin=0.06, both_sides=True)
    one_side = stats.norm.sf(1.644854 - 0.06 / se)
    assert power(pilot, both, readers=5, cases=100).power == pytest.approx(
        2 * one_side - 1, abs=1e-6
    )


def test_pilots_of_studies() -> None:
    study = simulate_reads(RoeMetz(), readers=5, positives=20, negatives=20, seed=1)
    analysis = obuchowski_rockette(study)
    pilot = VarianceComponents.of(analysis)
    assert (pilot.var, pilot.cov3, pilot.cases) == (analysis.errors.var, analysis.errors.cov3, 40)
    rng = np.random.default_rng(1)
    model = {c: float(rng.normal() + t) for c, t in zip(study.cases, study.truth, strict=True)}
    against = standalone_vs_readers(study.of_modality("1"), model)
    # A study of the pilot's size has the pilot's own standard error, if no variance is clamped.
    pilot = VarianceComponents.of(against)
    if against.mean_square_reader - against.var + against.cov2 > 0:
        found = power(pilot, Hypothesis(difference=0.05), readers=5, cases=40)
        se = against.to(BOTH).se
        assert found.noncentrality == pytest.approx((0.05 / se) ** 2)
        assert found.denominator_df == pytest.approx(against.to(BOTH).df)
    with pytest.raises(ParameterError, match="two readers"):
        VarianceComponents.of(obuchowski_rockette(study.of_modality("1")))


def a_pilot(**values: float) -> VarianceComponents:
    kind = values.pop("comparison", ComparisonKind.MODALITIES)
    return VarianceComponents(comparison=kind, cases=100, **values)  # type: ignore[arg-type]


def test_negative_components_count_as_0_and_are_named() -> None:
    """As Hillis, Obuchowski and Berbaum 2011 do; published tables give them as they came out."""
    errors = {"var": 0.001, "cov1": 0.0004, "cov2": 0.0002, "cov3": 0.0003}
    pilot = a_pilot(reader=-0.00012, **errors)
    as_zero = a_pilot(reader=0.0, **{**errors, "cov2": 0.0003})
    aim = Hypothesis(difference=0.05)
    for to in Generalisation:
        aim = Hypothesis(difference=0.05, to=to)
        assert power(pilot, aim, readers=5, cases=80) == power(as_zero, aim, readers=5, cases=80)
    rest = (
        ", below 0, and counts as 0: a small pilot estimates it poorly, and the true value may "
        "require more readers or cases"
    )
    assert [note.text for note in pilot.notes] == [
        f"the variance of readers by modalities (TR) is estimated as -0.00012{rest}",
        f"Cov2 - Cov3 is estimated as -0.0001{rest}",
    ]
    assert as_zero.notes == ()
    model = a_pilot(comparison=ComparisonKind.MODEL, reader=-0.0002, var=0.001, cov2=-0.0001)
    assert [note.text.split(" is ")[0] for note in model.notes] == [
        "the variance of readers (R)", "Cov2"
    ]  # fmt: skip
    swallowed = a_pilot(comparison=ComparisonKind.MODEL, reader=0.0002, var=0.001, cov2=0.0012)
    assert [note.text.split(" as ")[0] for note in swallowed.notes] == [
        "the variance of error (Var - Cov2) is estimated"
    ]
    # MS(R) of D_j is the readers' variance alone then: 0.0002 + 5 Cov2 over 5, by hand.
    found = power(swallowed, Hypothesis(difference=0.05), readers=5, cases=100)
    assert found.noncentrality == pytest.approx(0.05**2 / ((0.0002 + 5 * 0.0012) / 5))
    assert found.denominator_df == pytest.approx(0.0062**2 / (0.0002**2 / 4))
    crossed = a_pilot(reader=0.0, var=0.001, cov1=0.0008, cov2=0.0005, cov3=0.0001)
    assert [note.text.split(" is ")[0] for note in crossed.notes] == [
        "the variance of error (Var - Cov1 - Cov2 + Cov3)"
    ]


def test_a_pilot_that_came_out_negative_is_kept_as_it_came_out() -> None:
    for seed in range(100):
        study = simulate_reads(RoeMetz(), readers=3, positives=12, negatives=12, seed=seed)
        analysis = obuchowski_rockette(study)
        if analysis.components.modality_reader < 0:
            break
    pilot = VarianceComponents.of(analysis)
    assert pilot.reader == analysis.components.modality_reader < 0
    assert any("(TR) is estimated as" in note.text for note in pilot.notes)
    assert pilot.as_dict()["reader"] == pilot.reader


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"reader": 1.01}, "reader"),
        ({"reader": -1.01}, "reader"),
        ({"var": 0.0}, "var"),
        ({"var": 1.01}, "var"),
        ({"cov1": 0.001}, r"'cov1' parameter of VarianceComponents must be below var \(0.001\)"),
        ({"cov2": -1.01}, "cov2"),
        ({"cov3": 1.01}, "cov3"),
        ({"cases": 1}, "cases"),
        ({"cases": 1_000_001}, "cases"),
        ({"comparison": ComparisonKind.MODEL, "cov1": 0.0001}, "0 against a model"),
        ({"comparison": ComparisonKind.MODEL, "cov3": 0.0001}, "0 against a model"),
        ({"comparison": "three"}, "comparison"),
    ],
)
def test_pilots_that_cannot_be(values: dict[str, float], says: str) -> None:
    sound = {"comparison": ComparisonKind.MODALITIES, "reader": 0.0, "var": 0.001, "cases": 100}
    VarianceComponents(**sound)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=says):
        VarianceComponents(**{**sound, **values})  # type: ignore[arg-type]


def test_limits_are_allowed_and_what_is_beyond_is_refused() -> None:
    pilot, aim = VarianceComponents.conjectured(auc=0.85, cases=100), Hypothesis(difference=0.05)
    fixed = Hypothesis(difference=0.05, to=CASES)
    for readers, cases, of in ((2, 2, aim), (1000, 1_000_000, aim), (1, 2, fixed)):
        assert power(pilot, of, readers=readers, cases=cases).readers == readers
    for readers, cases, of in ((1, 50, aim), (1001, 50, aim), (2, 1, aim), (2, 1_000_001, aim),
                               (0, 50, fixed)):  # fmt: skip
        with pytest.raises(ParameterError):
            power(pilot, of, readers=readers, cases=cases)
    for wanted in (0.009, 0.99991):
        with pytest.raises(ParameterError, match="wanted"):
            cases_needed(pilot, aim, readers=6, wanted=wanted)
        with pytest.raises(ParameterError, match="wanted"):
            readers_needed(pilot, aim, cases=100, wanted=wanted)
    for name, low, high in (
        ("auc", 0.499, 0.99995), ("positive_share", 0.0009, 0.9991), ("reader_sd", -0.001, 0.501),
        ("r1", -0.001, 0.9991), ("r2", -0.001, 0.9991), ("r3", -0.001, 0.9991),
    ):  # fmt: skip
        for value in (low, high):
            with pytest.raises(ParameterError, match=name):
                VarianceComponents.conjectured(**{"auc": 0.85, "cases": 100, name: value})


def test_a_conjecture_has_the_documented_defaults() -> None:
    pilot = VarianceComponents.conjectured(auc=0.85, cases=100)
    var = hanley_mcneil_variance(0.85, 50, 50)
    assert (pilot.reader, pilot.var) == (0.02**2 / 2, var)
    assert (pilot.cov1, pilot.cov2, pilot.cov3) == pytest.approx(
        (0.5 * var, 0.35 * var, 0.30 * var)
    )
    model = VarianceComponents.conjectured(
        auc=0.85, cases=100, positive_share=0.2, comparison=ComparisonKind.MODEL
    )
    var = hanley_mcneil_variance(0.85, 20, 80)
    assert (model.reader, model.var, model.cov2) == pytest.approx(
        (0.02**2, 2 * 0.65 * var, 0.65 * var)
    )
    assert (model.cov1, model.cov3) == (0, 0)
    same = VarianceComponents.conjectured(auc=0.85, cases=100, r2=0.3, r3=0.3)
    assert same.cov2 == same.cov3
    assert (Hypothesis(difference=0.05).alpha, Hypothesis(difference=0.05).to) == (0.05, BOTH)
    # Hanley and McNeil by hand: Q1 = A/(2-A), Q2 = 2A^2/(1+A).
    q1, q2 = 0.85 / 1.15, 2 * 0.85**2 / 1.85
    expected = 0.85 * 0.15 + 19 * (q1 - 0.85**2) + 79 * (q2 - 0.85**2)
    assert hanley_mcneil_variance(0.85, 20, 80) == pytest.approx(expected / 1600)


def test_random_readers_and_cases_by_hand() -> None:
    """Hillis, Obuchowski and Berbaum 2011, written out with their letters."""
    pilot = a_pilot(reader=0.0003, var=0.001, cov1=0.0004, cov2=0.0005, cov3=0.0003)
    r, scale, d = 7, 100 / 150, 0.05
    e, b = scale * (0.001 - 0.0004), scale * (0.0005 - 0.0003)
    den = 0.0003 + e + (r - 1) * b
    df = den**2 / ((0.0003 + e - b) ** 2 / (r - 1))
    shift = r * d**2 / 2 / den
    found = power(pilot, Hypothesis(difference=d), readers=r, cases=150)
    assert found.noncentrality == pytest.approx(shift)
    assert found.denominator_df == pytest.approx(df)
    assert found.power == pytest.approx(
        stats.ncf.sf(stats.f.isf(0.05, 1, df), 1, df, shift), abs=1e-9
    )
    margin = power(pilot, Hypothesis(difference=0.0, margin=0.05), readers=r, cases=150)
    se = math.sqrt(2 * den / r)
    assert margin.power == pytest.approx(
        stats.nct.sf(stats.t.isf(0.025, df), df, 0.05 / se), abs=1e-9
    )
    fixed = power(pilot, Hypothesis(difference=d, to=READERS), readers=r, cases=150)
    assert fixed.denominator_df == 6
    assert fixed.noncentrality == pytest.approx(r * d**2 / 2 / (0.0003 + e - b))
    assert (found.readers, found.cases) == (7, 150)
    assert (
        VarianceComponents.conjectured(auc=0.85, cases=100).as_dict()["comparison"]
        == "two modalities"
    )


def test_hanley_and_mcneils_variance_is_near_delongs() -> None:
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        ratings = np.r_[rng.exponential(4.0, 50), rng.exponential(1.0, 70)]
        found.append((ratings[:50, None] > ratings[None, 50:]).mean())
    expected = hanley_mcneil_variance(0.8, 50, 70)
    assert np.mean(found) == pytest.approx(0.8, abs=0.01)
    assert np.var(found) == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize(
    "values",
    [
        {"difference": 0.0},
        {"difference": -0.06, "margin": 0.05},
        {"difference": 0.06, "margin": 0.05, "both_sides": True},
        {"difference": 0.05, "alpha": 0.0},
        {"difference": math.nan},
    ],
)
def test_aims_that_cannot_be(values: dict[str, float]) -> None:
    with pytest.raises(ParameterError):
        Hypothesis(**values)  # type: ignore[arg-type]


def test_margins_decide_by_the_interval() -> None:
    one = Inference(value=-0.01, se=0.02, df=20.0, bounds=(-1, 1))
    for margin in (0.03, 0.0517, 0.0518, 0.1):
        found = one.non_inferiority(margin)
        assert found.shown == (one.low > -margin) == (found.p < 0.025)
        alike = one.equivalence(margin)
        narrow = Inference(value=-0.01, se=0.02, df=20.0, bounds=(-1, 1), level=0.90)
        assert alike.shown == (narrow.low > -margin and narrow.high < margin)
        assert (alike.low, alike.high) == pytest.approx((narrow.low, narrow.high))
        assert alike.level == pytest.approx(0.9)
    lower = stats.t.sf((-0.01 + 0.06) / 0.02, 20)
    upper = stats.t.sf((0.06 + 0.01) / 0.02, 20)
    assert one.equivalence(0.06) == Equivalence(
        margin=0.06, p=max(lower, upper), shown=True,
        low=pytest.approx(-0.0445, abs=1e-4), high=pytest.approx(0.0245, abs=1e-4),
        level=pytest.approx(0.9),
    )  # fmt: skip
    with pytest.raises(ParameterError, match="above 0"):
        one.non_inferiority(0.0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("to", list(Generalisation))
def test_intervals_cover_and_tests_keep_their_level(to: Generalisation) -> None:
    """2 000 simulated studies each; what each generalisation speaks of is what varies."""
    population = RoeMetz(reader=0.011, modality_reader=0.011)
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(2000):
        study = simulate_reads(population, readers=5, positives=50, negatives=50, seed=rng)
        difference = obuchowski_rockette(study).to(to).differences[0].difference
        covered += difference.low <= 0 <= difference.high
    if to is BOTH:
        assert 0.93 <= covered / 2000 <= 0.97
    else:  # both vary here, so an interval for one of them alone is too short
        assert covered / 2000 < 0.95
    assert figures_of_merit(study).values.shape == (2, 5)
