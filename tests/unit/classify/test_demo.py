from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from bonescint.classify import ClassifySummary, demo, demo_sources
from bonescint.dicom import read
from bonescint.model import ModelFolder
from bonescint.scan import MissingExtraError


def test_a_real_scan_and_three_examples() -> None:
    real, *examples = demo_sources()
    assert real.name == "JPEG-LL.dcm"
    assert len(examples) == 3
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
    assert (len(summary.results), summary.refused) == (4, ())
    assert seen[-1] == (4, 4)
