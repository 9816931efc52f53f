# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's less common still formats: each by whatever in it tells where it ends."""

import struct

from .source import Damage, Source

TIFF_MAGIC = (b"II*\0", b"MM\0*")
DPX_MAGIC = (b"SDPX", b"XPDS")
CINEON_MAGIC = (b"\x80\x2a\x5f\xd7", b"\xd7\x5f\x2a\x80")
SGI_MAGIC = b"\x01\xda"

_TARGA_FOOTER = b"TRUEVISION-XFILE.\0"
_SGI_HEADER = struct.Struct(">HBBHHHH")
_SGI_HEADER_BYTES = 512
_TIFF_OFFSETS = {273: 279, 324: 325}
"""Tags that tell where strips and tiles are, and those that tell their sizes."""
_TIFF_USED = {*_TIFF_OFFSETS, *_TIFF_OFFSETS.values()}
_TIFF_TYPES = {3: "H", 4: "I"}


def check_bmp(source: Source) -> None:
    """The header tells the file's length."""
    source.reach(*source.unpack(struct.Struct("<I"), 2))


def check_dpx(source: Source) -> None:
    """As BMP; the magic's spelling tells the byte order (SMPTE 268M)."""
    order = ">" if source.head(4) == DPX_MAGIC[0] else "<"
    source.reach(*source.unpack(struct.Struct(order + "I"), 16))


def check_cineon(source: Source) -> None:
    """As DPX, one field later."""
    order = ">" if source.head(4) == CINEON_MAGIC[0] else "<"
    source.reach(*source.unpack(struct.Struct(order + "I"), 20))


def check_targa(source: Source) -> None:
    """The footer of TGA 2.0, which Blender has written since it leaves this format to OpenImageIO."""
    if source.tail(len(_TARGA_FOOTER)) != _TARGA_FOOTER:
        raise Damage(f"it ends at byte {source.size}, before its footer")


def check_sgi(source: Source) -> None:
    """IRIS: rows of a known length, or a table of packed rows."""
    _, packed, depth, _, width, height, channels = source.unpack(_SGI_HEADER, 0)
    if not packed:
        source.reach(_SGI_HEADER_BYTES + width * height * channels * depth)
        return
    rows = struct.Struct(f">{height * channels}I")
    starts, sizes = (source.unpack(rows, _SGI_HEADER_BYTES + index * rows.size) for index in range(2))
    if not starts or min(starts) < _SGI_HEADER_BYTES:
        raise Damage("its table of rows is not filled in")
    source.reach(max(start + size for start, size in zip(starts, sizes, strict=True)))


def check_tiff(source: Source) -> None:
    """The first directory, which stands behind the pixels, and all strips or tiles it lists (Adobe, TIFF 6.0)."""
    order = "<" if source.head(2) == b"II" else ">"
    (directory,) = source.unpack(struct.Struct(order + "I"), 4)
    if directory < 8:
        raise Damage("its directory is not filled in")
    (count,) = source.unpack(struct.Struct(order + "H"), directory)
    source.reach(directory + 2 + 12 * count + 4)
    tags = dict(_tiff_tag(source, order, directory + 2 + 12 * index) for index in range(count))
    where = next((tag for tag in _TIFF_OFFSETS if tag in tags), None)
    if where is None:
        raise Damage("it holds no pixels")
    for start, size in zip(tags[where], tags.get(_TIFF_OFFSETS[where], ()), strict=False):
        source.reach(start + size)


def _tiff_tag(source: Source, order: str, at: int) -> tuple[int, tuple[int, ...]]:
    """A tag and its whole numbers, () for one that is not used here; up to 4 bytes stand in the entry itself."""
    tag, kind, count = source.unpack(struct.Struct(order + "HHI"), at)
    if tag not in _TIFF_USED or kind not in _TIFF_TYPES:
        return tag, ()
    layout = struct.Struct(f"{order}{count}{_TIFF_TYPES[kind]}")
    (offset,) = (at + 8,) if layout.size <= 4 else source.unpack(struct.Struct(order + "I"), at + 8)
    return tag, source.unpack(layout, offset)
