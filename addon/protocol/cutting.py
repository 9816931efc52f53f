# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a file is cut into chunks, so that two saves of a scene have most chunks in common.

The payload of every large block is cut by itself and without its head, since heads hold memory addresses, which a new
session of Blender changes. All that is left, heads and small blocks, is the skeleton. It is cut before some of the
blocks that begin a data-block (an object, a mesh), chosen by their names, so that what an artist adds or deletes moves
no cut but those beside it.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

from .blocks import Block, Look, Source, Stretch, read_layout, walk_from
from .digest import Buffer
from .recipe import Extent

try:
    from .rolling import Window
except ImportError:  # A distribution's Blender may come without numpy.
    _WINDOW: "type[Window] | None" = None
else:
    _WINDOW = Window

LARGE_BYTES = 4 << 10
"""Measured on saves of 320 MB with 2,500 objects. With 64 KiB, an added mesh lies in the skeleton and costs 52 KB
instead of 17, and a save by a new process has seven times as much skeleton to compare. With 1 KiB, there are twice as
many chunks, and many are arrays of pointers: a new process costs 720 to 940 KB instead of 77 to 374.
"""
_MAX_PAYLOADS = 1 << 18
_LARGEST_BYTES = 256 << 10
"""Where a file has room for more payloads than that, only longer ones are large: each takes 36 bytes of the manifest.
But no longer ones than the second, for what is not large is part of one chunk of the skeleton.
"""
_THUMBNAIL = b"TEST"
"""Code of the picture of the scene that a save from the window has, at most 256x256 pixels. It is left in the skeleton,
since a chunk of that travels as its difference from the save before.
"""
_THUMBNAIL_BYTES = 8 + 256 * 256 * 4

PIECE_MIN_BYTES = 8 << 10
PIECE_MAX_BYTES = 64 << 10
"""Of the skeleton: one chunk is at least so long before a name may end it, and ends at the next block from here on."""
_ONE_NAME_IN = 8
"""So many data-blocks come between two that may begin a chunk: objects have 1.3 KB of skeleton each."""

WHOLE_BYTES = 256 << 10
"""A payload up to this length is one chunk."""
MIN_BYTES = 32 << 10
AVERAGE_BYTES = 128 << 10
MAX_BYTES = 512 << 10
"""Of a longer payload, which its content cuts: no chunk but the last is below the first, and none above the last, but
for the up to three bytes at a payload's end that make no word.
"""
FIXED_BYTES = 256 << 10
"""The same without numpy."""
PLAIN_BYTES = 1 << 20
"""Of a file that is no .blend."""

_WORD = 4

_NAME_AT = (40, 32)
"""Offset of an ID's name in the block: after five pointers, since 3.0; after four before that (DNA_ID.h)."""
_NAME_BYTES = 258
"""The longest name with its type code and the NUL, since 5.0 (MAX_ID_NAME)."""


class Payload(NamedTuple):
    """The bytes of one large block."""

    offset: int
    length: int
    key: bytes
    """Names it in this save and, as long as its data-block has as many large blocks before it, in the next."""
    content: Buffer = b""
    """These bytes, if they are WHOLE_BYTES at most."""


class Border(NamedTuple):
    """Where a chunk of the skeleton ends and the next one begins, at a block or at the file's end."""

    offset: int
    """In the file."""
    forced: bool
    """By the length of what is before it; else by the name of the data-block that begins there."""
    name: bytes
    """Of the data-block that the last block before it belongs to."""


class Piece(NamedTuple):
    """One chunk of the skeleton."""

    length: int
    key: bytes
    """Names it in this save and, as long as the data-block that it begins with is there, in the next."""
    extents: tuple[Extent, ...]
    """Where its bytes stand in the file, in their order."""
    border: Border | None
    """Its end; None in what stands behind the last block."""
    content: bytes
    """Its bytes."""


class Known(Protocol):
    """A part of a file, from one border to another, that need not be looked at again."""

    @property
    def length(self) -> int:
        """In bytes of the file."""

    @property
    def border(self) -> Border:
        """Its end, where it was found out; the offset may be another one now."""

    @property
    def piece_keys(self) -> Sequence[bytes]:
        """Of its pieces."""

    @property
    def payload_keys(self) -> Sequence[bytes]:
        """Of its payloads."""


_KnownT = TypeVar("_KnownT", bound=Known)


def parts(
    source: Source, look: Look | None = None, recall: Callable[[int], _KnownT | None] | None = None
) -> "Iterator[Piece | Payload | _KnownT]":
    """Yield the parts of a .blend, each as soon as the walk has passed it. Raises NotABlend or TruncatedBlend.

    So a file is read once, and a compressed one decompressed once: all but long payloads come with their bytes, and
    those are best read soon. `look` finds what comes next. What `recall` knows to stand behind a border, told by its
    offset, is yielded in place of its parts and not read; all others are the same with it as without.
    """
    parting = _Parting(source, look)
    at: int | None = 0
    while at is not None:
        known = recall(at) if recall is not None else None
        if known is not None and parting.may_end(at + known.length, known.border.forced) and parting.pass_over(known):
            yield known
            at = at + known.length if at + known.length < source.size else None
        else:
            at = yield from parting.until_border(at)


class _Parting:
    """Takes a .blend apart, from one border to the next."""

    def __init__(self, source: Source, look: Look | None) -> None:
        self._size = source.size
        self._stretch = Stretch(source, look)
        self._layout = read_layout(source)
        self._large = large_bytes(source.size)
        self._name = b""
        """Of the data-block."""
        self._pieces: Counter[bytes] = Counter()
        self._payloads: Counter[bytes] = Counter()
        """So many so far, by the data-blocks that they begin with, or belong to."""

    def until_border(self, at: int) -> Generator[Piece | Payload, None, int | None]:
        """Yield what stands from one border up to the next; return that, or None at the end of the file."""
        skeleton = _Skeleton(self._stretch, at)
        end = at
        begin = b"" if at == 0 else None
        """What names the piece."""
        for code, offset, length in self._walk(at):
            begins = code[2:] == b"\0\0"
            before = self._name
            if begins:
                self._name = _id_name(self._stretch, code, offset, length)
            if begin is None:
                begin = self._name
            forced = end >= skeleton.full_at
            if forced or (begins and skeleton.may_end(end, self._name)):
                yield skeleton.take(end, self._key(begin), Border(end, forced, before))
                return end
            if length >= self._large and (code != _THUMBNAIL or length > _THUMBNAIL_BYTES):
                skeleton.skip(offset, length)
                content = self._stretch.read(offset, length) if length <= WHOLE_BYTES else b""
                yield Payload(offset, length, b"%b\0%d" % (self._name, self._payloads[self._name]), content)
                self._payloads[self._name] += 1
            end = offset + length
        while self._size - end > PIECE_MAX_BYTES:  # Nothing of Blender's stands behind the last block.
            end += PIECE_MAX_BYTES
            yield skeleton.take(end, self._key(begin or b""), None)
            begin = self._name
        yield skeleton.take(self._size, self._key(begin or b""), Border(self._size, forced=True, name=self._name))
        return None

    def may_end(self, at: int, forced: bool) -> bool:
        """Whether what is known ends here, as it did where it was found out."""
        if forced:
            return True
        code, offset, length = next(self._walk(at))
        return code[2:] == b"\0\0" and _may_begin(_id_name(self._stretch, code, offset, length))

    def pass_over(self, known: Known) -> bool:
        """Go on behind what is known; not if its parts would have other keys now."""
        pieces, payloads = _counted(known.piece_keys, self._pieces), _counted(known.payload_keys, self._payloads)
        if pieces is None or payloads is None:
            return False
        self._pieces.update(pieces)
        self._payloads.update(payloads)
        self._name = known.border.name
        return True

    def _walk(self, at: int) -> Iterator[Block]:
        return walk_from(at or self._layout.first, self._layout, self._size, self._stretch.ahead)

    def _key(self, name: bytes) -> bytes:
        """Return the name of the data-block that a piece begins with, counted for a long one's later pieces and for
        namesakes.
        """
        count = self._pieces[name]
        self._pieces[name] += 1
        return name + b"\0%d" % count if count else name


class Cutter:
    """Cuts a payload that is fed piece by piece; the cuts do not depend on the pieces."""

    def __init__(self) -> None:
        self._window = _WINDOW((AVERAGE_BYTES - MIN_BYTES) // _WORD) if _WINDOW is not None else None
        self._longest = (MAX_BYTES if self._window is not None else FIXED_BYTES) // _WORD
        self._fed = 0
        self._cut = 0
        """Words fed, and cut off of them."""
        self._rest = 0
        """Bytes after the last whole word; then nothing more may come."""

    def feed(self, piece: Buffer) -> list[int]:
        """Return the lengths of the chunks that end in this piece, bytes.

        Every piece but the last must be whole 32-bit words long.
        """
        assert not self._rest, "a piece before this one ended within a word"
        words, self._rest = divmod(len(piece), _WORD)
        lengths: list[int] = []
        for place in self._window.feed(piece) if self._window is not None else ():
            self._force(place, lengths)
            if place - self._cut >= MIN_BYTES // _WORD:
                self._take(place, lengths)
        self._fed += words
        self._force(self._fed, lengths)
        return lengths

    def finish(self) -> list[int]:
        """Return the length of the last chunk, or nothing when there is none."""
        last = (self._fed - self._cut) * _WORD + self._rest
        return [last] if last else []

    def _force(self, end: int, lengths: list[int]) -> None:
        """Cut where the content gave no reason to for too long."""
        while end - self._cut > self._longest:
            self._take(self._cut + self._longest, lengths)

    def _take(self, end: int, lengths: list[int]) -> None:
        lengths.append((end - self._cut) * _WORD)
        self._cut = end


def plain_cuts(size: int) -> list[int]:
    """Return the lengths of the chunks of a file that is no .blend, bytes."""
    whole, rest = divmod(size, PLAIN_BYTES)
    return [PLAIN_BYTES] * whole + [rest] * bool(rest)


def runs_between(payloads: Sequence[Extent], size: int) -> tuple[int, ...]:
    """Return the runs of a file of `size` bytes that has these payloads, as `recipe.Recipe` wants them."""
    runs: list[int] = []
    end = 0
    for offset, length in payloads:
        runs += (offset - end, length)
        end = offset + length
    return (*runs, size - end) if end < size or not runs else tuple(runs)


def gather(source: Source, extents: Sequence[Extent]) -> Buffer:
    """Return the bytes of a chunk; they are not copied where they stand in one place."""
    if len(extents) == 1:
        return source.read(*extents[0])
    return b"".join(source.read(offset, length) for offset, length in extents)


def large_bytes(size: int) -> int:
    """Return the length from which on a block is large: LARGE_BYTES, above 1 GiB of file a power of two more."""
    large = LARGE_BYTES
    while large * _MAX_PAYLOADS < size and large < _LARGEST_BYTES:
        large *= 2
    return large


class _Skeleton:
    """The skeleton's chunk that is being measured."""

    def __init__(self, source: Source, begin: int) -> None:
        self._source = source
        self._extents: list[Extent] = []
        self._content: list[bytes] = []
        """The bytes of each of `_extents`."""
        self._length = 0
        """Of both, bytes."""
        self._begin = begin
        """Where in the file the next extent begins."""
        self.full_at = begin + PIECE_MAX_BYTES
        """Offset in the file from which on the chunk ends at the next block."""

    def may_end(self, end: int, name: bytes) -> bool:
        """Whether the chunk ends at `end`, where the data-block `name` begins."""
        return self._length + end - self._begin >= PIECE_MIN_BYTES and _may_begin(name)

    def skip(self, offset: int, length: int) -> None:
        """Leave a payload out."""
        self._extend(offset)
        self._begin = offset + length
        self.full_at = self._begin - self._length + PIECE_MAX_BYTES

    def take(self, end: int, key: bytes, border: Border | None) -> Piece:
        """End the chunk at `end`, and begin the next."""
        self._extend(end)
        piece = Piece(self._length, key, tuple(self._extents), border, b"".join(self._content))
        self._extents, self._content, self._length, self._begin = [], [], 0, end
        return piece

    def _extend(self, end: int) -> None:
        if end > self._begin:
            length = end - self._begin
            self._extents.append((self._begin, length))
            self._content.append(bytes(self._source.read(self._begin, length)))  # A view would keep all of the stretch.
            self._length += length


def _counted(keys: Sequence[bytes], before: Counter[bytes]) -> Counter[bytes] | None:
    """Return how many of the keys each name has, after those `before`; None if they are not numbered so."""
    found: Counter[bytes] = Counter()
    for key in keys:
        name, _, number = key.partition(b"\0")
        if int(number or b"0") != before[name] + found[name]:
            return None
        found[name] += 1
    return found


def _may_begin(name: bytes) -> bool:
    """Whether a data-block of this name may begin a piece."""
    return zlib.crc32(name) % _ONE_NAME_IN == 0


def _id_name(source: Source, code: bytes, offset: int, length: int) -> bytes:
    """Return the name of the ID in a block, which starts with the two letters of the block's code: b"OBCube".

    A placeholder of linked data has the code "ID" and a name of any type; where it stands is then a guess, and a wrong
    one moves a cut, no more.
    """
    start = bytes(source.read(offset, min(length, _NAME_AT[0] + _NAME_BYTES)))
    at = next((at for at in _NAME_AT if start.startswith(code[:2], at)), _NAME_AT[0])
    return start[at : at + _NAME_BYTES].partition(b"\0")[0]
