# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hostile program leaves in its folder for the node to take over."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.executors.takeover import NotTaken, take, take_bytes

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no sandbox, and lets few make such links")
SECRET = b"the owner's key"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the program writes; beside it is what it must not have."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "key").write_bytes(SECRET)
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def a_link(folder: Path) -> str:
    (folder / "0.png").symlink_to(folder.parent / "keys" / "key")
    return str(folder / "0.png")


def a_link_to_a_folder(folder: Path) -> str:
    (folder / "deep").symlink_to(folder.parent / "keys")
    return str(folder / "deep" / "key")


def a_path_elsewhere(folder: Path) -> str:
    return str(folder.parent / "keys" / "key")


def a_path_that_climbs(folder: Path) -> str:
    return f"{folder}/../keys/key"


def a_pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return str(folder / "pipe")


def a_socket(folder: Path) -> str:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(folder)  # A socket's path may have some 100 bytes.
        try:
            made.bind("socket")
        finally:
            os.chdir(here)
    return str(folder / "socket")


def a_folder(folder: Path) -> str:
    (folder / "0.png").mkdir()
    return str(folder / "0.png")


def the_folder_itself(folder: Path) -> str:
    return str(folder)


@POSIX
@pytest.mark.parametrize(
    "trick",
    [
        a_link,
        a_link_to_a_folder,
        a_path_elsewhere,
        a_path_that_climbs,
        a_pipe,
        a_socket,
        a_folder,
        the_folder_itself,
    ],
)
def test_nothing_is_taken_that_is_no_file_of_the_folder(trick: Callable[[Path], str], folder: Path) -> None:
    # GIVEN a path that leads elsewhere, or to what is no file
    path = trick(folder)
    # WHEN it is taken over THEN it is not, and the node has no such file
    target = folder.parent / "taken"
    with pytest.raises((NotTaken, OSError)):
        take(path, folder, target)
    assert not os.path.lexists(target)
    with pytest.raises((NotTaken, OSError)):
        take_bytes(path, folder, 1000)


def test_a_file_in_a_folder_of_the_folder_is_taken(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "0.png").write_bytes(b"picture")
    take(str(folder / "deep" / "0.png"), folder, folder.parent / "taken")
    assert (folder.parent / "taken").read_bytes() == b"picture"
    assert take_bytes(str(folder / "deep" / "0.png"), folder, 7) == b"picture"


def test_a_preview_that_would_fill_the_memory_is_not_read(folder: Path) -> None:
    (folder / "preview.jpg").write_bytes(bytes(8))
    with pytest.raises(NotTaken, match="too large"):
        take_bytes(str(folder / "preview.jpg"), folder, 7)
