# SPDX-License-Identifier: GPL-3.0-or-later
"""A Blender in a window that nobody sees, used as a person would: keys and mouse through X, pictures of its screen."""

import itertools
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.addon.scripted_client import wait_for

PROBE = Path(__file__).with_name("probe.py")
SCREEN = (1280, 800)

START_TIMEOUT_S = 90.0
"""A first start on a busy machine compiles shaders in software."""

SHOWN = 4000
"""Characters of a log that a failure shows."""


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, by its id."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def virtual_screen() -> Iterator[str]:
    """An X server with a window manager. Yields its DISPLAY."""
    reading, writing = os.pipe()
    size = "{}x{}x24".format(*SCREEN)
    server = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "+extension", "GLX"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with running(server, pass_fds=(writing,), **quiet), os.fdopen(reading) as numbers:
        os.close(writing)
        display = f":{numbers.readline().strip()}"
        with running(["openbox"], env={**os.environ, "DISPLAY": display}, **quiet):
            yield display


class BlenderWindow:
    """A running Blender with a window on `display`."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, environment: Mapping[str, str]) -> None:
        self.process = process
        self._folder = folder
        self._environment = environment
        self._numbers = itertools.count()

    def run(self, code: str, timeout_s: float = 30.0) -> Any:
        """Execute Python on Blender's main thread, return what it left in `answer`."""
        name = f"{next(self._numbers):06}"
        draft = self._folder / f"{name}.draft"
        draft.write_text(code, encoding="utf-8")
        draft.rename(self._folder / f"{name}.py")
        reply = self._folder / f"{name}.json"
        wait_for(lambda: reply.exists() or self.process.poll() is not None, f"an answer to {code!r}", timeout_s)
        assert reply.exists(), f"Blender ended with {self.process.returncode}: {self.log()[-SHOWN:]}"
        answer = json.loads(reply.read_text(encoding="utf-8"))
        assert "error" not in answer, answer["error"]
        return answer["answer"]

    def xdotool(self, *arguments: str) -> str:
        done = subprocess.run(
            ["xdotool", *arguments], env=self._environment, check=True, capture_output=True, text=True, timeout=30
        )
        return done.stdout.strip()

    def key(self, keys: str) -> None:
        """Press a key combination with the pointer over the viewport, like a person."""
        self.xdotool("mousemove", "400", "400", "key", "--clearmodifiers", keys)

    def screenshot(self, path: Path) -> Path:
        """Photograph the screen once it stands still: panels glide to their places."""
        self.run("bpy.ops.wm.redraw_timer(type='DRAW_WIN_SWAP', iterations=1)")
        pictures = [self._photograph()]

        def stands_still() -> bool:
            pictures.append(self._photograph())
            return pictures[-1] == pictures[-2]

        wait_for(stands_still, "the screen to stand still")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[-1])
        return path

    def _photograph(self) -> bytes:
        command = ["import", "-window", "root", "-define", "png:exclude-chunks=date,time", "png:-"]
        return subprocess.run(command, env=self._environment, check=True, capture_output=True, timeout=30).stdout

    def log(self) -> str:
        """What Blender has said, errors of Python included; all there is, also when it was killed."""
        return (self._folder / "blender.log").read_text(encoding="utf-8", errors="replace")


@contextmanager
def blender_window(
    program: str, folder: Path, environment: Mapping[str, str], *arguments: str
) -> Iterator[BlenderWindow]:
    """Blender with a window, ready for keys. `environment` has its DISPLAY and BLENDER_USER_RESOURCES.

    Once it has ended, however it did, an error of Python in its log fails the block: Blender itself goes on after one.
    """
    folder.mkdir(parents=True)
    environment = {**environment, "RELAY_PROBE": str(folder)}
    geometry = ["--window-geometry", "0", "0", *map(str, SCREEN)]
    command = [program, *geometry, "--python", str(PROBE), *arguments]
    with (
        (folder / "blender.log").open("wb") as log,
        running(command, env=environment, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        window = BlenderWindow(process, folder, environment)
        window.run("answer = bpy.app.version_string", START_TIMEOUT_S)
        window.xdotool("search", "--sync", "--onlyvisible", "--class", "blender")
        try:
            yield window
        except Exception as error:
            error.add_note(f"Blender's log ends:\n{window.log()[-SHOWN:]}")
            raise
    _, found, rest = window.log().partition("Traceback")
    assert not found, f"Blender's log has an error of Python:\n{found}{rest[:SHOWN]}"
