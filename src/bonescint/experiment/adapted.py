"""A model before and after it was adapted to local scans."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate import Estimate, share
from bonescint.evaluate.conformal import ConformalThreshold
from bonescint.experiment.sound_scans import SoundScans
from bonescint.model import ModelCard, ModelFolder
from bonescint.model.likeness import Likeness


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
class Judged:
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
class Adapted:
    """A model before and after.

    Attributes:
        before: the model as it was.
        after: the card that it got.
        likeness: its score for unlike scans, moved to these scans, or `None` if it has none.
        margins: of each local patient, before calibration.
        unlike_before: patients whose scan the model as it was finds unlike; `None` without score.
        sound: the local scans.
        found: the threshold, or `None` where scans are not known to be normal.
        judged: what labels tell, or `None` without labels.
    """

    before: ModelFolder
    after: ModelCard
    likeness: Likeness | None
    margins: NDArray[np.float64]
    unlike_before: int | None
    sound: SoundScans
    found: ConformalThreshold | None
    judged: Judged | None

    @property
    def called_before(self) -> Estimate:
        """Share of the local patients that the model as it was calls positive."""
        card = self.before.card
        called = sum(probability_of(card, one) >= card.operating_point for one in self.margins)
        return share(called, self.margins.size)

    @property
    def called_after(self) -> int:
        """Local patients that are called positive from now on; the point was found on these."""
        card = self.after
        return sum(probability_of(card, one) >= card.operating_point for one in self.margins)

    @property
    def kind(self) -> str:
        """What the local patients are."""
        return "local patients" if self.found is None else "local normal patients"
