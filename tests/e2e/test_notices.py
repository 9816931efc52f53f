# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of the network in the preferences and the panel, and words about jobs that end, in a real window."""

from collections.abc import Callable
from pathlib import Path

from tests.addon.scripted_client import Play, wait_for
from tests.e2e.conftest import OpenWindow
from tests.e2e.panel import ADDON, PREFERENCES, play_client, show_tab, state
from tests.e2e.window import BlenderWindow

Artefact = Callable[[str], Path]

NODES = [
    {"name": "render-box", "address": "render-box-3f9a2c.local", "version": "0.1.0", "fits": True, "answers": True},
    {"name": "old laptop", "address": "old-laptop-00aa11.local", "version": "0.0.9", "fits": True, "answers": False},
]

OPEN_PREFERENCES = f"""
bpy.ops.screen.userpref_show(section='ADDONS')
bpy.ops.preferences.addon_expand(module={ADDON!r})
bpy.context.window_manager.addon_search = 'relay'
"""

CLOSE_PREFERENCES = """
windows = bpy.context.window_manager.windows
with bpy.context.temp_override(window=windows[-1]):
    bpy.ops.wm.window_close()
"""

REPORTS = """
windows = bpy.context.window_manager.windows
area = windows[0].screen.areas[-1]
kind, area.type = area.type, "INFO"
region = next(region for region in area.regions if region.type == "WINDOW")
with bpy.context.temp_override(window=windows[0], area=area, region=region):
    bpy.ops.info.select_all(action="SELECT")
    bpy.ops.info.report_copy()
answer = bpy.context.window_manager.clipboard
area.type = kind
"""
"""What Blender's list of reports has, which the status bar shows the newest of."""


def test_nodes_are_looked_for_while_the_list_is_seen_and_one_is_chosen(
    window: BlenderWindow, play: Play, tmp_path: Path, artefact: Artefact
) -> None:
    # GIVEN a window without a node, in which nobody has looked at the extension yet
    play_client(window, tmp_path / "play", address="")
    assert state(window)["client"] is None
    # WHEN the artist looks at the preferences
    window.run(OPEN_PREFERENCES)
    # THEN a client looks for nodes, and what it finds is listed there
    wait_for(lambda: {"command": "browse", "wanted": True} in play.commands("browse"), "the client to look")
    play.say({"event": "nodes", "nodes": NODES})
    listed = f"from {ADDON}.addon.blender import live; answer = [node.name for node in live.live().jobs.nodes]"
    wait_for(lambda: window.run(listed) == ["render-box", "old laptop"], "the list")
    window.screenshot(artefact("preferences-nodes"))
    # AND choosing one fills the address, which the client is told
    window.run("bpy.ops.relay_render.choose_node(address='render-box-3f9a2c.local')")
    assert window.run(f"answer = {PREFERENCES}.node_address") == "render-box-3f9a2c.local"
    wait_for(lambda: play.commands("configure")[-1]["address"] == "render-box-3f9a2c.local", "the address")
    # WHEN the preferences are closed
    window.run(CLOSE_PREFERENCES)
    # THEN nobody looks any more
    wait_for(lambda: play.commands("browse")[-1] == {"command": "browse", "wanted": False}, "its end")


def test_the_panel_lists_nodes_as_long_as_it_has_none(
    window: BlenderWindow, play: Play, tmp_path: Path, artefact: Artefact
) -> None:
    play_client(window, tmp_path / "play", address="")
    show_tab(window)
    wait_for(lambda: {"command": "browse", "wanted": True} in play.commands("browse"), "the client to look")
    play.say({"event": "nodes", "nodes": NODES})
    listed = f"from {ADDON}.addon.blender import live; answer = len(live.live().jobs.nodes)"
    wait_for(lambda: window.run(listed) == 2, "the list")
    window.screenshot(artefact("panel-nodes"))
    window.run("bpy.ops.relay_render.choose_node(address='render-box-3f9a2c.local')")
    wait_for(lambda: play.commands("browse")[-1] == {"command": "browse", "wanted": False}, "nobody to look any more")


def test_offline_nobody_looks(open_window: OpenWindow, shot: Path, play: Play, tmp_path: Path) -> None:
    with open_window(str(shot)) as window:
        play_client(window, tmp_path / "play", address="")
        show_tab(window)
        window.run(OPEN_PREFERENCES)
        window.run("bpy.ops.wm.redraw_timer(type='DRAW_WIN_SWAP', iterations=1)")
        wanted = f"from {ADDON}.addon.blender import live; answer = live.live().browsing.wanted"
        assert window.run(wanted) is False
        assert (state(window)["client"], play.heard()) == (None, [])


def test_the_end_of_a_job_is_said_in_the_status_bar_if_that_is_wanted(
    window: BlenderWindow, play: Play, tmp_path: Path, artefact: Artefact
) -> None:
    # GIVEN an artist who has changed nothing about it
    play_client(window, tmp_path / "play")
    wait_for(lambda: play.commands("notify"), "the client to know what is wanted")
    assert play.commands("notify") == [{"command": "notify", "desktop": False}]
    # WHEN jobs end
    play.say({"event": "notice", "text": "shot_020.blend is rendered: 48 frames.", "failed": False})
    wait_for(lambda: "shot_020.blend is rendered: 48 frames." in window.run(REPORTS), "the report")
    window.screenshot(artefact("notice-done"))
    play.say({"event": "notice", "text": "test_fx.blend failed: No camera.", "failed": True})
    wait_for(lambda: "test_fx.blend failed: No camera." in window.run(REPORTS), "the report")
    window.screenshot(artefact("notice-failed"))
    # AND it takes nothing from what the artist does meanwhile, nor makes a change to the file
    assert state(window)["dirty"] is False
    # WHEN the artist wants them on the desktop THEN the client is told, and Blender itself says nothing
    window.run(f"{PREFERENCES}.notify = 'DESKTOP'")
    wait_for(lambda: play.commands("notify")[-1] == {"command": "notify", "desktop": True}, "the client to know")
    play.say(
        {"event": "notice", "text": "quiet.blend is rendered: 1 frame.", "failed": False},
        {"event": "problem", "job": None, "text": "seen"},
    )
    wait_for(lambda: state(window)["problem"] == "seen", "both to have come")
    assert "quiet.blend" not in window.run(REPORTS)
