"""Objects by C-STORE: associations that this device requests (pynetdicom)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any

from bonescint import extras
from bonescint.dicom.header import EXPLICIT_LITTLE, IMPLICIT_LITTLE, quiet
from bonescint.serve.peers import DicomObject, ObjectRefusedError, Peer, PeerError, TlsFiles

if TYPE_CHECKING:
    from pynetdicom.association import Association

MOST_CONTEXTS = 128
"""Presentation contexts of one association (PS3.8 9.3.2.2)."""

_CONNECT_S, _NEGOTIATE_S, _ANSWER_S, _IDLE_S = 15, 30, 120, 300
_SUCCESS_OR_WARNING = (0x0000, 0x0001, 0x0107, 0x0116)
# Refused: out of resources (A7xx); and 0213, resource limitation, of some devices.
_LATER = 0x0213
_MEANINGS = {
    0xA7: "out of resources",
    0xA9: "the data set does not match its SOP class",
    0xC0: "the device cannot understand it",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0117: "invalid object",
}


@dataclass(frozen=True, slots=True)
class StoringPeer:
    """A device that stores objects by C-STORE.

    Attributes:
        peer: its address.
        calling: the title by which this device introduces itself.
        tls: certificates, or `None` for a plain connection.
    """

    peer: Peer
    calling: str = "BONESCINT"
    tls: TlsFiles | None = None

    def __post_init__(self) -> None:
        Peer(self.peer.host, self.peer.port, self.calling)  # the title is checked

    def __str__(self) -> str:
        return str(self.peer)

    @contextmanager
    def connected(self, objects: Sequence[DicomObject]) -> Iterator[_StoreAssociation]:
        """Open an association in which these objects can be stored; it is released at the end.

        Raises:
            PeerError: the device cannot be reached, or rejects the association.
        """
        contexts = [
            context(sop_class, syntax)
            for sop_class, syntax in sorted(
                {(one.sop_class, one.transfer_syntax) for one in objects}
            )
        ]
        with associated(self.peer, contexts, calling=self.calling, tls=self.tls) as association:
            yield _StoreAssociation(association, str(self))


def context(sop_class: str, syntax: str) -> Any:
    """A presentation context; uncompressed little-endian objects may be sent in either VR form."""
    build = extras.load("pynetdicom.presentation", extra="pacs").build_context
    forms = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
    syntaxes = [syntax, *(form for form in forms if form != syntax)] if syntax in forms else syntax
    return build(sop_class, syntaxes)


@contextmanager
def associated(
    peer: Peer,
    contexts: Sequence[Any],
    *,
    calling: str,
    tls: TlsFiles | None = None,
    roles: Sequence[Any] = (),
) -> Iterator[Association]:
    """Open an association, which is released at the end, or aborted if the block fails.

    Args:
        peer: the device to call.
        contexts: presentation contexts to propose.
        calling: title of this device.
        tls: certificates, or `None` for a plain connection.
        roles: SCP/SCU role selection items.

    Raises:
        PeerError: the device cannot be reached, or rejects the association.
    """
    entity = extras.load("pynetdicom", extra="pacs").AE(ae_title=calling)
    close_failed_sockets()
    entity.connection_timeout, entity.acse_timeout = _CONNECT_S, _NEGOTIATE_S
    entity.dimse_timeout, entity.network_timeout = _ANSWER_S, _IDLE_S
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.title,
            ext_neg=list(roles),
            tls_args=(tls.for_client(), peer.host) if tls is not None else None,
        )
    except OSError:  # its name is unknown
        raise PeerError(f"{peer}: no such host. Check its name.", again=True) from None
    if not association.is_established:
        raise _why_not(peer, association)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    if association.is_established:
        association.release()


def close_failed_sockets() -> None:
    """Make pynetdicom close sockets that cannot be shut down, such as of connections that failed.

    Version 3.0.4 leaves them open, until the garbage collector finds them.
    """
    from pynetdicom.transport import AssociationSocket

    def shut_down(self: AssociationSocket) -> None:
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(SHUT_RDWR)
            with suppress(OSError):
                self.socket.close()

    AssociationSocket._shutdown_socket = shut_down  # type: ignore[method-assign]


def _why_not(peer: Peer, association: Association) -> PeerError:
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = getattr(answer, "reason_str", "no reason given").lower()
        permanent = getattr(answer, "result", None) == 1
        return PeerError(
            f"{peer}: rejected the association ({reason}). Check both AE titles, and whether "
            f"{association.requestor.ae_title} may send there.",
            again=not permanent,
        )
    if association.is_aborted and association.acceptor.primitive is not None:
        return PeerError(f"{peer}: ended the association before it began.", again=True)
    return PeerError(
        f"{peer}: cannot be reached. Check address, port and, if it expects TLS, the certificates.",
        again=True,
    )


class _StoreAssociation:
    """An association in which objects are stored, one after another."""

    def __init__(self, association: Association, name: str) -> None:
        self._association = association
        self._name = name
        self._message = 0

    def store(self, one: DicomObject) -> None:
        """Send one C-STORE request and wait for the answer.

        Raises:
            ObjectRefusedError: the device does not take this object.
            PeerError: the association has ended.
        """
        from pydicom import dcmread

        if not self._association.is_established:
            raise PeerError(f"{self._name}: ended the association.", again=True)
        self._message = self._message % 65535 + 1
        try:
            with quiet():
                dataset = dcmread(one.path)
                status = self._association.send_c_store(dataset, msg_id=self._message)
        except ValueError:
            syntax = _name_of(one.transfer_syntax)
            reason = f"the device does not accept this kind of object in {syntax}"
            raise ObjectRefusedError(reason, again=False) from None
        except RuntimeError:
            raise PeerError(f"{self._name}: ended the association.", again=True) from None
        except Exception:  # noqa: BLE001 - a damaged value may raise anything in pydicom
            raise ObjectRefusedError("the file is damaged", again=False) from None
        if "Status" not in status:
            raise PeerError(f"{self._name}: ended the association, or did not answer.", again=True)
        code = int(status.Status)
        if code not in _SUCCESS_OR_WARNING and code >> 12 != 0xB:
            raise ObjectRefusedError(in_words(code), again=code >> 8 == 0xA7 or code == _LATER)


def _name_of(uid: str) -> str:
    from pydicom.uid import UID

    return UID(uid).name


def in_words(code: int) -> str:
    """A status of C-STORE in words (PS3.4 B.2.3, PS3.7 C).

    Examples:
        >>> in_words(0xA700), in_words(0xC123), in_words(0x9999)
        ('status A700: out of resources', 'status C123: the device cannot understand it', \
'status 9999')
    """
    group = 0xC0 if code >> 12 == 0xC else code >> 8
    meaning = _MEANINGS.get(code) or _MEANINGS.get(group)
    return f"status {code:04X}" + (f": {meaning}" if meaning else "")
