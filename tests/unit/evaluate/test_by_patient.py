"""Every interval takes patients as independent, not their scans.

The measure of it: scans that stand there four times, as four scans of one patient, tell no more
than one of them. Closed forms must give what they give without the copies; resampling the same
but for chance. As if each copy were a patient, all would be too narrow by half.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import chi2, chi2_contingency

import bonescint.evaluate
from bonescint.evaluate import (
    Comparison,
    Confusion,
    Estimate,
    Factor,
    Interaction,
    Resampling,
    ScoredCases,
    StructuralComponents,
    added_information,
    average_precision_score,
    brier_error,
    brier_parts,
    calibration_line,
    compare_areas,
    compare_by_resampling,
    compare_calls,
    compare_models,
    decision_curve,
    exact_rates,
    exact_share,
    fit_calibration,
    interactions,
    ratio_of_shares,
    reliability_curve,
    resampled,
    roc_auc_score,
    roc_band,
    share,
    subgroups,
    threshold_measures,
)
from bonescint.evaluate.agreement import MeasuredPair, agreement_measures
from bonescint.evaluate.calibration import CalibrationLine, DecisionCurve
from bonescint.evaluate.control import fit_logistic
from bonescint.evaluate.false_evidence import ScanEvidence, evidence_table
from bonescint.evaluate.judgement import OperatingPoint, judge
from bonescint.evaluate.lesions import JudgedFocus, JudgedScan, TrueLesion, focus_measures
from bonescint.evaluate.localisation import LesionHit, ScanLocalisation
from bonescint.evaluate.map_metrics import (
    ScanMarks,
    free_response_measures,
    hit_rates,
    localisation_measures,
    ratio_over_scans,
)
from bonescint.evaluate.recalibration import calibrate_locally
from bonescint.evaluate.roc import CurveBand
from bonescint.evaluate.scored import design_effect, mean_variance, score_effect, summed
from bonescint.scan import ParameterError

_COUNT, _COPIES = 160, 4
_OFTEN = Resampling(resamples=1000)
_POINT = OperatingPoint(threshold=0.5, source="given")

Patients = NDArray[np.intp] | None
Metric = Callable[[int, Patients], object]


def _cases(copies: int, patients: Patients, *, seed: int = 3) -> ScoredCases:
    rng = np.random.default_rng(seed)
    chance = rng.beta(1.2, 1.2, _COUNT)
    scores, truth = expit(0.8 * logit(chance)), np.random.default_rng(9).random(_COUNT) < 0.45
    scores = np.where(truth, np.maximum(scores, rng.random(_COUNT)), scores * rng.random(_COUNT))
    return ScoredCases(
        scores=np.tile(scores.clip(0.02, 0.98), copies),
        positive=np.tile(truth, copies),
        patients=patients,
    )


def _of_cases(metric: Callable[[ScoredCases], object]) -> Metric:
    return lambda copies, patients: metric(_cases(copies, patients))


def _of_two(metric: Callable[[ScoredCases, ScoredCases], object]) -> Metric:
    return lambda copies, patients: metric(
        _cases(copies, patients), _cases(copies, patients, seed=4)
    )


def _of_scans(metric: Callable[[int, Patients], object]) -> Metric:
    return metric


def _calls(first: ScoredCases, second: ScoredCases) -> Comparison:
    return compare_calls(
        first.scores >= 0.5, second.scores >= 0.5, name="n", words="w", patients=first.patients
    )


def _factor(cases: ScoredCases) -> Factor:
    names = np.random.default_rng(1).choice(["A", "B", "C"], _COUNT)
    return Factor.of_names("Centre", np.tile(names, cases.count // _COUNT).tolist())


def _local(cases: ScoredCases) -> tuple[Estimate, ...]:
    from bonescint.evaluate.operating_points import Balanced

    found = calibrate_locally(cases.with_scores(logit(cases.scores)), Balanced())
    return found.fit.slope, found.fit.intercept, found.before


def _localised(copies: int, patients: Patients) -> object:
    rng = np.random.default_rng(2)
    scans = [
        ScanLocalisation(
            pointing=float(rng.random() < 0.6), pointing_near=float(rng.random() < 0.7),
            energy_inside=rng.random(), lesion_share=rng.random() / 9, near_share=rng.random() / 9,
            best_iou=rng.random(), iou_at=rng.random(19), high_share=rng.random() / 9,
            lesions=tuple(LesionHit(number=n, reached=rng.random()) for n in range(1, 4)), peaks=(),
        )
        for _ in range(_COUNT)
    ]  # fmt: skip
    return localisation_measures(scans * copies, _OFTEN, patients=patients)


def _marked(copies: int, patients: Patients) -> object:
    rng = np.random.default_rng(2)
    marks = [ScanMarks(lesions=rng.random(2), others=rng.random(3)) for _ in range(_COUNT)]
    few = Resampling(resamples=300)
    return free_response_measures(marks * copies, few, patients=patients, at=(0.5, 1.0))


def _hit(copies: int, patients: Patients) -> object:
    rng = np.random.default_rng(2)
    lesions = np.tile(rng.random(_COUNT) < 0.6, copies)
    return hit_rates(lesions, np.arange(lesions.size), np.zeros(lesions.size, np.intp), ["all"],
                     _OFTEN, patients=patients)  # fmt: skip


def _evidence(copies: int, patients: Patients) -> object:
    rng = np.random.default_rng(2)
    scans = []
    for _ in range(_COUNT):
        part = rng.random()
        scans.append(
            ScanEvidence(highest=int(part < 0.4), shares=np.array([part, 1 - part]),
                         areas=np.array([0.5, 0.5]))
        )  # fmt: skip
    return evidence_table(scans * copies, ("a", "b"), _OFTEN, patients=patients)


def _ratio(copies: int, patients: Patients) -> object:
    values = np.tile(np.random.default_rng(2).random(_COUNT), copies)
    return ratio_over_scans(values, np.ones(values.size), _OFTEN, patients=patients)


def _agreeing(copies: int, patients: Patients) -> object:
    rng = np.random.default_rng(2)
    reference, off = rng.random(_COUNT), 0.1 * rng.normal(size=_COUNT)
    pairs = [
        MeasuredPair(scan_id="s", patient=0, reference=true, measured=true + error,
                     low=true + error - 0.15, high=true + error + 0.15)
        for true, error in zip(reference.tolist(), off.tolist(), strict=True)
    ]  # fmt: skip
    return agreement_measures(pairs * copies, _OFTEN, patients=patients)


def _foci(copies: int, patients: Patients) -> object:
    lesions = (TrueLesion(number=1, malignant=True), TrueLesion(number=2, malignant=False))
    scans = []
    for copy in range(copies):
        again = np.random.default_rng(2)
        for number in range(_COUNT):
            ill, well = again.random(2)
            foci = (
                JudgedFocus(number=1, rating=float(0.2 + 0.8 * ill), metastases=(1,),
                            on_metastasis=True, benign=(), dice=(float(again.random()),)),
                JudgedFocus(number=2, rating=float(0.8 * well), metastases=(),
                            on_metastasis=False, benign=(2,), dice=()),
            )  # fmt: skip
            patient = number if patients is not None else number + _COUNT * copy
            scans.append(JudgedScan(scan_id="s", patient=patient, lesions=lesions, foci=foci))
    return focus_measures(scans, _OFTEN, called_from=0.5)


CLOSED: dict[str, Metric] = {
    "roc_auc_score": _of_cases(roc_auc_score),
    "threshold_measures": _of_cases(lambda cases: threshold_measures(Confusion.of(cases, 0.5))),
    "exact_rates": _of_cases(lambda cases: exact_rates(Confusion.of(cases, 0.5))),
    "brier_error": _of_cases(brier_error),
    "reliability_curve": _of_cases(lambda cases: reliability_curve(cases, bins=4)),
    "decision_curve": _of_cases(decision_curve),
    "fit_calibration": _of_cases(lambda c: fit_calibration(c.with_scores(logit(c.scores)))),
    "compare_areas": _of_two(compare_areas),
    "compare_calls": _of_two(lambda one, two: _calls(one, two).difference),
    "compare_models": _of_two(
        lambda one, two: [found.difference for found in compare_models(one, two, (0.5, 0.5))]
    ),
    "subgroups": _of_cases(lambda cases: subgroups(cases, _factor(cases), 0.5)),
    "interactions": _of_cases(lambda cases: interactions(cases, _factor(cases), 0.5)),
    "calibrate_locally": _of_cases(_local),
    "added_information": _of_two(lambda one, two: added_information(one, two.scores)),
}
NEAR: dict[str, Metric] = {
    "calibration_line": _of_cases(calibration_line),
    "average_precision_score": _of_cases(
        lambda cases: average_precision_score(cases, resampling=_OFTEN)
    ),
    "roc_band": _of_cases(lambda cases: roc_band(cases, resampling=_OFTEN, points=6)),
    "brier_parts": _of_cases(
        lambda cases: brier_parts(
            cases, bins=4, resampling=Resampling(resamples=1000, stratified=False)
        )
    ),
    "resampled": _of_cases(lambda cases: resampled(cases, 0.5, _OFTEN).measures),
    "compare_by_resampling": _of_two(
        lambda one, two: [
            found.difference for found in compare_by_resampling(one, two, (0.5, 0.5), _OFTEN)
        ]
    ),
    "localisation_measures": _localised,
    "free_response_measures": _marked,
    "hit_rates": _hit,
    "evidence_table": _evidence,
    "ratio_over_scans": _ratio,
    "agreement_measures": _agreeing,
    "focus_measures": _foci,
}
OF_COUNTS = {
    # Of counts or of one table; what gives them the counts stands above.
    "share", "exact_share", "ratio_of_shares", "sensitivity_score", "specificity_score",
    "positive_predictive_value_score", "negative_predictive_value_score", "accuracy_score",
    "f1_score", "positive_likelihood_ratio", "negative_likelihood_ratio",
    "paired_difference",
    # Of other measures.
    "with_holm", "measure_named", "hit_groups",
    # All of them at once, below.
    "judge",
}  # fmt: skip
INTERVALS = ("Estimate", "Measure", "Comparison", "Interaction", "CurveBand", "DecisionCurve",
             "PlaceRow", "HitGroup", "Subgroup", "BrierParts", "CalibrationLine", "ReliabilityBin",
             "Resampled", "Judgement", "LocalCalibration", "CalibrationFit")  # fmt: skip


def _spreads(found: object, where: str = "") -> Iterator[tuple[str, float]]:
    """Widths of all intervals in a result; of tests the statistic, upside down."""
    if isinstance(found, Estimate):
        if np.isfinite([found.low, found.high]).all():
            yield f"{where} {found.method}", found.high - found.low
    elif isinstance(found, Interaction):
        yield f"{where} {found.figure}", 1 / np.sqrt(chi2.isf(found.p_value, found.degrees))
    elif isinstance(found, CurveBand | DecisionCurve):
        yield where, float((found.high - found.low).mean())
    elif isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], float):
        yield where, 1 / np.sqrt(found[0])
    elif isinstance(found, list | tuple):
        for number, one in enumerate(found):
            yield from _spreads(one, f"{where}[{number}]")
    elif dataclasses.is_dataclass(found):
        for field in dataclasses.fields(found):
            yield from _spreads(getattr(found, field.name), f"{where}.{field.name}")


def _of_copies() -> NDArray[np.intp]:
    return np.tile(np.arange(_COUNT), _COPIES)


@pytest.mark.parametrize("name", [*CLOSED, *NEAR])
def test_copies_tell_nothing_new(name: str) -> None:
    metric = (CLOSED | NEAR)[name]
    alone = dict(_spreads(metric(1, None)))
    copies = dict(_spreads(metric(_COPIES, _of_copies())))
    as_patients = dict(_spreads(metric(_COPIES, None)))
    assert alone
    assert len(alone) == len(copies)
    within = 1e-6 if name in CLOSED else 0.2
    # A median over the figures: one that is discrete may stay as it is by chance.
    ratios = np.array(list(copies.values())) / np.array(list(alone.values()))
    naive = np.array(list(as_patients.values())) / np.array(list(alone.values()))
    assert ratios == pytest.approx(1, rel=within), copies
    assert np.median(naive) < 0.75, "the test itself would not notice"


def test_no_metric_with_an_interval_is_forgotten() -> None:
    forgotten = []
    for module in pkgutil.iter_modules(bonescint.evaluate.__path__, "bonescint.evaluate."):
        if module.ispkg or module.name.endswith(("figures", "tables", "canvas")):
            continue
        for name, thing in vars(importlib.import_module(module.name)).items():
            if not inspect.isfunction(thing) or name.startswith("_"):
                continue
            gives = str(inspect.signature(thing).return_annotation)
            if any(word in gives for word in INTERVALS):
                forgotten.append(name)
    assert {*forgotten} - {*CLOSED, *NEAR} == OF_COUNTS


def test_a_judgement_is_by_patient_throughout() -> None:
    few = Resampling(resamples=300)
    alone, copies, naive = (
        dict(_spreads(judge(cases, _POINT, resampling=few)))
        for cases in (_cases(1, None), _cases(_COPIES, _of_copies()), _cases(_COPIES, None))
    )
    ratios = np.array(list(copies.values())) / np.array(list(alone.values()))
    assert len(copies) == len(alone) > 30
    assert ratios.min() > 0.75
    assert np.median(list(naive.values())) < 0.75 * np.median(list(alone.values()))


def _clustered(seed: int) -> tuple[ScoredCases, NDArray[np.intp]]:
    """Patients with one to five scans that are alike; some have scans of both classes."""
    rng = np.random.default_rng(seed)
    scans = rng.integers(1, 6, 60)
    patients = np.repeat(np.arange(60), scans)
    ill = np.repeat(rng.random(60) < 0.5, scans) ^ (rng.random(patients.size) < 0.15)
    own = np.repeat(rng.normal(size=60), scans)
    scores = expit(1.2 * ill - 0.6 + own + rng.normal(0, 0.5, patients.size))
    return ScoredCases(scores=scores, positive=ill, patients=patients), patients


def test_area_has_obuchowskis_variance() -> None:
    """Written out patient by patient, as Biometrics 1997;53:567 does."""
    cases, patients = _clustered(1)
    x, y = cases.scores[cases.positive], cases.scores[~cases.positive]
    psi = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    area, m, n = psi.mean(), x.size, y.size
    up = down = both = 0.0
    i10 = i01 = 0
    for one in range(60):
        mine = patients == one
        v10 = psi[patients[cases.positive] == one].mean(axis=1)
        v01 = psi[:, patients[~cases.positive] == one].mean(axis=0)
        a, b = (v10 - area).sum(), (v01 - area).sum()
        i10, i01 = i10 + bool(v10.size), i01 + bool(v01.size)
        up, down, both = up + a * a, down + b * b, both + a * b
        assert mine.any()
    s10, s01 = i10 / ((i10 - 1) * m) * up, i01 / ((i01 - 1) * n) * down
    s11 = 60 / 59 * both
    expected = s10 / m + s01 / n + 2 * s11 / (m * n)
    placed = StructuralComponents.of(cases.scores, cases.positive, cases.patients)
    assert placed.covariance[0, 0] == pytest.approx(expected, rel=1e-12)
    found = roc_auc_score(cases)
    assert found.method == "DeLong by patient (Obuchowski 1997), on the logit"
    # Patients resampled say the same.
    drawn = resampled(cases, 0.5, Resampling(resamples=2000, stratified=False)).drawn[:, 0]
    assert drawn.std() == pytest.approx(np.sqrt(expected), rel=0.12)


def test_calibration_line_has_the_sandwich_of_statsmodels() -> None:
    cases, patients = _clustered(2)
    theirs = sm.Logit(cases.positive.astype(float), sm.add_constant(logit(cases.scores))).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": patients, "use_correction": False}
    )
    covariance = theirs.cov_params() * 60 / 59
    line = calibration_line(cases)
    for found, term in ((line.intercept, 0), (line.slope, 1)):
        half = 1.959964 * np.sqrt(covariance[term, term])
        assert found.value == pytest.approx(theirs.params[term], rel=1e-6)
        assert (found.low, found.high) == pytest.approx(
            (found.value - half, found.value + half), rel=1e-5
        )


@pytest.mark.parametrize("seed", range(3))
def test_shares_means_and_ratios_spread_as_resampled_patients_do(seed: int) -> None:
    cases, _ = _clustered(10 + seed)
    table = Confusion.of(cases, 0.5)
    assert table.by_patient is not None
    assert table.by_patient.sum(axis=0).tolist() == [
        table.true_positives, table.false_negatives, table.false_positives, table.true_negatives
    ]  # fmt: skip
    drawn = resampled(cases, 0.5, Resampling(resamples=3000, stratified=False)).drawn
    closed = [one.estimate for one in threshold_measures(table)]
    for column, found in enumerate(closed, start=2):
        low, high = np.nanpercentile(drawn[:, column], [2.5, 97.5])
        assert found.high - found.low == pytest.approx(high - low, rel=0.35), found
    brier = brier_error(cases)
    parts = brier_parts(cases, resampling=Resampling(resamples=2000, stratified=False)).brier
    assert brier.high - brier.low == pytest.approx(parts.high - parts.low, rel=0.15)


def test_one_scan_of_each_patient_changes_nothing() -> None:
    cases = _cases(1, None)
    named = ScoredCases(
        scores=cases.scores, positive=cases.positive, patients=np.arange(_COUNT)[::-1]
    )
    assert named.patients is None
    assert Confusion.of(named, 0.5).by_patient is None
    own = StructuralComponents.of(cases.scores, cases.positive, np.arange(_COUNT))
    plain = StructuralComponents.of(cases.scores, cases.positive)
    np.testing.assert_allclose(own.covariance, plain.covariance, rtol=1e-12)
    values = np.random.default_rng(1).random((3, 20))
    np.testing.assert_allclose(
        mean_variance(values, np.arange(20)), values.var(axis=1, ddof=1) / 20, rtol=1e-12
    )
    np.testing.assert_allclose(mean_variance(values, None), values.var(axis=1, ddof=1) / 20)


def test_effects_by_hand() -> None:
    assert design_effect([1, 0, 1, 0], [1, 1, 1, 1]) == 1
    assert design_effect([3, 0], [3, 3]) == 3
    assert design_effect([2, 3], [2, 3]) == pytest.approx((4 + 9) / 5), "all agree: fully alike"
    assert design_effect([0, 0], [2, 3]) == pytest.approx((4 + 9) / 5)
    assert design_effect([0, 0], [0, 0]) == 1
    # Patients of both kinds: shares of a half in each vary less than chance; never below 1.
    assert design_effect([1, 1], [2, 2]) == 1
    # 3 of 3, 1 of 3, 0 of 1.
    assert design_effect([3, 1, 0], [3, 3, 1]) == pytest.approx(
        ((3 - 12 / 7) ** 2 + (1 - 12 / 7) ** 2 + (4 / 7) ** 2) / (7 * 4 / 7 * 3 / 7)
    )
    assert score_effect(np.array([1.0, 2.0, -3.0]), np.array([0, 0, 1])) == pytest.approx(18 / 14)
    assert score_effect(np.array([1.0, -1.0]), np.array([0, 0])) == 1
    assert score_effect(np.zeros(2), np.array([0, 0])) == 1
    assert score_effect(np.ones(2), None) == 1
    assert np.isnan(mean_variance(np.array([1.0, 2.0]), np.array([4, 4])))
    assert summed(np.array([[1.0, 2.0, 3.0]]), np.array([5, 2, 5])).tolist() == [[2, 4]]
    for wrong in (([1], [1, 1]), ([[1]], [[1]])):
        with pytest.raises(ParameterError, match="totals"):
            design_effect(*wrong)


def test_where_all_scans_agree_patients_count() -> None:
    """Ten patients with five right scans each are ten right answers, not fifty."""
    assert share(50, 50, effect=5).low == pytest.approx(share(10, 10).low)
    assert exact_share(50, 50, effect=5).low == pytest.approx(exact_share(10, 10).low)
    assert exact_share(0, 50, effect=5).high == pytest.approx(exact_share(0, 10).high)
    assert exact_share(20, 50, effect=5).text() == exact_share(4, 10).text()
    assert share(50, 50, effect=5).method == "Wilson, by patient"
    assert exact_share(50, 50, effect=5).method == "Clopper-Pearson, by patient"
    cases = ScoredCases(
        scores=np.repeat([0.9, 0.1], 50), positive=np.repeat([1, 0], 50),
        patients=np.repeat(np.arange(20), 5),
    )  # fmt: skip
    table = Confusion.of(cases, 0.5)
    sensitivity = next(iter(threshold_measures(table))).estimate
    assert sensitivity.low == pytest.approx(share(10, 10).low)
    ratio = ratio_of_shares((50, 50), (0, 50), by_patient=table.ratio_columns(0, 2))
    assert ratio.low == pytest.approx(ratio_of_shares((10, 10), (0, 10)).low)
    assert ratio.method == "log method, by patient"
    same = compare_calls(
        cases.positive, cases.positive, name="n", words="w", patients=cases.patients
    )
    ten = np.arange(20) < 10
    assert same.difference.low == pytest.approx(
        compare_calls(ten, ten, name="n", words="w").difference.low
    )
    assert same.p_value == 1
    assert same.test == "McNemar by patient (Obuchowski 1998)"


def test_difference_of_calls_is_tested_by_patient() -> None:
    """The sum of each patient's differences, by hand: 3, 1, -1 of which 3 is as likely as -3."""
    first = np.array([1, 1, 1, 1, 0, 1, 0], dtype=bool)
    second = np.array([0, 0, 0, 0, 1, 1, 0], dtype=bool)
    patients = np.array([0, 0, 0, 1, 2, 3, 4])
    found = compare_calls(first, second, name="n", words="w", patients=patients)
    assert found.p_value == pytest.approx(chi2.sf(3**2 / (9 + 1 + 1), 1))
    assert found.difference.method == "Newcombe, paired, by patient"


def test_shares_of_groups_are_tested_by_patient() -> None:
    """Copies: the chi-square of the table without them; Fisher's test is for scans alone."""
    right = np.array([1] * 6 + [0] * 14 + [1] * 15 + [0] * 5, dtype=float)
    scores = np.where(right > 0, 0.9, 0.1)
    members = np.repeat([0, 1], 20)
    cases = ScoredCases(
        scores=np.tile(np.append(scores, [0.1, 0.1]), 3),
        positive=np.tile(np.append(np.ones(40), [0, 0]), 3),
        patients=np.tile(np.arange(42), 3),
    )
    factor = Factor(name="F", levels=("a", "b"), members=np.tile(np.append(members, [0, 1]), 3))
    found = interactions(cases, factor, 0.5)[1]
    expected = chi2_contingency([[6, 14], [15, 5]], correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.test == "chi-square by patient (Rao and Scott 1992)"
    assert interactions(cases, factor, 0.5)[0].test == "Wald, DeLong's covariance by patient"


def test_one_patient_of_a_class_has_no_spread() -> None:
    cases = ScoredCases(
        scores=[0.1, 0.7, 0.6, 0.9], positive=[0, 0, 1, 1], patients=np.array([0, 1, 2, 2])
    )
    assert roc_auc_score(cases).note == "a class has one patient: no interval"
    one = ScoredCases(scores=[0.1, 0.7], positive=[0, 1], patients=np.array([5, 5]))
    assert brier_error(one).note == "one patient: no interval"
    assert "patients" in brier_error(cases).method


def test_patients_must_fit_and_stay_with_their_scans() -> None:
    with pytest.raises(ParameterError, match=r"patients.*shape"):
        ScoredCases(scores=[0.1, 0.7], positive=[0, 1], patients=np.array([1]))
    cases = _cases(2, np.tile(np.arange(_COUNT), 2))
    assert cases.with_scores(1 - cases.scores).patients is cases.patients or np.array_equal(
        cases.with_scores(1 - cases.scores).patients, cases.patients
    )
    half = np.arange(cases.count) < _COUNT
    assert cases.of(half).patients is None
    other = ScoredCases(scores=cases.scores, positive=cases.positive)
    with pytest.raises(ParameterError, match="second"):
        compare_areas(cases, other)


def test_logistic_fit_alone_is_as_before() -> None:
    rng = np.random.default_rng(1)
    terms = np.column_stack([np.ones(80), rng.normal(size=80)])
    truth = rng.random(80) < expit(terms[:, 1])
    theirs = sm.Logit(truth.astype(float), terms).fit(disp=0)
    np.testing.assert_allclose(
        fit_logistic(terms, truth).covariance, theirs.cov_params(), rtol=1e-5
    )
    assert isinstance(calibration_line(_cases(1, None)), CalibrationLine)
