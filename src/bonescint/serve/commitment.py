"""Storage commitment: a sender asks whether its objects are here, and is told (PS3.4 J).

The request is on disk before it is answered. The report goes to the sender in an association of its
own, if the sender's port is known, and else in the association of the request while that lasts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bonescint.files import json_in, make_folder, write_whole
from bonescint.scan import BonescintError, ParameterError
from bonescint.serve.associations import associated
from bonescint.serve.peers import Peer, PeerError, TlsFiles
from bonescint.serve.queue import StudyQueue, sync_tree
from bonescint.serve.sending import growing_wait_s

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.association import Association

    from bonescint.serve.receiving import Sender

log = logging.getLogger("bonescint.serve")

MOST_REFERENCES = 10_000
"""Objects that one request may name."""

_MOST_WAITING = 1000
_GIVEN_UP_AFTER_S = 7 * 24 * 3600.0
_LONGEST_WAIT_S = 600.0
_AFTER_ANSWER_S = 1.0
_ALL_COMMITTED, _SOME_FAILED = 1, 2
_NO_SUCH_OBJECT = 0x0112


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """A request that is on disk.

    Attributes:
        transaction: its UID.
        title: AE title of the sender.
        host: of the sender; empty if it cannot be called back.
        port: of the sender; 0 if it cannot be called back.
        references: SOP class and SOP Instance UIDs of the objects.
    """

    transaction: str
    title: str
    host: str
    port: int
    references: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, sender: Sender | None, title: str, content: Dataset) -> Self:
        """Read a request.

        Raises:
            ParameterError: it names no object, or too many.
        """
        references = tuple(
            (str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID))
            for one in content.ReferencedSOPSequence
        )
        if not 0 < len(references) <= MOST_REFERENCES:
            requirement = f"1 to {MOST_REFERENCES}"
            raise ParameterError("references", "CommitmentRequest", requirement, len(references))
        called_back = sender is not None and sender.port is not None
        return cls(
            transaction=str(content.TransactionUID),
            title=title,
            host=sender.host if sender and called_back else "",
            port=(sender.port or 0) if sender and called_back else 0,
            references=references,
        )

    def report(self, queue: StudyQueue) -> tuple[Dataset, int]:
        """What is said of the objects, and the kind of event that this is."""
        from pydicom import Dataset

        here: list[Dataset] = []
        missing: list[Dataset] = []
        for sop_class, instance in self.references:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
            if queue.holds(instance):
                here.append(item)
            else:
                item.FailureReason = _NO_SUCH_OBJECT
                missing.append(item)
        answer = Dataset()
        answer.TransactionUID = self.transaction
        if here:
            answer.ReferencedSOPSequence = here
        if missing:
            answer.FailedSOPSequence = missing
        return answer, _SOME_FAILED if missing else _ALL_COMMITTED


class Commitments:
    """Requests that wait for their reports, in a folder of the queue.

    Args:
        queue: the studies received so far; it says which objects are on disk.
        title: AE title of this device.
        tls: certificates with which senders are called back, or `None` for plain connections.
    """

    def __init__(self, queue: StudyQueue, *, title: str, tls: TlsFiles | None = None) -> None:
        self._queue = queue
        self._title = title
        self._tls = tls
        self._folder = queue.folder / "commitments"
        make_folder(self._folder, mode=0o700)
        self._here: dict[Path, Association] = {}
        self._tried: dict[Path, tuple[int, float]] = {}
        self._lock = threading.Lock()
        self.added = threading.Event()

    def take(self, sender: Sender | None, association: Association, content: Dataset) -> None:
        """Write a request to disk; its report follows.

        Raises:
            ParameterError: it names no object, or too many.
            OutputError: it cannot be written.
        """
        request = CommitmentRequest.of(sender, association.requestor.ae_title, content)
        if len(self._waiting()) >= _MOST_WAITING:
            raise BonescintError("Too many requests for storage commitment wait.")
        written = json.dumps(
            {**{name: getattr(request, name) for name in CommitmentRequest.__slots__}}
        )
        path = self._folder / f"{hashlib.sha256(written.encode()).hexdigest()[:16]}.json"
        with self._lock:  # a request is seen once it is known when its report is due
            write_whole(path, written, private=True)
            sync_tree(self._folder)
            self._here[path] = association
            # The report must not overtake the answer to this request.
            self._tried[path] = (0, time.monotonic() + _AFTER_ANSWER_S)
        self.added.set()

    def report_due(self) -> float:
        """Report what is due.

        Returns:
            Seconds until the next is due.
        """
        next_s = 60.0
        for path in self._waiting():
            tried, due_s = self._tried.get(path, (0, 0.0))
            left_s = due_s - time.monotonic()
            if left_s > 0:
                next_s = min(next_s, left_s)
                continue
            if self._reported(path):
                path.unlink(missing_ok=True)
                self._tried.pop(path, None)
                with self._lock:
                    self._here.pop(path, None)
            else:
                wait_s = growing_wait_s(tried + 1, longest_s=_LONGEST_WAIT_S)
                self._tried[path] = (tried + 1, time.monotonic() + wait_s)
                next_s = min(next_s, wait_s)
        return next_s

    def _waiting(self) -> list[Path]:
        with self._lock:
            return sorted(self._folder.glob("*.json"))

    def _reported(self, path: Path) -> bool:
        """Whether nothing more is to be done about a request."""
        try:
            content: dict[str, Any] = json_in(path.read_bytes())
            content["references"] = tuple((one, other) for one, other in content["references"])
            request = CommitmentRequest(**content)
            old = time.time() - path.stat().st_mtime > _GIVEN_UP_AFTER_S
        except (OSError, ValueError, TypeError, KeyError):
            return True
        with self._lock:
            association = self._here.get(path)
        try:
            if request.port:
                self._call_back(request)
            elif association is not None and association.is_established:
                _report(association, request, self._queue)
            else:
                log.warning("A report of storage commitment has nowhere to go")
                return True
        except (PeerError, RuntimeError, ValueError) as error:
            log.warning("A report of storage commitment did not arrive: %s", type(error).__name__)
            return old
        return True

    def _call_back(self, request: CommitmentRequest) -> None:
        from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
        from pynetdicom.presentation import build_context
        from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid = StorageCommitmentPushModel
        role.scu_role, role.scp_role = False, True
        peer = Peer(request.host, request.port, request.title)
        contexts = [build_context(StorageCommitmentPushModel)]
        with associated(
            peer, contexts, calling=self._title, tls=self._tls, roles=[role]
        ) as association:
            _report(association, request, self._queue)


def _report(association: Association, request: CommitmentRequest, queue: StudyQueue) -> None:
    """Send the report.

    Raises:
        PeerError: it was not accepted.
    """
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]
        StorageCommitmentPushModel,
        StorageCommitmentPushModelInstance,
    )

    answer, event = request.report(queue)
    status, _ = association.send_n_event_report(
        answer, event, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    if status.get("Status", -1) != 0x0000:
        raise PeerError("The report was not accepted.", again=True)
