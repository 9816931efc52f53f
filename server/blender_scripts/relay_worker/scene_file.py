# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a .blend: the scene to render, or the sentence why not, and what the artist should know about it."""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import bpy

from .failures import Failure, opening_failure

_MISSING_ENGINE = re.compile(r"Engine '(.*?)' not available for scene '(.*?)' \(an add-on")
BRUSHES = "/datafiles/assets/brushes/"
"""Since 5.0 a file names the library of the brush last used, relative to where the artist's Blender is; no picture
shows a brush."""

_MANY = re.compile(r"<UDIM>|<UVTILE>")


def open_scene(path: str, name: str | None) -> bpy.types.Scene:
    """Open the file and make `name` (None: its active scene) the scene that renders. Raises Failure, always fatal."""
    chatter = _captured(lambda: _open(path))
    scene = bpy.context.window.scene if name is None else _local_scene(name)
    if scene is None:
        raise Failure(f'The file has no scene "{name}": choose one that it has, and save again.', fatal=True)
    for engine, of_scene in _MISSING_ENGINE.findall(chatter):
        if of_scene == scene.name:  # Blender would go on with EEVEE.
            raise Failure(
                f'The scene "{scene.name}" renders with {engine}, which the node\'s Blender {bpy.app.version_string} '
                "does not have: choose another engine, or install that one there.",
                fatal=True,
            )
    bpy.context.window.scene = scene
    return scene


def missing_files() -> str | None:
    """One sentence about the external files that are not where the open file expects them, or None."""
    listed = bpy.utils.blend_paths(absolute=True, packed=False, local=False)
    paths = {path for path in listed if path and BRUSHES not in Path(path).as_posix()}
    missing = sorted({Path(path).name for path in paths if not _exists(path)})
    if not missing:
        return None
    names = ", ".join(missing[:3]) + (" and more" if len(missing) > 3 else "")
    count = "One file" if len(missing) == 1 else f"{len(missing)} files"
    return f"{count} that the scene uses did not reach the node: {names}."


def _local_scene(name: str) -> bpy.types.Scene | None:
    """A linked scene may have the same name."""
    return next((scene for scene in bpy.data.scenes if scene.name == name and scene.library is None), None)


def _open(path: str) -> None:
    try:
        bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=False)
    except RuntimeError as error:
        raise opening_failure(str(error), bpy.app.version_string) from None


def _exists(path: str) -> bool:
    if _MANY.search(path):
        folder, pattern = Path(path).parent, _MANY.sub("*", Path(path).name)
        return any(folder.glob(pattern))
    return Path(path).exists()


def _captured(action: Callable[[], None]) -> str:
    """Return what Blender prints during `action`, and pass it on: its scene.render.engine hides an engine it lacks."""
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as file:
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            action()
        finally:
            for number, saved in enumerate(kept, start=1):
                os.dup2(saved, number)
                os.close(saved)
            file.seek(0)
            chatter = file.read()
            os.write(2, chatter)
    return chatter.decode(errors="replace")
