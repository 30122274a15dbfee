"""Settings as YAML: those that travel with the package, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bonescint.scan import InputError, ParameterError
from bonescint.train import configuration_names, read_configuration
from bonescint.train.configuration import (
    HeadInitialisation,
    Precision,
    TrainingConfiguration,
    TrainingStage,
    configuration_from,
)
from bonescint.train.network import InputScale
from bonescint.train.networks import NetworkKind


def test_every_packaged_file_is_readable() -> None:
    assert set(configuration_names()) == {
        "bonescint", "compact", "fine-tune", "ibrahim2023", "ibrahim2023-converging",
    }  # fmt: skip
    for name in configuration_names():
        assert isinstance(read_configuration(name), TrainingConfiguration)


def test_the_papers_settings_are_the_papers() -> None:
    """Ibrahim et al. 2023, Methods: what they say in words, as numbers."""
    paper = read_configuration("ibrahim2023")
    assert paper.network is NetworkKind.VGG16
    assert paper.stages == (TrainingStage(epochs=6, rows=512),)
    assert (paper.steps_per_epoch, paper.backbone_learning_rate) == (200, 1e-4)
    assert paper.head_learning_rate == paper.backbone_learning_rate
    assert (paper.frozen_blocks, paper.scan_augmentations) == (0, ())
    assert paper.input_scale is InputScale.UNIT
    # Of Keras 2.0.6, which the paper names.
    assert paper.head_initialisation is HeadInitialisation.GLOROT_UNIFORM
    assert (paper.keras_epsilon, paper.weight_decay) == (1e-8, 0.0)
    assert (paper.composite_change.swap, paper.composite_change.mirror_patient) == (0.5, 0.0)


def test_later_settings_are_recorded_only_where_they_are_used() -> None:
    """What an earlier release finished is compared by its record, and must not be repeated."""
    later = {"head_initialisation", "keras_epsilon"}
    assert not later & TrainingConfiguration().to_json().keys()
    assert later <= read_configuration("ibrahim2023").to_json().keys()


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        """about: for people
network: vgg16-cells
precision: float32
stages:
  - {epochs: 3, rows: 128}
scan_augmentations:
  - {kind: thinning, probability: 0.9, kept: [0.1, 0.5]}
composite_change: {swap: 0.0}
shape: {channels: [4, 4, 8, 8, 8], cells: 4}
patience: 2
""",
        encoding="utf-8",
    )
    settings = read_configuration(file)
    assert settings.network is NetworkKind.VGG16_CELLS
    assert settings.precision is Precision.FLOAT32
    assert settings.epochs == 3
    assert settings.patience == 2
    (thinning,) = settings.scan_augmentations
    assert (thinning.kind, getattr(thinning, "kept", None)) == ("thinning", (0.1, 0.5))
    assert settings.composite_change.swap == 0.0
    assert settings.layers.cells == 4
    assert settings.batch_size == TrainingConfiguration().batch_size


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"epochs": 3}, "unknown key 'epochs'"),
        ({"stages": [{"epoch": 3}]}, r"stages\[0\]: unknown key 'epoch'"),
        ({"stages": [{"epochs": "three"}]}, "whole number"),
        ({"stages": 3}, "stages: must be a list"),
        ({"network": "resnet"}, "network: must be one of vgg16, vgg16-cells"),
        ({"preprocessing": "mine"}, "preprocessing: .*body-root"),
        ({"recipe": "mine"}, "preprocessing: .*body-root"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"backbone_learning_rate": "1e-4"}, "backbone_learning_rate"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"standardised": "yes"}, "true or false"),
        ({"scan_augmentations": [{"kind": "cutmix"}]}, "thinning"),
        ({"scan_augmentations": [{"kind": "blur", "sigma": 3}]}, "unknown key 'sigma'"),
        ({"patience": 0}, "patience"),
        ([1, 2], "table of names"),
    ],
)
def test_what_makes_no_sense_is_named(content: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        configuration_from(content, "mine.yaml")


@pytest.mark.parametrize(
    "values", [{"precision": "bfloat16"}, {"schedule": "cosine"}, {"input_scale": "unit"}]
)
def test_text_is_no_member_of_an_enumeration(values: dict[str, Any]) -> None:
    """Compared by identity later on, "bfloat16" as text would mean float32."""
    with pytest.raises(ParameterError, match=next(iter(values))):
        TrainingConfiguration(**values)


def test_unknown_names_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="ibrahim2023"):
        read_configuration("nobody")
    with pytest.raises(InputError, match="no such file"):
        read_configuration(tmp_path / "none.yaml")
    (tmp_path / "twice.yaml").write_text("seed: 1\nseed: 2\n", encoding="utf-8")
    with pytest.raises(InputError, match="occurs twice"):
        read_configuration(tmp_path / "twice.yaml")


def test_settings_of_a_later_release_leave_what_an_earlier_one_finished() -> None:
    assert "finding_weight" not in read_configuration("ibrahim2023").to_json()
    assert read_configuration("bonescint").to_json()["finding_weight"] == 0.5


def test_the_folder_may_be_called_as_in_release_0_1() -> None:
    assert read_configuration("recipes/compact.yaml") == read_configuration("compact")
