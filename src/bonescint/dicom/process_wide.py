"""Changes of the whole process, which threads share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import wraps


def process_wide(
    context: Callable[[], AbstractContextManager[None]],
) -> Callable[[], AbstractContextManager[None]]:
    """A context that threads share: the first to enter opens it, the last to leave closes it.

    If each thread restored what it found, one that leaves would end the change for the others, and
    the last could make it permanent.

    Examples:
        >>> @process_wide
        ... @contextmanager
        ... def told():
        ...     print("opened")
        ...     yield
        ...     print("closed")
        >>> with told(), told():
        ...     print("inside")
        opened
        inside
        closed
    """
    lock, opened, users = threading.Lock(), ExitStack(), 0

    @wraps(context)
    @contextmanager
    def shared() -> Iterator[None]:
        nonlocal users
        with lock:
            if not users:
                opened.enter_context(context())
            users += 1
        try:
            yield
        finally:
            with lock:
                users -= 1
                if not users:
                    opened.close()

    return shared
