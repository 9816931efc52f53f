# SPDX-License-Identifier: GPL-3.0-or-later
import os
import re
from pathlib import Path

import pytest

from addon.blender import folders
from addon.blender.shot import NotReady, Shot, frames_text, render_command
from addon.protocol.frame_range import parse_frames


@pytest.mark.parametrize(
    ("span", "frames"),
    [
        ((1, 48), range(1, 49)),
        ((1, 100, 2), range(1, 101, 2)),
        ((7, 7), [7]),
        ((0, 9, 4), [0, 4, 8]),
    ],
)
def test_a_scenes_range_is_read_back_by_the_protocol(span: tuple[int, ...], frames: range | list[int]) -> None:
    assert parse_frames(frames_text(*span)) == tuple(frames)


@pytest.mark.parametrize(
    ("span", "sentence"),
    [
        ((10, 1), "set its frame range"),
        ((-5, -5), "Frame -5 is before frame 0"),
        ((1, 1_000_000), "1,000,000 frames; one job may have 100,000"),
    ],
)
def test_a_range_that_cannot_be_a_job_is_refused(span: tuple[int, int], sentence: str) -> None:
    with pytest.raises(NotReady, match=sentence):
        frames_text(*span)


def test_every_command_is_a_new_job() -> None:
    shot = Shot("/p/x.blend", "Scene", "1-3", "/p/out", targets={"//passes/": "/p/passes"})
    first, second = (
        render_command(shot, trigger="save", keep_older=False, draft=True, order="sequence", split=True)
        for _ in range(2)
    )
    assert first["job"] != second["job"]
    assert re.fullmatch("[0-9a-f]{32}", first["job"])
    assert (first["title"], first["targets"]) == ("x.blend", {"//passes/": "/p/passes"})


def test_a_folder_that_can_be_created_is_no_obstacle_and_is_not_created(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deep"
    assert folders.obstacle(str(folder)) == ""
    assert not folder.parent.exists()


def test_a_folder_below_a_file_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert folders.obstacle(str(tmp_path / "file" / "out")).startswith(f"{tmp_path / 'file'} is a file")


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a folder that the system says is read-only (asked of it, since root may write everywhere)
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)
    # THEN the sentence names it
    assert folders.obstacle(str(tmp_path / "out")).startswith(f"You may not write to {tmp_path}")
