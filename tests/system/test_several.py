# SPDX-License-Identifier: GPL-3.0-or-later
"""Several nodes, slots, or programs of one artist."""

from pathlib import Path

import psutil

from addon.client.submission import LOOKED_UP
from server.blenders import Blender
from tests.system.harness import NodeProcess, Scene, StartClient, StartLink, StartNode, check_frames, cli, plain


def test_several_slots_render_side_by_side(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    node = start_node(any_blender, "--slots", "2")
    client = start_client(node.address)
    jobs = [client.render(scene(), tmp_path / name, "1-12") for name in ("a", "b")]
    client.until(lambda _: all(client.states.get(job) == "done" for job in jobs))
    check_frames(tmp_path / "a")
    check_frames(tmp_path / "b")
    # A job that cannot be rendered does not stop the others.
    bad = client.render(scene(NO_CAMERA="1"), tmp_path / "c", "1-12")
    good = client.render(scene(), tmp_path / "d", "1-3")
    client.until(lambda _: client.states.get(bad) == "failed" and client.states.get(good) == "done")


def test_a_job_on_another_node_waits_for_it_and_can_be_cancelled(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a job on one node
    first, second = start_node(any_blender), start_node(any_blender, data=tmp_path / "second")
    client = start_client(first.address)
    job = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until_state(job, "rendering")
    # WHEN the artist goes over to another node, restarts Blender there, and cancels it
    client.close()
    client = start_client(second.address)
    assert first.address in client.until_state(job, "waiting")["text"]
    client.until_connected()
    client.send(command="cancel", job=job)
    client.until_state(job, "cancelled")
    # THEN the first node stops when it hears of it
    client.send(command="configure", address=first.address)
    client.until_connected()
    psutil.wait_procs(first.blenders(), timeout=20)
    assert "cancelled" in cli("status", "--to", first.address, data=tmp_path).stdout


def test_two_programs_that_send_the_same_file_both_get_their_frames(
    start_link: StartLink, start_client: StartClient, node: NodeProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN one program of an artist that is sending a file
    blend = scene(BULK="3072")
    size = blend.stat().st_size
    link = start_link(size / 3)
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


def test_what_an_ended_program_was_sending_is_sent_by_who_waits_for_it(
    start_link: StartLink, start_client: StartClient, node: NodeProcess, scene: Scene, tmp_path: Path
) -> None:
    blend = scene(BULK="3072")
    size = blend.stat().st_size
    link = start_link(size / 10)
    first = start_client(f"127.0.0.1:{link.port}")
    first.render(blend, tmp_path / "one", "1")
    link.wait_for(size // 4)
    second = start_client(node.address)
    two = second.render(blend, tmp_path / "two", "2")
    second.until(lambda line: line["event"] == "job" and line["job"] == two and line["text"] == LOOKED_UP)
    first.kill()
    second.until_state(two, "done")


def test_two_nodes_on_one_data_folder_are_refused(node: NodeProcess, tmp_path: Path) -> None:
    second = cli("--listen", "127.0.0.1:0", "--data", node.data, data=tmp_path)
    assert second.returncode == 1
    assert "Another node uses this data folder" in plain(second.stderr)
