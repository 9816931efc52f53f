# SPDX-License-Identifier: GPL-3.0-or-later
"""The .blends that are measured, made by the Blender that renders them."""

import os
import subprocess
from pathlib import Path

from server.blenders import Blender

BULK_BYTES = 200_000_000
"""Of a heavy shot: its file is this large."""

_DEFAULT_CUBE = """
import bpy, os
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.render.resolution_x, scene.render.resolution_y = SIZE
scene.render.resolution_percentage = 100
scene.render.filepath = "//frames/shot_####"
scene.cycles.samples, scene.cycles.use_denoising = SAMPLES, False
scene.cycles.use_adaptive_sampling = SAMPLES < 1000  # What is to take for ever must not find itself good enough.
scene.frame_end = FRAMES
cube = bpy.data.objects["Cube"]
if FRAMES > 1:
    cube.keyframe_insert("rotation_euler", frame=1)
    cube.rotation_euler.z = 3
    cube.keyframe_insert("rotation_euler", frame=FRAMES)
if BULK:
    image = bpy.data.images.new("bulk", 1, 1)
    image.pack(data=os.urandom(BULK), data_len=BULK)
    image.use_fake_user = True
for number, path in enumerate(PATHS):
    cube.location.x = number / 100
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
"""

_LANDSCAPE = """
import bpy
import numpy as np
for number in range(4):
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=500, y_subdivisions=500, size=6, location=(0, 0, number * 0.3 - 1))
    land, random = bpy.context.object, np.random.default_rng(number)
    places = np.empty(len(land.data.vertices) * 3, np.float32)
    land.data.vertices.foreach_get("co", places)
    places[2::3] += random.random(len(places) // 3) * 0.05
    land.data.vertices.foreach_set("co", places)
    image = bpy.data.images.new("ground", 2048, 2048)
    image.pixels.foreach_set(random.random(2048 * 2048 * 4, dtype=np.float32))
    image.pack()
    material = bpy.data.materials.new("ground")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = image
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    material.node_tree.links.new(texture.outputs[0], shader.inputs[0])
    land.data.materials.append(material)
"""
"""Before the cube's own code."""

_EVALUATED = """
import bpy
bpy.ops.mesh.primitive_grid_add(x_subdivisions=250, y_subdivisions=250, size=6, location=(0, 0, -1))
wave = bpy.context.object.modifiers.new("wave", "WAVE")
bpy.context.object.modifiers.new("decimate", "DECIMATE").ratio = 0.3
"""
"""Likewise: a mesh that is another one in each frame, for which Blender uses one core."""


def default_cubes(blender: Blender, folder: Path, count: int) -> list[Path]:
    """Blender's own cube, 64x64, one sample; each file a little different, as after another change."""
    paths = [folder / f"cube_{number}.blend" for number in range(count)]
    _make(blender, paths, SIZE=(64, 64), SAMPLES=1, FRAMES=1, BULK=0)
    return paths


def animation(blender: Blender, folder: Path, frames: int) -> Path:
    """The cube turning, 320x180, 16 samples."""
    path = folder / "turning.blend"
    _make(blender, [path], SIZE=(320, 180), SAMPLES=16, FRAMES=frames, BULK=0)
    return path


def animations(
    blender: Blender, folder: Path, count: int, size: tuple[int, int], samples: int, frames: int
) -> list[Path]:
    """The cube turning, several files that differ a little."""
    paths = [folder / f"turning_{number}.blend" for number in range(count)]
    _make(blender, paths, SIZE=size, SAMPLES=samples, FRAMES=frames, BULK=0)
    return paths


def landscapes(blender: Blender, folder: Path, count: int, frames: int) -> list[Path]:
    """A million vertices in four meshes, a picture of 2048x2048 on each, and the cube turning before them; 640x360."""
    paths = [folder / f"landscape_{number}.blend" for number in range(count)]
    _make(blender, paths, code=_LANDSCAPE + _DEFAULT_CUBE, SIZE=(640, 360), SAMPLES=8, FRAMES=frames, BULK=0)
    return paths


def evaluated(blender: Blender, folder: Path, count: int, frames: int) -> list[Path]:
    """The cube turning before a mesh that takes longer to evaluate than to render; 64x64, 1 sample."""
    paths = [folder / f"evaluated_{number}.blend" for number in range(count)]
    _make(blender, paths, code=_EVALUATED + _DEFAULT_CUBE, SIZE=(64, 64), SAMPLES=1, FRAMES=frames, BULK=0)
    return paths


def still(blender: Blender, folder: Path) -> Path:
    """The cube in one large frame: 960x540, 128 samples."""
    path = folder / "still.blend"
    _make(blender, [path], SIZE=(960, 540), SAMPLES=128, FRAMES=1, BULK=0)
    return path


def heavy_shot(blender: Blender, folder: Path) -> Path:
    """The cube in a file of 200 MB that no compression makes smaller."""
    path = folder / "heavy.blend"
    _make(blender, [path], SIZE=(64, 64), SAMPLES=1, FRAMES=1, BULK=BULK_BYTES)
    return path


def _make(blender: Blender, paths: list[Path], code: str = _DEFAULT_CUBE, **constants: object) -> None:
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    header = "".join(f"{name} = {value!r}\n" for name, value in constants.items())
    whole = f"{header}PATHS = {[os.fspath(path) for path in paths]!r}\n{code}"
    command = [blender.source, "-b", "--factory-startup", "--python-exit-code", "1", "--python-expr", whole]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
