# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a .blend: the scene to render, or the sentence why not, and what the artist should know about it."""

import functools
import itertools
import os
import re
import tempfile
from collections.abc import Callable, Sequence

import bpy
from bpy.app.handlers import persistent

from .failures import Failure, opening_failure
from .references import library_reference, read_libraries, references
from .remap import remap

_MISSING_ENGINE = re.compile(r"Engine '(.*?)' not available for scene '(.*?)' \(an add-on")

ENGINES = {
    "cycles": ("CYCLES",),
    "eevee": ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE"),  # The first only from 4.2 to 4.5.
    "workbench": ("BLENDER_WORKBENCH",),
}
"""Blender's names for engines that can be asked for instead of the scene's own."""


def open_scene(
    path: str,
    name: str | None,
    tree: str = "",
    roots: Sequence[str] = (),
    scripts: bool = False,
    engine: str | None = None,
) -> bpy.types.Scene:
    """Open the file and make `name` (None: its active scene) the scene that renders. Raises Failure, always fatal.

    `tree` is the folder of the job's mirror that the file lies in, `roots` the artist's folders there; without a tree
    the file's paths stay as they are. With `scripts` its Python runs. `engine`, one of ENGINES, renders instead of the
    scene's own.
    """
    lead = functools.partial(remap, tree, list(roots)) if tree else None
    chatter = _captured(lambda: _open(path, lead, scripts))
    scene = bpy.context.window.scene if name is None else _local_scene(name)
    if scene is None:
        raise Failure(f'The file has no scene "{name}": choose one that it has, and save again.', fatal=True)
    for missing, of_scene in _MISSING_ENGINE.findall(chatter):
        if of_scene == scene.name and engine is None:  # Blender would go on with EEVEE.
            raise _lacking(f'The scene "{scene.name}" renders with {missing}')
    bpy.context.window.scene = scene
    if engine is not None:
        _set_engine(scene, engine)
    return scene


def _set_engine(scene: bpy.types.Scene, engine: str) -> None:
    for name in ENGINES[engine]:
        try:
            scene.render.engine = name  # type: ignore[assignment]  # typed for one version's names
        except TypeError:  # What this Blender has depends on its version, and on how it was built.
            continue
        return
    raise _lacking(f"{engine.capitalize()} was asked for")


def _lacking(what: str) -> Failure:
    return Failure(
        f"{what}, which the node's Blender {bpy.app.version_string} does not have: choose another engine, or install"
        " that one there.",
        fatal=True,
    )


def missing_files() -> str | None:
    """One sentence about what the open file uses and cannot read, or None."""
    everything = itertools.chain(map(library_reference, read_libraries()), references())
    owners = sorted({each.owner for each in everything if not each.is_there(each.absolute)})
    if not owners:
        return None
    more = f" and {len(owners) - 3} more" if len(owners) > 3 else ""
    return f"Files that the scene uses did not reach the node: {', '.join(owners[:3])}{more}."


def _local_scene(name: str) -> bpy.types.Scene | None:
    """A linked scene may have the same name."""
    return next((scene for scene in bpy.data.scenes if scene.name == name and scene.library is None), None)


def _open(path: str, read: Callable[[], None] | None, scripts: bool) -> None:
    """Open a file. `read` is called when Blender has read it, but evaluated nothing: what it does not find then, a bake
    of geometry nodes for one, it never looks for again.
    """
    errors: list[Exception] = []

    def on_load(*_: object) -> None:
        try:
            if read is not None:
                read()
        except Exception as error:  # noqa: BLE001 - Blender would print it and go on; it is raised below
            errors.append(error)

    bpy.app.handlers.load_post.append(persistent(on_load))
    try:
        bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=scripts)
    except RuntimeError as error:
        raise opening_failure(str(error), bpy.app.version_string) from None
    finally:
        bpy.app.handlers.load_post.remove(on_load)
    if errors:
        raise errors[0]


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
