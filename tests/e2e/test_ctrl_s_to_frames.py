# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way, nothing played: the built extension in a window, Ctrl+S, a real node, frames in the folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.blenders import Blender
from server.pictures import verify
from tests.addon.scripted_client import wait_for
from tests.e2e.conftest import OpenWindow
from tests.e2e.panel import PREFERENCES, change, save, show_tab, state
from tests.e2e.window import BlenderWindow
from tests.system.harness import NodeProcess

Artefact = Callable[[str], Path]

RENDER_TIMEOUT_S = 120.0
"""A cold Blender and three small frames, on a machine that has other things to do."""


@pytest.fixture
def node(program: Blender, tmp_path: Path) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path / "node", program)
    yield process
    process.close()


@pytest.fixture
def connected(window: BlenderWindow, node: NodeProcess) -> BlenderWindow:
    """The window with the node's address typed in and the connection up."""
    show_tab(window)
    window.run(f"{PREFERENCES}.node_address = {node.address!r}")
    wait_for(lambda: state(window)["connection"] == "connected", "the connection")
    return window


def finish(window: BlenderWindow, count: int) -> list[str]:
    """Wait until `count` jobs are done; return their states."""

    def states() -> list[str]:
        now = state(window)
        known = now["jobs"].values()
        assert "failed" not in known, now["texts"]
        return list(known) if list(known).count("done") == count else []

    return wait_for(states, f"{count} jobs done", RENDER_TIMEOUT_S)


def test_ctrl_s_renders_the_current_frame_and_then_the_animation(
    connected: BlenderWindow, shot: Path, artefact: Artefact
) -> None:
    # GIVEN a window on a node
    frames = shot.parent / "frames"
    # WHEN the artist changes something and presses Ctrl+S
    save(connected)
    # THEN the frame arrives under the name that Blender itself gives it, whole, and the panel says done
    finish(connected, 1)
    assert [path.name for path in frames.iterdir()] == ["shot_020_0001.png"]
    verify(frames / "shot_020_0001.png")

    # AND with the switch on Animation, a save renders all of it
    connected.run(f"{PREFERENCES}.save_renders = 'ANIMATION'")
    save(connected)
    finish(connected, 2)
    assert sorted(path.name for path in frames.iterdir()) == [f"shot_020_000{number}.png" for number in (1, 2, 3)]
    for path in frames.iterdir():
        verify(path)
    thumbnail = "from bl_ext.user_default.relay_render.addon.blender.live import live; jobs = live().jobs\n"
    wait_for(lambda: connected.run(thumbnail + "answer = jobs.thumbnail_of(jobs.selected_job())"), "the thumbnail")
    connected.screenshot(artefact("ctrl-s-done"))


RED_WORLD = """
from pathlib import Path
path = Path({folder!r}, "sky.png")
path.parent.mkdir()
picture = bpy.data.images.new("made", 8, 8)
picture.pixels = [1.0, 0.0, 0.0, 1.0] * 64
picture.filepath_raw, picture.file_format = str(path), "PNG"
picture.save()
bpy.data.images.remove(picture)
scene = bpy.context.scene
scene.view_settings.view_transform = "Standard"
bpy.data.objects.remove(bpy.data.objects["Cube"])
sky = scene.world.node_tree.nodes.new("ShaderNodeTexEnvironment")
sky.image = bpy.data.images.load({stored!r})
background = next(node for node in scene.world.node_tree.nodes if node.type == "BACKGROUND")
scene.world.node_tree.links.new(sky.outputs["Color"], background.inputs["Color"])
bpy.ops.ed.undo_push(message="Sky")
"""

COLOUR = """
picture = bpy.data.images.load({path!r})
answer = [round(value) for value in picture.pixels[:3]]
bpy.data.images.remove(picture)
"""

RED, MAGENTA = [1, 0, 0], [1, 0, 1]
"""The sky's colour, and what Blender shows for a picture that is not there."""


def test_a_texture_beside_the_file_comes_along_and_a_lost_one_is_told_of_first(
    connected: BlenderWindow, shot: Path, artefact: Artefact
) -> None:
    # GIVEN a scene whose sky is a picture outside the project's folder
    sky = shot.parents[1] / "library" / "sky.png"
    connected.run(RED_WORLD.format(folder=str(sky.parent), stored=str(sky)))
    # WHEN it is saved THEN the node renders it with the picture
    connected.key("ctrl+s")
    finish(connected, 1)
    frame = str(shot.parent / "frames" / "shot_020_0001.png")
    assert connected.run(COLOUR.format(path=frame)) == RED

    # AND with the picture lost, nothing is rendered before the artist has read so
    sky.unlink()
    connected.run("bpy.context.scene.camera.location.x += 1; bpy.ops.ed.undo_push(message='Move')")
    connected.key("ctrl+s")
    wait_for(lambda: "missing" in state(connected)["jobs"].values(), "the list of missing files")
    selected = "from bl_ext.user_default.relay_render.addon.blender.live import live\n"
    listed = connected.run(selected + "answer = [dict(each) for each in live().jobs.selected_job().missing]")
    assert listed == [{"owner": 'Image "sky.png"', "path": str(sky), "reason": "is not there"}]
    connected.screenshot(artefact("files-missing"))
    # UNTIL told to go on without
    connected.run("bpy.ops.relay_render.go_on()")
    finish(connected, 2)
    assert connected.run(COLOUR.format(path=frame)) == MAGENTA


def test_a_newer_save_replaces_what_still_renders(connected: BlenderWindow, shot: Path) -> None:
    # GIVEN two saves of a scene that renders for minutes
    connected.run("cycles = bpy.context.scene.cycles; cycles.use_adaptive_sampling, cycles.samples = False, 100_000")
    save(connected)
    wait_for(lambda: "rendering" in state(connected)["jobs"].values(), "the first to render", RENDER_TIMEOUT_S)
    save(connected)
    # WHEN the artist saves it once more, light again
    connected.run("bpy.context.scene.cycles.samples = 1")
    save(connected)
    # THEN only that one is left, and it is soon done
    finish(connected, 1)
    assert list(state(connected)["jobs"].values()) == ["done"]
    verify(shot.parent / "frames" / "shot_020_0001.png")


def test_render_now_brings_unsaved_changes_along(connected: BlenderWindow, shot: Path) -> None:
    change(connected)
    connected.run("bpy.ops.relay_render.render('INVOKE_DEFAULT', scope='ANIMATION')")
    finish(connected, 1)
    assert len(list((shot.parent / "frames").iterdir())) == 3


def test_frames_arrive_although_the_artists_blender_was_killed(
    open_window: OpenWindow, node: NodeProcess, shot: Path
) -> None:
    # GIVEN an animation that renders while Blender is killed, not even saving its preferences but for the address
    with open_window("--online-mode", str(shot)) as window:
        window.run(f"{PREFERENCES}.node_address = {node.address!r}; bpy.ops.wm.save_userpref()")
        wait_for(lambda: state(window)["connection"] == "connected", "the connection")
        window.run(f"{PREFERENCES}.save_renders = 'ANIMATION'; bpy.context.scene.cycles.samples = 200")
        save(window)
        wait_for(lambda: "rendering" in state(window)["jobs"].values(), "the job to render", RENDER_TIMEOUT_S)
        (job,) = state(window)["jobs"]
        window.process.kill()
    # WHEN the artist starts Blender again
    with open_window("--online-mode", str(shot)) as window:
        # THEN the job is in the list, and all its frames arrive
        finish(window, 1)
        assert list(state(window)["jobs"]) == [job]
    assert len(list((shot.parent / "frames").iterdir())) == 3
