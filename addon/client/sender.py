# SPDX-License-Identifier: GPL-3.0-or-later
"""Chunks on their way: read, encoded and batched in threads, sent in order as far as the node's credit goes."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence

from ..protocol import codecs
from ..protocol.digest import Buffer
from ..protocol.limits import EAGER_BYTES
from ..protocol.messages import ChunkHead, Chunks, Codec
from .connection import Send
from .counterparts import Counterparts
from .flow import Flow
from .plan import Plan

BATCH_CHUNKS = 2000
"""A message's header has room for some 2,800 heads of chunks, and a scene may have as many small files."""

EAGER_BATCH = 128 << 10
"""Of what is sent unasked, so that nearly all of what may go does."""

AHEAD = 3
"""Batches that are encoded while one is being sent: keeps two cores busy, and costs some megabytes."""

Batch = tuple[tuple[ChunkHead, ...], Buffer]


class Sender:
    """Sends the chunks of one plan over one connection."""

    def __init__(self, plan: Plan, before: Counterparts | None, allowed: Collection[Codec], send: Send) -> None:
        """`before`: what the node has of the save before."""
        self._plan = plan
        self._before = before
        self._allowed = frozenset(allowed)
        self._send = send
        self.flow = Flow()

    async def send_eagerly(self, numbers: Sequence[int]) -> set[int]:
        """Send, unasked, what fits into EAGER_BYTES; return the numbers that went.

        Raises SourceChanged, CannotRead or OSError, here and below.
        """
        gone: set[int] = set()
        for group in self._groups(numbers, lambda: EAGER_BATCH):
            batch = await asyncio.to_thread(self._encode, group)
            if not self.flow.fits(len(batch[1]), EAGER_BYTES):
                break
            self._post(group, batch)
            gone.update(group)
        return gone

    async def send_all(self, numbers: Sequence[int]) -> None:
        """Send these chunks."""
        groups = self._groups(numbers, lambda: self.flow.batch_bytes)
        ahead: deque[tuple[list[int], asyncio.Task[Batch]]] = deque()
        try:
            while True:
                while len(ahead) < AHEAD and (group := next(groups, None)) is not None:
                    encoding = asyncio.to_thread(self._encode, group, self.flow.starving)
                    ahead.append((group, asyncio.create_task(encoding)))
                if not ahead:
                    return
                group, task = ahead[0]
                batch = await task
                ahead.popleft()
                if await self.flow.room(len(batch[1])):
                    self._post(group, batch)
                    continue
                for number, single in zip(group, _singles(batch), strict=True):
                    await self.flow.room(len(single[1]))
                    self._post([number], single)
        finally:
            for _, task in ahead:
                task.cancel()

    def _post(self, group: Sequence[int], batch: Batch) -> None:
        heads, payload = batch
        self._send(Chunks(self._plan.manifest.digest, heads), payload)
        self.flow.sent(len(payload), sum(map(self._length, group)))

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
        heads, payload = [], bytearray()  # Pieces that are joined would be in memory twice.
        encoder = codecs.Encoder(() if raw else self._allowed)
        for number in group:
            chunk = self._plan.manifest.chunks[number]
            before = self._before.find(chunk) if self._before is not None and not raw else None
            base, prefix = before or (b"", None)
            codec, encoded = encoder.encode(self._plan.read(chunk), prefix)
            heads.append(ChunkHead(number, len(encoded), codec, base.hex() if codec == Codec.PATCH else ""))
            if len(group) == 1:
                return tuple(heads), encoded
            payload += encoded
        return tuple(heads), payload


def _singles(batch: Batch) -> Iterator[Batch]:
    """The same chunks, each for itself."""
    heads, payload = batch
    at = 0
    for head in heads:
        yield (head,), memoryview(payload)[at : at + head.size]
        at += head.size
