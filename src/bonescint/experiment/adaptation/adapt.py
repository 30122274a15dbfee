"""A model made a place's own from scans without disease alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bonescint.evaluate.conformal import (
    conformal_threshold,
    needed_normals,
    share_threshold,
)
from bonescint.experiment.adaptation.adapted import (
    Adaptation,
    logit_of,
    probability_of,
    with_labelled_results,
)
from bonescint.experiment.adaptation.learning import (
    Learning,
    learn,
    recentred_card,
    require_enough_to_learn,
    simulated_scans,
)
from bonescint.experiment.adaptation.local_scans import (
    FoundScans,
    ScoredScan,
    find_scans,
    score_scans,
)
from bonescint.experiment.adaptation.page import adaptation_page
from bonescint.experiment.adaptation.usable_scans import (
    UsableScans,
    only_normals,
    require_enough,
    usable_scans,
    with_doubts,
    without_learnt,
)
from bonescint.files import one_writer, require_new, require_own, write_whole
from bonescint.model import (
    Classifier,
    LocalScans,
    ModelCard,
    ModelFolder,
    write_model_folder,
)
from bonescint.model.ood import adapted_to
from bonescint.scan import InputError, ParameterError
from bonescint.scan.software import installed_versions

PAGE = "docs/adaptation.html"
"""Of an adapted model folder: the page that shows before and after."""

_OF_ONE_POINT = ("sensitivity_score", "specificity_score")
_MARK, _SIGNATURE = "adapting.json", "bonescint model adapt"
_OWN = ("scores", "simulated", "learning", "learnt")
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
    epochs: int = 0,
    simulated: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> tuple[ModelFolder, Adaptation]:
    """Give a model an operating point from local scans without disease, or without labels.

    With normals the threshold is conformal (`evaluate/conformal.py`): at most a share of
    1 - `specificity` of exchangeable future normal patients is called positive. With unlabelled
    scans the share `prevalence` of them that scores highest is called positive, which is an
    assumption and is said to be one. The limit from which a scan is unlike moves to what is usual
    here. The network stays as it is, unless `epochs` lets it learn from half of the normals
    (`train/adapting.py`); the threshold is then found on the other half.

    What is done is kept in `<out>.adapting`; after an interruption the same call resumes, and in
    the end that folder goes.

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
        epochs: of learning from normals, at most; 0 for none. Needs 20 normal patients and the
            extra `train`.
        simulated: cohort of simulated scans to learn from beside them; made if not given.
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
    _check_learning(epochs, simulated, normals)
    require_new(target)
    folder = ModelFolder.load(model)
    say = tell if tell is not None else _silent
    run = target.with_name(f"{target.name}.adapting")
    local = _found(source, folder, specificity if normals is not None else None)
    others = None if labelled is None else _labelled(labelled, folder)
    with _own_folder(run):
        with Classifier(folder) as classifier:
            usable = _usable(local, classifier, run, workers, _part(progress, "scoring scans"))
            if normals is not None:
                usable = _with_doubts(usable, folder)
                why = " with both views" if len(usable.scans) < len(local[0].studies) else ""
                require_enough(source, len(usable.patients), specificity, why)
            for text in (*usable.notes, *usable.named):
                say(text)
            labels = _scored(others, classifier, run, workers, progress)
        learning, after, labels_after = None, usable, labels
        if epochs:
            require_enough_to_learn(source, len(usable.patients), specificity)
            cohort = simulated_scans(simulated, run, workers=workers, progress=progress)
            learning = learn(
                folder, usable, cohort, run, specificity=specificity, epochs=epochs,
                progress=progress,
            )  # fmt: skip
            say(learning.said)
            if learning.learnt.kept:
                after, labels_after = _scored_again(
                    learning, local[0], others, run, workers, progress
                )
        adapted = _adapted(
            folder, usable, after, specificity if normals is not None else None, prevalence,
            learning,
        )  # fmt: skip
        if others is not None:
            adapted = with_labelled_results(adapted, others.source, (labels, labels_after), say)
        written = _written(adapted, target, adaptation_page(adapted))
    return written, adapted


@contextmanager
def _own_folder(run: Path) -> Iterator[None]:
    """A folder for what is done, which goes once all is done; what others put there stays.

    Raises:
        OutputError: it holds files of other origin, another process writes there, or it cannot be
            written.
    """
    require_own(run, _OWN, mark=_MARK, signature=_SIGNATURE)
    with one_writer(run):
        write_whole(run / _MARK, json.dumps({"made_by": _SIGNATURE}) + "\n")
        yield
        for name in _OWN:
            shutil.rmtree(run / name, ignore_errors=True)
        (run / _MARK).unlink(missing_ok=True)
    with suppress(OSError):  # gone already, or somebody else's files are there
        run.rmdir()


def _check_learning(epochs: int, simulated: Path | None, normals: Path | None) -> None:
    """Refuse learning that cannot begin, and settings of it without it."""
    if epochs < 0:
        raise ParameterError("epochs", "model adapt", "at least 0", epochs)
    if simulated is not None and not epochs:
        requirement = "given with --epochs alone"
        raise ParameterError("simulated", "model adapt", requirement, str(simulated))
    if epochs:
        if normals is None:
            raise ParameterError("epochs", "model adapt", "given with --normals alone", epochs)
        from bonescint.train.extras import require

        require("torch", "lightning", "onnx")


def _scored(
    others: FoundScans | None,
    classifier: Classifier,
    run: Path,
    workers: int | None,
    progress: Progress | None,
) -> tuple[ScoredScan, ...]:
    """Scans with labels, scored; none if there are none."""
    if others is None:
        return ()
    told = _part(progress, "scoring labelled scans")
    scans, _ = score_scans(others, classifier, run / "scores", workers=workers, progress=told)
    return scans


def _scored_again(
    learning: Learning,
    found: FoundScans,
    others: FoundScans | None,
    run: Path,
    workers: int | None,
    progress: Progress | None,
) -> tuple[UsableScans, tuple[ScoredScan, ...]]:
    """The scans that were set aside, and those with labels, as the network that learnt scores."""
    aside = replace(found, studies=tuple(scan.study for scan in learning.aside.scans))
    told = _part(progress, "scoring scans again")
    with Classifier(learning.model) as classifier:
        scans, _ = score_scans(
            replace(aside, refused=()), classifier, run / "scores", workers=workers, progress=told
        )
        labels = _scored(others, classifier, run, workers, progress)
    return replace(learning.aside, scans=scans), labels


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


def _usable(
    local: tuple[FoundScans, tuple[str, ...]],
    classifier: Classifier,
    run: Path,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> UsableScans:
    found, notes = local
    scans, refused = score_scans(
        found, classifier, run / "scores", workers=workers, progress=progress
    )
    usable = usable_scans(found.source, scans, refused)
    return replace(usable, notes=(*notes, *usable.notes))


def _with_doubts(usable: UsableScans, folder: ModelFolder) -> UsableScans:
    highest, detector = usable.highest, folder.ood
    logits = [logit_of(probability_of(folder.card, scan.margin)) for scan in highest]
    distances = [detector.score(scan.features) for scan in highest] if detector else []
    return with_doubts(usable, logits, distances)


def _adapted(
    folder: ModelFolder,
    usable: UsableScans,
    after: UsableScans,
    specificity: float | None,
    prevalence: float | None,
    learning: Learning | None,
) -> Adaptation:
    """What becomes of a model.

    Args:
        folder: the model before.
        usable: all local scans, as that model scores them.
        after: those that the operating point is found on, as the network to be used scores them.
        specificity: asked for, or `None` where scans are not known to be normal.
        prevalence: assumed then.
        learning: what a network learnt, if one did.
    """
    kept = learning is not None and learning.learnt.kept
    judges = learning.aside if learning is not None and kept else usable
    highest, before = after.highest, judges.highest
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
    detector = folder.ood
    unlike_before = None
    if detector is not None:
        features = [scan.features for scan in usable.highest]
        unlike_before = sum(detector.score(one) > detector.threshold for one in features)
        detector = adapted_to(detector, features)
    hashes = sorted(one for scan in usable.scans for one in scan.files_sha256)
    local = LocalScans(
        scores=tuple(np.sort(margins).tolist()),
        normal=found is not None,
        scans=len(after.scans),
        model_id=folder.model_id,
        specificity=specificity,
        prevalence=prevalence,
        files_sha256=hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
        settings={
            "score": "highest of each patient",
            "preprocessing": folder.card.preprocessing.identifier,
        },
        notes=(*usable.notes, *usable.doubts, *((learning.said,) if learning is not None else ())),
    )
    card = recentred_card(learning, margins) if learning is not None and kept else folder.card
    changed = replace(
        card,
        version=f"{card.version.removesuffix('-local')}-local",
        operating_point=_just_above(card, score, after),
        operating_point_rule=statement,
        uncertain_band=None,
        uncertain_rule=_NO_BAND,
        local=local,
        metrics=tuple(one for one in card.metrics if one.name not in _OF_ONE_POINT),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software={**card.software, **installed_versions(("numpy", "openvino", "scipy"))},
    )
    return Adaptation(
        before=folder, after=changed, network=folder if learning is None else learning.model,
        ood=detector, margins=margins,
        margins_before=np.array([scan.margin for scan in before]),
        unlike_before=unlike_before, usable=usable, found=found, learning=learning, labelled=None,
    )  # fmt: skip


def _just_above(card: ModelCard, score: float, usable: UsableScans) -> float:
    """The lowest probability that is above that of a score, which stays negative.

    Raises:
        InputError: the score's probability is 1: nothing is above it.
    """
    point = float(np.nextafter(probability_of(card, score), 2.0))
    if point > 1:
        problem = "the model is so sure of disease in these scans that no threshold is above them"
        raise InputError(usable.scans[0].source, problem, "Give normal scans, or calibrate first")
    return point


def _written(adapted: Adaptation, target: Path, page: str) -> ModelFolder:
    return write_model_folder(
        target,
        card=adapted.after,
        onnx=adapted.network.onnx_path.read_bytes(),
        ood=adapted.ood,
        weights=adapted.network.read_weights(),
        more={PAGE: page.encode()},
    )
