# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes BLEND, which lies in TREE and whose paths lead out of there in every way, and in OUTSIDE what they lead to.

Its picture is a row of walls, each red where it shows the picture that is outside.
"""

import os
from pathlib import Path
from typing import Any

import bpy

OUTSIDE = Path(os.environ["OUTSIDE"])
BLEND = Path(os.environ["BLEND"])
SECRET = OUTSIDE / "secret.png"
CLIMBING = "//" + "../" * 40 + str(OUTSIDE).lstrip("/")
WALLS = {
    "absolute": (str(SECRET), "FILE"),
    "climbing": (CLIMBING + "/secret.png", "FILE"),
    "through the tree": (os.environ["TREE"] + "/../outside/secret.png", "FILE"),
    "tiles": (str(OUTSIDE / "secret.<UDIM>.png"), "TILED"),
    "sequence": (CLIMBING + "/secret.1001.png", "SEQUENCE"),
}
if bpy.app.version >= (5, 0):
    WALLS["packed library"] = ("//secret.png", "FILE")  # beside a library whose data is in the .blend


def make_secrets() -> None:
    image: Any = bpy.data.images.new("made", 4, 4)
    image.generated_color = (1, 0, 0, 1)
    image.file_format = "PNG"
    for name in ("secret.png", "secret.1001.png"):
        image.filepath_raw = str(OUTSIDE / name)
        image.save()
    bpy.data.images.remove(image)
    if "packed library" in WALLS:
        wall("packed library", *WALLS["packed library"])
        packed: Any = bpy.data.objects["packed library"]
        bpy.data.libraries.write(str(OUTSIDE / "packed.blend"), {packed}, path_remap="NONE")
        bpy.data.objects.remove(packed)
    cube = bpy.data.objects["Cube"]
    cube.hide_render = True
    bpy.data.libraries.write(str(OUTSIDE / "secret.blend"), {cube})
    bpy.data.objects.remove(cube)


def wall(name: str, path: str, source: Any) -> None:
    """A square that shines with a picture, to the right of those there are."""
    image = bpy.data.images.load(str(SECRET))
    image.name, image.source, image.filepath = name, source, path
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree: Any = material.node_tree
    texture, glow = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeEmission")
    texture.image = image
    user = texture.image_user
    user.frame_duration, user.frame_offset, user.use_auto_refresh = 1, 1000, True
    end = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeOutputMaterial")
    tree.links.new(texture.outputs[0], glow.inputs[0])
    tree.links.new(glow.outputs[0], end.inputs[0])
    number = list(WALLS).index(name)
    bpy.ops.mesh.primitive_plane_add(size=1, location=(number, 0, 0))
    item: Any = bpy.context.object
    item.name = name
    item.data.materials.append(material)


def more_ways(scene: Any) -> None:
    """A library, packed and not, a strip, a font, and nodes that read files."""
    libraries: Any = bpy.data.libraries
    if "packed library" in WALLS:
        with libraries.load(str(OUTSIDE / "packed.blend"), link=True, pack=True) as (_, wanted):
            wanted.objects = ["packed library"]
        scene.collection.objects.link(wanted.objects[0])
    with libraries.load(str(OUTSIDE / "secret.blend"), link=True) as (_, wanted):
        wanted.objects = ["Cube"]
    scene.collection.objects.link(bpy.data.objects["Cube"])
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strip = strips.new_image("strip", str(SECRET), 1, 1)
    strip.elements[0].filename = "../outside/secret.png"
    strip.directory = str(OUTSIDE / "deep")
    scene.render.use_sequencer = False
    resource: Any = bpy.utils.system_resource  # type: ignore[attr-defined]  # the stubs have no such function
    font = bpy.data.fonts.load(str(Path(resource("DATAFILES"), "fonts", "Inter.woff2")))
    font.filepath, font.use_fake_user = CLIMBING + "/font", True
    if hasattr(bpy.types, "GeometryNodeImportText"):
        groups: Any = bpy.data.node_groups
        tree = groups.new("Read", "GeometryNodeTree")
        tree.use_fake_user = True
        tree.nodes.new("GeometryNodeImportText").inputs[0].default_value = str(SECRET)
        tree.nodes.new("FunctionNodeInputString").string = str(SECRET)


def main() -> None:
    scene: Any = bpy.context.scene
    bpy.ops.wm.save_as_mainfile(filepath=str(BLEND))
    make_secrets()
    for name, (path, source) in WALLS.items():
        if name != "packed library":
            wall(name, path, source)
    more_ways(scene)
    camera = scene.camera
    camera.data.type, camera.data.ortho_scale = "ORTHO", len(WALLS)
    camera.location, camera.rotation_euler = ((len(WALLS) - 1) / 2, 0, 5), (0, 0, 0)
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.resolution_x, scene.render.resolution_y = 8 * len(WALLS), 8
    scene.render.image_settings.file_format = "OPEN_EXR"
    bpy.ops.wm.save_mainfile()


main()
