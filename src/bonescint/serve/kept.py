"""Results that a client may still ask for: in memory, for a stated time, within a stated size."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from bonescint.serve.upload_classifier import ServedScan


class KeptResults:
    """Classified scans by a name that nobody can guess; the oldest go when there are too many.

    It may be used from several threads at once.

    Args:
        keep_s: seconds after which a result is deleted.
        most_bytes: bytes that all results may take; one alone may be larger.
        clock: seconds that only go forward.

    Examples:
        >>> kept = KeptResults(keep_s=60, most_bytes=1000)
        >>> kept.get("unknown") is None, len(kept)
        (True, 0)
    """

    def __init__(
        self, *, keep_s: float, most_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep_s, self._most_bytes, self._clock = keep_s, most_bytes, clock
        self._lock = threading.Lock()
        self._results: OrderedDict[str, tuple[float, ServedScan]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        self.sweep()
        return len(self._results)

    def add(self, result: ServedScan) -> str:
        """Keep a result.

        Returns:
            Its name.
        """
        name = secrets.token_urlsafe(18)
        with self._lock:
            self._results[name] = (self._clock() + self._keep_s, result)
            self._bytes += result.size
            while self._bytes > self._most_bytes and len(self._results) > 1:
                self._drop(next(iter(self._results)))
        return name

    def get(self, name: str) -> tuple[ServedScan, float] | None:
        """A result and the seconds that it will still be kept, or `None`."""
        self.sweep()
        with self._lock:
            found = self._results.get(name)
            return None if found is None else (found[1], found[0] - self._clock())

    def delete(self, name: str) -> bool:
        """Delete a result now; `True` if there was one."""
        with self._lock:
            return self._drop(name)

    def sweep(self) -> None:
        """Delete the results whose time is over."""
        with self._lock:
            now = self._clock()
            for name in [name for name, (until, _) in self._results.items() if until <= now]:
                self._drop(name)

    def _drop(self, name: str) -> bool:
        found = self._results.pop(name, None)
        if found is not None:
            self._bytes -= found[1].size
        return found is not None
