# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no offer, and what are no chunks of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from addon.protocol import bitmap, codec, zstd
from addon.protocol.digest import BLAKE2B, Buffer, chunk_digest
from addon.protocol.limits import EAGER_BYTES, LEAST_WINDOW_BYTES, MAX_MANIFEST_BYTES
from addon.protocol.manifest import FileEntry, Manifest
from addon.protocol.messages import (
    ChunkHead,
    Chunks,
    Codec,
    Need,
    NodeMessage,
    Offer,
    Ping,
    Pong,
    Refusal,
    Submit,
    Withdraw,
)
from addon.protocol.recipe import Recipe
from server.store import Store
from tests.needs import NEEDS_ZSTD
from tests.server.store_kit import Save, check_stored
from tests.server.uploads_kit import Gate, Live, shot, spec


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
    assert message == Need(manifest.digest, LEAST_WINDOW_BYTES)
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
    # WHEN as much arrives as may come unasked, THEN that is as it should be
    program.send(Chunks(save.digest, (ChunkHead(0, EAGER_BYTES, Codec.RAW),)), bytes(EAGER_BYTES))
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
