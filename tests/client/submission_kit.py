# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that does what the test says, and an artist's file, for the tests of submissions."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import zmq

from addon.protocol import bitmap, codec, codecs
from addon.protocol.digest import BLAKE2B, Buffer, chunk_digest
from addon.protocol.limits import MAX_HEADER_BYTES, WINDOW_BYTES
from addon.protocol.manifest import Manifest
from addon.protocol.messages import (
    ChunkHead,
    Chunks,
    ClientMessage,
    Codec,
    Collect,
    Grant,
    Hello,
    JobChanged,
    JobState,
    JobStatus,
    Need,
    NodeMessage,
    Offer,
    Ping,
    Pong,
    Ready,
    Refusal,
    Refused,
    Stored,
    Submit,
    Welcome,
)
from addon.protocol.version import PROTOCOL, VERSION
from tests.system.harness import PATIENCE_S, ClientProcess, bind_securely

M = TypeVar("M", bound=ClientMessage)

WOOD = random.Random(1).randbytes(3 << 20)
A_FEW_HUNDRED = 600
"""Bytes."""


class ScriptedNode:
    """A node that does what the test tells it to."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self._router = context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self.address = f"127.0.0.1:{bind_securely(self._router)}"
        self._peer = b""
        self.chunks: dict[bytes, Buffer] = {}
        """All that it has ever received, by their names."""
        self.received = 0
        """Bytes of the last chunks that were taken."""

    def welcome(self, digest: str = BLAKE2B, known: Sequence[Codec] = codecs.decodable(), node: str = "1" * 32) -> None:
        """Take a client in."""
        hello, _ = self._next(Hello)
        assert digest in hello.digests
        self.say(Welcome(PROTOCOL, VERSION, node, "scripted", ("5.2.2",), digest, tuple(known)))
        self.say(Ready())

    def drop(self) -> None:
        """Have the client connect anew."""
        self.say(Refused(Refusal.HELLO_FIRST, "Say hello first."))

    def say(self, message: NodeMessage, payload: Buffer | None = None) -> None:
        self._router.send_multipart([self._peer, *codec.encode(message, payload)])

    def say_raw(self, *frames: bytes) -> None:
        """Say what no node would."""
        self._router.send_multipart([self._peer, *frames])

    def hear(self, kind: type[M]) -> M:
        """The next message, which is one of this kind."""
        return self._next(kind)[0]

    def is_offered(self, base: Manifest | None = None) -> tuple[Offer, int, Manifest]:
        """The next message, an offer, the bytes that it took, and what it offers."""
        offer, payload = self._next(Offer)
        assert offer.base == (base.digest if base is not None else "")
        packed = codecs.decode(offer.codec, payload, offer.size, base.packed if base is not None else None)
        manifest = Manifest.unpack(bytes(packed))
        assert manifest.digest == offer.manifest
        return offer, len(payload), manifest

    def need(self, manifest: Manifest, numbers: Sequence[int]) -> None:
        self.say(Need(manifest.digest, WINDOW_BYTES), bitmap.pack(numbers, len(manifest.chunks)))

    def take(self, manifest: Manifest) -> Chunks:
        """The next message, chunks of this manifest; each has the bytes that its name says."""
        message, payload = self._next(Chunks)
        self.received = len(payload)
        return self._decode(manifest, message, payload)

    def _decode(self, manifest: Manifest, message: Chunks, payload: Buffer) -> Chunks:
        assert message.manifest == manifest.digest
        view, at = memoryview(payload), 0
        for head in message.chunks:
            name = manifest.chunks[head.number]
            base = self.chunks[bytes.fromhex(head.base)] if head.base else None
            chunk = codecs.decode(head.codec, view[at : at + head.size], manifest.chunk_length(name), base)
            assert chunk_digest(manifest.blend.recipe.algorithm)(chunk) == name
            self.chunks[name] = bytes(chunk)
            at += head.size
        assert at == len(payload)
        return message

    def take_eager(self, manifest: Manifest) -> list[ChunkHead]:
        """What comes unasked, until the job is submitted."""
        heads: list[ChunkHead] = []
        self.eager = 0
        while True:
            message, payload = self.any()
            if isinstance(message, Submit):
                assert message.spec.manifest == manifest.digest
                return heads
            if isinstance(message, Ping):
                continue
            assert isinstance(message, Chunks)
            heads += self._decode(manifest, message, payload).chunks
            self.eager += len(payload)

    def take_all(self, manifest: Manifest, count: int) -> list[int]:
        """So many chunks, with credit as they come; returns their numbers."""
        numbers: list[int] = []
        taken, limit = 0, WINDOW_BYTES
        while len(numbers) < count:
            numbers += [head.number for head in self.take(manifest).chunks]
            taken += self.received
            assert taken <= limit, "more than the credit"
            limit = taken + WINDOW_BYTES
            self.say(Grant(manifest.digest, limit, taken))
        return numbers

    def content(self, manifest: Manifest, file: int = 0) -> bytes:
        """A file, put together."""
        recipe = manifest.files[file].recipe
        content = bytearray(recipe.size)
        for number in range(len(recipe)):
            chunk, at = memoryview(self.chunks[recipe.id(number)]), 0
            for offset, length in recipe.extents(number):
                content[offset : offset + length] = chunk[at : at + length]
                at += length
        return bytes(content)

    def accept(self, job: str) -> None:
        """Take the job, and hear that its frames are wanted."""
        status = JobStatus(
            job, "2" * 32, "shot", JobState.QUEUED, "1", 1, 0, 0, 0, 0.0, None, None, None, None, None, None, "", (),
            "5.2.2", "CPU", 0.0, False, 0, 1.0,
        )  # fmt: skip
        self.say(JobChanged(status))
        self.hear(Collect)

    def hear_after_chunks(self, kind: type[M]) -> M:
        """The next message that is no chunks, which is one of this kind."""
        while isinstance((found := self.any())[0], Chunks | Ping):
            pass
        assert isinstance(found[0], kind), f"{found[0]} instead of {kind.__name__}"
        return found[0]

    def is_quiet(self) -> bool:
        """Whether the client's next sign of life says that it is there, and nothing else."""
        message, _ = self.any()
        self.say(Pong())
        return isinstance(message, Ping)

    def hear_ping(self) -> Ping:
        """The next message, a sign of life, which is not answered."""
        message, _ = self.any()
        assert isinstance(message, Ping)
        return message

    def close(self) -> None:
        self._router.close()

    def _next(self, kind: type[M]) -> tuple[M, Buffer]:
        while True:
            message, payload = self.any()
            if isinstance(message, Ping):
                self.say(Pong())
                continue
            assert isinstance(message, kind), f"{message} instead of {kind.__name__}"
            return message, payload

    def any(self) -> tuple[ClientMessage, Buffer]:
        """The next message, whatever it is."""
        assert self._router.poll(int(PATIENCE_S * 1000)), "the client says nothing"
        self._peer, *frames = self._router.recv_multipart()
        assert len(frames[0]) <= MAX_HEADER_BYTES
        return codec.decode_from_client(frames)


StartClient = Callable[[], ClientProcess]


class Shot:
    """An artist's project of one .blend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.blend = folder / "shot.blend"

    def save(self, content: bytes) -> None:
        """As Blender does: into a new file that takes the old one's place."""
        fresh = self.folder / "shot.blend@"
        fresh.write_bytes(content)
        fresh.replace(self.blend)

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def render(self, client: ClientProcess, *dependencies: Path) -> str:
        uses = [{"path": str(path), "owner": f'Image "{path.name}"', "kind": "file"} for path in dependencies]
        return client.render(self.blend, self.folder / "frames", dependencies=uses)


def bring(node: ScriptedNode, client: ClientProcess, job: str) -> Manifest:
    """Take a job of which nothing is known, and return when the client has noted that."""
    _, _, manifest = node.is_offered()
    node.hear(Submit)
    finish(node, job, manifest, list(range(len(manifest.chunks))))
    until_noted(client, node)
    return manifest


def finish(node: ScriptedNode, job: str, manifest: Manifest, missing: list[int]) -> None:
    """Ask for what is missing, and take the job."""
    node.need(manifest, missing)
    assert sorted(node.take_all(manifest, len(missing))) == missing
    node.say(Stored(manifest.digest))
    node.accept(job)


def until_noted(client: ClientProcess, node: ScriptedNode) -> None:
    """Wait for the next sign of life after the last save was written down."""
    folder = client.log.parent / "client" / "bases"
    while not list(folder.glob("*.base")):
        assert node.is_quiet()


MANY = range(400)
