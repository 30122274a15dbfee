"""Collecting the rows of the export from the store and the truth."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bonescint.scan import RESEARCH_USE, View
from bonescint.study.export.measures import (
    ASSUMED_SPACING_MM,
    CaseScorer,
    Moment,
    Score,
    case_time,
    median_and_quartiles,
    note_away,
    scorer_of,
    spacing_of,
)
from bonescint.study.export.rows import (
    TABLES,
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
from bonescint.study.protocol import running_software
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

_YEAR_10000_S = 253_402_300_800.0  # the clock of a reader's computer may be set to anything
_UNJUDGED = Score(distance_mm=None, lesion=None, hit=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTables:
    """All tables of the export.

    Attributes:
        reads: every version of every answer.
        marks: every mark of every version.
        events: what readers did.
        timing: one row per reader, session and modality.
        readers: one row per reader and session.
        settings: settings of the study and of the export.
        lesions: number of metastases of each case, if it is known.
        assumed_spacing: cases whose spacing is unknown, so that it is assumed for their marks.
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
    assumed_spacing: frozenset[str] = frozenset()
    simulated_readers: bool = False
    simulated_scans: bool = False

    def by_name(self) -> dict[str, list[ExportRow]]:
        """The tables by name."""
        return {name: list(getattr(self, name)) for name in TABLES}

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
    study: StudyFolder, store: Store, *, radius_mm: float, progress: Progress | None = None
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
    with store.reading() as db:
        accounts = db.scalars(select(Account).where(Account.role == Role.READER.value)).all()
        cases = _Cases(db, study, radius_mm)
        tables = StudyTables(
            simulated_readers=any(one.simulated for one in accounts),
            simulated_scans=study.simulated_scans,
            assumed_spacing=cases.assumed_spacing(),
        )
        tables.lesions.update(cases.lesions())
        moments = _add_events(db, cases, tables)
        for number, account in enumerate(sorted(accounts, key=lambda one: one.reader), start=1):
            sessions = db.scalars(
                select(ReadingSession)
                .where(ReadingSession.account_id == account.id)
                .order_by(ReadingSession.number)
            )
            for session in sessions:
                reader = _SessionCollector(db, study, cases, account, session)
                reader.add_to(tables, moments)
            if progress is not None:
                progress(number, len(accounts))
        tables.settings.extend(_settings(db, study, tables, radius_mm))
    return tables


class _Cases:
    """The cases of a study with their truth, and what scores their marks."""

    def __init__(self, db: Session, study: StudyFolder, radius_mm: float) -> None:
        self._study, self._radius_mm = study, radius_mm
        truths = study.truth()
        self._cases = {case.id: case for case in db.scalars(select(StudyCase))}
        self._truths = {number: truths[case.token] for number, case in self._cases.items()}
        self._scorers = {number: self._scorer(number) for number in self._cases}

    def _scorer(self, number: int) -> CaseScorer | None:
        case, truth = self._cases[number], self._truths[number]
        masks = self._study.masks_file(case.token)
        if not truth_is_unaltered(masks, truth):
            raise not_whole(masks)  # its marks would silently not be scored
        return scorer_of(masks, bool(truth["positive"]), case.picture, self._radius_mm)

    def __getitem__(self, number: int) -> StudyCase:
        return self._cases[number]

    def truth(self, number: int) -> Mapping[str, Any]:
        """The truth of a case."""
        return self._truths[number]

    def scan_id(self, number: int | None) -> str:
        """The scan of a case; empty for none."""
        return "" if number is None else str(self._truths[number]["scan_id"])

    def lesions(self) -> dict[str, int]:
        """The number of metastases of the cases that count, if it is known."""
        return {
            self.scan_id(number): scorer.lesions
            for number, scorer in self._scorers.items()
            if scorer is not None and not self._cases[number].training
        }

    def assumed_spacing(self) -> frozenset[str]:
        """The cases that count whose spacing is unknown."""
        return frozenset(
            self.scan_id(number)
            for number, case in self._cases.items()
            if not case.training and spacing_of(case.picture) is None
        )

    def score(self, number: int, mark: Mark) -> Score:
        """How a mark relates to the metastases of its case."""
        scorer = self._scorers[number]
        if scorer is None:
            return _UNJUDGED
        return scorer.score(View(mark.view), mark.row_px, mark.column_px)


def _add_events(db: Session, cases: _Cases, tables: StudyTables) -> Mapping[int, list[Moment]]:
    """Add all events; return those of each assignment, for the reading times."""
    rows = db.execute(
        select(Event, Account.reader, ReadingSession.number, Assignment.case_id)
        .join(ReadingSession, ReadingSession.id == Event.session_id)
        .join(Account, Account.id == ReadingSession.account_id)
        .outerjoin(Assignment, Assignment.id == Event.assignment_id)
        .order_by(Account.reader, ReadingSession.number, Event.client_s, Event.id)
    ).all()
    for event, reader, number, case_id in rows:
        tables.events.append(
            EventRow(
                reader=reader,
                session=number,
                case=cases.scan_id(case_id),
                kind=event.kind,
                tab=event.tab,
                t_ms=event.t_ms,
                client=utc(event.client_s),
                server=utc(event.received_s),
                details=json.dumps(event.body) if event.body else "",
            )
        )
    return _moments([row.Event for row in rows])


def _moments(events: Sequence[Event]) -> Mapping[int, list[Moment]]:
    """The moments of each assignment.

    A reader may be away already when a case is shown; the event that says so is of another case.
    """
    moments: dict[int, list[Moment]] = defaultdict(list)
    away: dict[tuple[int, str], set[str]] = defaultdict(set)
    for event in sorted(events, key=lambda event: (event.t_ms, event.id)):
        reasons = away[event.session_id, event.tab]
        note_away(reasons, event.kind)
        if event.assignment_id is None:
            continue
        kinds = [event.kind, *(reasons if event.kind == "shown" else ())]
        moments[event.assignment_id].extend(
            Moment(
                kind=kind,
                tab=event.tab,
                t_ms=event.t_ms,
                client_s=event.client_s,
                stage=str(event.body.get("stage", "")),
            )
            for kind in kinds
        )
    return moments


def _until(given: Answer, moments: Sequence[Moment]) -> list[Moment]:
    """Without later looks at an answered case; a page that is loaded again is another tab.

    In the tab of the submission its monotonic clock says what is later, also if the reader's
    clock was set back meanwhile.
    """
    at = (given.t_ms, given.client_s)
    tabs = {moment.tab for moment in moments if (moment.t_ms, moment.client_s) == at}
    return [one for one in moments if one.client_s <= given.client_s or one.tab in tabs]


class _SessionCollector:
    """Collects the rows of one session of one reader."""

    def __init__(
        self,
        db: Session,
        study: StudyFolder,
        cases: _Cases,
        account: Account,
        session: ReadingSession,
    ) -> None:
        self._db, self._protocol, self._cases = db, study.protocol, cases
        self._account, self._session = account, session
        self._who: dict[str, Any] = {
            "reader": account.reader,
            "simulated": account.simulated,
            "session": session.number,
        }

    def add_to(self, tables: StudyTables, moments: Mapping[int, list[Moment]]) -> None:
        """Add reads, marks, times and the reader."""
        answers = self._db.execute(
            select(Answer, Assignment)
            .join(Assignment, Assignment.id == Answer.assignment_id)
            .where(Assignment.session_id == self._session.id)
            .order_by(Assignment.position, Answer.stage.desc(), Answer.revision)
        ).all()
        last = {(given.assignment_id, given.stage): given.revision for given, _ in answers}
        marks = self._marks([given.id for given, _ in answers])
        counting = []
        for given, assignment in answers:
            final = last[given.assignment_id, given.stage] == given.revision
            own = marks.get(given.id, [])
            seen = moments.get(assignment.id, [])
            row = self._read(given, assignment, len(own), seen, final=final)
            tables.reads.append(row)
            tables.marks.extend(self._mark(row, mark, assignment.case_id) for mark in own)
            if row.final and not row.training:
                counting.append(row)
        tables.timing.extend(self._timing(counting))
        if self._session.started_s is not None:
            tables.readers.append(self._reader(counting))

    def _marks(self, answers: list[int]) -> Mapping[int, list[Mark]]:
        found: dict[int, list[Mark]] = defaultdict(list)
        if answers:
            query = select(Mark).where(Mark.answer_id.in_(answers)).order_by(Mark.number)
            for mark in self._db.scalars(query):
                found[mark.answer_id].append(mark)
        return found

    def _read(
        self,
        given: Answer,
        assignment: Assignment,
        marks: int,
        moments: Sequence[Moment],
        *,
        final: bool,
    ) -> ReadRow:
        case = self._cases[assignment.case_id]
        # The first version is the reading; a later one is a correction.
        seen = _until(given, moments)
        took = case_time(seen, given.stage) if given.revision == 1 else None
        return ReadRow(
            **self._who,
            modality=modality_of(self._session.number, given.stage),
            case=self._cases.scan_id(case.id),
            token=case.token,
            position=assignment.position,
            training=case.training,
            truth=int(self._cases.truth(case.id)["positive"]),
            decision=int(given.positive),
            rating=given.confidence,
            no_focus=given.no_focus,
            marks=marks,
            comment=given.comment,
            revision=given.revision,
            final=final,
            submitted=utc(given.received_s),
            gross_s=took.gross_s if took else None,
            active_s=took.active_s if took else None,
            software_sha256=given.software_sha256,
        )

    def _mark(self, read: ReadRow, mark: Mark, case_id: int) -> MarkRow:
        score = self._cases.score(case_id, mark)
        return MarkRow(
            **self._who,
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
            distance_mm=score.distance_mm,
            lesion=score.lesion,
            hit=None if score.hit is None else int(score.hit),
        )

    def _timing(self, counting: list[ReadRow]) -> list[TimingRow]:
        pauses = self._db.scalar(
            select(func.count())
            .select_from(Event)
            .where(Event.session_id == self._session.id, Event.kind == "pause")
        )
        rows = []
        for modality in dict.fromkeys(row.modality for row in counting):
            own = [row for row in counting if row.modality == modality]
            active = [row.active_s for row in own if row.active_s is not None]
            gross = [row.gross_s for row in own if row.gross_s is not None]
            first, median, third = median_and_quartiles(active) or (None, None, None)
            rows.append(
                TimingRow(
                    **self._who,
                    modality=modality,
                    cases=len(own),
                    gross_total_s=round(sum(gross), 3) if gross else None,
                    active_total_s=round(sum(active), 3) if active else None,
                    active_q1_s=first,
                    active_median_s=median,
                    active_q3_s=third,
                    pauses=int(pauses or 0),
                )
            )
        return rows

    def _reader(self, counting: list[ReadRow]) -> ReaderRow:
        session = self._session
        latest = self._db.scalar(
            select(Environment)
            .where(Environment.session_id == session.id)
            .order_by(Environment.at_s.desc(), Environment.id.desc())
            .limit(1)
        )
        entered = latest.body if latest is not None else {}
        last_stage = self._protocol.stages(session.number)[-1].value
        last = modality_of(session.number, last_stage)
        width, height = entered.get("screen_width"), entered.get("screen_height")
        return ReaderRow(
            **self._who,
            experience_years=self._account.experience_years,
            started=utc(session.started_s),
            finished=utc(session.finished_s),
            answered=sum(row.modality == last for row in counting),
            of=self._protocol.cases,
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
    behind = [
        change.body.get("behind_s", 0)
        for change in db.scalars(select(Change).where(Change.what == SERVER_STARTED))
    ]
    protocol = study.protocol.to_json()
    values: dict[str, object] = {
        "notice": RESEARCH_USE,
        "readers are": "simulated (programs)" if tables.simulated_readers else "people",
        "scans are": "simulated" if tables.simulated_scans else "as the cohort says",
        "study_id": row.study_id,
        "created": utc(row.created_s),
        "exported": utc(time.time()),
        **{f"protocol.{name}": value for name, value in protocol.items()},
        "protocol_sha256": row.protocol_sha256,
        "images_sha256": row.images_sha256,
        "model_id": row.model_id,
        "model_sha256": row.model_sha256,
        "exported with bonescint": running_software().bonescint,
        "radius within which a mark hits, mm": radius_mm,
        f"cases whose spacing is unknown, taken to be {ASSUMED_SPACING_MM} mm": len(
            tables.assumed_spacing
        ),
        "a lesion is": "a metastasis; seen in both views it counts once",
        "most seconds that the machine's clock was behind the study's": max([0, *behind]),
        "most seconds that the machine's clock was ahead of the study's": -min([0, *behind]),
    }
    return [SettingRow(setting=name, value=str(value)) for name, value in values.items()]
