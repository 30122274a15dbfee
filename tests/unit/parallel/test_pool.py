from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from math import sqrt

import pytest

from bonescint.parallel import (
    InProcess,
    UnexpectedError,
    WorkerDiedError,
    WorkerPool,
    available_cores,
    pool_of,
)
from bonescint.prepare import preprocessing_named
from bonescint.scan import ParameterError


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
    with WorkerPool(1, timeout_s=15) as pool:
        assert pool.submit(sqrt, 4.0).result() == 2.0
        with pytest.raises(WorkerDiedError, match="longer than 15 s"):
            pool.submit(time.sleep, 600).result()
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
