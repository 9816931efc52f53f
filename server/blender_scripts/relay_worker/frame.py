# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering as `blender -b FILE -f N` does: Blender's own animation render over a range of one frame."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import bpy

from .aside import RANGE_ARGUMENTS, render_animation
from .failures import Failure, disk_full, rendering_failure
from .outputs import Output, Places, redirected
from .overrides import override

FRAMES = range(1_048_575)
"""The frames that a scene's range can hold: MINFRAME to MAXFRAME in Blender's DNA_scene_types.h."""

LEAST_FREE_BYTES = 1 << 20
"""A disk with less than this free is full: the last blocks went to the part of a file that could still be written."""


def render_frame(scene: bpy.types.Scene, frame: int, folder: Path) -> list[Output]:
    """Render one frame below `folder` and return what was written; raises Failure."""
    if frame not in FRAMES:
        raise Failure(f"Frame {frame} does not exist: Blender's frames run from 0 to {FRAMES[-1]}.")
    places = Places(folder)
    with redirected(scene, places):
        _render(scene, frame, folder)
    return written(places, folder)


def guarded(scene: bpy.types.Scene, folder: Path, **arguments: int) -> None:
    """Render and write an animation, here below `folder`; the operator's errors become Failure."""
    try:
        result = render_animation(scene, **arguments)
    except RuntimeError as error:
        raise _full(folder) or rendering_failure(str(error), scene.name) from None
    if "FINISHED" not in result:
        raise Failure("Blender stopped rendering before the end: retry the failed frames.")


def written(places: Places, folder: Path) -> list[Output]:
    """Return what was written; raises Failure when that is nothing, an empty file, or all that the disk would take.

    Some of Blender's writers, OpenEXR's for one, leave the first part of a file on a full disk and report no error.
    """
    if full := _full(folder):
        raise full
    return places.outputs()


def _render(scene: bpy.types.Scene, frame: int, folder: Path) -> None:
    if RANGE_ARGUMENTS:
        guarded(scene, folder, frame_start=frame, frame_end=frame)
        return
    # Else Blender renders the scene's own range. It has read it when render_init comes, so that it can be put back
    # there: stamps write the frame with as many digits as the range's end has, and drivers may look at it.
    with ExitStack() as stack:
        stack.enter_context(override(scene, frame_start=frame, frame_end=frame))

        def put_back(*_: object) -> None:
            stack.close()

        bpy.app.handlers.render_init.append(put_back)
        try:
            guarded(scene, folder)
        finally:
            bpy.app.handlers.render_init.remove(put_back)


def _full(folder: Path) -> Failure | None:
    return disk_full() if shutil.disk_usage(folder).free < LEAST_FREE_BYTES else None
