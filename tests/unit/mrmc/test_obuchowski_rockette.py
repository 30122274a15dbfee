from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from bonescint.mrmc import (
    Auc,
    CovarianceMethod,
    DbmComponents,
    Design,
    ErrorCovariances,
    Generalisation,
    MeanSquares,
    NoteKind,
    Read,
    Reads,
    RoeMetz,
    Sensitivity,
    detect_design,
    figures_of_merit,
    obuchowski_rockette,
    simulate_reads,
    u_statistics,
)
from bonescint.mrmc.covariance import leave_one_out
from bonescint.scan import ParameterError

BOTH, CASES, READERS = Generalisation
Numbers = NDArray[np.float64]


def mean_squares(values: Numbers) -> tuple[float, float, float]:
    """MS(T), MS(R), MS(TR) of modalities by readers, by loops."""
    t, r = values.shape
    grand = sum(values[i, j] for i in range(t) for j in range(r)) / (t * r)
    rows = [sum(values[i]) / r for i in range(t)]
    columns = [sum(values[:, j]) / t for j in range(r)]
    ms_t = r * sum((row - grand) ** 2 for row in rows) / (t - 1)
    ms_r = t * sum((column - grand) ** 2 for column in columns) / (r - 1)
    rest = sum(
        (values[i, j] - rows[i] - columns[j] + grand) ** 2 for i in range(t) for j in range(r)
    )
    return ms_t, ms_r, rest / ((t - 1) * (r - 1))


def with_ratings(reads: Reads, ratings: Numbers) -> Reads:
    return replace(reads, ratings=ratings)


def test_mean_squares_are_those_of_loops() -> None:
    values = np.random.default_rng(1).random((3, 4))
    found = MeanSquares.crossed(values)
    expected = mean_squares(values)
    assert (found.modality, found.reader, found.modality_reader) == pytest.approx(expected)


def test_fixed_cases_are_a_repeated_measures_anova(small: Reads) -> None:
    import pandas as pd

    values = figures_of_merit(small).values
    table = pd.DataFrame(
        [(i, j, values[i, j]) for i in range(2) for j in range(3)],
        columns=["modality", "reader", "auc"],
    )
    expected = AnovaRM(table, "auc", "reader", within=["modality"]).fit().anova_table
    found = obuchowski_rockette(small).to(READERS)
    assert found.test is not None
    assert found.test.value == pytest.approx(expected["F Value"].iloc[0])
    assert found.test.p == pytest.approx(expected["Pr > F"].iloc[0])
    paired = stats.ttest_rel(values[0], values[1])
    assert found.differences[0].difference.p == pytest.approx(paired.pvalue)
    interval = paired.confidence_interval(0.95)
    assert found.differences[0].difference.low == pytest.approx(interval.low)


def test_formulas_written_out(small: Reads) -> None:
    """The formulas of the reference, on covariances averaged by loops."""
    figures = figures_of_merit(small)
    covariance = figures.covariance(CovarianceMethod.DELONG)
    t, r = figures.values.shape
    sums: dict[tuple[bool, bool], list[float]] = {}
    for i in range(t):
        for j in range(r):
            for k in range(t):
                for m in range(r):
                    sums.setdefault((i == k, j == m), []).append(covariance[i, j, k, m])
    var, cov1 = np.mean(sums[True, True]), np.mean(sums[False, True])
    cov2, cov3 = np.mean(sums[True, False]), np.mean(sums[False, False])
    ms_t, ms_r, ms_tr = mean_squares(figures.values)
    shared = max(cov2 - cov3, 0)
    found = obuchowski_rockette(small)
    assert found.errors == ErrorCovariances(
        var=pytest.approx(var),
        cov1=pytest.approx(cov1),
        cov2=pytest.approx(cov2),
        cov3=pytest.approx(cov3),
    )
    den = ms_tr + r * shared
    df = den**2 / (ms_tr**2 / ((t - 1) * (r - 1)))
    test = found.to(BOTH).test
    assert test is not None
    assert test.value == pytest.approx(ms_t / den)
    assert test.p == pytest.approx(stats.f.sf(ms_t / den, t - 1, df))
    difference = found.to(BOTH).differences[0].difference
    half = stats.t.ppf(0.975, df) * math.sqrt(2 / r * den)
    assert difference.high - difference.value == pytest.approx(half)
    x2 = (t - 1) * ms_t / (var - cov1 + (r - 1) * shared)
    fixed = found.to(CASES).test
    assert fixed is not None
    assert fixed.value == pytest.approx(x2)
    assert fixed.p == pytest.approx(stats.chi2.sf(x2, t - 1))
    assert found.components.reader == pytest.approx((ms_r - ms_tr) / t - cov1 + cov3)
    assert found.components.modality_reader == pytest.approx(ms_tr - var + cov1 + shared)
    # With fixed readers the variance is that of the contrast itself.
    contrast = np.array([np.full(r, 1 / r), np.full(r, -1 / r)])
    whole = np.einsum("ij,ijkm,km->", contrast, covariance, contrast)
    assert found.to(CASES).differences[0].difference.se == pytest.approx(math.sqrt(whole))


def test_a_modality_has_an_interval_of_its_own(small: Reads) -> None:
    alone = obuchowski_rockette(small.of_modality("1"))
    for to in Generalisation:
        assert alone.to(to).test is None
        assert alone.to(to).differences == ()
        mine = obuchowski_rockette(small).to(to).means[0].mean
        assert alone.to(to).means[0].mean == mine
    values = figures_of_merit(small).values[0]
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert alone.to(READERS).means[0].mean.low == pytest.approx(expected.low)
    assert alone.components.reader == pytest.approx(
        values.var(ddof=1) - alone.errors.var + alone.errors.cov2
    )


def test_dbm_components_are_those_of_an_anova_of_pseudovalues(small: Reads) -> None:
    figures = figures_of_merit(small)
    n = len(small.cases)
    pseudo = np.empty((2, 3, n))
    for i in range(2):
        for j in range(3):
            cell = figures.cells[i][j]
            assert cell is not None
            order = np.r_[cell.positive_cases, cell.negative_cases]
            pseudo[i, j, order] = n * cell.value - (n - 1) * leave_one_out(cell)
    square = anova(pseudo)
    t, r = 2, 3
    found = obuchowski_rockette(small, method=CovarianceMethod.JACKKNIFE).dbm
    assert found is not None
    expected = DbmComponents(
        error=square["trc"],
        modality_reader=(square["tr"] - square["trc"]) / n,
        modality_case=(square["tc"] - square["trc"]) / r,
        reader_case=(square["rc"] - square["trc"]) / t,
        reader=(square["r"] - square["tr"] - square["rc"] + square["trc"]) / (n * t),
        case=(square["c"] - square["tc"] - square["rc"] + square["trc"]) / (t * r),
    )
    for name in ("error", "modality_reader", "modality_case", "reader_case", "reader", "case"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name)), name


def anova(values: Numbers) -> dict[str, float]:
    """Mean squares of a three-way layout without replication."""
    names = "trc"
    effects: dict[str, Numbers] = {"": np.full((1, 1, 1), values.mean())}
    found = {}
    for terms in ("t", "r", "c", "tr", "tc", "rc", "trc"):
        over = tuple(axis for axis, name in enumerate(names) if name not in terms)
        effect = values.mean(axis=over, keepdims=True) if over else values.copy()
        for smaller, known in effects.items():
            if set(smaller) < set(terms):
                effect = effect - known
        effects[terms] = effect
        df = math.prod(values.shape[names.index(name)] - 1 for name in terms)
        total = float((np.broadcast_to(effect, values.shape) ** 2).sum())
        found[terms] = total / df
    return found


def test_cov2_below_cov3_counts_as_equal() -> None:
    for seed in range(100):
        study = simulate_reads(
            RoeMetz(modality_case=0.0, reader_case=0.9, reader=0.1),
            readers=3, positives=10, negatives=10, seed=seed,
        )  # fmt: skip
        found = obuchowski_rockette(study)
        if found.errors.clamped:
            break
    assert found.errors.cov2 < found.errors.cov3
    both, fixed = found.to(BOTH).test, found.to(READERS).test
    assert both is not None
    assert fixed is not None
    assert both.value == fixed.value
    assert both.denominator_df == pytest.approx(2)
    assert any("below Cov3" in note.text for note in found.notes)


def test_one_reader_leaves_delongs_test(small: Reads) -> None:
    alone = Reads.of(
        [
            Read(reader="A", modality=modality, case=case, rating=float(rating))
            for modality, row in zip(small.modalities, small.ratings[:, 0], strict=True)
            for case, rating in zip(small.cases, row, strict=True)
        ],
        dict(zip(small.cases, small.truth.tolist(), strict=True)),
    )
    found = obuchowski_rockette(alone)
    assert found.to(BOTH).note == "one reader: no generalisation to other readers"
    assert math.isnan(found.to(BOTH).differences[0].difference.p)
    difference = found.to(CASES).differences[0].difference
    covariance = figures_of_merit(alone).covariance(CovarianceMethod.DELONG)[:, 0, :, 0]
    expected = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert difference.se == pytest.approx(expected)
    assert found.to(CASES).readers[0].difference == difference


def test_a_variance_estimated_below_zero_gives_no_interval_and_no_test() -> None:
    """DeLong's covariance of two figures is over the cases that both have, as are its pairs."""
    nan = math.nan
    rated = {"1": [3, 4, nan, 2, nan, 1, 2, 5], "2": [3, 3, 2, nan, nan, 2, nan, 4]}
    study = Reads.of(
        [
            Read(reader="A", modality=modality, case=str(case), rating=rating)
            for modality, row in rated.items()
            for case, rating in enumerate(row)
            if not math.isnan(rating)
        ],
        {str(case): case > 3 for case in range(8)},
    )
    found = obuchowski_rockette(study)
    own = found.errors
    assert own.var - own.cov1 < 0
    result = found.to(CASES)
    assert result.test is not None
    assert math.isnan(result.test.value)
    assert math.isnan(result.test.p)
    assert result.test.note == "its variance is estimated below 0"
    for one in (result.differences[0].difference, result.readers[0].difference):
        assert math.isnan(one.se)
        assert math.isnan(one.low)
        assert math.isnan(one.p)
        assert one.as_dict()["note"] == one.reversed().note == "its variance is estimated below 0"
    assert found.notes[-1].text.endswith("the interval is undefined for 2 of the estimates")
    assert "note" not in result.means[0].mean.as_dict()


def test_a_reader_who_rates_all_alike_has_half_an_area(small: Reads) -> None:
    ratings = small.ratings.copy()
    ratings[:, 1] = 2.0
    found = obuchowski_rockette(with_ratings(small, ratings))
    assert found.figures_of_merit.values[:, 1].tolist() == [0.5, 0.5]
    assert sum("0.5, because all pairs are tied" in note.text for note in found.notes) == 2
    assert not math.isnan(found.to(BOTH).differences[0].difference.p)


def test_everybody_rating_alike_is_no_difference_and_no_test() -> None:
    study = simulate_reads(RoeMetz(), readers=3, positives=5, negatives=5, seed=1)
    found = obuchowski_rockette(with_ratings(study, np.ones_like(study.ratings)))
    for to in Generalisation:
        test = found.to(to).test
        assert test is not None
        assert math.isnan(test.value)
        assert test.note == "nothing varies within the modalities"
        assert found.to(to).differences[0].difference.value == 0


def test_a_reader_without_positives_is_left_out_and_named(small: Reads) -> None:
    ratings = small.ratings.copy()
    ratings[1, 0, small.truth] = np.nan
    study = with_ratings(small, ratings)
    found = obuchowski_rockette(study)
    assert found.figures_of_merit.readers == ("2", "3")
    texts = [note.text for note in found.notes if note.kind is NoteKind.LEFT_OUT]
    assert any("reader 1 in modality 2 has no AUC: no case with disease" in text for text in texts)
    assert any("reader 1: left out of the comparison" in text for text in texts)
    kept = Reads(
        modalities=small.modalities,
        readers=small.readers[1:],
        cases=small.cases,
        truth=small.truth,
        ratings=small.ratings[:, 1:].copy(),
        seconds=small.seconds[:, 1:].copy(),
    )
    assert found.to(BOTH).test == obuchowski_rockette(kept).to(BOTH).test
    # Gallas' statistics take what this reader read in the other modality.
    assert u_statistics(study).areas[0].mean.value == pytest.approx(
        figures_of_merit(small).values[0].mean()
    )


def test_a_modality_with_one_reader(small: Reads) -> None:
    ratings = small.ratings.copy()
    ratings[1, 1:] = np.nan
    found = obuchowski_rockette(with_ratings(small, ratings))
    assert found.figures_of_merit.readers == ("1",)
    assert not math.isnan(found.to(CASES).differences[0].difference.p)
    assert math.isnan(found.to(BOTH).differences[0].difference.p)


def test_nothing_left_says_so(small: Reads) -> None:
    found = obuchowski_rockette(
        replace(small, truth=np.zeros(len(small.cases), bool)), Sensitivity(at=3)
    )
    assert found.to(BOTH).note == "no reader has a figure in every modality"
    assert any("no case with disease" in note.text for note in found.notes)
    assert math.isnan(found.errors.var)


def nested_readers(study: Reads) -> Reads:
    """Readers 1, 2, 3 ... of the first modality only, the others of the second only."""
    ratings = study.ratings.copy()
    half = len(study.readers) // 2
    ratings[0, half:], ratings[1, :half] = np.nan, np.nan
    return with_ratings(study, ratings)


def test_readers_nested_in_modalities() -> None:
    study = nested_readers(simulate_reads(RoeMetz(), readers=7, positives=15, negatives=15, seed=3))
    found = obuchowski_rockette(study)
    assert found.design is Design.READERS_IN_MODALITIES
    values = [row[~np.isnan(row)] for row in found.figures_of_merit.values]
    assert [len(row) for row in values] == [3, 4]
    welch = stats.ttest_ind(*values)  # fixed cases: two groups of readers, equal variances
    assert found.to(READERS).differences[0].difference.p == pytest.approx(welch.pvalue)
    errors = found.errors
    assert errors.cov1 == 0
    pooled = ((values[0].var() * 3) + (values[1].var() * 4)) / 5
    between = 2 * max(errors.cov2 - errors.cov3, 0)
    variance = pooled * (1 / 3 + 1 / 4) + between
    assert found.to(BOTH).differences[0].difference.se == pytest.approx(math.sqrt(variance))


def test_balanced_nested_readers_agree_in_f_and_t() -> None:
    study = nested_readers(simulate_reads(RoeMetz(), readers=8, positives=15, negatives=15, seed=4))
    found = obuchowski_rockette(study)
    for to in Generalisation:
        test, difference = found.to(to).test, found.to(to).differences[0].difference
        assert test is not None
        assert test.p == pytest.approx(difference.p)
        assert test.value == pytest.approx(difference.t**2)
    assert not found.errors.clamped
    covariance = np.nan_to_num(found.figures_of_merit.covariance(CovarianceMethod.DELONG)).reshape(
        16, 16
    )
    weights = np.where(np.isnan(found.figures_of_merit.values), 0, [[1 / 4], [-1 / 4]]).ravel()
    variance = weights @ covariance @ weights
    assert found.to(CASES).differences[0].difference.se == pytest.approx(math.sqrt(variance))


def test_three_modalities_agree_with_a_longer_study() -> None:
    two = simulate_reads(RoeMetz(), readers=4, positives=12, negatives=12, seed=9)
    third = simulate_reads(RoeMetz(), readers=4, positives=12, negatives=12, seed=10)
    study = Reads(
        modalities=("1", "2", "3"),
        readers=two.readers,
        cases=two.cases,
        truth=two.truth,
        ratings=np.concatenate([two.ratings, third.ratings[:1]]),
        seconds=np.full((3, 4, 24), np.nan),
    )
    found = obuchowski_rockette(study)
    both = found.to(BOTH)
    assert both.test is not None
    assert both.test.df == 2
    assert len(both.differences) == 3
    ms_t, _, ms_tr = mean_squares(found.figures_of_merit.values)
    den = ms_tr + 4 * max(found.errors.cov2 - found.errors.cov3, 0)
    assert both.test.value == pytest.approx(ms_t / den)
    assert both.test.denominator_df == pytest.approx(den**2 / (ms_tr**2 / 6))


@pytest.mark.parametrize(
    ("make", "design"),
    [
        (lambda m: m, Design.FACTORIAL),
        (lambda m: m * np.eye(3, dtype=bool)[None, :, np.arange(6) // 2], Design.CASES_IN_READERS),
        (
            lambda m: m * np.eye(2, dtype=bool)[:, None, np.arange(6) // 3],
            Design.CASES_IN_MODALITIES,
        ),
        (
            lambda m: m * (np.arange(6) == np.arange(6).reshape(2, 3)[:, :, None]),
            Design.CASES_IN_CELLS,
        ),
        (
            lambda m: m * np.array([[1, 0, 0], [0, 1, 1]], bool)[:, :, None],
            Design.READERS_IN_MODALITIES,
        ),
        (
            lambda m: (
                m
                * np.array([[1, 0, 0], [0, 1, 1]], bool)[:, :, None]
                * np.eye(2, dtype=bool)[:, None, np.arange(6) // 3]
            ),
            Design.READERS_AND_CASES_IN_MODALITIES,
        ),
        (lambda m: m & (np.arange(36).reshape(2, 3, 6) != 7), Design.UNBALANCED),
    ],
)
def test_designs(make, design: Design) -> None:  # type: ignore[no-untyped-def]
    assert detect_design(make(np.ones((2, 3, 6), bool))) is design


def test_the_order_of_readers_and_cases_does_not_matter(small: Reads) -> None:
    rng = np.random.default_rng(3)
    listed = [
        Read(reader=reader, modality=modality, case=case, rating=float(small.ratings[i, j, k]))
        for i, modality in enumerate(small.modalities)
        for j, reader in enumerate(small.readers)
        for k, case in enumerate(small.cases)
    ]
    truth = dict(zip(small.cases, small.truth.tolist(), strict=True))
    shuffled = [listed[index] for index in rng.permutation(len(listed))]
    for method in CovarianceMethod:
        first = obuchowski_rockette(Reads.of(listed, truth), Auc(), method=method).to(BOTH).test
        other = obuchowski_rockette(Reads.of(shuffled, truth), Auc(), method=method).to(BOTH).test
        assert first == other


def test_a_method_may_be_given_by_its_name(small: Reads) -> None:
    by_name = obuchowski_rockette(small, method="jackknife")  # type: ignore[arg-type]
    assert by_name.method is CovarianceMethod.JACKKNIFE
    assert by_name.errors == obuchowski_rockette(small, method=CovarianceMethod.JACKKNIFE).errors
    with pytest.raises(ParameterError, match="one of delong, jackknife, unbiased, bootstrap"):
        obuchowski_rockette(small, method="jacknife")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="one of readers, modalities"):
        small.nested_in("cases")  # type: ignore[arg-type]


def test_the_design_is_that_of_the_readers_who_are_left(small: Reads) -> None:
    ratings = small.ratings.copy()
    ratings[0, 1, small.truth] = np.nan
    reads = replace(small, ratings=ratings)
    assert figures_of_merit(reads).design is Design.UNBALANCED
    found = obuchowski_rockette(reads, method=CovarianceMethod.JACKKNIFE)
    assert found.figures_of_merit.readers == ("1", "3")
    assert found.design is Design.FACTORIAL
    assert found.dbm is not None
    said = found.as_dict()
    assert (said["design"], said["readers"]) == ("factorial", ["1", "3"])
    assert not any("not every reader read every case" in note.text for note in found.notes)


def test_remarks_say_what_was_found_word_for_word(small: Reads) -> None:
    for seed in range(200):
        study = simulate_reads(
            RoeMetz(modality_case=0.0, reader_case=0.9, reader=0.1),
            readers=3, positives=10, negatives=10, seed=seed,
        )  # fmt: skip
        found = obuchowski_rockette(study)
        if found.errors.clamped:
            break
    errors = found.errors
    assert [note.as_dict() for note in found.notes] == [
        {
            "kind": "remark",
            "text": f"Cov2 ({errors.cov2:.3g}) is below Cov3 ({errors.cov3:.3g}): their difference "
            "counts as 0, because a variance cannot be negative",
        }
    ]
    assert obuchowski_rockette(small).notes == ()
    # One modality: nothing is compared, and a negative Cov2 counts as 0 in its interval.
    for seed in range(200):
        alone = simulate_reads(
            RoeMetz(case=0.0, modality_case=0.0), readers=2, positives=6, negatives=6, seed=seed
        ).of_modality("1")
        found = obuchowski_rockette(alone)
        if found.errors.cov2 < 0:
            break
    assert [note.text for note in found.notes] == [
        f"Cov2 ({found.errors.cov2:.3g}) is negative and counts as 0 in the intervals"
    ]
    values = found.figures_of_merit.values[0]
    mean = found.to(BOTH).means[0].mean
    assert mean.se == pytest.approx(math.sqrt(values.var(ddof=1) / 2))
    assert mean.df == pytest.approx(1)
    fixed = found.to(CASES).means[0].mean
    assert fixed.se == pytest.approx(math.sqrt(found.errors.var / 2))


def test_an_unbalanced_study_says_so(small: Reads) -> None:
    ratings = small.ratings.copy()
    ratings[0, 0, 0] = np.nan
    found = obuchowski_rockette(with_ratings(small, ratings))
    assert found.design is Design.UNBALANCED
    assert [note.text for note in found.notes] == [
        "not every reader read every case: each figure is of the cases that the reader read, "
        "covariances are over the cases that two share; Gallas' U-statistics are meant for such "
        "designs"
    ]


def test_what_is_left_out_is_named_word_for_word(small: Reads) -> None:
    ratings = small.ratings.copy()
    ratings[1, 0, small.truth] = np.nan
    found = obuchowski_rockette(with_ratings(small, ratings))
    said = [(note.kind, note.text) for note in found.notes]
    assert (
        NoteKind.LEFT_OUT,
        "reader 1: left out of the comparison, having no AUC in modality 2",
    ) in said
    # A modality that no reader has a figure in leaves the analysis of the other.
    ratings = small.ratings.copy()
    ratings[1][:, small.truth] = np.nan
    found = obuchowski_rockette(with_ratings(small, ratings))
    assert found.figures_of_merit.modalities == ("1",)
    texts = [note.text for note in found.notes if note.kind is NoteKind.LEFT_OUT]
    assert texts[-1] == "modality 2: no reader's AUC is defined"
    assert found.to(BOTH).test is None
    # Nobody has a figure in both.
    ratings = small.ratings.copy()
    for modality, reader in ((1, 0), (0, 1), (1, 2)):
        ratings[modality, reader, small.truth] = np.nan
    found = obuchowski_rockette(with_ratings(small, ratings))
    assert found.figures_of_merit.readers == ()
    assert "every comparison: no reader has a figure in every modality" in [
        note.text for note in found.notes if note.kind is NoteKind.LEFT_OUT
    ]
    squares = found.squares
    assert all(map(math.isnan, (squares.modality, squares.reader, squares.modality_reader)))
    assert (squares.df_modality, squares.df_modality_reader, squares.readers) == (0, 0, 0)
    jackknifed = obuchowski_rockette(
        with_ratings(small, ratings), method=CovarianceMethod.JACKKNIFE
    )
    assert jackknifed.dbm is None


def test_one_case_of_a_class_is_said_of_each_reader(small: Reads) -> None:
    one = np.flatnonzero(small.truth)[1:]
    ratings = small.ratings.copy()
    ratings[0, 1, one] = np.nan
    found = obuchowski_rockette(with_ratings(small, ratings))
    assert (
        "reader 2 in modality 1: no variance over cases can be estimated (one case of a class); "
        "the averaged covariances are those of the others"
    ) in [note.text for note in found.notes]
    covariance = figures_of_merit(with_ratings(small, ratings)).covariance(CovarianceMethod.DELONG)
    own = [covariance[i, j, i, j] for i in range(2) for j in range(3) if (i, j) != (0, 1)]
    assert found.errors.var == pytest.approx(np.mean(own))
    ratings = small.ratings.copy()
    ratings[:, :, one] = np.nan
    found = obuchowski_rockette(with_ratings(small, ratings))
    assert sum("; cases must be treated as fixed" in note.text for note in found.notes) == 6
    assert found.to(READERS).test is not None
    assert math.isnan(found.to(BOTH).means[0].mean.se)


def test_the_documented_defaults(small: Reads) -> None:
    found = obuchowski_rockette(small)
    assert found.method is CovarianceMethod.DELONG
    assert found.endpoint == "AUC"
    assert found.to(BOTH).differences[0].difference.level == 0.95
    assert found.dbm is None
    jackknife = obuchowski_rockette(small, method=CovarianceMethod.JACKKNIFE)
    assert jackknife.dbm is not None
    assert jackknife.dbm.case == pytest.approx(20 * jackknife.errors.cov3)
    sensitivity = obuchowski_rockette(small, Sensitivity(at=3), method=CovarianceMethod.JACKKNIFE)
    assert sensitivity.dbm is not None
    assert sensitivity.dbm.case == pytest.approx(9 * sensitivity.errors.cov3), "9 with disease"
    drawn = [
        obuchowski_rockette(small, method=CovarianceMethod.BOOTSTRAP, draws=50, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert drawn[0].errors == drawn[1].errors != drawn[2].errors
    first = obuchowski_rockette(small, method=CovarianceMethod.BOOTSTRAP, draws=50)
    assert first.errors == drawn[0].errors
    assert [one.as_dict() for one in found.of_modality] != []
    for row, own in enumerate(found.of_modality):
        covariance = figures_of_merit(small).covariance(CovarianceMethod.DELONG)[row, :, row]
        assert own.var == pytest.approx(np.diag(covariance).mean())
        assert own.cov2 == pytest.approx(covariance[~np.eye(3, dtype=bool)].mean())
        assert (own.cov1, own.cov3) == (0, 0)
