from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import bonescint
import bonescint.cohort as cohort_room
from bonescint.classify import ClassifiedScan, ClassifyInterrupted, ClassifySummary, Refusal, Shard
from bonescint.cli.app import app
from bonescint.cli.console import open_in_browser
from bonescint.cohort import Protocol
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
    assert ran.stderr.count("Rejected: bad") == refused
    assert "Research use only" in ran.stderr


def test_the_table_shows_each_scan(with_classify: Patch) -> None:
    with_classify(lambda *_, **__: _summary(results=2))
    ran = _run("classify", "scan.dcm")
    assert "Call at 0.40" in ran.stdout
    assert "bs-1  scan1.dcm  AP+PA        0.500  positive" in ran.stdout
    assert "[red]odd[/red]\\x1b[31m" in ran.stdout


def test_the_operating_point_is_as_exact_as_the_probabilities(with_classify: Patch) -> None:
    with_classify(lambda *_, **__: replace(_summary(), operating_point=0.5013))
    assert "Call at 0.501" in _run("classify", "scan.dcm").stdout


def _from(source: Path) -> ClassifySummary:
    summary = _summary()
    (result,) = summary.results
    return replace(summary, results=(replace(result, source=str(source)),))


def test_a_long_source_is_cut_in_the_middle(with_classify: Patch) -> None:
    source = Path("/very") / "/".join(["long"] * 60) / "scan.dcm"
    with_classify(lambda *_, **__: _from(source))
    ran = _run("classify", "scan.dcm")
    assert "/very/long" in ran.stdout
    assert "/scan.dcm  " in ran.stdout
    assert len(ran.stdout.splitlines()) <= 3
    assert json.loads(_run("classify", "a", "--json").stdout)["results"][0]["source"] == str(source)


def test_the_name_of_the_results_folder_breaks_no_line(with_classify: Patch) -> None:
    with_classify(lambda *_, **__: replace(_summary(results=61), folder=Path("a\nb\x1b[31m")))
    ran = _run("classify", "scan.dcm")
    assert "Look at a\\x0ab\\x1b[31m/index.html" in ran.stderr
    assert "and 1 more in a\\x0ab\\x1b[31m/results.csv" in ran.stdout


def test_earlier_results_that_stay_are_said(with_classify: Patch) -> None:
    with_classify(lambda *_, **__: replace(_summary(results=0, refused=70), written=False))
    ran = _run("classify", "typo.dcm")
    assert ran.exit_code == 2
    assert "The earlier results in results are left as they are." in ran.stderr
    assert "and 10 more were rejected.\n" in ran.stderr
    assert "Look at" not in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", ""),
        ("classify", "a.dcm", ""),
        ("classify", "a.dcm", "--out", ""),
        ("classify", "a.dcm", "--model", ""),
        ("info", ""),
        ("demo", "--out", ""),
        ("train", "", "--out", "x"),
        ("train", "a.csv", "--out", ""),
        ("simulate", "cohort", "--out", ""),
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    with_classify: Patch, arguments: tuple[str, ...]
) -> None:
    with_classify(lambda *_, **__: _summary())
    ran = _run(*arguments)
    assert ran.exit_code == 2
    assert "an empty path. Give a name" in ran.stderr


@pytest.mark.parametrize(("option", "opened"), [("--open", 1), ("--no-open", 0)])
def test_demo_shows_its_page_where_wanted(
    monkeypatch: pytest.MonkeyPatch, option: str, opened: int
) -> None:
    pages: list[str] = []
    monkeypatch.setattr("bonescint.classify.demo", lambda *_, **__: _summary(results=4))
    monkeypatch.setattr("bonescint.cli.classify.open_in_browser", pages.append)
    ran = _run("demo", option)
    assert ran.exit_code == 0
    assert "bs-3  scan3.dcm" in ran.stdout
    assert pages == [Path("results/index.html").resolve().as_uri()] * opened


def test_no_browser_is_started_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    open_in_browser("http://127.0.0.1/")
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    open_in_browser("http://127.0.0.1/")
    assert opened == ["http://127.0.0.1/"]


def test_a_long_table_is_cut(with_classify: Patch) -> None:
    with_classify(lambda *_, **__: _summary(results=100, refused=100))
    ran = _run("classify", "scan.dcm")
    assert "and 40 more in results/results.csv" in ran.stdout
    assert "and 40 more were rejected" in ran.stderr


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
    assert (
        "after 1 scans, whose results are written. Rerun the same command to resume." in ran.stderr
    )

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
    assert given["hash_sources"] is False
    _run("classify", "a", "--shard", "3/40", "--no-pictures")
    assert (given["shard"], given["pictures"]) == (Shard(3, 40), False)
    ran = _run("classify", "a", "--hash-sources", "-o", "there")
    assert given["hash_sources"] is True
    assert f"{Path.cwd()}/there.private/sources.csv. Keep it, and do not share it." in ran.stderr


def test_without_ray_its_engine_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "ray" else real(name, *a)
    )
    ran = _run("classify", "scan.dcm", "--engine", "ray")
    assert ran.exit_code == 2
    assert "'ray' is not installed. It comes with an extra: pip install 'bonescint[cluster]'" in (
        ran.stderr
    )


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (("--engine", "ray", "--pictures"), "--pictures"),
        (("--engine", "ray", "--workers", "2"), "--workers"),
        (("--engine", "ray", "--dicom"), "--dicom"),
        (("--address", "auto"), "--address"),
        (("--actor-cpus", "2"), "--actor-cpus"),
    ],
)
def test_an_option_of_the_other_engine_is_refused(options: tuple[str, ...], option: str) -> None:
    ran = _run("classify", "scan.dcm", *options)
    assert ran.exit_code == 2
    assert f"'{option}' parameter of classify must be left out with --engine" in ran.stderr


def test_an_actor_without_a_share_of_a_gpu_is_refused() -> None:
    ran = _run("classify", "scan.dcm", "--engine", "ray", "--actor-gpus", "0")
    assert ran.exit_code == 2
    assert "'gpus' parameter of RaySettings must be above 0" in ran.stderr


def test_documented_defaults_of_classify(with_classify: Patch) -> None:
    given: dict[str, object] = {}

    def note(sources: list[Path], out: Path, **options: object) -> ClassifySummary:
        given.update(options, out=out)
        return _summary()

    with_classify(note)
    _run("classify", "a")
    del given["progress"]
    assert given == {
        "out": Path("results"), "model": None, "workers": None, "device": "cpu",
        "hash_sources": False, "call_anyway": False, "dicom": False, "fhir": False,
        "parquet": False, "maps": False, "site": "", "sites_by_folder": False,
        "shard": None, "pictures": True,
    }  # fmt: skip


def test_what_a_stopped_run_had_done_is_said(with_classify: Patch) -> None:
    with_classify(lambda *_, **__: replace(_summary(), taken_over=12))
    said = _run("classify", "a").stderr
    assert "12 scans were finished by an interrupted run, and were kept." in said


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
    "command",
    [
        (),
        ("classify",),
        ("demo",),
        ("info",),
        ("train",),
        ("simulate", "cohort"),
        ("simulate", "scan"),
        ("simulate", "truth"),
        ("simulate", "gallery"),
    ],
)
def test_help_teaches_by_example(command: tuple[str, ...]) -> None:
    ran = _run(*command, "--help")
    assert ran.exit_code == 0
    assert f"bonescint {' '.join(command)}".strip() in ran.stdout
    assert "Example" in ran.stdout or "First steps:" in ran.stdout


def test_simulate_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[dict[str, object]] = []

    def simulate_cohort(out: Path, protocol: Protocol, **others: Any) -> object:
        others.pop("progress")(1, protocol.count)
        given.append({"out": out, "name": protocol.name, "count": protocol.count, **others})
        return SimpleNamespace(occult=SimpleNamespace(cases=()), changed_centres=lambda _: ())

    monkeypatch.setattr(cohort_room, "simulate_cohort", simulate_cohort)
    there = ("--out", str(tmp_path))
    assert _run("simulate", "cohort", "--count", "3", "--seed", "5", *there).exit_code == 0
    assert _run("simulate", "cohort", "--protocol", "ibrahim2023", *there).exit_code == 0
    assert _run("simulate", "cohort", *there).exit_code == 0
    assert [(one["count"], one["seed"]) for one in given] == [(3, 5), (2365, 1), (20, 1)]
    assert given[1]["name"] == "ibrahim2023"


def test_simulate_cohort_takes_a_count_or_a_protocol(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "c"))
    ran = _run("simulate", "cohort", "--count", "3", "--protocol", "ibrahim2023", *out)
    assert ran.exit_code == 2
    assert "not both" in ran.stderr
    ran = _run("simulate", "cohort", "--protocol", "ibrahim", *out)
    assert ran.exit_code == 2
    assert "ibrahim2023" in ran.stderr
    assert not (tmp_path / "c").exists()


def test_simulate_scan_passes_its_options_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
    out, truth = tmp_path / "one.dcm", tmp_path / "one.json"
    wanted = ("--primary", "breast", "--lesions", "2", "--camera", "forte", "--counts", "5e5")
    ran = _run("simulate", "scan", *wanted, "--out", str(out), "--truth", str(truth))
    assert ran.exit_code == 0, ran.stderr
    assert "a synthetic woman of" in ran.stderr
    assert "on the camera forte" in ran.stderr
    assert out.is_file()
    assert '"positive": true' in truth.read_text()
    refused = _run("simulate", "scan", "--camera", "nikon", "--out", str(tmp_path / "two.dcm"))
    assert refused.exit_code == 2
    assert "one of discovery" in refused.stderr
    assert not (tmp_path / "two.dcm").exists()


@pytest.mark.parametrize(
    ("out", "truth", "message"),
    [
        ("same.json", "same.json", "files of their own"),
        ("a.dcm", "a.txt", r"ends in .json or .npz"),
        ("none/a.dcm", "a.json", "in a folder that exists"),
        ("a.dcm", "none/a.json", "in a folder that exists"),
        (".", "a.json", "cannot be written"),
    ],
)
def test_targets_are_checked_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, truth: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = _run("simulate", "scan", "--out", out, "--truth", truth)
    assert ran.exit_code == 2
    assert message in ran.stderr
    assert not list(tmp_path.iterdir())


def test_simulate_gallery_draws(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
    out = tmp_path / "gallery.png"
    assert _run("simulate", "gallery", "--count", "2", "--out", str(out)).exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("library", "extra"),
    [("mujoco", "simulate"), ("torch", "train"), ("lightning.pytorch", "train")],
)
def test_a_missing_library_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, library: str, extra: str
) -> None:
    def simulate_cohort(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"No module named '{library}'", name=library)

    monkeypatch.setattr(cohort_room, "simulate_cohort", simulate_cohort)
    ran = _run("simulate", "cohort", "--out", "x")
    assert ran.exit_code == 2
    assert f"pip install 'bonescint[{extra}]'" in ran.stderr


@pytest.mark.parametrize("library", ["sqlalchemy", "fsrs"])
def test_teaching_names_its_own_extra(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == library else found(name, *more),
    )
    ran = _run("teach", "--no-open")
    assert ran.exit_code == 2
    assert f"'{library}' is not installed" in ran.stderr
    assert "bonescint[teach]" in ran.stderr
