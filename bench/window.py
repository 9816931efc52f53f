# SPDX-License-Identifier: GPL-3.0-or-later
"""The built extension in a window that nobody sees, on a node, with a stopwatch on it."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server.blenders import Blender
from tests.addon.scripted_client import wait_for
from tests.e2e.panel import PREFERENCES, change, show_tab, state
from tests.e2e.window import BlenderWindow, blender_window, virtual_screen
from tests.system.harness import NodeProcess
from tools import build_extension

NEEDED = ("Xvfb", "openbox", "xdotool")
STOPWATCH = Path(__file__).with_name("stopwatch.py")
TIMEOUT_S = 60.0

Marks = dict[str, list[tuple[float, float]]]
"""(began, ended) in seconds of everything of one kind."""


def why_no_window() -> str:
    """Return why this machine can open no hidden window, or an empty string."""
    missing = [name for name in NEEDED if not shutil.which(name)]
    return f"no hidden window without {', '.join(missing)}" if missing else ""


class SavingArtist:
    """Somebody who presses Ctrl+S in Blender's window, with the panel before his eyes."""

    def __init__(self, window: BlenderWindow, folder: Path) -> None:
        self._window = window
        self._bells = (folder / f"over{number}" for number in itertools.count())

    def save(self) -> Marks:
        """Change something, press Ctrl+S, wait for the thumbnail; return what the stopwatch noted from the save on."""
        marks = self._save("")
        wait_for(lambda: set(state(self._window)["jobs"].values()) == {"done"}, "the job to be done", TIMEOUT_S)
        return marks

    def save_unheard(self, seconds: float) -> Marks:
        """The same without the extension hearing of it; return what was noted until `seconds` after the writing."""
        self._stopwatch("listen(on=False)")
        marks = self._save(f", seconds={seconds}")
        self._stopwatch("listen(on=True)")
        return marks

    def _save(self, when: str) -> Marks:
        change(self._window)
        bell = next(self._bells)
        self._stopwatch(f"ring({str(bell)!r}{when})")
        self._stopwatch("take()")
        self._window.key("ctrl+s")
        wait_for(bell.exists, "the save to be over", TIMEOUT_S)
        marks: Marks = {}
        for what, began, ended in self._stopwatch("take()"):
            marks.setdefault(what, []).append((began, ended))
        return marks

    def start_heartbeat(self) -> None:
        """Have the stopwatch note when the main thread is held up. That keeps Blender busy: not by default."""
        self._stopwatch("start_heartbeat()")

    def _stopwatch(self, call: str) -> Any:
        return self._window.run(f"import builtins; answer = builtins.relay_stopwatch.{call}")


@contextmanager
def saving_artist(blender: Blender, node: NodeProcess, blend: Path, folder: Path) -> Iterator[SavingArtist]:
    """Blender in a window with `blend` open and the extension connected to `node`."""
    with virtual_screen() as display:
        own = {"BLENDER_USER_RESOURCES": str(installed(blender, folder)), "DISPLAY": display}
        environment = {**os.environ, **own, "LIBGL_ALWAYS_SOFTWARE": "1"}
        with blender_window(blender.source, folder / "window", environment, "--online-mode", str(blend)) as window:
            window.run(f"{PREFERENCES}.node_address = {node.address!r}")
            wait_for(lambda: state(window)["connection"] == "connected", "the connection")
            show_tab(window)
            window.run(STOPWATCH.read_text(encoding="utf-8"))
            yield SavingArtist(window, folder)


def installed(blender: Blender, folder: Path) -> Path:
    """Build the extension and install it as its users do; return Blender's user folder."""
    builder = build_extension.blender_builder(blender.source)
    zips = build_extension.build(build_extension.ROOT, folder / "zips", builder)
    extension = next(path for path in zips if "linux_x64" in path.name)
    resources = folder / "user"
    resources.mkdir()
    command = [blender.source, "--command", "extension", "install-file", "-r", "user_default", "--enable"]
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(resources)}
    subprocess.run([*command, str(extension)], env=environment, check=True, stdout=subprocess.DEVNULL)
    return resources
