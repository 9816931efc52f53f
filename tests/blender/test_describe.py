# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a Blender without a window what is in a .blend, as the command line does."""

import os
import sys
from pathlib import Path

import pytest

from addon.client.gather import Dependency
from server.blenders import Blender
from server.cli import needs
from server.cli.needs import CannotAsk, NobodyToAsk, ask, contents_of
from tests.conftest import RunInBlender

SCENE = """
import os, bpy
image = bpy.data.images.new("wood", 8, 8)
image.source = "FILE"
image.filepath = "//textures/wood.png"
image.use_fake_user = True
titles = bpy.data.scenes.new("Titles")
titles.frame_start, titles.frame_end, titles.frame_step = 3, 9, 2
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
"""


def test_it_says_what_the_window_would(blender: Blender, run_in_blender: RunInBlender, tmp_path: Path) -> None:
    blend = tmp_path / "a film" / "sh\u00f6t 1.blend"
    blend.parent.mkdir()
    run_in_blender(blender, SCENE, BLEND=str(blend))
    contents = ask(blender, blend)
    found = contents.files
    assert [(Path(os.path.normpath(each.path)), each.owner) for each in found] == [
        (blend.parent / "textures" / "wood.png", 'Image "wood"')
    ]
    assert all(isinstance(each, Dependency) for each in found)
    ranges = {each.name: (each.active, each.frame_start, each.frame_end, each.frame_step) for each in contents.scenes}
    assert ranges == {"Scene": (True, 1, 250, 1), "Titles": (False, 3, 9, 2)}


@pytest.mark.parametrize("content", [b"", b"BLENDER17-01v0502", b"a letter"], ids=["empty", "cut short", "no .blend"])
def test_what_blender_cannot_open_uses_nobody_knows_what(blender: Blender, tmp_path: Path, content: bytes) -> None:
    blend = tmp_path / "shot.blend"
    blend.write_bytes(content)
    with pytest.raises(CannotAsk, match=rf"Blender {blender.name} could not open it \(.+shot\.blend"):
        ask(blender, blend)


def test_a_blender_that_ends_at_once_has_said_nothing(tmp_path: Path) -> None:
    nothing = Blender((5, 2, 0), (sys.executable, "-c", "raise SystemExit(1)"), "none")
    with pytest.raises(CannotAsk, match=r"Blender 5\.2\.0 ended while it opened it"):
        ask(nothing, tmp_path / "shot.blend")


@pytest.mark.parametrize(
    ("blenders", "sentence", "kind"),
    [
        ([], "no Blender on this machine", NobodyToAsk),
        ([Blender((4, 2, 0), ("none",), "none")], "Blender 4.2.0, the newest on this machine, is too old", CannotAsk),
        ([Blender((5, 2, 0), ("/no/such/program",), "none")], "could not be asked about .*No such file", CannotAsk),
    ],
    ids=["none", "too old", "gone"],
)
def test_without_a_blender_for_it_there_is_a_sentence(
    blenders: list[Blender], sentence: str, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "find_blenders", lambda _: blenders)
    blend = tmp_path / "shot.blend"
    blend.write_bytes(b"BLENDER17-01v0502" + b"ENDB" + bytes(28))
    with pytest.raises(kind, match=sentence):
        contents_of(blend)
