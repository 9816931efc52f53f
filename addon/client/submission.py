# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing one job to the node: snapshot, digest, upload, submit; started again from wherever a broken link left it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..protocol.limits import WINDOW_BYTES
from ..protocol.messages import (
    Grant,
    JobChanged,
    JobSpec,
    NodeMessage,
    Offer,
    Piece,
    Refusal,
    Refused,
    Stored,
    Submit,
    Want,
    Withdraw,
)
from ..protocol.paths import safe_component
from ..protocol.transfer import Outgoing
from .errors import JobRefused
from .ledger import Entry
from .snapshot import Snapshot

FULL_DISK_PAUSE_S = 10.0
"""How long to wait before offering a file again to a node whose disk was full."""
Send = Callable[..., None]
"""Connection.send."""


@dataclass(slots=True)
class Progress:
    """How far the upload is, in bytes; `rate` in bytes a second."""

    sent: int = 0
    total: int = 0
    rate: float = 0.0
    text: str = ""


class Submission:
    """One job on its way. `run` ends when the node has it; `receive` and `link_changed` feed it meanwhile."""

    def __init__(self, entry: Entry, send: Send, linked: Callable[[], bool], on_progress: Callable[[], None]) -> None:
        self.entry = entry
        self.progress = Progress()
        self._send = send
        self._linked = linked
        self._on_progress = on_progress
        self._mail: asyncio.Queue[NodeMessage | None] = asyncio.Queue()
        self.accepted = False
        self._snapshot: Snapshot | None = None
        self._digest = ""
        self._meter = Meter()

    def receive(self, message: NodeMessage) -> None:
        """Take in a message if it concerns this job."""
        match message:
            case Want(transfer=about) | Grant(transfer=about) | Stored(digest=about) | Refused(about=about):
                concerned = about in (self._digest, self.entry.job)
            case JobChanged(status=status):
                concerned = status.job == self.entry.job
                self.accepted = self.accepted or concerned
            case _:
                concerned = False
        if concerned:
            self._mail.put_nowait(message)

    def link_changed(self) -> None:
        """The connection was lost or is there (again): start over from what the node has."""
        self._mail.put_nowait(None)

    async def take_snapshot(self) -> None:
        """Hold the file as it is now, however long the rest takes. Raises CannotRead."""
        self._snapshot = await asyncio.to_thread(Snapshot, Path(self.entry.order.blend))

    async def run(self) -> None:
        """Bring the snapshot to the node. Raises JobRefused with the node's sentence."""
        assert self._snapshot is not None
        self.progress.total = self._snapshot.size
        self._digest = await asyncio.to_thread(self._snapshot.digest)
        while not (self.accepted or await self._attempt()):
            pass

    def withdraw(self) -> None:
        """Tell the node that the file will not come after all."""
        if self._digest:
            self._send(Withdraw(self._digest))

    async def _attempt(self) -> bool:
        """Go as far as the link lets us; True when the node has accepted the job."""
        while not self._linked():
            self._say("Waits for the node.")
            await self._mail.get()
        self._empty_mail()
        assert self._snapshot is not None
        self._send(Offer(self._digest, self._snapshot.size))
        return await self._upload() and await self._submit()

    async def _upload(self) -> bool:
        """Send what the node wants until it has all of it; False when the link broke or the node wants a new start.

        After a broken link the node may turn out to have the job already; saying so again does no harm.
        """
        assert self._snapshot is not None
        outgoing = Outgoing(self._snapshot.size)
        self._say("")
        while True:
            match await self._mail.get():
                case Want(offset=offset, limit=limit):
                    outgoing.want(offset, limit)
                    self._advance(offset)
                    self._pump(outgoing)
                case Grant(limit=limit):
                    outgoing.grant(limit)
                    self._advance(limit - WINDOW_BYTES)
                    self._pump(outgoing)
                case Stored():
                    self._advance(self._snapshot.size)
                    return True
                case JobChanged():
                    return True
                case Refused() as refused:
                    await self._refused(refused)
                    return False
                case None:
                    return False

    async def _submit(self) -> bool:
        self._send(Submit(self._spec()))
        while True:
            match await self._mail.get():
                case JobChanged():
                    return True
                case Refused() as refused:
                    await self._refused(refused)
                    return False
                case None:
                    return False

    async def _refused(self, refused: Refused) -> None:
        """Wait where waiting helps, go on where a new start does. Raises JobRefused for the rest."""
        if refused.reason == Refusal.DISK_FULL:
            self._say(refused.text)
            await asyncio.sleep(FULL_DISK_PAUSE_S)
        elif refused.reason != Refusal.FILE_MISSING:
            raise JobRefused(refused.text)

    def _pump(self, outgoing: Outgoing) -> None:
        assert self._snapshot is not None
        while (piece := outgoing.next_piece()) is not None:
            offset, length = piece
            self._send(Piece(self._digest, offset), self._snapshot.bytes[offset : offset + length])

    def _spec(self) -> JobSpec:
        assert self._snapshot is not None
        order = self.entry.order
        return JobSpec(
            job=order.job,
            title=order.title,
            blend=safe_component(Path(order.blend).name, "untitled.blend"),
            digest=self._digest,
            size=self._snapshot.size,
            scene=order.scene,
            frames=order.frames,
            group=order.group,
            created=self.entry.created,
        )

    def _advance(self, received: int) -> None:
        self.progress.sent = max(self.progress.sent, received)
        self.progress.rate = self._meter.rate(self.progress.sent, time.monotonic())
        self._on_progress()

    def _say(self, text: str) -> None:
        self.progress.text = text
        self._on_progress()

    def _empty_mail(self) -> None:
        while not self._mail.empty():
            self._mail.get_nowait()


class Meter:
    """Bytes a second over the last two seconds or so."""

    SPAN_S = 2.0

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = []

    def rate(self, total: int, now: float) -> float:
        """Note that `total` bytes have gone at the time `now`; return the rate."""
        self._marks.append((now, total))
        while len(self._marks) > 2 and now - self._marks[1][0] > self.SPAN_S:
            del self._marks[0]
        start, before = self._marks[0]
        return (total - before) / (now - start) if now > start else 0.0
