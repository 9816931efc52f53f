# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a frame's files go: everything that Blender would write is led below one folder, and found there afterwards."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import bpy

from .failures import Failure
from .overrides import override
from .patterns import confined, literal, split_pattern

TEMPLATES = bpy.app.version >= (4, 5)
"""Since 4.5 braces in an output path are templates."""

Output = dict[str, str]
"""One file as it stands in the "written" event: directory (as the scene has it), name (below that), path (here)."""

MULTILAYER = "OPEN_EXR_MULTILAYER"

OWN = ""
"""Stands for the directory of the scene's own output."""


class Places:
    """The folders of one frame: one for each directory that the scene writes to, numbered below its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, Path] = {}

    def path(self, directory: str, rest: str = "") -> str:
        """Return the pattern that makes Blender write `rest` into the folder that stands for `directory`."""
        place = self._places.setdefault(directory, self._folder / str(len(self._places)))
        return literal(str(place), TEMPLATES) + confined(rest)

    def outputs(self) -> list[Output]:
        """Return what was written, as it stands in the event; raises Failure for nothing or an empty file."""
        found = [
            {"directory": directory, "name": path.relative_to(place).as_posix(), "path": str(path)}
            for directory, place in self._places.items()
            for path in sorted(place.rglob("*"))
            if path.is_file()
        ]
        for output in found:
            if Path(output["path"]).stat().st_size == 0:
                raise Failure(f"Blender left {output['name']} empty.")
        if not found:
            raise Failure("Blender rendered and wrote no file.")
        return found


@contextmanager
def redirected(scene: bpy.types.Scene, places: Places) -> Iterator[None]:
    """Lead all that rendering `scene` writes into `places`."""
    with ExitStack() as stack:
        own = places.path(OWN, split_pattern(scene.render.filepath)[1])
        # An empty placeholder would be taken for the frame, and the folder holds nothing that could be kept.
        stack.enter_context(override(scene.render, filepath=own, use_overwrite=True, use_placeholder=False))
        for node in _file_outputs():
            _redirect_node(node, places, stack)
        yield


def _file_outputs() -> Iterator[Any]:
    """Every File Output node there is: nested groups and other scenes' compositors can run with a scene's own."""
    trees = {tree.as_pointer(): tree for tree in bpy.data.node_groups if tree.bl_idname == "CompositorNodeTree"}
    for scene in bpy.data.scenes:
        tree = getattr(scene, "compositing_node_group" if hasattr(scene, "compositing_node_group") else "node_tree")
        if tree is not None:
            trees[tree.as_pointer()] = tree
    for tree in trees.values():
        yield from (node for node in tree.nodes if node.bl_idname == "CompositorNodeOutputFile")


def _redirect_node(node: Any, places: Places, stack: ExitStack) -> None:
    if hasattr(node, "directory"):
        _redirect_directory(node, places, stack)
    elif node.format.file_format == MULTILAYER:  # One file of all layers: base_path is its pattern.
        stack.enter_context(override(node, base_path=places.path(*split_pattern(node.base_path))))
    else:
        _confine(node.file_slots, "path", stack)
        stack.enter_context(override(node, base_path=places.path(*_split_directory(node.base_path))))


def _redirect_directory(node: Any, places: Places, stack: ExitStack) -> None:
    """Blender 5: directory, file name and, but for multilayer files, the items' names, all with templates."""
    if node.format.file_format != MULTILAYER:
        _confine(node.file_output_items, "name", stack)
    directory = places.path(*_split_directory(node.directory))
    stack.enter_context(override(node, directory=directory, file_name=confined(node.file_name)))


def _split_directory(directory: str) -> tuple[str, str]:
    """A node's directory as it is, or what comes before templates in it and the rest."""
    return split_pattern(directory) if "{" in directory else (directory.replace("\\", "/"), "")


def _confine(items: Iterable[Any], attribute: str, stack: ExitStack) -> None:
    """Item names become parts of paths. A well-behaved one is not touched: it is a socket's name, too."""
    for item in items:
        name = getattr(item, attribute)
        if name != confined(name):
            stack.enter_context(override(item, **{attribute: confined(name)}))
