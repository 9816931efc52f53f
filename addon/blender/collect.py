# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads from Blender's memory what the node has to render. Never touches the .blend itself, however large it is."""

import dataclasses
import os
from typing import Any

import bpy

from ..protocol.paths import split_pattern
from . import folders
from .dependencies import dependencies
from .preferences import RelayRenderPreferences
from .shot import NotReady, Shot, frames_text


def obstacle(scene: bpy.types.Scene) -> str:
    """Return what the artist has to do before this file can render at all, or an empty string. Cheap enough to draw."""
    if not bpy.data.filepath:
        return "Save the file once: the node renders what is on disk."
    if not _has_camera(scene) and not _renders_strips(scene):
        return f"{scene.name} has no camera: add one, then save."
    return ""


def collect(scene: bpy.types.Scene, settings: RelayRenderPreferences, *, animation: bool) -> Shot:
    """Return what to render. Raises NotReady if that could not work."""
    if sentence := obstacle(scene):
        raise NotReady(sentence)
    folder = _absolute(settings.output_folder or split_pattern(scene.render.filepath)[0])
    if sentence := folders.obstacle(folder):
        raise NotReady(sentence)
    targets = {directory: _absolute(directory) for directory in _output_directories()}
    return Shot(
        blend=bpy.data.filepath,
        scene=scene.name,
        frames=_frames(scene, animation=animation),
        folder=folder,
        current=scene.frame_current,
        targets=targets,
        dependencies=[dataclasses.asdict(each) for each in dependencies()],
        warning=next(filter(None, map(folders.obstacle, targets.values())), ""),
    )


def _frames(scene: bpy.types.Scene, *, animation: bool) -> str:
    if animation:
        return frames_text(scene.frame_start, scene.frame_end, scene.frame_step)
    return frames_text(scene.frame_current, scene.frame_current)


def _absolute(directory: str) -> str:
    return os.path.abspath(bpy.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links


def _has_camera(scene: bpy.types.Scene) -> bool:
    """Like Blender: the scene's camera, one bound to a marker, else any camera that is in the scene."""
    return bool(
        scene.camera
        or any(marker.camera for marker in scene.timeline_markers)
        or any(item.type == "CAMERA" for item in scene.objects)
    )


def _renders_strips(scene: bpy.types.Scene) -> bool:
    editor: Any = scene.sequence_editor
    if not editor or not scene.render.use_sequencer:
        return False
    return bool(editor.strips if hasattr(editor, "strips") else editor.sequences)  # strips: from Blender 4.4


def _output_directories() -> set[str]:
    """Return the directories that File Output nodes name, as the node's worker calls them.

    Those of all scenes: another scene's compositor runs too where the sequencer shows that scene.
    """
    trees = [tree for tree in bpy.data.node_groups if tree.bl_idname == "CompositorNodeTree"]
    if bpy.app.version < (5, 0):
        scenes: list[Any] = list(bpy.data.scenes)
        trees += [scene.node_tree for scene in scenes if scene.node_tree]  # later these are node groups too
    nodes = (node for tree in trees for node in tree.nodes if node.bl_idname == "CompositorNodeOutputFile")
    return {directory for node in nodes if (directory := _directory(node))}


def _directory(node: Any) -> str:
    """Return the part of a node's path that no name is made from: all of it, unless it ends in the start of a name."""
    if bpy.app.version < (5, 0):
        stored, is_pattern = node.base_path, node.format.file_format == "OPEN_EXR_MULTILAYER"
    else:
        stored, is_pattern = node.directory, "{" in node.directory
    return split_pattern(stored)[0] if is_pattern else str(stored.replace("\\", "/"))
