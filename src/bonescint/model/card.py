"""The model card: what a model is, how it was made, how well it performs, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bonescint.model.records import CalibrationRecord, LocalScans
from bonescint.prepare import Preprocessing
from bonescint.scan import (
    UNCALIBRATED,
    BonescintError,
    ModelFolderError,
    ParameterError,
    PlattCalibration,
)
from bonescint.schema import construct

CARD_SCHEMA_VERSION = 2
"""Version 1 has a `temperature` in place of the calibration; it can still be read."""
_ALWAYS_STORED = ("recipe", "training", "metrics", "limitations", "attribution")
_SINCE_VERSION_2 = ("calibration", "calibrated_on")
PRECISIONS = ("fp32", "int8")
_STORED = {"preprocessing": "recipe"}
"""Names of fields in the file, where they differ: those of release 0.1, so that both read it."""
_IN_WORDS = {
    "roc_auc_score": "Area under the ROC curve",
    "sensitivity_score": "Sensitivity at the operating point",
    "specificity_score": "Specificity at the operating point",
    "cross_entropy_error": "Cross entropy",
    "parent_roc_auc_score": "Area under the ROC curve of the float32 parent",
    "parent_map_correlation_score": "Median correlation of the maps with the float32 parent's",
    "parent_probability_error": "Largest difference of a probability from the float32 parent's",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric, and what it was measured on.

    Attributes:
        name: such as `"roc_auc_score"`; a `_score` is better if higher, an `_error` if lower.
        value: value of the metric.
        measured_on: the scans, in words.
        low: lower end of the 95 % interval, or `None`.
        high: upper end, or `None`.
        method: where the metric and its interval come from.
    """

    name: str
    value: float
    measured_on: str
    low: float | None = None
    high: float | None = None
    method: str = ""

    @property
    def in_words(self) -> str:
        """The metric in words, or its name if there are none.

        Examples:
            >>> Metric(name="roc_auc_score", value=0.9, measured_on="20 scans").in_words
            'Area under the ROC curve'
        """
        return _IN_WORDS.get(self.name, self.name)

    @property
    def value_text(self) -> str:
        """The value with its interval, if it has one.

        Examples:
            >>> Metric(name="roc_auc_score", value=0.9, low=0.85, high=0.95,
            ...        measured_on="20 scans").value_text
            '0.900 (0.850 to 0.950)'
        """
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """What a model was trained on, and how.

    Attributes:
        origin: origin of the scans, such as `"simulated scans only"`.
        cohort_sha256: fingerprint of the cohort: identifiers, labels and splits of its cases.
        scans: number of scans by split and label, such as `{"train positive": 300}`.
        weights: where the first weights come from.
        settings: the training configuration as the package `train` wrote it; not interpreted here.
        epochs: that were completed.
    """

    origin: str
    cohort_sha256: str
    scans: Mapping[str, int]
    weights: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 0

    @property
    def learnt_from(self) -> str:
        """The numbers of training and validation scans, in words.

        Examples:
            >>> TrainingRecord(origin="simulated scans only", cohort_sha256="", weights="random",
            ...     scans={"train positive": 3, "test positive": 2}).learnt_from
            '3 train positive'
        """
        parts = {part: count for part, count in self.scans.items() if not part.startswith("test ")}
        return ", ".join(f"{count} {part}" for part, count in parts.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceMap:
    """What kind of map a model's graph gives.

    Attributes:
        kind: in words, such as `"Grad-CAM"`.
        cell: pixels of the composite along one side of a cell of the map.
    """

    kind: str = "Grad-CAM"
    cell: int = 16

    @property
    def is_probability(self) -> bool:
        """Whether values are probabilities, as foci and the Bone Scan Index need them."""
        return self.kind.startswith("probability")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Everything that a user should know about a model before relying on it.

    Attributes:
        name: name of the model.
        version: version of the model.
        architecture: in words.
        evidence_map: what the graph's maps are.
        preprocessing: preprocessing of a scan before the model reads it.
        operating_point: MBD probability from which a scan is called positive.
        operating_point_rule: how it was chosen.
        uncertain_band: probabilities, lower and upper, between which a call is uncertain; `None`
            if there is no band. It contains the operating point.
        uncertain_rule: how the band was chosen, and what was measured in it.
        calibration: from the network's logits to the probability.
        calibrated_on: where the calibration comes from; `None` if that was not recorded.
        training: what it was trained on.
        local: the local scans that its operating point comes from, or `None`.
        metrics: how well it performs.
        precision: arithmetic of the graph, `"fp32"` or `"int8"`.
        intended_use: in words.
        limitations: one statement each.
        licence: licence of the model folder.
        attribution: works of others that must be credited.
        created: UTC time, ISO 8601.
        software: versions by name.

    Raises:
        ParameterError: an empty name or version, an operating point outside [0, 1] or outside
            the uncertain band, or another precision.

    Examples:
        >>> from bonescint.prepare import preprocessing_named
        >>> card = ModelCard(
        ...     name="demo", version="1", architecture="VGG16",
        ...     preprocessing=preprocessing_named("body-root"), operating_point=0.5,
        ...     training=TrainingRecord(origin="nothing", cohort_sha256="", scans={},
        ...                             weights="random"))
        >>> ModelCard.from_json(card.to_json()) == card
        True
    """

    name: str
    version: str
    architecture: str
    preprocessing: Preprocessing
    operating_point: float
    training: TrainingRecord
    operating_point_rule: str = ""
    uncertain_band: tuple[float, float] | None = None
    uncertain_rule: str = ""
    calibration: PlattCalibration = UNCALIBRATED
    calibrated_on: CalibrationRecord | None = None
    evidence_map: EvidenceMap = EvidenceMap()
    local: LocalScans | None = None
    metrics: tuple[Metric, ...] = ()
    precision: str = "fp32"
    intended_use: str = "Research use only; not a medical device."
    limitations: tuple[str, ...] = ()
    licence: str = "Apache-2.0"
    attribution: tuple[str, ...] = ()
    created: str = ""
    software: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("name", "version"):
            if not getattr(self, name):
                raise ParameterError(name, "ModelCard", "a non-empty string", getattr(self, name))
        if not 0 <= self.operating_point <= 1:
            raise ParameterError(
                "operating_point", "ModelCard", "from 0 to 1", self.operating_point
            )
        if self.uncertain_band is not None:
            low, high = (float(bound) for bound in self.uncertain_band)
            if not 0 <= low <= self.operating_point <= high <= 1:
                raise ParameterError(
                    "uncertain_band", "ModelCard", "round the operating point", self.uncertain_band
                )
            object.__setattr__(self, "uncertain_band", (low, high))
        if self.precision not in PRECISIONS:
            raise ParameterError("precision", "ModelCard", " or ".join(PRECISIONS), self.precision)

    def is_uncertain(self, probability: float) -> bool:
        """Whether a probability lies in the uncertain band, edges included."""
        band = self.uncertain_band
        return band is not None and band[0] <= probability <= band[1]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary with a schema version."""
        content = {
            _STORED.get(name, name): getattr(self, name) for name in self.__dataclass_fields__
        }
        return {
            "schema_version": CARD_SCHEMA_VERSION,
            **content,
            "calibration": asdict(self.calibration),
            "calibrated_on": self.calibrated_on and self.calibrated_on.to_json(),
            "uncertain_band": None if self.uncertain_band is None else list(self.uncertain_band),
            "recipe": self.preprocessing.to_json(),
            "training": asdict(self.training),
            "evidence_map": asdict(self.evidence_map),
            "local": self.local and self.local.to_json(),
            "metrics": [asdict(metric) for metric in self.metrics],
            "limitations": list(self.limitations),
            "attribution": list(self.attribution),
            "software": dict(self.software),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, source: str = "model card") -> ModelCard:
        """Rebuild a card.

        Args:
            content: what `to_json` gave.
            source: named in errors, usually a path.

        Raises:
            ModelFolderError: a newer schema, or a field that is missing or wrong.
        """
        version = content.get("schema_version")
        if isinstance(version, int) and version > CARD_SCHEMA_VERSION:
            raise ModelFolderError(
                f"{source}: the card has schema version {version}, this release of bonescint "
                f"knows up to {CARD_SCHEMA_VERSION}. Update bonescint."
            )
        if version not in range(1, CARD_SCHEMA_VERSION + 1):
            raise ModelFolderError(
                f"{source}: the card must have schema version 1 to {CARD_SCHEMA_VERSION}. "
                f"Got {version!r} instead. Train or download the model again."
            )
        known = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        try:
            for name in _ALWAYS_STORED if version == 1 else (*_ALWAYS_STORED, *_SINCE_VERSION_2):
                content[name]  # one that is missing is named
            known["preprocessing"] = Preprocessing.from_json(content["recipe"])
            if version == 1:
                known["calibration"] = PlattCalibration(slope=1 / content.get("temperature", 1.0))
            return construct(cls, known, source, "Train or download the model again")
        except (KeyError, TypeError, ValueError, ArithmeticError, BonescintError) as error:
            reason = getattr(error, "problem", error)
            raise ModelFolderError(
                f"{source}: the card cannot be used ({reason}). Train or download the model again."
            ) from error
