# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two PNGs show the same, whatever is noted in them."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path


def same_picture(one: Path, other: Path) -> bool:
    """Compare header and pixels; for files of one encoder, which filters equal pixels equally."""
    return _content(one) == _content(other)


def without_text(data: bytes) -> bytes:
    """Return the file without its text chunks: Cycles notes there how long it took."""
    return data[:8] + b"".join(data[begin:end] for kind, begin, end in _chunks(data) if kind != b"tEXt")


def _content(path: Path) -> tuple[bytes, bytes]:
    data = path.read_bytes()
    header, packed = b"", b""
    for kind, begin, end in _chunks(data):
        body = data[begin + 8 : end - 4]
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
    return header, zlib.decompress(packed)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each one's kind, and where it begins and ends."""
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], at, at + 12 + length
        at += 12 + length
