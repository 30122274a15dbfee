"""The old name of `bonescint.mrmc`: it forwards there and goes in the next release."""

from __future__ import annotations

import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    from bonescint import mrmc

    found = getattr(mrmc, name)
    said = f"bonescint.evaluate.readers is bonescint.mrmc now: import {name} from there"
    warnings.warn(said, DeprecationWarning, stacklevel=2)
    return found
