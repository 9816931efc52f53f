# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources that count what is read of them, and files made again of their chunks."""

from addon.protocol.blocks import Memory, Source
from addon.protocol.cutting import gather
from addon.protocol.digest import chunk_algorithms, chunk_digest
from addon.protocol.recipe import Recipe

ALGORITHM = chunk_algorithms()[0]


class Metered(Memory):
    """A source that counts what is read of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.read_bytes = 0

    def read(self, offset: int, length: int) -> memoryview:
        self.read_bytes += length
        return super().read(offset, length)


def rebuilt(recipe: Recipe, source: Source) -> bytes:
    """The file, made of its chunks, each of which is what its name says."""
    made = bytearray(recipe.size)
    for number in range(len(recipe)):
        extents = recipe.extents(number)
        chunk = bytes(gather(source, extents))
        assert chunk_digest(recipe.algorithm)(chunk) == recipe.id(number)
        at = 0
        for offset, length in extents:
            assert not any(made[offset : offset + length])
            made[offset : offset + length] = chunk[at : at + length]
            at += length
    return bytes(made)


def new_bytes(recipe: Recipe, before: Recipe) -> int:
    """Of the payload's chunks that a recipe has and an earlier one did not. (Of the skeleton, Blender 5 may write other
    addresses everywhere.)
    """
    known = {before.id(number) for number in range(len(before))}
    payload = range(recipe.skeleton, len(recipe))
    return sum(recipe.lengths[number] for number in payload if recipe.id(number) not in known)
