# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bytes of one file another can take over, and with how few copies. No I/O."""

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple

from addon.protocol.recipe import Extent, Recipe

Pair = tuple[int, int]
"""Numbers of one chunk: in the new file, in the old one."""


class Move(NamedTuple):
    """`length` bytes at `source` in the old file are those at `target` in the new one."""

    source: int
    target: int
    length: int


def pairs(new: Recipe, old: Recipe) -> list[Pair]:
    """Return the chunks of `new` that `old` has too, in the order of `new`.

    Of two files that are cut alike, those that have not changed: most saves are so, and it takes a third of the time.
    """
    if new.algorithm != old.algorithm:
        return []
    if cut_alike(new, old):
        both = zip(new.names, old.names, strict=True)
        return [(number, number) for number, (chunk, other) in enumerate(both) if chunk == other]
    where = {chunk: number for number, chunk in enumerate(old.names)}
    found = [(number, where[chunk]) for number, chunk in enumerate(new.names) if chunk in where]
    return [(number, at) for number, at in found if new.lengths[number] == old.lengths[at]]


def cut_alike(new: Recipe, old: Recipe) -> bool:
    """Whether the chunks of both files stand at the same places."""
    return (new.skeleton, new.runs, new.lengths) == (old.skeleton, old.runs, old.lengths)


def confirmed(new: Recipe, old: Recipe, chunks: Iterable[Pair]) -> list[Pair]:
    """Return those of these that are one and the same chunk."""
    if new.algorithm != old.algorithm:
        return []
    return [
        (number, at)
        for number, at in chunks
        if at < len(old) and new.id(number) == old.id(at) and new.lengths[number] == old.lengths[at]
    ]


def moves(new: Recipe, old: Recipe, chunks: Iterable[Pair]) -> list[Move]:
    """Return how to copy these chunks, sorted by target.

    What lies side by side in both files is one move: between two saves most of a .blend is.
    """
    pieces = [piece for number, at in chunks for piece in _pieces(old.extents(at), new.extents(number))]
    pieces.sort(key=itemgetter(1))
    joined: list[Move] = []
    for piece in pieces:
        if joined and _continues(joined[-1], piece):
            last = joined.pop()
            joined.append(Move(last.source, last.target, last.length + piece[2]))
        else:
            joined.append(Move(*piece))
    return joined


def in_place(new: Recipe, old: Recipe, chunks: Iterable[Pair]) -> list[int]:
    """Return those of these chunks, by their numbers in `new`, that need no copy: they stand where they stood."""
    if cut_alike(new, old):
        return [number for number, at in chunks if number == at]
    return [
        number
        for number, at in chunks
        if all(source == target for source, target, _ in _pieces(old.extents(at), new.extents(number)))
    ]


def _continues(last: Move, piece: tuple[int, int, int]) -> bool:
    return last.target + last.length == piece[1] and last.source + last.length == piece[0]


def _pieces(source: list[Extent], target: list[Extent]) -> Iterator[tuple[int, int, int]]:
    """The moves of one chunk, whose bytes may be torn apart differently in the two files."""
    if len(source) == len(target) == 1:
        yield source[0][0], target[0][0], target[0][1]
        return
    rest = iter(source)
    start, left = next(rest)
    for offset, length in target:
        at, end = offset, offset + length
        while at < end:
            if not left:
                start, left = next(rest)
            step = min(left, end - at)
            yield start, at, step
            start, left, at = start + step, left - step, at + step
