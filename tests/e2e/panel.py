# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension as a test sees it from outside its window's Blender."""

from pathlib import Path
from typing import Any

from tests.addon.scripted_client import Play, wait_for
from tests.e2e.window import BlenderWindow

ADDON = "bl_ext.user_default.relay_render"
PREFERENCES = f"bpy.context.preferences.addons[{ADDON!r}].preferences"

CONNECTED = {
    "event": "connection",
    "state": "connected",
    "address": "render-box",
    "node": "render-box",
    "version": "0.1.0",
    "blenders": ["4.3.2", "5.2.2"],
    "text": "render-box, Blender 4.3.2 and 5.2.2",
}

_SHOW_TAB = """
windows = reversed(bpy.context.window_manager.windows)
area = next(area for window in windows for area in window.screen.areas if area.type == {area!r})
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

_STATE = f"""
from {ADDON}.addon.blender import collect, live
jobs, manager = live.live().jobs, bpy.context.window_manager
selected = jobs.selected_job()
answer = {{
    "connection": jobs.connection.state,
    "text": jobs.connection.text,
    "pairing": [jobs.pairing.state, jobs.pairing.digits, jobs.pairing.text],
    "problem": jobs.problem,
    "obstacle": collect.obstacle(bpy.context.scene),
    "jobs": {{job.job: job.state for job in jobs.rows()}},
    "titles": [job.title for job in jobs.rows()],
    "texts": [job.text for job in jobs.rows()],
    "rows": [row.name for row in manager.relay_render_jobs],
    "selected": selected and selected.job,
    "index": manager.relay_render_selected,
    "client": live.live().link.pid,
    "dirty": bpy.data.is_dirty,
    "file": bpy.data.filepath,
}}
"""


def state(window: BlenderWindow) -> dict[str, Any]:
    """What the panel is drawn from."""
    answer: dict[str, Any] = window.run(_STATE)
    return answer


def show_tab(window: BlenderWindow, area: str = "VIEW_3D") -> None:
    wait_for(lambda: window.run(_SHOW_TAB.format(area=area)) == "Render", "the Render tab")


def play_client(window: BlenderWindow, folder: Path, address: str = "render-box") -> None:
    """Have the test play the client that the extension starts from now on."""
    window.run(
        f"from {ADDON}.addon.blender import live\n"
        f"live.client_command = lambda data: {Play.command(folder)!r}\n"
        f"{PREFERENCES}.node_address = {address!r}"
    )


def change(window: BlenderWindow) -> None:
    """Make a change to the scene, such that there is something to save."""
    window.run("bpy.context.object.location.x += 1; bpy.ops.ed.undo_push(message='Move')")


def save(window: BlenderWindow) -> None:
    """Press Ctrl+S over the viewport and wait until Blender has saved."""
    change(window)
    window.key("ctrl+s")
    wait_for(lambda: not state(window)["dirty"], "the file to be saved")


def job_event(command: dict[str, Any], state: str, **more: Any) -> dict[str, Any]:
    """The client's word about the job of a render command."""
    told = {name: command[name] for name in ("job", "title", "blend", "frames", "folder")}
    return {"event": "job", **told, "state": state, "total": 3, "created": 1e9, **more}
