# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that have forgotten, can less, refuse or are told to stop."""

from pathlib import Path

import pytest

from addon.client.bases import Bases
from addon.client.ledger import Entry, Order
from addon.client.recipe_cache import RecipeCache
from addon.client.submission import Means, Submission
from addon.protocol.digest import BLAKE2B, BLAKE3
from addon.protocol.messages import (
    Codec,
    Collect,
    Refusal,
    Refused,
    Stored,
    Submit,
    Withdraw,
)
from tests.client.submission_kit import (
    MANY,
    WOOD,
    ScriptedNode,
    Shot,
    StartClient,
    bring,
    finish,
)
from tests.needs import NEEDS_BLAKE3, NEEDS_ZSTD
from tests.protocol.blends import scene


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
