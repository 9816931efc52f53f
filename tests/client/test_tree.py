# SPDX-License-Identifier: GPL-3.0-or-later
import ntpath
import posixpath
import re
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.client.tree import plan_tree
from addon.protocol import manifest
from addon.protocol.errors import UnsafePath
from addon.protocol.paths import check_relative_name

BLEND = "/home/ada/film/shots/shot.blend"


def test_the_root_is_what_all_files_have_in_common() -> None:
    tree = plan_tree(BLEND, ["/home/ada/film/textures/wood.png", "/home/ada/film/shots/hdri/sky.exr"], posixpath)
    assert tree.roots == ("/home/ada/film",)
    assert tree.places == {
        BLEND: (0, "shots/shot.blend"),
        "/home/ada/film/textures/wood.png": (0, "textures/wood.png"),
        "/home/ada/film/shots/hdri/sky.exr": (0, "shots/hdri/sky.exr"),
    }


def test_a_blend_alone_has_its_folder_for_a_root() -> None:
    assert plan_tree(BLEND, [], posixpath).places == {BLEND: (0, "shot.blend")}


def test_files_far_from_each_other_keep_their_relation() -> None:
    # GIVEN a texture that the .blend calls //../../../../mnt/library/wood.png
    tree = plan_tree(BLEND, ["/mnt/library/wood.png"], posixpath)
    # THEN that leads from the one to the other in the mirror, too
    assert tree.roots == ("/",)
    _, blend = tree.places[BLEND]
    _, texture = tree.places["/mnt/library/wood.png"]
    assert posixpath.relpath(texture, posixpath.dirname(blend)) == "../../../../mnt/library/wood.png"


def test_spellings_of_a_path_share_a_place() -> None:
    spellings = ["/home/ada/film/shots/../wood.png", "/home/ada/film/wood.png", "//home/ada/film//./wood.png"]
    tree = plan_tree(BLEND, spellings, posixpath)
    assert {tree.places[path] for path in spellings} == {(0, "wood.png")}


def test_where_case_matters_it_makes_two_files() -> None:
    tree = plan_tree(BLEND, ["/home/ada/film/Wood.png", "/home/ada/film/wood.png"], posixpath)
    assert len(set(tree.places.values())) == 3


def test_each_drive_and_share_of_windows_has_a_root() -> None:
    paths = [r"C:\film\textures\wood.png", r"D:\library\metal.png", r"\\nas\share\hdri\sky.exr", r"d:\library\rust.png"]
    tree = plan_tree(r"C:\film\shots\shot.blend", paths, ntpath)
    assert tree.roots == ("C:/film", "D:/library", "//nas/share/hdri")
    assert list(tree.places.values()) == [
        (0, "shots/shot.blend"), (0, "textures/wood.png"), (1, "metal.png"), (2, "sky.exr"), (1, "rust.png"),
    ]  # fmt: skip


def test_on_windows_neither_case_nor_the_kind_of_slash_tells_files_apart() -> None:
    spellings = ["C:\\Film\\Wood.png", "c:/film/shots/..\\wood.PNG", "C:/FILM/Wood.png"]
    tree = plan_tree(r"C:\Film\shots\shot.blend", spellings, ntpath)
    # The .blend and everything beside it are spelled as they first came.
    assert tree.roots == ("C:/Film",)
    assert {tree.places[path] for path in spellings} == {(0, "Wood.png")}


@pytest.mark.parametrize(
    ("blend", "path", "root"),
    [
        (r"C:\shot.blend", r"C:\a\b.png", "C:"),
        (r"\\nas\share\shot.blend", r"\\NAS\Share\tex\b.png", "//nas/share"),
        (r"\\nas\share\a\shot.blend", r"//nas/share/a/b.png", "//nas/share/a"),
    ],
)
def test_a_root_can_be_a_whole_drive(blend: str, path: str, root: str) -> None:
    assert plan_tree(blend, [path], ntpath).roots == (root,)


@pytest.mark.parametrize("name", ["line\nbreak.png", "back\\slash.png", "x" * 300])
def test_a_name_that_cannot_be_sent_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        plan_tree(BLEND, [f"/home/ada/film/{name}"], posixpath)


def below(starts: list[str], separators: str, parts: list[str]) -> st.SearchStrategy[str]:
    pieces = st.tuples(st.sampled_from(parts), st.sampled_from(separators)).map("".join)
    names = st.lists(pieces, max_size=5).map("".join)
    return st.tuples(st.sampled_from(starts), names, st.sampled_from(["a.png", "b.png", "x.blend"])).map("".join)


POSIX = below(["/", "//", "/home/"], "/", ["ada", "Ada", "film", "..", "."])
WINDOWS = below(["C:\\", "c:/", "D:\\", "\\\\nas\\share\\", "//NAS/share/"], "/\\", ["ada", "Ada", "film", "..", "."])


@pytest.mark.parametrize(("system", "paths"), [(posixpath, POSIX), (ntpath, WINDOWS)])
def test_any_path_is_found_again_by_its_place(system: ModuleType, paths: st.SearchStrategy[str]) -> None:
    @given(paths, st.lists(paths))
    def holds(blend: str, others: list[str]) -> None:
        tree = plan_tree(blend, others, system)

        def identity(path: str) -> str:
            normal: str = system.normcase(system.normpath(path))
            return normal[1:] if system is posixpath and normal.startswith("//") else normal

        for path in (blend, *others):
            root, name = tree.places[path]
            assert identity(f"{tree.roots[root]}/{check_relative_name(name)}") == identity(path)
        assert tree.places[blend][0] == 0
        assert all(re.match(manifest._ROOT, root) for root in tree.roots)
        assert len(set(tree.places.values())) == len({identity(path) for path in (blend, *others)})

    holds()
