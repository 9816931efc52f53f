# SPDX-License-Identifier: GPL-3.0-or-later
"""The node that this Blender runs on its own machine, while that is wanted; started again when it dies."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .backoff import Backoff
from .line_process import LineProcess


@dataclass(frozen=True, slots=True)
class Asking:
    """An artist's machine that asks to be let in. Its screen must show the same digits."""

    code: str
    name: str
    host: str


class LocalNode:
    """What is known of it: "off", "starting", "running" or "ended", and the sentence for that."""

    def __init__(
        self, launch: Callable[[], LineProcess], log: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`log`: of its stderr, of which the last line says why it ended."""
        self.state = "off"
        self.text = ""
        self.page = ""
        self.asking: tuple[Asking, ...] = ()
        self._launch = launch
        self._log = log
        self._backoff = Backoff(clock)
        self._process: LineProcess | None = None
        self._leaving: list[LineProcess] = []
        """Told to end, and not yet gone."""

    @property
    def pid(self) -> int | None:
        """Its process id, None while none runs."""
        return self._process.pid if self._process else None

    def poll(self, *, wanted: bool) -> bool:
        """Start it, end it, hear what it says. Returns whether anything changed."""
        self._leaving = [process for process in self._leaving if not _is_gone(process)]
        if not wanted:
            return self.close()
        if self._process is None:
            return self._backoff.is_due and self._start()
        events = list(self._process.events())
        for event in events:
            self._apply(event)
        if not events and self._process.exit_code is not None:
            self._bury(self._process)
            return True
        return bool(events)

    def decide(self, code: str, *, allowed: bool) -> None:
        """Let in who asks with these digits, or not."""
        if self._process:
            self._process.send({"command": "allow" if allowed else "deny", "code": code})

    def close(self) -> bool:
        """End it, in its own time: frames that are almost done come to their end. Returns whether there was one."""
        if self.state == "off":
            return False
        if self._process:
            self._process.release()
            self._leaving.append(self._process)
        self._process = None
        self._backoff.reset()
        self._say("off", "")
        return True

    def _start(self) -> bool:
        try:
            self._process = self._launch()
        except (OSError, ImportError, ValueError) as error:
            self._postpone(f"The node could not be started: {error}")
            return True
        self._backoff.started()
        self._say("starting", "The node is starting.")
        return True

    def _apply(self, event: dict[str, Any]) -> None:
        if event["event"] == "ready":
            self._say("running", f"{event['name']} renders for your network, on port {event['port']}.")
            self.page = event["page"]
        elif event["event"] == "requests":
            self.asking = tuple(Asking(each["code"], each["name"], each["host"]) for each in event["requests"])

    def _bury(self, process: LineProcess) -> None:
        process.close()
        self._process = None
        self._postpone(_last_line(self._log) or f"The node ended unexpectedly (code {process.exit_code}).")

    def _postpone(self, what_happened: str) -> None:
        self._say("ended", f"{what_happened} It is started again in {self._backoff.ended():.0f} s.")

    def _say(self, state: str, text: str) -> None:
        self.state, self.text, self.page, self.asking = state, text, "", ()


def _is_gone(process: LineProcess) -> bool:
    if process.exit_code is None:
        return False
    process.close()
    return True


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
