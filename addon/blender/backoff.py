# SPDX-License-Identifier: GPL-3.0-or-later
"""When a program that ended by itself is started again. Pure."""

import time
from collections.abc import Callable

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
"""A program that dies is started again after 1, 2, 4 ... 30 s: soon enough to go unnoticed, too rare to burn a core."""

STEADY_S = 60.0
"""One that has run this long has recovered: its next restart comes soon again."""


class Backoff:
    """The starts of one program."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._delay_s = FIRST_DELAY_S
        self._started_at = float("inf")
        self._start_at = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it may be started now."""
        return self._clock() >= self._start_at

    def started(self) -> None:
        """It was started just now."""
        self._started_at = self._clock()

    def ended(self) -> float:
        """It ended, or could not be started. Returns for how many seconds it is left alone."""
        if self._clock() - self._started_at > STEADY_S:
            self._delay_s = FIRST_DELAY_S
        self._started_at = float("inf")
        delay_s = self._delay_s
        self._start_at = self._clock() + delay_s
        self._delay_s = min(delay_s * 2, LONGEST_DELAY_S)
        return delay_s

    def reset(self) -> None:
        """It was ended on purpose."""
        self._start_at, self._delay_s = 0.0, FIRST_DELAY_S
