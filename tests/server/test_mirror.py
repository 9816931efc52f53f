# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's translation of paths. No Blender runs here."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.blender_scripts.relay_worker.mirror import Mirror

TREE = "/node/jobs/7/tree"
LINUX = Mirror(TREE, ["/home/ada/film", "/mnt/library", "/home/ada/film/cache"])
WINDOWS = Mirror(TREE, ["C:/Film", "//nas/share", "D:"])


@pytest.mark.parametrize(
    ("stored", "place"),
    [
        ("/home/ada/film/textures/wood.png", "0/textures/wood.png"),
        ("//../textures/wood.png", "0/textures/wood.png"),
        ("//..\\textures\\wood.png", "0/textures/wood.png"),
        ("//../../../../mnt/library/wood.png", "1/wood.png"),
        ("/home/ada/film/cache/smoke/data", "2/smoke/data"),
        ("/home/ada/film", "0/"),
        ("wood.png", "0/shots/wood.png"),
        ("/home/ada/film2/wood.png", "outside/wood.png"),
        ("/home/ada/film/../secret.png", "outside/secret.png"),
        ("/home/ada/film/..\\..\\..\\secret.png", "0/.._.._.._secret.png"),
        ("//../../../../../../../etc/passwd", "outside/passwd"),
        ("/etc/passwd", "outside/passwd"),
        ("/", "outside/"),
    ],
)
def test_a_path_of_linux_or_macos_finds_its_place(stored: str, place: str) -> None:
    assert LINUX.node_path(LINUX.resolved(stored, "/home/ada/film/shots")) == f"{TREE}/{place}"


@pytest.mark.parametrize(
    ("stored", "place"),
    [
        (r"C:\Film\textures\wood.png", "0/textures/wood.png"),
        (r"c:/film\Textures/wood.png", "0/Textures/wood.png"),
        (r"//..\textures\wood.png", "0/textures/wood.png"),
        ("\\\\NAS\\share\\sky.exr", "1/sky.exr"),
        (r"D:\metal.png", "2/metal.png"),
        ("\\Film\\wood.png", "0/wood.png"),
        (r"C:\Films\wood.png", "outside/wood.png"),
        (r"//..\..\..\secret.png", "outside/secret.png"),
        ("\\\\nas\\other\\sky.exr", "outside/sky.exr"),
        ("/etc/passwd", "outside/passwd"),
    ],
)
def test_a_path_of_windows_finds_its_place(stored: str, place: str) -> None:
    assert WINDOWS.node_path(WINDOWS.resolved(stored, "C:/Film/shots")) == f"{TREE}/{place}"


def test_a_whole_disk_can_be_a_root() -> None:
    mirror = Mirror(TREE, ["/"])
    assert mirror.node_path("/mnt/wood.png") == f"{TREE}/0/mnt/wood.png"
    assert mirror.artist_path(f"{TREE}/0/mnt") == "/mnt"


def test_the_tree_itself_can_be_on_windows() -> None:
    mirror = Mirror("C:\\node\\7", ["/home/ada"])
    assert mirror.node_path("/home/ada/wood.png") == "C:/node/7/0/wood.png"
    assert mirror.contains("C:\\node\\7\\0\\wood.png")
    assert mirror.artist_path("C:\\node\\7\\0\\shots") == "/home/ada/shots"


@pytest.mark.parametrize(
    ("path", "artist"),
    [
        (f"{TREE}/0/shots", "/home/ada/film/shots"),
        (f"{TREE}/1", "/mnt/library"),
        (f"{TREE}/9/x", None),
        (f"{TREE}/outside/x", None),
        (f"{TREE}/0/../../../secret", None),
        ("/usr/share/blender/datafiles", None),
    ],
)
def test_a_place_in_the_tree_has_a_name_on_the_artists_disk(path: str, artist: str | None) -> None:
    assert LINUX.artist_path(path) == artist


PIECES = ["/home/ada/film", "C:/Film", "..", ".", "/", "\\", "//", "x", "C:", "nas"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.sampled_from([LINUX, WINDOWS]))
def test_no_path_leads_out_of_the_tree(stored: str, mirror: Mirror) -> None:
    folder = "C:/Film/shots" if mirror.is_windows else "/home/ada/film/shots"
    place = mirror.node_path(mirror.resolved(stored, folder))
    assert mirror.contains(place)
    assert posixpath.normpath(place).split("/")[5] in {"0", "1", "2", "outside"}
    assert "\\" not in place
