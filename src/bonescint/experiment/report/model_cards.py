"""Model cards in the report of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bonescint.model import Metric, ModelCard, ModelFolder
from bonescint.report.document_page import PageSection, PageTable


def model_card_sections(cards: Mapping[str, ModelFolder]) -> Iterator[PageSection]:
    """One section with a card for each model, and the figures that stand on it.

    Args:
        cards: the model folders.
    """
    tables = []
    for name, folder in cards.items():
        tables.append(
            PageTable(caption=f"Model card: {name}", columns=("", ""), rows=tuple(_facts(folder)))
        )
        if folder.card.metrics:
            tables.append(
                PageTable(
                    caption=f"Figures on the card of {name}",
                    columns=("", "Value", "Measured on"),
                    rows=tuple(
                        (metric.in_words, _value(metric), metric.measured_on)
                        for metric in folder.card.metrics
                    ),
                    numeric=(1,),
                )
            )
    yield PageSection(title="Model cards", tables=tuple(tables))


def _facts(folder: ModelFolder) -> Iterator[tuple[str, str]]:
    card, training = folder.card, folder.card.training
    band, detector = card.uncertain_band, folder.ood
    yield "Identifier", folder.model_id
    yield "Intended use", card.intended_use
    yield "Architecture", card.architecture
    yield "Preprocessing", card.preprocessing.identifier
    yield "Trained on", f"{training.origin}; {training.learnt_from}"
    yield "Initial weights", training.weights
    yield "Epochs", str(training.epochs)
    yield "Calibration", _calibration(card)
    yield "Operating point", _by_rule(f"{card.operating_point:.3f}", card.operating_point_rule)
    if band is not None:
        yield "Uncertain band", _by_rule(f"{band[0]:.3f} to {band[1]:.3f}", card.uncertain_rule)
    if detector is not None:
        yield (
            "Unlike the cohort",
            f"score above {detector.threshold:.1f}; at most "
            f"{100 * detector.false_alarm_rate:.3g} % of scans like the {detector.scans} of its "
            "validation",
        )
    yield "Limitations", " ".join(card.limitations)
    yield "Licence", card.licence
    yield "SHA-256", folder.sha256


def _calibration(card: ModelCard) -> str:
    line = f"slope {card.calibration.slope:.3f}, intercept {card.calibration.intercept:z.3f}"
    return line if card.calibrated_on is None else f"{line}; {card.calibrated_on.in_words}"


def _by_rule(figure: str, rule: str) -> str:
    """A figure and how it was chosen, if that is known."""
    return f"{figure}: {rule}" if rule else figure


def _value(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"
