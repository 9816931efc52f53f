# SPDX-License-Identifier: GPL-3.0-or-later
"""The save before this one, as far as the next one needs it.

A node that has a save's files can be told of the next save by what is different: its manifest is sent as a patch of the
older one, and so is each changed chunk of the skeleton, some tens of kilobytes of block heads of which some bytes have
changed. For that the client keeps both, for each .blend the newest; on disk, too, since Blender may be restarted.
"""

import hashlib
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..protocol import zstd
from ..protocol.digest import DIGEST_BYTES
from ..protocol.errors import ProtocolError
from ..protocol.manifest import Manifest
from .known import Cuts, KnownPayloads, LongPayload
from .plan import Plan

log = logging.getLogger(__name__)

SKELETON_BYTES = 32 << 20
"""How much of a skeleton is kept; a scene of 340 MB with 2,500 objects has some 10 MB. The rest goes as it is."""

KEPT_BASES = 50
"""Files on disk; the oldest go."""


@dataclass(frozen=True, slots=True)
class Base:
    """A save that a node has."""

    node: str
    """The node's id."""
    manifest: Manifest
    payloads: KnownPayloads
    skeleton: Mapping[bytes, tuple[bytes, bytes]]
    """Chunk and its bytes by the key that names it across saves."""


class Bases:
    """One base for each .blend; may be used by several processes, of which the last one to write counts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._newest: tuple[str, Base] | None = None
        """Of the .blend that was last asked for: the others can be read again."""

    def get(self, blend: str, node: str) -> Base | None:
        """Return the newest save of `blend` that `node` has. May read the disk: in a thread."""
        newest = self._newest
        found = newest[1] if newest is not None and newest[0] == blend else self._read(blend)
        if found is None or found.node != node:
            return None
        self._newest = blend, found
        return found

    def forget(self, blend: str) -> None:
        """The node does not have it any more."""
        self._newest = None
        try:
            self._path(blend).unlink(missing_ok=True)
        except OSError as error:
            log.warning("the last save could not be forgotten: %s", error)

    def put(self, blend: str, base: Base) -> None:
        """Keep a base, on disk too. Costs some tens of milliseconds for a large scene: in a thread."""
        self._newest = blend, base
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._path(blend)
            temporary = path.with_suffix(".new")
            packed = _pack(base)
            temporary.write_bytes(_digest(packed) + packed)
            temporary.replace(path)
            for old in sorted(self._folder.glob("*.base"), key=lambda each: each.stat().st_mtime)[:-KEPT_BASES]:
                old.unlink(missing_ok=True)
        except OSError as error:  # It saves bytes after a restart, no more.
            log.warning("the last save could not be noted: %s", error)

    def _read(self, blend: str) -> Base | None:
        try:
            return _unpack(_undamaged(self._path(blend).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, ProtocolError) as error:
            log.warning("what was noted of the last save cannot be read: %s", error)
            return None

    def _path(self, blend: str) -> Path:
        return self._folder / f"{hashlib.blake2b(blend.encode(), digest_size=16).hexdigest()}.base"


def base_of(plan: Plan, node: str, earlier: Base | None = None) -> Base:
    """Return what the next save needs of this one, which `node` has; `earlier` saves reading what is the same.

    Reads the rest of the skeleton: in a thread. Raises SourceChanged.
    """
    read = dict(earlier.skeleton.values()) if earlier is not None else {}
    skeleton: dict[bytes, tuple[bytes, bytes]] = {}
    recipe = plan.manifest.blend.recipe
    room = SKELETON_BYTES
    for number, key in enumerate(plan.keys):
        room -= recipe.lengths[number]
        if room < 0:
            break
        chunk = recipe.id(number)
        skeleton[key] = chunk, read.get(chunk) or bytes(plan.read(chunk))
    return Base(node, plan.manifest, plan.payloads, skeleton)


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=DIGEST_BYTES).digest()


def _undamaged(found: bytes) -> bytes:
    """Return what stands behind the digest.

    The node would refuse every save that is told from a base with other bytes than its own. Raises ValueError.
    """
    if _digest(found[DIGEST_BYTES:]) != found[:DIGEST_BYTES]:
        raise ValueError("it is damaged")
    return found[DIGEST_BYTES:]


def _pack(base: Base) -> bytes:
    """A line of JSON, then everything that is bytes, compressed where that is possible."""
    pieces = [(key.hex(), chunk.hex(), len(found)) for key, (chunk, found) in base.skeleton.items()]
    long = [(each.key.hex(), each.name.hex(), each.cuts.lengths) for each in base.payloads.payloads]
    columns = [found for _, found in base.skeleton.values()]
    columns += [each.cuts.ids for each in base.payloads.payloads]
    body = base.manifest.packed + b"".join(columns)
    compressed = zstd.name() is not None
    head = {
        "node": base.node, "manifest": len(base.manifest.packed), "skeleton": pieces, "size": len(body),
        "algorithm": base.payloads.algorithm, "payloads": long, "compressed": compressed,
    }  # fmt: skip
    return json.dumps(head).encode() + b"\n" + (zstd.compress(body) if compressed else body)


def _unpack(packed: bytes) -> Base:
    line, _, body = packed.partition(b"\n")
    head = json.loads(line)
    if head["compressed"]:
        body = zstd.decompress(body, head["size"])
    columns = io.BytesIO(body)
    manifest = Manifest.unpack(columns.read(head["manifest"]))
    skeleton = {bytes.fromhex(key): (bytes.fromhex(chunk), columns.read(size)) for key, chunk, size in head["skeleton"]}
    long = tuple(
        LongPayload(
            bytes.fromhex(key), bytes.fromhex(name), Cuts(tuple(lengths), columns.read(DIGEST_BYTES * len(lengths)))
        )
        for key, name, lengths in head["payloads"]
    )
    return Base(head["node"], manifest, KnownPayloads(head["algorithm"], tuple(long)), skeleton)
