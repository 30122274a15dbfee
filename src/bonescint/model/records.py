"""What a card records of the scans that gave its calibration and its operating point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from bonescint.scan import UNCALIBRATED, NormalRank, ParameterError, PlattCalibration


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRecord:
    """From which scans a calibration comes, and how sure it is.

    Attributes:
        scans: what the scans are, such as `"validation scans"`.
        count: number of them.
        positives: number of them with disease.
        patients: from whom they are.
        fitted: the map that was found, on top of `before`, at the prevalence of these scans.
        slope_interval: interval of `fitted`'s slope, or `None`.
        intercept_interval: interval of `fitted`'s intercept, or `None`.
        level: coverage that the intervals are meant to have.
        method: method of the fit and its intervals.
        unpenalised: slope and intercept without penalty and shrinkage, or `None` if there are
            none: how far `fitted` is from them is how far it was drawn towards no change.
        kept: share that was kept of the change with the greatest penalised likelihood, 0 to 1.
        prevalence: share of scans with disease that the intercept was moved to; `None` if it was
            left at that of these scans.
        before: the calibration that the model had.
        note: on the fit; may be empty.

    Raises:
        ParameterError: no scan, or more positive ones than scans.
    """

    scans: str
    count: int
    positives: int
    patients: int
    fitted: PlattCalibration
    slope_interval: tuple[float, float] | None = None
    intercept_interval: tuple[float, float] | None = None
    level: float = 0.95
    method: str = ""
    unpenalised: tuple[float, float] | None = None
    kept: float = 1.0
    prevalence: float | None = None
    before: PlattCalibration = UNCALIBRATED
    note: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.positives <= self.count or self.count < 1:
            got = (self.positives, self.count)
            raise ParameterError("positives", "CalibrationRecord", "of the scans", got)

    @property
    def fitted_at(self) -> float:
        """Share of the scans with disease."""
        return self.positives / self.count

    @property
    def in_words(self) -> str:
        """The record in words: scans, slope and intercept with intervals, prevalence, note.

        Examples:
            >>> CalibrationRecord(scans="scans", count=20, positives=5, patients=20,
            ...     fitted=PlattCalibration(slope=0.5, intercept=-1.0)).in_words
            'fitted to 20 scans, 5 positive (25 %): slope 0.500, intercept -1.000'
        """
        whose = "" if self.patients == self.count else f" of {self.patients} patients"
        share = f"{100 * self.fitted_at:.3g} %"
        text = (
            f"fitted to {self.count} {self.scans}{whose}, {self.positives} positive ({share}): "
            f"slope {_figure(self.fitted.slope, self.slope_interval)}, "
            f"intercept {_figure(self.fitted.intercept, self.intercept_interval)}"
        )
        if self.slope_interval is not None:
            text += f", {100 * self.level:g} % intervals"
        if self.before != UNCALIBRATED:
            text += f", on top of {self.before.slope:.4g} and {self.before.intercept:.4g}"
        if self.method:
            text += f" ({self.method})"
        if self.unpenalised is not None:
            slope, intercept = self.unpenalised
            text += (
                f"; drawn towards 1 and 0 from {slope:.3f} and {intercept:.3f}, which have the "
                "greatest likelihood"
            )
        if self.prevalence is not None:
            text += f"; intercept moved to a prevalence of {100 * self.prevalence:.3g} %"
        return f"{text}; {self.note}" if self.note else text

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)


def _figure(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return f"{value:z.3f}"
    return f"{value:z.3f} ({interval[0]:z.3f} to {interval[1]:z.3f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalScans:
    """The scores of one hospital's scans.

    Attributes:
        scores: the highest of each patient, ascending: logit of the disease minus the other one,
            before any calibration, so that they keep their meaning when a calibration follows.
        normal: whether all are reported to be without metastatic bone disease; otherwise nothing
            is known about them.
        scans: number of scans.
        specificity: wanted specificity, or `None` where scans are not known to be normal.
        prevalence: prevalence of disease that was assumed, or `None` where they are.
        model_id: identifier of the model before it was adapted.
        files_sha256: hash of the hashes of all files, in any order.
        settings: that affect the result, apart from the scans.
        notes: one statement for each omission or assumption.

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
        """The rank of a score among these; `None` if they are not known to be normal.

        Args:
            margin: logit of the disease minus the other one.
        """
        if not self.normal:
            return None
        below = int(np.searchsorted(self.scores, margin, side="left"))
        return NormalRank(higher_than=below, of=len(self.scores))

    def without_threshold(self, reason: str) -> LocalScans:
        """These scans, with a note that they no longer determine the operating point.

        Args:
            reason: what replaced the operating point.

        Examples:
            >>> local = LocalScans(scores=(0.5,), normal=True, scans=1, model_id="m@1+0",
            ...                    specificity=0.9)
            >>> local.without_threshold("A calibration").notes
            ('A calibration replaced the operating point for a specificity of 0.9 that these scans \
gave: that specificity is no longer guaranteed',)
        """
        if self.specificity is not None:
            note = (
                f"{reason} replaced the operating point for a specificity of {self.specificity:g} "
                "that these scans gave: that specificity is no longer guaranteed"
            )
        elif self.prevalence is not None:
            note = f"{reason} replaced the operating point that these scans gave"
        else:
            return self
        return replace(self, specificity=None, prevalence=None, notes=(*self.notes, note))

    @property
    def in_words(self) -> str:
        """What the scans are, and what was left out or assumed."""
        patients = len(self.scores)
        if self.normal:
            kind = "reported to be without metastatic bone disease"
        elif self.prevalence is None:
            kind = "of which nothing is known"
        else:
            share = f"{100 * self.prevalence:.3g} %"
            kind = f"of which nothing is known; that {share} have the disease is an assumption"
        said = f"{self.scans} scans of {patients} patients, {kind}"
        return ". ".join((said, *self.notes)) + "."

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        plain = asdict(self)
        return {**plain, "scores": list(self.scores), "notes": list(self.notes)}
