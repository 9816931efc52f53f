# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats made of boxes that tell their length: movies, and the stills that share their containers (WebP, AVIF)."""

import struct

from .source import Damage, Source

MATROSKA_MAGIC = b"\x1a\x45\xdf\xa3"

_RIFF = struct.Struct("<4sI")
_BOX = struct.Struct(">I4s")
_LARGE_BOX = struct.Struct(">Q")
_OGG_PAGE = struct.Struct("<4sBB20xB")
_OGG_LAST = 4


def check_riff(source: Source) -> None:
    """WebP, AVI: chunks that fill the file (an AVI above 1 GB has several); FFmpeg writes their lengths last."""
    offset = 0
    while offset < source.size:
        kind, length = source.unpack(_RIFF, offset)
        if kind != b"RIFF" or not length:
            raise Damage(f"the chunk at byte {offset} is not filled in")
        offset += _RIFF.size + length + length % 2
    source.reach(offset - length % 2)


def check_iso(source: Source) -> None:
    """MP4, QuickTime, AVIF: boxes that fill the file, among them the index (moov, or meta for a still)."""
    offset, kinds = 0, set[bytes]()
    while offset < source.size:
        length, kind = source.unpack(_BOX, offset)
        if length == 1:  # too long for four bytes
            (length,) = source.unpack(_LARGE_BOX, offset + _BOX.size)
        if length < _BOX.size:
            raise Damage(f"the box at byte {offset} is not filled in")
        kinds.add(kind)
        offset += length
    source.reach(offset)
    if not kinds & {b"moov", b"meta"}:
        raise Damage("it has no index")


def check_matroska(source: Source) -> None:
    """MKV, WebM: a head, then one segment whose length is filled in at the end of writing."""
    offset = 0
    for _ in range(2):
        offset += 4  # an identifier: 1A 45 DF A3, then 18 53 80 67
        length, width = _ebml_number(source, offset)
        if length == (1 << 7 * width) - 1:
            raise Damage("its length is not filled in")
        offset += width + length
    source.reach(offset)


def check_ogg(source: Source) -> None:
    """Pages that fill the file; at least one is marked as a stream's last (RFC 3533)."""
    offset, ended = 0, False
    while offset < source.size:
        magic, _, flags, segments = source.unpack(_OGG_PAGE, offset)
        if magic != b"OggS":
            raise Damage(f"at byte {offset} there is no page")
        ended |= bool(flags & _OGG_LAST)
        offset += _OGG_PAGE.size
        offset += segments + sum(source.read(offset, segments))
    source.reach(offset)
    if not ended:
        raise Damage("its last page is missing")


def _ebml_number(source: Source, offset: int) -> tuple[int, int]:
    """A number and the bytes it takes: as many as its first byte has leading zeros, plus one (RFC 8794)."""
    (first,) = source.read(offset, 1)
    width = 9 - first.bit_length()
    if width > 8:
        raise Damage(f"the length at byte {offset} is damaged")
    number = int.from_bytes(source.read(offset, width), "big")
    return number & ((1 << 7 * width) - 1), width
