from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from PIL import Image

from bonescint.mrmc import (
    Auc,
    CovarianceMethod,
    Froc,
    MarkedReads,
    Nest,
    PartialAuc,
    RatedMark,
    Reads,
    Sensitivity,
    Settings,
    analyse_readers,
    draw_figure_7,
    draw_froc,
    draw_roc,
    obuchowski_rockette,
    require_free_place,
    sentences,
    standalone_vs_readers,
    write_analysis,
)
from bonescint.scan import RESEARCH_USE, OutputError, ParameterError

QUICK = Settings(draws=60, decide_at=3.0, margin=0.1)


@pytest.fixture(scope="module")
def timed(small: Reads) -> Reads:
    rng = np.random.default_rng(1)
    return replace(small, seconds=np.exp(rng.normal(2.5, 0.5, small.ratings.shape)))


@pytest.fixture(scope="module")
def model(small: Reads) -> dict[str, float]:
    rng = np.random.default_rng(2)
    return {
        case: float(1 / (1 + np.exp(-rng.normal() - 2 * truth + 1)))
        for case, truth in zip(small.cases, small.truth, strict=True)
    }


@pytest.fixture
def marked() -> MarkedReads:
    rng = np.random.default_rng(3)
    lesions = {str(n): ({"1": 1.0, "2": 2.0} if n % 2 else {}) for n in range(16)}
    marks = [
        RatedMark(reader=reader, modality=modality, case=case, lesion=lesion,
             rating=float(rng.integers(1, 6)) + (lesion is not None))
        for modality in ("AP", "SPECT") for reader in "ABC" for case, of_case in lesions.items()
        for lesion in (*of_case, None) if rng.random() < 0.6
    ]  # fmt: skip
    return MarkedReads.of(marks, lesions)


def test_progress_is_told_of_every_part(timed: Reads, model: dict[str, float]) -> None:
    told: list[tuple[int, int]] = []
    settings = Settings(draws=10)
    analyse_readers(timed, settings=settings, progress=lambda *parts: told.append(parts))
    assert told == [(done, 6) for done in range(7)]  # four methods, decisions, resamples
    told.clear()
    analyse_readers(timed, model, settings=settings, progress=lambda *parts: told.append(parts))
    assert told == [(done, 8) for done in range(9)]  # and the model in two modalities


def test_every_method_and_generalisation_is_in_the_json(
    timed: Reads, model: dict[str, float]
) -> None:
    analysis = analyse_readers(timed, model, settings=QUICK)
    found = json.loads(json.dumps(analysis.as_dict(), allow_nan=False))
    assert found["use"] == RESEARCH_USE
    assert found["study"] == {
        "endpoint": "AUC", "design": "factorial", "modalities": ["1", "2"],
        "readers": ["1", "2", "3"], "cases": 20, "positives": 9, "reads": 120,
    }  # fmt: skip
    for method in CovarianceMethod:
        one = found["covariances"][method.value]
        expected = obuchowski_rockette(timed, method=method, draws=60)
        assert one["error_covariances"]["cov2"] == expected.errors.cov2
        for generalised in expected.results:
            said = one["generalisations"][generalised.to.value]
            test = generalised.test
            assert test is not None
            assert said["test"]["value"] == test.value
            assert said["test"]["p"] == test.p
            difference = generalised.differences[0].difference
            assert said["differences"][0]["low"] == difference.low
            margin = one["margins"][generalised.to.value][0]
            assert margin["non_inferiority"]["p"] == difference.non_inferiority(0.1).p
        against = found["model_against_readers"]["2"][method.value]
        own = standalone_vs_readers(timed.of_modality("2"), model, method=method, draws=60)
        for to, inference in own.readers_less_model.items():
            assert against["readers_less_model"][to.value]["p"] == inference.p
    assert found["covariances"]["jackknife"]["dbm_components"]["error"] > 0
    assert found["u_statistics"]["differences"][0]["p"] > 0
    assert len(found["bootstrap"]) == 7
    assert len(found["reading_times"]) == 6
    assert len(found["decisions"]["right"]) == 7


def test_the_folder_holds_all_of_it(timed: Reads, model: dict[str, float], tmp_path: Path) -> None:
    analysis = analyse_readers(timed, model, settings=QUICK)
    written = write_analysis(analysis, tmp_path / "out", source="reads.csv", model="p.csv")
    assert written == (
        "analysis.json", "analysis.xlsx", "sentences.txt", "roc.png", "figure-7.png",
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(written)
    found = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert found["settings"]["reads"] == "reads.csv"
    assert found["settings"]["predictions"] == "p.csv"
    book = openpyxl.load_workbook(tmp_path / "out" / "analysis.xlsx")
    settings = {row[0]: row[1] for row in book["Settings"].iter_rows(min_row=2, values_only=True)}
    assert settings["use"] == RESEARCH_USE
    assert settings["covariance"] == "delong"
    assert settings["seed"] == 1
    rows = list(book["Tests"].iter_rows(values_only=True))
    assert len(rows) == 13
    first = dict(zip(rows[0], rows[1], strict=True))
    assert first["p"] == analysis.headline.results[0].test.p  # type: ignore[union-attr]
    for sheet in ("Figures of merit", "Differences", "Model", "Pairs", "Reading times",
                  "Bootstrap", "U-statistics", "Margins", "Components"):  # fmt: skip
        assert book[sheet].max_row > 1
    said = (tmp_path / "out" / "sentences.txt").read_text()
    assert "The model's AUC was" in said
    assert RESEARCH_USE in said


def test_the_same_seed_gives_the_same_json(timed: Reads) -> None:
    first, again = (analyse_readers(timed, settings=QUICK).as_dict() for _ in range(2))
    assert first == again
    other = analyse_readers(timed, settings=replace(QUICK, seed=2)).as_dict()
    assert other["covariances"]["delong"] == first["covariances"]["delong"]
    assert other["covariances"]["bootstrap"] != first["covariances"]["bootstrap"]


def test_sentences_say_the_figures(timed: Reads, model: dict[str, float]) -> None:
    analysis = analyse_readers(timed, model, settings=QUICK)
    said = " ".join(sentences(analysis))
    both = analysis.headline.results[0]
    assert both.test is not None
    difference = both.differences[0].difference
    assert f"{difference.value:.3f} (95 % CI {difference.low:.3f} to {difference.high:.3f})" in said
    assert f"F(1, {both.test.denominator_df:.1f}) = {both.test.value:.2f}, p = " in said
    assert "With a margin of 0.1, modality 1" in said
    assert "DeLong's method" in said
    values = analysis.figures_of_merit.values[0]
    assert f"the median AUC was {np.median(values):.3f}" in said


def test_marked_foci(marked: MarkedReads, tmp_path: Path) -> None:
    model = {case: float(n % 2) for n, case in enumerate(marked.cases)}
    analysis = analyse_readers(marked, model, settings=Settings(draws=40))
    assert analysis.figures_of_merit.endpoint == "wAFROC area"
    assert set(analysis.covariances) == set(CovarianceMethod)
    assert analysis.standalone["AP"][CovarianceMethod.DELONG].endpoint == "AUC"
    assert any("surest marks" in note.text for note in analysis.notes)
    files = write_analysis(analysis, tmp_path / "out")
    assert "froc.png" in files
    found = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert found["study"]["lesions"] == 16
    assert set(found["model_against_readers"]) == {"AP", "SPECT"}


def test_an_endpoint_without_delongs_formula_needs_another(marked: MarkedReads) -> None:
    with pytest.raises(ParameterError, match=r"jackknife, bootstrap"):
        analyse_readers(marked, settings=Settings(endpoint=Froc()))
    found = analyse_readers(
        marked, settings=Settings(endpoint=Froc(), method=CovarianceMethod.JACKKNIFE, draws=40)
    )
    assert set(found.covariances) == {CovarianceMethod.JACKKNIFE, CovarianceMethod.BOOTSTRAP}
    assert found.u is None
    rated = analyse_readers(marked, settings=Settings(endpoint=Auc(), draws=40))
    assert rated.figures_of_merit.endpoint == "AUC"


@pytest.mark.parametrize("endpoint", [Sensitivity(at=3), PartialAuc(low=0.5)])
def test_other_endpoints_with_a_model(small: Reads, model: dict[str, float], endpoint: Any) -> None:
    settings = Settings(endpoint=endpoint, method=CovarianceMethod.JACKKNIFE, draws=40)
    found = analyse_readers(small, model, settings=settings)
    against = found.standalone["1"][CovarianceMethod.JACKKNIFE]
    assert 0 < against.model.value <= 1
    if isinstance(endpoint, Sensitivity):  # the model's own operating point, not rating 3
        scores = np.array([model[case] for case in small.cases])
        assert against.model.value == pytest.approx((scores[small.truth] >= 0.5).mean())


def test_one_modality_one_reader_and_a_class_of_one(small: Reads, tmp_path: Path) -> None:
    alone = small.of_modality("1")
    one = replace(
        alone, readers=("1",), ratings=alone.ratings[:, :1].copy(), seconds=alone.seconds[:, :1]
    )
    found = analyse_readers(one, settings=Settings(draws=40))
    write_analysis(found, tmp_path / "one")
    json.loads((tmp_path / "one" / "analysis.json").read_text())
    assert "fixed readers" in " ".join(sentences(found))
    positives = np.flatnonzero(small.truth)
    kept = np.ones(len(small.cases), bool)
    kept[positives[1:]] = False
    few = analyse_readers(small.of_cases(kept), settings=Settings(draws=40))
    write_analysis(few, tmp_path / "few")
    assert math.isnan(few.headline.errors.var)
    assert any("no variance over cases" in note.text for note in few.notes)
    none = analyse_readers(small.of_cases(~small.truth), settings=Settings(draws=40))
    written = write_analysis(none, tmp_path / "none")
    assert written == ("analysis.json", "analysis.xlsx", "sentences.txt")
    assert "no case with disease" in (tmp_path / "none" / "analysis.json").read_text()


def test_unbalanced_studies_name_their_holes(small: Reads, tmp_path: Path) -> None:
    ratings = small.ratings.copy()
    ratings[0, 1, :4] = np.nan
    ratings[1, 2] = np.nan
    found = analyse_readers(replace(small, ratings=ratings), settings=Settings(draws=40))
    said = [note.text for note in found.notes]
    assert "reader 2 did not read 4 cases in modality 1: 1, 2, 3, 4" in said
    assert "reader 3 read nothing in modality 2" in said
    assert any(text.startswith("reader 3: left out of the comparison") for text in said)
    assert found.headline.figures_of_merit.readers == ("1", "2")
    assert found.u is not None
    assert len(found.u.areas) == 2
    write_analysis(found, tmp_path / "out")


def test_predictions_whose_cases_are_written_otherwise(
    small: Reads, model: dict[str, float]
) -> None:
    reads = replace(small, cases=tuple(f"C{case}" for case in small.cases))
    same = {f"C{case}": score for case, score in model.items()}
    half = {(name.lower() if row % 2 else name): s for row, (name, s) in enumerate(same.items())}
    expected, found = (analyse_readers(reads, by_name, settings=QUICK) for by_name in (same, half))
    said, parts = expected.as_dict(), found.as_dict()
    spelt = [note.text for note in found.notes if "also written" in note.text]
    assert len(spelt) == 1
    assert "case C2 is also written c2" in spelt[0]
    del said["notes"], parts["notes"]
    assert json.dumps(parts) == json.dumps(said)
    assert found.model is not None
    np.testing.assert_array_equal(found.model, expected.model)


def test_nested_cases(small: Reads, model: dict[str, float]) -> None:
    nested = Settings(nest=Nest.READERS, draws=40)
    assert (
        analyse_readers(small, settings=nested).figures_of_merit.design.value
        == "cases nested in readers"
    )
    with pytest.raises(ParameterError, match="none with a model"):
        analyse_readers(small, model, settings=nested)


def test_decisions_of_readers_say_what_the_area_is(small: Reads) -> None:
    decided = replace(small, ratings=(small.ratings >= 3).astype(float))
    found = analyse_readers(decided, settings=Settings(draws=40))
    assert any("mean of sensitivity and specificity" in note.text for note in found.notes)
    right = found.decisions.accuracies[0]
    expected = (right.sensitivity.value + right.specificity.value) / 2
    assert found.figures_of_merit.values[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "values",
    [{"level": 1.0}, {"draws": 1}, {"seed": -1}, {"margin": 0.0}, {"decide_at": math.nan}],
)
def test_settings_that_cannot_be(values: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        Settings(**values)


def test_names_in_a_workbook_are_no_formulas(small: Reads, tmp_path: Path) -> None:
    named = replace(small, readers=("=1+1", "$x_{$", "R\u00f6ntgen\u0007\u91ab"))
    write_analysis(analyse_readers(named, settings=Settings(draws=40)), tmp_path / "out")
    book = openpyxl.load_workbook(tmp_path / "out" / "analysis.xlsx")
    cells = [row[1] for row in book["Figures of merit"].iter_rows(min_row=2, max_row=4)]
    assert [(cell.value, cell.data_type) for cell in cells] == [
        ("=1+1", "s"), ("$x_{$", "s"), ("R\u00f6ntgen\u91ab", "s"),
    ]  # fmt: skip


def test_a_folder_that_cannot_be(small: Reads, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_analysis(analyse_readers(small, settings=Settings(draws=40)), tmp_path / "file")


def test_pictures_show_something(
    timed: Reads, model: dict[str, float], marked: MarkedReads, tmp_path: Path
) -> None:
    analysis = analyse_readers(timed, model, settings=QUICK)
    for draw, name in ((draw_roc, "roc.png"), (draw_figure_7, "seven.png")):
        path = draw(analysis, tmp_path / name)
        assert path is not None
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        colours = {tuple(colour) for colour in pixels[(np.ptp(pixels, axis=1) > 60)][:200_000]}
        assert (0, 114, 178) in colours  # the first modality
        assert (213, 94, 0) in colours  # the second
    assert draw_froc(analysis, tmp_path / "froc.png") is None
    with_marks = analyse_readers(marked, settings=Settings(draws=40))
    assert draw_froc(with_marks, tmp_path / "froc.svg") == tmp_path / "froc.svg"
    assert (tmp_path / "froc.svg").read_text().count("<path") > 10


def test_one_positive_case_claims_no_variance_over_cases(small: Reads) -> None:
    kept = ~small.truth
    kept[np.flatnonzero(small.truth)[0]] = True
    found = analyse_readers(small.of_cases(kept), settings=Settings(draws=50))
    for analysis in found.covariances.values():
        assert math.isnan(analysis.errors.var)
        assert not any("the others" in note.text for note in analysis.notes)
        assert any("no variance over cases" in note.text for note in analysis.notes)
    assert all(one.draws.size == 0 and math.isfinite(one.value) for one in found.resampled)
    assert found.resampled[0].as_dict()["low"] is None


def test_results_of_an_earlier_version_may_be_replaced_and_other_files_not(tmp_path: Path) -> None:
    mark = tmp_path / "analysis.json"
    for sentence in ("For research use only. Not a medical device.", RESEARCH_USE):
        mark.write_text(f'{{"schema": 1, "use": "{sentence}"}}')
        require_free_place(tmp_path)
    mark.write_text('{"mine": 1}')
    with pytest.raises(OutputError, match="not from an earlier run"):
        require_free_place(tmp_path)
