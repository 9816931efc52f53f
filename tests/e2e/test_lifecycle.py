# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension and its client come and go: enabled, disabled, killed, restarted. In a real window."""

import os
import signal
from functools import partial
from pathlib import Path

from tests.addon.scripted_client import Play, wait_for
from tests.e2e.panel import ADDON, CONNECTED, job_event, play_client, save, state
from tests.e2e.window import BlenderWindow


def nth_pid(play: Play, run: int) -> int | None:
    return next(iter(play.pids()[run - 1 :]), None)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_disabling_ends_the_client_and_enabling_starts_another_any_number_of_times(
    played: BlenderWindow, play: Play, tmp_path: Path
) -> None:
    for run in range(1, 4):
        pid = wait_for(partial(nth_pid, play, run), "a client")
        played.run(f"bpy.ops.preferences.addon_disable(module={ADDON!r})")
        assert pid
        assert not alive(pid)
        left = "answer = [hasattr(bpy.types.WindowManager, 'relay_render_jobs'), len(bpy.app.handlers.save_post)]"
        assert played.run(left) == [False, 0]
        played.run(f"bpy.ops.preferences.addon_enable(module={ADDON!r})")
        play_client(played, tmp_path / "play")
    save(played)
    assert len(wait_for(lambda: play.commands("render"), "the job")) == 1


def test_the_client_ends_when_blender_is_killed(played: BlenderWindow, play: Play) -> None:
    (pid,) = play.pids()
    os.kill(played.process.pid, signal.SIGKILL)
    wait_for(lambda: not alive(pid), "the client's end")


def test_the_client_ends_when_blender_quits(played: BlenderWindow, play: Play) -> None:
    (pid,) = play.pids()
    played.run("bpy.app.timers.register(lambda: bpy.ops.wm.quit_blender() and None)")
    assert played.process.wait(30) == 0
    wait_for(lambda: not alive(pid), "the client's end")


def test_a_client_that_is_killed_comes_back_and_gets_the_job_it_had_not_taken(
    played: BlenderWindow, play: Play
) -> None:
    # GIVEN a job of which the client has said nothing yet
    save(played)
    (command,) = wait_for(lambda: play.commands("render"), "the job")
    # WHEN the client is killed
    os.kill(play.pids()[0], signal.SIGKILL)
    # THEN the panel says so, and the next one gets the same job
    wait_for(lambda: state(played)["connection"] == "ended", "the panel to notice")
    wait_for(lambda: len(play.pids()) == 2, "another client")
    assert wait_for(lambda: play.commands("render")[1:], "the job again") == [command]


def test_jobs_outlive_another_file_and_show_in_every_window(played: BlenderWindow, play: Play, shot: Path) -> None:
    # GIVEN a job that renders
    play.say(CONNECTED)
    save(played)
    (command,) = wait_for(lambda: play.commands("render"), "the job")
    play.say(job_event(command, "rendering"))
    # WHEN the artist opens a second window and then another file
    played.run("bpy.ops.wm.window_new()")
    played.run("bpy.app.timers.register(lambda: bpy.ops.wm.read_homefile(app_template='') and None)")
    wait_for(lambda: state(played)["file"] == "", "the new file")
    # THEN the client is the same, and the list goes on
    play.say(job_event(command, "done", done=3))
    wait_for(lambda: state(played)["jobs"] == {command["job"]: "done"}, "the job's end")
    wait_for(lambda: state(played)["rows"] == [command["job"]], "its row")
    assert len(play.pids()) == 1
    assert "Save the file once" in state(played)["obstacle"]
