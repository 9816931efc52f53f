# SPDX-License-Identifier: GPL-3.0-or-later
import ntpath
import posixpath
from contextlib import suppress
from pathlib import PureWindowsPath

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
from tests.protocol.hostile_names import ODD, REFUSED, names


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


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_no_system_takes_a_name_that_leaves_its_folder(name: str) -> None:
    with pytest.raises(UnsafePath) as told:
        check_relative_name(name)
    assert str(told.value).endswith("cannot be sent.") and str(told.value).isprintable()


@given(names)
def test_a_name_that_is_taken_stays_below_its_folder_on_every_system(name: str) -> None:
    with suppress(UnsafePath):
        check_below(check_relative_name(name))


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_an_odd_name_stays_below_its_folder_on_every_system(name: str) -> None:
    check_below(check_relative_name(name))


def check_below(name: str) -> None:
    """As destinations and mirrors are made: on Windows of the portable name."""
    assert posixpath.normpath(posixpath.join("/out", name)) == f"/out/{name}"
    there = portable_name(name)
    assert ntpath.normpath(ntpath.join("C:\\out", there)) == "C:\\out\\" + there.replace("/", "\\")
    assert portable_name(there) == check_relative_name(there) == there
    for component in there.split("/"):
        assert not set(component) & set('<>:"|?*\\') and component[-1] not in ". "
        assert not PureWindowsPath(component).is_reserved()
