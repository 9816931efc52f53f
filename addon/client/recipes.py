# SPDX-License-Identifier: GPL-3.0-or-later
"""From a file to its recipe: cut, and hashed in threads, no more of it than needed."""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..protocol.blendfile import GZIP_MAGIC, ZSTD_MAGIC, NotABlend, TruncatedBlend, check_source
from ..protocol.blocks import Source
from ..protocol.cutting import WHOLE_BYTES, Cutter, Payload, Piece, parts, plain_cuts, runs_between
from ..protocol.digest import DIGEST_BYTES, Buffer, chunk_digest
from ..protocol.recipe import Extent, Recipe
from .errors import CannotRead
from .recipe_cache import RecipeCache
from .unpacked import LookAhead, Unpacked, open_source

__all__ = ["Cuts", "KnownPayloads", "LongPayload", "RecipeCache", "blend_recipe", "file_recipe", "plain_recipe"]

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


class LongPayload(NamedTuple):
    """A payload longer than WHOLE_BYTES."""

    key: bytes
    """Names its place in this save and the next."""
    name: bytes
    """Names its bytes."""
    cuts: Cuts


@dataclass(frozen=True, slots=True)
class KnownPayloads:
    """What the next save can use of what was found out about this one's payloads.

    One that is the same need not be cut again. One that has changed in place, such as a mesh that was sculpted, is best
    cut as it was, so that each chunk can be told from its older self.
    """

    algorithm: str = ""
    """That named the chunks, and the payloads."""
    payloads: tuple[LongPayload, ...] = ()


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
        usable = known.payloads if known is not None and known.algorithm == algorithm else ()
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
                recipe, _, _ = _assemble(source.size, algorithm, _hash_parts(source, algorithm, ()))
            except (NotABlend, TruncatedBlend):
                recipe = plain_recipe(source, algorithm)
        cache.put(path, recipe)
    return recipe


class _Hashed(NamedTuple):
    """A part of a .blend with its chunks."""

    payload: Extent | None
    """None: it is of the skeleton."""
    key: bytes
    cuts: Cuts
    name: bytes = b""
    """Of a long payload."""


def _assemble(size: int, algorithm: str, hashed: Sequence[_Hashed]) -> tuple[Recipe, tuple[bytes, ...], KnownPayloads]:
    skeleton = [each for each in hashed if each.payload is None]
    payloads = [each for each in hashed if each.payload is not None]
    in_order = [each.cuts for each in (*skeleton, *payloads)]
    recipe = Recipe(
        algorithm,
        runs_between([each.payload for each in hashed if each.payload is not None], size),
        len(skeleton),
        tuple(length for cuts in in_order for length in cuts.lengths),
        b"".join([cuts.ids for cuts in in_order]),
    )
    known = KnownPayloads(algorithm, tuple(LongPayload(key, name, cuts) for _, key, cuts, name in payloads if name))
    return recipe, tuple(each.key for each in skeleton), known


def _hash_parts(source: Source, algorithm: str, known: Sequence[LongPayload]) -> list[_Hashed]:
    """Return a .blend's parts in the file's order. Raises NotABlend, TruncatedBlend.

    Long payloads are hashed in threads, all others on the way: most of ten thousand parts have a few kilobytes, and to
    hand them over would cost more than to hash them.
    """
    hasher = _Hasher(source, algorithm, known)
    digest = chunk_digest(algorithm)
    look = LookAhead(source, _pool()) if isinstance(source, Unpacked) else None
    hashed: list[_Hashed | Future[_Hashed]] = []
    running: deque[Future[_Hashed]] = deque()
    try:
        for part in parts(source, look):
            if isinstance(part, Piece):
                hashed.append(_Hashed(None, part.key, Cuts((part.length,), digest(part.content))))
            elif part.length <= WHOLE_BYTES:
                cuts = Cuts((part.length,), digest(part.content))
                hashed.append(_Hashed((part.offset, part.length), part.key, cuts))
            else:
                if len(running) == _UNFINISHED:
                    running.popleft().result()
                running.append(_pool().submit(hasher.hash, part))
                hashed.append(running[-1])
        return [each.result() if isinstance(each, Future) else each for each in hashed]
    finally:
        for future in running:
            future.cancel()


class _Hasher:
    """Hashes the long payloads of one .blend; any thread may."""

    def __init__(self, source: Source, algorithm: str, known: Sequence[LongPayload]) -> None:
        self._source = source
        self._digest = chunk_digest(algorithm)
        self._by_name = {each.name: each.cuts for each in known}
        self._by_key = {each.key: each.cuts for each in known}

    def hash(self, payload: Payload) -> _Hashed:
        """Return a payload with its chunks."""
        extent = payload.offset, payload.length
        name = self._name(extent)
        cuts = self._by_name.get(name) or self._as_before(payload) or self._cut(extent)
        return _Hashed(extent, payload.key, cuts, name)

    def _as_before(self, payload: Payload) -> Cuts | None:
        """Cut it as it was cut in the save before; None if it has another length, or little in common with that."""
        before = self._by_key.get(payload.key)
        if before is None or sum(before.lengths) != payload.length:
            return None
        cuts = self._hashed(payload.offset, before.lengths)
        same = sum(one == other for one, other in zip(_split(cuts.ids), _split(before.ids), strict=True))
        return cuts if 2 * same >= len(before.lengths) else None

    def _name(self, extent: Extent) -> bytes:
        """Return what names these bytes in this save and the next: a digest of them, or of how they are compressed."""
        source, kind = self._source, b"plain"
        if isinstance(source, Unpacked) and (packed := source.packed_extent(extent)) is not None:
            source, kind, extent = source.packed, b"packed", packed
        digests = [self._digest(source.read(*segment)) for segment in _segments(*extent)]
        return self._digest(b"".join([kind, *digests]))

    def _cut(self, extent: Extent) -> Cuts:
        """Cut it by its content, reading it once: what is compressed is decompressed for each reading."""
        cutter = Cutter()
        lengths: list[int] = []
        ids: list[bytes] = []
        rest: Buffer = b""
        for segment in _segments(*extent):
            piece = self._source.read(*segment)
            ends = cutter.feed(piece)
            *chunks, rest = _divided(rest, piece, ends)
            lengths += ends
            ids += map(self._digest, chunks)
        if rest:
            lengths += cutter.finish()
            ids.append(self._digest(rest))
        return Cuts(tuple(lengths), b"".join(ids))

    def _hashed(self, offset: int, lengths: Sequence[int]) -> Cuts:
        ids = [self._digest(self._source.read(*extent)) for extent in _extents_of(offset, lengths)]
        return Cuts(tuple(lengths), b"".join(ids))


def _divided(first: Buffer, second: Buffer, lengths: Iterable[int]) -> Iterator[Buffer]:
    """Yield pieces of these lengths of what the two buffers are together, and what is left."""
    views = memoryview(first), memoryview(second)
    total, border, at = len(first) + len(second), len(first), 0
    for length in (*lengths, None):
        end = total if length is None else at + length
        if at >= border:
            yield views[1][at - border : end - border]
        elif end <= border:
            yield views[0][at:end]
        else:
            yield b"".join((views[0][at:], views[1][: end - border]))
        at = end


def _split(ids: bytes) -> Iterator[bytes]:
    return (ids[at : at + DIGEST_BYTES] for at in range(0, len(ids), DIGEST_BYTES))


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
