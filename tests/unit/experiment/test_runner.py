"""A whole small study: simulate, train, read, judge, report; stopped and gone on with."""

from __future__ import annotations

import csv
import hashlib
import json
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from bonescint.cli.app import app
from bonescint.cohort import Manifest
from bonescint.evaluate import Estimate
from bonescint.experiment import compare_runs, read_experiment, run_experiment, steps
from bonescint.experiment.report import experiment_report
from bonescint.experiment.runner import require_sound, require_usable_cohort
from bonescint.experiment.spec import experiment_from
from bonescint.model import shipped_model
from bonescint.scan import BonescintError, Case, InputError, ParameterError, Split

_PROTOCOL = """
name: tiny
version: 1
centres:
  A:
    cameras: {discovery: 1.0}
    studies:
      train: {positive: 4, negative: 5}
      validation: {positive: 4, negative: 4}
  C:
    cameras: {symbia: 1.0}
    studies:
      test: {positive: 5, negative: 5}
"""
_SETTINGS = """
network: NETWORK
stages: [{epochs: 1, rows: 64}]
batch_size: 4
loader_workers: 0
frozen_blocks: 0
scan_augmentations: []
shape: {channels: [4, 4, 4, 4, 4], hidden: 4, cells: 4}
precision: float32
"""
_STUDY = """
name: tiny
about: A study for a test.
cohort: {protocol: tiny.yaml, seed: 5}
models:
  one: {settings: one.yaml}
  two: {settings: two.yaml, seed: 3}
rule: {specificity: 0.9}
resamples: 100
published: ibrahim2023
reader_study: "readers of ours/index.html"
external: [C]
metadata: study-metadata.yaml
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(_PROTOCOL, encoding="utf-8")
    for name, network in (("one", "vgg16"), ("two", "compact-cells")):
        text = _SETTINGS.replace("NETWORK", network)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "readers of ours").mkdir()
    (tmp_path / "readers of ours" / "index.html").write_text("<p>Readers.</p>", encoding="utf-8")
    (tmp_path / "study-metadata.yaml").write_text("funding: none\n", encoding="utf-8")
    file = tmp_path / "study.yaml"
    file.write_text(_STUDY, encoding="utf-8")
    return file


@pytest.fixture
def small_weights(tmp_path: Path) -> Path:
    """Random kernels of a narrow VGG16, in our own layout."""
    safetensors = pytest.importorskip("safetensors.numpy", reason="needs the extra 'train'")
    import numpy as np

    from bonescint.train.imagenet import NAMES

    rng, inputs, tensors = np.random.default_rng(1), 3, {}
    for name in NAMES:
        kernel = rng.normal(0, np.sqrt(2 / (9 * inputs)), (4, inputs, 3, 3))
        tensors[f"{name}.weight"] = kernel.astype(np.float32)
        tensors[f"{name}.bias"] = np.zeros(4, np.float32)
        inputs = 4
    file = tmp_path / "narrow.safetensors"
    safetensors.save_file(tensors, file, {"input": "unit"})
    return file


def _has_weasyprint() -> bool:
    """Whether WeasyPrint and the library Pango are there."""
    try:
        import weasyprint
    except (ImportError, OSError):
        return False
    return bool(weasyprint.__version__)


@pytest.mark.timeout(1800)
def test_a_study_runs_stops_goes_on_and_reports(
    tmp_path: Path, study_file: Path, small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_experiment(study_file)
    out = tmp_path / "run"

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps, "evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(study, out, weights=small_weights, workers=1)
    model = out / "models" / "two" / "models" / "model.onnx"
    before = model.stat().st_mtime_ns
    paths = run_experiment(study, out, weights=small_weights, workers=1)
    assert model.stat().st_mtime_ns == before  # what was done is not done again
    page = paths.report.read_text(encoding="utf-8")
    for text in ("Table 1", "CLAIM 2020", "STARD 2015", "as published", "80.45 %", "simulated",
                 "Research use only", "a fifth of the counts", "Model card: two",
                 "the head and blocks 1 to 5", "Prepared scans, 512 x 512", "Network of two",
                 "one: the test split through the index test", "median (interquartile range)",
                 "no whole number of 587", "Uncertain band", "Intended use",
                 "true positives of both", "0.895 (0.087)", "0.79, 0.63", "about 2 s",
                 "train, centre B", "94 with, 206 without",
                 'href="../readers%20of%20ours/index.html"'):  # fmt: skip
        assert text in page, text
    _check_files_beside_the_page(out)
    _check_what_a_simulator_knows(out)
    assert "http://" not in page.replace("http://www.w3.org", "")
    if _has_weasyprint():
        assert paths.pdf.read_bytes().startswith(b"%PDF")
    # Laying out the pages of the further runs takes as long, and nothing here looks at them.
    monkeypatch.setattr(experiment_report, "write_pdf", lambda *_: None)
    with (out / "external-uses.csv").open(encoding="utf-8") as stream:
        uses = list(csv.DictReader(stream))
    assert [(use["model"], use["centres"]) for use in uses] == [("one", "C"), ("two", "C")]
    # Run once more, nothing is scored again.
    run_experiment(study, out, weights=small_weights, workers=1)
    assert len((out / "external-uses.csv").read_text(encoding="utf-8").splitlines()) == 3
    _check_scans_keep_the_names_of_their_manifest(out, tmp_path)
    _check_corrections_reach_every_table(out, tmp_path)
    compared = compare_runs(out, out, tmp_path / "compared").read_text(encoding="utf-8")
    assert "run: one, minus run: two" in compared


def _check_files_beside_the_page(out: Path) -> None:
    for name in ("roc", "flow", "flow-one", "input-1", "network-1"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (out / "figures" / f"{name}.svg").read_bytes()
    content = json.loads((out / "study.json").read_text(encoding="utf-8"))
    manifest = (out / "cohort" / "manifest.csv").read_bytes()
    assert content["manifest_sha256"] == hashlib.sha256(manifest).hexdigest()
    assert {"bonescint", "python", "torch", "openvino"} <= set(content["software"])
    splits = Counter(row["split"] for row in _rows(out / "splits.csv"))
    assert splits == {"train": 9, "validation": 8, "test": 10}
    (calls,) = (out / "tables").glob("*-calls-of-the-model-folders*.csv")
    for name in ("one", "two"):  # every test scan is counted once
        found = [row for row in _rows(calls) if row["Model"] == name]
        assert sum(int(row["With disease"]) for row in found) == 5
        assert sum(int(row["Without disease"]) for row in found) == 5
    (left,) = (out / "tables").glob("*-remaining-1-auc.csv")
    areas = {
        name: roc_auc_score(
            [int(row["label"]) for row in cases], [float(row["mbd_probability"]) for row in cases]
        )
        for name in ("one", "two")
        if (cases := _rows(out / "evaluation" / name / "tables" / "cases.csv"))
    }
    found = {row[""]: row for row in _rows(left)}
    assert float(found["two"]["1 - AUC"]) == pytest.approx(1 - areas["two"], abs=5e-4)
    ratio = (1 - areas["two"]) / (1 - areas["one"])
    assert float(found["two"]["Relative to one"].split()[0]) == pytest.approx(ratio, abs=5e-4)


def _check_what_a_simulator_knows(out: Path) -> None:
    """The metadata's only topic is funding: abstract, limitations and the like stay open."""
    (models,) = (out / "tables").glob("*-models.csv")
    assert [row["Seed"] for row in _rows(models)] == ["1", "3"]
    (claim,) = (out / "tables").glob("*-claim-2020-item-by-item.csv")
    filled = {row["Item"]: (row["Filled by"], row["With"]) for row in _rows(claim)}
    assert filled["7"] == ("this run", "simulated: protocol tiny, version 1, seed 5")
    assert "ratio of 5 or more" in filled["8"][1]  # Disease's default
    assert filled["32"] == ("this run", "centre C")
    assert filled["42"][1] == "none"
    assert {item for item, (by, _) in filled.items() if by == "open"} == {
        "1", "2", "3", "4", "6", "38", "39", "40", "41"}  # fmt: skip
    (places,) = (out / "tables").glob("*-where-the-highest-evidence-of-false-positives-lies.csv")
    for name in ("one", "two"):
        cases = _rows(out / "evaluation" / name / "tables" / "cases.csv")
        false = sum(row["outcome"] == "false positive" for row in cases)
        counts = [int(row[f"{name} ({false})"].split(":")[0]) for row in _rows(places)]
        assert sum(counts) == false


def _check_scans_keep_the_names_of_their_manifest(out: Path, tmp_path: Path) -> None:
    """A manifest that somebody else wrote calls its scans as it likes."""
    rows = _rows(out / "cohort" / "manifest.csv")
    with (out / "cohort" / "own.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(row | {"scan_id": f"ours-{n}"} for n, row in enumerate(rows))
    content = {
        "name": "own",
        "cohort": {"manifest": str(out / "cohort" / "own.csv")},
        "models": {"given": {"folder": str(out / "models" / "one")}},
        "resamples": 100,
    }
    study = experiment_from(content, "own.yaml", folder=Path())
    paths = run_experiment(study, tmp_path / "own", workers=1)
    given = {row["scan_id"]: row["mbd_probability"] for row in _rows(paths.predictions("given"))}
    before = {row["scan_id"]: row["mbd_probability"] for row in _rows(out / "predictions/one.csv")}
    for number, row in enumerate(rows):
        if row["split"] != "train":
            assert given[f"ours-{number}"] == before[row["scan_id"]]
    assert "Maps of true positives" in paths.report.read_text(encoding="utf-8")


def _check_corrections_reach_every_table(out: Path, tmp_path: Path) -> None:
    """A model that was given, with a corrected label, another rule and other resamples."""
    manifest, run = out / "cohort" / "own.csv", tmp_path / "own"
    rows = [row | {"truth": ""} for row in _rows(manifest)]
    wrong = next(row for row in rows if row["split"] == "test" and row["label"] == "0")
    wrong["label"] = "1"
    with manifest.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    content = {"name": "own", "cohort": {"manifest": str(manifest)},
               "models": {"given": {"folder": str(out / "models" / "one")}},
               "resamples": 150, "rule": {"sensitivity": 0.5}}  # fmt: skip
    files = {name: (run / f"{name}.csv").read_bytes()
             for name in ("predictions/given", "robustness/given", "map-sanity/given")}  # fmt: skip
    told: list[str] = []
    run_experiment(experiment_from(content, "own.yaml", folder=Path()), run, workers=1,
                   tell=told.append)  # fmt: skip
    assert "[2 of 5] Reading with given: done before" in told
    assert any(
        text.startswith("[3 of 5] Evaluating given again, because of a change in: ")
        for text in told
    )
    assert not any("Training" in text for text in told), "a model that is given is not trained"
    cases = _rows(run / "evaluation" / "given" / "tables" / "cases.csv")
    assert {row["scan_id"]: row["label"] for row in cases}[wrong["scan_id"]] == "1"
    for name, before in files.items():
        same = (run / f"{name}.csv").read_bytes() == before
        assert same == name.startswith("predictions"), name


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("two.yaml", "nobody.yaml", "nobody.yaml: no such file"),
        ("{settings: two.yaml, seed: 3}", "{folder: no-model}", "no-model: no such model folder"),
        ("seed: 3}", "weights: w.h5}", "w.h5: no such file"),
        ("seed: 3}", "weights: narrow.safetensors}", "a vgg16 network, the settings ask for"),
        ("settings: two.yaml", "settings: frozen.yaml", "frozen_blocks"),
        ("published: ibrahim2023", "published: somebody", "one of ibrahim2023"),
        ("readers of ours/index", "readers of none/index", "no such page of a reader study"),
        ("metadata: study-metadata.yaml", "metadata: m.yaml", "m.yaml: no such file"),
    ],
)
def test_what_a_study_names_is_looked_at_before_any_work(
    tmp_path: Path, study_file: Path, small_weights: Path, old: str, new: str, says: str
) -> None:
    assert small_weights.name == "narrow.safetensors"
    (tmp_path / "frozen.yaml").write_text("network: compact-cells\n")
    text = study_file.read_text(encoding="utf-8")
    assert old in text
    study_file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(BonescintError, match=says):
        run_experiment(read_experiment(study_file), tmp_path / "run")
    assert not (tmp_path / "run" / "cohort").exists()


def test_another_table_is_not_taken_for_that_of_external_uses(
    tmp_path: Path, study_file: Path, small_weights: Path
) -> None:
    table = tmp_path / "mine.csv"
    for text in ("when,model,auc\nnow,m,0.9\n", ""):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"mine\.csv: is no table of external uses"):
            run_experiment(
                read_experiment(study_file), tmp_path / "run", weights=small_weights,
                external_uses=table,
            )  # fmt: skip
        assert table.read_text(encoding="utf-8") == text
    assert not (tmp_path / "run").exists()


def test_the_headline_of_an_area_of_one_says_why_it_has_no_interval() -> None:
    without = Estimate(value=1.0, note="complete separation")
    assert experiment_report._headline(without, best=True) == (
        "1.000", "complete separation; highest",
    )  # fmt: skip
    area = Estimate(value=0.9, low=0.8, high=0.95)
    assert experiment_report._headline(area, best=False) == (
        "0.900", "95 % interval 0.800 to 0.950",
    )  # fmt: skip


def test_a_study_wants_one_process_and_says_how_to_train_with_more(
    tmp_path: Path, study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ParameterError, match="torchrun -m bonescint train"):
        run_experiment(read_experiment(study_file), tmp_path / "run")


def test_an_external_centre_without_scans_is_named(tmp_path: Path, study_file: Path) -> None:
    study = replace(read_experiment(study_file), external=("C", "Z"))
    cases = [
        Case(scan_id=f"{split}-{label}", patient_id=f"{split}-{label}", centre="C", split=split,
             positive=label)
        for split in Split
        for label in (True, False)
    ]  # fmt: skip
    cohort = Manifest(cases=tuple(cases), folder=tmp_path)
    with pytest.raises(ParameterError, match=r"centres of the cohort \(C\).*Z"):
        require_usable_cohort(study, cohort, tmp_path / "m.csv")


def test_a_cohort_that_cannot_be_studied_is_named_before_any_training(
    tmp_path: Path, study_file: Path
) -> None:
    rows = ["scan_id,patient_id,centre,split,label,file"]
    rows += [f"s{n},p{n},A,{split},1,s{n}.dcm" for n, split in enumerate(("train", "test"))]
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    text = study_file.read_text(encoding="utf-8")
    first = text.index("cohort:")
    study_file.write_text(
        text[:first] + "cohort: {manifest: m.csv}\n" + text[text.index("models:") :],
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=r"split train, column label: 1 of 1 scans"):
        run_experiment(read_experiment(study_file), tmp_path / "run")
    assert not (tmp_path / "run" / "models").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cohorts": 1}, "unknown key 'cohorts'"),
        ({"cohort": {"protocol": "a", "manifest": "b"}}, "either a protocol or a manifest"),
        ({"models": {}}, "models"),
        ({"models": {"a": {"setting": "x"}}}, "models.a: unknown key 'setting'"),
        ({"models": {"a/b": {"settings": "bonescint"}}}, "letters, digits"),
        ({"reference": "c"}, "one of a"),
        ({"rule": "best"}, "rule: must be balanced"),
        ({"rule": {"specificity": 2}}, "specificity"),
        ({"resamples": 3}, "from 100"),
        ({"external": "C"}, "external: must be a list"),
        ({"metadata": {"fundings": "none"}}, "study.yaml, metadata.*unknown topic 'fundings'"),
    ],
)
def test_a_study_that_makes_no_sense_is_named(change: dict[str, object], says: str) -> None:
    content = {
        "name": "s",
        "cohort": {"protocol": "ibrahim2023"},
        "models": {"a": {"settings": "bonescint"}},
    } | change
    with pytest.raises(InputError, match=says):
        experiment_from(content, "study.yaml", folder=Path())


def test_the_papers_study_is_the_papers() -> None:
    study = read_experiment("ibrahim2023")
    assert list(study.models) == ["paper", "paper-converging", "bonescint"]
    assert study.external == ("C",)
    assert isinstance(study.metadata, dict)
    assert study.metadata["registration"] == "none"
    assert read_experiment("studies/ibrahim2023.yaml") == study
    with pytest.raises(ParameterError, match="ibrahim2023"):
        read_experiment("nobody")
    with pytest.raises(InputError, match="no such file"):
        read_experiment("studies/nobody.yaml")


def test_weights_that_cannot_be_had_are_said_before_the_cohort_is_simulated(
    tmp_path: Path, study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(InputError, match=r"model one would start.*settings: compact.*model one"):
        run_experiment(read_experiment(study_file), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_shipped_model_is_named_as_everywhere(tmp_path: Path, study_file: Path) -> None:
    text = study_file.read_text(encoding="utf-8")
    study_file.write_text(
        text.replace("{settings: one.yaml}", "{folder: shipped}").replace(
            "seed: 3", "weights: shipped"
        ),
        encoding="utf-8",
    )
    study = read_experiment(study_file)
    assert study.models["one"].folder == study.models["two"].weights == shipped_model().path
    require_sound(replace(study, models={"one": study.models["one"]}))
    assert tmp_path not in study.models["one"].folder.parents


def test_the_commands_say_what_is_wrong(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["experiment", "run", "nobody", "--out", str(tmp_path / "r")])
    assert found.exit_code == 2
    assert "ibrahim2023" in found.output
    template = tmp_path / "study-metadata.yaml"
    assert CliRunner().invoke(app, ["experiment", "metadata", str(template)]).exit_code == 0
    assert "reference_standard:" in template.read_text(encoding="utf-8")
    again = CliRunner().invoke(app, ["experiment", "metadata", str(template)])
    assert again.exit_code == 2
    assert "exists already" in again.output
    missing = ["experiment", "compare", str(tmp_path), str(tmp_path), "--out", str(tmp_path / "c")]
    found = CliRunner().invoke(app, missing)
    assert found.exit_code == 2
    assert "not a run folder" in found.output
