"""Collecting the rows of the export from the store and the truth."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bonescint.scan import View
from bonescint.study.export.measures import (
    CaseScorer,
    CaseTime,
    Moment,
    Score,
    case_time,
    median_and_quartiles,
    scorer_of,
)
from bonescint.study.export.rows import (
    NOTICE,
    EventRow,
    ExportRow,
    MarkRow,
    ReaderRow,
    ReadRow,
    SettingRow,
    TimingRow,
)
from bonescint.study.folder import Progress, StudyFolder
from bonescint.study.integrity import not_whole, truth_is_unaltered
from bonescint.study.protocol import StudyProtocol, running_software
from bonescint.study.store.accounts import Role
from bonescint.study.store.clock import SERVER_STARTED
from bonescint.study.store.database import Store
from bonescint.study.store.tables import (
    Account,
    Answer,
    Assignment,
    Change,
    Environment,
    Event,
    Mark,
    ReadingSession,
    StudyCase,
    StudyRow,
)

_YEAR_10000_S = 253_402_300_800.0  # a reader's own clock may say anything


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTables:
    """All tables of the export.

    Attributes:
        reads: every version of every answer.
        marks: every mark of every version.
        events: what readers did.
        timing: one row per reader, session and modality.
        readers: one row per reader and session.
        settings: of the study and of the export.
        lesions: number of metastases of each case, where it is known.
        simulated_readers: whether some readers are programs.
        simulated_scans: whether the patients are synthetic.
    """

    reads: list[ReadRow] = field(default_factory=list)
    marks: list[MarkRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    timing: list[TimingRow] = field(default_factory=list)
    readers: list[ReaderRow] = field(default_factory=list)
    settings: list[SettingRow] = field(default_factory=list)
    lesions: dict[str, int] = field(default_factory=dict)
    simulated_readers: bool = False
    simulated_scans: bool = False

    def by_name(self) -> dict[str, list[ExportRow]]:
        """The tables by name."""
        return {
            "reads": list(self.reads),
            "marks": list(self.marks),
            "events": list(self.events),
            "timing": list(self.timing),
            "readers": list(self.readers),
            "settings": list(self.settings),
        }

    @property
    def warning(self) -> str:
        """What is simulated, to be said in every title; empty for people and real scans."""
        said = []
        if self.simulated_readers:
            said.append("simulated readers, not physicians")
        if self.simulated_scans:
            said.append("simulated scans")
        return "; ".join(said)

    def title(self, title: str) -> str:
        """The title of a file that is made of these tables."""
        return f"{title} ({self.warning})" if self.warning else title


def modality_of(session: int, stage: str) -> str:
    """The name under which an answer is analysed.

    Examples:
        >>> modality_of(1, "unaided"), modality_of(2, "unaided"), modality_of(2, "aided")
        ('unaided', 'unaided-2', 'aided')
    """
    return stage if session == 1 or stage == "aided" else f"{stage}-{session}"


def collect(
    study: StudyFolder,
    store: Store,
    *,
    radius_mm: float,
    progress: Progress | None = None,
) -> StudyTables:
    """Collect everything that readers entered and did.

    Args:
        study: the folder, for the truth.
        store: its store.
        radius_mm: within which a mark hits a metastasis.
        progress: called with the number of readers that are done and of all.

    Raises:
        StudyError: the truth is missing or was altered.
    """
    truths = study.truth()
    with store.reading() as db:
        accounts = db.scalars(select(Account).where(Account.role == Role.READER.value)).all()
        tables = StudyTables(
            simulated_readers=any(one.simulated for one in accounts),
            simulated_scans=study.simulated_scans,
        )
        collector = _Collector(db, study, truths, tables, radius_mm)
        collector.events()
        for number, account in enumerate(sorted(accounts, key=lambda one: one.reader), start=1):
            collector.reader(account)
            if progress is not None:
                progress(number, len(accounts))
        tables.settings.extend(_settings(db, study, tables, radius_mm))
    return tables


class _Collector:
    """Fills the tables, reader by reader."""

    def __init__(
        self,
        db: Session,
        study: StudyFolder,
        truths: Mapping[str, Mapping[str, Any]],
        tables: StudyTables,
        radius_mm: float,
    ) -> None:
        self._db = db
        self._study = study
        self._truths = truths
        self._tables = tables
        self._radius_mm = radius_mm
        self._cases = {case.id: case for case in db.scalars(select(StudyCase))}
        self._scorers: dict[int, CaseScorer | None] = {}
        self._moments: dict[int, list[Moment]] = defaultdict(list)
        for case in self._cases.values():
            scorer = self._scorer(case)
            if scorer is not None and not case.training:
                tables.lesions[self._scan_id(case)] = scorer.lesions

    def _scan_id(self, case: StudyCase) -> str:
        return str(self._truths[case.token]["scan_id"])

    def _scorer(self, case: StudyCase) -> CaseScorer | None:
        if case.id not in self._scorers:
            positive = bool(self._truths[case.token]["positive"])
            masks = self._study.masks_file(case.token)
            if not truth_is_unaltered(masks, self._truths[case.token]):
                raise not_whole(masks)  # its marks would silently go unjudged
            self._scorers[case.id] = scorer_of(masks, positive, case.picture, self._radius_mm)
        return self._scorers[case.id]

    def events(self) -> None:
        rows = self._db.execute(
            select(Event, Account.reader, ReadingSession.number, Assignment.case_id)
            .join(ReadingSession, ReadingSession.id == Event.session_id)
            .join(Account, Account.id == ReadingSession.account_id)
            .outerjoin(Assignment, Assignment.id == Event.assignment_id)
            .order_by(Account.reader, ReadingSession.number, Event.client_s, Event.id)
        )
        for event, reader, number, case_id in rows:
            if event.assignment_id is not None:
                self._moments[event.assignment_id].append(
                    Moment(
                        kind=event.kind,
                        tab=event.tab,
                        t_ms=event.t_ms,
                        client_s=event.client_s,
                        stage=str(event.body.get("stage", "")),
                    )
                )
            self._tables.events.append(
                EventRow(
                    reader=reader,
                    session=number,
                    case="" if case_id is None else self._scan_id(self._cases[case_id]),
                    kind=event.kind,
                    tab=event.tab,
                    t_ms=event.t_ms,
                    client=utc(event.client_s),
                    server=utc(event.received_s),
                    details=json.dumps(event.body) if event.body else "",
                )
            )

    def reader(self, account: Account) -> None:
        sessions = self._db.scalars(
            select(ReadingSession)
            .where(ReadingSession.account_id == account.id)
            .order_by(ReadingSession.number)
        )
        for session in sessions:
            reads = self._reads(account, session)
            self._tables.reads.extend(reads)
            counting = [row for row in reads if row.final and not row.training]
            self._tables.timing.extend(self._timing(account, session, counting))
            if session.started_s is not None:
                self._tables.readers.append(self._reader_row(account, session, counting))

    def _reads(self, account: Account, session: ReadingSession) -> list[ReadRow]:
        answers = self._db.execute(
            select(Answer, Assignment)
            .join(Assignment, Assignment.id == Answer.assignment_id)
            .where(Assignment.session_id == session.id)
            .order_by(Assignment.position, Answer.stage.desc(), Answer.revision)
        ).all()
        last: dict[tuple[int, str], int] = {}
        for answer, assignment in answers:
            last[(assignment.id, answer.stage)] = answer.revision
        marks = self._marks_of([answer.id for answer, _ in answers])
        rows = []
        for answer, assignment in answers:
            case = self._cases[assignment.case_id]
            truth = self._truths[case.token]
            final = last[(assignment.id, answer.stage)] == answer.revision
            took = self._time(assignment, answer)
            row = ReadRow(
                reader=account.reader,
                simulated=account.simulated,
                session=session.number,
                modality=modality_of(session.number, answer.stage),
                case=self._scan_id(case),
                token=case.token,
                position=assignment.position,
                training=case.training,
                truth=int(truth["positive"]),
                decision=int(answer.positive),
                rating=answer.confidence,
                no_focus=answer.no_focus,
                marks=len(marks[answer.id]),
                comment=answer.comment,
                revision=answer.revision,
                final=final,
                submitted=utc(answer.received_s),
                gross_s=took.gross_s if took else None,
                active_s=took.active_s if took else None,
                software_sha256=answer.software_sha256,
            )
            rows.append(row)
            self._tables.marks.extend(self._mark_rows(row, case, marks[answer.id]))
        return rows

    def _time(self, assignment: Assignment, answer: Answer) -> CaseTime | None:
        """The time of the first version: a later one is a correction, not a reading."""
        if answer.revision > 1:
            return None
        return case_time(self._moments.get(assignment.id, []), answer.stage)

    def _marks_of(self, answers: list[int]) -> dict[int, list[Mark]]:
        found: dict[int, list[Mark]] = defaultdict(list)
        if answers:
            for mark in self._db.scalars(
                select(Mark).where(Mark.answer_id.in_(answers)).order_by(Mark.number)
            ):
                found[mark.answer_id].append(mark)
        return found

    def _mark_rows(self, read: ReadRow, case: StudyCase, marks: list[Mark]) -> list[MarkRow]:
        scorer = self._scorer(case)
        rows = []
        for mark in marks:
            score: Score | None = None
            if scorer is not None:
                score = scorer.score(View(mark.view), mark.row_px, mark.column_px)
            rows.append(
                MarkRow(
                    reader=read.reader,
                    simulated=read.simulated,
                    session=read.session,
                    modality=read.modality,
                    case=read.case,
                    training=read.training,
                    revision=read.revision,
                    final=read.final,
                    mark=mark.number,
                    view=mark.view,
                    row_px=mark.row_px,
                    column_px=mark.column_px,
                    rating=mark.rating,
                    distance_mm=score.distance_mm if score else None,
                    lesion=score.lesion if score else None,
                    hit=int(score.hit) if score else None,
                )
            )
        return rows

    def _timing(
        self, account: Account, session: ReadingSession, counting: list[ReadRow]
    ) -> list[TimingRow]:
        pauses = self._db.scalar(
            select(func.count())
            .select_from(Event)
            .where(Event.session_id == session.id, Event.kind == "pause")
        )
        rows = []
        for modality in dict.fromkeys(row.modality for row in counting):
            own = [row for row in counting if row.modality == modality]
            active = [row.active_s for row in own if row.active_s is not None]
            gross = [row.gross_s for row in own if row.gross_s is not None]
            quartiles = median_and_quartiles(active)
            rows.append(
                TimingRow(
                    reader=account.reader,
                    simulated=account.simulated,
                    session=session.number,
                    modality=modality,
                    cases=len(own),
                    gross_total_s=round(sum(gross), 3) if gross else None,
                    active_total_s=round(sum(active), 3) if active else None,
                    active_q1_s=quartiles[0] if quartiles else None,
                    active_median_s=quartiles[1] if quartiles else None,
                    active_q3_s=quartiles[2] if quartiles else None,
                    pauses=int(pauses or 0),
                )
            )
        return rows

    def _reader_row(
        self, account: Account, session: ReadingSession, counting: list[ReadRow]
    ) -> ReaderRow:
        latest = self._db.scalar(
            select(Environment)
            .where(Environment.session_id == session.id)
            .order_by(Environment.at_s.desc(), Environment.id.desc())
            .limit(1)
        )
        entered = latest.body if latest is not None else {}
        last_stage = self._study.protocol.stages(session.number)[-1].value
        last = modality_of(session.number, last_stage)
        width, height = entered.get("screen_width"), entered.get("screen_height")
        return ReaderRow(
            reader=account.reader,
            simulated=account.simulated,
            experience_years=account.experience_years,
            session=session.number,
            started=utc(session.started_s),
            finished=utc(session.finished_s),
            answered=sum(row.modality == last for row in counting),
            of=self._study.protocol.cases,
            monitor=str(entered.get("monitor", "")),
            calibrated=str(entered.get("calibrated", "")),
            light=str(entered.get("light", "")),
            steps_seen=entered.get("steps_seen"),
            screen=f"{width:g} x {height:g}" if width and height else "",
            pixel_ratio=entered.get("pixel_ratio"),
            browser=str(entered.get("browser", "")),
            protocol_sha256=session.protocol_sha256,
            software_sha256=session.software_sha256,
            model_sha256=session.model_sha256,
            images_sha256=session.images_sha256,
        )


def utc(seconds: float | None) -> str:
    """A moment in ISO 8601 with milliseconds, UTC; empty if unknown or beyond the calendar.

    Examples:
        >>> utc(0.25)
        '1970-01-01T00:00:00.250Z'
    """
    if seconds is None or not 0 <= seconds < _YEAR_10000_S:
        return ""
    whole = int(seconds // 1)
    milli = int((seconds - whole) * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{milli:03d}Z"


def _settings(
    db: Session, study: StudyFolder, tables: StudyTables, radius_mm: float
) -> list[SettingRow]:
    row = db.get_one(StudyRow, 1)
    protocol: StudyProtocol = study.protocol
    behind = [
        change.body.get("behind_s", 0)
        for change in db.scalars(select(Change).where(Change.what == SERVER_STARTED))
    ]
    values: dict[str, object] = {
        "notice": NOTICE,
        "readers are": "simulated (programs)" if tables.simulated_readers else "people",
        "scans are": "simulated" if tables.simulated_scans else "as the cohort says",
        "study_id": row.study_id,
        "created": utc(row.created_s),
        "exported": utc(time.time()),
        **{f"protocol.{name}": value for name, value in protocol.to_json().items()},
        "protocol_sha256": row.protocol_sha256,
        "images_sha256": row.images_sha256,
        "model_id": row.model_id,
        "model_sha256": row.model_sha256,
        "exported with bonescint": running_software().bonescint,
        "radius within which a mark hits, mm": radius_mm,
        "a lesion is": "a metastasis; seen in both views it counts once",
        "most seconds that the machine's clock was behind the study's": max([0, *behind]),
        "most seconds that the machine's clock was ahead of the study's": -min([0, *behind]),
    }
    return [SettingRow(setting=name, value=str(value)) for name, value in values.items()]
