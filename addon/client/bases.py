# SPDX-License-Identifier: GPL-3.0-or-later
"""The save before this one, as far as the next one needs it.

A node that has a save's files can be told of the next save by what is different: its manifest is sent as a patch of the
older one, and so is each changed chunk of the skeleton, some tens of kilobytes of block heads of which some bytes have
changed. For that the client keeps both, for each .blend the newest; on disk, too, since Blender may be restarted.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..protocol import zstd
from ..protocol.digest import Buffer
from ..protocol.errors import RemoteProtocolError
from ..protocol.manifest import Manifest
from .recipes import KnownPayloads

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
        self._bases: dict[str, Base] = {}

    def get(self, blend: str, node: str) -> Base | None:
        """Return the newest save of `blend` that `node` has. Reads the disk the first time."""
        if blend not in self._bases and (read := self._read(blend)) is not None:
            self._bases[blend] = read
        found = self._bases.get(blend)
        return found if found is not None and found.node == node else None

    def forget(self, blend: str) -> None:
        """The node does not have it any more."""
        self._bases.pop(blend, None)
        self._path(blend).unlink(missing_ok=True)

    def put(self, blend: str, base: Base) -> None:
        """Keep a base, on disk too. Costs some tens of milliseconds for a large scene: in a thread."""
        self._bases[blend] = base
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._path(blend)
            temporary = path.with_suffix(".new")
            temporary.write_bytes(_pack(base))
            temporary.replace(path)
            for old in sorted(self._folder.glob("*.base"), key=lambda each: each.stat().st_mtime)[:-KEPT_BASES]:
                old.unlink(missing_ok=True)
        except OSError as error:  # It saves bytes after a restart, no more.
            log.warning("the last save could not be noted: %s", error)

    def _read(self, blend: str) -> Base | None:
        try:
            return _unpack(self._path(blend).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RemoteProtocolError) as error:
            log.warning("what was noted of the last save cannot be read: %s", error)
            return None

    def _path(self, blend: str) -> Path:
        return self._folder / f"{hashlib.blake2b(blend.encode(), digest_size=16).hexdigest()}.base"


def skeleton_of(keys: tuple[bytes, ...], chunks: Mapping[bytes, tuple[bytes, Buffer]]) -> dict[bytes, tuple[bytes, bytes]]:
    """Return what of a skeleton is kept: the chunks by their keys, as far as SKELETON_BYTES goes."""
    kept: dict[bytes, tuple[bytes, bytes]] = {}
    room = SKELETON_BYTES
    for key in keys:
        chunk, found = chunks[key]
        room -= len(found)
        if room < 0:
            break
        kept[key] = chunk, bytes(found)
    return kept
