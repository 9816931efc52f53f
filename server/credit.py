# SPDX-License-Identifier: GPL-3.0-or-later
"""How many bytes those who upload may be ahead: all together no more than is good for the node, and each as many. Pure.

Credit once given is not taken back. Who has less than is due asks for more, and the longest wait ends first.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from addon.protocol.limits import EAGER_BYTES, LEAST_WINDOW_BYTES, WINDOW_BYTES

EACH = 8
"""Uploads of one artist that are under way at once, so that nobody who leaves some standing keeps all others out."""

TOTAL_BYTES = 256 << 20
"""Of all uploads together. It bounds what waits in memory, and how long a sign of life waits behind it: two seconds,
where a node takes in 130 MB/s. A hundred uploads 16 MiB ahead took 700 MB, and some were given up as silent.
"""


@dataclass(slots=True, eq=False)
class Share:
    """One upload's."""

    limit: int = EAGER_BYTES
    """Encoded bytes that may be sent so far."""
    taken: int = 0
    """Encoded bytes that are written down."""

    @property
    def ahead(self) -> int:
        """How many more may come."""
        return self.limit - self.taken


class Credit:
    """Shares it out. Not for several threads."""

    def __init__(self, total: int = TOTAL_BYTES) -> None:
        self._total = total
        self._places = asyncio.Semaphore(total // LEAST_WINDOW_BYTES)
        """Further uploads wait for one to end. Everyone here can go on: as long as none has as much as the largest
        chunk, more than half of the total is free."""
        self._places_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """By artist."""
        self._open: dict[Share, Callable[[], object]] = {}
        self._waiting: deque[Share] = deque()
        self._free = total

    @asynccontextmanager
    async def share(self, share: Share, owner: str, on_change: Callable[[], object]) -> AsyncIterator[None]:
        """Let an upload have its share; `on_change` is called when that has grown or was used, but not for the first.

        Waits while too many others are under way, of this owner or in all.
        """
        async with self._places_of.setdefault(owner, asyncio.Semaphore(EACH)), self._places:
            self._open[share] = _nothing
            self._free -= share.ahead
            self._ask(share)
            self._open[share] = on_change
            try:
                yield
            finally:
                del self._open[share]
                self._free += share.ahead
                if share in self._waiting:
                    self._waiting.remove(share)
                self._serve()

    def taken(self, share: Share, size: int, idle: bool) -> None:
        """So many bytes have been written down; `idle`: no more have come, and the sender learns how fast it all is."""
        share.taken += size
        self._free += size
        if share not in self._waiting and (idle or self._due(share) >= self._window // 4):
            self._ask(share)
        else:
            self._serve()

    @property
    def _window(self) -> int:
        """What is due to each."""
        return max(LEAST_WINDOW_BYTES, min(WINDOW_BYTES, self._total // len(self._open)))

    def _due(self, share: Share) -> int:
        """How much more it should be ahead. It begins with little: else the first to come would have it all."""
        return min(self._window, LEAST_WINDOW_BYTES + share.taken) - share.ahead

    def _ask(self, share: Share) -> None:
        self._waiting.append(share)
        self._serve()
        if share in self._waiting:
            self._open[share]()  # No more credit yet, but news of what was taken.

    def _serve(self) -> None:
        while self._waiting:
            share = self._waiting[0]
            more = max(0, self._due(share))
            if more > self._free:
                return
            self._waiting.popleft()
            share.limit += more
            self._free -= more
            self._open[share]()


def _nothing() -> None:
    """For a share whose owner looks at it next."""
