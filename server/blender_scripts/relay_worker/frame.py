# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering as `blender -b FILE -f N` does: Blender's own animation render over a range of one frame."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import bpy

from .failures import Failure, disk_full, rendering_failure
from .outputs import Places, redirected
from .overrides import image_format, override

FRAMES = range(1_048_575)
"""The frames that a scene's range can hold: MINFRAME to MAXFRAME in Blender's DNA_scene_types.h."""

LEAST_FREE_BYTES = 1 << 20
"""A disk with less than this free is full: the last blocks went to the part of a file that could still be written."""

MOVIE_PICTURE = "frame_####"
"""Name of a movie's frames; the artist never sees these files."""


def render_frame(scene: bpy.types.Scene, frame: int, folder: Path) -> list[dict[str, str]]:
    """Render one frame below `folder` and return what was written; raises Failure. A movie's frame becomes a PNG."""
    if frame not in FRAMES:
        raise Failure(f"Frame {frame} does not exist: Blender's frames run from 0 to {FRAMES[-1]}.")
    places = Places(folder)
    settings, name = scene.render.image_settings, None
    with ExitStack() as stack:
        if scene.render.is_movie_format:
            # PNG has the channels a movie has; two bytes each where the movie keeps more than 8 bits.
            name, depth = MOVIE_PICTURE, "8" if settings.color_depth == "8" else "16"
            stack.enter_context(image_format(settings, "PNG", depth))
        stack.enter_context(redirected(scene, places, name))
        render_range(scene, frame, frame, folder)
    return written(places, folder)


def render_range(scene: bpy.types.Scene, first: int, last: int, folder: Path) -> None:
    """Let Blender render and write the frames from `first` to `last` somewhere below `folder`; raises Failure."""
    try:
        result = _render_animation(scene, first, last)
    except RuntimeError as error:
        raise _full(folder) or rendering_failure(str(error), scene.name) from None
    if "FINISHED" not in result:
        raise Failure("Blender stopped rendering before the end: retry the failed frames.")


def written(places: Places, folder: Path) -> list[dict[str, str]]:
    """Return what was written; raises Failure when that is nothing, or an empty file."""
    try:
        return places.outputs()
    except Failure as failure:
        raise _full(folder) or failure from None


def _render_animation(scene: bpy.types.Scene, first: int, last: int) -> set[str]:
    if "frame_start" in bpy.ops.render.render.get_rna_type().properties:  # since 5.0
        return bpy.ops.render.render(animation=True, frame_start=first, frame_end=last)  # type: ignore[no-any-return]
    # Blender 4 renders the scene's own range. It has read it when render_init comes, so that it can be put back there:
    # stamps write the frame with as many digits as the range's end has, and drivers may look at it.
    with ExitStack() as stack:
        stack.enter_context(override(scene, frame_start=first, frame_end=last))

        def put_back(*_: object) -> None:
            stack.close()

        bpy.app.handlers.render_init.append(put_back)
        try:
            return bpy.ops.render.render(animation=True)  # type: ignore[no-any-return]
        finally:
            bpy.app.handlers.render_init.remove(put_back)


def _full(folder: Path) -> Failure | None:
    return disk_full() if shutil.disk_usage(folder).free < LEAST_FREE_BYTES else None
