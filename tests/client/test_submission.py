# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client sends, and what not, to a node that the test plays."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
import zmq

from addon.client.bases import Bases
from addon.client.flow import LEAST_ALLOWED
from addon.client.ledger import Entry, Order
from addon.client.recipe_cache import RecipeCache
from addon.client.submission import Means, Submission
from addon.protocol import bitmap, codec, codecs, zstd
from addon.protocol.digest import BLAKE2B, BLAKE3, Buffer, chunk_algorithms, chunk_digest
from addon.protocol.limits import EAGER_BYTES, MAX_HEADER_BYTES, WINDOW_BYTES
from addon.protocol.manifest import Manifest
from addon.protocol.messages import (
    ChunkHead,
    Chunks,
    ClientMessage,
    Codec,
    Collect,
    Grant,
    Hello,
    JobChanged,
    JobState,
    JobStatus,
    Need,
    NodeMessage,
    Offer,
    Ping,
    Pong,
    Ready,
    Refusal,
    Refused,
    Stored,
    Submit,
    Welcome,
    Withdraw,
)
from addon.protocol.version import PROTOCOL, VERSION
from tests.protocol.blends import blend, data, data_block, scene
from tests.system.harness import PATIENCE_S, ClientProcess

M = TypeVar("M", bound=ClientMessage)

NEEDS_ZSTD = pytest.mark.skipif(zstd.name() is None, reason="needs zstd")
NEEDS_BLAKE3 = pytest.mark.skipif(BLAKE3 not in chunk_algorithms(), reason="needs the blake3 wheel")
WOOD = random.Random(1).randbytes(3 << 20)
A_FEW_HUNDRED = 600
"""Bytes."""


class ScriptedNode:
    """A node that does what the test tells it to."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self._router = context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self.address = f"127.0.0.1:{self._router.bind_to_random_port('tcp://127.0.0.1')}"
        self._peer = b""
        self.chunks: dict[bytes, Buffer] = {}
        """All that it has ever received, by their names."""

    def welcome(self, digest: str = BLAKE2B, known: Sequence[Codec] = codecs.decodable(), node: str = "1" * 32) -> None:
        """Take a client in."""
        hello, _ = self._next(Hello)
        assert digest in hello.digests
        self.say(Welcome(PROTOCOL, VERSION, node, "scripted", ("5.2.2",), digest, tuple(known)))
        self.say(Ready())

    def drop(self) -> None:
        """Have the client connect anew."""
        self.say(Refused(Refusal.HELLO_FIRST, "Say hello first."))

    def say(self, message: NodeMessage, payload: Buffer | None = None) -> None:
        self._router.send_multipart([self._peer, *codec.encode(message, payload)])

    def hear(self, kind: type[M]) -> M:
        """The next message, which is one of this kind."""
        return self._next(kind)[0]

    def is_offered(self, base: Manifest | None = None) -> tuple[Offer, int, Manifest]:
        """The next message, an offer, the bytes that it took, and what it offers."""
        offer, payload = self._next(Offer)
        assert offer.base == (base.digest if base is not None else "")
        packed = codecs.decode(offer.codec, payload, offer.size, base.packed if base is not None else None)
        manifest = Manifest.unpack(bytes(packed))
        assert manifest.digest == offer.manifest
        return offer, len(payload), manifest

    def need(self, manifest: Manifest, numbers: Sequence[int]) -> None:
        self.say(Need(manifest.digest, WINDOW_BYTES), bitmap.pack(numbers, len(manifest.chunks)))

    def take(self, manifest: Manifest) -> Chunks:
        """The next message, chunks of this manifest; each has the bytes that its name says."""
        message, payload = self._next(Chunks)
        self.received = len(payload)
        return self._decode(manifest, message, payload)

    def _decode(self, manifest: Manifest, message: Chunks, payload: Buffer) -> Chunks:
        assert message.manifest == manifest.digest
        view, at = memoryview(payload), 0
        for head in message.chunks:
            name = manifest.chunks[head.number]
            base = self.chunks[bytes.fromhex(head.base)] if head.base else None
            chunk = codecs.decode(head.codec, view[at : at + head.size], manifest.chunk_length(name), base)
            assert chunk_digest(manifest.blend.recipe.algorithm)(chunk) == name
            self.chunks[name] = bytes(chunk)
            at += head.size
        assert at == len(payload)
        return message

    def take_eager(self, manifest: Manifest) -> list[ChunkHead]:
        """What comes unasked, until the job is submitted."""
        heads: list[ChunkHead] = []
        self.eager = 0
        while True:
            message, payload = self._any()
            if isinstance(message, Submit):
                assert message.spec.manifest == manifest.digest
                return heads
            if isinstance(message, Ping):
                continue
            assert isinstance(message, Chunks)
            heads += self._decode(manifest, message, payload).chunks
            self.eager += len(payload)

    def take_all(self, manifest: Manifest, count: int) -> list[int]:
        """So many chunks, with credit as they come; returns their numbers."""
        numbers: list[int] = []
        taken, limit = 0, WINDOW_BYTES
        while len(numbers) < count:
            numbers += [head.number for head in self.take(manifest).chunks]
            taken += self.received
            assert taken <= limit, "more than the credit"
            limit = taken + WINDOW_BYTES
            self.say(Grant(manifest.digest, limit))
        return numbers

    def content(self, manifest: Manifest, file: int = 0) -> bytes:
        """A file, put together."""
        recipe = manifest.files[file].recipe
        content = bytearray(recipe.size)
        for number in range(len(recipe)):
            chunk, at = memoryview(self.chunks[recipe.id(number)]), 0
            for offset, length in recipe.extents(number):
                content[offset : offset + length] = chunk[at : at + length]
                at += length
        return bytes(content)

    def accept(self, job: str) -> None:
        """Take the job, and hear that its frames are wanted."""
        status = JobStatus(
            job, "2" * 32, "shot", JobState.QUEUED, "1", 1, 0, 0, 0, 0.0, None, None, None, None, None, None, "", (),
            "5.2.2", 0.0,
        )  # fmt: skip
        self.say(JobChanged(status))
        self.hear(Collect)

    def is_quiet(self) -> bool:
        """Whether the client's next sign of life says that it is there, and nothing else."""
        message, _ = self._any()
        self.say(Pong())
        return isinstance(message, Ping)

    def close(self) -> None:
        self._router.close()

    def _next(self, kind: type[M]) -> tuple[M, Buffer]:
        while True:
            message, payload = self._any()
            if isinstance(message, Ping):
                self.say(Pong())
                continue
            assert isinstance(message, kind), f"{message} instead of {kind.__name__}"
            return message, payload

    def _any(self) -> tuple[ClientMessage, Buffer]:
        assert self._router.poll(int(PATIENCE_S * 1000)), "the client says nothing"
        self._peer, *frames = self._router.recv_multipart()
        assert len(frames[0]) <= MAX_HEADER_BYTES
        return codec.decode_from_client(frames)


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with zmq.Context() as context:
        node = ScriptedNode(context)
        yield node
        node.close()


StartClient = Callable[[], ClientProcess]


@pytest.fixture
def start(tmp_path: Path, node: ScriptedNode) -> Iterator[StartClient]:
    clients: list[ClientProcess] = []

    def start() -> ClientProcess:
        clients.append(ClientProcess(tmp_path / "client"))
        clients[-1].send(command="configure", address=node.address)
        return clients[-1]

    yield start
    for client in clients:
        if client.process.poll() is None:
            client.close()
        assert "Traceback" not in client.log.read_text()


class Shot:
    """An artist's project of one .blend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.blend = folder / "shot.blend"

    def save(self, content: bytes) -> None:
        """As Blender does: into a new file that takes the old one's place."""
        fresh = self.folder / "shot.blend@"
        fresh.write_bytes(content)
        fresh.replace(self.blend)

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def render(self, client: ClientProcess, *dependencies: Path) -> str:
        uses = [{"path": str(path), "owner": f'Image "{path.name}"', "kind": "file"} for path in dependencies]
        return client.render(self.blend, self.folder / "frames", dependencies=uses)


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    return Shot(tmp_path / "project")


def bring(node: ScriptedNode, client: ClientProcess, job: str) -> Manifest:
    """Take a job of which nothing is known, and return when the client has noted that."""
    _, _, manifest = node.is_offered()
    node.hear(Submit)
    finish(node, job, manifest, list(range(len(manifest.chunks))))
    until_noted(client, node)
    return manifest


def finish(node: ScriptedNode, job: str, manifest: Manifest, missing: list[int]) -> None:
    """Ask for what is missing, and take the job."""
    node.need(manifest, missing)
    assert sorted(node.take_all(manifest, len(missing))) == missing
    node.say(Stored(manifest.digest))
    node.accept(job)


def until_noted(client: ClientProcess, node: ScriptedNode) -> None:
    """Wait for the next sign of life after the last save was written down."""
    folder = client.log.parent / "client" / "bases"
    while not list(folder.glob("*.base")):
        assert node.is_quiet()


MANY = range(400)


def test_a_save_that_has_not_changed_is_offered_in_a_few_hundred_bytes(
    node: ScriptedNode, start: StartClient, shot: Shot
) -> None:
    # GIVEN a save that the node has
    client = start()
    shot.save(scene(range(1500)))
    node.welcome()
    first = bring(node, client, shot.render(client))
    assert len(first.packed) > 10 * A_FEW_HUNDRED
    assert node.content(first) == shot.blend.read_bytes()
    # WHEN the same file is saved again
    shot.save(scene(range(1500)))
    job = shot.render(client)
    # THEN that is all that is said of it
    offer, size, manifest = node.is_offered(first if zstd.name() else None)
    assert manifest.digest == first.digest
    assert zstd.name() is None or size < A_FEW_HUNDRED
    assert node.hear(Submit).spec.manifest == offer.manifest
    node.say(Stored(offer.manifest))
    node.accept(job)


@NEEDS_ZSTD
def test_of_a_small_change_everything_goes_at_once(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    # GIVEN a save that the node has
    client = start()
    shot.save(scene(MANY))
    node.welcome()
    first = bring(node, client, shot.render(client))
    # WHEN an object is moved, and the heads have other addresses
    shot.save(scene(MANY, addresses=1))
    job = shot.render(client)
    # THEN what is new goes with the offer, as what is different from the save before
    _, size, second = node.is_offered(first)
    eager = node.take_eager(second)
    new = {number for number, chunk in enumerate(second.chunks) if chunk not in first.places}
    assert {head.number for head in eager} == new
    assert {head.codec for head in eager} == {Codec.PATCH}
    assert size + node.eager < 0.1 * sum(second.chunk_length(second.chunks[number]) for number in new)
    # AND is not sent again when the node, which has not read it yet, asks for it
    node.need(second, sorted(new))
    node.say(Stored(second.digest))
    node.accept(job)
    assert node.content(second) == shot.blend.read_bytes()


@NEEDS_ZSTD
def test_of_a_large_change_no_more_goes_unasked_than_is_allowed(
    node: ScriptedNode, start: StartClient, shot: Shot
) -> None:
    # GIVEN a save that the node has, of many large payloads
    client = start()
    shot.save(blend([data_block("OBCube"), *(data(200_000, seed) for seed in range(4))]))
    node.welcome()
    first = bring(node, client, shot.render(client))
    # WHEN all of them change
    shot.save(blend([data_block("OBCube"), *(data(200_000, seed) for seed in range(10, 20))]))
    job = shot.render(client)
    _, _, second = node.is_offered(first)
    new = [number for number, chunk in enumerate(second.chunks) if chunk not in first.places]
    # THEN what goes with the offer is not more than that, and the rest waits to be asked for
    eager = {head.number for head in node.take_eager(second)}
    assert 0 < node.eager <= EAGER_BYTES
    node.need(second, new)
    assert set(node.take_all(second, len(set(new) - eager))) == set(new) - eager
    node.say(Stored(second.digest))
    node.accept(job)


@NEEDS_ZSTD
@pytest.mark.parametrize("of", ["the manifest", "a chunk"])
def test_a_node_that_lost_the_save_before_is_told_everything(
    node: ScriptedNode, start: StartClient, shot: Shot, of: str
) -> None:
    # GIVEN a save that the node had
    client = start()
    shot.save(scene(MANY))
    node.welcome()
    first = bring(node, client, shot.render(client))
    # WHEN the next one is offered as a change of that one, and the node does not have it any more
    shot.save(scene(MANY, addresses=1))
    job = shot.render(client)
    _, _, second = node.is_offered(first)
    assert node.take_eager(second)
    node.chunks.clear()
    if of == "a chunk":
        node.need(second, list(range(len(second.chunks))))
    node.say(Refused(Refusal.BASE_MISSING, "The node does not have it any more.", second.digest))
    # THEN it is offered again without, and every chunk goes as it is
    if of == "a chunk":
        while isinstance((found := node._any())[0], Chunks | Ping):
            pass
        assert isinstance(found[0], Offer)
        assert found[0].base == ""
    else:
        node.is_offered()
    node.hear(Submit)
    finish(node, job, second, list(range(len(second.chunks))))
    assert node.content(second) == shot.blend.read_bytes()


def test_after_a_lost_connection_only_what_is_missing_goes(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    # GIVEN an upload of which the node has taken some chunks in when the connection breaks
    client = start()
    shot.save(blend([data(1 << 20, seed) for seed in range(30)]))
    job = shot.render(client)
    node.welcome()
    _, _, manifest = node.is_offered()
    node.hear(Submit)
    everything = list(range(len(manifest.chunks)))
    node.need(manifest, everything)
    node.take(manifest)
    node.drop()
    # WHEN there is one again
    while not isinstance(node._any()[0], Hello):
        pass
    node.say(Welcome(PROTOCOL, VERSION, "1" * 32, "scripted", (), BLAKE2B, codecs.decodable()))
    node.say(Ready())
    _, _, again = node.is_offered()
    assert again.digest == manifest.digest
    node.hear(Submit)
    missing = everything[-3:]
    # THEN no more than what it says it lacks goes
    finish(node, job, manifest, missing)
    client.until_state(job, "queued")
    told = [line for line in client.seen if line["event"] == "job" and line["state"] == "uploading"]
    assert all(0 <= line["sent_bytes"] <= line["total_bytes"] for line in told)


def test_no_more_goes_than_the_node_has_room_for(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    # GIVEN a file of three windows that no codec makes smaller
    client = start()
    shot.save(blend([data(1 << 20, seed) for seed in range(48)]))
    job = shot.render(client)
    node.welcome()
    _, _, manifest = node.is_offered()
    node.hear(Submit)
    everything = list(range(len(manifest.chunks)))
    node.need(manifest, everything)
    # WHEN nobody says how fast the link is, THEN little goes
    numbers: list[int] = []
    taken = take_until_quiet(node, numbers)
    assert 0 < taken <= LEAST_ALLOWED
    # WHEN the node takes in a window, and then nothing more
    limit = taken + WINDOW_BYTES
    while taken < WINDOW_BYTES:
        limit = taken + WINDOW_BYTES
        node.say(Grant(manifest.digest, limit))
        numbers += [head.number for head in node.take(manifest).chunks]
        taken += node.received
    taken += take_until_quiet(node, numbers)
    # THEN the window is used, and not more
    assert limit - (8 << 20) < taken <= limit
    # WHEN there is room again, THEN the rest comes
    node.say(Grant(manifest.digest, taken + 2 * WINDOW_BYTES))
    while len(numbers) < len(everything):
        numbers += [head.number for head in node.take(manifest).chunks]
    assert sorted(numbers) == everything
    node.say(Stored(manifest.digest))
    node.accept(job)


def take_until_quiet(node: ScriptedNode, numbers: list[int]) -> int:
    """Take what comes, until the client twice says no more than that it is there; returns bytes."""
    taken = pings = 0
    while pings < 2:
        found, payload = node._any()
        pings = pings + 1 if isinstance(found, Ping) else 0
        numbers += [head.number for head in found.chunks] if isinstance(found, Chunks) else []
        taken += len(payload)
        if pings:
            node.say(Pong())
    return taken


def replaced(path: Path, content: bytes) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    fresh.replace(path)


def written_over(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize("change", [replaced, written_over])
@pytest.mark.parametrize("length", [len(WOOD), 1000], ids=["as long", "shorter"])
def test_a_texture_that_changes_before_it_is_sent_is_planned_anew(
    node: ScriptedNode, start: StartClient, shot: Shot, change: Callable[[Path, bytes], None], length: int
) -> None:
    # GIVEN a scene with a texture, which has been offered
    client = start()
    shot.save(scene(range(5)))
    wood = shot.file("wood.png", WOOD)
    job = shot.render(client, wood)
    node.welcome()
    _, _, before = node.is_offered()
    node.hear(Submit)
    # WHEN the texture changes before the node asks for it
    newer = random.Random(2).randbytes(length)
    change(wood, newer)
    node.need(before, list(range(len(before.chunks))))
    # THEN the offer is withdrawn, and what stands there now is offered
    while isinstance((found := node._any())[0], Chunks | Ping):
        pass
    assert found[0] == Withdraw(before.digest)
    _, _, after = node.is_offered()
    node.hear(Submit)
    finish(node, job, after, list(range(len(after.chunks))))
    assert node.content(after, 1) == newer


def test_a_blend_that_is_written_over_while_it_is_sent_is_planned_anew(
    node: ScriptedNode, start: StartClient, shot: Shot
) -> None:
    client = start()
    shot.save(blend([data_block("OBCube"), data(1 << 20, 1)]))
    job = shot.render(client)
    node.welcome()
    _, _, before = node.is_offered()
    node.hear(Submit)
    written_over(shot.blend, blend([data_block("OBCube"), data(1 << 20, 2)]))
    node.need(before, list(range(len(before.chunks))))
    while isinstance((found := node._any())[0], Chunks | Ping):
        pass
    assert found[0] == Withdraw(before.digest)
    _, _, after = node.is_offered()
    node.hear(Submit)
    finish(node, job, after, list(range(len(after.chunks))))
    assert node.content(after) == shot.blend.read_bytes()


def test_a_texture_that_goes_before_it_is_sent_is_missing(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    # GIVEN a scene whose texture is deleted after it was offered
    client = start()
    shot.save(scene(range(5)))
    wood = shot.file("wood.png", WOOD)
    job = shot.render(client, wood)
    node.welcome()
    _, _, before = node.is_offered()
    node.hear(Submit)
    wood.unlink()
    node.need(before, list(range(len(before.chunks))))
    # THEN the offer is withdrawn, and the artist is asked
    missing = client.until_state(job, "missing")
    assert missing["missing"] == [{"owner": 'Image "wood.png"', "path": str(wood), "reason": "is not there"}]
    while isinstance((found := node._any())[0], Chunks | Ping):
        pass
    assert found[0] == Withdraw(before.digest)


@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_what_is_missing_is_told_and_left_out_when_the_artist_says_so(
    node: ScriptedNode, start: StartClient, shot: Shot, restarted: bool
) -> None:
    # GIVEN a scene of which one texture is there, and one is not
    client = start()
    shot.save(scene(range(5)))
    wood, stone = shot.file("wood.png", WOOD), shot.folder / "stone.png"
    job = shot.render(client, wood, stone)
    node.welcome()
    # WHEN it is to be rendered, THEN the artist is told before anything is sent
    expected = [{"owner": 'Image "stone.png"', "path": str(stone), "reason": "is not there"}]
    assert client.until_state(job, "missing")["missing"] == expected
    assert node.is_quiet()
    if restarted:
        client.kill()
        client = start()
        node.welcome()
        assert client.until_state(job, "missing")["missing"] == expected
    # WHEN the artist goes on, THEN it is rendered without
    client.send(command="go_on", job=job)
    _, _, manifest = node.is_offered()
    assert [entry.name for entry in manifest.files] == ["shot.blend", "wood.png"]
    node.hear(Submit)
    finish(node, job, manifest, list(range(len(manifest.chunks))))
    assert client.until_state(job, "queued")["missing"] == []
    assert node.content(manifest, 1) == WOOD


def test_a_scene_of_thousands_of_tiny_files_goes(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    # GIVEN more chunks in a megabyte than the header of one message has room for
    client = start()
    shot.save(scene(range(5)))
    files = [shot.file(f"{number}.ies", b"light %d" % number) for number in range(6500)]
    job = shot.render(client, *files)
    node.welcome()
    _, _, manifest = node.is_offered()
    node.hear(Submit)
    finish(node, job, manifest, list(range(len(manifest.chunks))))
    assert all(node.content(manifest, number + 1) == path.read_bytes() for number, path in enumerate(files))


@NEEDS_ZSTD
def test_the_save_before_is_known_after_a_restart(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    # GIVEN a save that the node has, and a client that was killed since
    client = start()
    shot.save(scene(MANY))
    node.welcome()
    first = bring(node, client, shot.render(client))
    client.kill()
    client = start()
    node.welcome()
    node.hear(Collect)
    # WHEN the file is saved again, THEN it is told from that save
    shot.save(scene(MANY, addresses=1))
    job = shot.render(client)
    _, size, second = node.is_offered(first)
    assert size < len(second.packed) / 2
    assert {head.codec for head in node.take_eager(second)} == {Codec.PATCH}
    node.say(Stored(second.digest))
    node.accept(job)
    assert node.content(second) == shot.blend.read_bytes()


@NEEDS_ZSTD
@pytest.mark.parametrize("at", [0.0, 0.1, 0.5, 0.9])
def test_a_damaged_note_of_the_save_before_costs_nothing_but_bytes(
    node: ScriptedNode, start: StartClient, shot: Shot, at: float
) -> None:
    client = start()
    shot.save(scene(MANY))
    node.welcome()
    bring(node, client, shot.render(client))
    client.kill()
    (note,) = (client.log.parent / "client" / "bases").glob("*.base")
    noted = bytearray(note.read_bytes())
    noted[int(at * len(noted))] ^= 1
    note.write_bytes(noted)
    client = start()
    node.welcome()
    node.hear(Collect)
    shot.save(scene(MANY, addresses=1))
    job = shot.render(client)
    _, _, second = node.is_offered()
    node.hear(Submit)
    finish(node, job, second, list(range(len(second.chunks))))
    assert node.content(second) == shot.blend.read_bytes()


@NEEDS_ZSTD
def test_another_node_is_told_everything(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    # GIVEN a save that one node has
    client = start()
    shot.save(scene(MANY))
    node.welcome()
    bring(node, client, shot.render(client))
    # WHEN another one takes its place
    node.drop()
    node.welcome(node="3" * 32)
    shot.save(scene(MANY, addresses=1))
    shot.render(client)
    # THEN the next save is not told from what that one never had
    _, _, manifest = node.is_offered()
    assert node.hear(Submit).spec.manifest == manifest.digest


@pytest.mark.parametrize("digest", [BLAKE2B, pytest.param(BLAKE3, marks=NEEDS_BLAKE3)])
def test_chunks_are_named_as_the_node_says(node: ScriptedNode, start: StartClient, shot: Shot, digest: str) -> None:
    client = start()
    shot.save(scene(range(30)))
    wood = shot.file("wood.png", WOOD)
    job = shot.render(client, wood)
    node.welcome(digest)
    _, _, manifest = node.is_offered()
    assert {entry.recipe.algorithm for entry in manifest.files} == {digest}
    node.hear(Submit)
    finish(node, job, manifest, list(range(len(manifest.chunks))))


@NEEDS_BLAKE3
def test_chunks_get_other_names_for_a_node_without_the_algorithm(
    node: ScriptedNode, start: StartClient, shot: Shot
) -> None:
    # GIVEN a job that was offered to a node
    client = start()
    shot.save(scene(range(30)))
    job = shot.render(client)
    node.welcome(BLAKE3)
    node.is_offered()
    node.hear(Submit)
    # WHEN it comes back without the faster algorithm, THEN all is named anew
    node.drop()
    node.welcome(BLAKE2B)
    _, _, manifest = node.is_offered()
    assert manifest.blend.recipe.algorithm == BLAKE2B
    node.hear(Submit)
    finish(node, job, manifest, list(range(len(manifest.chunks))))
    assert node.content(manifest) == shot.blend.read_bytes()


def test_a_node_that_decodes_nothing_gets_bytes_as_they_are(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    # GIVEN a node that has a save, and knows no codec
    client = start()
    shot.save(scene(MANY))
    node.welcome(known=[Codec.RAW])
    bring(node, client, shot.render(client))
    # WHEN the next one is offered
    shot.save(scene(MANY, addresses=1))
    shot.render(client)
    # THEN neither the offer nor what goes with it is encoded
    offer, _, manifest = node.is_offered()
    assert offer.codec == Codec.RAW
    assert {head.codec for head in node.take_eager(manifest)} == {Codec.RAW}


def test_what_the_node_cannot_store_ends_the_job_with_its_sentence(
    node: ScriptedNode, start: StartClient, shot: Shot
) -> None:
    client = start()
    shot.save(scene(range(5)))
    job = shot.render(client)
    node.welcome()
    _, _, manifest = node.is_offered()
    node.hear(Submit)
    node.say(Refused(Refusal.STORAGE, "Nothing of the session.", ""))
    node.say(Refused(Refusal.STORAGE, "The disk is broken.", manifest.digest))
    assert client.until_state(job, "failed")["text"] == "The disk is broken."


def test_a_cancelled_upload_is_withdrawn(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    client = start()
    shot.save(scene(range(5)))
    job = shot.render(client)
    node.welcome()
    _, _, manifest = node.is_offered()
    node.hear(Submit)
    client.send(command="cancel", job=job)
    assert node.hear(Withdraw).manifest == manifest.digest
    client.until_state(job, "cancelled")


def test_what_is_refused_to_the_session_concerns_no_job(tmp_path: Path) -> None:
    # GIVEN a job of which nothing was offered yet
    order = Order("e" * 32, str(tmp_path / "shot.blend"), "shot", None, "1", str(tmp_path))
    means = Means(lambda *_: None, lambda: None, Bases(tmp_path / "bases"), RecipeCache(tmp_path / "recipes.sqlite3"))
    submission = Submission(Entry(order, 0.0), means, lambda: None)
    # THEN it heeds what is about it, and nothing else
    submission.receive(Refused(Refusal.INTERNAL, "Something.", ""), b"")
    submission.receive(Refused(Refusal.INTERNAL, "Something.", "d" * 32), b"")
    assert submission._mail.empty()
    submission.receive(Refused(Refusal.FILE_MISSING, "The files.", "e" * 32), b"")
    assert not submission._mail.empty()
