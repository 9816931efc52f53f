# SPDX-License-Identifier: GPL-3.0-or-later
"""From an order to what has to be at the node: the .blend and all that it uses, as one manifest.

Reads files and stats thousands of them: call it in a thread.
"""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from ..protocol.blocks import Source
from ..protocol.cutting import gather as read_extents
from ..protocol.digest import Buffer, chunk_digest
from ..protocol.errors import UnsafePath
from ..protocol.limits import MAX_MANIFEST_BYTES
from ..protocol.manifest import FileEntry, Manifest
from .errors import CannotRead, FilesMissing, SourceChanged
from .gather import Found, Missing, gather
from .known import KnownPayloads
from .ledger import Order
from .recipe_cache import RecipeCache
from .recipes import blend_recipe, file_recipe
from .tree import Tree, plan_tree
from .unpacked import open_source

_OPEN_FILES = 4
"""Of those that are being sent."""


class _Sources:
    """The files that were read last, open: a compressed library's table of frames would else be read for each chunk.

    Any thread may ask. A file is closed when nobody reads it any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, Source] = OrderedDict()

    def get(self, path: Path) -> Source:
        """Raises CannotRead."""
        with self._lock:
            source = self._open.pop(path, None) or open_source(path)
            self._open[path] = source
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        return source


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
    cache: RecipeCache
    _sources: _Sources = field(default_factory=_Sources)

    def read(self, chunk: bytes) -> Buffer:
        """Return a chunk's bytes. Raises SourceChanged when its file is no longer what was planned."""
        place = self.manifest.places[chunk][0]
        recipe, path = self.manifest.files[place.file].recipe, self.paths[place.file]
        try:
            # Blender replaces a .blend, so that the snapshot stays as it is; other programs may write into one.
            source = self._sources.get(path) if place.file else self.blend
            found = read_extents(source, recipe.extents(place.number))
        except (OSError, CannotRead, SourceChanged) as error:
            raise self._changed(path) from error
        if chunk_digest(recipe.algorithm)(found) != chunk:
            raise self._changed(path)
        return found

    def _changed(self, path: Path) -> SourceChanged:
        self.cache.forget(path)  # It may have been out of date.
        return SourceChanged(f"{path} was changed while it was sent.")


def make_plan(order: Order, blend: Source, algorithm: str, known: KnownPayloads | None, cache: RecipeCache) -> Plan:
    """Return what the order needs at the node; `known` are the payloads of the save before.

    Raises FilesMissing, CannotRead, SourceChanged.
    """
    gathered = gather(order.dependencies)
    _check_missing(order, gathered.missing)  # Before reading gigabytes.
    recipe, keys, payloads = blend_recipe(blend, algorithm, known)
    own = os.path.normpath(order.blend)
    tree = _tree(own, gathered.files)
    missing: list[Missing] = []
    entries = {tree.places[own]: (FileEntry(*tree.places[own], recipe), Path(own))}
    for each in gathered.files:
        place = tree.places[str(each.path)]
        if place in entries:
            continue
        try:
            if each.path.stat().st_size:  # What is empty gives a renderer as much as what is not there.
                entries[place] = FileEntry(*place, file_recipe(each.path, algorithm, cache)), each.path
        except (OSError, CannotRead) as error:
            missing.append(Missing(each.path, each.owner, _reason(error)))
    _check_missing(order, missing)
    files, on_disk = zip(*entries.values(), strict=True)
    manifest = Manifest(tree.roots, files)
    if len(manifest.packed) > MAX_MANIFEST_BYTES:
        raise CannotRead(
            f"The scene's {len(files):,} files with {manifest.size / 1e9:,.0f} GB are more than one job can have."
        )
    return Plan(manifest, blend, on_disk, keys, payloads, cache)


def _tree(own: str, files: list[Found]) -> Tree:
    try:
        return plan_tree(own, (str(each.path) for each in files))
    except UnsafePath as error:
        raise CannotRead(f"{own} has a name that cannot be sent: save it under another one.") from error


def _reason(error: Exception) -> str:
    """What is wrong with a file that was there a moment ago."""
    return f"cannot be read ({error.strerror})" if isinstance(error, OSError) else "cannot be read"


def _check_missing(order: Order, missing: list[Missing]) -> None:
    """Raises FilesMissing unless the artist has said to go on without each of them."""
    unexpected = tuple(each for each in missing if str(each.path) not in order.without)
    if unexpected:
        raise FilesMissing(unexpected)
