"""What a comparison of two cohorts found, as JSON and as tables, without a name of any patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bonescint
from bonescint.cohort.compare.averages import PERCENTILES, Spread
from bonescint.cohort.compare.characteristics import Characteristic
from bonescint.cohort.compare.maps import MapAgreement
from bonescint.cohort.compare.measuring import MeasuredSide
from bonescint.cohort.compare.separation import Separation
from bonescint.cohort.compare.sides import OmittedScan
from bonescint.evaluate import Estimate
from bonescint.scan import RESEARCH_USE, View
from bonescint.tables import ResultTable

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCharacteristic:
    """A characteristic on both sides.

    Attributes:
        kind: what it is.
        spreads: over the scans of A and of B; `None` where unknown.
        of_maps: its value on the mean maps of A and of B, where it can be measured on them.
        area: probability that it is greater for a scan of B than of A (area under the ROC curve),
            by patient; `None` where either side has no single scans.
    """

    kind: Characteristic
    spreads: tuple[Spread | None, Spread | None]
    of_maps: tuple[float | None, float | None]
    area: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSide:
    """A model's predictions for the scans of one side.

    Attributes:
        probabilities: 0 to 1, in the order of the scans.
        positive: share called positive.
        unlike: share beyond the limit of the out-of-distribution score; undefined where the
            model has no such score.
        spread: distribution of the probabilities.
    """

    probabilities: tuple[float, ...]
    positive: Estimate
    unlike: Estimate
    spread: Spread


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CohortComparison:
    """The comparison of two cohorts.

    Attributes:
        sides: A and B.
        agreement: how well their maps agree, for each view.
        separation: how well a classifier tells them apart, or `None`.
        why_not_separated: why no classifier was tried; empty if one was.
        characteristics: the characteristics of both sides.
        model_id: identifier of the model that scored them, or empty.
        scored: its predictions on A and on B, `None` where there are no single scans.
        warnings: what must not be overlooked.
    """

    sides: tuple[MeasuredSide, MeasuredSide]
    agreement: Mapping[View, MapAgreement]
    separation: Separation | None
    why_not_separated: str
    characteristics: tuple[ComparedCharacteristic, ...]
    model_id: str
    scored: tuple[ScoredSide | None, ScoredSide | None]
    warnings: tuple[str, ...]

    @property
    def omitted(self) -> tuple[OmittedScan, ...]:
        """What was not compared, of both sides."""
        return tuple(one for side in self.sides for one in side.omitted)

    def messages(self) -> Iterator[str]:
        """Lines for the user: what was compared, what was left out, how alike the cohorts are."""
        for side in self.sides:
            yield from side.messages()
        for warning in self.warnings:
            yield f"Warning: {warning}"
        if self.separation is None:
            yield f"Told apart: not available: {self.why_not_separated}"
        else:
            yield f"Told apart: area {self.separation.area.text()}; 0.5 is alike, 1 always"
        for view, agreed in self.agreement.items():
            yield (
                f"{view.value}: correlation of the mean maps {agreed.mean:.3f}, of spread "
                f"{agreed.sd:.3f}, of asymmetry {agreed.asymmetry_sd:.3f}; mean difference "
                f"{agreed.mean_difference:.3f}"
            )

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary, without a name of any scan."""
        separated = self.separation
        return {
            "schema_version": _SCHEMA_VERSION,
            "notice": RESEARCH_USE,
            "software": {"bonescint": bonescint.__version__},
            "sides": {side.side.letter: _side_json(side) for side in self.sides},
            "warnings": list(self.warnings),
            "separation": {
                "area": None if separated is None else separated.area.as_dict(),
                "components": None if separated is None else separated.components,
                "not_available": self.why_not_separated or None,
            },
            "maps": {view.value: one.to_json() for view, one in self.agreement.items()},
            "characteristics": [
                {
                    "name": one.kind.name,
                    "about": one.kind.subject.value,
                    "in_words": one.kind.words,
                    **{
                        letter: {
                            "scans": 0 if spread is None else spread.scans,
                            "mean": None if spread is None else spread.mean,
                            "sd": None if spread is None else spread.sd,
                            **_percentiles(spread),
                            "of_mean_map": of_map,
                        }
                        for letter, spread, of_map in zip(
                            "AB", one.spreads, one.of_maps, strict=True
                        )
                    },
                    "area": None if one.area is None else one.area.as_dict(),
                }
                for one in self.characteristics
            ],
            "model": None
            if not self.model_id
            else {
                "model_id": self.model_id,
                **{
                    letter: None
                    if one is None
                    else {
                        "scans": len(one.probabilities),
                        "called_positive": one.positive.as_dict(),
                        "unlike": one.unlike.as_dict(),
                        **_percentiles(one.spread),
                    }
                    for letter, one in zip("AB", self.scored, strict=True)
                },
            },
        }


def _percentiles(spread: Spread | None) -> dict[str, float | None]:
    values = [None] * len(PERCENTILES) if spread is None else list(spread.percentiles)
    return {f"p{percentile}": value for percentile, value in zip(PERCENTILES, values, strict=True)}


def _side_json(side: MeasuredSide) -> dict[str, Any]:
    return {
        "name": side.side.name,
        "normal_database": not side.has_scans,
        "scans": side.averages.maps.scans or None,
        "patients": side.averages.patients or None,
        "labels": label_counts(side),
        "halves": None
        if side.halves is None
        else {view.value: one.to_json() for view, one in side.halves.items()},
        "left_out": len(side.omitted),
        "notes": list(side.notes),
    }


def label_counts(side: MeasuredSide) -> dict[str, int]:
    """How many scans of a side have which label."""
    words = {True: "positive", False: "negative", None: "without label"}
    counts = Counter(words[label] for label in side.labels)
    return {word: counts[word] for word in words.values() if counts[word]}


def tables_of(found: CohortComparison) -> tuple[ResultTable, ...]:
    """The tables of a comparison, for CSV files."""
    maps = ResultTable(
        name="maps",
        title="Agreement of the maps inside the body",
        columns=(
            "view",
            "correlation_mean",
            "correlation_sd",
            "correlation_asymmetry_sd",
            "mean_absolute_difference_over_mean",
        ),
        rows=tuple((view.value, *one.to_json().values()) for view, one in found.agreement.items()),
    )
    of_side = ("scans", "mean", "sd", *(f"p{p}" for p in PERCENTILES), "of_mean_map")
    of_sides = [f"{letter}_{what}" for letter in "AB" for what in of_side]
    columns = ("name", "about", "in_words", *of_sides, "area", "area_low", "area_high")
    listed = found.to_json()
    rows = []
    for one in listed["characteristics"]:
        area = one["area"] or {}
        named = (one["name"], one["about"], one["in_words"])
        estimate = (area.get("value"), area.get("low"), area.get("high"))
        rows.append((*named, *one["A"].values(), *one["B"].values(), *estimate))
    left_out = ResultTable(
        name="left_out",
        title="Scans that are not compared",
        columns=("side", "source", "reason"),
        rows=tuple(
            (side.side.letter, one.source, one.reason)
            for side in found.sides
            for one in side.omitted
        ),
    )
    characteristics = ResultTable(
        name="characteristics",
        title="Landmarks, uptake, counts, noise and resolution",
        columns=columns,
        rows=tuple(rows),
    )
    return maps, characteristics, left_out
