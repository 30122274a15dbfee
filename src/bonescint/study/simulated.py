"""Simulated readers: programs that read through the same HTTP interface as the pages.

They test the server, the load and the statistics, and fill the demonstration. Everything based
on their answers says so in its title.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from bonescint.files import one_writer, require_free
from bonescint.scan.checked import check_number
from bonescint.study.creating import StudyOptions, create_study
from bonescint.study.errors import RefusedError
from bonescint.study.folder import StudyFolder, open_study
from bonescint.study.reader_client import ReaderClient
from bonescint.study.readers import add_readers
from bonescint.study.serving import running_study
from bonescint.study.store.accounts import Reader
from bonescint.study.store.database import Store
from bonescint.study.store.tables import StudyCase

_SHARED = 0.35
_SECOND_LOOK = 1.6


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedReader:
    """A simulated reader.

    The binormal model: a case is perceived as `skill` times its truth plus noise of variance
    1, part of which is shared by all readers (some cases are difficult for everybody). The area
    under the ROC curve is then Phi(skill / sqrt 2) (Green and Swets 1966).

    Attributes:
        reader: short name of the account.
        skill: distance between the means of cases with and without disease, in standard
            deviations of the noise.
        threshold: lowest confidence, 0 to 100, at which the reader answers yes.
        seconds: median time per case; times are lognormal.
        trust: how strongly the model's output influences the reader in an aided session, 0 to 1.
    """

    reader: str
    skill: float = 1.8
    threshold: float = 50.0
    seconds: float = 14.0
    trust: float = 0.5

    def __post_init__(self) -> None:
        check_number(self, "skill", 0, 10)
        check_number(self, "threshold", 0, 100)
        check_number(self, "seconds", 0.01, 3600)
        check_number(self, "trust", 0, 1)

    @property
    def area(self) -> float:
        """The reader's expected area under the ROC curve.

        Examples:
            >>> round(SimulatedReader(reader="r1", skill=1.8).area, 3)
            0.898
        """
        return float(ndtr(self.skill / math.sqrt(2)))

    def text(self) -> str:
        """Skill, threshold and speed, for people."""
        return (
            f"{self.reader}: AUC {self.area:.3f} (skill {self.skill:.2f}), yes from "
            f"{self.threshold:.0f}, median {self.seconds:.0f} s per case"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTruth:
    """The truth of a case, which a simulated reader perceives with noise.

    Attributes:
        positive: whether there is metastatic bone disease.
        foci: view, row and column of each metastasis.
    """

    positive: bool
    foci: tuple[tuple[str, float, float], ...] = ()


def truth_by_picture(study: StudyFolder, store: Store) -> dict[str, CaseTruth]:
    """The truth of each picture, by the hash of its pixels.

    Simulated readers get no more from the server than people do: they recognise a case by the
    pixels that they are shown.
    """
    truths = study.truth()
    with store.reading() as db:
        hashes = {case.image_sha256: case.token for case in db.query(StudyCase)}
    return {image: case_truth(truths[token]) for image, token in hashes.items()}


def case_truth(entry: Mapping[str, Any]) -> CaseTruth:
    """The truth of a case, from an entry of the study's file of truths."""
    foci = tuple((f["view"], float(f["row"]), float(f["column"])) for f in entry["foci"])
    return CaseTruth(positive=bool(entry["positive"]), foci=foci)


def reader_panel(count: int, *, seed: int = 1) -> tuple[SimulatedReader, ...]:
    """A panel of readers who differ in skill, threshold and speed.

    Args:
        count: number of readers, who are named `sim-1`, `sim-2`, ...
        seed: the same seed gives the same panel.
    """
    rng = np.random.default_rng([seed, 61])
    return tuple(
        SimulatedReader(
            reader=f"sim-{number}",
            skill=round(float(np.clip(rng.normal(1.8, 0.35), 0.6, 3.0)), 2),
            threshold=round(float(np.clip(rng.normal(50, 9), 20, 80))),
            seconds=round(float(np.exp(rng.normal(math.log(13), 0.35))), 1),
            trust=round(float(rng.uniform(0.2, 0.8)), 2),
        )
        for number in range(1, count + 1)
    )


def answer_of(
    who: SimulatedReader,
    truth: CaseTruth,
    image_sha256: str,
    picture: Mapping[str, Any],
    *,
    session: int,
    seed: int,
    model_logit: float | None = None,
) -> tuple[dict[str, Any], float]:
    """The answer of a reader to a case, and the time that it takes.

    Args:
        who: the reader.
        truth: truth of the case.
        image_sha256: of the case; the same reader, case, session and seed give the same answer.
        picture: rows, columns and views of the picture.
        session: 1 or 2.
        seed: seed of the simulation.
        model_logit: the model's logit minus that of its threshold, if it is shown.

    Returns:
        The answer as the interface expects it, and its time in seconds.
    """
    common = np.random.default_rng([seed, 62, int(image_sha256[:15], 16)])
    name = int.from_bytes(hashlib.sha256(who.reader.encode()).digest()[:7], "big")
    own = np.random.default_rng([seed, 63, name, int(image_sha256[:15], 16), session])
    noise = math.sqrt(_SHARED) * common.normal() + math.sqrt(1 - _SHARED) * own.normal()
    seen = who.skill * (float(truth.positive) - 0.5) + noise
    if model_logit is not None:
        seen += who.trust * float(np.clip(model_logit, -3, 3)) / 2
    confidence = round(100 * float(ndtr(seen)))
    positive = confidence >= who.threshold
    seconds = who.seconds * float(np.exp(own.normal(0, 0.45))) * (_SECOND_LOOK if positive else 1)
    marks = _marks(truth, confidence, picture, own, positive=positive)
    answer = {
        "positive": positive,
        "confidence": confidence,
        "no_focus": not marks,
        "marks": marks,
        "comment": "",
    }
    return answer, seconds


def _marks(
    truth: CaseTruth,
    confidence: int,
    picture: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    positive: bool,
) -> list[dict[str, Any]]:
    """True foci are found more often the surer the reader is; false ones can be anywhere."""
    rows, columns = int(picture["rows"]), int(picture["columns"])
    found = []
    for view, row, column in truth.foci[:20]:
        if view in picture["views"] and rng.random() < 0.15 + 0.7 * confidence / 100:
            found.append((view, row + rng.normal(0, 2), column + rng.normal(0, 2), confidence))
    false = rng.poisson(0.35 if positive else 0.08)
    if positive and not found:
        false = max(1, false)
    views: Sequence[str] = picture["views"]
    for _ in range(false):
        where = (rng.uniform(0.1, 0.6) * rows, rng.uniform(0.3, 0.7) * columns)
        found.append((views[int(rng.integers(len(views)))], *where, confidence - 15))
    return [
        {
            "view": view,
            "row": round(float(np.clip(row, 0, rows - 1)), 2),
            "column": round(float(np.clip(column, 0, columns - 1)), 2),
            "rating": int(np.clip(rating + rng.normal(0, 8), 0, 100)),
        }
        for view, row, column, rating in found
    ]


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
    """Read a session to its end.

    Args:
        client: signed in.
        who: the reader.
        truths: by the hash of the pixels.
        seed: seed of the answers.
        most: stop after so many answers.
        told: called with the key and the case of every acknowledged answer.

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
        who,
        truths[image],
        image,
        entry["picture"],
        session=state["session"],
        seed=seed,
        model_logit=logit,
    )
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
    """The links that were made last, by short name."""
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
        folder: the study folder, in which the readers must have accounts.
        readers: the readers.
        seed: seed of their answers.
        sessions: number of sessions to read, if the wash-out allows.
        progress: called with the number of readers that are done and of all.

    Returns:
        How many answers were stored.
    """
    study = open_study(folder)
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


_SEED = 5
_TITLE = "Demonstration"
_YOU = "reader,name\nyou,You\n"
Progress = Callable[[str, int, int], None]


def make_demonstration(
    folder: Path | str,
    *,
    cases: int = 16,
    readers: int = 6,
    progress: Progress | None = None,
) -> tuple[StudyFolder, str]:
    """Simulate scans, make a study of them, and let simulated readers read it.

    Args:
        folder: to be made; holds `scans/`, `study/` and `readers.csv`.
        cases: number of cases, even.
        readers: number of simulated readers.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        The study, and the path of the link by which the user signs in as a reader.

    Raises:
        MissingExtraError: the extra `simulate` is not installed.
        OutputError: the folder exists already.
    """
    from bonescint.cohort import mixed_protocol, simulate_cohort

    home = Path(folder)
    require_free(home, remedy="Choose another --out")

    def tell(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    with one_writer(home):
        scans = home / "scans"
        simulate_cohort(
            scans,
            mixed_protocol(cases + 6),
            seed=_SEED,
            workers=None,
            progress=tell("Simulating scans"),
        )
        panel = reader_panel(readers, seed=_SEED)
        people = [
            Reader(reader=who.reader, name=who.reader.replace("sim-", "Simulated "))
            for who in panel
        ]
        options = StudyOptions(
            title=_TITLE,
            sample=cases,
            balanced=True,
            seed=_SEED,
            split=None,
            training=2,
            simulated_readers=True,
        )
        study = create_study(
            home / "study", scans, people, options, progress=tell("Preparing cases")
        )
        read_all(study, panel, seed=_SEED, progress=tell("Simulated readers read"))
        you = home / "readers.csv"
        you.write_text(_YOU, encoding="utf-8")
        (link,) = add_readers(study.path, you)
    return study, link.path
