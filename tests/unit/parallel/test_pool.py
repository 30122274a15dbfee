from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from math import sqrt

import psutil
import pytest

from bonescint.parallel import (
    InProcess,
    UnexpectedError,
    WorkerDiedError,
    WorkerPool,
    available_cores,
    in_order,
    map_in_processes,
    pool_of,
)
from bonescint.prepare import preprocessing_named
from bonescint.scan import BonescintError, ParameterError


def test_results_come_back() -> None:
    with WorkerPool(2, timeout_s=60) as pool:
        futures = [pool.submit(sqrt, float(number)) for number in range(40)]
        assert [future.result() for future in futures] == [sqrt(number) for number in range(40)]


def test_work_happens_elsewhere() -> None:
    with WorkerPool(1, timeout_s=60) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
    with InProcess() as here:
        assert here.submit(os.getpid).result() == os.getpid()


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_with_a_clear_line_come_back_as_they_are(workers: int) -> None:
    with pool_of(workers, timeout_s=60) as pool, pytest.raises(ParameterError, match="nobody"):
        pool.submit(preprocessing_named, "nobody").result()


@pytest.mark.parametrize("workers", [0, 1])
def test_other_errors_come_back_without_their_message(workers: int) -> None:
    with pool_of(workers, timeout_s=60) as pool:
        error = pool.submit(int, "Name^Of^Patient").exception()
    assert isinstance(error, UnexpectedError)
    assert "ValueError" in str(error)
    assert "Patient" not in str(error)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_a_death_costs_its_own_task_only(how: signal.Signals) -> None:
    with WorkerPool(2, timeout_s=60) as pool:
        before = [pool.submit(sqrt, 4.0) for _ in range(4)]
        killed: Future[None] = pool.submit(signal.raise_signal, how)
        after = [pool.submit(sqrt, 9.0) for _ in range(8)]
        with pytest.raises(WorkerDiedError, match="died"):
            killed.result()
        assert [future.result() for future in before] == [2.0] * 4
        assert [future.result() for future in after] == [3.0] * 8


def test_a_hanging_task_is_ended() -> None:
    with WorkerPool(1, timeout_s=60) as pool:
        assert pool.submit(sqrt, 4.0).result() == 2.0
        pool._timeout_s = 3  # the worker has started, which counts
        with pytest.raises(WorkerDiedError, match="longer than 3 s"):
            pool.submit(time.sleep, 600).result()
        pool._timeout_s = 60
        assert pool.submit(sqrt, 9.0).result() == 3.0


def test_leaving_ends_what_is_running() -> None:
    # Or pytest's own time limit, which is below 2000 s, ends it.
    with WorkerPool(1, timeout_s=2000) as pool:
        future = pool.submit(time.sleep, 2000)
        pool.submit(time.sleep, 2000)
        time.sleep(0.2)
    assert isinstance(future.exception(), WorkerDiedError)
    assert not [t for t in threading.enumerate() if t.name.startswith("bonescint-worker")]


def test_what_a_library_prints_garbles_nothing() -> None:
    with WorkerPool(1, timeout_s=60) as pool:
        assert pool.submit(os.write, 1, b"noise from C").result() == 12
        assert pool.submit(print, "noise from Python").result() is None
        assert pool.submit(sqrt, 4.0).result() == 2.0


def test_the_current_folder_cannot_pose_as_a_library(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open("numpy.py", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write("raise SystemExit(1)")
    with WorkerPool(1, timeout_s=60) as pool:
        assert pool.submit(sqrt, 4.0).result() == 2.0


@pytest.mark.parametrize("workers", [-1, 1000])
def test_a_senseless_number_of_workers_is_refused(workers: int) -> None:
    with pytest.raises(ParameterError, match="workers"):
        pool_of(workers, timeout_s=1)


def test_a_time_limit_must_be_above_zero() -> None:
    with pytest.raises(ParameterError, match="timeout_s"):
        pool_of(1, timeout_s=0)


def test_there_is_a_core() -> None:
    assert available_cores() >= 1


@pytest.mark.parametrize("workers", [1, 3])
def test_a_map_keeps_the_order_of_its_items(workers: int) -> None:
    roots = map_in_processes(sqrt, map(float, range(30)), workers=workers, kept=False)
    assert list(roots) == [sqrt(number) for number in range(30)]


def test_few_items_are_begun_before_their_results_are_wanted() -> None:
    taken = []

    def items() -> Iterator[float]:
        for number in range(20):
            taken.append(number)
            yield float(number)

    with InProcess() as pool:
        results = in_order(pool, sqrt, items(), ahead=3)
        assert [next(results).result(), next(results).result()] == [0.0, 1.0]
        assert len(taken) == 5
        assert [one.result() for one in results] == [sqrt(number) for number in range(2, 20)]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("kept", "says"), [(True, "What was finished is kept"), (False, "Start")])
def test_a_map_whose_worker_is_killed_says_what_to_do(kept: bool, says: str) -> None:
    killed = map_in_processes(signal.raise_signal, [signal.SIGKILL] * 3, workers=2, kept=kept)
    with pytest.raises(BonescintError, match=f"ended from outside.*{says}"):
        list(killed)


def test_an_error_of_one_item_ends_the_map() -> None:
    names = map_in_processes(preprocessing_named, ["nobody"] * 3, workers=2, kept=False)
    with pytest.raises(ParameterError, match="nobody"):
        list(names)


@pytest.mark.skipif(not hasattr(select, "poll"), reason="needs poll")
def test_a_worker_ends_in_the_middle_of_its_task_with_its_parent() -> None:
    code = (
        "import os, time\nfrom bonescint.parallel import WorkerPool\n"
        "pool = WorkerPool(1, timeout_s=None)\n"
        "print(pool.submit(os.getpid).result(), flush=True)\n"
        "pool.submit(time.sleep, 2000)\ntime.sleep(0.3)\nos.kill(os.getpid(), 9)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == -signal.SIGKILL
    worker = psutil.Process(int(ran.stdout)) if psutil.pid_exists(int(ran.stdout)) else None
    if worker is not None:
        worker.wait(timeout=60)
