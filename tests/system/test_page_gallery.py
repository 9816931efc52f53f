# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that went home to an artist's folder can be looked at on the page for a while."""

import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from server.blenders import Blender
from tests.conftest import SmallDisk
from tests.system.harness import ROOT, ClientProcess, NodeProcess, Scene, StartClient, StartNode
from tests.system.page import Browserless, Follower, guest_of

JPEG = b"\xff\xd8\xff"


@pytest.fixture
def page(node: NodeProcess) -> Browserless:
    return Browserless(node)


def test_what_an_artist_has_got_is_still_there_to_look_at(
    node: NodeProcess, page: Browserless, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a job whose frames are in the artist's folder, and no longer among what the node has to send
    job = client.render(scene(), tmp_path / "frames", "1-3")
    client.until_state(job, "done")
    assert list((node.data / "jobs").iterdir()) == []
    # THEN each of them is shown, large and small, and can be taken home once more
    home = {path.name: path.read_bytes() for path in (tmp_path / "frames").iterdir()}
    for number, (name, content) in enumerate(sorted(home.items()), 1):
        frame = f"/api/jobs/{job}/frames/{number}"
        assert page.ask("GET", f"{frame}/picture").body == content
        assert page.ask("GET", f"{frame}/picture?small").body.startswith(JPEG)
        (output,) = page.get(frame)["outputs"]
        assert output["name"] == name
        assert page.ask("GET", f"/api/outputs/{output['output']}").body == content
        # AND with what Blender said meanwhile
        assert name.encode() in page.ask("GET", f"{frame}/log").body
    zipped = zipfile.ZipFile(io.BytesIO(page.ask("GET", f"/api/jobs/{job}/zip").body))
    assert {name: zipped.read(name) for name in zipped.namelist()} == home
    # AND for nobody else
    guest, _ = guest_of(page, "Anna")
    for path in (f"/api/jobs/{job}/frames/1/picture", f"/api/jobs/{job}/frames/1/picture?small", f"/api/jobs/{job}/zip",
                 f"/api/outputs/{output['output']}"):  # fmt: skip
        assert guest.ask("GET", path).status == 404, path
    # WHEN the node is killed and comes back, THEN nothing of it is lost
    node.kill()
    node.said = ""
    node.start()
    again = Browserless(node)
    assert again.ask("GET", f"/api/jobs/{job}/frames/2/picture").body == home[sorted(home)[1]]
    # WHEN the owner wants the disk back
    held = again.get("/api/store")
    assert 0 < held["gallery"] <= held["gallery_limit"]
    shrunk = again.post("/api/store/shrink", {"to": 0})
    # THEN it is empty, and the page says what it has no picture of
    assert (shrunk["gallery"], shrunk["evicted"] >= held["gallery"]) == (0, True)
    assert again.ask("GET", f"/api/jobs/{job}/frames/2/picture").status == 404
    assert again.get(f"/api/jobs/{job}/frames/2")["outputs"] == []
    assert again.get(f"/api/jobs/{job}/frames")["states"] == "ddd"
    # AND what the artist has stays where it is
    assert {path.name: path.read_bytes() for path in (tmp_path / "frames").iterdir()} == home


def test_a_format_that_browsers_do_not_show_has_a_small_picture_for_each_frame(
    page: Browserless, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    follower = Follower(page)
    job = client.render(scene(FORMAT="OPEN_EXR"), tmp_path / "frames", "1-2")
    client.until_state(job, "done")
    follower.until("preview", job=job, frame=2)
    for number in (1, 2):
        picture = page.ask("GET", f"/api/jobs/{job}/frames/{number}/picture")
        assert (picture.status, picture.headers["content-type"]) == (200, "image/jpeg")
        assert picture.body.startswith(JPEG)
        (output,) = page.get(f"/api/jobs/{job}/frames/{number}")["outputs"]
        assert (output["shown"], output["name"].endswith(".exr")) == (False, True)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg: apt install ffmpeg")
def test_a_video_of_frames_that_are_home_lives_as_long_as_their_job(
    node: NodeProcess, page: Browserless, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    job = client.render(scene(), tmp_path / "frames", "1-2")
    client.until_state(job, "done")
    follower = Follower(page)
    video = page.post(f"/api/jobs/{job}/videos", {"codec": "h264"}, status=202)["video"]
    follower.until("video", video=video, state="done")
    # It is there after a restart, too
    node.kill()
    node.said = ""
    node.start()
    again = Browserless(node)
    (listed,) = again.get(f"/api/jobs/{job}/videos")["videos"]
    assert again.ask("GET", f"/api/videos/{listed['video']}").body[4:8] == b"ftyp"
    # And goes with the job, as the gallery does
    assert again.ask("DELETE", f"/api/jobs/{job}").status == 204
    assert again.ask("GET", f"/api/videos/{video}").status == 404
    assert list((node.data / "jobs").iterdir()) == list((node.data / "gallery").iterdir()) == []


def test_an_owner_may_want_no_gallery(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    node = start_node(any_blender, "--gallery", "0")
    client = start_client(node.address)
    client.until_connected()
    job = client.render(scene(), tmp_path / "frames", "1")
    client.until_state(job, "done")
    assert not (node.data / "gallery").exists()
    assert list((node.data / "jobs").iterdir()) == []
    assert Browserless(node).get(f"/api/jobs/{job}/frames/1")["outputs"] == []


def test_a_node_that_may_not_run_deletes_no_pictures(
    node: NodeProcess, page: Browserless, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a node with a picture
    job = client.render(scene(), tmp_path / "frames", "1")
    client.until_state(job, "done")
    # WHEN another is started over its folder, which would keep none
    command = [sys.executable, "-m", "server", "--listen", "127.0.0.1:0", "--data", str(node.data), "--gallery", "0"]
    done = subprocess.run(command, cwd=ROOT, env=node.environment, capture_output=True, text=True, check=False)
    # THEN it is refused, and the frame is there
    assert "Another node uses this data folder" in " ".join(done.stderr.split())
    (home,) = (tmp_path / "frames").iterdir()
    assert page.ask("GET", f"/api/jobs/{job}/frames/1/picture").body == home.read_bytes()


def test_the_gallery_makes_way_when_the_disk_is_needed(
    any_blender: Blender, start_node: StartNode, start_client: StartClient, scene: Scene, small_disk: SmallDisk,
    tmp_path: Path,
) -> None:  # fmt: skip
    # GIVEN a node whose gallery has taken what was free of a small disk
    disk = small_disk("40M")
    node = start_node(any_blender, "--gallery", "1GB", data=disk / "node")
    client = start_client(node.address)
    client.until_connected()
    first = client.render(scene(), tmp_path / "frames", "1")
    client.until_state(first, "done")
    node.kill()
    another = node.data / "gallery" / first / "100-0.png"
    another.write_bytes(b"x" * (shutil.disk_usage(disk).free - (3 << 19)))
    node.start()
    # WHEN another job comes, which needs that room
    client.until_connected()
    second = client.render(scene(SIZE="640x480"), tmp_path / "more", "1-4")
    # THEN it is rendered
    done = client.until_state(second, "done", "failed")
    assert done["state"] == "done", done
    assert len(list((tmp_path / "more").iterdir())) == 4
    assert not another.exists()
