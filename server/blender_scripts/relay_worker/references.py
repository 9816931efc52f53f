# SPDX-License-Identifier: GPL-3.0-or-later
"""Every place in the open file that names something Blender reads from disk, to look at and to change.

What the artist's side sends is collected by addon/blender/dependencies.py; here nobody waits, so each place is asked
in every version alike. Outputs are not among them.
"""

import glob
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy


def _is_there(path: str) -> bool:
    return Path(path).exists()


def _is_optional(path: str) -> bool:  # noqa: ARG001 - stands where the others do
    return True


@dataclass(frozen=True, slots=True)
class Reference:
    """One path in the open file."""

    owner: str
    """Which data-block names it, for people: ``Image "wood.png"``."""
    path: str
    """As it is stored."""
    library: Any
    """The library whose file ``//`` refers to, None: the open file."""
    assign: Callable[[str], None]
    """Changes it, in such a way that Blender reads the new file."""
    is_there: Callable[[str], bool] = _is_there
    """Says of the absolute path whether what it stands for can be read."""
    is_sure: bool = True
    """False: a text that may be no path at all."""

    @property
    def folder(self) -> str:
        """Where a relative path begins: the folder of the .blend that the data-block is in."""
        return os.path.dirname(blend_of(self.library))  # noqa: PTH120 - as it is, with its ".."

    @property
    def absolute(self) -> str:
        """The path as Blender resolves it."""
        return absolute(self.path, self.folder)


def absolute(path: str, folder: str) -> str:
    """Return what a stored path means in a .blend that is in `folder`."""
    if path.startswith("//"):
        path = path[2:].replace("\\", "/")
    return os.path.normpath(os.path.join(folder, path))  # noqa: PTH118


def blend_of(library: Any) -> str:
    """Return the .blend of a library, None: the open one."""
    blend = bpy.data.filepath
    return absolute(library.filepath, os.path.dirname(blend)) if library else blend  # noqa: PTH120


def read_libraries() -> list[Any]:
    """The libraries that Blender reads.

    Since 5.0 linked data can be packed: it is then in an archive below its library, and may be all that is used of it.
    """
    found: list[Any] = [each for each in bpy.data.libraries if not each.packed_file]
    if bpy.app.version < (5, 0):
        return found
    return [each for each in found if not each.is_archive and not (each.archive_libraries and not each.users_id)]


def library_reference(library: Any) -> Reference:
    """The path of a library itself; Blender reads the new file when it is told to."""
    return Reference(f'Library "{library.name}"', library.filepath, None, _to(library, "filepath"))


def references() -> Iterator[Reference]:
    """All of them but the libraries' own."""
    return itertools.chain(
        _images(), _clips(), _volumes(), _fonts_and_sounds(), _cache_files(), _cameras(), _strips(), _modifiers(),
        _shader_nodes(), _import_nodes(),
    )  # fmt: skip


def _to(owner: Any, attribute: str) -> Callable[[str], None]:
    return lambda path: setattr(owner, attribute, path)


def _images() -> Iterator[Reference]:
    for image in bpy.data.images:
        owner = f'Image "{image.name}"'
        if image.source not in {"FILE", "MOVIE", "SEQUENCE", "TILED"} or not image.filepath:
            continue
        if image.packed_file:  # Its path is changed without a reload, which would look for the file.
            yield Reference(owner, image.filepath, image.library, _to(image, "filepath_raw"), _is_optional)
            continue
        is_there: Callable[[str], bool] = _is_there
        if image.source == "SEQUENCE":
            is_there = is_sequence
        elif image.source == "TILED":
            is_there = _has_tiles([tile.number for tile in image.tiles])
        yield Reference(owner, image.filepath, image.library, _to(image, "filepath"), is_there)


def _has_tiles(numbers: Iterable[int]) -> Callable[[str], bool]:
    """Ten tiles to a row, from 1001."""
    names = [(str(number), "u{1}_v{0}".format(*(part + 1 for part in divmod(number - 1001, 10)))) for number in numbers]

    def is_there(path: str) -> bool:
        return all(Path(path.replace("<UDIM>", udim).replace("<UVTILE>", uv)).exists() for udim, uv in names)

    return is_there


def is_sequence(path: str) -> bool:
    """Whether any frame of a sequence is there: of all names that differ from `path` in the last number alone."""
    stem, extension = os.path.splitext(path)  # noqa: PTH122
    number = re.search(r"\d+(?=[^\d/\\]*\Z)", stem)
    if number is None:
        return _is_there(path)
    head, tail = stem[: number.start()], stem[number.end() :] + extension
    return any(
        found[len(head) : len(found) - len(tail)].isdecimal()
        for found in glob.iglob(f"{glob.escape(head)}*{glob.escape(tail)}")  # noqa: PTH207
    )


def _clips() -> Iterator[Reference]:
    for clip in bpy.data.movieclips:
        is_there = is_sequence if clip.source == "SEQUENCE" else _is_there
        yield Reference(f'Movie clip "{clip.name}"', clip.filepath, clip.library, _to(clip, "filepath"), is_there)


def _volumes() -> Iterator[Reference]:
    for volume in bpy.data.volumes:
        if volume.filepath and not volume.packed_file:
            is_there = is_sequence if volume.is_sequence else _is_there
            owner = f'Volume "{volume.name}"'
            yield Reference(owner, volume.filepath, volume.library, _to(volume, "filepath"), is_there)


def _fonts_and_sounds() -> Iterator[Reference]:
    for label, collection in (("Font", bpy.data.fonts), ("Sound", bpy.data.sounds)):
        blocks: Iterable[Any] = collection
        for block in blocks:
            if not block.packed_file and block.filepath not in {"", "<builtin>"}:
                yield Reference(f'{label} "{block.name}"', block.filepath, block.library, _to(block, "filepath"))


def _cache_files() -> Iterator[Reference]:
    """Alembic and USD."""
    for cache in bpy.data.cache_files:
        is_there = is_sequence if cache.is_sequence else _is_there
        places: Iterable[Any] = (cache, *cache.layers)
        for place in places:
            owner = f'Cache file "{cache.name}"'
            yield Reference(owner, place.filepath, cache.library, _to(place, "filepath"), is_there)


def _cameras() -> Iterator[Reference]:
    """OSL scripts as lenses, since 4.5."""
    cameras: Iterable[Any] = bpy.data.cameras
    for camera in cameras:
        if getattr(camera, "custom_mode", "") == "EXTERNAL" and _is_file(camera.custom_filepath):
            owner = f'Camera "{camera.name}"'
            yield Reference(owner, camera.custom_filepath, camera.library, _to(camera, "custom_filepath"))


def _is_file(path: str) -> bool:
    """A name alone is a shader that comes with Cycles."""
    return bool(path) and not path.isidentifier()


def _strips() -> Iterator[Reference]:
    for scene in bpy.data.scenes:
        editor: Any = scene.sequence_editor
        if editor is None:
            continue
        for strip in editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all:
            owner = f'Strip "{strip.name}" of "{scene.name}"'
            if strip.type == "MOVIE":
                yield Reference(owner, strip.filepath, scene.library, _to(strip, "filepath"))
            elif strip.type == "IMAGE":
                yield from _image_strip(strip, scene.library, owner)


def _image_strip(strip: Any, library: Any, owner: str) -> Iterator[Reference]:
    """A folder and the names in it; a name that is more than that is cut down to one."""
    for element in strip.elements:
        if element.filename != (name := re.split(r"[/\\]", element.filename)[-1]):
            element.filename = name
    names = [element.filename for element in strip.elements]

    def is_there(folder: str) -> bool:
        return all(Path(folder, name).exists() for name in names)

    yield Reference(owner, strip.directory, library, _to(strip, "directory"), is_there)


def _modifiers() -> Iterator[Reference]:
    for item in bpy.data.objects:
        for modifier in item.modifiers:
            owner = f'Modifier "{modifier.name}" of "{item.name}"'
            for place, attribute, is_there in _places(modifier):
                library = item.data.library if modifier.type == "MULTIRES" else item.library
                if path := getattr(place, attribute):
                    yield Reference(owner, path, library, _to(place, attribute), is_there)
    for scene in bpy.data.scenes:
        if (world := scene.rigidbody_world) and world.point_cache.use_external:
            cache = world.point_cache
            owner = f'Rigid bodies of "{scene.name}"'
            yield Reference(owner, cache.filepath, scene.library, _to(cache, "filepath"))


_Place = tuple[Any, str, Callable[[str], bool]]


def _places(modifier: Any) -> Iterator[_Place]:
    """Struct, name of the attribute that holds a path, and whether something has to be there."""
    match modifier.type:
        case "MESH_CACHE":
            yield modifier, "filepath", _is_there
        case "MULTIRES" if modifier.is_external:
            yield modifier, "filepath", _is_there
        case "OCEAN":
            yield modifier, "filepath", _is_there if modifier.is_cached else _is_optional
        case "FLUID" if modifier.fluid_type == "DOMAIN":
            baked = modifier.domain_settings.has_cache_baked_data
            yield modifier.domain_settings, "cache_directory", _is_there if baked else _is_optional
        case "NODES":
            yield modifier, "bake_directory", _is_optional
            yield from ((bake, "directory", _is_optional) for bake in modifier.bakes)
        case _:
            yield from ((cache, "filepath", _is_there) for cache in _point_caches(modifier) if cache.use_external)


def _point_caches(modifier: Any) -> list[Any]:
    """Caches on disk but not external are beside the .blend, under a name that Blender makes up."""
    match modifier.type:
        case "CLOTH" | "SOFT_BODY":
            return [modifier.point_cache]
        case "PARTICLE_SYSTEM":
            return [modifier.particle_system.point_cache]
        case "DYNAMIC_PAINT" if modifier.canvas_settings:
            return [surface.point_cache for surface in modifier.canvas_settings.canvas_surfaces]
        case _:
            return []


def _shader_nodes() -> Iterator[Reference]:
    """IES profiles and OSL scripts."""
    owners: Iterable[Any] = (*bpy.data.materials, *bpy.data.worlds, *bpy.data.lights, *bpy.data.node_groups)
    for block in owners:
        tree = block if isinstance(block, bpy.types.NodeTree) else block.node_tree
        for node in tree.nodes if tree else ():
            names_file = node.bl_idname in {"ShaderNodeScript", "ShaderNodeTexIES"} and node.mode == "EXTERNAL"
            if names_file and _is_file(node.filepath):
                owner = f'{block.bl_rna.name.capitalize()} "{block.name}"'
                yield Reference(owner, node.filepath, block.library, _to(node, "filepath"))


def _is_import(node: Any) -> bool:
    return str(node.bl_idname).startswith("GeometryNodeImport")


def _import_nodes() -> Iterator[Reference]:
    """Files that geometry nodes read, and where there are such nodes, every text that could be such a file's path."""
    trees: list[Any] = [tree for tree in bpy.data.node_groups if tree.type == "GEOMETRY"]
    if not any(_is_import(node) for tree in trees for node in tree.nodes):
        return
    for tree in trees:
        owner = f'Node group "{tree.name}"'
        for node in tree.nodes:
            for place, attribute in _node_texts(node):
                if path := getattr(place, attribute):
                    yield _text(owner, path, tree.library, _to(place, attribute), is_sure=_is_import(node))
    for item in bpy.data.objects:
        modifiers: Iterable[Any] = item.modifiers
        for modifier in modifiers:
            if modifier.type == "NODES" and modifier.node_group:
                yield from _modifier_texts(modifier, item)


def _text(owner: str, path: str, library: Any, assign: Callable[[str], None], *, is_sure: bool) -> Reference:
    return Reference(owner, path, library, assign, _is_there if is_sure else _is_optional, is_sure)


def _node_texts(node: Any) -> Iterator[tuple[Any, str]]:
    if _is_import(node):
        if not node.inputs[0].is_linked:
            yield node.inputs[0], "default_value"
    elif node.bl_idname == "FunctionNodeInputString":
        yield node, "string"
    elif node.bl_idname == "GeometryNodeGroup":
        yield from ((socket, "default_value") for socket in node.inputs if socket.type == "STRING")


def _text_inputs(tree: Any) -> Iterator[Any]:
    """The inputs of a node group that are texts."""
    for item in tree.interface.items_tree:
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.socket_type == "NodeSocketString":
            yield item


def _modifier_texts(modifier: Any, item: Any) -> Iterator[Reference]:
    owner = f'Modifier "{modifier.name}" of "{item.name}"'
    for socket in _text_inputs(modifier.node_group):
        if hasattr(modifier, "properties"):  # since 5.2
            place = getattr(modifier.properties.inputs, socket.identifier)
            yield _text(owner, place.value, item.library, _to(place, "value"), is_sure=False)
        elif socket.identifier in modifier:
            yield _text(owner, modifier[socket.identifier], item.library, _item(modifier, socket), is_sure=False)


def _item(modifier: Any, socket: Any) -> Callable[[str], None]:
    identifier = socket.identifier

    def assign(path: str) -> None:
        modifier[identifier] = path
        modifier.id_data.update_tag()  # Nobody is told of a change to a custom property.

    return assign
