# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bytes of one file another can take over, and with how few copies. No I/O."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from addon.protocol.occurrences import Occurrences
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
    A chunk that is there often, such as one of zeros, is the one that comes next in both files.
    """
    if new.algorithm != old.algorithm:
        return []
    if cut_alike(new, old):
        both = zip(new.names, old.names, strict=True)
        return [(number, number) for number, (chunk, other) in enumerate(both) if chunk == other]
    where = Occurrences(old.names)
    found: list[Pair] = []
    expected = 0
    for number, chunk in enumerate(new.names):
        at = where.find(chunk, expected)
        if at is not None and new.lengths[number] == old.lengths[at]:
            found.append((number, at))
            expected = at + 1
    return found


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
    return _joined(pieces)


def _joined(pieces: Iterable[tuple[int, int, int]]) -> list[Move]:
    """Make one move of those (source, target, length) that continue each other; they are sorted by target."""
    joined: list[Move] = []
    for piece in pieces:
        if joined and _continues(joined[-1], piece):
            last = joined.pop()
            joined.append(Move(last.source, last.target, last.length + piece[2]))
        else:
            joined.append(Move(*piece))
    return joined


class Shift(NamedTuple):
    """How a file becomes a newer one without another file."""

    numbers: list[int]
    """The chunks of the newer one that stand at their places then."""
    moves: list[Move]
    """In an order in which none overwrites what a later one reads."""


def shift(new: Recipe, old: Recipe, chunks: Iterable[Pair]) -> Shift:
    """Return how these chunks come to their places within the old file: the longest run of pieces that have the same
    order in both.

    What an artist adds or deletes moves all that follows it by as much, so that little is left out.
    """
    if cut_alike(new, old):
        return Shift([number for number, at in chunks if number == at], [])
    pieces = sorted(
        (target, source, length, number)
        for number, at in chunks
        for source, target, length in _pieces(old.extents(at), new.extents(number))
    )
    kept = set(_rising([source for _, source, _, _ in pieces]))
    left_out = {piece[3] for place, piece in enumerate(pieces) if place not in kept}
    joined = _joined((source, target, length) for target, source, length, number in pieces if number not in left_out)
    backward = [move for move in joined if move.target < move.source]
    forward = [move for move in joined if move.target > move.source]
    # Targets never overlap. Nor do sources: of several chunks that are paired with one old chunk at most one is kept,
    # since the first pieces of all have the same source, and sources rise strictly. So what moves backward ends before
    # the source of any later move begins; and the source of what moves forward ends before its own target does, and so
    # before the target of any later move.
    return Shift([number for number, _ in chunks if number not in left_out], [*backward, *reversed(forward)])


def _rising(numbers: Sequence[int]) -> list[int]:
    """Return the places of the longest strictly rising subsequence (Fredman 1975, "On computing the length of longest
    increasing subsequences").
    """
    ends: list[int] = []
    """The least number that a rising subsequence of each length ends with."""
    places: list[int] = []
    before: list[int] = []
    for place, number in enumerate(numbers):
        length = bisect_left(ends, number)
        before.append(places[length - 1] if length else -1)
        ends[length : length + 1] = [number]
        places[length : length + 1] = [place]
    found = []
    place = places[-1] if places else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found


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
