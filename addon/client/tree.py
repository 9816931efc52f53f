# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of a job stand in the mirror that the node makes of the artist's disk. Pure.

One root for each drive or share: the longest folder that all of its files have in common. So every relative path
between files of one drive means the same in the mirror. POSIX has one drive, with everything mounted below "/".
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from ..protocol.paths import check_relative_name


@dataclass(frozen=True, slots=True)
class Tree:
    """The manifest's folders, and each path's place below them."""

    roots: tuple[str, ...]
    """As in Manifest.roots; the .blend is below the first."""
    places: dict[str, tuple[int, str]]
    """By path, as it was given: the root's index and the name below it, with slashes. Paths that are one file by
    different spelling share a place; files by different links to them do not."""


def plan_tree(blend: str, paths: Iterable[str], system: ModuleType = os.path) -> Tree:
    """Return the places of `blend` and of `paths`, which are absolute.

    `system` reads them: posixpath, or ntpath, where case means nothing and both slashes separate. Raises UnsafePath
    for a name that cannot be sent.
    """
    spelled = {path: _normal(path, system) for path in (blend, *paths)}
    files = {_identity(normal, system): normal for normal in reversed(spelled.values())}  # the first spelling stays
    folders: dict[str, list[str]] = {}
    for normal in dict.fromkeys(files[_identity(each, system)] for each in spelled.values()):
        folders.setdefault(_drive(normal, system), []).append(system.dirname(normal))
    roots = {drive: system.commonpath(together) for drive, together in folders.items()}
    indices = {drive: index for index, drive in enumerate(roots)}
    places = {}
    for path, normal in spelled.items():
        stays = files[_identity(normal, system)]
        drive = _drive(stays, system)
        name = stays[len(roots[drive]) :].replace(system.sep, "/").lstrip("/")
        places[path] = indices[drive], check_relative_name(name)
    return Tree(tuple(_root(root, system) for root in roots.values()), places)


def _normal(path: str, system: ModuleType) -> str:
    """Without ``..``, in the system's own separators. POSIX lets a path begin with two slashes and mean the same."""
    normal: str = system.normpath(path)
    return normal[1:] if system.sep == "/" and normal.startswith("//") else normal


def _identity(normal: str, system: ModuleType) -> str:
    return str(system.normcase(normal))


def _drive(normal: str, system: ModuleType) -> str:
    return _identity(system.splitdrive(normal)[0], system)


def _root(root: str, system: ModuleType) -> str:
    return root.replace(system.sep, "/").rstrip("/") or "/"
