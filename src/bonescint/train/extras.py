"""The one place that says which extra to install when a training library is missing."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from bonescint.scan import MissingExtraError

_EXTRA = "train"


def require(*libraries: str) -> None:
    """Make sure that libraries of the `train` extra are installed, without loading them.

    Args:
        libraries: import names.

    Raises:
        MissingExtraError: the first of them that is not installed.

    Examples:
        >>> require("torch", "lightning")
        >>> require("a_library_that_nobody_has")
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.MissingExtraError: 'a_library_that_nobody_has' is not installed. \
It comes with an extra: pip install 'bonescint[train]'.
    """
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            raise MissingExtraError(library, _EXTRA)


def load(library: str) -> ModuleType:
    """Import a library of the `train` extra when it is first used.

    Args:
        library: import name, dots allowed.

    Returns:
        The module.

    Raises:
        MissingExtraError: it is not installed.

    Examples:
        >>> load("h5py").__name__
        'h5py'
    """
    require(library.partition(".")[0])
    return importlib.import_module(library)
