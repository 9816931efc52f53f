# SPDX-License-Identifier: GPL-3.0-or-later
"""Small scenes with a texture beside the .blend, whose frames are the same whenever they are rendered."""

import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from server.blenders import Blender

VARIANTS = 4
FRAMES = 5

_MAKE = """
import bpy, sys
folder = sys.argv[-1]
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.render.resolution_x = scene.render.resolution_y = 32
scene.render.filepath = "//frames/shot_###"
scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = 768, False, False
scene.frame_end = FRAMES
cube = bpy.data.objects["Cube"]
cube.keyframe_insert("rotation_euler", frame=1)
cube.rotation_euler.z = 3
cube.keyframe_insert("rotation_euler", frame=FRAMES)
image = bpy.data.images.new("wood", 16, 16)
material = cube.data.materials[0]
material.use_nodes = True
nodes = material.node_tree.nodes
texture = nodes.new("ShaderNodeTexImage")
texture.image = image
shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
material.node_tree.links.new(texture.outputs[0], shader.inputs[0])
for number in range(VARIANTS):
    image.source = "GENERATED"
    image.generated_color = (1, number / VARIANTS, 0.2, 1)
    image.filepath_raw, image.file_format = f"{folder}/wood_{number}.png", "PNG"
    image.save()
    image.source = "FILE"
    image.filepath = "//wood.png"
    cube.location.x = number / 10
    bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/shot_{number}.blend", copy=True, relative_remap=False)
"""


@dataclass(frozen=True)
class Shot:
    """What the artist hands over."""

    blend: Path
    texture: Path

    @property
    def dependencies(self) -> list[dict[str, str]]:
        """As the "render" command wants them."""
        return [{"path": str(self.texture), "owner": 'Image "wood"'}]


class Shots:
    """The prepared scenes, in `folder`."""

    def __init__(self, blender: Blender, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        script = folder / "make.py"
        script.write_text(f"FRAMES, VARIANTS = {FRAMES}, {VARIANTS}\n{_MAKE}", encoding="utf-8")
        subprocess.run(
            [*blender.command, script, "--", folder], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def lay_out(self, variant: int, folder: Path, garbage: bytes = b"") -> Shot:
        """Copy a scene to a new folder. Behind the texture's end goes what no picture shows, and yet has to be sent."""
        folder.mkdir(parents=True)
        shot = Shot(folder / "shot.blend", folder / "wood.png")
        shutil.copy(self._folder / f"shot_{variant}.blend", shot.blend)
        shot.texture.write_bytes((self._folder / f"wood_{variant}.png").read_bytes() + garbage)
        return shot


def garbage(seed: int, size: int) -> bytes:
    """Return bytes that nothing makes smaller, the same for the same seed."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - repeatable is the point


def names(frames: int) -> list[str]:
    """What the first so many frames are called."""
    return [f"shot_{number:03}.png" for number in range(1, frames + 1)]
