"""What results say of the model, from its card."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from bonescint.classify.results import CallCounts
from bonescint.report import PageHeading, operating_point_text

if TYPE_CHECKING:
    from bonescint.model import Metric, ModelFolder

_NOTICE = "Research use only. Not a medical device."


def notice_of(folder: ModelFolder) -> str:
    """The sentence that stands on every picture and page."""
    origin = folder.card.training.origin
    unproven = ", not validated on patients" if "simulated" in origin else ""
    local = folder.card.local
    assumed = (
        f" Operating point by an assumption: {100 * local.prevalence:.3g} % have the disease."
        if local is not None and local.prevalence is not None
        else ""
    )
    return f"{_NOTICE} Model trained on {origin}{unproven}.{assumed}"


def page_heading(
    folder: ModelFolder, created: datetime, calls: CallCounts, *, interrupted: bool
) -> PageHeading:
    """What stands above the page of results."""
    card = folder.card
    scans = card.training.learnt_from
    rows = [
        ("Model", folder.model_id),
        ("Architecture", card.architecture),
        ("Numerical precision", card.precision),
        ("Trained on", f"{card.training.origin} ({scans})" if scans else card.training.origin),
        ("Preprocessing", card.preprocessing.identifier),
        (
            "Operating point",
            f"{operating_point_text(card.operating_point)} {card.operating_point_rule}".strip(),
        ),
        ("Calibration", "" if card.calibrated_on is None else card.calibrated_on.in_words),
        ("Uncertain", _band(folder)),
        ("Local scans", _local(folder)),
        ("Unlike the training cohort", _unlike(folder)),
        *((f"{metric.in_words}, {metric.measured_on}", _figure(metric)) for metric in card.metrics),
        ("Intended use", card.intended_use),
        ("Limitations", " ".join(card.limitations)),
        ("Licence", card.licence),
    ]
    return PageHeading(
        title="Bone scans: results",
        notice=notice_of(folder),
        created=created.strftime("%Y-%m-%d %H:%M UTC"),
        model_summary=f"Model {folder.model_id}, trained on {card.training.origin}",
        model=tuple((label, text) for label, text in rows if text),
        operating_point=card.operating_point,
        interrupted=interrupted,
        calls=calls.in_words(),
        evidence=card.evidence_map.kind,
    )


def _band(folder: ModelFolder) -> str:
    band = folder.card.uncertain_band
    if band is None:
        return ""
    low, high = (operating_point_text(bound) for bound in band)
    rule = folder.card.uncertain_rule
    return f"from {low} to {high}" + (f": {rule}" if rule else "")


def _local(folder: ModelFolder) -> str:
    """What is to be known of the local scans that the operating point comes from."""
    return "" if folder.card.local is None else folder.card.local.in_words


def _unlike(folder: ModelFolder) -> str:
    detector = folder.ood
    if detector is None:
        return ""
    return (
        f"score above {detector.threshold:.1f}; at most {100 * detector.false_alarm_rate:.3g} % of "
        f"scans like the {detector.scans} from which it was derived exceed it"
    )


def _figure(metric: Metric) -> str:
    """A figure with its interval, if it has one."""
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} (95 % interval {metric.low:.3f} to {metric.high:.3f})"
