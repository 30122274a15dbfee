"""Worker processes; one that dies loses its own task only.

`WorkerProcess` is a single process, `WorkerPool` keeps several, and `map_in_processes` is `map` by
a pool. All of the package's own worker processes are started here.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol, Self, TypeVar, TypeVarTuple

from bonescint.parallel.worker import outcome_of
from bonescint.scan import BonescintError, ParameterError

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")
_Arguments = TypeVarTuple("_Arguments")
_MOST_WORKERS = 8
_AHEAD = 4
_START = "from bonescint.parallel.worker import serve; serve({!r})"


class WorkerDiedError(BonescintError):
    """A worker process that ended, or was ended, in the middle of its task.

    Attributes:
        timed_out: whether it was ended because it did not finish in time.
    """

    timed_out = False


class Pool(Protocol):
    """Runs tasks, in worker processes or in the caller's own."""

    def submit(
        self, function: Callable[[*_Arguments], _Value], *arguments: *_Arguments
    ) -> Future[_Value]:
        """Run a function; the future raises a `BonescintError` if it fails."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def usual_workers(wanted: int | None) -> int:
    """Number of worker processes: the wanted number, or as many as cores, at most 8."""
    return min(_MOST_WORKERS, available_cores()) if wanted is None else wanted


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pool_of(workers: int, *, timeout_s: float, preload: str = "") -> Pool:
    """A pool of the given number of processes; with 0 the caller's own process does the work.

    Args:
        workers: number of processes.
        timeout_s: a process that spends more seconds than this on one task is ended.
        preload: a module that processes import before their first task.

    Raises:
        ParameterError: a negative number, or a time limit that is not above 0.
    """
    if not 0 <= workers <= 256:
        raise ParameterError("workers", "parallel", "from 0 to 256", workers)
    if not timeout_s > 0:
        raise ParameterError("timeout_s", "parallel", "above 0 s", timeout_s)
    if not workers:
        return InProcess()
    return WorkerPool(workers, timeout_s=timeout_s, preload=preload)


class InProcess:
    """A pool that runs tasks at once in the caller's process, for debugging and small machines."""

    def submit(
        self, function: Callable[[*_Arguments], _Value], *arguments: *_Arguments
    ) -> Future[_Value]:
        """Call the function now."""
        future: Future[_Value] = Future()
        _settle(future, outcome_of(function, arguments))
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _settle(future: Future[Any], outcome: tuple[bool, Any]) -> None:
    done, value = outcome
    if done:
        future.set_result(value)
    else:
        future.set_exception(value)


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, text, bytes and containers of these, but no instance of a class."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError(f"an answer holds {module_name}.{global_name}")


class WorkerProcess:
    """One worker process and the pipes to it; it is not replaced when it dies.

    Args:
        preload: a module that it imports before its first task.
        plain_answers: accept only numbers, text and bytes as answers, because a hostile file may
            have taken over the process.
    """

    def __init__(self, preload: str = "", *, plain_answers: bool = False) -> None:
        environment = dict(os.environ)
        # -P keeps the current folder out of the path: a file there must not pose as a library.
        environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[name] = "1"
        self._unpickler = _PlainUnpickler if plain_answers else pickle.Unpickler
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", "-c", _START.format(preload)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def run(
        self,
        function: Callable[..., _Value],
        arguments: tuple[Any, ...] = (),
        *,
        timeout_s: float | None,
    ) -> _Value:
        """Do one task: call a module-level function.

        Raises:
            WorkerDiedError: the process ended, or did not finish in time and was killed.
            BonescintError: the function raised it, or any other exception.
        """
        process = self._process
        if process.stdin is None or process.stdout is None:  # pragma: no cover
            raise WorkerDiedError("The worker process has no pipes.")
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout_s or 0.0, end)
        timer.daemon = True
        if timeout_s is not None:
            timer.start()
        try:
            pickle.dump((function, arguments), process.stdin, protocol=5)
            process.stdin.flush()
            done, value = self._unpickler(process.stdout).load()
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            self.close()
            reason = f"took longer than {timeout_s:g} s" if late.is_set() else "died"
            died = WorkerDiedError(
                f"The process that worked on it {reason} (exit status {process.returncode}). "
                "Check the file with another viewer; the others are not affected."
            )
            died.timed_out = late.is_set()
            raise died from error
        finally:
            timer.cancel()
        if not done:
            raise value
        result: _Value = value
        return result

    def close(self) -> None:
        """End the process and release its pipes."""
        process = self._process
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was buffered for a dead process
                    pipe.close()


class WorkerPool:
    """Worker processes, each kept for many tasks and replaced when it dies.

    Examples:
        >>> from math import sqrt
        >>> with WorkerPool(1, timeout_s=60) as pool:
        ...     pool.submit(sqrt, 4.0).result()
        2.0
    """

    def __init__(self, count: int, *, timeout_s: float | None, preload: str = "") -> None:
        self._timeout_s = timeout_s
        self._preload = preload
        self._closed = False
        self._lock = threading.Lock()
        self._processes: set[WorkerProcess] = set()
        self._idle: SimpleQueue[WorkerProcess] = SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="bonescint-worker")
        for _ in range(count):
            self._idle.put(self._started())

    def submit(
        self, function: Callable[[*_Arguments], _Value], *arguments: *_Arguments
    ) -> Future[_Value]:
        """Run a module-level function in a worker, tasks in the order submitted."""
        return self._threads.submit(self._run, function, arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            processes = list(self._processes)
            self._processes.clear()
        for process in processes:
            process.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> WorkerProcess:
        with self._lock:
            if self._closed:
                raise WorkerDiedError("The batch was stopped.")
            process = WorkerProcess(self._preload)
            self._processes.add(process)
        return process

    def _run(self, function: Callable[..., _Value], arguments: tuple[Any, ...]) -> _Value:
        process = self._idle.get()
        try:
            return process.run(function, arguments, timeout_s=self._timeout_s)
        except WorkerDiedError:
            with self._lock:
                self._processes.discard(process)
            process = self._started()
            raise
        finally:
            self._idle.put(process)


def in_order(
    pool: Pool, function: Callable[[_Item], _Value], items: Iterable[_Item], *, ahead: int
) -> Iterator[Future[_Value]]:
    """Call a function for each item, with at most `ahead` calls begun in advance.

    Args:
        pool: the pool that does the work.
        function: a module-level function, or a partial of one.
        items: its arguments, which are consumed as the work proceeds.
        ahead: largest number of unfinished calls.

    Yields:
        The result of each item, in the order of the items.

    Examples:
        >>> with InProcess() as pool:
        ...     [one.result() for one in in_order(pool, abs, [-1, 2], ahead=4)]
        [1, 2]
    """
    begun: deque[Future[_Value]] = deque()
    for item in items:
        begun.append(pool.submit(function, item))
        if len(begun) > ahead:
            yield begun.popleft()
    while begun:
        yield begun.popleft()


def map_in_processes(
    function: Callable[[_Item], _Value], items: Iterable[_Item], *, workers: int, kept: bool
) -> Iterator[_Value]:
    """`map` in several processes without a time limit; results are in the order of the items.

    Args:
        function: a module-level function, or a partial of one.
        items: its arguments, which must be picklable.
        workers: number of processes; with 1 or less, the caller's process does the work.
        kept: whether finished work is kept for the next run; the error message says so.

    Raises:
        BonescintError: a process was ended from outside, or the function raised it.

    Examples:
        >>> list(map_in_processes(abs, [-1, 2], workers=1, kept=False))
        [1, 2]
    """
    if workers <= 1:
        yield from map(function, items)
        return
    with WorkerPool(workers, timeout_s=None) as pool:
        for result in in_order(pool, function, items, ahead=_AHEAD * workers):
            try:
                value = result.result()
            except WorkerDiedError as error:
                again = "What was finished is kept: start" if kept else "Start"
                raise BonescintError(
                    f"A worker process was ended from outside (too little memory?). {again} the "
                    "same command again, perhaps with fewer workers."
                ) from error
            yield value
