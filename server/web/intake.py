# SPDX-License-Identifier: GPL-3.0-or-later
"""From an upload's files to the node's store: cut and named as an artist's client does it, and so stored only once."""

import threading
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from addon.client.errors import ClientError
from addon.client.recipe_cache import RecipeCache
from addon.client.recipes import blend_recipe, file_recipe
from addon.client.unpacked import open_source
from addon.protocol.blocks import Source
from addon.protocol.cutting import gather as read_extents
from addon.protocol.digest import Buffer, chunk_algorithms
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.manifest import FileEntry, Manifest
from addon.protocol.messages import Codec, Refusal

from ..errors import RequestRefused
from ..store import FileBusy, Store
from .placing import Placed

BUSY = RequestRefused(
    Refusal.STORAGE, "The same files are just coming from another program: render them when these have arrived."
)


def plan(files: Path, blend: str, placed: Sequence[Placed], cache: RecipeCache) -> tuple[Manifest, dict[str, Path]]:
    """Return the manifest of an upload's files, and by its recipes' digests where these are.

    `placed` has the .blend, too. Reads all of them: call it in a thread. Raises RequestRefused.
    """
    algorithm = chunk_algorithms()[0]
    ordered = sorted(placed, key=lambda each: each.file != blend)  # The first of a manifest's files is the .blend.
    roots = tuple(dict.fromkeys(each.root for each in ordered))
    entries, paths = [], {}
    try:
        for each in ordered:
            path = files / each.file
            if not path.stat().st_size:
                continue  # What is empty gives a renderer as much as what is not there.
            if each.file == blend:
                with open_source(path) as source:
                    recipe, _, _ = blend_recipe(source, algorithm)
            else:
                recipe = file_recipe(path, algorithm, cache)
            entries.append(FileEntry(roots.index(each.root), each.name, recipe))
            paths[recipe.digest] = path
        return Manifest(roots, tuple(entries)), paths
    except (ClientError, RemoteProtocolError) as error:
        raise RequestRefused(Refusal.BAD_FILE, str(error)) from error


def store_files(store: Store, manifest: Manifest, paths: dict[str, Path], owner: str, stopped: threading.Event) -> None:
    """Bring what the store lacks of a manifest into it. In a thread. Raises RequestRefused, OSError, store.NoRoom."""
    try:
        receipt = store.begin(manifest, owner)
    except FileBusy:
        raise BUSY from None
    try:
        for digest, numbers in groupby(receipt.missing, lambda number: _file(manifest, number)):
            with open_source(paths[digest]) as source:
                for number in numbers:
                    receipt.put(number, Codec.RAW, _read(manifest, number, source), b"")
                    if stopped.is_set():
                        return
        receipt.finish()
    except ClientError as error:
        raise RequestRefused(Refusal.BAD_FILE, str(error)) from error
    finally:
        receipt.close()


def _file(manifest: Manifest, number: int) -> str:
    """By its recipe's digest the file that a chunk is first met in; chunks are numbered file by file."""
    return manifest.files[manifest.places[manifest.chunks[number]][0].file].recipe.digest


def _read(manifest: Manifest, number: int, source: Source) -> Buffer:
    place = manifest.places[manifest.chunks[number]][0]
    return read_extents(source, manifest.files[place.file].recipe.extents(place.number))
