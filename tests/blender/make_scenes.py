# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the .blend files of the tests, in one run inside Blender: FOLDER/<name>/<name>.blend for every scene below.

All pictures are tiny, all paths relative, and no metadata holds a time: what two renders of a frame write is then
equal to the last byte, or one of them is wrong.
"""

import os
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

FOLDER = Path(os.environ["SCENES"])
BLENDER_5 = bpy.app.version >= (5, 0)

Build = Callable[[Any], None]
BUILDERS: dict[str, Build] = {}


def builder(build: Build) -> Build:
    BUILDERS[build.__name__] = build
    return build


@builder
def cycles_png(scene: Any) -> None:
    cycles(scene)
    scene.render.filepath = "//out/shot_###"


@builder
def cycles_exr(scene: Any) -> None:
    cycles(scene)
    picture(scene, "OPEN_EXR")
    scene.render.image_settings.color_depth = "32"
    scene.view_settings.exposure = 1.5


@builder
def workbench_png(scene: Any) -> None:
    scene.render.filepath = "//out/wb"
    scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "16"


@builder
def workbench_exr(scene: Any) -> None:
    picture(scene, "OPEN_EXR")


@builder
def workbench_jpeg(scene: Any) -> None:
    picture(scene, "JPEG")
    scene.render.image_settings.color_management = "OVERRIDE"
    scene.render.image_settings.view_settings.exposure = -1


@builder
def eevee(scene: Any) -> None:
    scene.render.engine = "BLENDER_EEVEE" if BLENDER_5 else "BLENDER_EEVEE_NEXT"
    scene.eevee.taa_render_samples = 1


@builder
def layers(scene: Any) -> None:
    """Two view layers in one multilayer EXR."""
    cycles(scene)
    second = scene.view_layers.new("Second")
    second.use_pass_z = True
    second.material_override = bpy.data.materials.new("Grey")
    picture(scene, "OPEN_EXR_MULTILAYER")
    scene.render.filepath = "//out/layers."


@builder
def stereo(scene: Any) -> None:
    scene.render.use_multiview = True
    scene.render.image_settings.views_format = "INDIVIDUAL"
    scene.render.filepath = "//out/eye_##"


@builder
def stereo_packed(scene: Any) -> None:
    scene.render.use_multiview = True
    scene.render.image_settings.views_format = "STEREO_3D"
    scene.render.image_settings.stereo_3d_format.display_mode = "SIDEBYSIDE"


@builder
def stereo_exr(scene: Any) -> None:
    """Both views in one EXR."""
    scene.render.use_multiview = True
    picture(scene, "OPEN_EXR_MULTILAYER")
    scene.render.image_settings.views_format = "MULTIVIEW"


@builder
def compositor(scene: Any) -> None:
    """File Output nodes: plain, multilayer, in a nested group, muted; their names hold folders and frame numbers."""
    tree = composite(scene)
    nested: Any = bpy.data.node_groups.new("Nested", "CompositorNodeTree")
    group = tree.nodes.new("CompositorNodeGroup")
    group.node_tree = nested
    for in_out in ("INPUT", "OUTPUT"):
        nested.interface.new_socket("Image", in_out=in_out, socket_type="NodeSocketColor")
    inside = nested.nodes.new("NodeGroupInput").outputs[0]
    nested.links.new(inside, nested.nodes.new("NodeGroupOutput").inputs[0])
    file_output(nested, inside, "//nested", "inner_", "PNG")
    layers = tree.nodes["Render Layers"]
    end = tree.nodes["Group Output" if BLENDER_5 else "Composite"]
    tree.links.new(layers.outputs["Image"], group.inputs[0])
    tree.links.new(group.outputs[0], end.inputs[0])
    file_output(tree, layers.outputs["Image"], "//passes/", "deep/beauty_##_", "PNG")
    file_output(tree, layers.outputs["Alpha"], "//passes/", "alpha", "OPEN_EXR")
    file_output(tree, layers.outputs["Alpha"], "//multi/all_", "Layer", "OPEN_EXR_MULTILAYER")
    muted = file_output(tree, layers.outputs["Image"], "//muted/", "never", "PNG")
    muted.mute = True


@builder
def worth_a_draft(scene: Any) -> None:
    """Enough pixels and samples for a draft, with a compositor and a File Output node."""
    cycles(scene)
    scene.cycles.samples = 34
    scene.render.resolution_x, scene.render.resolution_y = 400, 300
    tree = composite(scene)
    file_output(tree, tree.nodes["Render Layers"].outputs["Image"], "//passes/", "beauty", "PNG")


@builder
def split_layers(scene: Any) -> None:
    """Two view layers with passes in a multilayer EXR, noise that adaptive sampling looks at, an odd number of rows."""
    layers(scene)
    scene.render.image_settings.color_depth = "32"
    scene.render.image_settings.exr_codec = "NONE"
    scene.cycles.samples = 160
    scene.cycles.adaptive_threshold = 0.03
    scene.cycles.adaptive_min_samples = 16
    scene.render.resolution_x, scene.render.resolution_y = 231, 163
    scene.render.resolution_percentage = 90
    scene.camera.data.dof.use_dof = True
    scene.camera.data.dof.aperture_fstop = 0.5


@builder
def compositor_only(scene: Any) -> None:
    """A compositor that changes the picture."""
    composite(scene, "CompositorNodeInvert")


@builder
def sequencer(scene: Any) -> None:
    scene.render.use_sequencer = True
    strips = sequence(scene)
    blue = effect(strips, "Blue", "COLOR", 1, 100)
    blue.color = (0.1, 0.2, 0.8)


@builder
def name_empty(scene: Any) -> None:
    scene.render.filepath = ""


@builder
def name_folder(scene: Any) -> None:
    scene.render.filepath = "//out/"


@builder
def name_bare(scene: Any) -> None:
    """No extension, backslashes, and a # in a folder's name, where it means nothing."""
    scene.render.use_file_extension = False
    scene.render.filepath = "//out\\take#1\\f_####_v2"


@builder
def name_unicode(scene: Any) -> None:
    scene.render.filepath = "//Bilder für Zoë/shot é_##"


@builder
def name_stubs(scene: Any) -> None:
    scene.render.use_placeholder = True
    scene.render.use_overwrite = False


if bpy.app.version >= (4, 5):

    @builder
    def name_template(scene: Any) -> None:
        scene.render.filepath = "//out/{blend_name}/{resolution_x}_{fps}_{{x}}_###"
        tree = composite(scene)
        image = tree.nodes["Render Layers"].outputs["Image"]
        node = file_output(tree, image, "//passes/{blend_name}/", "beauty", "PNG")
        if BLENDER_5:
            node.file_name = "{scene_name}_"


if bpy.app.version >= (4, 5):

    @builder
    def climb_out(scene: Any) -> None:
        scene.render.filepath = "//out/{blend_name}/../../../../up"


@builder
def climb_out_by_node(scene: Any) -> None:
    tree = composite(scene)
    image = tree.nodes["Render Layers"].outputs["Image"]
    node = file_output(tree, image, "//passes/", "../../../up", "PNG")
    if BLENDER_5:
        node.file_name = "../../../"
        node.file_output_items[0].name = "../../up"


@builder
def tiles(scene: Any) -> None:
    cycles(scene)
    scene.cycles.samples = 200
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.tile_size = 64
    scene.render.resolution_x = scene.render.resolution_y = 128


@builder
def no_camera(scene: Any) -> None:
    scene.camera = None


@builder
def gpu(scene: Any) -> None:
    cycles(scene)
    scene.cycles.device = "GPU"


@builder
def missing(scene: Any) -> None:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        image = bpy.data.images.new(name, 4, 4)
        image.source = "FILE"
        image.filepath = f"//textures/{name}"
        image.use_fake_user = True


@builder
def other_engine(scene: Any) -> None:
    class Lux(bpy.types.RenderEngine):
        bl_idname = "LUXCORE"
        bl_label = "Lux"

    bpy.utils.register_class(Lux)
    scene.render.engine = "LUXCORE"


@builder
def two_scenes(scene: Any) -> None:
    second = scene.copy()
    second.name = "Second"
    second.use_fake_user = True
    second.render.resolution_x = 48


@builder
def preview_png(scene: Any) -> None:
    scene.render.resolution_x, scene.render.resolution_y = 400, 300
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.exposure = 1.0


@builder
def preview_png16(scene: Any) -> None:
    preview_png(scene)
    scene.render.image_settings.color_depth = "16"


@builder
def preview_exr(scene: Any) -> None:
    preview_png(scene)
    picture(scene, "OPEN_EXR")


@builder
def preview_layers(scene: Any) -> None:
    preview_png(scene)
    picture(scene, "OPEN_EXR_MULTILAYER")


@builder
def full_disk(scene: Any) -> None:
    """Uncompressed: 1 MB."""
    picture(scene, "OPEN_EXR")
    scene.render.image_settings.exr_codec = "NONE"
    scene.render.resolution_x = scene.render.resolution_y = 360


@builder
def long_render(scene: Any) -> None:
    cycles(scene)
    scene.cycles.samples = 1_000_000
    scene.render.resolution_x = scene.render.resolution_y = 2048


@builder
def speed(scene: Any) -> None:
    """The file of the speed figure: 20 frames, 320x180, 16 samples."""
    cycles(scene)
    scene.cycles.samples = 16
    scene.render.resolution_x, scene.render.resolution_y = 320, 180
    scene.frame_end = 20


@builder
def movie(scene: Any) -> None:
    """H.264 in MP4 with sound, 12 frames."""
    video(scene, "MPEG4", "H264")
    scene.render.filepath = "//out/clip"
    scene.frame_end = 12
    sequence(scene).new_sound("Beep", str(beep()), 1, 1).sound.pack()
    scene.render.ffmpeg.audio_codec = "AAC"


@builder
def movie_alpha(scene: Any) -> None:
    """QuickTime PNG with PCM sound: lossless, with alpha; the file's name is given in full."""
    video(scene, "QUICKTIME", "PNG")
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.film_transparent = True
    scene.render.filepath = "//out/clip.mov"
    scene.frame_end = 6
    sequence(scene).new_sound("Beep", str(beep()), 1, 1).sound.pack()
    scene.render.ffmpeg.audio_codec = "PCM"


if BLENDER_5:

    @builder
    def movie_deep(scene: Any) -> None:
        """FFV1 in Matroska with 10 bits, which movies have since 4.4."""
        video(scene, "MKV", "FFV1")
        scene.render.image_settings.color_depth = "10"
        scene.view_settings.exposure = 0.5
        scene.render.filepath = "//out/"
        scene.frame_end = 6


@builder
def movie_stereo(scene: Any) -> None:
    """A movie for each eye."""
    video(scene, "QUICKTIME", "PNG")
    scene.render.use_multiview = True
    scene.render.image_settings.views_format = "INDIVIDUAL"
    scene.frame_end = 3


@builder
def movie_edit(scene: Any) -> None:
    """A movie out of the sequencer, where the scene is a strip below a colour."""
    movie(scene)
    strips = sequence(scene)
    green = effect(strips, "Green", "COLOR", 1, 5)
    green.color = (0.0, 0.6, 0.1)
    scene.render.use_sequencer = True


def plain(scene: Any) -> None:
    """Workbench, 64x36, an animated cube, PNG."""
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.display.render_aa = "OFF"
    scene.render.resolution_x, scene.render.resolution_y = 64, 36
    scene.render.filepath = "//out/f_"
    for name in ("date", "time", "render_time", "memory", "hostname", "filename"):
        setattr(scene.render, f"use_stamp_{name}", False)
    cube = bpy.data.objects["Cube"]
    cube.keyframe_insert("location", frame=1)
    cube.location.x = 3
    cube.rotation_euler.z = 1
    cube.keyframe_insert("location", frame=20)


def cycles(scene: Any) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 4
    scene.cycles.seed = 7
    scene.cycles.use_denoising = False


def picture(scene: Any, file_format: str) -> None:
    settings = scene.render.image_settings
    if BLENDER_5:
        settings.media_type = "MULTI_LAYER_IMAGE" if file_format == "OPEN_EXR_MULTILAYER" else "IMAGE"
    settings.file_format = file_format


def video(scene: Any, container: str, codec: str) -> None:
    settings = scene.render.image_settings
    if BLENDER_5:
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    scene.render.ffmpeg.format = container
    scene.render.ffmpeg.codec = codec
    scene.render.ffmpeg.constant_rate_factor = "LOSSLESS"
    scene.render.fps = 25


def composite(scene: Any, between: str | None = None) -> Any:
    """Render layers to the output, through a node of type `between`; returns the tree."""
    if BLENDER_5:
        groups: Any = bpy.data.node_groups
        tree = scene.compositing_node_group = groups.new("Compositing", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        end = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        end = tree.nodes.new("CompositorNodeComposite")
    image = tree.nodes.new("CompositorNodeRLayers").outputs["Image"]
    if between:
        node = tree.nodes.new(between)
        tree.links.new(image, node.inputs["Color"])
        image = node.outputs["Color"]
    tree.links.new(image, end.inputs[0])
    return tree


def file_output(tree: Any, socket: Any, directory: str, name: str, file_format: str) -> Any:
    """A File Output node with one item; for a multilayer file `directory` is the file's pattern, as in Blender 4."""
    node = tree.nodes.new("CompositorNodeOutputFile")
    multilayer = file_format == "OPEN_EXR_MULTILAYER"
    if BLENDER_5:
        node.format.media_type = "MULTI_LAYER_IMAGE" if multilayer else "IMAGE"
        node.format.file_format = file_format
        node.directory, node.file_name = (directory, "") if not multilayer else directory.rsplit("/", 1)
        node.file_output_items.clear()
        node.file_output_items.new("FLOAT" if socket.type == "VALUE" else "RGBA", name)
    else:
        node.format.file_format = file_format
        node.base_path = directory
        if multilayer:
            node.layer_slots[0].name = name
        else:
            node.file_slots[0].path = name
    tree.links.new(socket, node.inputs[0])
    return node


def sequence(scene: Any) -> Any:
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def effect(strips: Any, name: str, kind: str, start: int, length: int) -> Any:
    if BLENDER_5:
        return strips.new_effect(name, kind, 1, frame_start=start, length=length)
    return strips.new_effect(name, kind, 1, frame_start=start, frame_end=start + length)


def beep() -> Path:
    path = FOLDER / "beep.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<8000h", *(12000 if i % 40 < 20 else -12000 for i in range(8000))))
    return path


def main() -> None:
    for name, build in BUILDERS.items():
        bpy.ops.wm.read_factory_settings()
        plain(bpy.context.scene)
        build(bpy.context.scene)
        (FOLDER / name).mkdir()
        bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / name / f"{name}.blend"))


main()
