# SPDX-License-Identifier: GPL-3.0-or-later
"""From a saved file to frames in the artist's folder, through real processes, sockets and Blenders."""

import json
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from server.blenders import Blender
from server.pictures import verify
from tests.system.harness import ClientProcess, Link, NodeProcess, cli, plain, read_until, start_cli

StartNode = Callable[..., NodeProcess]
StartClient = Callable[..., ClientProcess]
MakeScene = Callable[..., Path]

FRAMES = [f"shot_{number:03}.png" for number in range(1, 13)]


def check_frames(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == FRAMES
    for path in folder.iterdir():
        verify(path)


def test_frames_arrive_under_blenders_own_names(
    blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a node and a client that is connected to it
    node = start_node(blender)
    client = start_client(node.address)
    hello = client.until(lambda line: line["event"] == "connection" and line["state"] == "connected")
    assert blender.name in hello["blenders"]
    # WHEN an animation is sent
    job = client.render(make_scene(blender), tmp_path / "frames", "1-12")
    # THEN its frames arrive whole, with a thumbnail, and the panel is told all the way
    done = client.until_state(job, "done", "failed")
    assert (done["state"], done["done"], done["delivered"], done["fraction"]) == ("done", 12, 12, 1.0), done
    assert done["blender"] == blender.name
    assert done["notices"] == []
    check_frames(tmp_path / "frames")
    states = [line["state"] for line in client.seen if line["event"] == "job"]
    assert "rendering" in states
    thumbnails = [Path(line["path"]) for line in client.seen if line["event"] == "thumbnail"]
    assert thumbnails[-1].read_bytes()[:2] == b"\xff\xd8"
    # AND the node has kept nothing of it but its place on the list
    assert list((node.data / "jobs").iterdir()) == []
    # AND clearing takes it off the list on both sides
    client.send(command="clear_finished")
    client.until(lambda line: line == {"event": "forgotten", "job": job})
    assert job[:8] not in cli("status", "--to", node.address, data=tmp_path).stdout


def test_the_node_killed_in_an_animation_goes_on_at_the_first_missing_frame(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN an animation of which some frames have arrived
    node = start_node(any_blender)
    client = start_client(node.address)
    job = client.render(make_scene(any_blender, SAMPLES="256"), tmp_path / "frames", "1-12")
    for _ in range(3):
        client.until(lambda line: line["event"] == "delivered")
    blenders = node.blenders()
    # WHEN the node is killed
    node.kill()
    # THEN its Blender ends too
    gone, alive = psutil.wait_procs(blenders, timeout=20)
    assert gone and not alive
    # AND after a restart the animation goes on behind the frames that were rendered
    node.start()
    going_on = client.until(lambda line: line["event"] == "job" and line["frame"] is not None)
    assert going_on["frame"] > 3
    client.until_state(job, "done")
    check_frames(tmp_path / "frames")


def test_blender_killed_in_a_frame_renders_it_again(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    node = start_node(any_blender)
    client = start_client(node.address)
    job = client.render(make_scene(any_blender, SAMPLES="256"), tmp_path / "frames", "1-12")
    for _ in range(2):
        client.until(lambda line: line["event"] == "delivered")
        client.until(lambda line: line["event"] == "job" and line["frame"] is not None)
        for process in node.blenders():
            process.kill()
    client.until_state(job, "done")
    check_frames(tmp_path / "frames")


def test_the_client_killed_in_an_upload_goes_on_where_it_was(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN an upload over a slow link, half done
    node = start_node(any_blender)
    blend = make_scene(any_blender, BULK="3072")
    size = blend.stat().st_size
    link = Link(node.port, rate=size / 3)
    client = start_client(f"127.0.0.1:{link.port}")
    job = client.render(blend, tmp_path / "frames", "1-3")
    link.wait_for(size // 2)
    # WHEN the client is killed and a new one is started
    client.kill()
    client = start_client(f"127.0.0.1:{link.port}")
    # THEN the job is there again and ends, and what had arrived was not sent twice
    client.until_state(job, "done")
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == FRAMES[:3]
    assert link.passed < size * 1.3  # Sent anew it would be 1.5 at least.
    assert cli("status", "--to", node.address, data=tmp_path).stdout.count("shot.blend") == 1
    link.close()


def test_a_link_that_breaks_is_taken_up_again(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    node = start_node(any_blender)
    blend = make_scene(any_blender, BULK="3072")
    size = blend.stat().st_size
    link = Link(node.port, rate=size / 2)
    client = start_client(f"127.0.0.1:{link.port}")
    job = client.render(blend, tmp_path / "frames", "1-3")
    for part in (0.25, 0.5, 0.75):
        link.wait_for(int(size * part))
        link.cut()
    client.until_state(job, "done")
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == FRAMES[:3]
    assert link.passed < size * 1.6
    link.close()


def test_several_saves_leave_one_job(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a save that is rendering
    node = start_node(any_blender)
    client = start_client(node.address)
    blend = make_scene(any_blender, SAMPLES="4096")
    first = client.render(blend, tmp_path / "frames", "1-12", trigger="save")
    client.until(lambda line: line["event"] == "job" and line["frame"] is not None)
    # WHEN the file is saved twice more
    second = client.render(blend, tmp_path / "frames", "1", trigger="save")
    third = client.render(blend, tmp_path / "frames", "2", trigger="save")
    # THEN only the newest is rendered
    client.until(lambda _: client.states.get(third) == "rendering" and client.states[first] == "superseded")
    assert client.states.get(second, "superseded") == "superseded"
    client.send(command="cancel", job=third)
    client.until_state(third, "cancelled")
    assert node.blenders() == []


def test_render_now_and_kept_saves_supersede_nothing(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    node = start_node(any_blender)
    client = start_client(node.address)
    blend = make_scene(any_blender)
    jobs = [
        client.render(blend, tmp_path / "a", "1", trigger="save"),
        client.render(blend, tmp_path / "b", "2", trigger="now"),
        client.render(blend, tmp_path / "c", "3", trigger="save", keep_older=True),
    ]
    client.until(lambda _: all(client.states.get(job) == "done" for job in jobs))
    assert [(tmp_path / folder / FRAMES[n]).exists() for n, folder in enumerate("abc")] == [True] * 3


def test_frames_of_a_closed_blender_come_with_the_next_one(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a client that ends while its job is rendered
    node = start_node(any_blender)
    client = start_client(node.address)
    job = client.render(make_scene(any_blender, SAMPLES="64"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "delivered")
    client.close()
    # WHEN another one starts later
    client = start_client(node.address)
    # THEN all frames arrive
    client.until_state(job, "done")
    check_frames(tmp_path / "frames")


def test_the_command_line_submits_and_shows(
    any_blender: Blender, start_node: StartNode, make_scene: MakeScene, tmp_path: Path
) -> None:
    node = start_node(any_blender)
    done = cli(
        "submit", make_scene(any_blender), "--to", node.address, "--frames", "1-3,12", "--output", tmp_path / "out",
        data=tmp_path / "client",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*FRAMES[:3], FRAMES[11]]
    status = cli("status", "--to", node.address, data=tmp_path)
    assert "shot.blend" in status.stdout
    assert "4/4 100%" in plain(status.stdout)
    assert any_blender.name in status.stdout


def test_the_command_line_cancels_by_the_first_digits(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    node = start_node(any_blender)
    client = start_client(node.address)
    job = client.render(make_scene(any_blender, SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until_state(job, "rendering")
    assert "No job begins with" in cli("cancel", "zzz", "--to", node.address, data=tmp_path).stderr
    cancelled = cli("cancel", job[:8], "--to", node.address, data=tmp_path)
    assert cancelled.returncode == 0, cancelled.stderr
    assert client.until_state(job, "cancelled")["text"] == "Cancelled."
    again = cli("cancel", job[:8], "--to", node.address, data=tmp_path)
    assert again.returncode == 1
    assert "ended already" in plain(again.stderr)


@pytest.mark.parametrize("number", [15, 2])
def test_a_node_ends_with_its_blenders(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path,
    number: int,
) -> None:  # fmt: skip
    node = start_node(any_blender)
    client = start_client(node.address)
    client.render(make_scene(any_blender, SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "job" and line["frame"] is not None)
    blenders = node.blenders()
    assert blenders and node.process is not None
    node.process.send_signal(number)
    assert node.process.wait(10) == 0
    assert not psutil.wait_procs(blenders, timeout=5)[1]


def test_ctrl_c_leaves_the_job_running_and_watch_brings_its_frames(
    any_blender: Blender, start_node: StartNode, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a submission of which the first frame has come
    node = start_node(any_blender)
    records = ["--to", node.address, "--data", str(tmp_path / "records")]
    blend, out = make_scene(any_blender, SAMPLES="256"), tmp_path / "frames"
    with start_cli("submit", str(blend), "--frames", "1-12", "--output", str(out), *records) as submit:
        read_until(submit, "shot_001.png")
        # WHEN the artist presses Ctrl+C
        submit.send_signal(signal.SIGINT)
        rest, errors = submit.communicate(timeout=20)
    # THEN it says how to get the frames
    assert submit.returncode == 130, rest + errors
    assert f"python -m server watch --to {node.address}" in plain(errors)
    # AND that brings them
    with start_cli("watch", *records) as watch:
        read_until(watch, "shot_012.png")
        watch.send_signal(signal.SIGINT)
        rest, errors = watch.communicate(timeout=20)
    assert watch.returncode == 0, rest + errors
    check_frames(out)


def test_a_node_that_has_lost_its_data_is_told_of_and_the_job_can_be_sent_again(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a job that is being rendered
    node = start_node(any_blender)
    client = start_client(node.address)
    job = client.render(make_scene(any_blender, SAMPLES="256"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "delivered")
    # WHEN the node comes back without knowing it
    node.kill()
    database = sqlite3.connect(node.data / "node.sqlite3")
    database.execute("PRAGMA foreign_keys=ON")
    database.execute("DELETE FROM jobs")
    database.commit()
    database.close()
    node.start()
    # THEN the artist is told, and Retry sends it again
    assert "press Retry" in client.until_state(job, "failed")["text"]
    client.send(command="retry", job=job)
    client.until_state(job, "done")
    check_frames(tmp_path / "frames")


def test_a_job_on_another_node_waits_for_it_and_can_be_cancelled(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a job on one node
    first, second = start_node(any_blender), start_node(any_blender, data=tmp_path / "second")
    client = start_client(first.address)
    job = client.render(make_scene(any_blender, SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until_state(job, "rendering")
    # WHEN the artist goes over to another node, restarts Blender there, and cancels it
    client.close()
    client = start_client(second.address)
    assert first.address in client.until_state(job, "waiting")["text"]
    client.until(lambda line: line["event"] == "connection" and line["state"] == "connected")
    client.send(command="cancel", job=job)
    client.until_state(job, "cancelled")
    # THEN the first node stops when it hears of it
    client.send(command="configure", address=first.address)
    client.until(lambda line: line["event"] == "connection" and line["state"] == "connected")
    psutil.wait_procs(first.blenders(), timeout=20)
    assert "cancelled" in cli("status", "--to", first.address, data=tmp_path).stdout


def test_two_programs_that_send_the_same_file_both_get_their_frames(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN one program of an artist that is sending a file
    node = start_node(any_blender)
    blend = make_scene(any_blender, BULK="3072")
    size = blend.stat().st_size
    link = Link(node.port, rate=size / 3)
    first = start_client(f"127.0.0.1:{link.port}")
    one = first.render(blend, tmp_path / "one", "1")
    link.wait_for(size // 4)
    # WHEN another one of the same artist wants the same file rendered
    second = start_client(node.address)
    two = second.render(blend, tmp_path / "two", "2")
    # THEN both get their frames, and the file has travelled once
    first.until_state(one, "done")
    second.until_state(two, "done")
    assert link.passed < size * 1.3
    link.close()


def test_what_an_ended_program_was_sending_is_sent_by_who_waits_for_it(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    node = start_node(any_blender)
    blend = make_scene(any_blender, BULK="3072")
    size = blend.stat().st_size
    link = Link(node.port, rate=size / 10)
    first = start_client(f"127.0.0.1:{link.port}")
    first.render(blend, tmp_path / "one", "1")
    link.wait_for(size // 4)
    second = start_client(node.address)
    two = second.render(blend, tmp_path / "two", "2")
    second.until_state(two, "uploading")
    first.kill()
    second.until_state(two, "done")
    link.close()


def test_a_newer_save_of_unchanged_bytes_survives_a_restart(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a save that supersedes an older one of the very same bytes
    node = start_node(any_blender)
    client = start_client(node.address)
    blend = make_scene(any_blender, SAMPLES="256")
    client.render(blend, tmp_path / "frames", "1-12", trigger="save")
    client.until(lambda line: line["event"] == "delivered")
    job = client.render(blend, tmp_path / "frames", "1-12", trigger="save")
    client.until(lambda _: client.states.get(job) == "rendering")
    # WHEN the node is restarted
    node.kill()
    node.start()
    # THEN the newer one is rendered to its end
    client.until_state(job, "done")
    check_frames(tmp_path / "frames")


def test_several_slots_render_side_by_side(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    node = start_node(any_blender, "--slots", "2")
    client = start_client(node.address)
    jobs = [client.render(make_scene(any_blender), tmp_path / name, "1-12") for name in ("a", "b")]
    client.until(lambda _: all(client.states.get(job) == "done" for job in jobs))
    check_frames(tmp_path / "a")
    check_frames(tmp_path / "b")
    # A job that cannot be rendered does not stop the others.
    bad = client.render(make_scene(any_blender, NO_CAMERA="1"), tmp_path / "c", "1-12")
    good = client.render(make_scene(any_blender), tmp_path / "d", "1-3")
    client.until(lambda _: client.states.get(bad) == "failed" and client.states.get(good) == "done")


def test_a_name_that_windows_cannot_hold_comes_back_where_it_can(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    node = start_node(any_blender)
    client = start_client(node.address)
    job = client.render(make_scene(any_blender, PATTERN="//out/shot: ##"), tmp_path / "frames", "7")
    client.until_state(job, "done")
    expected = "shot_ 07.png" if sys.platform == "win32" else "shot: 07.png"
    assert [path.name for path in (tmp_path / "frames").iterdir()] == [expected]


def test_two_nodes_on_one_data_folder_are_refused(any_blender: Blender, start_node: StartNode, tmp_path: Path) -> None:
    node = start_node(any_blender)
    second = cli("--listen", "127.0.0.1:0", "--data", node.data, data=tmp_path)
    assert second.returncode == 1
    assert "Another node uses this data folder" in plain(second.stderr)


def test_every_one_of_many_quick_saves_has_its_thumbnail(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a warm node, on which a tiny frame is home before its thumbnail is made
    node = start_node(any_blender)
    client = start_client(node.address)
    blend = make_scene(any_blender)
    client.until_state(client.render(blend, tmp_path / "frames", "1"), "done")
    (worker,) = node.blenders()
    # WHEN it renders one job after the other
    for _ in range(10):
        job = client.render(blend, tmp_path / "frames", "2")
        client.until(lambda line, job=job: line["event"] == "thumbnail" and line["job"] == job)  # type: ignore[misc]
        client.until(lambda _, job=job: client.states.get(job) == "done")  # type: ignore[misc]
    # THEN it was the same Blender all the time, and nothing is left of any
    assert node.blenders() == [worker]
    assert list((node.data / "jobs").iterdir()) == []


def test_a_job_that_the_node_has_and_the_client_does_not_remember_handing_over(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a client that was killed after the node had accepted its job and before that was written down
    node = start_node(any_blender)
    client = start_client(node.address)
    blend = make_scene(any_blender, BULK="3072")
    job = client.render(blend, tmp_path / "frames", "1-12")
    client.until_state(job, "rendering")
    client.kill()
    entry = tmp_path / "client" / "jobs" / f"{job}.json"
    entry.write_text(json.dumps(json.loads(entry.read_text()) | {"node": "", "address": ""}))
    # WHEN the next one starts
    client = start_client(node.address)
    # THEN the job is taken up as it is, and others are not held up by it
    after = client.render(blend, tmp_path / "after", "1")
    client.until(lambda _: client.states.get(job) == "done" and client.states.get(after) == "done")
    check_frames(tmp_path / "frames")


def test_each_save_is_rendered_as_it_was_when_it_was_saved(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN two saves of different content while there is no node
    client = start_client("")
    blend = tmp_path / "shot.blend"
    shutil.copy(make_scene(any_blender, PATTERN="//first_##"), blend)
    one = client.render(blend, tmp_path / "frames", "1", trigger="save", keep_older=True)
    client.until_state(one, "waiting")
    shutil.copy(make_scene(any_blender, PATTERN="//second_##"), tmp_path / "new.blend")
    (tmp_path / "new.blend").replace(blend)
    two = client.render(blend, tmp_path / "frames", "1", trigger="save", keep_older=True)
    client.until_state(two, "waiting")
    # WHEN there is one, THEN each is rendered with its own content
    client.send(command="configure", address=start_node(any_blender).address)
    client.until(lambda _: client.states.get(one) == "done" and client.states.get(two) == "done")
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["first_01.png", "second_01.png"]


def test_titles_that_look_like_markup_are_shown_as_they_are(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    node = start_node(any_blender)
    client = start_client(node.address)
    client.until_state(
        client.render(make_scene(any_blender), tmp_path / "[final]", "1", title="shot[/b] [wip]"), "done"
    )
    assert "shot[/b] [wip]" in cli("status", "--to", node.address, data=tmp_path).stdout
    done = cli(
        "submit", make_scene(any_blender), "--to", node.address, "--output", tmp_path / "[out]", data=tmp_path / "cli"
    )
    assert "[out]" in done.stdout
