"""One scan in one call."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from typer.testing import CliRunner

import bonescint
from bonescint.classify import ScanResult, classify, classify_scan
from bonescint.cli.app import app
from bonescint.dicom import read
from bonescint.model import Classifier, ModelFolder, OodDetector, write_model_folder
from bonescint.model.ood import ViewDistribution
from bonescint.scan import Call, InputError, ModelFolderError, OutputError, ParameterError, View

WriteStudies = Callable[..., list[Path]]


@pytest.fixture
def study(write_studies: WriteStudies) -> Path:
    return write_studies(1)[0]


@pytest.fixture
def result(study: Path, stand_in_model: ModelFolder) -> ScanResult:
    return classify_scan(study, model=stand_in_model)


def test_every_form_gives_one_answer_that_of_the_batch(
    study: Path, stand_in_model: ModelFolder, result: ScanResult, tmp_path: Path
) -> None:
    batch = classify([study], tmp_path / "out", model=stand_in_model, workers=0).results[0]
    scan = read(study)
    arrays = {"anterior": scan.anterior, "posterior": scan.posterior, "unit": "counts"}
    with Classifier(stand_in_model) as classifier:
        again = [
            classify_scan(given, model=classifier)
            for given in (
                str(study), study.parent, pydicom.dcmread(study),
                io.BytesIO(study.read_bytes()), scan,
            )
        ]  # fmt: skip
        again.append(
            classify_scan(**arrays, pixel_spacing_mm=scan.pixel_spacing_mm, model=classifier)
        )
    again.append(classify_scan(study, model=str(stand_in_model.path)))
    assert result.mbd_probability == batch.mbd_probability
    assert result.call == ("positive" if batch.positive else "negative")
    assert {one.mbd_probability for one in again} == {batch.mbd_probability}
    assert again[0].scan.scan_id == batch.scan_id


def test_maps_lie_on_the_scans_own_pixels(result: ScanResult) -> None:
    assert set(result.maps) == set(View)
    for view, shown in result.maps.items():
        assert shown.shape == result.scan.shape
        assert shown.dtype == np.float32
        assert shown.min() >= 0
        assert result.maps[view.value] is not None  # type: ignore[index]
    # The stand-in's map is the local brightness: a hot place lies where the scan is bright.
    for view in View:
        image = result.scan.view(view)
        assert image is not None
        assert np.corrcoef(image.ravel(), result.maps[view].ravel())[0, 1] > 0.3


def test_a_missing_view_has_no_map(study: Path, stand_in_model: ModelFolder) -> None:
    scan = read(study)
    one = classify_scan(posterior=scan.posterior, unit="counts", model=stand_in_model)
    assert set(one.maps) == {View.POSTERIOR}
    assert any("posterior view only" in warning for warning in one.warnings)


def test_the_picture_is_that_of_the_batch(
    study: Path, stand_in_model: ModelFolder, result: ScanResult, tmp_path: Path
) -> None:
    batch = classify([study], tmp_path / "out", model=stand_in_model, workers=0).results[0]
    assert result.save_picture(tmp_path / "one.png") == tmp_path / "one.png"
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "out" / batch.picture).read_bytes()
    with pytest.raises(ParameterError, match=r"\.png"):
        result.save_picture(tmp_path / "one.jpg")
    with pytest.raises(OutputError):
        result.save_picture(tmp_path / "none" / "one.png")


def test_a_notebook_shows_the_answer_the_notice_and_the_picture(result: ScanResult) -> None:
    shown = result._repr_html_()
    assert f"<strong>{result.notice}</strong>" in shown
    assert "Research use only" in shown
    assert f"probability of metastatic bone disease {result.mbd_probability:.2f} (" in shown
    content = re.search('base64,([^"]+)"', shown)
    assert content is not None
    with Image.open(io.BytesIO(base64.b64decode(content[1]))) as picture:
        assert picture.size == result.explain().picture.size
    assert repr(result).startswith(f"ScanResult(scan_id='{result.scan.scan_id}', mbd_prob")


def test_nothing_hostile_reaches_a_notebook(study: Path, stand_in_model: ModelFolder) -> None:
    from dataclasses import replace

    scan = replace(read(study), scan_id="<script>alert(1)</script>")
    shown = classify_scan(scan, model=stand_in_model)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_errors_are_one_clear_line(
    study: Path, tmp_path: Path, stand_in_model: ModelFolder
) -> None:
    image = read(study).anterior
    for arrays in (image, [image, image], (image, image), [[1, 2], [3, 4]]):
        with pytest.raises(ParameterError, match=r"by name: anterior=, posterior="):
            classify_scan(arrays, model=stand_in_model)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="Got 'nothing'"):
        classify_scan(model=stand_in_model)
    with pytest.raises(ParameterError, match="left out where arrays are given"):
        classify_scan(study, anterior=image, model=stand_in_model)
    with pytest.raises(ParameterError, match="given with arrays alone"):
        classify_scan(study, unit="counts", model=stand_in_model)
    with pytest.raises(InputError, match=r"nowhere\.dcm"):
        classify_scan("nowhere.dcm", model=stand_in_model)
    with pytest.raises(ModelFolderError, match="no-model"):
        classify_scan(study, model="no-model")
    with pytest.raises(ParameterError, match="device"):
        classify_scan(study, model=stand_in_model, device="abacus")


def test_it_is_found_at_the_top_and_loads_nothing_before_it_is_used() -> None:
    assert bonescint.classify_scan is classify_scan
    assert "classify_scan" in dir(bonescint)
    with pytest.raises(AttributeError, match="no attribute 'classify_scans'"):
        bonescint.classify_scans  # noqa: B018
    code = (
        "import sys; before = set(sys.modules); import bonescint; dir(bonescint); "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - {'bonescint'} - set(sys.stdlib_module_names)), "
        "sorted(name for name in sys.modules if name.startswith('bonescint.'))); "
        "print(callable(bonescint.classify_scan))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["[] []", "True"]


def test_a_scan_unlike_those_that_the_model_knows_is_not_called(
    study: Path, stand_in_model: ModelFolder, tmp_path: Path
) -> None:
    """In Python, a notebook, the batch and its command; the exit status stays 0."""
    view = ViewDistribution(
        mean=np.zeros(512, np.float32), basis=np.eye(24, 512, dtype=np.float32),
        spread=np.ones(24, np.float32), centre=np.zeros(8), whitening=np.eye(8),
    )  # fmt: skip
    strange = OodDetector(
        views=dict.fromkeys(View, view), threshold=0.0, false_alarm_rate=0.01, scans=99,
        preprocessing=stand_in_model.card.preprocessing.identifier,
    )  # fmt: skip
    folder = write_model_folder(
        tmp_path / "model", card=stand_in_model.card,
        onnx=stand_in_model.onnx_path.read_bytes(), ood=strange,
    )  # fmt: skip
    usual = classify_scan(study, model=stand_in_model)
    answer, anyway = (classify_scan(study, model=folder, call_anyway=on) for on in (False, True))
    assert answer.positive is None
    assert answer.prediction.call is Call.NO_CALL
    assert answer.call == "no call: unlike the scans this model knows; adapt it to your camera"
    assert "no call: unlike the scans" in answer._repr_html_()
    assert answer.mbd_probability == anyway.mbd_probability == usual.mbd_probability
    for view, values in usual.maps.items():
        np.testing.assert_array_equal(answer.maps[view], values)
    assert anyway.positive is usual.positive
    assert anyway.call == f"{usual.call}, unlike the training scans"
    with Classifier(folder) as classifier, pytest.raises(ParameterError, match="call_anyway"):
        classify_scan(study, model=classifier, call_anyway=True)
    for words, call in ((), "no call"), (("--call-anyway",), usual.call):
        out = tmp_path / "out"
        arguments = ["classify", str(study), "--model", str(folder.path), "--out", str(out)]
        ran = CliRunner().invoke(app, [*arguments, "--workers", "0", *words])
        assert ran.exit_code == 0, ran.output
        assert ("--call-anyway" in ran.stderr) is not bool(words)
        with (out / "results.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert row["call"] == call
        document = json.loads((out / "results.json").read_text())
        assert document["calls"]["no_call"] == int(not words)
        assert document["settings"]["call_anyway"] is bool(words)
        assert document["results"][0]["prediction"]["call"] == call
