# SPDX-License-Identifier: GPL-3.0-or-later
"""`--on-finish`: a command for each job that ends."""

import contextlib
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from typing import IO

from addon.protocol.messages.checks import as_line

from ..errors import ServerError
from ..executors.family import kill_tree
from . import JobEnd, as_object
from .courier import Courier

log = logging.getLogger(__name__)

LIMIT_S = 60.0
"""After so long the command is ended, with its children."""

LONGEST_OUTPUT = 4000
"""Bytes of what a command says that go to the log."""


class BadCommand(ServerError):
    """The command cannot be run."""


def split_command(text: str, *, windows: bool = os.name == "nt") -> list[str]:
    """Return a command's words, quoted as in a shell; on Windows a backslash is a part of a path. Raises BadCommand."""
    try:
        words = shlex.split(text, posix=not windows)
    except ValueError as error:
        raise BadCommand(f"--on-finish: the quotes in {text!r} do not match ({error}).") from None
    if windows:
        words = [word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word for word in words]
    if not words:
        raise BadCommand("--on-finish takes a command, such as 'notify-me --now'.")
    return words


class CommandHook:
    """Runs a command with a job's end on its stdin, as JSON, and in variables RELAY_EVENT, RELAY_JOB and so on.

    Nothing that an artist wrote becomes a part of its words.
    """

    def __init__(self, words: Sequence[str], limit_s: float = LIMIT_S) -> None:
        """Raises BadCommand for a program that is not there."""
        program = shutil.which(words[0])
        if program is None:
            raise BadCommand(f"--on-finish: there is no program {words[0]} on this machine, or it may not be run.")
        self._words = [program, *words[1:]]
        self._limit_s = limit_s
        self._running: subprocess.Popen[bytes] | None = None
        self._given_up = threading.Event()
        self._courier = Courier("on-finish", self._deliver, self._give_up)

    def tell(self, end: JobEnd) -> None:
        """See Hook."""
        self._courier.tell(end)

    def close(self, deadline: float) -> None:
        """See Hook."""
        self._courier.close(deadline)

    def _deliver(self, end: JobEnd) -> None:
        if self._given_up.is_set():
            return
        # Files instead of pipes: a command need not read, and what it leaves running in the background holds up nobody.
        with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
            told.write(json.dumps(as_object(end)).encode() + b"\n")
            told.seek(0)
            try:
                process = self._start(end, told, said)
            except (OSError, ValueError) as error:
                log.warning("on-finish for job %s: %s", end.job[:8], error, extra={"job": end.job})
                return
            self._see_out(process, end)
            said.seek(0)
            for line in said.read(LONGEST_OUTPUT).decode(errors="replace").splitlines():
                log.info("on-finish: %s", as_line(line), extra={"job": end.job})

    def _start(self, end: JobEnd, told: IO[bytes], said: IO[bytes]) -> "subprocess.Popen[bytes]":
        self._running = subprocess.Popen(
            self._words,
            env=os.environ | environment_of(end),
            stdin=told,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        return self._running

    def _see_out(self, process: "subprocess.Popen[bytes]", end: JobEnd) -> None:
        try:
            process.wait(self._limit_s)
        except subprocess.TimeoutExpired:
            log.warning("on-finish for job %s: the command takes too long", end.job[:8], extra={"job": end.job})
            _kill(process)
            process.wait()
        self._running = None
        if process.returncode:
            log.warning("on-finish for job %s ended with %d", end.job[:8], process.returncode, extra={"job": end.job})

    def _give_up(self) -> None:
        """From another thread."""
        self._given_up.set()
        if (process := self._running) is not None:
            _kill(process)


def environment_of(end: JobEnd) -> dict[str, str]:
    """Return the variables that a command gets. A NUL, which no variable can have, is a control character in a line."""
    return {f"RELAY_{name.upper()}": as_line(str(value)) for name, value in as_object(end).items()}


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a command with its children, also with those whose own parents have ended."""
    kill_tree(process.pid)
    if os.name == "posix":
        with contextlib.suppress(OSError):  # Nobody is left in its session.
            os.killpg(process.pid, signal.SIGKILL)
