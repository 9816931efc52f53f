# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenEXR (openexr.com, "OpenEXR File Layout"): headers, a table of chunk offsets for each part, then the chunks.

Blender writes the tables last, over zeros, so that a killed one leaves a header that reads well and no picture.
"""

import struct
from dataclasses import dataclass

from .source import PIECE_BYTES, Damage, Source

MAGIC = b"\x76\x2f\x31\x01"

_VERSION = struct.Struct("<I")
_TILED, _MULTIPART = 0x200, 0x1000
_LONG_NAME = 255
"""Bytes of a name at most (31 in files without long names, where the longer limit does no harm)."""

_ATTRIBUTE_SIZE = struct.Struct("<i")
_VALUE_BYTES = 64
"""As much of an attribute as is read: those used here are shorter, a Cryptomatte's list of names has megabytes."""
_BOX = struct.Struct("<4i")
_TILES = struct.Struct("<IIB")
_INT = struct.Struct("<i")
_OFFSET = struct.Struct("<Q")

LINES_PER_CHUNK = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256, 256, 32, 256, 1)
"""By compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB, HTJ2K256, HTJ2K32, LJ2K, ZSTD
(ImfCompression.h of OpenEXR 3.5)."""

_MAX_PARTS = 4096
"""Blender writes one part for each view and layer; a damaged file could claim any number."""


@dataclass(frozen=True)
class _Part:
    attributes: dict[bytes, bytes]
    tiled: bool
    deep: bool
    multipart: bool

    def value(self, name: bytes, layout: struct.Struct) -> tuple[int, ...]:
        value = self.attributes.get(name, b"")
        if len(value) != layout.size:
            raise Damage(f"its header has no usable {name.decode()}")
        return layout.unpack(value)

    @property
    def chunks(self) -> int:
        """How many chunks hold this part's pixels; only files of one flat part may leave it to be worked out."""
        if self.multipart or self.deep:
            (count,) = self.value(b"chunkCount", _INT)
        else:
            left, top, right, bottom = self.value(b"dataWindow", _BOX)
            count = self._tiles(right - left + 1, bottom - top + 1) if self.tiled else self._lines(bottom - top + 1)
        if count <= 0:
            raise Damage("it holds no pixels")
        return count

    def _lines(self, height: int) -> int:
        compression = self.attributes.get(b"compression", b"")
        if len(compression) != 1 or compression[0] >= len(LINES_PER_CHUNK):
            raise Damage("its compression is unknown here")
        return -(-height // LINES_PER_CHUNK[compression[0]])

    def _tiles(self, width: int, height: int) -> int:
        """Tiles of the full size: Blender writes no smaller levels, and where there are some they come later."""
        tile_width, tile_height, _ = self.value(b"tiles", _TILES)
        if min(tile_width, tile_height) <= 0:
            raise Damage("its tiles have no size")
        return -(-width // tile_width) * -(-height // tile_height)

    @property
    def chunk_head(self) -> struct.Struct:
        """Part number, place of the chunk, then the sizes that `chunk_data` adds up."""
        place = "iiii" if self.tiled else "i"
        return struct.Struct("<" + "i" * self.multipart + place + ("QQQ" if self.deep else "i"))

    def chunk_data(self, head: tuple[int, ...]) -> int:
        """Bytes that follow a chunk's head: deep ones have a packed sample table and packed samples."""
        return head[-3] + head[-2] if self.deep else head[-1]


def check(source: Source) -> None:
    """Every entry of every offset table is filled in, and its chunk lies inside the file."""
    if source.head(len(MAGIC)) != MAGIC:
        raise Damage("it does not begin as an OpenEXR file does")
    parts, offset = _read_headers(source)
    chunks_start = offset + _OFFSET.size * sum(part.chunks for part in parts)
    source.reach(chunks_start)
    for part in parts:
        end = offset + _OFFSET.size * part.chunks
        for start in range(offset, end, PIECE_BYTES):
            for (chunk,) in _OFFSET.iter_unpack(source.read(start, min(PIECE_BYTES, end - start))):
                _check_chunk(source, part, chunk, chunks_start)
        offset = end


def _check_chunk(source: Source, part: _Part, chunk: int, chunks_start: int) -> None:
    if chunk < chunks_start:
        raise Damage("its table of chunks is not filled in")
    layout = part.chunk_head
    size = part.chunk_data(source.unpack(layout, chunk))
    if size < 0:
        raise Damage(f"the chunk at byte {chunk} is damaged")
    source.reach(chunk + layout.size + size)


def _read_headers(source: Source) -> tuple[list[_Part], int]:
    """Every part, and the offset behind the last header."""
    (version,) = source.unpack(_VERSION, len(MAGIC))
    multipart = bool(version & _MULTIPART)
    offset, parts = len(MAGIC) + _VERSION.size, list[_Part]()
    while not parts or (multipart and source.read(offset, 1) != b"\0"):
        attributes, offset = _read_attributes(source, offset)
        kind = attributes.get(b"type", b"")
        tiled = kind in {b"tiledimage", b"deeptile"} if kind else bool(version & _TILED)
        parts.append(_Part(attributes, tiled, kind.startswith(b"deep"), multipart))
        if len(parts) > _MAX_PARTS:
            raise Damage(f"it claims more than {_MAX_PARTS} parts")
    return parts, offset + multipart


def _read_attributes(source: Source, offset: int) -> tuple[dict[bytes, bytes], int]:
    """Name, type, size and value, until an empty name."""
    attributes = {}
    while name := source.text(offset, _LONG_NAME):
        offset += len(name) + 1
        offset += len(source.text(offset, _LONG_NAME)) + 1
        (size,) = source.unpack(_ATTRIBUTE_SIZE, offset)
        if size < 0:
            raise Damage("its header is damaged")
        offset += _ATTRIBUTE_SIZE.size
        source.reach(offset + size)
        attributes[name] = source.read(offset, min(size, _VALUE_BYTES))
        offset += size
    return attributes, offset + 1
