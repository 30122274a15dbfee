"""`bonescint send` and `fetch`: objects to and from a PACS."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonescint.cli.console import NOTHING_DONE, SOME_FAILED, progress_shown, say, show

if TYPE_CHECKING:
    from bonescint.serve.peers import Destination, TlsFiles

User = Annotated[
    str,
    typer.Option(
        help="Name for a login with a password, which is in BONESCINT_PASSWORD or --secret-file.",
        show_default="none",
    ),
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the token, or with the password of --user.",
        show_default="BONESCINT_TOKEN or BONESCINT_PASSWORD",
    ),
]
Authority = Annotated[
    Path | None,
    typer.Option(help="PEM file of the authority to trust.", show_default="those of the system"),
]
Certificate = Annotated[
    Path | None, typer.Option(help="PEM file of this device's own certificate for TLS.")
]
Key = Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")]
Calling = Annotated[str, typer.Option(help="AE title by which bonescint introduces itself.")]


def send(
    folder: Path,
    peer: Annotated[
        str, typer.Argument(help="host:port of the PACS.", metavar="[PEER]", show_default=False)
    ] = "",
    *,
    called: str = "ANY-SCP",
    calling: Calling = "BONESCINT",
    tls: bool = False,
    stow: str = "",
    user: User = "",
    secret_file: SecretFile = None,
    authority: Authority = None,
    certificate: Certificate = None,
    key: Key = None,
    retries: Annotated[int, typer.Option(min=0, max=1000)] = 5,
) -> int:
    """Send the DICOM objects of a folder to a PACS, by C-STORE or over the web (STOW-RS).

    Every DICOM object in FOLDER and below is sent as it is; other files are left out. A file in
    FOLDER lists what was accepted: if something fails, run the same command again, and what was
    accepted is not sent twice.

    Needs the extra: pip install 'bonescint[pacs]'

    Args:
        folder: Folder of DICOM objects, or one file.
        called: AE title of the PACS.
        tls: Call the PACS by TLS.
        stow: URL of a DICOMweb server, in place of PEER.
        retries: How many times it is tried again when nothing gets through, after growing waits.

    Examples:
      bonescint send results/ pacs.example.org:104 --called PACS
      bonescint send results/ --stow https://pacs.example.org/dicom-web/studies
    """
    from bonescint.serve.sending import send

    destination = _destination(
        peer,
        called=called,
        calling=calling,
        tls=_tls_files(certificate, key, authority),
        by_tls=tls,
        stow=stow,
        user=user,
        secret_file=secret_file,
    )
    with progress_shown() as shown:
        summary = send(folder, destination, retries=retries, progress=shown.part("Sending"))
    for error in summary.refused:
        say(f"Refused: {error}")
    if summary.failure:
        say(f"{summary.unsent} not sent: {summary.failure} Run the same command to resume.")
    before = f", {summary.accepted_before} before" if summary.accepted_before else ""
    show(f"{destination}: {summary.accepted} accepted{before}")
    if not summary.refused and not summary.unsent:
        return 0
    return SOME_FAILED if summary.accepted or summary.accepted_before else NOTHING_DONE


def fetch(
    url: Annotated[str, typer.Argument(help="Root of the DICOMweb server.", metavar="URL")],
    *,
    out: Path,
    modality: str = "NM",
    since: str = "",
    until: str = "",
    user: User = "",
    secret_file: SecretFile = None,
    authority: Authority = None,
    certificate: Certificate = None,
    key: Key = None,
) -> int:
    r"""Fetch studies from a DICOMweb server (QIDO-RS, WADO-RS).

    Files are named by hashes of their UIDs. What is in OUT already is not fetched again: run the
    same command to resume, or to fetch what is new. A token, or with --user a password, is read
    from the environment or from a file and never stands in a command.

    Needs the extra: pip install 'bonescint[pacs]'

    Args:
        out: Folder to write to.
        modality: Modality of the series to fetch.
        since: First date of studies, such as 2026-11-01.
        until: Last date of studies.

    Examples:
      BONESCINT_TOKEN=$(cat token) bonescint fetch https://pacs.example.org/dicom-web \
          --since 2026-11-01 --out inbox/
    """
    from bonescint.serve.dicomweb import Login, WebServer
    from bonescint.serve.fetching import fetch

    server = WebServer(
        url,
        login=Login.found(user=user, secret_file=secret_file),
        tls=_tls_files(certificate, key, authority),
    )
    with progress_shown() as shown:
        summary = fetch(
            server,
            out,
            modality=modality,
            since=_day("since", since),
            until=_day("until", until),
            progress=shown.part("Fetching series"),
        )
    for error in summary.failed:
        say(f"Failed: {error}")
    before = f", {summary.fetched_before} before" if summary.fetched_before else ""
    show(f"{out}: {summary.fetched} objects fetched{before}, of {summary.studies} studies")
    if not summary.failed:
        return 0
    return SOME_FAILED if summary.fetched or summary.fetched_before else NOTHING_DONE


def _tls_files(
    certificate: Path | None, key: Path | None, authority: Path | None
) -> TlsFiles | None:
    from bonescint.serve.peers import TlsFiles

    if certificate is None and key is None and authority is None:
        return None
    return TlsFiles(certificate=certificate, key=key, authority=authority)


def _destination(
    peer: str,
    *,
    called: str,
    calling: str,
    tls: TlsFiles | None,
    by_tls: bool,
    stow: str,
    user: str,
    secret_file: Path | None,
) -> Destination:
    """The PACS or the web server that the options name."""
    from bonescint.scan import ParameterError
    from bonescint.serve.associations import StoringPeer
    from bonescint.serve.dicomweb import Login, WebServer
    from bonescint.serve.peers import Peer, TlsFiles

    if bool(peer) is bool(stow):
        raise ParameterError("peer", "send", "given, or else --stow", peer and f"{peer} and {stow}")
    if stow:
        return WebServer(stow, login=Login.found(user=user, secret_file=secret_file), tls=tls)
    if tls is not None and not by_tls:
        raise ParameterError("tls", "send", "given with certificates", by_tls)
    return StoringPeer(
        Peer.of(peer, title=called), calling=calling, tls=(tls or TlsFiles()) if by_tls else None
    )


def _day(name: str, text: str) -> date | None:
    from bonescint.scan import ParameterError

    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ParameterError(name, "fetch", "a date such as 2026-11-01", text) from None
