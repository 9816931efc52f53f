# SPDX-License-Identifier: GPL-3.0-or-later
import os
from pathlib import Path

import pytest

from addon.client.gather import Dependency, Gathered, Kind, gather, is_frame, tile_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names(found: Gathered, folder: Path) -> list[str]:
    return [os.path.relpath(each.path, folder) for each in found.files]


def test_a_file_is_found_or_missing_by_its_owner(folder: Path) -> None:
    make(folder, "wood.png")
    found = gather(
        [Dependency(str(folder / "wood.png"), 'Image "wood"'), Dependency(str(folder / "lost.png"), 'Image "lost"')]
    )
    assert [(each.path, each.owner) for each in found.files] == [(folder / "wood.png", 'Image "wood"')]
    assert [(each.path, each.owner, each.reason) for each in found.missing] == [
        (folder / "lost.png", 'Image "lost"', "is not there")
    ]


def test_each_file_is_named_once_in_the_order_of_the_scene(folder: Path) -> None:
    make(folder, "b.png", "a.png", "sub/c.png")
    paths = ["b.png", "a.png", "sub/../b.png", "sub/c.png", "a.png", "lost", "sub/../lost"]
    found = gather(Dependency(str(folder / path), f"{number}") for number, path in enumerate(paths))
    assert names(found, folder) == ["b.png", "a.png", "sub/c.png"]
    assert [each.owner for each in found.files] == ["0", "1", "3"]
    assert [each.owner for each in found.missing] == ["5"]


def test_a_sequence_is_every_frame_beside_it(folder: Path) -> None:
    make(
        folder, "v2_0001.png", "v2_0010.png", "v2_12345.png", "v2_-0001.png", "v2_001.png", "v2_00001.png",
        "v2_0001.jpg", "v3_0001.png", "v2_0001_old.png", "v2_\u0661\u0661\u0661\u0661.png",
    )  # fmt: skip
    found = gather([Dependency(str(folder / "v2_0002.png"), "o", Kind.SEQUENCE)])
    assert names(found, folder) == ["v2_-0001.png", "v2_0001.png", "v2_0010.png", "v2_12345.png"]
    assert found.missing == []


@pytest.mark.parametrize(
    ("first", "name", "same"),
    [
        ("a.png", "a.png", True),
        ("a.png", "b.png", False),
        ("0001", "0002", True),
        ("a1b2c.exr", "a1b3c.exr", True),
        ("a1b2c.exr", "a2b2c.exr", False),
        ("a.1.exr", "a.2.exr", True),
        ("a+1.exr", "aa1.exr", False),
    ],
)
def test_frames_differ_in_the_last_number_alone(first: str, name: str, same: bool) -> None:
    assert is_frame(first, name) is same


def test_a_sequence_without_frames_is_missing(folder: Path) -> None:
    found = gather([Dependency(str(folder / "none" / "a_001.png"), "o", Kind.SEQUENCE)])
    assert [each.path for each in found.missing] == [folder / "none" / "a_001.png"]


def test_tiles_are_those_the_image_has(folder: Path) -> None:
    make(folder, "skin.1001.png", "skin.1003.png", "skin.1011.png")
    found = gather([Dependency(str(folder / "skin.<UDIM>.png"), "o", Kind.UDIM, tiles=(1001, 1002, 1011))])
    assert names(found, folder) == ["skin.1001.png", "skin.1011.png"]
    assert [each.path.name for each in found.missing] == ["skin.1002.png"]


def test_tiles_can_be_counted_by_row_and_column() -> None:
    tiles = [tile_path("s_<UVTILE>", tile) for tile in (1001, 1010, 1011, 1025)]
    assert tiles == ["s_u1_v1", "s_u10_v1", "s_u1_v2", "s_u5_v3"]


def test_a_prefix_is_every_name_that_begins_so(folder: Path) -> None:
    make(folder, "cape_000001_00.bphys", "cape_000002_00.bphys", "cape2_000001_00.bphys")
    found = gather([Dependency(str(folder / "cape_"), "o", Kind.PREFIX)])
    assert names(found, folder) == ["cape_000001_00.bphys", "cape_000002_00.bphys"]


def test_a_folder_is_everything_below_it(folder: Path) -> None:
    # GIVEN a bake with a folder on another disk, and a link that leads back
    make(folder, "bake/meta/1.json", "bake/blobs/1.blob", "fast/2.blob")
    (folder / "bake" / "fast").symlink_to(folder / "fast")
    (folder / "bake" / "again").symlink_to(folder / "fast")
    (folder / "bake" / "meta" / "up").symlink_to(folder / "bake")
    # WHEN it is gathered THEN each file is found by every way to it but the endless ones
    found = gather([Dependency(str(folder / "bake"), "o", Kind.FOLDER)])
    assert names(found, folder) == ["bake/again/2.blob", "bake/blobs/1.blob", "bake/fast/2.blob", "bake/meta/1.json"]


@pytest.mark.parametrize("kind", [Kind.FOLDER, Kind.PREFIX, Kind.SEQUENCE, Kind.FILE])
def test_what_was_perhaps_never_written_is_not_missed(folder: Path, kind: Kind) -> None:
    path = str(folder / "never" / "baked1")
    assert gather([Dependency(path, "o", kind, required=False)]) == Gathered([], [])
    assert [str(each.path) for each in gather([Dependency(path, "o", kind)]).missing] == [path]


def test_an_empty_folder_lacks_nothing(folder: Path) -> None:
    assert gather([Dependency(str(folder), "o", Kind.FOLDER)]) == Gathered([], [])


def test_a_path_is_looked_up_as_blender_does_it(folder: Path) -> None:
    # GIVEN a project reached by a link: above it lies what the link leads to
    make(folder, "disk/project/x", "disk/wood.png")
    (folder / "home").mkdir()
    (folder / "home" / "project").symlink_to(folder / "disk" / "project")
    # WHEN a path climbs out of it THEN the system decides what that is, and the spelling stays
    path = folder / "home" / "project" / ".." / "wood.png"
    assert [each.path for each in gather([Dependency(str(path), "o")]).files] == [path]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sub", "is not a file"),
        ("pipe", "is not a file"),
        ("a\nb.png", "has a name that cannot be sent"),
        ("wood.png/x", "is not there"),
        ("loop", "cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_what_cannot_be_sent_is_missing_with_the_reason(folder: Path, name: str, reason: str) -> None:
    make(folder, "wood.png", "a\nb.png", "sub/x")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    assert [each.reason for each in gather([Dependency(str(folder / name), "o")]).missing] == [reason]


def test_a_file_that_may_not_be_read_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a file that the system says is not readable (asked of it, since root may read everything)
    make(folder, "wood.png")
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    found = gather([Dependency(str(folder / "wood.png"), "o")])
    assert [each.reason for each in found.missing] == ["cannot be read (permission denied)"]
