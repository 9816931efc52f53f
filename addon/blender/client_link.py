# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps one client process running while it is wanted, and hands it what it has not yet taken."""

import math
import time
from collections.abc import Callable
from typing import Any

from .backoff import Backoff
from .jobs import Connection, Jobs
from .line_process import LineProcess

OFFLINE = Connection("offline", "Blender's online access is off, so nothing is sent to the render node.")


class ClientLink:
    """The client process of this Blender, restarted when it dies."""

    def __init__(
        self, launch: Callable[[], LineProcess], jobs: Jobs, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.jobs = jobs
        self._launch = launch
        self._clock = clock
        self._address = ""
        self._online = False
        self._wishes: dict[str, dict[str, Any]] = {}
        """Commands that hold until another one of the same name; every new client is given them."""
        self._process: LineProcess | None = None
        self._backlog: list[dict[str, Any]] = []
        """Commands given while no client ran, except renders: those `jobs` keeps."""
        self._backoff = Backoff(clock)

    @property
    def pid(self) -> int | None:
        """The client's process id, None while none runs."""
        return self._process.pid if self._process else None

    def configure(self, address: str, *, online: bool) -> bool:
        """Say which node is wanted and whether the network may be used. Returns whether that was news."""
        if (address, online) == (self._address, self._online):
            return False
        self._address, self._online = address, online
        if self._process and self._wanted:
            self._process.send(self._configuration())
        elif not self._wanted:
            self.close()
            self.jobs.connection = OFFLINE if address else Connection()
        return True

    def wish(self, command: dict[str, Any]) -> bool:
        """Give a command that holds for this client and all after it. Returns whether that was news."""
        if self._wishes.get(command["command"]) == command:
            return False
        self._wishes[command["command"]] = command
        if self._process:
            self._process.send(command)
        return True

    def submit(self, command: dict[str, Any]) -> None:
        """Hand a render over; it is handed over again to the next client if this one dies before it took it."""
        self.jobs.submitted(command)
        if self._process:
            self._process.send(command)

    def send(self, command: dict[str, Any]) -> None:
        """Give any other command, now or as soon as a client runs."""
        if command["command"] == "cancel":
            self.jobs.cancelled(command["job"])
        if self._process:
            self._process.send(command)
        else:
            self._backlog.append(command)

    def poll(self, budget_s: float) -> bool:
        """Take in what has arrived, for about `budget_s`, and see to the process. Returns whether anything changed."""
        if self._process is None:
            return self._start_when_due()
        changed = self._drain(self._process, self._clock() + budget_s)
        if not changed and self._process.exit_code is not None:
            self._bury(self._process.exit_code)
            return True
        return changed

    def close(self) -> None:
        """End the client."""
        if self._process:
            self._process.close()
        self._process = None
        self.jobs.nodes = ()
        self._backoff.reset()

    @property
    def _wanted(self) -> bool:
        """Whether there has to be a client: for a node, or for looking for one. One that runs may stay beyond that."""
        looks = self._wishes.get("browse", {}).get("wanted", False)
        return self._online and bool(self._address or looks)

    def _configuration(self) -> dict[str, Any]:
        return {"command": "configure", "address": self._address}

    def _start_when_due(self) -> bool:
        if not self._wanted or not self._backoff.is_due:
            return False
        try:
            self._process = self._launch()
        except (OSError, ImportError) as error:
            self._postpone(f"Relay Render's client could not be started: {error}")
            return True
        self._backoff.started()
        if self._address:
            self.jobs.connection = Connection("connecting", f"Connecting to {self._address}.", self._address)
        for command in [self._configuration(), *self._wishes.values(), *self._backlog, *self.jobs.unacknowledged()]:
            self._process.send(command)
        self._backlog.clear()
        return True

    def _drain(self, process: LineProcess, deadline: float) -> bool:
        changed = False
        for event in process.events():
            self.jobs.apply(event)
            changed = True
            if self._clock() >= deadline:
                break
        return changed

    def _bury(self, exit_code: int) -> None:
        assert self._process
        self._process.close()
        self._drain(self._process, deadline=math.inf)  # its last words
        self._process = None
        self._postpone(f"Relay Render's client ended unexpectedly (code {exit_code}).")

    def _postpone(self, what_happened: str) -> None:
        text = f"{what_happened} It is started again in {self._backoff.ended():.0f} s."
        self.jobs.connection = Connection("ended", text, self._address)
