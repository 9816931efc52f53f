# SPDX-License-Identifier: GPL-3.0-or-later
"""Chunks on their way: read, encoded and batched in threads, sent in order as far as the node's credit goes."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence

from ..protocol import codecs
from ..protocol.digest import Buffer
from ..protocol.limits import EAGER_BYTES, WINDOW_BYTES
from ..protocol.messages import ChunkHead, Chunks, Codec
from .connection import Send
from .counterparts import Counterparts
from .plan import Plan

SMALLEST_BATCH, LARGEST_BATCH = 128 << 10, 4 << 20
"""Bytes of chunks, before encoding, that make one message. On loopback 4 MiB are a third faster than 1."""
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

BATCH_CHUNKS = 2000
"""A message's header has room for some 2,800 heads of chunks, and a scene may have as many small files."""

AHEAD = 3
"""Batches that are encoded while one is being sent: keeps two cores busy, and costs some megabytes."""

STARVED_BYTES = 6 << 20
"""With less than this on its way, and less than half of what is allowed, the link waits for the encoder, and bytes go
as they are: grants may come every 4 MiB only.
"""

Batch = tuple[tuple[ChunkHead, ...], Buffer]


class Sender:
    """Sends the chunks of one plan over one connection."""

    def __init__(self, plan: Plan, before: Counterparts | None, allowed: Collection[Codec], send: Send) -> None:
        """`before`: what the node has of the save before."""
        self._plan = plan
        self._before = before
        self._allowed = frozenset(allowed)
        self._send = send
        self._limit = WINDOW_BYTES
        self._grants: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        """When the node had taken in how many encoded bytes; RATE_S back, and one more."""
        self._sent = 0
        """Encoded bytes."""
        self._room = asyncio.Event()
        self._in_flight: deque[tuple[int, int]] = deque()
        """For each batch that the node has not granted anew yet: where it ends, encoded and plain, in bytes."""
        self._plain = 0
        self.arrived = 0
        """Plain bytes of the chunks that the node has taken in."""

    def grant(self, limit: int) -> None:
        """The node has room for more."""
        self._limit = max(self._limit, limit)
        self._grants.append((time.monotonic(), self._taken))
        while len(self._grants) > 2 and self._grants[-1][0] - self._grants[1][0] > RATE_S:
            self._grants.popleft()
        self._room.set()
        while self._in_flight and self._in_flight[0][0] <= self._taken:
            self.arrived = self._in_flight.popleft()[1]

    @property
    def _taken(self) -> int:
        """Encoded bytes that the node has taken in, as far as it has said."""
        return self._limit - WINDOW_BYTES

    @property
    def _rate(self) -> float:
        """Bytes that the node has lately taken in a second; in the first second all that it has."""
        (start, before), (end, taken) = self._grants[0], self._grants[-1]
        return (taken - before) / max(end - start, RATE_S)

    @property
    def _allowed_bytes(self) -> int:
        """How many may be on their way."""
        return min(WINDOW_BYTES, max(LEAST_ALLOWED, int(self._rate * ALLOWED_S)))

    @property
    def _batch_bytes(self) -> int:
        return min(LARGEST_BATCH, max(SMALLEST_BATCH, int(self._rate * BATCH_S)))

    @property
    def _starving(self) -> bool:
        """Whether the link is faster than the codecs; known after some megabytes."""
        on_its_way = self._sent - self._taken
        return self._sent > WINDOW_BYTES // 2 and on_its_way < min(STARVED_BYTES, self._allowed_bytes // 2)

    async def send_eagerly(self, numbers: Sequence[int]) -> set[int]:
        """Send, unasked, what fits into EAGER_BYTES; return the numbers that went.

        Raises SourceChanged, CannotRead or OSError, here and below.
        """
        gone: set[int] = set()
        for group in self._groups(numbers, lambda: SMALLEST_BATCH):
            batch = await asyncio.to_thread(self._encode, group)
            if self._sent + len(batch[1]) > EAGER_BYTES:
                break
            self._post(group, batch)
            gone.update(group)
        return gone

    async def send_all(self, numbers: Sequence[int]) -> None:
        """Send these chunks."""
        groups = self._groups(numbers, lambda: self._batch_bytes)
        ahead: deque[tuple[list[int], asyncio.Task[Batch]]] = deque()
        try:
            while True:
                while len(ahead) < AHEAD and (group := next(groups, None)) is not None:
                    ahead.append((group, asyncio.create_task(asyncio.to_thread(self._encode, group, self._starving))))
                if not ahead:
                    return
                group, encoding = ahead[0]
                batch = await encoding
                ahead.popleft()
                await self._wait_for_room(len(batch[1]))
                self._post(group, batch)
        finally:
            for _, encoding in ahead:
                encoding.cancel()

    def _post(self, group: Sequence[int], batch: Batch) -> None:
        heads, payload = batch
        self._send(Chunks(self._plan.manifest.digest, heads), payload)
        self._sent += len(payload)
        self._plain += sum(map(self._length, group))
        self._in_flight.append((self._sent, self._plain))

    async def _wait_for_room(self, size: int) -> None:
        while self._sent + size > min(self._limit, self._taken + max(size, self._allowed_bytes)):
            self._room.clear()
            await self._room.wait()

    def _groups(self, numbers: Sequence[int], most: Callable[[], int]) -> Iterator[list[int]]:
        group: list[int] = []
        size = 0
        for number in numbers:
            length = self._length(number)
            if group and (size + length > most() or len(group) == BATCH_CHUNKS):
                yield group
                group, size = [], 0
            group.append(number)
            size += length
        if group:
            yield group

    def _length(self, number: int) -> int:
        return self._plan.manifest.chunk_length(self._plan.manifest.chunks[number])

    def _encode(self, group: Sequence[int], raw: bool = False) -> Batch:
        heads, parts = [], []
        encoder = codecs.Encoder(() if raw else self._allowed)
        for number in group:
            chunk = self._plan.manifest.chunks[number]
            before = self._before.find(chunk) if self._before is not None and not raw else None
            base, prefix = before or (b"", None)
            codec, encoded = encoder.encode(self._plan.read(chunk), prefix)
            heads.append(ChunkHead(number, len(encoded), codec, base.hex() if codec == Codec.PATCH else ""))
            parts.append(encoded)
        return tuple(heads), parts[0] if len(parts) == 1 else b"".join(parts)
