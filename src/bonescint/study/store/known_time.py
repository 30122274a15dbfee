"""What the store knows of time: nothing that is written later may seem earlier."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bonescint.study.clock import Anchor, StudyClock
from bonescint.study.store.tables import Answer, Change, Event

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
