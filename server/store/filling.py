# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a new file out of what the store has.

Three ways: go on with what arrived earlier; else take the spare copy of the last save (or a clone, where the disk
shares bytes between files) and change it in place; else begin with an empty file. What is lacking then is copied from
wherever the index says it lies.
"""

import logging
import shutil
from collections.abc import Iterator
from io import FileIO
from typing import NamedTuple

from addon.durable import sync, sync_folder
from addon.protocol.digest import chunk_digest
from addon.protocol.recipe import Recipe

from . import copying, plan
from .copying import Stamp
from .folders import Folders
from .index import FileRow, Index, State
from .part import Has, Part, Reader, verified
from .plan import Move, Pair

log = logging.getLogger(__name__)

_CANDIDATES = 4
"""How many spare copies are looked at: a recipe of 5,000 chunks takes 5 ms to compare, 60 ms if it is cut otherwise."""


_REMEMBERED = 100
"""Parts: of a job with thousands of files few are half there when the link breaks."""


class Base(NamedTuple):
    """A file that another can be made of."""

    row: FileRow
    recipe: Recipe
    pairs: list[Pair]
    """The chunks that they have in common."""


class Filler:
    """Fills parts."""

    def __init__(self, folders: Folders, index: Index, clones: bool) -> None:
        """`clones`: the disk shares bytes between files."""
        self._folders = folders
        self._index = index
        self._clones = clones
        self._remembered: dict[str, tuple[Stamp, bytes]] = {}

    def remember(self, part: Part, stamp: Stamp) -> None:
        """A part is left for later: what is in it need not be read again as long as this process runs."""
        self._remembered[part.name] = stamp, bytes(part.chunks)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)), None)

    def resume(self, part: Part) -> bool:
        """Find out what is here of a part; False if nothing."""
        remembered = self._remembered.pop(part.name, None)
        stamp = copying.stamp(part.path)
        if stamp is None:
            return False
        if remembered is not None and remembered[0] == stamp:
            part.mark((number for number, has in enumerate(remembered[1]) if has), Has.OWN)
        else:
            part.mark(verified(part.path, part.recipe, partial=True).good, Has.OWN)
        part.file()  # Which gives it its size: a kill may have come before that.
        return True

    def take_over(self, part: Part, owner: str, blend: str) -> Base | None:
        """Begin a part with a copy of an earlier save of this .blend, or one like it. Returns that save, if any."""
        latest = self._index.latest(owner, blend)
        for candidate in self._candidates(owner, blend, latest):
            base = self._compare(part.recipe, candidate)
            if base is None or not _worthwhile(part.recipe, [number for number, _ in base.pairs]):
                continue
            shift = plan.shift(part.recipe, base.recipe, base.pairs)
            if not (_worthwhile(part.recipe, shift.numbers) and self._fits(part, candidate, shift.moves)):
                continue
            if not (self._take(candidate, part) and _shifted(part, shift.moves)):
                continue
            original = self._index.file(f"files/{candidate.digest}")
            if original is None or copying.stamp(self._folders.path(original.name)) != original.stamp:
                part.mark(shift.numbers, Has.OWN)
                return None
            part.mark(shift.numbers, Has.SHARED)
            return base._replace(row=original)
        return None if latest is None else self._compare(part.recipe, latest)

    def _compare(self, new: Recipe, row: FileRow) -> Base | None:
        recipe = self._index.recipe(row.id)
        return None if recipe is None else Base(row, recipe, plan.pairs(new, recipe))

    def _candidates(self, owner: str, blend: str, latest: FileRow | None) -> Iterator[FileRow]:
        """Spare copies, this .blend's own first: after Save As the old name's is as good."""
        twins = sorted(self._index.twins(owner), key=lambda row: row.origin != f"{owner} {blend}")
        yield from twins[:_CANDIDATES]
        if latest is not None and self._clones:
            yield latest

    def _fits(self, part: Part, row: FileRow, moves: list[Move]) -> bool:
        """Whether the disk has room for the change; if not, what it lacks is told before anything is written."""
        changed = sum(move.length for move in moves) if row.state == State.COMPLETE else 0  # A clone shares no more.
        growth = max(0, part.recipe.size - row.stamp[0])
        return changed + growth <= shutil.disk_usage(self._folders.incoming).free

    def _take(self, row: FileRow, part: Part) -> bool:
        path = self._folders.path(row.name)
        if copying.stamp(path) != row.stamp:
            return False
        if row.state == State.COMPLETE:
            return copying.clone(path, part.path)
        try:
            if path.stat().st_nlink != 1:  # Nobody should link to it; whoever does keeps it as it is.
                return False
            path.rename(part.path)
        except OSError:
            return False
        # Before the first byte changes: after a power cut no changed file may have its old name, which is believed.
        sync(part.path)
        sync_folder(self._folders.incoming)
        self._index.forget_file(row.name)
        return True

    def fill(self, part: Part, base: Base | None) -> int:
        """Copy what is here of a part's chunks, from `base` before others. Returns bytes. Raises OSError when full."""
        before = part.present
        if base is not None:
            missing = set(part.missing())
            self._copy(part, base._replace(pairs=[pair for pair in base.pairs if pair[0] in missing]))
        for row, pairs in self._index.find(part.recipe, part.missing()):
            recipe = self._index.recipe(row.id)
            if recipe is not None:
                self._copy(part, Base(row, recipe, plan.confirmed(part.recipe, recipe, pairs)))
        return part.present - before

    def _copy(self, part: Part, base: Base) -> None:
        """Copy chunks from a file. One that is not what it should be gives nothing: the chunks will be asked for."""
        if not base.pairs:
            return
        try:
            with FileIO(self._folders.path(base.row.name)) as source:
                if base.row.state == State.PARTIAL:
                    _copy_verified(part, Reader(source, base.recipe), base.pairs)
                elif copying.stamp_of_open(source) == base.row.stamp:
                    for move in _moves(part, base):
                        copying.copy_range(source, part.file(), move)
                    part.mark((number for number, _ in base.pairs), Has.SHARED)
        except OSError as error:
            if error.errno in copying.FULL:
                raise
            log.warning("nothing could be taken from %s: %s", base.row.name, error)

    def chunk(self, name: bytes) -> bytes | None:
        """Return a chunk's bytes; None if no file has them, or the one that should has others by now."""
        found = self._index.find_one(name)
        recipe = self._index.recipe(found[0].id) if found is not None else None
        if found is None or recipe is None or found[1] >= len(recipe) or recipe.id(found[1]) != name:
            return None
        try:
            with FileIO(self._folders.path(found[0].name)) as source:
                content = bytes(Reader(source, recipe).read(found[1]))
        except OSError as error:
            log.warning("%s could not be read: %s", found[0].name, error)
            return None
        return content if chunk_digest(recipe.algorithm)(content) == name else None


def _shifted(part: Part, moves: list[Move]) -> bool:
    """Turn a copy into the part; False where it cannot be read, and then it is gone. Raises OSError when full."""
    try:
        part.shift(moves)
    except OSError as error:
        if error.errno in copying.FULL:
            raise
        log.warning("the spare copy is of no use: %s", error)
        part.path.unlink(missing_ok=True)
        return False
    return True


def _worthwhile(recipe: Recipe, there: list[int]) -> bool:
    """Whether half of the bytes would be there: else an empty file is filled as quickly."""
    return 2 * sum(recipe.lengths[number] for number in there) >= recipe.size


def _moves(part: Part, base: Base) -> list[Move]:
    """How to copy the chunks that a file has in common with a part.

    If the two are cut alike, have most in common, and the part is empty, all in one go: where chunks are lacking it may
    hold any bytes.
    """
    alike = part.lacking == len(part.recipe) and plan.cut_alike(part.recipe, base.recipe)
    if alike and _worthwhile(part.recipe, [number for number, _ in base.pairs]):
        return [Move(0, 0, part.recipe.size)]
    return plan.moves(part.recipe, base.recipe, base.pairs)


def _copy_verified(part: Part, source: Reader, pairs: list[Pair]) -> None:
    for number, at in pairs:
        found = source.read_verified(at)
        if found is not None:
            part.write(number, found, Has.OWN)
