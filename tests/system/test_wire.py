# SPDX-License-Identifier: GPL-3.0-or-later
"""A live node and a live client, talked to by hand: other versions, broken peers, strange requests."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zmq

from addon.protocol.digest import BLAKE2B, chunk_digest
from addon.protocol.limits import LEAST_WINDOW_BYTES, MAX_MESSAGE_BYTES
from addon.protocol.manifest import FileEntry, Manifest
from addon.protocol.messages import (
    Announce,
    Cancel,
    ChunkHead,
    Chunks,
    ClientMessage,
    Codec,
    Collect,
    Delivered,
    Grant,
    Hello,
    JobSpec,
    Need,
    Offer,
    Ping,
    Pong,
    Refusal,
    Refused,
    Stored,
    Submit,
    Want,
    Withdraw,
)
from addon.protocol.recipe import Recipe
from addon.protocol.version import PROTOCOL, VERSION
from server.blenders import Blender
from tests.system.harness import ClientProcess, NodeProcess, Peer, Scene, StartClient, bind_securely

HELLO = Hello(PROTOCOL, VERSION, "b" * 32, "test")
OTHER = Hello(PROTOCOL, VERSION, "c" * 32, "test")
DIGEST = "d" * 32


@pytest.fixture
def connect() -> Iterator[Callable[[str], Peer]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    peers: list[Peer] = []

    def to(address: str) -> Peer:
        peers.append(Peer(context, address))
        return peers[-1]

    yield to
    for peer in peers:
        peer.socket.close()
    context.term()


@pytest.fixture(scope="module")
def node(any_blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path_factory.mktemp("wire") / "node", any_blender)
    yield node
    node.close()


def test_a_hello_tells_versions_and_blenders(
    node: NodeProcess, connect: Callable[[str], Peer], any_blender: Blender
) -> None:
    welcome = connect(node.address).hello(HELLO)
    assert (welcome.protocol, welcome.version) == (PROTOCOL, VERSION)
    assert any_blender.name in welcome.blenders
    assert welcome.digest == BLAKE2B  # The hello names nothing faster.
    assert Codec.RAW in welcome.codecs


@pytest.mark.parametrize(("protocol", "outdated"), [(PROTOCOL + 1, "node"), (PROTOCOL - 1, "extension")])
def test_a_client_of_another_version_is_told_which_side_to_update(
    node: NodeProcess, connect: Callable[[str], Peer], protocol: int, outdated: str
) -> None:
    peer = connect(node.address)
    hello = {
        "type": "hello",
        "protocol": protocol,
        "version": "9.9",
        "process": "b" * 32,
        "host": "old",
        "new": [1],
    }
    peer.socket.send(json.dumps(hello).encode())
    refused = peer.receive()
    assert isinstance(refused, Refused)
    assert refused.reason == Refusal.VERSION
    assert refused.text.endswith(f"update the {outdated}.")


def test_a_client_tells_the_artist_when_the_node_is_of_another_version(
    start_client: StartClient,
) -> None:
    # GIVEN a node that speaks a protocol of the future: nothing real does yet
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.ROUTER) as router:
        router.setsockopt(zmq.LINGER, 0)
        port = bind_securely(router)
        client = start_client(f"127.0.0.1:{port}")
        peer, hello = router.recv_multipart()
        assert json.loads(hello)["protocol"] == PROTOCOL
        refusal = {"type": "refused", "reason": "version", "text": "Update the extension.", "protocol": 9, "x": 1}
        router.send_multipart([peer, json.dumps(refusal).encode()])
        told = client.until(lambda line: line["event"] == "connection" and line["state"] == "refused")
        assert told["text"] == "Update the extension."
    context.term()


def test_a_hello_that_is_not_even_understood_gets_an_answer(node: NodeProcess, connect: Callable[[str], Peer]) -> None:
    peer = connect(node.address)
    hello = {"type": "hello", "protocol": 2, "version": "9", "client": "b" * 32, "process": "c" * 32, "host": "new"}
    peer.socket.send(json.dumps(hello | {"scope": "team"}).encode())
    refused = peer.receive()
    assert isinstance(refused, Refused)
    assert refused.reason == Refusal.VERSION
    assert "install the same version on both sides" in refused.text


def test_who_has_not_said_hello_is_asked_to(node: NodeProcess, connect: Callable[[str], Peer]) -> None:
    peer = connect(node.address)
    peer.send(Ping())
    refused = peer.receive()
    assert isinstance(refused, Refused)
    assert refused.reason == Refusal.HELLO_FIRST


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\0" * 100],
        [b"{}"],
        [b"[1, 2"],
        [b'{"type":"welcome"}'],
        [b'{"type":"piece","transfer":"x","offset":0}', b"bytes"],
        [b'{"type":"want","transfer":"x","offset":-5,"limit":-1}', b"", b""],
        [b'{"type":"offer","manifest":"../../../etc/passwd","size":5,"codec":"raw"}', b"bytes"],
        [b'{"type":"offer","manifest":"dddddddddddddddddddddddddddddddd","size":5,"codec":"raw"}'],
        [b'{"type":"chunks","manifest":"dddddddddddddddddddddddddddddddd","chunks":[0]}', b"bytes"],
        [json.dumps({"type": "collect", "job": "x" * 300_000}).encode()],
        [os.urandom(2000), os.urandom(2000)],
    ],
)
def test_a_peer_that_breaks_the_protocol_costs_its_own_session_only(
    node: NodeProcess, connect: Callable[[str], Peer], frames: list[bytes]
) -> None:
    honest, broken = connect(node.address), connect(node.address)
    honest.hello(OTHER)
    broken.hello(HELLO)
    broken.socket.send_multipart(frames)
    broken.send(Ping())
    refused = broken.receive()
    assert isinstance(refused, Refused)
    assert refused.reason == Refusal.HELLO_FIRST
    assert honest.is_served()


@pytest.mark.parametrize("lost", [0, 1])
def test_what_was_lost_on_the_way_costs_the_session(
    node: NodeProcess, connect: Callable[[str], Peer], lost: int
) -> None:
    # GIVEN a hello, a message of one frame and one of two
    peer = connect(node.address)
    peer.hello(HELLO)
    peer.send(Withdraw(DIGEST))
    peer.send(Chunks(DIGEST, ()), b"")
    # WHEN the client counts so many, and itself, THEN it is answered or has to begin anew
    peer.send(Ping(1 + 1 + 2 + lost + 1))
    peer.send(Ping())
    answer = peer.receive()
    if lost:
        assert isinstance(answer, Refused) and answer.reason == Refusal.HELLO_FIRST
    else:
        assert isinstance(answer, Pong) and answer.sent


def test_a_message_that_is_too_large_costs_the_connection(node: NodeProcess, connect: Callable[[str], Peer]) -> None:
    honest, broken = connect(node.address), connect(node.address)
    honest.hello(OTHER)
    broken.hello(HELLO)
    broken.send(Chunks(DIGEST, ()), bytes(MAX_MESSAGE_BYTES + 1))
    broken.send(Ping())
    with suppress(AssertionError):
        assert isinstance(broken.receive(), Refused)
    assert honest.is_served()


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (Want("12345", 0, 10), None),
        (Want("no such output", 0, 10), None),
        (Grant("12345", 10), None),
        (Delivered("12345"), None),
        (Grant(DIGEST, 10), None),
        (Withdraw(DIGEST), None),
        (Chunks(DIGEST, (ChunkHead(0, 12, Codec.RAW),)), b"nobody asked"),
    ],
)
def test_requests_about_nothing_are_passed_over(
    node: NodeProcess, connect: Callable[[str], Peer], message: ClientMessage, payload: bytes | None
) -> None:
    peer = connect(node.address)
    peer.hello(HELLO)
    peer.send(message, payload)
    assert peer.is_served()


@pytest.mark.parametrize("message", [Cancel("e" * 32), Collect("e" * 32)])
def test_a_job_that_is_not_there_is_said_not_to_be(
    node: NodeProcess, connect: Callable[[str], Peer], message: ClientMessage
) -> None:
    peer = connect(node.address)
    peer.hello(HELLO)
    peer.send(message)
    refused = peer.receive()
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.about) == (Refusal.UNKNOWN_JOB, "e" * 32)
    assert peer.is_served()


def manifest_of(content: bytes) -> Manifest:
    """Of one file of one chunk."""
    recipe = Recipe(BLAKE2B, (len(content),), 1, (len(content),), chunk_digest(BLAKE2B)(content))
    return Manifest(("/home/ada",), (FileEntry(0, "shot.blend", recipe),))


def job_of(manifest: str) -> JobSpec:
    return JobSpec("f" * 32, "shot", manifest, None, "1", "", 0.0)


def offer(peer: Peer, manifest: Manifest) -> None:
    peer.send(Offer(manifest.digest, len(manifest.packed), Codec.RAW), manifest.packed)


def test_a_job_whose_file_is_not_there_is_refused(node: NodeProcess, connect: Callable[[str], Peer]) -> None:
    peer = connect(node.address)
    peer.hello(HELLO)
    peer.send(Submit(job_of(DIGEST)))
    refused = peer.receive()
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.about) == (Refusal.FILE_MISSING, "f" * 32)


def test_what_is_no_blend_is_stored_and_not_rendered(node: NodeProcess, connect: Callable[[str], Peer]) -> None:
    # GIVEN a file of some kind
    content = os.urandom(1000)
    manifest = manifest_of(content)
    peer = connect(node.address)
    peer.hello(HELLO)
    # WHEN it is brought, with a job
    offer(peer, manifest)
    peer.send(Submit(job_of(manifest.digest)))
    assert peer.receive() == Need(manifest.digest, LEAST_WINDOW_BYTES)
    peer.send(Chunks(manifest.digest, (ChunkHead(0, 1000, Codec.RAW),)), content)
    # THEN it is stored, and the job refused
    assert peer.receive() == Stored(manifest.digest)
    refused = peer.receive()
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.about) == (Refusal.BAD_FILE, "f" * 32)
    assert peer.is_served()


def test_bytes_that_are_not_the_promised_ones_end_the_session(
    node: NodeProcess, connect: Callable[[str], Peer]
) -> None:
    manifest = manifest_of(os.urandom(1000))
    peer = connect(node.address)
    peer.hello(HELLO)
    offer(peer, manifest)
    assert peer.receive() == Need(manifest.digest, LEAST_WINDOW_BYTES)
    peer.send(Chunks(manifest.digest, (ChunkHead(0, 1000, Codec.RAW),)), os.urandom(1000))
    while peer.is_served():  # A thread finds out.
        pass
    peer.hello(HELLO)
    offer(peer, manifest)
    assert peer.receive() == Need(manifest.digest, LEAST_WINDOW_BYTES)


def test_a_frame_that_was_dropped_after_it_was_announced_is_passed_over(
    node: NodeProcess, client: ClientProcess, connect: Callable[[str], Peer], scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a frame that has been announced, of a save that a newer one takes the place of
    (tmp_path / "taken").write_text("not a folder")
    older = client.render(scene(SAMPLES="4096"), tmp_path / "taken", "1-12", trigger="save")
    client.until(lambda line: line["event"] == "job" and line["done"] >= 1)
    peer = connect(node.address)
    peer.hello(HELLO)
    peer.send(Collect(older))
    announced = peer.receive()
    assert isinstance(announced, Announce)
    newer = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1", trigger="save")
    client.until(lambda _: client.states[older] == "superseded" and client.states.get(newer) == "rendering")
    peer.send(Ping())
    while peer.receive() != Pong():
        pass  # Other frames of it may have been announced until then.
    # WHEN it is asked for, THEN nothing is sent, and nothing else happens
    peer.send(Want(announced.outputs[0].output, 0, announced.outputs[0].size))
    assert peer.is_served()
    client.send(command="cancel", job=newer)
    client.until_state(newer, "cancelled")
