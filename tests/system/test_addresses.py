# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that has another address all of a sudden: a new lease, another cable, another Wi-Fi."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from addon.keyring import Keyring, key_pair
from addon.protocol.address import Address
from server.blenders import Blender
from tests.system.harness import FRAMES, ClientProcess, NodeProcess, Scene, check_frames
from tests.system.network import NODE, Network, why_no_network

BEFORE, AFTER = "10.77.0.1", "10.77.0.2"

pytestmark = pytest.mark.skipif(bool(why_no_network()), reason=why_no_network())


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path)
    network.give(BEFORE)
    yield network
    network.close()


@pytest.fixture
def moving(any_blender: Blender, network: Network, tmp_path: Path) -> Iterator[NodeProcess]:
    """A node in that network, which this account is paired with by its name."""
    node = NodeProcess(tmp_path / "node", any_blender, within=network.within, listen="0.0.0.0")
    named = Address(NODE, node.port)
    Keyring().pair(named, key_pair(tmp_path / "node" / "node.key").public)
    yield node
    node.close()
    Keyring().forget(named)


def test_a_job_goes_on_when_the_node_has_another_address(
    moving: NodeProcess, network: Network, scene: Scene, tmp_path: Path
) -> None:
    client = ClientProcess(tmp_path / "client", within=network.within)
    try:
        # GIVEN a node that is known by its name, and renders
        client.send(command="configure", address=f"{NODE}:{moving.port}")
        job = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1-4")
        client.until_state(job, "rendering")
        # WHEN its address changes, and nothing comes through to the old one
        network.take(BEFORE)
        client.until_lost()
        # THEN the artist is told, and when its name stands for the new one, all goes on by itself
        network.give(AFTER)
        client.until_connected()
        assert client.until_state(job, "done", "failed")["state"] == "done"
    finally:
        client.close()
    check_frames(tmp_path / "frames", FRAMES[:4])
    delivered = [line["path"] for line in client.seen if line["event"] == "delivered"]
    assert len(delivered) == len(set(delivered)) == 4
