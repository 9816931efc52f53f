# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with the structure of a .blend, made up: what a test needs of Blender without Blender."""

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

LEGACY, LARGE = b"BLENDER-v403", b"BLENDER17-01v0502"


@dataclass(frozen=True)
class Block:
    code: bytes
    payload: bytes
    address: int = 0

    @property
    def length(self) -> int:
        return len(self.payload)


def data(length: int, seed: int = 0, address: int = 0) -> Block:
    return Block(b"DATA", random.Random(seed).randbytes(length), address)


def data_block(name: str, length: int = 500, address: int = 0) -> Block:
    """What begins an object, a mesh...: five pointers, and its name after two letters for its type, OBCube."""
    start = bytes(40) + name.encode() + b"\0"
    filler = random.Random(name).randbytes(length)
    return Block(name[:2].encode() + b"\0\0", start + filler, address)


def blend(blocks: Sequence[Block], header: bytes = LARGE, tail: bytes = b"") -> bytes:
    """The file, with ENDB at its end and `tail` behind that."""
    parts = [header]
    for block in (*blocks, Block(b"ENDB", b"")):
        parts += (_head(block, header), block.payload)
    return b"".join((*parts, tail))


def head_bytes(header: bytes) -> int:
    return 24 if header == LEGACY else 32


def scene(objects: Sequence[int], header: bytes = LARGE, addresses: int = 0) -> bytes:
    """Objects by their numbers, each with a mesh: blocks of 100 to 3,000 bytes, and every tenth one a large one.

    `addresses` says where their memory was: another session has others.
    """
    blocks = [Block(b"REND", bytes(72)), Block(b"GLOB", bytes(1000))]
    for number in objects:
        chance = random.Random(number)
        place = (addresses << 32) + number * 4096
        blocks.append(data_block(f"OBobject {number}", 1200, place))
        blocks += (data(chance.randrange(100, 3000), number * 10 + k, place + k) for k in range(chance.randrange(4)))
        if number % 10 == 0:
            blocks.append(data(chance.randrange(8_000, 40_000), number, place + 9))
    return blend([*blocks, Block(b"DNA1", bytes(100_000))], header)


def _head(block: Block, header: bytes) -> bytes:
    if header == LEGACY:
        return struct.pack("<4siQii", block.code, block.length, block.address, 0, 1)
    return struct.pack("<4siQqq", block.code, 0, block.address, block.length, 1)


_LENGTHS = st.one_of(
    st.integers(0, 300),
    st.integers(3_000, 6_000),
    st.integers(60_000, 70_000),
    st.integers(250_000, 270_000),
    st.integers(0, 1_500_000),
)
_BLOCKS = st.one_of(
    st.builds(data, _LENGTHS, st.integers(0, 3), st.integers(0, 2**64 - 1)),
    st.builds(lambda number, length: data_block(f"OB{number}", length), st.integers(0, 50), st.integers(0, 9_000)),
    st.builds(Block, st.sampled_from([b"OB\0\0", b"ID\0\0", b"GLOB"]), st.binary(max_size=80)),
)
BLOCKS = st.lists(_BLOCKS, max_size=12)
HEADERS = st.sampled_from([LEGACY, LARGE])
TAILS = st.one_of(st.just(b""), st.integers(1, 200_000).map(bytes))
