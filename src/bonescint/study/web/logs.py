"""A server's log, bounded: whoever sends nonsense fills no disk."""

from __future__ import annotations

import logging
from typing import Any

_MOST, _WINDOW_S = 30, 60.0


class Bounded(logging.Filter):
    """Lets a number of messages through in every minute, then says so and drops the others.

    Args:
        most: messages.
        window_s: in so many seconds.

    Examples:
        >>> import io
        >>> handler = logging.StreamHandler(stream := io.StringIO())
        >>> handler.addFilter(Bounded(most=2))
        >>> for number in range(1000):
        ...     _ = handler.handle(logging.makeLogRecord({"msg": f"no {number}"}))
        >>> stream.getvalue().splitlines()
        ['no 0', 'no 1', 'More messages follow; those of this minute are left out.']
    """

    def __init__(self, *, most: int = _MOST, window_s: float = _WINDOW_S) -> None:
        super().__init__()
        self._most, self._window_s = most, window_s
        self._began_s, self._seen = 0.0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is written."""
        if not 0 <= record.created - self._began_s < self._window_s:
            self._began_s, self._seen = record.created, 0
        self._seen += 1
        if self._seen == self._most + 1:
            record.msg = "More messages follow; those of this minute are left out."
            record.args, record.exc_info, record.exc_text = None, None, None
        return self._seen <= self._most + 1


def server_logging() -> dict[str, Any]:
    """Where a server's messages go: to standard error, warnings and worse, bounded together."""
    loggers = {
        name: {"handlers": ["stderr"], "level": "WARNING", "propagate": False}
        for name in ("uvicorn", "asyncio", "bonescint.study")
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"bounded": {"()": Bounded}},
        "formatters": {"plain": {"format": "%(levelname)s: %(message)s"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "filters": ["bounded"],
                "formatter": "plain",
            }
        },
        "loggers": loggers,
    }
