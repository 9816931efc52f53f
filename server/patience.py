# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is not listened to for a while: keys that go on sending what breaks the protocol. Pure, apart from a clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass

MISTAKES = 100
"""So many malformed messages of a key are read in a span; a program with a mistake in it makes one a connection."""

SPAN_S = 10.0
HOLD_S = 30.0
"""Then none is read for so long: a flood costs the node three messages a second."""

REMIND_S = 1.0
"""Meanwhile it is told so at most this often."""


@dataclass(slots=True)
class _Record:
    begun: float
    mistakes: int = 0
    held_until: float = 0.0
    reminded: float = 0.0


class Patience:
    """Counts mistakes, by key; holds no more than one record for each that made one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: dict[str, _Record] = {}

    def ends(self, key: str) -> bool:
        """Note a mistake; whether it was the one too many, and the key is held off from now on."""
        now = self._clock()
        record = self._records.get(key)
        if record is None or now - record.begun > SPAN_S:
            record = self._records[key] = _Record(now)
        record.mistakes += 1
        if record.mistakes == MISTAKES:
            record.held_until, record.reminded = now + HOLD_S, now
        return record.mistakes == MISTAKES

    def holds_off(self, key: str) -> bool:
        """Whether nothing of a key is read now."""
        record = self._records.get(key)
        if record is None or not record.held_until:
            return False
        if self._clock() < record.held_until:
            return True
        del self._records[key]
        return False

    def reminds(self, key: str) -> bool:
        """Whether one that is held off is to be told so (again)."""
        record, now = self._records[key], self._clock()
        if now - record.reminded < REMIND_S:
            return False
        record.reminded = now
        return True
