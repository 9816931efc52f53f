# SPDX-License-Identifier: GPL-3.0-or-later
"""How one file is made of chunks.

A file is read as two streams. The *payload* stream is made of the .blend's large data blocks, without their heads; the
*skeleton* is all the rest: heads and small blocks. `runs` says how they alternate in the file: so many bytes of
skeleton, so many of payload, so many of skeleton again. Each stream is the concatenation of its chunks, and no chunk
has bytes of both: block heads hold memory addresses that change with every session of Blender, payloads mostly do not.

A file of any other kind has no payload: `runs` is its size alone.
"""

import sys
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, compress, islice

from .digest import DIGEST_BYTES, new_digest
from .errors import RemoteProtocolError
from .limits import MAX_CHUNK_BYTES, MAX_FILE_BYTES

Extent = tuple[int, int]
"""(offset in the file, length), bytes."""


@dataclass(frozen=True)
class Recipe:
    """One file as a list of chunks. Raises RemoteProtocolError when the numbers do not add up."""

    algorithm: str
    """What names the chunks: digest.BLAKE3 or BLAKE2B."""
    runs: tuple[int, ...]
    """Bytes of skeleton, of payload, of skeleton, ... in the file's order."""
    skeleton: int
    """How many of the chunks, the first ones, are the skeleton's."""
    lengths: tuple[int, ...]
    """Of each chunk, bytes."""
    ids: bytes
    """Of each chunk, DIGEST_BYTES bytes."""

    def __post_init__(self) -> None:
        fits = len(self.ids) == len(self.lengths) * DIGEST_BYTES and 0 <= self.skeleton <= len(self.lengths)
        fits = fits and min(self.lengths, default=0) > 0 and max(self.lengths) <= MAX_CHUNK_BYTES
        fits = fits and min(self.runs, default=-1) >= 0 and self.size <= MAX_FILE_BYTES
        fits = fits and sum(self.lengths[: self.skeleton]) == sum(self.runs[0::2])
        fits = fits and sum(self.lengths[self.skeleton :]) == sum(self.runs[1::2])
        if not fits:
            raise RemoteProtocolError("A recipe whose numbers do not add up to a file.")

    @cached_property
    def size(self) -> int:
        """Of the file, bytes."""
        return sum(self.runs)

    @cached_property
    def digest(self) -> str:
        """The file's name by its content, 32 hexadecimal digits: BLAKE2b-128 of the packed recipe."""
        digest = new_digest()
        digest.update(f"{self.algorithm} {self.skeleton} {len(self.runs)}\n".encode())
        digest.update(self.pack())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.lengths)

    def id(self, number: int) -> bytes:
        """Name of chunk `number`."""
        return self.ids[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]

    @cached_property
    def names(self) -> tuple[bytes, ...]:
        """Of all chunks: `id` for each takes three times as long."""
        ids = self.ids
        return tuple([ids[at : at + DIGEST_BYTES] for at in range(0, len(ids), DIGEST_BYTES)])

    def extents(self, number: int) -> list[Extent]:
        """Where the bytes of chunk `number` stand in the file, in the chunk's own order."""
        in_payload = number >= self.skeleton
        start = self._starts[number]
        return _extents(self._streams[in_payload], start, start + self.lengths[number])

    def pack(self) -> bytes:
        """Return the columns `runs`, `lengths` and `ids` as little-endian bytes; the rest is for the caller to keep."""
        return _little("Q", self.runs) + _little("I", self.lengths) + self.ids

    @classmethod
    def unpack(cls, algorithm: str, skeleton: int, runs: int, chunks: int, packed: bytes) -> "Recipe":
        """Return the recipe of `chunks` chunks and `runs` runs that `pack` packed. Raises RemoteProtocolError."""
        if runs < 0 or chunks < 0 or len(packed) != packed_bytes(runs, chunks):
            raise RemoteProtocolError("A recipe that is cut short.")
        lengths_at = runs * 8
        ids_at = lengths_at + chunks * 4
        return cls(
            algorithm,
            _native("Q", packed[:lengths_at]),
            skeleton,
            _native("I", packed[lengths_at:ids_at]),
            packed[ids_at:],
        )

    @cached_property
    def _starts(self) -> list[int]:
        """Where each chunk begins in its stream."""
        skeleton = accumulate(self.lengths[: self.skeleton], initial=0)
        payload = accumulate(self.lengths[self.skeleton :], initial=0)
        return [*islice(skeleton, self.skeleton), *payload]

    @cached_property
    def _streams(self) -> tuple["_Stream", "_Stream"]:
        """The skeleton and the payload: where each of their runs begins in the stream and in the file."""
        offsets = list(accumulate(self.runs, initial=0))
        return (_Stream.of(self.runs[0::2], offsets[0:-1:2]), _Stream.of(self.runs[1::2], offsets[1:-1:2]))


@dataclass(frozen=True)
class _Stream:
    starts: list[int]
    offsets: Sequence[int]

    @classmethod
    def of(cls, runs: Sequence[int], offsets: Sequence[int]) -> "_Stream":
        """Empty runs, of which there are few, are left out: two starts must not be the same."""
        if 0 in runs:
            runs, offsets = list(compress(runs, runs)), list(compress(offsets, runs))
        return cls(list(accumulate(runs, initial=0)), offsets)


def packed_bytes(runs: int, chunks: int) -> int:
    """Length of a packed recipe."""
    return runs * 8 + chunks * (4 + DIGEST_BYTES)


def _extents(stream: _Stream, start: int, end: int) -> list[Extent]:
    found = []
    run = bisect_right(stream.starts, start) - 1
    while start < end:
        stop = min(end, stream.starts[run + 1])
        found.append((stream.offsets[run] + start - stream.starts[run], stop - start))
        start, run = stop, run + 1
    return found


def _little(code: str, numbers: Sequence[int]) -> bytes:
    column = array(code, numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _native(code: str, packed: bytes) -> tuple[int, ...]:
    column = array(code)
    column.frombytes(packed)
    if sys.byteorder == "big":
        column.byteswap()
    return tuple(column)
