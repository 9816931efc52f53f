# SPDX-License-Identifier: GPL-3.0-or-later
"""How bytes of a file are written on the wire: what each `Codec` means, and which one suits a chunk."""

from collections.abc import Collection

from . import zstd
from .digest import Buffer
from .errors import RemoteProtocolError
from .messages import Codec

try:
    from .wordcodec import STRIDES, shuffle, unshuffle
except ImportError:  # A distribution's Python without numpy.
    from .byteshuffle import STRIDES, shuffle, unshuffle

_STRIDES = {Codec.SHUFFLE: 0, Codec.DELTA_1: 1, Codec.DELTA_2: 2, Codec.DELTA_3: 3, Codec.DELTA_4: 4}
"""The codecs of 32-bit words: how many words before each one stands what is subtracted from it; 0: nothing is."""

_PIECE_BYTES = 4 << 10
"""What is looked at of a chunk's beginning, of its middle and of its end."""

_WORTHWHILE = 0.95
"""The largest part of a sample that may be left. JPEG leaves 1.0, the noisiest floats 0.9."""

_SAME_LEFT = 0.05
"""How far what is left of a chunk may be from what was left of the one before, as parts of a chunk."""

_PATCH_LEVEL = 3
"""Of zstd. What is added to a manifest moves all that follows, which level 1 loses sight of: 13 KB instead of 0.4."""

_GOOD_PATCH = 1 / 16
"""The part of a chunk that a patch may leave without anything else being tried."""


def decodable() -> tuple[Codec, ...]:
    """Return the codecs that this Python can encode and decode."""
    if zstd.name() is None:
        return (Codec.RAW,)
    return (Codec.RAW, Codec.ZSTD, Codec.PATCH, *(codec for codec, stride in _STRIDES.items() if stride in STRIDES))


class Encoder:
    """Encodes the chunks of a batch, one after the other.

    Neighbours in a file mostly suit the same codec, so that it is chosen again only when the part that it leaves of a
    chunk changes: three times as fast for chunks of 64 KiB. For one thread.
    """

    def __init__(self, allowed: Collection[Codec]) -> None:
        usable = [codec for codec in decodable() if codec in allowed]
        self._patches = Codec.PATCH in usable
        self._candidates = [codec for codec in usable if codec not in (Codec.RAW, Codec.PATCH)]
        self._codec = Codec.RAW
        self._left = 1.0
        """The part that this codec left of the last chunk."""

    def encode(self, chunk: Buffer, base: Buffer | None = None) -> tuple[Codec, Buffer]:
        """Return the codec among the allowed ones that suits `chunk` best by a sample of it, and the encoded bytes.

        With `base`, bytes of which the chunk may be a changed copy, PATCH is among them. RAW is what remains: it needs
        no permission, and its bytes are the buffer itself. What is not RAW is smaller than the chunk.
        """
        patch = zstd.compress(chunk, _PATCH_LEVEL, base) if base is not None and self._patches else None
        if patch is not None and len(patch) <= len(chunk) * _GOOD_PATCH:
            return Codec.PATCH, patch
        codec, encoded = self._encode(chunk)
        if patch is not None and len(patch) < len(encoded):
            return Codec.PATCH, patch
        return (codec, encoded) if len(encoded) < len(chunk) else (Codec.RAW, chunk)

    def _encode(self, chunk: Buffer) -> tuple[Codec, Buffer]:
        tried, encoded = self._codec, _encode(self._codec, chunk)
        left = len(encoded) / max(len(chunk), 1)
        if tried == Codec.RAW or abs(left - self._left) > _SAME_LEFT:
            self._codec = _choose(_sample(chunk), self._candidates)
            encoded = encoded if self._codec == tried else _encode(self._codec, chunk)
            left = len(encoded) / max(len(chunk), 1)
        self._left = left
        return self._codec, encoded


def encode(chunk: Buffer, allowed: Collection[Codec], base: Buffer | None = None) -> tuple[Codec, Buffer]:
    """Encode a single chunk as `Encoder.encode` does."""
    return Encoder(allowed).encode(chunk, base)


def decode(codec: Codec, payload: Buffer, size: int, base: Buffer | None = None) -> Buffer:
    """Return the `size` bytes that `payload` stands for; PATCH needs the base that it was made against.

    Takes memory for some four times `size`, never more. Raises RemoteProtocolError when the payload is anything but
    `size` bytes in a codec of `decodable()`.
    """
    if codec not in decodable() or (codec == Codec.PATCH and base is None):
        raise RemoteProtocolError(f"Bytes in the codec {codec}, which cannot be decoded here.")
    if codec == Codec.RAW:
        if len(payload) != size:
            raise RemoteProtocolError(f"{len(payload)} bytes instead of {size}.")
        return payload
    try:
        content = zstd.decompress(payload, size, base if codec == Codec.PATCH else None)
    except zstd.DamagedFrame as error:
        raise RemoteProtocolError(f"Bytes that are not {codec}: {error}") from error
    return unshuffle(content, _STRIDES[codec]) if codec in _STRIDES else content


def _choose(sample: Buffer, codecs: Collection[Codec]) -> Codec:
    """Return the codec that leaves least of the sample; RAW: none is worth its time."""
    best, least = Codec.RAW, int(len(sample) * _WORTHWHILE)
    for codec in codecs:
        if codec == Codec.DELTA_1 and best == Codec.RAW:
            break  # Where not even the words' upper bytes are alike, differences of words do not help.
        size = len(_encode(codec, sample))
        if size < least:
            best, least = codec, size
    return best


def _sample(chunk: Buffer) -> Buffer:
    view = memoryview(chunk)
    if len(view) <= 3 * _PIECE_BYTES:
        return view
    last = (len(view) - _PIECE_BYTES) // 8 * 8
    return b"".join(view[start : start + _PIECE_BYTES] for start in (0, last // 2, last))


def _encode(codec: Codec, data: Buffer) -> Buffer:
    if codec == Codec.RAW:
        return data
    return zstd.compress(shuffle(data, _STRIDES[codec]) if codec in _STRIDES else data)
