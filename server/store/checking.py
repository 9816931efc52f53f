# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what lies in the store is what the index says, and what to do when not.

Only files whose stamp is not the noted one are read: none after an orderly end, after a kill those that were on their
way. So a start costs a `stat` for each file.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from addon.durable import sync, sync_folder
from addon.protocol.manifest import Manifest
from addon.protocol.recipe import Recipe

from . import copying
from .claims import Claims
from .folders import Folders, digest_in
from .index import FileRow, Index, ManifestRow, NewFile, Phase, State
from .part import Stopped, never, verified

log = logging.getLogger(__name__)

NOBODY = "nobody"
"""Owner of what is found damaged; and of what is known from its manifest alone."""


class Checker:
    """Looks after the files of one store."""

    def __init__(self, folders: Folders, index: Index, claims: Claims) -> None:
        self._folders = folders
        self._index = index
        self._claims = claims
        self._knowing = threading.Lock()

    # What is asked for now

    def whole(self, digests: Collection[str]) -> set[str]:
        """Return those files that are here complete, going by their stamps."""
        self._claims.wait([f"files/{digest}" for digest in digests])
        return self.noted(digests)

    def noted(self, digests: Iterable[str]) -> set[str]:
        """The same for who has claimed them."""
        rows = self._index.files_of(digests)
        return {row.digest for row in rows if row.state == State.COMPLETE and self._as_noted(row)}

    def lacking(self, recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
        """Return those files that are not here complete; reads what the index does not know."""
        whole = self.whole(recipes)
        return {
            digest: recipe
            for digest, recipe in recipes.items()
            if digest not in whole and not self._examine_file(digest, recipe, never)
        }

    def note(self, manifest: Manifest, owner: str) -> None:
        """Write a manifest down, or that it was used again."""
        self._folders.keep_manifest(manifest)
        self._index.touch(_row(manifest, owner, Phase.BEGUN))

    # After a start

    def know_manifests(self) -> None:
        """Make the index know just the manifests that lie here; costs nothing when it does."""
        with self._knowing:
            known = {row.digest for row in self._index.manifests()}
            kept = list(self._folders.kept_manifests())  # Later: what a receipt begins meanwhile has its file first.
            self._index.drop(known.difference(kept), [])
            for digest in kept:
                manifest = self._folders.manifest(digest) if digest not in known else None
                if manifest is not None:
                    self._index.learn(_row(manifest, NOBODY, Phase.STORED))

    def recover(self, stop: Callable[[], bool]) -> None:
        """Read what is not as noted, file by file, until `stop` says so; the next call goes on from there."""
        self.know_manifests()
        present = self._folders.present()
        noted = {row.name: row for row in self._index.files()}
        for row in noted.values():
            if row.name not in present:
                self._forget_gone(row)
        doubtful = [name for name in sorted(present) if name not in noted or not self._as_noted(noted[name])]
        recipes = self._recipes({digest_in(name) for name in doubtful})
        for name in doubtful:
            if stop():
                return
            with contextlib.suppress(Stopped):
                self._recover_one(name, recipes.get(digest_in(name)), stop)

    def _recover_one(self, name: str, recipe: Recipe | None, stop: Callable[[], bool]) -> None:
        if recipe is None or name.endswith(".twin"):
            with self._claims.working([name]) as mine:
                if mine and not self._is_as_noted(name):
                    log.info("nobody knows %s any more", name)
                    self._folders.path(name).unlink(missing_ok=True)
        elif name.startswith("files/"):
            self._examine_file(recipe.digest, recipe, stop)
        else:
            self._examine_part(name, recipe, stop)

    def _examine_file(self, digest: str, recipe: Recipe, stop: Callable[[], bool]) -> bool:
        """Read a file that is not as noted. Whether it is complete nevertheless; if not, it becomes a part."""
        path = self._folders.file(digest)
        name = self._folders.name(path)
        if not path.exists():
            return False
        with self._claims.working([name]):
            if self._is_as_noted(name):
                return True  # Another thread was quicker.
            try:
                found = verified(path, recipe, partial=False, stop=stop)
            except FileNotFoundError:
                return False
            if found.complete(recipe):
                copying.protect(path)
                sync(path)  # It may have got its name a moment before a kill.
                sync_folder(self._folders.files)
                self._index.add_all([NewFile(name, State.COMPLETE, found.stamp, recipe, found.good)])
                return True
            log.warning("%s is damaged: %d of its %d chunks are good", name, len(found.good), len(recipe))
            part = self._folders.part(digest, NOBODY)
            path.replace(part)
            if (row := self._index.file(name)) is not None:
                self._index.drop([], [row])
            self._index.add_all([NewFile(self._folders.name(part), State.PARTIAL, found.stamp, recipe, found.good)])
            return False

    def _examine_part(self, name: str, recipe: Recipe, stop: Callable[[], bool]) -> None:
        with self._claims.working([name]) as mine:
            if not mine or self._is_as_noted(name):
                return
            try:
                found = verified(self._folders.path(name), recipe, partial=True, stop=stop)
            except FileNotFoundError:
                return
            log.info("%s: %d of %d chunks have arrived", name, len(found.good), len(recipe))
            self._index.add_all([NewFile(name, State.PARTIAL, found.stamp, recipe, found.good)])

    def _forget_gone(self, row: FileRow) -> None:
        with self._claims.working([row.name]) as mine:
            if mine and copying.stamp(self._folders.path(row.name)) is None:
                self._index.drop([], [row])

    def _recipes(self, digests: set[str]) -> dict[str, Recipe]:
        """Find the recipes of these files in the manifests."""
        found: dict[str, Recipe] = {}
        for row in reversed(self._index.manifests()):
            if digests.isdisjoint(row.files) or found.keys() >= digests:
                continue
            manifest = self._folders.manifest(row.digest)
            if manifest is not None:
                found |= {digest: recipe for digest, recipe in recipes_of(manifest).items() if digest in digests}
        return found

    def _as_noted(self, row: FileRow) -> bool:
        return copying.stamp(self._folders.path(row.name)) == row.stamp

    def _is_as_noted(self, name: str) -> bool:
        row = self._index.file(name)
        return row is not None and self._as_noted(row)


def recipes_of(manifest: Manifest) -> dict[str, Recipe]:
    """Return the recipes of a manifest's files by their digests, the .blend's first."""
    return {entry.recipe.digest: entry.recipe for entry in manifest.files}


def origin(manifest: Manifest) -> str:
    """Return where a manifest's .blend stands on the artist's disk."""
    blend = manifest.blend
    return f"{manifest.roots[blend.root]}/{blend.name}"


def _row(manifest: Manifest, owner: str, phase: Phase) -> ManifestRow:
    size = len(manifest.packed)
    return ManifestRow(
        manifest.digest, owner, origin(manifest), tuple(recipes_of(manifest)), size, phase, 0, time.time()
    )
