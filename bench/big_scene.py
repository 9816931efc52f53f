# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender: an artist who builds a large scene, edits it and saves; driven by lines, as studio.py does.

    blender -b --factory-startup --python big_scene.py

Each line on stdin is one step, {"do": NAME, ...} with the arguments of that function in STEPS; each is answered by a
line on stdout, ANSWER and a JSON object. Nothing here is left to chance: the same steps make the same scene.
"""

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import bpy  # noqa: TID251 - runs inside Blender
import numpy as np
from numpy.typing import NDArray

ANSWER = "big-scene: "
"""Begins a line that is an answer: Blender itself writes to stdout too."""

SEED = 20261122
SCULPTED = 0.01
"""Share of the statue's vertices under the brush."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

data: Any = bpy.data
ops: Any = bpy.ops
context: Any = bpy.context


# The scene


def build(side: int, props: int, prop: tuple[int, int], keys: int, textures: int, texture_side: int) -> dict[str, Any]:
    """Two meshes of `side` x `side` vertices, one with `keys` shape keys, among `props` small ones of `prop` vertices
    each, with `textures` packed PNGs of `texture_side` x `texture_side` pixels on their materials.
    """
    random = np.random.default_rng(SEED)
    data.meshes.remove(data.meshes["Cube"])  # Takes the object with it.
    _render_little()
    materials = [_material(number, _texture(number, texture_side, random)) for number in range(textures)]
    statue = _object("Statue", _mesh("Statue", _surface(side, side, random), side), materials[0])
    statue.location = (-1.5, 0, 0)
    face = _object("Face", _mesh("Face", _surface(side, side, random), side), materials[-1])
    face.location = (1.5, 0, 0)
    _add_shape_keys(face, keys)
    for number in range(props):
        name = f"Prop {number:04}"
        mesh = _mesh(name, _surface(*prop, random) * np.float32(0.05), prop[0])
        made = _object(name, mesh, materials[number % len(materials)])
        made.location = (*random.uniform(-10, 10, 2), 0)
        made.rotation_euler = random.uniform(0, 2 * math.pi, 3)
    return census()


def census() -> dict[str, Any]:
    """What there is."""
    return {
        "objects": len(data.objects),
        "vertices": sum(len(mesh.vertices) for mesh in data.meshes),
        "largest_mesh": max(len(mesh.vertices) for mesh in data.meshes),
        "shape_keys": sum(len(key.key_blocks) for key in data.shape_keys),
        "packed_bytes": sum(image.packed_file.size for image in data.images if image.packed_file),
    }


def _render_little() -> None:
    """A frame of this scene costs its node next to nothing but opening the file."""
    render = context.scene.render
    render.engine = "BLENDER_WORKBENCH"
    render.resolution_x = render.resolution_y = 16
    render.filepath = "//frames/shot_####"


def _surface(width: int, height: int, random: np.random.Generator) -> Floats:
    """A hilly grid as sculpting leaves it: folds of several sizes and a little grain. (width * height, 3)"""
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    z = np.zeros_like(x)
    for octave in range(5):
        turn, shift = random.uniform(0, 2 * np.pi, 2)
        along = np.cos(turn) * x + np.sin(turn) * y
        z += np.sin(along * 3 * 2**octave + shift) / 2 ** (octave + 2)
    z += random.normal(0, 1e-4, z.shape)
    surface = np.stack((x + 0.02 * np.sin(7 * y), y + 0.02 * np.sin(5 * x), z), axis=-1)
    return surface.reshape(-1, 3).astype(np.float32)


def _mesh(name: str, positions: Floats, width: int) -> Any:
    """Quads over a grid that is `width` vertices wide; UVs from above."""
    height = len(positions) // width
    corners = _quads(width, height)
    mesh = data.meshes.new(name)
    mesh.vertices.add(len(positions))
    mesh.vertices.foreach_set("co", positions.ravel())
    mesh.loops.add(corners.size)
    mesh.loops.foreach_set("vertex_index", corners.ravel())
    mesh.polygons.add(len(corners))
    mesh.polygons.foreach_set("loop_start", np.arange(0, corners.size, 4, dtype=np.int32))
    mesh.update(calc_edges=True)
    uv = (positions[corners.ravel(), :2] + 1) / 2
    mesh.uv_layers.new(do_init=False).data.foreach_set("uv", uv.ravel())
    return mesh


def _quads(width: int, height: int) -> Ints:
    """Vertex indices of each quad's corners, (quads, 4)."""
    first = np.arange(width * height, dtype=np.int32).reshape(height, width)[:-1, :-1].ravel()
    return np.stack((first, first + 1, first + width + 1, first + width), axis=-1)


def _object(name: str, mesh: Any, material: Any) -> Any:
    mesh.materials.append(material)
    made = data.objects.new(name, mesh)
    context.scene.collection.objects.link(made)
    return made


def _add_shape_keys(owner: Any, count: int) -> None:
    """The basis, and `count` shapes that each lift one stripe of the mesh."""
    if not count:
        return
    owner.shape_key_add(name="Basis", from_mix=False)
    basis = _positions(owner.data.vertices)
    for number in range(count):
        shape = basis.copy()
        shape[:, 2] += 0.2 * np.exp(-((shape[:, 0] * 4 - number) ** 2))
        owner.shape_key_add(name=f"Shape {number}", from_mix=False).data.foreach_set("co", shape.ravel())


def _texture(number: int, side: int, random: np.random.Generator) -> Any:
    """A packed PNG of noise, 3 bytes a pixel: like a photograph it does not get smaller."""
    image = data.images.new(f"Texture {number:02}", side, side, alpha=False)
    pixels = random.random((side * side, 4), dtype=np.float32)
    pixels[:, 3] = 1
    _paint(image, pixels)
    return image


def _paint(image: Any, pixels: Floats) -> None:
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    image.pack()


def _material(number: int, image: Any) -> Any:
    material = data.materials.new(f"Material {number:02}")
    if material.node_tree is None:  # Since 5.0 every material has one.
        material.use_nodes = True
    tree = material.node_tree
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = image
    tree.links.new(texture.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Emission Color"])
    return material


def _positions(points: Any) -> Floats:
    flat = np.empty(len(points) * 3, np.float32)
    points.foreach_get("co", flat)
    return flat.reshape(-1, 3)


# What an artist does to it


def move() -> None:
    """Move one object."""
    data.objects["Prop 0007"].location.x += 1


def colour() -> None:
    """Choose another colour for one material."""
    shader = data.materials["Material 01"].node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (0.8, 0.1, 0.1, 1)


def sculpt() -> None:
    """One round stroke on the mesh of `side` x `side` vertices that has no shape keys."""
    vertices = data.objects["Statue"].data.vertices
    positions = _positions(vertices)
    centre = positions[len(positions) * 2 // 5]
    distance = np.linalg.norm(positions[:, :2] - centre[:2], axis=1)
    under = np.argsort(distance, kind="stable")[: int(len(positions) * SCULPTED)]
    positions[under, 2] += 0.05 * np.cos(distance[under] / distance[under].max() * np.pi / 2)
    vertices.foreach_set("co", positions.ravel())
    data.objects["Statue"].data.update()


def add() -> None:
    """A small object with a mesh of its own."""
    random = np.random.default_rng(SEED + 1)
    _object("Newcomer", _mesh("Newcomer", _surface(20, 20, random), 20), data.materials["Material 01"])


def delete() -> None:
    """Delete one object; its mesh, which nobody uses now, is not saved either."""
    data.objects.remove(data.objects["Prop 0011"])


def repaint() -> None:
    """A stroke across one of the packed images, which is packed again."""
    image = data.images["Texture 02"]
    side = image.size[0]
    pixels = np.empty(side * side * 4, np.float32)
    image.pixels.foreach_get(pixels)
    rows = pixels.reshape(side, side, 4)
    rows[side * 2 // 5 : side // 2, side // 4 : side // 2, :3] = (0.9, 0.7, 0.1)
    _paint(image, rows.reshape(-1, 4))


def nothing() -> None:
    """Only save."""


EDITS: dict[str, Callable[[], None]] = {
    edit.__name__: edit for edit in (nothing, move, colour, sculpt, add, delete, repaint)
}


# Steps


def edit(name: str) -> dict[str, Any]:
    """Change something."""
    EDITS[name]()
    return {}


def open_file(path: str) -> dict[str, Any]:
    """As File > Open."""
    ops.wm.open_mainfile(filepath=path)
    return {}


def save(path: str, compress: bool) -> dict[str, Any]:
    """As File > Save (As)."""
    context.preferences.filepaths.save_version = 0
    ops.wm.save_as_mainfile(filepath=path, compress=compress, relative_remap=False)
    return {}


def pack_noise(size: int) -> dict[str, Any]:
    """A packed file of `size` bytes that no compression makes smaller."""
    image = data.images.new("Noise", 1, 1)
    image.pack(data=np.random.default_rng(SEED).bytes(size), data_len=size)
    image.use_fake_user = True
    return {}


def use(paths: list[str]) -> dict[str, Any]:
    """Images that nothing renders with, but that belong to the file."""
    for path in paths:
        data.images.load(path).use_fake_user = True
    return {}


STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "build": build, "census": census, "edit": edit, "open": open_file, "save": save, "pack_noise": pack_noise,
    "use": use,
}  # fmt: skip


def main() -> None:
    """Do as the lines say until there are no more. An error ends Blender, by its --python-exit-code."""
    for line in sys.stdin:
        step = json.loads(line)
        answer = STEPS[step.pop("do")](**step)
        print(f"{ANSWER}{json.dumps(answer)}", flush=True)


if __name__ == "__main__":
    main()
