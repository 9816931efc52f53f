# SPDX-License-Identifier: GPL-3.0-or-later
"""After a .blend is open: every path in it leads to its file in the job's tree, and none leads out of it.

Only memory changes; the .blend stays the artist's. Outputs are led elsewhere by outputs.py.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

import bpy

from .mirror import Mirror
from .references import Reference, library_reference, read_libraries, references

_ESSENTIALS = "/datafiles/assets/"
"""In the path of a library that comes with Blender, whatever the system and the place it is installed in."""


def remap(tree: str, roots: list[str]) -> None:
    """Lead the open file, which lies in `tree`, to the files there.

    `tree` is a job's folder on this node, with one folder for each of the artist's `roots`, called by its index.
    Libraries that were not found, or were found elsewhere, are read anew, until what they bring leads nowhere else.
    Blender has read what it could when the file was opened: nothing of that is left where it came from outside.
    """
    mirror = Mirror(tree, roots)
    while _remap_libraries(mirror):
        pass
    for reference in references():
        path = _translated(reference, mirror)
        if path is not None:
            reference.assign(path)
    _remap_rest(mirror)


def _remap_libraries(mirror: Mirror) -> bool:
    """Return whether any path changed: what was read anew may bring further libraries."""
    changed: list[tuple[Any, bool]] = []
    for library in read_libraries():
        reference = library_reference(library)
        path = _translated(reference, mirror)
        if path is not None:
            was_read = Path(reference.absolute).exists()
            reference.assign(path)
            changed.append((library, was_read))
    for library, was_read in changed:
        if Path(library.filepath).exists():
            with contextlib.suppress(RuntimeError):  # It is damaged: what it should bring stays missing.
                library.reload()
        elif was_read:
            bpy.data.libraries.remove(library)
    return bool(changed)


def _remap_rest(mirror: Mirror) -> None:
    """Since 5.0 Blender itself visits every path that it knows of, what is packed included."""
    if not hasattr(bpy.data, "file_path_foreach"):
        return

    def visit(block: Any, path: str, *_: object) -> str | None:
        if isinstance(block, bpy.types.Library) or not path:
            return None
        return _translated(Reference("", path, block.library, lambda _: None), mirror)

    bpy.data.file_path_foreach(visit, flags={"SKIP_WEAK_REFERENCES"})


def _translated(reference: Reference, mirror: Mirror) -> str | None:
    """Return what to store instead of the path, or None where it is right as it is."""
    path = reference.path
    if _is_own_asset(reference.folder) or (not path.startswith("//") and mirror.contains(path)):
        return None  # What Blender's own assets use, and what was led into the tree before.
    wanted = mirror.resolved(path, _artist_folder(reference, mirror))
    place = _spelled_as_here(mirror.node_path(wanted), mirror)
    if not Path(place).exists():
        place = _own_asset(wanted) or place
        if not reference.is_sure and not Path(reference.absolute).exists():
            return None
    is_portable = path.startswith("//") and "\\" not in path
    if is_portable and reference.absolute == os.path.normpath(place):
        return None
    if Path(place) == Path(path):
        return None
    return place + "/" if path.endswith(("/", "\\")) else place


def _artist_folder(reference: Reference, mirror: Mirror) -> str:
    """What the folder that a relative path begins in is called on the artist's disk.

    A library need not be in the tree: it may be missing, or its data packed into the .blend.
    """
    blend = mirror.artist_path(os.path.dirname(bpy.data.filepath)) or ""  # noqa: PTH120
    if reference.library is None or mirror.contains(reference.folder):
        return mirror.artist_path(reference.folder) or blend
    return os.path.dirname(mirror.resolved(reference.library.filepath, blend))  # noqa: PTH120


def _own_assets() -> Path:
    resource: Any = bpy.utils.system_resource  # type: ignore[attr-defined]  # the stubs have no such function
    return Path(resource("DATAFILES"), "assets")


def _is_own_asset(folder: str) -> bool:
    return Path(folder).is_relative_to(_own_assets())


def _own_asset(path: str) -> str | None:
    """What comes with the artist's Blender comes with the node's, too."""
    _, found, rest = path.replace("\\", "/").partition(_ESSENTIALS)
    own = Path(os.path.normpath(_own_assets() / rest))
    return own.as_posix() if found and _is_own_asset(str(own)) and own.exists() else None


def _spelled_as_here(place: str, mirror: Mirror) -> str:
    """Return `place` as it is spelled on the disk, where the artist's system does not tell upper from lower case."""
    if not mirror.is_windows or Path(place).exists():
        return place
    found = Path(place).anchor
    for part in Path(place).parts[1:]:
        here = Path(found, part)
        if not here.exists() and Path(found).is_dir():
            here = next((each for each in Path(found).iterdir() if each.name.lower() == part.lower()), here)
        found = str(here)
    return Path(found).as_posix()
