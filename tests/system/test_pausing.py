# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that wait because somebody says so, and whose turn it is."""

import json
from pathlib import Path

from server.blenders import Blender
from tests.system.harness import NodeProcess, Scene, StartClient, StartNode, cli, plain
from tests.system.page import Browserless, Follower

LONG = {"SAMPLES": "256", "SIZE": "320x200", "EVERY_SAMPLE": "1"}
"""Frames of which each takes a second or so."""


def test_a_paused_job_ends_its_frame_and_waits_even_over_a_kill(
    any_blender: Blender, start_node: StartNode, scene: Scene
) -> None:
    # GIVEN a job under way
    node = start_node(any_blender)
    page = Browserless(node)
    follower = Follower(page)
    job = page.submit(page.upload({"shot.blend": scene(**LONG)}), frames="1-6")["job"]
    follower.until("job", job=job, state="rendering")
    # WHEN it is paused
    assert page.post(f"/api/jobs/{job}/pause")["paused"] is True
    # THEN the frame that is being rendered comes to its end, and no other is begun
    rested = follower.until("job", job=job, state="queued", text="Paused.")
    assert rested["done"] == 1
    assert "r" not in page.get(f"/api/jobs/{job}/frames")["states"]
    # AND so it stays when the node is killed and comes back
    node.kill()
    node.said = ""
    node.start()
    page = Browserless(node)
    follower = Follower(page)
    kept = page.get(f"/api/jobs/{job}")
    assert (kept["paused"], kept["text"], kept["state"]) == (True, "Paused.", "queued")
    # AND another job is rendered meanwhile
    other = page.submit(page.upload({"shot.blend": scene()}), frames="1")["job"]
    follower.until("job", job=other, state="done")
    assert page.get(f"/api/jobs/{job}")["done"] == 1
    # WHEN it may go on
    assert page.post(f"/api/jobs/{job}/resume")["paused"] is False
    # THEN it does, to its end
    assert follower.until("job", job=job, state="done")["done"] == 6


def test_the_order_of_work_can_be_changed(node: NodeProcess, scene: Scene) -> None:
    # GIVEN a long job, and three that wait
    page = Browserless(node)
    follower = Follower(page)
    upload = page.upload({"shot.blend": scene(**LONG)})
    first = page.submit(upload, frames="1-100")["job"]
    follower.until("job", job=first, state="rendering")
    one, two, three = (page.submit(upload, frames="1")["job"] for _ in range(3))
    # WHEN the last is put before the first of them, and the second gets a higher priority
    page.post(f"/api/jobs/{three}/move", {"before": one})
    assert page.ask("PATCH", f"/api/jobs/{two}", {"priority": 5}).json["priority"] == 5
    jobs = {each["job"]: (-each["priority"], each["place"]) for each in page.get("/api/jobs")["jobs"]}
    assert sorted(jobs, key=lambda job: jobs[job]) == [two, first, three, one]
    # THEN they are rendered in that order, when the one under way makes room
    page.post(f"/api/jobs/{first}/cancel")
    follower.until("job", job=one, state="done")
    ended = [data["job"] for name, data in follower.seen if name == "job" and data["state"] == "done"]
    assert list(dict.fromkeys(ended)) == [two, three, one]
    # AND nonsense gets a sentence
    for number in (11, -11):
        assert page.ask("PATCH", f"/api/jobs/{one}", {"priority": number}).status == 422


def test_an_artist_orders_the_own_jobs_and_no_others(
    owned: NodeProcess, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN an artist on somebody else's node
    client = start_client(owned.address)
    client.until_connected()
    long = client.render(scene(SAMPLES="4096", SIZE="640x480"), tmp_path / "a", "1")
    client.until_state(long, "rendering")
    waiting = client.render(scene(), tmp_path / "b", "1")
    client.until_state(waiting, "queued")
    # WHEN the own job is paused, as the panel does
    client.send(command="pause", job=waiting)
    paused = client.until(lambda line: line["event"] == "job" and line["job"] == waiting and line["paused"])
    assert paused["text"] == "Paused."
    client.send(command="resume", job=waiting)
    client.until(lambda line: line["event"] == "job" and line["job"] == waiting and not line["paused"])
    # AND it is not put before what others have
    refused = cli("priority", waiting[:8], "1", "--to", owned.address, data=tmp_path)
    assert (refused.returncode, "Only the node's owner" in plain(refused.stderr)) == (4, True)
    hasty = cli("submit", scene(), "--priority", "1", "--to", owned.address, data=tmp_path)
    assert "Only the node's owner" in plain(hasty.stderr + hasty.stdout)
    assert hasty.returncode == 1
    # BUT before another one of the own
    last = client.render(scene(), tmp_path / "c", "1")
    client.until_state(last, "queued")
    moved = cli("move", last[:8], "--before", waiting[:8], "--to", owned.address, data=tmp_path)
    assert moved.returncode == 0, moved.stderr
    status = json.loads(cli("status", "--json", "--to", owned.address, data=tmp_path).stdout)
    places = {each["job"]: each["place"] for each in status["jobs"]}
    assert sorted(places, key=lambda job: places[job]) == [long, last, waiting]
    client.send(command="cancel", job=long)
    client.until_state(waiting, "done")


def test_the_command_line_pauses_and_orders(node: NodeProcess, scene: Scene, tmp_path: Path) -> None:
    # GIVEN a job under way, and two that wait
    page = Browserless(node)
    upload = page.upload({"shot.blend": scene(SAMPLES="4096", SIZE="640x480")})
    first, one, two = (page.submit(upload, frames="1")["job"] for _ in range(3))

    def say(*words: object) -> str:
        done = cli(*words, "--to", node.address, data=tmp_path)
        assert done.returncode == 0, done.stderr
        return plain(done.stdout)

    # THEN each word does what it says
    assert "Paused shot.blend" in say("pause", one[:8])
    assert page.get(f"/api/jobs/{one}")["paused"]
    assert "Paused." in say("status")
    say("resume", one[:8])
    assert not page.get(f"/api/jobs/{one}")["paused"]
    assert f"comes before shot.blend ({one[:8]})" in say("move", two[:8], "--before", one[:8])
    say("priority", first[:8], "-3")
    lowest = say("submit", scene(), "--priority", "-9", "--engine", "workbench", "--no-wait").strip()
    known = page.get(f"/api/jobs/{lowest}")
    assert (known["priority"], known["engine"]) == (-9, "workbench")
    page.post(f"/api/jobs/{lowest}/cancel")
    highest = page.submit(upload, priority=7)
    assert highest["priority"] == 7
    page.post(f"/api/jobs/{highest['job']}/cancel")
    jobs = {each["job"]: (-each["priority"], each["place"]) for each in page.get("/api/jobs")["jobs"]}
    assert [job for job in sorted(jobs, key=lambda job: jobs[job]) if job in {one, two, first}] == [two, one, first]
    assert "comes last" in say("move", two[:8])
    # AND what has ended gets a sentence
    page.post(f"/api/jobs/{one}/cancel")
    refused = cli("pause", one[:8], "--to", node.address, data=tmp_path)
    assert (refused.returncode, "has ended already" in plain(refused.stderr)) == (1, True)


def test_a_newer_save_takes_the_place_of_a_paused_job(
    node: NodeProcess, scene: Scene, start_client: StartClient, tmp_path: Path
) -> None:
    # GIVEN a save whose job is paused
    client = start_client(node.address)
    blend = scene(**LONG)
    older = client.render(blend, tmp_path / "frames", "1-6", trigger="save")
    client.until_state(older, "rendering")
    client.send(command="pause", job=older)
    client.until(lambda line: line["event"] == "job" and line["job"] == older and line["paused"])
    # WHEN it is saved again
    newer = client.render(blend, tmp_path / "frames", "1", trigger="save")
    # THEN that is rendered, for nobody has paused it, and the older one is no more
    client.until_state(older, "superseded")
    assert client.until_state(newer, "done", "failed")["state"] == "done"
