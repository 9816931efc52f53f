# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on their way in: who sends them, who waits, and what stays of one that does not come to its end."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq

from addon.protocol.digest import DIGEST_BYTES
from addon.protocol.limits import PIECE_BYTES
from addon.protocol.messages import Hello, Offer, Piece, Ping, Pong, Refusal, Refused, Stored, Want, Withdraw
from addon.protocol.version import PROTOCOL, VERSION
from server.books import Books
from server.endpoint import Endpoint
from server.executors.local import LocalExecutor
from server.file_store import FileStore, Upload
from server.handlers import Handlers
from server.job_store import JobStore
from server.node import Node
from tests.system.harness import Peer

PATIENCE_S = 20.0
ARTIST = "a" * 32
FILE = bytes(range(256)) * (2 * PIECE_BYTES // 256)
DIGEST = hashlib.blake2b(FILE, digest_size=DIGEST_BYTES).hexdigest()
ARRIVED = PIECE_BYTES // 2
"""Bytes of it that an earlier connection has brought."""


class SlowDisk(FileStore):
    """A store on a disk that does not read before it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may_read = threading.Event()

    def begin_upload(self, digest: str, client: str, size: int) -> Upload:
        assert self.may_read.wait(PATIENCE_S)
        return super().begin_upload(digest, client, size)


class Program(Peer):
    """One program of the artist's."""

    def offer(self, size: int = len(FILE)) -> None:
        """Offer the file; returns when the node has taken that in, and has not answered it."""
        self.send(Offer(DIGEST, size))
        assert self.is_served()

    def withdraw(self) -> None:
        self.send(Withdraw(DIGEST))
        assert self.is_served()

    def send_rest(self, want: Want) -> None:
        for offset in range(want.offset, len(FILE), PIECE_BYTES):
            self.send(Piece(DIGEST, offset), FILE[offset : offset + PIECE_BYTES])

    def is_asked_for_the_rest(self) -> Want:
        want = self.receive()
        assert want == Want(DIGEST, ARRIVED, len(FILE))
        assert isinstance(want, Want)
        return want

    def is_refused(self, reason: Refusal) -> None:
        refused = self.receive()
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.about) == (reason, DIGEST)

    def break_off(self) -> None:
        """Break the protocol: that ends a session at once, and not after the silence that is granted to a lost one."""
        self.socket.send(b"")
        self.send(Ping())
        refused = self.receive()
        assert isinstance(refused, Refused)
        assert refused.reason == Refusal.HELLO_FIRST


Connect = Callable[[int], Program]


@pytest.fixture
def files(tmp_path: Path) -> Iterator[SlowDisk]:
    files = SlowDisk(tmp_path)
    yield files
    files.may_read.set()


@pytest.fixture
def part(files: SlowDisk, tmp_path: Path) -> Path:
    """Where what has arrived of the file lies; some of it has."""
    path = tmp_path / "incoming" / f"{DIGEST}.{ARTIST}.part"
    path.write_bytes(FILE[:ARRIVED])
    return path


@pytest.fixture
def connect(files: SlowDisk, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Connect]:
    """Connects a program, given its number, to a node over these files; the node may make no mistake meanwhile."""
    ready: Future[tuple[int, Callable[[], object]]] = Future()

    async def serve() -> None:
        handlers = Handlers()
        endpoint = Endpoint(handlers)
        port = endpoint.bind("tcp://127.0.0.1:*")
        books = Books(JobStore(tmp_path / "node.sqlite3"), files, handlers)
        handlers.node = Node(books, files, [], lambda listener: LocalExecutor(1, listener))
        handlers.endpoint = endpoint
        door = asyncio.create_task(endpoint.run())
        loop = asyncio.get_running_loop()
        ready.set_result((port, lambda: loop.call_soon_threadsafe(door.cancel)))
        await asyncio.gather(door, return_exceptions=True)
        await handlers.close()
        await handlers.node.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(serve())

    with zmq.Context() as context, ThreadPoolExecutor(1) as thread:
        node = thread.submit(run)
        port, close = ready.result(PATIENCE_S)
        programs: list[Program] = []

        def to_node(process: int) -> Program:
            program = Program(context, f"127.0.0.1:{port}")
            programs.append(program)
            program.hello(Hello(PROTOCOL, VERSION, ARTIST, f"{process:032x}", "test"))
            return program

        yield to_node
        for program in programs:
            program.socket.close()
        files.may_read.set()
        close()
        node.result(PATIENCE_S)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def check_stored(files: SlowDisk, part: Path) -> None:
    assert files.file(DIGEST).read_bytes() == FILE
    assert not part.exists()


@pytest.mark.parametrize("process", [1, 2], ids=["the same program anew", "another program"])
def test_a_file_offered_twice_while_what_is_there_is_read_is_received_once(
    connect: Connect, files: SlowDisk, part: Path, process: int
) -> None:
    # GIVEN a program whose file has arrived in part, which the node is reading
    first, second = connect(1), connect(process)
    first.offer()
    # WHEN another connection of the artist's offers the same file
    second.offer()
    files.may_read.set()
    # THEN the first is asked for the rest, and sends it
    first.send_rest(first.is_asked_for_the_rest())
    assert first.receive() == Stored(DIGEST)
    # AND the second is asked for nothing, and told that the file is there
    second.is_refused(Refusal.FILE_MISSING)
    second.send(Offer(DIGEST, len(FILE)))
    assert second.receive() == Stored(DIGEST)
    check_stored(files, part)


def test_a_file_offered_twice_on_one_connection_is_received_once(connect: Connect, files: SlowDisk, part: Path) -> None:
    # GIVEN a file that was offered, withdrawn and offered again while the node was reading what is there of it
    program = connect(1)
    program.offer()
    program.withdraw()
    program.offer()
    # WHEN it has been read
    files.may_read.set()
    # THEN the last offer is answered, and goes on with what has arrived
    program.is_refused(Refusal.FILE_MISSING)
    program.send(Offer(DIGEST, len(FILE)))
    program.send_rest(program.is_asked_for_the_rest())
    assert program.receive() == Stored(DIGEST)
    check_stored(files, part)


def test_who_waits_goes_on_when_the_first_ends_while_what_is_there_is_read(
    connect: Connect, files: SlowDisk, part: Path
) -> None:
    first, second = connect(1), connect(2)
    first.offer()
    second.offer()
    first.break_off()
    files.may_read.set()
    second.is_refused(Refusal.FILE_MISSING)
    second.send(Offer(DIGEST, len(FILE)))
    second.send_rest(second.is_asked_for_the_rest())
    assert second.receive() == Stored(DIGEST)
    check_stored(files, part)


def test_who_waits_is_answered_when_the_first_is_refused(connect: Connect, files: SlowDisk) -> None:
    # GIVEN two programs that offer the same file, for which there is no room
    first, second = connect(1), connect(2)
    first.offer(1 << 40)
    second.offer(1 << 40)
    # WHEN the first is told so
    files.may_read.set()
    first.is_refused(Refusal.DISK_FULL)
    # THEN the second is, too, when it offers the file again as it is asked to
    second.is_refused(Refusal.FILE_MISSING)
    second.send(Offer(DIGEST, 1 << 40))
    second.is_refused(Refusal.DISK_FULL)


def test_nothing_stays_of_an_upload_that_is_withdrawn(connect: Connect, files: SlowDisk, part: Path) -> None:
    files.may_read.set()
    program = connect(1)
    program.send(Offer(DIGEST, len(FILE)))
    program.is_asked_for_the_rest()
    program.send(Piece(DIGEST, ARRIVED), FILE[ARRIVED : 2 * ARRIVED])
    program.withdraw()
    assert not part.exists()


def test_nothing_stays_of_an_upload_that_is_withdrawn_while_it_is_read(
    connect: Connect, files: SlowDisk, part: Path
) -> None:
    # GIVEN an upload that is withdrawn before the node has read what is there of it
    program = connect(1)
    program.offer()
    program.withdraw()
    # WHEN it has, THEN that goes, and the program is asked for nothing
    files.may_read.set()
    while part.exists():
        assert program.is_served()
    assert program.is_served()


def test_what_has_arrived_of_a_withdrawn_upload_is_for_who_waits_for_it(
    connect: Connect, files: SlowDisk, part: Path
) -> None:
    # GIVEN a program that waits while another one sends the same file
    files.may_read.set()
    first, second = connect(1), connect(2)
    first.send(Offer(DIGEST, len(FILE)))
    first.is_asked_for_the_rest()
    second.offer()
    # WHEN the first withdraws it, THEN the second goes on where that was
    first.withdraw()
    second.is_refused(Refusal.FILE_MISSING)
    second.send(Offer(DIGEST, len(FILE)))
    second.send_rest(second.is_asked_for_the_rest())
    assert second.receive() == Stored(DIGEST)
    check_stored(files, part)


def test_who_has_withdrawn_waits_for_nothing(connect: Connect, files: SlowDisk, part: Path) -> None:
    # GIVEN a program that waited for another one's upload, and does not any more
    files.may_read.set()
    first, second = connect(1), connect(2)
    first.send(Offer(DIGEST, len(FILE)))
    first.is_asked_for_the_rest()
    second.offer()
    second.withdraw()
    # WHEN that one withdraws, too, THEN nothing stays, and nobody is asked to go on
    first.withdraw()
    assert not part.exists()
    assert second.is_served()


def test_a_file_that_has_arrived_is_stored_though_its_sender_is_gone(
    connect: Connect, files: SlowDisk, part: Path
) -> None:
    # GIVEN a program that sends the last piece
    files.may_read.set()
    first, second = connect(1), connect(2)
    first.send(Offer(DIGEST, len(FILE)))
    first.send_rest(first.is_asked_for_the_rest())
    # WHEN it is gone before the node has put the file in its place
    first.break_off()
    # THEN the next one that offers it learns that it is there
    second.send(Offer(DIGEST, len(FILE)))
    while (answer := second.receive()) != Stored(DIGEST):
        assert answer == Refused(Refusal.FILE_MISSING, "Offer the file again.", DIGEST)
        second.send(Offer(DIGEST, len(FILE)))
    check_stored(files, part)


@pytest.mark.parametrize("stored", [False, True], ids=["while it is stored", "when it is stored"])
def test_nothing_stays_of_a_file_that_is_withdrawn_when_it_has_arrived(
    connect: Connect, files: SlowDisk, part: Path, stored: bool
) -> None:
    # GIVEN a program that has sent the last piece
    files.may_read.set()
    program = connect(1)
    program.send(Offer(DIGEST, len(FILE)))
    program.send_rest(program.is_asked_for_the_rest())
    if stored:
        assert program.receive() == Stored(DIGEST)
    # WHEN it withdraws the file, which no job needs yet, THEN that goes
    program.send(Withdraw(DIGEST))
    while part.exists() or files.has(DIGEST):
        program.send(Ping())
        assert program.receive() in (Pong(), Stored(DIGEST))
