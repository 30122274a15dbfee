from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import bonescint
from bonescint.classify import ClassifiedScan, ClassifyInterrupted, ClassifySummary, Refusal
from bonescint.cli.app import app
from bonescint.scan import MissingExtraError, ModelFolderError, OutputError

Patch = Callable[[Callable[..., ClassifySummary]], None]


def _summary(*, results: int = 1, refused: int = 0, interrupted: bool = False) -> ClassifySummary:
    return ClassifySummary(
        folder=Path("results"),
        model_id="m@1",
        operating_point=0.4,
        results=tuple(
            ClassifiedScan(
                scan_id=f"bs-{number}",
                source=f"scan{number}.dcm",
                views=("anterior", "posterior"),
                mbd_probability=0.5,
                positive=True,
                warnings=("[red]odd[/red]\x1b[31m",),
                picture="",
            )
            for number in range(results)
        ),
        refused=tuple(
            Refusal(source=f"bad{number}", kind="InputError", reason="is empty. Export it again.")
            for number in range(refused)
        ),
        interrupted=interrupted,
        seconds=1.0,
    )


@pytest.fixture
def with_classify(monkeypatch: pytest.MonkeyPatch) -> Patch:
    return lambda function: monkeypatch.setattr("bonescint.classify.classify", function)


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("results", "refused", "status"), [(2, 0, 0), (1, 1, 1), (0, 3, 2), (0, 0, 2)]
)
def test_the_exit_status_says_how_it_went(
    with_classify: Patch, results: int, refused: int, status: int
) -> None:
    with_classify(lambda *_, **__: _summary(results=results, refused=refused))
    ran = _run("classify", "scan.dcm")
    assert ran.exit_code == status
    assert ran.stderr.count("Refused: bad") == refused
    assert "Research use only" in ran.stderr


def test_the_table_shows_each_scan(with_classify: Patch) -> None:
    with_classify(lambda *_, **__: _summary(results=2))
    ran = _run("classify", "scan.dcm")
    assert "Call at 0.40" in ran.stdout
    assert "bs-1  scan1.dcm  AP+PA        0.500  positive" in ran.stdout
    assert "[red]odd[/red]\\x1b[31m" in ran.stdout


def test_a_long_table_is_cut(with_classify: Patch) -> None:
    with_classify(lambda *_, **__: _summary(results=100, refused=100))
    ran = _run("classify", "scan.dcm")
    assert "and 40 more in results/results.csv" in ran.stdout
    assert "and 40 more were refused" in ran.stderr


def test_json_is_all_there_is_on_standard_output(with_classify: Patch) -> None:
    with_classify(lambda *_, **__: _summary(refused=1))
    ran = _run("classify", "scan.dcm", "--json")
    content = json.loads(ran.stdout)
    assert content["results"][0]["scan_id"] == "bs-0"
    assert content["refused"][0]["source"] == "bad0"


def test_ctrl_c_has_its_own_status(with_classify: Patch) -> None:
    def stop(*_: object, **__: object) -> ClassifySummary:
        raise ClassifyInterrupted(_summary(interrupted=True))

    with_classify(stop)
    ran = _run("classify", "scan.dcm")
    assert ran.exit_code == 130
    assert "after 1 scans; those are written" in ran.stderr

    def stop_early(*_: object, **__: object) -> ClassifySummary:
        raise KeyboardInterrupt

    with_classify(stop_early)
    ran = _run("classify", "scan.dcm")
    assert (ran.exit_code, ran.stderr.strip()) == (130, "Stopped with Ctrl-C.")


@pytest.mark.parametrize(
    "error",
    [
        OutputError("out: cannot be written."),
        ModelFolderError("model: wrong checksum."),
        MissingExtraError("torch", "train"),
    ],
)
def test_errors_are_one_line(with_classify: Patch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> ClassifySummary:
        raise error

    with_classify(fail)
    ran = _run("classify", "scan.dcm")
    assert ran.exit_code == 2
    assert ran.stderr == f"Error: {error}\n"
    assert ran.stdout == ""


def test_options_reach_the_function(with_classify: Patch) -> None:
    given: dict[str, object] = {}

    def note(sources: list[Path], out: Path, **options: object) -> ClassifySummary:
        given.update(options, sources=sources, out=out)
        return _summary()

    with_classify(note)
    _run("classify", "a", "b", "-o", "there", "--model", "m", "--workers", "0", "--device", "auto")
    assert given["sources"] == [Path("a"), Path("b")]
    assert (given["out"], given["model"]) == (Path("there"), Path("m"))
    assert (given["workers"], given["device"]) == (0, "auto")


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify",),
        ("classify", "a", "--workers", "many"),
        ("classify", "a", "--device", "abacus"),
        ("nothing",),
        ("train", "a.csv"),
        ("simulate", "cohort", "--count", "0", "--out", "x"),
    ],
)
def test_bad_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    ran = _run(*arguments)
    assert ran.exit_code == 2
    assert "Error" in ran.stderr


def test_version() -> None:
    ran = _run("--version")
    assert (ran.exit_code, ran.stdout) == (0, f"bonescint {bonescint.__version__}\n")


@pytest.mark.parametrize(
    "command", [(), ("classify",), ("info",), ("train",), ("simulate", "cohort")]
)
def test_help_teaches_by_example(command: tuple[str, ...]) -> None:
    ran = _run(*command, "--help")
    assert ran.exit_code == 0
    assert f"bonescint {' '.join(command)}".strip() in ran.stdout
    assert "Examples:" in ran.stdout or "First steps:" in ran.stdout


def test_simulate_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: dict[str, object] = {}

    def simulate_cohort(out: Path, *, count: int, seed: int, **others: Any) -> None:
        given.update(out=out, count=count, seed=seed, workers=others["workers"])
        others["progress"](1, count)

    monkeypatch.setitem(
        sys.modules, "bonescint.cohort", SimpleNamespace(simulate_cohort=simulate_cohort)
    )
    ran = _run("simulate", "cohort", "--count", "3", "--seed", "5", "--out", str(tmp_path))
    assert ran.exit_code == 0
    assert given == {"out": tmp_path, "count": 3, "seed": 5, "workers": None}


@pytest.mark.parametrize(
    ("library", "extra"),
    [("mujoco", "simulate"), ("torch", "train"), ("lightning.pytorch", "train")],
)
def test_a_missing_library_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, library: str, extra: str
) -> None:
    def simulate_cohort(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"No module named '{library}'", name=library)

    monkeypatch.setitem(
        sys.modules, "bonescint.cohort", SimpleNamespace(simulate_cohort=simulate_cohort)
    )
    ran = _run("simulate", "cohort", "--out", "x")
    assert ran.exit_code == 2
    assert f"pip install 'bonescint[{extra}]'" in ran.stderr
