"""A model made a place's own from scans without disease alone."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bonescint.evaluate import Confusion, ScoredCases, roc_auc_score
from bonescint.evaluate.by_patient import patient_numbers
from bonescint.evaluate.conformal import (
    conformal_threshold,
    needed_normals,
    share_threshold,
)
from bonescint.evaluate.operating import sensitivity_score, specificity_score
from bonescint.experiment.adaptation_page import adaptation_page
from bonescint.experiment.adapted import Adapted, Judged, logit_of, probability_of
from bonescint.experiment.local_scans import FoundScans, ScoredScan, find_scans, score_scans
from bonescint.experiment.sound_scans import (
    SoundScans,
    only_normals,
    require_enough,
    sound_scans,
    with_doubts,
    without_learnt,
)
from bonescint.files import one_writer, require_new
from bonescint.model import (
    Classifier,
    LocalScans,
    Metric,
    ModelCard,
    ModelFolder,
    write_model_folder,
)
from bonescint.model.likeness import moved_to
from bonescint.scan import InputError, ParameterError
from bonescint.scan.software import installed_versions

PAGE = "docs/adaptation.html"
"""Of an adapted model folder: the page that shows before and after."""

_OF_ONE_POINT = ("sensitivity_score", "specificity_score")
_NO_BAND = "no uncertain band, which needs scans with known labels"
Progress = Callable[[str, int, int], None]
Tell = Callable[[str], None]


def adapt_model(
    model: Path | str,
    out: Path | str,
    *,
    normals: Path | None = None,
    specificity: float = 0.9,
    unlabelled: Path | None = None,
    prevalence: float | None = None,
    labelled: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> tuple[ModelFolder, Adapted]:
    """Give a model an operating point from local scans without disease, or without labels.

    With normals the threshold is conformal (`evaluate/conformal.py`): at most a share of
    1 - `specificity` of exchangeable future normal patients is called positive. With unlabelled
    scans the share `prevalence` of them that scores highest is called positive, which is an
    assumption and is said to be one. The graph stays as it is; the limit from which a scan is
    unlike moves to what is usual here.

    What is done is kept in `<out>.run`; after an interruption the same call resumes, and in the
    end that folder goes.

    Args:
        model: a model folder, or `"shipped"`.
        out: the model folder to write; nothing may be there.
        normals: file, folder, ZIP archive, cohort's folder or manifest of scans that are reported
            to be without metastatic bone disease; scans that a manifest labels 1 are left out.
        specificity: asked for, between 0 and 1.
        unlabelled: scans of which nothing is known, in place of normals.
        prevalence: of disease among them, between 0 and 1.
        labelled: manifest, or folder of a cohort, of other scans with known labels: sensitivity and
            specificity before and after are measured on them.
        workers: processes that read scans; as many as cores if `None`.
        progress: called with what is being done, how much of it is done, and of how much.
        tell: called with messages for people, some of which name files.

    Returns:
        The folder, and what was found.

    Raises:
        InputError: scans that cannot be used; too few of them for the specificity, with the number
            that is needed; different kinds; one view missing in all.
        ParameterError: arguments that do not go together, or are out of range.
        ModelFolderError: the model is incomplete or altered.
        OutputError: something is at `out` already, or it cannot be written.
        MissingExtraError: matplotlib is missing, which draws the page's figure.
    """
    target, source = Path(out), _source(normals, unlabelled, specificity, prevalence)
    require_new(target)
    folder = ModelFolder.load(model)
    say = tell if tell is not None else _silent
    run = target.with_name(f"{target.name}.run")
    local = _found(source, folder, specificity if normals is not None else None)
    others = None if labelled is None else _labelled(labelled, folder)
    with one_writer(run):
        with Classifier(folder) as classifier:
            sound = _sound(local, classifier, run, workers, _part(progress, "scoring scans"))
            if normals is not None:
                sound = _with_doubts(sound, folder)
                why = " with both views" if len(sound.scans) < len(local[0].studies) else ""
                require_enough(source, len(sound.patients), specificity, why)
            for text in (*sound.notes, *sound.named):
                say(text)
            judged_scans: Sequence[ScoredScan] = ()
            if others is not None:
                part = _part(progress, "scoring labelled scans")
                judged_scans, _ = score_scans(
                    others, classifier, run / "scores", workers=workers, progress=part
                )
        adapted = _adapted(folder, sound, specificity if normals is not None else None, prevalence)
        if others is not None:
            adapted = _judged(adapted, others.source, judged_scans, say)
        written = _written(adapted, target, adaptation_page(adapted))
    shutil.rmtree(run, ignore_errors=True)
    return written, adapted


def _silent(_: str) -> None:
    return


def _part(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    told = progress
    return lambda done, total: told(what, done, total)


def _source(
    normals: Path | None, unlabelled: Path | None, specificity: float, prevalence: float | None
) -> Path:
    """What the scans are taken from, if the arguments go together."""
    if (normals is None) is (unlabelled is None):
        got = "neither" if normals is None else "both"
        raise ParameterError("normals", "model adapt", "given, or --unlabelled in its place", got)
    if normals is not None:
        if prevalence is not None:
            requirement = "left out with --normals: no assumption is needed"
            raise ParameterError("prevalence", "model adapt", requirement, prevalence)
        needed_normals(specificity)
        return normals
    if prevalence is None or not 0 < prevalence < 1:
        requirement = "between 0 and 1: the share of --unlabelled scans with disease"
        raise ParameterError("prevalence", "model adapt", requirement, prevalence)
    if unlabelled is None:  # cannot be; types do not know
        raise ParameterError("unlabelled", "model adapt", "given", None)
    return unlabelled


def _found(
    source: Path, folder: ModelFolder, specificity: float | None
) -> tuple[FoundScans, tuple[str, ...]]:
    """Scans to read, and what was left out before; too few are refused now."""
    found, notes = without_learnt(find_scans(source), folder)
    if specificity is None:
        return found, notes
    found, left_out = only_normals(found)
    if found.studies:
        require_enough(source, len(found.studies), specificity)
    return found, (*notes, *left_out)


def _labelled(source: Path, folder: ModelFolder) -> FoundScans:
    """Scans with labels, all of them."""
    found, _ = without_learnt(find_scans(source), folder)
    unknown = [study for study in found.studies if found.case(study) is None]
    if unknown or not found.studies:
        problem = f"{len(unknown)} of {len(found.studies)} scans have no label"
        raise InputError(source, problem, "Give a manifest, or a cohort's folder")
    return found


def _sound(
    local: tuple[FoundScans, tuple[str, ...]],
    classifier: Classifier,
    run: Path,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> SoundScans:
    found, notes = local
    scans, refused = score_scans(
        found, classifier, run / "scores", workers=workers, progress=progress
    )
    sound = sound_scans(found.source, scans, refused)
    return replace(sound, notes=(*notes, *sound.notes))


def _with_doubts(sound: SoundScans, folder: ModelFolder) -> SoundScans:
    highest, likeness = sound.highest, folder.likeness
    logits = [logit_of(probability_of(folder.card, scan.margin)) for scan in highest]
    distances = [likeness.score(scan.features) for scan in highest] if likeness else []
    return with_doubts(sound, logits, distances)


def _adapted(
    folder: ModelFolder, sound: SoundScans, specificity: float | None, prevalence: float | None
) -> Adapted:
    """What becomes of a model."""
    highest = sound.highest
    margins = np.array([scan.margin for scan in highest])
    found = None if specificity is None else conformal_threshold(margins, specificity)
    if found is not None:
        score, statement = found.score, found.statement()
    else:
        assumed = prevalence or 0.0
        score = share_threshold(margins, assumed)
        statement = (
            f"positive are the {np.count_nonzero(margins > score)} of {margins.size} patients with "
            f"the highest scores, because disease was assumed in {100 * assumed:.3g} % of them: an "
            "assumption; nothing is guaranteed, neither sensitivity nor specificity"
        )
    likeness = folder.likeness
    unlike_before = None
    if likeness is not None:
        features = [scan.features for scan in highest]
        unlike_before = sum(likeness.score(one) > likeness.threshold for one in features)
        likeness = moved_to(likeness, features)
    hashes = sorted(one for scan in sound.scans for one in scan.files_sha256)
    local = LocalScans(
        scores=tuple(np.sort(margins).tolist()),
        normal=found is not None,
        scans=len(sound.scans),
        model_id=folder.model_id,
        specificity=specificity,
        prevalence=prevalence,
        files_sha256=hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
        settings={"score": "highest of each patient", "recipe": folder.card.recipe.identifier},
        notes=(*sound.notes, *sound.doubts),
    )
    card = folder.card
    after = replace(
        card,
        version=f"{card.version}-local",
        operating_point=_just_above(card, score, sound),
        operating_point_rule=statement,
        uncertain_band=None,
        uncertain_rule=_NO_BAND,
        local=local,
        metrics=tuple(one for one in card.metrics if one.name not in _OF_ONE_POINT),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software={**card.software, **installed_versions(("numpy", "openvino", "scipy"))},
    )
    return Adapted(
        before=folder, after=after, likeness=likeness, margins=margins,
        unlike_before=unlike_before, sound=sound, found=found, judged=None,
    )  # fmt: skip


def _just_above(card: ModelCard, score: float, sound: SoundScans) -> float:
    """The lowest probability that is above that of a score, which stays negative.

    Raises:
        InputError: the score's probability is 1: nothing is above it.
    """
    point = float(np.nextafter(probability_of(card, score), 2.0))
    if point > 1:
        problem = "the model is so sure of disease in these scans that no threshold is above them"
        raise InputError(sound.scans[0].source, problem, "Give normal scans, or calibrate first")
    return point


def _judged(adapted: Adapted, source: Path, scans: Sequence[ScoredScan], say: Tell) -> Adapted:
    """The same with what calls became on scans with labels, apart from those that were used.

    Raises:
        InputError: one class only is left.
    """
    used = {content for scan in adapted.sound.scans for content in scan.files_sha256}
    names = {scan.patient for scan in adapted.sound.scans if scan.patient}
    others = [
        scan for scan in scans if scan.patient not in names and used.isdisjoint(scan.files_sha256)
    ]
    if len(others) < len(scans):
        out = len(scans) - len(others)
        say(f"{out} labelled scans are of patients that the threshold was found on: not judged")
    positive = np.array([scan.positive is True for scan in others], dtype=bool)
    if not positive.any() or positive.all():
        problem = f"{int(positive.sum())} of {len(others)} scans to judge are positive"
        raise InputError(source, problem, "Both classes are needed")
    patients = patient_numbers([scan.patient or f"\0{n}" for n, scan in enumerate(others)])
    cards = (adapted.before.card, adapted.after)
    cases = [
        ScoredCases(
            scores=np.array([probability_of(card, scan.margin) for scan in others]),
            positive=positive,
            patients=patients,
        )
        for card in cards
    ]
    tables = [
        Confusion.of(one, card.operating_point) for one, card in zip(cases, cards, strict=True)
    ]
    judged = Judged(
        scans=len(others),
        positives=int(positive.sum()),
        area=(roc_auc_score(cases[0]), roc_auc_score(cases[1])),
        sensitivity=(sensitivity_score(tables[0]), sensitivity_score(tables[1])),
        specificity=(specificity_score(tables[0]), specificity_score(tables[1])),
    )
    said = f"{len(others)} local scans with known labels ({judged.positives} positive), other "
    said += "patients than those that the operating point comes from"
    metrics = tuple(
        Metric(
            name=name, value=one.value, low=one.low, high=one.high, measured_on=said,
            method=one.method,
        )
        for name, one in (
            ("sensitivity_score", judged.sensitivity[1]),
            ("specificity_score", judged.specificity[1]),
        )
    )  # fmt: skip
    after = replace(adapted.after, metrics=(*adapted.after.metrics, *metrics))
    return replace(adapted, after=after, judged=judged)


def _written(adapted: Adapted, target: Path, page: str) -> ModelFolder:
    return write_model_folder(
        target,
        card=adapted.after,
        onnx=adapted.before.onnx_path.read_bytes(),
        likeness=adapted.likeness,
        more={PAGE: page.encode()},
    )
