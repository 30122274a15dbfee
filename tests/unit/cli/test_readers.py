from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bonescint.cli import console
from bonescint.cli.app import app
from bonescint.mrmc import (
    CovarianceMethod,
    Hypothesis,
    RoeMetz,
    VarianceComponents,
    cases_needed,
    obuchowski_rockette,
    read_reads,
    simulate_reads,
)

pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reads with times, and a model's predictions."""
    folder = tmp_path_factory.mktemp("readers")
    study = simulate_reads(
        RoeMetz(difference=0.6), readers=3, positives=15, negatives=15, seed=1, levels=5
    )
    rng = np.random.default_rng(1)
    with (folder / "reads.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["reader", "modality", "case", "truth", "rating", "seconds"])
        for (i, j, k), rating in np.ndenumerate(study.ratings):
            writer.writerow(
                [j + 1, ("alone", "aided")[i], f"c{k}", int(study.truth[k]), rating, 10 + i + j]
            )
    with (folder / "predictions.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["scan_id", "mbd_probability"])
        for k, truth in enumerate(study.truth):
            writer.writerow([f"c{k}", float(np.clip(rng.normal(0.3 + 0.4 * truth, 0.2), 0, 1))])
    return folder


def run(*words: object) -> tuple[int, str, str]:
    ran = RUNNER.invoke(app, ["readers", *map(str, words)])
    return ran.exit_code, ran.stdout, ran.stderr


def test_analyse_writes_and_says_what_it_found(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said, notes = run(
        "analyse", folder / "reads.csv", "--model", folder / "predictions.csv", "--decide-at", 3,
        "--margin", 0.05, "--draws", 50, "--out", out,
    )  # fmt: skip
    assert code == 0, notes
    assert {path.name for path in out.iterdir()} == {
        "analysis.json", "analysis.xlsx", "sentences.txt", "roc.png", "figure-7.png",
    }  # fmt: skip
    assert "AUC of each reader" in said
    assert "The model's AUC was" in said
    assert "Research use only" in notes
    found = json.loads((out / "analysis.json").read_text())
    test = obuchowski_rockette(read_reads(folder / "reads.csv")).results[0].test
    assert test is not None
    generalisations = found["covariances"]["delong"]["generalisations"]
    assert generalisations["random readers, random cases"]["test"]["p"] == test.p


def test_analyse_says_how_far_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_LINE_S", 0.0)  # without a terminal: a line for each part
    _, _, notes = run("analyse", folder / "reads.csv", "--draws", 10, "--out", tmp_path / "out")
    assert "Analysing reads: 3 of 6 (50 %)" in notes.splitlines()


def test_json_is_all_that_is_printed(folder: Path, tmp_path: Path) -> None:
    code, said, _ = run(
        "analyse", folder / "reads.csv", "--endpoint", "sensitivity", "--at", 3, "--covariance",
        "jackknife", "--draws", 50, "--json", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    found = json.loads(said)
    assert found["study"]["endpoint"] == "sensitivity at rating >= 3"
    assert found["settings"]["covariance"] == "jackknife"


@pytest.mark.parametrize(
    ("nested", "design"),
    [("readers", "cases nested in readers"), ("modalities", "cases nested in modalities")],
)
def test_cases_may_be_nested(folder: Path, tmp_path: Path, nested: str, design: str) -> None:
    code, said, _ = run(
        "analyse", folder / "reads.csv", "--cases-nested-in", nested, "--draws", 50, "--json",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    assert json.loads(said)["study"]["design"] == design


def test_nested_cases_with_a_truth_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = ["reader,modality,case,truth,rating"]
    lines += [
        f"{reader},m{modality},{n},{(n + modality) % 2},{rng.integers(1, 6) + (n + modality) % 2}"
        for modality in range(2)
        for reader in "AB"
        for n in range(12)
    ]
    (tmp_path / "reads.csv").write_text("\n".join(lines))
    code, said, notes = run(
        "analyse", tmp_path / "reads.csv", "--cases-nested-in", "modalities", "--draws", 20,
        "--json", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, notes
    found = json.loads(said)["study"]
    assert (found["cases"], found["design"]) == (24, "cases nested in modalities")


@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        (["--endpoint", "partial-auc", "--from", "0.6"], "partial AUC (specificity 0.6 to 1)"),
        (
            ["--endpoint", "partial-auc", "--of-sensitivity"],
            "partial AUC (sensitivity 0.8 to 1)",
        ),
        (["--endpoint", "specificity", "--decide-at", "4"], "specificity at rating >= 4"),
    ],
)
def test_other_endpoints(folder: Path, tmp_path: Path, options: list[str], endpoint: str) -> None:
    code, said, _ = run(
        "analyse", folder / "reads.csv", *options, "--draws", 20, "--json", "--out",
        tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    found = json.loads(said)
    assert found["study"]["endpoint"] == endpoint
    partial = "partial" in endpoint  # which DeLong has no formula of
    assert found["settings"]["covariance"] == ("jackknife" if partial else "delong")


def test_rows_that_are_left_out_are_said_and_end_in_1(folder: Path, tmp_path: Path) -> None:
    table = (folder / "reads.csv").read_text() + "1,alone,c3,0,odd,\n"
    (tmp_path / "reads.csv").write_text(table)
    code, _, notes = run("analyse", tmp_path / "reads.csv", "--draws", 20, "--out", tmp_path / "o")
    assert code == 1
    assert "Left out: row 182: rating must be a number, got 'odd'" in notes
    assert (tmp_path / "o" / "analysis.json").exists()


def test_what_is_left_out_of_something_ends_in_1(folder: Path, tmp_path: Path) -> None:
    table = (folder / "reads.csv").read_text().splitlines()
    # Reader 3 read in one modality: the comparison goes on without.
    part = [line for line in table if not line.startswith("3,alone")]
    (tmp_path / "part.csv").write_text("\n".join(part))
    code, _, notes = run("analyse", tmp_path / "part.csv", "--draws", 20, "--out", tmp_path / "p")
    assert code == 1
    assert "Left out: reader 3: left out of the comparison" in notes
    # A case without a prediction.
    few = (folder / "predictions.csv").read_text().splitlines()[:-1]
    (tmp_path / "few.csv").write_text("\n".join(few))
    code, _, notes = run(
        "analyse", folder / "reads.csv", "--model", tmp_path / "few.csv", "--draws", 20, "--out",
        tmp_path / "few",
    )  # fmt: skip
    assert code == 1
    assert "Left out: 1 case without a prediction of the model" in notes
    # Ratings that do not say what calls disease leave nothing of the data out.
    code, _, notes = run("analyse", folder / "reads.csv", "--draws", 20, "--out", tmp_path / "all")
    assert code == 0
    assert "Remark: no rating was given from which disease is called" in notes


def test_a_study_without_any_figure_ends_in_2(folder: Path, tmp_path: Path) -> None:
    head, *rows = (folder / "reads.csv").read_text().splitlines()
    healthy = [row for row in rows if row.split(",")[3] == "0"]
    (tmp_path / "healthy.csv").write_text("\n".join([head, *healthy]))
    words = ("analyse", tmp_path / "healthy.csv", "--draws", 20, "--out", tmp_path / "out")
    code, _, error = run(*words)
    assert code == 2
    (line,) = [one for one in error.splitlines() if one.startswith("Error: ")]
    assert "reader 1 in modality aided has no AUC: no case with disease was read; reader 2" in line
    assert not (tmp_path / "out").exists()
    code, _, _ = run(*words, "--decide-at", 3)  # there is a specificity
    assert code == 1
    assert (tmp_path / "out" / "analysis.json").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gone.csv"], "no such file"),
        (["reads.csv", "--model", "gone.csv"], "no such file"),
        (["reads.csv", "--endpoint", "wafroc"], "one of ratings"),
        (
            ["reads.csv", "--endpoint", "partial-auc", "--covariance", "delong"],
            "jackknife, bootstrap",
        ),
        (["reads.csv", "--endpoint", "partial-auc", "--from", "2"], "'high'"),
        (["reads.csv", "--at", "3"], "--endpoint sensitivity"),
        (["reads.csv", "--from", "0.8"], "--from goes with --endpoint partial-auc"),
        (["reads.csv", "--endpoint", "froc", "--of-sensitivity"], "--of-sensitivity goes with"),
        (["reads.csv", "--endpoint", "auc", "--false-marks", "2"], "--false-marks goes with"),
        (["reads.csv", "--model-at", "0.4"], "--model-at goes with --model"),
        (["reads.csv", "--level", "2"], "'level'"),
        (["reads.csv", "--margin", "-1"], "above 0"),
        (["reads.csv", "--endpoint", "sensitivity", "--at", "nan"], "finite"),
    ],
)
def test_bad_input_is_one_line_and_ends_in_2(
    folder: Path, tmp_path: Path, words: list[str], says: str
) -> None:
    first = [folder / words[0]]
    code, _, error = run("analyse", *first, *words[1:], "--out", tmp_path / "out")
    assert code == 2
    (line,) = [one for one in error.splitlines() if one.startswith("Error: ")]
    assert says in line
    assert not (tmp_path / "out").exists()


def test_spaces_in_the_predictions_header(folder: Path, tmp_path: Path) -> None:
    text = (folder / "predictions.csv").read_text().replace(",", ", ")
    (tmp_path / "p.csv").write_text(text)
    code, said, notes = run(
        "analyse", folder / "reads.csv", "--model", tmp_path / "p.csv", "--draws", 20, "--out",
        tmp_path / "out",
    )  # fmt: skip
    assert code == 0, notes
    assert "The model's AUC was" in said


def test_predictions_of_other_cases(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("scan_id,mbd_probability\nother,0.5\n")
    code, _, error = run(
        "analyse", folder / "reads.csv", "--model", tmp_path / "p.csv", "--out", tmp_path / "out"
    )
    assert code == 2
    assert "of the cases that were read" in error


def test_size_from_a_conjecture() -> None:
    code, said, _ = run(
        "size", "--readers", 6, "--auc", 0.85, "--difference", 0.05, "--power", 0.8, "--json"
    )
    assert code == 0
    found = json.loads(said)
    needed = cases_needed(
        VarianceComponents.conjectured(auc=0.85, cases=100), Hypothesis(difference=0.05), readers=6
    )
    assert needed is not None
    assert found["result"]["cases"] == needed.cases
    assert found["result"]["power"] >= 0.8


def test_size_says_it_in_words(folder: Path) -> None:
    code, said, _ = run("size", "--cases", 200, "--auc", 0.85, "--difference", 0.05)
    assert code == 0
    assert "200 cases have a power of" in said
    assert "r1 0.5, r2 0.35, r3 0.3" in said
    code, said, _ = run(
        "size", "--readers", 3, "--auc", 0.85, "--difference", 0.01, "--reader-sd", 0.1
    )
    assert code == 0
    assert "No study of 3 readers reaches a power of 0.8" in said


def test_size_from_a_pilot(folder: Path) -> None:
    code, said, _ = run(
        "size", "--readers", 5, "--cases", 120, "--pilot", folder / "reads.csv", "--difference",
        0.05, "--covariance", "jackknife", "--json",
    )  # fmt: skip
    assert code == 0
    found = json.loads(said)
    analysis = obuchowski_rockette(
        read_reads(folder / "reads.csv"), method=CovarianceMethod.JACKKNIFE
    )
    assert found["pilot"]["cov2"] == analysis.errors.cov2
    code, said, _ = run(
        "size", "--readers", 5, "--pilot", folder / "reads.csv", "--difference", 0, "--margin",
        0.1, "--against-model", "--model", folder / "predictions.csv", "--json",
    )  # fmt: skip
    assert code == 2  # the pilot has two modalities


def test_size_from_components() -> None:
    code, said, _ = run(
        "size", "--readers", 6, "--difference", "0.04380032206119144",
        "--var", 0.0008022882655720683, "--cov1", 0.0003466137094407334, "--cov2",
        0.0003440748288608912, "--cov3", 0.00023902837089215508, "--var-tr", 0.0002004025235814576,
        "--pilot-cases", 114, "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(said)["result"]["cases"] == 251


def test_size_says_what_was_estimated_below_0() -> None:
    words = [
        "size",
        "--readers",
        6,
        "--difference",
        "0.05",
        "--var",
        0.0008,
        "--cov1",
        0.0003,
        "--cov2",
        0.0002,
        "--cov3",
        0.0003,
        "--var-tr",
        -0.0001,
        "--pilot-cases",
        114,
    ]
    code, said, errors = run(*words)
    assert code == 0
    everything = " ".join((said + errors).split())
    assert "(TR) is estimated as -0.0001, below 0, and counts as 0" in everything
    assert "Cov2 - Cov3 is estimated as -0.0001" in everything
    code, said, _ = run(*words, "--json")
    found = json.loads(said)
    assert [note["kind"] for note in found["notes"]] == ["remark", "remark"]
    assert found["pilot"]["reader"] == -0.0001


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--auc", "0.85"], "given, or --cases, or both"),
        (["--readers", "6"], "one of --pilot, --var"),
        (["--readers", "6", "--auc", "1.2"], "'auc'"),
        (["--readers", "6", "--auc", "0.8", "--var", "0.1"], "2 of them"),
        (["--readers", "6", "--var", "0.001"], "number of cases that it holds for"),
        (["--readers", "6", "--auc", "0.8", "--equivalence"], "given with --margin"),
        (["--readers", "1", "--auc", "0.8"], "'readers'"),
        (["--readers", "6", "--pilot", "r.csv", "--r1", "0.5"], "--r1 goes with --auc"),
        (["--readers", "6", "--auc", "0.8", "--var-tr", "0.1"], "--var-tr goes with --var"),
        (["--readers", "6", "--auc", "0.8", "--covariance", "delong"], "goes with --pilot"),
        (["--readers", "6", "--pilot", "r.csv", "--model", "p.csv"], "--against-model"),
        (["--readers", "6", "--auc", "0.8", "--r2", "0.1", "--r3", "0.3"], "at most r2 (0.1)"),
        (
            [
                "--readers",
                "6",
                "--var",
                "0.001",
                "--pilot-cases",
                "100",
                "--against-model",
                "--cov1",
                "0.0005",
            ],
            "'cov1'",
        ),
        (
            [
                "--readers",
                "6",
                "--var",
                "0.001",
                "--pilot-cases",
                "100",
                "--against-model",
                "--cov3",
                "0.0005",
            ],
            "0 against a model",
        ),
    ],
)
def test_sizes_that_cannot_be(words: list[str], says: str) -> None:
    code, _, error = run("size", "--difference", "0.05", *words)
    assert code == 2
    assert says in error
