# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory other processes use. Linux only: elsewhere nothing tells anonymous memory from mapped files."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

BETWEEN_LOOKS_S = 0.01


def why_no_memory() -> str:
    """Return why memory cannot be measured here, or an empty string."""
    return "" if Path("/proc/self/status").exists() else "only Linux tells how much memory of a process is anonymous"


def memory_bytes(pid: int, kind: str) -> int:
    """Return what /proc/PID/status says: RssAnon (without mapped files), VmHWM (the most there was of VmRSS), ..."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no {kind}: it has ended")


class Growth:
    """How much more anonymous memory than at rest a process has had at its worst; rest is when the block begins."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._rest = self._most = memory_bytes(pid, "RssAnon")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def bytes(self) -> int:
        """So far."""
        return self._most - self._rest

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(BETWEEN_LOOKS_S):
            self._most = max(self._most, memory_bytes(self._pid, "RssAnon"))
