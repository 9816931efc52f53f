# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's two pipes: commands come in on stdin, events leave on what was stdout when the worker started."""

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ALIVE_S = 1.0
"""Between two signs of life. Blender lets other threads run while it renders; while it opens a file it does not."""

MARK = "\x1e"
"""Begins a line of what is printed that says of which frame the next are; server/executors/chatter.py reads it."""


class Lines:
    """Commands in, events out; ends this process when the parent is gone."""

    def __init__(self) -> None:
        """Take stdout for the events: from here on, what Blender and libraries print goes to stderr."""
        sys.stdout.flush()
        self._events = os.dup(1)
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="commands", daemon=True).start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def emit(self, event: str, **fields: object) -> None:
        """Send one event; callable from any thread, and the parent has it when this returns."""
        line = json.dumps({"event": event, **fields}).encode() + b"\n"
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._events, line) :]
            except OSError:  # Nobody reads any more: the parent is gone.
                os._exit(1)

    @contextmanager
    def about(self, frame: int | None) -> Iterator[None]:
        """Mark what is printed within this as about a frame, by marks between the printed lines."""
        if frame is None:
            yield
            return
        self._mark(str(frame))
        try:
            yield
        finally:
            self._mark("")

    def _mark(self, text: str) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(2, f"{MARK}{text}\n".encode())

    def commands(self) -> Iterator[dict[str, Any]]:
        """Yield the commands as they come, forever."""
        while True:
            yield json.loads(self._commands.get())

    def _beat(self) -> None:
        """Say that this process runs, until it does not."""
        never = threading.Event()
        while not never.wait(ALIVE_S):
            self.emit("alive")

    def _read(self) -> None:
        """Queue commands; at end of file the parent has died, and Blender, even in the middle of a frame, with it."""
        pending = b""
        # os.read, for sys.stdin holds a lock while it waits, and a Python that ends over an error aborts on that.
        while chunk := os.read(0, 1 << 16):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._commands.put(line)
        os._exit(0)
