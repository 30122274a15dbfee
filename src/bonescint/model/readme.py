"""The model folder's README, rendered from the card."""

from __future__ import annotations

from bonescint.model.card import Metric, ModelCard
from bonescint.model.ood import OodDetector

_WEIGHTS = (
    "`models/weights.safetensors` holds the network's weights in float16: `bonescint train --from` "
    "continues from them.",
    "",
)


def readme_of(
    card: ModelCard, detector: OodDetector | None = None, *, has_weights: bool = False
) -> str:
    """Render a card as Markdown that contains no HTML tags.

    Args:
        card: the model card.
        detector: the folder's detector, if it has one.
        has_weights: whether the folder also holds the network's weights.

    Returns:
        Text that ends with a line break.
    """
    training, evidence = card.training, card.evidence_map
    rows, columns = card.preprocessing.rows, 2 * card.preprocessing.columns
    lines = [
        f"# {card.name} {card.version}",
        "",
        f"**{card.intended_use}** Trained on: {training.origin}.",
        "",
        card.architecture,
        "",
        "## Input and output",
        "",
        f"`models/model.onnx` ({card.precision}) takes `scan`, float32 (N, 1, "
        f"{rows}, {columns}) in [0, 1]: anterior left, posterior right, each as seen from its own "
        f"side, after the preprocessing `{card.preprocessing.identifier}`. It gives `logits` (N, "
        f"2), for no metastatic bone disease and for the disease, and `maps` (N, 2, "
        f"{rows // evidence.cell}, {columns // evidence.cell}), a map for each class: "
        f"{evidence.kind}.",
        "",
        f"The probability has the logit {card.calibration.intercept:.4g} + "
        f"{card.calibration.slope:.4g} x (second logit - first one). "
        + (f"It was {card.calibrated_on.in_words}. " if card.calibrated_on else "")
        + f"From {card.operating_point:.4g} on a scan is called positive"
        + (f" ({card.operating_point_rule})." if card.operating_point_rule else "."),
        *_doubts(card, detector),
        "",
        "## Performance",
        "",
    ]
    lines += [f"- {_sentence(metric)}" for metric in card.metrics] or ["Not measured."]
    lines += ["", "## Limitations", ""]
    lines += [f"- {limitation}" for limitation in card.limitations] or ["None recorded."]
    lines += ["", "## Training", ""]
    lines += [
        f"- scans: {training.learnt_from or 'number not recorded'}",
        f"- {training.epochs} epochs, first weights: {training.weights}",
        f"- fingerprint of the cohort: `{training.cohort_sha256}`",
        f"- written {card.created or 'at an unknown time'} with "
        + (", ".join(f"{name} {version}" for name, version in card.software.items()) or "?"),
        "",
        *(_WEIGHTS if has_weights else ()),
        "## Licence",
        "",
        f"{card.licence}. See LICENSE.",
    ]
    lines += [f"- {credit}" for credit in card.attribution]
    return ("\n".join(lines) + "\n").replace("<", "&lt;")


def _doubts(card: ModelCard, detector: OodDetector | None) -> list[str]:
    """Statements about uncertain answers, adaptation, and inputs unlike the training scans."""
    lines = []
    if card.uncertain_band is not None:
        low, high = card.uncertain_band
        rule = f" ({card.uncertain_rule})" if card.uncertain_rule else ""
        lines += ["", f"From {low:.4g} to {high:.4g} a call is uncertain{rule}."]
    if card.local is not None:
        lines += [
            "",
            f"Adapted from `{card.local.model_id}` with local scans: {card.local.in_words}",
        ]
    if detector is not None:
        lines += [
            "",
            "`models/ood.npz` detects inputs that are unlike the training cohort: a score "
            f"above {detector.threshold:.4g}, which at most {100 * detector.false_alarm_rate:.3g} "
            "% of "
            f"scans like the {detector.scans} from which it was derived exceed. Such inputs get a "
            "probability and no call.",
        ]
    return lines


def _sentence(metric: Metric) -> str:
    interval = ""
    if metric.low is not None and metric.high is not None:
        interval = f" (95 % interval {metric.low:.4g} to {metric.high:.4g})"
    method = f"; {metric.method}" if metric.method else ""
    return (
        f"{metric.in_words}: {metric.value:.4g}{interval}, measured on {metric.measured_on}{method}"
    )
