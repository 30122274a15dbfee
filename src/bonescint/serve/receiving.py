"""What a node answers to other devices: C-ECHO, C-STORE, storage commitment (pynetdicom).

An object is on disk before its sender gets an answer. What a hostile or broken peer may do is
bounded: how long a message part may take and how long it may be, how much all associations may
hold in memory, how many of them there are, and who may have one at all.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from bonescint.dicom.decoding import CODECS
from bonescint.dicom.header import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    parse,
)
from bonescint.scan import BonescintError, InputError, OutputError, ParameterError
from bonescint.serve.associations import close_failed_sockets
from bonescint.serve.peers import DicomObject, Peer, TlsFiles, hashed_uid
from bonescint.serve.queue import OtherContentError, QueueFullError, StudyQueue

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.association import Association
    from pynetdicom.events import Event

log = logging.getLogger("bonescint.serve")
refused = logging.getLogger("bonescint.serve.refused")
"""What anybody can cause, so that its messages are to be bounded."""

SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, *CODECS, EXPLICIT_BIG, DEFLATED)
"""Transfer syntaxes that the reader knows."""

STORED_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.20",
    "1.2.840.10008.5.1.4.1.1.5",
    *(f"1.2.840.10008.5.1.4.1.1.7{kind}" for kind in ("", ".1", ".2", ".3", ".4")),
)
"""SOP classes that may hold a bone scan: Nuclear Medicine, and Secondary Capture of all kinds."""

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
NOT_OF_ITS_CLASS, NOT_UNDERSTOOD, OTHER_CONTENT, FAILED = 0xA900, 0xC000, 0xC001, 0xC002

_INFLATING = threading.Lock()  # one at a time: a bomb becomes as large as an object may be
_TITLE_UNKNOWN = (0x01, 0x01, 0x03)  # rejected permanently: calling AE title not recognised


@dataclass(frozen=True, slots=True)
class Sender:
    """A device that may send: its title, its host, and for storage commitment its port.

    Attributes:
        title: its AE title.
        host: its name or address.
        port: where it is called back; `None` if nowhere.

    Examples:
        >>> Sender.of("CAMERA@192.0.2.7"), Sender.of("CAMERA@192.0.2.7:104").port
        (Sender(title='CAMERA', host='192.0.2.7', port=None), 104)
    """

    title: str
    host: str
    port: int | None = None

    @classmethod
    def of(cls, text: str) -> Sender:
        """A device as users write it: `TITLE@host` or `TITLE@host:port`.

        Raises:
            ParameterError: it is written in another way.
        """
        title, _, address = text.rpartition("@")
        bare_ipv6 = address.count(":") > 1 and not address.startswith("[")
        if bare_ipv6:
            address = f"[{address}]"
        has_port = not bare_ipv6 and ":" in address.rpartition("]")[2]
        if not title or not address:
            raise ParameterError("allow", "listen", "TITLE@host or TITLE@host:port", text)
        peer = Peer.of(f"{title}@{address}" + ("" if has_port else ":104"))
        return cls(title=peer.title, host=peer.host, port=peer.port if has_port else None)

    def addresses(self) -> frozenset[str]:
        """The addresses of its host.

        Raises:
            ParameterError: no host has this name.
        """
        try:
            found = socket.getaddrinfo(self.host, None)
        except OSError:
            raise ParameterError("allow", "listen", "a known host", self.host) from None
        return frozenset(str(one[4][0]) for one in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverLimits:
    """What a peer may do.

    Attributes:
        associations: how many there may be at once; a further one is rejected for now.
        connections: how many there may be at once, with and without an association.
        object_bytes: largest object.
        bytes_in_memory: of all objects that are being received at once.
        part_bytes: largest part of a message (PDU).
        part_s: seconds that a part may take.
        idle_s: seconds after which a silent association is ended.
        request_s: seconds that a connection may wait before it asks for an association.
    """

    associations: int = 32
    connections: int = 64
    object_bytes: int = 192 << 20
    bytes_in_memory: int = 768 << 20
    part_bytes: int = 1 << 20
    part_s: float = 60.0
    idle_s: float = 120.0
    request_s: float = 10.0


@dataclass(slots=True)
class _InMemory:
    """Bytes of messages that are on their way, of all associations together."""

    limits: ReceiverLimits
    total: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        """Count bytes that came, or, negative, that are no longer held.

        Raises:
            OSError: too many.
        """
        with self.lock:
            self.total += count
            if count > 0 and self.total > self.limits.bytes_in_memory:
                self.total -= count
                raise OSError("too much is on its way")


class _BoundedSocket(AssociationSocket):
    """A connection whose parts of messages must come in time and not be too long."""

    def __init__(self, association: Association, connection: socket.socket, memory: _InMemory):
        self.in_memory = memory
        self._held = 0
        super().__init__(association, client_socket=connection)

    def recv(self, nr_bytes: int) -> bytearray:
        """Receive a part of a message, or end the connection."""
        connection = self.socket
        limits = self.in_memory.limits
        received = bytearray()
        try:
            if nr_bytes > limits.part_bytes or self._held + nr_bytes > limits.object_bytes:
                raise OSError("too long")  # noqa: TRY301 - ended as below
            self.in_memory.add(nr_bytes)
            self._held += nr_bytes
            part_s = limits.part_s if self.assoc.is_established else limits.request_s
            until = time.monotonic() + part_s
            while len(received) < nr_bytes and connection is not None:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError("too slow")
                connection.settimeout(left_s)
                piece = connection.recv(min(1 << 16, nr_bytes - len(received)))
                if not piece:
                    break
                received.extend(piece)
            if connection is not None:
                connection.settimeout(limits.part_s)  # of what is sent
        except (OSError, ValueError) as error:
            self._shutdown_socket()
            raise OSError(str(error)) from None
        return received

    def send(self, bytestream: bytes) -> None:
        """Send a part of a message, which ends what was received before."""
        self.let_go()
        super().send(bytestream)

    def close(self) -> None:
        """Close the connection."""
        self.let_go()
        super().close()

    def _shutdown_socket(self) -> None:
        self.let_go()
        super()._shutdown_socket()
        if self.assoc.requestor.primitive is None:
            # Else the association would wait for a request until its time is over.
            self.assoc.dul.to_user_queue.put(None)

    def let_go(self) -> None:
        """Count what was received as no longer held."""
        self.in_memory.add(-self._held)
        self._held = 0


class _BoundedRequest(RequestHandler):
    """Makes associations whose connections are bounded."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        server: Any = self.server
        association.dul.event_queue = Queue()  # the library's own socket has announced itself
        association.dul.socket = _BoundedSocket(association, self.request, server.memory)
        # The library checks its loops a thousand times a second, which idle associations pay for.
        association.dul._run_loop_delay = 0.002
        return association


class _BoundedServer(ThreadedAssociationServer):
    """Accepts connections; a TLS handshake happens later, in a connection's own thread."""

    daemon_threads = True
    request_queue_size = 64
    memory: _InMemory
    known: frozenset[str] = frozenset()
    _shaking_hands = 0

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        connection, address = self.socket.accept()  # type: ignore[union-attr]
        connection.settimeout(self.memory.limits.request_s)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there may be one more connection; unknown addresses get a quarter at most."""
        del request
        most = self.memory.limits.connections
        held = self.active_associations
        if len(held) + self._shaking_hands >= most:
            return False
        if not self.known or client_address[0] in self.known:
            return True
        return sum(_address_of(one) not in self.known for one in held) < most // 4

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, after the TLS handshake."""
        if self.ssl_context is not None:
            self._shaking_hands += 1
            try:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError, ValueError):
                refused.warning(
                    "A connection from %s failed in the TLS handshake", client_address[0]
                )
                self.shutdown_request(request)
                return
            finally:
                self._shaking_hands -= 1
        super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that a connection failed, without what was in it."""
        del request
        refused.warning("A connection from %s failed", client_address[0])


class Receiver:
    """Takes objects into a queue.

    Args:
        queue: where objects are written.
        title: AE title of this device, by which it must be called.
        allowed: who may send; everybody if empty.
        tls: certificates, or `None` for plain connections.
        limits: what a peer may do.
        commit: called with a sender, or `None`, and the request for storage commitment.
    """

    def __init__(
        self,
        queue: StudyQueue,
        *,
        title: str,
        allowed: Sequence[Sender] = (),
        tls: TlsFiles | None = None,
        limits: ReceiverLimits | None = None,
        commit: Any = None,
    ) -> None:
        self._queue = queue
        self._allowed = [(one, one.addresses()) for one in allowed]
        self._limits = limits or ReceiverLimits()
        self._tls = tls.for_server() if tls else None
        self._commit = commit
        close_failed_sockets()
        entity = AE(ae_title=title)
        entity.require_called_aet = True
        entity.maximum_associations = self._limits.associations
        entity.maximum_pdu_size = 128 << 10
        entity.acse_timeout = self._limits.request_s
        entity.dimse_timeout = entity.network_timeout = self._limits.idle_s
        entity.add_supported_context(Verification)
        for sop_class in STORED_CLASSES:
            entity.add_supported_context(sop_class, list(SYNTAXES))
        if commit is not None:
            entity.add_supported_context(StorageCommitmentPushModel)
        self._entity = entity

    @contextmanager
    def listening(self, host: str, port: int) -> Iterator[int]:
        """Listen while the block runs; gives the port.

        Raises:
            OutputError: the port is taken.
        """
        handlers = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_ECHO, lambda _: SUCCESS),
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_N_ACTION, self._commitment),
        ]
        try:
            server: Any = self._entity.make_server(
                (host, port),
                ssl_context=self._tls,
                evt_handlers=handlers,  # type: ignore[arg-type]
                server_class=_BoundedServer,
                request_handler=_BoundedRequest,
            )
        except OSError as error:
            raise OutputError(
                f"{host}:{port}: cannot listen there ({error.strerror or error}). Choose another "
                "--port."
            ) from error
        server.memory = _InMemory(self._limits)
        server.known = frozenset().union(*(addresses for _, addresses in self._allowed))
        self._entity._servers.append(server)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
            for association in server.active_associations:
                association.dul.socket._shutdown_socket()  # which ends its threads

    def sender_of(self, association: Association) -> Sender | None:
        """Which of the allowed devices an association is with."""
        title, address = association.requestor.ae_title, _address_of(association)
        for one, addresses in self._allowed:
            if one.title == title and address in addresses:
                return one
        return None

    def _requested(self, event: Event) -> None:
        """Reject who may not send."""
        association = event.assoc
        request = association.requestor.primitive
        association.requestor.ae_title = getattr(request, "calling_ae_title", "")
        if self._allowed and self.sender_of(association) is None:
            refused.warning("An association from %s was rejected", _address_of(association))
            association.acse.send_reject(*_TITLE_UNKNOWN)
            association.kill()

    def _stored(self, event: Event) -> int | Dataset:
        """Take an object: on disk, or refused with a status that says why."""
        try:
            one, content = _object_of(event)
            new = self._queue.add(one.study, one.instance, content)
        except InputError:
            return self._refuse(event, NOT_UNDERSTOOD, "its header cannot be understood")
        except _WrongClassError:
            return self._refuse(event, NOT_OF_ITS_CLASS, "UIDs of request and object differ")
        except OtherContentError:
            return self._refuse(event, OTHER_CONTENT, "another object of this UID is here")
        except QueueFullError as error:
            return self._refuse(event, OUT_OF_RESOURCES, str(error))
        except BonescintError as error:
            log.warning("An object cannot be written: %s", error)
            return self._refuse(event, OUT_OF_RESOURCES, "it cannot be written")
        except Exception as error:  # noqa: BLE001 - a damaged value may raise anything in pydicom
            return self._refuse(event, FAILED, f"unexpected {type(error).__name__}")
        said = "received" if new else "received again"
        log.info("Object %s of study %s: %s", *map(hashed_uid, (one.instance, one.study)), said)
        return SUCCESS

    def _refuse(self, event: Event, status: int, why: str) -> Dataset:
        from pydicom import Dataset

        refused.warning("An object from %s was refused: %s", _address_of(event.assoc), why)
        answer = Dataset()
        answer.Status, answer.ErrorComment = status, why[:64]
        return answer

    def _commitment(self, event: Event) -> tuple[int, None]:
        """Take a request for storage commitment."""
        if self._commit is None or event.action_type != 1:
            return 0x0123, None  # no such action
        try:
            self._commit(self.sender_of(event.assoc), event.assoc, event.action_information)
        except BonescintError:
            return 0x0213, None  # resource limitation
        except Exception:  # noqa: BLE001 - a damaged value may raise anything in pydicom
            return 0x0115, None  # invalid argument
        return SUCCESS, None


class _WrongClassError(BonescintError):
    """The request names another object than the data set is."""


def _address_of(association: Association) -> str:
    address = association.requestor.address_info
    return address.address if address is not None else ""


def _object_of(event: Event) -> tuple[DicomObject, bytes]:
    """The object of a C-STORE request, and its bytes as a DICOM file.

    Raises:
        InputError: its header cannot be understood.
        _WrongClassError: the request names another object.
    """
    content = event.encoded_dataset()
    request: Any = event.request
    request.DataSet = BytesIO()  # the library would hold it until the next request
    path = Path("object")
    with _INFLATING if event.context.transfer_syntax == DEFLATED else nullcontext():
        one = DicomObject.of(path, parse(content, path, pixels=False))
    if not one.study:
        raise InputError(path, "no Study Instance UID", "Correct it")
    if (one.sop_class, one.instance) != (
        str(request.AffectedSOPClassUID),
        str(request.AffectedSOPInstanceUID),
    ):
        raise _WrongClassError("The request names another object.")
    return one, content
