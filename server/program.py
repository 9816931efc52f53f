# SPDX-License-Identifier: GPL-3.0-or-later
"""A program beside the Blenders that render: run in a thread, and ended from the loop."""

import os
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from .executors.family import kill_tree
from .sandbox import Command

OnLine = Callable[[str], object]


def _unheard(_: str) -> None:
    """Nobody listens."""


class Program:
    """At most one run at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def run(self, command: Command, folder: Path, patience_s: float | None = None, on_line: OnLine = _unheard) -> str:
        """Run in `folder` to the end, in a thread; return the end of what it has said on stderr, if it failed.

        A run that takes longer than `patience_s` is ended. `on_line` hears what it says on stdout. Raises OSError when
        it cannot be started.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            with self._lock:
                if self._ended:
                    return "it was ended"
                process = self._process = subprocess.Popen(
                    command.argv, env=command.environment, cwd=folder, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=said, text=True, errors="replace",
                    start_new_session=os.name == "posix",
                )  # fmt: skip
            watch = threading.Timer(patience_s or 0, _end, (process,))
            if patience_s is not None:
                watch.start()
            try:
                assert process.stdout is not None
                with process.stdout:
                    for line in process.stdout:
                        on_line(line)
                process.wait()
            finally:
                watch.cancel()
                _end(process)
            said.seek(0)
            words = " ".join(said.read().split())[-300:]
        return "" if process.returncode == 0 else words or f"it ended with {process.returncode}"

    def end(self) -> None:
        """End what runs, and run nothing more: the node ends."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                _end(self._process)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        kill_tree(process.pid)
        process.wait()
