"""A new study's first rows: itself, its cases, its readers and their orders."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bonescint.study.protocol import StudyProtocol, sha256_of
from bonescint.study.sampling import reading_order
from bonescint.study.store.tables import (
    Account,
    Assignment,
    Change,
    ReadingSession,
    StudyCase,
    StudyRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCase:
    """A case whose picture lies in the study folder.

    Attributes:
        token: its opaque identifier.
        training: whether it is for training.
        picture: facts that a page needs to show it.
        image_sha256: hash of its pixels.
    """

    token: str
    training: bool
    picture: Mapping[str, Any]
    image_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The model whose output an aided session shows.

    Attributes:
        model_id: name, version and the start of the graph's hash.
        sha256: hash of every output that is shown.
    """

    model_id: str = ""
    sha256: str = ""


def images_sha256(cases: Sequence[PreparedCase]) -> str:
    """Hash of all pictures, whatever their order."""
    return sha256_of(sorted((case.token, case.image_sha256) for case in cases))


def fill_store(
    db: Session,
    *,
    study_id: str,
    protocol: StudyProtocol,
    cases: Sequence[PreparedCase],
    model: ModelIdentity,
    simulated_scans: bool,
    now: float,
) -> None:
    """Write the study and its cases."""
    db.add(
        StudyRow(
            id=1,
            study_id=study_id,
            protocol=protocol.to_json(),
            protocol_sha256=protocol.sha256,
            images_sha256=images_sha256(cases),
            model_id=model.model_id,
            model_sha256=model.sha256,
            simulated_scans=simulated_scans,
            created_s=now,
        )
    )
    # In the order of their tokens, which is nobody's: row numbers tell nothing of the truth.
    for case in sorted(cases, key=lambda one: one.token):
        db.add(
            StudyCase(
                token=case.token,
                training=case.training,
                picture=dict(case.picture),
                image_sha256=case.image_sha256,
            )
        )
    db.add(Change(at_s=now, account_id=None, what="study made", body={"cases": len(cases)}))
    db.flush()


def assign_sessions(db: Session, account: Account, protocol: StudyProtocol, *, now: float) -> None:
    """Store the order of every session of a reader: training first, then the permutation."""
    cases = db.scalars(select(StudyCase).order_by(StudyCase.token)).all()
    training = [case for case in cases if case.training]
    counting = [case for case in cases if not case.training]
    for number in range(1, protocol.sessions + 1):
        session = ReadingSession(
            account_id=account.id, number=number, aided=protocol.is_aided(number)
        )
        db.add(session)
        db.flush()
        order = reading_order(protocol.seed, account.reader, number, len(counting))
        for position, case in enumerate([*training, *(counting[place] for place in order)]):
            db.add(
                Assignment(
                    token=secrets.token_urlsafe(12),
                    session_id=session.id,
                    case_id=case.id,
                    position=position,
                )
            )
    db.add(Change(at_s=now, account_id=account.id, what="order drawn", body={}))
    db.flush()
