# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's paths and where their files stand on this node. Pure.

A job's tree holds one folder for each of the artist's roots, called by its number: <tree>/<root>/<name>.
"""

import ntpath
import posixpath
from collections.abc import Sequence
from types import ModuleType


class Mirror:
    """Translates between the artist's disk and a job's tree. All paths on the node's side have slashes."""

    def __init__(self, tree: str, roots: Sequence[str]) -> None:
        """`tree` is absolute; `roots` are as in the job's manifest: "/home/ada/film", "C:/film", "//nas/share"."""
        self.is_windows = not roots[0].startswith("/") or roots[0].startswith("//")
        """Whether the artist's system is Windows: case means nothing there, and both slashes separate."""
        self._system: ModuleType = ntpath if self.is_windows else posixpath
        self._tree = _slashes(tree).rstrip("/")
        self._roots = [root.rstrip("/") for root in roots]

    def contains(self, path: str) -> bool:
        """Whether an absolute path of this node lies in the tree."""
        return posixpath.normpath(_slashes(path)).startswith(self._tree + "/")

    def artist_path(self, path: str) -> str | None:
        """Return what a path in the tree is called on the artist's disk; None for one that has no place there."""
        normal = posixpath.normpath(_slashes(path))
        index, slash, name = normal.removeprefix(self._tree + "/").partition("/")
        if not self.contains(normal) or not index.isdecimal() or int(index) >= len(self._roots):
            return None
        return self._roots[int(index)] + slash + name

    def resolved(self, path: str, folder: str) -> str:
        """Return the absolute path that `path`, as a .blend stores it, means in a .blend that is in `folder`.

        Both are the artist's. As in Blender, ``//`` begins a path relative to the .blend, with slashes of any kind.
        """
        if path.startswith("//"):
            path = "./" + _slashes(path[2:])
        return str(self._system.normpath(self._system.join(folder, path)))

    def node_path(self, path: str) -> str:
        """Return where an absolute path of the artist's is in the tree.

        One below no root gets a place where nothing is: the tree has no folder that is not called by a number.
        """
        wanted = _slashes(path) if self.is_windows else path.replace("\\", "_")  # no such name is ever sent
        for index in sorted(range(len(self._roots)), key=lambda index: -len(self._roots[index])):
            root = self._roots[index]
            if self._same(wanted[: len(root) + 1].rstrip("/"), root):
                return f"{self._tree}/{index}/{wanted[len(root) :].lstrip('/')}"
        return f"{self._tree}/outside/{posixpath.basename(wanted)}"

    def _same(self, one: str, other: str) -> bool:
        return one.lower() == other.lower() if self.is_windows else one == other


def _slashes(path: str) -> str:
    return path.replace("\\", "/")
