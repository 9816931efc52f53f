# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for the disk while the network goes on."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from . import copying
from .part import Part


class Settler:
    """Settles parts that are whole, in a thread of its own: those that come while it waits for the disk, together.

    An error in that thread is raised by the next call; nothing is settled after it.
    """

    def __init__(self, settle: Callable[[list[Part]], None]) -> None:
        self._settle = settle
        self._lock = threading.Lock()
        self._whole: list[Part] = []
        self._threads: ThreadPoolExecutor | None = None
        self._work: Future[None] | None = None

    def add(self, part: Part) -> None:
        """Settle a part, some time before `wait` returns."""
        with self._lock:
            self._whole.append(part)
        self._start(self._run)

    def flush(self, part: Part) -> None:
        """Start to bring onto the disk what has been written to a part."""
        self._start(lambda: _sync(part))

    def wait(self) -> None:
        """Return when everything is settled."""
        if self._work is not None:
            self._work.result()
        self._run()

    def stop(self) -> None:
        """End the thread; what is not settled by then is not. Raises nothing."""
        if self._threads is not None:
            self._threads.shutdown()

    def _start(self, work: Callable[[], None]) -> None:
        """Begin unless something is under way: then that, or `wait`, will see to it."""
        if self._work is not None:
            if not self._work.done():
                return
            self._work.result()
        self._threads = self._threads or ThreadPoolExecutor(1, "settler")
        self._work = self._threads.submit(work)

    def _run(self) -> None:
        while batch := self._take():
            self._settle(batch)

    def _take(self) -> list[Part]:
        with self._lock:
            batch, self._whole = self._whole, []
        return batch


def _sync(part: Part) -> None:
    sync_parts([part])


def sync_parts(parts: list[Part]) -> None:
    """Wait until these parts are on disk.

    When that fails the kernel has dropped what it could not write, while a read may still show it (so on Linux):
    such a part can only be thrown away. Raises OSError.
    """
    try:
        copying.sync_all([part.path for part in parts])
    except OSError:
        for part in parts:
            part.spoiled = True
        raise
