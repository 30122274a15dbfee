"""A model before and after it was adapted to local scans, and the page that shows both."""

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
from bonescint.experiment.evaluation.results import NOTICE
from bonescint.model import Metric, ModelCard, ModelFolder
from bonescint.model.ood import OodDetector
from bonescint.plotting import BLUE, GREY, ORANGE, RenderedFigure, legend, new_axes, rendered
from bonescint.report.document_page import (
    Document,
    PageFigure,
    PageSection,
    PageTable,
    document_text,
)
from bonescint.report.text import operating_point_text
from bonescint.scan import InputError

_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
_ASSUMED = (
    "The operating point rests on an assumed share of disease, not on scans that are known to be "
    "without. If the true share differs, so do sensitivity and specificity, and nothing here would "
    "show it."
)


def probability_of(card: ModelCard, margin: float) -> float:
    """MBD probability of a score before calibration."""
    return card.calibration.probability(margin)


def logit_of(probability: float) -> float:
    """Logit of a probability, which is clipped to between 1e-12 and 1 - 1e-12.

    Examples:
        >>> logit_of(0.5)
        0.0
    """
    clipped = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(clipped / (1 - clipped))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledResults:
    """Sensitivity and specificity before and after adaptation, on labelled scans not used for it.

    Attributes:
        scans: number of scans.
        positives: number of them with disease.
        area: area under the ROC curve, before and after.
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
    """A model before and after it was adapted.

    Attributes:
        before: the model as it was.
        after: the card of the adapted model.
        ood: its out-of-distribution detector, adapted to the local scans; `None` if it has none.
        network: the folder whose network the adapted model uses: `before`, or a trained one.
        margins: uncalibrated margin of each local patient used for the operating point.
        margins_before: margins of the same patients by the former model.
        unlike_before: patients beyond the former model's out-of-distribution limit; `None` if it
            has no such score.
        usable: the local scans.
        found: the conformal threshold, or `None` where scans are not known to be normal.
        learning: the result of learning from local scans, if there was any.
        labelled: results on labelled scans, or `None` without such.
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
        """Share of the local patients that the former model calls positive."""
        card = self.before.card
        before = self.margins_before
        called = sum(probability_of(card, one) >= card.operating_point for one in before)
        return share(called, before.size)

    @property
    def called_after(self) -> int:
        """Number of local patients called positive by the adapted model, whose point they gave."""
        card = self.after
        return sum(probability_of(card, one) >= card.operating_point for one in self.margins)

    @property
    def kind(self) -> str:
        """The local patients in words, for sentences of the page."""
        return "local patients" if self.found is None else "local normal patients"


def with_labelled_results(
    adapted: Adaptation,
    source: Path,
    scored: tuple[Sequence[ScoredScan], ...],
    say: Callable[[str], None],
) -> Adaptation:
    """Add the results on labelled scans of patients that were not used for the threshold.

    Args:
        adapted: the adaptation without these results.
        source: path of the labelled scans.
        scored: the labelled scans, scored by the model before and after.
        say: called with messages for the user.

    Raises:
        InputError: only one class is left.
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
    after = replace(adapted.after, metrics=(*adapted.after.metrics, *_metrics(judged)))
    return replace(adapted, after=after, labelled=judged)


def _metrics(labelled: LabelledResults) -> tuple[Metric, ...]:
    """Sensitivity and specificity of the adapted model, for its card."""
    said = f"{labelled.scans} local scans with known labels ({labelled.positives} positive), other "
    said += "patients than those that the operating point comes from"
    pairs = {
        "sensitivity_score": labelled.sensitivity,
        "specificity_score": labelled.specificity,
    }
    return tuple(
        Metric(
            name=name,
            value=after.value,
            low=after.low,
            high=after.high,
            measured_on=said,
            method=after.method,
        )
        for name, (_, after) in pairs.items()
    )


def adaptation_page(adapted: Adaptation) -> str:
    """The page as text.

    Args:
        adapted: what was found.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    after = adapted.after
    local = after.local
    learning = adapted.learning
    facts = [
        ("Model before", adapted.before.model_id),
        ("Version after", after.version),
        ("Local scans", "" if local is None else f"{local.scans} of {len(local.scores)} patients"),
        ("Fingerprint of their files", "" if local is None else local.files_sha256),
        ("Preprocessing", after.preprocessing.identifier),
        ("Software", ", ".join(f"{name} {text}" for name, text in after.software.items())),
        ("Trained on", after.training.origin),
        ("Learning", "" if learning is None else f"{learning.learnt.epochs} epochs"),
    ]
    sections = [
        _scores(adapted),
        *_learning(adapted),
        _changes(adapted),
        *_labels(adapted),
        _left_out(adapted),
    ]
    page = Document(
        title="A model adapted to local scans",
        notice=NOTICE,
        created=after.created,
        facts=tuple((label, text) for label, text in facts if text),
        headlines=_headlines(adapted),
        sections=(*sections, _methods(adapted)),
    )
    return document_text(page)


def _headlines(adapted: Adaptation) -> tuple[tuple[str, str, str], ...]:
    before, after = adapted.before.card, adapted.after
    called, patients = adapted.called_before, adapted.margins.size
    count = round(called.value * patients)
    points = (
        "Operating point",
        operating_point_text(after.operating_point),
        f"before: {operating_point_text(before.operating_point)}",
    )
    was = (
        f"Called positive before, of {patients} {adapted.kind}",
        str(count),
        f"{called.text()}; {called.method}'s 95 % interval",
    )
    if adapted.found is None:
        now = ("Assumed share of disease", f"{_prevalence(adapted):.3g} %", "not a guarantee")
    else:
        rate = 100 * adapted.found.false_alarm_rate
        low = adapted.found.specificity_quantile(0.05)
        now = (
            "Of future normal patients called positive, at most",
            f"{rate:.1f} %",
            f"asked: specificity {adapted.found.specificity:g}; in 95 of 100 such sets of normals "
            f"the specificity is at least {math.floor(1000 * low) / 1000:.3f}",
        )
    return (points, was, now)


def _prevalence(adapted: Adaptation) -> float:
    local = adapted.after.local
    return 100 * (local.prevalence or 0.0) if local is not None else 0.0


def _scores(adapted: Adaptation) -> PageSection:
    caption = (
        f"Scores of the {adapted.margins.size} {adapted.kind}, of each the highest, with both "
        "operating points."
    )
    figure = PageFigure(
        caption=caption, content=scores_figure(adapted).svg, alternative=caption, wide=True
    )
    said = adapted.after.operating_point_rule
    return PageSection(
        title="Operating point",
        paragraphs=(f"{said[0].upper()}{said[1:]}.",),
        warnings=(*((_ASSUMED,) if adapted.found is None else ()), *adapted.usable.doubts),
        figures=(figure,),
    )


def scores_figure(adapted: Adaptation) -> RenderedFigure:
    """A histogram of the local patients' scores, with the operating points."""
    before, after = adapted.before.card, adapted.after
    parts = [
        np.array([logit_of(probability_of(card, one)) for one in margins])
        for card, margins in ((before, adapted.margins_before), (after, adapted.margins))
    ]
    logits = parts[1]
    points = (logit_of(before.operating_point), logit_of(after.operating_point))
    low = min(float(np.concatenate(parts).min()), *points) - 0.5
    high = max(float(np.concatenate(parts).max()), *points) + 0.5
    figure, axes = new_axes(7.0, 2.8)
    bins = np.linspace(low, high, 41)
    if np.array_equal(parts[0], parts[1]):
        axes.hist(logits, bins=bins, color=GREY, alpha=0.55, label=adapted.kind)
    else:
        for one, colour, name in zip(parts, (ORANGE, BLUE), ("before", "after"), strict=True):
            label = f"{adapted.kind}, {name}"
            axes.hist(one, bins=bins, color=colour, alpha=0.4, label=label)
    for point, colour, name in zip(points, (ORANGE, BLUE), ("before", "after"), strict=True):
        card = before if name == "before" else after
        text = f"operating point {name}: {operating_point_text(card.operating_point)}"
        axes.axvline(point, color=colour, linewidth=1.6, label=text)
    ticks = [tick for tick in _TICKS if low <= logit_of(tick) <= high]
    axes.set_xticks([logit_of(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.set_xlim(low, high)
    axes.set_xlabel("Probability of metastatic bone disease (spaced by its logit)")
    axes.set_ylabel("Patients")
    axes.set_ylim(top=1.5 * axes.get_ylim()[1])  # room for the legend
    axes.yaxis.get_major_locator().set_params(integer=True)
    legend(axes, "upper left" if points[1] > float(np.median(logits)) else "upper right")
    return rendered(figure)


def _learning(adapted: Adaptation) -> tuple[PageSection, ...]:
    learning = adapted.learning
    if learning is None:
        return ()
    said = f"{learning.said[0].upper()}{learning.said[1:]}."
    how = (
        "Half of the positive and half of the negative draws are local scans, the positive ones "
        "with transplanted simulated metastases; the others are simulated scans. The first blocks "
        "of convolutions keep their weights."
    )
    kept = learning.learnt.kept
    section = PageSection(
        title="Learning",
        paragraphs=(said, how) if kept else (how,),
        warnings=() if kept else (said,),
    )
    return (section,)


def _changes(adapted: Adaptation) -> PageSection:
    before, after = adapted.before.card, adapted.after
    patients = adapted.margins.size
    rows = [
        (
            "operating point",
            f"{before.operating_point:.4f}",
            f"{after.operating_point:.4f}",
        ),
        (
            f"{adapted.kind} called positive",
            f"{round(adapted.called_before.value * patients)} of {patients}",
            f"{adapted.called_after} of {patients} (the point was found on these)",
        ),
        (
            "uncertain band",
            "none" if before.uncertain_band is None else _band(before.uncertain_band),
            "none: that needs scans with known labels",
        ),
    ]
    old, new = adapted.before.ood, adapted.ood
    if old is not None and new is not None:
        rows += [
            (
                "limit of the score for unlike scans",
                f"{old.threshold:.2f}, around the training cohort",
                f"{new.threshold:.2f}, around the local scans",
            ),
            (
                "too unlike to be called",
                f"{adapted.unlike_before} of {len(adapted.usable.patients)}",
                f"at most {100 * new.false_alarm_rate:.3g} % of scans like the {new.scans} "
                "that were set aside for the limit",
            ),
        ]
    table = PageTable(
        caption="What changed",
        columns=("", "before", "after"),
        rows=tuple(rows),
        note="The network itself is the same, and so is every probability."
        if adapted.network is adapted.before
        else "The network learnt: probabilities are others.",
    )
    return PageSection(title="What changed", tables=(table,))


def _band(band: tuple[float, float]) -> str:
    return f"{band[0]:.3f} to {band[1]:.3f}"


def _labels(adapted: Adaptation) -> tuple[PageSection, ...]:
    judged = adapted.labelled
    if judged is None:
        return ()
    rows = tuple(
        (name, pair[0].text(), pair[1].text())
        for name, pair in (
            ("sensitivity", judged.sensitivity),
            ("specificity", judged.specificity),
            ("area under the ROC curve", judged.area),
        )
    )
    table = PageTable(
        caption=f"On {judged.scans} other scans with known labels, {judged.positives} positive",
        columns=("", "before", "after"),
        rows=rows,
        note="95 % intervals: Wilson's for shares, DeLong's for the area. Every scan is "
        "called here, also one that `classify` does not call because it is too unlike.",
    )
    return (PageSection(title="Scans with known labels", tables=(table,)),)


def _left_out(adapted: Adaptation) -> PageSection:
    notes = tuple(f"{note[0].upper()}{note[1:]}." for note in adapted.usable.notes)
    return PageSection(
        title="Left out, and assumed", paragraphs=notes or ("Nothing was left out.",)
    )


def _methods(adapted: Adaptation) -> PageSection:
    if adapted.found is None:
        first = (
            "The scans were ordered by the model's score, and the operating point was set so that "
            "the assumed share of them lies above it."
        )
    else:
        first = (
            "Split conformal prediction (Vovk et al. 2005): the network learnt from other scans, "
            "so the score of a new normal patient has any rank among those of the local normal "
            "patients with the same probability, whatever the scores' distribution. This holds as "
            "long as future normal patients are like these: the same camera, protocol, processing "
            "and referral. It says nothing of sensitivity. Patients count, not scans: one with "
            "several scans counts once, by the highest score."
        )
    return PageSection(
        title="Methods",
        paragraphs=(
            first,
            "The score for unlike scans was centred on half of the local scans, and its limit is "
            "the split-conformal quantile of the other half, or the former limit if that is higher "
            "(with fewer than 20 scans the limit alone moved).",
        ),
    )
