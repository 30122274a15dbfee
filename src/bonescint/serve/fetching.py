"""Fetch studies from a DICOMweb server: QIDO-RS finds them, WADO-RS retrieves them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.dicom.header import quiet
from bonescint.files import make_folder, one_writer, written_beside
from bonescint.scan import BonescintError, InputError, ParameterError
from bonescint.serve.dicomweb import WebServer
from bonescint.serve.peers import PeerError, hashed_uid

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient

PAGE = 200
"""Results that one query asks for."""

_UID = re.compile(r"[0-9.]{1,64}")
_MODALITY = re.compile(r"[A-Z0-9_ ]{1,16}")
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_MOST_FAILURES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSummary:
    """What was fetched.

    Attributes:
        studies: how many the server has that fit.
        fetched: objects that were fetched now.
        fetched_before: objects that an earlier run had fetched.
        failed: objects that could not be fetched, by the names that they would have, with reasons.
    """

    studies: int
    fetched: int
    fetched_before: int
    failed: tuple[InputError, ...]


def fetch(
    server: WebServer,
    out: Path,
    *,
    modality: str = "NM",
    since: date | None = None,
    until: date | None = None,
    page: int = PAGE,
    tries: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> FetchSummary:
    """Fetch the objects of one modality from a DICOMweb server.

    Each object becomes `<study>/<object>.dcm` under `out`, named by hashes of their UIDs, in the
    transfer syntax in which the server keeps it. What is there already is not fetched again, so
    that the same call resumes, or fetches what is new.

    Args:
        server: the server.
        out: a folder; made if it is not there.
        modality: of the series, such as `NM`.
        since: first date of studies.
        until: last date of studies.
        page: number of results asked for at once; the server may give fewer.
        tries: how many times a request that fails is tried, after waits that grow.
        progress: called with the number of series done and of all.

    Returns:
        How much was fetched, and what failed.

    Raises:
        ParameterError: no such modality, or dates in the wrong order.
        PeerError: the server cannot be reached, or refuses the login.
        OutputError: `out` cannot be written to.
    """
    if not _MODALITY.fullmatch(modality):
        raise ParameterError("modality", "fetch", "a DICOM modality such as NM", modality)
    if since and until and since > until:
        raise ParameterError("until", "fetch", f"not before {since}", str(until))
    # Of series, not of studies: ModalitiesInStudy is computed, and servers that filter by it page
    # wrongly (Orthanc 1.10 leaves results out).
    filters = {"Modality": modality}
    if since or until:
        filters["StudyDate"] = "-".join(f"{day:%Y%m%d}" if day else "" for day in (since, until))
    with one_writer(out), server.opened(tries=tries) as client:
        inbox = _Inbox(client, server, out)
        query = partial(_all_pages, server=server, page=page)
        search = partial(client.search_for_series, search_filters=filters)
        found = list(query(search, (_STUDY, _SERIES)))
        for number, (study, series) in enumerate(found):
            of_series = partial(client.search_for_instances, study, series)
            for (instance,) in query(of_series, (_INSTANCE,)):
                inbox.take(study, series, instance)
            if progress:
                progress(number + 1, len(found))
    return FetchSummary(
        studies=len({study for study, _ in found}),
        fetched=inbox.fetched,
        fetched_before=inbox.before,
        failed=tuple(inbox.failed),
    )


class _Inbox:
    """The folder in which objects are collected, and what has come and has failed."""

    def __init__(self, client: DICOMwebClient, server: WebServer, folder: Path) -> None:
        self.fetched = self.before = 0
        self.failed: list[InputError] = []
        self._client = client
        self._server = server
        self._folder = folder

    def take(self, study: str, series: str, instance: str) -> None:
        """Retrieve one object, unless it is there; a failure is noted.

        Raises:
            PeerError: the server gives no object at all.
            OutputError: the object cannot be written.
        """
        path = self._folder / hashed_uid(study) / f"{hashed_uid(instance)}.dcm"
        if path.exists():
            self.before += 1
            return
        try:
            _retrieve(self._client, self._server, (study, series, instance), path)
            self.fetched += 1
        except (InputError, PeerError) as error:
            self.failed.append(_failed(path, error))
            if len(self.failed) >= _MOST_FAILURES and not self.fetched:
                problem = f"{self._server}: no object can be retrieved."
                raise PeerError(problem, again=True) from error


def _failed(path: Path, error: BonescintError) -> InputError:
    if isinstance(error, InputError):
        return error
    return InputError(path, f"not fetched: {str(error).rstrip('.')}", "Run the command again")


def _all_pages(
    search: Callable[..., list[dict[str, Any]]],
    tags: tuple[str, ...],
    *,
    server: WebServer,
    page: int,
) -> Iterator[tuple[str, ...]]:
    """The UIDs in what a search finds, each combination once, page after page.

    A page may be shorter than was asked for; a server that ignores `offset` ends the search.
    """
    seen: set[tuple[str, ...]] = set()
    offset = 0
    while True:
        try:
            found = search(limit=page, offset=offset)
        except Exception as error:  # noqa: BLE001 - of requests, retrying or a JSON parser
            raise server.failure(error) from None
        uids = (tuple(_uid_in(one, tag) for tag in tags) for one in found)
        new = [one for one in dict.fromkeys(uids) if all(one) and one not in seen]
        if not new:
            return
        seen.update(new)
        offset += len(found)
        yield from new


def _uid_in(result: Mapping[str, Any], tag: str) -> str:
    """A UID of a query's result; empty if there is none that could be one."""
    try:
        (value,) = result[tag]["Value"]
    except (KeyError, TypeError, ValueError):
        return ""
    return value if isinstance(value, str) and _UID.fullmatch(value) else ""


def _retrieve(
    client: DICOMwebClient, server: WebServer, uids: tuple[str, str, str], path: Path
) -> None:
    """Retrieve one object and write it.

    Raises:
        InputError: the server gave something else.
        PeerError: the server failed.
        OutputError: it cannot be written.
    """
    try:
        with quiet():
            dataset = client.retrieve_instance(*uids, media_types=(("application/dicom", "*"),))
    except Exception as error:  # noqa: BLE001 - of requests, retrying or pydicom
        raise server.failure(error) from None
    if str(dataset.get("SOPInstanceUID")) != uids[2]:
        raise InputError(path, "the server gave another object", "Report it to who runs the server")
    make_folder(path.parent)
    with written_beside(path) as beside:
        try:
            with quiet():
                dataset.save_as(beside, enforce_file_format=True)
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - a damaged value may raise anything in pydicom
            problem = "the object is damaged, or came in part only"
            raise InputError(path, problem, "Run the command again") from None
