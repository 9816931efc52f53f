# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that change, go or are missing on their way to the node."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from addon.protocol.messages import (
    Submit,
    Withdraw,
)
from tests.client.submission_kit import (
    WOOD,
    ScriptedNode,
    Shot,
    StartClient,
    finish,
)
from tests.protocol.blends import blend, data, data_block, scene


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
    assert node.hear_after_chunks(Withdraw).manifest == before.digest
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
    assert node.hear_after_chunks(Withdraw).manifest == before.digest
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
    assert node.hear_after_chunks(Withdraw).manifest == before.digest


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
