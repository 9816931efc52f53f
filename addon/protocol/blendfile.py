# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bytes of a .blend tell without Blender: the version that saved it, and whether it is whole.

A .blend stands in the file as it is (blocks.py) or compressed (`filereader_zstd.cc`, `filereader_gzip.c`):

    zstd      frames, each an independent piece of the .blend, and a seek table in a last, skippable frame
    gzip      one stream (Blender 2.x)
"""

import mmap
import struct
import zlib
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from . import zstd
from .blocks import HEADER_BYTES, LARGE, Memory, NotABlend, Source, TruncatedBlend, parse_header, walk
from .digest import Buffer

__all__ = [
    "GZIP_MAGIC",
    "HEAD_BYTES",
    "ZSTD_MAGIC",
    "BlendHeader",
    "NotABlend",
    "SeekTable",
    "TruncatedBlend",
    "check_complete",
    "check_source",
    "gunzip",
    "read_header",
    "read_seek_table",
]

HEAD_BYTES = 256 * 1024
"""What `read_header` wants of a file (all, if shorter): a zstd block, the least that decodes, has up to 128 KiB."""

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE_BYTES = 1 << 20

# The seek table (github.com/facebook/zstd, contrib/seekable_format): a skippable frame that ends in a footer.
_SKIPPABLE = struct.Struct("<II")
_SKIPPABLE_MAGIC = 0x184D2A5E
_SEEK_FOOTER = struct.Struct("<IBI")
_SEEK_MAGIC = 0x8F92EAB1
_SEEK_CHECKSUMS = 0x80
_MAX_FRAMES = 1 << 20
"""Blender makes frames of 1 to 2 MiB (ZSTD_CHUNK_SIZE in writefile.cc), so these are a tebibyte."""


@dataclass(frozen=True)
class BlendHeader:
    """What a file's first bytes tell."""

    version: tuple[int, int] | None
    """Blender that saved the file, (4, 3) or (2, 79); None: zstd-compressed, and no decoder can be imported."""
    compressed: bool
    large: bool
    """Whether blocks have 5.x's 32-byte heads with 64-bit lengths; False while the version is unknown."""


@dataclass(frozen=True)
class SeekTable:
    """Where a zstd-compressed .blend's frames begin, each with one entry more for the last one's end; bytes."""

    packed: "array[int]"
    """In the file."""
    unpacked: "array[int]"
    """In the .blend that they hold."""


def read_header(head: Buffer) -> BlendHeader:
    """The header of a file that begins with `head` (its first HEAD_BYTES bytes). Raises NotABlend."""
    start = bytes(head[:HEADER_BYTES])
    compressed = True
    if start.startswith(ZSTD_MAGIC):
        if zstd.name() is None:
            return BlendHeader(None, compressed=True, large=False)
        start = _unzstd_start(head)
    elif start.startswith(GZIP_MAGIC):
        start = _gunzip_start(head)
    else:
        compressed = False
    if not start and not compressed:
        raise NotABlend("This file is empty: save it again in Blender.")
    version, layout = parse_header(start)
    return BlendHeader(version, compressed, large=layout is LARGE)


def check_complete(buffer: Buffer | mmap.mmap) -> None:
    """Raises TruncatedBlend unless all of the file is there, NotABlend where it never was a .blend.

    Blocks of a plain file are walked to the end mark (25,000 in 11 ms); of a zstd-compressed one only the seek table
    is read, which Blender writes last; an old gzip-compressed one has nothing to look up and is decompressed.
    """
    with memoryview(buffer) as view:
        found = _find_problem(view)
    if found is not None:
        raise found


def check_source(source: Source) -> None:
    """Do as `check_complete` does, over a source."""
    start = bytes(source.read(0, min(HEAD_BYTES, source.size)))
    read_header(start)
    if start.startswith(ZSTD_MAGIC):
        if read_seek_table(source) is None:
            size = source.size
            raise TruncatedBlend(f"This compressed .blend is cut short at {size} bytes: save it again in Blender.")
        return
    blocks: Iterator[object] = gunzip(source) if start.startswith(GZIP_MAGIC) else walk(source)
    deque(blocks, maxlen=0)


def read_seek_table(source: Source) -> SeekTable | None:
    """Return the table that a zstd-compressed file ends in, None unless its frames fill what stands before it."""
    footer_at = source.size - _SEEK_FOOTER.size
    if footer_at < _SKIPPABLE.size:
        return None
    count, descriptor, magic = _SEEK_FOOTER.unpack(source.read(footer_at, _SEEK_FOOTER.size))
    entry = struct.Struct("<III" if descriptor & _SEEK_CHECKSUMS else "<II")
    table_at = footer_at - count * entry.size
    frame_at = table_at - _SKIPPABLE.size
    if magic != _SEEK_MAGIC or frame_at < 0 or count > _MAX_FRAMES:
        return None
    if _SKIPPABLE.unpack(source.read(frame_at, _SKIPPABLE.size)) != (_SKIPPABLE_MAGIC, source.size - table_at):
        return None
    table = source.read(table_at, footer_at - table_at)
    packed = array("Q", accumulate((sizes[0] for sizes in entry.iter_unpack(table)), initial=0))
    unpacked = array("Q", accumulate((sizes[1] for sizes in entry.iter_unpack(table)), initial=0))
    return SeekTable(packed, unpacked) if packed[-1] == frame_at else None


def gunzip(source: Source) -> Iterator[bytes]:
    """Yield what a gzip-compressed file holds, at most 1 MiB at a time: a megabyte of gzip can hold a gigabyte.

    Raises TruncatedBlend, at the end where the checksum is wrong or missing.
    """
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for offset in range(0, source.size, _PIECE_BYTES):
            piece = bytes(source.read(offset, min(_PIECE_BYTES, source.size - offset)))
            while piece and not stream.eof:
                yield stream.decompress(piece, _PIECE_BYTES)
                piece = stream.unconsumed_tail
        while not stream.eof and (rest := stream.decompress(b"", _PIECE_BYTES)):
            yield rest
    except zlib.error:
        raise TruncatedBlend("This compressed .blend is damaged: save it again in Blender.") from None
    if not stream.eof:
        raise TruncatedBlend(f"This compressed .blend is cut short at {source.size} bytes: save it again in Blender.")


def _find_problem(view: memoryview) -> NotABlend | TruncatedBlend | None:
    """A new error, with no traceback that would keep views of the caller's map alive."""
    try:
        check_source(Memory(view))
    except (NotABlend, TruncatedBlend) as error:
        return type(error)(str(error))
    return None


def _unzstd_start(head: Buffer) -> bytes:
    """The header's bytes and no more are decoded: 256 KiB of zstd can hold gigabytes."""
    try:
        return zstd.decompress_start(head, HEADER_BYTES)
    except zstd.DamagedFrame:
        return b""


def _gunzip_start(head: Buffer) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEADER_BYTES)
    except zlib.error:
        return b""
