# SPDX-License-Identifier: GPL-3.0-or-later
"""One Blender that runs the worker script: lines in, lines out, and a way to end it with all its children."""

import asyncio
import collections
import contextlib
import json
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from ..sandbox import Command
from .chatter import Chatter
from .family import kill_tree

log = logging.getLogger(__name__)

LAST_LINES = 30
"""Lines of Blender's own output that are kept for a failure's reason."""

LAST_LINE_CHARS = 2000
"""Of each of them."""

LINE_CHARS = 1 << 20
"""Of one line that Blender says; a longer one is taken for several. Nobody's memory is its own to fill."""

LOG_BYTES = 64 << 20
"""Of a job's log; what Blender says beyond is lost."""

Line = dict[str, Any]


class WorkerProcess:
    """A running worker. Callbacks come on the loop that was running when it was made."""

    def __init__(
        self, command: Command, folder: Path, on_line: Callable[[Line], None], on_exit: Callable[[], None]
    ) -> None:
        """Start `command` in `folder`. Raises OSError when that is not possible."""
        self._loop = asyncio.get_running_loop()
        self._on_line = on_line
        self._on_exit = on_exit
        self._last_lines: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        self._log: Path | None = None
        self._killed = False
        # A session of its own: Ctrl+C in the server's terminal is for the server, which ends its Blenders itself.
        self._process = subprocess.Popen(
            command.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            encoding="utf-8", errors="replace", start_new_session=os.name == "posix", creationflags=_no_window(),
            env=command.environment, cwd=folder,
        )  # fmt: skip
        self._chatter = threading.Thread(target=self._read_chatter, name="blender-stderr", daemon=True)
        self._lines = threading.Thread(target=self._read_lines, name="blender-stdout", daemon=True)
        self._chatter.start()
        self._lines.start()

    @property
    def pid(self) -> int:
        """Process id of the Blender, or of the program that wraps it."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The end of what Blender printed, one string with line breaks."""
        return "\n".join(self._last_lines)

    def log_to(self, path: Path) -> None:
        """From now on append Blender's own words to `path`."""
        self._log = path

    def send(self, command: Line) -> None:
        """Hand a command over; a Blender that is gone is told of by on_exit, not here."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # Windows reports EINVAL; ValueError: its end has been seen, and the pipe closed.
            log.debug("Blender %d is gone, command dropped", self.pid)

    def pretend(self, *lines: Line) -> None:
        """Have these lines heard, soon, as if Blender had said them."""
        for line in lines:
            self._call(self._deliver, line)

    def kill(self, deaf: bool = True) -> None:
        """End Blender and all its children now, on_exit comes when it is gone. `deaf`: no line comes any more."""
        self._killed = self._killed or deaf
        kill_tree(self.pid)

    async def wait(self) -> None:
        """Return when the process has ended and its output is read."""
        await asyncio.to_thread(self._lines.join)

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for text in _lines(lines):
                try:
                    line = json.loads(text)
                except (ValueError, RecursionError):
                    line = None
                if isinstance(line, dict):
                    self._call(self._deliver, line)
                else:
                    self._last_lines.append(text.rstrip()[:LAST_LINE_CHARS])
        self._chatter.join()
        self._process.wait()
        self._call(self._ended)

    def _read_chatter(self) -> None:
        assert self._process.stderr is not None
        chatter = Chatter()
        with self._process.stderr as words:
            for text in _lines(words):
                if chatter.heed(text):
                    continue
                self._last_lines.append(text.rstrip()[:LAST_LINE_CHARS])
                if self._log is not None:
                    _append(self._log, chatter.logged(text))

    def _ended(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # A command that it did not take.
            self._process.stdin.close()
        self._on_exit()

    def _deliver(self, line: Line) -> None:
        if self._killed:
            return
        try:
            self._on_line(line)
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:  # A file may have got hold of this Blender.
            log.warning("Blender %d says what no worker says, and is ended", self.pid, exc_info=error)
            self.kill()

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            log.debug("the loop has ended before Blender %d", self.pid)


def _lines(pipe: IO[str]) -> Iterator[str]:
    """Yield the lines of a pipe to its end."""
    return iter(lambda: pipe.readline(LINE_CHARS), "")


def _append(path: Path, text: str) -> None:
    """Add to a log; a log that cannot be written must not end the reading, or Blender would block on a full pipe."""
    try:
        with path.open("a", encoding="utf-8") as file:
            if file.tell() < LOG_BYTES:
                file.write(text)
    except OSError as error:
        log.debug("%s: %s", path, error)


def _no_window() -> int:
    """On Windows a console program started from a service would flash up a window."""
    return int(getattr(subprocess, "CREATE_NO_WINDOW", 0))
