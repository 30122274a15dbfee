"""Classify an archive on a Ray cluster, with the table that the local engine would write."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.buckets import (
    address,
    is_in_bucket,
    names_in_bucket,
    remove_from_bucket,
    require_address,
    upload,
)
from bonescint.classify.classify import check_sites, document_of, model_folder, run_facts
from bonescint.classify.cluster.engine import (
    ClassifyOrder,
    RaySettings,
    StudyOrder,
    classified_on_ray,
    connected,
    examined_on_ray,
)
from bonescint.classify.cluster.finished import FOLDER, FinishedScan, FinishedScans
from bonescint.classify.earlier import run_identity
from bonescint.classify.folder import csv_writer
from bonescint.classify.naming import SourceNames, hashed_names
from bonescint.classify.results import CallCounts, ClassifiedScan, Refusal
from bonescint.classify.rows import RowsInOrder
from bonescint.classify.shards import Shard, without_shards
from bonescint.classify.steps import Unchanged
from bonescint.classify.table import TABLE_NAME, RunFacts, write_records
from bonescint.dicom import Discovery, StudyFiles
from bonescint.dicom.discovery import Candidate, grouped
from bonescint.dicom.listing import listed_files
from bonescint.extras import require
from bonescint.files import one_writer, write_whole
from bonescint.scan import (
    RESEARCH_USE,
    BonescintError,
    InputError,
    OutputError,
    ParameterError,
    Prediction,
)

if TYPE_CHECKING:
    from bonescint.model import ModelFolder

RUN = "run.json"
_TABLE = "results.csv"
_WRITTEN = (TABLE_NAME, _TABLE, RUN)  # in this order: if the last exists, all are complete
_MOST_REJECTED = 60

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSummary:
    """The summary of a call of `classify_on_ray`.

    Attributes:
        folder: the results folder or address.
        model_id: name, version and start of the hash of the model.
        calls: number of scans by call.
        scans: number of scans that were classified.
        refused: number of inputs that gave no result.
        first_refused: the first of them.
        taken_over: number of scans that an earlier run had finished.
        seconds: wall time.
    """

    folder: str
    model_id: str
    calls: CallCounts
    scans: int
    refused: int
    first_refused: tuple[Refusal, ...]
    taken_over: int
    seconds: float

    def messages(self) -> Iterator[str]:
        """Lines for the user: rejected inputs, where the results are, research use only."""
        for refusal in self.first_refused:
            yield f"Rejected: {refusal.source}: {refusal.reason}"
        hidden = self.refused - len(self.first_refused)
        if hidden:
            yield f"... and {hidden} more were rejected; {TABLE_NAME} has the reasons."
        if self.taken_over:
            yield f"{self.taken_over} scans had been finished by an earlier run and were kept."
        if self.scans:
            yield (
                f"{self.scans} scans in {self.seconds:.1f} s by {self.model_id}: "
                f"{self.calls.in_words()}. Results: {self.folder}/{TABLE_NAME}"
            )
        else:
            yield "Nothing could be classified" + ("." if self.refused else ": no file was found.")
        yield RESEARCH_USE

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary, the one that `bonescint classify --engine ray --json` prints."""
        return asdict(self)


def classify_on_ray(
    sources: Sequence[Path | str] | Path | str,
    out: Path | str,
    *,
    model: Path | str | ModelFolder | None = None,
    settings: RaySettings | None = None,
    device: str = "cpu",
    timeout_s: float = 180.0,
    progress: Progress | None = None,
    hash_sources: bool = False,
    call_anyway: bool = False,
    maps: bool = False,
    site: str = "",
    sites_by_folder: bool = False,
    shard: Shard | None = None,
) -> ClusterSummary:
    """Classify scans on a Ray cluster, from files that every node sees or from buckets.

    Headers are read on the cluster, studies are grouped in this process (the files of two views may
    lie anywhere), and actors classify them. Rows are those of `classify` with `pictures=False`, in
    the same order: `results.csv` is byte-identical and `results.parquet` has the same table;
    `run.json` records model, settings and software. No pictures are drawn.

    Finished scans are stored in blocks below `finished/`. If interrupted, repeat the same call to
    resume: all files are read again, and only scans whose files, model, settings or versions have
    changed are classified again. If the archive has grown, the new scans are added in the same way.

    Args:
        sources: files, folders and addresses such as `s3://archive/nm`.
        out: the results folder, or an address.
        model: a model folder that every node sees, or the name of one; the shipped one if `None`.
        settings: the cluster, and the resources of each actor.
        device: `"cpu"`, `"gpu"`, `"auto"` or `"cuda"`.
        timeout_s: time limit for reading one study, in seconds.
        progress: called with what is done, the number done and the total.
        hash_sources: as for `classify`; the key lies beside a local results folder.
        call_anyway: as for `classify`.
        maps: add the activation maps to `results.parquet`, as float16.
        site: as for `classify`.
        sites_by_folder: as for `classify`.
        shard: as for `classify`.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        BonescintError: no cluster answers, it is lost, or a node cannot do the work.
        OutputError: `out` cannot be written to, or holds files of another origin.
        ParameterError: a setting that cannot be used.
    """
    began = time.perf_counter()
    require("ray", "pyarrow", extra="cluster")
    check_sites(site, sites_by_folder=sites_by_folder, hash_sources=hash_sources)
    base, *given = (
        _everywhere(Path(one))
        for one in (out, *([sources] if isinstance(sources, Path | str) else sources))
    )
    if hash_sources and is_in_bucket(base):
        requirement = "given with a local results folder: the key must not lie in a bucket"
        raise ParameterError("hash_sources", "classify", requirement, hash_sources)
    settings = settings or RaySettings()
    folder = model_folder(model)
    facts = run_facts(folder, device, call_anyway=call_anyway)
    destination = base if shard is None else base / shard.folder_name
    with contextlib.ExitStack() as stack:
        if not is_in_bucket(destination):
            stack.enter_context(one_writer(destination))
        _require_own(destination)
        connection = stack.enter_context(connected(settings))
        cores = connection.cores
        tell = progress or (lambda _what, _done, _total: None)
        found = _without_own(_discovered(given, cores, tell), destination)
        if shard is not None:
            found = without_shards(found, base)
        names = SourceNames.relative(found, given)
        part = found if shard is None else shard.part_of(found, names)
        if hash_sources:
            names = hashed_names(found, base)
        finished = FinishedScans(destination, run_identity({**facts, "maps": maps}))
        order = ClassifyOrder(
            model=_model_everywhere(model),
            model_id=folder.model_id,
            model_content=folder.content_sha256,
            software=facts["software"],
            device=device,
            call_anyway=call_anyway,
            maps=maps,
            timeout_s=timeout_s,
            cpus=settings.cpus,
        )
        connection.before_the_end = finished.write
        job = _Job(part, names, finished)
        taken_over = job.classify(order, settings, cores, tell)
        used = {
            "engine": "ray",
            "timeout_s": timeout_s,
            "site": site,
            "sites_by_folder": sites_by_folder,
            "shard": shard and str(shard),
        }
        head = document_of(folder, facts, used, datetime.now(UTC))
        has_band = folder.card.uncertain_band is not None
        calls, refused = job.write(destination, head, maps=maps, has_band=has_band)
        finished.forget_others()
    return ClusterSummary(
        folder=address(destination),
        model_id=folder.model_id,
        calls=calls,
        scans=job.scans,
        refused=len(refused),
        first_refused=tuple(refused[:_MOST_REJECTED]),
        taken_over=taken_over,
        seconds=time.perf_counter() - began,
    )


def _everywhere(path: Path) -> Path:
    """A path that is valid in every process."""
    require_address(path)
    return path if is_in_bucket(path) else path.absolute()


def _model_everywhere(model: Path | str | ModelFolder | None) -> str | None:
    if model is None:
        return None
    path = Path(model) if isinstance(model, Path | str) else model.path
    return str(path.absolute()) if path.exists() else str(model)


def _discovered(given: Sequence[Path], cores: int, tell: Progress) -> Discovery:
    """What `discover` would find, with the headers read on the cluster."""
    entries = list(listed_files(given))
    files = [entry for entry in entries if isinstance(entry, Path)]
    known: dict[int, list[Candidate | InputError]] = {}
    done = 0
    for first, part in examined_on_ray(files, cores=cores):
        known[first] = part
        done += len(part)
        tell("Reading headers", done, len(files))
    found = chain.from_iterable(known[first] for first in sorted(known))
    return grouped(next(found) if isinstance(entry, Path) else entry for entry in entries)


class _Job:
    """The studies of a run: classified on the cluster, then written in their order."""

    def __init__(self, found: Discovery, names: SourceNames, finished: FinishedScans) -> None:
        self._found = found
        self._names = names
        self._finished = finished
        self._failed: dict[int, BonescintError] = {}
        self.scans = 0

    def classify(
        self, about: ClassifyOrder, settings: RaySettings, cores: int, tell: Progress
    ) -> int:
        """Classify unfinished studies; return the number that an earlier run had finished."""
        taken_over, done = 0, len(self._found.refused)
        total = done + len(self._found.studies)
        orders = [self._order(number, study) for number, study in enumerate(self._found.studies)]
        try:
            for number, outcome in classified_on_ray(orders, about, settings, cores=cores):
                if isinstance(outcome, BonescintError):
                    self._failed[number] = outcome
                elif isinstance(outcome, Unchanged):
                    taken_over += 1
                else:
                    self._finished.add(self._source(number), outcome)
                done += 1
                tell("Classifying", done, total)
        finally:
            self._finished.write()
        return taken_over

    def write(
        self, destination: Path, head: dict[str, Any], *, maps: bool, has_band: bool
    ) -> tuple[CallCounts, list[Refusal]]:
        """Write the table in input order, then `run.json`, which marks it as complete."""
        make = RowsInOrder(self._names)
        refused = [make.refusal(one, source=one.source) for one in self._found.refused]
        with _published(destination) as staged:
            with (staged / _TABLE).open("w", encoding="utf-8", newline="\n") as stream:
                counted = _Counted(csv_writer(stream))
                records = chain(
                    counted.records(self._rows(make, refused)),
                    # Read after all scans, since rows of scans may be refused, too.
                    (one.to_json() for one in refused),
                )
                write_records(records, RunFacts.of(head), staged / TABLE_NAME, maps=maps)
            self.scans = counted.answers.total()
            calls = CallCounts.of_answers(counted.answers, has_band=has_band)
            whole = {**head, "calls": asdict(calls), "scans": self.scans, "refused": len(refused)}
            write_whole(staged / RUN, json.dumps(whole, indent=1) + "\n")
        return calls, refused

    def _order(self, number: int, study: StudyFiles) -> StudyOrder:
        source = self._source(number)
        known = self._finished[source].read_from if source in self._finished else None
        return StudyOrder(number=number, study=study, known=known)

    def _source(self, number: int) -> str:
        return self._names.of(self._found.studies[number].source)

    def _rows(
        self, make: RowsInOrder, refused: list[Refusal]
    ) -> Iterator[tuple[ClassifiedScan, FinishedScan, dict[str, Any]]]:
        """Each scan's row; an input without one is added to the refused."""
        for number, study in enumerate(self._found.studies):
            try:
                if number in self._failed:
                    raise self._failed[number]
                scan = self._finished[self._source(number)]
                scan_id, warnings = make.identified(study, scan.read_as, scan.file_sha256)
            except BonescintError as error:
                refused.append(make.refusal(error, source=study.source))
                continue
            answer = {
                **scan.prediction,
                "scan_id": scan_id,
                "warnings": [*scan.warnings, *warnings, *scan.prediction["warnings"]],
            }
            prediction = Prediction.from_json({**answer, "activation_maps": ()})
            yield make.row(prediction, study, scan.views, picture=""), scan, answer


class _Counted:
    """Writes each row to `results.csv`, and counts them by call."""

    def __init__(self, add: Callable[[ClassifiedScan], object]) -> None:
        self._add = add
        self.answers: Counter[tuple[bool | None, bool, bool]] = Counter()

    def records(
        self, rows: Iterable[tuple[ClassifiedScan, FinishedScan, dict[str, Any]]]
    ) -> Iterator[dict[str, Any]]:
        """The records of `results.parquet`, each once its row of the CSV file is written."""
        for row, scan, answer in rows:
            self._add(row)
            self.answers[row.positive, row.uncertain, row.unlike] += 1
            yield {**row.to_json(), **scan.facts, "prediction": answer}


def _require_own(destination: Path) -> None:
    """Refuse a place with results of the local engine, or with files of another origin."""
    if is_in_bucket(destination):
        there = set(names_in_bucket(destination))
        finished = bool(names_in_bucket(destination / FOLDER))
    else:
        there = {file.name for file in destination.iterdir()}
        finished = (destination / FOLDER).is_dir()
    taken = sorted(there & {"results.json", *((_TABLE, TABLE_NAME) if not finished else ())})
    if taken and (RUN not in there or "results.json" in there):
        raise OutputError(
            f"{address(destination)}: has a {taken[0]} that this engine did not write. Choose "
            "another place for the results."
        )


def _without_own(found: Discovery, destination: Path) -> Discovery:
    """What a search found, without what this engine wrote to its results folder."""
    in_bucket = is_in_bucket(destination)
    place = destination if in_bucket else destination.resolve()

    def is_own(path: Path) -> bool:
        try:
            below = (path if in_bucket else path.resolve()).relative_to(place)
        except (OSError, RuntimeError, ValueError):
            return False
        return below.parts[:1] in [(name,) for name in (*_WRITTEN, FOLDER)]

    return Discovery(
        studies=tuple(study for study in found.studies if not is_own(study.files[0])),
        refused=tuple(error for error in found.refused if not is_own(Path(error.source))),
    )


@contextlib.contextmanager
def _published(destination: Path) -> Iterator[Path]:
    """A folder whose files are then moved to the destination, `run.json` last."""
    in_bucket = is_in_bucket(destination)
    parent = None if in_bucket else destination
    with tempfile.TemporaryDirectory(prefix=".bonescint-", dir=parent) as made:
        staged = Path(made)
        yield staged
        if not in_bucket:
            (destination / RUN).unlink(missing_ok=True)
        elif RUN in names_in_bucket(destination):
            remove_from_bucket(destination / RUN)
        for name in _WRITTEN:
            if in_bucket:
                upload(staged / name, destination / name)
            else:
                (staged / name).replace(destination / name)
