"""The server's clock: it never goes back, and follows no jump of the machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable


def _steady() -> float:
    """Seconds since some moment, time asleep included where the system can say so."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class StudyClock:
    """Seconds since 1970, UTC, read off the machine's clock once and counted on from there.

    A clock that is set while the server runs (by hand, by a time server) thus moves no
    wash-out, no expiry and no order of events. Begun before the last time in the store, it
    goes on from that time.

    Args:
        not_before_s: the last time that the store knows.
        wall: reads the machine's clock.
        steady: reads a clock that only goes forward.

    Examples:
        >>> clock = StudyClock(not_before_s=2e9, wall=lambda: 1e9, steady=lambda: 5.0)
        >>> clock.now(), clock.behind_s
        (2000000000.0, 1000000000.0)
    """

    def __init__(
        self,
        *,
        not_before_s: float = 0.0,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = _steady,
    ) -> None:
        started = wall()
        self._began = max(started, not_before_s)
        self._steady = steady
        self._steady_began = steady()
        self.behind_s = self._began - started

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return self._began + (self._steady() - self._steady_began)
