# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's frames are Blender's frames: the same files, under the same names, to the last byte."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.blender.conftest import WORKER
from tests.blender.written import delivered, files_below

SCENES = {
    "cycles_png": "//out/",
    "cycles_exr": "//out/",
    "workbench_png": "//out/",
    "workbench_exr": "//out/",
    "workbench_jpeg": "//out/",
    "eevee": "//out/",
    "layers": "//out/",
    "stereo": "//out/",
    "stereo_packed": "//out/",
    "stereo_exr": "//out/",
    "compositor": "//out/",
    "compositor_only": "//out/",
    "sequencer": "//out/",
    "name_folder": "//out/",
    "name_bare": "//out/take#1/",
    "name_unicode": "//Bilder für Zoë/",
    "name_stubs": "//out/",
    "name_template": "//out/",
}
"""Scenes of make_scenes.py, and the directory of their own output."""


@pytest.mark.parametrize("name", SCENES)
def test_frame_is_what_blender_writes(
    worker: Any, scenes: Path, plain_render: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    # GIVEN a scene, open in a worker that has rendered others before
    blend = scenes / name / f"{name}.blend"
    if not blend.exists():
        pytest.skip(f"{name} is for Blender 4.5 and newer")
    assert worker.open(blend)["event"] == "opened"
    # WHEN it renders frame 5 and then frame 3
    worker.render(5, tmp_path / "5")
    *_, written, _ = worker.render(3, tmp_path / "3")
    # THEN that is what `blender -b FILE -f 3` writes, and nothing lies anywhere else
    assert delivered(written["outputs"], SCENES[name]) == files_below(plain_render(name, 3))
    assert list((scenes / name).iterdir()) == [blend]


def test_a_scene_without_a_name_for_its_frames(worker: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN an empty output path, which Blender 5 refuses
    worker.open(scenes / "name_empty" / "name_empty.blend")
    # WHEN a frame renders
    *_, written, _ = worker.render(3, tmp_path / "3")
    # THEN it has the name that Blender 4 gives it
    assert [output["name"] for output in written["outputs"]] == ["0003.png"]


@pytest.mark.parametrize("name", ["climb_out", "climb_out_by_node"])
def test_no_file_leaves_the_folder(worker: Any, scenes: Path, tmp_path: Path, name: str) -> None:
    # GIVEN a scene whose names climb out of their directories
    blend = scenes / name / f"{name}.blend"
    if not blend.exists():
        pytest.skip(f"{name} is for Blender 4.5 and newer")
    worker.open(blend)
    # WHEN a frame renders
    folder = tmp_path / "attempts" / "1"
    *_, written, _ = worker.render(1, folder)
    # THEN all it wrote lies in the attempt's folder, under names without ".."
    assert any(output["name"].endswith("up0001.png") for output in written["outputs"])
    assert all(".." not in output["name"].split("/") for output in written["outputs"])
    assert list((tmp_path / "attempts").iterdir()) == [folder]
    assert list((scenes / name).iterdir()) == [blend]


def test_progress_is_told(worker: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN a scene with 200 samples in tiles
    worker.open(scenes / "tiles" / "tiles.blend")
    # WHEN a frame renders
    started, *progress, _, _ = worker.render(1, tmp_path / "1")
    # THEN its samples and tiles are told on the way, about ten times a second at most
    assert started == {"event": "started", "frame": 1}
    assert {(event["event"], event["frame"]) for event in progress} == {("progress", 1)}
    assert progress[-1]["samples"] == 200
    assert any(event["tile"] and event["tiles"] == 4 for event in progress)
    assert any(event["remaining_s"] for event in progress)
    assert all(event["sample"] for event in progress[1:])  # Between tiles Cycles says 0.


EVALUATIONS = """
import os, sys
sys.path.insert(0, os.environ["SCRIPTS"])
import bpy
from relay_worker.aside import render_animation
bpy.ops.wm.open_mainfile(filepath=os.environ["BLEND"], load_ui=False, use_scripts=False)
scene = bpy.context.scene
scene.frame_start = scene.frame_end = 3
scene.render.filepath = os.environ["FOLDER"] + "/"
modes = []
bpy.app.handlers.frame_change_post.append(lambda of, graph: modes.append(graph.mode if of.name == scene.name else ""))
bpy.ops.render.render(animation=True)
print("OPERATOR", "RENDER" in modes, modes.count("VIEWPORT"))
modes.clear()
render_animation(scene)
print("ASIDE", "RENDER" in modes, modes.count("VIEWPORT"), scene.frame_current == bpy.context.scene.frame_current)
"""
"""In Blender: who is evaluated while a frame renders, with its operator alone and with the worker's call of it."""


def test_a_frame_is_evaluated_for_the_render_alone(
    blender: Any, scenes: Path, run_in_blender: Callable[..., Any], tmp_path: Path
) -> None:
    blend, scripts = scenes / "cycles_png" / "cycles_png.blend", WORKER.parent
    done = run_in_blender(blender, EVALUATIONS, BLEND=str(blend), FOLDER=str(tmp_path), SCRIPTS=str(scripts))
    assert "OPERATOR True 1" in done.stdout
    assert "ASIDE True 0 True" in done.stdout
