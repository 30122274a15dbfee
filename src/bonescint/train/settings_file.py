"""Training configurations as YAML: those that come with the package, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bonescint.prepare import preprocessing_named
from bonescint.scan import InputError, ParameterError
from bonescint.schema import PackagedYaml, construct
from bonescint.train.augment import AUGMENTATIONS, Augmentation
from bonescint.train.settings import TrainingConfiguration

_PACKAGED = PackagedYaml(
    package="bonescint.train", folder="configurations", noun="settings", extra="train"
)
_ABOUT = "about"
"""A key of the file that is for people only."""
_FORMER_PREPROCESSING = "recipe"
"""What release 0.1 called the key `preprocessing`."""


def configuration_names() -> tuple[str, ...]:
    """Names of the settings that come with the package.

    Examples:
        >>> "ibrahim2023" in configuration_names()
        True
    """
    return _PACKAGED.names()


def read_configuration(name: str | Path) -> TrainingConfiguration:
    """Read training settings by their name, or from a YAML file.

    Args:
        name: one of `configuration_names()`, or a path that ends in `.yaml` or `.yml`.

    Raises:
        ParameterError: no settings of that name; the message lists those that exist.
        InputError: an unreadable file, an unknown key or an impossible value, named.
        MissingExtraError: PyYAML is not installed.

    Examples:
        >>> paper = read_configuration("ibrahim2023")
        >>> paper.epochs, paper.steps_per_epoch, paper.batch_size
        (6, 200, 4)
    """
    return configuration_from(*_PACKAGED.read(name))


def configuration_from(content: object, source: str) -> TrainingConfiguration:
    """Settings from plain tables, as YAML gives them; what is not named keeps its default.

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
