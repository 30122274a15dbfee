"""The Bone Scan Index: how much of the skeleton's mass is diseased.

Imbriaco et al., Clin Cancer Res 1998;4:1765; automated: Ulmert et al., Eur Urol 2012;62:78. Each
bone counts with its share of the skeleton's mass; a table of these is named in every result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from bonescint.files import json_in
from bonescint.quantify.bone_atlas import BoneAtlas, bone_atlas
from bonescint.quantify.diseased_bone import PieceNumbers
from bonescint.quantify.foci import MatchedFocus
from bonescint.quantify.laid_atlas import LaidAtlas, laid_atlas
from bonescint.quantify.regions import BodyRegions
from bonescint.scan import PixelUnit, Prediction, Scan, View
from bonescint.simulate.skeleton import group_of_region

METASTASIS_FROM = 0.5
"""A focus is called a metastasis from this probability on."""
RESAMPLES = 5
_FIRST_RESAMPLES = 2
_CLEARLY_LESS = 1 / 3
"""The first resamples suffice if their SD is under this share of `method_sd`."""
_OUTLINE_FACTOR = 1.36
"""What outlines miss, on average: fitted on 60 simulated patients."""
_SPINE = ("cervical", "thoracic", "lumbar", "sacrum")
OFFSET = 0.02
"""Added to indices before logarithms are taken, in per cent."""


class MassTable(StrEnum):
    """Which shares the bones have of the skeleton."""

    SPIERS = "spiers"
    SIMULATOR = "simulator"

    @property
    def in_words(self) -> str:
        """Its name in a result."""
        if self is MassTable.SIMULATOR:
            return "volumes of the simulator's skeleton"
        return str(_stored_masses()[self.value]["title"])

    @property
    def source(self) -> str:
        """Where its numbers are from."""
        if self is MassTable.SIMULATOR:
            return (
                "Volumes of the bone models of the simulator's skeleton (docs/simulator.md), "
                "outer volumes without regard to density."
            )
        return str(_stored_masses()[self.value]["source"])


@cache
def _stored_masses() -> Mapping[str, Mapping[str, object]]:
    text = files("bonescint.quantify").joinpath("bone_masses.json").read_text(encoding="utf-8")
    return dict(json_in(text))


def bone_masses(table: MassTable, atlas: BoneAtlas | None = None) -> NDArray[np.float64]:
    """Share of the skeleton's mass that each bone of the atlas has; the sum is 1.

    A group's share is divided between its bones by their volume.

    Examples:
        >>> round(float(bone_masses(MassTable.SPIERS).sum()), 6)
        1.0
    """
    atlas = atlas or bone_atlas()
    volume = np.asarray(atlas.volume, np.float64)
    if table is MassTable.SIMULATOR:
        return np.asarray(volume / volume.sum())
    percent = json.loads(json.dumps(_stored_masses()[table.value]["percent"]))
    groups = np.array([_mass_group(bone) for bone in atlas.bones])
    masses = np.zeros(len(groups))
    for group, share in percent.items():
        mine = groups == group
        masses[mine] = float(share) * volume[mine] / volume[mine].sum()
    return np.asarray(masses / masses.sum())


def _mass_group(bone: str) -> str:
    group = group_of_region(bone)
    return "spine" if group in _SPINE else group


@dataclass(frozen=True, slots=True, kw_only=True)
class BoneScanIndex:
    """A Bone Scan Index with its interval, in per cent of the skeleton's mass.

    Attributes:
        percent: the index.
        low, high: 95 % interval, or `None` where the pixels are not counts.
        own_sd: standard deviation of its logarithm over resampled counts, or `None`.
        table: the shares of mass that it uses.
        metastases: number of foci whose probability is at least 0.5.
        by_bone: percent of the skeleton's mass that is expected to be diseased in each bone.
    """

    percent: float
    low: float | None
    high: float | None
    own_sd: float | None
    table: MassTable
    metastases: int
    by_bone: Mapping[str, float]

    @property
    def in_words(self) -> str:
        """The index with its interval, such as `"2.1 (1.7 to 2.6)"`."""
        return index_in_words(self.percent, self.low, self.high)


def index_in_words(percent: float, low: float | None, high: float | None) -> str:
    """An index with its interval, for people.

    Examples:
        >>> index_in_words(2.1, 1.7, 2.6), index_in_words(0.4, None, None)
        ('2.10 (1.70 to 2.60)', '0.40 (no interval: the pixels are not counts)')
    """
    if low is None or high is None:
        return f"{percent:.2f} (no interval: the pixels are not counts)"
    return f"{percent:.2f} ({low:.2f} to {high:.2f})"


def outlined_shares(foci: Sequence[MatchedFocus], laid: LaidAtlas) -> NDArray[np.float64]:
    """Expected share of each bone that is diseased, from the outlines of foci.

    A focus contributes its probability of being a metastasis times its estimated volume: that of
    the samples of bone in its outlines (in both outlines, if both views show it), times
    `MatchedFocus.volume_ratio`, since depth cannot be seen on a planar scan.

    Args:
        foci: of the scan.
        laid: the atlas on the scan.
    """
    atlas = laid.atlas
    total = np.bincount(atlas.bone, minlength=len(atlas.bones))
    diseased = np.zeros(len(atlas.bone))
    small = np.zeros(len(atlas.bones))
    for focus in foci:
        expected = focus.probability * focus.volume_ratio
        inside = laid.enclosed(focus.in_views, focus.bone)
        diseased[inside] = np.maximum(diseased[inside], expected)
        if not inside.size:  # it lies between the samples
            small[atlas.bones.index(focus.bone)] += 0.5 * expected
    return np.minimum(
        (np.bincount(atlas.bone, diseased, minlength=len(total)) + small) / total, 1.0
    )


@cache
def _calibration() -> Mapping[str, list[list[float]]]:
    text = files("bonescint.quantify").joinpath("bsi_calibration.json").read_text(encoding="utf-8")
    return dict(json_in(text)["values"])


def calibration_factor(
    estimate: float, values: Mapping[str, list[list[float]]] | None = None
) -> float:
    """What an estimate of the index is multiplied by, so that it is as often too high as too low.

    Args:
        estimate: sum over the bones, in per cent of the skeleton's mass.
        values: `index`, and the `factor` at each; those of bonescint if `None`.
    """
    stored = _calibration() if values is None else values
    indices = np.log(np.asarray(stored["index"][0]) + OFFSET)
    logs = np.log(stored["factor"][0])
    return float(np.exp(np.interp(np.log(estimate + OFFSET), indices, logs)))


def method_sd(
    counts: float, percent: float, values: Mapping[str, list[list[float]]] | None = None
) -> float:
    """Standard deviation of the error of the logarithm of the index.

    It is interpolated from simulated scans whose true index is known.

    Args:
        counts: of the view that has more counts.
        percent: the index, in per cent of the skeleton's mass.
        values: `counts` and `index`, and `sd` (counts, index); those of bonescint if `None`.
    """
    stored = _calibration() if values is None else values
    indices = np.log(np.asarray(stored["index"][0]) + OFFSET)
    at_index = [np.interp(np.log(percent + OFFSET), indices, line) for line in stored["sd"]]
    return float(np.interp(np.log(max(counts, 1.0)), np.log(stored["counts"][0]), at_index))


def bone_scan_index(
    scan: Scan,
    prediction: Prediction,
    body: BodyRegions,
    foci: Sequence[MatchedFocus],
    *,
    table: MassTable = MassTable.SPIERS,
    atlas: BoneAtlas | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> BoneScanIndex:
    """The index of a scan with its interval.

    The diseased share of a bone is the mean of two estimates, from the outlines of foci
    (`outlined_shares`) and by a network from the pieces of the bone (`diseased_bone`), times a
    factor that depends on the index (`calibration_factor`). Where no focus is called a metastasis,
    the index is 0.

    The interval is the wider of two, both on the logarithm: one from the error of the index in
    simulated scans with as many counts and known truth, and one from Poisson resampling of this
    scan's own counts, in each of which the network estimates the shares again, with the foci of
    the scan itself. If the first two resamples differ far less than that error, the others are
    omitted: they would not widen the interval.

    Args:
        scan: the scan.
        prediction: of the scan.
        body: its bones.
        foci: its foci.
        table: the bones' shares of mass.
        atlas: the one of bonescint if `None`.
        seed: of the resampling; the same gives the same interval.
        resamples: largest number of resamples; 0 gives the interval of the simulated scans.
    """
    laid = laid_atlas(body, scan.shape, atlas)
    atlas = laid.atlas
    masses = bone_masses(table, atlas)
    numbers = PieceNumbers(scan, prediction, body, foci, laid)
    counted = [focus for focus in foci if focus.probability >= METASTASIS_FROM]
    outlined = _OUTLINE_FACTOR * outlined_shares(counted, laid)

    def in_percent(of: Scan) -> NDArray[np.float64]:
        if not counted:
            return np.zeros(len(masses))
        shares = (outlined + numbers.shares_of_bones(of)) / 2
        factor = calibration_factor(100 * float(masses @ shares))
        return np.asarray(100 * masses * np.minimum(factor * shares, 1))

    by_bone = in_percent(scan)
    percent = float(by_bone.sum())
    low = high = own = None
    if scan.unit is PixelUnit.COUNTS:
        rng = np.random.default_rng(seed)
        counts = max(scan.total(view) for view in scan.views)
        expected = method_sd(counts, percent)
        own, again = 0.0, []
        for _ in range(resamples):
            again.append(np.log(float(in_percent(resampled(scan, rng)).sum()) + OFFSET))
            own = float(np.std(again, ddof=1)) if len(again) > 1 else 0.0
            if len(again) == _FIRST_RESAMPLES and own < _CLEARLY_LESS * expected:
                break
        wide = 1.96 * max(own, expected)
        low = max(0.0, float((percent + OFFSET) * np.exp(-wide)) - OFFSET)
        high = min(100.0, float((percent + OFFSET) * np.exp(wide)) - OFFSET)
    return BoneScanIndex(
        percent=percent,
        low=low,
        high=high,
        own_sd=own,
        table=table,
        metastases=sum(one.probability >= METASTASIS_FROM for one in foci),
        by_bone={name: float(of) for name, of in zip(atlas.bones, by_bone, strict=True) if of > 0},
    )


def resampled(scan: Scan, rng: np.random.Generator) -> Scan:
    """The scan as it might be if it were acquired again: Poisson counts around its own."""
    images = {view: rng.poisson(image).astype(np.float32) for view, image in scan.images()}
    return scan.with_views(
        anterior=images.get(View.ANTERIOR),
        posterior=images.get(View.POSTERIOR),
        step="resampled",
    )
