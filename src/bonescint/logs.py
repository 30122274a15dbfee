"""Logs of servers, which nobody may fill by sending nonsense."""

from __future__ import annotations

import logging

_MESSAGES, _WINDOW_S = 30, 60.0


class Bounded(logging.Filter):
    """Passes a limited number of log messages per minute, notes the limit, and drops the rest.

    Args:
        most: largest number of messages.
        window_s: length of the period, in seconds.

    Examples:
        >>> import io
        >>> handler = logging.StreamHandler(stream := io.StringIO())
        >>> handler.addFilter(Bounded(most=2))
        >>> for number in range(1000):
        ...     _ = handler.handle(logging.makeLogRecord({"msg": f"no {number}"}))
        >>> stream.getvalue().splitlines()
        ['no 0', 'no 1', 'More messages follow; those of this minute are left out.']
    """

    def __init__(self, *, most: int = _MESSAGES, window_s: float = _WINDOW_S) -> None:
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
