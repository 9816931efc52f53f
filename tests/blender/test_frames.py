# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's frames are Blender's frames: the same files, under the same names, to the last byte."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCENES = {
    "cycles_png": "//out/",
    "cycles_exr": "//out/",
    "workbench_png": "//out/",
    "workbench_exr": "//out/",
    "workbench_jpeg": "//out/",
    "eevee": "//out/",
    "layers": "//out/",
    "stereo": "//out/",
    "stereo_packed": "//out/",
    "stereo_exr": "//out/",
    "compositor": "//out/",
    "compositor_only": "//out/",
    "sequencer": "//out/",
    "name_folder": "//out/",
    "name_bare": "//out/take#1/",
    "name_unicode": "//Bilder für Zoë/",
    "name_stubs": "//out/",
    "name_template": "//out/",
}
"""Scenes of make_scenes.py, and the directory of their own output."""


def timeless(path: Path) -> bytes:
    """The file without the times that Cycles notes in it, and the checksums over these."""
    data = path.read_bytes()
    data = re.sub(rb"....tEXtcycles\..*?_time\0.{8}....", b"", data, flags=re.DOTALL)
    return re.sub(rb"\d\d:\d\d\.\d\d", b"00:00.00", data)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): timeless(path) for path in folder.rglob("*") if path.is_file()}


def delivered(outputs: list[dict[str, str]], own: str) -> dict[str, bytes]:
    """What lies beside the artist's .blend once every output is where the scene wants it."""
    files = {}
    for output in outputs:
        directory = (output["directory"] or own).removeprefix("//")
        files[f"{directory.rstrip('/')}/{output['name']}"] = timeless(Path(output["path"]))
    return files


@pytest.mark.parametrize("name", SCENES)
def test_frame_is_what_blender_writes(
    worker: Any, scenes: Path, plain_render: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    # GIVEN a scene, open in a worker that has rendered others before
    blend = scenes / name / f"{name}.blend"
    if not blend.exists():
        pytest.skip(f"{name} is for Blender 5")
    assert worker.open(blend)["event"] == "opened"
    # WHEN it renders frame 5 and then frame 3
    worker.render(5, tmp_path / "5")
    *_, written, _ = worker.render(3, tmp_path / "3")
    # THEN that is what `blender -b FILE -f 3` writes, and nothing lies anywhere else
    assert delivered(written["outputs"], SCENES[name]) == files_below(plain_render(name, 3))
    assert list((scenes / name).iterdir()) == [blend]
