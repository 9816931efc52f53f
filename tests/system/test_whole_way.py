# SPDX-License-Identifier: GPL-3.0-or-later
"""From a saved file to frames in the artist's folder, through real processes, sockets and Blenders."""

import shutil
import sys
from pathlib import Path

from server.blenders import Blender
from tests.system.harness import (
    FRAMES,
    ClientProcess,
    MakeScene,
    NodeProcess,
    Scene,
    StartClient,
    StartNode,
    check_frames,
    cli,
)


def test_frames_arrive_under_blenders_own_names(
    blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a node and a client that is connected to it
    node = start_node(blender)
    client = start_client(node.address)
    hello = client.until_connected()
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


def test_every_one_of_many_quick_saves_has_its_thumbnail(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a warm node, on which a tiny frame is home before its thumbnail is made
    blend = scene()
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


def test_a_name_that_windows_cannot_hold_comes_back_where_it_can(
    client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    job = client.render(scene(PATTERN="//out/shot: ##"), tmp_path / "frames", "7")
    client.until_state(job, "done")
    expected = "shot_ 07.png" if sys.platform == "win32" else "shot: 07.png"
    assert [path.name for path in (tmp_path / "frames").iterdir()] == [expected]


def test_several_saves_leave_one_job(node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path) -> None:
    # GIVEN a save that is rendering
    blend = scene(SAMPLES="4096")
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


def test_a_superseded_save_can_be_cleared_though_its_frames_had_not_come(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a save whose frames cannot be written, and a newer one that has taken its place
    (tmp_path / "taken").write_text("not a folder")
    blend = scene(SAMPLES="256")
    older = client.render(blend, tmp_path / "taken", "1-12", trigger="save")
    client.until(lambda line: line["event"] == "job" and "The frames wait on the node" in line["text"])
    newer = client.render(blend, tmp_path / "frames", "1", trigger="save")
    client.until(lambda _: client.states.get(newer) == "done" and client.states[older] == "superseded")
    # WHEN the artist clears the list, THEN both go, on both sides
    client.send(command="clear_finished")
    for job in (older, newer):
        client.until(lambda line, job=job: line == {"event": "forgotten", "job": job})  # type: ignore[misc]
    assert "shot.blend" not in cli("status", "--to", node.address, data=tmp_path).stdout


def test_render_now_and_kept_saves_supersede_nothing(client: ClientProcess, scene: Scene, tmp_path: Path) -> None:
    blend = scene()
    jobs = [
        client.render(blend, tmp_path / "a", "1", trigger="save"),
        client.render(blend, tmp_path / "b", "2", trigger="now"),
        client.render(blend, tmp_path / "c", "3", trigger="save", keep_older=True),
    ]
    client.until(lambda _: all(client.states.get(job) == "done" for job in jobs))
    assert [(tmp_path / folder / FRAMES[n]).exists() for n, folder in enumerate("abc")] == [True] * 3


def test_each_save_is_rendered_as_it_was_when_it_was_saved(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN two saves of different content while there is no node
    client = start_client("")
    blend = tmp_path / "shot.blend"
    shutil.copy(scene(PATTERN="//first_##"), blend)
    one = client.render(blend, tmp_path / "frames", "1", trigger="save", keep_older=True)
    client.until_state(one, "waiting")
    shutil.copy(scene(PATTERN="//second_##"), tmp_path / "new.blend")
    (tmp_path / "new.blend").replace(blend)
    two = client.render(blend, tmp_path / "frames", "1", trigger="save", keep_older=True)
    client.until_state(two, "waiting")
    # WHEN there is one, THEN each is rendered with its own content
    client.send(command="configure", address=start_node(any_blender).address)
    client.until(lambda _: client.states.get(one) == "done" and client.states.get(two) == "done")
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["first_01.png", "second_01.png"]


def test_a_frame_goes_on_in_the_panel_while_blender_says_nothing(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a frame of which Blender has said how far it is
    job = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1")
    client.until(lambda line: line.get("job") == job and bool(line.get("sample")))
    # WHEN it says nothing more, since it cannot
    (blender,) = node.blenders()
    blender.suspend()
    client.until(lambda line: line.get("job") == job)  # What it had said before.
    # THEN the artist hears of the frame all the same, and it goes on and on
    told = [client.until(lambda line: line["event"] == "job") for _ in range(3)]
    fractions = [line["fraction"] for line in told]
    assert fractions == sorted(set(fractions))
    assert all(line["eta_s"] is not None for line in told)
    blender.resume()
    client.send(command="cancel", job=job)
    client.until_state(job, "cancelled")


def test_frames_are_rendered_in_the_order_that_the_artist_wants(
    client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    job = client.render(scene(), tmp_path / "frames", "1-9", order="spread", current=4)
    came: list[int] = []
    while len(came) < 9:
        line = client.until(lambda line: line["event"] == "delivered" and line["job"] == job)
        came.append(line["frame"])
    # Frames come home side by side, so that one may overtake another; what is rendered first is told of meanwhile.
    told = [line["frame"] for line in client.seen if line["event"] == "job" and line["job"] == job]
    assert next(frame for frame in told if frame is not None) == 4
    assert came.index(9) < came.index(2)
    client.until_state(job, "done")
    check_frames(tmp_path / "frames", FRAMES[:9])
