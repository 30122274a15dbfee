"""Drawing the cases of a study, and the order in which each reader reads them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from bonescint.cohort import Manifest
from bonescint.scan import Case, InputError, ParameterError, Split
from bonescint.study.protocol import StudyProtocol
from bonescint.study.store.tables import (
    Account,
    Assignment,
    ReadingSession,
    StudyCase,
    record_change,
)

_SAMPLE_STREAM, _ORDER_STREAM, _NUMBER_STREAM = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The cases of a study.

    Attributes:
        reading: cases that count, in the manifest's order.
        training: cases for training, of other patients.
    """

    reading: tuple[Case, ...]
    training: tuple[Case, ...]


def draw_sample(
    manifest: Manifest,
    *,
    count: int | None = None,
    balanced: bool = False,
    training: int = 2,
    split: Split | None = Split.TEST,
    seed: int = 0,
) -> Sample:
    """Draw the cases of a study, one scan per patient.

    Args:
        manifest: the cohort.
        count: number of cases; every patient of the split if `None`.
        balanced: as many with disease as without, like the paper's 134.
        training: number of training cases, alternately with and without disease, of patients
            who are not in the sample; from any split.
        split: to draw from; `None` for all.
        seed: the same manifest and seed give the same sample.

    Raises:
        InputError: the cohort has too few cases; says how many.
        ParameterError: the sample is to be balanced and `count` is odd.
    """
    if balanced and count is not None and count % 2:
        raise ParameterError("count", "draw_sample", "even for a balanced sample", count)
    rng = np.random.default_rng([seed, _SAMPLE_STREAM])
    pool = _one_per_patient([c for c in manifest.cases if split in (None, c.split)], rng)
    where = f"split {split.value}" if split is not None else "the cohort"
    if balanced:
        half = None if count is None else count // 2
        chosen = _balanced(pool, half, rng, manifest, where)
    else:
        wanted = len(pool) if count is None else count
        _require(len(pool), wanted, "patients", manifest, where)
        chosen = _draw(pool, wanted, rng)
    if not chosen:
        raise InputError(manifest.folder, f"no case in {where}", "Choose another with --split")
    patients = {case.patient_id for case in chosen}
    ids = {case.scan_id for case in chosen}
    return Sample(
        reading=tuple(case for case in manifest.cases if case.scan_id in ids),
        training=_training(manifest, patients, training, rng),
    )


def _one_per_patient(cases: Sequence[Case], rng: np.random.Generator) -> list[Case]:
    scans: dict[str, list[Case]] = {}
    for case in cases:
        scans.setdefault(case.patient_id, []).append(case)
    return [own[int(rng.integers(len(own)))] for own in scans.values()]


def _draw(pool: Sequence[Case], count: int, rng: np.random.Generator) -> list[Case]:
    return [pool[number] for number in rng.permutation(len(pool))[:count]]


def _balanced(
    pool: Sequence[Case],
    half: int | None,
    rng: np.random.Generator,
    manifest: Manifest,
    where: str,
) -> list[Case]:
    sides = [[case for case in pool if case.positive is side] for side in (False, True)]
    wanted = min(map(len, sides)) if half is None else half
    for side, name in zip(
        sides, ("patients without disease", "patients with disease"), strict=True
    ):
        _require(len(side), wanted, name, manifest, where)
    return _draw(sides[0], wanted, rng) + _draw(sides[1], wanted, rng)


def _require(there: int, wanted: int, what: str, manifest: Manifest, where: str) -> None:
    if there < wanted:
        raise InputError(
            manifest.folder,
            f"{wanted} {what} are wanted, {where} has {there}",
            "Choose fewer with --sample, or another --split",
        )


def _training(
    manifest: Manifest, patients: set[str], count: int, rng: np.random.Generator
) -> tuple[Case, ...]:
    others = [case for case in manifest.cases if case.patient_id not in patients]
    pool = _one_per_patient(others, rng)
    queues = {
        side: _draw([case for case in pool if case.positive is side], count, rng)
        for side in (False, True)
    }
    chosen = []
    for number in range(count):
        side = number % 2 == 0
        queue = queues[side] or queues[not side]
        if not queue:
            raise InputError(
                manifest.folder,
                f"{count} training cases of other patients are wanted, {number} are left",
                "Choose fewer with --training",
            )
        chosen.append(queue.pop())
    return tuple(chosen)


def numbering(seed: int, scan_ids: Sequence[str]) -> list[int]:
    """Draw the order in which the cases of a study are numbered in its store.

    Numbers reveal nothing about a case, and orders that are drawn of them follow from the seed.

    Args:
        seed: seed of the study.
        scan_ids: of every case, in any order.

    Returns:
        Places in `scan_ids`, that of the first number first.

    Examples:
        >>> there, back = ["a", "b", "c", "d"], ["d", "c", "b", "a"]
        >>> [there[at] for at in numbering(7, there)] == [back[at] for at in numbering(7, back)]
        True
    """
    by_name = sorted(range(len(scan_ids)), key=scan_ids.__getitem__)
    rng = np.random.default_rng([seed, _NUMBER_STREAM])
    return [by_name[place] for place in rng.permutation(len(by_name))]


def reading_order(seed: int, reader: str, session: int, cases: int) -> NDArray[np.intp]:
    """Draw the order in which one reader reads the cases of one session.

    Args:
        seed: seed of the study.
        reader: short name.
        session: 1 or 2; they have different orders.
        cases: number of cases.

    Returns:
        A permutation of 0 to cases - 1, int (cases,).

    Examples:
        >>> first, second = (reading_order(7, "r1", number, 134) for number in (1, 2))
        >>> sorted(first.tolist()) == list(range(134)), bool((first == second).all())
        (True, False)
    """
    name = int.from_bytes(hashlib.sha256(reader.encode()).digest()[:8], "big")
    rng = np.random.default_rng([seed, _ORDER_STREAM, name, session])
    return np.asarray(rng.permutation(cases), dtype=np.intp)


def assign_sessions(db: Session, account: Account, protocol: StudyProtocol, *, now: float) -> None:
    """Store a reader's order of cases for every session: training cases first."""
    cases = db.scalars(select(StudyCase).order_by(StudyCase.id)).all()
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
    record_change(db, "order drawn", now=now, account_id=account.id)
    db.flush()
