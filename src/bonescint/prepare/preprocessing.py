"""Preprocessing: the named, versioned steps from a scan to the array that a model reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bonescint.prepare.framing import BodyFrame, Framing, WholeField
from bonescint.prepare.intensity import Intensity, MinMax, PercentileRoot
from bonescint.scan import ParameterError, PixelUnit

_FRAMINGS: Mapping[str, type[Framing]] = {"whole_field": WholeField, "body_frame": BodyFrame}
_INTENSITIES: Mapping[str, type[Intensity]] = {
    "min_max": MinMax,
    "percentile_root": PercentileRoot,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Framing, resampling and intensity, in this order, then AP and PA side by side.

    Attributes:
        name: what users call it.
        version: increased whenever the result changes.
        framing: which part of each view is taken.
        intensity: how its values become [0, 1].
        rows: rows of each view, and of the composite.
        columns: columns of each view; the composite has twice as many.
        accepts: units of pixels that it may be given.
        source: where the preprocessing comes from.

    Examples:
        >>> preprocessing = preprocessing_named("ibrahim2023")
        >>> Preprocessing.from_json(preprocessing.to_json()) == preprocessing
        True
    """

    name: str
    version: int
    framing: Framing
    intensity: Intensity
    rows: int = 512
    columns: int = 256
    accepts: tuple[PixelUnit, ...] = (PixelUnit.COUNTS, PixelUnit.INTENSITY)
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            size = getattr(self, name)
            if not 32 <= size <= 4096:
                raise ParameterError(name, "Preprocessing", "from 32 to 4096", size)
        if PixelUnit.NORMALISED in self.accepts:
            raise ParameterError("accepts", "Preprocessing", "without NORMALISED", self.accepts)

    @property
    def identifier(self) -> str:
        """Name and version, as results record it."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary that `from_json` turns back into an equal preprocessing."""
        return {
            "name": self.name,
            "version": self.version,
            "framing": {"kind": self.framing.kind, **asdict(self.framing)},
            "intensity": {"kind": self.intensity.kind, **asdict(self.intensity)},
            "rows": self.rows,
            "columns": self.columns,
            "accepts": [unit.value for unit in self.accepts],
            "source": self.source,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Preprocessing:
        """Rebuild a preprocessing.

        Raises:
            ParameterError: a kind of step, or a setting, that this release does not know.
        """
        try:
            framing = dict(content["framing"])
            intensity = dict(content["intensity"])
            return cls(
                name=content["name"],
                version=content["version"],
                framing=_FRAMINGS[framing.pop("kind")](**framing),
                intensity=_INTENSITIES[intensity.pop("kind")](**intensity),
                rows=content["rows"],
                columns=content["columns"],
                accepts=tuple(PixelUnit(unit) for unit in content["accepts"]),
                source=content["source"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ParameterError(
                "content",
                "Preprocessing.from_json",
                "a preprocessing that this release knows",
                str(error),
            ) from error


IBRAHIM2023 = Preprocessing(
    name="ibrahim2023",
    version=1,
    framing=WholeField(),
    intensity=MinMax(),
    source="Ibrahim et al., Cancer Imaging 2023;23:12, Image pre-processing",
)
BODY_ROOT = Preprocessing(
    name="body-root",
    version=1,
    framing=BodyFrame(),
    intensity=PercentileRoot(),
    source="bonescint: framed on the body, percentile of the body's counts, square root",
)
PREPROCESSINGS: Mapping[str, Preprocessing] = {
    preprocessing.name: preprocessing for preprocessing in (IBRAHIM2023, BODY_ROOT)
}


def preprocessing_named(name: str) -> Preprocessing:
    """Look up a preprocessing by name.

    Raises:
        ParameterError: no preprocessing has that name; the message lists those that exist.
    """
    if name not in PREPROCESSINGS:
        raise ParameterError(
            "name", "preprocessing_named", f"one of {', '.join(PREPROCESSINGS)}", name
        )
    return PREPROCESSINGS[name]
