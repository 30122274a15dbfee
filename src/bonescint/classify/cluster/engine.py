"""Ray Data runs two steps of a batch on a cluster: reading headers, and classifying studies.

Ray schedules the work, applies backpressure, and restarts lost actors and their units of work. Each
actor compiles the graph once, and reads files in worker processes of its own, as the local engine
does: a file that kills its process, or takes too long, affects no other file.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.classify.classify import model_folder, run_facts
from bonescint.classify.cluster.finished import FinishedScan
from bonescint.classify.steps import ReadyScan, Unchanged, read_and_prepare, read_unless_same
from bonescint.dicom import StudyFiles
from bonescint.dicom.discovery import Candidate, examined
from bonescint.extras import load
from bonescint.parallel import WorkerPool
from bonescint.scan import BonescintError, InputError, ParameterError

if TYPE_CHECKING:
    import pyarrow as pa

    from bonescint.model import Classifier

_EXTRA = "cluster"
_WATCH_S, _MOST_FAILURES = 5.0, 4
# Studies or files per unit of work, which is repeated if its worker is lost.
_LEAST_A_UNIT, _MOST_A_UNIT = 4, 64
_UNITS_A_CORE = 16
_LOST = (
    "The Ray cluster was lost ({reason}). Finished scans are kept: rerun the same command to "
    "resume."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySettings:
    """The cluster, and the resources of each actor.

    Attributes:
        address: address of the cluster, as `ray.init` takes it; if `None`, that of `RAY_ADDRESS`,
            or else a cluster that is started on this machine and ends with the run.
        actors: number of actors that classify at the same time; as many as the cluster has
            resources for if `None`.
        cpus: cores per actor.
        gpus: NVIDIA GPUs per actor if the device is `"cuda"`; a fraction, such as 0.5, if several
            actors share a GPU.
    """

    address: str | None = None
    actors: int | None = None
    cpus: int = 1
    gpus: float = 1.0

    def __post_init__(self) -> None:
        for name in ("actors", "cpus"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ParameterError(name, "RaySettings", "at least 1", value)
        if not self.gpus > 0:
            raise ParameterError("gpus", "RaySettings", "above 0", self.gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyOrder:
    """How an actor classifies studies.

    Attributes:
        model: name or path of the model folder, which every node must see; `None`: the shipped one.
        model_id: identifier that this model must have.
        model_content: `ModelFolder.content_sha256` that it must have.
        software: versions that every node must have.
        device: device of the network.
        call_anyway: also call scans that are too unlike those that the model knows.
        maps: return the activation maps of the disease.
        timeout_s: time limit for reading one study, in seconds.
        cpus: cores of the actor.
    """

    model: str | None
    model_id: str
    model_content: str
    software: dict[str, str]
    device: str
    call_anyway: bool
    maps: bool
    timeout_s: float
    cpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOrder:
    """A study to classify.

    Attributes:
        number: its place in the order of the input.
        study: its files.
        known: `steps.reading_sha256` of the study that an earlier run classified.
    """

    number: int
    study: StudyFiles
    known: str | None = None


Outcome = FinishedScan | Unchanged | BonescintError


class _NodeError(BonescintError):
    """A node that has another model, other software, or cannot run the model."""


class ClusterConnection:
    """A connection to a cluster.

    Attributes:
        cores: number of cores of the cluster.
        before_the_end: called before the process ends because the head of the cluster is lost.
    """

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self.before_the_end: Callable[[], None] = lambda: None


@contextmanager
def connected(settings: RaySettings) -> Iterator[ClusterConnection]:
    """Connect to a cluster.

    If its head is lost, `before_the_end` is called and the process ends with status 2 and a line on
    standard error: Ray itself would end the process a minute later, without an exception.

    Raises:
        MissingExtraError: Ray is not installed.
        BonescintError: no cluster answers, or it is lost within the block.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = load("ray", extra=_EXTRA)
    own = not ray.is_initialized()
    if own:
        _connect(ray, settings)
    connection = ClusterConnection(int(ray.cluster_resources().get("CPU", 1)))
    over = threading.Event()
    if not load("ray.util.client", extra=_EXTRA).ray.is_connected():
        head = ray.get_runtime_context().gcs_address
        watch = threading.Thread(target=_watch, args=(head, connection, over), daemon=True)
        watch.start()
    try:
        yield connection
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise BonescintError(_LOST.format(reason=type(error).__name__)) from error
    finally:
        over.set()
        if own:
            ray.shutdown()


def _watch(head: str, connection: ClusterConnection, over: threading.Event) -> None:
    """End the process if the head does not answer several times in a row."""
    host, _, port = head.rpartition(":")
    failures = 0
    while not over.wait(_WATCH_S):
        try:
            socket.create_connection((host.strip("[]"), int(port)), _WATCH_S).close()
            failures = 0
        except OSError:
            failures += 1
        if failures == _MOST_FAILURES:
            try:
                connection.before_the_end()
            finally:
                reason = "its head does not answer"
                sys.stderr.write(f"Error: {_LOST.format(reason=reason)}\n")
                sys.stderr.flush()
                os._exit(2)


def _connect(ray: Any, settings: RaySettings) -> None:
    starts = settings.address is None and not os.environ.get("RAY_ADDRESS")
    more: dict[str, Any] = {"include_dashboard": False} if starts else {}
    try:
        ray.init(address=settings.address, log_to_driver=False, logging_level=logging.ERROR, **more)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        place = settings.address or os.environ.get("RAY_ADDRESS") or "this machine"
        raise BonescintError(
            f"No Ray cluster answers at {place} ({type(error).__name__}). Check the address, and "
            "that the cluster has the same versions of Ray and Python."
        ) from error


def examined_on_ray(
    files: Sequence[Path], *, cores: int
) -> Iterator[tuple[int, list[Candidate | InputError]]]:
    """Read the headers of files, in units that are returned in any order.

    Yields:
        The place of a unit's first file, and the result for each of its files.
    """
    size = _unit_size(len(files), cores)
    units = [(first, files[first : first + size]) for first in range(0, len(files), size)]
    yield from _mapped(units, _examine, num_cpus=1)


def classified_on_ray(
    orders: Sequence[StudyOrder], about: ClassifyOrder, settings: RaySettings, *, cores: int
) -> Iterator[tuple[int, Outcome]]:
    """Classify studies; the results are returned in any order.

    Yields:
        The number of a study, and its outcome.

    Raises:
        BonescintError: a node has other software, or cannot load the model.
    """
    size = _unit_size(len(orders), cores)
    units = [orders[first : first + size] for first in range(0, len(orders), size)]
    gpus = settings.gpus if about.device == "cuda" else 0.0
    room = cores // settings.cpus
    if gpus:
        there = load("ray", extra=_EXTRA).cluster_resources().get("GPU", 0)
        room = min(room, int(there / gpus))
        if not room:
            requirement = "a device of which the cluster has enough"
            raise ParameterError("device", "classify", requirement, f"cuda, with {there:g} GPUs")
    most = settings.actors or max(1, room)
    most = min(most, max(1, len(units)))
    for part in _mapped(
        units,
        _ClassifyActor,
        actors=most,
        num_cpus=settings.cpus,
        **({"num_gpus": gpus} if gpus else {}),
        fn_constructor_kwargs={"about": about},
    ):
        for number, outcome in part:
            if isinstance(outcome, _NodeError):
                raise outcome
            yield number, outcome


def _unit_size(count: int, cores: int) -> int:
    return max(_LEAST_A_UNIT, min(_MOST_A_UNIT, count // (_UNITS_A_CORE * cores)))


def _mapped(units: Sequence[Any], function: Any, **options: Any) -> Iterator[Any]:
    """Apply a function to each unit on the cluster; one unit is one block of Ray Data."""
    if not units:
        return
    ray = load("ray", extra=_EXTRA)
    packed = [pickle.dumps(unit, protocol=5) for unit in units]
    if not load("ray.util.client", extra=_EXTRA).ray.is_connected():
        for result in _mapped_here(packed, function, options):
            yield pickle.loads(result)  # noqa: S301 - packed by our own tasks
        return
    # Ray Data does not run in a client (ray://...): an actor of the cluster runs it.
    mapping = ray.remote(num_cpus=0)(_Mapping).remote(packed, function, options)
    while results := ray.get(mapping.next.remote()):
        for result in results:
            yield pickle.loads(result)  # noqa: S301 - packed by our own tasks


class _Mapping:
    """Runs Ray Data on the cluster for a client, which fetches the results."""

    def __init__(self, packed: list[bytes], function: Any, options: dict[str, Any]) -> None:
        self._results = _mapped_here(packed, function, options)

    def next(self) -> list[bytes]:
        """The next result in a list, which is empty at the end."""
        return list(islice(self._results, 1))


def _mapped_here(packed: list[bytes], function: Any, options: dict[str, Any]) -> Iterator[bytes]:
    ray = load("ray", extra=_EXTRA)
    data = load("ray.data", extra=_EXTRA)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    if "actors" in options:
        most = options.pop("actors")
        strategy = data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most)
        options["compute"] = strategy
    dataset = ray.data.from_items(
        [{"packed": unit} for unit in packed], override_num_blocks=len(packed)
    ).map_batches(function, batch_size=None, batch_format="pyarrow", **options)
    for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield from batch["packed"].to_pylist()


def _packed(results: Sequence[Any]) -> pa.Table:
    pa = load("pyarrow", extra=_EXTRA)
    return pa.table(
        {"packed": pa.array([pickle.dumps(one, protocol=5) for one in results], pa.large_binary())}
    )


def _unpacked(batch: pa.Table) -> list[Any]:
    return [pickle.loads(one) for one in batch["packed"].to_pylist()]  # noqa: S301 - by `_mapped`


def _examine(batch: pa.Table) -> pa.Table:
    """Examine the files of a unit, in a task of the cluster."""
    return _packed([(first, list(examined(files))) for first, files in _unpacked(batch)])


class _ClassifyActor:
    """An actor: one compiled graph, and a worker process for each core that reads files.

    Args:
        about: how it classifies.
    """

    def __init__(self, about: ClassifyOrder) -> None:
        self._about = about
        self._problem: _NodeError | None = None
        try:
            self._classifier = self._opened()
        except BonescintError as error:
            self._problem = _NodeError(f"A node of the cluster cannot classify scans: {error}")
            return
        self._pool = WorkerPool(
            about.cpus, timeout_s=about.timeout_s, preload="bonescint.classify.steps"
        )

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Classify the studies of a unit."""
        if self._problem is not None:
            return _packed([[(0, self._problem)]])
        return _packed([self._classified(orders) for orders in _unpacked(batch)])

    def _opened(self) -> Classifier:
        from bonescint.model import Classifier

        about = self._about
        folder = model_folder(about.model)
        software = run_facts(folder, about.device, call_anyway=about.call_anyway)["software"]
        if folder.model_id != about.model_id:
            raise BonescintError(f"it has the model {folder.model_id}, not {about.model_id}.")
        if folder.content_sha256 != about.model_content:
            raise BonescintError(f"its copy of {folder.model_id} has another card or detector.")
        differ = [
            f"{name} {software.get(name)} instead of {version}"
            for name, version in about.software.items()
            if software.get(name) != version
        ]
        if differ:
            raise BonescintError(f"it has {', '.join(differ)}. Install the same versions.")
        return Classifier(
            folder, device=about.device, threads=about.cpus, call_anyway=about.call_anyway
        )

    def _classified(self, orders: Sequence[StudyOrder]) -> list[tuple[int, Outcome]]:
        preprocessing = self._classifier.folder.card.preprocessing
        readings: list[Future[ReadyScan] | Future[ReadyScan | Unchanged]] = []
        outcomes: list[tuple[int, Outcome]] = []
        for order in orders:
            if order.known is None:
                reading = self._pool.submit(read_and_prepare, order.study, preprocessing, False)
                readings.append(reading)
            else:
                about = preprocessing, order.known, False
                readings.append(self._pool.submit(read_unless_same, order.study, *about))
        for order, begun in zip(orders, readings, strict=True):
            try:
                ready = begun.result()
                outcome = ready if isinstance(ready, Unchanged) else self._of(ready)
                outcomes.append((order.number, outcome))
            except BonescintError as error:
                outcomes.append((order.number, error))
        return outcomes

    def _of(self, ready: ReadyScan) -> FinishedScan:
        prediction = self._classifier.predict_prepared(ready.prepared)
        maps = [one for one in prediction.activation_maps if self._about.maps]
        disease = tuple(one for one in maps if one.target == "mbd")
        return FinishedScan(
            read_as=ready.prepared.scan_id,
            file_sha256=ready.file_sha256,
            views=ready.views,
            warnings=ready.warnings,
            facts=ready.facts,
            prediction=replace(prediction, activation_maps=disease).to_json(),
            read_from=ready.read_from,
        )
