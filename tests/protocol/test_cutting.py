# SPDX-License-Identifier: GPL-3.0-or-later
import random
import struct
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addon.protocol import cutting
from addon.protocol.blocks import STRETCH_BYTES, Memory, NotABlend, TruncatedBlend
from addon.protocol.cutting import (
    LARGE_BYTES,
    MAX_BYTES,
    MIN_BYTES,
    PIECE_MAX_BYTES,
    PLAIN_BYTES,
    WHOLE_BYTES,
    Cutter,
    gather,
    parts,
    plain_cuts,
)
from addon.protocol.limits import MAX_CHUNK_BYTES, MAX_FILE_BYTES, MAX_MANIFEST_BYTES
from addon.protocol.recipe import Extent
from tests.protocol import blends
from tests.protocol.blends import BLOCKS, HEADERS, TAILS, Block, blend, data, data_block, scene
from tests.protocol.outlines import Outline, outline, payload_cuts


def extents(found: Outline) -> list[Extent]:
    """All that an outline speaks of, in the file's order."""
    pieces = [extent for piece in found.skeleton for extent in piece.extents]
    return sorted([*pieces, *((payload.offset, payload.length) for payload in found.payloads)])


def chunks(file: bytes) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The skeleton's chunks by their keys, and the payloads' chunks."""
    source = Memory(file)
    found = outline(source)
    payloads = []
    for offset, length, *_ in found.payloads:
        payloads += pieces(bytes(source.read(offset, length)))
    return {piece.key: bytes(gather(source, piece.extents)) for piece in found.skeleton}, payloads


# The outline


@given(BLOCKS, HEADERS, TAILS)
def test_the_parts_tile_the_file(blocks: list[Block], header: bytes, tail: bytes) -> None:
    # GIVEN any file WHEN it is outlined
    file = blend(blocks, header, tail)
    found = outline(Memory(file))

    # THEN every byte belongs to one part
    assert [0, *(offset + length for offset, length in extents(found))] == [
        *(offset for offset, _ in extents(found)),
        len(file),
    ]
    # THEN the runs are those of skeleton and payload
    assert sum(found.runs) == len(file)
    assert sum(found.runs[0::2]) == sum(piece.length for piece in found.skeleton)
    assert list(found.runs[1::2]) == [payload.length for payload in found.payloads]
    # THEN a chunk can be made of each piece, and told from all others
    assert all(0 < piece.length <= MAX_CHUNK_BYTES for piece in found.skeleton)
    assert all(sum(length for _, length in piece.extents) == piece.length for piece in found.skeleton)
    for keys in ([piece.key for piece in found.skeleton], [payload.key for payload in found.payloads]):
        assert len(set(keys)) == len(keys)


@given(BLOCKS, HEADERS)
def test_exactly_the_large_payloads_are_apart(blocks: list[Block], header: bytes) -> None:
    file = blend(blocks, header)
    found = [file[offset : offset + length] for offset, length, *_ in outline(Memory(file)).payloads]
    assert found == [block.payload for block in blocks if block.length >= LARGE_BYTES]


def test_what_is_no_blend_has_no_outline() -> None:
    with pytest.raises(NotABlend):
        outline(Memory(b"a letter"))
    with pytest.raises(TruncatedBlend):
        outline(Memory(scene(range(100))[:-1]))


def test_pieces_are_neither_tiny_nor_huge() -> None:
    lengths = [piece.length for piece in outline(Memory(scene(range(2000)))).skeleton]
    assert 16 << 10 < sum(lengths) / len(lengths) < 64 << 10
    assert max(lengths) < PIECE_MAX_BYTES + LARGE_BYTES + 64


@pytest.mark.parametrize("header", [blends.LEGACY, blends.LARGE])
def test_an_object_more_or_less_changes_few_pieces(header: bytes) -> None:
    # GIVEN a scene
    before, payloads = chunks(scene(range(1000), header))
    for objects in ([*range(500), *range(501, 1000)], [*range(500), 5000, *range(500, 1000)]):
        # WHEN an object is deleted or added in its middle
        after, payloads_after = chunks(scene(objects, header))

        # THEN no more than the piece that it stood in, its neighbour and those that its size has moved are new,
        changed = [key for key, chunk in after.items() if chunk not in before.values()]
        assert 1 <= len(changed) <= 4
        # THEN nearly all of them have a counterpart in the save before,
        assert len([key for key in changed if key not in before]) <= 1
        # THEN and of the payloads only its own.
        assert len(set(payloads) ^ set(payloads_after)) == 1


def test_another_session_leaves_all_payloads_and_keys() -> None:
    # GIVEN two saves with other addresses in every head
    before, payloads = chunks(scene(range(1000)))
    after, payloads_after = chunks(scene(range(1000), addresses=7))
    # THEN each piece has changed and finds its counterpart, and no payload has changed
    assert payloads == payloads_after
    assert list(before) == list(after)
    assert not set(before.values()) & set(after.values())


def test_a_data_block_with_very_many_small_blocks_is_cut_too() -> None:
    blocks = [data_block("SCbusy"), *(data(40, seed) for seed in range(5000)), data_block("OBnext")]
    found = outline(Memory(blend(blocks))).skeleton
    assert len(found) >= 5
    assert all(piece.length <= PIECE_MAX_BYTES + LARGE_BYTES + 64 for piece in found)
    assert [piece.key for piece in found[1:4]] == [b"SCbusy", b"SCbusy\0" + b"1", b"SCbusy\0" + b"2"]


@pytest.mark.parametrize("pointers", [4, 5])
def test_keys_are_names_wherever_a_version_has_them(pointers: int) -> None:
    # GIVEN IDs as they were before Blender 3.0, and as they are since
    def old_or_new(number: int) -> Block:
        return Block(b"OB\0\0", bytes(8 * pointers) + b"OBobject %d\0" % number + bytes(1000))

    blocks = [old_or_new(number) for number in range(300)]
    assert all(piece.key.startswith(b"OBobject ") for piece in outline(Memory(blend(blocks))).skeleton[1:])


def test_larger_files_have_larger_large_blocks() -> None:
    # GIVEN files of up to 64 GiB THEN a manifest of 12 MiB has room for all of their payloads
    assert cutting.large_bytes(1 << 30) == LARGE_BYTES
    assert cutting.large_bytes((1 << 30) + 1) == 2 * LARGE_BYTES
    assert all((1 << bits) / cutting.large_bytes(1 << bits) * 36 < MAX_MANIFEST_BYTES for bits in range(12, 37))
    # GIVEN the largest file THEN a chunk of its skeleton is none too long
    assert PIECE_MAX_BYTES + cutting.large_bytes(MAX_FILE_BYTES) + 32 <= MAX_CHUNK_BYTES


def test_the_thumbnail_is_part_of_the_skeleton() -> None:
    # GIVEN a save from the window, with the largest picture there is
    thumbnail = Block(b"TEST", struct.pack("<ii", 256, 256) + random.Random(1).randbytes(256 * 256 * 4))
    found = outline(Memory(blend([Block(b"REND", bytes(72)), thumbnail, data_block("OBCube"), data(10_000)])))
    # THEN it is in the first chunk, which can be told from its counterpart in the save before
    assert found.skeleton[0].key == b""
    assert thumbnail.length < found.skeleton[0].length <= MAX_CHUNK_BYTES
    assert [payload.length for payload in found.payloads] == [10_000]
    # THEN what only claims to be one is not
    fake = Block(b"TEST", bytes(2 << 20))
    assert [payload.length for payload in outline(Memory(blend([fake]))).payloads] == [2 << 20]


# Payloads


def test_a_payload_of_moderate_size_is_one_chunk() -> None:
    assert payload_cuts(bytes(WHOLE_BYTES)) == [WHOLE_BYTES]


@settings(max_examples=30)
@given(st.integers(WHOLE_BYTES + 1, 6 << 20), st.integers(0, 5), st.booleans())
def test_longer_ones_are_cut_into_chunks_of_a_certain_size(length: int, seed: int, empty: bool) -> None:
    lengths = payload_cuts(bytes(length) if empty else random.Random(seed).randbytes(length))
    assert sum(lengths) == length
    assert all(MIN_BYTES <= each <= MAX_BYTES and each % 4 == 0 for each in lengths[:-1])
    assert 0 < lengths[-1] < MAX_BYTES + 4  # What makes no word is the last one's.


@settings(max_examples=30)
@given(st.lists(st.integers(0, 200_000).map(lambda words: words * 4), max_size=8), st.integers(0, 3))
def test_cuts_do_not_depend_on_the_pieces_that_are_fed(sizes: list[int], rest: int) -> None:
    payload = random.Random(1).randbytes(sum(sizes) + rest)
    cutter = Cutter()
    lengths = []
    at = 0
    for size in sizes:
        lengths += cutter.feed(payload[at : at + size])
        at += size
    lengths += cutter.feed(payload[at:])
    whole = Cutter()
    assert lengths + cutter.finish() == whole.feed(payload) + whole.finish()


def test_cuts_are_the_same_on_every_machine_and_in_every_version() -> None:
    # GIVEN a fixed stream (Mersenne twister), with a hole WHEN it is cut THEN so for ever: stores hold such chunks
    payload = random.Random(2024).randbytes(1 << 20) + bytes(1 << 19) + random.Random(7).randbytes(300_001)
    assert payload_cuts(payload) == PINNED


def test_cuts_are_where_the_definition_says() -> None:
    # GIVEN the definition of a cut, written down word by word
    def mixed(word: int) -> int:
        word = (word ^ 0x27D4EB2F) * 0x85EBCA6B % 2**32
        return (word ^ word >> 15) * 0xC2B2AE35 % 2**32

    def cuts(words: list[int]) -> Iterator[int]:
        mixes = [mixed(word) for word in words]
        last = 0
        for end in range(1, len(words) + 1):
            window = sum(mix * pow(0x9E3779B1, age, 2**32) for age, mix in enumerate(mixes[end - 1 : end - 9 : -1]))
            small = end >= 8 and window % 2**32 < 2**32 // ((128 - 32) * 256)
            if (small and end - last >= 32 * 256) or end - last == 512 * 256:
                yield (end - last) * 4
                last = end
        if last < len(words):
            yield (len(words) - last) * 4

    # THEN numpy finds the same ones
    payload = random.Random(5).randbytes(1 << 20)
    words = [int.from_bytes(payload[at : at + 4], "little") for at in range(0, len(payload), 4)]
    assert payload_cuts(payload) == list(cuts(words))


@settings(max_examples=20)
@given(st.integers(0, 4 << 20), st.integers(1, 1000).map(lambda words: words * 4))
def test_an_insertion_changes_only_the_chunks_around_it(at: int, length: int) -> None:
    # GIVEN a large payload, and the same with some words inserted
    at = at // 4 * 4
    before = random.Random(3).randbytes(4 << 20)
    after = before[:at] + random.Random(4).randbytes(length) + before[at:]

    # WHEN both are cut THEN the chunks of both are the same but for those around
    new = set(pieces(after)) - set(pieces(before))
    assert len(new) <= 4


def pieces(payload: bytes) -> list[bytes]:
    ends = [0]
    for length in payload_cuts(payload):
        ends.append(ends[-1] + length)
    return [payload[start:end] for start, end in pairwise(ends)]


def test_without_numpy_payloads_are_cut_in_fixed_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "_WINDOW", None)
    assert payload_cuts(bytes(600 << 10)) == [256 << 10, 256 << 10, 88 << 10]


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (1, [1]),
        (PLAIN_BYTES, [PLAIN_BYTES]),
        (2 * PLAIN_BYTES + 7, [PLAIN_BYTES, PLAIN_BYTES, 7]),
    ],
)
def test_other_files_are_cut_in_fixed_pieces(size: int, lengths: list[int]) -> None:
    assert plain_cuts(size) == lengths


def test_bytes_that_stand_together_are_not_copied() -> None:
    source = Memory(b"0123456789")
    one = gather(source, [(2, 5)])
    assert isinstance(one, memoryview)
    assert bytes(one) == b"23456"
    assert gather(source, [(8, 2), (0, 1)]) == b"890"


PINNED = [120416, 252884, 246724, 253184, 164804, 524288, 98408, 68304, 143853]


def test_a_piece_keeps_nothing_but_its_own_bytes() -> None:
    # GIVEN a mesh with many shape keys: a few bytes of skeleton between long payloads, all in one piece
    file = Memory(blend([data_block("MEface"), *(data(300_000, 1) for _ in range(30))]))

    class Copying:
        """As a file is read."""

        size = file.size

        def read(self, offset: int, length: int) -> bytes:
            return bytes(file.read(offset, length))

    # WHEN it is taken apart
    tracemalloc.start()
    for _ in parts(Copying()):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # THEN what was read for one of them is let go of before the next
    assert peak < 5 * STRETCH_BYTES
