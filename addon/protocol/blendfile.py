# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bytes of a .blend tell without Blender: the version that saved it, and whether it is whole.

Nothing here opens a file: a caller hands over bytes, a memoryview or an mmap. The layouts are those of Blender's
`BLO_core_blend_header.hh`, `BLO_core_bhead.hh` and `filereader_zstd.cc`:

    2.x-4.x   BLENDER-v403        then blocks of 24 + length bytes: code, length, old address, SDNA index, count
    5.x       BLENDER17-01v0502   then blocks of 32 + length bytes: code, SDNA index, old address, length, count
    zstd      frames, each an independent piece of the above, and a seek table in a last, skippable frame
    gzip      one stream of the above (Blender 2.x)
"""

import importlib
import mmap
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Buffer = bytes | bytearray | memoryview | mmap.mmap

HEAD_BYTES = 256 * 1024
"""What `read_header` wants of a file (all, if shorter): a zstd block, the least that decodes, has up to 128 KiB."""

ZSTD_MODULES = ("compression.zstd", "backports.zstd", "zstandard")
"""Decoders in order of preference: Python 3.14's own, our wheel, and what blender.org's builds carry."""

_LEGACY_HEADER = re.compile(rb"BLENDER([-_])([vV])(\d{3})")
_LARGE_HEADER = re.compile(rb"BLENDER17-01v(\d{4})")
_FUTURE_HEADER = re.compile(rb"BLENDER\d\d-\d\dv\d{4}")
_LONGEST_HEADER = 17

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE_BYTES = 1 << 20

# The seek table (github.com/facebook/zstd, contrib/seekable_format): a skippable frame that ends in a footer.
_SKIPPABLE = struct.Struct("<II")
_SKIPPABLE_MAGIC = 0x184D2A5E
_SEEK_FOOTER = struct.Struct("<IBI")
_SEEK_MAGIC = 0x8F92EAB1
_SEEK_CHECKSUMS = 0x80


class NotABlend(ValueError):
    """This file is no .blend that can be rendered."""


class TruncatedBlend(ValueError):
    """This .blend is cut short or damaged: save it again in Blender."""


@dataclass(frozen=True)
class BlendHeader:
    """What a file's first bytes tell."""

    version: tuple[int, int] | None
    """Blender that saved the file, (4, 3) or (2, 79); None: zstd-compressed, and no decoder can be imported."""
    compressed: bool
    large: bool
    """Whether blocks have 5.x's 32-byte heads with 64-bit lengths; False while the version is unknown."""


@dataclass(frozen=True)
class _Layout:
    first: int
    """Offset of the first block, bytes."""
    head: struct.Struct
    length_at: int
    """Index of the payload's length among the head's fields."""


_LEGACY = _Layout(12, struct.Struct("<4siQii"), 1)
_LARGE = _Layout(17, struct.Struct("<4siQqq"), 3)


def read_header(head: bytes) -> BlendHeader:
    """The header of a file that begins with `head` (its first HEAD_BYTES bytes). Raises NotABlend."""
    if head.startswith(_ZSTD_MAGIC):
        decode = zstd_decoder()
        if decode is None:
            return BlendHeader(None, compressed=True, large=False)
        return _parse_header(decode(head), compressed=True)
    if head.startswith(_GZIP_MAGIC):
        return _parse_header(_gunzip_start(head), compressed=True)
    return _parse_header(head[:_LONGEST_HEADER], compressed=False)


def check_complete(buffer: Buffer) -> None:
    """Raises TruncatedBlend unless all of the file is there, NotABlend where it never was a .blend.

    Blocks of a plain file are walked to the end mark (25,000 in 11 ms); of a zstd-compressed one only the seek table
    is read, which Blender writes last; an old gzip-compressed one has nothing to look up and is decompressed.
    """
    start = bytes(buffer[:HEAD_BYTES])
    header = read_header(start)
    if start.startswith(_ZSTD_MAGIC):
        _check_seek_table(buffer)
    elif start.startswith(_GZIP_MAGIC):
        _check_gzip(buffer)
    else:
        _check_blocks(buffer, _LARGE if header.large else _LEGACY)


def zstd_module() -> str | None:
    """Name of the first importable module of ZSTD_MODULES."""
    for name in ZSTD_MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        return name
    return None


def zstd_decoder() -> Callable[[bytes], bytes] | None:
    """A function from a zstd stream's beginning to the header's bytes in it (b"" where it cannot be decoded).

    It decodes no more than those: 256 KiB of zstd can hold gigabytes.
    """
    name = zstd_module()
    if name is None:
        return None
    zstd: Any = importlib.import_module(name)

    def decode(head: bytes) -> bytes:
        try:
            if name == "zstandard":
                return bytes(zstd.ZstdDecompressor().stream_reader(head).read(_LONGEST_HEADER))
            return bytes(zstd.ZstdDecompressor().decompress(head, max_length=_LONGEST_HEADER))
        except zstd.ZstdError:
            return b""

    return decode


def _gunzip_start(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, _LONGEST_HEADER)
    except zlib.error:
        return b""


def _parse_header(start: bytes, compressed: bool) -> BlendHeader:
    if match := _LARGE_HEADER.match(start):
        return BlendHeader(divmod(int(match[1]), 100), compressed, large=True)
    if match := _LEGACY_HEADER.match(start):
        if match[1] == b"_":
            raise NotABlend("This .blend is from a 32-bit Blender: open it in Blender 4.5 and save it again.")
        if match[2] == b"V":
            raise NotABlend("This .blend is from a big-endian machine: open it in Blender 4.5 and save it again.")
        return BlendHeader(divmod(int(match[3]), 100), compressed, large=False)
    if _FUTURE_HEADER.match(start):
        raise NotABlend("This .blend has a newer layout than this Relay Render knows: update Relay Render.")
    if not start and not compressed:
        raise NotABlend("This file is empty: save it again in Blender.")
    raise NotABlend("This file is not a .blend: choose one that Blender saved.")


def _check_blocks(buffer: Buffer, layout: _Layout) -> None:
    size, offset = len(buffer), layout.first
    while offset + layout.head.size <= size:
        fields = layout.head.unpack_from(buffer, offset)
        length = fields[layout.length_at]
        if length < 0:
            raise TruncatedBlend(f"This .blend is damaged at byte {offset}: save it again in Blender.")
        offset += layout.head.size + length
        if fields[0] == b"ENDB" and offset <= size:
            return
    raise TruncatedBlend(f"This .blend is cut short at {size} bytes: save it again in Blender.")


def _check_seek_table(buffer: Buffer) -> None:
    if not _has_seek_table(buffer):
        raise TruncatedBlend(f"This compressed .blend is cut short at {len(buffer)} bytes: save it again in Blender.")


def _has_seek_table(buffer: Buffer) -> bool:
    """Whether the buffer ends in a seek table whose frames fill exactly what stands before it."""
    footer_at = len(buffer) - _SEEK_FOOTER.size
    if footer_at < 0:
        return False
    count, descriptor, magic = _SEEK_FOOTER.unpack_from(buffer, footer_at)
    entry = struct.Struct("<III" if descriptor & _SEEK_CHECKSUMS else "<II")
    table_at = footer_at - count * entry.size
    frame_at = table_at - _SKIPPABLE.size
    if magic != _SEEK_MAGIC or frame_at < 0:
        return False
    if _SKIPPABLE.unpack_from(buffer, frame_at) != (_SKIPPABLE_MAGIC, len(buffer) - table_at):
        return False
    covered = sum(sizes[0] for sizes in entry.iter_unpack(buffer[table_at:footer_at]))
    return bool(covered == frame_at)


def _check_gzip(buffer: Buffer) -> None:
    """The checksum at a gzip stream's end speaks for all of it; only decompressing finds that end."""
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for start in range(0, len(buffer), _PIECE_BYTES):
            _drain(stream, bytes(buffer[start : start + _PIECE_BYTES]))
    except zlib.error:
        raise TruncatedBlend("This compressed .blend is damaged: save it again in Blender.") from None
    if not stream.eof:
        raise TruncatedBlend(f"This compressed .blend is cut short at {len(buffer)} bytes: save it again in Blender.")


def _drain(stream: Any, piece: bytes) -> None:
    """Decompress a piece in steps of bounded size: a megabyte of gzip can hold a gigabyte."""
    while piece and not stream.eof:
        stream.decompress(piece, _PIECE_BYTES)
        piece = stream.unconsumed_tail
