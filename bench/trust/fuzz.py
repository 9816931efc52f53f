# SPDX-License-Identifier: GPL-3.0-or-later
"""Malformed messages at a live node at full speed, while one honest artist works with it."""

import json
import multiprocessing
import random
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Self

import zmq

from addon.protocol import codec
from addon.protocol.messages import (
    AskStore,
    ChunkHead,
    Chunks,
    Codec,
    Grant,
    Need,
    NodeMessage,
    Offer,
    Ping,
    Pong,
    Ready,
    Stored,
    StoreStatus,
)
from server.blenders import Blender
from tests.system.harness import NodeProcess

from ..measures import Measure
from ..serving import memory
from .dealer import Door, invite
from .mutation import Frames, hello, manifest_of, mutate, right_messages

ATTACKERS = 2
SOCKETS = 4
"""Of each."""

SESSION_MESSAGES = 12
"""Malformed ones between two hellos: the first of them that breaks the protocol ends the session."""

CONNECTION_MESSAGES = 3000
"""Then a socket is closed and another takes its place."""

PATIENCE_S = 15.0
HONEST_BYTES = 300_000
GROWTH_MB = 20.0
"""The limit that the project set itself."""

HARMED = Measure(
    "What malformed messages broke: crashes, tracebacks, honest requests unanswered", "faults", "a limit", limit=0
)
GROWTH = Measure("Memory that the node gained by them", "MB", "a limit", limit=GROWTH_MB)
RATE = Measure("Malformed messages that one node takes", "messages/s", "nothing: full speed of two senders")
LOGGED = Measure("What they wrote into the node's log", "MB", "nothing")
FIGURES = (HARMED, GROWTH, RATE, LOGGED)


def run(blender: Blender, messages: int, seed: int) -> Iterator[Measure]:
    """Send so many, from several processes over several sockets each."""
    with tempfile.TemporaryDirectory(prefix="relay-fuzz-", ignore_cleanup_errors=True) as folder:
        guests = invite(ATTACKERS, Path(folder) / "node")
        node = NodeProcess(Path(folder) / "node", blender)
        try:
            doors = [Door.of(node.address, keys) for keys in guests]
            yield from _attack(node, doors, messages, seed)
        finally:
            node.close()


def _attack(node: NodeProcess, doors: list[Door], messages: int, seed: int) -> Iterator[Measure]:
    assert node.process is not None
    pid = node.process.pid
    harmed: list[str] = []
    with (
        ProcessPoolExecutor(ATTACKERS, multiprocessing.get_context("spawn")) as pool,
        zmq.Context() as context,
        Honest(context, Door.of(node.address), seed) as honest,
    ):
        honest.work()
        list(pool.map(send_malformed, doors, [SESSION_MESSAGES * 50] * ATTACKERS, [-1, -2]))
        before = most = memory(pid)
        began = time.perf_counter()
        share = messages // ATTACKERS
        sent = [pool.submit(send_malformed, door, share, 2 * seed + each) for each, door in enumerate(doors)]
        while not all(each.done() for each in sent):
            try:
                honest.work()
            except (TimeoutError, Unharmed) as error:
                harmed.append(str(error))
                break
            most = max(most, memory(pid))
        count = sum(_counted(each, harmed) for each in sent)
        seconds = time.perf_counter() - began
        if node.process.poll() is not None:
            harmed.insert(0, f"the node ended with {node.process.poll()}")
    text = node.log.read_text("utf-8", "replace")
    harmed += ["a traceback in the node's log"] * text.count("Traceback")
    honestly = f"meanwhile {honest.done} honest uploads, the slowest answer after {honest.slowest_s:.2f} s"
    yield HARMED.measured(len(harmed), f"{count} messages, seed {seed}; {honestly}; {'; '.join(harmed[:3])}")
    yield GROWTH.measured((most - before) / 1e6, f"from {before / 1e6:.0f} MB; resident, at its worst")
    yield RATE.measured(count / seconds, f"{seconds:.0f} s, two cores shared with those who send")
    yield LOGGED.measured(len(text) / 1e6, f"{text.count(chr(10))} lines")


def _counted(sent: "Future[int]", harmed: list[str]) -> int:
    try:
        return sent.result()
    except TimeoutError as error:
        harmed.append(str(error))
        return 0


class Unharmed(Exception):
    """The honest artist was harmed."""


class Honest:
    """An artist who uploads files and asks how the store is; use as a context."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", door: Door, seed: int) -> None:
        self.done = 0
        self.slowest_s = 0.0
        self._step = Ready.__name__
        """What it waits for."""
        self._chance = random.Random(f"honest {seed}")  # noqa: S311 - repeatable is the point
        self._socket = door.dealer(context)
        self._send(hello(self._chance))
        while not isinstance(self._hear(), Ready):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def work(self) -> None:
        """Bring a file, and bring it again: the second time nothing has to be sent. Raises TimeoutError, Unharmed."""
        content = self._chance.randbytes(HONEST_BYTES)
        manifest = manifest_of(content)
        self._send(Offer(manifest.digest, len(manifest.packed), Codec.RAW), manifest.packed)
        self._expect(Need)
        self._send(Chunks(manifest.digest, (ChunkHead(0, len(content), Codec.RAW),)), content)
        self._expect(Stored)
        self._send(Offer(manifest.digest, len(manifest.packed), Codec.RAW), manifest.packed)
        self._expect(Stored)
        self._send(AskStore())
        self._expect(StoreStatus)
        self._send(Ping())
        self._expect(Pong)
        self.done += 1

    def _expect(self, kind: type) -> None:
        began = time.perf_counter()
        self._step = kind.__name__
        answer = self._hear()
        while isinstance(answer, Grant):
            answer = self._hear()
        self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
        if not isinstance(answer, kind):
            raise Unharmed(f"an honest artist got {answer} instead of {kind.__name__}")

    def _send(self, message: object, payload: bytes | None = None) -> None:
        self._socket.send_multipart(codec.encode(message, payload))  # type: ignore[arg-type]

    def _hear(self) -> NodeMessage:
        if not self._socket.poll(int(PATIENCE_S * 1000)):
            raise TimeoutError(f"an honest artist waited {PATIENCE_S:g} s in vain for {self._step}")
        return codec.decode_from_node(self._socket.recv_multipart())[0]


# A sender's own process


def send_malformed(door: Door, count: int, seed: int) -> int:
    """Send so many messages; return their number when the node has taken all of them. Raises TimeoutError."""
    chance = random.Random(f"malformed {seed}")  # noqa: S311 - repeatable is the point
    with zmq.Context() as context:
        senders = [_Sender(context, door, chance) for _ in range(SOCKETS)]
        sent = 0
        while sent < count:
            for sender in senders:
                sent += sender.burst()
        for sender in senders:
            sender.finish()
    return sent


class _Sender:
    """One connection after the other."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", door: Door, chance: random.Random) -> None:
        self._context = context
        self._door = door
        self._chance = chance
        self._said: deque[Frames] = deque(maxlen=50)
        self._right = right_messages(chance)
        self._socket = door.dealer(context)
        self._on_this = 0

    def burst(self) -> int:
        """A hello, and then what is wrong with it or not; returns how many that were."""
        if self._on_this >= CONNECTION_MESSAGES:
            self.finish()
            self._right = right_messages(self._chance)
            self._socket = self._door.dealer(self._context)
            self._on_this = 0
        if self._chance.random() < 0.9:
            self._socket.send_multipart(codec.encode(hello(self._chance)))
        for _ in range(SESSION_MESSAGES):
            frames = self._next()
            self._said.append(frames)
            self._socket.send_multipart(frames)
        self._listen()
        self._on_this += SESSION_MESSAGES
        return SESSION_MESSAGES

    def finish(self) -> None:
        """Return when the node has taken all that was said, and leave. Raises TimeoutError."""
        last = hello(self._chance)
        self._socket.send_multipart([b"not a message"])  # It ends the session, if there is one.
        self._socket.send_multipart(codec.encode(last))
        self._socket.send_multipart(codec.encode(Ping()))
        answer = b""
        while json.loads(answer or b"{}").get("type") != "pong":
            if not self._socket.poll(int(PATIENCE_S * 1000)):
                raise TimeoutError(f"a sender waited {PATIENCE_S:g} s in vain; the last answer was {answer[:200]!r}")
            answer = self._socket.recv_multipart()[0]
        self._socket.close()

    def _next(self) -> Frames:
        """Mostly a mutation; also right messages out of order, and what was said before."""
        dice = self._chance.random()
        if dice < 0.1:
            return self._chance.choice(self._right)
        if dice < 0.2 and self._said:
            return self._chance.choice(self._said)
        return mutate(self._chance, self._chance.choice(self._right), self._right)

    def _listen(self) -> None:
        """Take what the node says off its hands."""
        while self._socket.poll(0):
            self._socket.recv_multipart()
