"""A faintest metastasis that is seen so well and no better, for cases of a stated difficulty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind, ParameterError, View
from bonescint.scan.checked import check_number
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.motion import Motion
from bonescint.simulate.projection import Projector
from bonescint.simulate.seen_foci import TWELVE_NAMES, focus_counts

_MARGIN = 1.25
"""How far above the faintest metastasis the others are, at least. Assumed."""
_MOST_CONTRAST = 60.0
"""Uptake over that of the bone around it that a metastasis is raised to at most. Assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaintestMetastasis:
    """How well the faintest metastasis of a scan is seen, and where it is.

    Attributes:
        contrast_to_noise: in the view that shows it better.
        bone: one of the twelve coarse regions; any if empty.

    Raises:
        ParameterError: no such bone, or a ratio outside 0.5 to 1000.
    """

    contrast_to_noise: float
    bone: str = ""

    def __post_init__(self) -> None:
        check_number(self, "contrast_to_noise", 0.5, 1000)
        if self.bone not in ("", *TWELVE_NAMES):
            known = f"one of {', '.join(TWELVE_NAMES)}"
            raise ParameterError("bone", "FaintestMetastasis", known, self.bone)


def with_faintest(
    metastases: Sequence[FocalUptake],
    faintest: FaintestMetastasis,
    projector: Projector,
    means: Mapping[View, NDArray[np.float32]],
    per_photon: Mapping[View, NDArray[np.float32]],
    motion: Motion | None,
) -> list[FocalUptake]:
    """Give the first metastasis the wanted ratio, and raise those that are fainter than it.

    A focus of `O` counts among `A` counts in its mask has the ratio `s O / sqrt(A - O + s O)` when
    its uptake is `s` times as high, which is solved for `s`. Cold metastases, and cold cores in hot
    ones, cannot be raised and stay as they are.

    Args:
        metastases: of one patient.
        faintest: what is wanted.
        projector: projector of the scan.
        means: for each view the noise-free mean (rows, columns).
        per_photon: as `seen_foci` takes it.
        motion: how the patient moved.
    """
    changed = list(metastases)
    for number, focus in enumerate(changed):
        if focus.kind is not FocusKind.METASTASIS or float(focus.activity.min()) < 0:
            continue
        wanted = faintest.contrast_to_noise * (1.0 if number == 0 else _MARGIN)
        counts = list(focus_counts(projector, focus, means, per_photon, motion).values())
        if not counts:
            continue
        own, every = max(counts, key=lambda pair: pair[0] / np.sqrt(max(pair[1], 1.0)))
        if number and own / np.sqrt(max(every, 1.0)) >= wanted:
            continue
        around = max(every - own, 0.0)
        factor = wanted * (wanted + float(np.sqrt(wanted**2 + 4 * around))) / (2 * own)
        factor = min(factor, (_MOST_CONTRAST - 1) / (focus.contrast - 1))
        changed[number] = replace(
            focus,
            contrast=1 + (focus.contrast - 1) * factor,
            activity=focus.activity * np.float32(factor),
        )
    return changed
