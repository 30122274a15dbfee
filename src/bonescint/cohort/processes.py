"""Work shared among processes that end with the one that began them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from bonescint.scan import BonescintError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_processes(
    work: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    workers: int,
    chunk: int,
    kept: bool,
) -> Iterator[_Result]:
    """`map`, by several processes; results come in the order of the items.

    Args:
        work: a function that can be pickled.
        items: what it is called with; can be pickled.
        workers: processes; up to 1 for none beside this one.
        chunk: items that a process takes at once.
        kept: whether the work done so far is found again by the next run, for the message.

    Raises:
        BonescintError: a process was ended from outside; and what `work` raises.

    Examples:
        >>> list(map_in_processes(abs, [-1, 2], workers=1, chunk=1, kept=False))
        [1, 2]
    """
    if workers <= 1:
        yield from map(work, items)
        return
    # "spawn": a forked child would inherit the threads of torch in an unknown state.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, context, initializer=_end_with_parent) as pool:
            yield from pool.map(work, items, chunksize=chunk)
    except BrokenProcessPool as error:
        again = "What was finished is kept: start" if kept else "Start"
        raise BonescintError(
            f"A worker process was ended from outside (too little memory?). {again} the same "
            "command again, perhaps with fewer workers."
        ) from error


def _end_with_parent() -> None:
    """A parent that was killed cannot tell its workers to end: they watch for it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
