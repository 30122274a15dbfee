"""What an experiment is: a cohort, models to train on it, and how they are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bonescint.evaluate import Balanced, OperatingRule
from bonescint.experiment.evaluation.json_form import rule_content, rule_from
from bonescint.experiment.report.checklist import read_metadata
from bonescint.model import packaged_models
from bonescint.scan import BonescintError, InputError, ParameterError
from bonescint.scan.checked import check_name, check_whole
from bonescint.schema import PackagedYaml, construct, plain

_PACKAGED = PackagedYaml(package="bonescint.experiment", folder="experiments", noun="experiment")
_CORRECT = _PACKAGED.remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSpec:
    """Where the scans come from: a protocol to simulate, or a manifest.

    Attributes:
        protocol: name or file of a protocol, or empty.
        seed: seed of the simulation.
        manifest: manifest of an existing cohort, or `None`.

    Raises:
        ParameterError: not exactly one of protocol and manifest.
    """

    protocol: str = ""
    seed: int = 1
    manifest: Path | None = None

    def __post_init__(self) -> None:
        if bool(self.protocol) == (self.manifest is not None):
            got = f"protocol {self.protocol!r} and manifest {self.manifest}"
            raise ParameterError("cohort", "an experiment", "either a protocol or a manifest", got)
        check_whole(self, "seed", 0, 2**63 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model of the experiment.

    Attributes:
        settings: name or file of training settings; empty if the model is there already.
        folder: a model folder that is judged as it is (in a file, `shipped` is the package's own),
            or `None`.
        weights: file or model folder (or `shipped`) to begin with, or `None` for ImageNet's, or for
            nothing where the network takes none.
        seed: overrides that of the settings, or `None`.

    Raises:
        ParameterError: not exactly one of settings and folder.
    """

    settings: str = ""
    folder: Path | None = None
    weights: Path | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if bool(self.settings) == (self.folder is not None):
            got = f"settings {self.settings!r} and folder {self.folder}"
            raise ParameterError("models", "an experiment", "either settings or a folder each", got)
        if self.seed is not None:
            check_whole(self, "seed", 0, 2**63 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentSpec:
    """A whole experiment.

    Attributes:
        name: name of the experiment.
        cohort: where the scans come from.
        models: by name, in the order of the report.
        reference: name of the model that the others are compared with; the first if empty.
        rule: that chooses the operating point on the validation split.
        resamples: number of resamples of the bootstrap.
        published: name of published figures to show beside, or empty.
        reader_study: page of a reader study on scans of this cohort (`index.html` of `bonescint
            study analyse`), to which the report links; or `None`.
        external: centres whose every scoring is noted.
        metadata: what people say of the experiment: a file, or the texts by topic; or `None`.
        about: for people.

    Raises:
        ParameterError: no model, a name that cannot be a folder's, an unknown reference.
    """

    name: str
    cohort: CohortSpec
    models: Mapping[str, ModelSpec]
    reference: str = ""
    rule: OperatingRule = field(default_factory=Balanced)
    resamples: int = 2000
    published: str = ""
    reader_study: Path | None = None
    external: tuple[str, ...] = ()
    metadata: Path | Mapping[str, str] | None = None
    about: str = ""

    def __post_init__(self) -> None:
        check_name("ExperimentSpec", "name", self.name)
        if not self.models:
            raise ParameterError("models", "ExperimentSpec", "at least one", "none")
        for name in self.models:
            check_name("ExperimentSpec", "models", name)
        if self.reference and self.reference not in self.models:
            known = f"one of {', '.join(self.models)}"
            raise ParameterError("reference", "ExperimentSpec", known, self.reference)
        check_whole(self, "resamples", 100, 1_000_000)

    @property
    def compared_with(self) -> str:
        """Name of the model that the others are compared with."""
        return self.reference or next(iter(self.models))


def experiment_names() -> tuple[str, ...]:
    """Names of the experiments that come with the package.

    Examples:
        >>> experiment_names()
        ('ibrahim2023',)
    """
    return _PACKAGED.names()


def read_experiment(name: str | Path) -> ExperimentSpec:
    """Read an experiment by its name, or from a YAML file; its paths are relative to the file.

    Raises:
        ParameterError: no experiment of that name.
        InputError: an unreadable file, an unknown key or an impossible value, named.

    Examples:
        >>> spec = read_experiment("ibrahim2023")
        >>> list(spec.models), spec.compared_with
        (['paper', 'paper-converging', 'bonescint'], 'paper-converging')
    """
    path = Path(name)
    if path.parent.name == "studies" and path.stem in experiment_names() and not path.exists():
        name = path.stem  # as release 0.1 called it
    folder = Path() if str(name) in experiment_names() else Path(name).parent
    return experiment_from(*_PACKAGED.read(name), folder=folder)


def experiment_from(content: object, source: str, *, folder: Path) -> ExperimentSpec:
    """An experiment from plain tables, as YAML gives them.

    Args:
        content: the tables.
        source: named in errors.
        folder: that its paths are relative to.

    Raises:
        InputError: an unknown key or an impossible value, named with its place.
    """
    top: Any = content
    if isinstance(content, Mapping):
        top = dict(content)
        if isinstance(top.get("cohort"), Mapping):
            cohort = _with_paths(top["cohort"], ("manifest",), folder)
            top["cohort"] = _with_file(cohort, "protocol", folder)
        if isinstance(top.get("models"), Mapping):
            top["models"] = {
                str(name): _model_with_paths(entry, folder) if isinstance(entry, Mapping) else entry
                for name, entry in top["models"].items()
            }
        if "rule" in top:
            top["rule"] = _rule(top["rule"], source)
        if isinstance(top.get("metadata"), Mapping):
            top["metadata"] = read_metadata(top["metadata"], source=f"{source}, metadata")
        top = _with_paths(top, ("metadata", "reader_study"), folder)
    return construct(ExperimentSpec, top, source, _CORRECT)


def _rule(content: object, source: str) -> OperatingRule:
    try:
        return rule_from(content)
    except (BonescintError, TypeError, ValueError) as error:
        raise InputError(source, f"rule: {str(error).rstrip('.')}", _CORRECT) from error


def experiment_content(spec: ExperimentSpec) -> dict[str, Any]:
    """An experiment as plain tables, ready for JSON."""
    content: dict[str, Any] = plain(replace(spec, rule=Balanced()))
    return content | {"rule": rule_content(spec.rule)}


def _model_with_paths(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A model's entry with whole paths; names of the package's own models stand for these."""
    found = _with_file(_with_paths(table, ("folder", "weights"), folder), "settings", folder)
    packaged = packaged_models()
    for name in ("folder", "weights"):
        value = table.get(name)
        if isinstance(value, str) and value in packaged and not (folder / value).exists():
            found[name] = packaged[value]
    return found


def _with_paths(table: Mapping[str, Any], names: tuple[str, ...], folder: Path) -> dict[str, Any]:
    return {
        name: folder / value if name in names and isinstance(value, str) else value
        for name, value in table.items()
    }


def _with_file(table: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    """Where an entry names a YAML file, and nothing that comes with the package, its path."""
    named = str(table.get(name, ""))
    if named.endswith((".yaml", ".yml")):
        return table | {name: str(folder / named)}
    return table
