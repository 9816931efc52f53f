# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of an upload belong, so that a .blend finds them. Pure.

A browser does not tell where on the artist's disk a file was. What lies beside the .blend as the scene names it is in
place; what does not is looked for by the end of its path: of the files whose name fits, the one that has most folders
in common. So textures that were dropped all in one go are found, and those that the scene names by a drive of Windows.
"""

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from addon.client.gather import Dependency, Kind, is_frame, tile_path


@dataclass(frozen=True, slots=True)
class Placed:
    """A place at which a file stands for the scene."""

    root: str
    """Folder on the artist's disk, as in Manifest.roots."""
    name: str
    """Below it, with slashes."""
    file: str
    """Of the upload; one may stand at several places."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A file that the scene uses and the upload does not have."""

    path: str
    owner: str
    """Which data-block uses it."""


def place_files(
    files: Collection[str], dependencies: Iterable[Dependency], root: str
) -> tuple[list[Placed], list[Absent]]:
    """Return where all files stand, and what is lacking.

    `files`: names in the upload's folder, relative, with slashes; `root`: that folder's name, absolute, as in the
    dependencies' paths.
    """
    finder = _Finder(files)
    places = {(root, name): name for name in sorted(files)}
    absent: dict[str, Absent] = {}
    for each in dependencies:
        folder, wanted = posixpath.split(posixpath.normpath(each.path.replace("\\", "/")))
        here = folder.removeprefix(root + "/") if (folder + "/").startswith(root + "/") else None
        if here is not None and finder.has("" if folder == root else here, each, wanted):
            continue
        found = list(finder.find(folder, each, wanted))
        for name in found:
            target_root, prefix = (root, "" if folder == root else here + "/") if here is not None else (folder, "")
            places.setdefault((target_root, prefix + posixpath.basename(name)), name)
        if not found and each.required:
            absent.setdefault(each.path, Absent(each.path, each.owner))
    placed = [Placed(where, name, file) for (where, name), file in places.items()]
    return _without_clashes(placed), list(absent.values())


class _Finder:
    def __init__(self, files: Iterable[str]) -> None:
        self._in_folder: dict[str, list[str]] = defaultdict(list)
        for name in sorted(files):
            self._in_folder[posixpath.dirname(name)].append(posixpath.basename(name))

    def has(self, folder: str, each: Dependency, wanted: str) -> bool:
        """Whether a folder of the upload holds what is wanted."""
        if each.kind is Kind.FOLDER:
            below = posixpath.join(folder, wanted)
            return any((name + "/").startswith(below + "/") for name in self._in_folder)
        return any(True for _ in _fitting(self._in_folder.get(folder, ()), each, wanted))

    def find(self, folder: str, each: Dependency, wanted: str) -> Iterator[str]:
        """Yield what fits, of the folder that is most like the one that the scene names."""
        if each.kind is Kind.FOLDER:
            return
        parts = folder.lower().split("/")
        fitting = {
            place: names for place, known in self._in_folder.items() if (names := list(_fitting(known, each, wanted)))
        }
        if fitting:
            best = max(fitting, key=lambda place: (_common_end(place.lower().split("/"), parts), -len(place)))
            yield from (posixpath.join(best, name) for name in fitting[best])


def _fitting(names: Sequence[str], each: Dependency, wanted: str) -> Iterator[str]:
    """Those of a folder's names that a dependency stands for."""
    if each.kind is Kind.UDIM:
        tiles = {posixpath.basename(tile_path(wanted, tile)).lower() for tile in each.tiles}
        return (name for name in names if name.lower() in tiles)
    if each.kind is Kind.SEQUENCE:
        return filter(partial(is_frame, wanted), names)
    if each.kind is Kind.PREFIX:
        return (name for name in names if name.startswith(wanted))
    return (name for name in names if name.lower() == wanted.lower())


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last folders are the same."""
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _without_clashes(placed: Sequence[Placed]) -> list[Placed]:
    """Leave out what would stand inside of a file."""
    taken = {(each.root, each.name) for each in placed}
    return [each for each in placed if not any((each.root, above) in taken for above in _above(each.name))]


def _above(name: str) -> Iterator[str]:
    cut = name.find("/")
    while cut >= 0:
        yield name[:cut]
        cut = name.find("/", cut + 1)
