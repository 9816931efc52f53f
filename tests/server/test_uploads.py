# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on their way in: who sends them, who waits, and what stays of those that do not come to their end."""

import asyncio
import errno
import logging
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zmq

from addon.protocol import bitmap, codec, zstd
from addon.protocol.digest import BLAKE2B, Buffer, chunk_digest
from addon.protocol.limits import MAX_CHUNK_BYTES, MAX_MANIFEST_BYTES, WINDOW_BYTES
from addon.protocol.manifest import FileEntry, Manifest
from addon.protocol.messages import (
    ChunkHead,
    Chunks,
    Codec,
    Grant,
    Hello,
    JobChanged,
    JobSpec,
    JobState,
    Need,
    NodeMessage,
    Offer,
    Ping,
    Pong,
    Refusal,
    Refused,
    Stored,
    Submit,
    Withdraw,
)
from addon.protocol.recipe import Recipe
from addon.protocol.version import PROTOCOL, VERSION
from server.blenders import Blender
from server.books import Books
from server.endpoint import Endpoint
from server.executors.local import LocalExecutor
from server.handlers import Handlers
from server.job_folders import JobFolders
from server.job_store import JobStore
from server.node import Node
from server.store import Receipt, Store
from server.store.claims import Claims
from server.uploads import Uploads
from tests.protocol.blends import scene
from tests.server.store_kit import Save, check_stored, save_of
from tests.system.harness import SILENCE_MS, Peer

PATIENCE_S = 20.0
ARTIST = "a" * 32
CUT = 5_000
NEEDS_ZSTD = pytest.mark.skipif(zstd.name() is None, reason="needs zstd")

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
        assert message == Need(save.digest, WINDOW_BYTES)
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
        assert message == Need(save.digest, WINDOW_BYTES)
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

    def connect(self, process: int, client: str = ARTIST) -> Program:
        """A program, given its number."""
        program = Program(self.context, f"127.0.0.1:{self.port}")
        self.programs.append(program)
        program.hello(Hello(PROTOCOL, VERSION, client, f"{process:032x}", "test"))
        return program

    def do(self, what: Callable[[], T]) -> T:
        """Call in the node's own thread."""
        done: Future[T] = Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(what()))
        return done.result(PATIENCE_S)

    def has_taken_in(self, save: Save) -> None:
        """Return when every chunk that has come is written, or being written: which comes to its end."""
        (upload,) = [each.uploads[save.digest] for each in self.handlers.endpoint.sessions() if each.uploads]
        while not self.do(upload.mail.empty):
            pass

    @property
    def idle(self) -> bool:
        """Whether nothing is under way for any client."""
        return self.do(lambda: not self.handlers._background._tasks)


@pytest.fixture
def node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Live]:
    """It takes in jobs and renders none; it may make no mistake meanwhile."""
    ready: Future[tuple[Handlers, asyncio.AbstractEventLoop, int, Callable[[], object]]] = Future()
    store = Store(tmp_path / "store", 1 << 40)

    async def serve() -> None:
        handlers = Handlers()
        endpoint = Endpoint(handlers)
        port = endpoint.bind("tcp://127.0.0.1:*")
        folders = JobFolders(tmp_path)
        books = Books(JobStore(tmp_path / "node.sqlite3"), folders, handlers)
        blender = Blender((5, 2, 0), ("no program",), "none")
        handlers.node = Node(books, folders, store, [blender], lambda listener: LocalExecutor(0, listener))
        handlers.endpoint, handlers.uploads = endpoint, Uploads(store, tmp_path, handlers.make_room)
        door = asyncio.create_task(endpoint.run())
        loop = asyncio.get_running_loop()
        ready.set_result((handlers, loop, port, lambda: loop.call_soon_threadsafe(door.cancel)))
        await asyncio.gather(door, return_exceptions=True)
        await handlers.close()
        await handlers.node.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(serve())

    with zmq.Context() as context, ThreadPoolExecutor(1) as thread:
        running = thread.submit(run)
        handlers, loop, port, end = ready.result(PATIENCE_S)
        live = Live(store, handlers, loop, context, port, end, running)
        yield live
        for program in live.programs:
            program.socket.close()
        if not running.done():
            end()
        running.result(PATIENCE_S)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# One program


def test_files_travel_once_and_are_stored(node: Live) -> None:
    save = shot(1, 2, textures=[WOOD])
    program = node.connect(1)
    program.offer(save)
    asked = program.bring(save)
    assert asked == list(range(len(save.manifest.chunks)))
    check_stored(node.store, save)
    program.offer(save)
    assert program.receive() == Stored(save.digest)


def test_what_is_here_is_not_asked_for(node: Live) -> None:
    # GIVEN a save that is stored
    before, after = shot(1, 2, textures=[WOOD]), shot(1, 3, textures=[WOOD, STONE])
    program = node.connect(1)
    program.offer(before)
    program.bring(before)
    # WHEN the next one is offered, by another artist, THEN what that one has in common with it is not asked for
    other = node.connect(2, "b" * 32)
    other.offer(after)
    asked = {after.manifest.chunks[number] for number in other.bring(after)}
    assert asked == set(after.manifest.chunks) - set(before.manifest.chunks)
    assert len(asked) < len(after.manifest.chunks)
    check_stored(node.store, after)


def test_chunks_may_come_before_they_are_asked_for(node: Live) -> None:
    # GIVEN a program that sends chunks right after its offer
    save = shot(1, 2)
    eager = range(3)
    program = node.connect(1)
    program.offer(save)
    program.send_chunks(save, eager)
    # WHEN the node says what it needs, THEN only the rest has to be sent
    asked = program.is_asked_for(save)
    program.send_chunks(save, set(asked).difference(eager))
    assert program.receive() == Stored(save.digest)
    check_stored(node.store, save)


def test_chunks_that_nobody_needs_any_more_are_passed_over(node: Live) -> None:
    save = shot(1, 2)
    program = node.connect(1)
    program.offer(save)
    asked = program.is_asked_for(save)
    program.send_chunks(save, asked[:2])
    program.send_chunks(save, asked)
    assert program.receive() == Stored(save.digest)
    program.send_chunks(save, asked)
    program.waits()
    check_stored(node.store, save)


def test_only_what_did_not_arrive_is_asked_for_again(node: Live) -> None:
    # GIVEN an upload whose connection ends in the middle
    save = shot(1, 2, textures=[WOOD])
    first = node.connect(1)
    first.offer(save)
    asked = first.is_asked_for(save)
    first.send_chunks(save, asked[:-3])
    first.waits()
    node.has_taken_in(save)
    first.break_off()
    # WHEN it is offered again, THEN the rest is asked for
    second = node.connect(1)
    second.offer(save)
    assert second.bring(save) == asked[-3:]
    check_stored(node.store, save)


def test_what_has_arrived_of_a_withdrawn_save_is_there_for_the_next(node: Live) -> None:
    before, after = shot(1, 2, textures=[WOOD]), shot(1, 3, textures=[WOOD])
    program = node.connect(1)
    program.offer(before)
    asked = program.is_asked_for(before)
    program.send_chunks(before, asked[:-1])
    program.waits()
    node.has_taken_in(before)
    program.send(Withdraw(before.digest))
    program.waits()
    program.offer(after)
    arrived = {before.manifest.chunks[number] for number in asked[:-1]}
    assert {after.manifest.chunks[number] for number in program.bring(after)} == set(after.manifest.chunks) - arrived
    check_stored(node.store, after)


def test_what_was_withdrawn_is_evicted_before_what_was_cut_off(node: Live) -> None:
    # GIVEN an upload that was cut off, and a younger one that was withdrawn
    older, younger = shot(1, name="older.blend"), shot(2, name="younger.blend")
    program = node.connect(1)
    for save in (older, younger):
        program.offer(save)
        program.send_chunks(save, program.is_asked_for(save)[:-1])
        program.waits()
        node.has_taken_in(save)
        if save is younger:
            program.send(Withdraw(save.digest))
        else:
            program.break_off()
            program = node.connect(1)
    while not node.idle:
        program.waits()
    # WHEN something has to go
    node.store.prune(set())
    assert node.store.prune(set(), node.store.report().bytes - 1).files == 1
    # THEN it is the withdrawn one's
    assert node.store.manifest(younger.digest) is None
    program.offer(older)
    assert len(program.bring(older)) == 1


def test_of_an_offer_said_twice_the_later_one_counts(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN an offer that is said again while a thread looks into the store for the first
    save = shot(1, 2)
    begun = Gate(monkeypatch, Store, "begin")
    program = node.connect(1)
    program.offer(save)
    begun.wait()
    program.offer(save)
    program.waits()
    # WHEN that goes on, THEN there is one answer, and the upload can be seen through
    begun.open()
    program.bring(save)
    program.waits()
    check_stored(node.store, save)


def test_who_withdraws_at_once_leaves_nothing_under_way(node: Live) -> None:
    # GIVEN a node that finds an offer, a job and a withdrawal in one go
    save = shot(1)
    program = node.connect(1)

    def at_once() -> None:
        (session,) = node.handlers.endpoint.sessions()
        offer = Offer(save.digest, len(save.manifest.packed), Codec.RAW)
        node.handlers.on_message(session, offer, save.manifest.packed)
        node.handlers.on_message(session, Submit(spec(save)), b"")
        node.handlers.on_message(session, Withdraw(save.digest), b"")

    node.do(at_once)
    # THEN neither stays behind
    while not node.idle:
        program.waits()
    program.waits()


def test_an_upload_goes_on_under_credit(node: Live) -> None:
    # GIVEN more than may be on its way at a time
    dice = random.Random(7)
    save = save_of([(scene([1]) + dice.randbytes(20 << 20), b"")], cut=MAX_CHUNK_BYTES)
    program = node.connect(1)
    program.offer(save)
    asked = program.is_asked_for(save)
    # WHEN the program sends as far as it may, THEN it is granted more until everything is there
    limit, sent, granted = WINDOW_BYTES, 0, False
    while asked:
        size = len(save.chunks[save.manifest.chunks[asked[0]]])
        if sent + size <= limit:
            program.send_chunks(save, asked[:1])
            sent, asked = sent + size, asked[1:]
        else:
            assert program.socket.poll(SILENCE_MS), "the node grants no more"
            message, _ = codec.decode_from_node(program.socket.recv_multipart())
            assert isinstance(message, Grant)
            assert message.transfer == save.digest
            granted = granted or message.limit > limit
            limit = max(limit, message.limit)
    assert program.receive() == Stored(save.digest)
    assert granted
    check_stored(node.store, save)


# What is a change of something


@NEEDS_ZSTD
def test_a_manifest_may_come_as_the_change_of_another(node: Live) -> None:
    before, after = shot(1, 2), shot(1, 3)
    program = node.connect(1)
    program.offer(before)
    program.bring(before)
    packed = after.manifest.packed
    change = zstd.compress(packed, prefix=before.manifest.packed)
    assert len(change) < len(packed) / 2
    program.send(Offer(after.digest, len(packed), Codec.PATCH, before.digest), change)
    program.bring(after)
    check_stored(node.store, after)


@NEEDS_ZSTD
def test_a_manifest_of_which_the_base_is_not_here_is_asked_for_whole(node: Live) -> None:
    # GIVEN a program that tells of its save by what is different from one that the node does not have
    before, after = shot(1, 2), shot(1, 3)
    program = node.connect(1)
    change = zstd.compress(after.manifest.packed, prefix=before.manifest.packed)
    program.send(Offer(after.digest, len(after.manifest.packed), Codec.PATCH, before.digest), change)
    # THEN it is told so, and can offer the save as it is
    program.is_refused(Refusal.BASE_MISSING, after.digest)
    program.offer(after)
    program.bring(after)
    check_stored(node.store, after)


@NEEDS_ZSTD
@pytest.mark.parametrize("here", [True, False], ids=["is here", "is not here"])
def test_a_chunk_may_come_as_the_change_of_another(node: Live, here: bool) -> None:
    # GIVEN a save of which one chunk comes as the change of one from the save before
    before, after = shot(1, 2), shot(1, 3)
    program = node.connect(1)
    if here:
        program.offer(before)
        program.bring(before)
    program.offer(after)
    asked = program.is_asked_for(after)
    number = asked[0]
    base = next(chunk for chunk in before.manifest.chunks if chunk not in after.manifest.places)
    chunk = after.chunks[after.manifest.chunks[number]]
    change = zstd.compress(chunk, prefix=before.chunks[base])
    program.send(Chunks(after.digest, (ChunkHead(number, len(change), Codec.PATCH, base.hex()),)), change)
    if not here:
        # THEN without that one the program is told so, and everything is still to be sent
        program.is_refused(Refusal.BASE_MISSING, after.digest)
        program.offer(after)
        assert program.is_asked_for(after) == asked
        program.send_chunks(after, [number])
    program.send_chunks(after, asked[1:])
    assert program.receive() == Stored(after.digest)
    check_stored(node.store, after)


# What is no offer, and what are no chunks of it


def test_a_manifest_under_another_name_ends_the_session_and_is_not_kept(node: Live) -> None:
    save = shot(1)
    program = node.connect(1)
    program.send(Offer("d" * 32, len(save.manifest.packed), Codec.RAW), save.manifest.packed)
    program.has_lost_its_session()
    assert node.store.manifest("d" * 32) is None
    assert node.store.manifest(save.digest) is None


@pytest.mark.parametrize(
    "packed",
    [
        b"bytes",
        b"\n",
        b"[" * 100_000 + b"\n",
        b'{"roots":[],"files":[]}\n',
        shot(1).manifest.packed[:-1],
        shot(1).manifest.packed + b"x",
        shot(1).manifest.packed.replace(b"shot.blend", b"../x.blend"),
        shot(1).manifest.packed.replace(b"blake2b", b"md5sums"),
    ],
    ids=["bytes", "nothing", "brackets", "no file", "cut short", "left over", "outside", "unknown algorithm"],
)
def test_what_is_no_manifest_ends_the_session(node: Live, packed: bytes) -> None:
    name = chunk_digest(BLAKE2B)(packed).hex()
    honest, broken = node.connect(1), node.connect(2)
    broken.send(Offer(name, len(packed), Codec.RAW), packed)
    broken.has_lost_its_session()
    honest.waits()
    assert node.store.manifest(name) is None


def test_an_offer_of_another_size_than_it_says_ends_the_session(node: Live) -> None:
    save = shot(1)
    for size in (len(save.manifest.packed) - 1, len(save.manifest.packed) + 1):
        program = node.connect(1)
        program.send(Offer(save.digest, size, Codec.RAW), save.manifest.packed)
        program.has_lost_its_session()


def huge_manifest(chunks: int) -> Manifest:
    """One file of that many MiB: of a chunk that comes again and again."""
    recipe = Recipe(BLAKE2B, (chunks << 20,), chunks, (1 << 20,) * chunks, bytes(16) * chunks)
    return Manifest(("/home/ada",), (FileEntry(0, "huge.blend", recipe),))


def test_an_offer_that_is_too_large_ends_the_session(node: Live) -> None:
    program = node.connect(1)
    packed = huge_manifest(MAX_MANIFEST_BYTES // 20).packed
    assert len(packed) > MAX_MANIFEST_BYTES
    header = codec.encode(Offer("d" * 32, MAX_MANIFEST_BYTES, Codec.RAW), packed)[0]
    program.socket.send_multipart([bytes(header).replace(b"%d" % MAX_MANIFEST_BYTES, b"%d" % len(packed)), packed])
    program.has_lost_its_session()
    program = node.connect(1)
    program.send(Offer("d" * 32, MAX_MANIFEST_BYTES, Codec.RAW), packed)
    program.has_lost_its_session()


def test_the_largest_offer_is_answered(node: Live) -> None:
    # GIVEN a file of as many chunks as a manifest can hold, each a byte long
    count = MAX_MANIFEST_BYTES // 20 - 10
    ids = b"".join(number.to_bytes(16, "big") for number in range(count))
    manifest = Manifest(("/home/ada",), (FileEntry(0, "a.blend", Recipe(BLAKE2B, (count,), count, (1,) * count, ids)),))
    assert MAX_MANIFEST_BYTES - 300 < len(manifest.packed) <= MAX_MANIFEST_BYTES
    # WHEN it is offered, THEN all of them are asked for
    program = node.connect(1)
    program.send(Offer(manifest.digest, len(manifest.packed), Codec.RAW), manifest.packed)
    message: NodeMessage = Pong()
    while message == Pong():  # Who is silent for so long counts as lost.
        program.send(Ping())
        message, bits = program.receive_all()
    assert message == Need(manifest.digest, WINDOW_BYTES)
    assert len(bitmap.unpack(bytes(bits), count)) == count


def test_files_larger_than_the_disk_are_refused_before_a_byte_is_sent(node: Live, tmp_path: Path) -> None:
    # GIVEN files of 600 GB, as large as a manifest can tell of
    manifest = huge_manifest(600_000)
    if shutil.disk_usage(tmp_path).free > manifest.size:
        pytest.skip("this disk has room for that")
    program = node.connect(1)
    # WHEN they are offered, THEN they are refused, with the job
    program.send(Offer(manifest.digest, len(manifest.packed), Codec.RAW), manifest.packed)
    program.send(Submit(spec(Save(manifest, {}, {}))))
    program.is_refused(Refusal.DISK_FULL, manifest.digest)
    program.waits()
    # AND nothing of them waits, so that what does fit is taken in
    save = shot(1)
    program.offer(save)
    program.bring(save)


@pytest.mark.parametrize("sizes", [(5,), (5, 4), (5, 6), (5, 5, 1), ()], ids=str)
def test_heads_that_do_not_add_up_to_the_payload_end_the_session(node: Live, sizes: tuple[int, ...]) -> None:
    save = shot(1)
    program = node.connect(1)
    program.offer(save)
    program.is_asked_for(save)
    heads = tuple(ChunkHead(number, size, Codec.RAW) for number, size in enumerate(sizes))
    program.send(Chunks(save.digest, heads), b"0123456789")
    program.has_lost_its_session()


def test_chunks_beyond_the_credit_end_the_session(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN an upload that the node does not take in yet
    save = shot(1)
    begun = Gate(monkeypatch, Store, "begin")
    program = node.connect(1)
    program.offer(save)
    heads = tuple(ChunkHead(number, MAX_CHUNK_BYTES, Codec.RAW) for number in range(8))
    # WHEN a whole window arrives, THEN that is as it should be
    for _ in range(2):
        program.send(Chunks(save.digest, heads), bytes(8 * MAX_CHUNK_BYTES))
    program.waits()
    # WHEN a byte more does, THEN not
    program.send(Chunks(save.digest, (ChunkHead(0, 1, Codec.RAW),)), b"x")
    program.has_lost_its_session()
    begun.open()


def _shorter(chunk: bytes) -> tuple[Codec, Buffer]:
    return Codec.RAW, chunk[:-1]


def _other(chunk: bytes) -> tuple[Codec, Buffer]:
    return Codec.RAW, chunk[:-1] + bytes([chunk[-1] ^ 1])


def _other_compressed(chunk: bytes) -> tuple[Codec, Buffer]:
    return Codec.ZSTD, zstd.compress(chunk[:-1] + bytes([chunk[-1] ^ 1]))


def _no_zstd(_: bytes) -> tuple[Codec, Buffer]:
    return Codec.ZSTD, b"these bytes are not zstd"


def _bomb(chunk: bytes) -> tuple[Codec, Buffer]:
    return Codec.ZSTD, zstd.compress(bytes(1 << 30))


@pytest.mark.parametrize(
    "spoil",
    [_shorter, _other, *(pytest.param(each, marks=NEEDS_ZSTD) for each in (_other_compressed, _no_zstd, _bomb))],
)
def test_a_chunk_with_other_bytes_ends_the_session_and_is_not_kept(
    node: Live, spoil: Callable[[bytes], tuple[Codec, Buffer]]
) -> None:
    # GIVEN a program that sends one chunk as it is, and one with other bytes than its name says
    save = shot(1, 2)
    program = node.connect(1)
    program.offer(save)
    asked = program.is_asked_for(save)
    how, spoilt = spoil(save.chunks[save.manifest.chunks[asked[1]]])
    program.send_chunks(save, asked[:1])
    program.send(Chunks(save.digest, (ChunkHead(asked[1], len(spoilt), how),)), bytes(spoilt))
    # THEN its session ends
    program.has_lost_its_session()
    # AND of the two only the good one is kept
    program = node.connect(1)
    program.offer(save)
    assert program.bring(save) == asked[1:]
    check_stored(node.store, save)


def test_a_chunk_that_is_not_in_the_manifest_ends_the_session(node: Live) -> None:
    save = shot(1)
    program = node.connect(1)
    program.offer(save)
    program.is_asked_for(save)
    program.send(Chunks(save.digest, (ChunkHead(len(save.manifest.chunks), 1, Codec.RAW),)), b"x")
    program.has_lost_its_session()


def test_chunks_of_what_nobody_offered_are_dropped(node: Live) -> None:
    save = shot(1)
    program = node.connect(1)
    program.send_chunks(save, range(2))
    program.send(Withdraw(save.digest))
    program.waits()
    program.offer(save)
    assert len(program.bring(save)) == len(save.manifest.chunks)


# The job


def spec(save: Save) -> JobSpec:
    return JobSpec("e" * 32, "shot.blend", save.digest, None, "1", "", 0.0)


def test_a_job_is_taken_in_when_its_files_are_stored(node: Live) -> None:
    # GIVEN a job that is submitted right after its files were offered
    save = shot(1, 2)
    program = node.connect(1)
    program.offer(save)
    program.send(Submit(spec(save)))
    asked = program.is_asked_for(save)
    # WHEN nearly everything is there, THEN nothing has happened
    program.send_chunks(save, asked[:-1])
    program.waits()
    # WHEN the rest is, THEN the job is queued
    program.send_chunks(save, asked[-1:])
    assert program.receive() == Stored(save.digest)
    changed = program.receive()
    assert isinstance(changed, JobChanged)
    assert (changed.status.job, changed.status.state) == ("e" * 32, JobState.QUEUED)


def test_a_job_whose_files_are_here_is_taken_in_at_once(node: Live) -> None:
    save = shot(1)
    program = node.connect(1)
    program.offer(save)
    program.bring(save)
    other = node.connect(2)
    other.send(Submit(spec(save)))
    assert isinstance(other.receive(), JobChanged)


def test_a_job_whose_files_were_not_offered_is_refused(node: Live) -> None:
    program = node.connect(1)
    program.send(Submit(spec(shot(1))))
    program.is_refused(Refusal.FILE_MISSING, "e" * 32)


def test_a_job_is_dropped_with_an_offer_that_is_withdrawn(node: Live) -> None:
    save = shot(1)
    program = node.connect(1)
    program.offer(save)
    program.send(Submit(spec(save)))
    asked = program.is_asked_for(save)
    program.send(Withdraw(save.digest))
    program.waits()
    # THEN it does not come back when the files do
    program.offer(save)
    assert program.bring(save) == asked
    while not node.idle:
        program.waits()
    program.waits()


@NEEDS_ZSTD
def test_a_job_is_dropped_with_an_offer_that_is_refused(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a job that the node has heard of before it refuses its offer
    save, missing = shot(1), shot(2)
    change = zstd.compress(save.manifest.packed, prefix=missing.manifest.packed)
    looked = Gate(monkeypatch, Store, "manifest")
    program = node.connect(1)
    program.send(Offer(save.digest, len(save.manifest.packed), Codec.PATCH, missing.digest), change)
    program.send(Submit(spec(save)))
    program.waits()
    # WHEN it does, THEN that is all it says
    looked.open()
    program.is_refused(Refusal.BASE_MISSING, save.digest)
    while not node.idle:
        program.waits()
    program.waits()


# Two programs

End = Callable[[Live, Program, Gate, Save], None]


def withdrawn(node: Live, first: Program, gate: Gate, save: Save) -> None:
    first.send(Withdraw(save.digest))
    first.waits()
    gate.open()


def offered_again(node: Live, first: Program, gate: Gate, save: Save) -> None:
    withdrawn(node, first, gate, save)
    first.offer(save)
    first.send(Withdraw(save.digest))


def cut_off(node: Live, first: Program, gate: Gate, save: Save) -> None:
    first.break_off()
    gate.open()


def connected_anew(node: Live, first: Program, gate: Gate, save: Save) -> None:
    node.connect(1).waits()
    gate.open()


def refused(node: Live, first: Program, gate: Gate, save: Save) -> None:
    gate.open(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    first.is_refused(Refusal.DISK_FULL, save.digest)


def failed(node: Live, first: Program, gate: Gate, save: Save) -> None:
    gate.open(OSError(errno.EIO, os.strerror(errno.EIO)))
    first.is_refused(Refusal.STORAGE, save.digest)


STAGES: dict[str, tuple[type, str, bool]] = {
    "before the store is asked": (Store, "begin", True),
    "when the store was asked": (Store, "begin", False),
    "before a chunk is written": (Receipt, "put", True),
    "when a chunk was written": (Receipt, "put", False),
    "before it is stored": (Receipt, "finish", True),
    "when it was stored": (Receipt, "finish", False),
}
GOES = [withdrawn, offered_again, cut_off, connected_anew]


@pytest.mark.parametrize(
    ("stage", "end"),
    [(stage, end) for stage in STAGES for end in (*GOES, *([refused, failed] if stage.startswith("before") else []))],
)
def test_who_waits_goes_on_however_the_first_one_ends(
    node: Live, monkeypatch: pytest.MonkeyPatch, stage: str, end: End
) -> None:
    # GIVEN a program that sends a file, and a thread of the node's that works for it
    save = shot(1, 2, textures=[WOOD])
    gate = Gate(monkeypatch, *STAGES[stage])
    first, second = node.connect(1), node.connect(2)
    first.offer(save)
    if STAGES[stage][0] is Receipt:
        first.send_chunks(save, first.is_asked_for(save))
    gate.wait()
    # AND another program of the artist's that offers the same file
    second.offer(save)
    second.waits()
    # WHEN the first comes to an end
    end(node, first, gate, save)
    # THEN the second is answered, and can bring the file
    second.bring(save)
    check_stored(node.store, save)
    # AND nothing stays under way
    while not node.idle:
        second.waits()


def test_what_two_programs_send_at_once_is_received_once(node: Live) -> None:
    # GIVEN a program that sends a file, and another one that offers the same
    save = shot(1, 2, textures=[WOOD])
    first, second = node.connect(1), node.connect(2)
    first.offer(save)
    first.waits()
    asked = first.is_asked_for(save)
    second.offer(save)
    second.waits()
    # WHEN the first has sent it, THEN the second is asked for nothing
    first.send_chunks(save, asked)
    assert first.receive() == Stored(save.digest)
    assert second.receive() == Stored(save.digest)
    check_stored(node.store, save)


def test_the_file_of_another_save_is_waited_for(node: Live) -> None:
    # GIVEN a program that sends a texture, and another one whose scene has the same
    one, two = shot(1, textures=[WOOD]), shot(2, textures=[WOOD], name="other.blend")
    first, second = node.connect(1), node.connect(2)
    first.offer(one)
    asked = first.is_asked_for(one)
    second.offer(two)
    second.waits()
    # WHEN it is there, THEN the second is asked for the rest
    first.send_chunks(one, asked)
    assert first.receive() == Stored(one.digest)
    sent = {two.manifest.chunks[number] for number in second.bring(two)}
    assert sent == set(two.manifest.chunks) - set(one.manifest.chunks)
    check_stored(node.store, two)


def test_other_artists_wait_for_nobody(node: Live) -> None:
    save = shot(1)
    first, second = node.connect(1), node.connect(2, "b" * 32)
    first.offer(save)
    first.is_asked_for(save)
    second.offer(save)
    second.bring(save)
    check_stored(node.store, save)


def test_who_has_withdrawn_waits_for_nothing(node: Live) -> None:
    # GIVEN a program that waited for another one's upload, and does not any more
    save = shot(1)
    first, second = node.connect(1), node.connect(2)
    first.offer(save)
    first.is_asked_for(save)
    second.offer(save)
    second.waits()
    second.send(Withdraw(save.digest))
    second.waits()
    # WHEN that one withdraws, too, THEN nobody is asked to go on
    first.send(Withdraw(save.digest))
    while not node.idle:
        first.waits()
    second.waits()
    first.waits()


def test_two_saves_that_share_two_files_do_not_wait_for_each_other(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN two programs whose scenes name the same two textures in another order
    one, two = shot(1, textures=[WOOD, STONE]), shot(2, textures=[STONE, WOOD])
    first, second = node.connect(1), node.connect(2)
    # AND a node whose threads, if there are two at it, each get hold of what the other one looks for next
    together = threading.Barrier(2)
    take = Claims.take

    def in_step(claims: Claims, name: str) -> bool:
        taken = take(claims, name)
        with suppress(threading.BrokenBarrierError):  # There is one alone.
            together.wait(0.3)
        return taken

    monkeypatch.setattr(Claims, "take", in_step)
    # WHEN both are offered
    first.offer(one)
    first.waits()
    second.offer(two)
    # THEN the first is asked for its chunks, and then the second
    ahead, save, behind, other = (
        (first, one, second, two) if first.socket.poll(SILENCE_MS) else (second, two, first, one)
    )
    ahead.bring(save)
    behind.bring(other)
    check_stored(node.store, one)
    check_stored(node.store, two)


# The end of the node


def test_a_node_that_ends_lets_a_thread_finish_its_chunk(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a thread that writes a chunk
    save = shot(1)
    written = Gate(monkeypatch, Receipt, "put")
    steps: list[str] = []
    put, close = Receipt.put, Receipt.close

    def noted_put(*arguments: Any) -> None:
        put(*arguments)
        steps.append("put")

    def noted_close(receipt: Receipt) -> None:
        steps.append("close")
        close(receipt)

    monkeypatch.setattr(Receipt, "put", noted_put)
    monkeypatch.setattr(Receipt, "close", noted_close)
    program = node.connect(1)
    program.offer(save)
    program.send_chunks(save, program.is_asked_for(save)[:1])
    written.wait()
    (session,) = node.handlers.endpoint.sessions()
    task = session.uploads[save.digest].task
    assert task is not None
    # WHEN the node ends, which ends the session and then all work, THEN what the thread writes to is closed after it
    node.close()
    while node.do(task.cancelling) < 2:
        pass
    node.do(lambda: None)
    written.open()
    node.ended.result(PATIENCE_S)
    assert steps == ["put", "close"]
