# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel shows in a real window, its client played by the test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.addon.scripted_client import Play, wait_for
from tests.e2e.conftest import OpenWindow
from tests.e2e.panel import ADDON, CONNECTED, job_event, play_client, save, show_tab, state
from tests.e2e.window import BlenderWindow

THUMBNAIL = Path(__file__).with_name("thumbnail.jpg")
Artefact = Callable[[str], Path]


def test_without_a_node_the_panel_asks_for_one(
    window: BlenderWindow, play: Play, tmp_path: Path, artefact: Artefact
) -> None:
    # GIVEN a window without a node: nothing runs before somebody looks
    play_client(window, tmp_path / "play", address="")
    assert state(window)["client"] is None
    # WHEN somebody does THEN nodes are looked for, and a save sends nothing
    show_tab(window)
    window.screenshot(artefact("panel-welcome"))
    wait_for(lambda: play.commands("browse"), "the client to look for nodes")
    save(window)
    assert state(window)["jobs"] == {}
    assert {line.get("command") for line in play.heard()} == {None, "configure", "browse", "notify"}
    assert play.commands("configure") == [{"command": "configure", "address": ""}]


def test_offline_nothing_starts_and_the_panel_offers_the_setting(
    open_window: OpenWindow, shot: Path, tmp_path: Path, play: Play, artefact: Artefact
) -> None:
    # GIVEN a Blender as it comes, with online access off, and a node's address
    with open_window(str(shot)) as window:
        assert window.run("answer = bpy.app.online_access") is False
        show_tab(window)
        play_client(window, tmp_path / "play")
        wait_for(lambda: state(window)["connection"] == "offline", "the panel to know")
        window.screenshot(artefact("panel-offline"))
        # WHEN the artist saves
        save(window)
        # THEN nothing has started or been sent
        assert (state(window)["client"], state(window)["jobs"], play.heard()) == (None, {}, [])
        # AND allowing it, as the panel's checkbox does, connects
        window.run("bpy.context.preferences.system.use_online_access = True")
        wait_for(lambda: play.commands("configure"), "the client")


def many_jobs(command: dict[str, Any]) -> list[dict[str, Any]]:
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


def test_a_day_of_jobs(played: BlenderWindow, play: Play, artefact: Artefact) -> None:
    # GIVEN a window whose save has become a job
    show_tab(played)
    play.say(CONNECTED)
    save(played)
    (command,) = wait_for(lambda: play.commands("render"), "the job")

    # WHEN the client tells of more jobs, in every state
    play.say(*many_jobs(command))
    play.say({"event": "thumbnail", "job": command["job"], "frame": 12, "path": str(THUMBNAIL)})
    play.say({"event": "delivered", "job": command["job"], "frame": 12, "path": str(THUMBNAIL)})
    wait_for(lambda: len(state(played)["rows"]) == 5, "the rows")

    # THEN they stand in the list, the newest first, and the artist's job stays the selected one
    shown = state(played)
    assert shown["titles"][0] == "hero_still.blend"
    assert shown["rows"] == list(shown["jobs"])
    assert (shown["selected"], shown["index"]) == (command["job"], 1)
    played.screenshot(artefact("panel-jobs"))

    # AND each can be looked at
    for index, name in ((0, "uploading"), (3, "done"), (4, "failed")):
        played.run(f"bpy.context.window_manager.relay_render_selected = {index}")
        assert state(played)["index"] == index
        played.screenshot(artefact(f"panel-{name}"))

    # AND what cannot work for the selected one is not offered
    offers = "cancel", "pause", "retry", "show_frame", "open_folder", "clear_finished"
    asked = f"answer = [name for name in {offers} if getattr(bpy.ops.relay_render, name).poll()]"
    assert played.run(asked) == ["retry", "open_folder", "clear_finished"]
    played.run("bpy.context.window_manager.relay_render_selected = 1")
    assert played.run(asked) == ["cancel", "pause", "show_frame", "open_folder", "clear_finished"]


def test_the_buttons_tell_the_client(played: BlenderWindow, play: Play, artefact: Artefact) -> None:
    # GIVEN a job that renders and one that failed
    show_tab(played)
    save(played)
    (command,) = wait_for(lambda: play.commands("render"), "the job")
    play.say(job_event(command, "rendering"), job_event(command, "failed", job="f" * 32, created=1.0))
    wait_for(lambda: len(state(played)["rows"]) == 2, "the rows")
    # WHEN the artist presses the buttons
    played.run("bpy.ops.relay_render.pause()")
    play.say(job_event(command, "queued", paused=True, done=1, total=3, text="Paused."))
    paused = f"from {ADDON}.addon.blender import live; answer = live.live().jobs.selected_job().paused"
    wait_for(lambda: played.run(paused), "the panel to know")
    played.screenshot(artefact("panel-paused"))
    played.run("bpy.ops.relay_render.pause()")
    played.run("bpy.ops.relay_render.cancel()")
    played.run("bpy.context.window_manager.relay_render_selected = 1; bpy.ops.relay_render.retry()")
    played.run("bpy.ops.relay_render.clear_finished()")
    # THEN the client hears which job is meant
    wait_for(lambda: play.commands("clear_finished"), "the last command")
    assert play.commands("pause") == [{"command": "pause", "job": command["job"]}]
    assert play.commands("resume") == [{"command": "resume", "job": command["job"]}]
    assert play.commands("cancel") == [{"command": "cancel", "job": command["job"]}]
    assert play.commands("retry") == [{"command": "retry", "job": "f" * 32}]
    # AND what it forgets leaves the list
    play.say({"event": "forgotten", "job": "f" * 32})
    wait_for(lambda: state(played)["rows"] == [command["job"]], "the row to go")


def test_pairing_is_done_in_the_panel(played: BlenderWindow, play: Play, artefact: Artefact) -> None:
    # GIVEN a node that does not know this account
    show_tab(played)
    unpaired = "Not paired with the node at render-box yet."
    play.say({"event": "connection", "state": "unpaired", "address": "render-box", "text": unpaired})
    wait_for(lambda: state(played)["connection"] == "unpaired", "the panel to know")
    played.screenshot(artefact("panel-unpaired"))
    # WHEN the artist presses Pair, and digits come
    played.run("bpy.ops.relay_render.pair()")
    wait_for(lambda: play.commands("pair"), "the command")
    question = "Does render-box show the same digits?"
    play.say({"event": "pairing", "state": "comparing", "text": question, "digits": "482 913"})
    wait_for(lambda: state(played)["pairing"] == ["comparing", "482 913", question], "the digits")
    played.screenshot(artefact("panel-pairing"))
    # AND says that they are the same
    played.run("bpy.ops.relay_render.compared(same=True)")
    wait_for(lambda: play.commands("compared") == [{"command": "compared", "same": True}], "the answer")
    # THEN the digits stay until the owner has allowed it, for who compares once more
    play.say({"event": "pairing", "state": "waiting", "text": "Waiting.", "digits": ""})
    wait_for(lambda: state(played)["pairing"] == ["waiting", "482 913", "Waiting."], "the panel to wait")
    play.say({"event": "pairing", "state": "paired", "text": "", "digits": ""}, CONNECTED)
    wait_for(lambda: state(played)["pairing"] == ["", "", ""], "the box to go")
    assert played.run("answer = bpy.ops.relay_render.pair.poll()") is False


def test_view_shows_the_newest_frame_in_an_image_editor_and_never_saves_it(
    played: BlenderWindow, play: Play, shot: Path, artefact: Artefact
) -> None:
    # GIVEN a job of which a frame has arrived
    save(played)
    (command,) = wait_for(lambda: play.commands("render"), "the job")
    play.say(job_event(command, "rendering"), {"event": "delivered", "job": command["job"], "path": str(THUMBNAIL)})
    wait_for(lambda: played.run("answer = bpy.ops.relay_render.show_frame.poll()"), "the button")
    # WHEN the artist presses View, twice
    played.run("bpy.ops.relay_render.show_frame()")
    played.run("bpy.ops.relay_render.show_frame()")
    # THEN one new window shows it, with the panel in its sidebar
    shown = """
windows = bpy.context.window_manager.windows
area = windows[-1].screen.areas[0]
answer = [len(windows), area.type, area.spaces.active.image.filepath, area.spaces.active.image.is_runtime_data]
"""
    assert played.run(shown) == [2, "IMAGE_EDITOR", str(THUMBNAIL), True]
    show_tab(played, "IMAGE_EDITOR")
    played.screenshot(artefact("panel-image-editor"))
    # AND neither picture nor anything of the extension is in the artist's file
    played.run("bpy.ops.wm.save_as_mainfile(filepath=bpy.data.filepath, compress=False)")
    saved = shot.read_bytes()
    assert saved.startswith(b"BLENDER")
    assert THUMBNAIL.name.encode() not in saved
    assert command["job"].encode() not in saved
    assert b"relay_render_" not in saved


@pytest.mark.parametrize("wide", [False, True])
def test_the_extensions_preferences_open(
    window: BlenderWindow, wide: bool, tmp_path: Path, play: Play, artefact: Artefact
) -> None:
    play_client(window, tmp_path / "play", "render-box.studio.example:7461" if wide else "")
    window.run(
        "bpy.ops.screen.userpref_show(section='ADDONS')\n"
        f"bpy.ops.preferences.addon_expand(module={ADDON!r})\n"
        f"bpy.context.window_manager.addon_search = 'relay'"
    )
    window.screenshot(artefact(f"preferences-{'filled' if wide else 'empty'}"))
