# SPDX-License-Identifier: GPL-3.0-or-later
"""A line on the desktop, by the system's own means.

The text is other people's: it reaches no shell and becomes no part of a script, but is an argument or a variable. Linux
is tested; macOS and Windows were written from the documentation of osascript, PowerShell and Windows' toasts.
"""

import html
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PureWindowsPath

log = logging.getLogger(__name__)

TITLE = "Relay Render"

PATIENCE_S = 15.0
"""A desktop that does not answer is given up: PowerShell takes some seconds to start on a busy machine."""

SHOWN_MS = "10000"

_APPLESCRIPT = (
    "on run arguments",
    "display notification (item 2 of arguments) with title (item 1 of arguments)",
    "end run",
)

# Single quotes only, so that Python's quoting for Windows leaves it alone. The texts are read from the environment, and
# become text nodes of the toast's XML. The ID is that of PowerShell's own entry in the start menu, which every
# Windows 10 and 11 has: without such an entry Windows shows no toast.
_POWERSHELL = """
$manager = [Windows.UI.Notifications.ToastNotificationManager, Windows.UI.Notifications, ContentType = WindowsRuntime]
$toast = [Windows.UI.Notifications.ToastNotification, Windows.UI.Notifications, ContentType = WindowsRuntime]
$xml = $manager::GetTemplateContent([Windows.UI.Notifications.ToastTemplateType]::ToastText02)
$lines = $xml.GetElementsByTagName('text')
[void]$lines.Item(0).AppendChild($xml.CreateTextNode($env:RELAY_RENDER_TITLE))
[void]$lines.Item(1).AppendChild($xml.CreateTextNode($env:RELAY_RENDER_TEXT))
$id = '{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}\\WindowsPowerShell\\v1.0\\powershell.exe'
$manager::CreateToastNotifier($id).Show($toast::new($xml))
""".strip().replace("\n", "; ")


@dataclass(frozen=True, slots=True)
class Call:
    """A program to start."""

    words: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    """What it gets besides our own."""


def call_for(text: str, platform: str = sys.platform, which: Callable[[str], str | None] = shutil.which) -> Call | None:
    """Return what shows a line of text; None where nothing does."""
    if platform == "win32":
        return _windows(text)
    if platform == "darwin":
        # The title comes first and is ours: osascript takes a first argument with a hyphen for an option.
        script = [word for line in _APPLESCRIPT for word in ("-e", line)]
        return Call(("/usr/bin/osascript", *script, TITLE, text))
    return _freedesktop(text, which)


def show(text: str) -> None:
    """Show a line of text; returns at once. What goes wrong is a line in the log."""
    call = call_for(text)
    if call is None:
        log.warning("No desktop notifications: neither notify-send nor gdbus is installed.")
        return
    threading.Thread(target=_run, args=(call,), name="desktop", daemon=True).start()


def _freedesktop(text: str, which: Callable[[str], str | None]) -> Call | None:
    marked_up = html.escape(text, quote=False)  # The specification's body may have <b> and <a> in it.
    if program := which("notify-send"):
        return Call((program, f"--app-name={TITLE}", "--icon=blender", "--", TITLE, marked_up))
    if program := which("gdbus"):
        name = "org.freedesktop.Notifications"
        target = ("--session", f"--dest={name}", "--object-path=/org/freedesktop/Notifications")
        # gdbus reads GVariant's text format, in which a text is written as in JSON.
        texts = [json.dumps(each, ensure_ascii=False) for each in (TITLE, "blender", TITLE, marked_up)]
        arguments = (texts[0], "0", *texts[1:], "[]", "{}", SHOWN_MS)
        return Call((program, "call", *target, f"--method={name}.Notify", *arguments))
    return None


def _windows(text: str) -> Call:
    # By its full path: PATH may begin with a folder that others write to. PowerShell 7 has no access to toasts.
    root = PureWindowsPath(os.environ.get("SYSTEMROOT", r"C:\Windows"))
    program = root / "System32" / "WindowsPowerShell" / "v1.0" / "powershell.exe"
    words = (str(program), "-NoProfile", "-NonInteractive", "-Command", _POWERSHELL)
    return Call(words, {"RELAY_RENDER_TITLE": TITLE, "RELAY_RENDER_TEXT": text})


def _run(call: Call) -> None:
    try:
        done = subprocess.run(
            call.words,
            env=os.environ | call.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_S,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("no desktop notification: %s", error)
        return
    if done.returncode:
        log.warning("no desktop notification: %s", done.stderr.decode(errors="replace").strip()[-300:])
