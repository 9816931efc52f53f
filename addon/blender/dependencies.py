# SPDX-License-Identifier: GPL-3.0-or-later
"""What the open file uses outside itself, read from Blender's memory.

Runs in save_post, so it looks at no disk: the client finds out what is there. Blender's own lists (blend_paths,
file_path_map, file_path_foreach) are quick, but none is whole, and none says that a path stands for a sequence or a
folder; 5.2's EXPAND flags would, by listing folders while the window waits. So each kind of data-block is asked here in
the way that works in every version, and Blender's list is used where asking is dear: for files that nodes name.
"""

import functools
import itertools
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any

import bpy

from ..client.gather import Dependency, Kind

HAS_FILE_PATH_MAP = bpy.app.version >= (4, 5)

_NODE_OWNERS = {"MATERIAL", "WORLD", "LIGHT", "NODETREE"}
"""Types of data-blocks with shader nodes, as `file_path_map` calls them."""

_FLUID_FOLDERS = {
    "config": "has_cache_baked_data",
    "data": "has_cache_baked_data",
    "noise": "has_cache_baked_noise",
    "mesh": "has_cache_baked_mesh",
    "particles": "has_cache_baked_particles",
    "guiding": "has_cache_baked_guide",
}
"""Folders of a fluid's cache, and the attribute that says whether Blender has written it."""

_OCEAN_PICTURES = ("disp_", "foam_", "normal_", "spray_")
"""How the names in an ocean's bake begin; the first is always there."""


def dependencies() -> list[Dependency]:
    """Return what the open file uses, linked libraries and what is linked from them included; packed data is not.

    Costs 2 to 5 us an image and 0.5 us an object: 6 to 10 ms for 1000 images, 1000 materials and 5000 objects. Assets
    that come with Blender are left out: the node's Blender has its own.
    """
    file = _OpenFile()
    found = list(itertools.chain.from_iterable(collect(file) for collect in _COLLECTORS))
    found += _named_by_nodes(file, {each.path for each in found})
    return [each for each in found if each.path and not file.is_blenders_own(each.path)]


class _OpenFile:
    """What all collectors need to know of the open file; good for one pass."""

    def __init__(self) -> None:
        self.blend: str = bpy.data.filepath
        self.geometry_trees: list[Any] = [tree for tree in bpy.data.node_groups if tree.type == "GEOMETRY"]
        self.imports = any(_is_import(node) for tree in self.geometry_trees for node in tree.nodes)
        """Whether any geometry is read from files by nodes: else texts in geometry nodes are no paths."""
        self._own = _datafiles()
        self._folders: dict[str, str] = {}

    def absolute(self, path: str, library: Any) -> str:
        """Return the path as Blender resolves it for a data-block of `library` (None: of the open file).

        One that was never set stays empty.
        """
        if not path:
            return ""
        if not path.startswith("//"):
            return os.path.join(self._folder(library), path)  # noqa: PTH118 - as it is, with its ".."
        return self._folder(library) + path.replace("\\", "/")[1:]

    def blend_of(self, library: Any) -> str:
        """Return the .blend that data-blocks of `library` are in."""
        return self.absolute(library.filepath, None) if library else self.blend

    def is_blenders_own(self, path: str) -> bool:
        """Whether it belongs to this Blender's installation: the assets that come with it."""
        return "datafiles" in path and os.path.normpath(path).startswith(self._own)

    def _folder(self, library: Any) -> str:
        key = library.filepath if library else ""
        if key not in self._folders:
            self._folders[key] = os.path.dirname(self.blend_of(library))  # noqa: PTH120 - as it is, with its ".."
        return self._folders[key]


@functools.cache
def _datafiles() -> str:
    resource: Any = bpy.utils.system_resource  # type: ignore[attr-defined]  # the stubs have no such function
    return os.path.join(resource("DATAFILES"), "assets", "")  # noqa: PTH118 - keeps the last slash


def _inside(folder: str, name: str) -> str:
    """The path of what is in a folder; empty for a folder that was never set."""
    return folder and os.path.join(folder, name)  # noqa: PTH118 - as it is, with its ".."


def _saved(collection: Any) -> Iterator[Any]:
    """The data-blocks of a kind that are written into the .blend: those that something uses."""
    users = array("i", bytes(4 * len(collection)))
    collection.foreach_get("users", users)  # a tenth of the cost of asking each
    return itertools.compress(collection, users)


def _libraries(file: _OpenFile) -> Iterator[Dependency]:
    for library in bpy.data.libraries:
        if not library.packed_file and _is_read(library):
            yield Dependency(file.blend_of(library), f'Library "{library.name}"')


def _is_read(library: Any) -> bool:
    """Since 5.0 linked data can be packed: it is then in an archive below its library, which nobody reads."""
    if bpy.app.version < (5, 0):
        return True
    return not library.is_archive and not (library.archive_libraries and not library.users_id)


_IMAGE_KINDS = {"FILE": Kind.FILE, "MOVIE": Kind.FILE, "SEQUENCE": Kind.SEQUENCE, "TILED": Kind.UDIM}


def _images(file: _OpenFile) -> Iterator[Dependency]:
    for image in _saved(bpy.data.images):
        kind = _IMAGE_KINDS.get(image.source)  # None: generated, or a render's result.
        if kind is None or image.packed_file:
            continue
        tiles = tuple(tile.number for tile in image.tiles) if kind == Kind.UDIM else ()
        yield Dependency(file.absolute(image.filepath, image.library), f'Image "{image.name}"', kind, tiles)


def _clips(file: _OpenFile) -> Iterator[Dependency]:
    for clip in _saved(bpy.data.movieclips):
        kind = Kind.SEQUENCE if clip.source == "SEQUENCE" else Kind.FILE
        yield Dependency(file.absolute(clip.filepath, clip.library), f'Movie clip "{clip.name}"', kind)


def _volumes(file: _OpenFile) -> Iterator[Dependency]:
    for volume in _saved(bpy.data.volumes):
        if not volume.packed_file:
            kind = Kind.SEQUENCE if volume.is_sequence else Kind.FILE
            yield Dependency(file.absolute(volume.filepath, volume.library), f'Volume "{volume.name}"', kind)


def _fonts_and_sounds(file: _OpenFile) -> Iterator[Dependency]:
    for label, collection in (("Font", bpy.data.fonts), ("Sound", bpy.data.sounds)):
        for block in _saved(collection):
            if not block.packed_file and block.filepath != "<builtin>":
                yield Dependency(file.absolute(block.filepath, block.library), f'{label} "{block.name}"')


def _cache_files(file: _OpenFile) -> Iterator[Dependency]:
    """Alembic and USD."""
    for cache in _saved(bpy.data.cache_files):
        kind = Kind.SEQUENCE if cache.is_sequence else Kind.FILE
        for path in (cache.filepath, *(layer.filepath for layer in cache.layers)):
            yield Dependency(file.absolute(path, cache.library), f'Cache file "{cache.name}"', kind)


def _cameras(file: _OpenFile) -> Iterator[Dependency]:
    """OSL scripts as lenses, since 4.5."""
    if not hasattr(bpy.types.Camera, "custom_filepath"):
        return
    for camera in _saved(bpy.data.cameras):
        if camera.type == "CUSTOM" and camera.custom_mode == "EXTERNAL":
            yield from _script(file, camera.custom_filepath, camera.library, f'Camera "{camera.name}"')


def _scenes(file: _OpenFile) -> Iterator[Dependency]:
    for scene in bpy.data.scenes:
        world = scene.rigidbody_world
        if world is not None:
            yield from _point_cache(file, world.point_cache, scene, f'Rigid bodies of "{scene.name}"')
        editor: Any = scene.sequence_editor
        if editor is None:
            continue
        for strip in editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all:
            owner = f'Strip "{strip.name}" of "{scene.name}"'
            if strip.type == "MOVIE":
                yield Dependency(file.absolute(strip.filepath, scene.library), owner)
            elif strip.type == "IMAGE":
                folder = file.absolute(strip.directory, scene.library)
                for element in strip.elements:
                    yield Dependency(_inside(folder, element.filename), owner)


def _objects(file: _OpenFile) -> Iterator[Dependency]:
    """What modifiers use. The loop that costs most: nothing in Blender tells which objects have any."""
    for modifiers in filter(None, map(attrgetter("modifiers"), bpy.data.objects)):
        for modifier in modifiers:
            of_modifier = _OF_MODIFIERS.get(modifier.type)
            if of_modifier and (item := modifier.id_data).users:
                yield from of_modifier(file, modifier, item, f'Modifier "{modifier.name}" of "{item.name}"')


def _mesh_cache(file: _OpenFile, modifier: Any, item: Any, owner: str) -> Iterator[Dependency]:
    yield Dependency(file.absolute(modifier.filepath, item.library), owner)


def _multires(file: _OpenFile, modifier: Any, item: Any, owner: str) -> Iterator[Dependency]:
    if modifier.is_external:
        yield Dependency(file.absolute(modifier.filepath, item.data.library), owner)


def _ocean(file: _OpenFile, modifier: Any, item: Any, owner: str) -> Iterator[Dependency]:
    if modifier.is_cached:
        folder = file.absolute(modifier.filepath, item.library)
        for number, prefix in enumerate(_OCEAN_PICTURES):
            yield Dependency(_inside(folder, prefix), owner, Kind.PREFIX, required=number == 0)


def _fluid(file: _OpenFile, modifier: Any, item: Any, owner: str) -> Iterator[Dependency]:
    if modifier.fluid_type == "DOMAIN":
        settings = modifier.domain_settings
        folder = file.absolute(settings.cache_directory, item.library)
        for name, is_baked in _FLUID_FOLDERS.items():
            yield Dependency(_inside(folder, name), owner, Kind.FOLDER, required=getattr(settings, is_baked))


def _simulated(file: _OpenFile, modifier: Any, item: Any, owner: str) -> Iterator[Dependency]:
    yield from _point_cache(file, modifier.point_cache, item, owner)


def _particles(file: _OpenFile, modifier: Any, item: Any, owner: str) -> Iterator[Dependency]:
    yield from _point_cache(file, modifier.particle_system.point_cache, item, owner)


def _dynamic_paint(file: _OpenFile, modifier: Any, item: Any, owner: str) -> Iterator[Dependency]:
    for surface in modifier.canvas_settings.canvas_surfaces if modifier.canvas_settings else ():
        yield from _point_cache(file, surface.point_cache, item, owner)


def _point_cache(file: _OpenFile, cache: Any, block: Any, owner: str) -> Iterator[Dependency]:
    """A cache on disk is one file a frame: <name>_<frame>_<index>.bphys (ptcache_filename in Blender's pointcache.cc).

    Without a name it is called by the data-block's, in hexadecimal digits; those of letters beyond ASCII depend on the
    machine, so the name ends before them here.
    """
    if cache.use_external:
        path = _inside(file.absolute(cache.filepath, block.library), cache.name + "_")
    elif cache.use_disk_cache:
        blend = file.blend_of(block.library if cache.use_library_path else None)
        folder, name = os.path.split(blend)
        plain = "".join(itertools.takewhile(str.isascii, block.name))
        start = cache.name or plain.encode().hex().upper()
        end = "_" if cache.name or plain == block.name else ""
        path = _inside(_inside(folder, f"blendcache_{name.removesuffix('.blend')}"), start + end)
    else:
        return
    yield Dependency(path, owner, Kind.PREFIX, required=cache.is_baked)


def _geometry_nodes(file: _OpenFile, modifier: Any, item: Any, owner: str) -> Iterator[Dependency]:
    """Bakes on disk, one folder for each simulation zone or Bake node. Nothing tells whether they were ever baked."""
    for bake in modifier.bakes:
        target = getattr(bake, "bake_target", "DISK")  # Since 4.3 bakes can be packed.
        if target == "INHERIT":
            target = modifier.bake_target
        folder = bake.directory if bake.use_custom_path else modifier.bake_directory
        if folder and target == "DISK":
            path = folder if bake.use_custom_path else f"{folder.rstrip('/')}/{bake.bake_id}"
            yield Dependency(file.absolute(path, item.library), owner, Kind.FOLDER, required=False)
    if file.imports and modifier.node_group:
        yield from _paths_among(_modifier_texts(modifier), file, item.library, owner)


_OF_MODIFIERS: dict[str, Callable[[_OpenFile, Any, Any, str], Iterator[Dependency]]] = {
    "CLOTH": _simulated,
    "DYNAMIC_PAINT": _dynamic_paint,
    "FLUID": _fluid,
    "MESH_CACHE": _mesh_cache,
    "MULTIRES": _multires,
    "NODES": _geometry_nodes,
    "OCEAN": _ocean,
    "PARTICLE_SYSTEM": _particles,
    "SOFT_BODY": _simulated,
}


def _is_import(node: Any) -> bool:
    return str(node.bl_idname).startswith("GeometryNodeImport")


def _imports(file: _OpenFile) -> Iterator[Dependency]:
    """Files that geometry nodes read. A path that other nodes put together is not known before they run."""
    if not file.imports:
        return
    for tree in file.geometry_trees:
        owner = f'Node group "{tree.name}"'
        for node in tree.nodes:
            if not _is_import(node):
                yield from _paths_among(_node_texts(node), file, tree.library, owner)
            elif (path := node.inputs[0]).default_value and not path.is_linked:
                yield Dependency(file.absolute(path.default_value, tree.library), owner)


def _paths_among(texts: Iterable[str], file: _OpenFile, library: Any, owner: str) -> Iterator[Dependency]:
    """Texts that could be paths of files to import; that they are is not sure."""
    for text in texts:
        if text.startswith("//") or os.path.isabs(text):  # noqa: PTH117 - a text rather than a path
            yield Dependency(file.absolute(text, library), owner, required=False)


def _node_texts(node: Any) -> Iterator[str]:
    """The texts that a node gives to others: its own, where that is its purpose, or a nested group's inputs."""
    if node.bl_idname == "FunctionNodeInputString":
        yield node.string
    elif node.bl_idname == "GeometryNodeGroup":
        yield from (socket.default_value for socket in node.inputs if socket.type == "STRING" and not socket.is_linked)


def _modifier_texts(modifier: Any) -> Iterator[str]:
    """The texts among the inputs of a modifier's node group."""
    for item in modifier.node_group.interface.items_tree:
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.socket_type == "NodeSocketString":
            if hasattr(modifier, "properties"):  # since 5.2
                yield getattr(modifier.properties.inputs, item.identifier).value
            elif item.identifier in modifier:
                yield modifier[item.identifier]


def _named_by_nodes(file: _OpenFile, known: set[str]) -> Iterator[Dependency]:
    """IES profiles and OSL scripts.

    Asking every shader node costs 3 ms for 1000 materials; file_path_map 0.2 ms. Before that, blend_paths (1 ms)
    tells whether there is anything to ask for.
    """
    if HAS_FILE_PATH_MAP:
        blend_data: Any = bpy.data
        for block, paths in blend_data.file_path_map(key_types=_NODE_OWNERS).items():
            for path in sorted(paths):
                if file.absolute(path, block.library) not in known:  # Since 5.0 imports are among them.
                    yield from _script(file, path, block.library, _owner(block))
    elif not known.issuperset(filter(None, bpy.utils.blend_paths(absolute=True, packed=True))):
        blocks: Iterable[Any] = (*bpy.data.materials, *bpy.data.worlds, *bpy.data.lights, *bpy.data.node_groups)
        for block in blocks:
            tree = block if isinstance(block, bpy.types.NodeTree) else block.node_tree
            for node in tree.nodes if tree else ():
                if node.bl_idname in {"ShaderNodeScript", "ShaderNodeTexIES"} and node.mode == "EXTERNAL":
                    yield from _script(file, node.filepath, block.library, _owner(block))


def _owner(block: Any) -> str:
    return f'{block.bl_rna.name.capitalize()} "{block.name}"'


def _script(file: _OpenFile, path: str, library: Any, owner: str) -> Iterator[Dependency]:
    """A file that a shader uses. An OSL script is compiled into a file beside it, unless that is newer."""
    if not path or path.isidentifier():  # A name alone is a shader that comes with Cycles.
        return
    absolute = file.absolute(path, library)
    yield Dependency(absolute, owner)
    if absolute.endswith(".osl"):
        yield Dependency(absolute.removesuffix("osl") + "oso", owner, required=False)


_COLLECTORS: tuple[Callable[[_OpenFile], Iterator[Dependency]], ...] = (
    _libraries,
    _images,
    _clips,
    _volumes,
    _fonts_and_sounds,
    _cache_files,
    _cameras,
    _scenes,
    _objects,
    _imports,
)
