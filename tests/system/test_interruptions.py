# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens when a node, a Blender, a client or the link between them ends in the middle."""

import contextlib
import json
import shutil
import sqlite3
import sys
from pathlib import Path

import psutil
import pytest

from tests.system.harness import (
    FRAMES,
    ClientProcess,
    NodeProcess,
    Scene,
    StartClient,
    StartLink,
    check_frames,
    cli,
    evict_all,
)


def test_the_node_killed_in_an_animation_goes_on_at_the_first_missing_frame(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN an animation of which some frames have arrived
    job = client.render(scene(SAMPLES="256"), tmp_path / "frames", "1-12")
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


@pytest.mark.skipif(sys.platform != "linux", reason="a Blender that hangs does not see the end of its stdin")
def test_a_blender_that_hangs_does_not_outlive_a_node_that_was_killed(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a Blender that renders, and hangs
    client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "job" and line["sample"] is not None)
    blenders = node.blenders()
    for blender in blenders:
        blender.suspend()
    # WHEN the node is killed, THEN Blender ends
    node.kill()
    gone, alive = psutil.wait_procs(blenders, timeout=20)
    assert gone and not alive


def test_a_node_that_is_told_to_end_finishes_the_frame_that_it_renders(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a frame that is just being rendered
    client.render(scene(SAMPLES="1024"), tmp_path / "frames", "1-12")
    told = client.until(lambda line: line["event"] == "job" and line["sample"] is not None)
    # WHEN the node is told to end
    assert node.process is not None
    node.process.terminate()
    assert node.process.wait(20) == 0
    # THEN it has finished this frame and begun no other, and the next start has nothing to put right
    with contextlib.closing(sqlite3.connect(node.data / "node.sqlite3")) as database:
        states = dict(database.execute("SELECT frame, state FROM tasks").fetchall())
    assert states[told["frame"]] == "done"
    assert set(states.values()) == {"done", "pending"}


@pytest.mark.parametrize("number", [15, 2])
def test_a_node_ends_with_its_blenders(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path, number: int
) -> None:
    client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "job" and line["frame"] is not None)
    blenders = node.blenders()
    assert blenders and node.process is not None
    node.process.send_signal(number)
    assert node.process.wait(10) == 0
    assert not psutil.wait_procs(blenders, timeout=5)[1]


def test_a_newer_save_of_unchanged_bytes_survives_a_restart(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a save that supersedes an older one of the very same bytes
    blend = scene(SAMPLES="256")
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


def test_a_node_that_has_lost_its_data_is_told_of_and_the_job_can_be_sent_again(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a job that is being rendered
    job = client.render(scene(SAMPLES="256"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "delivered")
    # WHEN the node comes back without knowing it
    node.kill()
    node.lose_jobs()
    node.start()
    # THEN the artist is told, and Retry sends it again
    assert "press Retry" in client.until_state(job, "failed")["text"]
    client.send(command="retry", job=job)
    client.until_state(job, "done")
    check_frames(tmp_path / "frames")


def test_blender_killed_in_a_frame_renders_it_again(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    job = client.render(scene(SAMPLES="256"), tmp_path / "frames", "1-12")
    for _ in range(2):
        client.until(lambda line: line["event"] == "delivered")
        client.until(lambda line: line["event"] == "job" and line["frame"] is not None)
        for process in node.blenders():
            process.kill()
    client.until_state(job, "done")
    check_frames(tmp_path / "frames")


def test_a_frame_is_given_up_after_three_blenders_and_not_before(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a frame that has taken two Blenders down
    job = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1")
    killed: set[psutil.Process] = set()
    kill_next_blender(node, client, killed)
    kill_next_blender(node, client, killed)
    # WHEN it takes down the third
    kill_next_blender(node, client, killed)
    # THEN it is given up, and says why
    failed = client.until_state(job, "failed")
    assert (failed["failed"], failed["done"]) == (1, 0)
    assert "Blender ended by itself while rendering frame 1" in failed["text"]
    # AND Retry gives it three more, of which one is enough
    client.send(command="retry", job=job)
    kill_next_blender(node, client, killed)
    client.until_state(job, "done")
    check_frames(tmp_path / "frames", FRAMES[:1])


def kill_next_blender(node: NodeProcess, client: ClientProcess, killed: set[psutil.Process]) -> None:
    """kill -9 of the Blender that has the frame, as soon as there is another one than those killed before."""
    client.until(lambda line: line["event"] == "job" and bool(set(node.blenders()) - killed))
    for blender in set(node.blenders()) - killed:
        killed.add(blender)
        blender.kill()


def test_the_client_killed_in_an_upload_goes_on_where_it_was(
    start_link: StartLink, start_client: StartClient, node: NodeProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN an upload over a slow link, half done
    blend = scene(BULK="3072")
    size = blend.stat().st_size
    link = start_link(size / 3)
    client = start_client(f"127.0.0.1:{link.port}")
    job = client.render(blend, tmp_path / "frames", "1-3")
    link.wait_for(size // 2)
    # WHEN the client is killed and a new one is started
    client.kill()
    client = start_client(f"127.0.0.1:{link.port}")
    # THEN the job is there again and ends, and what had arrived was not sent twice
    client.until_state(job, "done")
    check_frames(tmp_path / "frames", FRAMES[:3])
    assert link.passed < size * 1.3  # Sent anew it would be 1.5 at least.
    assert cli("status", "--to", node.address, data=tmp_path).stdout.count("shot.blend") == 1


def test_a_slow_link_is_no_dead_one(
    start_link: StartLink, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a link that takes three seconds for a megabyte
    client = start_client(f"127.0.0.1:{start_link(350_000).port}")
    client.until_connected()
    # WHEN megabytes are sent over it THEN they arrive, and nobody takes the other for lost
    job = client.render(scene(BULK="1280"), tmp_path / "frames", "1")
    client.until_state(job, "done")
    states = [line["state"] for line in client.seen if line["event"] == "connection"]
    assert states[states.index("connected") :] == ["connected"]


def test_a_newer_save_does_not_wait_for_what_a_slow_link_has_of_the_older(
    start_link: StartLink, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a save that takes a slow link half a minute
    big = scene(BULK="3072")
    link = start_link(350_000)
    client = start_client(f"127.0.0.1:{link.port}")
    client.until_connected()
    older = client.render(big, tmp_path / "frames", "1", trigger="save")
    link.wait_for(500_000)
    # WHEN the artist has thrown out what made it large, and saves again
    begun = link.passed
    shot = tmp_path / "shot.blend"
    shutil.copy(scene(), shot)
    newer = client.render(shot, tmp_path / "frames", "1")
    client.send(command="cancel", job=older)
    # THEN the newer one has not all of the older before it
    client.until_state(newer, "done")
    assert link.passed - begun < 2_500_000 < big.stat().st_size - begun


def test_a_job_that_the_node_has_and_the_client_does_not_remember_handing_over(
    start_client: StartClient, node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a client that was killed after the node had accepted its job and before that was written down
    blend = scene(BULK="3072")
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


def test_frames_of_a_closed_blender_come_with_the_next_one(
    start_client: StartClient, node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a client that ends while its job is rendered
    job = client.render(scene(SAMPLES="64"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "delivered")
    client.close()
    # WHEN another one starts later
    client = start_client(node.address)
    # THEN all frames arrive
    client.until_state(job, "done")
    check_frames(tmp_path / "frames")


@pytest.mark.parametrize("newer", [False, True], ids=["cancelled", "superseded"])
def test_nothing_on_the_node_needs_an_upload_that_the_artist_has_ended(
    node: NodeProcess, start_link: StartLink, start_client: StartClient, scene: Scene, tmp_path: Path, newer: bool
) -> None:
    # GIVEN an upload over a slow link, half done
    blend = tmp_path / "shot.blend"
    shutil.copy(scene(BULK="3072"), blend)
    link = start_link(blend.stat().st_size / 3)
    client = start_client(f"127.0.0.1:{link.port}")
    older = client.render(blend, tmp_path / "older", "1", trigger="save")
    link.wait_for(blend.stat().st_size // 2)
    assert list((node.data / "store" / "incoming").iterdir()) != []
    # WHEN the artist cancels it, or saves the file anew
    if not newer:
        client.send(command="cancel", job=older)
    shutil.copy(scene(), tmp_path / "new.blend")
    (tmp_path / "new.blend").replace(blend)
    after = client.render(blend, tmp_path / "frames", "1", trigger="save")
    client.until_state(older, "superseded" if newer else "cancelled")
    # THEN the next file is rendered, and of the first nothing is kept that could not be evicted
    client.until_state(after, "done")
    client.close()
    assert evict_all(node) == []


def test_a_link_that_breaks_is_taken_up_again(
    start_link: StartLink, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    blend = scene(BULK="3072")
    size = blend.stat().st_size
    link = start_link(size / 2)
    client = start_client(f"127.0.0.1:{link.port}")
    job = client.render(blend, tmp_path / "frames", "1-3")
    for part in (0.25, 0.5, 0.75):
        link.wait_for(int(size * part))
        link.cut()
    client.until_state(job, "done")
    check_frames(tmp_path / "frames", FRAMES[:3])
    assert link.passed < size * 1.6


@pytest.mark.parametrize("restarted", [False, True], ids=["the same client", "a new client"])
def test_a_job_cancelled_and_cleared_while_its_node_is_away_is_cancelled_there_and_gone_for_good(
    node: NodeProcess, start_client: StartClient, client: ClientProcess, scene: Scene, tmp_path: Path, restarted: bool
) -> None:
    # GIVEN an animation of which some frames have arrived, and whose node has gone
    job = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "delivered")
    node.kill()
    client.until_lost()
    # WHEN the artist cancels it, and takes it off the list
    client.send(command="cancel", job=job)
    assert node.address in client.until_state(job, "cancelled")["text"]
    client.send(command="clear_finished")
    client.until(lambda line: line == {"event": "forgotten", "job": job})
    if restarted:
        client.close()
        client = start_client(node.address)
    # THEN the node cancels it when it is back, and takes it off its list, too
    node.start()
    after = client.render(scene(), tmp_path / "after", "1")
    client.until_state(after, "done")
    assert job[:8] not in cli("status", "--to", node.address, data=tmp_path).stdout
    # AND nothing is left of it anywhere, and the artist heard nothing more of it
    assert list((tmp_path / "client" / "jobs").glob(f"{job}*")) == []
    assert list((node.data / "jobs").iterdir()) == []
    told = [line for line in client.seen if line.get("job") == job]
    assert told == [] if restarted else told.index({"event": "forgotten", "job": job}) == len(told) - 1


CANCELLED = "cancelled", "Cancelled."
"""What the node says; the artist's side says more before it knows."""


def test_what_a_job_had_rendered_comes_home_though_it_was_cancelled_while_its_node_was_away(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a job with frames that cannot be written yet, and whose node has gone
    (tmp_path / "frames").write_text("not a folder")
    # Frames take seconds: the node, back again, renders until it hears of the cancelling, and must not come to the end.
    job = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "job" and line["done"] >= 1)
    node.kill()
    client.until_lost()
    # WHEN the artist cancels it, and the node comes back
    client.send(command="cancel", job=job)
    client.until_state(job, "cancelled")
    (tmp_path / "frames").unlink()
    node.start()
    # THEN the frames that it had rendered come; on their way the job is returning, in the same words
    told = client.until(lambda line: line["event"] == "job" and (line["state"], line["text"]) == CANCELLED)
    assert 1 <= told["done"] == told["delivered"] < 12
    check_frames(tmp_path / "frames", FRAMES[: told["done"]])


def test_a_cancelled_job_that_its_node_has_lost_can_be_cleared(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a job that was cancelled while its node was away
    job = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until_state(job, "rendering")
    node.kill()
    client.until_lost()
    client.send(command="cancel", job=job)
    client.until_state(job, "cancelled")
    # WHEN the node comes back without knowing it, THEN it goes off the artist's list
    node.lose_jobs()
    node.start()
    client.until(lambda line: line == {"event": "forgotten", "job": job})


@pytest.mark.parametrize("asleep", ["node", "artist"])
def test_a_machine_that_slept_goes_on_and_renders_no_frame_twice(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path, asleep: str
) -> None:
    # GIVEN an animation that is being rendered
    job = client.render(scene(SAMPLES="256"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "delivered")
    # WHEN all processes of one machine stand still until the other side takes it for gone
    assert node.process is not None
    machine = psutil.Process(node.process.pid if asleep == "node" else client.process.pid)
    family = [machine, *machine.children(recursive=True)]
    for process in family:
        process.suspend()
    if asleep == "node":
        client.until_lost()
    else:
        node.until_logged(": silent")
    for process in family:
        process.resume()
    # THEN they find each other again, and all frames come
    client.until_state(job, "done")
    check_frames(tmp_path / "frames")
    # AND none was begun twice, or failed
    begun = [line["frame"] for line in client.seen if line["event"] == "job" and line["frame"] is not None]
    assert begun == sorted(begun)
    node.close()
    with contextlib.closing(sqlite3.connect(node.data / "node.sqlite3")) as database:
        assert database.execute("SELECT SUM(attempts) FROM tasks").fetchone() == (0,)


def test_two_blenders_with_one_file_lose_and_double_no_frame(
    node: NodeProcess, client: ClientProcess, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN two Blenders of one account that have the same file open
    blend = scene()
    other = start_client(node.address)
    other.until_connected()
    # WHEN both render parts of it at once
    first = client.render(blend, tmp_path / "frames", "1-8")
    second = other.render(blend, tmp_path / "frames", "5-12")
    client.until_state(first, "done")
    other.until_state(second, "done")
    # THEN each gets its own frames, each once, and hears nothing of the other's
    for side, job in ((client, first), (other, second)):
        delivered = [line for line in side.seen if line["event"] == "delivered"]
        assert {line["job"] for line in delivered} == {job}
        assert len(delivered) == 8 == len({line["path"] for line in delivered})
    check_frames(tmp_path / "frames")


def test_of_two_blenders_that_save_one_file_the_newer_save_is_rendered(
    node: NodeProcess, client: ClientProcess, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a save that is being rendered for one of them
    other = start_client(node.address)
    other.until_connected()
    blend = tmp_path / "shot.blend"
    shutil.copy(scene(SAMPLES="4096"), blend)
    older = client.render(blend, tmp_path / "frames", "1-12", trigger="save")
    client.until(lambda line: line["event"] == "delivered")
    # WHEN the other one saves over it
    shutil.copy(scene(), tmp_path / "new.blend")
    (tmp_path / "new.blend").replace(blend)
    newer = other.render(blend, tmp_path / "frames", "1-12", trigger="save")
    # THEN the older save's job gives way, and each frame is the newer one's
    client.until_state(older, "superseded")
    other.until_state(newer, "done")
    assert sum(line["event"] == "delivered" for line in other.seen) == 12
    check_frames(tmp_path / "frames")
