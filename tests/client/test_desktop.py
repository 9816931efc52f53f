# SPDX-License-Identifier: GPL-3.0-or-later
"""A line on the desktop: with a stand-in for the system's program, and by what the others are started with."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from addon.client import desktop
from addon.client.desktop import TITLE, call_for

HOSTILE = "a\" & display dialog \"x\" -- '$(touch pwned)' `x` ; $env:X <b>bold</b> & \\ 'single' %PATH% \U0001f600"


def nowhere(_: str) -> None:
    return None


def only(name: str) -> "dict[str, str]":
    return {name: f"/usr/bin/{name}"}


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="only freedesktop.org's desktops have notify-send")
def test_linux_notify_send_gets_the_text_as_an_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a stand-in for notify-send that writes down how it was called
    program = tmp_path / "bin" / "notify-send"
    program.parent.mkdir()
    record = "import json, sys; open(sys.argv[1], 'w').write(json.dumps(sys.argv[2:]))"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{record}" {tmp_path}/said "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    # WHEN a text is shown that a shell, or the desktop's markup, would act on
    before = set(threading.enumerate())
    desktop.show(HOSTILE)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    # THEN it is one argument, its markup taken for what it is
    *options, title, text = json.loads((tmp_path / "said").read_text())
    assert (options[-1], title) == ("--", TITLE)
    assert text == HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "said"]


@pytest.mark.parametrize("script", ["exit 3", "echo broken >&2; exit 1"])
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="only freedesktop.org's desktops have notify-send")
def test_a_desktop_that_is_not_there_is_a_line_in_the_log(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "notify-send"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    call = call_for("text", "linux", {"notify-send": str(program)}.get)
    assert call is not None
    desktop._run(call)
    assert "no desktop notification" in caplog.text


def test_linux_without_any_program_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert call_for("text", "linux", nowhere) is None
    monkeypatch.setattr(desktop, "call_for", nowhere)
    desktop.show("text")
    assert "neither notify-send nor gdbus" in caplog.text


def test_linux_gdbus_is_told_every_text_in_its_own_format() -> None:
    call = call_for(HOSTILE, "linux", only("gdbus").get)
    assert call is not None
    program, *words = call.words
    assert program == "/usr/bin/gdbus"
    assert words[:5] == [
        "call", "--session", "--dest=org.freedesktop.Notifications",
        "--object-path=/org/freedesktop/Notifications", "--method=org.freedesktop.Notifications.Notify",
    ]  # fmt: skip
    name, replaced, icon, title, text, *rest = words[5:]
    assert [json.loads(each) for each in (name, icon, title)] == [TITLE, "blender", TITLE]
    assert json.loads(text).startswith('a" &amp; display dialog')
    assert [replaced, *rest[:2]] == ["0", "[]", "{}"]


@pytest.mark.skipif(
    not all(map(shutil.which, ("dbus-run-session", "gdbus"))), reason="needs gdbus and a session bus of its own"
)
def test_linux_gdbus_takes_it_for_the_text_that_it_is() -> None:
    # GIVEN a bus that nobody shows notifications on, and a method of the bus itself that takes one text
    call = call_for(HOSTILE, "linux", only("gdbus").get)
    assert call is not None
    text = call.words[-4]  # Behind it: actions, hints, time.
    bus = "org.freedesktop.DBus"
    ask = ["gdbus", "call", "--session", f"--dest={bus}", "--object-path=/", f"--method={bus}.NameHasOwner", text]
    # WHEN it is called with the text THEN it has understood one text, which is the name of nobody
    done = subprocess.run(["dbus-run-session", "--", *ask], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "(false,)\n"), done.stderr


def test_macos_gets_the_text_as_an_argument_of_a_script_that_is_always_the_same() -> None:
    call, other = call_for(HOSTILE, "darwin"), call_for("-e beep", "darwin")
    assert call is not None and other is not None
    assert call.words[0] == "/usr/bin/osascript"
    assert call.words[-2:] == (TITLE, HOSTILE)
    assert call.words[:-1] == other.words[:-1]
    assert call.words[1:-2:2] == ("-e", "-e", "-e")
    assert "on run arguments" in call.words
    assert not TITLE.startswith("-")


def test_windows_gets_the_text_in_a_variable_of_a_script_that_is_always_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SYSTEMROOT", r"D:\Windows")
    call, other = call_for(HOSTILE, "win32"), call_for("other", "win32")
    assert call is not None and other is not None
    assert call.words == other.words
    assert call.words[0] == r"D:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
    assert call.environment == {"RELAY_RENDER_TITLE": TITLE, "RELAY_RENDER_TEXT": HOSTILE}
    # Nothing in the script that Python's quoting for Windows would have to escape, or that ends the line.
    assert not set(call.words[-1]) & {'"', "\n", "`", "&"}
    assert subprocess.list2cmdline(call.words[-1:]) == f'"{call.words[-1]}"'
