# SPDX-License-Identifier: GPL-3.0-or-later
"""From an order to what has to be at the node: the .blend and all that it uses, as one manifest.

Reads files and stats thousands of them: call it in a thread.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from ..protocol.blocks import Source
from ..protocol.cutting import gather as read_extents
from ..protocol.digest import Buffer, chunk_digest
from ..protocol.manifest import FileEntry, Manifest
from ..protocol.recipe import Recipe
from .errors import CannotRead, FilesMissing, SourceChanged
from .gather import Gathered, gather
from .ledger import Order
from .recipes import KnownPayloads, RecipeCache, blend_recipe, plain_recipe
from .snapshot import Snapshot
from .tree import plan_tree


@dataclass(slots=True)
class Plan:
    """One job's files, and where their bytes are."""

    manifest: Manifest
    blend: Source
    paths: tuple[Path, ...]
    """Of the manifest's files on this machine, in its order."""
    keys: tuple[bytes, ...]
    """Of each skeleton chunk of the .blend: what names it across saves."""
    payloads: KnownPayloads

    def read(self, chunk: bytes) -> Buffer:
        """Return a chunk's bytes. Raises SourceChanged when its file is no longer what was planned."""
        place = self.manifest.places[chunk][0]
        recipe = self.manifest.files[place.file].recipe
        if place.file == 0:  # A snapshot: nobody changes it.
            return read_extents(self.blend, recipe.extents(place.number))
        path = self.paths[place.file]
        try:
            with Snapshot(path) as source:
                found = read_extents(source, recipe.extents(place.number))
        except (OSError, CannotRead) as error:
            raise SourceChanged(f"{path} was changed while it was sent.") from error
        if chunk_digest(recipe.algorithm)(found) != chunk:
            raise SourceChanged(f"{path} was changed while it was sent.")
        return found

    def key(self, chunk: bytes) -> bytes | None:
        """What names a skeleton chunk of the .blend across saves; None for any other chunk."""
        place = self.manifest.places[chunk][0]
        return self.keys[place.number] if place.file == 0 and place.number < len(self.keys) else None


def make_plan(
    order: Order, blend: Source, algorithm: str, known: KnownPayloads | None, cache: RecipeCache
) -> Plan:
    """Return what the order needs at the node; `known` are the payloads of the save before.

    Raises FilesMissing, CannotRead, SourceChanged.
    """
    found = gather(order.dependencies)
    _check_missing(order, found)
    recipe, keys, payloads = blend_recipe(blend, algorithm, known)
    own = os.path.normpath(order.blend)
    paths = [own, *(path for file in found.files if (path := os.path.normpath(file.path)) != own)]
    tree = plan_tree(own, paths)
    entries: dict[tuple[int, str], tuple[FileEntry, Path]] = {}
    for path in paths:
        root, name = tree.places[path]
        if (root, name) not in entries:
            made = recipe if path == own else _recipe(Path(path), algorithm, cache)
            entries[root, name] = FileEntry(root, name, made), Path(path)
    files, on_disk = zip(*entries.values(), strict=True)
    return Plan(Manifest(tree.roots, files), blend, on_disk, keys, payloads)


def _recipe(path: Path, algorithm: str, cache: RecipeCache) -> Recipe:
    known = cache.get(path, algorithm)
    if known is None:
        with Snapshot(path) as source:
            known = plain_recipe(source, algorithm)
        cache.put(path, known)
    return known


def _check_missing(order: Order, found: Gathered) -> None:
    """Raises FilesMissing unless the artist has said to go on without each of them."""
    missing = tuple(each for each in found.missing if str(each.path) not in order.without)
    if missing:
        raise FilesMissing(missing)
