# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent of a save, and what is not, as the node hears it."""

import sys

import pytest

from addon.client.flow import LEAST_ALLOWED
from addon.protocol import codecs, zstd
from addon.protocol.digest import BLAKE2B
from addon.protocol.limits import EAGER_BYTES, LEAST_WINDOW_BYTES, WINDOW_BYTES
from addon.protocol.messages import (
    Chunks,
    Codec,
    Grant,
    Hello,
    Offer,
    Ping,
    Pong,
    Ready,
    Refusal,
    Refused,
    Stored,
    Submit,
    Welcome,
)
from addon.protocol.version import PROTOCOL, VERSION
from tests.client.submission_kit import A_FEW_HUNDRED, MANY, ScriptedNode, Shot, StartClient, bring, finish
from tests.needs import NEEDS_ZSTD
from tests.protocol.blends import blend, data, data_block, scene


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
        assert node.hear_after_chunks(Offer).base == ""
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
    while not isinstance(node.any()[0], Hello):
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
        node.say(Grant(manifest.digest, limit, taken))
        numbers += [head.number for head in node.take(manifest).chunks]
        taken += node.received
    taken += take_until_quiet(node, numbers)
    # THEN the window is used, and not more
    assert limit - (8 << 20) < taken <= limit
    # WHEN there is room again, THEN the rest comes
    while len(numbers) < len(everything):
        node.say(Grant(manifest.digest, taken + WINDOW_BYTES, taken))
        numbers += [head.number for head in node.take(manifest).chunks]
        taken += node.received
    assert sorted(numbers) == everything
    node.say(Stored(manifest.digest))
    node.accept(job)


def test_a_node_that_many_send_to_gets_smaller_messages(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    # GIVEN a client that sends large messages, as a node that takes in everything at once has it do
    client = start()
    shot.save(blend([data(1 << 20, seed) for seed in range(48)]))
    job = shot.render(client)
    node.welcome()
    _, _, manifest = node.is_offered()
    node.hear(Submit)
    everything = list(range(len(manifest.chunks)))
    node.need(manifest, everything)
    numbers: list[int] = []
    taken = limit = 0
    while node.received <= LEAST_WINDOW_BYTES:
        numbers += [head.number for head in node.take(manifest).chunks]
        taken += node.received
        limit = taken + WINDOW_BYTES
        node.say(Grant(manifest.digest, limit, taken))
    # WHEN the node has not that much room any more
    while len(numbers) < len(everything):
        numbers += [head.number for head in node.take(manifest).chunks]
        taken += node.received
        # THEN messages fit into the room that there is, also those that were made before
        assert taken <= limit
        limit = max(limit, taken + LEAST_WINDOW_BYTES)
        node.say(Grant(manifest.digest, limit, taken))
    assert sorted(numbers) == everything
    node.say(Stored(manifest.digest))
    node.accept(job)


def take_until_quiet(node: ScriptedNode, numbers: list[int]) -> int:
    """Take what comes, until the client twice says no more than that it is there; returns bytes."""
    taken = pings = 0
    while pings < 2:
        found, payload = node.any()
        pings = pings + 1 if isinstance(found, Ping) else 0
        numbers += [head.number for head in found.chunks] if isinstance(found, Chunks) else []
        taken += len(payload)
        if pings:
            node.say(Pong())
    return taken


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_folder_whose_name_is_no_text_is_told_as_one(node: ScriptedNode, start: StartClient, shot: Shot) -> None:
    client = start()
    node.welcome()
    (shot.folder / "film\udcff").mkdir()
    blend = shot.file("film\udcff/shot.blend", scene(MANY))
    client.render(blend, shot.folder / "frames", trigger="save")
    node.is_offered()
    assert node.hear(Submit).spec.group == f"save {shot.folder}/film\\udcff/shot.blend"
