# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame on two slots of a node."""

from pathlib import Path

from server.blenders import Blender
from tests.blender.written import png_without_texts
from tests.system.harness import MakeScene, StartClient, StartNode

TWO_PARTS = 2 / 8
"""Of a frame on two slots: beyond this, one part is done at least."""


def test_a_still_on_two_slots_is_the_same_picture_although_a_blender_dies(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a node with two slots, and a frame that is rendered whole there
    node = start_node(any_blender, "--slots", "2")
    client = start_client(node.address)
    blend = make_scene(any_blender, SIZE="160x256", SAMPLES="100")
    client.until_state(client.render(blend, tmp_path / "whole", "5", split=False), "done")
    # WHEN it is rendered in parts, and a Blender dies in the middle of a part
    job = client.render(blend, tmp_path / "frames", "5")
    client.until(lambda line: line["event"] == "job" and line["job"] == job and line["fraction"] > 0.1)
    node.blenders()[0].kill()
    # THEN it counts as one frame, and is the same picture
    done = client.until_state(job, "done", "failed")
    assert (done["state"], done["total"], done["done"], done["notices"]) == ("done", 1, 1, []), done
    whole, merged = (png_without_texts((tmp_path / name / "shot_005.png").read_bytes()) for name in ("whole", "frames"))
    assert merged == whole
    # AND no part of it is left on the node
    assert list((node.data / "jobs").iterdir()) == []
    # AND so it is when a part is damaged on the node's disk: then the frame is rendered whole
    job = client.render(blend, tmp_path / "again", "5")
    client.until(lambda line: line["event"] == "job" and line["job"] == job and line["fraction"] > TWO_PARTS)
    part = next((node.data / "jobs" / job / "outputs").glob("-*.exr"))
    part.write_bytes(b"no picture")
    done = client.until_state(job, "done", "failed")
    assert done["state"] == "done", done
    assert png_without_texts((tmp_path / "again" / "shot_005.png").read_bytes()) == whole
    assert "do not fit together" in node.log.read_text()
    # AND a frame that cannot be split renders whole, and says why
    job = client.render(make_scene(any_blender, ENGINE="BLENDER_WORKBENCH"), tmp_path / "workbench", "5")
    done = client.until_state(job, "done", "failed")
    assert done["state"] == "done", done
    assert "only Cycles" in "".join(done["notices"])
    assert (tmp_path / "workbench" / "shot_005.png").exists()


def test_a_split_frame_outlives_its_node_and_makes_way_for_a_newer_save(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, make_scene: MakeScene, tmp_path: Path
) -> None:
    # GIVEN a node with two slots, a frame that is rendered whole there, and one that is being rendered in parts
    node = start_node(any_blender, "--slots", "2")
    client = start_client(node.address)
    blend = make_scene(any_blender, SIZE="160x256", SAMPLES="100")
    client.until_state(client.render(blend, tmp_path / "whole", "5", split=False), "done")
    job = client.render(blend, tmp_path / "frames", "5", trigger="save")
    client.until(lambda line: line["event"] == "job" and line["job"] == job and line["fraction"] > TWO_PARTS)
    # WHEN the node is killed THEN after its restart the frame is made of what was done and of the rest
    node.kill()
    before = {part: part.stat().st_mtime_ns for part in (node.data / "jobs" / job / "outputs").glob("-*.exr")}
    assert before
    node.start()  # Looked at before a Blender can have come up: the client may hear of it after all is done.
    assert before.items() <= {part: part.stat().st_mtime_ns for part in next(iter(before)).parent.iterdir()}.items()
    done = client.until_state(job, "done", "failed")
    assert (done["state"], done["notices"]) == ("done", []), done
    whole, merged = (png_without_texts((tmp_path / name / "shot_005.png").read_bytes()) for name in ("whole", "frames"))
    assert merged == whole
    # AND WHEN a newer save comes in the middle of parts THEN that one is rendered, in parts too
    older = client.render(blend, tmp_path / "frames", "5", trigger="save")
    client.until(lambda line: line["event"] == "job" and line["job"] == older and line["fraction"] > TWO_PARTS)
    newer = client.render(blend, tmp_path / "frames", "6", trigger="save")
    client.until_state(older, "superseded")
    # AND WHEN that one is cancelled THEN nothing of it is left, and the next finds the slots free
    client.until(lambda line: line["event"] == "job" and line["job"] == newer and line["fraction"] > TWO_PARTS)
    client.send(command="cancel", job=newer)
    client.until_state(newer, "cancelled")
    job = client.render(blend, tmp_path / "again", "5")
    client.until_state(job, "done")
    assert png_without_texts((tmp_path / "again" / "shot_005.png").read_bytes()) == whole
    assert list((node.data / "jobs").iterdir()) == []
