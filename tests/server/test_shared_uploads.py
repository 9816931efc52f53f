# SPDX-License-Identifier: GPL-3.0-or-later
"""Two programs that send the same files: who waits for whom, and until when."""

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from addon.protocol.messages import (
    Refusal,
    Stored,
    Withdraw,
)
from server.store import Receipt, Store
from server.store.claims import Claims
from tests.server.store_kit import Save, check_stored
from tests.server.uploads_kit import PATIENCE_S, STONE, WOOD, Gate, Live, Program, another_artist, shot
from tests.system.harness import SILENCE_MS

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


def test_who_leaves_while_a_failed_upload_waits_to_be_closed_keeps_nobody_out(
    node: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a node with one thread, in which a chunk is being written, and something else comes next
    pool, busy, go_on = ThreadPoolExecutor(1), threading.Event(), threading.Event()

    def work() -> None:
        busy.set()
        go_on.wait(PATIENCE_S)

    node.do(lambda: node.loop.set_default_executor(pool))
    save = shot(1, 2, textures=[WOOD])
    gate = Gate(monkeypatch, Receipt, "put", before=True)
    first, second = node.connect(1), node.connect(2)
    first.offer(save)
    first.send_chunks(save, first.is_asked_for(save))
    gate.wait()
    pool.submit(work)
    # WHEN the disk does not take the chunk, and its program leaves before the thread has let go of the files
    gate.open(OSError(errno.EIO, os.strerror(errno.EIO)))
    assert busy.wait(PATIENCE_S)
    while pool._work_queue.empty():
        first.waits()
    first.break_off()
    go_on.set()
    # THEN another of the artist's can bring them
    second.offer(save)
    second.bring(save)
    check_stored(node.store, save)


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
    first, second = node.connect(1), node.connect(2, another_artist())
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
