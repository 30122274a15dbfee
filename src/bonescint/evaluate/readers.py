"""The old name of `bonescint.mrmc`: it forwards there and goes in the next release."""

from __future__ import annotations

import warnings
from typing import Any

_RENAMED = {
    "AgainstReader": "ReaderVsStandalone",
    "Aim": "Hypothesis",
    "CalledRight": "DiagnosticAccuracy",
    "Comparison": "ComparisonKind",
    "Generalised": "OrResult",
    "Mark": "RatedMark",
    "Merits": "FiguresOfMerit",
    "ModelAgainstReaders": "StandaloneVsReaders",
    "Pilot": "VarianceComponents",
    "Resampled": "BootstrapFigure",
    "merits": "figures_of_merit",
    "model_against_readers": "standalone_vs_readers",
}


def __getattr__(name: str) -> Any:
    from bonescint import mrmc

    new = _RENAMED.get(name, name)
    found = getattr(mrmc, new)
    said = f"bonescint.evaluate.readers is bonescint.mrmc now: import {new} from there"
    warnings.warn(said, DeprecationWarning, stacklevel=2)
    return found
