# SPDX-License-Identifier: GPL-3.0-or-later
"""The artists' files on a node: each once, whole and uncompressed, whatever sends it.

Nothing here is acknowledged before it would survive a power cut, and whatever moment a kill comes at, the next start
finds each file complete, or a part that knows what it lacks, or nothing.
"""

import logging
import os
import shutil
import threading
from collections import Counter
from collections.abc import Set as AbstractSet
from io import FileIO
from pathlib import Path

from addon.protocol.manifest import FileEntry, Manifest
from addon.protocol.paths import portable_name

from . import copying, housekeeping
from .checking import Checker, recipes_of
from .claims import Claims
from .filling import Filler
from .folders import Folders, check_owner
from .housekeeping import Held, Pruned, StoreReport, Victims
from .index import Index, NewFile, State
from .plan import Move
from .receipt import Receipt, Tools

log = logging.getLogger(__name__)

TWIN_BYTES = 32 << 20
"""From this size on a .blend gets a spare copy: to copy it and bring that onto the disk takes about 1 ms a MB, and a
smaller one's 30 ms nobody notices.
"""

_STEP = 64 << 20
"""A spare copy is made in steps, so that the store can be closed meanwhile."""


class Store:
    """The store below one folder; one process at a time. Every call may wait for the disk: make it in a thread."""

    def __init__(self, root: Path, limit: int) -> None:
        """`limit`: bytes on the disk, of what jobs need and of what they do not. Raises OSError."""
        self._limit = limit
        self._folders = Folders(root)
        self._clones = copying.can_clone(self._folders.incoming)
        self._index = Index(self._folders.index)
        self._claims = Claims()
        self._checker = Checker(self._folders, self._index, self._claims)
        filler = Filler(self._folders, self._index, self._clones)
        self._tools = Tools(self._folders, self._index, self._claims, self._checker, filler)
        self._lock = threading.Lock()
        self._receiving: Counter[str] = Counter()
        self._spared: set[str] = set()
        self._pruning = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let `recover` and `prepare_twin` end soon."""
        self._stopped.set()

    def close(self) -> None:
        """End; no other call may be under way, and all receipts are closed."""
        self.stop()
        self._index.close()

    # What is here

    def manifest(self, digest: str) -> Manifest | None:
        """Return a manifest that was offered once and not evicted since."""
        return self._folders.manifest(digest)

    def has(self, manifest: str) -> bool:
        """Whether all files of a manifest, by its digest, are here. Reads those that the index does not know."""
        row = self._index.manifest(manifest)
        if row is not None and self._checker.whole(row.files) == set(row.files):
            return True
        self._checker.know_manifests()
        known = self._folders.manifest(manifest)
        return known is not None and not self._checker.lacking(recipes_of(known))

    def file(self, recipe: str) -> Path:
        """Where the complete file with this digest lies, or would."""
        return self._folders.file(recipe)

    def mirror(self, manifest: Manifest, folder: Path) -> None:
        """Lay the files of a stored manifest out as on the artist's disk: folder/<root's number>/<name>.

        What is there already stays, so that a second call costs little. Nothing waits for the disk: after a power cut
        it has to be called again. Raises OSError.
        """
        clones = self._clones
        made: set[Path] = set()
        for entry in manifest.files:
            target = place(folder, entry)
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            clones = copying.mirror(self.file(entry.recipe.digest), target, clones)

    # What comes in

    def begin(self, manifest: Manifest, owner: str) -> Receipt:
        """Take in the files of a manifest for the client `owner`.

        Brings in at once what is here of them, of whatever file. Raises FileBusy, or OSError for a full disk.
        """
        check_owner(owner)
        with self._lock:
            self._receiving[manifest.digest] += 1
        receipt = Receipt(self._tools, manifest, owner, self._let_go)
        try:
            receipt.begin()
        except BaseException:
            receipt.close()
            raise
        return receipt

    def _let_go(self, manifest: str) -> None:
        with self._lock:
            self._receiving[manifest] -= 1
            self._spared.add(manifest)

    def prepare_twin(self, manifest: Manifest) -> None:
        """Copy a large .blend, for its next save to be made of. Call it when nothing waits; `stop` ends it."""
        recipe = manifest.blend.recipe
        noted = self._index.manifest(manifest.digest)
        if self._clones or recipe.size < TWIN_BYTES or noted is None:
            return
        twin = self._folders.twin(recipe.digest)
        older = [row for row in self._index.twins(noted.owner) if row.origin == noted.origin]
        if any(row.digest == recipe.digest and copying.stamp(twin) == row.stamp for row in older):
            return
        for row in older:
            self._folders.path(row.name).unlink(missing_ok=True)
            self._index.forget_file(row.name)
        if not self._room_for(recipe.size) or recipe.digest not in self._checker.whole([recipe.digest]):
            return
        fresh = self._folders.fresh(twin.name)
        try:
            if self._copy(self._folders.file(recipe.digest), fresh):
                stamp = copying.stamp_of(fresh.stat())
                fresh.replace(twin)
                name = self._folders.name(twin)
                self._index.add_all([NewFile(name, State.TWIN, stamp, recipe, (), noted.origin)])
        except OSError as error:  # It would only have saved time.
            log.warning("no spare copy of %s: %s", noted.blend, error)
        finally:
            fresh.unlink(missing_ok=True)

    def _room_for(self, size: int) -> bool:
        """Whether a copy of so many bytes leaves as much again on the disk, for frames, and fits into the limit."""
        free = shutil.disk_usage(self._folders.incoming).free
        return free >= 2 * size and self._index.size() + size <= self._limit

    def _copy(self, path: Path, target: Path) -> bool:
        """Copy onto the disk; False when stopped."""
        with FileIO(path) as source, FileIO(target, "x+") as copy:
            size = os.fstat(source.fileno()).st_size
            for at in range(0, size, _STEP):
                if self._stopped.is_set():
                    return False
                copying.copy_range(source, copy, Move(at, at, min(_STEP, size - at)))
                os.fsync(copy.fileno())
        return True

    # Housekeeping

    def recover(self) -> None:
        """Put right what a crash has left: reads files that are not as noted. Call it once at the start.

        It may take long after a power cut; all else works meanwhile, and `stop` ends it between two files.
        """
        self._checker.recover(self._stopped.is_set)

    def prune(self, keep: AbstractSet[str], limit: int | None = None) -> Pruned:
        """Evict until no more than `limit` bytes stay (else the store's own limit); see `housekeeping.choose`.

        Never goes a manifest that jobs need, which is what `keep` lists by digest, nor one that is being received.
        What was let go of since the call before stays this once: the job for it may be younger than `keep`.
        """
        limit = self._limit if limit is None else limit
        with self._pruning:
            self._checker.know_manifests()
            with self._lock:
                spared, self._spared = self._spared, set()
                keep = {*keep, *spared, *(+self._receiving)}
                victims = housekeeping.choose(self._index.manifests(), self._held(), keep, limit)
                names = [held.row.name for held in victims.files]
                mine = self._claims.start([*names, *(f"manifests/{row.digest}" for row in victims.manifests)])
            try:
                return self._evict(victims, mine)
            finally:
                self._claims.end(mine)

    def _evict(self, victims: Victims, mine: set[str]) -> Pruned:
        """Drop first what explains a file, then the file: after a kill between them the next start finds the rest."""
        files = [held for held in victims.files if held.row.name in mine]
        for row in victims.manifests:
            self._folders.drop_manifest(row.digest)
        self._index.drop([row.digest for row in victims.manifests], [held.row for held in files])
        for held in files:
            try:
                self._folders.path(held.row.name).unlink(missing_ok=True)
            except OSError as error:  # Windows: somebody reads it. The next start deletes it.
                log.warning("%s could not be evicted: %s", held.row.name, error)
        return Pruned(len(victims.manifests), len(files), Victims(victims.manifests, files).bytes)

    def size_of(self, manifests: AbstractSet[str], new: Manifest) -> int:
        """Return the bytes of the files of these manifests, by their digests, and of a new one; each file once."""
        sizes = {digest: recipe.size for digest, recipe in recipes_of(new).items()}
        rows = filter(None, map(self._index.manifest, manifests - {new.digest}))
        others = {digest for row in rows for digest in row.files}.difference(sizes)
        return sum((sizes | {row.digest: row.stamp[0] for row in self._index.files_of(others)}).values())

    def report(self, keep: AbstractSet[str] = frozenset()) -> StoreReport:
        """Return what is here; `keep`: the manifests that jobs need."""
        self._checker.know_manifests()
        return housekeeping.report(self._index.manifests(), self._held(), keep, self._limit)

    def _held(self) -> list[Held]:
        """All files with the bytes that they take: a part that has holes less than its size."""
        rows = self._index.files()
        sparse = {
            row.name: copying.allocated(self._folders.path(row.name)) for row in rows if row.state == State.PARTIAL
        }
        return [Held(row, sparse.get(row.name, row.stamp[0])) for row in rows]


def place(folder: Path, entry: FileEntry) -> Path:
    """Return where a file stands in the mirror of an artist's tree."""
    # On Windows "a:b" would be a stream of the file a; names that it cannot hold come from other systems alone.
    name = portable_name(entry.name) if os.name == "nt" else entry.name
    return folder / str(entry.root) / name
