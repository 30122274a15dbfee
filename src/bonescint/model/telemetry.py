"""Keeps Intel's libraries from calling home.

`import openvino` sends an event to a web analytics service through the package
openvino_telemetry, and falls back to a stub of its own where that package is missing. Scans
are read in hospitals: nothing here may open a connection, so the package is hidden while
openvino (or nncf) is imported.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_TELEMETRY = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Hide openvino_telemetry from imports inside the block.

    Examples:
        >>> with without_telemetry():
        ...     import openvino_telemetry
        Traceback (most recent call last):
        ...
        ModuleNotFoundError: import of openvino_telemetry halted; None in sys.modules
    """
    hidden = {
        name: module
        for name, module in sys.modules.items()
        if name == _TELEMETRY or name.startswith(f"{_TELEMETRY}.")
    }
    for name in hidden:
        del sys.modules[name]
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        sys.modules.update(hidden)


def load_openvino() -> ModuleType:
    """Import openvino without its telemetry.

    Examples:
        >>> load_openvino().__name__
        'openvino'
    """
    with without_telemetry():
        return importlib.import_module("openvino")
