# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import random
import struct
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.blocks import (
    LARGE,
    LEGACY,
    MAX_HEAD_BYTES,
    STRETCH_BYTES,
    Memory,
    NotABlend,
    Stretch,
    TruncatedBlend,
    parse_header,
    walk,
)
from tests.protocol import blends
from tests.protocol.blends import BLOCKS, HEADERS, TAILS, Block, blend


class Watched(Memory):
    """A source that holds a reader to what it may ask for."""

    longest = 0

    def read(self, offset: int, length: int) -> memoryview:
        assert 0 <= offset <= offset + length <= self.size
        self.longest = max(self.longest, length)
        return super().read(offset, length)


@given(BLOCKS, HEADERS, TAILS)
def test_every_block_is_found_where_it_is(blocks: list[Block], header: bytes, tail: bytes) -> None:
    # GIVEN a file of some blocks WHEN they are walked
    source = Watched(blend(blocks, header, tail))
    found = list(walk(source))

    # THEN each is there with its code, the place of its payload and its length, and the last is the end
    head = blends.head_bytes(header)
    starts = accumulate((head + block.length for block in blocks), initial=len(header) + head)
    lengths = [*(block.length for block in blocks), 0]
    assert found == list(zip([*(block.code for block in blocks), b"ENDB"], starts, lengths, strict=True))


@given(BLOCKS, HEADERS, st.data())
def test_every_cut_is_noticed(blocks: list[Block], header: bytes, draw: st.DataObject) -> None:
    whole = blend(blocks, header)
    length = draw.draw(st.integers(0, len(whole) - 1))
    with pytest.raises((NotABlend, TruncatedBlend)):
        list(walk(Watched(whole[:length])))


@given(
    st.builds(lambda header, rest: header + rest, HEADERS, st.binary(max_size=400))
    | st.builds(
        lambda header, fields: header + b"".join(fields),
        HEADERS,
        st.lists(
            st.builds(
                lambda code, length: struct.pack("<4siQqq", code, length & 0x7FFFFFFF, 0, length, 1),
                st.sampled_from([b"DATA", b"ENDB", b"OB\0\0"]),
                st.integers(-(2**63), 2**63 - 1) | st.integers(-64, 64),
            ),
            max_size=20,
        ),
    )
)
def test_no_bytes_make_a_walk_endless_or_greedy(data: bytes) -> None:
    # GIVEN a header and then anything, absurd lengths above all WHEN it is walked
    source = Watched(data)
    found = []
    with contextlib.suppress(TruncatedBlend):
        for block in walk(source):
            found.append(block)
            # THEN there are no more blocks than there is room for heads, and none reaches out of the file
            assert len(found) <= len(data) / 24
            assert block[1] + block[2] <= len(data)
    # THEN no more is asked for than it can look at
    assert source.longest <= 1 << 16


@pytest.mark.parametrize(("header", "struct_format"), [(blends.LEGACY, "<4siQii"), (blends.LARGE, "<4siQqq")])
def test_a_block_of_negative_length_is_damage_and_no_endless_walk(header: bytes, struct_format: str) -> None:
    head = struct.pack(struct_format, b"DATA", *((-24, 0, 0, 1) if header == blends.LEGACY else (0, 0, -32, 1)))
    with pytest.raises(TruncatedBlend, match=f"damaged at byte {len(header)}"):
        list(walk(Memory(header + head + bytes(64))))


def test_a_block_longer_than_any_file_is_a_cut() -> None:
    head = struct.pack("<4siQqq", b"DATA", 0, 0, 2**63 - 1, 1)
    with pytest.raises(TruncatedBlend, match="cut short at 149 bytes"):
        list(walk(Memory(blends.LARGE + head + bytes(100))))


def test_an_end_that_has_bytes_of_its_own_is_still_the_end() -> None:
    data = blends.LARGE + struct.pack("<4siQqq", b"ENDB", 0, 0, 5, 1) + b"12345" + b"behind"
    assert list(walk(Memory(data))) == [(b"ENDB", 49, 5)]


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"BLENDER-v279", ((2, 79), LEGACY)),
        (b"BLENDER-v403REND", ((4, 3), LEGACY)),
        (b"BLENDER17-01v0502", ((5, 2), LARGE)),
    ],
)
def test_a_header_tells_version_and_layout(start: bytes, found: object) -> None:
    assert parse_header(start) == found


FILE = random.Random(1).randbytes(3 * STRETCH_BYTES)


@given(st.lists(st.tuples(st.integers(0, len(FILE)), st.integers(0, 2 * STRETCH_BYTES), st.booleans())), st.booleans())
def test_a_stretch_gives_what_the_file_has(wishes: list[tuple[int, int, bool]], sparing: bool) -> None:
    # GIVEN a source of which everything is at hand, or heads alone
    source = Watched(FILE)
    stretch = Stretch(source, (lambda at, length: FILE[at : at + min(length, MAX_HEAD_BYTES)]) if sparing else None)
    for offset, wished, ahead in wishes:
        length = min(wished, len(FILE) - offset)
        found = (stretch.ahead if ahead else stretch.read)(offset, length)
        # THEN it is what stands there: all of it, or of what lies ahead a head at least
        assert found == FILE[offset : offset + len(found)]
        assert len(found) >= min(length, MAX_HEAD_BYTES) if ahead else len(found) == length


def test_little_things_are_read_together() -> None:
    source = Counted(FILE)
    stretch = Stretch(source)
    for offset in range(0, len(FILE) - 100, 100):
        assert stretch.read(offset, 100) == FILE[offset : offset + 100]
        stretch.ahead(offset + 50, 32)
    assert source.reads <= 5


class Counted(Memory):
    reads = 0

    def read(self, offset: int, length: int) -> memoryview:
        self.reads += 1
        return super().read(offset, length)
