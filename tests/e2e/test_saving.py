# SPDX-License-Identifier: GPL-3.0-or-later
"""What a save sends, and what sends nothing. In a real window, its client played by the test."""

import shutil
from pathlib import Path

from tests.addon.scripted_client import Play, wait_for
from tests.e2e.panel import PREFERENCES, change, job_event, save, state
from tests.e2e.window import BlenderWindow


def settled(window: BlenderWindow, play: Play) -> list[dict[str, object]]:
    """All render commands so far: what was given before a command that has been heard has been heard too."""
    before = len(play.commands("clear_finished"))
    window.run(
        f"from {'bl_ext.user_default.relay_render'}.addon.blender import live; live.live().command('clear_finished')"
    )
    wait_for(lambda: len(play.commands("clear_finished")) > before, "the marker")
    return play.commands("render")


def test_ctrl_s_hands_the_file_over(played: BlenderWindow, play: Play, shot: Path) -> None:
    # WHEN the artist changes something and presses Ctrl+S
    save(played)
    # THEN the client gets the file and where everything belongs, and the panel shows the job
    (command,) = wait_for(lambda: play.commands("render"), "the job")
    told = {name: command[name] for name in ("blend", "title", "scene", "frames", "trigger", "keep_older", "folder")}
    assert told == {
        "blend": str(shot),
        "title": "shot_020.blend",
        "scene": "Scene",
        "frames": "1",
        "trigger": "save",
        "keep_older": False,
        "folder": str(shot.parent / "frames"),
    }
    assert state(played)["jobs"] == {command["job"]: "waiting"}


def test_several_saves_leave_one_job_in_the_list(played: BlenderWindow, play: Play) -> None:
    # GIVEN two saves, the second for the animation
    save(played)
    played.run(f"{PREFERENCES}.save_renders = 'ANIMATION'")
    save(played)
    first, second = wait_for(lambda: play.commands("render")[1:] and play.commands("render"), "both jobs")
    assert (first["frames"], second["frames"]) == ("1", "1-3")
    # WHEN the client lets the newer one supersede the older
    play.say(job_event(first, "superseded"), job_event(second, "rendering"))
    # THEN the newer one alone is in the list
    wait_for(lambda: state(played)["jobs"] == {second["job"]: "rendering"}, "one job")


def test_what_is_not_the_shots_own_save_sends_nothing(played: BlenderWindow, play: Play, shot: Path) -> None:
    # A copy, the startup file, a switched-off switch, a scene without a camera
    played.run(f"bpy.ops.wm.save_as_mainfile(filepath={str(shot.with_name('copy.blend'))!r}, copy=True)")
    assert shot.with_name("copy.blend").exists()
    played.run("bpy.ops.wm.save_homefile()")
    played.run(f"{PREFERENCES}.render_on_save = False")
    save(played)
    played.run(f"{PREFERENCES}.render_on_save = True")
    played.run("for each in list(bpy.data.cameras): bpy.data.cameras.remove(each)")
    assert "no camera" in state(played)["obstacle"]
    save(played)
    assert settled(played, play) == []
    # Save As makes another file the shot
    played.run(f"bpy.ops.object.camera_add(); bpy.ops.wm.save_as_mainfile(filepath={str(shot.with_name('b.blend'))!r})")
    assert [command["title"] for command in settled(played, play)] == ["b.blend"]


def test_a_save_that_fails_sends_nothing(played: BlenderWindow, play: Play, shot: Path) -> None:
    # GIVEN a file whose folder has gone
    change(played)
    shutil.rmtree(shot.parent)
    played.run(
        "import builtins; builtins.failed = []\n"
        "bpy.app.handlers.save_post_fail.append(lambda path, _: builtins.failed.append(path))"
    )
    # WHEN the artist saves
    played.key("ctrl+s")
    # THEN Blender says that it failed, and nothing was sent; nor when Render Frame tries
    wait_for(lambda: played.run("import builtins; answer = builtins.failed"), "the failure")
    assert "Error" in played.run(
        "try:\n    bpy.ops.relay_render.render()\nexcept RuntimeError as error:\n    answer = str(error)"
    )
    assert settled(played, play) == []


def test_an_output_folder_that_cannot_be_is_told_before_anything_renders(
    played: BlenderWindow, play: Play, shot: Path
) -> None:
    # GIVEN an output folder below a file
    (shot.parent / "notes").write_text("")
    played.run(f"{PREFERENCES}.output_folder = '//notes/frames'")
    # WHEN the artist saves
    save(played)
    # THEN the panel says what to do, until a save can be rendered
    assert "choose another output folder" in state(played)["problem"]
    assert settled(played, play) == []
    played.run(f"{PREFERENCES}.output_folder = '//elsewhere'")
    save(played)
    (command,) = wait_for(lambda: play.commands("render"), "the job")
    assert command["folder"] == str(shot.parent / "elsewhere")
    assert state(played)["problem"] == ""


def test_render_now_saves_what_has_changed_and_makes_one_job(played: BlenderWindow, play: Play, shot: Path) -> None:
    # GIVEN unsaved changes
    before = shot.stat().st_mtime_ns
    change(played)
    # WHEN the artist presses Render Animation
    played.run("bpy.ops.relay_render.render('INVOKE_DEFAULT', scope='ANIMATION')")
    # THEN the file on disk has them and one job renders it
    assert shot.stat().st_mtime_ns > before
    assert not state(played)["dirty"]
    (command,) = settled(played, play)
    assert (command["trigger"], command["frames"]) == ("now", "1-3")
    # AND without changes nothing is saved anew
    before = shot.stat().st_mtime_ns
    played.run("bpy.ops.relay_render.render(scope='FRAME')")
    assert shot.stat().st_mtime_ns == before
    assert [command["frames"] for command in settled(played, play)] == ["1-3", "1"]


def test_the_handler_does_not_touch_the_file(played: BlenderWindow, play: Play, shot: Path) -> None:
    # GIVEN an ear on everything that Python opens, looks at or starts
    played.run(
        "import builtins, sys; builtins.touched = []\n"
        "sys.addaudithook(lambda event, arguments: builtins.touched.append((event, str(arguments)))"
        f" if {shot.name!r} in str(arguments) else None)"
    )
    # WHEN a save has been handed over
    save(played)
    wait_for(lambda: play.commands("render"), "the job")
    # THEN Python has not opened or listed the file (the requests of this test carry no path of it)
    touched = played.run("import builtins; answer = builtins.touched")
    assert [event for event, _ in touched if event in ("open", "os.scandir", "os.listdir")] == []
