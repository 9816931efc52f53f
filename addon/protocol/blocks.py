# SPDX-License-Identifier: GPL-3.0-or-later
"""A .blend's header and its blocks, as they stand in an uncompressed file.

The layouts are those of Blender's `BLO_core_blend_header.hh` and `BLO_core_bhead.hh`:

    2.x-4.x   BLENDER-v403        then blocks of 24 + length bytes: code, length, old address, SDNA index, count
    5.x       BLENDER17-01v0502   then blocks of 32 + length bytes: code, SDNA index, old address, length, count

The last block is ENDB. Nothing here opens a file: the bytes come from a Source.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from .digest import Buffer

HEADER_BYTES = 17
"""The longest header."""
STRETCH_BYTES = 256 << 10
"""What is read at once. A scene has 50,000 blocks, which lie close together but for some large ones: to read each by
itself costs more than to look at it, and to read what is skipped then costs little.
"""
_END = b"ENDB"

_LEGACY_HEADER = re.compile(rb"BLENDER([-_])([vV])(\d{3})")
_LARGE_HEADER = re.compile(rb"BLENDER17-01v(\d{4})")
_FUTURE_HEADER = re.compile(rb"BLENDER\d\d-\d\dv\d{4}")


class NotABlend(ValueError):
    """This file is no .blend that can be rendered."""


class TruncatedBlend(ValueError):
    """This .blend is cut short or damaged: save it again in Blender."""


class Source(Protocol):
    """A file's bytes, wherever they are."""

    @property
    def size(self) -> int:
        """Of the file, bytes."""

    def read(self, offset: int, length: int) -> Buffer:
        """Return the bytes [offset, offset + length), all of which must lie within the file; not copied if possible."""


class Memory:
    """A source over bytes that are in memory, or mapped."""

    def __init__(self, buffer: Buffer) -> None:
        self._view = memoryview(buffer)
        self.size = len(self._view)

    def read(self, offset: int, length: int) -> memoryview:
        """Return a view."""
        return self._view[offset : offset + length]


@dataclass(frozen=True)
class Layout:
    """Where a version's blocks stand, and what their heads look like."""

    first: int
    """Offset of the first block, bytes."""
    head: struct.Struct
    length_at: int
    """Index of the payload's length among the head's fields."""


LEGACY = Layout(12, struct.Struct("<4siQii"), 1)
LARGE = Layout(17, struct.Struct("<4siQqq"), 3)

Block = tuple[bytes, int, int]
"""Code (four bytes), offset of the payload in the file, length of the payload. A bare tuple: naming its fields would
double the time of a walk.
"""


Look = Callable[[int, int], Buffer]
"""From (offset, length) to as many of these bytes as are at hand: `length` or MAX_HEAD_BYTES of them at least."""
MAX_HEAD_BYTES = LARGE.head.size


class Stretch:
    """The bytes around the place that a walk has come to: a source from which little things are quickly read."""

    def __init__(self, source: Source, look: Look | None = None) -> None:
        """`look` finds the bytes that come next, by default `source.read`."""
        self.size = source.size
        self._source = source
        self._look = look or source.read
        self._bytes = memoryview(b"")
        self._start = 0
        """Offset of these in the file."""

    def read(self, offset: int, length: int) -> Buffer:
        """Return the bytes [offset, offset + length); a view where they are at hand."""
        at = offset - self._start
        if at >= 0 and at + length > len(self._bytes) and length <= STRETCH_BYTES:
            self._load(offset)
            at = 0
        if at < 0 or at + length > len(self._bytes):
            return self._source.read(offset, length)
        return self._bytes[at : at + length]

    def ahead(self, offset: int, length: int) -> memoryview:
        """Return what is at hand from `offset` on; a `Look`."""
        at = offset - self._start
        if at < 0 or at + min(length, MAX_HEAD_BYTES) > len(self._bytes):
            self._load(offset)
            at = 0
        return self._bytes[at:]

    def _load(self, offset: int) -> None:
        self._bytes = memoryview(self._look(offset, min(STRETCH_BYTES, self.size - offset)))
        self._start = offset


def parse_header(start: bytes) -> tuple[tuple[int, int], Layout]:
    """Return (version, layout) of an uncompressed file that begins with `start`: ((4, 3), LEGACY).

    HEADER_BYTES of the file, or all if it is shorter, are enough. Raises NotABlend.
    """
    if match := _LARGE_HEADER.match(start):
        return divmod(int(match[1]), 100), LARGE
    if match := _LEGACY_HEADER.match(start):
        if match[1] == b"_":
            raise NotABlend("This .blend is from a 32-bit Blender: open it in Blender 4.5 and save it again.")
        if match[2] == b"V":
            raise NotABlend("This .blend is from a big-endian machine: open it in Blender 4.5 and save it again.")
        return divmod(int(match[3]), 100), LEGACY
    if _FUTURE_HEADER.match(start):
        raise NotABlend("This .blend has a newer layout than this Relay Render knows: update Relay Render.")
    raise NotABlend("This file is not a .blend: choose one that Blender saved.")


def walk(source: Source) -> Iterator[Block]:
    """Yield every block, ENDB as the last one: 25,000 in some 10 ms.

    A block that is yielded lies within the file. Raises NotABlend, and TruncatedBlend where they do not reach ENDB.
    """
    layout = read_layout(source)
    return walk_from(layout.first, layout, source.size, Stretch(source).ahead)


def read_layout(source: Source) -> Layout:
    """Return how a file's blocks are laid out. Raises NotABlend."""
    return parse_header(bytes(source.read(0, min(HEADER_BYTES, source.size))))[1]


def walk_from(at: int, layout: Layout, size: int, look: Look) -> Iterator[Block]:
    """Yield the blocks from the one whose head stands at the offset `at`, as `walk` does, looking for heads by `look`.

    `size`: of the file.
    """
    unpack, head, length_at = layout.head.unpack_from, layout.head.size, layout.length_at
    window: Buffer = b""
    start = end = 0  # where the window begins and ends in the file
    while (payload := at + head) <= size:
        if payload > end:
            window = look(at, min(STRETCH_BYTES, size - at))
            start, end = at, at + len(window)
        fields = unpack(window, at - start)
        length = fields[length_at]
        if length < 0:
            raise TruncatedBlend(f"This .blend is damaged at byte {at}: save it again in Blender.")
        at = payload + length
        if at > size:
            break
        yield fields[0], payload, length
        if fields[0] == _END:
            return
    raise TruncatedBlend(f"This .blend is cut short at {size} bytes: save it again in Blender.")
