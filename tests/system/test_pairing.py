# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is let in: a node and artists of different accounts, their keys in folders of their own."""

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from zmq.utils.monitor import parse_monitor_message

from addon.keyring import HOME_VARIABLE, KeyPair, Keyring
from addon.protocol.address import parse_address
from addon.protocol.messages import (
    AskLog,
    Cancel,
    Collect,
    Delivered,
    Forget,
    Hello,
    JobChanged,
    Ping,
    Pong,
    Refusal,
    Refused,
    Retry,
    Scope,
)
from addon.protocol.version import PROTOCOL, VERSION
from server.blenders import Blender
from server.cli.exits import Exit
from server.clients import client_id
from tests.system.harness import ClientProcess, NodeProcess, Peer, Scene, StartClient, cli, plain

WAIT_MS = 10_000


@pytest.fixture
def stranger(any_blender: Blender, tmp_path: Path) -> Iterator[NodeProcess]:
    """A node of another account."""
    node = NodeProcess(tmp_path / "node", any_blender, home=tmp_path / "owner")
    yield node
    node.close()
    Keyring().forget(parse_address(node.address))


@pytest.fixture
def peer() -> Iterator[Callable[[str, KeyPair], Peer]]:
    """Makes bare connections, with whatever keys."""
    made: list[Peer] = []
    with zmq.Context() as context:

        def connect(address: str, keys: KeyPair) -> Peer:
            made.append(Peer(context, address, keys))
            return made[-1]

        yield connect
        for each in made:
            each.socket.close()


def ask_to_pair(client: ClientProcess, node: NodeProcess) -> str:
    """Press Pair; returns the digits that both show."""
    client.until(lambda line: line["event"] == "connection" and line["state"] == "unpaired")
    client.send(command="pair")
    shown = client.until(lambda line: line["event"] == "pairing" and bool(line["digits"]))
    assert node.until_said(r"allow ([0-9 ]+)")[1] == shown["digits"]
    return str(shown["digits"])


def test_pairing_lets_an_account_in_and_revoking_ends_it_at_once(
    stranger: NodeProcess, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a node of another account, of which this one knows the address only
    owner = tmp_path / "owner"
    client = start_client(stranger.address)
    # WHEN the artist asks to be let in, and the owner types other digits
    digits = ask_to_pair(client, stranger)
    other = "000000" if digits != "000 000" else "000001"
    wrong = cli("allow", other, "--to", stranger.address, data=tmp_path, home=owner)
    # THEN nobody is let in
    assert (wrong.returncode, "do not trust" in plain(wrong.stderr)) == (Exit.FAILED, True)
    # WHEN the digits are right, and the artist has compared them too
    client.send(command="compared", same=True)
    done = cli("allow", digits, "--to", stranger.address, data=tmp_path, home=owner)
    assert done.returncode == 0, done.stderr
    # THEN it renders
    client.until_connected()
    job = client.render(scene(), tmp_path / "frames", "1-2")
    assert client.until_state(job, "done", "failed")["state"] == "done"
    # AND it sees its own jobs, but is not the owner
    seen = cli("status", "--to", stranger.address, data=tmp_path)
    assert (seen.returncode, job[:8] in seen.stdout) == (0, True), seen.stderr
    for command in ("store", "clients"):
        refused = cli(command, "--to", stranger.address, data=tmp_path)
        assert (refused.returncode, plain(refused.stderr)) == (Exit.NOT_ALLOWED, "Only the node's owner can ask this. ")
    # AND after a restart it is still let in
    stranger.kill()
    stranger.start()
    client.until_connected()
    # WHEN the owner revokes it
    listed = cli("clients", "--to", stranger.address, data=tmp_path, home=owner).stdout
    (row,) = [line for line in listed.splitlines() if " on " in line]
    revoked = cli("clients", "--revoke", row.split()[0], "--to", stranger.address, data=tmp_path, home=owner)
    assert revoked.returncode == 0, revoked.stderr
    # THEN it is cut off, and told what to do
    told = client.until(lambda line: line["event"] == "connection" and line["state"] == "unpaired")
    assert "not let" in told["text"]
    again = cli("status", "--to", stranger.address, data=tmp_path)
    assert (again.returncode, "pair with it" in plain(again.stderr)) == (Exit.NOT_ALLOWED, True), again.stderr


def test_whoever_sees_other_digits_or_is_turned_away_is_not_let_in(
    stranger: NodeProcess, start_client: StartClient, tmp_path: Path
) -> None:
    client = start_client(stranger.address)
    # WHEN the artist says that the digits differ, THEN the owner cannot let anybody in by them
    digits = ask_to_pair(client, stranger)
    client.send(command="compared", same=False)
    failed = client.until(lambda line: line["event"] == "pairing" and line["state"] == "failed")
    assert "not the same" in failed["text"]
    assert cli("allow", digits, "--to", stranger.address, data=tmp_path, home=tmp_path / "owner").returncode == 1
    # WHEN the owner says no, THEN the artist is told
    client.send(command="pair")
    shown = client.until(lambda line: line["event"] == "pairing" and bool(line["digits"]))["digits"]
    client.send(command="compared", same=True)
    denied = cli("allow", shown, "--deny", "--to", stranger.address, data=tmp_path, home=tmp_path / "owner")
    assert denied.returncode == 0, denied.stderr
    failed = client.until(lambda line: line["event"] == "pairing" and line["state"] == "failed")
    assert failed["text"] == "The node's owner said no."


def test_a_node_with_another_key_is_not_trusted(node: NodeProcess, start_client: StartClient) -> None:
    # GIVEN a node that this account has paired with under its address, whose key was another then
    client = start_client(node.address)
    client.until_connected()
    client.close()
    address = parse_address(node.address)
    (Path(os.environ[HOME_VARIABLE]) / "local" / str(address.port)).unlink()
    Keyring().pair(address, zmq.curve_keypair()[0])
    # WHEN a client connects THEN it sends nothing, and explains
    client = start_client(node.address)
    told = client.until(lambda line: line["event"] == "connection" and line["state"] == "unpaired")
    assert "not the node that was paired with" in told["text"]
    Keyring().forget(address)


def refused_handshake(address: str, *options: tuple[int, bytes]) -> int:
    """What ZeroMQ's monitor says of a connection with these options that a message is sent over."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        for option, value in options:
            dealer.setsockopt(option, value)
        failures = (
            zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_SUCCEEDED
        )  # fmt: skip
        monitor = dealer.get_monitor_socket(failures)
        dealer.connect(f"tcp://{address}")
        dealer.send(b"{}")
        try:
            assert monitor.poll(WAIT_MS), "nothing happened to the connection"
            return int(parse_monitor_message(monitor.recv_multipart())["event"])
        finally:
            dealer.disable_monitor()
            monitor.close()


def test_nothing_but_a_known_key_gets_through_the_door(node: NodeProcess) -> None:
    (key,) = Keyring().node_keys(parse_address(node.address))
    public, secret = zmq.curve_keypair()
    own = Keyring().own
    unknown = ((zmq.CURVE_PUBLICKEY, public), (zmq.CURVE_SECRETKEY, secret), (zmq.CURVE_SERVERKEY, key))
    assert refused_handshake(node.address, *unknown) == zmq.EVENT_HANDSHAKE_FAILED_AUTH
    wrong = ((zmq.CURVE_PUBLICKEY, own.public), (zmq.CURVE_SECRETKEY, own.secret), (zmq.CURVE_SERVERKEY, public))
    assert refused_handshake(node.address, *wrong) == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    # Without encryption, and with a password.
    assert refused_handshake(node.address) != zmq.EVENT_HANDSHAKE_SUCCEEDED
    plain_text = ((zmq.PLAIN_USERNAME, b"owner"), (zmq.PLAIN_PASSWORD, b"owner"))
    assert refused_handshake(node.address, *plain_text) != zmq.EVENT_HANDSHAKE_SUCCEEDED


def test_an_artist_neither_sees_nor_commands_what_others_have(
    node: NodeProcess, client: ClientProcess, peer: Callable[[str, KeyPair], Peer], scene: Scene, tmp_path: Path
) -> None:
    # GIVEN two artists whom the node lets in, and a job of one
    job = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1-3")
    client.until(lambda line: line["event"] == "delivered")
    other = KeyPair(*zmq.curve_keypair())
    clients = node.data / "clients.json"
    node.kill()
    clients.write_text(f'[{{"key": "{other.public.decode()}", "name": "other", "since": 1.0}}]')
    node.start()
    client.until_connected()
    stranger = peer(node.address, other)
    stranger.hello(Hello(PROTOCOL, VERSION, "9" * 32, "other", Scope.ALL))  # Fails at the first status.
    # WHEN the other one commands it THEN it does not exist
    for message in (Cancel(job), Retry(job), Collect(job), AskLog(job, None, 0)):
        stranger.send(message)
        refused = stranger.receive()
        assert isinstance(refused, Refused), refused
        assert refused.reason == Refusal.UNKNOWN_JOB
    stranger.send(Forget(job))
    stranger.receive()
    for output in range(1, 10):
        stranger.send(Delivered(str(output)))
    stranger.send(Ping())
    while (answer := stranger.receive()) != Pong():
        assert not isinstance(answer, JobChanged)
    # AND it goes on
    done = client.until_state(job, "done", "failed", "cancelled")
    assert (done["state"], done["delivered"]) == ("done", 3), done
    # WHEN the owner trusts the other one THEN it sees what others have, and can stop it
    third = client.render(scene(SAMPLES="4096"), tmp_path / "more", "1-12")
    client.until_state(third, "rendering")
    trusted = cli("clients", "--trust", client_id(other.public.decode())[:8], "--to", node.address, data=tmp_path)
    assert "trusted" in trusted.stdout, trusted.stderr
    friend = peer(node.address, other)
    friend.send(Hello(PROTOCOL, VERSION, "8" * 32, "other", Scope.ALL))
    while not (isinstance(answer := friend.receive(), JobChanged) and answer.status.job == third):
        pass
    friend.send(Cancel(third))
    assert client.until_state(third, "cancelled", "done")["state"] == "cancelled"


@pytest.mark.skipif(os.name == "nt", reason="on Windows the profile's access rights protect the keys")
def test_keys_are_readable_by_their_owner_only(node: NodeProcess) -> None:
    home = Path(os.environ[HOME_VARIABLE])
    for path in (node.data / "node.key", home / "client.key", home / "local" / str(node.port)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(node.data.stat().st_mode) == 0o700


def test_a_damaged_key_gets_a_sentence(
    node: NodeProcess, start_client: StartClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an account whose key is damaged, and that knows the node's
    home = tmp_path / "home"
    (key,) = Keyring().node_keys(parse_address(node.address))
    Keyring(home).pair(parse_address(node.address), key)
    (home / "client.key").write_text("milk")
    # WHEN its client connects THEN it says what to do, and lives on
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    client = start_client(node.address)
    told = client.until(lambda line: line["event"] == "connection" and line["state"] == "refused")
    assert "holds no key: delete it" in told["text"]
    # AND so does the node's own start
    done = cli("--listen", "127.0.0.1:0", "--data", tmp_path / "another", data=tmp_path, home=home)
    assert (done.returncode, "holds no key: delete it" in plain(done.stderr)) == (1, True), done.stderr


def test_who_asks_too_often_is_told_so(node: NodeProcess) -> None:
    # GIVEN strangers who knock and say nothing more
    knocking = [socket.create_connection(("127.0.0.1", node.port + 1)) for _ in range(10)]
    # WHEN one more comes THEN it is told to wait
    with socket.create_connection(("127.0.0.1", node.port + 1)) as late, late.makefile("rb") as lines:
        assert b"too often" in lines.readline()
    for each in knocking:
        each.close()
