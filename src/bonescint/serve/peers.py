"""Other DICOM devices: their addresses, TLS, and the ways in which they fail."""

from __future__ import annotations

import logging
import re
import ssl
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from bonescint.dicom.files import opened
from bonescint.dicom.header import Header, parse
from bonescint.dicom.identity import PUBLIC_SCAN_KEY, keyed_hash
from bonescint.scan import BonescintError, InputError, ParameterError, os_reason

_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:@\s\[\]]+):(?P<port>\d{1,5})")
_MAGIC_BYTES = 132


class PeerError(BonescintError):
    """A device that cannot be reached, or that wants no association.

    Attributes:
        again: whether it is worth trying again later.
    """

    def __init__(self, problem: str, *, again: bool) -> None:
        self.again = again
        super().__init__(problem)


class ObjectRefusedError(BonescintError):
    """An object that a device did not take.

    Attributes:
        again: whether it is worth trying again later.
    """

    def __init__(self, reason: str, *, again: bool) -> None:
        self.again = again
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Peer:
    """A DICOM device on the network.

    Attributes:
        host: its name or address.
        port: its port.
        title: its application entity title, 1 to 16 characters.

    Raises:
        ParameterError: a title or a port that DICOM does not allow.

    Examples:
        >>> Peer.of("PACS@pacs.example.org:104")
        Peer(host='pacs.example.org', port=104, title='PACS')
        >>> Peer.of("[::1]:11112", title="NODE").host
        '::1'
    """

    host: str
    port: int
    title: str

    def __post_init__(self) -> None:
        if not _TITLE.fullmatch(self.title):
            requirement = "an AE title of 1 to 16 ASCII characters, without a backslash"
            raise ParameterError("title", "Peer", requirement, self.title)
        if not 0 < self.port < 65536:
            raise ParameterError("port", "Peer", "from 1 to 65535", self.port)

    @classmethod
    def of(cls, text: str, *, title: str = "") -> Self:
        """A device as users write it: `TITLE@host:port`, or `host:port` where a title is given.

        Raises:
            ParameterError: it is written in another way.
        """
        named, _, address = text.rpartition("@")
        found = _ADDRESS.fullmatch(address)
        if found is None or not (named or title):
            wanted = "host:port" if title else "TITLE@host:port"
            raise ParameterError("peer", "bonescint", wanted, text)
        return cls(host=found["host"].strip("[]"), port=int(found["port"]), title=named or title)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.title}@{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificates for TLS, all PEM files.

    Attributes:
        certificate: of this device, with the chain that leads to its authority.
        key: of the certificate, without a passphrase.
        authority: whose certificates are trusted; those of the system if `None`.
    """

    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            raise ParameterError("key", "TlsFiles", "given together with a certificate", self.key)

    def for_client(self) -> ssl.SSLContext:
        """The settings with which this device calls another, whose certificate is checked.

        Raises:
            InputError: a file cannot be used.
        """
        context = self._with_authority(ssl.create_default_context(ssl.Purpose.SERVER_AUTH))
        return self._with_certificate(context)

    def for_server(self) -> ssl.SSLContext:
        """The settings with which this device is called.

        With an authority, a caller must show a certificate of it.

        Raises:
            InputError: a file cannot be used.
            ParameterError: there is no certificate.
        """
        if self.certificate is None:
            raise ParameterError("certificate", "TlsFiles", "given to be called by TLS", None)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.authority is not None:
            context = self._with_authority(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return self._with_certificate(context)

    def _with_authority(self, context: ssl.SSLContext) -> ssl.SSLContext:
        if self.authority is not None:
            try:
                context.load_verify_locations(self.authority)
            except (OSError, ssl.SSLError) as error:
                raise _unusable(self.authority, error) from None
        return context

    def _with_certificate(self, context: ssl.SSLContext) -> ssl.SSLContext:
        if self.certificate is not None and self.key is not None:
            try:
                # Without this, OpenSSL would ask for a passphrase on the terminal.
                context.load_cert_chain(self.certificate, self.key, password=lambda: "")
            except (OSError, ssl.SSLError, ValueError) as error:
                raise _unusable(self.certificate, error) from None
        return context


def _unusable(path: Path, error: Exception) -> InputError:
    reason = os_reason(error) if isinstance(error, OSError) else "bad passphrase or content"
    return InputError(
        path, f"cannot be used for TLS ({reason})", "Give PEM files, the key without a passphrase"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomObject:
    """A DICOM file, by what is needed to hand it on.

    Attributes:
        path: the file.
        sop_class: UID of its SOP class.
        instance: its SOP Instance UID.
        study: its Study Instance UID, empty if it has none.
        transfer_syntax: UID of its transfer syntax.
    """

    path: Path
    sop_class: str
    instance: str
    study: str
    transfer_syntax: str

    @classmethod
    def of(cls, path: Path, header: Header | None = None) -> Self:
        """Read the header of a DICOM file.

        Raises:
            InputError: it cannot be read, or lacks what identifies an object.
        """
        if header is None:
            with opened(path) as stream:
                header = parse(stream, path, pixels=False)
        found = cls(
            path=path,
            sop_class=header.text("SOPClassUID"),
            instance=header.text("SOPInstanceUID"),
            study=header.text("StudyInstanceUID"),
            transfer_syntax=header.transfer_syntax,
        )
        if not (found.sop_class and found.instance and found.transfer_syntax):
            raise InputError(path, "its header does not identify it", "Export the file again")
        return found


def is_dicom_file(path: Path) -> bool:
    """Whether a file has the prefix of the DICOM file format; False if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(_MAGIC_BYTES)[128:] == b"DICM"
    except OSError:
        return False


class StoringConnection(Protocol):
    """An open connection to a device that stores objects."""

    def store(self, one: DicomObject) -> None:
        """Hand over one object; when this returns, the device has accepted it.

        Raises:
            ObjectRefusedError: the device does not take this one.
            PeerError: the connection has ended.
        """
        ...


class Destination(Protocol):
    """A device that stores objects."""

    def connected(
        self, objects: Sequence[DicomObject]
    ) -> AbstractContextManager[StoringConnection]:
        """Connect, in order to store these objects.

        Raises:
            PeerError: the device cannot be reached, or rejects the association.
        """
        ...

    def __str__(self) -> str: ...


def hashed_uid(uid: str) -> str:
    """A name for an object or a study that does not reveal its UID: 16 hexadecimal digits.

    Examples:
        >>> len(hashed_uid("1.2.826.0.1.3680043.8.498.1"))
        16
    """
    return keyed_hash([uid.encode()], key=PUBLIC_SCAN_KEY, purpose="transport uid")


def silence_libraries() -> None:
    """Keep what DICOM libraries say of objects, which quotes headers, out of logs and warnings.

    For a process of its own: a node handles objects in many threads, and silencing for a while in
    one of them would not hold in another.
    """
    warnings.simplefilter("ignore")
    for name in ("pydicom", "pynetdicom", "dicomweb_client", "urllib3"):
        logging.getLogger(name).disabled = True
        logging.getLogger(name).propagate = False
