"""Which software a reader read with, as a hash that is frozen with the session."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import Any

import bonescint
from bonescint.study.protocol import sha256_of

_LIBRARIES = ("fastapi", "numpy", "sqlalchemy", "starlette", "uvicorn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """Versions, and a hash of everything that makes the pages.

    Attributes:
        bonescint: version of the package.
        python: version of Python.
        libraries: versions of the libraries that the server uses.
        pages_sha256: hash of the study room's modules, templates, scripts and styles.
    """

    bonescint: str
    python: str
    libraries: dict[str, str]
    pages_sha256: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @property
    def sha256(self) -> str:
        """Hash of all of it."""
        return sha256_of(self.to_json())


@lru_cache(maxsize=1)
def running_software() -> Software:
    """The software that runs now."""
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    return Software(
        bonescint=bonescint.__version__,
        python=platform.python_version(),
        libraries=versions,
        pages_sha256=_hash_of(resources.files("bonescint.study")),
    )


def _hash_of(folder: Traversable) -> str:
    seen = hashlib.sha256()
    for name, content in sorted(_contents(folder, "")):
        seen.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return seen.hexdigest()


def _contents(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                found += _contents(entry, f"{prefix}{entry.name}/")
        elif not entry.name.endswith(".pyc"):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
