"""Numbers for JSON: at full precision, and `null` for what is undefined."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np


def jsonable(value: Any) -> Any:
    """The same in what JSON knows; a number that is undefined or infinite becomes `None`.

    Examples:
        >>> jsonable({"p": math.nan, "df": np.float64(2.0), "of": ("a",)})
        {'p': None, 'df': 2.0, 'of': ['a']}
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
