# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two PNGs show the same, whatever is noted in them."""

import struct
import zlib
from pathlib import Path


def same_picture(one: Path, other: Path) -> bool:
    """Compare header and pixels; for files of one encoder, which filters equal pixels equally."""
    return _content(one) == _content(other)


def _content(path: Path) -> tuple[bytes, bytes]:
    data, at = path.read_bytes(), 8
    header, packed = b"", b""
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    return header, zlib.decompress(packed)
