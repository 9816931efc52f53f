# SPDX-License-Identifier: GPL-3.0-or-later
"""How much may be on its way to the node: no more than it has room for, nor than the link takes in a short time."""

import asyncio
import time
from collections import deque

from ..protocol.limits import EAGER_BYTES, LEAST_WINDOW_BYTES, WINDOW_BYTES

SMALLEST_BATCH, LARGEST_BATCH = 256 << 10, 4 << 20
"""Bytes of chunks, before encoding, that make one message. Many small ones cost both sides time, and on
loopback 4 MiB are a third faster than 1.
"""
BATCH_S = 0.25
"""What a message takes to send, between these sizes: what is sent meanwhile, a heartbeat for one, waits for it."""

LEAST_ALLOWED = 512 << 10
"""Encoded bytes that may be on their way in any case: twice what a link of 12 MB/s and 20 ms carries."""
ALLOWED_S = 2.0
"""Else as much as the link takes in this time, and never more than the node's credit: all that is on its way is sent
although a newer save has made it useless.
"""
RATE_S = 1.0
"""The time over which the link's rate is measured."""

STARVED_S = 0.1
STARVED_BYTES = 1 << 20
"""With less on its way than the link takes in that time, and so much, the link waits for the encoder: bytes go as they
are."""
MOST_STARVED = 3 / 8
"""That never needs more than this part of the node's window, nor than half of what is allowed: grants of a fast link
come every quarter of a window only."""


class Flow:
    """The bytes of one transfer."""

    def __init__(self) -> None:
        self._limit = EAGER_BYTES
        self._taken = 0
        """Encoded bytes that the node has taken in, as far as it has said."""
        self._grants: deque[tuple[float, int]] = deque()
        """When the node had taken in how many encoded bytes; RATE_S back, and one more."""
        self._sent = 0
        """Encoded bytes."""
        self._room = asyncio.Event()
        self._in_flight: deque[tuple[int, int]] = deque()
        """For each message that the node has not granted anew yet: where it ends, encoded and plain, in bytes."""
        self._plain = 0
        self.arrived = 0
        """Plain bytes of the chunks that the node has taken in."""
        self.restart()

    def restart(self) -> None:
        """Measure the rate from now on: what kept the node from taking anything in is over."""
        self._grants = deque([(time.monotonic(), self._taken)])

    def grant(self, limit: int, taken: int) -> None:
        """The node has taken so much in, and has room for more."""
        self._limit = max(self._limit, limit)
        self._taken = max(self._taken, taken)
        self._grants.append((time.monotonic(), self._taken))
        while len(self._grants) > 2 and self._grants[-1][0] - self._grants[1][0] > RATE_S:
            self._grants.popleft()
        self._room.set()
        while self._in_flight and self._in_flight[0][0] <= self._taken:
            self.arrived = self._in_flight.popleft()[1]

    def sent(self, encoded: int, plain: int) -> None:
        """A message with so many bytes, encoded and plain, has gone."""
        self._sent += encoded
        self._plain += plain
        self._in_flight.append((self._sent, self._plain))

    async def room(self, size: int) -> bool:
        """Wait until so many bytes may be sent; False when the node will not take so many at once: others send, too."""
        while self._sent + size > min(self._limit, self._taken + max(size, self._allowed)):
            if self._sent == self._taken and size > self.window:
                return False
            self._room.clear()
            await self._room.wait()
        return True

    def fits(self, size: int, within: int) -> bool:
        """Whether after `size` more no more than `within` bytes have been sent in all."""
        return self._sent + size <= within

    @property
    def batch_bytes(self) -> int:
        """How large a message should be."""
        return min(LARGEST_BATCH, self.window // 2, max(SMALLEST_BATCH, int(self._rate * BATCH_S)))

    @property
    def window(self) -> int:
        """How far one may run ahead, of a node that many send to less than of others."""
        return max(LEAST_WINDOW_BYTES, self._limit - self._taken)

    @property
    def starving(self) -> bool:
        """Whether the link is faster than the codecs; known after some megabytes."""
        on_its_way = self._sent - self._taken
        enough = min(STARVED_BYTES + int(self._rate * STARVED_S), int(self.window * MOST_STARVED), self._allowed // 2)
        return self._sent > WINDOW_BYTES // 2 and on_its_way < enough

    @property
    def _rate(self) -> float:
        """Bytes that the node has lately taken in a second; in the first second all that it has."""
        (start, before), (end, taken) = self._grants[0], self._grants[-1]
        return (taken - before) / max(end - start, RATE_S)

    @property
    def _allowed(self) -> int:
        """How many bytes may be on their way."""
        return min(WINDOW_BYTES, max(LEAST_ALLOWED, int(self._rate * ALLOWED_S)))
