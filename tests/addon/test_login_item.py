# SPDX-License-Identifier: GPL-3.0-or-later
"""The file by which a program starts at login."""

import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest

from addon.blender.login_item import LoginItem

COMMAND = ["/opt/My Blender/blender", "--command", "relay_render", "serve", "--data", r'/home/a "b" $c\d `e` 100%']


def test_a_linux_desktop_gets_the_words_back(tmp_path: Path) -> None:
    # GIVEN a command with all that the specification has marks for
    item = LoginItem("linux", {"XDG_CONFIG_HOME": str(tmp_path)}, tmp_path)
    assert not item.is_set
    # WHEN it is to start at login
    item.set(COMMAND)
    # THEN whoever reads it, first the string's escapes and then the quotes, has the same words
    (line,) = (line for line in item.path.read_text("utf-8").splitlines() if line.startswith("Exec="))
    assert words_of(line.removeprefix("Exec=")) == COMMAND
    assert item.path == tmp_path / "autostart" / "relay-render-node.desktop"
    if checker := shutil.which("desktop-file-validate"):
        subprocess.run([checker, item.path], check=True)
    # AND it can be taken back, twice
    item.clear()
    item.clear()
    assert not item.is_set


def words_of(value: str) -> list[str]:
    """As the Desktop Entry Specification has it read."""
    characters = iter(value.replace("\\\\", "\\"))
    words, quoted = [""], False
    for character in characters:
        if character == '"':
            quoted = not quoted
        elif character == "\\" and quoted:
            words[-1] += next(characters)
        elif character == "%":
            assert next(characters) == "%"
            words[-1] += "%"
        elif character == " " and not quoted:
            words.append("")
        else:
            words[-1] += character
    return words


def test_launchd_gets_the_words(tmp_path: Path) -> None:
    item = LoginItem("darwin", {}, tmp_path)
    item.set(COMMAND)
    agent = plistlib.loads(item.path.read_bytes())
    assert (agent["ProgramArguments"], agent["RunAtLoad"]) == (COMMAND, True)
    assert item.path == tmp_path / "Library" / "LaunchAgents" / f"{agent['Label']}.plist"


def test_windows_gets_a_batch_file_that_opens_no_large_window(tmp_path: Path) -> None:
    item = LoginItem("win32", {"APPDATA": str(tmp_path)}, tmp_path)
    item.set([r"C:\Program Files\Blender\blender.exe", "serve", "100%"])
    text = item.path.read_bytes().decode()
    assert text.splitlines()[-1] == r'@start "Relay Render" /min "C:\Program Files\Blender\blender.exe" serve 100%%'
    assert item.path.parent.parts[-2:] == ("Programs", "Startup")


def test_a_folder_that_cannot_be_written_is_an_error_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "autostart").write_text("a file")
    with pytest.raises(OSError, match="autostart"):
        LoginItem("linux", {"XDG_CONFIG_HOME": str(tmp_path)}, tmp_path).set(COMMAND)
