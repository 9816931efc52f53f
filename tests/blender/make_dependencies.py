# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a project that uses a file of every kind, in one run inside Blender: PROJECT/film/shots/shot.blend.

The picture is a board of square fields of one unit each, seen from above. Nearly every file shows in a field of its
own, so that a file that is not found changes the picture there. PROJECT/expected.json says what is used, by kind:
{kind: {"files": [below PROJECT], "field": number or null, "owner": "..."}}. What this Blender cannot make is left out,
and "skipped" says why.
"""

import json
import os
import shutil
import struct
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

PROJECT = Path(os.environ["PROJECT"])
FILM = PROJECT / "film"
SHOTS = FILM / "shots"
BLEND = SHOTS / "shot.blend"
VERSION = bpy.app.version
IS_PROGRAM = bool(bpy.app.binary_path)
BUILT_WITH: Any = bpy.app.build_options

COLUMNS = 8
FIELD_PIXELS = 12
FRAMES = 3
"""The scene renders frame 2 of these."""

Expected = dict[str, Any]
expected: dict[str, Expected] = {}
skipped: dict[str, str] = {}


class Skip(Exception):
    """This Blender cannot make this kind of file."""


# Colours: one for each field, far enough from the others and from black.


def colour(field: int) -> tuple[float, float, float]:
    return 0.3 + 0.1 * (field % 7), 0.25 + 0.15 * (field % 5), 0.9 - 0.2 * (field % 4)


def centre(field: int) -> tuple[float, float]:
    return field % COLUMNS + 0.5, field // COLUMNS + 0.5


# Files written by hand


def png(path: Path, rgb: tuple[float, float, float], field: int | None = None) -> Path:
    """A picture as large as the board: of one colour, or black with that colour in a field."""
    side = COLUMNS * FIELD_PIXELS
    lit, dark = bytes(int(part * 255) for part in rgb), bytes(3)
    rows = []
    for y in range(side):
        row = bytearray([0])
        for x in range(side):
            here = (side - 1 - y) // FIELD_PIXELS * COLUMNS + x // FIELD_PIXELS
            row += lit if field in {None, here} else dark
        rows.append(bytes(row))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )
    return path


def mdd(path: Path, frames: list[list[tuple[float, float, float]]]) -> Path:
    """Lightwave's point cache: big-endian counts, times in seconds, positions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = struct.pack(">2i", len(frames), len(frames[0])) + struct.pack(f">{len(frames)}f", *range(len(frames)))
    path.write_bytes(data + b"".join(struct.pack(">3f", *point) for points in frames for point in points))
    return path


def pc2(path: Path, frames: list[list[tuple[float, float, float]]]) -> Path:
    """Point cache 2: version 1, points, start, sampling rate, samples; little-endian."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"POINTCACHE2\0" + struct.pack("<iiffi", 1, len(frames[0]), 1.0, 1.0, len(frames))
    path.write_bytes(data + b"".join(struct.pack("<3f", *point) for points in frames for point in points))
    return path


def wav(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<800h", *range(800)))
    return path


def ies(path: Path) -> Path:
    """A spotlight: bright down to 30 degrees, nothing beyond."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "IESNA:LM-63-1995\nTILT=NONE\n1 1000 1 4 1 1 2 0 0 0\n1 1 10\n0 30 31 90\n0\n1000 1000 0 0\n", encoding="ascii"
    )
    return path


def obj(path: Path, x: float, y: float) -> None:
    """A square around (x, y) as Wavefront OBJ, which has Y up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    corners = [(x - 0.4, y - 0.4), (x + 0.4, y - 0.4), (x + 0.4, y + 0.4), (x - 0.4, y + 0.4)]
    path.write_text("".join(f"v {a} 0 {-b}\n" for a, b in corners) + "f 1 2 3 4\n", encoding="ascii")


# Things on the board


def plane(name: str, field: int, at: tuple[float, float] | None = None, cuts: int = 1) -> Any:
    """A square that covers most of a field; `at`: elsewhere."""
    x, y = at or centre(field)
    side = [-0.4 + 0.8 * step / cuts for step in range(cuts + 1)]
    points = [(x + a, y + b, 0.0) for b in side for a in side]
    wide = cuts + 1
    faces = [
        (row * wide + col, row * wide + col + 1, (row + 1) * wide + col + 1, (row + 1) * wide + col)
        for row in range(cuts)
        for col in range(cuts)
    ]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], faces)
    layer = mesh.uv_layers.new(name="UV")
    for loop, uv in zip(mesh.loops, layer.data, strict=True):
        px, py, _ = points[loop.vertex_index]
        uv.uv = ((px - x + 0.4) / 0.8, (py - y + 0.4) / 0.8)
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    return item


def glowing(name: str, rgb: tuple[float, float, float] = (1, 1, 1)) -> Any:
    """A material that shines in a colour of its own; returns it and its node."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    glow = tree.nodes.new("ShaderNodeEmission")
    glow.inputs["Color"].default_value = (*rgb, 1)
    tree.links.new(glow.outputs[0], tree.nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def glow_with(material: Any, kind: str) -> Any:
    """Let a node of type `kind` give the material's colour; returns it."""
    tree = material.node_tree
    node = tree.nodes.new(kind)
    glow = next(each for each in tree.nodes if each.bl_idname == "ShaderNodeEmission")
    tree.links.new(node.outputs[0], glow.inputs["Color"])
    return node


def show(image: Any, field: int) -> Any:
    """Put an image on the board; returns its texture node."""
    item = plane(image.name, field)
    material = glowing(image.name)
    node = glow_with(material, "ShaderNodeTexImage")
    node.image = image
    node.interpolation = "Closest"
    item.data.materials.append(material)
    return node


def coloured(item: Any, field: int) -> Any:
    item.data.materials.append(glowing(item.name, colour(field)))
    return item


def relative(path: Path) -> str:
    return bpy.path.relpath(str(path), start=str(SHOTS)).replace("\\", "/")


def load(path: Path, name: str) -> Any:
    image = bpy.data.images.load(str(path))
    image.name = name
    image.filepath = relative(path)
    image.use_fake_user = True
    return image


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def movie(path: Path, picture: Path) -> Path:
    """A lossless movie of FRAMES frames, all of them `picture`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scene: Any = bpy.data.scenes.new("Movie")
    strips(scene).new_image("Picture", str(picture), 1, 1).frame_final_duration = FRAMES
    scene.frame_end = FRAMES
    scene.render.resolution_x = scene.render.resolution_y = COLUMNS * FIELD_PIXELS
    settings = scene.render.image_settings
    if VERSION >= (5, 0):
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    scene.render.ffmpeg.format, scene.render.ffmpeg.codec = "MKV", "FFV1"
    scene.render.filepath = str(path)
    scene.view_settings.view_transform = "Standard"
    bpy.ops.render.render(animation=True, scene=scene.name)
    bpy.data.scenes.remove(scene)
    return path


def strips(scene: Any) -> Any:
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def effect(found: Any, name: str, effect_type: str, start: int, length: int) -> Any:
    end = {"length": length} if VERSION >= (5, 0) else {"frame_end": start + length}
    return found.new_effect(name, effect_type, 1, frame_start=start, **end)


def composited(node_type: str) -> Any:
    """A node whose picture is added to the rendered one; returns it."""
    tree = compositing_tree(bpy.context.scene)
    end = next(each for each in tree.nodes if each.bl_idname in {"NodeGroupOutput", "CompositorNodeComposite"})
    before = end.inputs[0].links[0].from_socket
    source = tree.nodes.new(node_type)
    if VERSION >= (5, 0):
        mix = tree.nodes.new("ShaderNodeMix")
        mix.data_type = "RGBA"
        ends = [socket for socket in (*mix.inputs, *mix.outputs) if socket.type == "RGBA"]
    else:
        mix = tree.nodes.new("CompositorNodeMixRGB")
        ends = [mix.inputs[1], mix.inputs[2], mix.outputs[0]]
    mix.blend_type = "ADD"
    mix.inputs[0].default_value = 1
    tree.links.new(before, ends[0])
    tree.links.new(source.outputs["Image"], ends[1])
    tree.links.new(ends[2], end.inputs[0])
    return source


def compositing_tree(scene: Any) -> Any:
    if VERSION < (5, 0):
        scene.use_nodes = True
        return scene.node_tree
    if scene.compositing_node_group is None:
        groups: Any = bpy.data.node_groups
        tree = scene.compositing_node_group = groups.new("Compositing", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        layers, end = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("NodeGroupOutput")
        tree.links.new(layers.outputs["Image"], end.inputs[0])
    return scene.compositing_node_group


def geometry(item: Any, name: str, source: bool = True) -> tuple[Any, Any, Any, Any]:
    """A geometry node group on `item`; returns modifier, tree, the socket that comes in and the one to end in."""
    groups: Any = bpy.data.node_groups
    tree = groups.new(name, "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    start, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    modifier = item.modifiers.new(name, "NODES")
    modifier.node_group = tree
    return modifier, tree, start.outputs[0], end.inputs[0]


def acting_on(item: Any, **more: Any) -> Any:
    """The context in which operators act on `item`."""
    for each in bpy.context.view_layer.objects:
        each.select_set(each == item)
    bpy.context.view_layer.objects.active = item
    return bpy.context.temp_override(object=item, active_object=item, selected_objects=[item], **more)


Build = Callable[[int], tuple[list[Path], str]]
BUILDERS: dict[str, tuple[Build, str | None]] = {}


def builder(picture: str | None) -> Callable[[Build], Build]:
    """A builder of one kind: given a free field, returns the files and the owner.

    `picture`: the scene that shows them there, None: neither.
    """

    def register(build: Build) -> Build:
        BUILDERS[build.__name__] = build, picture
        return build

    return register


# Images


@builder("Shot")
def image(field: int) -> tuple[list[Path], str]:
    path = png(FILM / "textures" / "wood.png", colour(field))
    show(load(path, "wood"), field)
    return [path], 'Image "wood"'


@builder("Shot")
def image_elsewhere(field: int) -> tuple[list[Path], str]:
    """An absolute path to another folder than the film's."""
    path = png(PROJECT / "elsewhere" / "decal.png", colour(field))
    picture = load(path, "decal")
    picture.filepath = str(path)
    show(picture, field)
    return [path], 'Image "decal"'


@builder("Shot")
def image_sequence(field: int) -> tuple[list[Path], str]:
    paths = [png(FILM / "plates" / f"plate_{number:04}.png", colour(field + number)) for number in range(1, FRAMES + 1)]
    png(FILM / "plates" / "plate_0002_old.png", (1, 1, 1))  # not one of them
    picture = load(paths[0], "plate")
    picture.source = "SEQUENCE"
    user = show(picture, field).image_user
    user.frame_duration, user.use_auto_refresh = FRAMES, True
    return paths, 'Image "plate"'


@builder("Shot")
def image_tiles(field: int) -> tuple[list[Path], str]:
    paths = [png(FILM / "udim" / f"skin.{tile}.png", colour(field + tile)) for tile in (1001, 1002)]
    png(FILM / "udim" / "skin.1003.png", (1, 1, 1))  # no tile of this image
    return paths, _tiled(paths[0], "skin.<UDIM>.png", "skin", field)


@builder("Shot")
def image_tiles_by_row(field: int) -> tuple[list[Path], str]:
    paths = [png(FILM / "udim" / f"scale_u{column}_v1.png", colour(field + column)) for column in (1, 2)]
    return paths, _tiled(paths[0], "scale_<UVTILE>.png", "scale", field)


def _tiled(first: Path, pattern: str, name: str, field: int) -> str:
    picture = load(first, name)
    picture.source = "TILED"
    picture.filepath = relative(first.with_name(pattern))
    while len(picture.tiles) > 1:
        picture.tiles.remove(picture.tiles[1])
    picture.tiles[0].number = 1001
    picture.tiles.new(1002)
    show(picture, field)
    for uv in bpy.data.objects[name].data.uv_layers[0].data:
        uv.uv[0] *= 2
    return f'Image "{name}"'


@builder("Shot")
def image_movie(field: int) -> tuple[list[Path], str]:
    path = movie(FILM / "clips" / "loop.mkv", png(PROJECT / "scratch" / "loop.png", colour(field)))
    picture = load(path, "loop")
    user = show(picture, field).image_user
    user.frame_duration, user.use_auto_refresh = FRAMES, True
    return [path], 'Image "loop"'


@builder(None)
def image_packed(field: int) -> tuple[list[Path], str]:
    path = png(FILM / "textures" / "packed.png", colour(field))
    picture = load(path, "packed")
    picture.pack()
    show(picture, field)
    return [], ""


@builder(None)
def image_unused(field: int) -> tuple[list[Path], str]:
    """Loaded, and used by nothing: it is not even saved."""
    load(png(FILM / "textures" / "unused.png", colour(field)), "unused").use_fake_user = False
    return [], ""


@builder(None)
def image_by_fake_user(field: int) -> tuple[list[Path], str]:
    path = png(FILM / "textures" / "kept.png", colour(field))
    load(path, "kept")
    return [path], 'Image "kept"'


@builder("Shot")
def world(field: int) -> tuple[list[Path], str]:
    """Shows where nothing else does, and in a field left empty."""
    path = png(FILM / "textures" / "sky.png", colour(field))
    sky = bpy.context.scene.world = bpy.data.worlds.new("Sky")
    sky.use_nodes = True
    tree: Any = sky.node_tree
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image = load(path, "sky")
    background = next(each for each in tree.nodes if each.bl_idname == "ShaderNodeBackground")
    tree.links.new(texture.outputs[0], background.inputs["Color"])
    return [path], 'Image "sky"'


@builder(None)
def camera_backgrounds(field: int) -> tuple[list[Path], str]:
    """Seen by the artist alone."""
    path = png(FILM / "textures" / "guide.png", colour(field))
    bpy.context.scene.camera.data.background_images.new().image = load(path, "guide")
    return [path], 'Image "guide"'


# Compositor


@builder("Shot")
def compositor_image(field: int) -> tuple[list[Path], str]:
    path = png(FILM / "plates" / "grade.png", colour(field), field)
    composited("CompositorNodeImage").image = load(path, "grade")
    return [path], 'Image "grade"'


@builder("Shot")
def clip(field: int) -> tuple[list[Path], str]:
    path = movie(FILM / "clips" / "take.mkv", png(PROJECT / "scratch" / "take.png", colour(field), field))
    _clip(path, "take", composite=True)
    return [path], 'Movie clip "take"'


@builder("Shot")
def clip_sequence(field: int) -> tuple[list[Path], str]:
    paths = [png(FILM / "plates" / f"scan.{n:03}.png", colour(field + n), field) for n in range(1, FRAMES + 1)]
    _clip(paths[0], "scan", composite=True)
    return paths, 'Movie clip "scan"'


@builder(None)
def camera_background_clip(field: int) -> tuple[list[Path], str]:
    path = movie(FILM / "clips" / "match.mkv", png(PROJECT / "scratch" / "match.png", colour(field)))
    background = bpy.context.scene.camera.data.background_images.new()
    background.source = "MOVIE_CLIP"
    background.clip = _clip(path, "match", composite=False)
    return [path], 'Movie clip "match"'


def _clip(path: Path, name: str, *, composite: bool) -> Any:
    found = bpy.data.movieclips.load(str(path))
    found.name = name
    found.filepath = relative(path)
    if composite:
        composited("CompositorNodeMovieClip").clip = found
    return found


# Sequencer


@builder("Edit")
def strip_image(field: int) -> tuple[list[Path], str]:
    """Frames that are no sequence by their names."""
    names = ["begin.png", "middle.png", "end.png"]
    paths = [png(FILM / "edit" / name, colour(field + number), field) for number, name in enumerate(names)]
    strip = strips(bpy.data.scenes["Edit"]).new_image("cut", str(paths[0]), 2, 1)
    for name in names[1:]:
        strip.elements.append(name)
    strip.directory = relative(FILM / "edit") + "/"
    strip.blend_type = "ADD"
    return paths, 'Strip "cut" of "Edit"'


@builder("Edit")
def strip_movie(field: int) -> tuple[list[Path], str]:
    path = movie(FILM / "edit" / "title.mkv", png(PROJECT / "scratch" / "title.png", colour(field), field))
    strip = strips(bpy.data.scenes["Edit"]).new_movie("title", str(path), 3, 1)
    strip.filepath = relative(path)
    strip.blend_type = "ADD"
    return [path], 'Strip "title" of "Edit"'


@builder(None)
def strip_sound(_field: int) -> tuple[list[Path], str]:
    if not BUILT_WITH.audaspace:
        raise Skip("this Blender was built without sound")
    path = wav(FILM / "sound" / "beep.wav")
    sound = strips(bpy.data.scenes["Edit"]).new_sound("beep", str(path), 4, 1).sound
    sound.filepath = relative(path)
    return [path], 'Sound "beep.wav"'


# Geometry


@builder("Shot")
def font(field: int) -> tuple[list[Path], str]:
    path = FILM / "fonts" / "mono.woff2"
    path.parent.mkdir()
    resource: Any = bpy.utils.system_resource  # type: ignore[attr-defined]  # the stubs have no such function
    shutil.copy(Path(resource("DATAFILES"), "fonts", "DejaVuSansMono.woff2"), path)
    vector_font = bpy.data.fonts.load(str(path))
    vector_font.filepath = relative(path)
    curve: Any = bpy.data.curves.new("Text", "FONT")
    curve.body, curve.font, curve.size = "Wi", vector_font, 0.7
    item = bpy.data.objects.new("Text", curve)
    item.location = (centre(field)[0] - 0.45, centre(field)[1] - 0.3, 0)
    bpy.context.scene.collection.objects.link(item)
    coloured(item, field)
    return [path], f'Font "{vector_font.name}"'


@builder("Shot")
def mesh_cache_mdd(field: int) -> tuple[list[Path], str]:
    item, points = _far_plane("Flag", field)
    path = mdd(FILM / "cache" / "flag.mdd", [points] * FRAMES)
    return _mesh_cache(item, path, "MDD")


@builder("Shot")
def mesh_cache_pc2(field: int) -> tuple[list[Path], str]:
    item, points = _far_plane("Sail", field)
    path = pc2(FILM / "cache" / "sail.pc2", [points] * FRAMES)
    return _mesh_cache(item, path, "PC2")


def _far_plane(name: str, field: int) -> tuple[Any, list[tuple[float, float, float]]]:
    """A plane beside the board, and its points if it were in the field."""
    item = coloured(plane(name, field, at=(-5, -5)), field)
    x, y = centre(field)
    return item, [(point.co[0] + 5 + x, point.co[1] + 5 + y, 0) for point in item.data.vertices]


def _mesh_cache(item: Any, path: Path, file_format: str) -> tuple[list[Path], str]:
    modifier = item.modifiers.new("Cache", "MESH_CACHE")
    modifier.cache_format = file_format
    modifier.filepath = relative(path)
    return [path], f'Modifier "Cache" of "{item.name}"'


@builder("Shot")
def alembic(field: int) -> tuple[list[Path], str]:
    path = FILM / "cache" / "kite.abc"
    _alembic_file(path, "Kite", field)
    return [path], _cached(path, "Kite", field)


@builder("Shot")
def alembic_sequence(field: int) -> tuple[list[Path], str]:
    paths = [FILM / "cache" / f"wave_{number:04}.abc" for number in range(1, FRAMES + 1)]
    for number, path in enumerate(paths, start=1):
        _alembic_file(path, "Wave", field, lift=number * 0.1)
    owner = _cached(paths[0], "Wave", field)
    bpy.data.cache_files[-1].is_sequence = True
    return paths, owner


def _alembic_file(path: Path, name: str, field: int, lift: float = 0) -> None:
    if not BUILT_WITH.alembic:
        raise Skip("this Blender was built without Alembic")
    item = plane(name, field, at=(centre(field)[0] + lift, centre(field)[1]))
    with acting_on(item):
        bpy.ops.wm.alembic_export(filepath=str(path), start=1, end=1, selected=True, flatten=True)
    bpy.data.meshes.remove(item.data)


@builder("Shot")
def usd(field: int) -> tuple[list[Path], str]:
    if not BUILT_WITH.usd:
        raise Skip("this Blender was built without USD")
    path = FILM / "cache" / "rock.usdc"
    item = plane("Rock", field)
    with acting_on(item):
        bpy.ops.wm.usd_export(filepath=str(path), selected_objects_only=True, export_materials=False)
    bpy.data.meshes.remove(item.data)
    return [path], _cached(path, "Rock", field, "/root/Rock/Rock")


def _cached(path: Path, name: str, field: int, inside: str = "") -> str:
    """A plane beside the board that takes its shape from an Alembic or USD file."""
    bpy.ops.cachefile.open(filepath=str(path))
    cache = bpy.data.cache_files[path.name]
    cache.filepath = relative(path)
    item = coloured(plane(f"{name} read", field, at=(-5, -5)), field)
    modifier = item.modifiers.new("Read", "MESH_SEQUENCE_CACHE")
    modifier.cache_file = cache
    modifier.object_path = inside or f"/{name}/{name}"
    return f'Cache file "{cache.name}"'


@builder("Shot")
def volume(field: int) -> tuple[list[Path], str]:
    return _volume("Fog", ["fog.vdb"], field)


@builder("Shot")
def volume_sequence(field: int) -> tuple[list[Path], str]:
    return _volume("Smoke", [f"smoke_{number:03}.vdb" for number in range(1, FRAMES + 1)], field)


def _volume(name: str, names: list[str], field: int) -> tuple[list[Path], str]:
    if VERSION < (4, 3):
        raise Skip("before 4.3 nothing in Blender writes OpenVDB but a fluid's bake")
    paths = [FILM / "volumes" / each for each in names]
    paths[0].parent.mkdir(exist_ok=True)
    for number, path in enumerate(paths):
        fog(path, density=1 + number % 2)
    data = bpy.data.volumes.new(name)
    data.filepath = relative(paths[0])
    if len(paths) > 1:
        data.is_sequence, data.frame_duration = True, FRAMES
    data.materials.append(foggy(name, colour(field)))
    item = bpy.data.objects.new(name, data)
    item.location = (*centre(field), 0.5)
    item.scale = (0.4, 0.4, 0.4)
    bpy.context.scene.collection.objects.link(item)
    return paths, f'Volume "{name}"'


def fog(path: Path, density: float) -> None:
    """A cube of fog from -1 to 1, as OpenVDB: what a bake of such a cube leaves."""
    item = plane("Fog", 0)
    modifier, tree, _, end = geometry(item, "Fog")
    cube, bake = tree.nodes.new("GeometryNodeVolumeCube"), tree.nodes.new("GeometryNodeBake")
    for name in ("Resolution X", "Resolution Y", "Resolution Z"):
        cube.inputs[name].default_value = 4
    cube.inputs["Density"].default_value = density
    baked(modifier, tree, bake, cube.outputs[0], end, path.parent / "bake")
    next((path.parent / "bake" / "blobs").glob("*.vdb")).rename(path)
    shutil.rmtree(path.parent / "bake")
    bpy.data.meshes.remove(item.data)


def foggy(name: str, rgb: tuple[float, float, float]) -> Any:
    """A material for what is in an OpenVDB file."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree: Any = material.node_tree
    tree.nodes.clear()
    node = tree.nodes.new("ShaderNodeVolumePrincipled")
    node.inputs["Emission Color"].default_value = (*rgb, 1)
    node.inputs["Emission Strength"].default_value = 1
    tree.links.new(node.outputs[0], tree.nodes.new("ShaderNodeOutputMaterial").inputs["Volume"])
    return material


def baked(modifier: Any, tree: Any, bake: Any, source: Any, end: Any, folder: Path) -> None:
    """Bake what comes from the socket `source` into `folder`, with the node `bake` between it and `end`."""
    if not bake.bake_items:  # since 5.0
        bake.bake_items.new("GEOMETRY", "Geometry")
    tree.links.new(source, bake.inputs[0])
    tree.links.new(bake.outputs[0], end)
    entry = modifier.bakes[0]
    entry.use_custom_path, entry.directory, entry.bake_mode = True, str(folder), "STILL"
    if hasattr(entry, "bake_target"):
        entry.bake_target = "DISK"
    item = modifier.id_data
    with acting_on(item):
        bpy.ops.object.geometry_node_bake_single(
            session_uid=item.session_uid, modifier_name=modifier.name, bake_id=entry.bake_id
        )


@builder("Shot")
def multires(field: int) -> tuple[list[Path], str]:
    """Displacements in a file of their own; they are pulled from another mesh."""
    item = coloured(plane("Cliff", field), field)
    modifier = item.modifiers.new("Multires", "MULTIRES")
    with acting_on(item):
        bpy.ops.object.multires_subdivide(modifier="Multires", mode="SIMPLE")
    shape: Any = item.copy()
    shape.data = item.data.copy()
    bpy.context.scene.collection.objects.link(shape)
    with acting_on(shape):
        bpy.ops.object.modifier_apply(modifier="Multires")
    for point in shape.data.vertices:
        point.co.x = centre(field)[0]
    path = FILM / "cache" / "cliff.btx"
    with acting_on(item, selected_editable_objects=[item, shape]):
        shape.select_set(True)
        bpy.ops.object.multires_reshape(modifier="Multires")
        bpy.ops.object.multires_external_save(filepath=str(path), modifier="Multires")
    bpy.data.meshes.remove(shape.data)
    modifier.filepath = relative(path)
    return [path], 'Modifier "Multires" of "Cliff"'


# Simulations


@builder("Shot")
def cloth(field: int) -> tuple[list[Path], str]:
    modifier = _cloth("Cape", field)
    with acting_on(modifier.id_data, scene=bpy.context.scene, point_cache=modifier.point_cache):
        bpy.ops.ptcache.bake(bake=True)
    return sorted((SHOTS / "blendcache_shot").glob("cape_*.bphys")), 'Modifier "Cloth" of "Cape"'


@builder("Shot")
def cloth_without_a_name(field: int) -> tuple[list[Path], str]:
    """Called by its object's name, in hexadecimal digits."""
    modifier = _cloth("Veil", field)
    modifier.point_cache.name = ""
    with acting_on(modifier.id_data, scene=bpy.context.scene, point_cache=modifier.point_cache):
        bpy.ops.ptcache.bake(bake=True)
    return sorted((SHOTS / "blendcache_shot").glob("5665696C_*.bphys")), 'Modifier "Cloth" of "Veil"'


@builder("Shot")
def cloth_external(field: int) -> tuple[list[Path], str]:
    modifier = _cloth("Robe", field)
    with acting_on(modifier.id_data, scene=bpy.context.scene, point_cache=modifier.point_cache):
        bpy.ops.ptcache.bake(bake=True)
    folder = PROJECT / "elsewhere" / "robe"
    folder.mkdir(parents=True)
    for path in (SHOTS / "blendcache_shot").glob("robe_*.bphys"):
        path.rename(folder / path.name)
    modifier.point_cache.use_external = True
    modifier.point_cache.index = 0
    modifier.point_cache.filepath = str(folder)
    modifier.point_cache.name = "robe"
    return files(folder), 'Modifier "Cloth" of "Robe"'


def _cloth(name: str, field: int) -> Any:
    """A plane that falls sideways into the field until frame 2."""
    x, y = centre(field)
    item = coloured(plane(name, field, at=(x - 0.5, y), cuts=2), field)
    modifier = item.modifiers.new("Cloth", "CLOTH")
    modifier.settings.effector_weights.gravity = 60
    cache = modifier.point_cache
    cache.name = name.lower()
    cache.frame_end = FRAMES
    cache.use_disk_cache = True
    return modifier


@builder("Shot")
def particles(field: int) -> tuple[list[Path], str]:
    item = plane("Snow", field)
    item.show_instancer_for_render = False
    flake = coloured(plane("Flake", field, at=(0, 0)), field)
    flake.location.x = -5
    system = item.modifiers.new("Snow", "PARTICLE_SYSTEM").particle_system
    settings = system.settings
    settings.count, settings.frame_start, settings.frame_end, settings.lifetime = 5, 1, 1, 100
    settings.render_type, settings.instance_object, settings.particle_size = "OBJECT", flake, 0.5
    cache = system.point_cache
    cache.name, cache.use_disk_cache, cache.frame_end = "snow", True, FRAMES
    with acting_on(item, scene=bpy.context.scene, point_cache=cache):
        bpy.ops.ptcache.bake(bake=True)
    return sorted((SHOTS / "blendcache_shot").glob("snow_*.bphys")), 'Modifier "Snow" of "Snow"'


@builder("Shot")
def simulation_bake(field: int) -> tuple[list[Path], str]:
    x, y = centre(field)
    item = coloured(plane("Ball", field, at=(x - 40, y)), field)
    modifier, tree, start, end = geometry(item, "Fly")
    begin, stop = tree.nodes.new("GeometryNodeSimulationInput"), tree.nodes.new("GeometryNodeSimulationOutput")
    begin.pair_with_output(stop)
    move = tree.nodes.new("GeometryNodeSetPosition")
    move.inputs["Offset"].default_value = (20, 0, 0)
    tree.links.new(start, begin.inputs["Geometry"])
    tree.links.new(begin.outputs["Geometry"], move.inputs["Geometry"])
    tree.links.new(move.outputs["Geometry"], stop.inputs["Geometry"])
    tree.links.new(stop.outputs["Geometry"], end)
    folder = FILM / "bakes" / "ball"
    modifier.bake_directory = relative(folder)
    if hasattr(modifier, "bake_target"):
        modifier.bake_target = "DISK"
    with acting_on(item):
        bpy.ops.object.simulation_nodes_cache_bake(selected=True)
    move.inputs["Offset"].default_value = (0, 0, 0)
    return files(folder), 'Modifier "Fly" of "Ball"'


@builder("Shot")
def geometry_bake(field: int) -> tuple[list[Path], str]:
    item = coloured(plane("Tree", field), field)
    modifier, tree, start, end = geometry(item, "Grow")
    bake, move = tree.nodes.new("GeometryNodeBake"), tree.nodes.new("GeometryNodeSetPosition")
    tree.links.new(start, move.inputs["Geometry"])
    folder = PROJECT / "elsewhere" / "tree"
    baked(modifier, tree, bake, move.outputs["Geometry"], end, folder)
    move.inputs["Offset"].default_value = (-50, 0, 0)
    return files(folder), 'Modifier "Grow" of "Tree"'


@builder("Shot")
def fluid(field: int) -> tuple[list[Path], str]:
    if not IS_PROGRAM:
        raise Skip("the wheel's Mantaflow ends the process when it bakes")
    if VERSION < (5, 0):
        raise Skip("Debian's Blender 4.3 aborts on a fluid domain")
    bpy.ops.mesh.primitive_cube_add(size=0.8, location=(*centre(field), 0.5))
    domain: Any = bpy.context.object
    settings = _fluid(domain, "DOMAIN").domain_settings
    settings.cache_directory = relative(FILM / "cache" / "smoke")
    settings.resolution_max, settings.cache_frame_end = 8, FRAMES
    settings.cache_type, settings.cache_data_format = "ALL", "OPENVDB"
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.3, location=(*centre(field), 0.5))
    source: Any = bpy.context.object
    source.hide_render = True
    flow = _fluid(source, "FLOW").flow_settings
    flow.flow_type, flow.flow_behavior = "SMOKE", "INFLOW"
    domain.data.materials.append(foggy("Smoke", colour(field)))
    with acting_on(domain, scene=bpy.context.scene):
        bpy.ops.fluid.bake_all()
    return files(FILM / "cache" / "smoke"), f'Modifier "Fluid" of "{domain.name}"'


def _fluid(item: Any, fluid_type: str) -> Any:
    modifier = item.modifiers.new("Fluid", "FLUID")
    modifier.fluid_type = fluid_type
    return modifier


# Shaders


@builder("Shot")
def ies_profile(field: int) -> tuple[list[Path], str]:
    path = ies(FILM / "lights" / "spot.ies")
    item = plane("Stage", field)
    item.data.materials.append(bpy.data.materials.new("Matte"))
    light: Any = bpy.data.lights.new("Spot", "POINT")
    light.use_nodes = True
    light.energy = 1
    node = light.node_tree.nodes.new("ShaderNodeTexIES")
    node.mode, node.filepath = "EXTERNAL", relative(path)
    glow = next(each for each in light.node_tree.nodes if each.bl_idname == "ShaderNodeEmission")
    light.node_tree.links.new(node.outputs[0], glow.inputs["Strength"])
    lamp = bpy.data.objects.new("Spot", light)
    lamp.location = (*centre(field), 0.6)
    bpy.context.scene.collection.objects.link(lamp)
    return [path], 'Point light "Spot"'


@builder("Shot" if BUILT_WITH.cycles_osl else None)
def osl_script(field: int) -> tuple[list[Path], str]:
    path = FILM / "shaders" / "paint.osl"
    path.parent.mkdir()
    red, green, blue = colour(field)
    path.write_text(f"shader paint(output color Paint = color({red}, {green}, {blue})) {{ }}\n", encoding="ascii")
    item = plane("Painted", field)
    material = glowing("Paint", (0, 0, 0))
    item.data.materials.append(material)
    node = material.node_tree.nodes.new("ShaderNodeScript")
    node.mode, node.filepath = "EXTERNAL", relative(path)
    paths = [path]
    if BUILT_WITH.cycles_osl:  # Else Cycles takes the node for black.
        import _cycles  # type: ignore[import-not-found]  # noqa: PLC0415 - only there with the render engine

        bpy.context.scene.cycles.shading_system = True
        paths.append(path.with_suffix(".oso"))
        assert _cycles.osl_compile(*map(str, paths))
    output = node.outputs.new("NodeSocketColor", "Paint")
    glow = next(each for each in material.node_tree.nodes if each.bl_idname == "ShaderNodeEmission")
    material.node_tree.links.new(output, glow.inputs["Color"])
    return paths, 'Material "Paint"'


# Geometry nodes that read files


@builder("Shot")
def import_node(field: int) -> tuple[list[Path], str]:
    path = FILM / "models" / "tile.obj"
    tree = _import(field, "Tile", relative(path))
    obj(path, *centre(field))
    return [path], f'Node group "{tree.name}"'


@builder("Shot")
def import_by_modifier(field: int) -> tuple[list[Path], str]:
    """The path is an input of the node group."""
    path = FILM / "models" / "slab.obj"
    tree = _import(field, "Slab", "")
    obj(path, *centre(field))
    socket = tree.interface.new_socket("Path", in_out="INPUT", socket_type="NodeSocketString")
    node = next(each for each in tree.nodes if each.bl_idname == "GeometryNodeImportOBJ")
    given = next(each for each in tree.nodes if each.bl_idname == "NodeGroupInput").outputs["Path"]
    tree.links.new(given, node.inputs[0])
    modifier: Any = bpy.data.objects["Slab"].modifiers[0]
    if hasattr(modifier, "properties"):
        getattr(modifier.properties.inputs, socket.identifier).value = relative(path)
    else:
        modifier[socket.identifier] = relative(path)
    return [path], f'Modifier "{modifier.name}" of "Slab"'


def _import(field: int, name: str, path: str) -> Any:
    if VERSION < (4, 5):
        raise Skip("nodes that read files came with Blender 4.5")
    item = coloured(plane(name, field, at=(-5, -5)), field)
    _, tree, _, end = geometry(item, name)
    node = tree.nodes.new("GeometryNodeImportOBJ")
    node.inputs[0].default_value = path
    paint = tree.nodes.new("GeometryNodeSetMaterial")
    paint.inputs["Material"].default_value = item.data.materials[0]
    realize = tree.nodes.new("GeometryNodeRealizeInstances")
    tree.links.new(node.outputs[0], realize.inputs[0])
    tree.links.new(realize.outputs[0], paint.inputs["Geometry"])
    tree.links.new(paint.outputs[0], end)
    return tree


# Libraries, each with a texture of its own beside it


LIBRARIES = {
    "parts": FILM / "lib" / "parts" / "parts.blend",
    "props": FILM / "lib" / "props.blend",
    "bolts": PROJECT / "elsewhere" / "small" / "bolts.blend",
    "stock": PROJECT / "elsewhere" / "stock.blend",
    "kit": FILM / "lib" / "kit" / "kit.blend",
    "gone": PROJECT / "gone" / "gone.blend",
}
NESTED = {"props": "parts", "stock": "bolts"}
"""Library to what it links. The shot links props, and props links parts, by relative paths; the others are linked by
absolute ones."""
TEXTURES = {name: path.parent / "tex" / f"{name}.png" for name, path in LIBRARIES.items()} | {
    "parts": PROJECT / "elsewhere" / "parts.png"
}
"""That of parts is named by an absolute path, the others beside their libraries."""


@builder("Shot")
def library(field: int) -> tuple[list[Path], str]:
    _instance("props", field)
    return [LIBRARIES["props"]], 'Library "props.blend"'


@builder(None)
def library_texture(_field: int) -> tuple[list[Path], str]:
    return [TEXTURES["props"]], 'Image "props"'


@builder(None)
def library_indirect(_field: int) -> tuple[list[Path], str]:
    return [LIBRARIES["parts"]], 'Library "parts.blend"'


@builder(None)
def library_indirect_texture(_field: int) -> tuple[list[Path], str]:
    return [TEXTURES["parts"]], 'Image "parts"'


@builder("Shot")
def library_elsewhere(field: int) -> tuple[list[Path], str]:
    _instance("stock", field)
    return [LIBRARIES["stock"]], 'Library "stock.blend"'


@builder(None)
def library_elsewhere_texture(_field: int) -> tuple[list[Path], str]:
    return [TEXTURES["stock"]], 'Image "stock"'


@builder(None)
def library_elsewhere_indirect(_field: int) -> tuple[list[Path], str]:
    return [LIBRARIES["bolts"]], 'Library "bolts.blend"'


@builder(None)
def library_elsewhere_indirect_texture(_field: int) -> tuple[list[Path], str]:
    return [TEXTURES["bolts"]], 'Image "bolts"'


@builder("Shot")
def library_packed(field: int) -> tuple[list[Path], str]:
    """The library's data is in the .blend, what that uses is not."""
    if VERSION < (5, 0):
        raise Skip("linked data can be packed since Blender 5.0")
    _instance("kit", field, pack=True)
    return [TEXTURES["kit"]], 'Image "kit"'


def _instance(name: str, field: int, **options: bool) -> None:
    link(name, **options)
    item = bpy.data.objects.new(f"{name} instance", None)
    item.instance_type, item.instance_collection = "COLLECTION", bpy.data.collections[name]
    item.location = (field % COLUMNS, field // COLUMNS, 0)
    bpy.context.scene.collection.objects.link(item)


def link(name: str, **options: bool) -> None:
    libraries: Any = bpy.data.libraries
    path = LIBRARIES[name]
    with libraries.load(str(path), link=True, relative=path.is_relative_to(FILM), **options) as (_, wanted):
        wanted.collections = [name]


def make_libraries() -> None:
    """Each has a collection with a plane in field 0; one with another nested in it shares the field with that."""
    for number, (name, path) in enumerate(LIBRARIES.items()):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        picture = bpy.data.images.load(str(png(TEXTURES[name], colour(number + 3))))
        picture.name = name
        if TEXTURES[name].is_relative_to(path.parent):
            picture.filepath = f"//tex/{name}.png"
        show(picture, 0)
        item = bpy.data.objects[name]
        collection = bpy.data.collections.new(name)
        bpy.context.scene.collection.children.link(collection)
        collection.objects.link(item)
        bpy.context.scene.collection.objects.unlink(item)
        if inner := NESTED.get(name):
            item.scale.x = 0.5
            link(inner)
            instance = bpy.data.objects.new(inner, None)
            instance.instance_type, instance.instance_collection = "COLLECTION", bpy.data.collections[inner]
            instance.scale.x, instance.location.x = 0.5, 0.5
            collection.objects.link(instance)
        bpy.ops.wm.save_mainfile(compress=name == "props")


# The missing


@builder(None)
def missing(field: int) -> tuple[list[Path], str]:
    show(load(png(FILM / "textures" / "lost.png", colour(field)), "lost"), field)
    _instance("gone", field)
    return [], ""


MISSING = {'Image "lost"': FILM / "textures" / "lost.png", 'Library "gone.blend"': LIBRARIES["gone"]}


def set_up() -> Any:
    """An empty board, saved, and the scene of the sequencer beside it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene: Any = bpy.context.scene
    scene.name = "Shot"
    lens: Any = bpy.data.cameras.new("Camera")
    lens.type, lens.ortho_scale = "ORTHO", COLUMNS
    camera = bpy.data.objects.new("Camera", lens)
    camera.location = (COLUMNS / 2, COLUMNS / 2, 10)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.gravity = (9.81, 0, 0)
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.seed, scene.cycles.use_denoising = 1, 7, False
    scene.cycles.use_adaptive_sampling = False
    edit: Any = bpy.data.scenes.new("Edit")
    for each in (scene, edit):
        each.render.resolution_x = each.render.resolution_y = COLUMNS * FIELD_PIXELS
        each.render.image_settings.file_format = "OPEN_EXR"
        each.render.image_settings.color_depth = "32"
        each.frame_start, each.frame_end = 1, FRAMES
    black = effect(strips(edit), "Black", "COLOR", 1, FRAMES)
    black.color = (0, 0, 0)
    bpy.ops.wm.save_as_mainfile(filepath=str(BLEND))
    return scene


def main() -> None:
    make_libraries()
    SHOTS.mkdir(parents=True)
    scene = set_up()
    for field, (name, (build, picture)) in enumerate(BUILDERS.items()):
        try:
            paths, owner = build(field)
        except Skip as reason:
            skipped[name] = str(reason)
            continue
        assert all(path.is_file() for path in paths), (name, paths)
        below = [path.relative_to(PROJECT).as_posix() for path in paths]
        expected[name] = {"files": below, "owner": owner, "field": field, "picture": picture}
    scene.frame_set(2)
    bpy.data.scenes["Edit"].frame_set(2)
    bpy.ops.wm.save_mainfile()
    for path in MISSING.values():
        path.unlink()
    lost = {owner: path.relative_to(PROJECT).as_posix() for owner, path in MISSING.items()}
    told = {"kinds": expected, "skipped": skipped, "missing": lost, "fields": [COLUMNS, FIELD_PIXELS]}
    (PROJECT / "expected.json").write_text(json.dumps(told, indent=1), encoding="utf-8")


main()
