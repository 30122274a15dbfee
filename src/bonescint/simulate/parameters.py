"""Every drawn parameter of a simulated scan, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.skeleton import Skeleton

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def as_json(value: object) -> Json:
    """Turn dataclasses, mappings and sequences into what JSON knows.

    Args:
        value: numbers, words, `None`, or dataclasses, mappings and sequences of such.

    Raises:
        TypeError: something else, such as an image.

    Examples:
        >>> from bonescint.simulate.faults import Ripple
        >>> as_json({"waves": (Ripple(amplitude=0.01, period_mm=60.0, phase=0.0),)})
        {'waves': [{'amplitude': 0.01, 'period_mm': 60.0, 'phase': 0.0}]}
    """
    if isinstance(value, FocalUptake):
        return _of_focus(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)  # a plain word, also of a StrEnum
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.generic):
        return as_json(value.item())
    if isinstance(value, Sequence):
        return [as_json(item) for item in value]
    raise TypeError(f"as_json: no JSON for {type(value).__name__}.")


def _of_focus(focus: FocalUptake) -> Json:
    """A focus without its samples: where it is, and how much activity it adds."""
    weight = np.abs(focus.activity) + np.float32(1e-12)
    centre = (focus.positions_mm * weight[:, None]).sum(axis=0) / weight.sum()
    return {
        "kind": focus.kind.value,
        "cause": focus.cause,
        "region": focus.region,
        "radius_mm": float(focus.radius_mm),
        "contrast": float(focus.contrast),
        "centre_mm": [round(float(place), 1) for place in centre],
        "activity": float(focus.activity.sum(dtype=np.float64)),
    }


def bone_uptake(skeleton: Skeleton, normal: NDArray[np.float32]) -> dict[str, float]:
    """Mean concentration of each bone, as it was drawn.

    Args:
        skeleton: the reference.
        normal: normal uptake of the samples (n,).
    """
    means = {}
    for region in skeleton.regions:
        span = skeleton.span(region)
        means[region] = round(float(normal[span].sum() / skeleton.volume[span].sum()), 4)
    return means
