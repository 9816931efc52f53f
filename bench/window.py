# SPDX-License-Identifier: GPL-3.0-or-later
"""The built extension in a window that nobody sees, on a node, with a stopwatch on it."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.blenders import Blender
from tests.addon.scripted_client import wait_for
from tests.e2e.panel import PREFERENCES, save, state
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
    """Somebody who presses Ctrl+S in Blender's window."""

    def __init__(self, window: BlenderWindow) -> None:
        self._window = window

    def save(self) -> Marks:
        """Change something, press Ctrl+S, wait for the thumbnail; return what the stopwatch noted from the save on."""
        self._read()
        save(self._window)
        marks: Marks = {}
        wait_for(lambda: _merge(marks, self._read()).get("thumbnail"), "the thumbnail", TIMEOUT_S)
        wait_for(lambda: set(state(self._window)["jobs"].values()) == {"done"}, "the job to be done", TIMEOUT_S)
        return _merge(marks, self._read())

    def _read(self) -> list[tuple[str, float, float]]:
        """Return the marks noted since the last time."""
        code = "import builtins; answer = list(builtins.relay_marks); builtins.relay_marks.clear()"
        return [(what, began, ended) for what, began, ended in self._window.run(code)]


@contextmanager
def saving_artist(blender: Blender, node: NodeProcess, blend: Path, folder: Path) -> Iterator[SavingArtist]:
    """Blender in a window with `blend` open and the extension connected to `node`."""
    with virtual_screen() as display:
        own = {"BLENDER_USER_RESOURCES": str(_installed(blender, folder)), "DISPLAY": display}
        environment = {**os.environ, **own, "LIBGL_ALWAYS_SOFTWARE": "1"}
        with blender_window(blender.source, folder / "window", environment, "--online-mode", str(blend)) as window:
            window.run(f"{PREFERENCES}.node_address = {node.address!r}")
            wait_for(lambda: state(window)["connection"] == "connected", "the connection")
            window.run(STOPWATCH.read_text(encoding="utf-8"))
            yield SavingArtist(window)


def _installed(blender: Blender, folder: Path) -> Path:
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


def _merge(marks: Marks, noted: list[tuple[str, float, float]]) -> Marks:
    for what, group in itertools.groupby(sorted(noted), key=lambda mark: mark[0]):
        marks.setdefault(what, []).extend((began, ended) for _, began, ended in group)
    return marks
