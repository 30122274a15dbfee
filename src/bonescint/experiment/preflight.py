"""What can be wrong with a study is said before its work begins, not after hours of training."""

from __future__ import annotations

from pathlib import Path

from bonescint.cohort import Manifest, read_protocol
from bonescint.experiment.report.checklist import read_metadata
from bonescint.experiment.report.published import read_published
from bonescint.experiment.spec import ExperimentSpec
from bonescint.model import ModelFolder
from bonescint.scan import InputError, ParameterError, Split

_MISSING = "Check the study"


def require_sound(study: ExperimentSpec) -> None:
    """Read everything that a study names, apart from its scans.

    Raises:
        InputError: a file that is not there or is wrong: of settings, weights, metadata, a
            manifest.
        ParameterError: no settings, protocol or published figures of that name.
        ModelFolderError: a given model that is incomplete or altered.
        MissingExtraError: a library of the extra `train` is missing.
    """
    if study.cohort.manifest is not None:
        if not study.cohort.manifest.is_file():
            raise InputError(study.cohort.manifest, "no such file", f"{_MISSING}'s cohort")
    else:
        read_protocol(study.cohort.protocol)
    for plan in study.models.values():
        if plan.weights is not None and not plan.weights.exists():
            raise InputError(plan.weights, "no such file or folder", _MISSING)
        if plan.folder is not None:
            ModelFolder.load(plan.folder)
        else:
            from bonescint.train import read_configuration
            from bonescint.train.distributed import ProcessRank
            from bonescint.train.training import require_fit
            from bonescint.train.weights import NOTHING_LEARNT, load_weights

            if ProcessRank.from_environment().world_size > 1:
                problem = "one process; torchrun -m bonescint train first, and name the folder"
                raise ParameterError("models", f"study {study.name}", problem, "several processes")
            settings = read_configuration(plan.settings)
            if plan.weights is not None:
                require_fit(settings, load_weights(plan.weights))
            elif not settings.network.begins_with_imagenet:
                require_fit(settings, NOTHING_LEARNT)
    read_metadata(study.metadata)
    if study.published:
        read_published(study.published)


def imagenet_weights(study: ExperimentSpec, given: Path | None) -> Path | None:
    """ImageNet's weights, if a model of the study begins with them and names none itself.

    They are fetched now: not after hours of simulation.

    Args:
        study: that was found sound.
        given: file that the user names, or `None`.

    Returns:
        Their file, or `None` if no model needs them.

    Raises:
        InputError: they cannot be had, or are another network's.
    """
    needed = {
        name: plan
        for name, plan in study.models.items()
        if plan.folder is None and plan.weights is None
    }
    if not needed:
        return None
    from bonescint.train import read_configuration
    from bonescint.train.training import require_fit
    from bonescint.train.weights import fetch_keras_weights, load_weights

    settings = {name: read_configuration(plan.settings) for name, plan in needed.items()}
    beginning = {name: one for name, one in settings.items() if one.network.begins_with_imagenet}
    if not beginning:
        return None
    if given is None:
        try:
            given = fetch_keras_weights()
        except InputError as error:
            models = f"model{'s' * (len(beginning) > 1)} {', '.join(beginning)}"
            remedy = (
                f"Give the weights with --weights FILE, or write 'settings: compact' for {models}: "
                "that network does not need them"
            )
            problem = f"the ImageNet weights, from which {models} would start, {error.problem}"
            raise InputError(error.source, problem, remedy) from error
    weights = load_weights(given)
    for one in beginning.values():
        require_fit(one, weights)
    return given


def require_studyable(study: ExperimentSpec, cohort: Manifest, path: Path) -> None:
    """The cohort has what the study needs.

    Args:
        study: what is to be done.
        cohort: of the study.
        path: its manifest, for messages.

    Raises:
        InputError: a split without scans of both classes.
        ParameterError: an external centre of which there is no scan.
    """
    for split in Split:
        cases = cohort.split(split)
        positive = sum(case.positive for case in cases)
        if not cases or positive in (0, len(cases)):
            problem = (
                f"split {split.value}, column label: {positive} of {len(cases)} scans are positive"
            )
            raise InputError(path, problem, "A study needs both classes in every split")
    centres = {case.centre for case in cohort.cases}
    strangers = [centre for centre in study.external if centre not in centres]
    if strangers:
        known = f"centres of the cohort ({', '.join(sorted(centres))})"
        raise ParameterError("external", f"study {study.name}", known, ", ".join(strangers))
