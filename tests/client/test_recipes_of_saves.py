# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender saved."""

import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from addon.client.recipes import blend_recipe
from addon.client.unpacked import Unpacked, open_source
from addon.protocol import zstd
from server.blenders import Blender
from tests.client.recipes_kit import ALGORITHM, new_bytes, rebuilt

SAVES = """
import os
import bpy

def save(name, compress=False):
    path = os.path.join(os.environ["FOLDER"], name + ".blend")
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=compress, copy=True)

bpy.ops.mesh.primitive_grid_add(x_subdivisions=600, y_subdivisions=600)
terrain = bpy.context.object
terrain.name = terrain.data.name = "Terrain"
bpy.ops.mesh.primitive_uv_sphere_add()
for number in range(300):
    ball = bpy.context.object.copy()
    ball.data = ball.data.copy()
    ball.location.x = number
    bpy.context.collection.objects.link(ball)
image = bpy.data.images.new("Noise", 512, 512)
image.pixels.foreach_set([(n * 2654435761 % 4294967296) / 4294967296 for n in range(512 * 512 * 4)])
image.pack()
for compress in (False, True):
    save("first" + "_packed" * compress, compress)
    terrain.location.z += 1.0
    save("moved" + "_packed" * compress, compress)
    for vertex in terrain.data.vertices[100_000:100_300]:
        vertex.co.z += 0.1
    terrain.data.update()
    save("sculpted" + "_packed" * compress, compress)
    bpy.ops.mesh.primitive_cube_add()
    save("added" + "_packed" * compress, compress)
"""
EDITS = ["first", "moved", "sculpted", "added"]


@pytest.fixture(scope="module")
def saves(
    blender: Blender,
    run_in_blender: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with a scene of 30 MB as a real Blender saved it after each edit, also compressed."""
    folder = tmp_path_factory.mktemp("saves")
    run_in_blender(blender, SAVES, FOLDER=str(folder))
    return folder


@pytest.mark.parametrize("edit", [*EDITS, *(f"{edit}_packed" for edit in EDITS)])
def test_what_blender_saved_is_made_again_byte_for_byte(saves: Path, edit: str) -> None:
    # GIVEN a save of Blender's
    path = saves / f"{edit}.blend"
    content = path.read_bytes()
    with open_source(path) as source:
        # WHEN it is cut, and made again of its chunks THEN it is the same, or what was compressed
        recipe, keys, _ = blend_recipe(source, ALGORITHM)
        assert isinstance(source, Unpacked) == edit.endswith("_packed")
        assert rebuilt(recipe, source) == (unpacked(content) if isinstance(source, Unpacked) else content)
    assert b"" in keys
    assert any(key.startswith(b"OBSphere") for key in keys)


def unpacked(content: bytes) -> bytes:
    """A second way to decompress a .blend: frame after frame, as the seek table gives them."""
    count = int.from_bytes(content[-9:-5], "little")
    sizes = [
        int.from_bytes(content[at : at + 4], "little")
        for at in range(len(content) - 9 - 8 * count, len(content) - 9, 4)
    ]
    frames, at = [], 0
    for packed, size in zip(sizes[0::2], sizes[1::2], strict=True):
        frames.append(zstd.decompress(content[at : at + packed], size))
        at += packed
    return b"".join(frames)


@pytest.mark.parametrize("suffix", ["", "_packed"])
def test_after_an_edit_little_is_new(saves: Path, suffix: str) -> None:
    # GIVEN a scene that was saved after each of some edits, compressed or not
    recipes = {}
    known = None
    for edit in EDITS:
        with open_source(saves / f"{edit}{suffix}.blend") as source:
            recipes[edit], _, known = blend_recipe(source, ALGORITHM, known)
    # WHEN two of them are compared THEN of their 20 MB of payloads only what was sculpted is new
    new = {edit: new_bytes(recipes[edit], recipes[before]) for before, edit in pairwise(EDITS)}
    assert new == {"moved": 0, "sculpted": new["sculpted"], "added": 0}
    assert 0 < new["sculpted"] < 1_000_000
    assert all(sum(recipe.lengths[recipe.skeleton :]) > 20_000_000 for recipe in recipes.values())
