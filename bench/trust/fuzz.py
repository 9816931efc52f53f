# SPDX-License-Identifier: GPL-3.0-or-later
"""Malformed messages at a live node at full speed, while one honest artist works with it."""

import contextlib
import itertools
import json
import multiprocessing
import random
import re
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Self

import zmq

from addon.protocol import codec
from addon.protocol.digest import Buffer
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
from server.endpoint import HELD_OFF
from tests.system.harness import NodeProcess

from ..measures import Measure
from ..serving import memory
from .dealer import Door, invite
from .mutation import Frames, hello, manifest_of, mutate, right_messages

CAREFUL = 2
"""Attackers that never make so many mistakes with one account that the node stops reading."""
ACCOUNTS = 600
"""Of each of these: it comes back to the first of them after more than patience.SPAN_S."""
HEADLONG = 0.1
"""Part of the messages that another one sends, from one account, whatever the node says."""

SOCKETS = 4
"""Of each."""

SESSION_MESSAGES = 12
"""Malformed ones between two hellos: the first of them that breaks the protocol ends the session."""

CONNECTION_MESSAGES = 84
"""Then a socket is closed, and one of the next account takes its place; with hellos these are less than MISTAKES."""
HEADLONG_MESSAGES = 3000
"""The same for who does not care."""

ASK_S = 1.5
"""Who is not listened to is told so at most every patience.REMIND_S."""

PATIENCE_S = 15.0
HONEST_BYTES = 300_000
GROWTH_MB = 20.0
"""The limit that the project set itself."""

HARMED = Measure(
    "What malformed messages broke: crashes, tracebacks, honest requests unanswered", "faults", "a limit", limit=0
)
GROWTH = Measure("Memory that the node gained by them", "MB", "a limit", limit=GROWTH_MB)
RATE = Measure("Malformed messages that one node takes", "messages/s", f"nothing: full speed of {CAREFUL + 1} senders")
LOGGED = Measure("What they wrote into the node's log", "MB", "nothing")
FIGURES = (HARMED, GROWTH, RATE, LOGGED)


def run(blender: Blender, messages: int, seed: int) -> Iterator[Measure]:
    """Send so many, from several processes over several sockets each."""
    with tempfile.TemporaryDirectory(prefix="relay-fuzz-", ignore_cleanup_errors=True) as folder:
        guests = invite(CAREFUL * ACCOUNTS + 1, Path(folder) / "node")
        node = NodeProcess(Path(folder) / "node", blender)
        try:
            doors = [Door.of(node.address, keys) for keys in guests]
            yield from _attack(node, doors, messages, seed)
        finally:
            with contextlib.suppress(AssertionError):  # Of tracebacks, which were counted.
                node.close()


def _attack(node: NodeProcess, doors: list[Door], messages: int, seed: int) -> Iterator[Measure]:
    assert node.process is not None
    pid = node.process.pid
    harmed: list[str] = []
    parties = [doors[each * ACCOUNTS : (each + 1) * ACCOUNTS] for each in range(CAREFUL + 1)]
    with (
        ProcessPoolExecutor(len(parties), multiprocessing.get_context("spawn")) as pool,
        zmq.Context() as context,
        Honest(context, Door.of(node.address), seed) as honest,
    ):
        honest.work()
        warming = [pool.submit(send_malformed, party, SESSION_MESSAGES * 50, -1) for party in parties]
        while not all(each.done() for each in warming):
            honest.work()
        before = most = memory(pid)
        began = time.perf_counter()
        headlong = int(messages * HEADLONG)
        shares = [(messages - headlong) // CAREFUL] * CAREFUL + [headlong]
        sent = [
            pool.submit(send_malformed, party, share, len(parties) * seed + each)
            for each, (party, share) in enumerate(zip(parties, shares, strict=True))
        ]
        while not all(each.done() for each in sent):
            try:
                honest.work()
            except (TimeoutError, Unharmed) as error:
                harmed.append(str(error))
                break
            most = max(most, memory(pid))
        count, unheard = map(sum, zip(*(_counted(each, harmed) for each in sent), strict=True))
        seconds = time.perf_counter() - began
        if node.process.poll() is not None:
            harmed.insert(0, f"the node ended with {node.process.poll()}")
    text = node.log.read_text("utf-8", "replace")
    harmed += ["in the node's log: " + " | ".join(each.splitlines()[-6:]) for each in _tracebacks(text)]
    honestly = f"meanwhile {honest.done} honest uploads, the slowest answer after {honest.slowest_s:.2f} s"
    yield HARMED.measured(
        len(harmed),
        f"{count} messages, seed {seed}; {unheard} connections ended unheard; {honestly}; {'; '.join(harmed[:3])}",
    )
    yield GROWTH.measured((most - before) / 1e6, f"from {before / 1e6:.0f} MB; resident, at its worst")
    yield RATE.measured(count / seconds, f"{seconds:.0f} s, two cores shared with those who send")
    yield LOGGED.measured(len(text) / 1e6, f"{text.count(chr(10))} lines")


def _tracebacks(text: str) -> list[str]:
    """Each with the lines that belong to it: indented ones, and the error's own."""
    return re.findall(r"^Traceback .*\n(?:[ \t].*\n|\n)*.*", text, re.MULTILINE)


def _counted(sent: "Future[tuple[int, int]]", harmed: list[str]) -> tuple[int, int]:
    try:
        return sent.result()
    except TimeoutError as error:
        harmed.append(str(error))
        return 0, 0


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


def send_malformed(doors: list[Door], count: int, seed: int) -> tuple[int, int]:
    """Send so many messages, going round these accounts; return their number when the node has taken all of them, and
    in how many connections it would not listen in the end. Raises TimeoutError.
    """
    chance = random.Random(f"malformed {seed}")  # noqa: S311 - repeatable is the point
    way = itertools.cycle(doors)
    with zmq.Context() as context:
        most = CONNECTION_MESSAGES if len(doors) > 1 else HEADLONG_MESSAGES
        senders = [_Sender(context, way, most, chance) for _ in range(SOCKETS)]
        sent = 0
        while sent < count:
            for sender in senders:
                sent += sender.burst()
        for sender in senders:
            sender.finish()
    return sent, sum(sender.unheard for sender in senders)


class _Sender:
    """One connection after the other."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", way: Iterator[Door], most: int, chance: random.Random
    ) -> None:
        """`way`: to the next connection, which is used for so many messages at `most`."""
        self.unheard = 0
        """Connections that the node stopped listening to."""
        self._context = context
        self._way = way
        self._most = most
        self._chance = chance
        self._said: deque[Frames] = deque(maxlen=50)
        self._right = right_messages(chance)
        self._socket = next(way).dealer(context)
        self._on_this = 0

    def burst(self) -> int:
        """A hello, and then what is wrong with it or not; returns how many that were."""
        if self._on_this >= self._most:
            self.finish()
            self._right = right_messages(self._chance)
            self._socket = next(self._way).dealer(self._context)
            self._on_this = 0
        if self._chance.random() < 0.9:
            self._say(*codec.encode(hello(self._chance)))
        for _ in range(SESSION_MESSAGES):
            frames = self._next()
            self._said.append(frames)
            self._say(*frames)
        self._listen()
        self._on_this += SESSION_MESSAGES
        return SESSION_MESSAGES

    def finish(self) -> None:
        """Return when the node has taken all that was said, or does not listen, and leave. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE_S
        self._say(b"not a message")  # It ends the session, if there is one.
        answer: dict[str, object] = {}
        while answer.get("type") != "pong" and answer.get("text") != HELD_OFF:
            if time.monotonic() > deadline:
                raise TimeoutError(f"a sender waited {PATIENCE_S:g} s in vain; the last answer was {answer}")
            if not answer:
                self._say(*codec.encode(hello(self._chance)))
                self._say(*codec.encode(Ping()))
            heard = self._socket.poll(int(ASK_S * 1000))
            answer = json.loads(self._socket.recv_multipart()[0]) if heard else {}
        self.unheard += answer.get("text") == HELD_OFF
        self._socket.close()

    def _say(self, *frames: Buffer) -> None:
        """Raises TimeoutError when the node takes nothing in."""
        if not self._socket.poll(int(PATIENCE_S * 1000), zmq.POLLOUT):
            raise TimeoutError(f"a sender could say nothing for {PATIENCE_S:g} s")
        self._socket.send_multipart(frames)

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
