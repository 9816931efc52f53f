# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.errors import UnsafePath
from addon.protocol.paths import (
    check_relative_name,
    portable_name,
    safe_component,
    split_pattern,
)


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
    "name",
    ["a.png", "layers/beauty0001.exr", "schöne Aussicht.png", "日本/画像.png", ".hidden", "shot: 1?.png", "a."],
)
def test_accepts_names_that_stay_below_their_folder(name: str) -> None:
    assert check_relative_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "..", "a/../b", "a//b", "a\\b", "a\0b", "x" * 300, "/".join(["y" * 100] * 20), "a\nb", "\ud800",
     "x/./y"],
)  # fmt: skip
def test_refuses_names_that_leave_their_folder(name: str) -> None:
    with pytest.raises(UnsafePath):
        check_relative_name(name)


@pytest.mark.parametrize(
    "name", ["C:x.blend", "NUL", "con.blend", "aux .txt", "COM1", "a.", "b ", "what?.blend", "a/b", "..", "x" * 300]
)
def test_a_name_that_some_system_cannot_hold_is_changed(name: str) -> None:
    assert safe_component(name, "file") != name


def test_names_are_made_to_fit_windows() -> None:
    assert portable_name("a/shot: 1.png") == "a/shot_ 1.png"
    assert portable_name("NUL/x.") == "_NUL/x"


@given(st.text(max_size=400))
def test_any_text_becomes_a_safe_component(text: str) -> None:
    component = safe_component(text, "job")
    assert safe_component(component, "job") == component
    check_relative_name(component)
