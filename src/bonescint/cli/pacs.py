"""`bonescint send`, `fetch` and `listen`: objects to and from a PACS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonescint.cli.console import NOTHING_DONE, SOME_FAILED, progress_shown, say, say_notice, show
from bonescint.cli.options import Port

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
Calling = Annotated[str, typer.Option(help="Calling AE title, that of bonescint.")]


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
        called: Called AE title, that of the PACS.
        tls: Call the PACS by TLS.
        stow: URL of a DICOMweb server, in place of PEER.
        retries: How many times it is tried again when nothing gets through, after growing waits.

    Examples:
      bonescint send results/dicom/ pacs.example.org:104 --called PACS
      bonescint send results/dicom/ --stow https://pacs.example.org/dicom-web/studies
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


def listen(
    *,
    answer_to: str = "",
    answer_stow: str = "",
    queue: Path = Path("bonescint-node"),
    title: str = "BONESCINT",
    host: str = "127.0.0.1",
    port: Port = 11112,
    allow: Annotated[list[str] | None, typer.Option()] = None,
    quiet_seconds: Annotated[float, typer.Option(min=0, max=86400)] = 30.0,
    max_queue: Annotated[int, typer.Option(min=1)] = 1000,
    keep_hours: Annotated[float, typer.Option(min=0)] = 24.0,
    model: Path | None = None,
    call_anyway: bool = False,
    workers: Annotated[int, typer.Option(min=1, max=64)] = 1,
    certificate: Certificate = None,
    key: Key = None,
    authority: Authority = None,
    answer_tls: bool = False,
    user: User = "",
    secret_file: SecretFile = None,
) -> None:
    r"""Receive studies by C-STORE, classify each, and send the answer to a PACS.

    A study is classified when nothing was added to it for a while. Its answer is a Secondary
    Capture and Structured Reports in new series of the same study, sent by C-STORE or over the web;
    if the PACS cannot be reached, it is sent later. Studies and answers wait in a folder on disk:
    if the process was killed, start the same command again. Research use only; not a medical
    device.

    It listens on this machine alone, unless --host is given together with --allow. The log names
    studies and objects by hashes.

    Needs the extra: pip install 'bonescint[pacs]'

    Args:
        answer_to: Where answers go by C-STORE, as TITLE@host:port.
        answer_stow: URL of a DICOMweb server to which answers go instead.
        queue: Folder of the studies; it holds patients' data and is readable only by its owner.
        title: AE title of this node.
        host: Address to listen on; 0.0.0.0 for all of this machine.
        allow: Who may send, as TITLE@host, or TITLE@host:port to be told of storage commitment;
            repeat it for each.
        quiet_seconds: Seconds without a new object after which a study is classified.
        max_queue: Studies that may wait; a further one is refused with status A700.
        keep_hours: Hours for which objects stay in the folder once their study has been answered.
        model: Model folder, or a name of `bonescint model list`; the shipped model if left out.
        call_anyway: Also call scans that are too unlike those that the model knows.
        workers: Worker processes that classify, each with a copy of the model.
        answer_tls: Send answers by TLS.

    Example:
      bonescint listen --port 11112 --title BONESCINT --answer-to PACS@pacs.example.org:104
    """
    from bonescint.serve.node import NodeSettings, running_node
    from bonescint.serve.peers import silence_libraries

    files = _tls_files(certificate, key, authority)
    settings = NodeSettings(
        queue=queue,
        title=title,
        host=host,
        port=port,
        allowed=tuple(allow or ()),
        tls=files if certificate else None,
        quiet_s=quiet_seconds,
        most_studies=max_queue,
        keep_s=3600.0 * keep_hours,
        model=model,
        call_anyway=call_anyway,
        workers=workers,
    )
    destination = _destination(
        answer_to,
        option="answer-to",
        called="",
        calling=title,
        tls=files,
        by_tls=answer_tls,
        called_by_tls=certificate is not None,
        stow=answer_stow,
        user=user,
        secret_file=secret_file,
    )
    silence_libraries()
    _log_to_stderr()
    with _ended_by_signal() as wait, running_node(settings, destination) as at:
        say_notice(f"{title} listens on {host}:{at} and answers to {destination}")
        wait()


def _log_to_stderr() -> None:
    """Write what the node says of itself, with the time."""
    import logging

    from bonescint.logs import Bounded

    logging.getLogger("bonescint.serve.refused").addFilter(Bounded())
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("bonescint.serve")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


@contextmanager
def _ended_by_signal() -> Iterator[Callable[[], None]]:
    """Give a function that returns on Ctrl-C or when the system asks the process to end."""
    import signal
    import time

    asked: list[int] = []

    def wait() -> None:
        # Any thread may get the signal, and this one would not wake from waiting for a lock.
        while not asked:
            time.sleep(0.2)

    before = {
        one: signal.signal(one, lambda number, _: asked.append(number))
        for one in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield wait
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


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
    option: str = "peer",
    called: str,
    calling: str,
    tls: TlsFiles | None,
    by_tls: bool,
    called_by_tls: bool = False,
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
        requirement = "given, or else the URL of a web server"
        raise ParameterError(option, "bonescint", requirement, peer and f"{peer} and {stow}")
    command, tls_option = ("send", "tls") if option == "peer" else ("listen", "answer-tls")
    if tls is not None and not (by_tls or called_by_tls or stow):
        raise ParameterError(tls_option, command, "given with certificates", by_tls)
    for login_option, given in (("user", user), ("secret-file", secret_file)):
        if given and not stow:
            requirement = "given with the URL of a web server only"
            raise ParameterError(login_option, command, requirement, str(given))
    if tls is not None:
        tls.for_client()  # what is wrong with the files is said now
    if stow:
        return WebServer(stow, login=Login.found(user=user, secret_file=secret_file), tls=tls)
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
