"""A model before and after it was adapted to local scans."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate import Confusion, Estimate, ScoredCases, roc_auc_score, share
from bonescint.evaluate.conformal import ConformalThreshold
from bonescint.evaluate.metrics import sensitivity_score, specificity_score
from bonescint.evaluate.scored import patient_numbers
from bonescint.experiment.adaptation.learning import Learning
from bonescint.experiment.adaptation.local_scans import ScoredScan
from bonescint.experiment.adaptation.usable_scans import UsableScans
from bonescint.model import Metric, ModelCard, ModelFolder
from bonescint.model.ood import OodDetector
from bonescint.scan import InputError


def probability_of(card: ModelCard, margin: float) -> float:
    """MBD probability of a score before calibration."""
    return card.calibration.probability(margin)


def logit_of(probability: float) -> float:
    """Logit of a probability; 0 and 1 are taken a little inside.

    Examples:
        >>> logit_of(0.5)
        0.0
    """
    clipped = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(clipped / (1 - clipped))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledResults:
    """What calls became on scans with known labels that nothing was learnt from.

    Attributes:
        scans: number of them.
        positives: of them with disease.
        area: under the ROC curve, before and after.
        sensitivity: before and after.
        specificity: before and after.
    """

    scans: int
    positives: int
    area: tuple[Estimate, Estimate]
    sensitivity: tuple[Estimate, Estimate]
    specificity: tuple[Estimate, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adaptation:
    """A model before and after.

    Attributes:
        before: the model as it was.
        after: the card that it got.
        ood: its detector of unlike scans, adapted to these scans, or `None` if it has none.
        network: the folder of the network that is used from now on: `before`, or what learnt.
        margins: of each local patient that the operating point was found on, before calibration.
        margins_before: of the same patients by the model as it was.
        unlike_before: patients whose scan the model as it was finds unlike; `None` without score.
        usable: the local scans.
        found: the threshold, or `None` where scans are not known to be normal.
        learning: what a network learnt from local scans, if one did.
        labelled: what labels tell, or `None` without labels.
    """

    before: ModelFolder
    after: ModelCard
    ood: OodDetector | None
    network: ModelFolder
    margins: NDArray[np.float64]
    margins_before: NDArray[np.float64]
    unlike_before: int | None
    usable: UsableScans
    found: ConformalThreshold | None
    learning: Learning | None
    labelled: LabelledResults | None

    @property
    def called_before(self) -> Estimate:
        """Share of the local patients that the model as it was calls positive."""
        card = self.before.card
        before = self.margins_before
        called = sum(probability_of(card, one) >= card.operating_point for one in before)
        return share(called, before.size)

    @property
    def called_after(self) -> int:
        """Local patients that are called positive from now on; the point was found on these."""
        card = self.after
        return sum(probability_of(card, one) >= card.operating_point for one in self.margins)

    @property
    def kind(self) -> str:
        """What the local patients are."""
        return "local patients" if self.found is None else "local normal patients"


def with_labelled_results(
    adapted: Adaptation,
    source: Path,
    scored: tuple[Sequence[ScoredScan], ...],
    say: Callable[[str], None],
) -> Adaptation:
    """The same with what calls became on scans with labels, apart from those that were used.

    Args:
        adapted: without.
        source: of the scans.
        scored: they, as scored before and after.
        say: tells people.

    Raises:
        InputError: one class only is left.
    """
    used = {content for scan in adapted.usable.scans for content in scan.files_sha256}
    names = {scan.patient for scan in adapted.usable.scans if scan.patient}
    pairs = [
        [scan for scan in scans if scan.patient not in names and used.isdisjoint(scan.files_sha256)]
        for scans in scored
    ]
    others = pairs[0]
    if len(others) < len(scored[0]):
        out = len(scored[0]) - len(others)
        say(f"{out} labelled scans are of patients that the threshold was found on: not judged")
    positive = np.array([scan.positive is True for scan in others], dtype=bool)
    if not positive.any() or positive.all():
        problem = f"{int(positive.sum())} of {len(others)} scans to judge are positive"
        raise InputError(source, problem, "Both classes are needed")
    patients = patient_numbers([scan.patient or f"\0{n}" for n, scan in enumerate(others)])
    cards = (adapted.before.card, adapted.after)
    cases = [
        ScoredCases(
            scores=np.array([probability_of(card, scan.margin) for scan in part]),
            positive=positive,
            patients=patients,
        )
        for card, part in zip(cards, pairs, strict=True)
    ]
    tables = [
        Confusion.of(one, card.operating_point) for one, card in zip(cases, cards, strict=True)
    ]
    judged = LabelledResults(
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
    return replace(adapted, after=after, labelled=judged)
