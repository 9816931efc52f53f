# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that is looked at in places, without trusting its length and without reading it whole."""

import os
import struct
import zlib
from typing import Any, BinaryIO

PIECE_BYTES = 1 << 20


class Damage(Exception):
    """What is wrong with a picture: the part of a sentence that goes into brackets after its name."""


class Source:
    """Reads of a file that raise Damage where the file ends too early.

    Reads, not a map: a page of a map that cannot be read (a bad disk, a file that shrinks) kills the process.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        """Bytes."""

    def reach(self, end: int) -> None:
        """Raise Damage unless the file has at least `end` bytes."""
        if end > self.size:
            raise Damage(f"it ends at byte {self.size} and should go on to {end}")

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset`."""
        self.reach(offset + count)
        self._file.seek(offset)
        return self._file.read(count)

    def head(self, count: int) -> bytes:
        """The first bytes, as many as there are up to `count`."""
        return self.read(0, min(count, self.size))

    def tail(self, count: int) -> bytes:
        """The last bytes, as many as there are up to `count`."""
        count = min(count, self.size)
        return self.read(self.size - count, count)

    def unpack(self, layout: struct.Struct, offset: int) -> tuple[Any, ...]:
        """The fields of `layout` at `offset`."""
        return layout.unpack(self.read(offset, layout.size))

    def text(self, offset: int, limit: int) -> bytes:
        """The null-terminated bytes at `offset`, without the null, `limit` at most."""
        found = self.read(offset, min(limit + 1, max(self.size - offset, 0)))
        end = found.find(b"\0")
        if end < 0:
            raise Damage("a name in it has no end")
        return found[:end]

    def crc32(self, offset: int, count: int) -> int:
        """Checksum as PNG and gzip have it, read in pieces."""
        crc = 0
        for start in range(offset, offset + count, PIECE_BYTES):
            crc = zlib.crc32(self.read(start, min(PIECE_BYTES, offset + count - start)), crc)
        return crc
