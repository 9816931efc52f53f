# SPDX-License-Identifier: GPL-3.0-or-later
"""What artists are sending: from an offer to files that lie verified on the disk.

Each offer is one coroutine that takes its chunks from a queue in the order in which they came; everything that touches
the disk or decodes runs in a thread. The client keeps to a credit in bytes, which bounds the queue.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from addon.protocol import bitmap, codecs
from addon.protocol.digest import Buffer
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.manifest import Manifest
from addon.protocol.messages import Chunks, Grant, Need, NodeMessage, Offer, Refusal, Stored

from .background import in_thread, surely_in_thread
from .credit import Credit, Share
from .disk import refusal
from .errors import RequestRefused
from .store import FileBusy, NoRoom, Receipt, Store

Say = Callable[[NodeMessage, bytes | None], object]
"""Sends a message, and its payload if it has one, to the client whose upload it is."""

MakeRoom = Callable[[str, int], Awaitable[bool]]
"""Evicts so many bytes for a manifest, by its digest, of what no job needs; whether there are so many."""

Admit = Callable[[str, Manifest], Awaitable[None]]
"""Raises RequestRefused where an owner's files would be more than he may have here."""


@dataclass(slots=True, eq=False)
class Upload:
    """One offer under way."""

    manifest: str
    mail: "asyncio.Queue[tuple[Chunks, Buffer]]" = field(default_factory=asyncio.Queue)
    received: int = 0
    """Encoded bytes so far."""
    share: Share = field(default_factory=Share)
    withdrawn: bool = False
    stored: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    def take(self, message: Chunks, payload: Buffer) -> None:
        """Queue chunks. Raises RemoteProtocolError beyond the credit."""
        self.received += len(payload)
        if self.received > self.share.limit or sum(head.size for head in message.chunks) != len(payload):
            raise RemoteProtocolError("Chunks that are more than was asked for, or cut wrong.")
        self.mail.put_nowait((message, payload))

    def stop(self, withdrawn: bool = False) -> None:
        """End it: by the client's wish, or because the client is gone."""
        self.withdrawn = withdrawn
        self.ended.set()  # A task that is cancelled before its first step does nothing at all.
        if self.task is not None:
            self.task.cancel()


class Uploads:
    """Brings offers into the store."""

    def __init__(self, store: Store, folder: Path, admit: Admit, make_room: MakeRoom) -> None:
        """`folder`: any on the store's disk."""
        self._store = store
        self._folder = folder
        self._admit = admit
        self._make_room = make_room
        self._credit = Credit()
        self._turn = asyncio.Condition()
        self._ended = 0
        self._beginning: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By artist. Else, of two saves that share two files, each could get hold of one and give way to the other:
        both would wait for an end that never comes."""

    async def receive(self, upload: Upload, owner: str, offer: Offer, payload: Buffer, say: Say) -> None:
        """See one offer through. Raises RequestRefused; RemoteProtocolError for a client that breaks the protocol."""
        size = 0
        try:
            manifest = await in_thread(self._manifest, offer, payload)
            size = manifest.size
            await self._admit(owner, manifest)
            async with self._receipt(upload, manifest, owner) as receipt:
                await self._fill(upload, owner, receipt, manifest, say)
                await in_thread(receipt.finish)
            upload.stored = True
            say(Stored(manifest.digest), None)
        except OSError as error:
            raise refusal(error, self._folder, size) from error
        finally:
            upload.ended.set()
            async with self._turn:
                self._ended += 1
                self._turn.notify_all()

    def _manifest(self, offer: Offer, payload: Buffer) -> Manifest:
        base = None
        if offer.base:
            known = self._store.manifest(offer.base)
            if known is None:
                raise RequestRefused(Refusal.BASE_MISSING, "The node does not have the earlier save any more.")
            base = known.packed
        packed = codecs.decode(offer.codec, payload, offer.size, base)
        manifest = Manifest.unpack(bytes(packed))
        if manifest.digest != offer.manifest:
            raise RemoteProtocolError("A manifest that is not what it was said to be.")
        return manifest

    @asynccontextmanager
    async def _receipt(self, upload: Upload, manifest: Manifest, owner: str) -> AsyncIterator[Receipt]:
        """Open the store for these files, after every other program of this artist that is sending one of them."""
        opened: list[Receipt] = []  # Filled by the thread: it has to be closed also if we are cancelled meanwhile.
        full = False
        try:
            while not opened:
                ended = self._ended
                try:
                    async with self._beginning.setdefault(owner, asyncio.Lock()):
                        await in_thread(lambda: opened.append(self._store.begin(manifest, owner)))
                except FileBusy:
                    async with self._turn:
                        await self._turn.wait_for(lambda ended=ended: self._ended != ended)  # type: ignore[misc]
                except NoRoom as error:
                    if full or not await self._make_room(manifest.digest, error.lacking):
                        raise
                    full = True
            yield opened[0]
        finally:
            for receipt in opened:
                await surely_in_thread(receipt.abandon if upload.withdrawn else receipt.close)

    async def _fill(self, upload: Upload, owner: str, receipt: Receipt, manifest: Manifest, say: Say) -> None:
        if receipt.complete:
            return
        share = upload.share

        def grant() -> None:
            say(Grant(manifest.digest, share.limit, share.taken), None)

        async with self._credit.share(share, owner, grant):
            say(Need(manifest.digest, share.limit), bitmap.pack(receipt.missing, len(manifest.chunks)))
            while not receipt.complete:
                message, payload = await upload.mail.get()
                await in_thread(_put, receipt, message, payload)
                self._credit.taken(share, len(payload), idle=upload.mail.empty())


def _put(receipt: Receipt, message: Chunks, payload: Buffer) -> None:
    view, at = memoryview(payload), 0
    for head in message.chunks:
        receipt.put(head.number, head.codec, view[at : at + head.size], bytes.fromhex(head.base))
        at += head.size
