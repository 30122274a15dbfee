from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bonescint.cli.app import app
from bonescint.cohort import write_manifest
from bonescint.scan import Case, Split


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    cases, lines = [], ["scan_id,mbd_probability"]
    for number in range(60):
        split = Split.VALIDATION if number < 30 else Split.TEST
        positive = number % 2 == 0
        cases.append(Case(scan_id=f"s{number}", patient_id=f"p{number}", centre="A", split=split,
                          positive=positive))  # fmt: skip
        lines.append(f"s{number},{rng.beta(3, 2) if positive else rng.beta(2, 3):.4f}")
    write_manifest(cases, tmp_path / "manifest.csv")
    (tmp_path / "p.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def _run(cohort: Path, *more: str, table: str = "p.csv") -> tuple[int, str]:
    arguments = ["evaluate", str(cohort / table), "--cohort", str(cohort / "manifest.csv"),
                 "--out", str(cohort / "report"), "--resamples", "50", *more]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_predictions_are_judged(cohort: Path) -> None:
    code, said = _run(cohort, "--rule", "specificity", "--at-least", "0.8")
    assert code == 0, said
    assert "30 scans of the test split, 15 with disease" in said
    assert "Area under the ROC curve 0." in said
    assert "specificity is at least 0.8" in said
    assert "Research use only" in said
    assert (cohort / "report" / "report.html").is_file()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("scan_id,mbd_probability\ns31,0.5\nghost,0.2\n", "row 3, column scan_id"),
        ("scan_id,p\ns31,0.5\n", "columns missing: mbd_probability"),
        ("scan_id,mbd_probability\ns31,2\ns32,x\n", "2 problems: row 2, column mbd_probability"),
        ("scan_id,mbd_probability\ns0,0.1\ns1,0.2\ns30,0.5\ns32,0.7\n", "no negatives"),
        ("scan_id,mbd_probability\ns30,0.5\ns31,0.7\n", "split validation: no scan"),
    ],
)
def test_bad_predictions_are_one_line_and_exit_2(cohort: Path, content: str, says: str) -> None:
    (cohort / "bad.csv").write_text(content, encoding="utf-8")
    code, said = _run(cohort, table="bad.csv")
    assert code == 2
    assert says in said
    assert "Traceback" not in said
    assert said.count("\n") == 1


def test_equal_scores_are_said(cohort: Path) -> None:
    rows = [f"s{number},0.4" for number in range(60)]
    (cohort / "equal.csv").write_text("\n".join(["scan_id,mbd_probability", *rows]))
    code, said = _run(cohort, table="equal.csv")
    assert code == 2
    assert "split validation, column mbd_probability: all 30 are 0.4" in said
    code, said = _run(cohort, "--operating-point", "0.5", table="equal.csv")
    assert code == 0, said
    assert "All of them have the probability 0.4" in said
    page = (cohort / "report" / "report.html").read_text(encoding="utf-8")
    assert "the model does not discriminate" in page


@pytest.mark.parametrize(
    ("more", "says"),
    [(("--at-least", "0.8"), "--at-least goes with"), (("--split", "validation"), "validation"),
     (("--rule", "best"), "--rule"), (("--operating-point", "2"), "operating-point")],
)  # fmt: skip
def test_choices_that_cannot_be(cohort: Path, more: tuple[str, ...], says: str) -> None:
    code, said = _run(cohort, *more)
    assert code == 2
    assert says in said


def test_lesions_need_results_of_quantify(cohort: Path) -> None:
    (cohort / "results.json").write_text('{"results": []}', encoding="utf-8")
    code, said = _run(cohort, "--lesions", str(cohort / "results.json"))
    assert code == 2
    assert "Give results.json of bonescint quantify" in " ".join(said.split())
