"""What is done again when something changes: every setting and every input in turn."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bonescint.cohort import Manifest, read_manifest, write_manifest
from bonescint.evaluate import Resampling, Youden
from bonescint.evaluate.judgement import OperatingPoint
from bonescint.experiment import (
    CohortSpec,
    ExperimentSpec,
    ModelSpec,
    RunPaths,
    evaluate_joined,
    join,
    ledger,
)
from bonescint.experiment.evaluation.data import PredictionRow
from bonescint.experiment.evaluation.json_form import to_json
from bonescint.experiment.evaluation.results import EvaluationSettings
from bonescint.experiment.ledger import CohortPart, Ledger, Output, Resources, Step, identity
from bonescint.experiment.runner import _count, checking, model_steps_in_order, simulating
from bonescint.experiment.steps import ModelSteps, evaluation_settings, settings_of
from bonescint.scan import Case, Split

pytest.importorskip("torch", reason="needs the extra 'train'")

_KINDS = ("evaluate", "external", "robustness", "map-sanity", "predict")
_JUDGED = {"evaluate/own", "evaluate/given"}
_MANIFEST = {"check", *_JUDGED, "external/own", "external/given"}
_READ = {"predict/own", "predict/given"}
_WORSE = {"robustness/own", "robustness/given"}
_MAPS = {"map-sanity/own", "map-sanity/given"}
_SETTINGS = """
network: compact-cells
stages: [{epochs: 1, rows: 64}]
frozen_blocks: 0
shape: {channels: [4, 4, 4, 4, 4], hidden: 4, cells: 4}
"""


@dataclass
class Run:
    """A run folder in which every step has left something."""

    root: Path
    study: ExperimentSpec

    @property
    def paths(self) -> RunPaths:
        assert self.study.cohort.manifest is not None
        return RunPaths(root=self.root, manifest=self.study.cohort.manifest)

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.paths.manifest)

    def inputs(
        self, study: ExperimentSpec | None = None, weights: Path | None = None
    ) -> dict[str, Any]:
        """What every step depends on, by its name."""
        study = study or self.study
        paths = replace(self.paths, manifest=study.cohort.manifest or self.paths.manifest)
        cohort = read_manifest(paths.manifest)
        found: list[Step] = [checking(paths, cohort)]
        of_models = ModelSteps(spec=study, paths=paths, cohort=cohort, weights=weights,
                               external_uses=self.root / "uses.csv")  # fmt: skip
        found += [step for _, step in model_steps_in_order(of_models) if step is not None]
        return {step.name: step.inputs for step in found}

    def again(self, change: Callable[[], ExperimentSpec | None]) -> set[str]:
        """Steps that are done again after a change, which may give another study."""
        before = self.inputs()
        after = self.inputs(change())
        assert before.keys() == after.keys()
        return {name for name in before if before[name] != after[name]}

    def rewrite(self, cases: Iterable[Case]) -> None:
        write_manifest(cases, self.paths.manifest)


def _evaluation(threshold: float, source: str = "given") -> str:
    """The file of an evaluation of 40 scans."""
    cases = [
        Case(scan_id=f"t{n}", patient_id=f"p{n}", centre="A", split=Split.TEST, positive=n % 2 == 0)
        for n in range(40)
    ]
    rows = [
        PredictionRow(scan_id=case.scan_id, mbd_probability=(n % 7) / 7, row=n)
        for n, case in enumerate(cases)
    ]
    joined = join(rows, Manifest(cases=tuple(cases), folder=Path()), source="p")
    few = EvaluationSettings(threshold=0.5, resampling=Resampling(resamples=2))
    found = evaluate_joined(joined, few)
    point = OperatingPoint(threshold=threshold, source=source)
    found = replace(found, judgement=replace(found.judgement, point=point))
    return json.dumps({"schema_version": 3, "result": to_json(found)})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    cohort = tmp_path / "cohort"
    cases = []
    for folder in ("scans", "truth", "masks"):
        (cohort / folder).mkdir(parents=True)
    for split in Split:
        for number in range(4):
            name = f"{split.value}-{number}"
            named = {"file": f"scans/{name}.dcm", "truth": f"truth/{name}.npz",
                     "mask_anterior": f"masks/{name}-a.png",
                     "mask_posterior": f"masks/{name}-p.png"}  # fmt: skip
            for column, file in named.items():
                (cohort / file).write_text(f"{column} of {name}", encoding="utf-8")
            cases.append(Case(scan_id=name, patient_id=f"p-{name}", centre="A", split=split,
                              positive=number % 2 == 0, sex="F", age=60.0, primary="breast",
                              **named))  # fmt: skip
    write_manifest(cases, cohort / "manifest.csv")
    (tmp_path / "own.yaml").write_text(_SETTINGS, encoding="utf-8")
    study = ExperimentSpec(
        name="s",
        cohort=CohortSpec(manifest=cohort / "manifest.csv"),
        models={"own": ModelSpec(settings=str(tmp_path / "own.yaml"), seed=1),
                "given": ModelSpec(folder=tmp_path / "given")},
        external=("A",),
    )  # fmt: skip
    made = Run(tmp_path / "run", study)
    for name, folder in (("own", made.paths.model("own")), ("given", tmp_path / "given")):
        (folder / "models").mkdir(parents=True)
        (folder / "models" / "model.onnx").write_text(f"network of {name}", encoding="utf-8")
        (folder / "card.json").write_text(f"card of {name}", encoding="utf-8")
        for file, text in (
            (made.paths.predictions(name), f"predictions of {name}"),
            (made.paths.results(name) / "results.json", f"maps of {name}"),
            (made.paths.evaluation(name) / "evaluation.json", _evaluation(0.4)),
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return made


def test_the_same_run_has_nothing_to_do(run: Run, tmp_path: Path) -> None:
    assert run.again(lambda: None) == set()
    # A run folder that is elsewhere is the same one.
    moved = Run(tmp_path / "moved", run.study)
    run.root.rename(moved.root)
    assert moved.inputs().keys() == {
        "check", "train/own", *(f"{kind}/{name}" for kind in _KINDS for name in ("own", "given"))
    }  # fmt: skip
    assert moved.inputs() == Run(moved.root, run.study).inputs()


def _plan(run: Run, name: str, **changes: Any) -> ExperimentSpec:
    models = dict(run.study.models)
    return replace(run.study, models=models | {name: replace(models[name], **changes)})


def _other_settings(run: Run) -> ExperimentSpec:
    file = run.root.parent / "other.yaml"
    file.write_text(_SETTINGS.replace("epochs: 1", "epochs: 2"), encoding="utf-8")
    return _plan(run, "own", settings=str(file))


def _other_folder(run: Run) -> ExperimentSpec:
    folder = run.root.parent / "other"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "model.onnx").write_text("another", encoding="utf-8")
    return _plan(run, "given", folder=folder)


def _same_manifest_elsewhere(run: Run) -> ExperimentSpec:
    copy = run.paths.manifest.with_name("copy.csv")
    copy.write_bytes(run.paths.manifest.read_bytes())
    return replace(run.study, cohort=CohortSpec(manifest=copy))


def _weights(run: Run) -> ExperimentSpec:
    (run.root.parent / "w.safetensors").write_text("kernels", encoding="utf-8")
    return _plan(run, "own", weights=run.root.parent / "w.safetensors")


_OF_STUDY: dict[str, tuple[Callable[[Run], ExperimentSpec], set[str]]] = {
    "name": (lambda run: replace(run.study, name="t"), {"external/own", "external/given"}),
    "reference": (lambda run: replace(run.study, reference="given"), _JUDGED),
    "rule": (lambda run: replace(run.study, rule=Youden()), _JUDGED),
    "resamples": (lambda run: replace(run.study, resamples=101), _JUDGED | _MAPS),
    "published": (lambda run: replace(run.study, published="ibrahim2023"), set()),
    "reader_study": (lambda run: replace(run.study, reader_study=Path("index.html")), set()),
    "external": (lambda run: replace(run.study, external=("A", "B")),
                 {"external/own", "external/given"}),
    "metadata": (lambda run: replace(run.study, metadata={"funding": "none"}), set()),
    "about": (lambda run: replace(run.study, about="Another text."), set()),
}  # fmt: skip
_OF_MODEL: dict[str, tuple[Callable[[Run], ExperimentSpec], set[str]]] = {
    "settings": (_other_settings, {"train/own", "external/own"}),
    "folder": (_other_folder, {f"{kind}/given" for kind in _KINDS} - {"evaluate/given"}),
    "weights": (_weights, {"train/own"}),
    "seed": (lambda run: _plan(run, "own", seed=2), {"train/own", "external/own"}),
}
_OF_COHORT: dict[str, tuple[Callable[[Run], ExperimentSpec], set[str]]] = {
    "manifest": (_same_manifest_elsewhere, set()),  # its content counts, not its place
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [*_OF_STUDY.values(), *_OF_MODEL.values(), *_OF_COHORT.values()],
    ids=[*_OF_STUDY, *(f"model {name}" for name in _OF_MODEL), *_OF_COHORT],
)
def test_a_changed_setting_of_the_study(
    run: Run, change: Callable[[Run], ExperimentSpec], expected: set[str]
) -> None:
    assert run.again(lambda: change(run)) == expected


def test_no_setting_of_a_study_is_forgotten() -> None:
    assert {one.name for one in fields(ExperimentSpec)} == {*_OF_STUDY, "cohort", "models"}
    assert {one.name for one in fields(ModelSpec)} == set(_OF_MODEL)
    assert {one.name for one in fields(CohortSpec)} == {*_OF_COHORT, "protocol", "seed"}


def test_a_changed_protocol_or_seed_simulates_again(run: Run) -> None:
    plan = CohortSpec(protocol="ibrahim2023")
    first = simulating(replace(run.study, cohort=plan), run.paths)
    assert simulating(replace(run.study, cohort=plan), run.paths).inputs == first.inputs
    seed = simulating(replace(run.study, cohort=replace(plan, seed=2)), run.paths)
    other = simulating(replace(run.study, cohort=replace(plan, protocol="development")), run.paths)
    assert len({json.dumps(step.inputs) for step in (first, seed, other)}) == 3
    assert set(first.inputs["protocol"]) - {"kind"} == {one.name for one in fields(first.protocol)}
    # A protocol is known by its content, not by its name and version.
    centre = next(iter(first.protocol.centres))
    brighter = replace(first.protocol.centres[centre], counts=1.5)
    centres = dict(first.protocol.centres) | {centre: brighter}
    assert replace(first, protocol=replace(first.protocol, centres=centres)).inputs != first.inputs


_OTHER_VALUES: dict[str, object] = {
    "network": "vgg16", "stages": (), "batch_size": 3, "steps_per_epoch": 7, "patience": 3,
    "input_scale": "unit", "standardised": False, "schedule": "constant", "precision": "float32",
    "scan_augmentations": (), "seed": 9, "loader_workers": 1, "checkpoint_steps": 7, "shape": None,
}  # fmt: skip


def test_every_setting_of_a_training_trains_again_unless_it_decides_nothing(run: Run) -> None:
    settings = settings_of(run.study.models["own"])
    before = identity(settings)
    kept = {"loader_workers", "checkpoint_steps"}
    for one in fields(settings):
        value = getattr(settings, one.name)
        other = _OTHER_VALUES.get(one.name, 0.123 if isinstance(value, float | None) else 1)
        if one.name in ("preprocessing", "composite_change"):
            inner = fields(value)[0].name
            other = replace(value, **{inner: "other" if one.name == "preprocessing" else 0.9})
        changed = _without_checks(settings, one.name, other)
        assert (identity(changed) == before) == (one.name in kept), one.name


def _without_checks(settings: Any, name: str, value: object) -> Any:
    """Another value of a setting, whether training could use it or not."""
    copy = replace(settings)
    object.__setattr__(copy, name, value)
    return copy


def test_every_setting_of_an_evaluation_judges_again(run: Run) -> None:
    settings = evaluation_settings(run.study)
    before = identity(settings)
    others = {"rule": Youden(), "threshold": 0.3, "judged": Split.TRAIN, "constant_allowed": False,
              "resampling": replace(settings.resampling, seed=2)}  # fmt: skip
    assert others.keys() == {one.name for one in fields(EvaluationSettings)}
    for name, value in others.items():
        assert identity(replace(settings, **{name: value})) != before, name  # type: ignore[arg-type]
    for name, value in {"resamples": 7, "stratified": False, "level": 0.9, "seed": 5}.items():
        resampling = replace(settings.resampling, **{name: value})  # type: ignore[arg-type]
        assert identity(replace(settings, resampling=resampling)) != before, name


_TRAINED = {"scan_id", "patient_id", "split", "positive", "file", "truth", "mask_anterior",
            "mask_posterior"}  # fmt: skip
_CHANGED: dict[str, object] = {
    "simulated": True,
    "scan_id": "renamed", "patient_id": "another", "centre": "B", "split": Split.TRAIN,
    "positive": True, "file": "scans/other.dcm", "sex": "M", "age": 61.0, "primary": "prostate",
    "truth": "truth/other.npz", "mask_anterior": "masks/other-a.png",
    "mask_posterior": "masks/other-p.png",
}  # fmt: skip


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("column", [one.name for one in fields(Case)])
def test_a_changed_row_of_the_manifest(run: Run, column: str, split: Split) -> None:
    """The manifest as a whole is judged by, and checked; the rest depends on what it reads."""
    cases = list(run.manifest.cases)
    place = next(
        n for n, case in enumerate(cases) if case.split is split and not case.positive
    )  # fmt: skip
    value = _CHANGED[column]
    if column == "split" and split is Split.TRAIN:
        value = Split.TEST
    if isinstance(value, str) and "/" in value:
        (run.manifest.folder / value).write_text("other content", encoding="utf-8")
    cases[place] = replace(cases[place], **{column: value})  # type: ignore[arg-type]
    expected = set(_MANIFEST)
    if column in _TRAINED and split is not Split.TEST:
        expected.add("train/own")
    if column in ("scan_id", "file") and split is not Split.TRAIN:
        expected |= _READ
    if column == "split":  # from test or validation to train, or from train to test
        expected |= {"train/own", *_READ}
    if split is Split.TEST and column in ("patient_id", "file", "positive", "split"):
        expected |= _WORSE
    if column == "split" and split is Split.TRAIN:
        expected |= _WORSE
    if column == "positive" and split is Split.TEST:
        expected |= _MAPS  # one positive scan more
    assert run.again(lambda: run.rewrite(cases)) == expected


_CONTENT = {
    "file": {
        Split.TRAIN: {"check", "train/own"},
        Split.VALIDATION: {"check", "train/own", *_READ},
        Split.TEST: {"check", *_READ, *_JUDGED, *_WORSE, *_MAPS},
    },
    "truth": {
        Split.TRAIN: {"check", "train/own"},
        Split.VALIDATION: {"check", "train/own"},
        Split.TEST: {"check", *_JUDGED},
    },
}
_CONTENT |= {"mask_anterior": _CONTENT["truth"], "mask_posterior": _CONTENT["truth"]}


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("column", _CONTENT)
def test_a_changed_scan_truth_or_mask_of_the_same_name(run: Run, column: str, split: Split) -> None:
    case = run.manifest.split(split)[0]
    file = run.manifest.folder / getattr(case, column)
    expected = _CONTENT[column][split]
    assert run.again(lambda: file.write_text("corrected", encoding="utf-8") and None) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("predictions/own.csv", _JUDGED),  # given is compared with it
        ("predictions/given.csv", {"evaluate/given"}),
        ("predictions/own/results.json", {"evaluate/own"}),
        ("models/own/models/model.onnx",
         {"predict/own", "robustness/own", "map-sanity/own", "external/own"}),
        ("models/own/card.json",
         {"predict/own", "robustness/own", "map-sanity/own", "external/own"}),
        ("evaluation/own/evaluation.json", {"external/own", "robustness/own"}),
    ],
)  # fmt: skip
def test_a_changed_output_of_an_earlier_step(run: Run, output: str, expected: set[str]) -> None:
    other = _evaluation(0.5)
    assert run.again(lambda: (run.root / output).write_text(other) and None) == expected


def test_another_rule_that_chooses_the_same_point_leaves_robustness(run: Run) -> None:
    other = _evaluation(0.4, source="by another rule")
    file = run.paths.evaluation("given") / "evaluation.json"
    assert run.again(lambda: file.write_text(other) and None) == {"external/given"}


def test_a_model_that_calls_nothing_positive_is_worsened_at_that_point(run: Run) -> None:
    file = run.paths.evaluation("own") / "evaluation.json"
    file.write_text(_evaluation(math.inf))
    assert run.inputs()["robustness/own"]["threshold"] == float("inf")


def test_other_weights_of_imagenet_train_again_what_begins_with_them(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text("network: vgg16\n", encoding="utf-8")
    found = []
    for text in ("one", "another"):
        file = tmp_path / f"{text}.h5"
        file.write_text(text, encoding="utf-8")
        found.append(run.inputs(weights=file))
    changed = {name for name in found[0] if found[0][name] != found[1][name]}
    assert changed == {"train/own"}


def test_another_release_does_everything_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run.inputs()

    def released() -> None:
        monkeypatch.setattr(ledger, "__version__", "99.0.0")

    assert run.again(released) == set(before)


@dataclass(frozen=True, kw_only=True)
class Summing(Step):
    """Writes the sum of some numbers, and what it was told of its beginning."""

    numbers: tuple[int, ...]
    file: Output

    def work(self, means: Resources) -> None:
        self.file.path.write_text(f"{sum(self.numbers)} {means.goes_on}", encoding="utf-8")


class Stopped(Summing):
    """The same, stopped when its file is there."""

    def work(self, means: Resources) -> None:
        super().work(means)
        raise KeyboardInterrupt


def test_a_step_is_done_once_and_again_when_an_input_changes(tmp_path: Path) -> None:
    file, ledger, means = Output(tmp_path / "sum"), Ledger(tmp_path / "steps"), Resources()
    step = Summing(name="a/b", numbers=(1, 2), file=file)
    assert ledger.do(step, means)
    assert not ledger.do(step, means)
    other = Summing(name="a/b", numbers=(1, 3), file=file)
    assert ledger.changed(other) == ("numbers",)
    assert ledger.do(other, means)
    assert file.path.read_text() == "4 False"
    assert ledger.changed(other) == ()
    file.path.unlink()
    assert ledger.do(other, means)
    noted = json.loads((tmp_path / "steps" / "a.b.json").read_text())
    assert noted["step"] == "a/b"
    assert noted["inputs"]["numbers"] == [1, 3]
    assert ledger.seconds(other) is not None


class Resumed(Summing):
    """The same, of which an interrupted run had done a part."""

    def work(self, means: Resources) -> bool:
        super().work(means)
        return True


def test_a_step_that_was_done_in_part_before_is_not_timed(tmp_path: Path) -> None:
    file, ledger = Output(tmp_path / "sum"), Ledger(tmp_path / "steps")
    step = Resumed(name="sum", numbers=(1, 2), file=file)
    assert ledger.do(step, Resources())
    assert ledger.is_done(step)
    assert ledger.seconds(step) is None


@pytest.mark.parametrize("taken_over", [0, 3])
def test_reading_says_whether_scans_were_read_before(
    run: Run, taken_over: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bonescint.classify

    summary = SimpleNamespace(
        results=[SimpleNamespace(scan_id="s", mbd_probability=0.5)], taken_over=taken_over
    )
    monkeypatch.setattr(bonescint.classify, "classify", lambda *_, **__: summary)
    steps = ModelSteps(spec=run.study, paths=run.paths, cohort=run.manifest, weights=None,
                       external_uses=run.root / "uses.csv")  # fmt: skip
    assert steps.predicting("own").work(Resources()) is (taken_over > 0)


def test_a_stopped_step_is_not_taken_for_the_one_before_it(tmp_path: Path) -> None:
    """1 + 2 is done, 1 + 3 is stopped when its file is there: 1 + 2 must be done again."""
    file, ledger = Output(tmp_path / "sum"), Ledger(tmp_path / "steps")
    first = Summing(name="sum", numbers=(1, 2), file=file)
    ledger.do(first, Resources())
    second = Summing(name="sum", numbers=(1, 3), file=file)
    with pytest.raises(KeyboardInterrupt):
        ledger.do(Stopped(name="sum", numbers=(1, 3), file=file), Resources())
    assert not ledger.is_done(second)
    assert ledger.was_begun(second)
    assert not ledger.was_begun(first)
    assert not ledger.is_done(first)
    ledger.do(first, Resources())
    assert file.path.read_text() == "3 False"


def test_a_value_that_nobody_can_compare_is_no_input() -> None:
    with pytest.raises(TypeError, match="cannot depend on a set"):
        identity({1, 2})


def test_a_part_of_a_cohort_names_the_column_that_changed(tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "ant.dcm").write_text("counts", encoding="utf-8")
    case = Case(scan_id="s", patient_id="p", centre="A", split=Split.TEST, positive=True,
                file="scan")  # fmt: skip
    part = CohortPart(folder=tmp_path, cases=(case,), columns=("positive", "file"))
    before = part.identity()
    assert set(before) == {"scans", "positive", "file"}
    (tmp_path / "scan" / "post.dcm").write_text("counts", encoding="utf-8")
    after = part.identity()  # a study of one file per view is a folder
    assert after["file"] != before["file"]
    assert after["positive"] == before["positive"]
    relabelled = replace(part, cases=(replace(case, positive=False),))
    assert relabelled.identity()["positive"] != before["positive"]


def test_a_run_counts_its_steps_before_it_begins(run: Run) -> None:
    done = len(run.inputs())
    assert _count(run.study) == done
    simulated = replace(run.study, cohort=CohortSpec(protocol="ibrahim2023"))
    assert _count(simulated) == done + 1
    assert _count(replace(run.study, external=())) == done - len(run.study.models)
