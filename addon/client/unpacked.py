# SPDX-License-Identifier: GPL-3.0-or-later
"""A compressed .blend as the .blend that it holds.

One byte that changes in a scene may change all that follows once it is compressed, so what travels is cut from the
uncompressed .blend, and that is what the node stores.
"""

import tempfile
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, ExitStack
from itertools import pairwise
from pathlib import Path

from ..protocol import zstd
from ..protocol.blendfile import (
    GZIP_MAGIC,
    HEAD_BYTES,
    ZSTD_MAGIC,
    BlendHeader,
    NotABlend,
    SeekTable,
    TruncatedBlend,
    gunzip,
    read_header,
    read_seek_table,
)
from ..protocol.blocks import MAX_HEAD_BYTES
from ..protocol.digest import Buffer
from ..protocol.recipe import Extent
from .errors import CannotRead
from .snapshot import OpenFile, Snapshot

KEPT_BYTES = 16 << 20
"""Of decompressed frames that are kept: what some threads look at and what they will look at next."""
MAX_FRAME_BYTES = 8 << 20
"""Packed or unpacked. A larger frame is not Blender's, whose have up to 2 MiB (ZSTD_BUFFER_SIZE in writefile.cc)."""
_AHEAD_BYTES = 4 << 20
_PAYLOAD_FRAME_BYTES = 1 << 20
"""Into frames of so much Blender cuts a payload that is longer, the last one getting the rest (ZSTD_CHUNK_SIZE, mywrite
in writefile.cc).
"""


def open_source(path: Path, folder: Path | None = None) -> "OpenFile | Unpacked":
    """Open a file, as it is now, for what is to be sent of it: of a compressed .blend, the .blend.

    What cannot be decompressed here is sent as it is: without zstd, with frames that are not Blender's, or damaged. An
    old gzip-compressed .blend is decompressed into a nameless file in `folder`: call it in a thread. Raises CannotRead.
    """
    snapshot = Snapshot(path)
    try:
        return _unpacked(snapshot, folder) or snapshot
    except (NotABlend, TruncatedBlend):
        return snapshot
    except OSError as error:
        raise CannotRead(f"{path} cannot be decompressed: {error.strerror}.") from error


class Unpacked(AbstractContextManager["Unpacked"]):
    """A source over a zstd-compressed .blend. A frame is decompressed when it is read; any thread may read.

    Takes memory for KEPT_BYTES and, for each thread, two frames.
    """

    def __init__(self, packed: OpenFile, table: SeekTable) -> None:
        self.size = table.unpacked[-1]
        self.close = packed.close
        self.packed = packed
        self._table = table
        self._lock = threading.Lock()
        self._frames: OrderedDict[int, Future[bytes]] = OrderedDict()
        """By number, the least recently used first; of some the decompression is not done yet."""
        self._kept = 0
        """Bytes in `_frames`."""

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes [offset, offset + length): a copy, for a view of some bytes would keep all of a frame.

        Raises CannotRead for a damaged frame, SourceChanged, OSError.
        """
        parts: list[memoryview] = []
        number = self.frame_at(offset)
        skip = offset - self.start(number)
        while length > 0:
            part = memoryview(self.frame(number))[skip : skip + length]
            parts.append(part)
            length -= len(part)
            number, skip = number + 1, 0
        return b"".join(parts)

    def packed_extent(self, payload: Extent) -> Extent | None:
        """Return where in `packed` the frames stand that hold exactly these bytes; None if there are none such."""
        offset, length = payload
        unpacked = self._table.unpacked
        first, last = bisect_left(unpacked, offset), bisect_left(unpacked, offset + length)
        if last == len(unpacked) or (unpacked[first], unpacked[last]) != (offset, offset + length):
            return None
        start = self._table.packed[first]
        return start, self._table.packed[last] - start

    def frame_at(self, offset: int) -> int:
        """Return the number of the frame that holds the byte at `offset`."""
        return bisect_right(self._table.unpacked, offset) - 1

    def frame(self, number: int) -> bytes:
        """Return what a frame holds. Raises as `read` does."""
        with self._lock:
            kept = self._frames.get(number)
            if kept is None:
                mine = self._frames[number] = Future[bytes]()
                self._make_room(number)
            else:
                self._frames.move_to_end(number)
        if kept is not None:
            return kept.result()
        try:
            mine.set_result(self._decompress(number))
        except BaseException as error:
            mine.set_exception(error)  # Else whoever waits for it would wait for ever.
            raise
        return mine.result()

    def start(self, number: int) -> int:
        """Return the offset of the first byte that a frame holds."""
        return self._table.unpacked[number]

    def length(self, number: int) -> int:
        """Return how many bytes a frame holds."""
        return self._table.unpacked[number + 1] - self._table.unpacked[number]

    def _make_room(self, number: int) -> None:
        self._kept += self.length(number)
        while self._kept > KEPT_BYTES and len(self._frames) > 1:
            oldest, _ = self._frames.popitem(last=False)
            self._kept -= self.length(oldest)

    def _decompress(self, number: int) -> bytes:
        start, end = self._table.packed[number], self._table.packed[number + 1]
        try:
            return zstd.decompress(self.packed.read(start, end - start), self.length(number))
        except zstd.DamagedFrame:
            raise CannotRead(f"{self.packed.path} is damaged: save it again in Blender.") from None


class LookAhead:
    """Looks for heads in a compressed .blend: a walk's `look`. Threads of `pool` are some frames ahead of it.

    Frames that hold nothing but payload stay packed.
    """

    def __init__(self, source: Unpacked, pool: Executor) -> None:
        self._source = source
        self._pool = pool
        self._next = 0
        """The first frame that was not asked for."""

    def __call__(self, offset: int, length: int) -> Buffer:
        """Return what the frame has from `offset` on, or what a head needs. Raises as `Unpacked.read` does."""
        number = self._source.frame_at(offset)
        self._ask(number + 1, offset + _AHEAD_BYTES)
        rest = memoryview(self._source.frame(number))[offset - self._source.start(number) :]
        least = min(length, MAX_HEAD_BYTES)
        return rest if len(rest) >= least else self._source.read(offset, least)

    def _ask(self, first: int, end: int) -> None:
        last = self._source.frame_at(min(end, self._source.size - 1))
        for number in range(max(self._next, first), last + 1):
            if _PAYLOAD_FRAME_BYTES not in (self._source.length(number - 1), self._source.length(number)):
                self._pool.submit(self._source.frame, number)
        self._next = max(self._next, last + 1)


def _unpacked(packed: Snapshot, folder: Path | None) -> OpenFile | Unpacked | None:
    """What a compressed .blend holds; None for anything else. Raises NotABlend, TruncatedBlend, OSError."""
    magic = packed.read(0, min(len(ZSTD_MAGIC), packed.size))
    if magic.startswith(GZIP_MAGIC):
        _read_header(packed)
        return _gunzipped(packed, folder)
    if magic != ZSTD_MAGIC or _read_header(packed).version is None:
        return None
    table = read_seek_table(packed)
    return Unpacked(packed, table) if table is not None and _is_usual(table) else None


def _read_header(packed: Snapshot) -> BlendHeader:
    return read_header(packed.read(0, min(HEAD_BYTES, packed.size)))


def _is_usual(table: SeekTable) -> bool:
    """Whether every frame fits into memory, and there is something in them."""
    longest = max(end - start for column in (table.packed, table.unpacked) for start, end in pairwise(column))
    return table.unpacked[-1] > 0 and longest <= MAX_FRAME_BYTES


def _gunzipped(packed: Snapshot, folder: Path | None) -> OpenFile:
    with ExitStack() as on_error:
        file = on_error.enter_context(tempfile.TemporaryFile(dir=folder))
        file.writelines(gunzip(packed))
        file.flush()
        on_error.pop_all()
        return OpenFile(file, packed.path)
