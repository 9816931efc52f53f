# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes demo.blend: a chain of dominoes, each handing on what it was given.

    blender -b --factory-startup --python-exit-code 1 --python demo/make_scene.py
    python demo/make_scene.py          (with the bpy wheel)

The committed file was saved by Blender 4.2, the oldest that can render it: a node takes a Blender of the file's
version or a newer one.
"""

import colorsys
import math
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 - runs inside Blender

TARGET = Path(__file__).with_name("demo.blend")

FRAMES = 6
COUNT = 18
HEIGHT, WIDTH, DEPTH = 2.0, 1.0, 0.32
SPACING = 0.95
RADIUS = 7.5
"""Lengths in metres; the dominoes stand on an arc."""

HEADS = (0.45, 3.4, 6.3, 9.2, 12.1, 15.0)
"""In each frame which domino falls freely, and in its fraction how far it has fallen towards the next."""

TOUCH = math.asin((SPACING - DEPTH) / HEIGHT)
"""The tilt at which a falling domino meets the next one, which still stands."""


def tilts(head: float) -> list[float]:
    """Return every domino's tilt in radians: those behind the falling one lean on each other.

    A domino that leans with its upper edge on the back of one tilted by b is tilted by b + asin((s cos b - d) / h).
    """
    falling = int(head)
    tilt = (head - falling) ** 2 * TOUCH
    chain = [tilt]
    for _ in range(falling):
        tilt += math.asin(max(0.0, SPACING * math.cos(tilt) - DEPTH) / HEIGHT)
        chain.append(min(tilt, math.pi / 2))
    return [*reversed(chain), *[0.0] * (COUNT - 1 - falling)]


def make() -> None:
    """Build the scene and save it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene: Any = bpy.context.scene
    add_dominoes(scene, domino_mesh(domino_material()))
    add_floor(scene)
    add_light(scene)
    add_camera(scene)
    set_render(scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(TARGET), compress=True, check_existing=False)


def domino_mesh(material: Any) -> Any:
    """Return a box with rounded edges that turns about its lower front edge."""
    mesh: Any = bpy.data.meshes.new("Domino")
    corners = [(x, y, z) for x in (-DEPTH, 0.0) for y in (-WIDTH / 2, WIDTH / 2) for z in (0.0, HEIGHT)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh.from_pydata(corners, [], faces)
    mesh.shade_smooth()
    mesh.materials.append(material)
    return mesh


def domino_material() -> Any:
    """Return a glossy material that takes its colour from the object."""
    material: Any = bpy.data.materials.new("Lacquer")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.35
    links.new(nodes.new("ShaderNodeObjectInfo").outputs["Color"], shader.inputs["Base Color"])
    return material


def add_dominoes(scene: Any, mesh: Any) -> None:
    """Set the dominoes on their arc and let them fall."""
    states = [tilts(head) for head in HEADS]
    for number in range(COUNT):
        angle = (number - (COUNT - 1) / 2) * SPACING / RADIUS
        domino: Any = bpy.data.objects.new(f"Domino {number + 1:02}", mesh)
        domino.location = (RADIUS * math.sin(angle), RADIUS * math.cos(angle) - RADIUS, 0.0)
        domino.rotation_mode = "ZYX"  # first the tilt about the own edge, then the direction
        domino.rotation_euler.z = -angle
        hue, value = 0.04 + 0.55 * (number / (COUNT - 1)) ** 1.2, 0.9
        domino.color = (*colorsys.hsv_to_rgb(hue, 0.8, value), 1.0)
        rounding = domino.modifiers.new("Rounding", "BEVEL")
        rounding.width, rounding.segments, rounding.harden_normals = 0.05, 3, True
        scene.collection.objects.link(domino)
        for frame, state in enumerate(states, start=1):
            domino.rotation_euler.y = state[number]
            domino.keyframe_insert("rotation_euler", index=1, frame=frame)


def add_floor(scene: Any) -> None:
    """Lay a floor that runs to the horizon."""
    mesh: Any = bpy.data.meshes.new("Floor")
    mesh.from_pydata([(-90, -60, 0), (90, -60, 0), (90, 120, 0), (-90, 120, 0)], [], [(0, 1, 2, 3)])
    mesh.materials.append(paper_material())
    scene.collection.objects.link(bpy.data.objects.new("Floor", mesh))


def paper_material() -> Any:
    """Return a plain diffuse material: the floor fills most of the picture, and this one costs half the time."""
    material: Any = bpy.data.materials.new("Paper")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    shader, output = nodes.new("ShaderNodeBsdfDiffuse"), nodes.new("ShaderNodeOutputMaterial")
    shader.inputs["Color"].default_value = (0.66, 0.58, 0.5, 1.0)
    links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return material


def add_light(scene: Any) -> None:
    """A low sun and an even sky: both are sampled well, so that few samples give a calm picture."""
    light: Any = bpy.data.lights.new("Sun", "SUN")
    light.energy, light.angle, light.color = 3.2, math.radians(3), (1.0, 0.9, 0.76)
    sun: Any = bpy.data.objects.new("Sun", light)
    sun.rotation_euler = (math.radians(28), math.radians(-50), 0.0)
    scene.collection.objects.link(sun)
    world: Any = bpy.data.worlds.new("Sky")
    scene.world = world
    world.use_nodes = True
    background: Any = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (0.55, 0.68, 0.86, 1.0)
    background.inputs["Strength"].default_value = 0.45


def add_camera(scene: Any) -> None:
    """Look along the chain from where it began."""
    camera: Any = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens = 46
    camera.location = (-9.5, -17.0, 7.0)
    target: Any = bpy.data.objects.new("Target", None)
    target.location = (-0.7, -2.2, 0.3)
    constraint = camera.constraints.new("TRACK_TO")
    constraint.target = target
    scene.collection.objects.link(camera)
    scene.collection.objects.link(target)
    scene.camera = camera


def set_render(scene: Any) -> None:
    """Cycles on any CPU, in a second a frame or two; no denoiser, which some Linux distributions leave out."""
    scene.frame_start, scene.frame_end = 1, FRAMES
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y = 400, 225
    render.filepath = "//frames/dominoes_####"
    render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"
    cycles.device, cycles.samples, cycles.seed = "CPU", 12, 1
    cycles.use_denoising = cycles.use_adaptive_sampling = cycles.use_light_tree = False
    cycles.max_bounces = 1


if __name__ == "__main__":
    make()
