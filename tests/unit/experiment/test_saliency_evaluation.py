"""Maps against a physician's masks, and false evidence where no truth file says what is where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonescint.cohort import read_manifest, truth_of, write_manifest, write_mask
from bonescint.evaluate import Resampling
from bonescint.experiment import (
    EvaluationSettings,
    LabelledPredictions,
    evaluate,
    evaluate_joined,
    join,
    read_predictions,
)
from bonescint.experiment.evaluation import data as maps
from bonescint.experiment.evaluation.covariates import covariates_of
from bonescint.experiment.evaluation.data import MappedScan, read_maps, scan_at_hand
from bonescint.experiment.evaluation.results import EvaluationResult
from bonescint.experiment.evaluation.saliency_evaluation import evaluate_saliency
from bonescint.experiment.evaluation.saliency_result import SaliencyEvaluation
from bonescint.experiment.report import figures, saliency_report
from bonescint.explain import explain
from bonescint.scan import (
    Acquisition,
    Case,
    InputError,
    PixelUnit,
    Prediction,
    Scan,
    Split,
    View,
)

from .conftest import COLUMNS, ROWS, Study

_FEW = EvaluationSettings(resampling=Resampling(resamples=30), threshold=0.5)
_SMALL = (slice(2, 5), slice(2, 5))
"""A second piece of some masks: 9 pixels of 10 by 10 mm, a disc of 16.9 mm radius."""


def _saliency(
    joined: LabelledPredictions, maps: Mapping[str, MappedScan]
) -> SaliencyEvaluation | None:
    return evaluate_saliency(
        joined.part(Split.TEST),
        joined.manifest,
        maps,
        threshold=0.5,
        resampling=_FEW.resampling,
    )


@dataclass(frozen=True)
class Segmented:
    """The study's cohort with masks in place of truth files, written beside it."""

    study: Study
    folder: Path

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.csv"

    @property
    def joined(self) -> LabelledPredictions:
        rows = read_predictions(self.study.predictions)
        return join(rows, read_manifest(self.manifest), source="p")

    def evaluated(self) -> EvaluationResult:
        return evaluate_joined(self.joined, _FEW)

    def measured(self, maps: Mapping[str, MappedScan] | None = None) -> SaliencyEvaluation:
        found = _saliency(self.joined, read_maps(self.study.maps) if maps is None else maps)
        assert found is not None
        return found

    def rewrite(self, **changes: str) -> None:
        cases = [replace(case, **changes) for case in read_manifest(self.manifest).cases]
        write_manifest(cases, self.manifest)


def _segmented(case: Case, study: Study, folder: Path) -> Case:
    truth = truth_of(read_manifest(study.manifest), case)
    assert truth is not None
    names = {}
    for view, drawn in truth.masks.items():
        mask = drawn.copy()
        if case.scan_id.endswith("0"):
            mask[_SMALL] = True
        names[f"mask_{view.value}"] = f"{case.scan_id}-{view.value}.png"
        write_mask(mask, folder / names[f"mask_{view.value}"])
    return replace(case, truth="", **names)


def _a_body() -> Scan:
    image = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    image[4:60, 6:18] = 20
    return Scan(
        anterior=image,
        posterior=image,
        pixel_spacing_mm=(10.0, 10.0),
        unit=PixelUnit.COUNTS,
        scan_id="as-it-is-stored",
        acquisition=Acquisition(modality="NM"),
    )


@pytest.fixture
def segmented(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Segmented:
    cases = []
    for case in study.cases:
        if case.positive and case.split is Split.TEST:
            cases.append(_segmented(case, study, tmp_path))
        else:
            cases.append(replace(case, truth=""))
    write_manifest([replace(case, file=f"{case.scan_id}.dcm") for case in cases],
                   tmp_path / "manifest.csv")  # fmt: skip
    monkeypatch.setattr(maps, "read", lambda _: _a_body())
    return Segmented(study, tmp_path)


def test_lesions_of_masks_have_the_size_of_their_pieces(segmented: Segmented) -> None:
    found = segmented.measured()
    radii = {round(lesion.radius_mm, 1) for lesion in found.lesions}
    # 5 x 5 and 3 x 3 pixels of 1 cm2; where both meet they are one piece.
    assert {28.2, 16.9} <= radii
    assert found.by_size
    assert sum(group.lesions for group in found.by_size) == len(found.lesions)


def test_a_large_piece_keeps_what_lies_nearer_to_the_middle_of_a_small_one(
    segmented: Segmented,
) -> None:
    case = next(c for c in read_manifest(segmented.manifest).cases if c.mask_anterior)
    mask = np.zeros((ROWS, COLUMNS), dtype=bool)
    mask[4:60, 2] = True  # its middle is at row 31
    mask[4, 8] = True
    write_mask(mask, segmented.folder / case.mask_anterior)
    write_mask(np.zeros_like(mask), segmented.folder / case.mask_posterior)
    maps_of = dict(read_maps(segmented.study.maps))
    scan = maps_of[case.scan_id]
    values = np.full((ROWS // 4, COLUMNS // 4), 0.1, dtype=np.float32)
    values[1, 0] = 1  # over the upper end of the large piece alone
    hot = tuple(replace(one, values=values * (one.view is View.ANTERIOR))
                for one in scan.prediction.activation_maps)  # fmt: skip
    answer = replace(scan.prediction, activation_maps=hot)
    maps_of[case.scan_id] = replace(scan, prediction=answer)
    found = segmented.measured(maps_of)
    large, small = {**found.called, **found.missed}[case.scan_id].reached
    assert large == 1
    assert small < 0.5


def test_lesions_of_masks_are_counted_in_each_view_and_the_page_says_so(
    segmented: Segmented,
) -> None:
    found = segmented.measured()
    one = {**found.called, **found.missed}["test-002"]
    assert len(one.reached) == 2  # one square in each view
    assert found.by_physicians == 30
    assert any("counts twice" in note for note in found.notes)


@pytest.mark.parametrize("view", list(View))
def test_a_mask_of_another_shape_is_named(segmented: Segmented, view: View) -> None:
    wrong = segmented.folder / f"test-004-{view.value}.png"
    write_mask(np.ones((7, 7), dtype=bool), wrong)
    with pytest.raises(InputError, match=r"mask of test-004 is \(7, 7\)") as caught:
        segmented.measured()
    assert caught.value.source == str(wrong)


def test_false_evidence_without_truth_goes_by_part_of_the_body(
    segmented: Segmented, tmp_path: Path
) -> None:
    found = segmented.measured()
    assert found.places_known == 0
    places = {row.name: row for row in found.false_positives}
    # The fixture's negative maps point at the bladder, in the middle of the body.
    assert places["abdomen or pelvis"].highest.value == 1
    assert not any("elsewhere" in name or name == "bladder" for name in places)
    evaluate(segmented.study.predictions, segmented.manifest, tmp_path / "report",
             settings=_FEW, maps=segmented.study.maps)  # fmt: skip
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "by part of the body only: no truth file" in page


def test_false_evidence_with_truth_of_some_says_of_how_many(segmented: Segmented) -> None:
    truth = {case.scan_id: case.truth for case in segmented.study.cases if not case.positive}
    for name in truth.values():
        (segmented.folder / name).parent.mkdir(exist_ok=True)
        (segmented.folder / name).write_bytes((segmented.study.folder / name).read_bytes())
    cases = [
        replace(case, truth=truth[case.scan_id])
        if case.scan_id in truth and int(case.scan_id[-3:]) < 30
        else case
        for case in read_manifest(segmented.manifest).cases
    ]
    write_manifest(cases, segmented.manifest)
    found = segmented.measured()
    count = found.false_positives[0].of
    assert 0 < found.places_known < count
    words = saliency_report._evidence_words(found)
    assert f"Of {count - found.places_known} of them no truth file" in words
    assert "bladder" in {row.name for row in found.false_positives}


def test_without_file_and_truth_nothing_is_said_of_places(segmented: Segmented) -> None:
    segmented.rewrite(file="")
    found = segmented.measured()
    assert found.false_positives == ()
    assert any("neither its file nor a truth file" in text for text in found.left_out)
    assert found.segmented == ()  # nor can anything be drawn


def test_masks_are_drawn_beside_the_maps(segmented: Segmented, tmp_path: Path) -> None:
    out = tmp_path / "report"
    evaluate(segmented.study.predictions, segmented.manifest, out, settings=_FEW,
             maps=segmented.study.maps)  # fmt: skip
    drawn = sorted((out / "figures").glob("segmented_*.png"))
    assert len(drawn) == 25  # of 30
    blue = np.asarray(Image.open(drawn[0]).convert("RGB")).astype(int)
    assert (blue[:, :, 2] - blue[:, :, 0] > 150).sum() > 100
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "25 of 30 scans with a physician's masks" in re.sub("&#39;", "'", page)
    assert page.count("best intersection over union") == 2 * 25  # captions, alternatives


def test_simulated_truth_is_not_drawn(study: Study) -> None:
    joined = join(read_predictions(study.predictions), read_manifest(study.manifest), source="p")
    found = _saliency(joined, read_maps(study.maps))
    assert found is not None
    assert (found.segmented, found.by_physicians) == ((), 0)


def test_failures_are_drawn_at_the_evaluations_point(
    segmented: Segmented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results file calls every scan positive; the evaluation does not."""
    answers: list[tuple[Prediction, float | None]] = []

    def noted(scan: Scan, answer: Prediction, **settings: object) -> object:
        assert isinstance(settings["operating_point"], float)
        answers.append((answer, settings["operating_point"]))
        return explain(scan, answer, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(figures, "explain", noted)
    evaluate(segmented.study.predictions, segmented.manifest, tmp_path / "report",
             settings=_FEW, maps=segmented.study.maps)  # fmt: skip
    assert len(answers) > 2
    assert {point for _, point in answers} == {0.5}
    assert {answer.positive for answer, _ in answers} == {True, False}
    assert all(answer.positive == (answer.mbd_probability >= 0.5) for answer, _ in answers)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count("<figcaption>False ") == len(answers)


def test_a_scan_of_other_pixels_is_not_at_hand(segmented: Segmented) -> None:
    manifest = read_manifest(segmented.manifest)
    case = manifest.split(Split.TEST)[0]
    mapped = read_maps(segmented.study.maps)[case.scan_id]
    stored = scan_at_hand(manifest, case, mapped)
    assert stored is not None
    assert stored.scan_id == case.scan_id
    assert scan_at_hand(manifest, case, replace(mapped, shape=(8, 8))) is None
    assert scan_at_hand(manifest, replace(case, file=""), mapped) is None


def test_the_lesions_of_a_subgroup_are_those_of_the_view_with_more(segmented: Segmented) -> None:
    manifest = read_manifest(segmented.manifest)
    case = next(c for c in manifest.cases if c.scan_id == "test-002")
    mask = np.zeros((ROWS, COLUMNS), dtype=bool)
    mask[::4, ::4] = True
    write_mask(mask, manifest.folder / case.mask_posterior)
    facts, negative = covariates_of([case, replace(case, positive=False)], manifest)
    assert facts.lesions == ROWS * COLUMNS // 16
    assert negative.lesions is None
    assert "Lesions" in {one.factor for one in segmented.evaluated().subgroups}
