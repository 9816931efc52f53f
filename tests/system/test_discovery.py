# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that announce themselves, and who looks for them: two machines on one cable."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from addon.keyring import Keyring, key_pair
from addon.protocol.address import parse_address
from server.blenders import Blender
from tests.system.harness import ROOT, TERMINAL, ClientProcess, Line, NodeProcess
from tests.system.network import Network, why_no_network

pytest.importorskip("zeroconf", reason="needs the library zeroconf")
pytestmark = pytest.mark.skipif(bool(why_no_network()), reason=why_no_network())

NODES, ARTISTS = "10.78.0.1", "10.78.0.2"
AFTER = "10.78.0.3"


@pytest.fixture
def render_box(tmp_path: Path) -> Iterator[Network]:
    """The node's machine."""
    (tmp_path / "render-box").mkdir()
    network = Network(tmp_path / "render-box")
    yield network
    network.close()


@pytest.fixture
def studio(render_box: Network, tmp_path: Path) -> Iterator[Network]:
    """The artist's machine, on the other end of the cable."""
    (tmp_path / "studio").mkdir()
    network = Network(tmp_path / "studio", beside=render_box)
    render_box.join(network)
    render_box.plug(f"{NODES}/24")
    network.plug(f"{ARTISTS}/24")
    yield network
    network.close()


@pytest.fixture
def node(any_blender: Blender, render_box: Network, studio: Network, tmp_path: Path) -> Iterator[NodeProcess]:
    """A node that listens for the whole network."""
    node = NodeProcess(tmp_path / "node", any_blender, within=render_box.within, listen="0.0.0.0")
    node.until_logged("announced in the network as")
    yield node
    node.close()


@pytest.fixture
def client(studio: Network, tmp_path: Path) -> Iterator[ClientProcess]:
    """An artist's client that looks for nodes."""
    client = ClientProcess(tmp_path / "client", within=studio.within)
    client.send(command="browse", wanted=True)
    yield client
    client.close()


def discover(within: Sequence[str], *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*within, sys.executable, "-m", "server", "discover", *options],
        cwd=ROOT, env=TERMINAL, text=True, capture_output=True, check=False,
    )  # fmt: skip


def until_nodes(client: ClientProcess, *answers: bool) -> list[dict[str, Any]]:
    """Wait for a list of nodes, of which these answer, unless the last one is that."""

    def holds(line: Line) -> bool:
        return line["event"] == "nodes" and [node["answers"] for node in line["nodes"]] == list(answers)

    last = [line for line in client.seen if line["event"] == "nodes"][-1:]
    nodes: list[dict[str, Any]] = (last[0] if any(map(holds, last)) else client.until(holds))["nodes"]
    return nodes


def test_a_node_is_found_and_reached_by_its_name_wherever_it_is(
    node: NodeProcess, client: ClientProcess, render_box: Network, studio: Network, tmp_path: Path
) -> None:
    # GIVEN a node that the artist's client finds
    (found,) = until_nodes(client, True)
    assert found["fits"] is True
    address = parse_address(found["address"])
    assert (address.host.endswith(".local"), address.port) == (True, node.port)
    # AND the command line too, for people and for programs
    listed = discover(studio.within, "--json")
    assert (listed.returncode, json.loads(listed.stdout)) == (0, [found]), listed.stderr
    assert found["address"] in discover(studio.within).stdout

    # WHEN the artist chooses it THEN being found has let nobody in
    client.send(command="configure", address=found["address"])
    client.until(lambda line: line["event"] == "connection" and line["state"] == "unpaired")
    # WHEN they have been paired
    Keyring().pair(address, key_pair(tmp_path / "node" / "node.key").public)
    # THEN the client reaches it, though no resolver of the system knows the name
    client.until_connected()

    # WHEN the node's machine gets another address
    render_box.plug(f"{AFTER}/24")
    # THEN the connection is lost, and comes back under the same name
    client.until_lost()
    client.until_connected()
    # AND the list has the same node still
    assert [each["address"] for each in until_nodes(client, True)] == [found["address"]]
    Keyring().forget(address)


def test_a_name_that_leads_to_another_node_leads_nowhere(
    node: NodeProcess, client: ClientProcess, tmp_path: Path
) -> None:
    # GIVEN a name under which this account was paired with a node of another key
    (found,) = until_nodes(client, True)
    address = parse_address(found["address"])
    Keyring().pair(address, key_pair(tmp_path / "another.key").public)
    # WHEN what announces itself under that name is connected to
    client.send(command="configure", address=found["address"])
    # THEN the client says that it is not the one, and sends nothing
    said = client.until(lambda line: line["event"] == "connection" and line["state"] in ("unpaired", "connected"))
    assert "is not the node that was paired with" in said["text"]
    Keyring().forget(address)


def test_a_node_that_goes_leaves_the_list_and_one_that_is_killed_is_marked(
    node: NodeProcess, client: ClientProcess
) -> None:
    # GIVEN a node on the list
    (found,) = until_nodes(client, True)
    # WHEN it is killed, and cannot say goodbye
    node.kill()
    # THEN the list says that it does not answer, and says so no more when it is back
    assert until_nodes(client, False) == [{**found, "answers": False}]
    node.start()
    assert until_nodes(client, True) == [found]
    node.until_logged("announced in the network as", times=2)  # Else it has nothing to take back.
    # WHEN it ends THEN it is gone
    node.close()
    until_nodes(client)
    # AND who looks no more hears nothing more
    client.send(command="browse", wanted=False)
    node.start()
    node.until_logged("announced in the network as", times=3)
    client.send(command="configure", address="no address at all")
    client.until(lambda line: line["event"] == "connection" and line["state"] == "refused")
    assert [line for line in client.seen if line["event"] == "nodes"][-1]["nodes"] == []


def test_only_a_node_that_others_can_reach_and_may_is_announced(
    any_blender: Blender, node: NodeProcess, render_box: Network, studio: Network, tmp_path: Path
) -> None:
    # GIVEN beside an announced node one that is not to be, and one that listens on its machine alone
    quiet = NodeProcess(tmp_path / "quiet", any_blender, "--no-announce", within=render_box.within, listen="0.0.0.0")
    alone = NodeProcess(tmp_path / "alone", any_blender, within=render_box.within)
    try:
        # WHEN somebody looks THEN there is the one
        found = json.loads(discover(studio.within, "--json").stdout)
        assert [parse_address(each["address"]).port for each in found] == [node.port]
    finally:
        quiet.close()
        alone.close()
    assert "announced" not in quiet.log.read_text() + alone.log.read_text()


def test_two_nodes_of_one_name_are_two_nodes(
    any_blender: Blender, node: NodeProcess, render_box: Network, studio: Network, tmp_path: Path
) -> None:
    # GIVEN two nodes that are called the same, and on the other machine a copy of one, key and all
    other = NodeProcess(tmp_path / "other", any_blender, within=render_box.within, listen="0.0.0.0")
    copied = tmp_path / "copied"
    copied.mkdir()
    (copied / "node.key").write_bytes((tmp_path / "node" / "node.key").read_bytes())
    copy = NodeProcess(copied, any_blender, within=studio.within, listen="0.0.0.0")
    try:
        other.until_logged("announced in the network as")
        copy.until_logged("announced in the network as")
        # WHEN somebody looks
        found = json.loads(discover(studio.within, "--json").stdout)
    finally:
        other.close()
        copy.close()
    # THEN there are all three, and one cannot be taken for another
    assert len({each["name"] for each in found}) == 1
    assert {parse_address(each["address"]).port for each in found} == {node.port, other.port, copy.port}
    assert len({each["address"] for each in found}) == 3
    assert len({each["fingerprint"] for each in found}) == 2


def test_what_strangers_announce_is_made_fit_to_show_and_bounded(
    render_box: Network, studio: Network, client: ClientProcess
) -> None:
    # GIVEN somebody who announces hostile names, what is no node, and a hundred more
    program = [*render_box.within, sys.executable, "-m", "tests.system.hostile_announcer", NODES]
    with subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "there\n"
        listed = discover(studio.within, "--json")
        shown = discover(studio.within)
        stranger.communicate()
    # THEN the list has nodes whose words are those of nodes, a bounded number of them
    nodes = json.loads(listed.stdout)
    assert 1 <= len(nodes) <= 50
    assert "omitted" not in listed.stdout
    # AND none of them answers, for nothing speaks there as a node does
    assert not any(node["answers"] for node in nodes)
    # AND nothing in a name ends a line, moves the cursor or turns the text around
    for name in (node["name"] for node in nodes):
        assert name.isprintable() and len(name) <= 60
    assert shown.stdout.replace("\n", "").isprintable(), shown.stdout
    assert "Traceback" not in listed.stderr + shown.stderr


def test_a_node_without_a_network_starts_works_and_ends(
    any_blender: Blender, render_box: Network, tmp_path: Path
) -> None:
    # GIVEN a machine that has nothing but itself
    node = NodeProcess(tmp_path / "node", any_blender, within=render_box.within, listen="0.0.0.0")
    # THEN the node says so in its log, is there, and ends when it is told
    node.until_logged("no network in which multicast DNS could work")
    seen = subprocess.run(
        [*render_box.within, sys.executable, "-m", "server", "status", "--to", node.address],
        cwd=ROOT, env=TERMINAL, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert seen.returncode == 0, seen.stderr
    process = node.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    node.close()
