# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides for how long nodes are looked for: as long as somebody sees the list of them. Pure.

Blender tells nobody that a region is hidden or the preferences are closed. But what is not seen is not drawn: so the
list asks to be drawn again from time to time, and when that does not happen, nobody looks.
"""

import time
from collections.abc import Callable

AGAIN_S = 4.0
"""So long after it was drawn, the list is to be drawn once more."""

GONE_S = 10.0
"""A list that was not drawn for so long is not seen."""


class Browsing:
    """Whether the list of nodes is seen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._drawn_at: float | None = None
        self._asked_at = 0.0

    def drawn(self) -> None:
        """The list was drawn just now."""
        self._drawn_at = self._clock()

    @property
    def wanted(self) -> bool:
        """Whether to look for nodes."""
        return self._drawn_at is not None and self._clock() - self._drawn_at < GONE_S

    def wants_drawing(self) -> bool:
        """Return whether to have it drawn again, now; asked ten times a second, this is rarely so."""
        now = self._clock()
        if self._drawn_at is None or not self.wanted or now - max(self._drawn_at, self._asked_at) < AGAIN_S:
            return False
        self._asked_at = now
        return True
