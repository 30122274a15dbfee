"""Intervals that end where nothing can be, degrees of freedom for people, and p values."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from scipy import stats

from bonescint.mrmc import (
    Generalisation,
    Inference,
    Reads,
    RoeMetz,
    Settings,
    analyse_readers,
    obuchowski_rockette,
    sentences,
    simulate_reads,
    u_statistics,
    write_analysis,
)
from bonescint.mrmc.results import AREA, DIFFERENCE, OmnibusTest, df_text, t_quantile, t_upper
from bonescint.scan import ParameterError

BOTH, CASES, READERS = Generalisation


def test_an_interval_is_students_and_ends_at_its_bounds() -> None:
    inside = Inference(value=0.8, se=0.03, df=7.5, bounds=AREA, level=0.9)
    assert (inside.low, inside.high) == pytest.approx(stats.t.interval(0.9, 7.5, 0.8, 0.03))
    assert inside.t == pytest.approx(0.8 / 0.03)
    assert inside.p == pytest.approx(2 * stats.t.sf(0.8 / 0.03, 7.5))
    above = Inference(value=0.97, se=0.05, df=4.0, bounds=AREA)
    assert above.low == pytest.approx(stats.t.interval(0.95, 4, 0.97, 0.05)[0])
    assert above.high == 1.0
    below = Inference(value=0.04, se=0.05, df=math.inf, bounds=AREA)
    assert below.low == 0.0
    assert below.high == pytest.approx(0.04 + 1.959964 * 0.05)
    for value in (0.9, -0.9):
        wide = Inference(value=value, se=0.2, df=3.0, bounds=DIFFERENCE)
        assert (wide.low == -1, wide.high == 1) == (value < 0, value > 0)
        back = wide.reversed()
        assert (back.value, back.low, back.high) == (-value, -wide.high, -wide.low)
        assert (back.p, back.t) == (wide.p, -wide.t)
    assert Inference(value=0.97, se=0.05, df=4.0, bounds=AREA).reversed().low == -1.0
    # What decides on a margin is cut as well, and the test itself is not.
    alike = Inference(value=0.95, se=0.1, df=5.0, bounds=DIFFERENCE).equivalence(0.5)
    assert alike.high == 1.0
    assert alike.low == pytest.approx(stats.t.interval(0.9, 5, 0.95, 0.1)[0])


def test_what_cannot_be_told_is_no_number() -> None:
    for lacking in ({"value": math.nan}, {"se": math.nan}, {"df": math.nan}):
        found = Inference(**{"value": 0.5, "se": 0.1, "df": 3.0, **lacking}, bounds=AREA)
        assert all(map(math.isnan, (found.low, found.high, found.t, found.p)))
        assert not found.non_inferiority(0.1).shown
        assert math.isnan(found.equivalence(0.1).p)
        assert not found.equivalence(0.1).shown
    still = Inference(value=0.5, se=0.0, df=3.0, bounds=AREA)
    assert (still.low, still.high, still.t, still.p) == (0.5, 0.5, math.inf, 0.0)
    nothing = Inference(value=0.0, se=0.0, df=3.0, bounds=DIFFERENCE)
    assert math.isnan(nothing.t)
    assert math.isnan(nothing.p)
    for level in (0.0, 1.0):
        with pytest.raises(ParameterError, match="level"):
            Inference(value=0.5, se=0.1, df=3.0, bounds=AREA, level=level)
    for margin in (0.0, -0.1, math.inf, math.nan):
        with pytest.raises(ParameterError, match="margin"):
            still.non_inferiority(margin)
    assert "bounds" not in still.as_dict()
    assert Inference(value=0.5, se=0.1, df=math.inf, bounds=AREA).as_dict()["df"] is None
    assert still.estimate.text() == "0.500 (0.500 to 0.500)"


@pytest.mark.parametrize("df", [3.0, 41.5, math.inf])
def test_quantiles_and_tails_are_scipys(df: float) -> None:
    assert t_quantile(0.975, df) == pytest.approx(stats.t.ppf(0.975, df))
    assert t_upper(1.3, df) == pytest.approx(stats.t.sf(1.3, df))


def test_omnibus_p_values_are_scipys() -> None:
    f = OmnibusTest(statistic="F", value=4.48, df=2.0, denominator_df=15.07)
    assert f.p == pytest.approx(stats.f.sf(4.48, 2, 15.07))
    x2 = OmnibusTest(statistic="X2", value=4.48, df=2.0)
    assert x2.p == pytest.approx(stats.chi2.sf(4.48, 2))
    endless = OmnibusTest(statistic="F", value=4.48, df=2.0, denominator_df=math.inf)
    assert endless.p == pytest.approx(stats.chi2.sf(2 * 4.48, 2))
    assert math.isnan(OmnibusTest(statistic="F", value=math.nan, df=2.0).p)
    assert math.isnan(OmnibusTest(statistic="F", value=1.0, df=2.0, denominator_df=math.nan).p)


@pytest.mark.parametrize(
    ("df", "said"),
    [(1.0, "1"), (15.264, "15.3"), (10_000.0, "10000"), (10_000.4, "infinite"),
     (23_456_789.1, "infinite"), (math.inf, "infinite"), (math.nan, "undefined")],
)  # fmt: skip
def test_degrees_of_freedom_for_people(df: float, said: str) -> None:
    assert df_text(df) == said


def _sure(seed: int, readers: int = 2) -> Reads:
    """Few readers, few cases, areas near 1: symmetrical intervals would pass it."""
    return simulate_reads(
        RoeMetz(separation=2.2, reader=0.4, modality_reader=0.3),
        readers=readers, positives=8, negatives=8, seed=seed,
    )  # fmt: skip


def test_no_sentence_has_an_area_that_cannot_be_or_endless_degrees() -> None:
    cut = 0
    for seed in range(12):
        study = _sure(seed)
        model = {case: float(n % 7) / 7 for n, case in enumerate(study.cases)}
        analysis = analyse_readers(study, model, settings=Settings(draws=20, margin=0.1))
        for mean in analysis.headline.to(BOTH).means:
            inference = mean.mean
            cut += inference.value + t_quantile(0.975, inference.df) * inference.se > 1
            assert not inference.high > 1
        said = " ".join(sentences(analysis))
        for low, high in re.findall(r"CI (-?[\d.]+) to (-?[\d.]+)\)", said):
            assert -1 <= float(low) <= float(high) <= 1
        for low, high in re.findall(r"mean AUC was [\d.]+ \(95 % CI (-?[\d.]+) to ([\d.]+)", said):
            assert 0 <= float(low) <= float(high) <= 1
        for df in re.findall(r"(?:df |F\([\d.]+, )([\w.]+)", said):
            assert df == "infinite" or float(df.rstrip(".")) <= 10_000
        assert "inf)" not in said
        assert "intervals end at 0 and 1, those of differences at -1 and 1" in said
        for area in u_statistics(study).areas:
            assert not area.mean.high > 1
        for one in analysis.standalone.values():
            for against in one.values():
                assert not against.model.high > 1
                assert not against.model.low < 0
                assert all(not reader.value.high > 1 for reader in against.readers)
                assert all(not reader.difference.low < -1 for reader in against.readers)
    assert cut > 5, "the studies themselves would not show it"


def test_the_workbook_says_infinite(tmp_path: Path) -> None:
    write_analysis(
        analyse_readers(_sure(1, readers=3), settings=Settings(draws=20)), tmp_path / "out"
    )
    book = openpyxl.load_workbook(tmp_path / "out" / "analysis.xlsx")
    rows = list(book["Differences"].values)
    at = {name: place for place, name in enumerate(rows[0])}
    shown = {row[at["generalises to"]]: row[at["df"]] for row in rows[1:]}
    assert shown[CASES.value] == "infinite"
    assert shown[READERS.value] == 2
    tests = list(book["Tests"].values)
    at = {name: place for place, name in enumerate(tests[0])}
    by_kind = {row[at["statistic"]]: row[at["denominator_df"]] for row in tests[1:]}
    assert by_kind["X2"] is None, "X2 has no denominator"
    assert by_kind["F"] is not None


def test_a_single_readers_difference_has_its_own_two_modalities_only() -> None:
    """Three modalities: DeLong's variance of the two, written out, whatever the third one is."""
    rng = np.random.default_rng(4)
    study = simulate_reads(RoeMetz(difference=0.6), readers=3, positives=14, negatives=17, seed=9)
    third = rng.normal(study.truth * 0.4, 2.0, (1, 3, len(study.cases)))
    three = replace(
        study,
        modalities=("1", "2", "3"),
        ratings=np.concatenate([study.ratings, third]),
        seconds=np.full((3, 3, len(study.cases)), np.nan),
    )
    found = obuchowski_rockette(three).to(CASES)
    for reader in range(3):
        x = three.ratings[:2, reader][:, three.truth]
        y = three.ratings[:2, reader][:, ~three.truth]
        kernel = (x[:, :, None] > y[:, None, :]) + 0.5 * (x[:, :, None] == y[:, None, :])
        up = kernel[0].mean(axis=1) - kernel[1].mean(axis=1)
        down = kernel[0].mean(axis=0) - kernel[1].mean(axis=0)
        se = math.sqrt(up.var(ddof=1) / up.size + down.var(ddof=1) / down.size)
        (mine,) = [
            one.difference
            for one in found.readers
            if (one.first, one.second, one.reader) == ("1", "2", three.readers[reader])
        ]
        assert mine.value == pytest.approx(kernel[0].mean() - kernel[1].mean())
        assert mine.se == pytest.approx(se)
        assert math.isinf(mine.df)
        with_two = obuchowski_rockette(study).to(CASES).readers[reader].difference
        assert mine.se == pytest.approx(with_two.se)
    assert len(found.readers) == 9
