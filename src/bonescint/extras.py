"""Libraries that come with an extra of this package: one error names the extra to install."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from bonescint.scan import MissingExtraError


def require(*libraries: str, extra: str) -> None:
    """Check that libraries are installed, without importing them.

    Args:
        libraries: import names.
        extra: that they come with.

    Raises:
        MissingExtraError: the first of them that is not installed.

    Examples:
        >>> require("numpy", "scipy", extra="train")
        >>> require("a_library_that_nobody_has", extra="train")
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.MissingExtraError: 'a_library_that_nobody_has' is not installed. \
It comes with an extra: pip install 'bonescint[train]'.
    """
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            raise MissingExtraError(library, extra)


def load(library: str, *, extra: str) -> ModuleType:
    """Import a library of an extra when it is first used.

    Args:
        library: import name, dots allowed.
        extra: that it comes with.

    Returns:
        The module.

    Raises:
        MissingExtraError: it is not installed.

    Examples:
        >>> load("json", extra="train").__name__
        'json'
    """
    require(library.partition(".")[0], extra=extra)
    return importlib.import_module(library)
