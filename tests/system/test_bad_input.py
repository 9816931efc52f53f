# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist is told when something is wrong, and that nothing is lost by it."""

import re
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from server.blenders import Blender
from server.cli.exits import Exit
from server.pictures import verify
from tests.conftest import SmallDisk
from tests.system.harness import (
    ClientProcess,
    NodeProcess,
    Scene,
    StartClient,
    StartNode,
    cli,
    evict_all,
    free_port,
    plain,
)

Spoil = Callable[[Path, Path], str]


def check_whole(folder: Path, count: int) -> None:
    assert len(list(folder.iterdir())) == count
    for path in folder.iterdir():
        verify(path)


def no_blend(path: Path, _: Path) -> str:
    path.write_text("This is a shopping list.\n")
    return "not a .blend"


def empty(path: Path, _: Path) -> str:
    path.touch()
    return "is empty"


def truncated(path: Path, good: Path) -> str:
    path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    return "cut short"


def truncated_plain(path: Path, _: Path) -> str:
    """Not compressed, as Blender 4 saves: a block that promises more than there is."""
    path.write_bytes(b"BLENDER-v403" + b"DATA" + (10**6).to_bytes(4, "little") + bytes(16 + 1000))
    return "cut short"


def from_the_future(path: Path, _: Path) -> str:
    path.write_bytes(b"BLENDER17-01v0999" + b"ENDB" + bytes(28))
    return "This file is from Blender 9.99"


@pytest.mark.parametrize("spoil", [no_blend, empty, truncated, truncated_plain, from_the_future])
def test_files_that_cannot_be_rendered_get_a_sentence(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path, spoil: Spoil
) -> None:
    good, bad = scene(), tmp_path / "bad.blend"
    sentence = spoil(bad, good)
    # WHEN the bad file is sent, and then a good one
    job = client.render(bad, tmp_path / "out", "1")
    failed = client.until_state(job, "failed", "done")
    # THEN the first says why in a sentence
    assert failed["state"] == "failed"
    assert sentence in failed["text"]
    assert failed["text"].endswith(".")
    # AND the second is rendered as if nothing had been
    client.until_state(client.render(good, tmp_path / "out", "1"), "done")
    # AND nothing on the node needs the bad one
    client.close()
    assert evict_all(node) == []


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [("", "No frames to render"), ("5-1", "write 1-5"), ("1-1000000", "a job may have 100,000"), ("all", "like 1-48")],
)
def test_frames_that_make_no_sense_get_a_sentence(
    start_client: StartClient, tmp_path: Path, frames: str, sentence: str
) -> None:
    client = start_client("")
    job = client.render(tmp_path / "shot.blend", tmp_path, frames)
    told = client.until(lambda line: line["event"] == "problem")
    assert told["job"] == job
    assert sentence in told["text"]


def test_names_with_spaces_unicode_and_dots_come_back_as_they_are(
    client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    folder = tmp_path / "mein Projekt (neu) 日本.."
    folder.mkdir()
    blend = folder / "schöne ..Aussicht 1.blend"
    shutil.copy(scene(), blend)
    job = client.render(blend, folder / "Bilder ä", "2")
    done = client.until_state(job, "done", "failed")
    assert done["state"] == "done", done["text"]
    assert [path.name for path in (folder / "Bilder ä").iterdir()] == ["shot_002.png"]


def test_a_pattern_that_climbs_out_of_its_folder_stays_inside(
    client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    blend = scene(PATTERN="//../../../../escaped/../x_##")
    job = client.render(blend, tmp_path / "out", "1")
    done = client.until_state(job, "done", "failed")
    assert done["state"] == "done", done["text"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x_01.png"]


def test_a_missing_camera_fails_the_job_at_once(client: ClientProcess, scene: Scene, tmp_path: Path) -> None:
    job = client.render(scene(NO_CAMERA="1"), tmp_path / "out", "1-12")
    failed = client.until_state(job, "failed", "done")
    assert failed["state"] == "failed"
    assert "camera" in failed["text"].lower()


def test_a_full_disk_on_the_node_waits_for_room(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, tmp_path: Path,
    small_disk: SmallDisk,
) -> None:  # fmt: skip
    # GIVEN a node whose disk is smaller than the file
    blend = scene(BULK="3072")
    node = start_node(any_blender, data=small_disk("6M") / "node")
    client = start_client(node.address)
    job = client.render(blend, tmp_path / "out", "1-2")
    # THEN the artist is told so
    told = client.until(lambda line: line["event"] == "job" and "disk is full" in line["text"])
    assert re.search(r"\d+ MB free, \d+ MB needed", told["text"])
    assert told["state"] == "waiting"
    # WHEN there is room
    small_disk("200M")
    # THEN the job goes on by itself
    client.until_state(job, "done")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_on_a_full_disk_what_no_job_needs_makes_room(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, tmp_path: Path,
    small_disk: SmallDisk,
) -> None:  # fmt: skip
    # GIVEN a node whose disk has room for one large file, and that has rendered one
    disk = small_disk("14M")
    node = start_node(any_blender, data=disk / "node")
    client = start_client(node.address)
    client.until_state(client.render(scene(BULK="2304"), tmp_path / "out", "1"), "done")
    used = shutil.disk_usage(disk).used
    # WHEN another comes
    other = shutil.copy(scene(BULK="2305"), tmp_path / "other.blend")
    assert shutil.disk_usage(disk).free < Path(other).stat().st_size < used
    client.until_state(client.render(Path(other), tmp_path / "out", "2"), "done")
    # THEN it is rendered, without a word about the disk
    assert not [line for line in client.seen if "disk is full" in str(line.get("text"))]


def test_a_disk_that_fills_while_frames_render_holds_the_job_up_until_there_is_room(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, tmp_path: Path,
    small_disk: SmallDisk,
) -> None:  # fmt: skip
    # GIVEN a job that is being rendered
    disk = small_disk("16M")
    node = start_node(any_blender, data=disk / "node")
    client = start_client(node.address)
    job = client.render(scene(SAMPLES="256"), tmp_path / "out", "1-12")
    client.until(lambda line: line["event"] == "delivered")
    # WHEN the node's disk fills up
    with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    # THEN no frame fails: the job waits, and the artist reads why
    waits = "The node's disk is full: it goes on by itself when there is room."
    told = client.until(lambda line: line["event"] == "job" and line["text"] == waits)
    assert (told["state"], told["failed"]) == ("queued", 0)
    # AND a node that is killed and started on the full disk still knows the job
    node.kill()
    node.start()
    client.until(lambda line: line["event"] == "job" and line["text"] == waits)
    # AND with room it goes on by itself, with what is missing
    (disk / "ballast").unlink()
    done = client.until_state(job, "done", "failed")
    assert done["state"] == "done", done["text"]
    check_whole(tmp_path / "out", 12)


def test_a_full_disk_at_the_artist_leaves_the_frames_on_the_node(
    client: ClientProcess, scene: Scene, small_disk: SmallDisk
) -> None:
    # GIVEN an output folder on a disk that holds less than one frame
    folder = small_disk("16k") / "frames"
    job = client.render(scene(SAMPLES="1"), folder, "1-5")
    # THEN the artist is told, and no broken file has a frame's name
    told = client.until(lambda line: line["event"] == "job" and "No space left" in line["text"])
    assert "The frames wait on the node" in told["text"]
    for path in folder.glob("shot_*.png"):
        verify(path)
    # WHEN there is room, THEN all come
    small_disk("8M")
    client.until_state(job, "done")
    check_whole(folder, 5)


def test_an_existing_frame_is_replaced_only_by_a_complete_one(
    client: ClientProcess, scene: Scene, small_disk: SmallDisk
) -> None:
    # GIVEN an older frame in a folder that has no room for the new one
    folder = small_disk("8k")
    (folder / "shot_001.png").write_bytes(b"an older frame")
    job = client.render(scene(), folder, "1")
    client.until(lambda line: line["event"] == "job" and "No space left" in line["text"])
    # THEN the older one stays, until there is room for the whole new one
    assert (folder / "shot_001.png").read_bytes() == b"an older frame"
    small_disk("8M")
    client.until_state(job, "done")
    check_whole(folder, 1)


def test_a_folder_that_cannot_be_written_holds_up_no_other(client: ClientProcess, scene: Scene, tmp_path: Path) -> None:
    # GIVEN more frames than are fetched at once, for a folder that is a file
    (tmp_path / "taken").write_text("not a folder")
    bad = client.render(scene(), tmp_path / "taken", "1-8")
    client.until(lambda line: line["event"] == "job" and "The frames wait on the node" in line["text"])
    # WHEN another job is rendered, THEN its frames come
    client.until_state(client.render(scene(), tmp_path / "free", "1-3"), "done")
    check_whole(tmp_path / "free", 3)
    # AND the first one's come as soon as they can
    (tmp_path / "taken").unlink()
    client.until_state(bad, "done")
    check_whole(tmp_path / "taken", 8)


def test_an_address_where_nobody_is_gets_a_sentence(start_client: StartClient) -> None:
    client = start_client(f"127.0.0.1:{free_port()}")
    lost = client.until(lambda line: line["event"] == "connection" and line["state"] == "lost")
    assert "start the node there" in lost["text"]
    client.send(command="configure", address="no such host")
    refused = client.until(lambda line: line["event"] == "connection" and line["state"] == "refused")
    assert "is not an address" in refused["text"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client.send(command="configure", address=f"127.0.0.1:{silent.getsockname()[1]}")
        lost = client.until(lambda line: line["event"] == "connection" and line["state"] == "lost")
        assert "Something else than a Relay Render node" in lost["text"]


def test_a_job_ordered_before_there_is_a_node_is_rendered_when_there_is(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    client = start_client("")
    job = client.render(scene(), tmp_path / "out", "1")
    assert client.until_state(job, "waiting")["text"] == "Waits for the node."
    client.send(command="configure", address=start_node(any_blender).address)
    client.until_state(job, "done")


def test_the_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    missing = cli("submit", tmp_path / "none.blend", data=tmp_path)
    assert missing.returncode == Exit.FILES_MISSING
    assert "cannot be read: No such file or directory" in plain(missing.stderr)
    (tmp_path / "list.blend").write_text("milk")
    assert "not a .blend" in plain(cli("submit", tmp_path / "list.blend", data=tmp_path).stderr)
    unreachable = cli("status", "--to", f"127.0.0.1:{free_port()}", data=tmp_path)
    assert unreachable.returncode == Exit.UNREACHABLE
    assert "Nothing listens on" in plain(unreachable.stderr)


def test_two_nodes_on_one_port_say_so(node: NodeProcess, tmp_path: Path) -> None:
    second = cli("--listen", node.address, "--data", tmp_path / "other", data=tmp_path)
    assert second.returncode == 1
    assert "Choose another with --listen" in plain(second.stderr)
