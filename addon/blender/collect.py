# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads from Blender's memory what the node has to render. Never touches the .blend itself, however large it is."""

import os
from collections.abc import Iterator
from typing import Any

import bpy

from ..protocol.paths import split_pattern
from . import folders
from .preferences import RelayRenderPreferences
from .shot import NotReady, Shot, frames_text, output_directory


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
    own = settings.output_folder or split_pattern(scene.render.filepath)[0]
    shot = Shot(
        blend=bpy.data.filepath,
        scene=scene.name,
        frames=_frames(scene, animation=animation),
        folder=_absolute(own),
        targets={directory: _absolute(directory) for directory in _output_directories(scene)},
    )
    for folder in (shot.folder, *shot.targets.values()):
        if sentence := folders.obstacle(folder):
            raise NotReady(sentence)
    return shot


def _frames(scene: bpy.types.Scene, *, animation: bool) -> str:
    if animation:
        return frames_text(scene.frame_start, scene.frame_end, scene.frame_step)
    return str(scene.frame_current)


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


def _output_directories(scene: bpy.types.Scene) -> set[str]:
    """Return the directories that the compositor's File Output nodes name, as the .blend stores them."""
    compositor: Any = scene
    if hasattr(compositor, "compositing_node_group"):  # Blender 5
        tree = compositor.compositing_node_group
    else:
        tree = compositor.node_tree if compositor.use_nodes else None
    if not tree or not scene.render.use_compositing:
        return set()
    return {directory for node in _output_nodes(tree, set()) if (directory := _directory(node))}


def _output_nodes(tree: Any, seen: set[str]) -> Iterator[Any]:
    """Yield the active File Output nodes of a tree and of the groups in it."""
    seen.add(tree.name_full)
    for node in tree.nodes:
        if node.mute:
            continue
        if node.type == "OUTPUT_FILE":
            yield node
        elif node.type == "GROUP" and node.node_tree and node.node_tree.name_full not in seen:
            yield from _output_nodes(node.node_tree, seen)


def _directory(node: Any) -> str:
    if hasattr(node, "directory"):  # Blender 5
        return output_directory(node.directory, is_folder=True)
    return output_directory(node.base_path, is_folder=node.format.file_format != "OPEN_EXR_MULTILAYER")
