"""The published results on Van Dyke's data, to all printed digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bonescint.mrmc import (
    CovarianceMethod,
    Design,
    Generalisation,
    Hypothesis,
    Nest,
    Reads,
    Sensitivity,
    VarianceComponents,
    cases_needed,
    obuchowski_rockette,
    power,
    read_reads,
    u_statistics,
)

BOTH, CASES, READERS = Generalisation


@pytest.fixture(scope="module")
def vandyke(vandyke_folder: Path) -> Reads:
    reads = read_reads(vandyke_folder / "vandyke.csv")
    assert isinstance(reads, Reads)
    return reads


@pytest.mark.parametrize("suffix", ["csv", "imrmc", "lrc"])
def test_the_three_files_hold_the_same_study(
    vandyke_folder: Path, vandyke: Reads, suffix: str
) -> None:
    reads = read_reads(vandyke_folder / f"vandyke.{suffix}")
    assert isinstance(reads, Reads)
    assert reads.ratings.shape == (2, 5, 114)
    assert reads.modalities == ("0", "1")
    assert reads.notes == ()
    # Case names differ between the files; what each reader said of each class does not.
    for kind in (True, False):
        np.testing.assert_array_equal(
            np.sort(reads.ratings[:, :, reads.truth == kind]),
            np.sort(vandyke.ratings[:, :, vandyke.truth == kind]),
        )
    found = obuchowski_rockette(reads).to(BOTH).test
    assert found is not None
    assert found.value == pytest.approx(4.484854, abs=5e-7)


def test_areas_and_jackknife_components(vandyke: Reads) -> None:
    found = obuchowski_rockette(vandyke, method=CovarianceMethod.JACKKNIFE)
    means = [one.mean.value for one in found.to(BOTH).means]
    assert means == pytest.approx([0.89703704, 0.94083736], abs=5e-9)
    assert found.to(BOTH).differences[0].difference.value == pytest.approx(-0.04380032, abs=5e-9)
    errors = found.errors
    assert (errors.var, errors.cov1, errors.cov2, errors.cov3) == pytest.approx(
        (0.00080229, 0.00034661, 0.00034407, 0.00023903), abs=5e-9
    )
    assert found.dbm is not None
    dbm = found.dbm
    assert (dbm.reader, dbm.modality_reader) == pytest.approx((0.001535, 0.0002004), abs=5e-8)
    assert (dbm.case, dbm.modality_case, dbm.reader_case, dbm.error) == pytest.approx(
        (0.02724923, 0.0119753, 0.01226473, 0.0399716), abs=5e-8
    )


@pytest.mark.parametrize(
    ("method", "value", "df", "p"),
    [
        (CovarianceMethod.DELONG, 4.484854, 15.06611, 0.05123303),
        (CovarianceMethod.UNBIASED, 4.489614, 15.03418, 0.0511618),
    ],
)
def test_random_readers_and_cases(
    vandyke: Reads, method: CovarianceMethod, value: float, df: float, p: float
) -> None:
    test = obuchowski_rockette(vandyke, method=method).to(BOTH).test
    assert test is not None
    assert test.value == pytest.approx(value, abs=5e-7)
    assert test.denominator_df == pytest.approx(df, abs=5e-6)
    assert test.p == pytest.approx(p, abs=5e-9)


def test_jackknife_test_and_interval(vandyke: Reads) -> None:
    both = obuchowski_rockette(vandyke, method=CovarianceMethod.JACKKNIFE).to(BOTH)
    assert both.test is not None
    assert both.test.value == pytest.approx(4.46, abs=5e-3)
    assert both.test.denominator_df == pytest.approx(15.26, abs=5e-3)
    assert both.test.p == pytest.approx(0.0517, abs=5e-5)
    difference = both.differences[0].difference
    assert (difference.low, difference.high) == pytest.approx((-0.08796, 0.00036), abs=5e-6)


def test_fixed_readers_and_fixed_cases(vandyke: Reads) -> None:
    jackknife = obuchowski_rockette(vandyke, method=CovarianceMethod.JACKKNIFE)
    fixed_readers = jackknife.to(CASES).test
    assert fixed_readers is not None
    assert fixed_readers.statistic == "X2"
    assert fixed_readers.value == pytest.approx(5.475953, abs=5e-7)
    assert fixed_readers.p == pytest.approx(0.01927984, abs=5e-9)
    delong = obuchowski_rockette(vandyke).to(CASES).test
    assert delong is not None
    assert delong.value == pytest.approx(5.545789, abs=5e-7)
    fixed_cases = jackknife.to(READERS).test
    assert fixed_cases is not None
    assert fixed_cases.value == pytest.approx(8.704, abs=5e-4)
    assert fixed_cases.denominator_df == 4
    assert fixed_cases.p == pytest.approx(0.04195875, abs=5e-9)


def test_sensitivity(vandyke: Reads) -> None:
    found = obuchowski_rockette(vandyke, Sensitivity(at=3), method=CovarianceMethod.JACKKNIFE).to(
        BOTH
    )
    assert [one.mean.value for one in found.means] == pytest.approx([0.8222, 0.92], abs=5e-5)
    assert found.test is not None
    assert found.test.value == pytest.approx(6.689493, abs=5e-7)
    assert found.test.denominator_df == pytest.approx(15.71732, abs=5e-6)
    assert found.test.p == pytest.approx(0.02008822, abs=5e-9)


@pytest.mark.parametrize("method", [*CovarianceMethod][:3])
def test_cases_nested_in_readers(vandyke: Reads, method: CovarianceMethod) -> None:
    found = obuchowski_rockette(vandyke.nested_in(Nest.READERS), method=method)
    assert found.design is Design.CASES_IN_READERS
    test = found.to(BOTH).test
    assert test is not None
    assert test.p == pytest.approx(0.04195875, abs=5e-9)


def test_cases_nested_in_modalities(vandyke: Reads) -> None:
    """The source does not print its covariance method: it is the jackknife over all cases."""
    found = obuchowski_rockette(
        vandyke.nested_in(Nest.MODALITIES), method=CovarianceMethod.JACKKNIFE
    )
    assert found.design is Design.CASES_IN_MODALITIES
    test = found.to(BOTH).test
    assert test is not None
    assert test.value == pytest.approx(2.104491, abs=5e-7)
    assert test.denominator_df == pytest.approx(68.42325, abs=5e-6)
    assert test.p == pytest.approx(0.1514363, abs=5e-8)


def test_gallas_is_the_unbiased_analysis_of_a_factorial_study(vandyke: Reads) -> None:
    u = u_statistics(vandyke).differences[0].difference
    unbiased = obuchowski_rockette(vandyke, method=CovarianceMethod.UNBIASED).to(BOTH)
    expected = unbiased.differences[0].difference
    assert (u.value, u.se, u.df) == pytest.approx((expected.value, expected.se, expected.df))


def test_sizing_as_rjafroc_prints_it(vandyke: Reads) -> None:
    """RJafroc's documentation: 251 cases for 6 readers; the power of 10 readers, 163 cases."""
    analysis = obuchowski_rockette(vandyke, method=CovarianceMethod.JACKKNIFE)
    pilot = VarianceComponents.of(analysis)
    aim = Hypothesis(difference=analysis.to(BOTH).differences[0].difference.value)
    needed = cases_needed(pilot, aim, readers=6)
    assert needed is not None
    assert needed.cases == 251
    assert power(pilot, aim, readers=10, cases=163).power == pytest.approx(0.8015625, abs=5e-8)
    assert power(pilot, aim, readers=6, cases=111).power == pytest.approx(0.5526116, abs=5e-8)
