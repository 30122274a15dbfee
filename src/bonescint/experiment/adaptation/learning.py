"""Continue to train a network on some local normal scans; the others give the operating point."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest, mixed_protocol, read_manifest, simulate_cohort
from bonescint.evaluate import fit_calibration
from bonescint.evaluate.conformal import needed_normals
from bonescint.experiment.adaptation.usable_scans import UsableScans
from bonescint.model import Metric, ModelCard, ModelFolder, TrainingRecord, write_model_folder
from bonescint.model.recalibration import calibration_record
from bonescint.scan import InputError
from bonescint.scan.software import installed_versions

if TYPE_CHECKING:
    from bonescint.train.adapting import Learnt

LEAST_PATIENTS = 20
"""The fewest normal patients with which a network may learn from some of them."""

SIMULATED_SCANS = 1000
"""Scans that are simulated where no simulated cohort is given: 700 of them to learn from."""

_LEAST_LEARNT = 10
_SEED = 1
_UPTAKE_SPREAD = 3.0
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learning:
    """What a network learnt from, and the outcome.

    Attributes:
        model: the folder of the network that learnt, before its operating point is found; the
            former model's where it was not kept.
        learnt: what is known of the learning.
        patients: normal patients that it learnt from.
        scans: their scans.
        aside: the other normal scans, which it never saw.
    """

    model: ModelFolder
    learnt: Learnt
    patients: int
    scans: int
    aside: UsableScans

    @property
    def said(self) -> str:
        """The outcome, in words."""
        areas, count = self.learnt.areas, self.learnt.cases.count
        epochs = "1 epoch" if self.learnt.epochs == 1 else f"{self.learnt.epochs} epochs"
        change = (
            f"area under the ROC curve on {count} simulated validation scans {areas.first:.3f} "
            f"after, {areas.second:.3f} before (difference {areas.difference.text()})"
        )
        if self.learnt.kept:
            return (
                f"the network learnt for {epochs} from {self.scans} scans of "
                f"{self.patients} normal patients, who took no part in finding the operating "
                f"point: {change}"
            )
        return (
            f"the network that learnt was not kept, because it ranks simulated scans worse than "
            f"before: {change}"
        )


def require_enough_to_learn(source: Path, patients: int, specificity: float) -> None:
    """Reject fewer normal patients than learning and a threshold need.

    Raises:
        InputError: with the number that is needed.
    """
    needed = max(LEAST_PATIENTS, _LEAST_LEARNT + needed_normals(specificity))
    if patients < needed:
        raise InputError(
            source,
            f"has {patients} normal patients; learning from some and finding a threshold for a "
            f"specificity of {specificity:g} on others needs at least {needed}",
            f"Give {needed - patients} more, or leave out --epochs",
        )


def parted(usable: UsableScans, specificity: float) -> tuple[UsableScans, UsableScans]:
    """Normal patients to learn from, and those that are set aside: half of them, at random.

    Args:
        usable: all of them; enough, see `require_enough_to_learn`.
        specificity: for which enough must be set aside.
    """
    patients = list(usable.patients.values())
    aside = max(needed_normals(specificity), len(patients) // 2)
    order = np.random.default_rng(_SEED).permutation(len(patients))
    chosen = {id(scan) for number in order[:aside] for scan in patients[number]}
    return (
        replace(usable, scans=tuple(scan for scan in usable.scans if id(scan) not in chosen)),
        replace(usable, scans=tuple(scan for scan in usable.scans if id(scan) in chosen)),
    )


def simulated_scans(
    given: Path | None, run: Path, *, workers: int | None, progress: Progress | None
) -> Manifest:
    """The simulated cohort that the network learns from beside local scans; made if not given.

    Raises:
        InputError: no readable manifest.
        MissingExtraError: the simulator's libraries are not installed.
    """
    if given is not None:
        return read_manifest(given)
    told = progress
    protocol = mixed_protocol(SIMULATED_SCANS)
    # Uptake varies more than in nature, as in what the shipped model learnt from: brightness alone
    # then says nothing.
    wide = {
        name: replace(centre, population=replace(centre.population, uptake_spread=_UPTAKE_SPREAD))
        for name, centre in protocol.centres.items()
    }
    made = simulate_cohort(
        run / "simulated",
        replace(protocol, centres=wide),
        seed=_SEED,
        workers=workers or None,
        progress=None if told is None else lambda done, count: told("simulating", done, count),
    )
    return made.manifest


def learn(
    folder: ModelFolder,
    usable: UsableScans,
    simulated: Manifest,
    run: Path,
    *,
    specificity: float,
    epochs: int,
    progress: Progress | None,
) -> Learning:
    """Let a network learn from some of the normal scans, and write it to the run's folder.

    Raises:
        InputError: scans or a cohort that cannot be used.
        OutputError: the run's folder cannot be written.
    """
    from bonescint.train.adapting import learn_from_normals

    learning, aside = parted(usable, specificity)
    learnt = learn_from_normals(
        folder,
        [scan.study for scan in learning.scans],
        simulated,
        run / "learning",
        epochs=epochs,
        progress=progress,
    )
    found = Learning(
        model=folder,
        learnt=learnt,
        patients=len(learning.patients),
        scans=len(learning.scans),
        aside=aside,
    )
    return replace(found, model=_written(folder, found, run)) if learnt.kept else found


def recentred_card(learning: Learning, margins: NDArray[np.float64]) -> ModelCard:
    """The card of the trained network, with its intercept adjusted to local normals.

    The intercept is moved so that the median logit of local normal patients equals that of
    simulated scans without disease.

    Args:
        learning: the result of learning, with a network that was kept.
        margins: margins of local normal patients not used for learning.
    """
    card, cases = learning.model.card, learning.learnt.cases
    simulated = float(np.median(cases.scores[~cases.positive]))
    moved = card.calibration.slope * (simulated - float(np.median(margins)))
    record = card.calibrated_on
    note = (
        f"the intercept was then moved by {moved:.3f}: the median logit of {margins.size} local "
        "normal patients is that of the simulated scans without disease"
    )
    if record is not None:
        record = replace(record, note="; ".join(text for text in (record.note, note) if text))
    calibration = replace(card.calibration, intercept=card.calibration.intercept + moved)
    return replace(card, calibration=calibration, calibrated_on=record)


def _written(folder: ModelFolder, found: Learning, run: Path) -> ModelFolder:
    """The network that learnt as a model folder, with the former operating point."""
    card, learnt = folder.card, found.learnt
    local = f"{found.scans} local scans without metastatic bone disease"
    before = card.training
    training = TrainingRecord(
        origin=f"{before.origin.removesuffix(' only')} and {local}",
        cohort_sha256=before.cohort_sha256,
        scans={**before.scans, "train local negative": found.scans},
        weights=f"{folder.model_id}, sha256 {folder.sha256[:12]}",
        settings=json.loads(json.dumps(learnt.settings.to_json())),
        epochs=learnt.epochs,
    )
    area = Metric(
        name="roc_auc_score",
        value=learnt.areas.first,
        measured_on=f"{learnt.cases.count} simulated validation scans, after learning from {local}",
        method=f"before {learnt.areas.second:.4g}, paired difference {learnt.areas.test}",
    )
    fit = fit_calibration(learnt.cases)
    changed = replace(
        card,
        training=training,
        calibration=fit.calibration,
        calibrated_on=calibration_record(fit, scans="simulated validation scans"),
        metrics=(area,),
        limitations=(
            f"Learnt from {local}; not validated on patients.",
            *(one for one in card.limitations if not one.startswith("Trained on ")),
        ),
        precision="fp32",
        software=installed_versions(("torch", "lightning", "onnx", "openvino", "numpy")),
    )
    return write_model_folder(
        run / "learnt",
        card=changed,
        onnx=learnt.onnx,
        ood=folder.ood,
        weights=learnt.weights,
    )
