# SPDX-License-Identifier: GPL-3.0-or-later
"""Calling Blender's render operator with an empty scene for it to look after, while the artist's renders.

At its end the operator evaluates the scene of its context for a window, which there is not: one evaluation a frame too
many (screen_render_exec in Blender's render_internal.cc; `blender -a` does not go that way). Over a mesh that is
another one in each frame that was a third of the time.
"""

from typing import Any

import bpy

_MARK = "relay_render_aside"
_operator: Any = bpy.ops.render.render

RANGE_ARGUMENTS = "frame_start" in _operator.get_rna_type().properties
"""Whether the operator can be told the range; since 5.0."""


def render_animation(scene: bpy.types.Scene, **arguments: int) -> set[str]:
    """Render and write the scene's range, or that of `arguments`; return the operator's result, raise its RuntimeError.

    A scene that cannot be told by its name, a linked one beside one of the file's own, must be the context's.
    """
    scenes: Any = bpy.data.scenes
    if scenes.get(scene.name) != scene:
        return set(_operator(animation=True, **arguments))
    empty = _empty_scene()
    if empty.frame_current != scene.frame_current:  # The operator gives the scene it is told the frame of this one.
        empty.frame_current = scene.frame_current
    with bpy.context.temp_override(scene=empty, view_layer=empty.view_layers[0]):
        return set(_operator(animation=True, scene=scene.name, **arguments))


def _empty_scene() -> Any:
    """Made once for each open file: with every new scene Blender builds its graphs anew."""
    scenes: Any = bpy.data.scenes
    for scene in scenes:
        if _MARK in scene:
            return scene
    empty = scenes.new(_MARK)
    empty[_MARK] = True
    return empty
