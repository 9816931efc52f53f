# SPDX-License-Identifier: GPL-3.0-or-later
"""A hundred clients that upload and watch at once: none is dropped, and none gets more of the node than another."""

import asyncio
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import zmq.asyncio

from addon.keyring import KeyPair
from addon.protocol import codec
from addon.protocol.digest import BLAKE2B, chunk_digest
from addon.protocol.limits import HEARTBEAT_S, MAX_CHUNK_BYTES
from addon.protocol.manifest import FileEntry, Manifest
from addon.protocol.messages import (
    ChunkHead,
    Chunks,
    Codec,
    Grant,
    JobChanged,
    Need,
    Offer,
    Ping,
    Ready,
    Refused,
    Stored,
)
from addon.protocol.recipe import Recipe
from server.blenders import Blender
from tests.system.harness import ClientProcess, NodeProcess

from ..measures import Measure
from ..memory import Growth, why_no_memory
from .dealer import Door, invite
from .mutation import hello
from .shots import Shots

CLIENTS = 100
FILE_BYTES = 48 << 20
"""Each client brings one of this size; together 5 GB. When the first is done, each is a window (2 MiB) ahead or not: of
half as much that alone is 10%.
"""

PATIENCE_S = 300.0
UNEVEN = 0.2
"""The limit that the project set itself: nobody gets so much more or less than the mean."""

MOST = Measure(
    f"{CLIENTS} clients upload at once: the most that one gets beyond the mean", "ratio", "a limit", limit=UNEVEN
)
LEAST = Measure("The most that one gets less than the mean", "ratio", "a limit", limit=UNEVEN)
DROPPED = Measure("Clients that the node dropped meanwhile", "clients", "a limit", limit=0)
MEMORY = Measure("Memory that the node takes for them", "MB", "their credit together, 268 MB")
THROUGHPUT = Measure("What the node takes in from them together", "MB/s", "nothing")
FIGURES = (MOST, LEAST, DROPPED, MEMORY, THROUGHPUT)


def run(blender: Blender, seed: int, clients: int = CLIENTS, size: int = FILE_BYTES) -> Iterator[Measure]:
    """Measure from when all may send until the first has brought all."""
    with tempfile.TemporaryDirectory(prefix="relay-load-", ignore_cleanup_errors=True) as folder:
        guests = invite(
            clients, Path(folder) / "node", manages=True
        )  # Else they would hear nothing of the artist's job.
        node = NodeProcess(Path(folder) / "node", blender)
        artist = ClientProcess(Path(folder) / "client")
        try:
            _render_meanwhile(artist, node, Shots(blender, Path(folder) / "shots"), Path(folder))
            yield from _measure(node, guests, size, seed)
        finally:
            artist.close()
            node.close()


def _render_meanwhile(artist: ClientProcess, node: NodeProcess, shots: Shots, folder: Path) -> None:
    """Have a job that all of them hear of, ten times a second; it does not end by itself."""
    artist.send(command="configure", address=node.address)
    shot = shots.lay_out(0, folder / "shot")
    job = artist.render(shot.blend, folder / "frames", "1-10000", dependencies=shot.dependencies)
    artist.until_state(job, "rendering")


def _measure(node: NodeProcess, guests: list[KeyPair], size: int, seed: int) -> Iterator[Measure]:
    assert node.process is not None
    why = why_no_memory()
    clients = len(guests)
    doors = [Door.of(node.address, keys) for keys in guests]
    with Growth(node.process.pid) as growth, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(upload, doors, size, seed).result()
    taken = found["taken"]
    mean = sum(taken) / len(taken)
    few, many = min(taken) / 1e6, max(taken) / 1e6
    detail = f"{few:.1f} to {many:.1f} MB, on the average {mean / 1e6:.1f}, in {found['seconds']:.1f} s"
    yield MOST.measured(max(taken) / mean - 1, detail)
    yield LEAST.measured(1 - min(taken) / mean, detail)
    text = node.log.read_text("utf-8")
    dropped = found["dropped"] + sum(text.count(f" left: {why}") for why in ("dropped", "silent"))
    heard = f"each heard {found['news']} news at least"
    yield DROPPED.measured(dropped, f"{found['stored']} of {clients} files stored; {heard}")
    if why:
        yield MEMORY.missing(why)
    else:
        yield MEMORY.measured(growth.bytes / 1e6, f"anonymous, at its worst; {clients} clients of {size / 1e6:.0f} MB")
    yield THROUGHPUT.measured(sum(taken) / 1e6 / found["seconds"], f"two cores, shared with the {clients} clients")


# The clients' own process


class _Load:
    """All clients, and what they wait for together."""

    def __init__(self, clients: int) -> None:
        self.clients: list[_Client] = []
        self.dropped = 0
        self._count = clients
        self._ready = 0
        self.go = asyncio.Event()
        self.first_done = asyncio.Event()

    def is_ready(self) -> None:
        self._ready += 1
        if self._ready == self._count:
            self.go.set()


class _Client:
    """One light client: an open file's worth of random bytes, sent as far as the credit goes."""

    def __init__(self, load: _Load, socket: zmq.asyncio.Socket, chance: random.Random, size: int) -> None:
        self.taken = 0
        """Bytes that the node has said to have taken in."""
        self.news = 0
        self.stored = False
        self._load = load
        self._socket = socket
        self._hello = hello(chance)
        # Chunks that share all bytes but their first cost this process no time to make.
        first = chance.getrandbits(64)
        self._count = size // MAX_CHUNK_BYTES
        self._heads = [(first + number).to_bytes(9, "little") for number in range(self._count)]
        names = b"".join(chunk_digest(BLAKE2B)(self._chunk(number)) for number in range(self._count))
        lengths = (MAX_CHUNK_BYTES,) * self._count
        recipe = Recipe(BLAKE2B, (sum(lengths),), self._count, lengths, names)
        self._manifest = Manifest(("/home/ada",), (FileEntry(0, "shot.blend", recipe),))
        self._sent = 0
        self._limit = 0

    async def run(self) -> None:
        """Upload, and go on watching until cancelled."""
        await self._send(self._hello)
        pinging = asyncio.create_task(self._ping())
        try:
            while True:
                frames = await self._socket.recv_multipart()
                message, _ = codec.decode_from_node(frames)
                match message:
                    case Ready():
                        packed = self._manifest.packed
                        await self._send(Offer(self._manifest.digest, len(packed), Codec.RAW), packed)
                    case Need():
                        self._limit = message.limit
                        self._load.is_ready()
                        await self._load.go.wait()
                        await self._fill()
                    case Grant():
                        self._limit = max(self._limit, message.limit)
                        self.taken = max(self.taken, message.taken)
                        await self._fill()
                    case Stored():
                        self.stored, self.taken = True, self._sent
                        self._load.first_done.set()
                    case JobChanged():
                        self.news += 1
                    case Refused():
                        self._load.dropped += 1
                        raise AssertionError(message.text)
        finally:
            pinging.cancel()

    async def _fill(self) -> None:
        while self._sent < self._count * MAX_CHUNK_BYTES and self._sent + MAX_CHUNK_BYTES <= self._limit:
            number = self._sent // MAX_CHUNK_BYTES
            head = ChunkHead(number, MAX_CHUNK_BYTES, Codec.RAW)
            self._sent += MAX_CHUNK_BYTES
            await self._send(Chunks(self._manifest.digest, (head,)), self._chunk(number))

    def _chunk(self, number: int) -> bytes:
        return self._heads[number].ljust(MAX_CHUNK_BYTES, b"\x5a")

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._send(Ping())

    async def _send(self, message: object, payload: bytes | None = None) -> None:
        await self._socket.send_multipart(codec.encode(message, payload))  # type: ignore[arg-type]


async def _upload(doors: list[Door], size: int, seed: int) -> dict[str, Any]:
    chance = random.Random(f"load {seed}")  # noqa: S311 - repeatable is the point
    load = _Load(len(doors))
    context = zmq.asyncio.Context()
    try:
        load.clients = [_Client(load, door.dealer(context), chance, size) for door in doors]
        tasks = [asyncio.create_task(client.run()) for client in load.clients]
        await asyncio.wait_for(load.go.wait(), PATIENCE_S)
        began = time.perf_counter()
        await asyncio.wait_for(load.first_done.wait(), PATIENCE_S)
        seconds = time.perf_counter() - began
        taken = [client.taken for client in load.clients]
        async with asyncio.timeout(PATIENCE_S):
            while not all(client.stored for client in load.clients) and not load.dropped:
                await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        context.destroy(linger=0)
    return {
        "taken": taken, "seconds": seconds, "dropped": load.dropped,
        "stored": sum(each.stored for each in load.clients), "news": min(each.news for each in load.clients),
    }  # fmt: skip


def upload(doors: list[Door], size: int, seed: int) -> dict[str, Any]:
    """Have one client come in through each door; to be run in a process of its own."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(_upload(doors, size, seed))
