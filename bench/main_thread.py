# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the window's main thread is kept from turning while a large save leaves over a link."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server.blenders import Blender
from tests.addon.scripted_client import wait_for
from tests.e2e.panel import PREFERENCES, show_tab, state
from tests.e2e.window import BlenderWindow, blender_window, virtual_screen
from tests.system.harness import introduce

from . import window as bench_window
from .links import Link, Relay
from .node import fresh_node

LOOP = Path(__file__).with_name("main_loop.py")
ELSEWHERE = 10
"""Nice value of what stands for another machine and for the network: in truth it would not take the window's cores."""
REST_S = 8.0
TIMEOUT_S = 120.0


class BusyWindow:
    """Blender's window with the extension in it, connected to a node."""

    def __init__(self, window: BlenderWindow) -> None:
        self._window = window

    def gaps_at_rest(self) -> list[float]:
        """Return the seconds between the main thread's turns while nothing happens."""
        found: list[float] = self._run(f"gaps_at_rest({REST_S})")
        return found

    def gaps_while_sending(self, size: int, seed: int) -> list[float]:
        """Return them while a save leaves, `size` bytes of which are new. Returns when its job is done."""
        found: list[float] = self._run(f"gaps_while_sending({size}, {seed})")
        wait_for(lambda: set(state(self._window)["jobs"].values()) == {"done"}, "the job to be done", TIMEOUT_S)
        return found

    def gaps_with_many_frames(self, frames: int, seconds: float) -> dict[str, list[float]]:
        """Return "gaps", "polls" and "draws" of main_loop.py. Returns when the job is cancelled."""
        show_tab(self._window)
        found: dict[str, list[float]] = self._run(f"gaps_with_many_frames({frames}, {seconds})")
        wait_for(lambda: set(state(self._window)["jobs"].values()) == {"cancelled"}, "the job to be over", TIMEOUT_S)
        return found

    def _run(self, call: str) -> Any:
        return self._window.run(f"{LOOP.read_text(encoding='utf-8')}\nanswer = {call}", TIMEOUT_S)


@contextmanager
def busy_window(blender: Blender, link: Link, blend: Path, folder: Path) -> Iterator[BusyWindow]:
    """A window with `blend` open; between it and its node is `link`."""
    resources = bench_window.installed(blender, folder)
    with fresh_node(blender, folder / "node") as node, Relay(link, node.port) as relay, virtual_screen() as display:
        assert node.process is not None
        introduce(node.port, relay.port)
        for pid in (relay.pid, node.process.pid):
            _give_way(pid)
        for waiting in node.blenders():  # Those that the node starts from now on inherit it.
            _give_way(waiting.pid)
        own = {"BLENDER_USER_RESOURCES": str(resources), "DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1"}
        environment = {**os.environ, **own}
        with blender_window(blender.source, folder / "window", environment, "--online-mode", str(blend)) as window:
            window.run(f"{PREFERENCES}.node_address = '127.0.0.1:{relay.port}'")
            wait_for(lambda: state(window)["connection"] == "connected", "the connection")
            yield BusyWindow(window)


def _give_way(pid: int) -> None:
    """Lower the priority of a process and of what it will start. On Linux each thread has its own."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), ELSEWHERE)
