"""The study's clock: it never goes back, and follows no jump of the machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bonescint.study.store.tables import Answer, Change, Event

_OFF_S, _DAY_S = 60.0, 86_400.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def _steady() -> float:
    """Seconds since some moment, time asleep included where the system can say so."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def boot_id() -> str:
    """What names the time from one start of the machine to the next; empty if unknown."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A moment on the study's clock and on the machine's steady one.

    Attributes:
        at_s: the study's clock, seconds since 1970, UTC.
        steady_s: the steady clock at that moment.
        boot: which start of the machine the steady clock counts from.
    """

    at_s: float
    steady_s: float
    boot: str


class StudyClock:
    """Seconds since 1970, UTC, read off the machine's clock once and counted on from there.

    A clock that is set while the server runs (by hand, by a time server) thus moves no
    wash-out, no expiry and no order of events. Neither does one that is set while the server is
    stopped, as long as the machine was not started anew: the steady clock tells how much time
    went by since the last anchor. After a new start the machine's clock is taken, but never one
    before the last time in the store.

    Args:
        not_before_s: the last time that the store knows.
        anchor: of the server's last start.
        wall: reads the machine's clock.
        steady: reads a clock that only goes forward.
        boot: names the time since the machine's start.

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
        """By how much the machine's clock was behind the study's; ahead of it if negative."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return self._began + (self._steady() - self._steady_began)

    def anchor(self) -> Anchor:
        """This moment, for a later start of the server."""
        steady_s = self._steady()
        at_s = self._began + (steady_s - self._steady_began)
        return Anchor(at_s=at_s, steady_s=steady_s, boot=self._boot)

    def notices(self) -> tuple[str, ...]:
        """What whoever serves the study should look at.

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


STARTED = "server started"


def clock_of(db: Session) -> StudyClock:
    """The study's clock, not before anything that the store knows."""
    known = [
        db.scalar(select(func.max(column))) or 0.0
        for column in (Answer.received_s, Event.received_s, Change.at_s)
    ]
    return StudyClock(not_before_s=max(known), anchor=_last_anchor(db))


def note_start(db: Session, clock: StudyClock, software: dict[str, object]) -> None:
    """Note that a server began, and how its clock stands to the machine's."""
    anchor = clock.anchor()
    body = {
        "software": software,
        "behind_s": clock.behind_s,
        "steady_s": anchor.steady_s,
        "boot": anchor.boot,
    }
    db.add(Change(at_s=anchor.at_s, account_id=None, what=STARTED, body=body))


def _last_anchor(db: Session) -> Anchor | None:
    last = db.scalar(
        select(Change).where(Change.what == STARTED).order_by(Change.id.desc()).limit(1)
    )
    if last is None or not isinstance(last.body.get("steady_s"), int | float):
        return None
    return Anchor(
        at_s=last.at_s, steady_s=float(last.body["steady_s"]), boot=str(last.body.get("boot", ""))
    )
