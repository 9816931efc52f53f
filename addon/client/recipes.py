# SPDX-License-Identifier: GPL-3.0-or-later
"""From a file to its recipe: cut, and hashed in threads, no more of it than needed."""

import functools
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..protocol.blendfile import GZIP_MAGIC, ZSTD_MAGIC, NotABlend, TruncatedBlend, check_source
from ..protocol.blocks import MAX_HEAD_BYTES, Source
from ..protocol.cutting import WHOLE_BYTES, Border, Cutter, Payload, Piece, large_bytes, parts, plain_cuts, runs_between
from ..protocol.digest import DIGEST_BYTES, Buffer, chunk_digest
from ..protocol.recipe import Extent, Recipe
from .errors import CannotRead
from .known import Cuts, Hashed, KnownPayloads, LongPayload, Region
from .recipe_cache import RecipeCache
from .unpacked import LookAhead, Unpacked, open_source

_SEGMENT_BYTES = 1 << 20
"""What is read at once."""
_THREADS = min(3, os.cpu_count() or 1)
"""BLAKE3 takes in 4 GB/s a thread, zstd gives out 1 GB/s; and the artist's window needs the other cores."""
_UNFINISHED = 2 * _THREADS
"""Tasks at a time: so few that frames of a compressed file are still kept when their turn comes."""

_REGION_BYTES = 256 << 10
"""Of a region, at least; long payloads do not count. What is changed costs as much to be looked at."""
_MOST_PARTS = 1 << 16
"""What is kept of so many takes 30 MB; of a larger file only its beginning is."""
_TRIED = 2
"""Regions that begin alike: in most files there is one."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


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
        usable = known if known is not None and known.algorithm == algorithm else KnownPayloads()
        return _assemble(source.size, algorithm, *_Taker(source, algorithm, usable, for_next=True).take())
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
                hashed, _ = _Taker(source, algorithm, KnownPayloads(), for_next=False).take()
                recipe, _, _ = _assemble(source.size, algorithm, hashed)
            except (NotABlend, TruncatedBlend):
                recipe = plain_recipe(source, algorithm)
        cache.put(path, recipe)
    return recipe


def _assemble(
    size: int, algorithm: str, hashed: Sequence[Hashed], regions: Sequence[Region] = ()
) -> tuple[Recipe, tuple[bytes, ...], KnownPayloads]:
    skeleton = [each for each in hashed if each.payload is None]
    payloads = [each for each in hashed if each.payload is not None]
    in_order = [each.cuts for each in (*skeleton, *payloads)]
    recipe = Recipe(
        algorithm,
        runs_between([each.payload for each in hashed if each.payload is not None], size),
        len(skeleton),
        tuple([length for cuts in in_order for length in cuts.lengths]),
        b"".join([cuts.ids for cuts in in_order]),
    )
    long = tuple(LongPayload(key, name, cuts) for _, key, cuts, name in payloads if name)
    known = KnownPayloads(algorithm, long, large_bytes(size), tuple(regions))
    return recipe, tuple(each.key for each in skeleton), known


class _Taker:
    """Takes a .blend apart and hashes it.

    Long payloads are hashed in threads, all others on the way: most of ten thousand parts have a few kilobytes, and to
    hand them over would cost more than to hash them.
    """

    def __init__(self, source: Source, algorithm: str, known: KnownPayloads, *, for_next: bool) -> None:
        """`for_next`: whether there will be a next save that can use its regions."""
        self._source = source
        self._for_next = for_next
        self._digest = chunk_digest(algorithm)
        self._hasher = _Hasher(source, algorithm, known.payloads)
        self._look = LookAhead(source, _pool()) if isinstance(source, Unpacked) else None
        self._known: defaultdict[bytes, list[Region]] = defaultdict(list)
        if known.large == large_bytes(source.size):
            for region in known.regions:
                self._known[region.head].append(region)
        self._hashed: list[Hashed | Future[Hashed]] = []
        self._running: deque[Future[Hashed]] = deque()
        self._regions: list[Region | Future[Region]] = []
        self._start = 0
        """Of the region that is being collected."""
        self._border: Border | None = None
        """The last that was come to in it."""
        self._collected: list[Hashed | Payload] = []
        self._short = 0
        """Bytes in there that are not a long payload's."""

    def take(self) -> tuple[list[Hashed], list[Region]]:
        """Return the parts in the file's order, and the regions. Raises NotABlend, TruncatedBlend."""
        try:
            for part in parts(self._source, self._look, self._recall if self._known else None):
                if isinstance(part, Region):
                    self._keep(part)
                else:
                    self._add(part)
            return [_result(each) for each in self._hashed], [_result(each) for each in self._regions]
        finally:
            for future in self._running:
                future.cancel()

    def _recall(self, at: int) -> Region | None:
        """Return the region that stands here again."""
        head = self._head(at)
        for region in self._known.get(head, [])[:_TRIED]:
            if at + region.length <= self._source.size and self._digest_of(region.extents(at)) == region.digest:
                return region.at(at)
        return None

    def _head(self, at: int) -> bytes:
        length = min(MAX_HEAD_BYTES, self._source.size - at)
        return bytes((self._look or self._source.read)(at, length)[:length])

    def _digest_of(self, extents: Iterable[Extent]) -> bytes:
        return self._digest(b"".join([self._source.read(*extent) for extent in extents]))

    def _keep(self, region: Region) -> None:
        self._close()
        for part in region.parts:
            self._hashed.append(self._submit(part) if isinstance(part, Payload) else part)
        self._regions.append(region)
        self._start = region.border.offset

    def _add(self, part: Piece | Payload) -> None:
        if isinstance(part, Piece):
            self._border = part.border
            hashed = Hashed(None, part.key, Cuts((part.length,), self._digest(part.content)))
        elif part.length <= WHOLE_BYTES:
            cuts = Cuts((part.length,), self._digest(part.content))
            hashed = Hashed((part.offset, part.length), part.key, cuts)
        else:
            self._hashed.append(self._submit(part))
            self._collected.append(part)
            return
        self._hashed.append(hashed)
        self._collected.append(hashed)
        self._short += part.length
        if isinstance(part, Piece) and self._short >= _REGION_BYTES:
            self._close()

    def _close(self) -> None:
        """End the region that is being collected, if there is any, at a border."""
        border = self._border
        if self._for_next and border is not None and len(self._hashed) <= _MOST_PARTS:
            region = Region(self._start, border, self._head(self._start), b"", tuple(self._collected))
            self._regions.append(_pool().submit(self._completed, region))
            self._start = border.offset
        self._border, self._collected, self._short = None, [], 0

    def _completed(self, region: Region) -> Region:
        return replace(region, digest=self._digest_of(region.extents(region.start)))

    def _submit(self, payload: Payload) -> Future[Hashed]:
        if len(self._running) == _UNFINISHED:
            self._running.popleft().result()
        self._running.append(_pool().submit(self._hasher.hash, payload))
        return self._running[-1]


def _result(found: _Result | Future[_Result]) -> _Result:
    return found.result() if isinstance(found, Future) else found


class _Hasher:
    """Hashes the long payloads of one .blend; any thread may."""

    def __init__(self, source: Source, algorithm: str, known: Sequence[LongPayload]) -> None:
        self._source = source
        self._digest = chunk_digest(algorithm)
        self._by_name = {each.name: each.cuts for each in known}
        self._by_key = {each.key: each.cuts for each in known}

    def hash(self, payload: Payload) -> Hashed:
        """Return a payload with its chunks."""
        extent = payload.offset, payload.length
        name = self._name(extent)
        cuts = self._by_name.get(name) or self._as_before(payload) or self._cut(extent)
        return Hashed(extent, payload.key, cuts, name)

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
