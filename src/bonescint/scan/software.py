"""Versions of the software that made a result."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata

import bonescint


def installed_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Versions of bonescint and of those libraries that are installed, by name.

    Args:
        libraries: names of distributions.

    Examples:
        >>> sorted(installed_versions(["numpy", "no-such-library"]))
        ['bonescint', 'numpy']
    """
    found = {"bonescint": bonescint.__version__}
    for name in libraries:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
