# SPDX-License-Identifier: GPL-3.0-or-later
"""A log that strangers cannot fill: a million malformed messages wrote 120 MB."""

import logging
import time
from collections.abc import Callable

LINES = 100
SPAN_S = 10.0
"""A logger says so many lines in this time; a hundred artists who connect at once are all named."""


class Sparse(logging.Filter):
    """For a logger whose lines others can cause. Errors, which are ours, always pass."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._begun = clock()
        self._said = 0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is said; the first of a new span tells how many of the last one were not."""
        if self._clock() - self._begun >= SPAN_S:
            self._begun, self._said = self._clock(), 0
        self._said += 1
        if self._said > LINES and record.levelno < logging.ERROR:
            self._left_out += 1
            return False
        if self._left_out:
            record.msg = f"{record.getMessage()} ({self._left_out:,} lines before this one were left out)"
            record.args = ()
            self._left_out = 0
        return True
