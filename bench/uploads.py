# SPDX-License-Identifier: GPL-3.0-or-later
"""Relay Render's own way of bringing a save to a node, with a clock: the client as Blender starts it, and a real node.

The clock runs from the order, which the client reads on its stdin, until the node has accepted the job and may start
it. That is told by a witness, a second session at the node itself and behind no link: the artist's own panel hears of
it half a round trip later, and then not more often than it redraws.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from addon.client.observer import Observer
from addon.protocol.address import parse_address
from server.blenders import Blender
from tests.system.harness import ClientProcess, NodeProcess, introduce

from .links import Link, Relay, Traffic

PATIENCE_S = 600.0
QUIET_S = 0.3
QUIET_CPU_S = 0.02
"""Processes are at rest when all of them together compute less than this in QUIET_S."""

ON_ITS_WAY = frozenset({"waiting", "uploading"})
FINISHED = frozenset({"done", "failed", "cancelled", "superseded"})


@dataclass(frozen=True)
class Upload:
    """One save that was brought to the node."""

    seconds: float
    """From the order until the node may start."""
    traffic: Traffic
    """In that time, bytes; zero where no link was emulated."""


class Witness:
    """Notes when a node accepts jobs, from a thread of its own."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._seen: dict[str, float] = {}
        self._news = threading.Condition()
        self._loop = asyncio.SelectorEventLoop()
        self._task = self._loop.create_task(self._watch())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(PATIENCE_S), f"{address} does not answer"

    def accepted(self, job: str) -> float:
        """Wait until the node has accepted the job; return when that was (time.perf_counter())."""
        with self._news:
            known = self._news.wait_for(lambda: job in self._seen or not self._thread.is_alive(), PATIENCE_S)
            assert known and job in self._seen, f"the node at {self._address} has not accepted the job"
            return self._seen[job]

    def close(self) -> None:
        """Leave the node."""
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError), contextlib.closing(self._loop):
            self._loop.run_until_complete(self._task)

    async def _watch(self) -> None:
        async with Observer.at(parse_address(self._address)) as observer:
            self._ready.set()
            while True:
                await observer.news()
                now = time.perf_counter()
                with self._news:
                    for job in observer.jobs:
                        self._seen.setdefault(job, now)
                    self._news.notify_all()


class Sender:
    """An artist's client that is connected to a node."""

    def __init__(self, node: NodeProcess, client: ClientProcess, witness: Witness, relay: Relay | None) -> None:
        assert node.process is not None
        self.node_pid = node.process.pid
        self.client_pid = client.process.pid
        self._node = node
        self._client = client
        self._witness = witness
        self._relay = relay

    def upload(self, path: Path, uses: Sequence[Path] = ()) -> Upload:
        """Order a frame of a save; return when both sides are at rest again. The job is cancelled once it is there."""
        before = self._traffic()
        began = time.perf_counter()
        job = self._order(path, uses)
        seconds = self._witness.accepted(job) - began
        traffic = self._traffic() - before
        # The artist's client has to hear of it before it may forget the job: it keeps what the next save is told from.
        self._until(job, lambda state: state not in ON_ITS_WAY)
        self._client.send(command="cancel", job=job)
        self._until(job, lambda state: state in FINISHED)
        self.rest()
        return Upload(seconds, traffic)

    def render(self, path: Path, uses: Sequence[Path] = ()) -> None:
        """Have a frame of a save rendered with all that it uses, and brought home."""
        job = self._order(path, uses)
        done = self._client.until(lambda line: line.get("job") == job and line.get("state") in FINISHED, PATIENCE_S)
        assert (done["state"], done["notices"], done["delivered"]) == ("done", [], 1), done

    def rest(self) -> None:
        """Wait until neither side computes any more, and the disk has all that was written."""
        before = self._cpu_s()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            time.sleep(QUIET_S)
            now = self._cpu_s()
            if now - before < QUIET_CPU_S:
                break
            before = now
        os.sync()

    def _order(self, path: Path, uses: Sequence[Path]) -> str:
        needed = [{"path": str(each), "owner": f'Image "{each.name}"', "kind": "file"} for each in uses]
        return self._client.render(path, path.parent / "frames", trigger="save", dependencies=needed)

    def _until(self, job: str, holds: Callable[[str], bool]) -> None:
        self._client.until(lambda line: line["event"] == "job" and line["job"] == job and holds(line["state"]))

    def _traffic(self) -> Traffic:
        return self._relay.traffic() if self._relay is not None else Traffic(0, 0)

    def _cpu_s(self) -> float:
        total = 0.0
        for process in (psutil.Process(self.client_pid), psutil.Process(self.node_pid), *self._node.blenders()):
            with contextlib.suppress(psutil.NoSuchProcess):  # A Blender whose job was cancelled.
                times = process.cpu_times()
                total += times.user + times.system
        return total


@contextlib.contextmanager
def sender(blender: Blender, folder: Path, link: Link | None = None) -> Iterator[Sender]:
    """A node that has just started and knows nothing, and a client that is connected to it; `folder` must be new."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        node = NodeProcess(folder / "node", blender)
        stack.callback(node.close)
        relay = stack.enter_context(Relay(link, node.port)) if link is not None else None
        if relay is not None:
            introduce(node.port, relay.port)
        witness = Witness(node.address)
        stack.callback(witness.close)
        client = ClientProcess(folder / "client")
        stack.callback(client.close)
        client.send(command="configure", address=f"127.0.0.1:{relay.port}" if relay else node.address)
        client.until(lambda line: line["event"] == "connection" and line["state"] == "connected")
        ours = Sender(node, client, witness, relay)
        ours.rest()
        yield ours
