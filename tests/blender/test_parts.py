# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame that is rendered in parts is the frame that Blender renders whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.blender.written import delivered, files_below, png_without_texts

SCENE_ITSELF = "//out/"


def pictures(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files without what Cycles notes in them, samples and times of each view layer: a merged frame has none."""
    return {name: png_without_texts(data) for name, data in files.items()}


def test_parts_make_the_picture_that_blender_makes(
    worker: Any, scenes: Path, plain_render: Callable[..., Path], tmp_path: Path
) -> None:
    # GIVEN a scene with a compositor and a File Output node
    blend = scenes / "worth_a_draft" / "worth_a_draft.blend"
    worker.open(blend)
    # WHEN a frame is rendered in parts, a draft first, and put together
    events = worker.parts(3, 5, tmp_path / "3")
    # THEN it is told like any frame
    told = [event["event"] for event in events if event["event"] != "progress"]
    assert told == ["preview", *["started", "written"] * 6, "preview"]
    # AND what is written is what Blender writes, under the same names
    written = [event for event in events if event["event"] == "written"][-1]
    plain = pictures(files_below(plain_render("worth_a_draft", 3)))
    assert pictures(delivered(written["outputs"], SCENE_ITSELF)) == plain
    # AND the scene is as it was: rendered whole it gives the same again
    whole = worker.render(3, tmp_path / "whole")
    written = next(event for event in whole if event["event"] == "written")
    assert delivered(written["outputs"], SCENE_ITSELF) == files_below(plain_render("worth_a_draft", 3))


def test_parts_have_every_layer_and_pass_to_the_last_bit(
    worker: Any, scenes: Path, plain_render: Callable[..., Path], tmp_path: Path
) -> None:
    worker.open(scenes / "split_layers" / "split_layers.blend")
    events = worker.parts(2, 4, tmp_path / "2")
    written = [event for event in events if event["event"] == "written"][-1]
    (whole,) = (plain_render("split_layers", 2) / "out").iterdir()
    merged = Path(written["outputs"][0]["path"])
    assert merged.name == whole.name
    pixels = whole.stat().st_size * 49 // 50  # What is not compressed; the headers differ, by what Cycles notes there.
    assert merged.read_bytes()[-pixels:] == whole.read_bytes()[-pixels:]


def test_a_part_that_cannot_be_read_fails_the_frame_and_no_other(worker: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN one part that is none
    worker.open(scenes / "cycles_png" / "cycles_png.blend")
    (part := tmp_path / "part.exr").write_bytes(b"no picture")
    (folder := tmp_path / "merge").mkdir()
    # WHEN a frame is to be made of it
    worker.send(command="merge", frame=1, pictures=[str(part)], folder=str(folder))
    events = worker.until("closed")
    # THEN it fails, but might not be so on a second try, and the next frame is rendered as ever
    failed = next(event for event in events if event["event"] == "failed")
    assert not failed["fatal"]
    assert "written" not in [event["event"] for event in events]
    assert "written" in [event["event"] for event in worker.render(1, tmp_path / "1")]


def test_what_cannot_be_split_is_not_rendered_and_says_why(worker: Any, scenes: Path, tmp_path: Path) -> None:
    worker.open(scenes / "workbench_png" / "workbench_png.blend")
    (event,) = worker.parts(1, 1, tmp_path / "1")
    assert event["event"] == "whole"
    assert "only Cycles" in event["reason"]
