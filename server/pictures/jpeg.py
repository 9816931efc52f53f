# SPDX-License-Identifier: GPL-3.0-or-later
"""JPEG (ITU T.81) and JPEG 2000 (T.800), whose code streams both end in the marker FF D9."""

import re
import struct

from .source import PIECE_BYTES, Damage, Source

MAGIC = b"\xff\xd8\xff"
MAGIC_2000 = (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
"""The .jp2 container and the bare code stream."""

_MARKER = struct.Struct(">BB")
_LENGTH = struct.Struct(">H")
_START_OF_IMAGE, _START_OF_SCAN, _END_OF_IMAGE = 0xD8, 0xDA, 0xD9
# In a scan, FF is a pixel's byte before 00, a restart marker before D0-D7 and padding before FF.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def check(source: Source) -> None:
    """Segments and scans lead to the end of the image; a thumbnail's own end, inside a segment, is stepped over."""
    offset, marker, scanned = 0, None, False
    while marker != _END_OF_IMAGE:
        start, marker = source.unpack(_MARKER, offset)
        if start != 0xFF or (offset == 0) != (marker == _START_OF_IMAGE):
            raise Damage(f"at byte {offset} there is no marker")
        offset += _MARKER.size
        if marker not in {_START_OF_IMAGE, _END_OF_IMAGE}:
            offset += source.unpack(_LENGTH, offset)[0]
        if marker == _START_OF_SCAN:
            offset, scanned = _end_of_scan(source, offset), True
    if not scanned:
        raise Damage("it holds no pixels")


def check_2000(source: Source) -> None:
    """The code stream, which a .jp2 holds last, has its end."""
    if source.tail(2) != bytes([0xFF, _END_OF_IMAGE]):
        raise Damage(f"it ends at byte {source.size}, before its last marker")


def _end_of_scan(source: Source, offset: int) -> int:
    """Where the next marker stands that is no part of the scan."""
    while offset + 1 < source.size:
        piece = source.read(offset, min(PIECE_BYTES, source.size - offset))
        if found := _MARKER_IN_SCAN.search(piece):
            return offset + found.start()
        offset += len(piece) - 1  # a marker may lie across two pieces
    raise Damage(f"it ends at byte {source.size}, inside its pixels")
