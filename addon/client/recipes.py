# SPDX-License-Identifier: GPL-3.0-or-later
"""From a file to its recipe: cut, and hashed in threads, no more of it than needed."""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..protocol.blendfile import GZIP_MAGIC, ZSTD_MAGIC, NotABlend, TruncatedBlend, check_source
from ..protocol.blocks import Source
from ..protocol.cutting import WHOLE_BYTES, Cutter, Payload, Piece, parts, plain_cuts, runs_between
from ..protocol.digest import chunk_digest
from ..protocol.recipe import Extent, Recipe
from .errors import CannotRead
from .recipe_cache import RecipeCache
from .unpacked import LookAhead, Unpacked, open_source

__all__ = ["Cuts", "KnownPayloads", "RecipeCache", "blend_recipe", "file_recipe", "plain_recipe"]

_GROUP_BYTES = 1 << 20
"""What a task hashes, in a quarter of a millisecond or more: to hand a task over costs 20 us."""
_SEGMENT_BYTES = 1 << 20
"""What is read at once."""
_THREADS = min(3, os.cpu_count() or 1)
"""BLAKE3 takes in 4 GB/s a thread, zstd gives out 1 GB/s; and the artist's window needs the other cores."""
_UNFINISHED = 2 * _THREADS
"""Tasks at a time: so few that frames of a compressed file are still kept when their turn comes."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Cuts(NamedTuple):
    """The chunks of one part of a file."""

    lengths: tuple[int, ...]
    ids: bytes
    """Of each chunk, DIGEST_BYTES bytes."""


@dataclass(frozen=True, slots=True)
class KnownPayloads:
    """What the next save can use of what was found out about this one's payloads."""

    algorithm: str = ""
    """That named the chunks, and the payloads."""
    cuts: Mapping[bytes, Cuts] = field(default_factory=dict)
    """Of payloads longer than WHOLE_BYTES, by their names: if one is still there, it need not be cut again."""


def blend_recipe(
    source: Source, algorithm: str, known: KnownPayloads | None = None
) -> tuple[Recipe, tuple[bytes, ...], KnownPayloads]:
    """Return the recipe of a .blend, the keys of its skeleton's chunks, and what to pass for its next save.

    A .blend that is compressed still, since it could not be decompressed here, gets the recipe of a plain file.
    Reads all of the file: call it in a thread. Raises CannotRead, SourceChanged, OSError.
    """
    try:
        if bytes(source.read(0, min(4, source.size))).startswith((ZSTD_MAGIC, GZIP_MAGIC)):
            check_source(source)
            return plain_recipe(source, algorithm), (), KnownPayloads(algorithm)
        usable = known.cuts if known is not None and known.algorithm == algorithm else {}
        return _assemble(source.size, algorithm, _hash_parts(source, algorithm, usable))
    except (NotABlend, TruncatedBlend) as error:
        raise CannotRead(str(error)) from error


def plain_recipe(source: Source, algorithm: str) -> Recipe:
    """Return the recipe of any other file. Reads all of it, and raises, as `blend_recipe` does."""
    digest = chunk_digest(algorithm)
    extents = list(_extents_of(0, plain_cuts(source.size)))
    ids = _in_threads(lambda extent: digest(source.read(*extent)), extents)
    return Recipe(algorithm, (source.size,), len(extents), tuple(length for _, length in extents), b"".join(ids))


def file_recipe(path: Path, algorithm: str, cache: RecipeCache) -> Recipe:
    """Return the recipe of what `open_source` finds at `path`, out of the cache if the file is still the same.

    A .blend is one of the artist's libraries; one that is damaged is for Blender to judge. Raises CannotRead,
    SourceChanged, OSError.
    """
    recipe = cache.get(path, algorithm)
    if recipe is None:
        with open_source(path) as source:
            try:
                recipe, _, _ = _assemble(source.size, algorithm, _hash_parts(source, algorithm, {}))
            except (NotABlend, TruncatedBlend):
                recipe = plain_recipe(source, algorithm)
        cache.put(path, recipe)
    return recipe


class _Hashed(NamedTuple):
    """A part of a .blend with its chunks."""

    part: Piece | Payload
    cuts: Cuts
    name: bytes = b""
    """Of a payload longer than WHOLE_BYTES."""


def _assemble(size: int, algorithm: str, found: Iterable[_Hashed]) -> tuple[Recipe, tuple[bytes, ...], KnownPayloads]:
    hashed = list(found)
    skeleton = [each for each in hashed if isinstance(each.part, Piece)]
    payloads = [each for each in hashed if isinstance(each.part, Payload)]
    in_order = [each.cuts for each in (*skeleton, *payloads)]
    recipe = Recipe(
        algorithm,
        runs_between([part for part, _, _ in hashed if isinstance(part, Payload)], size),
        len(skeleton),
        tuple(length for cuts in in_order for length in cuts.lengths),
        b"".join(cuts.ids for cuts in in_order),
    )
    known = KnownPayloads(algorithm, {each.name: each.cuts for each in payloads if each.name})
    return recipe, tuple(part.key for part, _, _ in hashed if isinstance(part, Piece)), known


def _hash_parts(source: Source, algorithm: str, known: Mapping[bytes, Cuts]) -> Iterator[_Hashed]:
    """Yield a .blend's parts in the file's order. Raises NotABlend, TruncatedBlend."""
    hasher = _Hasher(source, algorithm, known)
    look = LookAhead(source, _pool()) if isinstance(source, Unpacked) else None
    for group in _in_threads(hasher.hash_all, _groups(parts(source, look))):
        yield from group


class _Hasher:
    """Hashes the parts of one .blend; any thread may."""

    def __init__(self, source: Source, algorithm: str, known: Mapping[bytes, Cuts]) -> None:
        self._source = source
        self._digest = chunk_digest(algorithm)
        self._known = known

    def hash_all(self, group: Sequence[Piece | Payload]) -> list[_Hashed]:
        """Return some parts with their chunks."""
        return [self._hash_piece(part) if isinstance(part, Piece) else self._hash_payload(part) for part in group]

    def _hash_piece(self, piece: Piece) -> _Hashed:
        """Without the bytes, once they are hashed."""
        return _Hashed(piece._replace(content=b""), Cuts((piece.length,), self._digest(piece.content)))

    def _hash_payload(self, payload: Payload) -> _Hashed:
        offset, length = payload
        if length <= WHOLE_BYTES:
            return _Hashed(payload, Cuts((length,), self._digest(self._source.read(offset, length))))
        name = self._name((offset, length))
        return _Hashed(payload, self._known.get(name) or self._cut(offset, length), name)

    def _name(self, extent: Extent) -> bytes:
        """Return what names these bytes in this save and the next: a digest of them, or of how they are compressed."""
        source, kind = self._source, b"plain"
        if isinstance(source, Unpacked) and (packed := source.packed_extent(extent)) is not None:
            source, kind, extent = source.packed, b"packed", packed
        digests = [self._digest(source.read(*segment)) for segment in _segments(*extent)]
        return self._digest(b"".join([kind, *digests]))

    def _cut(self, offset: int, length: int) -> Cuts:
        cutter = Cutter()
        lengths: list[int] = []
        for segment in _segments(offset, length):
            lengths += cutter.feed(self._source.read(*segment))
        lengths += cutter.finish()
        ids = [self._digest(self._source.read(*extent)) for extent in _extents_of(offset, lengths)]
        return Cuts(tuple(lengths), b"".join(ids))


def _groups(found: Iterable[Piece | Payload]) -> Iterator[list[Piece | Payload]]:
    """Yield neighbours together, until they are enough work for a task."""
    group: list[Piece | Payload] = []
    size = 0
    for part in found:
        group.append(part)
        size += part.length
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _segments(offset: int, length: int) -> Iterator[Extent]:
    end = offset + length
    for start in range(offset, end, _SEGMENT_BYTES):
        yield start, min(_SEGMENT_BYTES, end - start)


def _extents_of(offset: int, lengths: Iterable[int]) -> Iterator[Extent]:
    for length in lengths:
        yield offset, length
        offset += length


def _in_threads(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yield the results of `work` in the items' order, taking few more of these than are worked on."""
    unfinished: deque[Future[_Result]] = deque()
    try:
        for item in items:
            unfinished.append(_pool().submit(work, item))
            if len(unfinished) >= _UNFINISHED:
                yield unfinished.popleft().result()
        while unfinished:
            yield unfinished.popleft().result()
    finally:
        for future in unfinished:
            future.cancel()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="recipes")
