# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody in between who changes, doubles, drops, exchanges or adds messages within a connection."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.png import without_text
from tests.system.harness import NodeProcess, Scene, StartClient
from tests.system.tampering import Kind, Tampering

FRAMES = "1-3"
DROPS = (2, 3, 5, 8)
"""Messages, by number: whole ones, headers and payloads. The first is missed by who waits for a welcome."""
TOWARDS = {True: "to the node", False: "to the artist"}


@pytest.fixture
def relay(node: NodeProcess) -> Iterator[Tampering]:
    relay = Tampering(node.port)
    yield relay
    relay.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: without_text(path.read_bytes()) for path in folder.iterdir()}


@pytest.mark.parametrize("towards", TOWARDS, ids=TOWARDS.__getitem__)
@pytest.mark.parametrize(
    ("kind", "number"),
    [*((kind, 5) for kind in Kind if kind != Kind.DROPPED), *((Kind.DROPPED, number) for number in DROPS)],
)
def test_what_is_done_to_a_message_ends_the_connection_and_costs_the_job_nothing(
    relay: Tampering, node: NodeProcess, start_client: StartClient, scene: Scene, tmp_path: Path, kind: Kind,
    number: int, towards: bool,
) -> None:  # fmt: skip
    # GIVEN frames as they come home undisturbed, over a connection that ends then
    client = start_client(f"127.0.0.1:{relay.port}")
    blend = scene()
    client.until_state(client.render(blend, tmp_path / "undisturbed", FRAMES), "done")
    # WHEN on the next connection something is done to one message, while a job goes to the node and comes back
    relay.tamper(kind, towards, number)
    job = client.render(blend, tmp_path / "frames", FRAMES)
    done = client.until_state(job, "done", "failed")
    # THEN that connection has ended, and another took its place
    relay.wait_for_another()
    # AND the job is done, each frame is there once, and the same but for the times that are noted in it
    assert done["state"] == "done", done["text"]
    assert contents(tmp_path / "frames") == contents(tmp_path / "undisturbed")
    delivered = [line["frame"] for line in client.seen if line["event"] == "delivered" and line["job"] == job]
    assert sorted(delivered) == [1, 2, 3]
    client.close()
    assert "Traceback" not in client.log.read_text()
