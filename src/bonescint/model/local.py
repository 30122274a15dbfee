"""The local scans that gave a model its operating point, as its card keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bonescint.scan import NormalRank, ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalScans:
    """Scans of one place, by their scores alone.

    Attributes:
        scores: of each patient the highest, ascending: logit of the disease minus the other one,
            before any calibration, so that they keep their meaning when a calibration follows.
        normal: whether all are reported to be without metastatic bone disease; else nothing is
            known of any of them.
        scans: number of the scans that they are of.
        specificity: that was asked for, or `None` where scans are not known to be normal.
        prevalence: of disease that was assumed, or `None` where they are.
        model_id: of the model before it was adapted.
        files_sha256: hash of the hashes of all files, in any order.
        settings: that decide the result, besides the scans.
        notes: what was left out or assumed, a statement each.

    Raises:
        ParameterError: no score, scores that are not finite and ascending, or more than scans.

    Examples:
        >>> local = LocalScans(scores=(-1.0, 0.5, 2.0), normal=True, scans=3, model_id="m@1+0")
        >>> local.rank(0.7).in_words
        'higher than 2 of 3 local normal patients (conformal p-value 0.5)'
    """

    scores: tuple[float, ...]
    normal: bool
    scans: int
    model_id: str
    specificity: float | None = None
    prevalence: float | None = None
    files_sha256: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", tuple(float(score) for score in self.scores))
        object.__setattr__(self, "notes", tuple(self.notes))
        found = np.array(self.scores)
        if not found.size or not np.isfinite(found).all() or (np.diff(found) < 0).any():
            raise ParameterError("scores", "LocalScans", "finite and ascending", "others")
        if self.scans < found.size:
            requirement = f"at least {found.size}, one for each patient"
            raise ParameterError("scans", "LocalScans", requirement, self.scans)

    def rank(self, margin: float) -> NormalRank | None:
        """Where a score lies among these; `None` where they are not known to be normal.

        Args:
            margin: logit of the disease minus the other one.
        """
        if not self.normal:
            return None
        below = int(np.searchsorted(self.scores, margin, side="left"))
        return NormalRank(higher_than=below, of=len(self.scores))

    @property
    def in_words(self) -> str:
        """What they are, and what was left out or assumed."""
        patients = len(self.scores)
        kind = "reported to be without metastatic bone disease" if self.normal else (
            f"of which nothing is known; that {100 * self.prevalence:.3g} % have the disease is an "
            "assumption" if self.prevalence is not None else "of which nothing is known"
        )  # fmt: skip
        said = f"{self.scans} scans of {patients} patients, {kind}"
        return ". ".join((said, *self.notes)) + "."

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        plain = asdict(self)
        return {**plain, "scores": list(self.scores), "notes": list(self.notes)}
