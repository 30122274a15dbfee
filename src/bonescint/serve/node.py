"""The node: receives studies, classifies each once it is quiet, and sends the answer to a PACS."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bonescint import extras
from bonescint.parallel import UnexpectedError, WorkerDiedError, WorkerPool
from bonescint.scan import BonescintError, InputError, ParameterError
from bonescint.serve.commitment import Commitments
from bonescint.serve.peers import (
    Destination,
    DicomObject,
    ObjectRefusedError,
    PeerError,
    StoringConnection,
    TlsFiles,
)
from bonescint.serve.queue import QueuedStudy, StudyQueue, StudyState
from bonescint.serve.sending import growing_wait_s
from bonescint.serve.study_outcome import StudyOutcome
from bonescint.viewer.serving import is_loopback

log = logging.getLogger("bonescint.serve")

_CLASSIFIED_AT_MOST = 2
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 600.0
_STUDIES_AT_ONCE = 32
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """How a node works.

    Attributes:
        queue: folder of the studies.
        title: its AE title.
        host: address to listen on; loopback unless told otherwise.
        port: port to listen on; 0 for any that is free.
        allowed: who may send, as `TITLE@host` or `TITLE@host:port`; needed beyond loopback.
        tls: certificates for being called, or `None` for plain connections.
        quiet_s: a study is classified when nothing was added to it for so many seconds.
        most_studies: number of studies that may wait; a further one is refused with status A700.
        keep_s: seconds for which objects stay after their study was answered.
        model: a model folder; the shipped one if `None`.
        call_anyway: also call scans that are too unlike those that the model knows.
        workers: worker processes.
        timeout_s: a worker that spends longer than this on a study is ended.

    Raises:
        ParameterError: a setting that cannot be used, or an address beyond loopback without a list
            of who may send.
    """

    queue: Path
    title: str = "BONESCINT"
    host: str = "127.0.0.1"
    port: int = 11112
    allowed: tuple[str, ...] = ()
    tls: TlsFiles | None = None
    quiet_s: float = 30.0
    most_studies: int = 1000
    keep_s: float = 24 * _HOUR_S
    model: Path | None = None
    call_anyway: bool = False
    workers: int = 1
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.allowed:
            requirement = f"given, because {self.host} is not loopback"
            raise ParameterError("allow", "listen", requirement, "nobody")
        for name in ("quiet_s", "keep_s"):
            if not getattr(self, name) >= 0:
                raise ParameterError(name, "listen", "at least 0 s", getattr(self, name))


@dataclass(slots=True)
class _Turn:
    """When something is tried next, after so many failures in a row."""

    failures: int = 0
    due_s: float = 0.0

    @property
    def left_s(self) -> float:
        return self.due_s - time.monotonic()

    def failed(self) -> None:
        self.failures += 1
        wait_s = growing_wait_s(self.failures, first_s=_FIRST_WAIT_S, longest_s=_LONGEST_WAIT_S)
        self.due_s = time.monotonic() + wait_s


class Classifying:
    """Gives quiet studies to worker processes, and moves them on with what was found."""

    def __init__(
        self,
        queue: StudyQueue,
        settings: NodeSettings,
        pool: WorkerPool,
        ended: threading.Event,
    ) -> None:
        self._ended = ended
        self._queue = queue
        self._settings = settings
        self._pool = pool
        self._turns: dict[str, _Turn] = {}
        self._busy: set[str] = set()
        self.changed = threading.Event()

    def step(self) -> float:
        """Give to the workers what is due.

        Returns:
            Seconds until something may be due.
        """
        self._queue.take_quiet(self._settings.quiet_s)
        next_s = 1.0
        busy = set(self._busy)  # before the list: what ends meanwhile is left out
        for study in self._queue.all_in(StudyState.CLASSIFYING):
            if study.name in busy:
                continue
            turn = self._turns.setdefault(study.name, _Turn())
            if turn.left_s > 0:
                next_s = min(next_s, turn.left_s)
                continue
            self._busy.add(study.name)
            future = self._pool.submit(_classify, study, self._settings)
            future.add_done_callback(self._done(study, turn))
        quiet_in_s = self._queue.quiet_in_s(self._settings.quiet_s)
        return next_s if quiet_in_s is None else max(0.05, min(next_s, quiet_in_s))

    def _done(self, study: QueuedStudy, turn: _Turn) -> Callable[[Future[StudyOutcome]], None]:
        def finish(future: Future[StudyOutcome]) -> None:
            try:
                if not (future.cancelled() or self._ended.is_set()):  # workers were ended
                    self._finish(study, turn, future)
            except Exception as error:  # noqa: BLE001 - tried again; the thread must not end
                log.warning("Study %s cannot be moved on: %s", study.name, type(error).__name__)
                turn.failed()
            finally:
                self._busy.discard(study.name)
                self.changed.set()

        return finish

    def _finish(self, study: QueuedStudy, turn: _Turn, future: Future[StudyOutcome]) -> None:
        error = future.exception()
        if error is None:
            outcome = future.result()
        elif isinstance(error, WorkerDiedError | UnexpectedError):
            turn.failed()
            log.warning("Study %s: %s", study.name, error)
            if turn.failures < _CLASSIFIED_AT_MOST:
                return
            for path in study.unsent():
                path.unlink()
            outcome = StudyOutcome(scans=(), refused=(str(error),))
        else:
            turn.failed()
            log.warning("Study %s is classified later: %s", study.name, error)
            return
        self._queue.classified(study, outcome.to_json())
        self._turns.pop(study.name, None)
        objects = sum(scan.objects for scan in outcome.scans)
        log.info("Study %s: %d scans, %d objects", study.name, len(outcome.scans), objects)
        if outcome.gone:
            log.warning(
                "Study %s was classified without %d earlier objects, which had been deleted",
                study.name,
                outcome.gone,
            )
        if not outcome.scans:
            why = "; ".join(outcome.refused)
            log.warning("Study %s has no answer, for it has no scan: %s", study.name, why)


def _prepare(settings: NodeSettings) -> None:
    """Open the model in a worker before the first study comes."""
    from bonescint.serve.study_classification import open_model

    open_model(settings.model, settings.call_anyway)


def _classify(study: QueuedStudy, settings: NodeSettings) -> StudyOutcome:
    """The work of a worker; what it needs is not loaded in the node's own process."""
    from bonescint.serve.study_classification import classify_study

    return classify_study(study, settings.model, call_anyway=settings.call_anyway)


@dataclass(slots=True)
class Answering:
    """Sends answers; what is not accepted is tried again until it is, after waits that grow."""

    queue: StudyQueue
    destination: Destination
    _peer: _Turn = field(default_factory=_Turn)
    _turns: dict[str, _Turn] = field(default_factory=dict)

    def step(self) -> float:
        """Send what is due.

        Returns:
            Seconds until something may be due.
        """
        if self._peer.left_s > 0:
            return self._peer.left_s
        waiting = self.queue.all_in(StudyState.ANSWERING)
        due = [one for one in waiting if self._turn(one).left_s <= 0]
        if due:
            due.sort(key=lambda one: self._turn(one).failures)
            self._send(due[:_STUDIES_AT_ONCE])
            return self._peer.left_s if self._peer.left_s > 0 else 0.0
        return min((self._turn(one).left_s for one in waiting), default=_LONGEST_WAIT_S)

    def _turn(self, study: QueuedStudy) -> _Turn:
        return self._turns.setdefault(study.name, _Turn())

    def _send(self, studies: list[QueuedStudy]) -> None:
        objects: dict[str, list[DicomObject]] = {}
        for study in studies:
            try:
                objects[study.name] = [DicomObject.of(path) for path in study.unsent()]
            except InputError as error:
                log.warning("The answer of study %s is damaged: %s", study.name, error.problem)
                self._turn(study).failed()
        together = [one for some in objects.values() for one in some]
        at: QueuedStudy | None = None
        try:
            if together:
                with self.destination.connected(together) as connection:
                    for at in studies:
                        self._store(connection, at, objects.get(at.name, []))
            self._peer = _Turn()
        except PeerError as error:
            turns = [self._peer]
            if at is not None:
                # If it fails at this study again, only this study waits: the others may be taken.
                known = self._turn(at).failures > 0
                turns = [self._turn(at)] if known else [self._turn(at), self._peer]
            for turn in turns:
                turn.failed()
            log.warning("%s Tried again in %.0f s.", error, turns[0].left_s)
        for study in studies:
            if study.name in objects and not study.unsent():
                self.queue.answered(study)
                self._turns.pop(study.name, None)
                log.info("Study %s was answered", study.name)

    def _store(
        self, connection: StoringConnection, study: QueuedStudy, objects: list[DicomObject]
    ) -> None:
        refused = False
        for one in objects:
            try:
                connection.store(one)
            except ObjectRefusedError as error:
                refused = True
                log.warning("The answer of study %s was not accepted: %s", study.name, error)
            else:
                study.mark_sent(one.path)
                self._peer = _Turn()
        if refused:
            self._turn(study).failed()


@contextmanager
def running_node(settings: NodeSettings, destination: Destination) -> Iterator[int]:
    """Run a node while the block runs; gives the port that it listens on.

    Args:
        settings: how it works.
        destination: where answers go.

    Raises:
        OutputError: the queue is in use or cannot be written to, or the port is taken.
        ParameterError: a setting that cannot be used.
        MissingExtraError: the extra `pacs` is not installed.
        ModelFolderError: the model is incomplete, altered or of a newer schema.
    """
    extras.require("pynetdicom", "highdicom", extra="pacs")
    from bonescint.classify.classify import model_folder
    from bonescint.serve.receiving import Receiver, Sender

    model_folder(settings.model)  # what is wrong with it is said now, not with the first study

    with ExitStack() as opened:
        queue = opened.enter_context(StudyQueue(settings.queue, most=settings.most_studies))
        pool = opened.enter_context(
            WorkerPool(
                settings.workers,
                timeout_s=settings.timeout_s,
                preload="bonescint.serve.study_classification",
            )
        )
        for _ in range(settings.workers):
            pool.submit(_prepare, settings)
        commitments = Commitments(queue, title=settings.title, tls=settings.tls)
        receiver = Receiver(
            queue,
            title=settings.title,
            allowed=[Sender.of(one) for one in settings.allowed],
            tls=settings.tls,
            commit=commitments.take,
        )
        ended, answerable = threading.Event(), threading.Event()
        classifying = Classifying(queue, settings, pool, ended)
        answering = Answering(queue, destination)
        port = opened.enter_context(receiver.listening(settings.host, settings.port))

        def classified_on() -> float:
            classifying.changed.clear()
            wait_s = classifying.step()
            answerable.set()
            return wait_s

        loops = [
            _Loop(classified_on, classifying.changed, ended),
            _Loop(answering.step, answerable, ended),
            _Loop(commitments.report_due, commitments.added, ended),
            _Loop(lambda: _forget(queue, settings.keep_s), threading.Event(), ended),
        ]
        opened.callback(_end, loops, ended)
        for loop in loops:
            loop.start()
        log.info("%d studies wait", queue.waiting)
        yield port


def _forget(queue: StudyQueue, keep_s: float) -> float:
    queue.forget_objects(keep_s)
    return min(_HOUR_S, max(1.0, keep_s))


def _end(loops: list[_Loop], ended: threading.Event) -> None:
    ended.set()
    for loop in loops:
        loop.wake.set()
    for loop in loops:
        loop.join(timeout=30)


class _Loop(threading.Thread):
    """Repeats a step, when it is woken or when the time that the step names has passed."""

    def __init__(
        self, step: Callable[[], float], wake: threading.Event, ended: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self.wake = wake
        self._step = step
        self._ended = ended

    def run(self) -> None:
        """Repeat until the node ends."""
        while not self._ended.is_set():
            try:
                wait_s = self._step()
            except Exception as error:  # noqa: BLE001 - a full disk, say: the node goes on
                named = error if isinstance(error, BonescintError) else type(error).__name__
                log.warning("Tried again soon: %s", named)
                wait_s = 5.0
            with suppress(RuntimeError):
                if self.wake.wait(wait_s):
                    self.wake.clear()
