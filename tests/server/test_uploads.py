# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on their way in: what travels, what is asked for, and what comes as the change of something."""

import random

import pytest

from addon.protocol import codec, zstd
from addon.protocol.limits import LEAST_WINDOW_BYTES, MAX_CHUNK_BYTES
from addon.protocol.messages import (
    ChunkHead,
    Chunks,
    Codec,
    Grant,
    Offer,
    Refusal,
    Stored,
    Submit,
    Withdraw,
)
from server.store import Store
from tests.needs import NEEDS_ZSTD
from tests.protocol.blends import scene
from tests.server.store_kit import check_stored, save_of
from tests.server.uploads_kit import STONE, WOOD, Gate, Live, another_artist, shot, spec
from tests.system.harness import SILENCE_MS


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
    other = node.connect(2, another_artist())
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
    limit, sent, granted = LEAST_WINDOW_BYTES, 0, False
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
