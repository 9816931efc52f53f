# SPDX-License-Identifier: GPL-3.0-or-later
"""One manifest on its way in."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from addon.durable import sync_folder
from addon.protocol import codecs
from addon.protocol.digest import Buffer, chunk_digest
from addon.protocol.errors import LocalProtocolError, RemoteProtocolError
from addon.protocol.manifest import Manifest
from addon.protocol.messages import Codec

from . import copying
from .checking import Checker, origin, recipes_of
from .claims import Claims
from .errors import BaseMissing, FileBusy, NoRoom
from .filling import Base, Filler
from .folders import Folders
from .index import Index, NewFile, Phase, State
from .part import Part
from .settling import Settler, sync_parts

log = logging.getLogger(__name__)

_OPEN_FILES = 8
"""Of one receipt at a time: a job may have thousands."""

FLUSH_BYTES = 64 << 20
"""After so much the disk starts to write: at the end there is less to wait for."""


class Present(NamedTuple):
    """How much is here."""

    bytes: int
    total: int


@dataclass(frozen=True, slots=True)
class Tools:
    """What receipts of one store work with."""

    folders: Folders
    index: Index
    claims: Claims
    checker: Checker
    filler: Filler


class Receipt:
    """Takes chunks in. Its methods are called from one thread at a time, and may wait for the disk.

    What it has, and what was complete before, is not evicted until `close`.
    """

    def __init__(self, tools: Tools, manifest: Manifest, owner: str, on_close: Callable[[str], None]) -> None:
        self._tools = tools
        self._manifest = manifest
        self._owner = owner
        self._on_close = on_close
        self._parts: dict[str, Part] = {}
        self._wanted: set[int] = set()
        self._open: dict[str, Part] = {}
        self._unflushed = 0
        self._drops = tools.index.drops
        self._settler = Settler(self._settle)
        self._synced = False
        self._closed = False

    def begin(self) -> None:
        """Bring in what the store has. Raises FileBusy, or OSError for a full disk."""
        self._tools.claims.wait([f"manifests/{self._manifest.digest}"])  # It may just be evicted.
        self._tools.checker.note(self._manifest, self._owner)
        self._claim()
        base = self._prepare()
        self._check_room()
        for part in self._parts.values():
            copied = self._tools.filler.fill(part, base if part.digest == self._blend else None)
            self._after_writing(part, part.moved + copied)
            part.close()
        self._wanted = self._lacking()

    @property
    def missing(self) -> list[int]:
        """The chunks that must travel, by their numbers in the manifest."""
        return sorted(self._wanted)

    @property
    def complete(self) -> bool:
        """Whether no chunk is missing."""
        return not self._wanted

    def present(self) -> Present:
        """Return how much of the manifest's files is here."""
        lacking = sum(part.recipe.size - part.present for part in self._parts.values())
        total = sum(recipe.size for recipe in recipes_of(self._manifest).values())
        return Present(total - lacking, total)

    def put(self, number: int, codec: Codec, payload: Buffer, base: bytes) -> None:
        """Take a chunk in; one that is not missing (any more) is skipped. `base`: name of a chunk, or empty.

        Raises RemoteProtocolError for a wrong one, BaseMissing, or OSError for a full disk.
        """
        if self._closed:
            raise LocalProtocolError("A chunk was put into a receipt that is closed.")
        if not 0 <= number < len(self._manifest.chunks):
            raise RemoteProtocolError("A chunk that is not in the manifest.")
        if number not in self._wanted:
            return
        chunk = self._manifest.chunks[number]
        places = self._places(chunk)
        known = self._tools.filler.chunk(base) if base else None
        if base and known is None:
            raise BaseMissing
        content = memoryview(codecs.decode(codec, payload, self._manifest.chunk_length(chunk), known))
        if any(chunk_digest(name)(content) != chunk for name in {part.recipe.algorithm for part, _ in places}):
            raise RemoteProtocolError("A chunk with other bytes than its name says.")
        for part, at in places:
            self._opened(part)
            part.write(at, content)
        self._wanted.remove(number)
        for part in {part.digest: part for part, _ in places}.values():
            self._after_writing(part, len(content))

    def finish(self) -> None:
        """Return when all files lie complete on the disk, for good. Raises OSError."""
        if not self.complete:
            raise LocalProtocolError("A receipt was to be finished before all chunks were there.")
        self._settler.wait()
        known = self._tools.index.manifest(self._manifest.digest)
        if known is None or known.state != Phase.STORED:
            self._sync_manifest()
            self._tools.index.progress(self._manifest.digest, Phase.STORED)

    def abandon(self) -> None:
        """The rest will not come: what has arrived waits for the next save, and is the first to be evicted."""
        try:
            if not self._closed:
                self._tools.index.progress(self._manifest.digest, Phase.WITHDRAWN)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of everything; what has arrived waits for the next attempt. May be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            self._settler.stop()
            self._leave()
        finally:
            for part in self._parts.values():
                self._tools.claims.give_back(part.name)
            self._on_close(self._manifest.digest)

    # Beginning

    @property
    def _blend(self) -> str:
        return self._manifest.blend.recipe.digest

    def _claim(self) -> None:
        """Find the files that are not complete, and keep other receipts from them."""
        tools = self._tools
        for digest, recipe in tools.checker.lacking(recipes_of(self._manifest)).items():
            part = Part(tools.folders.part(digest, self._owner), recipe)
            if not tools.claims.take(part.name):
                raise FileBusy(FileBusy.__doc__)
            self._parts[digest] = part
        for digest in tools.checker.whole(self._parts):  # Another receipt has brought it since we looked.
            tools.claims.give_back(self._parts.pop(digest).name)

    def _prepare(self) -> Base | None:
        """Go on with what there is of the parts. Returns the save before, as far as the .blend is new."""
        base = None
        for part in self._parts.values():
            resumed = self._tools.filler.resume(part)
            part.known = True
            if not resumed and part.digest == self._blend:
                base = self._tools.filler.take_over(part, self._owner, origin(self._manifest))
        return base

    def _check_room(self) -> None:
        """Rather now than after hours of sending."""
        needed = sum(max(0, part.recipe.size - copying.allocated(part.path)) for part in self._parts.values())
        lacking = needed - shutil.disk_usage(self._tools.folders.incoming).free
        if lacking > 0:
            raise NoRoom(lacking)

    def _lacking(self) -> set[int]:
        """The chunks that some part lacks, by their numbers in the manifest."""
        lacking = {part.recipe.id(number) for part in self._parts.values() for number in part.missing()}
        if not lacking:
            return set()
        return {number for number, chunk in enumerate(self._manifest.chunks) if chunk in lacking}

    def _places(self, chunk: bytes) -> list[tuple[Part, int]]:
        """Where a chunk is lacking, each place once."""
        places = {}
        for file, number in self._manifest.places[chunk]:
            part = self._parts.get(self._manifest.files[file].recipe.digest)
            if part is not None and not part.chunks[number]:
                places[part.digest, number] = part, number
        return list(places.values())

    # Writing

    def _opened(self, part: Part) -> None:
        """Keep few files open: those written last."""
        self._open.pop(part.digest, None)
        self._open[part.digest] = part
        while len(self._open) > _OPEN_FILES:
            self._open.pop(next(iter(self._open))).close()

    def _after_writing(self, part: Part, count: int) -> None:
        self._unflushed += count
        if part.whole:
            self._open.pop(part.digest, None)
            part.close()
            self._settler.add(part)
        elif self._unflushed >= FLUSH_BYTES:
            self._unflushed = 0
            self._settler.flush(part)

    # The end; _settle is called by the settler, in its thread or in ours

    def _settle(self, parts: list[Part]) -> None:
        """Give whole parts their place among the files.

        After a power cut a name in files/ must mean a file with all its bytes: first those, then the name. And the
        manifest before both: a file that no manifest explains is deleted.
        """
        sync_parts(parts)
        self._sync_manifest()
        folders = self._tools.folders
        by_name = {f"files/{part.digest}": part for part in parts}
        with self._tools.claims.working(by_name):
            here = self._tools.checker.noted(part.digest for part in parts)  # Another artist may have sent the same.
            rows = [self._rename(part, name) for name, part in by_name.items() if part.digest not in here]
            sync_folder(folders.files)
            self._tools.index.add_all(rows, gone=[part.name for part in parts])
        for part in parts:
            part.path.unlink(missing_ok=True)

    def _rename(self, part: Part, name: str) -> NewFile:
        target = self._tools.folders.path(name)
        copying.protect(part.path)
        stamp = copying.stamp_of(part.path.stat())
        part.path.replace(target)
        unknown = part.own() if self._drops == self._tools.index.drops else range(len(part.recipe))
        return NewFile(name, State.COMPLETE, stamp, part.recipe, unknown)

    def _sync_manifest(self) -> None:
        if not self._synced:
            self._tools.folders.sync_manifest(self._manifest.digest)
            self._synced = True

    def _leave(self) -> None:
        """Note what is left of the parts, for whoever comes next; after a kill the next start finds it by reading."""
        left, gone = [], []
        for part in [part for part in self._parts.values() if part.known]:
            part.close()
            if part.spoiled or part.lacking == len(part.recipe):
                part.path.unlink(missing_ok=True)
                gone.append(part.name)
            elif (stamp := copying.stamp(part.path)) is not None:
                self._tools.filler.remember(part, stamp)
                left.append(NewFile(part.name, State.PARTIAL, stamp, part.recipe, part.own()))
        try:
            self._tools.index.add_all(left, gone)
        except OSError as error:
            log.warning("what has arrived could not be noted: %s", error)
