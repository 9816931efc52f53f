# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a program that speaks in lines of JSON: the client, or a node on this machine.

Lines go out and come in on threads that do nothing else, so Blender never waits.
"""

import json
import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

LOG_LIMIT_BYTES = 1_000_000
"""A log longer than this is started anew with the next run."""

END_TIMEOUT_S = 2.0
"""How long it may take to end once its input is closed. Its state is on disk: killing it loses nothing."""

_FINISH = object()


class LineProcess:
    """A started program: commands in, events out, both as dictionaries. `send` and `events` never block."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        """Start it. Raises OSError if that is impossible."""
        with _open_log(log) as log_file:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # or a console flashes up on Windows
            )
        assert self._process.stdin
        assert self._process.stdout
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=_write_lines, args=(self._outgoing, self._process.stdin), daemon=True),
            threading.Thread(target=_read_lines, args=(self._process.stdout, self._incoming), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def send(self, command: Mapping[str, Any]) -> None:
        """Queue one command. To a process that has died it is lost."""
        self._outgoing.put(json.dumps(command).encode() + b"\n")

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events that have arrived. A line that is none (a library's chatter) is skipped."""
        while True:
            try:
                line = self._incoming.get_nowait()
            except queue.Empty:
                return
            if event := _parse(line):
                yield event

    def release(self) -> None:
        """Close its input, which ends it in its own time; nobody waits."""
        self._outgoing.put(_FINISH)

    def close(self, timeout_s: float = END_TIMEOUT_S) -> None:
        """Close its input, which ends it; kill it if it takes longer than `timeout_s`."""
        self.release()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(timeout_s)
        assert self._process.stdout
        self._process.stdout.close()


def _open_log(log: Path) -> IO[bytes]:
    long = log.exists() and log.stat().st_size > LOG_LIMIT_BYTES
    return log.open("wb" if long else "ab")


def _write_lines(outgoing: "queue.SimpleQueue[Any]", stdin: IO[bytes]) -> None:
    with suppress(OSError), stdin:  # a broken pipe: it has died, and its owner sees the exit code
        while (line := outgoing.get()) is not _FINISH:
            stdin.write(line)
            stdin.flush()


def _read_lines(stdout: IO[bytes], incoming: "queue.SimpleQueue[bytes]") -> None:
    for line in stdout:
        incoming.put(line)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
