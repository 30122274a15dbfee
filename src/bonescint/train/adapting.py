"""Continue training a model with normal scans of one hospital, together with simulated ones.

Normal scans show what is usual in a hospital, but they are not enough to learn from: a network that
sees disease in one kind of scan and none in another learns to tell the kinds apart. Therefore as
many positive as negative draws are local scans: simulated metastases are transplanted to them
(`transplant.py`). The other draws are unchanged simulated scans, so that nothing is forgotten. The
loss in ranking is measured on simulated validation scans; a network that lost too much is not kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest
from bonescint.dicom import StudyFiles, read_study
from bonescint.dicom.files import read_bytes, sha256
from bonescint.evaluate import Comparison, ScoredCases, compare_areas
from bonescint.evaluate.scored import patient_numbers
from bonescint.files import make_folder
from bonescint.model import Engine, ModelFolder, margin_of
from bonescint.prepare import Preprocessing
from bonescint.scan import ParameterError, Split
from bonescint.train.cached import CachedScans, cached_scans, check_trainable, keep_scan
from bonescint.train.configuration import TrainingConfiguration, TrainingStage, configuration_from
from bonescint.train.dataset import plain_loader
from bonescint.train.export import to_onnx, to_safetensors
from bonescint.train.run import RunFolder
from bonescint.train.sample import JoinedScans, ScanSource
from bonescint.train.training import fit, usual_settings
from bonescint.train.weights import InitialWeights, load_weights

LOCAL_SHARE = 0.5
"""Share of the negative draws that are local scans, and of the positive draws that are simulated
metastases on local scans."""

LARGEST_LOSS = 0.01
"""Largest loss of area under the ROC curve on simulated validation scans with which a network is
kept."""

_STEPS = 150
_FROZEN_BLOCKS = 3
_PATIENCE = 2
_FROM_CARD = (
    "label_smoothing",
    "weight_decay",
    "lesion_weight",
    "lesion_positive_weight",
    "scan_augmentations",
    "composite_change",
)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learnt:
    """A network after training with local scans.

    Attributes:
        onnx: the new graph.
        weights: those of the graph, as `to_safetensors` gives them.
        settings: settings of the training.
        areas: under the ROC curve on the simulated validation scans, after minus before.
        cases: the simulated validation scans, scored before calibration by the new network.
        epochs: that were completed; patience may have ended the training early.
    """

    onnx: bytes
    weights: bytes
    settings: TrainingConfiguration
    areas: Comparison
    cases: ScoredCases
    epochs: int

    @property
    def kept(self) -> bool:
        """Whether the ranking of simulated scans suffered little enough."""
        return self.areas.difference.value >= -LARGEST_LOSS


def learn_from_normals(
    folder: ModelFolder,
    studies: Sequence[StudyFiles],
    simulated: Manifest,
    run: Path,
    *,
    epochs: int,
    settings: TrainingConfiguration | None = None,
    progress: Progress | None = None,
) -> Learnt:
    """Continue training a model's network on local normal scans and simulated ones.

    Args:
        folder: the model folder.
        studies: local scans without disease, with both views.
        simulated: cohort with both classes in the splits train and validation.
        run: folder for decoded scans and checkpoints, from which the same call resumes.
        epochs: at most; each has 150 steps.
        settings: in place of `adapting_settings`.
        progress: called with the current step, the amount done, and the total.

    Raises:
        InputError: scans that cannot be read, a cohort that cannot be used, or a model that
            `bonescint train` did not write.
        ParameterError: the run was begun with other settings or scans.
        OutputError: the run's folder cannot be written.
        KeyboardInterrupt: it was interrupted.
    """
    check_trainable(simulated, simulated.folder)
    weights = load_weights(folder.path)
    settings = settings or adapting_settings(folder, weights, epochs)
    folder_of_run = RunFolder(run)
    local = _local(studies, run / "normals", part(progress, "decoding local scans"))
    training, validation = (
        cached_scans(
            simulated,
            split,
            run / "simulated-scans",
            workers=settings.loader_workers,
            progress=part(progress, f"decoding simulated {split.value} scans"),
        )
        for split in (Split.TRAIN, Split.VALIDATION)
    )
    joined = joined_with(training, local)
    asked = {
        "settings": settings.to_json(),
        "weights": weights.sha256,
        "scans": [file.name for file in (*local.files, *training.files, *validation.files)],
    }
    resume = folder_of_run.begin(asked, resume=True)
    network = fit(
        joined,
        validation,
        settings=settings,
        weights=weights,
        run=folder_of_run,
        resume=resume,
        progress=progress,
    )
    onnx = to_onnx(network, rows=settings.preprocessing.rows).SerializeToString()
    before, after = (
        _margins(
            graph, validation, settings.preprocessing, part(progress, "scoring simulated scans")
        )
        for graph in (folder.onnx_path, onnx)
    )
    cases = ScoredCases(
        scores=after,
        positive=np.array(validation.labels, dtype=bool),
        patients=patient_numbers([case.patient_id for case in simulated.split(Split.VALIDATION)]),
    )
    return Learnt(
        onnx=onnx,
        weights=to_safetensors(network),
        settings=settings,
        areas=compare_areas(cases, cases.with_scores(before)),
        cases=cases,
        epochs=folder_of_run.finished_steps() // (settings.steps_per_epoch or 1),
    )


def part(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    """Progress of one part of the work."""
    return None if progress is None else partial(progress, what)


def adapting_settings(
    folder: ModelFolder, weights: InitialWeights, epochs: int
) -> TrainingConfiguration:
    """Settings with low learning rates that keep a model's augmentation, losses and preprocessing.

    Args:
        folder: the model folder.
        weights: weights of the model.
        epochs: at most.

    Raises:
        InputError: the card has settings that this release does not know.
    """
    usual = usual_settings(weights)
    known = json.loads(json.dumps(folder.card.training.settings))
    known.get("composite_change", {}).pop("kind", None)
    own = configuration_from(
        {name: known[name] for name in _FROM_CARD if name in known}, str(folder.path)
    )
    return replace(
        usual,
        stages=(TrainingStage(epochs=epochs, rows=usual.preprocessing.rows),),
        steps_per_epoch=_STEPS,
        patience=_PATIENCE,
        frozen_blocks=_FROZEN_BLOCKS,
        transplant_share=LOCAL_SHARE,
        loader_workers=1,
        **{name: getattr(own, name) for name in _FROM_CARD},
    )


def joined_with(training: ScanSource, local: ScanSource) -> JoinedScans:
    """Simulated scans and local normals, repeated until they are half of the negative scans.

    Args:
        training: training scans of both classes.
        local: without disease.

    Raises:
        ParameterError: no local scan, or no simulated one without disease.
    """
    negatives = sum(not positive for positive in training.positives)
    if not len(local) or not negatives:
        got = f"{len(local)} local, {negatives} simulated ones"
        raise ParameterError("local", "joined_with", "scans without disease of both kinds", got)
    times = max(1, round(LOCAL_SHARE / (1 - LOCAL_SHARE) * negatives / len(local)))
    first = len(training)
    return JoinedScans((training, *[local] * times), hosts=tuple(range(first, first + len(local))))


def _local(
    studies: Sequence[StudyFiles], kept: Path, progress: Callable[[int, int], None] | None
) -> CachedScans:
    """The local scans, each decoded once."""
    make_folder(kept)
    files = []
    for number, study in enumerate(studies):
        content = "".join(sorted(sha256(read_bytes(path)) for path in study.files))
        file = kept / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.safetensors"
        if not file.is_file():
            scan = read_study(study)
            keep_scan(file, scan, scan_id=scan.scan_id, positive=False)
        files.append(file)
        if progress is not None:
            progress(number + 1, len(studies))
    return CachedScans(files=tuple(files), labels=(False,) * len(files))


def _margins(
    onnx: Path | bytes,
    source: ScanSource,
    preprocessing: Preprocessing,
    progress: Callable[[int, int], None] | None,
) -> NDArray[np.float64]:
    """A graph's scores before calibration."""
    loader = plain_loader(source, preprocessing, batch_size=1, workers=0)
    found = []
    with Engine(onnx) as engine:
        for answer in engine.run_many(batch.composites[0].numpy() for batch in loader):
            found.append(margin_of(answer.logits))
            if progress is not None:
                progress(len(found), len(source))
    return np.array(found)
