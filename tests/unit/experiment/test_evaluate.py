from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bonescint.cohort import Manifest, read_manifest
from bonescint.evaluate import (
    GivenSensitivity,
    GivenSpecificity,
    OperatingRule,
    Resampling,
    RocCurve,
    measure_named,
)
from bonescint.evaluate import roc_auc_score as area_with_interval
from bonescint.experiment import (
    EvaluationSettings,
    LabelledPredictions,
    evaluate,
    evaluate_joined,
    join,
    read_predictions,
)
from bonescint.experiment.evaluation.data import MappedScan, read_maps
from bonescint.experiment.evaluation.evaluate import compare_predictions
from bonescint.experiment.evaluation.json_form import to_json
from bonescint.experiment.evaluation.results import EvaluationResult, read_result, result_from
from bonescint.experiment.evaluation.saliency_evaluation import evaluate_saliency
from bonescint.experiment.evaluation.saliency_result import SaliencyEvaluation
from bonescint.experiment.evaluation.tables import result_tables
from bonescint.experiment.report import saliency_report
from bonescint.experiment.report.model_report import draw_figures, evaluation_document, few_cases
from bonescint.scan import Case, InputError, OutputError, ParameterError, Split

from .conftest import Study, write_rows

_FEW = EvaluationSettings(resampling=Resampling(resamples=30))


def _joined(study: Study) -> LabelledPredictions:
    return join(read_predictions(study.predictions), read_manifest(study.manifest), source="p")


def _saliency(
    study: Study, found: EvaluationResult, maps: Mapping[str, MappedScan]
) -> SaliencyEvaluation | None:
    joined = _joined(study)
    return evaluate_saliency(
        joined.part(Split.TEST),
        joined.manifest,
        maps,
        threshold=found.threshold,
        resampling=found.settings.resampling,
    )


def test_the_point_comes_from_validation_and_the_figures_from_test(study: Study) -> None:
    settings = replace(_FEW, rule=GivenSpecificity(0.9))
    found = evaluate_joined(_joined(study), settings)
    scores = {split: [] for split in Split}  # type: ignore[var-annotated]
    truth = {split: [] for split in Split}  # type: ignore[var-annotated]
    for case in study.cases:
        scores[case.split].append(study.probability[case.scan_id])
        truth[case.split].append(case.positive)
    threshold = found.judgement.point.threshold
    below = np.array(scores[Split.VALIDATION]) < threshold
    assert below[~np.array(truth[Split.VALIDATION])].mean() >= 0.9
    area = roc_auc_score(truth[Split.TEST], scores[Split.TEST])
    assert found.judgement.area.value == pytest.approx(area)
    called = np.array(scores[Split.TEST]) >= threshold
    sensitivity = measure_named(found.judgement.at_point, "sensitivity_score").estimate.value
    assert sensitivity == pytest.approx(called[np.array(truth[Split.TEST])].mean())
    assert "on 40 validation scans" in found.judgement.point.source


def test_validation_scores_do_not_move_the_test_figures(study: Study) -> None:
    """With a given point, other validation scores change nothing but the fit."""
    rows = read_predictions(study.predictions)
    other = [
        replace(row, mbd_probability=1 - row.mbd_probability)
        if row.scan_id.startswith("validation")
        else row
        for row in rows
    ]
    manifest = read_manifest(study.manifest)
    fixed = replace(_FEW, threshold=0.5)
    first, second = (
        evaluate_joined(join(one, manifest, source="p"), fixed) for one in (rows, other)
    )
    assert first.judgement.at_point == second.judgement.at_point
    assert first.judgement.area == second.judgement.area
    assert first.recalibration != second.recalibration


def test_factors_control_and_facts(study: Study) -> None:
    found = evaluate_joined(_joined(study), _FEW)
    factors = {one.factor for one in found.subgroups}
    assert {"Centre", "Sex", "Age, years", "Primary tumour"} <= factors
    assert "Highest contrast of a lesion" in factors
    assert "Counts of the posterior view, thousands" in factors
    assert "Lesions" not in factors  # all have one: a single level
    assert all(not (test.p_value > test.p_holm) for test in found.interactions)
    assert found.control is not None
    assert found.control.fitted_on == "60 training cases"
    assert found.control.area.value < found.judgement.area.value
    assert found.control.model_adds < 0.01


def test_a_manifest_without_facts_has_no_control(study: Study) -> None:
    joined = _joined(study)
    bare = Manifest(
        cases=tuple(
            replace(case, sex="", age=None, primary="", truth="", centre="A")
            for case in joined.manifest.cases
        ),
        folder=joined.manifest.folder,
    )
    rows = read_predictions(study.predictions)
    found = evaluate_joined(join(rows, bare, source="p"), _FEW)
    assert found.control is None
    assert "no age, sex or primary" in found.control_note
    assert found.subgroups == ()


def test_patients_with_several_scans_are_resampled_as_patients(study: Study) -> None:
    joined = _joined(study)
    pairs = Manifest(
        cases=tuple(
            replace(case, patient_id=f"{case.split}-{int(case.scan_id[-3:]) // 4}")
            for case in joined.manifest.cases
        ),
        folder=joined.manifest.folder,
    )
    again = join(read_predictions(study.predictions), pairs, source="p")
    test = again.part(Split.TEST)
    assert test.scored.patients is not None
    found = evaluate_joined(again, _FEW)
    first, second = evaluate_joined(joined, _FEW).judgement, found.judgement
    # Scans of a patient are no more alike here than others, but all is by patient.
    assert second.area.value == first.area.value
    assert second.area == area_with_interval(test.scored)
    assert second.area.method.startswith("DeLong by patient")
    assert second.resampled != first.resampled
    assert second.band.low.tolist() != first.band.low.tolist()
    assert second.calibration.brier.brier != first.calibration.brier.brier
    cases = next(table for table in result_tables(found) if table.name == "cases")
    numbers = [row[cases.columns.index("patient")] for row in cases.rows]
    assert numbers == test.scored.patients.tolist()


def test_scores_that_rank_nothing_are_calibrated_to_the_prevalence_and_that_is_said(
    study: Study, tmp_path: Path
) -> None:
    truth = {case.scan_id: case.positive for case in read_manifest(study.manifest).cases}
    rows = [["scan_id", "mbd_probability"]]
    rows += [
        [name, 0.999 - 0.998 * truth[name] if name.startswith("val") else probability]
        for name, probability in study.probability.items()
    ]
    predictions = read_predictions(write_rows(tmp_path / "p.csv", rows))
    found = evaluate_joined(join(predictions, read_manifest(study.manifest), source="p"), _FEW)
    assert found.recalibration is not None
    assert 0 < found.recalibration.slope.value < 0.05
    flow = next(table for table in result_tables(found) if table.name == "flow")
    used = [row[-1] for row in flow.rows if row[0] == "validation"]
    assert used == ["operating point and calibration"]
    page = evaluation_document(found, draw_figures(found))
    pages = [section for section in page.sections if section.title == "Calibration"]
    (said,) = pages[0].paragraphs
    assert said.startswith("Fitted on the validation split (40 scans, ")
    assert "the probabilities do not rank them" in said


def _with_calls(study: Study, folder: Path, without: set[str]) -> Path:
    """Predictions as `classify` writes them, some scans without a call."""
    rows = [["scan_id", "mbd_probability", "call"]]
    rows += [
        [name, value, "No call" if name in without else "positive"]
        for name, value in study.probability.items()
    ]
    return write_rows(folder / "calls.csv", rows)


def test_scans_without_a_call_are_counted_and_not_judged(study: Study, tmp_path: Path) -> None:
    """ModelComparison counts by hand; areas stay those of all scans."""
    whole = evaluate_joined(_joined(study), _FEW)
    cases = whole.scans
    without = {case.scan_id for case in cases[::3]}
    out = tmp_path / "report"
    found = evaluate(
        _with_calls(study, tmp_path, without), study.manifest, out, settings=_FEW, workbook=True
    )
    judgement = found.judgement
    assert judgement.area == whole.judgement.area
    assert judgement.point == whole.judgement.point
    assert judgement.calibration.brier == whole.judgement.calibration.brier
    truth = np.array([case.positive for case in cases])
    called = np.array([case.scan_id not in without for case in cases])
    above = np.array([scan.probability for scan in found.scans]) >= judgement.point.threshold
    rates = {
        "sensitivity_score": above[truth & called].mean(),
        "specificity_score": (~above)[~truth & called].mean(),
    }
    for measures in (judgement.at_point, judgement.resampled):
        for name, rate in rates.items():
            assert measure_named(measures, name).estimate.value == pytest.approx(rate)
    areas = [measure_named(one.resampled, "roc_auc_score") for one in (judgement, whole.judgement)]
    assert areas[0] == areas[1]
    assert judgement.not_called is not None
    missing = judgement.not_called
    assert (missing.positives, missing.negatives) == (
        (truth & ~called).sum(),
        (~truth & ~called).sum(),
    )
    strict = {
        "not_called_share": (~called).mean(),
        "sensitivity_of_all_score": (above & called)[truth].mean(),
        "specificity_of_all_score": (~above & called)[~truth].mean(),
    }
    for name, share in strict.items():
        assert measure_named(missing.measures, name).estimate.value == pytest.approx(share)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"{len(without)} of {len(cases)} scans have a probability and no call" in page
    assert (out / "tables" / "not_called.csv").is_file()
    with (out / "tables" / "cases.csv").open(newline="") as file:
        rows = {row["scan_id"]: row for row in csv.DictReader(file)}
    assert {name for name, row in rows.items() if row["outcome"] == "no call"} == without
    assert {row["called_positive"] for row in rows.values()} == {"0", "1", ""}
    assert whole.judgement.not_called is None


def test_scans_without_a_call_are_no_wrong_calls(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(study.manifest)
    without = {case.scan_id for case in manifest.split(Split.TEST)[::3]}
    joined = join(read_predictions(_with_calls(study, tmp_path, without)), manifest, source="p")
    result = evaluate_joined(joined, _FEW)
    drawn: list[str] = []

    def noted(_: Manifest, calls: Sequence[tuple[Case, float]], *more: object) -> Iterator[object]:
        drawn.extend(case.scan_id for case, _ in calls)
        return iter([(case, value, b"") for case, value in calls])

    monkeypatch.setattr(saliency_report, "drawn_calls", noted)
    files = replace(manifest, cases=tuple(replace(c, file="s.dcm") for c in manifest.cases))
    (section,) = saliency_report.failures_section(result, files, read_maps(study.maps))
    wrong = {
        scan.scan_id
        for scan in result.scans
        if scan.called and scan.positive != (scan.probability >= result.threshold)
    }
    assert section.figures
    assert set(drawn) == wrong
    assert without.isdisjoint(wrong)


def test_calls_of_one_class_alone_cannot_be_judged(study: Study, tmp_path: Path) -> None:
    cases = read_manifest(study.manifest).split(Split.TEST)
    without = {case.scan_id for case in cases if case.positive}
    rows = read_predictions(_with_calls(study, tmp_path, without))
    joined = join(rows, read_manifest(study.manifest), source="p")
    with pytest.raises(InputError, match=r"column call: of \d+ scans \d+ were called, 0 of them"):
        evaluate_joined(joined, _FEW)


def test_settings_that_would_judge_what_they_chose_on_are_refused() -> None:
    with pytest.raises(ParameterError, match="chosen on validation"):
        EvaluationSettings(judged=Split.VALIDATION)
    assert EvaluationSettings(judged=Split.VALIDATION, threshold=0.5).threshold == 0.5
    with pytest.raises(ParameterError, match="threshold"):
        EvaluationSettings(threshold=1.5)


def test_no_validation_split_needs_a_point(study: Study) -> None:
    rows = [row for row in read_predictions(study.predictions) if row.scan_id.startswith("test")]
    joined = join(rows, read_manifest(study.manifest), source="p")
    with pytest.raises(InputError, match=r"split validation: no scan.*--operating-point"):
        evaluate_joined(joined, _FEW)
    found = evaluate_joined(joined, replace(_FEW, threshold=0.5))
    assert found.recalibration is None


def test_all_scores_equal_are_judged_and_named(study: Study, tmp_path: Path) -> None:
    rows = [["scan_id", "mbd_probability"], *[[name, 0.5] for name in study.probability]]
    predictions = read_predictions(write_rows(tmp_path / "p.csv", rows))
    joined = join(predictions, read_manifest(study.manifest), source="p")
    found = evaluate_joined(joined, replace(_FEW, threshold=0.5))
    assert found.judgement.area.value == 0.5
    assert found.judgement.area.note == "all scores are equal"
    assert found.judgement.calibration.line.slope.note == "all scores are equal"


def _table_of(folder: Path, name: str, probability: Mapping[str, float]) -> Path:
    return write_rows(folder / name, [["scan_id", "mbd_probability"], *probability.items()])


@pytest.mark.parametrize(
    ("rule", "sensitivity", "says"),
    [(GivenSpecificity(0.9), 0.0, "it could only call none"),
     (GivenSensitivity(0.9), 1.0, "it could only call all")],
)  # fmt: skip
def test_a_collapsed_model_is_a_result_where_that_is_allowed(
    study: Study, tmp_path: Path, rule: OperatingRule, sensitivity: float, says: str
) -> None:
    """From its table to the whole report, by itself and against a model that works."""
    collapsed = _table_of(tmp_path, "p.csv", dict.fromkeys(study.probability, 0.3))
    settings = replace(_FEW, rule=rule)
    with pytest.raises(InputError, match=r"split validation, column mbd_probability: all 40 are"):
        evaluate(collapsed, study.manifest, tmp_path / "refused", settings=settings)
    done: list[str] = []
    with pytest.raises(InputError, match=r"p\.csv: split validation, column mbd_probability"):
        evaluate(study.predictions, study.manifest, tmp_path / "refused", settings=settings,
                 against=collapsed, progress=lambda what, *_: done.append(what))  # fmt: skip
    assert set(done) == {"Reading"}
    settings = replace(settings, constant_allowed=True)
    out = tmp_path / "report"
    found = evaluate(collapsed, study.manifest, out, settings=settings,
                     against=study.predictions, maps=study.maps, workbook=True)  # fmt: skip
    judgement = found.judgement
    assert (judgement.area.value, judgement.area.note) == (0.5, "all scores are equal")
    shown = measure_named(judgement.at_point, "sensitivity_score").estimate
    assert shown.value == sensitivity
    assert judgement.point.source.endswith(f"on 40 validation scans, which all have 0.3: {says}")
    assert not judgement.calibration.line.slope.defined
    assert found.recalibration is None
    flow = (out / "tables" / "flow.csv").read_text(encoding="utf-8")
    assert "operating point\n" in flow
    assert "calibration" not in flow
    assert found.comparison is not None
    assert found.comparison.closed[0].difference.value < -0.2
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "undefined: all scores are equal" in page
    assert "the model does not discriminate" in page
    # The model that works is compared with the one that collapsed, too.
    other = evaluate(study.predictions, study.manifest, tmp_path / "other", settings=settings,
                     against=collapsed)  # fmt: skip
    assert other.comparison is not None
    assert other.comparison.closed[0].second == 0.5


def _turned_round(
    study: Study, folder: Path, change: Callable[[Case], Case]
) -> LabelledPredictions:
    """The same predictions, joined with a cohort in another order."""
    cases = [change(case) for case in reversed(study.cases)]
    manifest = Manifest(cases=tuple(cases), folder=folder)
    return join(read_predictions(study.predictions), manifest, source="p", ignore_unknown=True)


def test_models_are_compared_scan_by_scan_whatever_the_order(study: Study, tmp_path: Path) -> None:
    ours, theirs = _joined(study), _turned_round(study, tmp_path, lambda case: case)
    found = compare_predictions(ours, theirs, _FEW, name="other")
    assert found.scans == 60
    assert all(one.difference.value == 0 for one in (*found.closed, *found.resampled))
    assert not any(one.p_value < 1 for one in found.closed)


def test_scans_whose_label_differs_are_not_compared(study: Study, tmp_path: Path) -> None:
    def changed(case: Case) -> Case:
        wrong = case.scan_id in ("test-004", "test-009")
        return replace(case, positive=case.positive is not wrong)

    theirs = _turned_round(study, tmp_path, changed)
    with pytest.raises(InputError) as refused:
        compare_predictions(_joined(study), theirs, _FEW, name="other")
    assert str(refused.value) == (
        "other: 2 problems: column label: test-004 is negative, but positive in the first cohort; "
        "column label: test-009 is positive, but negative in the first cohort. "
        "Compare predictions that are evaluated against the same reference standard."
    )


def test_maps_that_point_at_lesions_score_so(study: Study) -> None:
    found = evaluate_joined(_joined(study), replace(_FEW, threshold=0.5))
    measured = _saliency(study, found, read_maps(study.maps))
    assert measured is not None
    assert measured.left_out == ()
    positives = len(measured.called) + len(measured.missed)
    assert positives == 30
    assert all(one.pointing_game == 1 for one in measured.called.values())
    assert all(len(one.reached) == 1 for one in measured.called.values())  # two views, one lesion
    assert all(lesion.reached == 1 for lesion in measured.lesions)
    assert measured.curve is not None
    assert measured.curve.scans == 60
    assert measured.curve.found[-1] == 1
    places = {row.name: row for row in measured.false_positives}
    assert places["bladder"].highest.value == 1  # where the fixture's negative maps point
    assert places["bladder"].of == measured.false_positives[0].of > 0


def test_maps_of_other_predictions_are_noticed(study: Study) -> None:
    found = evaluate_joined(_joined(study), replace(_FEW, threshold=0.5))
    maps = dict(read_maps(study.maps))
    some = maps["test-000"]
    maps["test-000"] = replace(some, prediction=replace(some.prediction, mbd_probability=0.123))
    del maps["test-001"]
    measured = _saliency(study, found, maps)
    assert measured is not None
    assert any("a different probability" in note for note in measured.notes)
    assert measured.left_out == ("test-001: no map",)
    assert _saliency(study, found, {}) is None


def test_masks_of_other_pixels_are_refused(study: Study) -> None:
    found = evaluate_joined(_joined(study), replace(_FEW, threshold=0.5))
    maps = {name: replace(scan, shape=(32, 12)) for name, scan in read_maps(study.maps).items()}
    with pytest.raises(InputError, match=r"mask of test-000 is \(64, 24\)"):
        _saliency(study, found, maps)


@pytest.mark.parametrize(
    ("content", "says"),
    [("[]", "readable results"), ('{"schema_version": 9, "results": []}', "schema 9"),
     ('{"schema_version": 1, "results": [{"scan_id": "x"}]}', r"results\[0\]"), ("{", "readable")],
)  # fmt: skip
def test_results_files_that_are_none(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_maps(tmp_path / "r.json")
    with pytest.raises(InputError, match="no such file"):
        read_maps(tmp_path / "none.json")


def test_a_few_scans_make_no_headline() -> None:
    assert few_cases(2, 1) == (
        ("Scans evaluated", "2", "1 with disease, 1 without: too few for a headline; the results "
         "are given below, with their intervals"),
    )  # fmt: skip
    assert few_cases(60, 19)
    assert few_cases(60, 41)
    assert few_cases(40, 20) == few_cases(500, 480) == ()


def test_the_report_is_whole_and_the_same_again(study: Study, tmp_path: Path) -> None:
    shifted = write_rows(
        tmp_path / "other.csv",
        [["scan_id", "mbd_probability"],
         *[[name, min(1.0, p + 0.05)] for name, p in study.probability.items()
           if name != "test-003"]],
    )  # fmt: skip
    for name in ("one", "two"):
        evaluate(study.predictions, study.manifest, tmp_path / name, settings=_FEW,
                 against=shifted, maps=study.maps, workbook=True)  # fmt: skip
    page = (tmp_path / "one" / "report.html").read_text(encoding="utf-8")
    assert page.count("Research use only") >= 2
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)  # nothing leaves the page
    assert "on the 59 scans that both have" in page
    assert "Where false evidence lies" in page
    content = json.loads((tmp_path / "one" / "evaluation.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 3
    assert "Research use only" in content["notice"]
    for table in (tmp_path / "one" / "tables").iterdir():
        assert table.read_bytes() == (tmp_path / "two" / "tables" / table.name).read_bytes()
        with table.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
        assert len(rows) - 1 == len(content["tables"][table.stem]["rows"]), table.stem
    for figure in (tmp_path / "one" / "figures").iterdir():
        assert figure.read_bytes() == (tmp_path / "two" / "figures" / figure.name).read_bytes()
    assert {f.suffix for f in (tmp_path / "one" / "figures").iterdir()} == {".png", ".svg"}
    assert not list((tmp_path / "one").rglob("*.part"))


def test_a_result_is_the_same_after_json(study: Study, tmp_path: Path) -> None:
    """Every table, from every part of the result, and a second JSON form are the same."""
    collapsed = _table_of(tmp_path, "p.csv", dict.fromkeys(study.probability, 0.3))
    for name, predictions, against, rule in (
        ("sound", study.predictions, collapsed, GivenSensitivity(0.9)),
        ("collapsed", collapsed, study.predictions, GivenSpecificity(0.9)),
    ):
        settings = replace(_FEW, rule=rule, constant_allowed=True)
        out = tmp_path / name
        found = evaluate(predictions, study.manifest, out, settings=settings, against=against,
                         maps=study.maps)  # fmt: skip
        read = read_result(out / "evaluation.json")
        assert repr(result_tables(read)) == repr(result_tables(found))
        assert to_json(read) == to_json(found)
        assert read.settings.rule == rule
        assert read.saliency is not None
        assert read.judgement.band.low.tolist() == found.judgement.band.low.tolist()
    assert read.threshold == np.inf  # nothing is called: an infinity that went through JSON


def test_a_rule_of_somebodys_own_is_read_in_its_words(study: Study) -> None:
    class First:
        words = "where the first scan lies"

        def choose(self, curve: RocCurve) -> int:
            return 1 if curve.positives else 0

    found = evaluate_joined(_joined(study), replace(_FEW, rule=First()))
    read = result_from(json.loads(json.dumps(to_json(found))))
    assert read.settings.rule.words == First.words
    assert read.threshold == found.threshold
    with pytest.raises(ParameterError, match="rule of this release"):
        read.settings.rule.choose(read.judgement.curve)


def test_a_folder_that_cannot_be_written_is_said_first(study: Study, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        evaluate(tmp_path / "none.csv", study.manifest, tmp_path / "taken")


def test_missing_predictions_stand_in_the_flow(study: Study, tmp_path: Path) -> None:
    rows = [["scan_id", "mbd_probability"],
            *[row for row in study.probability.items() if row[0] != "test-007"]]  # fmt: skip
    out = tmp_path / "report"
    evaluate(write_rows(tmp_path / "p.csv", rows), study.manifest, out, settings=_FEW)
    assert "test-007,test,0,no prediction" in (out / "tables" / "left_out.csv").read_text()
    assert "1 of 60 scans of the test split have no prediction" in (out / "report.html").read_text(
        encoding="utf-8"
    )
