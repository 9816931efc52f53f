# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found out about the parts of one save that the next one can use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..protocol.cutting import Border, Payload
from ..protocol.recipe import Extent


class Cuts(NamedTuple):
    """The chunks of one part of a file."""

    lengths: tuple[int, ...]
    ids: bytes
    """Of each chunk, DIGEST_BYTES bytes."""


class Hashed(NamedTuple):
    """A part of a .blend with its chunks."""

    payload: Extent | None
    """Where it stands in the file; None: it is of the skeleton."""
    key: bytes
    cuts: Cuts
    name: bytes = b""
    """Of a long payload."""


@dataclass(frozen=True, slots=True)
class Region:
    """Parts of a save that stand side by side: if their bytes are there in the next one, so are their chunks."""

    start: int
    """Offset in the file."""
    border: Border
    """Its end."""
    head: bytes
    """The first bytes: a block's head."""
    digest: bytes
    """Of all bytes but those of long payloads."""
    parts: tuple[Hashed | Payload, ...]
    """In the file's order; long payloads without their chunks, for they are hashed each time."""

    @property
    def length(self) -> int:
        """In bytes of the file."""
        return self.border.offset - self.start

    @property
    def piece_keys(self) -> Sequence[bytes]:
        """Of its pieces."""
        return [part.key for part in self.parts if isinstance(part, Hashed) and part.payload is None]

    @property
    def payload_keys(self) -> Sequence[bytes]:
        """Of its payloads."""
        return [part.key for part in self.parts if isinstance(part, Payload) or part.payload is not None]

    def extents(self, at: int) -> Iterator[Extent]:
        """Yield where the bytes of the digest stand if it begins at the offset `at`."""
        moved = at - self.start
        begin = at
        for part in self.parts:
            if isinstance(part, Payload):
                yield begin, part.offset + moved - begin
                begin = part.offset + moved + part.length
        yield begin, at + self.length - begin

    def at(self, offset: int) -> "Region":
        """Return the same one somewhere else."""
        moved = offset - self.start
        if not moved:
            return self
        parts = tuple(
            part._replace(offset=part.offset + moved) if isinstance(part, Payload)
            else part if part.payload is None
            else Hashed((part.payload[0] + moved, part.payload[1]), part.key, part.cuts)
            for part in self.parts
        )  # fmt: skip
        return Region(offset, self.border._replace(offset=self.border.offset + moved), self.head, self.digest, parts)


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
    large: int = field(default=0, compare=False)
    """How long a large block was; decides on all cuts."""
    regions: tuple[Region, ...] = field(default=(), compare=False, repr=False)
    """In memory only: they save a tenth of a second, no more."""
