# SPDX-License-Identifier: GPL-3.0-or-later
"""All parts of a .blend at once, to compare."""

from dataclasses import dataclass

from addon.protocol.blocks import Source
from addon.protocol.cutting import WHOLE_BYTES, Cutter, Payload, Piece, parts, runs_between
from addon.protocol.digest import Buffer


@dataclass(frozen=True)
class Outline:
    """A .blend as its two streams."""

    runs: tuple[int, ...]
    """As in `recipe.Recipe`."""
    skeleton: tuple[Piece, ...]
    payloads: tuple[Payload, ...]
    """In the file's order."""


def outline(source: Source) -> Outline:
    """Return where a .blend is to be cut. Raises NotABlend or TruncatedBlend."""
    skeleton: list[Piece] = []
    payloads: list[Payload] = []
    for part in parts(source):
        if isinstance(part, Piece):
            skeleton.append(part._replace(content=b""))
        else:
            payloads.append(part._replace(content=b""))
    return Outline(runs_between([payload[:2] for payload in payloads], source.size), tuple(skeleton), tuple(payloads))


def payload_cuts(payload: Buffer) -> list[int]:
    """Return the lengths of the chunks of one large block's payload, bytes."""
    if len(payload) <= WHOLE_BYTES:
        return [len(payload)]
    cutter = Cutter()
    return cutter.feed(payload) + cutter.finish()
