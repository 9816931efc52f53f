# SPDX-License-Identifier: GPL-3.0-or-later
"""A movie encoded out of frames that were rendered one by one is the movie that Blender would have written."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

DECODE = """
import json, os, bpy
scene = bpy.context.scene
editor = scene.sequence_editor_create()
strips = editor.strips if hasattr(editor, "strips") else editor.sequences
scene.view_settings.view_transform = "Standard"
settings = scene.render.image_settings
settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGBA", os.environ["DEPTH"]
for name in ("date", "time", "render_time", "filename"):
    setattr(scene.render, f"use_stamp_{name}", False)
for path, folder in json.loads(os.environ["MOVIES"]):
    strip = strips.new_movie("Movie", path, 1, 1, fit_method="ORIGINAL")
    clip = bpy.data.movieclips.load(path)
    scene.render.resolution_x, scene.render.resolution_y = clip.size
    scene.render.fps = round(clip.fps)
    scene.frame_end = strip.frame_final_duration
    scene.render.filepath = folder + "/"
    bpy.ops.render.render(animation=True)
    strips.remove(strip)
"""
"""Blender itself takes movies apart into PNGs."""

DIFFER = """
import json, os, bpy
worst = 0.0
for one, other in json.loads(os.environ["PAIRS"]):
    one, other = (bpy.data.images.load(path).pixels[:] for path in (one, other))
    worst = max(worst, max(abs(a - b) for a, b in zip(one, other)))
print("DIFFERENCE", worst)
"""


Decode = Callable[..., list[list[Path]]]


@pytest.fixture
def decoded(blender: Any, run_in_blender: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Decode:
    """The frames of movies as PNGs with `depth` bits a channel: for each movie the list of its files."""

    def decode(*movies: Path, depth: int = 8) -> list[list[Path]]:
        folders = [tmp_path_factory.mktemp("decoded") for _ in movies]
        pairs = [(str(movie), str(folder)) for movie, folder in zip(movies, folders, strict=True)]
        run_in_blender(blender, DECODE, MOVIES=json.dumps(pairs), DEPTH=str(depth))
        return [sorted(folder.iterdir()) for folder in folders]

    return decode


def contents(paths: Iterable[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def render_movie(worker: Any, frames: Sequence[int], folder: Path) -> dict[str, str]:
    """Render the frames and encode them; returns the one output there is."""
    pictures = []
    for frame in frames:
        *_, written, _ = worker.render(frame, folder / str(frame))
        pictures += [output["path"] for output in written["outputs"]]
    (folder / "movie").mkdir()
    worker.send(command="encode", frames=list(frames), pictures=pictures, folder=str(folder / "movie"))
    events = worker.until("closed")[:-1]
    assert [event["frame"] for event in events if event["event"] in {"started", "written"}] == [None, None]
    [output] = events[-1]["outputs"]
    assert [path for path in (folder / "movie").rglob("*") if path.is_file()] == [Path(output["path"])]
    return dict(output)


@pytest.mark.parametrize("name", ["movie", "movie_edit"])
def test_movie_is_what_blender_writes(
    worker: Any, scenes: Path, plain_render: Callable[..., Path], decoded: Decode, tmp_path: Path, name: str
) -> None:
    # GIVEN a scene whose output is a movie of lossless frames
    opened = worker.open(scenes / name / f"{name}.blend")
    assert opened["movie"]
    # WHEN a worker renders its frames, one out of order, and encodes them
    worker.render(7, tmp_path / "another")
    output = render_movie(worker, range(opened["frame_start"], opened["frame_end"] + 1), tmp_path)
    # THEN the movie has the name and every pixel of the one that `blender -b FILE -a` writes
    [plain] = (plain_render(name, None) / "out").iterdir()
    assert (output["directory"], output["name"]) == ("", plain.name)
    ours, theirs = decoded(Path(output["path"]), plain)
    assert len(theirs) == opened["frame_end"]
    assert contents(ours) == contents(theirs)


def test_sound_and_alpha_are_what_blender_writes(
    worker: Any, scenes: Path, plain_render: Callable[..., Path], tmp_path: Path
) -> None:
    # GIVEN a movie whose codecs lose nothing, with a sound and a transparent background
    worker.open(scenes / "movie_alpha" / "movie_alpha.blend")
    # WHEN it is rendered frame by frame
    output = render_movie(worker, range(1, 7), tmp_path)
    # THEN it is the one that Blender writes to the last byte, and both are in it
    plain = plain_render("movie_alpha", None) / "out" / "clip.mov"
    assert Path(output["path"]).read_bytes() == plain.read_bytes()
    assert b"sowt" in plain.read_bytes()  # QuickTime's name for PCM
    assert (tmp_path / "1" / "0" / "clip0001.png").read_bytes()[25] == 6  # PNG's number for RGBA


def test_more_than_eight_bits_survive(
    worker: Any, blender: Any, run_in_blender: Any, scenes: Path, plain_render: Any, decoded: Decode, tmp_path: Path
) -> None:
    if blender.version < (5,):
        pytest.skip("movies have had more than 8 bits since Blender 4.4")
    # GIVEN a movie with ten bits a channel
    worker.open(scenes / "movie_deep" / "movie_deep.blend")
    # WHEN it is rendered frame by frame
    output = render_movie(worker, range(1, 7), tmp_path)
    # THEN the frames lay in between with sixteen bits (byte 24 of a PNG), and no pixel is more than one step off
    [plain] = (plain_render("movie_deep", None) / "out").iterdir()
    assert output["name"] == plain.name
    assert (tmp_path / "1" / "0" / "0001.png").read_bytes()[24] == 16
    ours, theirs = decoded(Path(output["path"]), plain, depth=16)
    assert len(ours) == len(theirs) == 6
    pairs = [(str(one), str(other)) for one, other in zip(ours, theirs, strict=True)]
    printed = run_in_blender(blender, DIFFER, PAIRS=json.dumps(pairs)).stdout
    assert float(printed.split("DIFFERENCE ")[1].split()[0]) <= 1.5 / 1023


@pytest.mark.parametrize(
    ("frames", "name", "shown"),
    [
        ([1, 4, 7, 10], "clip0001-0012.mp4", [1, 4, 7, 10]),  # as Blender does with a frame step of 3
        ([2, 3], "clip0002-0003.mp4", [2, 3]),
        ([5], "clip0005-0005.mp4", [5]),
        ([9, 5, 6], "clip0005-0009.mp4", [5, 6, 6, 6, 9]),  # a picture stays where others are missing
    ],
)
def test_movie_of_any_frames(
    worker: Any, scenes: Path, decoded: Decode, tmp_path: Path, frames: list[int], name: str, shown: list[int]
) -> None:
    # GIVEN a scene whose output is a movie
    worker.open(scenes / "movie" / "movie.blend")
    # WHEN only some frames of it are rendered and encoded
    output = render_movie(worker, frames, tmp_path)
    # THEN it is named after their range, and shows them in order
    assert output["name"] == name
    pictures = contents(*decoded(Path(output["path"])))
    assert len(pictures) == len(shown)
    assert [picture == pictures[0] for picture in pictures] == [frame == shown[0] for frame in shown]


def test_frames_after_the_movie(worker: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN a worker that has encoded a movie
    worker.open(scenes / "movie" / "movie.blend")
    output = render_movie(worker, [1, 2], tmp_path)
    before = (tmp_path / "2" / "0" / "clip0002.png").read_bytes()
    assert Path(output["path"]).stat().st_size
    # WHEN it renders a frame again, without another "open"
    *_, written, _ = worker.render(2, tmp_path / "again")
    # THEN that is the frame, not the movie
    assert Path(written["outputs"][0]["path"]).read_bytes() == before


def test_a_stereo_movie_is_two(worker: Any, scenes: Path, plain_render: Any, decoded: Decode, tmp_path: Path) -> None:
    # GIVEN a scene that writes a movie for each eye
    worker.open(scenes / "movie_stereo" / "movie_stereo.blend")
    pictures = []
    for frame in (1, 2, 3):
        *_, written, _ = worker.render(frame, tmp_path / str(frame))
        pictures += [output["path"] for output in written["outputs"]]
    # WHEN all pictures are encoded
    (tmp_path / "movie").mkdir()
    worker.send(command="encode", frames=[1, 2, 3], pictures=pictures, folder=str(tmp_path / "movie"))
    *_, written, _ = worker.until("closed")
    outputs = written["outputs"]
    # THEN these are the movies that Blender writes
    theirs = sorted((plain_render("movie_stereo", None) / "out").iterdir())
    assert [output["name"] for output in outputs] == [path.name for path in theirs]
    left, right, *plain = decoded(*(Path(output["path"]) for output in outputs), *theirs)
    assert [contents(left), contents(right)] == [contents(movie) for movie in plain]
    assert contents(left) != contents(right)
