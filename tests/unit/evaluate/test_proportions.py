import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from bonescint.evaluate.metrics import ratio_of_shares
from bonescint.intervals import exact_share, share
from bonescint.scan import ParameterError


@given(total=st.integers(1, 400), part=st.floats(0, 1), level=st.sampled_from([0.8, 0.95, 0.99]))
def test_shares_are_statsmodels(total: int, part: float, level: float) -> None:
    successes = round(part * total)
    for metric, method in ((share, "wilson"), (exact_share, "beta")):
        ours = metric(successes, total, level=level)
        low, high = proportion_confint(successes, total, alpha=1 - level, method=method)
        assert ours.value == successes / total
        assert ours.low == pytest.approx(low, abs=1e-9)
        assert ours.high == pytest.approx(high, abs=1e-9)
        assert 0 <= ours.low <= ours.value <= ours.high <= 1


@given(
    totals=st.tuples(st.integers(5, 200), st.integers(5, 200)),
    parts=st.tuples(st.floats(0.2, 1), st.floats(0.2, 1)),
)
def test_ratios_are_statsmodels(totals: tuple[int, int], parts: tuple[float, float]) -> None:
    first, second = (max(1, round(p * n)) for p, n in zip(parts, totals, strict=True))
    if (first, second) == totals:
        return  # no spread at all: statsmodels divides by it
    ours = ratio_of_shares((first, totals[0]), (second, totals[1]))
    low, high = confint_proportions_2indep(
        first, totals[0], second, totals[1], method="log", compare="ratio", correction=False
    )
    assert ours.value == pytest.approx(first / totals[0] / (second / totals[1]))
    assert (ours.low, ours.high) == (pytest.approx(low), pytest.approx(high))


def test_wilsons_coverage_is_near_its_level() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.binomial(40, 0.9, 4000)
    held = [s.low <= 0.9 <= s.high for s in (share(int(one), 40) for one in drawn)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


def test_counts_of_zero() -> None:
    nothing = ratio_of_shares((0, 50), (10, 50))
    assert nothing.value == 0
    assert 0 == nothing.value >= nothing.low
    assert 0 < nothing.high < 1
    assert "half a case" in nothing.note
    endless = ratio_of_shares((10, 50), (0, 50))
    assert math.isinf(endless.value)
    assert not endless.defined
    assert endless.low > 1
    assert "infinite" in endless.text()
    assert math.isnan(ratio_of_shares((0, 5), (0, 5)).value)
    assert math.isnan(ratio_of_shares((0, 0), (0, 5)).value)
    assert ratio_of_shares((5, 5), (5, 5)).low == 1


@pytest.mark.parametrize(("successes", "total"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes: int, total: int) -> None:
    for metric in (share, exact_share):
        with pytest.raises(ParameterError, match="from 0 to 'total'"):
            metric(successes, total)
