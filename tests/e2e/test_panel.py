# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in a real window, its client played by the test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.addon.scripted_client import Play, wait_for
from tests.e2e.conftest import OpenWindow
from tests.e2e.window import BlenderWindow

ADDON = "bl_ext.user_default.relay_render"
THUMBNAIL = Path(__file__).with_name("thumbnail.jpg")

SHOW_TAB = """
area = next(area for area in bpy.context.window.screen.areas if area.type == "VIEW_3D")
area.spaces.active.show_region_ui = True
region = next(region for region in area.regions if region.type == "UI")
answer = getattr(region, "active_panel_category", "")
if answer != "Render":
    try:
        region.active_panel_category = "Render"
    except (AttributeError, TypeError):
        pass  # read-only until the region has drawn
region.tag_redraw()
"""

STATE = f"""
from {ADDON}.addon.blender import live
jobs, manager = live.live().jobs, bpy.context.window_manager
selected = jobs.selected_job()
answer = {{
    "connection": jobs.connection.state,
    "text": jobs.connection.text,
    "problem": jobs.problem,
    "jobs": {{job.job: job.state for job in jobs.rows()}},
    "titles": [job.title for job in jobs.rows()],
    "rows": [row.name for row in manager.relay_render_jobs],
    "selected": selected and selected.job,
    "index": manager.relay_render_selected,
    "client": live.live().link.pid,
    "dirty": bpy.data.is_dirty,
    "file": bpy.data.filepath,
}}
"""


def use_play(window: BlenderWindow, play: Play, folder: Path) -> None:
    """Have the test play the client, and a node configured as a person would."""
    window.run(
        f"from {ADDON}.addon.blender import live\n"
        f"live.client_command = lambda data: {play.command(folder)!r}\n"
        f"bpy.context.preferences.addons[{ADDON!r}].preferences.node_address = 'render-box'"
    )
    wait_for(lambda: play.commands("configure"), "the client to be configured")


def show_tab(window: BlenderWindow) -> None:
    wait_for(lambda: window.run(SHOW_TAB) == "Render", "the Render tab")


def state(window: BlenderWindow) -> dict[str, Any]:
    answer: dict[str, Any] = window.run(STATE)
    return answer


def change(window: BlenderWindow) -> None:
    window.run("bpy.context.object.location.x += 1; bpy.ops.ed.undo_push(message='Move')")


def job_event(command: dict[str, Any], state: str, **more: Any) -> dict[str, Any]:
    told = {name: command[name] for name in ("job", "title", "blend", "frames", "folder")}
    return {"event": "job", **told, "state": state, "total": 3, "created": 1e9, **more}


CONNECTED = {
    "event": "connection", "state": "connected", "address": "render-box", "node": "render-box",
    "version": "0.1.0", "blenders": ["4.3.2", "5.2.2"], "text": "render-box, Blender 4.3.2 and 5.2.2",
}  # fmt: skip


@pytest.fixture
def window(open_window: OpenWindow, shot: Path) -> Iterator[BlenderWindow]:
    with open_window("--online-mode", str(shot)) as opened:
        yield opened


def test_ctrl_s_hands_the_file_over_and_the_panel_shows_the_job(
    window: BlenderWindow, play: Play, tmp_path: Path, shot: Path, artefact: Callable[[str], Path]
) -> None:
    # GIVEN a window with a changed file, the tab "Render" shown, and a node
    show_tab(window)
    window.screenshot(artefact("panel-welcome"))
    use_play(window, play, tmp_path / "play")
    play.say(CONNECTED)
    wait_for(lambda: state(window)["connection"] == "connected", "the connection")
    change(window)

    # WHEN the artist presses Ctrl+S
    window.key("ctrl+s")
    (command,) = wait_for(lambda: play.commands("render"), "the job")

    # THEN the client gets the file and where everything belongs, and the panel shows what it answers
    assert command["blend"] == str(shot)
    assert command["title"] == "shot_020.blend"
    assert command["scene"] == "Scene"
    assert command["frames"] == "1"
    assert command["trigger"] == "save"
    assert command["folder"] == str(shot.parent / "frames")
    assert state(window)["jobs"] == {command["job"]: "waiting"}

    play.say(job_event(command, "rendering", done=1, fraction=0.4, eta_s=192.0, frame=2, sample=129, samples=256))
    wait_for(lambda: state(window)["jobs"] == {command["job"]: "rendering"}, "the panel to show it")
    thumbnail = shutil.copy(THUMBNAIL, tmp_path / "thumb.jpg")
    play.say({"event": "thumbnail", "job": command["job"], "frame": 1, "path": str(thumbnail)})
    window.screenshot(artefact("panel-rendering"))


def many_jobs(command: dict[str, Any], tmp_path: Path) -> list[dict[str, Any]]:
    """A list as it looks in the middle of a day's work, the given job in its midst."""

    def other(number: int, title: str, state: str, **more: Any) -> dict[str, Any]:
        return job_event(command, state, **{"job": f"{number:032x}", "title": title, "created": 2e9 - number, **more})

    return [
        other(1, "hero_still.blend", "uploading", sent_bytes=17_000_000, total_bytes=27_000_000, rate=12e6, total=1),
        job_event(
            command, "rendering", frames="1-48", total=48, done=12, delivered=11, fraction=0.27, eta_s=192.0, frame=13,
            sample=129, samples=256, blender="5.2.2", created=2e9 - 2,
        ),
        other(3, "shot_030.blend", "queued", total=120),
        other(4, "shot_010.blend", "done", total=48, done=48, delivered=48, fraction=1.0),
        other(
            5, "test_fx.blend", "failed", total=20, done=17, failed=3, fraction=0.85, blender="4.3.2",
            text="3 frames failed: the simulation cache of Smoke is missing.",
            notices=["This scene asks for a GPU; this node has none, so it renders on the CPU."],
        ),
    ]  # fmt: skip


def test_a_day_of_jobs(window: BlenderWindow, play: Play, tmp_path: Path, artefact: Callable[[str], Path]) -> None:
    # GIVEN a window whose save has become a job
    show_tab(window)
    use_play(window, play, tmp_path / "play")
    play.say(CONNECTED)
    change(window)
    window.key("ctrl+s")
    (command,) = wait_for(lambda: play.commands("render"), "the job")

    # WHEN the client tells of more jobs, in every state
    play.say(*many_jobs(command, tmp_path))
    play.say({"event": "thumbnail", "job": command["job"], "frame": 12, "path": str(THUMBNAIL)})
    play.say({"event": "delivered", "job": command["job"], "frame": 12, "path": str(THUMBNAIL)})
    wait_for(lambda: len(state(window)["rows"]) == 5, "the rows")

    # THEN they stand in the list, the newest first, and the artist's job stays the selected one
    shown = state(window)
    assert shown["titles"][0] == "hero_still.blend"
    assert shown["rows"] == list(shown["jobs"])
    assert shown["selected"] == command["job"]
    assert shown["index"] == 1
    window.screenshot(artefact("panel-jobs"))

    for index, name in ((0, "uploading"), (3, "done"), (4, "failed")):
        window.run(f"bpy.context.window_manager.relay_render_selected = {index}")
        window.screenshot(artefact(f"panel-{name}"))
