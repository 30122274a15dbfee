"""The score for inputs unlike the training cohort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bonescint.model import (
    Classifier,
    ModelCard,
    ModelFolder,
    OodDetector,
    features_of,
    fit_ood_detector,
    write_model_folder,
)
from bonescint.model.folder import METADATA, OOD_FILE
from bonescint.model.ood import OodFeatures, ViewFeatures, adapted_to
from bonescint.prepare import PreparedScan, prepare
from bonescint.prepare.framing import Extent
from bonescint.scan import Call, ModelFolderError, ParameterError, Prediction, Scan, View

WHOLE = Extent(0.0, 0.0, 512.0, 256.0)


def composite(seed: int, *, noise: float = 0.03, upside_down: bool = False) -> np.ndarray:
    """A blurry upright figure of random width and brightness, in both halves."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:256, 0:128]
    halves = []
    for _ in range(2):
        width = rng.uniform(25, 40) * (1 - 0.5 * rows / 256)
        body = np.exp(-(((columns - 64) / width) ** 2) * 2) * rng.uniform(0.4, 0.6)
        half = np.clip(body + rng.normal(0, noise, body.shape), 0, 1)
        halves.append(half[::-1] if upside_down else half)
    return np.hstack(halves)[None].astype(np.float32)


def prepared(array: np.ndarray, views: tuple[View, ...] = tuple(View)) -> PreparedScan:
    return PreparedScan(
        scan_id="s", composite=array, extents=dict.fromkeys(views, WHOLE), preprocessing="r@1"
    )


def features(seeds: range) -> Iterator[OodFeatures]:
    return (_features(seed) for seed in seeds)


@cache
def _features(seed: int) -> OodFeatures:
    return features_of(prepared(composite(seed)))


@pytest.fixture(scope="module")
def detector() -> OodDetector:
    return fit_ood_detector(
        features(range(150)),
        features(range(1000, 1100)),
        preprocessing="r@1",
        false_alarm_rate=0.05,
    )


def test_strange_inputs_are_told_and_usual_ones_are_not(detector: OodDetector) -> None:
    usual = [detector.score(one) for one in features(range(2000, 2100))]
    # Of 100 more, 5 are expected above; 14 has a chance below one in a thousand.
    assert sum(score > detector.threshold for score in usual) < 14
    for strange in (
        composite(1, upside_down=True),
        composite(1, noise=0.3),
        np.zeros((1, 256, 256), np.float32),
        1 - composite(1),
        np.random.default_rng(1).random((1, 256, 256), dtype=np.float32),
    ):
        found = features_of(prepared(strange))
        assert detector.score(found) > detector.threshold
        warning = detector.warning(found)
        assert warning is not None
        assert "unlike the training scans" in warning
        assert "above the 95th percentile of the reference scans (" in warning
    assert detector.warning(features_of(prepared(composite(2003)))) is None


def test_the_worse_view_decides_and_one_view_is_enough(detector: OodDetector) -> None:
    mixed = composite(2003)
    mixed[..., 128:] = composite(2003, upside_down=True)[..., 128:]
    whole = features_of(prepared(mixed))
    anterior = features_of(prepared(mixed, (View.ANTERIOR,)))
    assert set(anterior) == {View.ANTERIOR}
    assert detector.score(anterior) < detector.threshold < detector.score(whole)
    assert "posterior view" in str(detector.warning(whole))


def test_the_threshold_is_the_conformal_quantile(detector: OodDetector) -> None:
    scores = sorted(detector.score(one) for one in features(range(1000, 1100)))
    # ceil(0.95 * 101) = 96th smallest of 100.
    assert detector.threshold == pytest.approx(scores[95])
    few = fit_ood_detector(features(range(60)), features(range(1000, 1020)), preprocessing="r@1")
    assert few.false_alarm_rate == pytest.approx(1 / 21), "20 scans cannot tell 1 %"
    assert few.threshold == pytest.approx(max(few.score(f) for f in features(range(1000, 1020))))


def test_the_distance_is_mahalanobis(detector: OodDetector) -> None:
    """Against the definition, with the covariance built again from the whitening."""
    (found,) = features(range(7, 8))
    fitted = detector.views[View.ANTERIOR]
    difference = fitted.figures(found[View.ANTERIOR]) - fitted.centre
    precision = fitted.whitening.T @ fitted.whitening
    covariance = np.linalg.inv(precision)
    wanted = np.sqrt(difference @ np.linalg.solve(covariance, difference))
    assert fitted.distance(found[View.ANTERIOR]) == pytest.approx(float(wanted))


def test_cells_and_octaves_by_hand() -> None:
    array = np.zeros((1, 512, 512), np.float32)
    array[0, :16, :16] = 1  # one cell of 32 x 16, in the anterior half
    found = features_of(prepared(array))
    cells = found[View.ANTERIOR].cells.reshape(32, 16)
    assert cells[0, 0] == 1
    assert cells.sum() == 1
    assert not found[View.POSTERIOR].cells.any()
    filled = np.exp(found[View.ANTERIOR].figures[3]) - 1e-3
    assert filled == pytest.approx(1 / 512, rel=1e-3)
    noise = np.exp(found[View.ANTERIOR].figures[:3]) - 1e-6
    # 4 x 4 finest cells of equal value: no detail in the two finer octaves.
    assert noise[:2] == pytest.approx([0, 0], abs=1e-8)
    assert noise[2] == pytest.approx(((3 / 4) ** 2 + 3 * (1 / 4) ** 2) / 512, rel=1e-3)


def test_small_and_odd_composites_have_features() -> None:
    for rows, columns in ((64, 64), (33, 40), (513, 300)):
        array = np.random.default_rng(1).random((1, rows, columns), dtype=np.float32)
        found = features_of(prepared(array))
        assert found[View.ANTERIOR].cells.shape == (512,)
        assert np.isfinite(found[View.ANTERIOR].figures).all()


@pytest.mark.parametrize("counts", [(59, 30), (60, 19)])
def test_too_few_scans_are_refused(counts: tuple[int, int]) -> None:
    one = ViewFeatures(cells=np.zeros(512, np.float32), figures=np.zeros(6, np.float32))
    scans: list[list[OodFeatures]] = [[{View.ANTERIOR: one}] * count for count in counts]
    with pytest.raises(ParameterError, match="at least"):
        fit_ood_detector(*scans, preprocessing="r@1")
    with pytest.raises(ParameterError, match="false_alarm_rate"):
        fit_ood_detector([], [], preprocessing="r@1", false_alarm_rate=0)


def test_a_view_that_the_cohort_never_had_is_unlike(detector: OodDetector) -> None:
    anterior_only = replace(detector, views={View.ANTERIOR: detector.views[View.ANTERIOR]})
    found = features_of(prepared(composite(3), (View.POSTERIOR,)))
    assert anterior_only.score(found) == np.inf
    assert "none of them had this view" in str(anterior_only.warning(found))


def test_it_survives_the_disk(detector: OodDetector) -> None:
    again = OodDetector.from_bytes(detector.to_bytes())
    (found,) = features(range(9, 10))
    assert again.score(found) == pytest.approx(detector.score(found))
    assert (again.threshold, again.scans, again.preprocessing) == (detector.threshold, 100, "r@1")
    with pytest.raises(ModelFolderError, match="cannot be read"):
        OodDetector.from_bytes(b"broken", source="x")
    with pytest.raises(ModelFolderError, match="cannot be read"):
        OodDetector.from_bytes(detector.to_bytes()[:5000], source="x")


@pytest.fixture
def door(detector: OodDetector, card: ModelCard) -> OodDetector:
    return replace(detector, preprocessing=card.preprocessing.identifier, threshold=0.0)


def test_a_model_folder_carries_it(
    tmp_path: Path, card: ModelCard, onnx_bytes: bytes, door: OodDetector, scan: Scan
) -> None:
    certain = replace(card, uncertain_band=(0.2, 0.9), uncertain_rule="by hand")
    folder = write_model_folder(tmp_path / "m", card=certain, onnx=onnx_bytes, ood=door)
    assert folder.ood is not None
    readme = (tmp_path / "m" / "docs" / "README.md").read_text()
    assert "unlike the training cohort" in readme
    assert "From 0.2 to 0.9 a call is uncertain (by hand)." in readme
    with Classifier(folder) as classifier:
        answer = classifier.predict(scan)
        (streamed,) = classifier.predict_many([(prepare(scan, card.preprocessing), ())])
    assert answer.ood_score is not None
    assert answer.ood_score > 0
    assert any("unlike the training scans" in warning for warning in answer.warnings)
    assert streamed.ood_score == answer.ood_score
    assert (answer.call, answer.positive, answer.uncertain) == (Call.NO_CALL, None, False)
    assert streamed.call is Call.NO_CALL
    again = Prediction.from_json(answer.to_json())
    assert (again.call, again.ood_score) == (Call.NO_CALL, answer.ood_score)
    with Classifier(folder, call_anyway=True) as classifier:
        anyway = classifier.predict(scan)
    assert anyway.positive is (anyway.mbd_probability >= card.operating_point)
    assert (anyway.unlike, anyway.uncertain) == (True, True)
    assert anyway.mbd_probability == answer.mbd_probability
    again = Prediction.from_json(anyway.to_json())
    assert (again.uncertain, again.ood_score) == (True, answer.ood_score)


def test_older_folders_and_predictions_still_load(folder: ModelFolder, scan: Scan) -> None:
    assert ModelFolder.load(folder.path).ood is None
    with Classifier(folder) as classifier:
        answer = classifier.predict(scan)
    assert (answer.uncertain, answer.ood_score) == (False, None)
    old = {k: v for k, v in answer.to_json().items() if k not in ("uncertain", "ood_score")}
    assert Prediction.from_json(old).ood_score is None
    assert Prediction.from_json({**old, "unlike_score": 2.5}).ood_score == 2.5


def test_the_score_is_found_under_its_name_of_release_0_1(
    tmp_path: Path, card: ModelCard, onnx_bytes: bytes, door: OodDetector
) -> None:
    place = tmp_path / "m"
    former = {"models/likeness.npz": door.to_bytes()}
    write_model_folder(place, card=card, onnx=onnx_bytes, more=former)
    found = ModelFolder.load(place).ood
    assert found is not None
    assert found.threshold == door.threshold


def test_an_altered_or_foreign_score_is_refused(
    tmp_path: Path, card: ModelCard, onnx_bytes: bytes, door: OodDetector
) -> None:
    place = tmp_path / "m"
    write_model_folder(place, card=card, onnx=onnx_bytes, ood=door)
    assert OOD_FILE in (place / METADATA).read_text()
    (place / OOD_FILE).write_bytes(replace(door, threshold=99.0).to_bytes())
    with pytest.raises(ModelFolderError, match="wrong checksum"):
        ModelFolder.load(place)
    with pytest.raises(ModelFolderError, match="was fitted on scans prepared by other@1"):
        write_model_folder(
            tmp_path / "n",
            card=card,
            onnx=onnx_bytes,
            ood=replace(door, preprocessing="other@1"),
        )


@pytest.mark.parametrize("band", [(0.7, 0.8), (0.1, 0.5), (-0.1, 0.7), (0.5, 1.2)])
def test_a_band_lies_round_the_operating_point(card: ModelCard, band: tuple[float, float]) -> None:
    with pytest.raises(ParameterError, match="uncertain_band"):
        replace(card, uncertain_band=band)


def test_a_card_with_a_band_survives_json(card: ModelCard) -> None:
    banded = replace(card, uncertain_band=(0.5, 0.7), uncertain_rule="r")
    assert ModelCard.from_json(banded.to_json()) == banded
    assert [banded.is_uncertain(p) for p in (0.49, 0.5, 0.7, 0.71)] == [False, True, True, False]
    assert not card.is_uncertain(card.operating_point)


def shifted(seeds: range, by: float) -> list[OodFeatures]:
    """The same figures, as noisier and brighter scans of another place would have them."""
    return [
        {
            view: replace(one, figures=(one.figures + by).astype(np.float32))
            for view, one in found.items()
        }
        for found in features(seeds)
    ]


def test_the_score_moves_to_another_place(detector: OodDetector) -> None:
    here = shifted(range(3000, 3060), 1.0)
    assert all(detector.score(one) > detector.threshold for one in here)
    moved = adapted_to(detector, here)
    others = [moved.score(one) for one in shifted(range(4000, 4100), 1.0)]
    # 1/31 or 5 % of a hundred are expected above; 14 has a chance below one in a thousand.
    assert sum(score > moved.threshold for score in others) < 14
    assert (moved.scans, moved.false_alarm_rate) == (30, 0.05)
    assert moved.threshold >= detector.threshold
    strange = features_of(prepared(composite(1, upside_down=True)))
    assert moved.score(strange) > moved.threshold
    for view, one in moved.views.items():
        figures = [one.figures(found[view]) for found in here[::2]]
        assert one.centre == pytest.approx(np.median(figures, axis=0))
        assert one.whitening is detector.views[view].whitening, "disease was seen there alone"


def test_with_few_scans_the_limit_alone_moves(detector: OodDetector) -> None:
    here = shifted(range(3000, 3019), 1.0)
    moved = adapted_to(detector, here)
    assert moved.views == detector.views
    assert moved.threshold == pytest.approx(max(detector.score(one) for one in here))
    assert (moved.scans, moved.false_alarm_rate) == (19, 0.05)
    usual = adapted_to(detector, list(features(range(3000, 3010))))
    assert usual.threshold == detector.threshold, "it never becomes stricter"
    assert usual.false_alarm_rate == pytest.approx(1 / 11)
    with pytest.raises(ParameterError, match="at least one scan"):
        adapted_to(detector, [])
