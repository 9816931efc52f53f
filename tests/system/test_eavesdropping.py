# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody in between, who hears everything, and can send it again."""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.system.harness import NodeProcess, Scene, StartClient, StartLink, cli

FAST = 1e9
"""Bytes a second: the link is no slower than this machine."""

WINDOW_BYTES = 16


def windows(content: bytes) -> Iterator[bytes]:
    """Stretches of a file that hardly occur anywhere by chance."""
    chosen = random.Random(0)
    for _ in range(2000):
        at = chosen.randrange(max(1, len(content) - WINDOW_BYTES))
        window = content[at : at + WINDOW_BYTES]
        if len(set(window)) > WINDOW_BYTES // 2:
            yield window


def test_nothing_of_a_job_can_be_read_on_its_way(
    node: NodeProcess, start_link: StartLink, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a job that went to a node and came back over a wire that somebody listens to
    link = start_link(FAST)
    client = start_client(f"127.0.0.1:{link.port}")
    blend = scene(SIZE="320x180", BULK="64")
    job = client.render(blend, tmp_path / "frames", "1-2")
    assert client.until_state(job, "done", "failed")["state"] == "done"
    frames = [path.read_bytes() for path in (tmp_path / "frames").iterdir()]
    towards, back = bytes(link.towards), bytes(link.back)
    # THEN they hear which encryption it is, and enough bytes
    assert b"CURVE" in towards and b"CURVE" in back
    assert len(back) > sum(map(len, frames))
    # BUT nothing of the files, which travel back as they are, nor of names and messages
    secrets = [window for frame in frames for window in windows(frame)]
    assert len(secrets) > 1000
    secrets += [
        *windows(blend.read_bytes()),
        b"BLENDER",
        b"shot.blend",
        b"shot_001",
        b"manifest",
        job.encode(),
    ]
    assert [secret for secret in secrets if secret in towards or secret in back] == []


def test_what_was_recorded_is_of_no_use_again(
    node: NodeProcess, start_link: StartLink, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN all that a client said to a node, and a node that has forgotten the job
    link = start_link(FAST)
    client = start_client(f"127.0.0.1:{link.port}")
    job = client.render(scene(), tmp_path / "frames")
    client.until_state(job, "done")
    client.send(command="clear_finished")
    client.until(lambda line: line == {"event": "forgotten", "job": job})
    client.until_state(client.render(scene(), tmp_path / "after"), "done")  # What was said before has been heard.
    client.close()
    before = node.log.read_text().count(job[:8])
    assert before
    # WHEN it is said again THEN the node ends the conversation
    again = socket.create_connection(("127.0.0.1", node.port), timeout=20)
    with again, contextlib.suppress(ConnectionError):
        again.sendall(bytes(link.towards))
        while again.recv(65536):
            pass
    # AND nothing has come of it
    seen = cli("status", "--to", node.address, data=tmp_path)
    assert (seen.returncode, job[:8] in seen.stdout) == (0, False), seen.stderr
    assert node.log.read_text().count(job[:8]) == before
