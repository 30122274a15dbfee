from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonescint.model import (
    Classifier,
    Engine,
    ModelCard,
    ModelFolder,
    RunSettings,
    margin_of,
    write_model_folder,
)
from bonescint.model.engine import load_openvino
from bonescint.prepare import PreparedScan
from bonescint.scan import ModelFolderError, ParameterError, PlattCalibration, Scan, View


def test_the_answer_is_what_the_graph_says(folder: ModelFolder, scan: Scan) -> None:
    with Classifier(folder) as classifier:
        prediction = classifier.predict(scan)
        prepared = classifier.prepare(scan)
    mean = float(prepared.composite.mean())
    expected = 1 / (1 + np.exp(-(3 * mean - mean) / 2.0))
    assert prediction.mbd_probability == pytest.approx(expected, rel=1e-5)
    assert prediction.positive is bool(expected >= 0.6)
    assert prediction.model_id == folder.model_id
    assert prediction.warnings == ()
    cells = prepared.composite[0].reshape(4, 16, 4, 16).mean(axis=(1, 3))
    for view, half in ((View.ANTERIOR, cells[:, :2]), (View.POSTERIOR, cells[:, 2:])):
        for target, factor in (("no_mbd", 1), ("mbd", 2)):
            activation = prediction.activation_map(view, target)
            assert activation is not None
            np.testing.assert_allclose(activation.values, factor * half, rtol=1e-5)
            assert activation.extent == tuple(prepared.extents[view])


def test_a_missing_view_is_warned_of(folder: ModelFolder, scan: Scan) -> None:
    one_view = replace(scan, posterior=None, warnings=("old",))
    with Classifier(folder) as classifier:
        prediction = classifier.predict(one_view)
    assert prediction.warnings[0] == "old"
    assert prediction.warnings[1].startswith("anterior view only: ")
    assert {activation.view for activation in prediction.activation_maps} == {View.ANTERIOR}


@pytest.mark.parametrize("count", [0, 1, 2, 23])
def test_many_come_in_order_and_are_read_as_needed(
    folder: ModelFolder, scan: Scan, count: int
) -> None:
    rng = np.random.default_rng(1)
    scans = [
        scan.with_views(
            anterior=rng.poisson(3, (64, 32)), posterior=rng.poisson(3, (64, 32)), step="new"
        )
        for _ in range(count)
    ]
    read = 0
    with Classifier(folder, threads=1) as classifier:

        def prepared() -> Iterator[tuple[PreparedScan, tuple[str, ...]]]:
            nonlocal read
            for number, one in enumerate(scans):
                read += 1
                yield classifier.prepare(one), (f"scan {number}",)

        answers = []
        for answer in classifier.predict_many(prepared()):
            answers.append(answer)
            assert read - len(answers) < 8
        expected = [classifier.predict(one).mbd_probability for one in scans]
    assert [answer.mbd_probability for answer in answers] == pytest.approx(expected)
    assert [answer.warnings for answer in answers] == [(f"scan {n}",) for n in range(count)]


def test_another_recipe_is_refused(folder: ModelFolder, scan: Scan) -> None:
    with Classifier(folder) as classifier:
        prepared = replace(classifier.prepare(scan), preprocessing="other@1")
        with pytest.raises(ParameterError, match=r"small@1.*other@1"):
            classifier.predict_prepared(prepared)


def test_a_recipe_of_another_size_is_refused(
    folder: ModelFolder, card: ModelCard, onnx_bytes: bytes
) -> None:
    other = replace(card, preprocessing=replace(card.preprocessing, rows=128, columns=64))
    written = write_model_folder(folder.path, card=other, onnx=onnx_bytes)
    with pytest.raises(ModelFolderError, match=r"\(64, 64\).*\(128, 128\)"):
        Classifier(written)


def test_a_graph_that_openvino_cannot_read_is_refused(folder: ModelFolder, card: ModelCard) -> None:
    written = write_model_folder(folder.path, card=card, onnx=b"no graph")
    with pytest.raises(ModelFolderError, match=r"model\.onnx: OpenVINO cannot read it"):
        Classifier(written)


def test_devices_that_are_not_there_are_refused(onnx_bytes: bytes) -> None:
    with pytest.raises(ParameterError, match="cpu or gpu or auto"):
        RunSettings(device="tpu")
    with pytest.raises(ParameterError, match="threads"):
        RunSettings(threads=0)
    there = load_openvino().Core().available_devices
    if any(name.startswith("GPU") for name in there):
        pytest.skip("this machine has a GPU")
    with pytest.raises(ParameterError, match="sees here"):
        Engine(onnx_bytes, RunSettings(device="gpu"))
    with Engine(onnx_bytes, RunSettings(device="auto")) as engine:
        assert engine.composite_shape == (1, 1, 64, 64)


def test_a_closed_engine_and_another_shape_are_refused(onnx_bytes: bytes) -> None:
    engine = Engine(onnx_bytes)
    with pytest.raises(ParameterError, match="composite"):
        engine.run(np.zeros((1, 32, 32), dtype=np.float32))
    engine.close()
    with pytest.raises(ParameterError, match="closed"):
        engine.run(np.zeros((1, 64, 64), dtype=np.float32))


def test_an_error_in_the_stream_leaves_the_engine_usable(onnx_bytes: bytes) -> None:
    good = np.full((1, 64, 64), 0.5, dtype=np.float32)
    with Engine(onnx_bytes, RunSettings(throughput=True)) as engine:
        with pytest.raises(ParameterError):
            list(engine.run_many([good, good[:, :32]]))
        logits = engine.run(good).logits
    np.testing.assert_allclose(logits, [0.5, 1.5], rtol=1e-6)


@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(0.05, 20))
def test_the_probability_is_a_softmax(one: float, two: float, temperature: float) -> None:
    logits = np.array([one, two], dtype=np.float32)
    scaled = logits.astype(np.float64) / temperature
    expected = np.exp(scaled[1] - np.logaddexp(scaled[0], scaled[1]))
    found = PlattCalibration(slope=1 / temperature).probability(margin_of(logits))
    assert found == pytest.approx(expected, abs=1e-12)


def test_openvino_is_loaded_without_its_telemetry() -> None:
    load_openvino()
    used = sys.modules["openvino.tools.ovc"].telemetry  # type: ignore[attr-defined]
    assert "stub" in type(used).__module__


def test_the_run_time_never_loads_torch() -> None:
    import subprocess

    code = (
        "import sys, bonescint.model, bonescint.model.engine as t; t.load_openvino();"
        "print('torch' in sys.modules, 'openvino_telemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
