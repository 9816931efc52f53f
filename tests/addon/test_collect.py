# SPDX-License-Identifier: GPL-3.0-or-later
"""What is collected from real Blenders' memory."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.blenders import Blender
from tests.conftest import RunInBlender

ROOT = Path(__file__).parents[2]

SCRIPT = f"""
import json, os, sys
from types import SimpleNamespace
import bpy
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "server" / "blender_scripts")!r}]
from addon.blender.collect import collect
from addon.blender.shot import NotReady

folder = os.environ["FOLDER"]
scene = bpy.context.scene
settings = SimpleNamespace(output_folder="")
animation = False

def save():
    bpy.ops.wm.save_as_mainfile(filepath=folder + "/x.blend")

def remove_cameras():
    for each in list(bpy.data.cameras):
        bpy.data.cameras.remove(each)

def answer(**more):
    try:
        shot = collect(scene, settings, animation=animation)
        names = ("blend", "scene", "frames", "current", "folder", "targets", "warning")
        found = {{name: getattr(shot, name) for name in names}}
    except NotReady as reason:
        found = {{"refused": str(reason)}}
    print("ANSWER" + json.dumps({{**found, **more}}))
"""


class Ask:
    """Runs a few lines in a Blender and returns what was collected."""

    def __init__(self, run: RunInBlender, blender: Blender, folder: Path) -> None:
        self._run, self._blender, self.folder = run, blender, folder

    def __call__(self, code: str) -> SimpleNamespace:
        done = self._run(self._blender, SCRIPT + code, FOLDER=str(self.folder))
        line = next(line for line in done.stdout.splitlines() if line.startswith("ANSWER"))
        answer: dict[str, Any] = json.loads(line.removeprefix("ANSWER"))
        return SimpleNamespace(**answer)


@pytest.fixture
def ask(run_in_blender: RunInBlender, blender: Blender, tmp_path: Path) -> Ask:
    return Ask(run_in_blender, blender, tmp_path)


def test_the_current_frame_goes_where_the_scene_itself_would_write(ask: Ask) -> None:
    shot = ask("scene.render.filepath = '//frames/shot_###'; scene.frame_current = 12; save(); answer()")
    assert shot.blend == str(ask.folder / "x.blend")
    assert shot.scene == "Scene"
    assert shot.frames == "12"
    assert shot.folder == str(ask.folder / "frames")
    assert shot.targets == {}
    assert shot.warning == ""


def test_an_animation_has_the_scenes_range_and_step(ask: Ask) -> None:
    code = "scene.frame_start, scene.frame_end, scene.frame_step = 5, 25, 4; scene.frame_current = 9; animation = True"
    shot = ask(f"{code}; save(); answer()")
    assert (shot.frames, shot.current) == ("5-25x4", 9)


def test_the_output_folder_of_the_preferences_wins_and_may_be_relative_to_the_file(ask: Ask) -> None:
    assert ask("settings.output_folder = '//node'; save(); answer()").folder == str(ask.folder / "node")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("answer()", "Save the file once"),
        ("save(); remove_cameras(); answer()", "Scene has no camera"),
        ("save(); open(folder + '/file', 'w').close(); scene.render.filepath = '//file/x'; answer()", "is a file, so"),
    ],
)
def test_what_must_fail_is_refused_with_what_to_do(ask: Ask, code: str, sentence: str) -> None:
    assert sentence in ask(code).refused


STRIP = """
remove_cameras()
editor = scene.sequence_editor_create()
strips = editor.strips if hasattr(editor, "strips") else editor.sequences
end = {"length": 9} if bpy.app.version >= (5, 0) else {"frame_end": 9}
strips.new_effect("c", "COLOR", 1, frame_start=1, **end)
"""


@pytest.mark.parametrize(
    "code",
    [
        "scene.camera = None",  # Blender takes any camera that is in the scene
        "scene.timeline_markers.new('cut', frame=1).camera = scene.camera; scene.camera = None",
        STRIP,
    ],
)
def test_what_renders_without_the_scenes_camera_is_not_refused(ask: Ask, code: str) -> None:
    assert ask(f"save(); {code}\nanswer()").frames == "1"


OUTPUT_NODES = """
if bpy.app.version >= (5, 0):
    inner = bpy.data.node_groups.new("Inner", "CompositorNodeTree")
    outer = bpy.data.node_groups.new("Outer", "CompositorNodeTree")
    scene.compositing_node_group = outer
    outer.nodes.new("CompositorNodeGroup").node_tree = inner
    for tree, directory in ((inner, "//inner"), (outer, "//passes/"), (outer, "//{blend_name}/x"), (outer, BAD)):
        tree.nodes.new("CompositorNodeOutputFile").directory = directory
else:
    scene.use_nodes = True
    inner = bpy.data.node_groups.new("Inner", "CompositorNodeTree")
    outer = scene.node_tree
    outer.nodes.new("CompositorNodeGroup").node_tree = inner
    for tree, directory in ((inner, "//inner"), (outer, "//passes/"), (outer, BAD)):
        tree.nodes.new("CompositorNodeOutputFile").base_path = directory
    layered = outer.nodes.new("CompositorNodeOutputFile")
    layered.format.file_format = "OPEN_EXR_MULTILAYER"
    layered.base_path = "//layered/all_"
"""


def test_file_output_directories_are_called_as_the_nodes_worker_calls_them(ask: Ask) -> None:
    # GIVEN File Output nodes, one of them in a group and one with a folder that cannot be created
    # WHEN both sides look at the same file
    shot = ask(
        "save(); open(folder + '/file', 'w').close(); BAD = '//file/deep/'\n"
        + OUTPUT_NODES
        + "from pathlib import Path\nfrom relay_worker.outputs import Places, redirected\n"
        "found = collect(scene, settings, animation=False)\n"
        "places = Places(Path(folder) / 'attempt')\n"
        "with redirected(scene, places):\n"
        "    theirs = [name for name in places._places if name]\n"
        "answer(theirs=theirs)"
    )
    # THEN their names for them agree, each has its folder on this machine, and the bad one is told
    assert sorted(shot.targets) == sorted(shot.theirs)
    assert shot.targets["//inner"] == str(ask.folder / "inner")
    assert shot.targets["//passes/"] == str(ask.folder / "passes")
    assert shot.warning.startswith(f"{ask.folder / 'file'} is a file")
