"""Adapt a model to one hospital with normal scans alone, or with scans without labels."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from bonescint.evaluate.conformal import (
    ConformalThreshold,
    conformal_threshold,
    needed_normals,
    share_threshold,
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
from bonescint.experiment.adaptation.report import (
    Adaptation,
    adaptation_page,
    logit_of,
    probability_of,
    with_labelled_results,
)
from bonescint.experiment.adaptation.usable_scans import (
    UsableScans,
    only_normals,
    require_enough,
    usable_scans,
    with_doubts,
    without_learnt,
)
from bonescint.files import one_writer, require_new, require_own, write_whole
from bonescint.model import Classifier, LocalScans, ModelCard, ModelFolder, write_model_folder
from bonescint.model.ood import adapted_to
from bonescint.scan import InputError, ParameterError
from bonescint.scan.software import installed_versions

PAGE = "docs/adaptation.html"
"""Page of an adapted model folder that shows the model before and after."""

_OF_ONE_POINT = ("sensitivity_score", "specificity_score")
_MARK, _SIGNATURE = "adapting.json", "bonescint model adapt"
_OWN = ("scores", "simulated", "learning", "learnt")
_SPECIFICITY = 0.9
_NO_BAND = "no uncertain band, which needs scans with known labels"
Progress = Callable[[str, int, int], None]
Tell = Callable[[str], None]


def adapt_model(
    model: Path | str,
    out: Path | str,
    *,
    normals: Path | None = None,
    specificity: float | None = None,
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
    scans, the share `prevalence` with the highest scores is called positive; the results say that
    this is an assumption. The limit of the out-of-distribution score is adapted to the local scans.
    The network is not changed, unless `epochs` lets it learn from half of the normals
    (`train/adapting.py`); the threshold is then found on the other half.

    Intermediate results are kept in `<out>.adapting`, which is deleted at the end; after an
    interruption the same call resumes.

    Args:
        model: a model folder, or `"shipped"`.
        out: the model folder to write; it must not exist.
        normals: file, folder, ZIP archive, cohort's folder or manifest of scans that are reported
            to be without metastatic bone disease; scans that a manifest labels 1 are left out.
        specificity: wanted specificity, between 0 and 1, with normals; 0.9 if not given.
        unlabelled: scans with unknown labels, in place of normals.
        prevalence: prevalence of disease among them, between 0 and 1.
        labelled: manifest, or folder of a cohort, of other scans with known labels: sensitivity and
            specificity before and after are measured on them.
        epochs: largest number of epochs in which the network learns from normals; 0 for none.
            Needs 20 normal patients and the extra `train`.
        simulated: cohort of simulated scans to learn from as well; made if not given.
        workers: processes that read scans; as many as cores if `None`.
        progress: called with (task, done, total).
        tell: called with messages for the user, some of which name files.

    Returns:
        The new model folder, and the adaptation.

    Raises:
        InputError: scans that cannot be used, too few for the specificity (the message gives the
            number needed), scans of different kinds, or one view missing in all.
        ParameterError: arguments that exclude each other, or are out of range.
        ModelFolderError: the model is incomplete or altered.
        OutputError: `out` exists, or cannot be written.
        MissingExtraError: matplotlib, which draws the page's figure, is not installed.
    """
    target = Path(out)
    source, asked = _source(normals, unlabelled, specificity, prevalence)
    _check_learning(epochs, simulated, normals)
    require_new(target)
    folder = ModelFolder.load(model)
    say = tell or (lambda _: None)
    run = target.with_name(f"{target.name}.adapting")
    found, notes = _found(source, folder, asked)
    others = None if labelled is None else _labelled(labelled, folder)
    with _own_folder(run):
        scoring = _Scoring(folder=run / "scores", workers=workers, progress=progress)
        with Classifier(folder) as classifier:
            usable = usable_scans(source, *scoring.of(found, classifier, "scoring scans"))
            usable = replace(usable, notes=(*notes, *usable.notes))
            if asked is not None:
                usable = _with_doubts(usable, folder)
                why = " with both views" if len(usable.scans) < len(found.studies) else ""
                require_enough(source, len(usable.patients), asked, why)
            for text in (*usable.notes, *usable.named):
                say(text)
            labels = scoring.of_labelled(others, classifier)
        learning, after, labels_after = None, usable, labels
        if epochs and asked is not None:
            require_enough_to_learn(source, len(usable.patients), asked)
            cohort = simulated_scans(simulated, run, workers=workers, progress=progress)
            learning = learn(
                folder,
                usable,
                cohort,
                run,
                specificity=asked,
                epochs=epochs,
                progress=progress,
            )
            say(learning.said)
            if learning.learnt.kept:
                with Classifier(learning.model) as classifier:
                    after = scoring.again(learning.aside, found, classifier)
                    labels_after = scoring.of_labelled(others, classifier)
        adapted = _adapted(folder, usable, after, _Chosen.of(after, asked, prevalence), learning)
        if others is not None:
            adapted = with_labelled_results(adapted, others.source, (labels, labels_after), say)
        written = write_model_folder(
            target,
            card=adapted.after,
            onnx=adapted.network.onnx_path.read_bytes(),
            ood=adapted.ood,
            weights=adapted.network.read_weights(),
            more={PAGE: adaptation_page(adapted).encode()},
        )
    return written, adapted


@contextmanager
def _own_folder(run: Path) -> Iterator[None]:
    """A folder for intermediate results, deleted at the end except for files of other origin.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scoring:
    """Scores scans.

    Attributes:
        folder: folder of the stored scores, from which an interrupted run resumes.
        workers: processes that read scans.
        progress: called with (task, done, total).
    """

    folder: Path
    workers: int | None
    progress: Progress | None

    def of(
        self, found: FoundScans, classifier: Classifier, what: str
    ) -> tuple[tuple[ScoredScan, ...], tuple[InputError, ...]]:
        """Scans with their scores, and what could not be read."""
        progress = None if self.progress is None else partial(self.progress, what)
        return score_scans(found, classifier, self.folder, workers=self.workers, progress=progress)

    def of_labelled(
        self, others: FoundScans | None, classifier: Classifier
    ) -> tuple[ScoredScan, ...]:
        """Scans with labels, scored; none if there are none."""
        return () if others is None else self.of(others, classifier, "scoring labelled scans")[0]

    def again(self, aside: UsableScans, found: FoundScans, classifier: Classifier) -> UsableScans:
        """The scans that were not learnt from, scored by the trained network."""
        studies = tuple(scan.study for scan in aside.scans)
        known = replace(found, studies=studies, refused=())
        return replace(aside, scans=self.of(known, classifier, "scoring scans again")[0])


def _check_learning(epochs: int, simulated: Path | None, normals: Path | None) -> None:
    """Reject settings of learning that cannot be used."""
    if epochs < 0:
        raise ParameterError("epochs", "model adapt", "at least 0", epochs)
    if simulated is not None and not epochs:
        requirement = "given with --epochs alone"
        raise ParameterError("simulated", "model adapt", requirement, str(simulated))
    if epochs:
        if normals is None:
            raise ParameterError("epochs", "model adapt", "given with --normals alone", epochs)
        from bonescint.extras import require

        require("torch", "lightning", "onnx", extra="train")


def _source(
    normals: Path | None,
    unlabelled: Path | None,
    specificity: float | None,
    prevalence: float | None,
) -> tuple[Path, float | None]:
    """The source of the scans and, of normals, the wanted specificity; arguments are checked."""
    if (normals is None) is (unlabelled is None):
        got = "neither" if normals is None else "both"
        raise ParameterError("normals", "model adapt", "given, or --unlabelled in its place", got)
    if normals is not None:
        if prevalence is not None:
            requirement = "left out with --normals: no assumption is needed"
            raise ParameterError("prevalence", "model adapt", requirement, prevalence)
        asked = _SPECIFICITY if specificity is None else specificity
        needed_normals(asked)
        return normals, asked
    if specificity is not None:
        requirement = "left out with --unlabelled: nothing is known of its scans"
        raise ParameterError("specificity", "model adapt", requirement, specificity)
    if prevalence is None or not 0 < prevalence < 1:
        requirement = "between 0 and 1: the share of --unlabelled scans with disease"
        raise ParameterError("prevalence", "model adapt", requirement, prevalence)
    if unlabelled is None:  # cannot be; types do not know
        raise ParameterError("unlabelled", "model adapt", "given", None)
    return unlabelled, None


def _found(
    source: Path, folder: ModelFolder, specificity: float | None
) -> tuple[FoundScans, tuple[str, ...]]:
    """Scans to read, and notes on those left out; too few are rejected before any work."""
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


def _with_doubts(usable: UsableScans, folder: ModelFolder) -> UsableScans:
    highest, detector = usable.highest, folder.ood
    logits = [logit_of(probability_of(folder.card, scan.margin)) for scan in highest]
    distances = [detector.score(scan.features) for scan in highest] if detector else []
    return with_doubts(usable, logits, distances)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """The threshold on the score of local patients.

    Attributes:
        score: a patient with a higher score is called positive.
        statement: how it was chosen, and what is guaranteed.
        specificity: wanted specificity, or `None` where scans are not known to be normal.
        prevalence: assumed prevalence in that case.
        found: the conformal threshold, or `None`.
    """

    score: float
    statement: str
    specificity: float | None
    prevalence: float | None
    found: ConformalThreshold | None

    @classmethod
    def of(
        cls, usable: UsableScans, specificity: float | None, prevalence: float | None
    ) -> _Chosen:
        """Choose the threshold from the highest score of each patient."""
        margins = usable.margins
        if specificity is not None:
            found = conformal_threshold(margins, specificity)
            return cls(
                score=found.score,
                statement=found.statement(),
                specificity=specificity,
                prevalence=None,
                found=found,
            )
        assumed = prevalence or 0.0
        score = share_threshold(margins, assumed)
        statement = (
            f"positive are the {np.count_nonzero(margins > score)} of {margins.size} patients with "
            f"the highest scores, because disease was assumed in {100 * assumed:.3g} % of them: an "
            "assumption; nothing is guaranteed, neither sensitivity nor specificity"
        )
        return cls(
            score=score,
            statement=statement,
            specificity=None,
            prevalence=prevalence,
            found=None,
        )


def _adapted(
    folder: ModelFolder,
    usable: UsableScans,
    after: UsableScans,
    chosen: _Chosen,
    learning: Learning | None,
) -> Adaptation:
    """The adapted model.

    Args:
        folder: the model before.
        usable: all local scans, scored by that model.
        after: the scans for the operating point, scored by the network of the adapted model.
        chosen: the threshold on their scores.
        learning: the result of learning from normals, if there was any.
    """
    card, judges, margins = folder.card, usable, after.margins
    if learning is not None and learning.learnt.kept:
        card, judges = recentred_card(learning, margins), learning.aside
    detector, unlike_before = folder.ood, None
    if detector is not None:
        features = [scan.features for scan in usable.highest]
        unlike_before = sum(detector.score(one) > detector.threshold for one in features)
        detector = adapted_to(detector, features)
    changed = replace(
        card,
        version=f"{card.version.removesuffix('-local')}-local",
        operating_point=_just_above(card, chosen.score, after),
        operating_point_rule=chosen.statement,
        uncertain_band=None,
        uncertain_rule=_NO_BAND,
        local=_local(folder, usable, after, chosen, learning),
        metrics=tuple(one for one in card.metrics if one.name not in _OF_ONE_POINT),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software={**card.software, **installed_versions(("numpy", "openvino", "scipy"))},
    )
    return Adaptation(
        before=folder,
        after=changed,
        network=folder if learning is None else learning.model,
        ood=detector,
        margins=margins,
        margins_before=judges.margins,
        unlike_before=unlike_before,
        usable=usable,
        found=chosen.found,
        learning=learning,
        labelled=None,
    )


def _local(
    folder: ModelFolder,
    usable: UsableScans,
    after: UsableScans,
    chosen: _Chosen,
    learning: Learning | None,
) -> LocalScans:
    """What the card says about the local scans."""
    hashes = sorted(one for scan in usable.scans for one in scan.files_sha256)
    said = () if learning is None else (learning.said,)
    return LocalScans(
        scores=tuple(np.sort(after.margins).tolist()),
        normal=chosen.found is not None,
        scans=len(after.scans),
        model_id=folder.model_id,
        specificity=chosen.specificity,
        prevalence=chosen.prevalence,
        files_sha256=hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
        settings={
            "score": "highest of each patient",
            "preprocessing": folder.card.preprocessing.identifier,
        },
        notes=(*usable.notes, *usable.doubts, *said),
    )


def _just_above(card: ModelCard, score: float, usable: UsableScans) -> float:
    """The lowest probability above that of a score, so that the score itself is called negative.

    Raises:
        InputError: the score's probability is 1, so no probability is above it.
    """
    point = float(np.nextafter(probability_of(card, score), 2.0))
    if point > 1:
        problem = "the model is so sure of disease in these scans that no threshold is above them"
        raise InputError(usable.scans[0].source, problem, "Give normal scans, or calibrate first")
    return point
