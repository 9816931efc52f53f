# SPDX-License-Identifier: GPL-3.0-or-later
"""A .blend of any size without a Blender that holds it: data blocks of noise which nothing in the file refers to.

Blender skips a data block that follows no data-block of its own (`blo_read_file_internal` in its readfile.cc), so that
such a file opens as fast as the small one that it was made from.
"""

import shutil
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from addon.protocol.blendfile import HEAD_BYTES, read_header

BLOCK_BYTES = 64 << 20
"""Of one data block: as a large packed file's."""

_LEGACY = struct.Struct("<4siQii")
_LARGE = struct.Struct("<4siQqq")


def pad(source: Path, target: Path, size: int, seed: int = 0) -> None:
    """Write the uncompressed .blend `source` to `target` with some `size` bytes of noise behind its first block."""
    with source.open("rb") as old, target.open("wb") as new:
        header = read_header(old.read(HEAD_BYTES))
        assert not header.compressed, f"{source} is compressed"
        old.seek(0)
        new.write(old.read(17 if header.large else 12))
        head = _LARGE if header.large else _LEGACY
        first = old.read(head.size)
        new.write(first)
        new.write(old.read(head.unpack(first)[3 if header.large else 1]))
        _write_noise(new, size, header.large, np.random.default_rng(seed))
        shutil.copyfileobj(old, new, 1 << 20)


def _write_noise(file: BinaryIO, size: int, large: bool, noise: np.random.Generator) -> None:
    """Append data blocks; SDNA index 0, and addresses that no other block has."""
    for number, start in enumerate(range(0, size, BLOCK_BYTES)):
        length, address = min(BLOCK_BYTES, size - start), (1 << 60) + number
        fields = (b"DATA", 0, address, length, 1) if large else (b"DATA", length, address, 0, 1)
        file.write((_LARGE if large else _LEGACY).pack(*fields))
        file.write(noise.bytes(length))
