"""A model's answer for one scan, with the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.scan.errors import ParameterError
from bonescint.scan.views import View

PREDICTION_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActivationMap:
    """The evidence for one class in one view.

    Attributes:
        view: the view it explains.
        target: the class, `"mbd"` or `"no_mbd"`.
        values: float32 array (map rows, map columns), at least 0. The model card says whether they
            are Grad-CAM or probabilities of cells; both views of a scan share one scale.
        extent: where the map lies on the view, as (top, left, bottom, right) in the view's
            pixels, edges included; it may reach beyond the image.
    """

    view: View
    target: str
    values: NDArray[np.float32]
    extent: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float32, copy=True)
        if (
            values.ndim != 2
            or values.size == 0
            or not np.isfinite(values).all()
            or values.min() < 0
        ):
            raise ParameterError(
                "values", "ActivationMap", "a finite (rows, columns) array of at least 0", "another"
            )
        top, left, bottom, right = self.extent
        if not (bottom > top and right > left):
            raise ParameterError("extent", "ActivationMap", "of positive size", self.extent)
        values.flags.writeable = False
        object.__setattr__(self, "values", values)


class Call(StrEnum):
    """A model's decision on a scan at its operating point, if it makes one."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    NO_CALL = "no call"

    @classmethod
    def of(cls, positive: bool | None) -> Call:
        """The call for a prediction's `positive`; `None` is no call."""
        if positive is None:
            return cls.NO_CALL
        return cls.POSITIVE if positive else cls.NEGATIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalRank:
    """Where a scan's score lies among those of local normal patients.

    Attributes:
        higher_than: number of normal patients with a lower score.
        of: number of normal patients.

    Raises:
        ParameterError: no normal patient, or `higher_than` is not from 0 to `of`.

    Examples:
        >>> NormalRank(higher_than=57, of=60).in_words
        'higher than 57 of 60 local normal patients (conformal p-value 0.0656)'
    """

    higher_than: int
    of: int

    def __post_init__(self) -> None:
        if self.of < 1 or not 0 <= self.higher_than <= self.of:
            got = f"{self.higher_than} of {self.of}"
            raise ParameterError("higher_than", "NormalRank", "from 0 to 'of'", got)

    @property
    def p_value(self) -> float:
        """The conformal p-value: (1 + normals at or above the score) / (normals + 1).

        For a future normal patient like them, it is at most alpha with a probability of at most
        alpha (Vovk et al., Algorithmic Learning in a Random World, 2005).
        """
        return (1 + self.of - self.higher_than) / (self.of + 1)

    @property
    def in_words(self) -> str:
        """The rank and the p-value in words, to follow a scan or a score in a sentence."""
        return (
            f"higher than {self.higher_than} of {self.of} local normal patients "
            f"(conformal p-value {self.p_value:.3g})"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary, with the p-value for readers of the file."""
        return {**asdict(self), "p_value": self.p_value}

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> NormalRank | None:
        """Rebuild a rank from `to_json`'s dictionary; `None` from `None`."""
        if not content:
            return None
        return cls(higher_than=content["higher_than"], of=content["of"])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """A model's answer for one scan.

    Attributes:
        scan_id: identifier of the scan.
        mbd_probability: probability of metastatic bone disease, 0 to 1.
        positive: whether it reaches the model's operating point; `None` where the scan is not
            called, because it is too unlike those that the model knows.
        model_id: name and version of the model with the start of its hash.
        activation_maps: for each class and present view, where the evidence lies.
        warnings: reasons to trust the answer less (a missing view, an assumed view, ...).
        uncertain: whether a call is uncertain: the probability lies in the model's band around its
            operating point.
        ood_score: how unlike the training cohort the scan is, at least 0, or `None` if the
            model has no such score.
        unlike: whether that score exceeds the model's threshold; the answer is then unreliable.
        rank_among_normals: rank of the score among local normal patients, for a model that was
            adapted to such; else `None`.
    """

    scan_id: str
    mbd_probability: float
    positive: bool | None
    model_id: str
    activation_maps: tuple[ActivationMap, ...] = ()
    warnings: tuple[str, ...] = ()
    uncertain: bool = False
    ood_score: float | None = None
    unlike: bool = False
    rank_among_normals: NormalRank | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.mbd_probability <= 1:
            raise ParameterError(
                "mbd_probability", "Prediction", "from 0 to 1", self.mbd_probability
            )

    @property
    def call(self) -> Call:
        """Positive, negative, or no call.

        Examples:
            >>> Prediction(scan_id="a", mbd_probability=0.9, positive=None, model_id="m").call
            <Call.NO_CALL: 'no call'>
        """
        return Call.of(self.positive)

    def activation_map(self, view: View, target: str = "mbd") -> ActivationMap | None:
        """The map of one view and class, or `None`."""
        for activation in self.activation_maps:
            if activation.view == view and activation.target == target:
                return activation
        return None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary with a schema version; the maps are nested lists.

        Examples:
            >>> answer = Prediction(scan_id="bs-1", mbd_probability=0.25, positive=False,
            ...                     model_id="vgg16-sim")
            >>> Prediction.from_json(answer.to_json()).mbd_probability
            0.25
        """
        return {
            "schema_version": PREDICTION_SCHEMA_VERSION,
            "scan_id": self.scan_id,
            "mbd_probability": self.mbd_probability,
            "positive": self.positive,
            "call": self.call.value,
            "model_id": self.model_id,
            "warnings": list(self.warnings),
            "uncertain": self.uncertain,
            "ood_score": self.ood_score,
            "unlike": self.unlike,
            "rank_among_normals": self.rank_among_normals and self.rank_among_normals.to_json(),
            "activation_maps": [
                {
                    "view": activation.view.value,
                    "target": activation.target,
                    "extent": list(activation.extent),
                    "values": [[float(f"{v:.6g}") for v in row] for row in activation.values],
                }
                for activation in self.activation_maps
            ],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Prediction:
        """Rebuild a prediction from `to_json`'s dictionary.

        Raises:
            ParameterError: a schema version that this release does not know.
        """
        if content.get("schema_version") != PREDICTION_SCHEMA_VERSION:
            raise ParameterError(
                "schema_version",
                "Prediction.from_json",
                str(PREDICTION_SCHEMA_VERSION),
                content.get("schema_version"),
            )
        return cls(
            scan_id=content["scan_id"],
            mbd_probability=content["mbd_probability"],
            positive=content["positive"],
            model_id=content["model_id"],
            warnings=tuple(content["warnings"]),
            uncertain=content.get("uncertain", False),  # not in predictions of release 0.1.0
            ood_score=content.get("ood_score", content.get("unlike_score")),  # release 0.1
            unlike=content.get("unlike", False),
            rank_among_normals=NormalRank.from_json(content.get("rank_among_normals")),
            activation_maps=tuple(
                ActivationMap(
                    view=View(entry["view"]),
                    target=entry["target"],
                    extent=tuple(entry["extent"]),
                    values=np.asarray(entry["values"], dtype=np.float32),
                )
                for entry in content["activation_maps"]
            ),
        )
