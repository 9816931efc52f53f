# SPDX-License-Identifier: GPL-3.0-or-later
"""The small JPEG after each frame looks like the frame."""

from pathlib import Path
from typing import Any

import pytest


def test_previews_look_like_their_frames(worker: Any, scenes: Path, tmp_path: Path, looks: Any) -> None:
    # GIVEN one scene, 400x300, whose frames are PNG, 16-bit PNG, EXR and multilayer EXR
    names = ["preview_png", "preview_png16", "preview_exr", "preview_layers"]
    previews = []
    for name in names:
        worker.open(scenes / name / f"{name}.blend")
        # WHEN each renders a frame
        *_, written, preview = worker.render(1, tmp_path / name)
        # THEN a JPEG of at most 320 pixels comes after it
        assert (written["event"], preview["event"]) == ("written", "preview")
        assert (preview["width"], preview["height"]) == (320, 240)
        previews.append(Path(preview["path"]))
        assert previews[-1].read_bytes()[:3] == b"\xff\xd8\xff"
        picture = Path(written["outputs"][0]["path"])
    # AND all show what the PNG shows: the EXRs through the scene's view transform and exposure, the PNGs as they are
    reference = tmp_path / "preview_png" / "0" / "f_0001.png"
    assert picture.suffix == ".exr"
    (_, wanted), *seen = looks([reference, *previews])
    for size, mean in seen:
        assert size == [320, 240]
        assert mean == pytest.approx(wanted, abs=0.01)


def test_previews_of_both_eyes_in_one_file(worker: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN a scene with both views in one EXR
    worker.open(scenes / "stereo_exr" / "stereo_exr.blend")
    # WHEN a frame renders THEN the preview is a JPEG too
    preview = worker.render(1, tmp_path / "1")[-1]
    assert (preview["width"], preview["height"]) == (64, 36)
    assert Path(preview["path"]).read_bytes()[:3] == b"\xff\xd8\xff"


def test_previews_of_both_eyes_side_by_side(worker: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN a scene that packs both views into one picture, side by side
    worker.open(scenes / "stereo_packed" / "stereo_packed.blend")
    # WHEN a frame renders THEN the preview is that picture
    preview = worker.render(1, tmp_path / "1")[-1]
    assert (preview["width"], preview["height"]) == (128, 36)
