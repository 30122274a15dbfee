from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bonescint.cli.app import app
from bonescint.cli.model import training_configuration
from bonescint.model import packaged_models, shipped_model
from bonescint.scan import ParameterError
from bonescint.train import read_configuration


def test_no_choice_is_the_default() -> None:
    assert training_configuration() == read_configuration("bonescint")
    assert training_configuration("ibrahim2023") == read_configuration("ibrahim2023")


def test_a_model_that_goes_on_is_fine_tuned_as_it_is() -> None:
    """Named or not, these settings take network, preparation and input scale of the model."""
    model = shipped_model()
    usual = training_configuration(start=model.path)
    assert usual == training_configuration("fine-tune", model.path)
    assert usual.preprocessing == model.card.preprocessing
    assert usual.input_scale is not None
    # What is asked for by name is taken as it is.
    paper = training_configuration("ibrahim2023", model.path)
    assert paper == read_configuration("ibrahim2023")


def test_choices_change_the_settings() -> None:
    settings = training_configuration(epochs=3, resolution=128, preprocessing="ibrahim2023", seed=9)
    assert (settings.epochs, settings.stages[-1].rows) == (3, 128)
    assert (settings.preprocessing.name, settings.seed) == ("ibrahim2023", 9)


def test_a_choice_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ParameterError, match="multiple of 32"):
        training_configuration(resolution=100)
    with pytest.raises(ParameterError, match="body-root"):
        training_configuration(preprocessing="mine")


def test_options_reach_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class Folder:
        model_id = "m@1"

    def train(manifest: Path, out: Path, **options: Any) -> Folder:
        given.update(options, manifest=manifest, out=out)
        return Folder()

    monkeypatch.setattr("bonescint.train.train", train)
    cohort = tmp_path / "cohort.csv"
    cohort.write_text("scan_id\n")
    arguments = ["train", str(cohort), "--out", "model", "--epochs", "2", "--restart"]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    assert (given["manifest"], given["out"]) == (cohort, Path("model"))
    assert given["settings"].epochs == 2
    assert given["resume"] is False
    assert "m@1" in ran.stderr


def test_going_on_from_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped one: fine-tuning settings for its network, and its folder as weights."""
    given: dict[str, Any] = {}

    class Folder:
        model_id = "m@1"

    def train(manifest: Path, out: Path, **options: Any) -> Folder:
        given.update(options)
        return Folder()

    monkeypatch.setattr("bonescint.train.train", train)
    cohort = tmp_path / "cohort.csv"
    cohort.write_text("scan_id\n")
    ran = CliRunner().invoke(app, ["train", str(cohort), "--out", "m", "--from", "shipped"])
    assert ran.exit_code == 0, ran.output
    assert given["weights"] == shipped_model().path
    assert given["settings"].epochs == read_configuration("fine-tune").epochs
    ran = CliRunner().invoke(app, ["train", str(cohort), "--out", "m", "--from", "nowhere"])
    assert ran.exit_code == 2
    assert "no such model folder" in ran.stderr


def test_a_missing_cohort_is_one_line() -> None:
    ran = CliRunner().invoke(app, ["train", "nowhere.csv", "--out", "model"])
    assert ran.exit_code == 2
    assert ran.stderr == "Error: nowhere.csv: no such file. Check the path.\n"


def test_the_packages_models_are_listed_with_their_figures() -> None:
    ran = CliRunner().invoke(app, ["model", "list"])
    assert ran.exit_code == 0
    shipped = shipped_model()
    area = next(metric for metric in shipped.card.metrics if metric.name == "roc_auc_score")
    for words in (*packaged_models(), shipped.model_id, "int8", f"{area.value:.3f}"):
        assert words in ran.stdout
