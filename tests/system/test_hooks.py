# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that tells a web server and a command of the jobs that end."""

import json
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.blenders import Blender
from tests.addon.scripted_client import wait_for
from tests.server.test_hooks import Server
from tests.system.harness import Scene, StartClient, StartNode, cli

KEEP = "import os, sys; open(sys.argv[1], 'a').write(os.environ['RELAY_EVENT'] + ' ' + sys.stdin.read())"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def test_a_jobs_end_is_told_to_the_web_address_and_the_command(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, server: Server, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a node whose owner wants to hear of ends
    told = tmp_path / "told"
    told.touch()
    command = shlex.join([sys.executable, "-c", KEEP, str(told)])
    node = start_node(any_blender, "--webhook", f"{server.url}/jobs", "--on-finish", command)
    client = start_client(node.address)
    # WHEN one job is rendered, and another is cancelled in its midst
    done = client.render(scene(), tmp_path / "frames", "1-2", title="$(name).blend")
    client.until_state(done, "done")
    stopped = client.render(scene(SAMPLES="4096"), tmp_path / "more", "1-9")
    client.until_state(stopped, "rendering")
    client.send(command="cancel", job=stopped)
    # THEN both hear of both, and of nothing else
    wait_for(lambda: len(server.requests) == 2 and told.read_text().count("\n") == 2, "both ends, twice")
    posted = [body for _, _, body in server.requests]
    assert [(body["event"], body["job"]) for body in posted] == [("finished", done), ("cancelled", stopped)]
    first = posted[0]
    assert (first["title"], first["frames"], first["done"], first["failed"]) == ("$(name).blend", 2, 2, 0)
    assert first["seconds"] > 0
    assert first["owner"] == "this account"
    lines = [line.partition(" ") for line in told.read_text().splitlines()]
    assert [(event, json.loads(body)) for event, _, body in lines] == [(body["event"], body) for body in posted]
    # AND after another start, what has ended is not told again
    node.close()
    node.start()
    client.until_connected()
    again = client.render(scene(), tmp_path / "again", "1")
    client.until_state(again, "done")
    wait_for(lambda: len(server.requests) >= 3, "the third end")
    assert [body["job"] for _, _, body in server.requests] == [done, stopped, again]


def test_a_server_that_never_answers_does_not_hold_up_the_nodes_end(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node = start_node(any_blender, "--webhook", f"http://127.0.0.1:{silent.getsockname()[1]}")
        client = start_client(node.address)
        client.until_state(client.render(scene(), tmp_path / "frames"), "done")
        assert node.process is not None
        node.process.send_signal(signal.SIGTERM)
        # The request itself would be given up after ten seconds, and tried again twice.
        assert node.process.wait(9) == 0
    node.until_logged("webhook: the node ends, and 1 are not told of")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--webhook", "example.org"), "--webhook takes an address"),
        (("--on-finish", "no-such-program-here"), "there is no program no-such-program-here"),
        (("--on-finish", "a 'b"), "quotes"),
    ],
)
def test_options_that_cannot_work_are_refused_at_the_start(
    options: tuple[str, str], sentence: str, tmp_path: Path
) -> None:
    done = cli(*options, data=tmp_path, timeout=60)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
