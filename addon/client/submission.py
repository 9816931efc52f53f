# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing one job to the node: snapshot, plan, chunks, submit; started again from wherever a broken link left it."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..protocol import bitmap, codecs
from ..protocol.blocks import Source
from ..protocol.digest import Buffer
from ..protocol.messages import (
    Codec,
    Grant,
    JobChanged,
    JobSpec,
    Need,
    NodeMessage,
    Offer,
    Refusal,
    Refused,
    Stored,
    Submit,
    Welcome,
    Withdraw,
    as_text,
)
from .bases import Base, Bases, base_of
from .connection import Send
from .counterparts import Counterparts
from .errors import CannotRead, JobRefused, SourceChanged
from .gather import Missing
from .ledger import Entry
from .plan import Plan, make_plan
from .recipe_cache import RecipeCache
from .sender import Sender
from .unpacked import open_source

FULL_DISK_PAUSE_S = 3.0
"""How long to wait before offering files again to a node whose disk was full."""

CHANGED_PAUSE_S = 1.0
"""How long to wait before looking again at files one of which was changed meanwhile: it may still be written to."""

LOOKED_UP = "The node looks up what it has of these files."
"""What is told until the node has answered an offer: it may have gigabytes to copy, or another program to wait for."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far the upload is, in bytes; `rate` in bytes a second."""

    sent: int = 0
    total: int = 0
    rate: float = 0.0
    text: str = ""
    missing: tuple[Missing, ...] = ()
    """Files that are not on this machine: the artist has to say whether to go on without them."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a submission works with."""

    send: Send
    welcome: Callable[[], Welcome | None]
    """The node that is connected now."""
    bases: Bases
    cache: RecipeCache


class Submission:
    """One job on its way. `run` ends when the node has it; `receive` and `link_changed` feed it meanwhile."""

    def __init__(self, entry: Entry, means: Means, on_progress: Callable[[], None]) -> None:
        self.entry = entry
        self.progress = Progress()
        self.accepted = False
        self._means = means
        self._on_progress = on_progress
        self._mail: asyncio.Queue[tuple[NodeMessage, Buffer] | Exception | None] = asyncio.Queue()
        self._blend: Source | None = None
        self._plan: Plan | None = None
        self._before = 0
        """Plain bytes that arrived over earlier connections."""
        self._meter = Meter()

    def receive(self, message: NodeMessage, payload: Buffer) -> None:
        """Take in a message if it concerns this job."""
        match message:
            case Need(manifest=about) | Grant(transfer=about) | Stored(manifest=about) | Refused(about=about):
                concerned = bool(about) and about in (self._manifest, self.entry.job)
            case JobChanged(status=status):
                concerned = status.job == self.entry.job
                self.accepted = self.accepted or concerned
            case _:
                concerned = False
        if concerned:
            self._mail.put_nowait((message, payload))

    def link_changed(self) -> None:
        """The connection was lost or is there (again): start over from what the node has."""
        self._mail.put_nowait(None)

    @property
    def has_snapshot(self) -> bool:
        """Whether the .blend is held."""
        return self._blend is not None

    async def take_snapshot(self) -> None:
        """Hold the .blend as it is now, however long the rest takes. Raises CannotRead."""
        self._blend = await asyncio.to_thread(open_source, Path(self.entry.order.blend))

    async def run(self) -> None:
        """Bring the job to the node. Raises JobRefused with the node's sentence, FilesMissing, CannotRead."""
        while not (self.accepted or await self._attempt()):
            pass

    async def remember(self, node: str) -> None:
        """Keep what the next save of this .blend can be told from, now that the node `node` has this one."""
        if self._plan is None:
            return
        try:
            earlier = await asyncio.to_thread(self._means.bases.get, self.entry.order.blend, node)
            base = await asyncio.to_thread(base_of, self._plan, node, earlier)
            await asyncio.to_thread(self._means.bases.put, self.entry.order.blend, base)
        except (SourceChanged, CannotRead, OSError) as error:
            log.warning("the save cannot be told from the next: %s", error)

    def withdraw(self) -> None:
        """Tell the node that the files will not come after all."""
        if self._manifest:
            self._means.send(Withdraw(self._manifest), None)

    @property
    def _manifest(self) -> str:
        return self._plan.manifest.digest if self._plan is not None else ""

    async def _attempt(self) -> bool:
        """Go as far as the link lets us; True when the node has accepted the job."""
        while (welcome := self._means.welcome()) is None:
            self._say("Waits for the node.")
            await self._mail.get()
        self._empty_mail()
        base = await asyncio.to_thread(self._means.bases.get, self.entry.order.blend, welcome.id)
        try:
            plan = await self._planned(welcome, base)
            usable = set(welcome.codecs) & set(codecs.decodable())
            before = Counterparts(plan, base) if base is not None and Codec.PATCH in usable else None
            sender = Sender(plan, before, usable, self._means.send)
            return await self._bring(plan, base, welcome, sender)
        except SourceChanged as error:
            self.withdraw()  # Else the node would wait for the rest, and with the files that it holds for that, for us.
            self._plan = None  # What stands there now is sent instead.
            self._say(str(error))
            await asyncio.sleep(CHANGED_PAUSE_S)
            return False

    async def _planned(self, welcome: Welcome, base: Base | None) -> Plan:
        assert self._blend is not None
        plan = self._plan
        if plan is None or plan.manifest.blend.recipe.algorithm != welcome.digest:
            self._say("Reads the scene's files.")
            plan = await asyncio.to_thread(
                make_plan,
                self.entry.order,
                self._blend,
                welcome.digest,
                base.payloads if base is not None else None,
                self._means.cache,
            )
            self._plan = plan
        return plan

    async def _bring(self, plan: Plan, base: Base | None, welcome: Welcome, sender: Sender) -> bool:
        """Offer, send and submit; False when it has to be started anew."""
        self._offer(plan, base, welcome)
        eager = await sender.send_eagerly(_changed(plan, base))
        self._means.send(Submit(self._spec(plan)), None)
        self._say(LOOKED_UP)
        sending: asyncio.Task[None] | None = None
        try:
            while True:
                match await self._mail.get():
                    case (Need(limit=limit), bits):
                        missing = set(bitmap.unpack(bytes(bits), len(plan.manifest.chunks)))
                        sender.flow.restart()
                        sender.flow.grant(limit, 0)
                        self._say("")
                        sending = asyncio.create_task(self._send(plan, sender, sorted(missing - eager)))
                    case (Grant(limit=limit, taken=taken), _):
                        sender.flow.grant(limit, taken)
                        self._advance(sender.flow.arrived)
                    case (Stored(), _):
                        self.progress.sent = self.progress.total
                        self._on_progress()
                    case (JobChanged(), _):
                        return True
                    case (Refused() as refused, _):
                        await self._refused(refused)
                        return False
                    case Exception() as error:
                        raise error
                    case None:
                        return False
        finally:
            self._before += sender.flow.arrived
            if sending is not None:
                sending.cancel()

    def _offer(self, plan: Plan, base: Base | None, welcome: Welcome) -> None:
        packed = plan.manifest.packed
        allowed = set(welcome.codecs) & {Codec.RAW, Codec.ZSTD, Codec.PATCH}
        codec, payload = codecs.encode(packed, allowed, base.manifest.packed if base is not None else None)
        known = base.manifest.digest if base is not None and codec == Codec.PATCH else ""
        self._means.send(Offer(plan.manifest.digest, len(packed), codec, known), payload)

    async def _send(self, plan: Plan, sender: Sender, numbers: list[int]) -> None:
        self.progress.total = self._before + sum(
            map(plan.manifest.chunk_length, (plan.manifest.chunks[n] for n in numbers))
        )
        self._on_progress()
        try:
            await sender.send_all(numbers)
        except Exception as error:  # noqa: BLE001 - whoever reads the mail raises it
            self._mail.put_nowait(error)

    async def _refused(self, refused: Refused) -> None:
        """Wait where waiting helps, go on where a new start does. Raises JobRefused for the rest."""
        match refused.reason:
            case Refusal.DISK_FULL:
                self._say(refused.text)
                await asyncio.sleep(FULL_DISK_PAUSE_S)
            case Refusal.BASE_MISSING:
                self._means.bases.forget(self.entry.order.blend)
            case Refusal.FILE_MISSING:
                pass
            case _:
                raise JobRefused(refused.text)

    def _spec(self, plan: Plan) -> JobSpec:
        order = self.entry.order
        return JobSpec(
            job=order.job,
            title=order.title,
            manifest=plan.manifest.digest,
            scene=order.scene,
            frames=order.frames,
            group=as_text(order.group),
            created=self.entry.created,
            draft=order.draft,
            order=order.order,
            current=order.current,
            split=order.split,
            priority=order.priority,
            engine=order.engine,
        )

    def _advance(self, arrived: int) -> None:
        self.progress.sent = min(self.progress.total, self._before + arrived)
        self.progress.rate = self._meter.rate(self.progress.sent, time.monotonic())
        self._on_progress()

    def _say(self, text: str) -> None:
        self.progress.text = text
        self._on_progress()

    def _empty_mail(self) -> None:
        while not self._mail.empty():
            self._mail.get_nowait()


def _changed(plan: Plan, base: Base | None) -> list[int]:
    """Numbers of the chunks that the earlier save did not have; none when there is no earlier one to compare with."""
    if base is None:
        return []
    known = base.manifest.places
    return [number for number, chunk in enumerate(plan.manifest.chunks) if chunk not in known]


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
