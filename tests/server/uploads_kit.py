# SPDX-License-Identifier: GPL-3.0-or-later
"""Artists' programs, and a node that takes in what they send, for the tests of uploads."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import zmq

from addon.keyring import KeyPair
from addon.protocol import bitmap
from addon.protocol.limits import LEAST_WINDOW_BYTES
from addon.protocol.messages import (
    ChunkHead,
    Chunks,
    Codec,
    Hello,
    JobSpec,
    Need,
    NodeMessage,
    Offer,
    Ping,
    Pong,
    Refusal,
    Refused,
    Stored,
)
from addon.protocol.version import PROTOCOL, VERSION
from server.handlers import Handlers
from server.store import Store
from tests.protocol.blends import scene
from tests.server.store_kit import Save, save_of
from tests.system.harness import Peer

PATIENCE_S = 20.0
CUT = 5_000

T = TypeVar("T")


def shot(*objects: int, textures: Iterable[bytes] = (), name: str = "shot.blend") -> Save:
    """A save of a scene with these objects, cut so that many chunks are its alone."""
    return save_of([(scene(objects), b"")], *([(each, b"")] for each in textures), name=name, cut=CUT)


WOOD, STONE = (random.Random(seed).randbytes(3 * CUT) for seed in range(2))


class Gate:
    """Stops the first call of a method where it has done its work, until it is opened; more calls pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, before: bool = False) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()
        self._error: OSError | None = None
        self._first = True
        original: Callable[..., Any] = getattr(owner, name)

        def gated(*arguments: Any) -> Any:
            first, self._first = self._first, False
            if first and before:
                self._stop()
            result = original(*arguments)
            if first and not before:
                self._stop()
            return result

        monkeypatch.setattr(owner, name, gated)

    def _stop(self) -> None:
        self.reached.set()
        assert self._opened.wait(PATIENCE_S)
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        assert self.reached.wait(PATIENCE_S)

    def open(self, error: OSError | None = None) -> None:
        """Go on, with an error of the disk's if there is to be one."""
        self._error = error
        self._opened.set()


class Program(Peer):
    """One program of an artist's."""

    def offer(self, save: Save) -> None:
        self.send(Offer(save.digest, len(save.manifest.packed), Codec.RAW), save.manifest.packed)

    def waits(self) -> None:
        """The node has taken in what was said, and has nothing to say to it yet."""
        assert self.is_served()

    def is_asked_for(self, save: Save) -> list[int]:
        """The chunks that the node needs, by their numbers."""
        message, bits = self.receive_all()
        assert message == Need(save.digest, LEAST_WINDOW_BYTES)
        return bitmap.unpack(bytes(bits), len(save.manifest.chunks))

    def send_chunks(self, save: Save, numbers: Iterable[int]) -> None:
        chunks = {number: save.chunks[save.manifest.chunks[number]] for number in numbers}
        heads = tuple(ChunkHead(number, len(chunk), Codec.RAW) for number, chunk in chunks.items())
        self.send(Chunks(save.digest, heads), b"".join(chunks.values()))

    def bring(self, save: Save) -> list[int]:
        """See an offered save through. Returns what had to be sent."""
        asked: list[int] = []
        if not self.is_stored_at_once(save):
            asked = self._asked
            self.send_chunks(save, asked)
            assert self.receive() == Stored(save.digest)
        return asked

    def is_stored_at_once(self, save: Save) -> bool:
        message, bits = self.receive_all()
        if message == Stored(save.digest):
            return True
        assert message == Need(save.digest, LEAST_WINDOW_BYTES)
        self._asked = bitmap.unpack(bytes(bits), len(save.manifest.chunks))
        return False

    def is_refused(self, reason: Refusal, about: str) -> None:
        refused = self.receive()
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.about) == (reason, about)

    def has_lost_its_session(self) -> None:
        """What a thread finds wrong costs it a moment later."""
        answer: NodeMessage = Pong()
        while answer == Pong():
            self.send(Ping())
            answer = self.receive()
        assert isinstance(answer, Refused)
        assert answer.reason == Refusal.HELLO_FIRST

    def break_off(self) -> None:
        """Break the protocol: that ends a session at once, and not after the silence that is granted to a lost one."""
        self.socket.send(b"")
        self.has_lost_its_session()


@dataclass
class Live:
    """A node that runs in a thread, over a store of its own."""

    store: Store
    handlers: Handlers
    loop: asyncio.AbstractEventLoop
    context: "zmq.Context[zmq.Socket[bytes]]"
    port: int
    close: Callable[[], object]
    ended: "Future[None]"
    programs: list[Program] = field(default_factory=list)

    def connect(self, process: int, artist: KeyPair | None = None) -> Program:
        """A program, given its number; of this account, or of another artist's that is let in."""
        if artist is not None:
            self.do(lambda: self.handlers.clients.allow(artist.public.decode(), "another"))
        program = Program(self.context, f"127.0.0.1:{self.port}", artist)
        self.programs.append(program)
        program.hello(Hello(PROTOCOL, VERSION, f"{process:032x}", "test"))
        return program

    def do(self, what: Callable[[], T]) -> T:
        """Call in the node's own thread."""
        done: Future[T] = Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(what()))
        return done.result(PATIENCE_S)

    def has_taken_in(self, save: Save) -> None:
        """Return when every chunk that has come is written."""
        (upload,) = [each.uploads[save.digest] for each in self.handlers.endpoint.sessions() if each.uploads]
        while not self.do(lambda: upload.share.taken == upload.received):
            pass

    @property
    def idle(self) -> bool:
        """Whether nothing is under way for any client."""
        return self.do(lambda: not self.handlers._background._tasks)


def another_artist() -> KeyPair:
    """Keys of an account other than this one."""
    return KeyPair(*zmq.curve_keypair())


def spec(save: Save) -> JobSpec:
    return JobSpec("e" * 32, "shot.blend", save.digest, None, "1", "", 0.0)
