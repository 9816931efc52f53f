# SPDX-License-Identifier: GPL-3.0-or-later
"""How ffmpeg is asked for a video."""

from pathlib import Path

import pytest

from server import video
from server.video import CODECS, CannotEncode, NoFfmpeg


def test_without_ffmpeg_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoFfmpeg, match="apt install ffmpeg"):
        video.find_ffmpeg()


def test_a_video_is_made_of_what_most_frames_are() -> None:
    assert video.usable(["a_1.exr", "a_1.png", "a_2.PNG", "notes.txt"]) == ".png"
    with pytest.raises(CannotEncode):
        video.usable(["a.mp4", "notes.txt"])


def test_gaps_in_the_numbers_do_not_matter(tmp_path: Path) -> None:
    frames = [tmp_path / name for name in ("shot_0003.png", "shot_0010.png", "shot_-001.png")]
    for number, frame in enumerate(frames):
        frame.write_bytes(bytes([number]))
    pattern = video.lay_out(frames, tmp_path / "laid")
    assert [Path(pattern % number).read_bytes() for number in range(3)] == [b"\0", b"\1", b"\2"]


def test_linear_pictures_get_a_curve_and_others_none() -> None:
    exr = video.command("ffmpeg", "/f/%08d.exr", 24, CODECS["h264"], Path("/o.mp4"), alpha=False)
    png = video.command("ffmpeg", "/f/%08d.png", 29.97, CODECS["h264"], Path("/o.mp4"), alpha=True)
    assert exr.index("-apply_trc") < exr.index("-i")
    assert "-apply_trc" not in png
    assert png[png.index("-framerate") + 1] == "29.97"
    assert exr[exr.index("-framerate") + 1] == "24"
    assert png[png.index("-pix_fmt") + 1] == "yuv420p"  # Which has no alpha.
    prores = video.command("ffmpeg", "/f/%08d.png", 24, CODECS["prores"], Path("/o.mov"), alpha=True)
    assert prores[prores.index("-pix_fmt") + 1] == "yuva444p10le"


def test_progress_is_read_from_what_ffmpeg_says() -> None:
    said = ["frame=3\n", "fps=2.1\n", "frame=\n", "progress=continue\n", "frame=12\n", "progress=end\n"]
    assert list(video.progress(said)) == [3, 12]


def test_alpha_is_read_from_a_pngs_header(tmp_path: Path) -> None:
    head = b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IHDR" + bytes(8) + b"\x08"
    for kind, has in ((2, False), (6, True), (4, True), (0, False)):
        (tmp_path / "a.png").write_bytes(head + bytes([kind]))
        assert video.has_alpha(tmp_path / "a.png") is has
    assert not video.has_alpha(tmp_path / "none.png")
