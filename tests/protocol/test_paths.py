# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.errors import UnsafePath
from addon.protocol.paths import check_relative_name, safe_component, split_pattern


@pytest.mark.parametrize(
    ("pattern", "directory", "rest"),
    [
        ("//renders/shot_###", "//renders/", "shot_###"),
        ("//shot_", "//", "shot_"),
        ("/tmp/", "/tmp/", ""),
        ("", "", ""),
        ("plain", "", "plain"),
        ("C:\\renders\\a_####", "C:/renders/", "a_####"),
        ("//out/{blend_name}/f_", "//out/", "{blend_name}/f_"),
        ("//a{fps}/b/c", "//", "a{fps}/b/c"),
    ],
)
def test_splits_output_patterns(pattern: str, directory: str, rest: str) -> None:
    assert split_pattern(pattern) == (directory, rest)


@pytest.mark.parametrize(
    "name", ["a.png", "layers/beauty0001.exr", "schöne Aussicht 1.png", "日本/画像.png", ".hidden"]
)
def test_accepts_names_that_every_system_holds(name: str) -> None:
    assert check_relative_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "..", "a/../b", "a//b", "C:/x", "a\\b", "NUL", "con.png", "aux .txt", "COM1", "a.", "b ",
    "a\0b",
     "x" * 300, "/".join(["y" * 100] * 20), "a\nb", "\ud800", "what?.png", "x/./y"],
)  # fmt: skip
def test_refuses_names_that_leave_their_folder_or_mean_something_else(name: str) -> None:
    with pytest.raises(UnsafePath):
        check_relative_name(name)


@given(st.text(max_size=400))
def test_any_text_becomes_a_safe_component(text: str) -> None:
    component = safe_component(text, "job")
    assert "/" not in component
    check_relative_name(component)
