from __future__ import annotations

import runpy
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bonescint.classify import ClassifySummary, demo, demo_sources
from bonescint.classify.classify import _TRUTHS
from bonescint.dicom import read
from bonescint.model import ModelFolder
from bonescint.scan import MissingExtraError


def test_a_real_scan_and_three_examples() -> None:
    real, *examples = demo_sources()
    assert real.name == "JPEG-LL.dcm"
    assert len(examples) == 4
    assert all(path.name.startswith("simulated-") for path in examples)
    assert [view.value for view in read(real).views] == ["anterior"]
    for path in examples:
        assert [view.value for view in read(path).views] == ["anterior", "posterior"]


def test_the_real_scan_comes_with_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(MissingExtraError, match=r"bonescint\[demo\]"):
        demo_sources()


def test_the_demonstration_classifies_all(
    tmp_path: Path, stand_in_model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bonescint.model.shipped_model", lambda: stand_in_model)
    seen: list[tuple[int, int]] = []
    note: Any = lambda done, total: seen.append((done, total))  # noqa: E731
    summary: ClassifySummary = demo(tmp_path / "out", workers=0, progress=note)
    assert (len(summary.results), summary.refused) == (5, ())
    assert seen[-1] == (5, 5)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<strong>Truth:</strong>") == 5
    left = {path.name: path.read_bytes() for path in (tmp_path / "out" / "scans").iterdir()}
    assert left == {path.name: path.read_bytes() for path in demo_sources()}


def test_the_truth_that_it_tells_is_the_simulators() -> None:
    """Each example is made again from its seed, and the foci counted."""
    pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
    from bonescint.simulate import camera_named, draw_anatomy, simulate_scan

    recipe = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "make_examples.py"))
    for name, seed, lesions, counts, camera, _ in recipe["STUDIES"]:
        rng = np.random.default_rng([2023, seed])
        made = simulate_scan(
            draw_anatomy(rng), camera_named(camera), rng,
            positive=lesions > 0, lesions=lesions, counts=counts, scan_id="again",
        )  # fmt: skip
        stored = read(recipe["OUT"] / f"{name}.dcm")
        np.testing.assert_array_equal(stored.anterior, made.scan.anterior)
        found = [
            focus.region
            for focus in made.truth.foci
            if focus.kind == "metastasis" and focus.view == "anterior"
        ]
        told = _TRUTHS[name]
        assert told.positive is made.truth.positive
        number = {0: "no metastasis", 1: "one metastasis", 9: "nine metastases"}[len(found)]
        assert told.words.startswith(number)
        assert all(region.split()[0] in told.words.replace("clavicles", "clavicle")
                   for region in found)  # fmt: skip
