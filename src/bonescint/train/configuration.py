"""The training configuration: read from YAML, recorded in the model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bonescint.prepare import Preprocessing, preprocessing_named
from bonescint.scan import InputError, ParameterError
from bonescint.scan.checked import check_member, check_number, check_whole
from bonescint.schema import PackagedYaml, construct
from bonescint.train.augment import (
    AUGMENTATIONS,
    COMPOSITE_CHANGE,
    SCAN_AUGMENTATIONS,
    Augmentation,
    CompositeChange,
    described,
)
from bonescint.train.network import InputScale, NetworkShape
from bonescint.train.networks import NetworkKind, rows_step_of, usual_shape_of

BODY_ROOT = preprocessing_named("body-root")


class Precision(StrEnum):
    """Arithmetic of the convolutions; the head always computes in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class HeadInitialisation(StrEnum):
    """How the dense layers of the head are drawn before training."""

    KAIMING_UNIFORM = "kaiming_uniform"
    """PyTorch's draw: weights and biases within 1 / sqrt(inputs)."""
    GLOROT_UNIFORM = "glorot_uniform"
    """Keras' draw: weights within sqrt(6 / (inputs + outputs)), biases zero."""


class Schedule(StrEnum):
    """How learning rates move over the whole training."""

    CONSTANT = "constant"
    COSINE = "cosine"
    """A linear warm-up, then half a cosine down to a hundredth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStage:
    """Some epochs at one resolution.

    Attributes:
        epochs: balanced epochs.
        rows: rows (and columns) of the composite, a multiple of 32 from 64 on. The network is fully
            convolutional: coarse epochs cost a quarter at half the rows.
    """

    epochs: int
    rows: int = 512

    def __post_init__(self) -> None:
        check_whole(self, "epochs", 1, 10_000)
        check_whole(self, "rows", 64, 4096)
        if self.rows % 32:
            raise ParameterError("rows", "TrainingStage", "a multiple of 32 from 64 on", self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfiguration:
    """Everything that decides the result of a training, apart from the cohort and the weights.

    Fields that only affect how the work is done have the metadata `{"decides": False}`.

    The defaults are those that converged first in our trials (docs/training.md). Named
    configurations are in `configurations/`: `read_configuration("ibrahim2023")` is the paper's.

    Attributes:
        network: which network is trained.
        preprocessing: preprocessing of each scan; the network is exported at its size.
        stages: resolutions and epochs, in order.
        batch_size: scans a step.
        steps_per_epoch: steps of an epoch: it repeats the same draw in another order, or ends
            before the draw does; `None` for one pass.
        patience: epochs of the last stage after which training ends if the validation AUC has
            not grown; `None` to train to the end. Earlier stages are never cut short.
        backbone_learning_rate: learning rate of the convolutions that are not frozen.
        head_learning_rate: learning rate of everything behind the blocks.
        frozen_blocks: leading blocks of convolutions whose weights do not change.
        input_scale: overrides the one that the weights were trained with (the paper used 0 to 1).
        standardised: standardise the pooled features by constants measured on the training
            scans when a stage begins; folded into the hidden layer on export.
        head_initialisation: draw of the head's dense layers.
        weight_decay: decoupled (AdamW); 0 is plain Adam.
        keras_epsilon: Adam's epsilon where Keras adds it, before the bias correction; `None` for
            PyTorch's 1e-8, added after it.
        label_smoothing: label smoothing of the cross entropy.
        schedule: schedule of the learning rates.
        lesion_weight: weight of the auxiliary task of finding metastases cell by cell, 0 for
            none. Only scans with masks, and negative scans, take part.
        lesion_positive_weight: weight of a cell with metastasis relative to one without.
        finding_weight: weight of naming what cells show (`findings.py`), 0 for none. Only scans
            whose truth names everything that stands out take part.
        transplant_share: share of the positive draws that become a negative scan with one or a few
            of this scan's metastases (`transplant.py`); needs lesion masks.
        averaging_decay: decay of the running average of the weights that is exported, or `None`; it
            begins anew when the rows change.
        gradient_limit: largest norm of the gradient, or `None`.
        precision: arithmetic of the convolutions.
        scan_augmentations: random changes to scans, in order.
        composite_change: random changes of the composite, after the preprocessing.
        seed: seed of all random numbers.
        loader_workers: processes that read and prepare scans; 0 for none.
        checkpoint_steps: steps between two checkpoints (there is one after each epoch, too).
        shape: sizes of the layers; the network's usual ones if `None`.

    Examples:
        >>> TrainingConfiguration().epochs
        12
    """

    network: NetworkKind = NetworkKind.VGG16
    preprocessing: Preprocessing = BODY_ROOT
    stages: tuple[TrainingStage, ...] = (
        TrainingStage(epochs=8, rows=256),
        TrainingStage(epochs=4, rows=512),
    )
    batch_size: int = 8
    steps_per_epoch: int | None = None
    patience: int | None = None
    backbone_learning_rate: float = 1.5e-5
    head_learning_rate: float = 5e-4
    frozen_blocks: int = 2
    input_scale: InputScale | None = None
    standardised: bool = True
    head_initialisation: HeadInitialisation = HeadInitialisation.KAIMING_UNIFORM
    weight_decay: float = 1e-3
    keras_epsilon: float | None = None
    label_smoothing: float = 0.05
    schedule: Schedule = Schedule.COSINE
    lesion_weight: float = 0.5
    lesion_positive_weight: float = 8.0
    finding_weight: float = 0.0
    transplant_share: float = 0.0
    averaging_decay: float | None = 0.998
    gradient_limit: float | None = 1.0
    precision: Precision = Precision.BFLOAT16
    scan_augmentations: tuple[Augmentation, ...] = SCAN_AUGMENTATIONS
    composite_change: CompositeChange = COMPOSITE_CHANGE
    seed: int = 1
    loader_workers: int = field(default=2, metadata={"decides": False})
    checkpoint_steps: int = field(default=100, metadata={"decides": False})
    shape: NetworkShape | None = None

    def __post_init__(self) -> None:
        if not self.stages:
            raise ParameterError(
                "stages", "TrainingConfiguration", "at least one stage", self.stages
            )
        for name, kind in _MEMBERS:
            check_member(self, name, kind)
        if self.input_scale is not None:
            check_member(self, "input_scale", InputScale)
        for name, least, most in _WHOLE:
            check_whole(self, name, least, most)
        for name, low, high in _NUMBERS:
            check_number(self, name, low, high)
        for name, low, high in _OPTIONAL:
            if getattr(self, name) is not None:
                check_number(self, name, low, high)
        for name in ("steps_per_epoch", "patience"):
            if getattr(self, name) is not None:
                check_whole(self, name, 1, 1_000_000)
        if not isinstance(self.standardised, bool):
            got = self.standardised
            raise ParameterError("standardised", "TrainingConfiguration", "true or false", got)
        self._check_network()

    def _check_network(self) -> None:
        """Check the network's requirements on rows and input scale."""
        step = rows_step_of(self.network)
        if (
            self.preprocessing.rows != 2 * self.preprocessing.columns
            or self.preprocessing.rows % step
        ):
            raise ParameterError(
                "preprocessing",
                "TrainingConfiguration",
                f"one with a square composite of a multiple of {step} rows",
                (self.preprocessing.rows, 2 * self.preprocessing.columns),
            )
        for stage in self.stages:
            if stage.rows % step:
                requirement = f"of a multiple of {step} rows with the network {self.network}"
                raise ParameterError("stages", "TrainingConfiguration", requirement, stage.rows)
        if not self.network.begins_with_imagenet and self.input_scale not in _PLAIN:
            requirement = f"{InputScale.UNIT} with the network {self.network}"
            raise ParameterError(
                "input_scale", "TrainingConfiguration", requirement, self.input_scale
            )

    @property
    def layers(self) -> NetworkShape:
        """Sizes of the network's layers: those of `shape`, or the network's usual ones."""
        return usual_shape_of(self.network) if self.shape is None else self.shape

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    def rows_of_epoch(self, epoch: int) -> int:
        """Rows of the composite in an epoch, counted from 0."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage.rows
            epoch -= stage.epochs
        return self.stages[-1].rows

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary for the model card and the checkpoint."""
        plain = {
            name: getattr(self, name)
            for name, entry in self.__dataclass_fields__.items()
            if name not in _NESTED and (name not in _LATER or getattr(self, name) != entry.default)
        }
        # Stored as `recipe` since release 0.1: what was finished then is not done again.
        return {
            **plain,
            "recipe": self.preprocessing.to_json(),
            "stages": [{"epochs": stage.epochs, "rows": stage.rows} for stage in self.stages],
            "scan_augmentations": [described(change) for change in self.scan_augmentations],
            "composite_change": described(self.composite_change),
            "shape": {**asdict(self.layers), "channels": list(self.layers.channels)},
        }


_MEMBERS = (
    ("network", NetworkKind),
    ("head_initialisation", HeadInitialisation),
    ("schedule", Schedule),
    ("precision", Precision),
)
_WHOLE = (
    ("batch_size", 1, 1024),
    ("checkpoint_steps", 1, 1_000_000),
    ("loader_workers", 0, 256),
    ("frozen_blocks", 0, 5),
    ("seed", 0, 2**63 - 1),
)
_NUMBERS = (
    ("backbone_learning_rate", 1e-9, 1.0),
    ("head_learning_rate", 1e-9, 1.0),
    ("weight_decay", 0.0, 1.0),
    ("label_smoothing", 0.0, 0.5),
    ("lesion_weight", 0.0, 1e3),
    ("finding_weight", 0.0, 1e3),
    ("transplant_share", 0.0, 1.0),
    ("lesion_positive_weight", 1e-3, 1e6),
)
_OPTIONAL = (
    ("averaging_decay", 0.0, 1.0),
    ("gradient_limit", 1e-6, 1e6),
    ("keras_epsilon", 1e-12, 1.0),
)
_PLAIN = (None, InputScale.UNIT)
_LATER = frozenset({"finding_weight", "head_initialisation", "keras_epsilon"})
"""Left out where they are the default, so that what an earlier release finished is not repeated."""
_NESTED = frozenset({"preprocessing", "stages", "scan_augmentations", "composite_change", "shape"})


_PACKAGED = PackagedYaml(
    package="bonescint.train", folder="configurations", noun="settings", extra="train"
)
_ABOUT = "about"
"""A key of the file that is a comment for people."""
_FORMER_PREPROCESSING = "recipe"
"""What release 0.1 called the key `preprocessing`."""


def configuration_names() -> tuple[str, ...]:
    """Names of the training configurations that come with the package.

    Examples:
        >>> "ibrahim2023" in configuration_names()
        True
    """
    return _PACKAGED.names()


def read_configuration(name: str | Path) -> TrainingConfiguration:
    """Read a training configuration by its name, or from a YAML file.

    Args:
        name: one of `configuration_names()`, or a path that ends in `.yaml` or `.yml`.

    Raises:
        ParameterError: no configuration of that name; the message lists those that exist.
        InputError: an unreadable file, an unknown key or an impossible value, named.
        MissingExtraError: PyYAML is not installed.

    Examples:
        >>> paper = read_configuration("ibrahim2023")
        >>> paper.epochs, paper.steps_per_epoch, paper.batch_size
        (6, 200, 16)
    """
    path = Path(name)
    if path.parent.name == "recipes" and not path.exists():  # the folder's name in release 0.1
        name = Path(_PACKAGED.folder, path.name)
    return configuration_from(*_PACKAGED.read(name))


def configuration_from(content: object, source: str) -> TrainingConfiguration:
    """A configuration from plain tables, as YAML gives them; what is left out keeps its default.

    Args:
        content: a table by the names of `TrainingConfiguration`.
        source: named in errors.

    Raises:
        InputError: an unknown key or an impossible value, named with its place.

    Examples:
        >>> configuration_from({"stages": [{"epochs": 3}], "seed": 7}, "here").epochs
        3
        >>> configuration_from({"epoch": 3}, "here")
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.InputError: here: unknown key 'epoch'; known are network, \
preprocessing, stages, ...
    """
    if not isinstance(content, Mapping):
        return construct(TrainingConfiguration, content, source, _PACKAGED.remedy)
    table = {str(key): entry for key, entry in content.items()}
    table.pop(_ABOUT, None)
    if _FORMER_PREPROCESSING in table:
        table.setdefault("preprocessing", table.pop(_FORMER_PREPROCESSING))
    if "preprocessing" in table:
        try:
            table["preprocessing"] = preprocessing_named(str(table["preprocessing"]))
        except ParameterError as error:
            problem = f"preprocessing: {str(error).rstrip('.')}"
            raise InputError(source, problem, _PACKAGED.remedy) from error
    if isinstance(table.get("scan_augmentations"), list):
        table["scan_augmentations"] = [
            _augmentation(entry, f"scan_augmentations[{number}]", source)
            for number, entry in enumerate(table["scan_augmentations"])
        ]
    return construct(TrainingConfiguration, table, source, _PACKAGED.remedy)


def _augmentation(entry: object, place: str, source: str) -> Augmentation:
    table = dict(entry) if isinstance(entry, Mapping) else {}
    kind = table.pop("kind", None)
    if kind not in AUGMENTATIONS:
        problem = f"{place}: kind must be one of {', '.join(AUGMENTATIONS)}, not {kind!r}"
        raise InputError(source, problem, _PACKAGED.remedy)
    return construct(AUGMENTATIONS[str(kind)], table, source, _PACKAGED.remedy, place=place)
