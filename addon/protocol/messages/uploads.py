# SPDX-License-Identifier: GPL-3.0-or-later
"""An artist's files on their way to the node."""

import enum
from dataclasses import dataclass

from ..limits import MAX_CHUNK_BYTES, MAX_MANIFEST_BYTES
from .checks import check, check_id


class Codec(enum.StrEnum):
    """How bytes of a file are written on the wire; codecs.py has the algorithms."""

    RAW = "raw"
    ZSTD = "zstd"
    PATCH = "patch"
    """zstd with the bytes of `base` as its prefix."""
    SHUFFLE = "shuffle"
    """The bytes of 32-bit words sorted by their place in the word, then zstd."""
    DELTA_1 = "delta1"
    """32-bit words as differences from the word before, zigzag, shuffled, then zstd."""
    DELTA_2 = "delta2"
    DELTA_3 = "delta3"
    DELTA_4 = "delta4"


@dataclass(frozen=True, slots=True)
class Offer:
    """The client has the files of a job; the payload is their manifest, encoded."""

    manifest: str
    """Digest of the packed manifest; names the transfer."""
    size: int
    """Of the packed manifest, bytes."""
    codec: Codec
    base: str = ""
    """With Codec.PATCH: the manifest that this one is a change of, by its digest."""

    def __post_init__(self) -> None:
        check_id(self.manifest)
        check(0 < self.size <= MAX_MANIFEST_BYTES, "size of a manifest")
        _check_base(self.codec, self.base)


@dataclass(frozen=True, slots=True)
class ChunkHead:
    """One chunk among the bytes of a `Chunks`."""

    number: int
    """Its place among the distinct chunks of the manifest, from 0, in order of first appearance."""
    size: int
    """Of its encoded bytes."""
    codec: Codec
    base: str = ""
    """With Codec.PATCH: the chunk that this one is a change of, by its digest."""

    def __post_init__(self) -> None:
        check(self.number >= 0 and 0 < self.size <= 2 * MAX_CHUNK_BYTES, "place or size of a chunk")
        _check_base(self.codec, self.base)


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks that the node lacks, one after the other in the payload."""

    manifest: str
    chunks: tuple[ChunkHead, ...]

    def __post_init__(self) -> None:
        check_id(self.manifest)


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The client will not send the rest of what it offered."""

    manifest: str

    def __post_init__(self) -> None:
        check_id(self.manifest)


@dataclass(frozen=True, slots=True)
class Need:
    """What the node lacks of an offered manifest: a bit for each chunk in the payload, the first in the lowest bit of
    the first byte.
    """

    manifest: str
    limit: int
    """Encoded bytes that may be sent so far, those sent along with the offer included."""


@dataclass(frozen=True, slots=True)
class Stored:
    """All files of the manifest lie verified on the node's disk."""

    manifest: str


def _check_base(codec: Codec, base: str) -> None:
    check((codec == Codec.PATCH) == bool(base), "base of a codec")
    if base:
        check_id(base)
