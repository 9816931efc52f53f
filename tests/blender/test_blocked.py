# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file would need Python for is named to the artist."""

import subprocess
from pathlib import Path

import pytest

from server.blenders import WHEEL, Blender
from tests.blender.conftest import Worker
from tests.conftest import RunInBlender

MAKE = """
import os, bpy
def drive(name, expression):
    item = bpy.data.objects.new(name, None)
    item.driver_add("location", 0).driver.expression = expression
    item.use_fake_user = True
drive("Simple", "frame / 2")
for number in range(3):
    drive(f"Python {number}", "__import__('os').getpid()")
material = bpy.data.materials.new("Shiny")
material.use_nodes, material.use_fake_user = True, True
shader = next(node for node in material.node_tree.nodes if "Roughness" in node.inputs)
shader.inputs["Roughness"].driver_add("default_value").driver.expression = "bpy.data.filepath and 1"
text = bpy.data.texts.new("setup.py")
text.use_module = True
text.write("import bpy\\nbpy.context.scene.render.fps = 7")
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
"""


def test_drivers_and_texts_that_need_python_are_named(
    worker: Worker, blender: Blender, run_in_blender: RunInBlender, tmp_path: Path
) -> None:
    # GIVEN a file with four drivers and a text that need Python, and a driver that does not
    blend = tmp_path / "driven.blend"
    run_in_blender(blender, MAKE, BLEND=str(blend))
    # WHEN it is opened THEN some are named, and the others counted
    opened = worker.open(blend)
    (notice,) = opened["notices"]
    assert opened["fps"] == 24
    assert 'material "Shiny", object "Python 0", object "Python 1" and 2 more' in notice
    assert "Simple" not in notice
    # WHEN it is opened so that they run THEN they do, and nothing is said
    opened = worker.open(blend, scripts=True)
    assert (opened["fps"], opened["notices"]) == (7, [])
    # AND they do not the next time
    assert worker.open(blend)["fps"] == 24


def test_blender_itself_stays_off_the_network(blender: Blender, tmp_path: Path) -> None:
    if blender.source == WHEEL:
        pytest.skip("the wheel has no extensions or asset libraries of its own to keep off it")
    script = tmp_path / "ask.py"
    script.write_text("import bpy; print('ONLINE', bpy.app.online_access, bpy.app.online_access_override)")
    told = subprocess.run([*blender.command, script], capture_output=True, text=True, check=True).stdout
    assert "ONLINE False True" in told
