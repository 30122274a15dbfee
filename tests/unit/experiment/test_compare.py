"""Two run folders side by side, made by hand: rules, tables, cohorts that differ."""

from __future__ import annotations

import csv
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from bonescint.cohort import write_manifest
from bonescint.experiment import compare_runs
from bonescint.experiment.paths import fingerprint
from bonescint.scan import Case, InputError, Split

from .conftest import write_rows

_SPECIFIC = "where specificity is at least 0.99"
_SENSITIVE = "where sensitivity is at least 0.99"


def _cases(tests: Sequence[int]) -> list[Case]:
    """Twenty validation scans and some test scans, every other one with disease."""
    names = [(f"v{number}", Split.VALIDATION) for number in range(20)]
    names += [(f"t{number}", Split.TEST) for number in tests]
    return [
        Case(scan_id=name, patient_id=f"p-{name}", centre="A", split=split,
             positive=int(name[1:]) % 2 == 0)
        for name, split in names
    ]  # fmt: skip


def _probability(case: Case, noise: float) -> float:
    """The same for the same scan, whatever else a run holds."""
    rng = np.random.default_rng([1, *case.scan_id.encode()])
    line = rng.normal(2.0 if case.positive else -2.0, noise)
    return float(1 / (1 + np.exp(-line)))


def _run(
    folder: Path,
    cases: Sequence[Case],
    models: Mapping[str, float],
    *,
    rule: str = "where sensitivity equals specificity",
    manifest: str | None = None,
) -> Path:
    """A run folder with predictions of models, named with how noisy they are."""
    (folder / "predictions").mkdir(parents=True)
    (folder / "cohort").mkdir()
    write_manifest(cases, folder / "cohort" / "manifest.csv")
    study = {"cohort": {"manifest": manifest}, "models": dict(models), "rule": rule}
    (folder / "study.json").write_text(json.dumps({"study": study}), encoding="utf-8")
    for name, noise in models.items():
        rows = [[case.scan_id, _probability(case, noise)] for case in cases]
        table = folder / "predictions" / f"{name}.csv"
        write_rows(table, [["scan_id", "mbd_probability"], *rows])
    return folder


def _rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_common_scans_are_paired_by_name_and_the_table_is_written(tmp_path: Path) -> None:
    first = _run(tmp_path / "a", _cases(range(60)), {"m": 2.0})
    others = [*reversed(_cases(range(4, 66)))]
    second = _run(tmp_path / "b", others, {"same": 2.0, "other": 4.0})
    page = compare_runs(first, second, tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert "a: m, minus b: same" in text
    assert "56 test scans that both have read" in text
    assert "left out are 4 that only the first has read and 6 that only the second" in text
    rows = _rows_of(tmp_path / "out" / "comparison.csv")
    assert {row["second_model"] for row in rows} == {"same", "other"}
    assert {row["scans"] for row in rows} == {"56"}
    assert rows[0]["first_run"] == "a"
    assert rows[0]["measure"] == "roc_auc_score"
    for row in rows:  # the same numbers, read in another order, do not differ
        if row["second_model"] == "same" and row["test"] in ("DeLong, paired", "McNemar, exact"):
            assert float(row["difference"]) == 0, row["measure"]


def test_the_first_runs_rule_chooses_and_two_rules_are_said(tmp_path: Path) -> None:
    """Two runs of one model that differ in their rule alone."""
    cases = _cases(range(40))
    specific = _run(tmp_path / "specific", cases, {"m": 2.0}, rule=_SPECIFIC)
    sensitive = _run(tmp_path / "sensitive", cases, {"m": 2.0}, rule=_SENSITIVE)
    page = html.unescape(compare_runs(specific, sensitive, tmp_path / "one").read_text("utf-8"))
    assert f"{_SPECIFIC}, on each run's validation split" in page
    assert (
        "The runs had different rules. All operating points here follow the rule of the first "
        f"run, {_SPECIFIC}; the second run's was: {_SENSITIVE}."
    ) in page
    page = compare_runs(sensitive, sensitive, tmp_path / "two").read_text("utf-8")
    assert "different rules" not in page
    found = {}
    for name in ("one", "two"):
        rows = _rows_of(tmp_path / name / "comparison.csv")
        row = next(row for row in rows if row["measure"] == "sensitivity_score")
        assert row["first"] == row["second"]
        found[name] = float(row["first"])
    assert found["one"] < found["two"]


def test_a_collapsed_model_is_compared_too(tmp_path: Path) -> None:
    first = _run(tmp_path / "a", _cases(range(40)), {"m": 2.0})
    rows = [[case.scan_id, 0.5] for case in _cases(range(40))]
    write_rows(first / "predictions" / "m.csv", [["scan_id", "mbd_probability"], *rows])
    second = _run(tmp_path / "b", _cases(range(40)), {"m": 2.0})
    compare_runs(first, second, tmp_path / "out")
    assert float(_rows_of(tmp_path / "out" / "comparison.csv")[0]["first"]) == 0.5


def test_a_cohort_of_elsewhere_is_read_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = _cases(range(40))
    first = _run(tmp_path / "a", cases, {"m": 2.0}, manifest="own/manifest.csv")
    second = _run(tmp_path / "b", cases, {"m": 2.0})
    (first / "cohort" / "manifest.csv").unlink()
    with pytest.raises(
        InputError, match=r"study\.json: the run's cohort own/manifest\.csv does not exist"
    ):
        compare_runs(first, second, tmp_path / "out")
    (tmp_path / "own").mkdir()
    write_manifest(cases, tmp_path / "own" / "manifest.csv")
    monkeypatch.chdir(tmp_path)
    assert compare_runs(first, second, tmp_path / "out").is_file()


def test_a_rule_of_another_release_is_named(tmp_path: Path) -> None:
    first = _run(tmp_path / "a", _cases(range(40)), {"m": 2.0}, rule="where the moon is full")
    with pytest.raises(InputError, match=r"'where the moon is full' is not known to this release"):
        compare_runs(first, first, tmp_path / "out")


def test_predictions_of_former_settings_are_not_compared(tmp_path: Path) -> None:
    """A run that was restarted has them still, until its models have read the scans again."""
    run = _run(tmp_path / "a", _cases(range(40)), {"m": 2.0})
    (run / "steps").mkdir()
    note = run / "steps" / "train.m.json"
    note.write_text(json.dumps({"step": "train/m", "inputs": {}}), encoding="utf-8")
    with pytest.raises(InputError, match=r"has not finished train/m.*Finish the run first"):
        compare_runs(run, run, tmp_path / "out")
    note.write_text(json.dumps({"step": "train/m", "finished": "now", "inputs": {}}))
    assert compare_runs(run, run, tmp_path / "out").is_file()
    manifest, file = run / "cohort" / "manifest.csv", run / "study.json"
    content = {**json.loads(file.read_text()), "manifest_sha256": fingerprint(manifest)}
    file.write_text(json.dumps(content), encoding="utf-8")
    assert compare_runs(run, run, tmp_path / "out").is_file()
    write_manifest(_cases(range(50)), manifest)
    with pytest.raises(InputError, match=r"manifest\.csv: has changed since.*Finish the run first"):
        compare_runs(run, run, tmp_path / "out")
