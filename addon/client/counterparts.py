# SPDX-License-Identifier: GPL-3.0-or-later
"""What stood in a changed chunk's place in the save before.

A node that has those bytes is sent the chunk as its difference from them. Of the skeleton a key tells which chunk that
was, and its bytes were kept. Payloads may be gigabytes, so these are read from the backup that Blender leaves beside a
save, and which chunk it was, unchanged ones before and after it tell.
"""

import logging
import os
import threading
from functools import cached_property
from pathlib import Path

from ..protocol.blocks import Source
from ..protocol.cutting import gather
from ..protocol.digest import Buffer, chunk_digest
from ..protocol.occurrences import Occurrences
from ..protocol.recipe import Recipe
from .bases import Base
from .errors import CannotRead, SourceChanged
from .plan import Plan
from .unpacked import open_source

log = logging.getLogger(__name__)

Counterpart = tuple[bytes, Buffer]
"""A chunk's name and its bytes."""


class Counterparts:
    """Of one plan, in one earlier save. Any thread may ask."""

    def __init__(self, plan: Plan, base: Base) -> None:
        self._plan = plan
        self._base = base
        self._turn = threading.Lock()

    def find(self, chunk: bytes) -> Counterpart | None:
        """Return what stood in the place of one of the plan's chunks; None: nothing did, or it is not at hand."""
        file, number = self._plan.manifest.places[chunk][0]
        if file:
            return None
        if number < len(self._plan.keys):
            return self._base.skeleton.get(self._plan.keys[number])
        with self._turn:
            earlier, places = self._backup, self._payloads
        if earlier is None or number not in places:
            return None
        return _read(earlier, self._base.manifest.blend.recipe, places[number])

    @cached_property
    def _payloads(self) -> dict[int, int]:
        return counterparts(self._plan.manifest.blend.recipe, self._base.manifest.blend.recipe)

    @cached_property
    def _backup(self) -> Source | None:
        return _open_backup(self._plan.paths[0], self._base.manifest.blend.recipe.size)


def counterparts(new: Recipe, old: Recipe) -> dict[int, int]:
    """Return, for the changed payload chunks of a save, the chunks of an earlier one that stood in their places.

    Between two unchanged chunks that had equally many changed ones between them before, they belong together in their
    order; where there were fewer, the last of the new ones have none.
    """
    before = Occurrences(old.names[old.skeleton :], old.skeleton)
    found: dict[int, int] = {}
    expected = old.skeleton
    """The old chunk that comes next if nothing but contents changed."""
    run: list[tuple[int, int]] = []
    for number, chunk in enumerate(new.names[new.skeleton :], new.skeleton):
        at = before.find(chunk, expected - len(run))
        if at is None:
            run.append((number, expected))
            expected += 1
            continue
        found.update(pair for pair in run if pair[1] < at)
        run, expected = [], at + 1
    found.update(pair for pair in run if pair[1] < len(old))
    return found


def _open_backup(blend: Path, size: int) -> Source | None:
    """Open the save before, of `size` bytes, which Blender has renamed to X.blend1 if the artist keeps versions.

    Not on Windows: Blender replaces it in each save, and whether Windows lets it while we read depends on its version.
    """
    if os.name == "nt":
        return None
    backup = blend.with_name(f"{blend.name}1")
    if not backup.exists():  # As after the first save. To open it would wait for a save to end.
        return None
    try:
        found = open_source(backup)
    except (CannotRead, SourceChanged) as error:
        log.warning("the save before this one cannot be read: %s", error)
        return None
    return found if found.size == size else None


def _read(source: Source, recipe: Recipe, number: int) -> Counterpart | None:
    """Return a chunk; None if the file is not the one that the recipe is of."""
    name = recipe.id(number)
    try:
        found = gather(source, recipe.extents(number))
    except (OSError, CannotRead, SourceChanged) as error:
        log.warning("the save before this one cannot be read: %s", error)
        return None
    return (name, found) if chunk_digest(recipe.algorithm)(found) == name else None
