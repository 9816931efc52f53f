# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from addon.client.destinations import destination
from addon.protocol.errors import UnsafePath

OUT = Path("/home/a/out")
TARGETS = {"//passes/": "/home/a/project/passes"}


@pytest.mark.parametrize(
    ("directory", "name", "path"),
    [
        ("", "shot_001.png", "/home/a/out/shot_001.png"),
        ("", "shot/a.png", "/home/a/out/shot/a.png"),
        ("//passes/", "z/depth0001.exr", "/home/a/project/passes/z/depth0001.exr"),
        ("//other/", "x.png", "/home/a/out/other/x.png"),
        ("/home/a/.ssh/", "x.png", "/home/a/out/.ssh/x.png"),
        ("C:/stuff/", "x.png", "/home/a/out/stuff/x.png"),
        ("//../..", "x.png", "/home/a/out/outputs/x.png"),
        ("//", "x.png", "/home/a/out/outputs/x.png"),
    ],
)
def test_only_declared_directories_lead_out_of_the_folder(directory: str, name: str, path: str) -> None:
    assert destination(OUT, TARGETS, directory, name) == Path(path)


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "a/../../x", "a\\x.png"])
def test_names_that_leave_their_folder_are_refused(name: str) -> None:
    for directory in ("", "//passes/", "//other/"):
        with pytest.raises(UnsafePath):
            destination(OUT, TARGETS, directory, name)
