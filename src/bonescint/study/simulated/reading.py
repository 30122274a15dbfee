"""Simulated readers read a study that is being served."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bonescint.study.errors import RefusedError
from bonescint.study.folder import StudyFolder, open_study
from bonescint.study.serving import running_study
from bonescint.study.simulated.behaviour import (
    CaseTruth,
    SimulatedReader,
    answer_of,
    truth_by_picture,
)
from bonescint.study.simulated.client import ReaderClient

PASSWORD = "a simulated reader's password"  # noqa: S105 - opens nothing but a simulated account
_MOST_AT_ONCE = 8


def read_study(
    client: ReaderClient,
    who: SimulatedReader,
    truths: Mapping[str, CaseTruth],
    *,
    seed: int = 1,
    most: int | None = None,
    told: Callable[[str, str], None] | None = None,
) -> int:
    """Read a signed-in reader's session to its end.

    Args:
        client: signed in.
        who: reads.
        truths: by the hash of the pixels.
        seed: of the answers.
        most: stop after so many answers.
        told: called with the key and the case of every answer that was acknowledged.

    Returns:
        How many answers were stored.
    """
    state = client.state()
    if state["phase"] == "environment":
        client.enter_environment("simulated reader")
        state = client.state()
    client.take_tab()
    stored = 0
    while state["phase"] == "reading" and (most is None or stored < most):
        receipt = _read_case(client, who, truths, state, seed)
        if told is not None:
            told(receipt["stored"], state["case"]["token"])
        state = receipt["state"]
        stored += 1
    if state["phase"] == "review":
        client.tell("/api/finish", {})
    return stored


def _read_case(
    client: ReaderClient,
    who: SimulatedReader,
    truths: Mapping[str, CaseTruth],
    state: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    entry = state["case"]
    token, stage = entry["token"], entry["stage"]
    image = hashlib.sha256(client.pixels(token)).hexdigest()
    logit = None
    if stage == "aided":
        output = client.ask(f"/api/model/{token}")
        logit = _logit(output["mbd_probability"]) - _logit(output["operating_point"])
    answer, seconds = answer_of(
        who, truths[image], image, entry["picture"], session=state["session"], seed=seed,
        model_logit=logit,
    )  # fmt: skip
    events = [client.event("shown", token, position=entry["position"], stage=stage)]
    if stage == "aided":
        events.append(client.event("map-shown", token, opacity=0.7))
    client.pass_time(0.4 * seconds)
    events.append(client.event("preset", token, preset="root"))
    for number, mark in enumerate(answer["marks"], start=1):
        events.append(client.event("mark-added", token, number=number, view=mark["view"]))
    client.pass_time(0.5 * seconds)
    events.append(client.event("decision", token, positive=answer["positive"]))
    client.pass_time(0.1 * seconds)
    events.append(client.event("submit", token, stage=stage))
    return client.submit(token, stage, answer, events)


def _logit(probability: float) -> float:
    inside = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(inside / (1 - inside))


def invitation_links(study: StudyFolder) -> dict[str, str]:
    """The links that were made last, by the reader's short name."""
    with study.invitations_file.open(newline="", encoding="utf-8") as stream:
        return {row["reader"]: row["link"] for row in csv.DictReader(stream)}


def read_all(
    folder: Path | str | StudyFolder,
    readers: Sequence[SimulatedReader],
    *,
    seed: int = 1,
    sessions: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Serve a study and let simulated readers read it over HTTP.

    Args:
        folder: of the study; the readers must have accounts in it.
        readers: who read.
        seed: of their answers.
        sessions: how many of the sessions to read, where the wash-out lets them.
        progress: called with the number of readers that are done and of all.

    Returns:
        How many answers were stored.
    """
    study = folder if isinstance(folder, StudyFolder) else open_study(folder)
    with study.open_store() as store:
        truths = truth_by_picture(study, store)
    links = invitation_links(study)
    stored = 0
    with running_study(study) as address, ThreadPoolExecutor(_MOST_AT_ONCE) as pool:

        def one(who: SimulatedReader) -> int:
            with ReaderClient(address) as client:
                _enter(client, who, links)
                return sum(read_study(client, who, truths, seed=seed) for _ in range(sessions))

        for done, count in enumerate(pool.map(one, readers), start=1):
            stored += count
            if progress is not None:
                progress(done, len(readers))
    return stored


def _enter(client: ReaderClient, who: SimulatedReader, links: Mapping[str, str]) -> None:
    try:
        client.accept_invitation(links[who.reader], PASSWORD)
    except RefusedError as error:
        if error.status != 410:
            raise
        client.sign_in(who.reader, PASSWORD)
