# SPDX-License-Identifier: GPL-3.0-or-later
"""A node, an artist's client and the link between them: what can be done to each, and all that happens as one queue."""

import contextlib
import os
import queue
import random
import signal
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from server.blenders import Blender
from tests.system.harness import ClientProcess, Line, NodeProcess

from .faults import Event, Fault, Plan
from .shots import Shot
from .small_disk import SmallDisk, why_no_small_disk
from .wire import Wire

DISK_BYTES = 96 << 20
"""Of the node's data: the small jobs of a run take a fraction of it, and it is quickly filled."""

Happened = Line | Event
_ENDED = None
"""In the queue: the client's output has come to its end."""


class Wrong(Exception):
    """Something that must not happen has happened."""


class Stage:
    """Everything of one run, in `folder`."""

    def __init__(self, blender: Blender, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.why_no_disk = why_no_small_disk()
        self.disk = None if self.why_no_disk else SmallDisk(folder / "disk", DISK_BYTES)
        self._data = folder / "disk" / "node" if self.disk else folder / "node"
        self.node = NodeProcess(
            self._data, blender, "--spares=1", within=self.disk.within if self.disk else (), log=folder / "node.log"
        )
        self._happened: queue.SimpleQueue[Happened | None] = queue.SimpleQueue()
        self.wire = Wire(self.node.port, self._happened.put)
        self._not_taken: dict[str, Callable[[], None]] = {}
        """Orders that the client has not said a word about yet."""
        self._told: Counter[tuple[str, str]] = Counter()
        """What this client has told to be delivered: job and path."""
        self.client = self._start_client()

    @property
    def data(self) -> Path:
        """The node's data, for who looks from outside."""
        return self.disk.seen / "node" if self.disk else self._data

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(ProcessLookupError):
            for pid in (self.client.process.pid, self._node_pid):
                os.kill(pid, signal.SIGCONT)
        self.wire.restore()
        self.client.close()
        self.wire.close()
        try:
            self.node.close()
        finally:
            if self.disk is not None:
                self.disk.close()

    def order(self, shot: Shot, frames: int, folder: Path) -> str:
        """Hand a job over, as the artist's window does: again to the next client if this one dies before it took it."""
        job = uuid.uuid4().hex

        def hand_over() -> None:
            self.client.render(shot.blend, folder, f"1-{frames}", job=job, dependencies=shot.dependencies)

        self._not_taken[job] = hand_over
        hand_over()
        return job

    def next(self, patience_s: float) -> Happened:
        """Wait for what happens next. Raises queue.Empty, and Wrong for what must not happen in any round."""
        happened = self._happened.get(timeout=max(0.0, patience_s))
        if happened is None:
            raise Wrong(f"the client ended by itself with {self.client.process.wait()}")
        self._note(happened)
        return happened

    def _note(self, happened: Happened) -> None:
        if isinstance(happened, Event):
            return
        if happened["event"] == "job":
            self._not_taken.pop(happened["job"], None)
        if happened["event"] != "delivered":
            return
        frame = happened["job"], happened["path"]
        self._told[frame] += 1
        if self._told[frame] > 1:
            raise Wrong(f"{Path(frame[1]).name} was told to be delivered {self._told[frame]} times")

    # Faults

    def inflict(self, plan: Plan) -> Callable[[], None] | None:
        """Do it; return what ends it, which may be called again, or None where there was nobody to do it to."""
        chance = random.Random(plan.dice)  # noqa: S311 - repeatable is the point
        end: Callable[[], None] | None = _nothing
        match plan.fault:
            case Fault.KILL_NODE:
                self.node.kill()
                self.node.start()
            case Fault.KILL_CLIENT:
                self._kill_client()
            case Fault.KILL_WORKER:
                end = _nothing if _signal(self._a_worker(chance), signal.SIGKILL) else None
            case Fault.STOP_WORKER:
                end = _stop(self._a_worker(chance))
            case Fault.STOP_NODE | Fault.SILENCE:
                end = _stop(self._node_pid)
            case Fault.STOP_CLIENT:
                end = _stop(self.client.process.pid)
            case Fault.FULL_DISK:
                assert self.disk is not None
                self.disk.fill()
                end = self.disk.make_room
            case _:
                end = self._spoil_link(plan)
        return end

    def _spoil_link(self, plan: Plan) -> Callable[[], None]:
        match plan.fault:
            case Fault.DOWN:
                self.wire.down()
            case Fault.SLOW:
                self.wire.slow(plan.rate)
            case _:
                self.wire.cut()
        return self.wire.restore

    @property
    def _node_pid(self) -> int:
        assert self.node.process is not None
        return self.node.process.pid

    def _a_worker(self, chance: random.Random) -> int | None:
        """One of the Blenders, or of what stands between them and the node."""
        found = psutil.Process(self._node_pid).children(recursive=True)
        return chance.choice(sorted(found, key=lambda each: each.pid)).pid if found else None

    def _kill_client(self) -> None:
        self.client.kill()
        while (happened := self._happened.get()) is not _ENDED:  # What it had said counts.
            self._note(happened)
        self._told.clear()
        self.client = self._start_client()
        for hand_over in self._not_taken.values():
            hand_over()

    def _start_client(self) -> ClientProcess:
        client = ClientProcess(self.folder / "client", self._happened)
        client.send(command="configure", address=f"127.0.0.1:{self.wire.port}")
        return client


def _nothing() -> None:
    """What ends a fault that does not last."""


def _signal(pid: int | None, number: int) -> bool:
    """Whether there was somebody to send it to."""
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _stop(pid: int | None) -> Callable[[], None] | None:
    if not _signal(pid, signal.SIGSTOP):
        return None

    def go_on() -> None:
        _signal(pid, signal.SIGCONT)

    return go_on
