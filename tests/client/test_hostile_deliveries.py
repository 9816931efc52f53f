# SPDX-License-Identifier: GPL-3.0-or-later
"""Names from a node that means ill, over a real socket: what a client does with them on the artist's disk."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from addon.protocol.digest import new_digest
from addon.protocol.messages import Delivered, Piece, Submit, Want
from tests.client.submission_kit import MANY, ScriptedNode, Shot, StartClient, finish
from tests.protocol.blends import scene
from tests.protocol.hostile_names import ODD, REFUSED

CONTENT = b"a frame"


@pytest.fixture
def job(node: ScriptedNode, start: StartClient, shot: Shot) -> str:
    """A job that the node has taken, and whose frames the client waits for."""
    client = start()
    shot.save(scene(MANY))
    node.welcome()
    job = shot.render(client)
    _, _, manifest = node.is_offered()
    node.hear(Submit)
    finish(node, job, manifest, list(range(len(manifest.chunks))))
    return job


def fields(job: str, /, **more: Any) -> dict[str, Any]:
    digest = new_digest()
    digest.update(CONTENT)
    return {
        "output": "1", "job": job, "frame": 1, "directory": "", "name": "shot_001.png", "size": len(CONTENT),
        "digest": digest.hexdigest(),
    } | more  # fmt: skip


def bring(node: ScriptedNode, *outputs: dict[str, Any]) -> None:
    """Announce outputs, each on its own, and serve them until the last has come."""
    for output in outputs:
        node.say_raw(json.dumps({"type": "announce", "outputs": [output]}).encode())
    last = Delivered(outputs[-1]["output"])
    while (message := node.any()[0]) != last:
        if isinstance(message, Want):
            node.say(Piece(message.transfer, 0), CONTENT)


def lying(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def log_of(root: Path) -> str:
    return (root / "client.log").read_text()


IDS = {name: text for name, text in REFUSED.items() if text != ".."} | {"a stream": "1:x", "spaces": "1 "}


@pytest.mark.parametrize(("field", "texts"), [("name", REFUSED), ("output", IDS), ("job", IDS)])
def test_a_frame_that_would_leave_its_folder_is_not_fetched(
    node: ScriptedNode, job: str, tmp_path: Path, field: str, texts: dict[str, str]
) -> None:
    before = lying(tmp_path / "project")
    hostile = [fields(job, **{"output": f"bad-{number}", field: text}) for number, text in enumerate(texts.values())]
    bring(node, *hostile, fields(job))
    assert lying(tmp_path / "project") - before == {"frames/shot_001.png"}
    said = [line for line in log_of(tmp_path).splitlines() if "WARNING" in line]
    assert len(said) == len(hostile) and all(map(str.isprintable, said)), said


def test_frames_with_odd_names_lie_in_their_folder(node: ScriptedNode, job: str, tmp_path: Path) -> None:
    before = lying(tmp_path / "project")
    for number, name in enumerate(ODD.values()):
        bring(node, fields(job, output=f"{number}", name=name))
    assert lying(tmp_path / "project") - before == {f"frames/{name}" for name in ODD.values()}


def test_a_folder_that_nobody_declared_is_one_within_the_jobs_own(node: ScriptedNode, job: str, tmp_path: Path) -> None:
    for number, directory in enumerate([*REFUSED.values(), *ODD.values(), "//../../", "~/.ssh/"]):
        before = lying(tmp_path / "project")
        bring(node, fields(job, output=f"{number}", name=f"shot_{number}.png", directory=directory))
        (new,) = lying(tmp_path / "project") - before
        assert new.startswith("frames/") and new.endswith(f"shot_{number}.png"), directory
        assert len(Path(new).parts) == (3 if directory else 2), directory


def test_a_frame_that_arrives_damaged_is_none_and_is_fetched_again(node: ScriptedNode, job: str, shot: Shot) -> None:
    frame = shot.folder / "frames" / "shot_001.png"
    # GIVEN a frame that was announced
    node.say_raw(json.dumps({"type": "announce", "outputs": [fields(job)]}).encode())
    wanted = node.hear_after_chunks(Want)
    # WHEN other bytes come than were announced THEN they are no frame, and the right ones are asked for
    node.say(Piece("1", 0), CONTENT.swapcase())
    assert node.hear_after_chunks(Want) == wanted
    assert not frame.exists()
    node.say(Piece("1", 0), CONTENT)
    assert node.hear_after_chunks(Delivered) == Delivered("1")
    assert frame.read_bytes() == CONTENT


needs_links = pytest.mark.skipif(os.name == "nt", reason="links there need a right of their own")


@needs_links
def test_the_artists_own_link_to_a_folder_is_followed(node: ScriptedNode, job: str, shot: Shot, tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (shot.folder / "frames").symlink_to(tmp_path / "large disk")
    bring(node, fields(job))
    assert (tmp_path / "large disk" / "shot_001.png").read_bytes() == CONTENT
    assert (shot.folder / "frames").is_symlink()


@needs_links
@pytest.mark.parametrize("lies_there", [b"precious", CONTENT, None], ids=["another", "the same", "nothing"])
def test_a_link_in_a_frames_place_is_replaced_and_not_followed(
    node: ScriptedNode, job: str, shot: Shot, tmp_path: Path, lies_there: bytes | None
) -> None:
    precious = tmp_path / "precious"
    if lies_there is not None:
        precious.write_bytes(lies_there)
    frame = shot.folder / "frames" / "shot_001.png"
    frame.parent.mkdir()
    frame.symlink_to(precious)
    bring(node, fields(job))
    assert not frame.is_symlink() and frame.read_bytes() == CONTENT
    assert (precious.read_bytes() if precious.exists() else None) == lies_there


@needs_links
def test_a_link_under_the_name_of_what_is_on_its_way_is_not_written_through(
    node: ScriptedNode, job: str, shot: Shot, tmp_path: Path
) -> None:
    # GIVEN somebody who may write in the artist's folder, and knows the names there
    precious = tmp_path / "precious"
    precious.write_bytes(b"")
    folder = shot.folder / "frames"
    folder.mkdir()
    (folder / f".relay-{job[:8]}-2.part").symlink_to(precious)
    # WHEN that frame comes, and another
    bring(node, fields(job, output="2", name="shot_002.png"), fields(job))
    # THEN nothing is written through it
    assert precious.read_bytes() == b""
    assert not (folder / "shot_002.png").exists()
