# SPDX-License-Identifier: GPL-3.0-or-later
"""Videos that a real ffmpeg makes."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.encoding import encode
from server.frame_files import sequences
from server.video import CODECS, CannotEncode, NoFfmpeg

NEEDS_FFMPEG = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def make_frame(path: Path, size: str, pixels: str = "rgb24") -> Path:
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "color=red:size=640x360", "-frames:v", "1", "-vf",
         f"format={pixels},scale={size.replace('x', ':')}", "-pix_fmt",
         pixels, "-y", path],
        check=True,
    )  # fmt: skip
    return path


def probe(file: Path) -> dict[str, Any]:
    asked = "stream=width,height,codec_name,profile,pix_fmt,r_frame_rate,nb_read_frames,color_space"
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", asked, "-of", "json", file],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(said.stdout)["streams"][0]
    return found


@NEEDS_FFMPEG
def test_frames_with_gaps_and_an_odd_size_become_mp4(tmp_path: Path) -> None:
    frames = [make_frame(tmp_path / f"shot_{number:03}.png", "63x35") for number in (1, 2, 7, 40)]
    done = list(encode(frames, 29.97, CODECS["h264"], tmp_path / "shot.mp4"))
    assert done[-1] == 4
    assert probe(tmp_path / "shot.mp4") == {
        "codec_name": "h264", "profile": "High", "width": 64, "height": 36, "pix_fmt": "yuv420p",
        "color_space": "bt709", "r_frame_rate": "2997/100", "nb_read_frames": "4",
    }  # fmt: skip


@NEEDS_FFMPEG
@pytest.mark.parametrize(("pixels", "made"), [("rgb24", "yuv422p10le"), ("rgba", "yuva444p")])
def test_prores_keeps_alpha_where_there_is_some(tmp_path: Path, pixels: str, made: str) -> None:
    frames = [make_frame(tmp_path / f"{number}.png", "64x36", pixels) for number in (1, 2)]
    list(encode(frames, 25, CODECS["prores"], tmp_path / "shot.mov"))
    found = probe(tmp_path / "shot.mov")
    assert (found["codec_name"], found["nb_read_frames"]) == ("prores", "2")
    assert found["pix_fmt"].startswith(made)


@NEEDS_FFMPEG
def test_openexr_gets_a_curve(tmp_path: Path) -> None:
    frames = [make_frame(tmp_path / f"{number}.exr", "64x36", "gbrpf32le") for number in (1, 2, 3)]
    list(encode(frames, 24, CODECS["h264"], tmp_path / "shot.mp4"))
    assert probe(tmp_path / "shot.mp4")["nb_read_frames"] == "3"


@NEEDS_FFMPEG
def test_what_ffmpeg_cannot_read_leaves_nothing_but_its_words(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_text("milk")
    with pytest.raises(CannotEncode, match="ffmpeg could not make the video"):
        list(encode([tmp_path / "1.png"], 24, CODECS["h264"], tmp_path / "shot.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == ["1.png"]


@NEEDS_FFMPEG
def test_whoever_stops_ends_ffmpeg(tmp_path: Path) -> None:
    frame = make_frame(tmp_path / "1.png", "640x360")
    making = encode([frame] * 500, 24, CODECS["h264"], tmp_path / "shot.mp4")
    next(making)
    making.close()  # Returns when ffmpeg has ended.
    assert [path.name for path in tmp_path.iterdir()] == ["1.png"]


def test_without_ffmpeg_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoFfmpeg, match="apt install ffmpeg"):
        list(encode([], 24, CODECS["h264"], tmp_path / "shot.mp4"))


def test_the_longest_sequence_comes_first_in_the_order_of_its_numbers() -> None:
    names = ["a_10.png", "a_9.png", "a_-1.png", "b_1.png", "a_1.exr", "a_2.exr", "notes.png"]
    found = sequences(map(Path, names))
    assert [(each.name, [path.name for path in each.frames]) for each in found] == [
        ("a_#.png", ["a_-1.png", "a_9.png", "a_10.png"]),
        ("a_#.exr", ["a_1.exr", "a_2.exr"]),
        ("b_#.png", ["b_1.png"]),
    ]
