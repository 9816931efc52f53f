# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a Blender without a window what a .blend uses, as the command line does."""

import os
from pathlib import Path

import pytest

from addon.client.gather import Dependency
from server.blenders import Blender
from server.cli.needs import CannotAsk, ask
from tests.conftest import RunInBlender

SCENE = """
import os, bpy
image = bpy.data.images.new("wood", 8, 8)
image.source = "FILE"
image.filepath = "//textures/wood.png"
image.use_fake_user = True
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
"""


def test_it_says_what_the_window_would(blender: Blender, run_in_blender: RunInBlender, tmp_path: Path) -> None:
    blend = tmp_path / "a film" / "sh\u00f6t 1.blend"
    blend.parent.mkdir()
    run_in_blender(blender, SCENE, BLEND=str(blend))
    found = ask(blender, blend)
    assert [(Path(os.path.normpath(each.path)), each.owner) for each in found] == [
        (blend.parent / "textures" / "wood.png", 'Image "wood"')
    ]
    assert all(isinstance(each, Dependency) for each in found)


@pytest.mark.parametrize("content", [b"", b"BLENDER17-01v0502", b"a letter"], ids=["empty", "cut short", "no .blend"])
def test_what_blender_cannot_open_uses_nobody_knows_what(any_blender: Blender, tmp_path: Path, content: bytes) -> None:
    blend = tmp_path / "shot.blend"
    blend.write_bytes(content)
    with pytest.raises(CannotAsk, match="could not open it"):
        ask(any_blender, blend)


def test_a_blender_that_is_gone_is_named(any_blender: Blender, tmp_path: Path) -> None:
    gone = Blender(any_blender.version, (str(tmp_path / "blender"),), str(tmp_path / "blender"))
    with pytest.raises(CannotAsk, match=f"Blender {any_blender.name} does not start"):
        ask(gone, tmp_path / "shot.blend")
