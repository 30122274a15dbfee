"""The study's clock: it never runs backwards and ignores jumps of the machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bonescint.study.store.tables import Answer, Change, Event, record_change

SERVER_STARTED = "server started"
_OFF_S, _DAY_S = 60.0, 86_400.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def _steady() -> float:
    """Seconds of a monotonic clock that also counts sleep, where the system has one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def boot_id() -> str:
    """The identifier of the machine's last start; empty if unknown."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One moment on the study's clock and on the machine's monotonic clock.

    Attributes:
        at_s: the study's clock, seconds since 1970, UTC.
        steady_s: the monotonic clock at that moment.
        boot: identifier of the machine's start, from which the monotonic clock counts.
    """

    at_s: float
    steady_s: float
    boot: str


class StudyClock:
    """Seconds since 1970, UTC: read from the machine's clock once, then counted monotonically.

    If the machine's clock is set while the server runs (by hand or by a time server), no
    wash-out, no expiry and no order of events changes. The same holds while the server is
    stopped, unless the machine is restarted: the monotonic clock tells how much time has passed
    since the last anchor. After a restart the machine's clock is used, but never a time before
    the last one in the store.

    Args:
        not_before_s: the last time in the store.
        anchor: anchor of the server's last start.
        wall: reads the machine's clock.
        steady: reads a monotonic clock.
        boot: returns the identifier of the machine's last start.

    Examples:
        >>> clock = StudyClock(not_before_s=2e9, wall=lambda: 1e9, steady=lambda: 5.0)
        >>> clock.now(), clock.behind_s
        (2000000000.0, 1000000000.0)
        >>> anchor = Anchor(at_s=1e9, steady_s=10.0, boot="b")
        >>> clock = StudyClock(anchor=anchor, wall=lambda: 9e9, steady=lambda: 70.0,
        ...                    boot=lambda: "b")
        >>> clock.now(), clock.behind_s
        (1000000060.0, -7999999940.0)
    """

    def __init__(
        self,
        *,
        not_before_s: float = 0.0,
        anchor: Anchor | None = None,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = _steady,
        boot: Callable[[], str] = boot_id,
    ) -> None:
        self._steady, self._boot = steady, boot()
        started = wall()
        self._steady_began = steady()
        self._began = max(started, not_before_s)
        self._counted = False
        if anchor is not None and self._boot and anchor.boot == self._boot:
            passed = self._steady_began - anchor.steady_s
            if passed >= 0:
                self._began = max(anchor.at_s + passed, not_before_s)
                self._counted = True
        self._not_before_s = not_before_s
        self.behind_s = self._began - started
        """How far the machine's clock was behind the study's; negative if it was ahead."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return self.anchor().at_s

    def anchor(self) -> Anchor:
        """This moment, for the server's next start."""
        steady_s = self._steady()
        at_s = self._began + (steady_s - self._steady_began)
        return Anchor(at_s=at_s, steady_s=steady_s, boot=self._boot)

    def notices(self) -> tuple[str, ...]:
        """What the person who serves the study should check.

        Examples:
            >>> clock = StudyClock(not_before_s=1e9 + 7200, wall=lambda: 1e9, steady=lambda: 5.0)
            >>> print(*clock.notices())
            The machine's clock is 2.0 hours behind the study's, which keeps its own. Check it.
        """
        said = []
        if abs(self.behind_s) > _OFF_S:
            side = "behind" if self.behind_s > 0 else "ahead of"
            said.append(
                f"The machine's clock is {_span(abs(self.behind_s))} {side} the study's, which "
                "keeps its own. Check it."
            )
        gap = self._began - self._not_before_s
        if self._not_before_s > 0 and gap > _DAY_S and not self._counted:
            last, begun = (
                time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
                for seconds in (self._not_before_s, self._began)
            )
            said.append(
                f"The last entry is of {last}; by the machine's clock it is {begun} (UTC). If "
                f"that is wrong, set the clock before anybody reads: it decides when a wash-out "
                f"ends."
            )
        return tuple(said)


def _span(seconds: float) -> str:
    if seconds >= _DAY_S:
        return f"{seconds / _DAY_S:.1f} days"
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"


def clock_of(db: Session) -> StudyClock:
    """The study's clock, never before the last time in the store."""
    known = [
        db.scalar(select(func.max(column))) or 0.0
        for column in (Answer.received_s, Event.received_s, Change.at_s)
    ]
    return StudyClock(not_before_s=max(known), anchor=_last_anchor(db))


def record_start(db: Session, clock: StudyClock, software: dict[str, object]) -> None:
    """Record that a server started, with its anchor and its software."""
    anchor = clock.anchor()
    body = {
        "software": software,
        "behind_s": clock.behind_s,
        "steady_s": anchor.steady_s,
        "boot": anchor.boot,
    }
    record_change(db, SERVER_STARTED, body, now=anchor.at_s)


def _last_anchor(db: Session) -> Anchor | None:
    last = db.scalar(
        select(Change).where(Change.what == SERVER_STARTED).order_by(Change.id.desc()).limit(1)
    )
    if last is None or not isinstance(last.body.get("steady_s"), int | float):
        return None
    return Anchor(
        at_s=last.at_s, steady_s=float(last.body["steady_s"]), boot=str(last.body.get("boot", ""))
    )
