# SPDX-License-Identifier: GPL-3.0-or-later
"""One file on its way in: as large as it will be, with holes where chunks are missing."""

import os
from collections.abc import Callable, Iterable
from enum import IntEnum
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from addon.protocol.digest import chunk_digest
from addon.protocol.recipe import Recipe

from . import copying
from .copying import Stamp
from .plan import Move


class Has(IntEnum):
    """What a part has of a chunk."""

    NOTHING = 0
    SHARED = 1
    """Its bytes, copied from a complete file of the store: the index finds the chunk there."""
    OWN = 2
    """Its bytes, and it may be that nobody else has them."""


class Part:
    """A file in the making. It verifies itself: each chunk's place against the chunk's name."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self.recipe = recipe
        self.chunks = bytearray(len(recipe))
        """For each chunk what is here of it: Has."""
        self.lacking = len(recipe)
        """How many chunks it lacks."""
        self.known = False
        """Whether it has been found out what is here of it."""
        self.spoiled = False
        """The disk has failed to take what was written: what a read gives now may be in memory alone."""
        self.moved = 0
        """Bytes that were moved within it."""
        self._file: FileIO | None = None

    @property
    def name(self) -> str:
        """The part's name in the store."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def digest(self) -> str:
        """What the file will be called."""
        return self.recipe.digest

    @property
    def whole(self) -> bool:
        """Whether all chunks are here."""
        return not self.lacking

    def missing(self) -> list[int]:
        """Return the chunks that are lacking."""
        return [number for number, has in enumerate(self.chunks) if not has] if self.lacking else []

    def own(self) -> list[int]:
        """Return the chunks that perhaps nobody else has."""
        return [number for number, has in enumerate(self.chunks) if has == Has.OWN]

    @property
    def present(self) -> int:
        """Bytes that are here."""
        if not self.lacking:
            return self.recipe.size
        return sum(length for length, has in zip(self.recipe.lengths, self.chunks, strict=True) if has)

    # Its bytes

    def file(self) -> FileIO:
        """Return the file, opened; made if there is none, with its size and nothing in it.

        The disk finds room for bytes as they come. (NTFS fills what is skipped with zeros, once: files that it treats
        as sparse it must be told of, and it reads them slowly for ever.)
        """
        if self._file is None:
            try:
                self._file = FileIO(self.path, "r+")
            except FileNotFoundError:
                self._file = FileIO(self.path, "x+")
            self._resize(self._file)
        return self._file

    def _resize(self, file: FileIO) -> None:
        if os.fstat(file.fileno()).st_size != self.recipe.size:
            file.truncate(self.recipe.size)

    def mark(self, numbers: Iterable[int], has: Has) -> None:
        """These chunks are here."""
        for number in numbers:
            self.lacking -= not self.chunks[number]
            self.chunks[number] = has

    def write(self, number: int, chunk: memoryview, has: Has = Has.OWN) -> None:
        """Put a chunk's bytes where they belong. Raises OSError; then it counts as lacking."""
        file, at = self.file(), 0
        for offset, length in self.recipe.extents(number):
            copying.write_at(file, offset, chunk[at : at + length])
            at += length
        self.mark([number], has)

    def shift(self, moves: Iterable[Move]) -> None:
        """Turn the other file that stands at the path into this one, as far as it goes. Raises OSError."""
        moves = list(moves)
        with FileIO(self.path, "r+") as file:
            copying.move_within(file, moves)
            self._resize(file)  # Not before: what is cut off then may have been moved.
        self.moved = sum(move.length for move in moves)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Reader:
    """Reads the chunks of a file that is complete, or thought to be."""

    def __init__(self, file: FileIO, recipe: Recipe) -> None:
        self._file = file
        self._recipe = recipe
        self._digest = chunk_digest(recipe.algorithm)
        self._buffer = memoryview(b"")

    def read(self, number: int) -> memoryview:
        """Return the bytes at a chunk's place, good until the next call. Raises ShortFile or another OSError."""
        at = 0
        if len(self._buffer) < self._recipe.lengths[number]:
            self._buffer = memoryview(bytearray(self._recipe.lengths[number]))
        for offset, length in self._recipe.extents(number):
            copying.read_into(self._file, offset, self._buffer[at : at + length])
            at += length
        return self._buffer[:at]

    def read_verified(self, number: int) -> memoryview | None:
        """Return a chunk's bytes, good until the next call; None if they are not the chunk's."""
        try:
            found = self.read(number)
        except copying.ShortFile:
            return None
        return found if self._digest(found) == self._recipe.id(number) else None


class Verified(NamedTuple):
    """What is in a file."""

    stamp: Stamp
    good: list[int]
    """The chunks whose bytes stand at their places."""

    def complete(self, recipe: Recipe) -> bool:
        """Whether it is all that the recipe says, and no more."""
        return self.stamp[0] == recipe.size and len(self.good) == len(recipe)


class Stopped(Exception):
    """There is no time for this now."""


def never() -> bool:
    """Do not stop."""
    return False


def verified(path: Path, recipe: Recipe, partial: bool, stop: Callable[[], bool] = never) -> Verified:
    """Read a file; `partial`: only what was ever written to it. Raises Stopped when `stop` says so, or OSError.

    Some file systems make a hole of zeros, too: a chunk of those is found in a file that is not partial.
    """
    with FileIO(path) as file:
        reader = Reader(file, recipe)
        found = copying.stamp_of_open(file)
        good = []
        for number in range(len(recipe)):
            if stop():
                raise Stopped
            hole = partial and copying.is_hole(file, recipe.extents(number)[0])
            if not hole and reader.read_verified(number) is not None:
                good.append(number)
    return Verified(found, good)
