"""Whether the images agree with their labels: anterior or posterior, left and right.

A skeleton is nearly the same from the front and from behind, and nearly its own mirror image. It
differs in what lies near the detector: face, sternum and patellae, or spine, sacrum and heels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from bonescint.quantify.bone_atlas import BoneAtlas
from bonescint.quantify.registration import (
    BodyPose,
    Registration,
    SearchedView,
    likeness_of,
)
from bonescint.scan import View

_OPPOSITE = {View.ANTERIOR: View.POSTERIOR, View.POSTERIOR: View.ANTERIOR}
LEAST_ADVANTAGE = -0.05
"""Views whose mean advantage is lower look like those of the opposite side. In simulated pairs it
is at least 0.10 with the right labels, and at most -0.10 with swapped ones."""
LEAST_AGREEMENT = -0.3
"""If the asymmetries of the views agree less, one view looks mirrored. In simulated pairs the
agreement is at least 0.76, and at most -0.47 if one of them is mirrored."""
_SMOOTHING_MM = 10.0
_ROWS_MM = np.arange(-820.0, 960.0, 5.0)
_COLUMNS_MM = np.arange(2.5, 290.0, 5.0)
"""From the origin of the atlas: down, and to either side."""
_LEAST_SHARE = 0.15
"""Places where the sum of both sides is below this share of its maximum are outside the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelEvidence:
    """How well the images agree with their labels.

    Attributes:
        advantage: for each view its correlation with simulated views of its own side, minus that
            with simulated views of the opposite side.
        agreement: correlation between the asymmetries of the two views in common coordinates;
            `None` for one view.
    """

    advantage: Mapping[View, float]
    agreement: float | None

    @property
    def looks_opposite(self) -> bool:
        """Whether the views look like those of the opposite sides."""
        return float(np.mean(list(self.advantage.values()))) < LEAST_ADVANTAGE

    @property
    def looks_mirrored(self) -> bool:
        """Whether one of the two views looks mirrored."""
        return self.agreement is not None and self.agreement < LEAST_AGREEMENT

    def remarks(self) -> tuple[str, ...]:
        """What is doubtful, in words.

        Examples:
            >>> LabelEvidence(advantage={View.ANTERIOR: 0.1}, agreement=None).remarks()
            ()
            >>> print(*LabelEvidence(advantage={View.ANTERIOR: -0.1}, agreement=None).remarks())
            The view labelled anterior looks like a posterior one: check it. Nothing was changed.
        """
        found = []
        if self.looks_opposite and len(self.advantage) > 1:
            found.append(
                "The views look swapped: the one labelled anterior looks like a posterior one, and "
                "the other like an anterior one: check them. Nothing was changed."
            )
        elif self.looks_opposite:
            (view,) = self.advantage
            article = "a" if view is View.ANTERIOR else "an"
            found.append(
                f"The view labelled {view.value} looks like {article} {_OPPOSITE[view].value} one: "
                "check it. Nothing was changed."
            )
        if self.looks_mirrored:
            found.append(
                "The two views do not agree on left and right: one of them looks mirrored. Check "
                "them: sides of bones and the matching of foci between the views may be wrong."
            )
        return tuple(found)


def label_evidence(registration: Registration, atlas: BoneAtlas) -> LabelEvidence:
    """Compare the views of a scan with simulated views of each side, and with each other.

    Args:
        registration: of the scan, by the same atlas.
        atlas: the bones.
    """
    pose, views = registration.pose, registration.images
    advantage = {
        view: registration.likeness[view]
        - likeness_of(atlas, pose, view, image, expected_of=_OPPOSITE[view])
        for view, image in views.items()
    }
    agreement = _agreement(views, pose) if len(views) > 1 else None
    return LabelEvidence(advantage=advantage, agreement=agreement)


def _agreement(views: Mapping[View, SearchedView], pose: BodyPose) -> float:
    """Correlation between the views' differences of left and right."""
    differences, sums = [], []
    for view, image in views.items():
        smooth, origin = image.smoothed(_SMOOTHING_MM), pose.origin_mm[view]
        row = (origin[1] + _ROWS_MM)[:, None] / image.pixel_mm[0] - 0.5
        sides = []
        for sign in (-1, 1):
            column = (origin[0] + sign * _COLUMNS_MM)[None] / image.pixel_mm[1] - 0.5
            at = np.broadcast_arrays(row, column)
            sides.append(ndimage.map_coordinates(smooth, at, order=1, mode="constant"))
        differences.append(sides[0] - sides[1])
        sums.append(sides[0] + sides[1])
    body = np.any([both > _LEAST_SHARE * both.max() for both in sums], axis=0)
    one, other = (np.asarray(of[body], np.float64) for of in differences)
    norm = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / norm if norm > 0 else 0.0
