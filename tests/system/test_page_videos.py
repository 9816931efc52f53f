# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that were rendered for somebody with only a browser go home as a video."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.blenders import Blender
from tests.conftest import RunInBlender
from tests.system.harness import NodeProcess, Scene
from tests.system.page import Browserless, Follower

pytestmark = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffmpeg: apt install ffmpeg")


@pytest.fixture
def page(node: NodeProcess) -> Browserless:
    return Browserless(node)


def probed(path: Path) -> dict[str, Any]:
    """What ffprobe says of the video, with its frames counted."""
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", path],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    stream: dict[str, Any] = json.loads(said)["streams"][0]
    return stream


def made(page: Browserless, job: str, **wanted: object) -> dict[str, Any]:
    follower = Follower(page)
    video = page.post(f"/api/jobs/{job}/videos", wanted, status=202)
    done: dict[str, Any] = follower.until("video", video=video["video"], state="done")
    return done


def test_a_video_comes_of_frames_with_gaps(page: Browserless, scene: Scene, tmp_path: Path) -> None:
    # GIVEN three frames, not one after the other, of an odd size
    job = page.submit(page.upload({"shot.blend": scene(SIZE="95x63")}), frames="1-3,9")["job"]
    assert page.until_over(job)["fps"] == 24
    # WHEN a video is made of them
    video = made(page, job, codec="h264")
    # THEN it has all of them, at the scene's rate
    answer = page.ask("GET", f"/api/videos/{video['video']}")
    assert (answer.status, answer.headers["content-type"]) == (200, "video/mp4")
    assert 'filename="shot.mp4"' in answer.headers["content-disposition"]
    path = tmp_path / "shot.mp4"
    path.write_bytes(answer.body)
    stream = probed(path)
    assert (stream["codec_name"], stream["nb_read_frames"], stream["r_frame_rate"]) == ("h264", "4", "24/1")
    assert (stream["pix_fmt"], stream["width"], stream["height"]) == ("yuv420p", 96, 64)
    assert stream["color_space"] == "bt709"
    # AND it is still known after the page is opened anew, with another at another rate
    other = made(page, job, codec="h264", fps=12.5)
    listed = page.get(f"/api/jobs/{job}/videos")["videos"]
    assert {each["video"]: each["fps"] for each in listed} == {video["video"]: 24.0, other["video"]: 12.5}
    # AND goes when it is deleted, or its job
    assert page.ask("DELETE", f"/api/videos/{other['video']}").status == 204
    assert page.ask("GET", f"/api/videos/{other['video']}").status == 404
    assert page.ask("DELETE", f"/api/jobs/{job}").status == 204
    assert page.ask("GET", f"/api/videos/{video['video']}").status == 404


CLEAR = """
import os, bpy
scene = bpy.context.scene
scene.render.engine = "BLENDER_WORKBENCH"
scene.render.film_transparent = True
scene.render.image_settings.color_mode = "RGBA"
scene.render.image_settings.file_format = os.environ["FORMAT"]
scene.render.resolution_x, scene.render.resolution_y, scene.frame_end = 64, 36, 2
scene.render.filepath = "//frames/shot_###"
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
"""


@pytest.mark.parametrize(("file_format", "pixels"), [("PNG", "yuva444p"), ("OPEN_EXR", "yuv422p10le")])
def test_prores_keeps_alpha_where_it_is_known(
    page: Browserless, any_blender: Blender, run_in_blender: RunInBlender, tmp_path: Path, file_format: str, pixels: str
) -> None:
    blend = tmp_path / "clear.blend"
    run_in_blender(any_blender, CLEAR, BLEND=str(blend), FORMAT=file_format)
    job = page.submit(page.upload({"clear.blend": blend}), frames="1-2")["job"]
    assert page.until_over(job)["state"] == "done"
    video = made(page, job, codec="prores")
    path = tmp_path / "clear.mov"
    path.write_bytes(page.ask("GET", f"/api/videos/{video['video']}").body)
    stream = probed(path)
    assert (stream["codec_name"], stream["nb_read_frames"]) == ("prores", "2")
    assert stream["pix_fmt"].startswith(pixels)
    assert bool(video["text"]) == (file_format == "OPEN_EXR")


def test_what_cannot_be_made_gets_a_sentence(page: Browserless, scene: Scene) -> None:
    job = page.submit(page.upload({"shot.blend": scene()}))["job"]
    assert page.until_over(job)["state"] == "done"
    for wanted in ({"codec": "gif"}, {"codec": "h264", "fps": 0.001}, {"codec": "h264", "fps": 1e9}, {}):
        refused = page.ask("POST", f"/api/jobs/{job}/videos", wanted)
        assert (refused.status, bool(refused.json["error"])) == (422, True), wanted
    for name in (f"{job}-h264-24.mp4", "x", f"{job}-..-24.mp4", f"{'0' * 32}-h264-24.mp4"):
        assert page.ask("GET", f"/api/videos/{name}").status == 404
